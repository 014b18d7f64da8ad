//! Measures the shipped binary from outside: real processes, real sockets, a scripted model behind a real wire.
//!
//! Run it as `cargo xtask bench [NAME…] [--json] [--quick] [--quality]`, which builds everything as it is shipped. What each
//! benchmark means is said at its driver; `benchmarks/README.md` has the table of goals. Nothing here depends on the
//! binary's crate: what is measured is what a user has.

mod control;
mod daemon;
mod drivers;
mod gateway;
mod process;
mod report;

use anyhow::{Context, Result, bail};
use drivers::BENCHES;
use report::Row;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a driver needs to know.
pub(crate) struct Setup {
    /// The binary that is measured.
    pub(crate) binary: PathBuf,
    /// The root of the workspace that it is built from.
    pub(crate) workspace: PathBuf,
}

#[derive(Default)]
struct Arguments {
    binary: Option<PathBuf>,
    workspace: Option<PathBuf>,
    names: Vec<String>,
    is_json: bool,
    is_quick: bool,
    is_quality: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments = parse(std::env::args().skip(1))?;
    let setup = Setup {
        binary: arguments.binary.context("--binary PATH is missing")?,
        workspace: arguments.workspace.context("--workspace PATH is missing")?,
    };
    let mut failures = Vec::new();
    if !arguments.is_json {
        println!("{}", report::TABLE_HEAD);
    }
    for bench in BENCHES {
        let is_wanted = match arguments.names.as_slice() {
            [] if arguments.is_quality => bench.is_of_quality,
            [] if bench.is_of_quality => false,
            [] => !(arguments.is_quick && bench.is_long),
            names => names.iter().any(|name| name == bench.name),
        };
        if !is_wanted {
            continue;
        }
        match (bench.run)(&setup) {
            Ok(rows) => rows.iter().for_each(|row| print(row, arguments.is_json)),
            Err(error) => {
                eprintln!("{} failed: {error:#}", bench.name);
                failures.push(bench.name);
            }
        }
    }
    if !failures.is_empty() {
        bail!("these benchmarks failed: {}", failures.join(", "));
    }
    Ok(())
}

fn print(row: &Row, is_json: bool) {
    if is_json {
        println!("{}", row.to_json());
    } else {
        println!("{}", row.to_line());
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => arguments.is_json = true,
            "--quick" => arguments.is_quick = true,
            "--quality" => arguments.is_quality = true,
            "--binary" => arguments.binary = words.next().map(PathBuf::from),
            "--workspace" => arguments.workspace = words.next().map(PathBuf::from),
            name if BENCHES.iter().any(|bench| bench.name == name) => arguments.names.push(word),
            other => bail!(
                "there is no benchmark {other}; there are: {}",
                names().join(", ")
            ),
        }
    }
    Ok(arguments)
}

fn names() -> Vec<&'static str> {
    BENCHES.iter().map(|bench| bench.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let Err(error) = parse(["speed".to_owned()].into_iter()) else {
            panic!("`speed` is no benchmark");
        };
        assert!(
            error.to_string().contains("cli_cold_start, one_shot"),
            "{error}"
        );
    }

    #[test]
    fn names_and_flags_may_come_in_any_order() {
        let words = [
            "--json",
            "one_shot",
            "--binary",
            "/b",
            "binary_size",
            "--quick",
        ];
        let arguments = parse(words.map(str::to_owned).into_iter()).unwrap();
        assert_eq!(arguments.names, ["one_shot", "binary_size"]);
        assert!(arguments.is_json && arguments.is_quick);
        assert_eq!(arguments.binary, Some("/b".into()));
    }
}
