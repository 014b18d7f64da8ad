//! The memory as its callers see it: a store, questions and answers.

mod said;

use crate::{Entry, GraphMemory, Index, Parts, Ports, Question};
use async_trait::async_trait;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use titan_protocol::{
    ClientError, DOCUMENTS_MAX, Embedder, Memory, MemoryDocument, MemoryDraft, MemoryHit,
    MemoryKind, MemoryOrigin, MemoryQuery, MemoryQuestion, MemoryReason, ModelError, Records,
    Search, SessionId, TurnId, UnixMillis,
};
use titan_testkit::storage::MemoryStore;

fn clock() -> UnixMillis {
    static NOW: AtomicU64 = AtomicU64::new(1_700_000_000_000);
    NOW.fetch_add(1, Relaxed)
}

fn ports(store: &Arc<MemoryStore>, embedder: Option<Arc<dyn Embedder>>) -> Ports {
    Ports {
        journal: Some(store.clone()),
        search: store.clone(),
        records: store.clone(),
        embedder,
        clock,
    }
}

fn memory() -> (Arc<MemoryStore>, GraphMemory) {
    let store = MemoryStore::new();
    let memory = GraphMemory::new(ports(&store, None));
    (store, memory)
}

fn note(text: &str) -> MemoryDraft {
    MemoryDraft {
        text: text.into(),
        ..MemoryDraft::default()
    }
}

fn page(title: &str, text: &str) -> MemoryDraft {
    MemoryDraft {
        kind: MemoryKind::File,
        title: title.into(),
        source: Some(format!("https://{}.test/", title.replace(' ', "-"))),
        origin: MemoryOrigin::Untrusted,
        ..note(text)
    }
}

async fn kept(memory: &GraphMemory, draft: MemoryDraft) -> MemoryDocument {
    memory.keep(draft).await.unwrap()
}

async fn hits(memory: &GraphMemory, text: &str) -> Vec<MemoryHit> {
    let question = MemoryQuestion {
        text: text.into(),
        limit: 5,
        with_history: false,
    };
    memory.recall(question).await.unwrap()
}

async fn texts(memory: &GraphMemory, text: &str) -> Vec<String> {
    hits(memory, text)
        .await
        .into_iter()
        .map(|hit| hit.document.text)
        .collect()
}

async fn all(memory: &GraphMemory) -> Vec<MemoryDocument> {
    let query = MemoryQuery {
        limit: DOCUMENTS_MAX,
        ..MemoryQuery::default()
    };
    memory.find(query).await.unwrap()
}

/// Knows drinks from builds, and nothing else. Counts what it is asked.
struct Drinks {
    space: &'static str,
    dimensions: usize,
    asked: AtomicUsize,
}

impl Drinks {
    fn new(space: &'static str, dimensions: usize) -> Arc<Self> {
        let asked = AtomicUsize::new(0);
        Arc::new(Self {
            space,
            dimensions,
            asked,
        })
    }
}

#[async_trait]
impl Embedder for Drinks {
    fn space(&self) -> &str {
        self.space
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        self.asked.fetch_add(texts.len(), Relaxed);
        let vector = |text: &String| {
            let drink = ["tea", "coffee"].iter().any(|word| text.contains(word));
            let mut vector = vec![0.0; self.dimensions];
            vector[usize::from(drink)] = 1.0;
            vector
        };
        Ok(texts.iter().map(vector).collect())
    }
}

#[tokio::test]
async fn vectors_find_by_meaning_are_computed_once_and_survive_a_change_of_the_model() {
    let store = MemoryStore::new();
    let small = Drinks::new("small", 2);
    let memory = GraphMemory::new(ports(&store, Some(small.clone())));
    for text in ["The person likes tea.", "The build needs clang."] {
        kept(&memory, note(text)).await;
    }
    assert_eq!(texts(&memory, "coffee").await[0], "The person likes tea.");
    assert_eq!(small.asked.load(Relaxed), 3, "two passages and a question");
    let again = GraphMemory::new(ports(&store, Some(small.clone())));
    assert_eq!(texts(&again, "coffee").await[0], "The person likes tea.");
    assert_eq!(small.asked.load(Relaxed), 4, "the question alone");
    let large = Drinks::new("large", 3);
    let other = GraphMemory::new(ports(&store, Some(large)));
    kept(&other, note("The office has coffee.")).await;
    assert_eq!(texts(&other, "tea").await[0], "The person likes tea.");
}

