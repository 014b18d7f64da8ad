//! The graph beside what people use otherwise: ripgrep for a name, and ctags to say in which function a line stands.
//!
//! The questions are those of `code_edges`: who calls what each of the looked-up calls calls? Of both a sample of the
//! answers was judged by reading, in `benchmarks/data/calls/beside.tsv`; a line that ripgrep finds in a comment, or that
//! ctags knows as a definition of the name, is not counted against it. Times are of the same run, files in the system's
//! cache.

use super::code::write_repository;
use super::edges::{CONFIDENCE_MIN, PACKAGES, Package, callers, percent, smallest};
use crate::Setup;
use crate::process::milliseconds;
use crate::report::Row;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use titan_codegraph::Folder;
use titan_protocol::CodeDirection;

/// Answers of each side that are judged, for each language.
const SAMPLE: usize = 30;
/// Whether answers are right.
const VERDICTS: &str = include_str!("../../data/calls/beside.tsv");
/// What ctags calls functions.
const FUNCTIONS: &[&str] = &["function", "method", "generator", "getter", "setter"];
/// The languages, and what the rows of each side are called.
const SIDES: &[(&str, &str, &str)] = &[
    ("rust", "rust", "rust_rg"),
    ("typescript", "typescript", "typescript_rg"),
];

/// What one side answered.
#[derive(Default)]
struct Answers {
    /// Callers that were told, each with its question.
    told: BTreeSet<String>,
    /// Places to look at, for each question.
    places: Vec<f64>,
    /// Looked-up calls that were among the answers.
    found: usize,
    asked: usize,
}

/// For each language, of the graph and of ripgrep with ctags, in percent: callers that are right of those judged, and
/// looked-up calls that are found; places to look at for a question; then what an index and a question take of each.
pub(super) fn code_beside(_setup: &Setup) -> Result<Vec<Row>> {
    if let Some(absent) = ["rg", "ctags"].iter().find(|it| !is_there(it)) {
        eprintln!(
            "{absent} is not there: install ripgrep and universal-ctags to have them beside the graph"
        );
        return Ok(vec![Row::new(
            "code_beside",
            "absent_programs",
            "",
            vec![1.0],
        )]);
    }
    let verdicts = verdicts();
    let mut rows = Vec::new();
    for (language, of_ours, of_theirs) in SIDES {
        let (mut ours, mut theirs) = (Answers::default(), Answers::default());
        for package in PACKAGES.iter().filter(|it| it.language == *language) {
            ask(package, &mut ours, &mut theirs)?;
        }
        rows.extend(judged(of_ours, ours, &verdicts));
        rows.extend(judged(of_theirs, theirs, &verdicts));
    }
    rows.extend(times()?);
    Ok(rows)
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn judged(side: &'static str, answers: Answers, verdicts: &BTreeMap<String, bool>) -> [Row; 4] {
    let sampled = smallest(answers.told, SAMPLE);
    for answer in sampled.iter().filter(|it| !verdicts.contains_key(*it)) {
        eprintln!("nobody judged, of {side}: {answer}");
    }
    let known: Vec<bool> = sampled
        .iter()
        .filter_map(|answer| verdicts.get(answer).copied())
        .collect();
    let right = known.iter().filter(|is_right| **is_right).count();
    let row = |metric, unit, samples| Row::new(side, metric, unit, samples);
    [
        row("precision", "%", vec![percent(right, known.len())]),
        row("recall", "%", vec![percent(answers.found, answers.asked)]),
        row("unjudged", "", vec![(sampled.len() - known.len()) as f64]),
        row("places", "", answers.places),
    ]
}

/// Asks both sides for the callers of all that the looked-up calls of a package call.
fn ask(package: &Package, ours: &mut Answers, theirs: &mut Answers) -> Result<()> {
    let sources = package.sources()?;
    let mut folder = Folder::new(&sources, None);
    let (graph, _) = folder.refresh()?;
    let tags = Tags::new(&output(
        Command::new("ctags").args(CTAGS).current_dir(&sources),
    )?);
    let mut questions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for site in package.sites() {
        let question = format!("{} {} {}", package.name, site.callee, site.places[0]);
        let told = site.places.iter().flat_map(|place| callers(graph, place));
        let sure: Vec<_> = told.filter(|(.., sure)| *sure >= CONFIDENCE_MIN).collect();
        ours.asked += 1;
        ours.found += usize::from(
            sure.iter()
                .any(|(path, lines, _)| path == site.path && lines.contains(&site.line)),
        );
        let is_new = !questions.contains_key(site.places[0]);
        if is_new {
            ours.places.push(sure.len() as f64);
            ours.told.extend(
                sure.iter()
                    .map(|(path, lines, _)| format!("{question} {path}:{}", lines.start())),
            );
            let name = site.callee.rsplit('.').next().unwrap_or(site.callee);
            let hits = hits(&sources, name.trim_start_matches('#'))?;
            theirs.places.push(hits.len() as f64);
            let mentions = hits
                .iter()
                .filter(|hit| !tags.defines(hit) && !hit.is_comment);
            theirs.told.extend(
                mentions.filter_map(|hit| Some(format!("{question} {}", tags.around(hit)?))),
            );
            let places = hits.iter().map(|hit| format!("{}:{}", hit.path, hit.line));
            questions.insert(site.places[0], places.collect());
        }
        let place = format!("{}:{}", site.path, site.line);
        theirs.asked += 1;
        theirs.found += usize::from(questions[site.places[0]].contains(&place));
    }
    Ok(())
}

/// A line that has a name in it.
struct Hit {
    path: String,
    line: u32,
    name: String,
    is_comment: bool,
}

fn hits(folder: &Path, name: &str) -> Result<Vec<Hit>> {
    let mut command = Command::new("rg");
    command.args([
        "-n",
        "-w",
        "--no-heading",
        "--color=never",
        "--sort=path",
        name,
        ".",
    ]);
    let text = output(command.current_dir(folder))?;
    let read = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let path = parts.next()?.trim_start_matches("./").to_owned();
        let line = parts.next()?.parse().ok()?;
        let text = parts.next()?.trim_start();
        Some(Hit {
            path,
            line,
            name: name.to_owned(),
            is_comment: ["//", "/*", "* ", "*/"]
                .iter()
                .any(|it| text.starts_with(it)),
        })
    };
    Ok(text.lines().filter_map(read).collect())
}

