//! `remember` and `recall`: notes over sessions.

use super::{Place, SESSION};
use async_trait::async_trait;
use expect_test::expect;
use serde_json::json;
use std::sync::Arc;
use titan_protocol::{
    ClientError, DOCUMENTS_MAX, Embedder, Memory, MemoryDocument, MemoryDraft, MemoryKind,
    MemoryOrigin, MemoryQuery, ModelError, TurnId,
};
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

fn draft(text: &str, tags: &[&str], replaces: Option<&str>) -> MemoryDraft {
    MemoryDraft {
        text: text.to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        replaces: replaces.map(str::to_owned),
    }
}

async fn found(place: &Place, words: &str) -> Vec<String> {
    let query = MemoryQuery {
        words: words.to_owned(),
        limit: DOCUMENTS_MAX,
    };
    let documents = place.notes().find(query).await.unwrap();
    documents.into_iter().map(|it| it.text).collect()
}

#[tokio::test]
async fn what_a_tool_kept_is_looked_at_changed_and_deleted_by_the_person() {
    let place = Place::new(MemoryWorkbench::new());
    let tea = json!({"text": "The person likes tea.", "tags": ["taste"]});
    place.run("remember", tea).await.unwrap();
    let notes = place.notes();
    let query = MemoryQuery {
        words: String::new(),
        limit: 10,
    };
    let kept = notes.find(query.clone()).await.unwrap();
    let origin = MemoryOrigin::Turn {
        session: SESSION,
        turn: TurnId::from_u128(2),
    };
    let mut expected = MemoryDocument {
        id: kept[0].id.clone(),
        kind: MemoryKind::Note,
        text: "The person likes tea.".into(),
        tags: vec!["taste".into()],
        origin,
        at: super::clock(),
        changed_at: None,
    };
    assert_eq!(kept, [expected.clone()]);
    let changed = draft(
        " The person likes green tea. ",
        &["taste", "tea, taste"],
        Some(&kept[0].id),
    );
    let changed = notes.keep(changed).await.unwrap();
    expected.id.clone_from(&changed.id);
    expected.text = "The person likes green tea.".into();
    expected.tags = vec!["taste".into(), "tea".into()];
    expected.changed_at = Some(super::clock());
    assert_eq!(changed, expected);
    assert_eq!(notes.find(query.clone()).await.unwrap(), [expected]);
    let recalled = place
        .run("recall", json!({"query": "green"}))
        .await
        .unwrap();
    assert_eq!(recalled.text, "- The person likes green tea. [taste,tea]");
    notes.discard(changed.id.clone()).await.unwrap();
    notes.discard(changed.id.clone()).await.unwrap();
    assert_eq!(notes.find(query).await.unwrap(), []);
    let gone = notes.keep(draft("x", &[], Some(&changed.id))).await;
    assert!(matches!(gone, Err(ClientError::Refused(_))), "{gone:?}");
}

#[tokio::test]
async fn a_person_finds_notes_by_parts_of_words_in_text_and_tags() {
    let place = Place::new(MemoryWorkbench::new());
    for (text, tags) in [
        ("The build needs Clang.", &["tools"][..]),
        ("Coffee is in the office.", &["place"]),
    ] {
        let kept = place.notes().keep(draft(text, tags, None)).await.unwrap();
        assert_eq!(kept.origin, MemoryOrigin::Person);
    }
    for (words, expected) in [
        ("cla", &["The build needs Clang."][..]),
        ("COFF place", &["Coffee is in the office."]),
        ("coffee clang", &[]),
        (
            "the",
            &["Coffee is in the office.", "The build needs Clang."],
        ),
    ] {
        assert_eq!(found(&place, words).await, expected, "{words}");
    }
}

#[tokio::test]
async fn notes_older_than_those_looked_through_are_found_by_whole_words() {
    let place = Place::new(MemoryWorkbench::new());
    for n in 0..=DOCUMENTS_MAX {
        let text = format!("note {n} of many");
        place.notes().keep(draft(&text, &[], None)).await.unwrap();
    }
    assert_eq!(
        found(&place, "note 0").await.last().unwrap(),
        "note 0 of many"
    );
    assert_eq!(found(&place, "").await.len(), DOCUMENTS_MAX);
}

#[tokio::test]
async fn a_note_that_is_empty_or_too_long_is_refused_with_what_is_allowed() {
    let place = Place::new(MemoryWorkbench::new());
    let long = "x".repeat(4_001);
    let tag = "y".repeat(41);
    let many: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for odd in [
        draft(" ", &[], None),
        draft(&long, &[], None),
        draft("x", &[&tag], None),
        draft("x", &many, None),
    ] {
        let refused = place.notes().keep(odd).await.unwrap_err();
        assert!(refused.to_string().starts_with("a note has "), "{refused}");
    }
    assert_eq!(found(&place, "").await, Vec::<String>::new());
}