#[tokio::test]
async fn a_question_over_two_documents_finds_both_and_says_the_path() {
    let (_, memory) = memory();
    kept(
        &memory,
        page(
            "Kerry Saxby",
            "Kerry Saxby is a race walker who was born in Young, New South Wales.",
        ),
    )
    .await;
    kept(
        &memory,
        page(
            "Young, New South Wales",
            "Young is a town. At the 2011 census it had a population of 6,960.",
        ),
    )
    .await;
    kept(
        &memory,
        page(
            "Counting people",
            "A census counts a population, and is made in some years.",
        ),
    )
    .await;
    kept(
        &memory,
        page(
            "Race walking",
            "Race walking is a sport. A race walker has one foot on the ground.",
        ),
    )
    .await;
    let found = hits(
        &memory,
        "What was the population at the census of the city where Kerry Saxby was born?",
    )
    .await;
    let titles: Vec<&str> = found
        .iter()
        .map(|hit| hit.document.title.as_str())
        .collect();
    assert_eq!(titles[..2], ["Kerry Saxby", "Young, New South Wales"]);
    let path = found[1].reasons.iter().find_map(|reason| match reason {
        MemoryReason::Linked { path } => Some(path.clone()),
        _ => None,
    });
    let path = path.unwrap();
    assert_eq!(
        (path.len(), path[0].as_str(), path[2].as_str()),
        (3, "Kerry Saxby", "Young, New South Wales")
    );
    assert!(path[1].starts_with("Young"), "{path:?}");
    let named = MemoryReason::Named {
        name: "Kerry Saxby".into(),
    };
    assert_eq!(found[0].reasons[0], named);
    let known = memory.graph("kerry saxby".into(), 5).await.unwrap();
    assert_eq!(known.name.as_deref(), Some("Kerry Saxby"));
    let is_young = |name: &str| name.starts_with("Young");
    let related = known.related.iter().find(|it| is_young(&it.name));
    assert_eq!(related.map(|it| it.documents.len()), Some(1), "{known:?}");
    assert_eq!(memory.graph("nobody".into(), 5).await.unwrap().name, None);
}

#[tokio::test]
async fn the_newer_fact_holds_and_the_older_is_history() {
    let (_, memory) = memory();
    let old = kept(&memory, note("My favourite editor is Helix.")).await;
    let new = kept(&memory, note("My favourite editor is now Zed.")).await;
    assert_eq!(
        texts(&memory, "favourite editor").await,
        ["My favourite editor is now Zed."]
    );
    let question = MemoryQuestion {
        text: "favourite editor".into(),
        limit: 5,
        with_history: true,
    };
    let with_history = memory.recall(question).await.unwrap();
    assert_eq!(with_history.len(), 2);
    let past = memory.get(old.id.clone()).await.unwrap().unwrap();
    assert_eq!(past.superseded_by.as_deref(), Some(new.id.as_str()));
    assert!(past.valid_until.is_some());
    // Back again: the first holds anew.
    kept(&memory, note("my favourite editor is Helix")).await;
    assert_eq!(
        texts(&memory, "favourite editor").await,
        ["My favourite editor is Helix."]
    );
    assert_eq!(all(&memory).await.len(), 2);
    // Forgotten, nothing names it any more.
    memory.discard(old.id.clone()).await.unwrap();
    let left = all(&memory).await;
    assert!(left.iter().all(|it| it.superseded_by.is_none()), "{left:?}");
}

