//! `titanclaw trust`: whether the instructions in a folder speak for the person.
//!
//! The same is asked once, before a turn, where somebody is there. Elsewhere such a file is shown to the model without
//! being followed.

use super::{Context, Exit, prompt};
use anyhow::{Context as _, bail};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use titan_agent::{INSTRUCTION_BYTES_MAX, INSTRUCTION_FILES, fingerprint};
use titan_protocol::BlobId;
use titan_tui::render::visible::visible;

/// Trust the instructions in a folder's AGENTS.md, or no longer
///
/// Trust is bound to the content: a file that changes is asked about anew.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The folder [default: the current one]
    folder: Option<PathBuf>,
    /// Trust without asking
    #[arg(long, short, conflicts_with = "no")]
    yes: bool,
    /// Trust no longer, without asking
    #[arg(long)]
    no: bool,
}

/// An instruction file as it is now.
struct Instructions {
    path: PathBuf,
    text: String,
    fingerprint: BlobId,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let folder = arguments.folder.as_deref().unwrap_or(Path::new("."));
    let folder = folder
        .canonicalize()
        .with_context(|| format!("the folder {} can't be used", folder.display()))?;
    let found: Vec<Instructions> = files(&folder)?;
    if found.is_empty() {
        bail!(
            "there is no {} with anything in it in {}",
            INSTRUCTION_FILES.join(" or "),
            folder.display()
        );
    }
    context.home.prepare()?;
    for file in &found {
        let is_trusted = match (arguments.yes, arguments.no) {
            (true, _) => true,
            (_, true) => false,
            _ if prompt::is_possible() => ask(file)?,
            _ => bail!("nobody is here to ask. Say it: titanclaw trust --yes, or --no"),
        };
        keep(context, file, is_trusted)?;
    }
    Ok(Exit::Completed)
}

/// Asks about instructions in the workspace that were never asked about. Somebody must be there.
///
/// # Errors
/// When the answer can't be read or kept.
pub(super) fn ask_once(context: &Context, workspace: &Path) -> anyhow::Result<()> {
    // What can't be read is shown to no model either.
    for file in files(workspace).unwrap_or_default() {
        if context.home.trust().decided(&file.fingerprint).is_none() {
            context.home.prepare()?;
            let is_trusted = ask(&file)?;
            keep(context, &file, is_trusted)?;
        }
    }
    Ok(())
}

fn files(folder: &Path) -> anyhow::Result<Vec<Instructions>> {
    let mut found = Vec::new();
    for name in INSTRUCTION_FILES {
        let path = folder.join(name);
        // A pipe by this name would keep whoever opens it waiting.
        if !path.is_file() {
            continue;
        }
        let cause = || format!("{} can't be read", path.display());
        let mut bytes = Vec::new();
        File::open(&path)
            .with_context(cause)?
            .take(INSTRUCTION_BYTES_MAX)
            .read_to_end(&mut bytes)
            .with_context(cause)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if !text.trim().is_empty() {
            let fingerprint = fingerprint(&bytes);
            found.push(Instructions {
                path,
                text,
                fingerprint,
            });
        }
    }
    Ok(found)
}

/// Shows all of it, with everything in it that hides, and asks.
fn ask(file: &Instructions) -> anyhow::Result<bool> {
    let path = visible(&file.path.to_string_lossy()).replace('\n', "␊");
    let shown: String = visible(&file.text.replace('\t', "    "))
        .trim_end()
        .lines()
        .map(|line| format!("│ {line}\n"))
        .collect();
    prompt::put(&format!("┌ {path}\n{shown}└\n"))?;
    prompt::yes(
        "Trust these instructions as your own? If not, the model still sees them, as material",
        false,
    )
}

fn keep(context: &Context, file: &Instructions, is_trusted: bool) -> anyhow::Result<()> {
    context
        .home
        .trust()
        .keep(&file.fingerprint, &file.path, is_trusted)?;
    let path = file.path.display();
    context.say(&match is_trusted {
        true => format!("{path} is followed, as long as it stays as it is"),
        false => format!("{path} is not followed; to change that: titanclaw trust"),
    });
    Ok(())
}
