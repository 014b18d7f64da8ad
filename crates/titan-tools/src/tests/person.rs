//! `todo` and `ask_user`: what the person sees and answers.

use super::Place;
use expect_test::expect;
use serde_json::json;
use titan_testkit::workbench::MemoryWorkbench;

#[tokio::test]
async fn the_plan_is_shown_and_the_person_is_asked() {
    let place = Place::new(MemoryWorkbench::new());
    let items =
        json!({"items": [{"text": "a", "status": "done"}, {"text": "b", "status": "in_progress"}]});
    expect![[r#"
        effects: 
        output (none):
        the plan has 2 items, 1 to do"#]]
    .assert_eq(&place.call("todo", items).await);
    assert_eq!(place.signals.plan.lock().unwrap().len(), 2);
    expect![[r#"
        effects: 
        output (none):
        [nobody answered; go on with what is most likely wanted, and say what you assumed]"#]]
    .assert_eq(
        &place
            .call(
                "ask_user",
                json!({"question": "Which?", "choices": ["a", "b"]}),
            )
            .await,
    );
    *place.signals.answer.lock().unwrap() = Some("b".to_owned());
    expect![[r#"
        effects: 
        output (none):
        b"#]]
    .assert_eq(&place.call("ask_user", json!({"question": "Which?"})).await);
    assert_eq!(
        *place.signals.asked.lock().unwrap(),
        ["Which? [\"a\", \"b\"]", "Which? []"]
    );
}
