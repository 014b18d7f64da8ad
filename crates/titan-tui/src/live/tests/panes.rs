//! Panes, the palette, search and what is being typed.

use super::super::{Query, Reply};
use super::*;
use crate::render::moment;
use expect_test::expect;
use titan_protocol::{CostLine, FileDiff, Op, SessionSummary, TurnChanges};

fn asked(app: &mut App, command: &str, reply: Reply) {
    let actions = type_in(app, command);
    let is_query = |action: &Action| matches!(action, Action::Ask(_));
    assert!(actions.iter().any(is_query), "{actions:?}");
    app.reply(reply);
}

fn changes() -> TurnChanges {
    TurnChanges {
        turn: TurnId::from_u128(1),
        files: vec![FileDiff {
            path: "/w/src/a.rs".into(),
            what: "changed".into(),
            notes: vec!["changed again since".into()],
            diff: "@@ -1,2 +1,2 @@\n-old \u{1b}[2J\n+\tnew\n same\n".into(),
        }],
        notes: vec!["1 file is left out".into()],
    }
}

fn sessions() -> Vec<SessionSummary> {
    let session = |n: u128, title: &str, is_running| SessionSummary {
        session: SessionId::from_u128(n),
        title: title.into(),
        workspace: "/w".into(),
        started_at: 0,
        active_at: 0,
        turns: 3,
        is_running,
        usage: usage(),
        branch_of: None,
    };
    vec![
        session(0xaaaa_0001, "a first one", false),
        session(0xaaaa_0002, "\u{1b}]0;x\u{7}another", true),
    ]
}

