//! Every check and every test, in the order in which they fail fastest.

use crate::skips::Skips;
use crate::{cargo, machine, tidy, web};
use anyhow::Result;
use std::process::Command;
use std::time::Instant;

/// The local model that tests of the engine run on: the smallest of the catalogue.
const TEST_MODEL: &str = "qwen2.5-coder-0.5b";

/// Installs what is missing, checks, tests, and says which tests could not run here.
pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    let mut provided = machine::provide_programs()?;
    machine::provide_components()?;
    tidy::run()?;
    cargo::run(cargo::cargo(&["fmt", "--all", "--check"]))?;
    cargo::run(clippy())?;
    let model_need = format!("model:{TEST_MODEL}");
    match machine::provide_model(TEST_MODEL) {
        Ok(()) => provided.push(&model_need),
        // A machine without a network still runs all other tests; those that need the model say that they didn't.
        Err(error) => eprintln!("the model {TEST_MODEL} could not be fetched: {error:#}"),
    }
    let skips = Skips::begin()?;
    for mut command in tests() {
        let (name, value) = skips.variable();
        command.env(name, value);
        cargo::run(command)?;
    }
    skips.add(&web::check()?)?;
    let n_skipped = skips.report(&provided)?;
    let seconds = started.elapsed().as_secs();
    println!("all checks and tests passed in {seconds} s; {n_skipped} skipped");
    Ok(())
}

fn clippy() -> Command {
    let mut arguments = vec!["clippy", "--workspace", "--all-targets"];
    arguments.extend(["--", "--deny", "warnings"]);
    cargo::cargo(&arguments)
}

/// The test runs: nextest where it is installed, which leaves the documentation's examples to cargo.
fn tests() -> Vec<Command> {
    if cargo::succeeds(cargo::cargo(&["nextest", "--version"])) {
        vec![
            cargo::cargo(&["nextest", "run", "--workspace", "--no-fail-fast"]),
            cargo::cargo(&["test", "--workspace", "--doc", "--quiet"]),
        ]
    } else {
        vec![cargo::cargo(&["test", "--workspace", "--no-fail-fast"])]
    }
}