/// Definitions, as ctags tells them.
const CTAGS: &[&str] = &["-R", "--fields=+nK", "--sort=no", "-f", "-", "."];

#[derive(Default)]
struct Tags {
    /// Of each file, the lines on which functions begin.
    functions: BTreeMap<String, BTreeSet<u32>>,
    /// Names with the places where they are defined.
    defined: BTreeSet<(String, String, u32)>,
}

impl Tags {
    fn new(text: &str) -> Self {
        let mut tags = Self::default();
        for line in text.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let [name, path, ..] = columns[..] else {
                continue;
            };
            let path = path.trim_start_matches("./");
            let number = columns.iter().find_map(|it| it.strip_prefix("line:"));
            let Some(at) = number.and_then(|it| it.parse().ok()) else {
                continue;
            };
            tags.defined.insert((name.to_owned(), path.to_owned(), at));
            if columns.iter().any(|it| FUNCTIONS.contains(it)) {
                tags.functions
                    .entry(path.to_owned())
                    .or_default()
                    .insert(at);
            }
        }
        tags
    }

    fn defines(&self, hit: &Hit) -> bool {
        let place = (hit.name.clone(), hit.path.clone(), hit.line);
        self.defined.contains(&place)
    }

    /// The last function that begins before a line: `PATH:LINE`.
    fn around(&self, hit: &Hit) -> Option<String> {
        let line = self
            .functions
            .get(&hit.path)?
            .range(..=hit.line)
            .next_back()?;
        Some(format!("{}:{line}", hit.path))
    }
}

/// `PACKAGE CALLEE PLACE CALLER`, and whether that is right.
fn verdicts() -> BTreeMap<String, bool> {
    VERDICTS
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once('\t'))
        .map(|(answer, verdict)| (answer.to_owned(), verdict.starts_with("right")))
        .collect()
}

/// An index and a question, of a small folder, the packages one by one, and of a large one, the repository of
/// `code_index`. ripgrep has no index: its first question is its only cost.
fn times() -> Result<Vec<Row>> {
    let large = tempfile::tempdir()?;
    write_repository(large.path())?;
    let mut small = Vec::new();
    for package in PACKAGES {
        let asked = package
            .sites()
            .into_iter()
            .map(|site| site.callee.rsplit('.').next().unwrap_or(site.callee));
        small.push((
            package.sources()?,
            asked
                .map(|it| it.trim_start_matches('#').to_owned())
                .collect(),
        ));
    }
    let names: Vec<String> = (0..5).map(|n| format!("step_{}_3", n * 411)).collect();
    let mut rows = Vec::new();
    for (bench, folders) in [
        ("small", small),
        ("large", vec![(large.path().to_owned(), names)]),
    ] {
        let (mut tags, mut rg, mut cold, mut warm) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (place, names) in folders {
            let began = Instant::now();
            output(Command::new("ctags").args(CTAGS).current_dir(&place))?;
            tags.push(milliseconds(began.elapsed()));
            let mut folder = Folder::new(&place, None);
            let began = Instant::now();
            for (at, name) in names.iter().enumerate() {
                let asked = Instant::now();
                let (graph, _) = folder.refresh()?;
                graph.uses(name, CodeDirection::Callers, 50);
                match at {
                    0 => cold.push(milliseconds(began.elapsed())),
                    _ => warm.push(milliseconds(asked.elapsed())),
                }
            }
            for name in &names {
                let began = Instant::now();
                let mut command = Command::new("rg");
                command.args(["-n", "-w", "--no-heading", "--color=never", name, "."]);
                output(command.current_dir(&place))?;
                rg.push(milliseconds(began.elapsed()));
            }
        }
        let row = |metric, samples| Row::new(bench, metric, "ms", samples);
        rows.extend([
            row("ctags_index", tags),
            row("rg_question", rg),
            row("first_question", cold),
            row("next_question", warm),
        ]);
    }
    Ok(rows)
}

/// What a program writes. That it found nothing is no failure.
fn output(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let output = command
        .output()
        .with_context(|| format!("running {command:?}"))?;
    match output.status.code() {
        Some(0 | 1) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => bail!("{command:?} ended with {}", output.status),
    }
}
