//! Fixtures: files with a line `#- path` or `//- path` before each, and who uses whom among them.

mod changes;

use crate::Graph;
use expect_test::{expect, expect_file};
use proptest::prelude::*;
use titan_protocol::CodeDirection;

/// The files of a fixture.
pub(crate) fn files(text: &str) -> Vec<(String, String)> {
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

pub(crate) fn graph(text: &str) -> Graph {
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

/// What each file says by itself, a symbol a line.
fn told(text: &str) -> String {
    let mut told = String::new();
    for (path, text) in files(text) {
        let facts = crate::facts(&path, text.as_bytes()).unwrap();
        told.push_str(&format!("{path}: {}\n", facts.language.name()));
        for (at, symbol) in facts.symbols.iter().enumerate() {
            let test = if symbol.is_test { " (test)" } else { "" };
            let doc = match symbol.doc.is_empty() {
                true => String::new(),
                false => format!(" -- {}", symbol.doc),
            };
            told.push_str(&format!(
                "  {}-{} {} {}{test}{doc}\n",
                symbol.line,
                symbol.end_line,
                symbol.kind.name(),
                facts.qualified(at as u32),
            ));
        }
    }
    told
}

#[test]
fn every_language_tells_its_symbols() {
    let text = include_str!("../test_data/languages.txt");
    expect_file!["../test_data/languages.symbols"].assert_eq(&told(text));
}

#[test]
fn uses_are_found_across_files_in_every_language() {
    let text = include_str!("../test_data/languages.txt");
    let edges = graph(text).edges().join("\n");
    expect_file!["../test_data/languages.edges"].assert_eq(&edges);
}

#[test]
fn what_nobody_can_read_is_counted_and_not_read() {
    let mut graph = Graph::new();
    let wide = format!("let a = \"{}\";", "x".repeat(30_000));
    graph.update("a.bin.py", b"a\0b");
    graph.update("latin.py", b"# caf\xe9");
    graph.update("wide.js", wide.as_bytes());
    graph.update("long.py", "x = 1\n".repeat(200_000).as_bytes());
    graph.update("text.txt", b"words");
    graph.update("good.py", b"def f(): pass");
    let summary = graph.summary();
    assert_eq!(summary.files, 1);
    let skipped: Vec<String> = summary
        .skipped
        .iter()
        .map(|(why, count)| format!("{why} {count}"))
        .collect();
    expect![[r#"unknown language 1, binary 2, too large 1, minified 1"#]]
        .assert_eq(&skipped.join(", "));
}

#[test]
fn what_is_nested_without_end_is_read_as_far_as_it_goes() {
    let deep = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(20_000), close.repeat(20_000))
    };
    let mut graph = Graph::new();
    graph.update(
        "a.py",
        format!("def f(): pass\nx = {}\nf()\n", deep("(\n", "f()", ")\n")).as_bytes(),
    );
    graph.update("b.py", format!("y = {}1\n", "f(".repeat(9_000)).as_bytes());
    let blocks: String = (0..900)
        .map(|at| format!("{}if x:\n", " ".repeat(at)))
        .collect();
    graph.update("c.py", blocks.as_bytes());
    graph.update(
        "a.rs",
        format!("fn f() {{ {} }}", deep("{\n", "f()", "}\n")).as_bytes(),
    );
    graph.update("a.json", deep("[\n", "", "]\n").as_bytes());
    graph.update(
        "a.js",
        format!("function g() {{}}\n{}", deep("(\n", "g()", ")\n")).as_bytes(),
    );
    assert_eq!(graph.summary().files, 6, "{:?}", graph.summary());
    assert!(
        graph
            .calls(80)
            .iter()
            .any(|(from, to)| from.path == "a.py" && to.symbol == "f")
    );
}

#[test]
fn a_symbol_is_meant_by_its_name_its_path_or_its_line() {
    let graph = graph(include_str!("../test_data/languages.txt"));
    let meant = |name: &str| {
        let symbols = graph.symbols(name, 3);
        let told = symbols
            .iter()
            .map(|it| format!("{} {}:{}", it.name, it.path, it.line));
        told.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(meant("Thing::new"), "Thing.new b.rs:3");
    assert_eq!(meant("a.rs:6"), "run a.rs:4");
    assert_eq!(
        meant("hel"),
        "helper go/main.go:5, Thing.help b.rs:4, helper lib.ts:1"
    );
    assert_eq!(meant("b.rs"), "b.rs b.rs:1");
    assert_eq!(meant("nothing"), "");
}

#[test]
fn callers_and_what_a_change_reaches_are_told_with_their_places() {
    let graph = graph(
        "\
#- a.py
from b import low

def middle():
    low()

def test_middle():
    middle()
#- b.py
def low():
    pass
",
    );
    let uses = graph.uses("low", CodeDirection::Callers, 10);
    let told: Vec<String> = uses
        .uses
        .iter()
        .map(|it| format!("{:?} {} {}:{}", it.kind, it.symbol.name, it.path, it.line))
        .collect();
    assert_eq!(told, ["Calls middle a.py:4"]);
    let impact = graph.impact("low", 5, 10);
    let told: Vec<String> = impact
        .reached
        .iter()
        .map(|it| {
            let test = if it.symbol.is_test { " (test)" } else { "" };
            format!("{} {} over {}{test}", it.distance, it.symbol.name, it.over)
        })
        .collect();
    assert_eq!(
        told,
        ["1 middle over low", "2 test_middle over middle (test)"]
    );
    assert_eq!(graph.impact("low", 1, 10).reached.len(), 1);
    assert_eq!((graph.impact("low", 5, 1).left_out, impact.files), (1, 1));
}

#[test]
fn a_map_tells_what_is_used_most_within_its_tokens() {
    let users: String = (0..40)
        .map(|n| format!("def user_{n}():\n    core()\n"))
        .collect();
    let text =
        format!("#- core.py\ndef core():\n    pass\n#- users.py\nfrom core import core\n{users}");
    let graph = graph(&text);
    let small = graph.map(None, 60);
    assert!(small.starts_with("core.py\n    1  def core()\n"), "{small}");
    assert!(small.len() <= 180, "{} bytes", small.len());
    assert!(graph.map(None, 2_000).contains("def user_39()"));
}

/// A graph says what one says that reads these files now, in the other order.
fn is_as_read_anew<P: AsRef<str>, T: AsRef<str>>(
    graph: &Graph,
    files: impl DoubleEndedIterator<Item = (P, T)>,
) -> Result<(), TestCaseError> {
    let mut anew = Graph::new();
    for (path, text) in files.rev() {
        anew.update(path.as_ref(), text.as_ref().as_bytes());
    }
    prop_assert_eq!(graph.edges(), anew.edges());
    prop_assert_eq!(graph.calls(0), anew.calls(0));
    prop_assert_eq!(graph.map(None, 500), anew.map(None, 500));
    Ok(())
}

/// Pieces that programs are made from.
fn piece() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["f", "g", "A", "B", "x", "m", "self"]);
    (0..12_u8, names.clone(), names.clone(), names).prop_map(|(kind, a, b, c)| match kind {
        0 => format!("def {a}({b}, *{c}):\n    return {b}\n"),
        1 => format!("class {a}({b}):\n    def {c}(self):\n        self.{b}()\n"),
        2 => format!("{a} = {b}\n{a}({c})\n"),
        3 => format!("from m{a} import {b} as {c}\n"),
        4 => format!("from m{a} import *\n{b}.{c}()\n"),
        5 => format!("{a} = [{b}, {c}]\n{a}[0]()\n"),
        6 => format!("{a} = {{'k': {b}}}\n{a}['k']({c})\n"),
        7 => format!("@{a}\ndef {b}({c}=lambda x: x):\n    yield {c}\n"),
        8 => format!("for {a} in {b}({c}):\n    {a}()\n"),
        9 => format!("def {a}():\n    global {b}\n    {b} = {c}\n    {b}()\n"),
        10 => format!("x = ({a} if {b} else {c})(*{a}, **{b})\n"),
        _ => format!("import m{a}.{b} as {c}\n{c}.{a}.{b}()\n"),
    })
}

fn program() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_graph_that_changed_is_the_one_made_anew(
        steps in prop::collection::vec((0..5_u8, prop::option::of(program()), any::<bool>()), 1..10),
    ) {
        let mut graph = Graph::new();
        let mut now = std::collections::BTreeMap::new();
        for (file, text, is_asked) in steps {
            let path = ["mf.py", "mg.py", "mA/__init__.py", "mA/B.py", "mx.rb"][usize::from(file)];
            match text {
                Some(text) => {
                    graph.update(path, text.as_bytes());
                    now.insert(path, text);
                }
                None => {
                    graph.remove(path);
                    now.remove(path);
                }
            }
            if is_asked {
                graph.edges();
            }
        }
        is_as_read_anew(&graph, now.iter())?;
    }

    #[test]
    fn bytes_cut_into_sources_break_nothing(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        until in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..24),
        text in ".{0,12}",
    ) {
        let all = files(include_str!("../test_data/languages.txt"));
        let python = files(include_str!("../test_data/python/classes.py"));
        let about = files(include_str!("../test_data/about.txt"));
        let all: Vec<_> = all.into_iter().chain(python).chain(about).collect();
        let (path, source) = &all[which.index(all.len())];
        let (from, to) = (at.index(source.len() + 1), until.index(source.len() + 1));
        for cut in [bytes, text.into_bytes()] {
            let mut changed = source.as_bytes()[..from].to_vec();
            changed.extend(cut);
            changed.extend(&source.as_bytes()[to.max(from)..]);
            let mut graph = Graph::new();
            graph.update(path, &changed);
            graph.edges();
            graph.map(None, 100);
            graph.map(Some(source), 100);
            graph.search(source, 3);
        }
    }
}

