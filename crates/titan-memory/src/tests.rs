//! The index: a flood moves little, and one that changed is the one made anew. The memory on stores is tested in
//! `tests/stores`.

use crate::{Entry, Index, Parts, Question};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use titan_protocol::{MemoryFact, MemoryReading, MemoryReason};

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
        ..Entry::default()
    }
}

/// What a model may have read in one of these documents: names that rules find too, names that they miss, and one that
/// stands nowhere.
fn reading(n: u8, version: u8, read: u8) -> Option<MemoryReading> {
    let names = [
        "since version",
        "Ada Stone",
        "file",
        "known to",
        "Nowhere Land",
        "Helix",
    ];
    let name = |at: u8| names[usize::from(at) % names.len()].to_owned();
    let relation = |subject: u8, object: u8| MemoryFact {
        subject: name(subject),
        relation: "is known to".into(),
        object: name(object),
    };
    (read > 0).then(|| MemoryReading {
        model: format!("model {}", read % 2),
        names: vec![name(read), name(read + version)],
        relations: vec![relation(n, read), relation(read + 1, n + version)],
    })
}

fn titleless(id: &str, text: &str, names: &[&str]) -> Entry {
    let reading = MemoryReading {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..MemoryReading::default()
    };
    Entry {
        id: id.into(),
        text: text.into(),
        reading: Some(reading).filter(|it| !it.names.is_empty()),
        ..Entry::default()
    }
}

#[test]
fn a_passage_is_found_over_a_name_that_a_model_alone_read_and_the_reason_says_so() {
    let texts = [
        ("a", "the nightly build goes to the grey heron."),
        (
            "b",
            "we put three machines for the grey heron in the cellar.",
        ),
        ("c", "apples are sold in autumn."),
    ];
    let index = |names: &[&str]| {
        let mut index = Index::new();
        for (id, text) in texts {
            index.insert(&titleless(id, text, if id == "c" { &[] } else { names }));
        }
        index
    };
    let question = "where does the nightly build go?";
    assert_eq!(top(&index(&[]), question), ["a"], "by rules alone");
    let read = index(&["grey heron"]);
    assert_eq!(top(&read, question), ["a", "b"]);
    let asked = Question {
        text: question,
        vector: None,
        limit: 5,
        now: None,
        parts: Parts::ALL,
    };
    let reasons = read.answer(&asked).remove(1).reasons;
    let [MemoryReason::Linked { path }] = &reasons[..] else {
        panic!("{reasons:?}")
    };
    assert_eq!(path.len(), 3);
    assert_eq!(path[1], "grey heron");
    assert!(path[0].starts_with("the nightly build"), "{path:?}");
}

#[test]
fn a_name_that_a_model_read_ties_less_than_one_that_rules_found() {
    let rank_of = |text: &str, names: &[&str]| {
        let mut index = Index::new();
        index.insert(&titleless(
            "a",
            "we met Ada Stone and then the grey heron.",
            &["grey heron"],
        ));
        index.insert(&titleless("b", "they all know Ada Stone by now.", &[]));
        index.insert(&titleless("c", text, names));
        let name =
            |name: &str| index.graph().names_from + index.entity_named(name).expect("a name");
        let ranks = index
            .graph()
            .page_rank(&[(index.documents["a"].passages[0], 1.0)]);
        (
            ranks[name("ada stone") as usize],
            ranks[name("grey heron") as usize],
        )
    };
    let (by_rules, read) = rank_of("there was a grey heron.", &["grey heron"]);
    assert!(read > 0.0 && read < by_rules, "{read} {by_rules}");
    let (by_rules, both) = rank_of("there was a \"grey heron\".", &["grey heron"]);
    assert!(both > read && both < by_rules, "{both} {read}");
}

