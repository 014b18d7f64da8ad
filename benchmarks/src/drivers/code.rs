//! What is found of a folder's code, and what finding takes: in this process, on the graph that the engine answers from.

use super::block_on;
use crate::Setup;
use crate::process::milliseconds;
use crate::report::Row;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use titan_codegraph::{CallEnd, CodeFolders, Folder, Graph, python_module};
use titan_protocol::{CodeDirection, CodeGraph};

/// The variable that names the folder of PyCG's snippets: `CATEGORY/SNIPPET/callgraph.json` beside the sources.
const DATA_VARIABLE: &str = "TITAN_PYCG";
/// Calls that are at least so sure are counted.
const CONFIDENCE_MIN: u8 = 80;
const CATEGORIES: &[&str] = &[
    "args",
    "assignments",
    "builtins",
    "classes",
    "decorators",
    "dicts",
    "direct_calls",
    "dynamic",
    "exceptions",
    "external",
    "functions",
    "generators",
    "imports",
    "kwargs",
    "lambdas",
    "lists",
    "mro",
    "returns",
];
/// Types that the language brings, and what PyCG calls them.
const TYPES: &[(&str, &str)] = &[
    ("str.", "<**PyStr**>."),
    ("dict.", "<**PyDict**>."),
    ("list.", "<**PyList**>."),
    ("tuple.", "<**PyTuple**>."),
    ("set.", "<**PySet**>."),
];
const FILES: usize = 2_500;
const LINES: usize = 500_000;
/// Files that are changed, one after another.
const CHANGES: usize = 10;

/// Calls of PyCG's snippets that are found, and that are right, in percent; an edge counts once, those to builtins and to
/// modules that are not there too.
pub(super) fn code_calls(_setup: &Setup) -> Result<Vec<Row>> {
    let folder = std::env::var_os(DATA_VARIABLE)
        .map(PathBuf::from)
        .with_context(|| format!("{DATA_VARIABLE} names no folder with PyCG's snippets"))?;
    let mut all = Counted::default();
    let mut by_category: BTreeMap<&str, Counted> = BTreeMap::new();
    for category in folders(&folder)? {
        let name = category.file_name().and_then(OsStr::to_str);
        let name = CATEGORIES.iter().find(|known| Some(**known) == name);
        for snippet in folders(&category)? {
            if !snippet.join("callgraph.json").is_file() {
                continue;
            }
            let counted = snippet_calls(&snippet)?;
            all.add(&counted);
            by_category
                .entry(name.copied().unwrap_or("others"))
                .or_default()
                .add(&counted);
        }
    }
    ensure!(all.expected > 0, "{} has no snippets", folder.display());
    let mut rows = vec![
        Row::new("code_calls", "precision", "%", vec![all.precision()]).goal(90.0, None),
        Row::new("code_calls", "recall", "%", vec![all.recall()]),
        Row::new("code_calls", "f1", "%", vec![all.f1()]).goal(80.0, None),
    ];
    for (category, counted) in by_category {
        rows.push(Row::new(
            category,
            "precision",
            "%",
            vec![counted.precision()],
        ));
        rows.push(Row::new(category, "recall", "%", vec![counted.recall()]));
        rows.push(Row::new(category, "f1", "%", vec![counted.f1()]));
    }
    Ok(rows)
}

#[derive(Default)]
struct Counted {
    right: usize,
    found: usize,
    expected: usize,
}

impl Counted {
    fn add(&mut self, other: &Self) {
        self.right += other.right;
        self.found += other.found;
        self.expected += other.expected;
    }

    fn precision(&self) -> f64 {
        100.0 * self.right as f64 / self.found.max(1) as f64
    }

    fn recall(&self) -> f64 {
        100.0 * self.right as f64 / self.expected.max(1) as f64
    }

    fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        2.0 * precision * recall / (precision + recall).max(f64::MIN_POSITIVE)
    }
}

