//! What compilers don't check: which crate may know which, files that no crate compiles, documentation, leftovers.
//!
//! Every rule is a function from values to complaints, so that a test can plant a violation and see it named.

mod edges;
mod files;

use crate::{cargo, checks, prelude};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Every edge between crates of the workspace. A new line is a change of the design: say why in `ARCHITECTURE.md`.
const EDGES: &[(&str, &str)] = &[
    ("*", "titan-protocol"),
    ("titan-agent", "titan-exec"),
    ("titanclaw", "*"),
    ("titan-benchmarks", "*"),
];

/// Edges that only tests may have.
const DEV_EDGES: &[(&str, &str)] = &[
    ("*", "titan-testkit"),
    ("titan-agent", "titan-tools"),
    ("titan-forge", "titan-wasm"),
    // Compilers are started where they really are: confined.
    ("titan-wasm", "titan-sandbox"),
    // So is git.
    ("titan-codegraph", "titan-sandbox"),
    // What is kept is asked of the stores that really keep it.
    ("titan-memory", "titan-store"),
];

/// The one crate that may name a heavy dependency, so that nobody else waits for it to compile.
const HOMES: &[(&str, &str)] = &[
    ("libsql", "titan-store"),
    ("tokio-postgres", "titan-store"),
    ("deadpool-postgres", "titan-store"),
    ("reqwest", "titan-sandbox"),
    ("tokenizers", "titan-local"),
    ("llguidance", "titan-local"),
    ("toktrie", "titan-local"),
    ("wasmtime", "titan-wasm"),
    ("wasmtime-wasi", "titan-wasm"),
    ("wasmparser", "titan-wasm"),
    ("axum", "titan-web"),
    ("clap", "titanclaw"),
    ("ratatui", "titan-tui"),
    ("crossterm", "titan-tui"),
    ("pulldown-cmark", "titan-tui"),
    ("tree-sitter", "titan-codegraph"),
];

const LICENSE: &str = "MIT OR Apache-2.0";

/// Checks the whole workspace and prints every complaint.
pub(crate) fn run() -> Result<()> {
    let complaints = check(&cargo::root())?;
    for complaint in &complaints {
        eprintln!("tidy: {complaint}");
    }
    if !complaints.is_empty() {
        bail!("tidy found {} things to mend", complaints.len());
    }
    Ok(())
}

fn check(root: &Path) -> Result<Vec<String>> {
    let mut command = cargo::cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let output = command.current_dir(root).output()?;
    if !output.status.success() {
        bail!(
            "`cargo metadata` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata = serde_json::from_slice(&output.stdout).context("reading `cargo metadata`")?;
    let packages = edges::packages(&metadata);
    let mut complaints = edges::check(&packages);
    let of_prelude = prelude::CRATES.map(|name| Package {
        name: format!("the prelude's {name}"),
        folder: root.join(prelude::SOURCES).join(name),
        sources: vec![root.join(prelude::SOURCES).join(name).join("src/lib.rs")],
        ..Package::default()
    });
    complaints.extend(files::check(root, &[&packages[..], &of_prelude].concat())?);
    complaints.extend(checks::check(root)?);
    complaints.extend(prelude::tidy(root)?);
    complaints.sort();
    Ok(complaints)
}

/// A crate of the workspace, as `cargo metadata` describes it.
#[derive(Clone, Debug, Default)]
struct Package {
    name: String,
    folder: std::path::PathBuf,
    license: String,
    dependencies: Vec<Dependency>,
    /// The root files of its library, programs, tests, examples and build script.
    sources: Vec<std::path::PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Dependency {
    name: String,
    is_dev: bool,
}
