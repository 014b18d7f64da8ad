//! What is kept is found, replaced, contradicted, ended and forgotten.

use crate::{Drinks, all, hits, kept, name, note, on_every_store, page, ports, texts};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use titan_memory::GraphMemory;
use titan_protocol::{
    ClientError, DOCUMENTS_MAX, Memory, MemoryDraft, MemoryOrigin, MemoryQuery, MemoryQuestion,
    MemoryReason, SessionId, TurnId,
};
use titan_store::Store;

async fn vectors(store: &Store) -> usize {
    let records = store.records();
    let found = records.scan("memory_vectors", "", "", 1_000).await;
    found.expect("vectors are read").len()
}

async fn found(memory: &GraphMemory, words: &str) -> Vec<String> {
    let query = MemoryQuery {
        words: words.to_owned(),
        limit: DOCUMENTS_MAX,
        ..MemoryQuery::default()
    };
    let documents = memory.find(query).await.expect("they are listed");
    documents.into_iter().map(|it| it.text).collect()
}

#[tokio::test]
async fn vectors_find_by_meaning_are_computed_once_and_survive_a_change_of_the_model() {
    on_every_store(async |place| {
        let store = place.store().await;
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
    })
    .await;
}

#[tokio::test]
async fn a_question_over_two_documents_finds_both_and_says_the_path() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
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
        assert_eq!(name(&memory, "nobody").await, None);
    })
    .await;
}

#[tokio::test]
async fn the_newer_fact_holds_and_the_older_is_history() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
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
    })
    .await;
}

#[tokio::test]
async fn what_has_expired_is_no_answer_but_history() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
        let draft = MemoryDraft {
            valid_until: Some(1),
            ..note("The parking ticket is valid.")
        };
        kept(&memory, draft).await;
        assert_eq!(texts(&memory, "parking ticket").await, Vec::<String>::new());
        assert_eq!(all(&memory).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_same_said_twice_is_one_document_with_the_tags_of_both() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
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
    })
    .await;
}

#[tokio::test]
async fn what_was_recalled_is_no_new_memory_also_when_a_model_remembers_it_again() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
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
    })
    .await;
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_text_vector_or_name() {
    on_every_store(async |place| {
        let store = place.store().await;
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
            assert_eq!(name(&again, "Zanzibar Quux").await, None);
        }
        let vectors = vectors(&store).await;
        assert_eq!(vectors, 1, "the other passage's alone");
    })
    .await;
}

#[tokio::test]
async fn a_changed_file_takes_the_place_of_what_it_said_before() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
        kept(&memory, page("Tea", "Tea comes from Assam.")).await;
        kept(&memory, page("Tea", "Tea comes from Ceylon.")).await;
        let found = all(&memory).await;
        assert_eq!(found.len(), 1);
        assert!(found[0].changed_at.is_some());
        assert_eq!(texts(&memory, "Assam").await, Vec::<String>::new());
        assert_eq!(name(&memory, "Assam").await, None);
    })
    .await;
}

#[tokio::test]
async fn answers_are_the_same_after_a_restart() {
    on_every_store(async |place| {
        let (store, memory) = place.open().await;
        for n in 0..40 {
            let library = n % 5;
            let text =
                format!("Project Mercury {n} uses library Lib{library} and was led by Ada Stone.");
            kept(&memory, note(&text)).await;
        }
        for id in all(&memory).await.into_iter().map(|it| it.id).step_by(3) {
            memory.discard(id).await.unwrap();
        }
        let questions = ["Lib3", "who led project Mercury 7?", "Ada Stone library"];
        let mut before = Vec::new();
        for question in questions {
            before.push(hits(&memory, question).await);
        }
        drop((store, memory));
        let (_, again) = place.open().await;
        for (question, before) in questions.iter().zip(before) {
            assert_eq!(hits(&again, question).await, before, "{question}");
        }
    })
    .await;
}

/// Whether bytes hold a word, as text or in the letters that pg_dump writes bytes with.
fn holds(bytes: &[u8], word: &str) -> bool {
    let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    let is_in = |word: &[u8]| bytes.windows(word.len()).any(|at| at == word);
    is_in(word.as_bytes()) || is_in(word.to_lowercase().as_bytes()) || is_in(hex.as_bytes())
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_backup_that_is_made_later() {
    on_every_store(async |place| {
        let (store, memory) = place.open().await;
        let secret = kept(&memory, note("Zanzibar Quux drinks coffee.")).await;
        kept(&memory, note("The build needs clang.")).await;
        hits(&memory, "Zanzibar").await;
        let before = place.backup();
        assert!(holds(&before, "Zanzibar") && holds(&before, "clang"));
        memory.discard(secret.id.clone()).await.unwrap();
        let after = place.backup();
        assert!(!holds(&after, "Zanzibar") && holds(&after, "clang"));
        drop((store, memory));
        let places = [place.restored(&before), place.restored(&after)];
        let (_, made_before) = places[0].open().await;
        assert_eq!(texts(&made_before, "Zanzibar").await.len(), 1);
        let (_, made_after) = places[1].open().await;
        assert_eq!(texts(&made_after, "Zanzibar").await.len(), 0);
        assert_eq!(name(&made_after, "Zanzibar Quux").await, None);
        assert_eq!(made_after.get(secret.id.clone()).await.unwrap(), None);
        assert_eq!(texts(&made_after, "clang").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_a_tool_kept_is_changed_by_the_person_and_keeps_its_origin() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
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
    })
    .await;
}

#[tokio::test]
async fn a_person_finds_notes_by_parts_of_words_in_text_and_tags() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
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
    })
    .await;
}

#[tokio::test]
async fn all_documents_are_read_some_after_some() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
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
    })
    .await;
}

#[tokio::test]
async fn what_is_empty_or_too_long_is_refused_with_what_is_allowed() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
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
    })
    .await;
}

#[tokio::test]
async fn notes_of_the_time_before_are_read_with_their_vectors_left_aside() {
    on_every_store(async |place| {
        let (store, memory) = place.open().await;
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
        store.search().upsert("notes", vec![old]).await.unwrap();
        assert_eq!(texts(&memory, "tea").await, ["The person likes tea."]);
        assert_eq!(all(&memory).await[0].at, 5);
    })
    .await;
}