fn snippet_calls(snippet: &Path) -> Result<Counted> {
    let mut folder = Folder::new(snippet, None);
    let (graph, _) = folder.refresh()?;
    let text = fs::read_to_string(snippet.join("callgraph.json"))?;
    let truth: BTreeMap<String, Vec<String>> = serde_json::from_str(&text)?;
    let expected: BTreeSet<(String, String)> = truth
        .into_iter()
        .flat_map(|(from, to)| to.into_iter().map(move |to| (from.clone(), to)))
        .collect();
    let found: BTreeSet<(String, String)> = calls(graph);
    Ok(Counted {
        right: expected.intersection(&found).count(),
        found: found.len(),
        expected: expected.len(),
    })
}

fn calls(graph: &Graph) -> BTreeSet<(String, String)> {
    let calls = graph.calls(CONFIDENCE_MIN).into_iter();
    calls
        .filter_map(|(from, to)| Some((name(&from)?, name(&to)?)))
        .collect()
}

/// A symbol as PyCG calls it.
fn name(end: &CallEnd) -> Option<String> {
    if !end.path.is_empty() {
        let module = python_module(&end.path)?;
        return Some(match end.symbol.as_str() {
            "" => module,
            symbol => format!("{module}.{symbol}"),
        });
    }
    let Some(builtin) = end.symbol.strip_prefix("builtins.") else {
        return Some(end.symbol.clone());
    };
    let of_type = TYPES
        .iter()
        .find_map(|(own, theirs)| Some(format!("{theirs}{}", builtin.strip_prefix(own)?)));
    Some(of_type.unwrap_or_else(|| format!("<builtin>.{builtin}")))
}

