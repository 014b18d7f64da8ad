//! Several engines on one database: each knows at once what another one keeps, changes and forgets.

use crate::readings::reads_next;
use crate::said::Talk;
use crate::{Drinks, Place, all, hits, kept, name, note, on_every_server, page, ports, texts};
use titan_memory::GraphMemory;
use titan_protocol::{Forget, Memory, MemoryDraft, MemoryQuestion, Projection};
use titan_store::Store;

/// Two engines on one database, each with a home of its own.
pub(crate) async fn two(place: &Place) -> [(Store, GraphMemory); 2] {
    let stores = [
        place.store().await,
        place.store_of(place.folder.path().join("other")).await,
    ];
    stores.map(|store| {
        let embedder = Drinks::new("small", 2);
        let memory = GraphMemory::new(ports(&store, Some(embedder)));
        (store, memory)
    })
}

#[tokio::test]
async fn what_one_engine_keeps_changes_and_forgets_is_so_in_another_at_once() {
    on_every_server(async |place| {
        let [(store, one), (_, other)] = two(place).await;
        kept(&one, note("The build needs clang.")).await;
        assert_eq!(texts(&other, "clang").await.len(), 1, "it knows one note");

        let old = kept(&one, note("Zanzibar Quux drinks coffee.")).await;
        assert_eq!(texts(&other, "Zanzibar").await[0], old.text, "by words");
        assert_eq!(texts(&other, "tea").await[0], old.text, "by meaning");
        let known = name(&other, "Zanzibar Quux").await;
        assert_eq!(known.as_deref(), Some("Zanzibar Quux"), "by its name");

        let changed = MemoryDraft {
            replaces: Some(old.id.clone()),
            ..note("Zanzibar Quux drinks Assam.")
        };
        let new = kept(&other, changed).await;
        assert_eq!(texts(&one, "Zanzibar").await[0], new.text);
        assert!(!texts(&one, "Zanzibar").await.contains(&old.text));

        other.discard(new.id.clone()).await.unwrap();
        for memory in [&one, &other, &GraphMemory::new(ports(&store, None))] {
            for question in ["Zanzibar Quux", "Assam", "coffee"] {
                let found = texts(memory, question).await;
                assert!(!found.iter().any(|it| it.contains("Zanzibar")), "{found:?}");
            }
            assert_eq!(name(memory, "Zanzibar Quux").await, None);
            assert_eq!(memory.get(new.id.clone()).await.unwrap(), None);
        }
        let records = store.records();
        let vectors = records.scan("memory_vectors", "", "", 10).await.unwrap();
        assert_eq!(vectors.len(), 1, "the other note's alone");
    })
    .await;
}

#[tokio::test]
async fn what_is_merged_contradicted_or_replaced_is_decided_by_what_all_engines_keep() {
    on_every_server(async |place| {
        let [(_, one), (_, other)] = two(place).await;
        assert_eq!(hits(&one, "editor").await, []);
        assert_eq!(hits(&other, "editor").await, []);
        let old = kept(&one, note("My favourite editor is Helix.")).await;
        kept(&other, note("my favourite editor  is helix")).await;
        assert_eq!(all(&one).await.len(), 1, "the same said twice");
        kept(&other, note("My favourite editor is Zed.")).await;
        assert_eq!(
            texts(&one, "favourite editor").await,
            ["My favourite editor is Zed."]
        );
        let question = MemoryQuestion {
            text: "favourite editor".into(),
            limit: 5,
            with_history: true,
        };
        assert_eq!(one.recall(question).await.unwrap().len(), 2);
        other.discard(old.id).await.unwrap();
        kept(&one, page("Tea", "Tea comes from Assam.")).await;
        kept(&other, page("Tea", "Tea comes from Ceylon.")).await;
        assert_eq!(texts(&one, "Assam").await, Vec::<String>::new());
        assert_eq!(texts(&one, "Tea comes").await, ["Tea comes from Ceylon."]);
        assert_eq!(all(&other).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_turn_is_heard_by_one_engine_and_what_is_deleted_of_it_stays_so() {
    on_every_server(async |place| {
        let [(store, one), (_, other)] = two(place).await;
        let talk = Talk::new(&store);
        talk.says("Where is the Zephyr key?", "In the blue box.")
            .await;
        assert_eq!(texts(&one, "Zephyr").await.len(), 1);
        // The other engine has not listened yet, and knows where to go on.
        let document = hits(&one, "Zephyr").await.remove(0).document;
        one.discard(document.id).await.unwrap();
        assert_eq!(texts(&other, "Zephyr").await.len(), 0, "nothing comes back");
        talk.says("Who owns the Zephyr house?", "Ada Stone.").await;
        assert_eq!(texts(&other, "Zephyr").await.len(), 1);
        assert_eq!(texts(&one, "Zephyr").await.len(), 1);
        let session = talk.session;
        other.forget(&Forget::Session { session }).await.unwrap();
        assert_eq!(texts(&one, "Zephyr").await.len(), 0);
        assert_eq!(name(&one, "Ada Stone").await, None);
    })
    .await;
}

#[tokio::test]
async fn whatever_two_engines_do_both_answer_as_one_that_begins_anew() {
    const STEPS: usize = 40;
    on_every_server(async |place| {
        let stores = [
            place.store().await,
            place.store_of(place.folder.path().join("other")).await,
        ];
        let of = |store| GraphMemory::new(ports(store, None));
        let memories = [&of(&stores[0]), &of(&stores[1])];
        let mut state = 7_u64;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        for _ in 0..STEPS {
            let memory = memories[next(2)];
            let town = ["Alford", "Beford", "Caford", "Doford", "Elford"][next(5)];
            match next(5) {
                0 => {
                    let ids: Vec<String> = all(memory).await.into_iter().map(|it| it.id).collect();
                    if let Some(id) = ids.get(next(ids.len().max(1))) {
                        memory.discard(id.clone()).await.unwrap();
                    }
                }
                1 => {
                    kept(
                        memory,
                        page(town, &format!("{town} has {} houses.", next(9))),
                    )
                    .await;
                }
                2 => {
                    kept(memory, note(&format!("The port of {town} is {}.", next(9)))).await;
                }
                3 => {
                    let said = format!(
                        r#"{{"names":["{town}","the sea"],"relations":[
                            {{"subject":"{town}","relation":"lies by","object":"sea"}}]}}"#
                    );
                    reads_next(memory, &said).await;
                }
                _ => {
                    kept(memory, note(&format!("{town} lies by the sea."))).await;
                }
            }
            let anew = of(&stores[0]);
            for question in ["Alford houses", "port of Beford", "sea"] {
                let expected = hits(&anew, question).await;
                for memory in memories {
                    assert_eq!(hits(memory, question).await, expected, "{question}");
                }
            }
            for name in [town, "sea"] {
                let expected = anew.graph(name.into(), 5).await.unwrap();
                for memory in memories {
                    assert_eq!(memory.graph(name.into(), 5).await.unwrap(), expected);
                }
            }
        }
    })
    .await;
}
