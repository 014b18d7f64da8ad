//! What files say of themselves, and what they are tagged with.

use crate::Graph;
use crate::tests::{files, graph};
use expect_test::{expect, expect_file};
use proptest::prelude::*;
use std::collections::BTreeMap;

const FILES: &str = include_str!("../../test_data/about.txt");

/// What each file of a graph is about, a file a line.
fn told(graph: &Graph) -> String {
    let line = |path: &str| {
        let summary = graph.facts(path).unwrap().summary();
        assert!(summary.chars().count() <= 120, "{summary}");
        format!(
            "{path} -- {summary} [{}]\n",
            graph.tags().of(path).join(", ")
        )
    };
    graph.files().map(|(path, _)| line(path)).collect()
}

#[test]
fn a_file_of_every_language_says_what_it_is_about() {
    expect_file!["../../test_data/about.told"].assert_eq(&told(&graph(FILES)));
}

#[test]
fn what_is_said_is_one_bounded_line_without_what_steers() {
    let said = |text: &str| crate::facts("a.md", text.as_bytes()).unwrap().summary();
    let long = said(&format!("# T\n\nIt {}.\n", "goes on and on ".repeat(40)));
    assert!(
        long.ends_with("goes on…") && long.chars().count() <= 120,
        "{long}"
    );
    assert_eq!(
        said("# A\u{1b}[31m\n\nRed\u{202e} is\nnot it.\n"),
        "A[31m: Red is not it."
    );
    assert_eq!(said(&"ü".repeat(400)).chars().count(), 120);
}

#[test]
fn files_are_found_by_words_the_most_fitting_first() {
    let graph = graph(FILES);
    let found = |words: &str| {
        let found = graph.search(words, 3);
        let told = found.iter().map(|it| {
            let symbols: Vec<&str> = it.symbols.iter().map(|it| it.name.as_str()).collect();
            format!("{} ({})\n", it.path, symbols.join(", "))
        });
        told.collect::<String>()
    };
    expect![[r#"
        src/limits.rs (RateLimit)
        data/limits.toml ()
    "#]]
    .assert_eq(&found("which files are about rate limiting?"));
    expect![[r#"
        src/store.py (SessionStore, SessionStore.save_session, SessionStore.load_session)
        tests/test_store.py (test_a_session_is_saved, test_a_session_is_loaded, test_a_session_expires)
    "#]].assert_eq(&found("saving sessions"));
    expect![[r#"
        tests/test_store.py (test_a_session_is_saved, test_a_session_is_loaded, test_a_session_expires)
        src/store.py (SessionStore, SessionStore.save_session, SessionStore.load_session)
    "#]].assert_eq(&found("tests of sessions"));
    expect![[r#"
        c/ring.c (ring_push)
    "#]]
    .assert_eq(&found("ringbuffer push"));
    expect![[r#"
        docs/backup.md (Backups, Backups.Restore)
    "#]]
    .assert_eq(&found("restore a backup"));
    assert_eq!(found("zzz"), "");
    assert_eq!(found(""), "");
}

#[test]
fn a_map_tells_what_files_are_about_within_its_tokens_and_those_that_are_asked_for_first() {
    let graph = graph(FILES);
    let map = graph.map(Some("rate limit"), 200);
    assert!(map.len() <= 600, "{} bytes", map.len());
    expect![[r#"
        src/limits.rs -- Keeps to each Vendor's rate limits. [rate limit, wait, vendor]
           14  pub struct RateLimit
           20    pub async fn wait(&self) { sleep(self.delay()).await }
           21    fn delay(&self) -> u32 { self.per_minute }
        data/limits.toml -- Limits of every plan.
            2  free = 1
            3  paid = 2
    "#]]
    .assert_eq(&map);
    assert_eq!(graph.map(Some("zzz"), 200), "");
    for tokens in [1, 10, 40, 100, 400, 1_000] {
        for about in [None, Some("session store")] {
            let map = graph.map(about, tokens);
            assert!(map.len() <= tokens * 3, "{tokens}: {} bytes", map.len());
        }
    }
    // Where there is room, tags are told too.
    assert!(
        graph
            .map(None, 3_000)
            .contains("Keeps sessions in SQLite, e.g. for a restart. [")
    );
}

#[test]
fn what_an_older_version_kept_is_read_again() {
    let (place, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(place.path().join("a.md"), "# Backups\n").unwrap();
    let read = || {
        let mut folder = crate::Folder::new(place.path(), Some(cache.path()));
        let (graph, _) = folder.refresh().unwrap();
        told(graph)
    };
    assert_eq!(read(), "a.md -- Backups [backup]\n");
    let kept = std::fs::read_dir(cache.path()).unwrap().next().unwrap();
    let kept = kept.unwrap().path();
    let bytes = std::fs::read(&kept).unwrap();
    let body = bytes[..bytes.len() - 32].strip_prefix(b"titanclaw code 3\n");
    let mut older = [b"titanclaw code 2\n", body.unwrap()].concat();
    let hash = blake3::hash(&older);
    older.extend(hash.as_bytes());
    std::fs::write(&kept, older).unwrap();
    assert_eq!(read(), "a.md -- Backups [backup]\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn tags_and_summaries_depend_on_nothing_but_the_files(
        order in Just(files(FILES)).prop_shuffle(),
        removed in any::<prop::sample::Index>(),
    ) {
        let mut graph = Graph::new();
        for (path, text) in &order {
            graph.update(path, text.as_bytes());
        }
        prop_assert_eq!(told(&graph), told(&crate::tests::graph(FILES)));
        // A file that goes and comes back leaves nothing behind.
        let (path, text) = &order[removed.index(order.len())];
        graph.remove(path);
        told(&graph);
        graph.update(path, text.as_bytes());
        prop_assert_eq!(told(&graph), told(&crate::tests::graph(FILES)));
    }

    #[test]
    fn a_file_that_is_saved_changes_what_it_is_about_and_no_other_does(
        which in any::<prop::sample::Index>(),
    ) {
        let mut graph = graph(FILES);
        let about = |graph: &Graph| -> BTreeMap<String, crate::About> {
            let files = graph.files();
            files.map(|(path, facts)| (path.to_string(), facts.about.clone())).collect()
        };
        let before = about(&graph);
        let all = files(FILES);
        let (path, _) = &all[which.index(all.len())];
        graph.update(path, b"# Volcano\n\nVolcanoes: erupt.\n");
        for (other, now) in about(&graph) {
            prop_assert_eq!(other == *path, now != before[&other], "{}", other);
        }
    }
}