#[test]
fn where_nothing_was_read_nothing_changes_and_what_is_removed_leaves_nothing() {
    let mut index = corpus();
    let before = (index.facts(), index.graph().edges());
    let fact = MemoryFact {
        subject: "Ada Stone".into(),
        relation: "is known to".into(),
        object: "many".into(),
    };
    let read = Entry {
        reading: Some(MemoryReading {
            model: "local/small".into(),
            names: vec!["since version".into()],
            relations: vec![fact.clone()],
        }),
        ..titleless("read", "Ada Stone is known to many since version 2.", &[])
    };
    index.insert(&read);
    let all: BTreeSet<String> = ["read".to_owned()].into();
    let told = |index: &Index, name: &str| {
        let name = index.entity_named(name)?;
        let facts = index.statements(name, &all).into_iter();
        Some(facts.map(|it| (it.fact, it.model)).collect::<Vec<_>>())
    };
    let fact = vec![(fact, "local/small".to_owned())];
    assert_eq!(told(&index, "ada stone"), Some(fact.clone()));
    assert_eq!(told(&index, "many"), Some(fact));
    assert_eq!(told(&index, "since version"), Some(vec![]));
    let unread = Entry {
        reading: None,
        ..read.clone()
    };
    index.set_reading(&unread);
    assert_eq!(told(&index, "since version"), None);
    assert_eq!(told(&index, "ada stone"), Some(vec![]), "rules found it");
    index.set_reading(&read);
    index.remove("read");
    assert_eq!((index.facts(), index.graph().edges()), before);
    index.set_reading(&read);
    assert_eq!(index.facts(), before.0, "what is not there is not read");
}

#[test]
fn a_relation_is_surer_where_the_document_says_it_in_these_words() {
    let confidence = |text: &str, relation: &str| {
        let mut index = Index::new();
        let fact = MemoryFact {
            subject: "grey heron".into(),
            relation: relation.into(),
            object: "the cellar".into(),
        };
        index.insert(&Entry {
            reading: Some(MemoryReading {
                relations: vec![fact],
                ..MemoryReading::default()
            }),
            ..titleless("a", text, &[])
        });
        let name = index.entity_named("grey heron").expect("a name");
        index.statements(name, &["a".to_owned()].into())[0].confidence
    };
    let said = confidence(
        "a grey heron, and our grey heron now stands in the cellar.",
        "stands in",
    );
    let turned = confidence("the cellar is what the grey heron stands in.", "stands in");
    let own = confidence("our grey heron stands in the cellar.", "lives near");
    let far = confidence(
        "a grey heron flew by and nobody knows why it stands in the cellar.",
        "stands in",
    );
    assert_eq!([turned, own, far], [0.5; 3]);
    assert!(said > 0.5 && said < 1.0, "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_index_that_changed_is_the_one_made_anew(
        changes in proptest::collection::vec((0_u8..12, 0_u8..8, 0_u8..6), 1..40),
    ) {
        let mut changed = Index::new();
        let mut present: BTreeMap<u8, Entry> = BTreeMap::new();
        for (n, version, read) in changes {
            match (version, present.get_mut(&n)) {
                (5, _) => {
                    changed.remove(&format!("d{n}"));
                    present.remove(&n);
                }
                // A document that is there is read, read otherwise, or what was read in it is dropped.
                (6.., Some(known)) => {
                    known.reading = reading(n, version, read);
                    changed.set_reading(known);
                }
                _ => {
                    let reading = reading(n, version, read.saturating_sub(2));
                    let entry = Entry { reading, ..entry(n, version) };
                    changed.insert(&entry);
                    present.insert(n, entry);
                }
            }
        }
        let mut anew = Index::new();
        for entry in present.values().rev() {
            anew.insert(entry);
        }
        prop_assert_eq!(changed.facts(), anew.facts());
        for text in ["who knows Helix?", "src/file_1.rs", "nowhere land", "River Tarn and Ada Stone since version 2"] {
            let question = Question { text, vector: None, limit: 6, now: None, parts: Parts::ALL };
            prop_assert_eq!(changed.answer(&question), anew.answer(&question), "{}", text);
        }
    }
}
