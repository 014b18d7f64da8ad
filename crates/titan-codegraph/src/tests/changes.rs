//! Questions while what comes of a change is still being worked out, and after.

use super::{files, is_as_read_anew, program};
use crate::Graph;
use crate::languages::Family;
use crate::link::{Files, Linked, Links};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Long enough for anything.
const FOREVER: Duration = Duration::MAX;

fn listed(text: &str, known: &Files) -> Files {
    let mut listed: Files = Vec::new();
    for (path, text) in files(text) {
        let facts = crate::facts(&path, text.as_bytes()).unwrap();
        let same = known
            .iter()
            .find(|(it, old)| **it == *path && **old == facts);
        listed.push(match same {
            Some(same) => same.clone(),
            None => (path.into(), Arc::new(facts)),
        });
    }
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    listed
}

fn edges(linked: &Linked) -> Vec<String> {
    let name = |node| {
        let (file, symbol) = linked.at(node);
        match symbol {
            Some(_) => format!("{}:{}", linked.files[file].0, linked.qualified(node)),
            None => linked.files[file].0.to_string(),
        }
    };
    let edge = |edge: &crate::link::Edge| {
        let kind = format!("{:?}", edge.kind).to_lowercase();
        format!("{} {kind} {}", name(edge.from), name(edge.to))
    };
    linked.edges.iter().map(edge).collect()
}

/// What is told at once when files change: lines with `+` are told that were not, those with `-` no more.
fn check_at_once(family: Family, before: &str, after: &str, expected: &[&str]) {
    let before = listed(before, &Vec::new());
    let links = Links::new(family, before.clone(), &AtomicBool::new(false));
    let old = edges(&links.linked);
    let links = links.revised(family, listed(after, &before));
    let new = edges(&links.linked);
    let gone = old.iter().filter(|edge| !new.contains(edge));
    let come = new.iter().filter(|edge| !old.contains(edge));
    let mut told: Vec<String> = gone.map(|edge| format!("-{edge}")).collect();
    told.extend(come.map(|edge| format!("+{edge}")));
    assert_eq!(told, expected);
}

const MAIN: &str = "#- a.py
from b import run, Part

def main():
    run(Part())
";

#[test]
fn what_a_changed_file_calls_is_told_at_once_with_what_others_hand_to_it() {
    let b = "#- b.py
class Part:
    def go(self): pass
    def stop(self): pass

def run(it):
    it.go()
";
    check_at_once(
        Family::Python,
        &format!("{MAIN}{b}"),
        &format!("{MAIN}{}", b.replace("it.go()", "x = 1\n    it.stop()")),
        &[
            "-b.py:run calls b.py:Part.go",
            "+b.py:run calls b.py:Part.stop",
        ],
    );
    // Lines above it move it, and nothing else.
    check_at_once(
        Family::Python,
        &format!("{MAIN}{b}"),
        &format!("{MAIN}{}", b.replace("class", "# words\n\nclass")),
        &[],
    );
}

#[test]
fn what_calls_something_that_is_gone_or_called_otherwise_is_told_no_more() {
    let b = "#- b.py\nclass Part: pass\ndef run(it): pass\n";
    check_at_once(
        Family::Python,
        &format!("{MAIN}{b}"),
        &format!("{MAIN}{}", b.replace("def run", "def walk")),
        &["-a.py:main calls b.py:run"],
    );
    let gone = [
        "-a.py imports b.py",
        "-a.py:main makes b.py:Part",
        "-a.py:main calls b.py:run",
    ];
    check_at_once(Family::Python, &format!("{MAIN}{b}"), MAIN, &gone);
    let c = "#- c.py\nfrom a import main\nmain()\n";
    check_at_once(
        Family::Python,
        &format!("{MAIN}{b}"),
        &format!("{MAIN}{b}{c}"),
        &["+c.py imports a.py", "+c.py calls a.py:main"],
    );
}

#[test]
fn what_a_changed_file_uses_by_name_is_told_at_once() {
    let lib = "//- lib.rs\npub fn go() {}\npub fn stop() {}\n";
    let main = "//- main.rs\nuse crate::lib::{go, stop};\nfn main() { go(); }\n";
    check_at_once(
        Family::Rust,
        &format!("{lib}{main}"),
        &format!("{lib}{}", main.replace("go();", "stop();")),
        &[
            "-main.rs:main calls lib.rs:go",
            "+main.rs:main calls lib.rs:stop",
        ],
    );
}

/// A file of a few small packages.
const PATHS: &[&str] = &[
    "mf.py",
    "mg.py",
    "mA/__init__.py",
    "mA/B.py",
    "mA/x/f.py",
    "mx.rb",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn when_all_is_worked_out_it_is_what_a_graph_made_anew_says(
        steps in prop::collection::vec(
            (0..PATHS.len(), prop::option::weighted(0.8, program()), 0..4_u8),
            1..12,
        ),
    ) {
        let mut graph = Graph::new();
        let mut now = BTreeMap::new();
        for (file, text, asked) in steps {
            match text {
                Some(text) => {
                    graph.update(PATHS[file], text.as_bytes());
                    now.insert(PATHS[file], text);
                }
                // A file that is there takes the place of another, or is gone.
                None => {
                    graph.remove(PATHS[file]);
                    let text = now.remove(PATHS[file]);
                    let other = PATHS[(file + 1) % PATHS.len()];
                    if let Some(text) = text.filter(|_| asked == 1) {
                        graph.update(other, text.as_bytes());
                        now.insert(other, text);
                    }
                }
            }
            if asked > 0 {
                graph.settle(if asked == 3 { FOREVER } else { Duration::ZERO });
                graph.edges();
                graph.map(None, 200);
                prop_assert!(graph.unsettled() <= PATHS.len());
            }
        }
        graph.settle(FOREVER);
        prop_assert_eq!(graph.unsettled(), 0);
        is_as_read_anew(&graph, now.iter())?;
    }

    #[test]
    fn files_that_change_again_and_again_before_all_is_worked_out_are_followed(
        first in prop::collection::vec(program(), PATHS.len()),
        steps in prop::collection::vec((0..PATHS.len() - 1, prop::option::weighted(0.9, program())), 1..6),
    ) {
        let mut files: BTreeMap<Arc<str>, Arc<crate::FileFacts>> = BTreeMap::new();
        let facts = |path: &str, text: &str| Arc::new(crate::facts(path, text.as_bytes()).unwrap());
        for (path, text) in PATHS.iter().zip(&first).take(PATHS.len() - 1) {
            files.insert((*path).into(), facts(path, text));
        }
        let list = |files: &BTreeMap<_, _>| -> Files { files.clone().into_iter().collect() };
        let mut links = Links::new(Family::Python, list(&files), &AtomicBool::new(false));
        for (file, text) in steps {
            match text {
                Some(text) => files.insert(PATHS[file].into(), facts(PATHS[file], &text)),
                None => files.remove(PATHS[file]),
            };
            links = links.revised(Family::Python, list(&files));
            // Every use has two ends that are there, and a file that says nothing uses nothing.
            for line in edges(&links.linked) {
                prop_assert!(files.keys().any(|path| line.starts_with(&**path)), "{}", line);
            }
        }
    }
}
