//! Fixtures: files with a line `#- path` or `//- path` before each, and who uses whom among them.

use crate::Graph;
use expect_test::{Expect, expect, expect_file};
use proptest::prelude::*;
use titan_protocol::CodeDirection;

/// The files of a fixture.
fn files(text: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let path = line
            .strip_prefix("#- ")
            .or_else(|| line.strip_prefix("//- "));
        match (path, files.last_mut()) {
            (Some(path), _) => files.push((path.to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    files
}

fn graph(text: &str) -> Graph {
    let mut graph = Graph::new();
    for (path, text) in files(text) {
        graph.update(&path, text.as_bytes());
    }
    graph
}

/// Who calls whom, without what is only likely.
fn calls(text: &str) -> String {
    let mut lines: Vec<String> = graph(text)
        .calls(80)
        .into_iter()
        .map(|(from, to)| {
            format!(
                "{}:{} -> {}:{}\n",
                from.path, from.symbol, to.path, to.symbol
            )
        })
        .collect();
    lines.sort();
    lines.concat()
}

fn check_edges(text: &str, expected: Expect) {
    let mut lines = graph(text).edges();
    lines.push(String::new());
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn calls_of_python_are_found_through_decorators() {
    let text = include_str!("../test_data/python/decorators.py");
    expect_file!["../test_data/python/decorators.calls"].assert_eq(&calls(text));
}

#[test]
fn calls_of_python_are_found_through_containers() {
    let text = include_str!("../test_data/python/containers.py");
    expect_file!["../test_data/python/containers.calls"].assert_eq(&calls(text));
}

#[test]
fn calls_of_python_are_found_through_generators() {
    let text = include_str!("../test_data/python/generators.py");
    expect_file!["../test_data/python/generators.calls"].assert_eq(&calls(text));
}

#[test]
fn calls_of_python_are_found_through_classes() {
    let text = include_str!("../test_data/python/classes.py");
    expect_file!["../test_data/python/classes.calls"].assert_eq(&calls(text));
}

#[test]
fn calls_of_python_are_found_through_arguments_and_imports() {
    let text = include_str!("../test_data/python/functions.py");
    expect_file!["../test_data/python/functions.calls"].assert_eq(&calls(text));
}