#[test]
fn the_differences_of_a_turn_are_shown() {
    let mut app = told([started("x"), completed()]);
    asked(&mut app, "/diff 1\n", Reply::Changes(changes()));
    check(
        &mut app,
        60,
        14,
        expect![[r#"
        1 file changed                                           Esc
        changed src/a.rs
        (changed again since)
        @@ -1,2 +1,2 @@
        -old ␛[2J
        +    new
         same
        1 file is left out



        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
    app.key(Key::Escape);
    assert!(shown(&mut app, 60, 14).starts_with("› x"));
}

#[test]
fn sessions_are_listed_and_one_is_gone_on_with() {
    let mut app = told([started("x"), completed()]);
    asked(&mut app, "/sessions\n", Reply::Sessions(sessions()));
    let text = shown(&mut app, 70, 12).replace(&moment(0), "1970-01-01 00:00");
    expect![[r#"
        Sessions                                     Enter opens · n new · Esc
           id        active            turns  cost     title
        ▸  aaaa0001  1970-01-01 00:00  3      $0.0123  a first one
           aaaa0002  1970-01-01 00:00  3      $0.0123  ⠿ another





        ──────────────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]]
    .assert_eq(&text);
    app.key(Key::Down);
    let chosen = SessionId::from_u128(0xaaaa_0002);
    assert_eq!(app.key(Key::Enter), [Action::Follow(chosen)]);
    assert_eq!(app.session(), chosen);
    assert!(shown(&mut app, 70, 12).contains("TitanClaw"));
    asked(&mut app, "/sessions\n", Reply::Sessions(Vec::new()));
    assert!(matches!(app.key(Key::Char('n'))[..], [Action::Follow(id)] if id != chosen));
}

#[test]
fn costs_are_shown_by_day() {
    let cost = |day: &str, calls| CostLine {
        day: day.into(),
        provider: "local".into(),
        model: "qwen".into(),
        calls,
        usage: usage(),
    };
    let mut app = told([started("x"), model_ended(), completed()]);
    let costs = vec![cost("2026-11-01", 3), cost("2026-11-02", 1_000)];
    asked(&mut app, "/cost\n", Reply::Costs(costs));
    check(
        &mut app,
        70,
        14,
        expect![[r#"
        Cost, last 30 days                                                 Esc
        this session  1,200 in · 34 out · $0.0123

        day         model       calls  in     out  cost
        2026-11-01  local/qwen  3      1,200  34   $0.0123
        2026-11-02  local/qwen  1,000  1,200  34   $0.0123
        total                   1,003  2,400  68   $0.0246




        ──────────────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys                    $0.0123 · 1,200 in 34 out
    "#]],
    );
}

#[test]
fn the_keys_are_explained() {
    let mut app = app();
    app.key(Key::Help);
    check(
        &mut app,
        80,
        24,
        expect![[r#"
            Keys and commands                                             arrows, PgDn · Esc
            Enter              say it; while the model works, it steers it
            Alt-Enter          another line (also Shift-Enter, Ctrl-J, or \ at the end)
            Up, Down           what was typed before
            Tab                complete a command or a path after @
            Ctrl-C             stop the turn; twice at rest leaves
            Ctrl-P             everything that can be done
            Ctrl-F             search the conversation
            Ctrl-G             go back to an earlier turn, and on from there
            Ctrl-O, click      open or fold a call
            Ctrl-T             open or fold the model's thinking
            Ctrl-Y             copy the last answer
            PgUp, PgDn, wheel  look back; Esc or Ctrl-End goes to the end
            Shift-Up, -Down    by a row
            Ctrl-L             draw the screen anew
            Ctrl-D             leave, when nothing is typed

            A request to run something is answered with o (once), s (for this session),
            e (whenever it is exactly this) or d (deny), when you have seen it to its end.
            Hold Shift to select text with the mouse.

            ────────────────────────────────────────────────────────────────────────────────
            ›
            Ctrl-P commands · F1 keys
        "#]],
    );
}

#[test]
fn the_palette_finds_what_can_be_done() {
    let mut app = told([started("x"), text("An answer."), completed()]);
    app.key(Key::Ctrl('p'));
    check(
        &mut app,
        80,
        24,
        expect![[r#"
            › x

            An answer.
              ╭──────────────────────────────────────────────────────────────────────────╮
            1,│›                                                                         │
              │▸ /help                 this                                              │
              │  /model [NAME]         show or choose the model of this conversation, a… │
              │  /sessions             list sessions and go on with one                  │
              │  /new                  begin a new session                               │
              │  /branch [TURN]        go back to an earlier turn and go on from there … │
              │  /image [FILE]         give an image with what you say next              │
              │  /compact              shorten what the model is shown of this session;… │
              │  /diff [TURN]          show what a turn changed in files; the last one,… │
              │  /undo [TURN] [force]  put the files that a turn changed back; force: a… │
              │  /forget [all]         delete the last turn, or the whole session, for … │
              │  /again                ask the model what was said last, whatever refle… │
              │  /never                end the reflex that answered last                 │
              ╰──────────────────────────────────────────────────────────────────────────╯



            ────────────────────────────────────────────────────────────────────────────────
            ›
            Ctrl-P commands · F1 keys
        "#]],
    );
    type_in(&mut app, "copy");
    check(
        &mut app,
        50,
        12,
        expect![[r#"
        › x

        ╭────────────────────────────────────────────────╮
        │› copy                                          │
        │▸ copy the last answer                    Ctrl-Y│
        ╰────────────────────────────────────────────────╯



        ──────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
    assert_eq!(app.key(Key::Enter), [Action::Copy("An answer.".into())]);
    app.key(Key::Ctrl('p'));
    assert_eq!(type_in(&mut app, "undo\n"), []);
    assert!(shown(&mut app, 50, 12).contains("› /undo"));
    app.key(Key::Ctrl('u'));
    app.key(Key::Ctrl('p'));
    let actions = type_in(&mut app, "sessions\n");
    assert_eq!(actions, [Action::Ask(Query::Sessions)]);
}

#[test]
fn words_are_found_in_the_conversation_and_in_what_is_folded() {
    let mut events = vec![started("first the needle"), ready("c1", "ls")];
    let lines: String = (0..300).map(|n| format!("line {n}\n")).collect();
    events.extend([
        output("c1", &format!("a Needle here\n{lines}")),
        ended("c1", "", false),
    ]);
    events.extend((0..30).map(|n| text(&format!("paragraph {n}\n\n"))));
    events.push(completed());
    let mut app = told(events);
    shown(&mut app, 50, 12);
    app.key(Key::Ctrl('f'));
    type_in(&mut app, "needle");
    check(
        &mut app,
        50,
        12,
        expect![[r#"

            ▾ ✓ shell ls  1.2s
              ✎ script: ls
              │ a Needle here
              │ line 0
              │ line 1
              │ line 2
              │ line 3
              │ line 4
            ──────────────────────────────────────────────────
            search › needle
            Enter older · Down newer · Esc
        "#]],
    );
    app.key(Key::Enter);
    check(
        &mut app,
        50,
        12,
        expect![[r#"
            › first the needle

            ▾ ✓ shell ls  1.2s
              ✎ script: ls
              │ a Needle here
              │ line 0
              │ line 1
              │ line 2
              │ line 3
            ──────────────────────────────────────────────────
            search › needle
            Enter older · Down newer · Esc
        "#]],
    );
    app.key(Key::Enter);
    assert!(shown(&mut app, 50, 12).contains("no more of it that way"));
    app.key(Key::Escape);
    app.key(Key::Escape);
    assert!(shown(&mut app, 50, 12).contains("paragraph 29"));
}

#[test]
fn several_lines_and_a_long_paste_are_written() {
    let mut app = app();
    type_in(&mut app, "look at this:");
    app.key(Key::NewLine);
    app.key(Key::Paste("line\n".repeat(120)));
    type_in(&mut app, " and tell");
    check(
        &mut app,
        40,
        12,
        expect![[r#"
            TitanClaw
            works in /w
            qwen (local): the only one here

            Ask something, or say what is to be
            done.
            Ctrl-P lists what can be done, F1 the
            keys, @ names a file,
            ────────────────────────────────────────
            › look at this:
              [pasted 120 lines] and tell
            Ctrl-P commands · F1 keys
        "#]],
    );
    let actions = app.key(Key::Enter);
    let sent = format!("look at this:\n{} and tell", "line\n".repeat(120));
    assert_eq!(actions[0], Action::Remember(sent.clone()));
    check(
        &mut app,
        40,
        12,
        expect![[r#"
            TitanClaw
            works in /w
            qwen (local): the only one here

            Ask something, or say what is to be
            done.
            Ctrl-P lists what can be done, F1 the
            keys, @ names a file,
            › look at this: line line lin… · on its…
            ────────────────────────────────────────
            ›
            Ctrl-P commands · F1 keys
        "#]],
    );
    tell(&mut app, [started(&sent)]);
}

#[test]
fn commands_and_paths_are_completed() {
    let mut app = app();
    type_in(&mut app, "/s");
    check(
        &mut app,
        60,
        12,
        expect![[r#"
            TitanClaw
            works in /w
            qwen (local): the only one here

            Ask something, or say what is to be done.
            Ctrl-P lists what can be done, F1 the keys, @ names a file,
            !COMMAND runs a command by hand, Ctrl-D leaves.

            ▸ /sessions     list sessions and go on with one
            ────────────────────────────────────────────────────────────
            › /s
            Ctrl-P commands · F1 keys
        "#]],
    );
    app.key(Key::Tab);
    assert_eq!(app.composer.text(), "/sessions ");
    app.key(Key::Ctrl('u'));
    assert_eq!(
        type_in(&mut app, "read @s").last(),
        Some(&Action::Files("s".into()))
    );
    app.reply(Reply::Files {
        prefix: "s".into(),
        paths: vec!["src/".into(), "su\u{1b}[2Jm".into(), "sum".into()],
    });
    check(
        &mut app,
        60,
        12,
        expect![[r#"
            TitanClaw
            works in /w
            qwen (local): the only one here

            Ask something, or say what is to be done.
            Ctrl-P lists what can be done, F1 the keys, @ names a file,
            !COMMAND runs a command by hand, Ctrl-D leaves.
            ▸ src/
              sum
            ────────────────────────────────────────────────────────────
            › read @s
            Ctrl-P commands · F1 keys
        "#]],
    );
    assert_eq!(app.key(Key::Tab), [Action::Files("src/".into())]);
    assert_eq!(app.composer.text(), "read @src/");
}

/// A turn that began and ended under this number.
fn turn(n: u128, words: &str) -> [Record; 2] {
    let of_turn = |event: Event| Record {
        turn: Some(TurnId::from_u128(n)),
        ..record(event)
    };
    [of_turn(started(words)), of_turn(completed())]
}

#[test]
fn a_turn_is_chosen_and_gone_on_from_in_a_session_of_its_own() {
    let mut app = app();
    assert!(app.key(Key::Ctrl('g')).is_empty());
    assert!(shown(&mut app, 60, 10).contains("there is no turn to go back to"));
    for (n, words) in [
        (1, "look at it"),
        (2, "\n change it\nall"),
        (3, "and test it"),
    ] {
        turn(n, words).iter().for_each(|record| app.apply(record));
    }
    app.key(Key::Ctrl('g'));
    app.key(Key::Up);
    check(
        &mut app,
        60,
        10,
        expect![[r#"
        Go on after which turn?       Enter goes on from there · Esc
            1  look at it
        ▸   2  change it
            3  and test it



        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
    let branch = |actions: Vec<Action>| match &actions[..] {
        [
            Action::Submit(
                op @ Op::Branch {
                    session,
                    after,
                    into,
                },
            ),
        ] => {
            assert_eq!((*session, *after), (SESSION, TurnId::from_u128(2)));
            (op.clone(), *into)
        }
        other => panic!("{other:?}"),
    };
    let (op, into) = branch(app.key(Key::Enter));
    assert_eq!(app.submitted(&op, Ok(())), [Action::Follow(into)]);
    assert_eq!(app.session(), into);
    // What it shares is told first, then that it begins; what its origin cost is not its own.
    let mut told = turn(1, "look at it").to_vec();
    told.insert(1, record(model_ended()));
    told.push(record(Event::SessionBranched {
        workspace: "/w".into(),
        past: Vec::new(),
    }));
    for record in told {
        app.apply(&Record {
            session: into,
            ..record
        });
    }
    check(
        &mut app,
        60,
        12,
        expect![[r#"
        › look at it

        1,200 in · 34 out · $0.0123 · 3.4s
        ↳ a branch begins here: what is above is shared; files are
          as they are now, not as they were then




        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
}

#[test]
fn a_branch_in_the_list_says_what_it_came_from() {
    let mut app = told([started("x"), completed()]);
    let mut listed = sessions();
    listed[1].branch_of = Some(titan_protocol::SharedPast {
        session: listed[0].session,
        until: 7,
    });
    asked(&mut app, "/sessions\n", Reply::Sessions(listed));
    let text = shown(&mut app, 80, 12);
    assert!(text.contains("↳ aaaa0001 · another"), "{text}");
}
