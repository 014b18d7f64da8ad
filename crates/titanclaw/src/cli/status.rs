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
    let (status, gateway) = light_runtime()?.block_on(async {
        match is_served(&socket).await {
            true => {
                let client = SocketClient::new(&socket);
                // An engine of another version has no answer to it.
                let gateway = client.gateway(false).await.unwrap_or_default();
                anyhow::Ok((Some(client.status().await?), gateway))
            }
            false => Ok((None, None)),
        }
    })?;
    let output = context.output();
    match (&status, arguments.json) {
        (Some(status), true) => output.json(
            &json!({ "is_running": true, "engine": status, "gateway": gateway }),
        )?,
        (None, true) => output.json(&json!({ "is_running": false, "home": context.home.path() }))?,
        (Some(status), false) => output.text(&text(status, gateway.as_deref()))?,
        (None, false) => output.text(&format!(
            "No engine runs for {}. Each command starts its own; `titanclaw daemon start` keeps one running.\n",
            context.home.path().display()
        ))?,
    }
    Ok(Exit::Completed)
}

fn text(status: &EngineStatus, gateway: Option<&str>) -> String {
    let gateway = gateway.unwrap_or("none; `titanclaw web` opens one");
    let offline = if status.is_offline { ", offline" } else { "" };
    format!(
        "engine   {} (process {}{offline})\nhome     {}\nmodel    {}\nsince    {}\nturns    {} running\nmemory   {}\ngateway  {gateway}\n",
        status.version,
        status.pid,
        status.home.display(),
        status.model,
        render::moment(status.started_at),
        status.turns_running,
        render::bytes(status.resident_bytes),
    )
}
