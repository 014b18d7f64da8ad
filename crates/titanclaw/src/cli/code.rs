//! `titanclaw code index|search|symbol|callers|callees|impact|map`: what a folder's code is about, what it defines and what
//! uses it.

use super::{Context, Exit, light_runtime};
use crate::wire;
use anyhow::Context as _;
use std::path::PathBuf;
use titan_protocol::{
    CODE_DEPTH_MAX, CODE_SYMBOLS_MAX, CODE_TOKENS_MAX, CodeDirection, CodeGraph, CodeSummary,
};
use titan_tools::{code_found, code_impact, code_symbols, code_uses};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The folder of the code [default: the current one]
    #[arg(long, global = true, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// One JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Read what changed, and tell what is known
    Index,
    /// Find the files that are about something
    Search {
        /// Words, such as rate limiting
        #[arg(required = true)]
        words: Vec<String>,
        /// How many files at most
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_most(CODE_SYMBOLS_MAX))]
        limit: i64,
    },
    /// Find where something is defined
    Symbol(Named),
    /// Find what uses something
    Callers(Named),
    /// Find what something uses
    Callees(Named),
    /// Find what may break when something changes
    Impact {
        #[command(flatten)]
        named: Named,
        /// Over how many uses
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_most(CODE_DEPTH_MAX))]
        depth: i64,
    },
    /// Outline what matters most
    Map {
        /// What it should be about, in words
        #[arg(long, value_name = "WORDS")]
        about: Option<String>,
        /// How long it may be
        #[arg(long, value_name = "N", default_value_t = 1_500, value_parser = at_most(CODE_TOKENS_MAX))]
        tokens: i64,
    },
}

#[derive(clap::Args, Debug)]
struct Named {
    /// A name, such as close or Session.close, or PATH:LINE
    name: String,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = at_most(CODE_SYMBOLS_MAX))]
    limit: i64,
}

fn at_most(most: usize) -> clap::builder::RangedI64ValueParser {
    clap::value_parser!(i64).range(1..=i64::try_from(most).unwrap_or(i64::MAX))
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let folder = arguments.folder.unwrap_or_else(|| PathBuf::from("."));
    let folder = folder
        .canonicalize()
        .with_context(|| format!("{} is not there", folder.display()))?;
    let code = wire::code(context);
    let output = context.output();
    light_runtime()?.block_on(async {
        let is_json = arguments.json;
        let text = match arguments.command {
            Command::Index => {
                let summary = code.index(&folder).await?;
                if is_json {
                    return output.json(&summary);
                }
                told(&summary)
            }
            Command::Search { words, limit } => {
                let limit = usize::try_from(limit)?;
                let found = code.search(&folder, &words.join(" "), limit).await?;
                if is_json {
                    return output.json(&found);
                }
                code_found(&found)
            }
            Command::Symbol(Named { name, limit }) => {
                let found = code
                    .symbols(&folder, &name, usize::try_from(limit)?)
                    .await?;
                if is_json {
                    return output.json(&found);
                }
                code_symbols(&found)
            }
            Command::Callers(named) => {
                let direction = CodeDirection::Callers;
                let limit = usize::try_from(named.limit)?;
                let found = code.uses(&folder, &named.name, direction, limit).await?;
                if is_json {
                    return output.json(&found);
                }
                code_uses(&found, direction)
            }
            Command::Callees(named) => {
                let direction = CodeDirection::Callees;
                let limit = usize::try_from(named.limit)?;
                let found = code.uses(&folder, &named.name, direction, limit).await?;
                if is_json {
                    return output.json(&found);
                }
                code_uses(&found, direction)
            }
            Command::Impact { named, depth } => {
                let (depth, limit) = (usize::try_from(depth)?, usize::try_from(named.limit)?);
                let found = code.impact(&folder, &named.name, depth, limit).await?;
                if is_json {
                    return output.json(&found);
                }
                code_impact(&found)
            }
            Command::Map { about, tokens } => {
                let tokens = usize::try_from(tokens)?;
                let map = code.map(&folder, about.as_deref(), tokens).await?;
                if is_json {
                    return output.json(&serde_json::json!({"map": map}));
                }
                match map.trim_end() {
                    "" if about.is_some() => "[no file is about that]".to_owned(),
                    map => map.to_owned(),
                }
            }
        };
        output.text(&format!("{text}\n"))?;
        anyhow::Ok(())
    })?;
    Ok(Exit::Completed)
}

fn told(summary: &CodeSummary) -> String {
    let counted = |counts: &[(String, usize)]| {
        let each: Vec<String> = counts
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        each.join(", ")
    };
    let mut text = format!(
        "{} files, {} lines, {} symbols, {} uses; {} changed",
        summary.files, summary.lines, summary.symbols, summary.edges, summary.changed
    );
    if !summary.languages.is_empty() {
        text.push_str(&format!("\nread: {}", counted(&summary.languages)));
    }
    if !summary.skipped.is_empty() {
        text.push_str(&format!("\npassed over: {}", counted(&summary.skipped)));
    }
    text
}
