//! The conversation in every state that it can be in.

use super::*;
use expect_test::expect;
use titan_protocol::{Decision, FileState, NoticeLevel, Stopped, UndoOutcome, UndoneFile, Verdict};

#[test]
fn an_empty_start_says_what_to_do() {
    check(
        &mut app(),
        80,
        24,
        expect![[r#"
            TitanClaw
            works in /w
            qwen (local): the only one here

            Ask something, or say what is to be done.
            Ctrl-P lists what can be done, F1 the keys, @ names a file,
            !COMMAND runs a command by hand, Ctrl-D leaves.














            ────────────────────────────────────────────────────────────────────────────────
            ›
            Ctrl-P commands · F1 keys
        "#]],
    );
}

#[test]
fn markdown_is_laid_out_while_it_streams() {
    let mut app = told([
        started("what is in this crate?"),
        model(),
        text("# Two things\n\nA **parser** and `main`:\n\n1. read\n2. wri"),
    ]);
    check(
        &mut app,
        60,
        16,
        expect![[r#"
        › what is in this crate?

        # Two things

        A parser and main:

        1. read
        2. wri





        ────────────────────────────────────────────────────────────
        ›
        ⠋ writing · Ctrl-C stops                                qwen
    "#]],
    );
    tell(
        &mut app,
        [
            text("te\n\n```rust\nfn main() {\n    // here\n"),
            text("}\n```\n\nDone."),
            model_ended(),
            completed(),
        ],
    );
    check(
        &mut app,
        60,
        24,
        expect![[r#"
            › what is in this crate?

            # Two things

            A parser and main:

            1. read
            2. write

              rust
              fn main() {
                  // here
              }

            Done.

            qwen · 1,200 in · 34 out · $0.0123 · 3.4s




            ────────────────────────────────────────────────────────────
            ›
            Ctrl-P commands · F1 keys   qwen · $0.0123 · 1,200 in 34 out
        "#]],
    );
}

#[test]
fn thinking_is_a_line_until_it_is_opened() {
    let thoughts = "First I look.\nThen I decide what to do about all that I saw there.\n";
    let mut app = told([started("hm?"), model(), thinking(thoughts)]);
    check(
        &mut app,
        50,
        12,
        expect![[r#"
        › hm?

        ▸ thinking · Then I decide what to do about all t…






        ──────────────────────────────────────────────────
        ›
        ⠋ thinking · Ctrl-C stops                     qwen
    "#]],
    );
    app.key(Key::Ctrl('t'));
    check(
        &mut app,
        50,
        12,
        expect![[r#"
        › hm?

        ▾ thinking
          ┆ First I look.
          ┆ Then I decide what to do about all that I saw
          ┆ there.



        ──────────────────────────────────────────────────
        ›
        ⠋ thinking · Ctrl-C stops                     qwen
    "#]],
    );
    tell(&mut app, [text("Yes.")]);
    app.key(Key::Ctrl('t'));
    check(
        &mut app,
        50,
        12,
        expect![[r#"
        › hm?

        ▸ thought · 2 lines

        Yes.




        ──────────────────────────────────────────────────
        ›
        ⠋ writing · Ctrl-C stops                      qwen
    "#]],
    );
    // A click opens this one alone.
    app.key(Key::Click(3, 2));
    check(
        &mut app,
        50,
        12,
        expect![[r#"
        › hm?

        ▾ thought
          ┆ First I look.
          ┆ Then I decide what to do about all that I saw
          ┆ there.

        Yes.

        ──────────────────────────────────────────────────
        ›
        ⠋ writing · Ctrl-C stops                      qwen
    "#]],
    );
}

#[test]
fn a_call_is_seen_being_written_and_running_at_once() {
    let written = |json: &str| Event::ToolArgumentsDelta {
        call: id("c1"),
        json: json.into(),
    };
    let mut app = told([
        started("make it"),
        model(),
        begun("c1"),
        written(r#"{"script":"make \"all\"\nma"#),
    ]);
    check(
        &mut app,
        60,
        12,
        expect![[r#"
        › make it

        ▸ ✎ shell
          ✎ make "all"
          ✎ ma




        ────────────────────────────────────────────────────────────
        ›
        ⠋ preparing shell · Ctrl-C stops                        qwen
    "#]],
    );
    tell(&mut app, [output("c1", "made\n"), written("ke test")]);
    check(
        &mut app,
        60,
        12,
        expect![[r#"
            › make it

            ▸ ✎ shell · runs while it is written
              ✎ make "all"
              ✎ make test
              │ made



            ────────────────────────────────────────────────────────────
            ›
            ⠋ running shell while it is written · Ctrl-C stops      qwen
        "#]],
    );
}

#[test]
fn a_running_call_shows_its_step_its_time_and_the_end_of_its_output() {
    let allowed = |step| Event::StepDecided {
        call: id("c1"),
        step,
        verdict: Verdict::Allow {
            reason: "it only looks".into(),
        },
        lasting: Vec::new(),
    };
    let lines: String = (1..=9).map(|n| format!("line {n}\n")).collect();
    let mut app = told([
        started("look"),
        model(),
        ready("c1", "ls\ncat a"),
        allowed(0),
        allowed(1),
        output("c1", &lines),
    ]);
    app.at(START + 12_000);
    check(
        &mut app,
        60,
        14,
        expect![[r#"
        › look

        ▸ ⠋ shell ls cat a · step 2  12s
          │ line 5
          │ line 6
          │ line 7
          │ line 8
          │ line 9



        ────────────────────────────────────────────────────────────
        ›
        ⠋ running shell 12s · Ctrl-C stops                      qwen
    "#]],
    );
    app.key(Key::Ctrl('o'));
    check(
        &mut app,
        60,
        24,
        expect![[r#"
            › look

            ▾ ⠋ shell ls cat a · step 2  12s
              ✎ script:
              ✎ ls
              ✎ cat a
              │ line 1
              │ line 2
              │ line 3
              │ line 4
              │ line 5
              │ line 6
              │ line 7
              │ line 8
              │ line 9
              ✓ step 1: it only looks
              ✓ step 2: it only looks




            ────────────────────────────────────────────────────────────
            ›
            ⠋ running shell 12s · Ctrl-C stops                      qwen
        "#]],
    );
    tell(&mut app, [ended("c1", &lines, false)]);
    app.key(Key::Ctrl('o'));
    check(
        &mut app,
        60,
        10,
        expect![[r#"
        › look

        ▸ ✓ shell ls cat a  1.2s




        ────────────────────────────────────────────────────────────
        ›
        ⠋ waiting for the model 12s · Ctrl-C stops              qwen
    "#]],
    );
}

#[test]
fn calls_that_fail_are_denied_or_are_stopped_say_so() {
    let denied = Event::StepDecided {
        call: id("c2"),
        step: 0,
        verdict: Verdict::Deny {
            reason: "the network is off".into(),
        },
        lasting: Vec::new(),
    };
    let finding = Event::ValidatorFinding {
        call: id("c3"),
        rule: "repeats".into(),
        text: "it repeats itself".into(),
        stopped: Stopped::Call,
    };
    let mut app = told([
        started("try"),
        ready("c1", "false"),
        ended("c1", "no such\nprogram\n\u{1b}[31mat all", true),
        ready("c2", "curl x"),
        denied,
        ended("c2", "denied", true),
        ready("c3", "yes"),
        output("c3", "y\ny\ny\n"),
        finding,
        ended("c3", "y", true),
        ready("c4", "sleep 9"),
        Event::TurnEnded {
            outcome: TurnOutcome::Interrupted,
            usage: usage(),
            elapsed_ms: 900,
        },
    ]);
    check(
        &mut app,
        60,
        20,
        expect![[r#"
        › try

        ▸ ✗ shell false · failed  1.2s
          │ no such
          │ program
          │ at all
        ▸ ✗ shell curl x · denied  1.2s
          ✗ not allowed: the network is off
        ▸ ■ shell yes · stopped  1.2s
          ! stopped, because it repeats itself
        ▸ ■ shell sleep 9 · stopped  0ms
        ! stopped; what was said is kept
        1,200 in · 34 out · $0.0123 · 900ms




        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
}

#[test]
fn a_call_by_hand_shows_all_that_came_of_it() {
    let mut app = told([
        started("!ls"),
        Event::ToolCallReady {
            call: call("c1", "ls"),
            origin: Origin::Person,
        },
        ended("c1", "a\nb\n", false),
        completed(),
    ]);
    check(
        &mut app,
        60,
        16,
        expect![[r#"
            › !ls

            ▾ ✓ shell ls  1.2s
              ✎ script: ls
              │ a
              │ b
            1,200 in · 34 out · $0.0123 · 3.4s






            ────────────────────────────────────────────────────────────
            ›
            Ctrl-P commands · F1 keys
        "#]],
    );
}

#[test]
fn an_approval_stands_in_place_with_the_whole_command() {
    let mut app = told([
        started("remove it"),
        model(),
        text("I remove it."),
        ready("c1", "rm x"),
        approval("rm x; echo \u{202e}done\u{1b}[2K"),
    ]);
    check(
        &mut app,
        60,
        20,
        expect![[r#"
        › remove it

        I remove it.

        ▸ ⠋ shell rm x







        ┌ shell wants to run
        │ script: rm x; echo ⟨U+202E⟩done␛[2K
        │ → writes /w/x
        │ changes files
        └ [o]nce [s]ession [e]xact [d]eny
        ────────────────────────────────────────────────────────────
        ›
        ? waits for your yes or no                              qwen
    "#]],
    );
    tell(
        &mut app,
        [
            Event::ApprovalDecided {
                approval: ApprovalId::from_u128(7),
                decision: Decision::Once,
                by: "person".into(),
            },
            ended("c1", "", false),
        ],
    );
    check(
        &mut app,
        60,
        12,
        expect![[r#"
        › remove it

        I remove it.

        ▸ ✓ shell rm x  1.2s
          ✓ allowed once



        ────────────────────────────────────────────────────────────
        ›
        ⠋ waiting for the model · Ctrl-C stops                  qwen
    "#]],
    );
}

#[test]
fn a_question_waits_for_its_answer_where_one_types() {
    let mut app = told([started("the one"), model(), question()]);
    check(
        &mut app,
        60,
        14,
        expect![[r#"
        › the one







        ? Which one do you mean?
          1 the left one
          2 the right one
        ────────────────────────────────────────────────────────────
        ›
        ? waits for your answer                                 qwen
    "#]],
    );
    tell(
        &mut app,
        [Event::QuestionAnswered {
            question: QuestionId::from_u128(3),
            text: Some("the right one".into()),
        }],
    );
    check(
        &mut app,
        60,
        14,
        expect![[r#"
        › the one

        ? Which one do you mean?
          1 the left one
          2 the right one
        › the right one





        ────────────────────────────────────────────────────────────
        ›
        ⠋ waiting for qwen · Ctrl-C stops                       qwen
    "#]],
    );
}

#[test]
fn the_plan_stands_above_the_prompt_and_at_the_turns_end() {
    let mut app = told([started("do it"), model(), plan()]);
    check(
        &mut app,
        60,
        14,
        expect![[r#"
        › do it







        ☑ look around
        ▸ build it
        ☐ test it
        ────────────────────────────────────────────────────────────
        ›
        ⠋ waiting for qwen · Ctrl-C stops                       qwen
    "#]],
    );
    tell(&mut app, [completed()]);
    check(
        &mut app,
        60,
        14,
        expect![[r#"
        › do it

        ☑ look around
        ▸ build it
        ☐ test it
        qwen · 1,200 in · 34 out · $0.0123 · 3.4s





        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys                               qwen
    "#]],
    );
}

#[test]
fn what_changed_and_what_was_undone_is_told() {
    let changed = |path: &str| Event::FileChanged {
        path: path.into(),
        before: FileState::Absent,
        after: FileState::Absent,
    };
    let mut app = told([
        Event::SessionStarted {
            workspace: "/w".into(),
        },
        started("write"),
        changed("/w/a.rs"),
        changed("/w/b\u{1b}[2J.rs"),
        changed("/w/a.rs"),
        completed(),
        Event::UndoEnded {
            of: TurnId::from_u128(0x7a),
            files: vec![UndoneFile {
                path: "/w/a.rs".into(),
                outcome: UndoOutcome::Removed,
            }],
            beyond: vec!["a message to x".into()],
        },
        Event::Notice {
            level: NoticeLevel::Warning,
            text: "the disk is nearly full".into(),
        },
        Event::Steered {
            text: "and now?".into(),
            turn: TurnId::from_u128(9),
        },
    ]);
    check(
        &mut app,
        70,
        18,
        expect![[r#"
        › write

        ± a.rs, b␛[2J.rs · /diff shows, /undo puts back
        1,200 in · 34 out · $0.0123 · 3.4s
        ↶ undone:
        ✓ a.rs: removed again
        not undone, since no undo can take it back:
          a message to x
        this undo can be undone by its name: /undo 0000007a
        ! the disk is nearly full

        › and now?



        ──────────────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
}

#[test]
fn a_screen_of_40_columns_and_12_rows_shows_the_same() {
    let mut app = told([
        started("a question that is somewhat longer than the row"),
        model(),
        text(
            "Some words that have to be broken, since the row is short.\n\n```\n0123456789012345678901234567890123456789012345\n```",
        ),
        ready("c1", "cargo test --workspace --all-features"),
        approval("cargo test"),
    ]);
    check(
        &mut app,
        40,
        12,
        expect![[r#"
          01234567890123456789012345678901234567
        89012345

        ▸ ⠋ shell cargo test --workspace --all-…
        ┌ shell wants to run
        │ script: cargo test
        │ → writes /w/x
        │ changes files
        └ [o]nce [s]ession [e]xact [d]eny
        ────────────────────────────────────────
        ›
        ? waits for your yes or no          qwen
    "#]],
    );
    type_in(&mut app, "so");
    check(
        &mut app,
        40,
        12,
        expect![[r#"
          01234567890123456789012345678901234567
        89012345

        ▸ ⠋ shell cargo test --workspace --all-…
        ┌ shell wants to run
        │ script: cargo test
        │ → writes /w/x
        │ changes files
        └ [o]nce [s]ession [e]xact [d]eny
        ────────────────────────────────────────
        ›
        ? waits for your yes or no          qwen
    "#]],
    );
}

#[test]
fn a_lost_engine_is_told_and_its_words_stay() {
    let mut app = told([started("hello"), model(), text("Half an ans")]);
    app.reply(super::super::Reply::Disconnected(
        "The engine ended. Connecting anew …".into(),
    ));
    check(
        &mut app,
        60,
        10,
        expect![[r#"
        › hello

        Half an ans




        ────────────────────────────────────────────────────────────
        ›
        ⠋ The engine ended. Connecting anew …                   qwen
    "#]],
    );
    app.reply(super::super::Reply::Connected);
    tell(&mut app, [started("hello")]);
    check(
        &mut app,
        60,
        10,
        expect![[r#"
        › hello






        ────────────────────────────────────────────────────────────
        ›
        ⠋ working · Ctrl-C stops                                qwen
    "#]],
    );
}

#[test]
fn without_colour_the_marks_of_markdown_stay() {
    let mut app = app_with(Theme::Plain);
    tell(&mut app, [started("x"), text("**a** `b`"), completed()]);
    let terminal = screen(&mut app, 40, 10);
    let has_color = |cell: &ratatui::buffer::Cell| {
        cell.fg != ratatui::style::Color::Reset || cell.bg != ratatui::style::Color::Reset
    };
    assert!(!terminal.backend().buffer().content.iter().any(has_color));
    assert!(shown(&mut app, 40, 10).contains("**a** `b`"));
    let mut light = app_with(Theme::Light);
    tell(&mut light, [started("x")]);
    let terminal = screen(&mut light, 40, 10);
    assert!(terminal.backend().buffer().content.iter().any(has_color));
}

#[test]
fn a_model_that_is_asked_beside_the_turn_changes_nothing_in_sight() {
    let mut app = told([
        started("hi"),
        model(),
        text("Hello."),
        model_ended(),
        completed(),
    ]);
    let before = shown(&mut app, 60, 16);
    for event in [model(), model_ended()] {
        let beside = Record {
            turn: None,
            ..record(event)
        };
        app.apply(&beside);
    }
    assert_eq!(shown(&mut app, 60, 16), before);
}

#[test]
fn what_is_drawn_on_the_canvas_grows_while_it_is_written() {
    let written = |json: &str| Event::ToolArgumentsDelta {
        call: id("c1"),
        json: json.into(),
    };
    let mut app = told([
        started("compare them"),
        model(),
        Event::ToolCallStarted {
            call: id("c1"),
            name: "canvas".into(),
        },
        written(r#"{"name": "trains", "kind": "ta"#),
    ]);
    let before = shown(&mut app, 50, 14);
    assert!(!before.contains('▦'), "{before}");
    let rows = r#"ble", "title": "Trains", "content": "leaves,arrives\n08:10,09:02\n09:1"#;
    tell(&mut app, [written(rows)]);
    check(
        &mut app,
        50,
        14,
        expect![[r#"
        › compare them

        ▸ ✎ canvas
        ▦ Trains · is being drawn
        leaves  arrives
        08:10   09:02
        09:1




        ──────────────────────────────────────────────────
        ›
        ⠋ preparing canvas · Ctrl-C stops             qwen
    "#]],
    );
    let surface = titan_protocol::Surface {
        name: "trains".into(),
        title: "Trains".into(),
        kind: titan_protocol::SurfaceKind::Table,
        language: String::new(),
        content: "leaves,arrives\n08:10,09:02\n09:10,10:31\n".into(),
    };
    let arguments = serde_json::json!({"name": "trains", "kind": "table", "title": "Trains", "content": surface.content});
    let whole = ToolCall {
        id: id("c1"),
        name: "canvas".into(),
        arguments: arguments.as_object().expect("it is one").clone(),
    };
    let ready = Event::ToolCallReady {
        call: whole,
        origin: titan_protocol::Origin::Model,
    };
    tell(&mut app, [written(r#"0,10:31\n"}"#), ready]);
    let drawn_once = |screen: &str| screen.matches('▦').count() == 1;
    assert!(drawn_once(&shown(&mut app, 50, 14)));
    tell(&mut app, [Event::CanvasDrawn { surface }]);
    assert!(drawn_once(&shown(&mut app, 50, 14)));
    tell(&mut app, [ended("c1", "trains is shown: 2 rows", false)]);
    check(
        &mut app,
        50,
        14,
        expect![[r#"
        › compare them

        ▸ ✓ canvas trains  1.2s
        ▦ Trains
        leaves  arrives
        08:10   09:02
        09:10   10:31




        ──────────────────────────────────────────────────
        ›
        ⠋ waiting for the model · Ctrl-C stops        qwen
    "#]],
    );
}

#[test]
fn images_that_were_given_are_named_with_where_they_can_be_seen() {
    let image = |width, bytes| titan_protocol::Image {
        blob: titan_protocol::BlobId::of(b"x"),
        kind: titan_protocol::ImageKind::Png,
        width,
        height: 600,
        bytes,
    };
    let images = vec![image(800, 23_456), image(40, 117)];
    let mut app = told([started("which is it?"), Event::ImagesGiven { images }]);
    let text = shown(&mut app, 90, 8);
    let told = "▣ PNG, 800 × 600, 23 kB; PNG, 40 × 600, 117 B · shown by titanclaw web\n";
    assert!(text.contains(told), "{text}");
}