#[tokio::test]
async fn what_has_expired_is_no_answer_but_history() {
    let (_, memory) = memory();
    let draft = MemoryDraft {
        valid_until: Some(1),
        ..note("The parking ticket is valid.")
    };
    kept(&memory, draft).await;
    assert_eq!(texts(&memory, "parking ticket").await, Vec::<String>::new());
    assert_eq!(all(&memory).await.len(), 1);
}

#[tokio::test]
async fn the_same_said_twice_is_one_document_with_the_tags_of_both() {
    let (_, memory) = memory();
    let tagged = |text: &str, tag: &str| MemoryDraft {
        tags: vec![tag.into()],
        ..note(text)
    };
    kept(&memory, tagged("The person likes tea.", "taste")).await;
    kept(&memory, tagged("the person  likes TEA", "drinks")).await;
    let found = all(&memory).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].text.as_str(), &found[0].tags[..]),
        (
            "The person likes tea.",
            &["taste".to_owned(), "drinks".to_owned()][..]
        )
    );
}

#[tokio::test]
async fn what_was_recalled_is_no_new_memory_also_when_a_model_remembers_it_again() {
    let (_, memory) = memory();
    kept(&memory, note("The deploy script is in tools/deploy.sh.")).await;
    let before = all(&memory).await;
    let recalled = texts(&memory, "where is the deploy script?").await;
    assert_eq!(all(&memory).await, before);
    let origin = MemoryOrigin::Turn {
        session: SessionId::from_u128(1),
        turn: TurnId::from_u128(2),
    };
    kept(
        &memory,
        MemoryDraft {
            origin,
            ..note(&format!("{} ", recalled[0].to_uppercase()))
        },
    )
    .await;
    let after = all(&memory).await;
    assert_eq!((after.len(), &after[0].origin), (1, &MemoryOrigin::Person));
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_text_vector_or_name() {
    let store = MemoryStore::new();
    let memory = GraphMemory::new(ports(&store, Some(Drinks::new("small", 2))));
    let secret = kept(&memory, note("Zanzibar Quux drinks coffee.")).await;
    kept(&memory, note("The build needs clang.")).await;
    assert_eq!(
        texts(&memory, "Zanzibar").await[0],
        "Zanzibar Quux drinks coffee."
    );
    memory.discard(secret.id.clone()).await.unwrap();
    memory.discard(secret.id.clone()).await.unwrap();
    for again in [
        memory.clone(),
        GraphMemory::new(ports(&store, Some(Drinks::new("small", 2)))),
    ] {
        for question in ["Zanzibar Quux", "coffee", "Zanzibar Quux drinks coffee."] {
            let found = texts(&again, question).await;
            assert!(
                found.iter().all(|text| !text.contains("Zanzibar")),
                "{found:?}"
            );
        }
        assert_eq!(again.get(secret.id.clone()).await.unwrap(), None);
        assert_eq!(
            again.graph("Zanzibar Quux".into(), 5).await.unwrap().name,
            None
        );
    }
    let vectors = store.scan_records("memory_vectors").await;
    assert_eq!(vectors, 1, "the other passage's alone");
}

trait CountRecords {
    async fn scan_records(&self, table: &str) -> usize;
}

impl CountRecords for MemoryStore {
    async fn scan_records(&self, table: &str) -> usize {
        Records::scan(self, table, "", "", 1_000)
            .await
            .unwrap()
            .len()
    }
}

#[tokio::test]
async fn a_changed_file_takes_the_place_of_what_it_said_before() {
    let (_, memory) = memory();
    kept(&memory, page("Tea", "Tea comes from Assam.")).await;
    kept(&memory, page("Tea", "Tea comes from Ceylon.")).await;
    let found = all(&memory).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].changed_at.is_some());
    assert_eq!(texts(&memory, "Assam").await, Vec::<String>::new());
    assert_eq!(memory.graph("Assam".into(), 5).await.unwrap().name, None);
}

