//! Whose what is kept is, and where it comes from.

use crate::{all, hits, kept, note, on_every_store, page, ports, texts};
use std::collections::BTreeMap;
use titan_memory::GraphMemory;
use titan_protocol::{ClientError, Memory, MemoryDraft, MemoryOrigin, SessionId, TurnId};

#[tokio::test]
async fn c12_nothing_of_another_owner_is_found_shown_changed_or_deleted() {
    on_every_store(async |place| {
        let store = place.store().await;
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
    })
    .await;
}

#[tokio::test]
async fn p12_every_hit_says_where_it_comes_from_and_strangers_contradict_nobody() {
    on_every_store(async |place| {
        let (_, memory) = place.open().await;
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
    })
    .await;
}

#[tokio::test]
async fn p13_a_flood_that_is_kept_moves_few_other_answers() {
    const TOWNS: usize = 12;
    on_every_store(async |place| {
        let (store, memory) = place.open().await;
        let town = |n: usize| {
            format!(
                "{}ford",
                ["Al", "Be", "Ca", "Do", "El"][n % 5].repeat(1 + n / 5)
            )
        };
        for n in 0..TOWNS {
            let river = ["Ouse", "Tarn", "Lech", "Main"][n % 4];
            let text = format!(
                "{} is a town on the River {river} with {n} houses.",
                town(n)
            );
            kept(&memory, page(&town(n), &text)).await;
        }
        let answers = async |memory: &GraphMemory| {
            let mut answers = Vec::new();
            for n in 0..TOWNS {
                let question = format!("Which river flows through the town of {}?", town(n));
                let found = hits(memory, &question).await.into_iter();
                answers.push(found.map(|hit| hit.document.id).collect::<Vec<_>>());
            }
            answers
        };
        let before = answers(&memory).await;
        let names: String = (0..2_000)
            .map(|n| format!("Mega Corp {} ", n % 7))
            .collect();
        let flood = format!("Mega Corp. {names} river river town town. {names}");
        kept(&memory, page("Mega Corp", &flood)).await;
        let moved = |after: &[Vec<String>]| {
            let pairs = before.iter().zip(after);
            let gone = |(before, after): (&Vec<String>, &Vec<String>)| {
                before.iter().filter(|it| !after.contains(it)).count()
            };
            pairs.map(gone).sum::<usize>()
        };
        let all: usize = before.iter().map(Vec::len).sum();
        let n_moved = moved(&answers(&memory).await);
        assert!(n_moved * 20 <= all, "{n_moved} of {all}");
        drop((store, memory));
        let (_, again) = place.open().await;
        assert_eq!(
            moved(&answers(&again).await),
            n_moved,
            "after a restart too"
        );
    })
    .await;
}
