//! The gateway's parts: its token in the home, its address from the config, the engine behind it.

use super::{Attached, Owned};
use crate::cli::Context;
use crate::config::Gateway as Settings;
use crate::config::settings::{SettingsFile, overrides};
use crate::daemon::{Doors, Serving};
use crate::logs::LogFolder;
use anyhow::Context as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_local::LocalEmbedder;
use titan_protocol::{Client, Memory, Override, Presence, SessionId, TurnId};
use titan_web::{Access, Door, Limits, ModelsForOne, Ports};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A gateway that has its address, before there is an engine.
pub(crate) struct Opened {
    door: Door,
    config: PathBuf,
    overrides: Vec<(&'static str, Override)>,
    logs: LogFolder,
}

/// An engine, for a gateway.
pub(crate) struct Behind<'a> {
    client: Arc<dyn Client>,
    memory: Arc<dyn Memory>,
    presence: Arc<dyn Presence>,
    /// What is known only where it lives in this process: where callers are told of the gateway, its models, and the
    /// names of its keys.
    doors: Option<&'a Doors>,
    models: Option<ModelsForOne>,
    keys: Option<Vec<String>>,
}

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
    Ok(Opened {
        door: Door::open(address, Arc::new(access), config).await?,
        config: context.home.config(),
        overrides: overrides(&context.env),
        logs: LogFolder::new(&context.home.logs()),
    })
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
    /// Says that the command line names another port than the settings.
    pub(crate) fn overriding_port(mut self, port: Option<u16>) -> Self {
        self.overrides.extend(port.map(|port| {
            let by = "--port".to_owned();
            let value = port.into();
            ("gateway.port", Override { value, by })
        }));
        self
    }

    /// Serves it before an engine, of which those who ask are told where it is.
    ///
    /// # Errors
    /// When the config file can't be read.
    pub(crate) fn serve(self, behind: Behind<'_>) -> anyhow::Result<Gateway> {
        let Self { door, logs, .. } = self;
        let (stop, page, link) = (CancellationToken::new(), door.page(), door.link());
        if let Some(doors) = behind.doors {
            doors.set(page.clone(), door.link());
        }
        let settings = SettingsFile::open(self.config, self.overrides, behind.keys)?;
        let ports = Ports {
            client: behind.client,
            embedder: Arc::new(LocalEmbedder::new()),
            models: behind.models,
            memory: behind.memory,
            presence: behind.presence,
            settings: Arc::new(settings),
            logs: Arc::new(logs),
        };
        let task = tokio::spawn(door.serve(ports, stop.clone()));
        Ok(Gateway {
            stop,
            task,
            page,
            link: Box::new(link),
        })
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
    /// This engine, for a gateway.
    pub(crate) fn behind(&self) -> Behind<'_> {
        let late = Arc::clone(&self.late);
        let models = move || late.scoped(SessionId::new(), TurnId::new(), 0);
        Behind {
            client: self.client.clone(),
            memory: self.memory.clone(),
            presence: self.presence.clone(),
            doors: self.serving.as_ref().map(Serving::doors),
            models: Some(Arc::new(models)),
            keys: Some(self.keys.clone()),
        }
    }
}

impl Attached {
    /// This engine, for a gateway.
    pub(crate) fn behind(&self) -> Behind<'_> {
        match &self.owned {
            Some(owned) => owned.behind(),
            None => Behind {
                client: self.client.clone(),
                memory: self.memory.clone(),
                presence: self.presence.clone(),
                doors: None,
                models: None,
                keys: None,
            },
        }
    }
}
