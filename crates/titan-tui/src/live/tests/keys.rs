//! What keys do, and what they must not do.

use super::*;
use titan_protocol::{ClientError, Decision, Forget, Op};

const APPROVAL: ApprovalId = ApprovalId::from_u128(7);

fn decide(decision: Decision) -> Vec<Action> {
    vec![Action::Submit(Op::Decide {
        approval: APPROVAL,
        decision,
    })]
}

fn waiting(script: &str) -> App {
    told([started("x"), ready("c1", script), approval(script)])
}

#[test]
fn x14_a_key_decides_only_what_was_in_sight_for_a_while() {
    let mut app = waiting("rm x");
    app.at(START + 10_000);
    // It was not drawn yet.
    assert_eq!(app.key(Key::Char('o')), []);
    shown(&mut app, 60, 20);
    assert_eq!(app.key(Key::Char('o')), []);
    app.at(START + 10_400);
    assert_eq!(app.key(Key::Char('o')), []);
    app.at(START + 10_500);
    assert_eq!(app.key(Key::Char('o')), decide(Decision::Once));
    assert_eq!(app.key(Key::Char('d')), decide(Decision::Deny));
}

#[test]
fn p15_keys_that_come_in_one_piece_or_are_pasted_decide_nothing() {
    let mut app = waiting("rm x");
    shown(&mut app, 60, 20);
    app.at(START + 9_000);
    assert_eq!(app.keys(&[Key::Char('s'), Key::Char('o')]), []);
    app.at(START + 18_000);
    assert_eq!(app.key(Key::Paste("o".into())), []);
    assert_eq!(app.composer.text(), "o");
    // What is being typed is finished or cleared first, and who types on waits again.
    assert_eq!(app.key(Key::Backspace), []);
    assert_eq!(app.key(Key::Char('o')), []);
    app.at(START + 19_000);
    assert_eq!(app.key(Key::Char('z')), []);
    assert_eq!(app.key(Key::Char('o')), []);
    app.at(START + 20_000);
    assert_eq!(app.key(Key::Char('o')), decide(Decision::Once));
}

#[test]
fn x14_a_long_command_is_allowed_only_when_its_end_was_seen() {
    let script = "echo line\n".repeat(100) + "rm -rf ~";
    let mut app = waiting(&script);
    assert!(!shown(&mut app, 60, 20).contains("rm -rf ~"));
    app.at(START + 9_000);
    assert_eq!(app.key(Key::Char('o')), []);
    assert!(shown(&mut app, 60, 20).contains("there is more of it"));
    assert_eq!(app.key(Key::Char('d')), decide(Decision::Deny));
    app.key(Key::End);
    assert!(shown(&mut app, 60, 20).contains("rm -rf ~"));
    app.key(Key::PageUp);
    shown(&mut app, 60, 20);
    assert_eq!(app.key(Key::Char('e')), decide(Decision::Exact));
}

#[test]
fn p15_an_approval_behind_a_pane_is_not_answered() {
    let mut app = waiting("rm x");
    app.key(Key::Help);
    assert!(shown(&mut app, 60, 20).contains("you are asked something"));
    app.at(START + 9_000);
    assert_eq!(app.key(Key::Char('o')), []);
    app.key(Key::Escape);
    assert_eq!(app.key(Key::Char('o')), []);
    shown(&mut app, 60, 20);
    app.at(START + 10_000);
    assert_eq!(app.key(Key::Char('s')), decide(Decision::Session));
}

#[test]
fn p15_a_command_that_comes_in_one_piece_waits_for_an_enter_of_its_own() {
    let mut app = app();
    let pasted: Vec<Key> = "!touch x"
        .chars()
        .map(Key::Char)
        .chain([Key::Enter])
        .collect();
    assert_eq!(app.keys(&pasted), []);
    assert!(shown(&mut app, 60, 10).contains("Enter once more runs it"));
    let actions = app.key(Key::Enter);
    assert!(
        matches!(&actions[..], [Action::Remember(_), Action::Submit(Op::UserCall { tool, .. })] if tool == "shell")
    );
}

#[test]
fn what_is_said_is_sent_and_shown_until_it_is_heard_of() {
    let mut app = app();
    let actions = type_in(&mut app, "hello\n");
    let [Action::Remember(_), Action::Submit(op)] = &actions[..] else {
        panic!("{actions:?}");
    };
    let Op::UserTurn {
        turn,
        text,
        options,
        ..
    } = op
    else {
        panic!("{op:?}");
    };
    assert_eq!((text.as_str(), options.is_attended), ("hello", true));
    assert!(shown(&mut app, 60, 12).contains("› hello · on its way"));
    let mut told = record(started("hello"));
    told.turn = Some(*turn);
    app.apply(&told);
    assert!(!shown(&mut app, 60, 12).contains("on its way"));
    // And while a turn runs, it steers.
    let actions = type_in(&mut app, "use tabs\n");
    assert!(matches!(&actions[1], Action::Submit(Op::UserTurn { text, .. }) if text == "use tabs"));
    app.key(Key::Up);
    assert_eq!(app.composer.text(), "use tabs");
}

