//! The index: a flood moves little, and one that changed is the one made anew. The memory on stores is tested in
//! `tests/stores`.

use crate::{Entry, Index, Parts, Question};
use proptest::prelude::*;
use std::collections::BTreeMap;

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
