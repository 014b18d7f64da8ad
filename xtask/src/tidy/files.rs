//! Files: orphans, missing prose, leftovers, size, and the papers that a project must have.

use super::Package;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file may be longer when it is flat: a table, a list of fixtures.
const LINES_MAX: usize = 900;
/// Code that is indented further than this, in a file longer than that, is two things.
const NESTED_COLUMNS_MAX: usize = 28;

const PAPERS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "deny.toml",
    "clippy.toml",
    ".ci/run",
];

/// What must not stand in a source file, and why. Split so that this file passes its own check.
const LEFTOVERS: &[(&str, &str, &str)] = &[
    ("todo", "!(", "unfinished work lives on a branch"),
    ("unimplemented", "!(", "unfinished work lives on a branch"),
    (
        "#[ign",
        "ore",
        "a test that cannot run calls titan_testkit::skip",
    ),
    ("allow(dead", "_code", "code that nobody calls is deleted"),
    ("/ro", "ot/.", "a path of somebody's machine"),
    ("/Us", "ers/", "a path of somebody's machine"),
];

pub(super) fn check(root: &Path, packages: &[Package]) -> Result<Vec<String>> {
    let mut complaints: Vec<String> = PAPERS
        .iter()
        .filter(|paper| !root.join(paper).is_file())
        .map(|paper| format!("{paper} is missing"))
        .collect();
    for package in packages {
        complaints.extend(check_package(root, package)?);
    }
    Ok(complaints)
}

fn check_package(root: &Path, package: &Package) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let manifest = read(&package.folder.join("Cargo.toml"))?;
    if !manifest.contains("[lints]\nworkspace = true") {
        complaints.push(format!(
            "{} does not use the workspace's lints",
            package.name
        ));
    }
    let mut compiled = BTreeSet::new();
    for source in &package.sources {
        follow_modules(source, &mut compiled)?;
    }
    for file in rust_files(&package.folder)? {
        let shown = file
            .strip_prefix(root)
            .unwrap_or(&file)
            .display()
            .to_string();
        if !compiled.contains(&file) {
            complaints.push(format!("{shown} is compiled by no crate"));
        }
        let complaints_of_text = check_text(&read(&file)?);
        complaints.extend(
            complaints_of_text
                .into_iter()
                .map(|what| format!("{shown} {what}")),
        );
    }
    Ok(complaints)
}

/// What is wrong with the text of one source file.
fn check_text(text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints
            .push("does not begin with `//!`: why it is there, and what it is not".to_owned());
    }
    for (start, end, why) in LEFTOVERS {
        let leftover = format!("{start}{end}");
        if let Some(line) = text.lines().position(|line| line.contains(&leftover)) {
            complaints.push(format!("line {} has `{leftover}`: {why}", line + 1));
        }
    }
    let deep = |line: &&str| line.len() - line.trim_start().len() > NESTED_COLUMNS_MAX;
    let code = text.split("\nmod tests {").next().unwrap_or(text);
    if text.lines().count() > LINES_MAX && code.lines().any(|line| deep(&line)) {
        complaints.push(format!("is over {LINES_MAX} lines and nested: make it two"));
    }
    complaints
}

/// Adds a file and all that it declares with `mod NAME;`.
fn follow_modules(file: &Path, compiled: &mut BTreeSet<PathBuf>) -> Result<()> {
    if !compiled.insert(file.to_owned()) {
        return Ok(());
    }
    let text = read(file)?;
    let folder = children_folder(file);
    let mut path_attribute = None;
    for line in text.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("#[path = \"") {
            path_attribute = path.strip_suffix("\"]");
            continue;
        }
        if let Some(name) = declared_module(line) {
            let beside = file.with_file_name(path_attribute.unwrap_or_default());
            let flat = folder.join(format!("{name}.rs"));
            let candidates = match path_attribute {
                Some(_) => vec![beside],
                None => vec![flat, folder.join(name).join("mod.rs")],
            };
            // A module that is not there is the compiler's to report.
            if let Some(found) = candidates.iter().find(|path| path.is_file()) {
                follow_modules(found, compiled)?;
            }
        }
        if !line.starts_with("#[") {
            path_attribute = None;
        }
    }
    Ok(())
}

