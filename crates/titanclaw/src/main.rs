//! The `titanclaw` binary: reads what the person asked for, wires the parts, runs.
//!
//! Nothing happens here but the hand-over to [`cli`]: no runtime, no config and no file is touched before the
//! arguments are understood, so that `--help` and `--version` cost next to nothing.

mod cli;
mod config;
mod daemon;
mod line;
mod logging;
mod logs;
mod memory;
mod wire;

fn main() -> std::process::ExitCode {
    cli::main()
}