#[tokio::test]
async fn answers_are_the_same_after_a_restart() {
    let (store, memory) = memory();
    for n in 0..40 {
        kept(
            &memory,
            note(&format!(
                "Project Mercury {n} uses library Lib{} and was led by Ada Stone.",
                n % 5
            )),
        )
        .await;
    }
    for id in all(&memory).await.into_iter().map(|it| it.id).step_by(3) {
        memory.discard(id).await.unwrap();
    }
    let again = GraphMemory::new(ports(&store, None));
    for question in ["Lib3", "who led project Mercury 7?", "Ada Stone library"] {
        assert_eq!(
            hits(&memory, question).await,
            hits(&again, question).await,
            "{question}"
        );
    }
}

#[tokio::test]
async fn c12_nothing_of_another_owner_is_found_shown_changed_or_deleted() {
    let store = MemoryStore::new();
    let mine = GraphMemory::new(ports(&store, None));
    let ann = GraphMemory::of(ports(&store, None), "ann");
    let bob = GraphMemory::of(ports(&store, None), "bob");
    let canary = kept(&ann, note("Canary Tweetypie sits in cage 7.")).await;
    for other in [&mine, &bob] {
        kept(other, note("A canary is a bird.")).await;
        assert_eq!(
            texts(other, "canary tweetypie cage").await,
            ["A canary is a bird."]
        );
        assert_eq!(all(other).await.len(), 1);
        assert_eq!(other.get(canary.id.clone()).await.unwrap(), None);
        assert_eq!(
            other
                .graph("Canary Tweetypie".into(), 5)
                .await
                .unwrap()
                .passages,
            []
        );
        let replacing = MemoryDraft {
            replaces: Some(canary.id.clone()),
            ..note("gone")
        };
        assert!(matches!(
            other.keep(replacing).await,
            Err(ClientError::Refused(_))
        ));
        other.discard(canary.id.clone()).await.unwrap();
    }
    assert_eq!(
        texts(&ann, "canary").await,
        ["Canary Tweetypie sits in cage 7."]
    );
    // An owner whose name begins as another's collection does.
    let sly = GraphMemory::of(ports(&store, None), "ann/x");
    assert_eq!(all(&sly).await, []);
}

#[tokio::test]
async fn p12_every_hit_says_where_it_comes_from_and_strangers_contradict_nobody() {
    let (_, memory) = memory();
    let origin = MemoryOrigin::Turn {
        session: SessionId::from_u128(1),
        turn: TurnId::from_u128(2),
    };
    kept(
        &memory,
        MemoryDraft {
            origin: origin.clone(),
            ..note("The password of the router is tulip.")
        },
    )
    .await;
    let foreign = MemoryDraft {
        origin: MemoryOrigin::Untrusted,
        ..note("The password of the router is evil.")
    };
    kept(&memory, foreign).await;
    let found = hits(&memory, "password of the router").await;
    let origins: BTreeMap<&str, &MemoryOrigin> = found
        .iter()
        .map(|hit| (hit.document.text.as_str(), &hit.document.origin))
        .collect();
    assert_eq!(origins["The password of the router is tulip."], &origin);
    assert_eq!(
        origins["The password of the router is evil."],
        &MemoryOrigin::Untrusted
    );
    // Nor does a stranger's copy make it a stranger's, or a stranger's word the person's.
    let copy = MemoryDraft {
        origin: MemoryOrigin::Untrusted,
        ..note("the password of the router is tulip")
    };
    assert_eq!(kept(&memory, copy).await.origin, origin);
    assert_eq!(
        kept(&memory, note("The password of the router is rose."))
            .await
            .origin,
        MemoryOrigin::Person
    );
    assert_eq!(
        hits(&memory, "password router").await.len(),
        1,
        "what the person says is newer than both"
    );
}

