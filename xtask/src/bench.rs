//! Builds the binary and the drivers as they are shipped, and runs the drivers.

use crate::cargo;
use anyhow::Result;
use std::process::Command;

/// Passes all arguments on to the drivers, which know the benchmarks' names.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let packages = ["--package", "titanclaw", "--package", "titan-benchmarks"];
    let build = [&["build", "--release"], &packages[..]].concat();
    cargo::run(cargo::cargo(&build))?;
    let release = cargo::target_directory().join("release");
    let mut drivers = Command::new(release.join("titan-benchmarks"));
    drivers
        .arg("--binary")
        .arg(release.join("titanclaw"))
        .arg("--workspace")
        .arg(cargo::root())
        .args(arguments);
    cargo::run(drivers)
}
