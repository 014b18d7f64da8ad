//! `titanclaw web`: the page in a browser, and the API behind it.

use super::{Context, Ended, Exit, engine_runtime, light_runtime};
use crate::config::Gateway as Settings;
use crate::daemon::{SocketClient, is_served};
use crate::wire::{self, Gateway, Need};
use anyhow::Context as _;
use std::process::{Command, Stdio};
use tokio::signal::unix::{SignalKind, signal};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Serve at this port; 0: any that is free [default: 7717]
    #[arg(long, value_name = "NUMBER")]
    port: Option<u16>,
    /// Print the link and open no browser
    #[arg(long)]
    no_open: bool,
    /// Make a new token: every browser and program that has the old one is shut out at once
    #[arg(long)]
    new_token: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    if arguments.new_token {
        wire::renew_token(context)?;
        context.say("a new token was made; what the old one opened is closed");
        return Ok(Exit::Completed);
    }
    if let Some(link) = light_runtime()?.block_on(served(context))? {
        show(context, arguments, &link)?;
        return Ok(Exit::Completed);
    }
    // It serves many at once.
    let files_max = wire::raise_open_files();
    if let Some(text) = wire::too_few(files_max) {
        context.say(&text);
    }
    engine_runtime()?.block_on(serve(context, arguments))
}

/// A link to the gateway of the engine that runs already, if it has one.
async fn served(context: &Context) -> anyhow::Result<Option<String>> {
    let socket = context.home.socket();
    match is_served(&socket).await {
        true => Ok(SocketClient::new(&socket).gateway(true).await?),
        false => Ok(None),
    }
}

async fn serve(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut settings: Settings = context.config()?.gateway.clone().unwrap_or_default();
    settings.port = arguments.port.unwrap_or(settings.port);
    let folder = std::env::current_dir().context("the current folder is gone")?;
    let opened = wire::open_gateway(context, &settings, Some(&folder)).await?;
    let opened = opened.overriding_port(arguments.port);
    let need = Need::Model {
        asked: None,
        lasts: true,
    };
    let attached = wire::attach(context, need).await?;
    let gateway = opened.serve(attached.behind())?;
    let ended = attached
        .unless_stopped(talk(context, arguments, &gateway))
        .await;
    gateway.close().await;
    attached.close().await?;
    match ended {
        Ok(()) => Ok(Exit::Completed),
        // Asked to end, it ends as it should.
        Err(error) if error.is::<Ended>() => Ok(Exit::Completed),
        Err(error) => Err(error),
    }
}

/// Shows the link and waits until somebody has had enough.
async fn talk(context: &Context, arguments: &Arguments, gateway: &Gateway) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    show(context, arguments, &gateway.link())?;
    context.say(&format!(
        "serving {}; Ctrl-C ends it. Another browser: titanclaw web, again",
        gateway.page()
    ));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Prints the link, and opens it where there is a browser. It is good once and for two minutes.
fn show(context: &Context, arguments: &Arguments, link: &str) -> anyhow::Result<()> {
    context.output().text(&format!("{link}\n"))?;
    if arguments.no_open || !context.env.has_display {
        return Ok(());
    }
    let mut browser = Command::new("xdg-open");
    browser
        .arg(link)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Err(error) = browser.spawn() {
        context.say(&format!(
            "no browser was opened ({error}); open the link yourself"
        ));
    }
    Ok(())
}
