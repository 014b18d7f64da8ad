//! What machines do to an engine, more often than an ordinary test run has time for; the tests print the counts.

use crate::cargo;
use anyhow::{Context, Result, bail};

/// How often, where nobody says.
const KILLS: u32 = 200;
const CUTS: u32 = 20;

/// Runs the durability tests of the built program with these counts. Power cuts and broken disks need root, and say so
/// where they are skipped.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut kills, mut cuts) = (KILLS, CUTS);
    for pair in arguments.chunks(2) {
        let [name, number] = pair else {
            bail!("{} wants a number", pair[0]);
        };
        let number = number
            .parse()
            .with_context(|| format!("{name} {number}: that is no number"))?;
        match name.as_str() {
            "--kills" => kills = number,
            "--cuts" => cuts = number,
            _ => bail!("there is no option {name}; there are --kills and --cuts"),
        }
    }
    let mut tests = cargo::cargo(&[
        "test",
        "--package",
        "titanclaw",
        "--test",
        "durability",
        "--",
        "--nocapture",
        "--test-threads=1",
    ]);
    tests
        .env("TITAN_KILLS", kills.to_string())
        .env("TITAN_POWER_CUTS", cuts.to_string())
        .env("TITAN_CUT_STEP", "1");
    cargo::run(tests)
}
