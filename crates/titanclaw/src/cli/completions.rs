//! `titanclaw completions SHELL`.

use super::Exit;
use clap_complete::Shell;
use std::io::{self, Write};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut super::command(),
        "titanclaw",
        &mut script,
    );
    io::stdout().write_all(&script)?;
    Ok(Exit::Completed)
}