#[test]
fn what_is_refused_is_given_back() {
    let mut app = app();
    let actions = type_in(&mut app, "hello\n");
    let Action::Submit(op) = &actions[1] else {
        panic!("{actions:?}");
    };
    app.submitted(op, Err(ClientError::Refused("the disk is full".into())));
    assert_eq!(app.composer.text(), "hello");
    assert!(shown(&mut app, 60, 12).contains("not said: the disk is full"));
}

#[test]
fn ctrl_c_stops_a_turn_and_twice_at_rest_leaves() {
    let mut app = told([started("x")]);
    let interrupt = Action::Submit(Op::Interrupt { session: SESSION });
    assert_eq!(app.key(Key::Ctrl('c')), [interrupt]);
    assert!(shown(&mut app, 60, 12).contains("stopping"));
    assert_eq!(app.key(Key::Ctrl('d')), []);
    tell(&mut app, [completed()]);
    type_in(&mut app, "abc");
    assert_eq!(app.key(Key::Ctrl('c')), []);
    assert!(app.composer.is_empty());
    assert_eq!(app.key(Key::Ctrl('c')), []);
    assert_eq!(app.key(Key::Char('a')), []);
    assert_eq!(app.key(Key::Backspace), []);
    assert_eq!(app.key(Key::Ctrl('c')), []);
    assert_eq!(app.key(Key::Ctrl('c')), [Action::Quit]);
    assert_eq!(app.key(Key::Ctrl('d')), [Action::Quit]);
}

#[test]
fn a_question_is_answered_by_number_or_in_words() {
    let mut app = told([started("x"), question()]);
    let answered = |actions: Vec<Action>| match &actions[..] {
        [Action::Remember(_), Action::Submit(Op::Answer { text, .. })] => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(answered(type_in(&mut app, "2\n")), "the right one");
    assert_eq!(answered(type_in(&mut app, "neither\n")), "neither");
}

#[test]
fn commands_ask_the_engine_for_what_they_say() {
    let submitted = |line: &str| {
        let mut app = told([started("x"), completed()]);
        let actions = type_in(&mut app, &format!("{line}\n"));
        match actions.into_iter().nth(1) {
            Some(Action::Submit(op)) => Some(op),
            _ => None,
        }
    };
    let turn = TurnId::from_u128(0x7a);
    let session = SESSION;
    assert_eq!(submitted("/compact"), Some(Op::Compact { session }));
    let what = Forget::Turn { session, turn };
    assert_eq!(submitted("/forget"), Some(Op::Forget { what }));
    let what = Forget::Session { session };
    assert_eq!(submitted("/forget all"), Some(Op::Forget { what }));
    assert!(matches!(
        submitted("/undo 1 force"),
        Some(Op::Undo { of: Some(of), is_forced: true, .. }) if of == turn
    ));
    assert_eq!(submitted("/undo 7"), None);
    assert_eq!(submitted("/nonsense"), None);
}

#[test]
fn what_is_forgotten_goes_from_the_screen() {
    let mut app = told([started("a secret"), completed()]);
    let op = Op::Forget {
        what: Forget::Turn {
            session: SESSION,
            turn: TurnId::from_u128(0x7a),
        },
    };
    assert_eq!(app.submitted(&op, Ok(())), [Action::Follow(SESSION)]);
    assert!(!shown(&mut app, 60, 12).contains("a secret"));
}

#[test]
fn the_mouse_opens_folds_and_looks_back() {
    let lines: String = (0..40).map(|n| format!("line {n}\n")).collect();
    let mut app = told([
        started("x"),
        ready("c1", "ls"),
        ended("c1", &lines, false),
        completed(),
    ]);
    shown(&mut app, 60, 16);
    app.key(Key::Click(4, 2));
    let opened = shown(&mut app, 60, 16);
    assert!(opened.contains("│ line 39"), "{opened}");
    app.key(Key::Wheel(-40));
    let above = shown(&mut app, 60, 16);
    assert!(
        above.contains("▾ ✓ shell ls") && above.contains("Esc goes to the end"),
        "{above}"
    );
    app.key(Key::Click(4, 2));
    assert!(!shown(&mut app, 60, 16).contains("│ line"));
}
