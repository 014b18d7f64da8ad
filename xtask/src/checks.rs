//! Which attack or fault is held by which test: reads `docs/security/checks.md` and the names of all tests, and writes
//! `docs/security/README.md`.
//!
//! A test that holds a check begins with its identifier: `x1_…`, or `x1_x2_…` for two. Nothing here judges whether a
//! test is worth its name; that is for the reader who breaks the code and sees it turn red.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const LIST: &str = "docs/security/checks.md";
const TABLE: &str = "docs/security/README.md";
const GROUPS: &[char] = &['g', 'c', 'x', 's', 'p', 'm'];
/// Folders that hold no source of ours.
const PASSED_OVER: &[&str] = &["target", "test_data", ".git"];

const HEAD: &str = "\
<!-- Written by `cargo xtask checks` from checks.md and the names of the tests. Do not edit. -->

# Attacks that must fail

Every check is one sentence that a test holds. *held*: the tests fail when the sentence stops being true. *part*: they
hold the part that is said. *open*: nothing holds it yet. *waits*: what it is about is not there yet.
";

/// Writes the table.
pub(crate) fn run() -> Result<()> {
    let root = cargo::root();
    let (table, complaints) = generate(&root)?;
    for complaint in &complaints {
        eprintln!("checks: {complaint}");
    }
    if !complaints.is_empty() {
        bail!(
            "{} things to mend in {LIST} or the names of tests",
            complaints.len()
        );
    }
    let path = root.join(TABLE);
    fs::write(&path, table).with_context(|| format!("writing {}", path.display()))
}

/// What is wrong with the list, with the names of tests, or with a table that was written from others.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let (table, mut complaints) = generate(root)?;
    let written = fs::read_to_string(root.join(TABLE)).unwrap_or_default();
    if written != table {
        complaints.push(format!(
            "{TABLE} is not up to date: run `cargo xtask checks`"
        ));
    }
    Ok(complaints)
}

fn generate(root: &Path) -> Result<(String, Vec<String>)> {
    let text = fs::read_to_string(root.join(LIST)).with_context(|| format!("reading {LIST}"))?;
    let mut tests = Vec::new();
    for file in sources(root)? {
        let text =
            fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let shown = file
            .strip_prefix(root)
            .unwrap_or(&file)
            .display()
            .to_string();
        tests.extend(tests_of(&text).map(|name| Test {
            name: name.to_owned(),
            file: shown.clone(),
        }));
    }
    Ok(table(&parse(&text), &tests))
}

/// A test, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    name: String,
    file: String,
}

/// A line of the list that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Group(String),
    Check(Check),
    Misread(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    id: String,
    sentence: String,
    /// `part`, `open` or `waits for`, with why.
    remark: Option<(String, String)>,
}

/// Reads the list: `## Group`, `- **X1** Sentence.`, and below a check `  - part: why`.
fn parse(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            entries.push(Entry::Group(title.to_owned()));
        } else if let Some((id, sentence)) = line
            .strip_prefix("- **")
            .and_then(|rest| rest.split_once("** "))
        {
            entries.push(Entry::Check(Check {
                id: id.to_owned(),
                sentence: sentence.to_owned(),
                remark: None,
            }));
        } else if let Some(remark) = line.strip_prefix("  - ") {
            match (entries.last_mut(), remark.split_once(": ")) {
                (Some(Entry::Check(check)), Some((kind, why)))
                    if matches!(kind, "part" | "open" | "waits for") =>
                {
                    check.remark = Some((kind.to_owned(), why.to_owned()));
                }
                _ => entries.push(Entry::Misread(line.to_owned())),
            }
        } else if line.starts_with('-') {
            entries.push(Entry::Misread(line.to_owned()));
        }
    }
    entries
}

/// The table and what is wrong.
fn table(entries: &[Entry], tests: &[Test]) -> (String, Vec<String>) {
    let mut complaints = Vec::new();
    let mut by_id: BTreeMap<String, Vec<&Test>> = BTreeMap::new();
    for test in tests {
        for id in ids(&test.name) {
            by_id.entry(id).or_default().push(test);
        }
    }
    let mut rows = String::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        match entry {
            Entry::Misread(line) => complaints.push(format!("{LIST} is not understood: {line}")),
            Entry::Group(title) => {
                let _ = write!(
                    rows,
                    "\n## {title}\n\n| check | what must hold | tests | status |\n|---|---|---|---|\n"
                );
            }
            Entry::Check(check) => {
                let mut own = by_id.remove(&check.id).unwrap_or_default();
                own.sort();
                complaints.extend(complaint(check, own.len()));
                let (word, status) = status(check);
                *counts.entry(word).or_default() += 1;
                let shown: Vec<String> = own.iter().map(|test| link(test)).collect();
                let (id, sentence) = (&check.id, &check.sentence);
                let _ = writeln!(
                    rows,
                    "| {id} | {sentence} | {} | {status} |",
                    shown.join("<br>")
                );
            }
        }
    }
    for (id, tests) in by_id {
        let (name, file) = (&tests[0].name, &tests[0].file);
        complaints.push(format!(
            "{file}: `{name}` holds {id}, which {LIST} does not know"
        ));
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    (
        format!("{HEAD}\n{}.\n{rows}", counts.join(", ")),
        complaints,
    )
}

