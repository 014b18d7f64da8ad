//! What a user downloads, or waits for.

use crate::Setup;
use crate::process::{self, megabytes};
use crate::report::Row;
use anyhow::{Context, Result};
use std::process::Command;

/// The shipped binary.
pub(super) fn binary_size(setup: &Setup) -> Result<Vec<Row>> {
    let bytes = std::fs::metadata(&setup.binary)
        .with_context(|| format!("{} is not there", setup.binary.display()))?
        .len();
    Ok(vec![Row::new(
        "binary_size",
        "file",
        "MB",
        vec![megabytes(bytes)],
    )])
}

/// `cargo build --release` of the binary with nothing built before. The sources of the dependencies are there.
pub(super) fn cold_build(setup: &Setup) -> Result<Vec<Row>> {
    let target = tempfile::tempdir_in(&setup.workspace)
        .or_else(|_| tempfile::tempdir())
        .context("making a folder to build in")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut fetch = Command::new(&cargo);
    fetch.arg("fetch").current_dir(&setup.workspace);
    process::run(&mut fetch)?;
    let mut build = Command::new(&cargo);
    build
        .args(["build", "--release", "--package", "titanclaw"])
        .current_dir(&setup.workspace)
        .env("CARGO_TARGET_DIR", target.path());
    let cost = process::run(&mut build)?;
    let row = |metric, seconds| Row::new("cold_build", metric, "s", vec![seconds]);
    Ok(vec![
        row("wall", cost.wall.as_secs_f64()).goal(600.0, Some(1_200.0)),
        row("cpu", cost.cpu.as_secs_f64()),
    ])
}