fn folders(of: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(of).with_context(|| format!("{} can't be read", of.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// A made-up repository of 2,500 files and 500,000 lines of Python, Rust and TypeScript: reading it all, the first answer,
/// reading one file that changed, starting again with what was kept, and memory. Then questions as an engine that stays is
/// asked them: right after a file changed, and when nothing did, of that repository and of one of Python alone.
pub(super) fn code_index(_setup: &Setup) -> Result<Vec<Row>> {
    let place = tempfile::tempdir()?;
    let cache = tempfile::tempdir()?;
    write_repository(place.path())?;
    let before = resident_bytes()?;
    let mut folder = Folder::new(place.path(), Some(cache.path()));
    let began = Instant::now();
    let (graph, _) = folder.refresh()?;
    let summary = graph.summary();
    let cold = began.elapsed().as_secs_f64();
    ensure!(
        summary.lines >= LINES && summary.files == FILES,
        "{summary:?} is not what was written"
    );
    let memory = resident_bytes()?.saturating_sub(before) as f64 / 1e6;
    let per_symbols = memory * 100_000.0 / summary.symbols as f64;
    let mut changes = Vec::new();
    for n in 0..CHANGES {
        write(place.path(), n * 7, n + 1, n * 7 % 3)?;
        let began = Instant::now();
        let (_, changed) = folder.refresh()?;
        changes.push(milliseconds(began.elapsed()));
        ensure!(changed == 1, "{changed} files were read");
    }
    folder.keep();
    drop(folder);
    let began = Instant::now();
    let mut again = Folder::new(place.path(), Some(cache.path()));
    again.refresh()?;
    let started = began.elapsed().as_secs_f64();
    drop(again);
    let python = tempfile::tempdir()?;
    for n in 0..FILES {
        write(python.path(), n, 0, 0)?;
    }
    let watched = || CodeFolders::new(None, Vec::new()).watched();
    let mixed = block_on(questions(watched(), place.path(), |n| n % 3))?;
    let looked = CodeFolders::new(None, Vec::new());
    let looked = block_on(questions(looked, place.path(), |n| n % 3))?;
    let python = block_on(questions(watched(), python.path(), |_| 0))?;
    let row = |metric, unit, samples| Row::new("code_index", metric, unit, samples);
    Ok(vec![
        row("cold_500k_lines", "s", vec![cold]).goal(60.0, None),
        row("changed_file", "ms", changes).goal(50.0, None),
        row("answer_after_change", "ms", mixed.after_change).goal(50.0, None),
        row("all_after_change", "ms", mixed.settled),
        row("python_after_change", "ms", python.after_change).goal(50.0, None),
        row("python_all_after", "ms", python.settled),
        row("unchanged_watched", "ms", mixed.unchanged),
        row("unchanged_looked_at", "ms", looked.unchanged),
        row("second_start", "s", vec![started]),
        row("memory_100k_symbols", "MB", vec![per_symbols]),
    ])
}

/// What questions took, in milliseconds.
#[derive(Default)]
struct Asked {
    after_change: Vec<f64>,
    settled: Vec<f64>,
    unchanged: Vec<f64>,
}

/// Asks what a function of a file uses, right after the file was written, until all that comes of that is known, and then
/// again. Files are written in the language that their number stands for.
async fn questions(
    code: CodeFolders,
    folder: &Path,
    language: impl Fn(usize) -> usize,
) -> Result<Asked> {
    let mut asked = Asked::default();
    code.index(folder).await?;
    for n in 0..CHANGES {
        let file = n * 7;
        let name = format!("step_{file}_3");
        write(folder, file, n + 100, language(file))?;
        let began = Instant::now();
        let answer = code.uses(folder, &name, CodeDirection::Callees, 10).await?;
        asked.after_change.push(milliseconds(began.elapsed()));
        ensure!(!answer.uses.is_empty(), "{name} uses nothing");
        let all = code.index(folder).await?;
        asked.settled.push(milliseconds(began.elapsed()));
        ensure!(all.files == FILES, "{} files are there", all.files);
        let began = Instant::now();
        let later = code.uses(folder, &name, CodeDirection::Callees, 10).await?;
        asked.unchanged.push(milliseconds(began.elapsed()));
        ensure!(later.unsettled == 0, "it is still being worked out");
        ensure!(later.uses == answer.uses, "{name} uses something else");
    }
    Ok(asked)
}

/// The made-up repository.
pub(super) fn write_repository(folder: &Path) -> Result<()> {
    (0..FILES).try_for_each(|n| write(folder, n, 0, n % 3))
}

/// A file of 200 lines: functions and a class that use those of the file before.
fn write(folder: &Path, n: usize, version: usize, language: usize) -> Result<()> {
    let other = n.saturating_sub(3);
    let (path, head, class, tail) = match language {
        0 => (
            format!("py/mod_{n}.py"),
            format!("from mod_{other} import step_{other}_0, Part{other}\n\n"),
            format!("class Part{n}(Part{other}):\n    def run(self):\n        return self.go()\n\n    def go(self):\n        return {version}\n\n"),
            (0..38)
                .map(|at| format!("def step_{n}_{at}(value):\n    part = Part{n}()\n    part.run()\n    return step_{other}_0(value)\n\n"))
                .collect::<String>(),
        ),
        1 => (
            format!("rs/src/mod_{n}.rs"),
            format!("use crate::mod_{other}::{{step_{other}_0, Part{other}}};\n\n"),
            format!("pub struct Part{n} {{\n    inner: Part{other},\n}}\n\nimpl Part{n} {{\n    pub fn run(&self) -> u32 {{\n        {version}\n    }}\n}}\n\n"),
            (0..38)
                .map(|at| format!("pub fn step_{n}_{at}(part: &Part{n}) -> u32 {{\n    part.run();\n    step_{other}_0(part)\n}}\n\n"))
                .collect::<String>(),
        ),
        _ => (
            format!("ts/mod_{n}.ts"),
            format!("import {{ step_{other}_0, Part{other} }} from './mod_{other}';\n\n"),
            format!("export class Part{n} extends Part{other} {{\n  run(): number {{\n    return {version};\n  }}\n}}\n\n"),
            (0..39)
                .map(|at| format!("export function step_{n}_{at}(part: Part{n}): number {{\n  part.run();\n  return step_{other}_0(part);\n}}\n\n"))
                .collect::<String>(),
        ),
    };
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    let mut text = format!("{head}{class}{tail}");
    let comment = if language == 0 { "#" } else { "//" };
    while text.lines().count() < LINES / FILES {
        text.push_str(comment);
        text.push('\n');
    }
    fs::write(path, text)?;
    Ok(())
}

/// Memory of this process that is in use.
fn resident_bytes() -> Result<usize> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: usize = kilobytes.context("the kernel tells no VmRSS")?.parse()?;
    Ok(kilobytes * 1_024)
}
