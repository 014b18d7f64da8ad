//! `titanclaw status`: the engine that owns the home now, if any.

use super::{Context, Exit, light_runtime};
use crate::daemon::{SocketClient, is_served};
use serde_json::json;
use titan_protocol::{Client, EngineStatus};
use titan_tui::render;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let socket = context.home.socket();
    let status = light_runtime()?.block_on(async {
        match is_served(&socket).await {
            true => SocketClient::new(&socket).status().await.map(Some),
            false => Ok(None),
        }
    })?;
    let output = context.output();
    match (&status, arguments.json) {
        (Some(status), true) => output.json(&json!({ "is_running": true, "engine": status }))?,
        (None, true) => output.json(&json!({ "is_running": false, "home": context.home.path() }))?,
        (Some(status), false) => output.text(&text(status))?,
        (None, false) => output.text(&format!(
            "No engine runs for {}. Each command starts its own; `titanclaw daemon start` keeps one running.\n",
            context.home.path().display()
        ))?,
    }
    Ok(Exit::Completed)
}

fn text(status: &EngineStatus) -> String {
    let offline = if status.is_offline { ", offline" } else { "" };
    format!(
        "engine   {} (process {}{offline})\nhome     {}\nmodel    {}\nsince    {}\nturns    {} running\nmemory   {}\n",
        status.version,
        status.pid,
        status.home.display(),
        status.model,
        render::moment(status.started_at),
        status.turns_running,
        render::bytes(status.resident_bytes),
    )
}