/// Where the children of a module's file lie: beside a root or `mod.rs`, else in the folder of the file's own name.
fn children_folder(file: &Path) -> PathBuf {
    let parent = file.parent().unwrap_or(file);
    let stem = file.file_stem().unwrap_or_default();
    let is_own_name = stem != "main" && stem != "lib" && stem != "mod";
    // Programs, integration tests, examples and build scripts are roots, whatever their name; `src/tests/x.rs` is none.
    let is_package =
        |folder: Option<&Path>| folder.is_some_and(|it| it.join("Cargo.toml").is_file());
    let holds_roots = ["tests", "examples", "benches"]
        .iter()
        .any(|name| parent.ends_with(name));
    let is_root = is_package(Some(parent))
        || (holds_roots && is_package(parent.parent()))
        || parent.ends_with("src/bin");
    if is_own_name && !is_root {
        parent.join(stem)
    } else {
        parent.to_owned()
    }
}

/// `NAME` when the line is `mod NAME;`, whatever its visibility.
fn declared_module(line: &str) -> Option<&str> {
    let (before, name) = line.strip_suffix(';')?.rsplit_once(' ')?;
    let is_module = before == "mod" || (before.starts_with("pub") && before.ends_with(" mod"));
    is_module.then_some(name)
}

/// The `.rs` files of a package, but for those that are data for tests.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            // A package within a package is checked as itself.
            let is_other = path.join("Cargo.toml").is_file();
            if name != "test_data" && name != "target" && !is_other {
                files.extend(rust_files(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package of these files under a root that has all its papers; gives the complaints.
    fn check_files(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for paper in PAPERS {
            write(paper, "");
        }
        write("part/Cargo.toml", "[lints]\nworkspace = true\n");
        for (path, text) in files {
            write(path, text);
        }
        let package = Package {
            name: "part".to_owned(),
            folder: root.path().join("part"),
            sources: vec![root.path().join("part/src/lib.rs")],
            ..Package::default()
        };
        check(root.path(), &[package]).unwrap()
    }

    #[test]
    fn a_file_that_no_crate_compiles_is_named() {
        let complaints = check_files(&[
            (
                "part/src/lib.rs",
                "//! A.\npub(crate) mod a;\n#[cfg(test)]\nmod b;\nmod tests;\n#[path = \"odd.rs\"]\nmod c;\n",
            ),
            ("part/src/a.rs", "//! B.\nmod deep;\n"),
            ("part/src/a/deep.rs", "//! C.\n"),
            ("part/src/b/mod.rs", "//! D.\n"),
            ("part/src/odd.rs", "//! E.\n"),
            ("part/src/tests/mod.rs", "//! G.\nmod deep;\n"),
            ("part/src/tests/deep.rs", "//! H.\nmod er;\n"),
            ("part/src/tests/deep/er.rs", "//! I.\n"),
            ("part/src/lost.rs", "//! F.\n"),
            ("part/test_data/x.rs", "not code"),
        ]);
        assert_eq!(complaints, ["part/src/lost.rs is compiled by no crate"]);
    }

    #[test]
    fn a_file_without_prose_is_named() {
        let complaints = check_files(&[("part/src/lib.rs", "fn f() {}\n")]);
        let expected =
            "part/src/lib.rs does not begin with `//!`: why it is there, and what it is not";
        assert_eq!(complaints, [expected]);
    }

    #[test]
    fn leftovers_are_named_with_their_line() {
        for (start, end, why) in LEFTOVERS {
            let complaints = check_text(&format!("//! A.\nx {start}{end}"));
            assert_eq!(complaints, [format!("line 2 has `{start}{end}`: {why}")]);
        }
    }

    #[test]
    fn a_long_file_may_be_flat_but_not_nested() {
        let flat = format!("//! A.\n{}", "x\n".repeat(LINES_MAX + 1));
        let nested = format!("{flat}{}deep\n", " ".repeat(NESTED_COLUMNS_MAX + 4));
        assert!(check_text(&flat).is_empty());
        assert_eq!(
            check_text(&nested),
            ["is over 900 lines and nested: make it two"]
        );
    }

    #[test]
    fn a_missing_paper_and_missing_lints_are_named() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("part")).unwrap();
        fs::write(root.path().join("part/Cargo.toml"), "").unwrap();
        let package = Package {
            name: "part".to_owned(),
            folder: root.path().join("part"),
            ..Package::default()
        };
        let complaints = check(root.path(), &[package]).unwrap();
        assert!(complaints.contains(&"CHANGELOG.md is missing".to_owned()));
        assert!(complaints.contains(&"part does not use the workspace's lints".to_owned()));
    }
}
