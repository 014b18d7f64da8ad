//! `remember` and `recall`: notes over sessions.

use super::Place;
use async_trait::async_trait;
use expect_test::expect;
use serde_json::json;
use std::sync::Arc;
use titan_protocol::{Embedder, ModelError};
use titan_testkit::workbench::MemoryWorkbench;

#[tokio::test]
async fn what_was_remembered_is_recalled_once() {
    let place = Place::new(MemoryWorkbench::new());
    expect![[r#"
        effects: remember
        output (none):
        noted"#]]
    .assert_eq(
        &place
            .call(
                "remember",
                json!({"text": "The person likes tea.", "tags": ["taste"]}),
            )
            .await,
    );
    place
        .run(
            "remember",
            json!({"text": "The person likes tea.", "tags": ["taste"]}),
        )
        .await
        .unwrap();
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
        [no note matches]"#]]
    .assert_eq(&place.call("recall", json!({"query": "coffee"})).await);
    expect![[r#"
        effects: 
        output (private):
        - The build needs clang.
        - The person likes tea. [taste]"#]]
    .assert_eq(&place.call("recall", json!({"query": "", "limit": 5})).await);
}

/// Knows drinks from builds, and nothing else.
struct Drinks(&'static str, usize);

#[async_trait]
impl Embedder for Drinks {
    fn space(&self) -> &str {
        self.0
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let vector = |text: &String| {
            let drink = ["tea", "coffee"].iter().any(|word| text.contains(word));
            let mut vector = vec![0.0; self.1];
            vector[usize::from(drink)] = 1.0;
            vector
        };
        Ok(texts.iter().map(vector).collect())
    }
}

#[tokio::test]
async fn notes_are_found_by_meaning_where_an_embedder_is_and_survive_its_change() {
    let mut place = Place::new(MemoryWorkbench::new());
    place.embedder = Some(Arc::new(Drinks("small", 2)));
    for text in ["The person likes tea.", "The build needs clang."] {
        place.run("remember", json!({"text": text})).await.unwrap();
    }
    let found = place
        .run("recall", json!({"query": "coffee", "limit": 1}))
        .await
        .unwrap();
    assert_eq!(found.text, "- The person likes tea.");
    place.embedder = Some(Arc::new(Drinks("large", 3)));
    place
        .run("remember", json!({"text": "The office has coffee."}))
        .await
        .unwrap();
    let found = place
        .run("recall", json!({"query": "tea", "limit": 1}))
        .await
        .unwrap();
    assert_eq!(found.text, "- The person likes tea.");
}
