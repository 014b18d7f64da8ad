//! The gateway's parts: its token in the home, its address from the config, the engine behind it.

use super::{Attached, Owned};
use crate::cli::Context;
use crate::config::Gateway as Settings;
use crate::daemon::Doors;
use anyhow::Context as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_local::LocalEmbedder;
use titan_protocol::{Client, SessionId, TurnId};
use titan_web::{Access, Door, Limits, ModelsForOne, Ports};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A gateway that has its address, before there is an engine.
pub(crate) struct Opened(Door);

/// A gateway that is being served.
pub(crate) struct Gateway {
    stop: CancellationToken,
    task: JoinHandle<()>,
    page: String,
    link: Box<dyn Fn() -> String + Send + Sync>,
}

/// Takes the gateway's address. `folder` is for turns that name none, where the settings say nothing.
///
/// # Errors
/// When the address is none, is taken, or is reached from other machines without leave, or the token can't be used.
pub(crate) async fn open_gateway(
    context: &Context,
    settings: &Settings,
    folder: Option<&Path>,
) -> anyhow::Result<Opened> {
    context.home.prepare()?;
    let ip: IpAddr = settings.address.parse().with_context(|| {
        format!(
            "`gateway.address` is {:?}, which is no IP address such as 127.0.0.1",
            settings.address
        )
    })?;
    let access = Access::open(&context.home.gateway_token())?;
    let config = titan_web::Config {
        hosts: settings.hosts.clone(),
        is_exposed: settings.is_exposed,
        workspace: workspace(context, settings, folder)?,
        limits: Limits::default(),
    };
    let address = SocketAddr::new(ip, settings.port);
    Ok(Opened(Door::open(address, Arc::new(access), config).await?))
}

/// Makes a new token; the old one, and what it opened, counts no longer.
///
/// # Errors
/// When the home or the file can't be written.
pub(crate) fn renew_token(context: &Context) -> anyhow::Result<()> {
    context.home.prepare()?;
    Ok(titan_web::renew(&context.home.gateway_token())?)
}

/// The folder for turns that name none.
fn workspace(
    context: &Context,
    settings: &Settings,
    folder: Option<&Path>,
) -> anyhow::Result<PathBuf> {
    if let Some(named) = &settings.workspace {
        return std::path::absolute(named).with_context(|| {
            format!(
                "`gateway.workspace` is {}, which is no path",
                named.display()
            )
        });
    }
    if let Some(folder) = folder {
        return Ok(folder.to_owned());
    }
    let cache = context.env.cache.as_ref().context(
        "there is no folder for the gateway's turns, since HOME is not set. Name one: titanclaw config set gateway.workspace DIR",
    )?;
    let made = cache.join("titanclaw/workspace");
    std::fs::create_dir_all(&made)
        .with_context(|| format!("the folder {} can't be made", made.display()))?;
    Ok(made)
}

impl Opened {
    /// Serves it before an engine, of which those who ask are told where it is.
    pub(crate) fn serve(
        self,
        client: Arc<dyn Client>,
        doors: Option<&Doors>,
        models: Option<ModelsForOne>,
    ) -> Gateway {
        let Self(door) = self;
        let (stop, page, link) = (CancellationToken::new(), door.page(), door.link());
        if let Some(doors) = doors {
            doors.set(page.clone(), door.link());
        }
        let ports = Ports {
            client,
            embedder: Arc::new(LocalEmbedder::new()),
            models,
        };
        let task = tokio::spawn(door.serve(ports, stop.clone()));
        Gateway {
            stop,
            task,
            page,
            link: Box::new(link),
        }
    }
}

impl Gateway {
    /// Where the page is.
    pub(crate) fn page(&self) -> &str {
        &self.page
    }

    /// A link that opens the page in one browser.
    pub(crate) fn link(&self) -> String {
        (self.link)()
    }

    /// Ends it, with all that is open.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the gateway failed");
        }
    }
}

impl Owned {
    /// Models for one request, which has the bounds of a turn.
    pub(crate) fn models(&self) -> ModelsForOne {
        let late = Arc::clone(&self.late);
        Arc::new(move || late.scoped(SessionId::new(), TurnId::new(), 0))
    }
}

impl Attached {
    /// Where this process tells callers of its gateway, if the engine lives in it.
    pub(crate) fn doors(&self) -> Option<&Doors> {
        self.owned.as_ref()?.doors()
    }

    /// Models for requests with tools of their own, if the engine lives in this process.
    pub(crate) fn models(&self) -> Option<ModelsForOne> {
        Some(self.owned.as_ref()?.models())
    }
}
