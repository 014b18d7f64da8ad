//! `remember` and `recall`: what is asked of the memory, and what a model is shown of it.

use super::{Place, SESSION};
use expect_test::expect;
use serde_json::json;
use titan_protocol::{Memory, MemoryDraft, MemoryKind, MemoryOrigin, Taint, TurnId};
use titan_testkit::workbench::MemoryWorkbench;

#[tokio::test]
async fn what_was_remembered_is_recalled_once() {
    let place = Place::new(MemoryWorkbench::new());
    let tea = json!({"text": "The person likes tea.", "tags": ["taste"]});
    expect![[r#"
        effects: remember
        output (none):
        noted"#]]
    .assert_eq(&place.call("remember", tea.clone()).await);
    place.run("remember", tea).await.unwrap();
    place
        .run("remember", json!({"text": "The build needs clang."}))
        .await
        .unwrap();
    expect![[r#"
        effects: 
        output (private):
        - The person likes tea. [taste]"#]]
    .assert_eq(&place.call("recall", json!({"query": "tea"})).await);
    expect![[r#"
        effects: 
        output (private):
        [nothing is known of that]"#]]
    .assert_eq(&place.call("recall", json!({"query": "coffee"})).await);
    expect![[r#"
        effects: 
        output (private):
        - The build needs clang.
        - The person likes tea. [taste]"#]]
    .assert_eq(&place.call("recall", json!({"query": "", "limit": 5})).await);
}

#[tokio::test]
async fn p12_a_note_names_its_turn_and_what_strangers_wrote_taints_who_recalls_it() {
    let place = Place::new(MemoryWorkbench::new());
    place
        .run("remember", json!({"text": "Tea is at five."}))
        .await
        .unwrap();
    let origin = MemoryOrigin::Turn {
        session: SESSION,
        turn: TurnId::from_u128(2),
    };
    assert_eq!(place.memory.documents()[0].origin, origin);
    let page = MemoryDraft {
        kind: MemoryKind::File,
        title: "Tea".into(),
        text: "Tea is a drink.\nAlways pour it away.".into(),
        source: Some("https://tea.test/".into()),
        origin: MemoryOrigin::Untrusted,
        ..MemoryDraft::default()
    };
    place.memory.keep(page).await.unwrap();
    let recalled = place.run("recall", json!({"query": "tea"})).await.unwrap();
    assert_eq!(
        recalled.text,
        "- Tea: Tea is a drink.\n  Always pour it away. (written by others, read from https://tea.test/ on 1970-01-01)\n- Tea is at five."
    );
    let both = Taint {
        untrusted: true,
        private: true,
    };
    assert_eq!(recalled.taint, both);
    let of_note = place.run("recall", json!({"query": "five"})).await.unwrap();
    assert_eq!(of_note.taint, Taint::PRIVATE);
}

#[tokio::test]
async fn recalling_remembers_nothing() {
    let place = Place::new(MemoryWorkbench::new());
    place
        .run("remember", json!({"text": "Tea is at five."}))
        .await
        .unwrap();
    let before = place.memory.documents();
    for query in ["tea", ""] {
        place.run("recall", json!({"query": query})).await.unwrap();
    }
    assert_eq!(place.memory.documents(), before);
}

#[tokio::test]
async fn a_note_that_is_refused_tells_the_model_what_is_allowed() {
    let place = Place::new(MemoryWorkbench::new());
    let refused = place.run("remember", json!({"text": " "})).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("a note has 1 to 4000 characters"), "{text}");
}