#[test]
fn p13_a_document_with_10_000_repeated_names_moves_no_unrelated_answer() {
    let mut index = corpus();
    let questions: Vec<String> = (0..40)
        .map(|n| format!("Which river flows through the town of {}?", town(n)))
        .collect();
    let before: Vec<Vec<String>> = questions
        .iter()
        .map(|question| top(&index, question))
        .collect();
    let names: String = (0..10_000)
        .map(|n| format!("Mega Corp {} ", n % 7))
        .collect();
    let flood = format!("Mega Corp Mega Corp. {names} river river river town town. {names}");
    for n in 0..3 {
        index.insert(&Entry {
            id: format!("flood {n}"),
            text: flood.clone(),
            ..Entry::default()
        });
    }
    let after: Vec<Vec<String>> = questions
        .iter()
        .map(|question| top(&index, question))
        .collect();
    let moved: usize = before
        .iter()
        .zip(&after)
        .map(|(before, after)| before.iter().filter(|it| !after.contains(it)).count())
        .sum();
    let all: usize = before.iter().map(Vec::len).sum();
    assert!(moved * 20 <= all, "{moved} of {all}");
}

fn town(n: usize) -> String {
    format!(
        "{}ton",
        ["Al", "Be", "Ca", "Do", "El", "Fa", "Gi", "Ho"][n % 8].repeat(1 + n / 8)
    )
}

fn corpus() -> Index {
    let mut index = Index::new();
    for n in 0..40 {
        let river = format!("River {}", ["Ouse", "Tarn", "Lech", "Main"][n % 4]);
        index.insert(&Entry {
            id: format!("town {n}"),
            title: town(n),
            text: format!(
                "{} is a town on the {river} with {} houses.",
                town(n),
                10 * n
            ),
            ..Entry::default()
        });
    }
    for river in ["River Ouse", "River Tarn", "River Lech", "River Main"] {
        index.insert(&Entry {
            id: river.into(),
            title: river.into(),
            text: format!("The {river} is a river that flows to the sea."),
            ..Entry::default()
        });
    }
    index
}

fn top(index: &Index, text: &str) -> Vec<String> {
    let question = Question {
        text,
        vector: None,
        limit: 5,
        now: None,
        parts: Parts::ALL,
    };
    index
        .answer(&question)
        .into_iter()
        .map(|found| found.document)
        .collect()
}

