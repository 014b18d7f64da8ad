//! What answers in a model's place: on the one pipeline, with the leave that a model has, and with the model behind it.

use crate::harness::{SESSION, Setup, is_end, transcript};
use expect_test::expect;
use serde_json::{Map, Value, json};
use titan_protocol::{
    Decision, Event, Forget, Op, ReflexCall, ReflexStep, TurnId, TurnOptions, TurnOutcome,
};
use titan_testkit::shortcut::ScriptedShortcut;

fn call(tool: &str, arguments: Value) -> ReflexCall {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are an object")
    };
    ReflexCall {
        tool: tool.to_owned(),
        arguments,
    }
}

fn reading(path: &str) -> ReflexStep {
    ReflexStep::Call(vec![call("read", json!({ "path": path }))])
}

fn setup(text: &str, steps: Vec<ReflexStep>, replies: &[&str]) -> Setup {
    let mut setup = Setup::new(replies.iter().copied());
    setup.shortcut = ScriptedShortcut::default().with(text, steps);
    setup
}

#[tokio::test]
async fn a_reflex_answers_and_no_model_is_asked() {
    let steps = vec![
        reading("a.txt"),
        reading("b.txt"),
        ReflexStep::Answer("They say {0} and {1}.".to_owned()),
    ];
    let mut rig = setup("what do they say?", steps, &["the model"])
        .open()
        .await;
    let records = rig.turn("what do they say?", &[]).await;
    assert_eq!(rig.requests(), [], "no model was asked");
    expect![[r#"
        session_started /workspace
        turn_started "what do they say?"
        shortcut_taken scripted 1 "the test says so"
        tool_call_ready c1 read {"path":"a.txt"}
        step_decided c1 allow (within the rules)
        tool_call_ended c1 "alpha\n[1 line in all]"
        shortcut_resumed
        tool_call_ready c2 read {"path":"b.txt"}
        step_decided c2 allow (within the rules)
        tool_call_ended c2 "beta\n[1 line in all]"
        shortcut_resumed
        text "They say alpha\n[1 line in all] and beta\n[1 line in all]."
        turn_ended completed 0+0
    "#]]
    .assert_eq(&transcript(&records));

    // The model reads of it later as if it had done it itself.
    rig.turn("and what was in a.txt?", &[]).await;
    let said: Vec<String> = rig.requests()[0]
        .messages
        .iter()
        .map(|message| {
            format!(
                "{:?} {} {}",
                message.role,
                message.content.len(),
                message.text()
            )
        })
        .collect();
    expect![[r#"
        User 2 [context] Paths are relative to the workspace. Today: 1970-01-01.
        Top folder: a.txt  b.txtwhat do they say?
        Assistant 1 
        User 1 
        Assistant 1 
        User 1 
        Assistant 1 They say alpha
        [1 line in all] and beta
        [1 line in all].
        User 1 and what was in a.txt?"#]]
    .assert_eq(&said.join("\n"));
}

#[tokio::test]
async fn p14_a_reflex_skips_no_approval_and_a_no_leaves_it_to_the_model() {
    let writing = ReflexStep::Call(vec![call(
        "write",
        json!({"path": "c.txt", "content": "gamma"}),
    )]);
    let steps = vec![writing, ReflexStep::Answer("Written.".to_owned())];
    let mut rig = setup("write it", steps.clone(), &["Then not."])
        .open()
        .await;
    let records = rig.turn("write it", &[Decision::Deny]).await;
    expect![[r#"
        session_started /workspace
        turn_started "write it"
        shortcut_taken scripted 1 "the test says so"
        tool_call_ready c1 write {"path":"c.txt","content":"gamma"}
        step_decided c1 ask (wants to change /workspace/c.txt)
        approval_requested c1 "wants to change /workspace/c.txt" [write /workspace/c.txt]
        approval_decided Deny by person
        tool_call_failed c1 "Not run: the person said no. Do not try it again in another way; go on without it, or ask."
        shortcut_declined scripted "a call failed"
        model_call_started script/scripted
        text "Then not.\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]].assert_eq(&transcript(&records));
    assert_eq!(rig.workbench.content("c.txt"), None);

    let mut rig = setup("write it", steps, &[]).open().await;
    let records = rig.turn("write it", &[Decision::Once]).await;
    assert!(
        matches!(&records[records.len() - 2].event, Event::TextDelta { text } if text == "Written.")
    );
    assert_eq!(rig.workbench.content("c.txt").as_deref(), Some("gamma"));
}

#[tokio::test]
async fn x18_a_reflex_may_call_no_more_than_a_model_may() {
    let nothing = ReflexStep::Call(Vec::new());
    let much = ReflexStep::Call(vec![call("read", json!({"path": "a.txt"})); 17]);
    let unknown = ReflexStep::Call(vec![call("invented", Value::Object(Map::new()))]);
    let wrong = ReflexStep::Call(vec![call("read", json!({"file": "a.txt"}))]);
    for step in [nothing, much, unknown, wrong] {
        let mut rig = setup("go", vec![step.clone()], &["the model goes on"])
            .open()
            .await;
        let records = rig.turn("go", &[]).await;
        let declined = records
            .iter()
            .filter(|record| matches!(record.event, Event::ShortcutDeclined { .. }));
        assert_eq!(declined.count(), 1, "{step:?}: {}", transcript(&records));
        assert_eq!(rig.requests().len(), 1, "{step:?}");
        let calls = records
            .iter()
            .filter(|record| matches!(record.event, Event::ToolCallReady { .. }));
        assert!(calls.count() <= 1, "{step:?}: {}", transcript(&records));
    }
    // One that never comes to an end is left as a model that calls without end is.
    let endless = vec![reading("a.txt"); 60];
    let mut rig = setup("go", endless, &["the model goes on"]).open().await;
    let records = rig.turn("go", &[]).await;
    let calls = records
        .iter()
        .filter(|record| matches!(record.event, Event::ToolCallReady { .. }));
    assert!(calls.count() <= 50, "{}", transcript(&records));
    assert!(!rig.requests().is_empty());
}

#[tokio::test]
async fn what_a_reflex_leaves_the_model_goes_on_with() {
    let steps = vec![
        reading("a.txt"),
        ReflexStep::Decline("it looks otherwise".to_owned()),
    ];
    let mut rig = setup("go", steps, &["alpha, it says"]).open().await;
    let records = rig.turn("go", &[]).await;
    expect![[r#"
        session_started /workspace
        turn_started "go"
        shortcut_taken scripted 1 "the test says so"
        tool_call_ready c1 read {"path":"a.txt"}
        step_decided c1 allow (within the rules)
        tool_call_ended c1 "alpha\n[1 line in all]"
        shortcut_resumed
        shortcut_declined scripted "it looks otherwise"
        model_call_started script/scripted
        text "alpha, it says\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]]
    .assert_eq(&transcript(&records));
    let request = rig.requests().remove(0);
    assert_eq!(
        request.messages.len(),
        3,
        "what was asked, the call and what it gave"
    );
}

#[tokio::test]
async fn a_person_may_have_the_model_asked_and_a_named_model_is_asked() {
    let steps = vec![ReflexStep::Answer("by reflex".to_owned())];
    let by_hand = |turn: u128, model: Option<&str>, without_reflexes| Op::UserTurn {
        session: SESSION,
        turn: TurnId::from_u128(turn),
        text: "go".to_owned(),
        images: Vec::new(),
        options: TurnOptions {
            workspace: Some("/workspace".into()),
            model: model.map(str::to_owned),
            is_attended: true,
            without_reflexes,
        },
    };
    let rig = setup("go", steps, &["by model", "by model"]).open().await;
    for (n, op) in [
        by_hand(1, None, true),
        by_hand(2, Some("other"), false),
        by_hand(3, None, false),
    ]
    .into_iter()
    .enumerate()
    {
        let after = rig.last().await;
        rig.submit(op).await;
        let records = rig.read(after, &[], is_end).await;
        let is_by_reflex = records
            .iter()
            .any(|record| matches!(record.event, Event::ShortcutTaken { .. }));
        assert_eq!(is_by_reflex, n == 2);
    }
    assert_eq!(rig.requests().len(), 2);
}

#[tokio::test]
async fn a_turn_that_a_reflex_answers_can_be_stopped_and_steered() {
    let asking = ReflexStep::Call(vec![call(
        "write",
        json!({"path": "c.txt", "content": "gamma"}),
    )]);
    let steps = vec![asking, ReflexStep::Answer("done".to_owned())];
    let mut rig = setup("go", steps.clone(), &[]).open().await;
    rig.say("go").await;
    rig.read(0, &[], |event| {
        matches!(event, Event::ApprovalRequested { .. })
    })
    .await;
    rig.submit(Op::Interrupt { session: SESSION }).await;
    let records = rig.read(0, &[], is_end).await;
    let end = records.last().map(|record| record.event.clone());
    assert!(
        matches!(
            end,
            Some(Event::TurnEnded {
                outcome: TurnOutcome::Interrupted,
                ..
            })
        ),
        "{end:?}"
    );

    let mut rig = setup("go", steps, &["I heard that too."]).open().await;
    rig.say("go").await;
    rig.read(0, &[], |event| {
        matches!(event, Event::ApprovalRequested { .. })
    })
    .await;
    rig.say("and tell me why").await;
    let records = rig.read(0, &[Decision::Once], is_end).await;
    assert!(
        records
            .iter()
            .any(|record| matches!(record.event, Event::ShortcutDeclined { .. })),
        "{}",
        transcript(&records)
    );
    assert_eq!(
        rig.requests().len(),
        1,
        "the model answers what was said since"
    );
}

#[tokio::test]
async fn every_turn_that_was_said_is_heard_of_and_what_is_forgotten_too() {
    let setup = Setup::new(["one", "two"]);
    let shortcut = setup.shortcut.clone();
    let mut rig = setup.open().await;
    rig.turn("first", &[]).await;
    let after = rig.last().await;
    rig.turn("second", &[]).await;
    let ended = shortcut.ended.lock().clone();
    let heard: Vec<_> = ended.iter().map(|it| (it.turn, it.is_first)).collect();
    assert_eq!(
        heard,
        [(TurnId::from_u128(1), true), (TurnId::from_u128(2), false)]
    );
    assert_eq!((ended[0].after, ended[1].after), (0, after));
    let what = Forget::Turn {
        session: SESSION,
        turn: TurnId::from_u128(1),
    };
    rig.submit(Op::Forget { what: what.clone() }).await;
    assert_eq!(*shortcut.forgotten.lock(), [what]);
}
