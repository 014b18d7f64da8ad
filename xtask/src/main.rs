//! The project's own chores, in place of shell scripts: `cargo xtask tidy | checks | fuzz | prelude | test | conformance | bench`.
//!
//! It must compile in seconds and on a bare machine, so it depends on next to nothing, and on no crate of the product.

mod bench;
mod cargo;
mod checks;
mod conformance;
mod faults;
mod fuzz;
mod machine;
mod prelude;
mod skips;
mod test;
mod tidy;
mod web;

use anyhow::{Result, bail};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

commands:
  tidy                              check what compilers don't: crate edges, orphaned files, docs
  checks                            write the table of checks and the tests that hold them
  fuzz [TARGET…] [--minutes N]      try mutants of the kept inputs, each target for N minutes
  prelude [--check]                 pack what generated tools are compiled against, or say whether that is done
  test                              install what the tests need, then run every check and every test
  faults [--kills N] [--cuts N]     kill engines, cut the power, fill and break disks; 200 and 20 without numbers
  conformance [SUITE…]              OpenAI's client, schemathesis and Autobahn's cases against the gateway
  bench [NAME…] [--json] [--quick]  measure; without a name everything, with --quick all but the long ones
  bench --quality                   measure how good answers are instead
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((command, [])) if command == "tidy" => tidy::run(),
        Some((command, [])) if command == "checks" => checks::run(),
        Some((command, rest)) if command == "fuzz" => fuzz::run(rest),
        Some((command, rest)) if command == "prelude" => prelude::run(rest),
        Some((command, [])) if command == "test" => test::run(),
        Some((command, rest)) if command == "faults" => faults::run(rest),
        Some((command, rest)) if command == "conformance" => conformance::run(rest),
        Some((command, rest)) if command == "bench" => bench::run(rest),
        Some((command, _)) if matches!(command.as_str(), "help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        _ => bail!("that is no command of xtask\n\n{USAGE}"),
    }
}