#[test]
fn calls_of_rust_are_found_by_the_types_that_are_written() {
    let text = r#"
//- src/lib.rs
mod parts;
use parts::{Part, Visitor};
use std::path::Path;
pub struct Whole(Part);
pub enum Kind { One(Part), Many { parts: Vec<Part> } }
impl Whole {
    pub fn new(part: Part) -> Whole { Whole(part) }
    pub fn check(&mut self, value: u32) -> &mut Self { self.0.go(); self }
    pub fn build(&self) -> Option<Part> { None }
    fn root(&self) -> &Path { Path::new("") }
}
pub fn chains(part: Part) {
    Whole::new(part).check(1).check(2);
    if let Some(built) = Whole::new(part).build() { built.go(); }
    let whole = Whole::new(part);
    whole.build().unwrap().go();
    whole.root().go();
}
pub fn arms(kind: Kind) {
    match kind {
        Kind::One(ref part) => part.go(),
        Kind::Many { parts } => parts.iter().for_each(|part| part.go()),
    }
}
pub fn bounds<V: Visitor>(visitor: &mut V, other: Box<dyn Visitor>) {
    visitor.visit();
    other.leave();
}
pub fn shadows(it: Part) {
    it.go();
    let it = Path::new("");
    it.go();
}
//- src/parts.rs
pub struct Part;
impl Part { pub fn go(&self) {} }
pub trait Visitor { fn visit(&mut self); fn leave(&self) {} }
pub struct Other;
impl Other { pub fn new() -> Self { Other } pub fn build(&self) {} pub fn root(&self) {} }
"#;
    expect![[r#"
        src/lib.rs:Whole.check -> src/parts.rs:Part.go
        src/lib.rs:arms -> src/parts.rs:Part.go
        src/lib.rs:bounds -> src/parts.rs:Visitor.leave
        src/lib.rs:bounds -> src/parts.rs:Visitor.visit
        src/lib.rs:chains -> src/lib.rs:Whole.build
        src/lib.rs:chains -> src/lib.rs:Whole.check
        src/lib.rs:chains -> src/lib.rs:Whole.new
        src/lib.rs:chains -> src/lib.rs:Whole.root
        src/lib.rs:chains -> src/parts.rs:Part.go
        src/lib.rs:shadows -> src/parts.rs:Part.go
    "#]]
    .assert_eq(&calls(text));
}

#[test]
fn calls_of_typescript_are_found_by_the_types_that_are_written() {
    let text = r#"
//- src/a.ts
import { Cache, Sink, run, both, manager } from './lib';
export class A {
  #cache: Cache | undefined;
  private sinks: Array<Sink> = [];
  constructor(private readonly first: Sink) {}
  go(cache?: Cache) {
    this.#cache?.find('a').send(1);
    this.sinks.forEach((sink) => sink.send(2));
    cache.find('b');
    this.first.send(3);
    this.#own();
    manager.send(4);
    both(1);
  }
  #own() { run((sink, n) => { sink.send(n); }); }
}
//- src/lib.ts
export interface Sink { send: (n: number) => void; }
export class Cache { find(name: string): Sink { return null!; } }
export function run(work: (sink: Sink, n: number) => void): void {}
export function both(a: string): void;
export function both(a: number): void;
export function both(a: any): void {}
export const manager: Sink = { send: (n) => send(n) };
"#;
    expect![[r#"
        src/a.ts:A.#own -> src/lib.ts:Sink.send
        src/a.ts:A.#own -> src/lib.ts:run
        src/a.ts:A.go -> src/a.ts:A.#own
        src/a.ts:A.go -> src/lib.ts:Cache.find
        src/a.ts:A.go -> src/lib.ts:Sink.send
        src/a.ts:A.go -> src/lib.ts:both
    "#]]
    .assert_eq(&calls(text));
}
