//! `titanclaw presence open|close|list|pack`: which files are open, and what is known about one.
//!
//! An engine holds the open files while it runs, so without one there is nobody to tell; a pack is made at any time.

use super::{Context, Exit, engine_runtime};
use crate::wire::{self, Need};
use anyhow::{Context as _, bail};
use std::path::PathBuf;
use titan_protocol::{Pack, PackKind, Presence};
use titan_tui::render::style::{Line, Style};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Say that a file is open
    Open {
        /// The file
        file: PathBuf,
        /// Who has it open
        #[arg(long, value_name = "NAME", default_value = "person")]
        by: String,
    },
    /// Say that a file is open no longer
    Close {
        /// The file
        file: PathBuf,
    },
    /// List the files that are open, the last opened first
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show what is known about a file: its outline, who uses it, its history, and notes
    Pack {
        /// The file
        file: PathBuf,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    engine_runtime()?.block_on(async {
        let attached = wire::attach(context, Need::Records).await?;
        let is_told = !matches!(arguments.command, Command::Pack { .. });
        let done = match attached.is_own() && is_told {
            true => Err(anyhow::anyhow!(
                "no engine runs that could know which files are open. Start one: titanclaw daemon start"
            )),
            false => obey(context, attached.presence.as_ref(), arguments.command).await,
        };
        attached.close().await?;
        done
    })?;
    Ok(Exit::Completed)
}

async fn obey(context: &Context, presence: &dyn Presence, command: Command) -> anyhow::Result<()> {
    let output = context.output();
    match command {
        Command::Open { file, by } => presence.open(absolute(file)?, by).await?,
        Command::Close { file } => presence.close(absolute(file)?).await?,
        Command::List { json } => {
            let files = presence.list().await?;
            if files.is_empty() {
                context.say("no file is open");
            }
            for file in &files {
                match json {
                    true => output.json(file)?,
                    false => {
                        let state = if file.is_ready { "ready" } else { "being read" };
                        let line = format!("{}  {} ({state})", file.path.display(), file.by);
                        output.lines(&[Line::default().with(Style::PLAIN, line)])?;
                    }
                }
            }
        }
        Command::Pack { file, json } => {
            let pack = presence.pack(absolute(file)?).await?;
            match json {
                true => output.json(&pack)?,
                false if pack.parts.is_empty() => bail!("nothing is known about this file"),
                false => output.lines(&lines(&pack))?,
            }
        }
    }
    Ok(())
}

fn absolute(file: PathBuf) -> anyhow::Result<PathBuf> {
    std::path::absolute(&file).with_context(|| format!("{} is no path", file.display()))
}

fn lines(pack: &Pack) -> Vec<Line> {
    let mut lines = Vec::new();
    for part in &pack.parts {
        lines.push(Line::default().with(Style::BOLD, heading(part.kind)));
        for line in &part.lines {
            lines.push(
                Line::default()
                    .with(Style::PLAIN, format!("  {}", line.text))
                    .with(Style::DIM, format!("  {}", line.source)),
            );
        }
        if let Some(gap) = &part.gap {
            lines.push(Line::dim(format!("  {gap}")));
        }
    }
    lines
}

fn heading(kind: PackKind) -> &'static str {
    match kind {
        PackKind::About => "What it is about",
        PackKind::Outline => "What it defines",
        PackKind::Callers => "Who uses it",
        PackKind::History => "Its last changes",
        PackKind::Bugs => "What was wrong in it",
        PackKind::Decisions => "What was noted of it in conversations",
        PackKind::Notes => "Notes",
    }
}