fn complaint(check: &Check, n_tests: usize) -> Option<String> {
    let id = &check.id;
    match check.remark.as_ref().map(|(kind, _)| kind.as_str()) {
        None | Some("part") if n_tests == 0 => Some(format!(
            "{id} has no test; write one whose name begins with `{}_`, or say `open` or `waits for` in {LIST}",
            id.to_lowercase()
        )),
        Some("open" | "waits for") if n_tests > 0 => Some(format!(
            "{id} has a test by now; take its remark out of {LIST}, or say `part`"
        )),
        _ => None,
    }
}

fn status(check: &Check) -> (&'static str, String) {
    match &check.remark {
        None => ("held", "held".to_owned()),
        Some((kind, why)) if kind == "part" => ("in part", format!("part: {why}")),
        Some((kind, why)) if kind == "open" => ("open", format!("open: {why}")),
        Some((kind, why)) => ("waiting", format!("{kind}: {why}")),
    }
}

fn link(test: &Test) -> String {
    format!("[`{}`](../../{})", test.name, test.file)
}

/// The identifiers with which the name of a test begins, in upper case.
fn ids(name: &str) -> Vec<String> {
    let is_id = |part: &&str| {
        let mut letters = part.chars();
        letters
            .next()
            .is_some_and(|letter| GROUPS.contains(&letter))
            && part.len() > 1
            && letters.all(|digit| digit.is_ascii_digit())
    };
    name.split('_')
        .take_while(is_id)
        .map(str::to_uppercase)
        .collect()
}

/// The names of the tests in a source file.
fn tests_of(text: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    text.lines().map(str::trim).filter_map(move |line| {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
            return None;
        }
        let (_, rest) = line.split_once("fn ")?;
        if !std::mem::take(&mut is_test) {
            return None;
        }
        rest.split(['(', '<']).next()
    })
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let is_ours = |name: &str| !PASSED_OVER.contains(&name);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && is_ours(&name) {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "#[test]\nfn x1_a() {}\n#[tokio::test(start_paused = true)]\n// why\nasync fn x1_s2_b() {}\nfn x2_no_test() {}\n";

    fn made(list: &str) -> (String, Vec<String>) {
        let tests: Vec<Test> = tests_of(SOURCE)
            .map(|name| Test {
                name: name.to_owned(),
                file: "a.rs".to_owned(),
            })
            .collect();
        table(&parse(list), &tests)
    }

    #[test]
    fn checks_are_shown_with_their_tests_and_status() {
        let list = "## A\n\n- **X1** One.\n- **S2** Two.\n  - part: half\n- **S3** Three.\n  - waits for: wings\n";
        let (table, complaints) = made(list);
        assert_eq!(complaints, Vec::<String>::new());
        assert!(
            table
                .contains("| X1 | One. | [`x1_a`](../../a.rs)<br>[`x1_s2_b`](../../a.rs) | held |"),
            "{table}"
        );
        assert!(
            table.contains("| S2 | Two. | [`x1_s2_b`](../../a.rs) | part: half |"),
            "{table}"
        );
        assert!(
            table.contains("| S3 | Three. |  | waits for: wings |"),
            "{table}"
        );
        assert!(table.contains("1 held, 1 in part, 1 waiting."), "{table}");
    }

    #[test]
    fn a_check_without_a_test_and_a_test_without_a_check_are_named() {
        let (_, complaints) = made("- **X1** One.\n- **X9** Nine.\n  - odd: why\n");
        let shown = complaints.join("\n");
        assert!(shown.contains("X9 has no test"), "{shown}");
        assert!(shown.contains("is not understood:   - odd: why"), "{shown}");
        assert!(shown.contains("`x1_s2_b` holds S2"), "{shown}");
    }

    #[test]
    fn a_check_that_waits_for_nothing_any_more_is_named() {
        let (_, complaints) = made("- **X1** One.\n  - waits for: x\n- **S2** Two.\n");
        assert!(
            complaints[0].contains("X1 has a test by now"),
            "{complaints:?}"
        );
    }
}
