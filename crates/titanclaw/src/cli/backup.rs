//! `titanclaw backup FILE` and `titanclaw restore FILE`: a home in one file, and back.

use super::{Context, Exit};
use crate::config::home::Home;
use crate::wire;
use anyhow::{Context as _, bail};
use std::path::PathBuf;
use titan_tui::render;

#[derive(clap::Args, Debug)]
pub(super) struct BackupArguments {
    /// The file to make; one that is there is left alone
    file: PathBuf,
    /// Put the key of the sealed secrets in too: whoever has the file then has the secrets
    #[arg(long)]
    with_key: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct RestoreArguments {
    /// The file that backup made
    file: PathBuf,
    /// Set aside the home that is there; it is kept under another name
    #[arg(long)]
    force: bool,
}

pub(super) fn back_up(context: &Context, arguments: &BackupArguments) -> anyhow::Result<Exit> {
    if let Some(server) = wire::store_server(context.config()?)? {
        bail!(
            "what is stored is in {server}, which this does not back up: use the server's own tools (pg_dump of the \
             whole database), and keep config.toml and secrets.key of the home; or take it home first (titanclaw store migrate \
             --to home)"
        );
    }
    let home = context.home.path();
    let file = &arguments.file;
    let manifest = titan_store::backup(home, file, &Home::OWN_FILES, arguments.with_key)?;
    let n_bytes = std::fs::metadata(file)
        .with_context(|| format!("{} can't be looked at", file.display()))?
        .len();
    let secrets = match manifest.has_key {
        true => "The key of the sealed secrets is in it: keep it as safe as the secrets",
        false => "Secrets stay sealed in it, and their key is not in it",
    };
    context.say(&format!(
        "{} holds {} files, {}. {secrets}. To use it: titanclaw restore FILE",
        file.display(),
        manifest.files.len(),
        render::bytes(n_bytes)
    ));
    for name in &manifest.damaged {
        context.say(&format!(
            "{name} was damaged in the home already and is so in the backup; no other output is touched by that"
        ));
    }
    Ok(Exit::Completed)
}

pub(super) fn restore(context: &Context, arguments: &RestoreArguments) -> anyhow::Result<Exit> {
    let home = context.home.path();
    let restored = titan_store::restore(&arguments.file, home, arguments.force)?;
    let manifest = &restored.manifest;
    context.say(&format!(
        "{} is as it was at {}: {} files by titanclaw {}",
        home.display(),
        render::moment(manifest.made_at),
        manifest.files.len(),
        manifest.version
    ));
    if let Some(aside) = &restored.set_aside {
        context.say(&format!(
            "the home that was there before is kept at {}",
            aside.display()
        ));
    }
    if !manifest.has_key && !restored.key_was_kept {
        context.say(
            "the key of the sealed secrets was not in the backup: set keys anew (titanclaw onboard), or put secrets.key \
             of the old home there",
        );
    }
    Ok(Exit::Completed)
}