fn entry(n: u8, version: u8) -> Entry {
    let names = ["Ada Stone", "Helix", "River Tarn", "Mega Corp", "Zed"];
    let name = |at: u8| names[usize::from(at) % names.len()];
    Entry {
        id: format!("d{n}"),
        title: if n.is_multiple_of(3) {
            name(n).into()
        } else {
            String::new()
        },
        text: format!(
            "{} is known to {} since version {version}.\n\n# {}\nSee src/file_{}.rs and `{}`.",
            name(n),
            name(version),
            name(n + version),
            version % 3,
            name(n + 1)
        ),
        tags: vec![format!("tag{}", version % 2)],
        valid_until: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_index_that_changed_is_the_one_made_anew(changes in proptest::collection::vec((0_u8..12, 0_u8..6), 1..40)) {
        let mut changed = Index::new();
        let mut present: BTreeMap<u8, u8> = BTreeMap::new();
        for (n, version) in changes {
            if version == 5 {
                changed.remove(&format!("d{n}"));
                present.remove(&n);
            } else {
                changed.insert(&entry(n, version));
                present.insert(n, version);
            }
        }
        let mut anew = Index::new();
        for (n, version) in present.into_iter().rev() {
            anew.insert(&entry(n, version));
        }
        prop_assert_eq!(changed.facts(), anew.facts());
        for text in ["who knows Helix?", "src/file_1.rs", "River Tarn and Ada Stone since version 2"] {
            let question = Question { text, vector: None, limit: 6, now: None, parts: Parts::ALL };
            prop_assert_eq!(changed.answer(&question), anew.answer(&question), "{}", text);
        }
    }
}

async fn found(memory: &GraphMemory, words: &str) -> Vec<String> {
    let query = MemoryQuery {
        words: words.to_owned(),
        limit: DOCUMENTS_MAX,
        ..MemoryQuery::default()
    };
    let documents = memory.find(query).await.unwrap();
    documents.into_iter().map(|it| it.text).collect()
}

#[tokio::test]
async fn what_a_tool_kept_is_changed_by_the_person_and_keeps_its_origin() {
    let (_, memory) = memory();
    let origin = MemoryOrigin::Turn {
        session: SessionId::from_u128(1),
        turn: TurnId::from_u128(2),
    };
    let tea = MemoryDraft {
        origin: origin.clone(),
        ..note("The person likes tea.")
    };
    let old = kept(&memory, tea).await;
    let changed = MemoryDraft {
        tags: vec!["taste".into(), "tea, taste".into()],
        replaces: Some(old.id.clone()),
        ..note(" The person likes green tea. ")
    };
    let changed = kept(&memory, changed).await;
    assert_eq!(changed.text, "The person likes green tea.");
    assert_eq!(changed.tags, ["taste", "tea"]);
    assert_eq!((&changed.origin, changed.at), (&origin, old.at));
    assert!(changed.changed_at.is_some() && changed.id != old.id);
    assert_eq!(all(&memory).await, std::slice::from_ref(&changed));
    assert_eq!(texts(&memory, "tea").await, ["The person likes green tea."]);
    memory.discard(changed.id.clone()).await.unwrap();
    assert_eq!(all(&memory).await, []);
    let again = MemoryDraft {
        replaces: Some(changed.id),
        ..note("x")
    };
    assert!(matches!(
        memory.keep(again).await,
        Err(ClientError::Refused(_))
    ));
}

#[tokio::test]
async fn a_person_finds_notes_by_parts_of_words_in_text_and_tags() {
    let (_, memory) = memory();
    for (text, tag) in [
        ("The build needs Clang.", "tools"),
        ("Coffee is in the office.", "place"),
    ] {
        let draft = MemoryDraft {
            tags: vec![tag.into()],
            ..note(text)
        };
        kept(&memory, draft).await;
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
        assert_eq!(found(&memory, words).await, expected, "{words}");
    }
}

#[tokio::test]
async fn all_documents_are_read_some_after_some() {
    let (_, memory) = memory();
    for n in 0..7 {
        kept(&memory, note(&format!("note {n} of some"))).await;
    }
    let (mut after, mut count) = (String::new(), 0);
    loop {
        let query = MemoryQuery {
            after: Some(after),
            limit: 3,
            ..MemoryQuery::default()
        };
        let some = memory.find(query).await.unwrap();
        let Some(last) = some.last() else { break };
        after = last.id.clone();
        count += some.len();
    }
    assert_eq!(count, 7);
}

#[tokio::test]
async fn what_is_empty_or_too_long_is_refused_with_what_is_allowed() {
    let (_, memory) = memory();
    let tagged = |tags: Vec<String>| MemoryDraft { tags, ..note("x") };
    for odd in [
        note(" "),
        note(&"x".repeat(4_001)),
        tagged(vec!["y".repeat(41)]),
        tagged((0..9).map(|n| n.to_string()).collect()),
    ] {
        let refused = memory.keep(odd).await.unwrap_err();
        assert!(refused.to_string().starts_with("a note has "), "{refused}");
    }
    let long = memory
        .keep(page("Long", &"x ".repeat(1 << 20)))
        .await
        .unwrap_err();
    assert!(long.to_string().contains("1048576 bytes"), "{long}");
    assert_eq!(all(&memory).await, []);
}

#[tokio::test]
async fn notes_of_the_time_before_are_read_with_their_vectors_left_aside() {
    let (store, memory) = memory();
    let old = titan_protocol::Document {
        id: "old".into(),
        text: "The person likes tea.".into(),
        vector: Some(vec![1.0, 0.0]),
        attributes: BTreeMap::from([
            ("at".into(), "5".into()),
            ("tags".into(), "taste".into()),
            ("space".into(), "small".into()),
        ]),
    };
    store.upsert("notes", vec![old]).await.unwrap();
    assert_eq!(texts(&memory, "tea").await, ["The person likes tea."]);
    assert_eq!(all(&memory).await[0].at, 5);
}
