//! What is kept is bounded, what is drawn is what is in sight, and no size is too small.

use super::super::{Query, Reply};
use super::*;
use crate::render::visible::clean;
use titan_protocol::{Surface, SurfaceKind};

const ROWS: u16 = 24;

/// Lines that were laid out while this was done.
fn laid(app: &mut App, work: impl FnOnce(&mut App)) -> u64 {
    let before = app.conversation.lines_laid;
    work(app);
    app.conversation.lines_laid - before
}

#[test]
fn a_hundred_thousand_lines_leave_little_and_only_what_is_in_sight_is_laid_out() {
    let mut app = told([started("run it"), ready("c1", "cargo build")]);
    let n_laid = laid(&mut app, |app| {
        for n in 0..100_000 {
            tell(
                app,
                [output("c1", &format!("Compiling crate number {n}\n"))],
            );
        }
    });
    assert_eq!(n_laid, 0, "nothing is laid out that is not drawn");
    assert!(app.conversation.bytes() < 128 * 1024);
    let n_laid = laid(&mut app, |app| drop(shown(app, 80, ROWS)));
    assert!(n_laid <= u64::from(ROWS), "folded: {n_laid} lines");
    app.key(Key::Ctrl('o'));
    // A block of the output at the end, and the rows of the screen.
    let n_laid = laid(&mut app, |app| drop(shown(app, 80, ROWS)));
    assert!(
        n_laid <= 100 + 2 * u64::from(ROWS),
        "opened: {n_laid} lines"
    );
    let n_laid = laid(&mut app, |app| drop(shown(app, 80, ROWS)));
    assert!(n_laid <= 2, "drawn again: {n_laid} lines");
    tell(&mut app, [output("c1", "one more\n")]);
    let n_laid = laid(&mut app, |app| drop(shown(app, 80, ROWS)));
    assert!(n_laid <= 102, "one more line: {n_laid} lines");
    for _ in 0..200 {
        app.key(Key::PageUp);
        let n_laid = laid(&mut app, |app| drop(shown(app, 80, ROWS)));
        assert!(n_laid <= 200 + u64::from(ROWS), "a page up: {n_laid} lines");
    }
    let first = shown(&mut app, 80, ROWS);
    assert!(first.starts_with("› run it"), "{first}");
    // Another width lays out what is in sight, not the whole.
    let n_laid = laid(&mut app, |app| drop(shown(app, 61, ROWS)));
    assert!(
        n_laid <= 100 + 2 * u64::from(ROWS),
        "resized: {n_laid} lines"
    );
    app.key(Key::Last);
    assert!(shown(&mut app, 61, ROWS).contains("│ one more"));
}

#[test]
fn a_long_session_keeps_its_last_entries_and_says_where_the_others_are() {
    let mut app = app();
    for n in 0..3_000 {
        tell(
            &mut app,
            [
                started(&format!("question {n}")),
                text(&"word ".repeat(100)),
            ],
        );
        if n % 100 == 0 {
            shown(&mut app, 80, ROWS);
        }
    }
    assert!(app.conversation.n_entries() <= 2_000);
    assert!(app.conversation.n_laid() <= 256);
    app.key(Key::First);
    let first = shown(&mut app, 80, ROWS);
    assert!(
        first.starts_with("… 4,000 earlier entries: titanclaw sessions show 00005e55"),
        "{first}"
    );
    let huge = "x".repeat(1 << 20);
    for n in 0..40 {
        tell(&mut app, [started(&format!("{n}")), text(&huge)]);
    }
    assert!(app.conversation.bytes() <= 18 << 20);
    shown(&mut app, 80, ROWS);
}

#[test]
fn an_answer_without_an_end_of_a_paragraph_is_laid_out_in_parts() {
    let mut app = told([started("x")]);
    let line = "a line of code\n";
    tell(&mut app, [text("```\n")]);
    for _ in 0..20_000 {
        tell(&mut app, [text(line)]);
    }
    shown(&mut app, 80, ROWS);
    let n_laid = laid(&mut app, |app| {
        tell(app, [text(line)]);
        shown(app, 80, ROWS);
    });
    assert!(n_laid <= 3_000, "{n_laid} lines");
    assert!(shown(&mut app, 80, ROWS).contains("  a line of code"));
}

