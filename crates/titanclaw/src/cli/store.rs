//! `titanclaw store migrate`: what is stored, taken from the home to a PostgreSQL server or back.

use super::{Context, Exit, light_runtime};
use crate::wire;
use anyhow::{Context as _, bail};
use clap::Subcommand;
use titan_store::{Moved, Server, move_to_home, move_to_server};
use titan_tui::render;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Copy all of it into an empty place; what is copied stays as it is
    ///
    /// No engine may run meanwhile. The target gets all or nothing, so a try that was cut short is made again.
    Migrate {
        /// A database, as postgres://USER@HOST/DATABASE; or `home`, from the database that store.url names
        #[arg(long, value_name = "URL|home")]
        to: String,
    },
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let Command::Migrate { to } = arguments.command;
    light_runtime()?.block_on(async {
        match to.as_str() {
            "home" => to_home(context).await,
            url => to_server(context, url).await,
        }
    })?;
    Ok(Exit::Completed)
}

async fn to_server(context: &Context, url: &str) -> anyhow::Result<()> {
    let config = context.config()?;
    let target = wire::named_server(config, url)?;
    if let Some(used) = wire::store_server(config)?
        && used != target
    {
        bail!(
            "what is stored is in {used} by now, not in the home: take it home first (titanclaw store migrate --to home), \
             then to {target}"
        );
    }
    let moved = move_to_server(context.home.path(), &target).await?;
    context.say(&format!(
        "{target} holds it all now: {}. The home keeps its own copy and the key of the secrets. To use the server: \
         titanclaw config set store.url URL",
        told(&moved)
    ));
    Ok(())
}

async fn to_home(context: &Context) -> anyhow::Result<()> {
    let source = source(context)?;
    context.home.prepare()?;
    let moved = move_to_home(&source, context.home.path()).await?;
    context.say(&format!(
        "{} holds it all now: {}. {source} keeps its own copy. To use the home's: titanclaw config unset store.url",
        context.home.database().display(),
        told(&moved)
    ));
    Ok(())
}

fn source(context: &Context) -> anyhow::Result<Server> {
    let server = wire::store_server(context.config()?)?;
    server.context(
        "store.url is not set, so what is stored is in the home already; to take it from a server, set store.url to that",
    )
}

fn told(moved: &Moved) -> String {
    let newest: String = moved.newest_link.chars().take(12).collect();
    format!(
        "{} links of the journal, the newest is {newest}, {} records, {} documents and {} outputs",
        render::count(moved.links),
        render::count(moved.records),
        render::count(moved.documents),
        render::count(moved.blobs)
    )
}