/// An app in every state that draws something of its own.
fn states() -> Vec<App> {
    let busy = || {
        told([
            started("do 日本語 it\nall"),
            model(),
            thinking("hm\nwell"),
            text(
                "# A\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- x\n  - y\n\n```rust\nfn a() {}\n```\n",
            ),
            ready("c1", "ls\ncat"),
            output("c1", "1\n2\n3\n"),
            plan(),
        ])
    };
    let mut states = vec![app(), busy()];
    let mut with = |change: &dyn Fn(&mut App)| {
        let mut app = busy();
        change(&mut app);
        states.push(app);
    };
    with(&|app| tell(app, [approval(&"rm x\n".repeat(30))]));
    with(&|app| tell(app, [question()]));
    with(&|app| tell(app, [ended("c1", "bad", true), completed()]));
    with(&|app| drop(app.key(Key::Help)));
    with(&|app| drop(app.key(Key::Ctrl('p'))));
    with(&|app| {
        app.key(Key::Ctrl('f'));
        type_in(app, "a");
    });
    with(&|app| drop(type_in(app, "/")));
    with(&|app| drop(type_in(app, &"long words ".repeat(40))));
    with(&|app| {
        assert!(type_in(app, "/cost\n").contains(&Action::Ask(Query::Costs)));
        app.reply(Reply::Costs(Vec::new()));
    });
    with(&|app| {
        type_in(app, "/sessions\n");
        app.reply(Reply::Sessions(Vec::new()));
    });
    with(&|app| drop(type_in(app, "/diff\n")));
    with(&|app| app.reply(Reply::Disconnected("gone".into())));
    states
}

#[test]
fn no_size_is_too_small_for_any_state() {
    let widths = [1, 2, 3, 5, 8, 13, 20, 40, 79, 80, 200];
    let heights = [1, 2, 3, 4, 6, 9, 12, 24, 60];
    for mut app in states() {
        for width in widths {
            for height in heights {
                shown(&mut app, width, height);
                for key in [
                    Key::PageUp,
                    Key::Wheel(3),
                    Key::Click(width - 1, height - 1),
                ] {
                    app.key(key);
                }
            }
        }
    }
}

#[test]
fn a_prompt_is_in_sight_on_every_screen_that_has_two_rows() {
    for height in [2, 3, 5, 10, 24] {
        let mut app = app();
        type_in(&mut app, "abc");
        assert!(shown(&mut app, 20, height).contains("› abc"), "{height}");
    }
}

#[test]
fn p15_p16_nothing_from_outside_steers_or_hides_on_the_screen() {
    let evil = "a\u{1b}[2J\u{9b}31m\u{7}\u{202e}b\u{200b}c\u{1b}]0;t\u{7}\u{e0041}";
    let mut app = told([
        started(evil),
        Event::SessionTitled { title: evil.into() },
        Event::ModelCallStarted {
            provider: evil.into(),
            model: evil.into(),
            reason: Some(evil.into()),
        },
        thinking(evil),
        text(evil),
        begun("c0"),
        Event::ToolArgumentsDelta {
            call: id("c0"),
            json: format!("{{\"{evil}\":\"{evil}"),
        },
        ready("c1", evil),
        output("c1", evil),
        ended("c1", evil, true),
        plan(),
        Event::CanvasDrawn {
            surface: Surface {
                name: evil.into(),
                title: evil.into(),
                kind: SurfaceKind::Markdown,
                language: evil.into(),
                content: evil.into(),
            },
        },
        approval(evil),
    ]);
    app.settings.shows_thinking = true;
    let harmful = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}' | '\u{202e}' | '\u{e0000}'..='\u{e007f}')
    };
    let text = shown(&mut app, 120, 60);
    assert!(!text.contains(harmful), "{text:?}");
    assert!(text.contains(&*clean("b\u{200b}c")), "{text}");
}
