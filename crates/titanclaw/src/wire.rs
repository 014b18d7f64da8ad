//! Puts the parts together: the one place that knows every crate.
//!
//! A command asks for a [`Client`] with [`attach`]. If an engine owns the home already, that is its control socket;
//! else this process opens the home, and serves the socket itself while it lives, so that a second terminal works.

mod files;
pub(crate) mod forge;
mod gateway;
mod late;
mod local;
mod lower;
mod models;
mod reflexes;
mod secrets;
pub(crate) mod tools;

pub(crate) use files::{open_files_max, raise_open_files, too_few};
pub(crate) use gateway::{Gateway, open_gateway, renew_token};
pub(crate) use local::{CatalogueEntry, catalogue, is_whole};
pub(crate) use models::{Opened, list_models, look_around, open_model, pull};
pub(crate) use secrets::{can_seal, seal_key};

use crate::cli::{Context, tell};
use crate::config::Config;
use crate::config::env::{inherited, secret};
use crate::daemon::{ControlSocket, Serving, SocketClient, is_served};
use crate::logging;
use crate::memory;
use anyhow::{Context as _, anyhow};
use late::LateRouter;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use titan_agent::{Engine, Leisure};
use titan_codegraph::{CodeFolders, GitHistory, OpenFiles, PackPorts};
use titan_local::LocalEmbedder;
use titan_memory::{GraphMemory, Keeps};
use titan_protocol::{
    Client, CodeGraph, Egress, Enrichment, FileHistory, History, HistoryQuestion, Memory, Op,
    Presence, StorageError, UnixMillis, Workbench, WorkbenchError,
};
use titan_sandbox::{Confinement, GuardedEgress, HostConfig, HostWorkbench};
use titan_store::{Server, Store, StoreConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// How long an engine that is just starting is waited for.
const OWNER_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long what was just told may take to be stored.
const SETTLE_MAX: Duration = Duration::from_secs(2);
/// How long turns that were stopped may take to end.
const STOP_WAIT_MAX: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Sessions that are looked through for running turns.
const SESSIONS_MAX: usize = 10_000;
/// The person's own instructions for every session, in the home.
const IDENTITY_FILES: [&str; 2] = ["AGENTS.md", "USER.md"];
const IDENTITY_BYTES_MAX: u64 = 32 * 1024;

/// What a command needs of the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need<'a> {
    /// What is stored. No model is looked for.
    Records,
    /// A model; `asked` is the one that the command names. An engine that `lasts` beyond one turn also gives sessions
    /// their titles; for one turn that would cost more than it is worth.
    Model { asked: Option<&'a str>, lasts: bool },
}

/// An engine that a command uses.
pub(crate) struct Attached {
    pub(crate) client: Arc<dyn Client>,
    pub(crate) memory: Arc<dyn Memory>,
    pub(crate) presence: Arc<dyn Presence>,
    owned: Option<Owned>,
}

impl Attached {
    /// Does something until it is done, or until somebody ends the engine if it lives in this process
    /// (`titanclaw daemon stop`). The work is dropped then.
    ///
    /// # Errors
    /// Those of the work, and the end.
    pub(crate) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let stopped = async {
            match &self.owned {
                Some(owned) => owned.stopped().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = work => done,
            () = stopped => Err(anyhow!(crate::cli::Ended {
                exit: crate::cli::Exit::Interrupted,
                text: "the engine was asked to end (titanclaw daemon stop); what was said is kept".to_owned(),
            })),
        }
    }

    /// Whether the engine lives in this process and ends with it.
    pub(crate) fn is_own(&self) -> bool {
        self.owned.is_some()
    }

    /// Lets go of the engine. If it lives in this process, turns of other terminals are waited for first.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self.owned {
            None => Ok(()),
            Some(owned) => {
                owned.wait_for_others().await?;
                owned.close().await
            }
        }
    }
}

/// An engine in this process.
pub(crate) struct Owned {
    client: Arc<Engine>,
    /// `None` where only what is stored is looked at, which is soon done.
    serving: Option<Serving>,
    late: Arc<LateRouter>,
    learned: reflexes::Learned,
    memory: Arc<dyn Memory>,
    presence: Arc<dyn Presence>,
    /// The names of the keys that are there; none can be added while it lives.
    keys: Vec<String>,
    is_quiet: bool,
}

impl Owned {
    /// Returns when somebody asked it to end through the control socket.
    pub(crate) async fn stopped(&self) {
        match &self.serving {
            Some(serving) => serving.stopped().await,
            None => std::future::pending().await,
        }
    }

    /// Ends it: running turns are stopped, what happened is kept.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.settle(SETTLE_MAX).await?;
        for session in self.client.sessions(SESSIONS_MAX).await? {
            if session.is_running {
                let session = session.session;
                self.client.submit(Op::Interrupt { session }).await?;
            }
        }
        self.settle(STOP_WAIT_MAX).await?;
        self.learned.settle().await;
        if !titan_sandbox::HostWorkbench::programs_ended().await {
            tracing::warn!("programs are still being ended; their wardens see to the rest");
        }
        if let Some(serving) = self.serving {
            serving.close().await;
        }
        Ok(())
    }

    async fn wait_for_others(&self) -> anyhow::Result<()> {
        self.settle(SETTLE_MAX).await?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut is_told = false;
        let others = || self.serving.as_ref().map_or(0, Serving::connections);
        while others() > 0 && self.client.status().await?.turns_running > 0 {
            if !std::mem::replace(&mut is_told, true) && !self.is_quiet {
                tell(
                    "a turn of another terminal still runs here and is waited for. Ctrl-C stops it.",
                );
            }
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                settled = self.settle(Duration::from_millis(200)) => settled?,
            }
        }
        Ok(())
    }

    /// Waits until no turn runs, at most so long.
    async fn settle(&self, wait_max: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + wait_max;
        while self.client.status().await?.turns_running > 0 && Instant::now() < until {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }
}

/// The engine that owns the home, or one that this process starts.
///
/// # Errors
/// When the home can't be used, its owner does not answer, or no model can be set up.
pub(crate) async fn attach(context: &Context, need: Need<'_>) -> anyhow::Result<Attached> {
    let socket = context.home.socket();
    let until = Instant::now() + OWNER_WAIT_MAX;
    loop {
        if is_served(&socket).await {
            let client = Arc::new(SocketClient::new(&socket));
            if matches!(need, Need::Model { .. }) && !context.is_quiet {
                let status = client.status().await?;
                context.say(&format!(
                    "the engine that runs already (process {}) answers with {}",
                    status.pid, status.model
                ));
            }
            return Ok(Attached {
                memory: client.clone(),
                presence: client.clone(),
                client,
                owned: None,
            });
        }
        match own(context, need).await {
            Ok(owned) => {
                return Ok(Attached {
                    client: owned.client.clone(),
                    memory: owned.memory.clone(),
                    presence: owned.presence.clone(),
                    owned: Some(owned),
                });
            }
            // Its owner may be about to serve the socket.
            Err(error) if is_locked(&error) && Instant::now() < until => {
                tokio::time::sleep(LOOK_INTERVAL * 10).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StorageError::Locked(_)))
}

/// Opens the home in this process and serves its control socket.
///
/// # Errors
/// When another process owns the home, or something it is made of can't be opened.
pub(crate) async fn own(context: &Context, need: Need<'_>) -> anyhow::Result<Owned> {
    files::forbid_core_dumps();
    context.home.prepare()?;
    let config = context.config()?;
    crate::config::edit::keep_good(&context.home.config())?;
    let store = open_store(context).await?;
    logging::start(&context.home.logs(), context.env.log.as_deref());
    let sealed = store.secrets(secrets::OWNER);
    let keys = secrets::Keys::new(&context.env, Some(sealed));
    let redactor = keys.redactor().await?;
    logging::hide(redactor.clone());
    let names = keys.names().await?;
    let egress: Arc<dyn Egress> = Arc::new(GuardedEgress::open(
        lower::egress(config, &context.env, context.is_offline)?,
        Arc::new(keys),
    )?);
    let setting = match need {
        Need::Records => None,
        Need::Model { asked, .. } => {
            Some(models::settle(context, config, asked, &egress, &names).await?)
        }
    };
    let late = Arc::new(LateRouter::default());
    let lasts = matches!(need, Need::Model { lasts: true, .. });
    let writer = reflexes::writer(config, setting.as_ref(), lasts);
    let learned = reflexes::Learned::open(context, config, &store, writer).await?;
    let memory = Arc::new(memory_of(&store, lower::keeps(config)));
    let code = code(context);
    // Who asks once looks once.
    let code = Arc::new(if lasts { code.watched() } else { code });
    let enrichments: Vec<Arc<dyn Enrichment>> = vec![memory.clone(), code.clone()];
    let code: Arc<dyn CodeGraph> = code;
    let open_files = OpenFiles::start(PackPorts {
        code: code.clone(),
        history: Arc::new(GitHistory),
        memory: memory.clone(),
        open_workbench: workbenches(context, inherited()),
        clock: now,
    });
    let presence: Arc<dyn Presence> = Arc::new(open_files.clone());
    let parts = parts(
        context,
        setting.as_ref(),
        Kept {
            store: &store,
            memory: memory.clone(),
            code,
            open_files,
        },
        &egress,
        redactor,
        late.clone(),
        &learned,
    )?;
    let engine_config = titan_agent::Config {
        identity: identity(context.home.path()),
        is_alone: store.is_alone(),
        ..lower::engine(context, config, setting.as_ref(), lasts)
    };
    let forge = forge::Forge::new(context, config);
    let offered = tools::Offered::new(context, parts.pipeline.clone(), forge);
    // Where only what is stored is looked at, no tool runs.
    if setting.is_some() {
        offered.look().iter().for_each(|told| context.say(told));
    }
    let engine = Arc::new(Engine::open(parts, engine_config).await?);
    // What was left open is ended.
    store.share();
    learned.tell_of(&engine);
    if let Some(recovered) = engine.status().await?.recovered {
        tracing::warn!(
            recovered,
            "the engine before this one stopped without a word"
        );
        context.say(&recovered);
    }
    if let Some(local) = setting.as_ref().and_then(models::Setting::local)
        && lasts
    {
        let leisure = Leisure {
            is_ready: Arc::new({
                let local = local.clone();
                move || local.is_loaded()
            }),
            model: local,
            enrichments,
            daily_max: config.memory.enriched_daily_max,
        };
        tokio::spawn(engine.enrich(leisure));
    }
    let serving = match setting {
        None => None,
        Some(setting) => {
            let spent = engine.costs(start_of_day(now())).await?;
            let spent = spent
                .iter()
                .filter_map(|line| line.usage.cost_usd_micros)
                .sum();
            late.set(setting.router(config, &egress, spent)?);
            let (model, why) = (setting.shown(), &setting.choice.why);
            let look = Arc::new(move || offered.look());
            context.say(&format!(
                "{model} answers: {why}. Another: titanclaw models use NAME"
            ));
            let socket = ControlSocket::bind(&context.home.socket())?;
            Some(socket.serve(engine.clone(), memory.clone(), presence.clone(), look))
        }
    };
    Ok(Owned {
        client: engine,
        serving,
        late,
        learned,
        memory,
        presence,
        keys: names,
        is_quiet: context.is_quiet,
    })
}

/// Makes sure, where somebody looks on, that the model that would answer is there.
///
/// # Errors
/// When there is none or it can't be downloaded.
pub(crate) async fn prepare_model(context: &Context) -> anyhow::Result<()> {
    let config = context.config()?;
    let (egress, keys) = network(context, config).await?;
    models::settle(context, config, None, &egress, &keys).await?;
    Ok(())
}

/// The network for commands that start no engine, with the names of the keys that it knows. Where an engine owns the
/// home, those are the environment's alone.
async fn network(
    context: &Context,
    config: &Config,
) -> anyhow::Result<(Arc<dyn Egress>, Vec<String>)> {
    let lowered = lower::egress(config, &context.env, context.is_offline)?;
    let store = match context.home.path().exists() {
        true => titan_store::open(&store_config(context)?).await,
        false => Err(StorageError::Locked(String::new())),
    };
    let keys: Arc<secrets::Keys> = match store {
        Ok(store) => Arc::new(secrets::Keys::new(
            &context.env,
            Some(store.secrets(secrets::OWNER)),
        )),
        Err(StorageError::Locked(_)) => Arc::new(secrets::Keys::new(&context.env, None)),
        Err(error) => return Err(error.into()),
    };
    let names = keys.names().await?;
    Ok((Arc::new(GuardedEgress::open(lowered, keys)?), names))
}

async fn open_store(context: &Context) -> anyhow::Result<Store> {
    Ok(titan_store::open(&store_config(context)?).await?)
}

fn store_config(context: &Context) -> anyhow::Result<StoreConfig> {
    Ok(StoreConfig {
        server: store_server(context.config()?)?,
        ..StoreConfig::new(context.home.path())
    })
}

/// The server that holds what is stored; `None` where the home does. Nothing is connected to.
///
/// # Errors
/// When its address is not understood, or the variable with the password is not set.
pub(crate) fn store_server(config: &Config) -> anyhow::Result<Option<Server>> {
    let Some(url) = &config.store.url else {
        return Ok(None);
    };
    named_server(config, url).map(Some)
}

/// A server by its address, with the password and the authorities of the config.
///
/// # Errors
/// As [`store_server`].
pub(crate) fn named_server(config: &Config, url: &str) -> anyhow::Result<Server> {
    let settings = &config.store;
    let password = match &settings.password_env {
        Some(name) => Some(secret(name).with_context(|| {
            format!(
                "the variable {name}, which store.password_env names, is not set: set it to the password of store.url"
            )
        })?),
        None => None,
    };
    Ok(Server::new(
        url,
        password.as_ref(),
        settings.authorities.as_deref(),
    )?)
}

/// What the owner of a home knows.
fn memory_of(store: &Store, keeps: Keeps) -> GraphMemory {
    GraphMemory::new(titan_memory::Ports {
        journal: Some(store.journal()),
        search: store.search(),
        records: store.records(),
        embedder: Some(Arc::new(LocalEmbedder::new())),
        blobs: Some(store.blobs()),
        clock: now,
        keeps,
    })
}

/// What is known beyond one session.
struct Kept<'a> {
    store: &'a Store,
    memory: Arc<GraphMemory>,
    code: Arc<dyn CodeGraph>,
    open_files: OpenFiles,
}

fn parts(
    context: &Context,
    setting: Option<&models::Setting>,
    kept: Kept<'_>,
    egress: &Arc<dyn Egress>,
    redactor: titan_exec::Redactor,
    late: Arc<LateRouter>,
    learned: &reflexes::Learned,
) -> anyhow::Result<titan_agent::Parts> {
    let config = context.config()?;
    let Kept {
        store,
        memory,
        code,
        open_files,
    } = kept;
    let tools = titan_tools::builtin(titan_tools::Ports {
        memory: memory.clone(),
        code,
        history: Arc::new(GitHistory),
        journal: store.journal(),
        blobs: store.blobs(),
    });
    let pipeline = titan_exec::Pipeline::new(
        titan_exec::Registry::new(tools)?,
        titan_exec::Policy::new(rules(config)),
        lower::exec_limits(config, setting),
        redactor,
        titan_exec::Ports {
            blobs: store.blobs(),
            records: store.records(),
            now,
        },
    );
    Ok(titan_agent::Parts {
        journal: store.journal(),
        records: store.records(),
        blobs: store.blobs(),
        provider_for: Arc::new(move |session, turn, spent| late.scoped(session, turn, spent)),
        pipeline: Arc::new(pipeline),
        shortcut: learned.shortcut(),
        projections: vec![learned.projection(), memory],
        egress: egress.clone(),
        open_workbench: workbenches(context, inherited()),
        now,
        at_rest: memory::give_back,
        packs: Arc::new(open_files),
        trust_of: {
            let answers = context.home.trust();
            Arc::new(move |content| answers.decided(content))
        },
    })
}

/// The config's rules; where programs can't be confined, none runs unasked.
fn rules(config: &Config) -> titan_exec::Rules {
    let rules = lower::rules(config);
    let least = match Confinement::of_this_machine().is_sound() {
        true => titan_exec::Rule::Allow,
        false => titan_exec::Rule::Ask,
    };
    titan_exec::Rules {
        run_reading: rules.run_reading.max(least),
        run: rules.run.max(least),
        ..rules
    }
}

type OpenWorkbench = Arc<dyn Fn(&Path) -> Result<Arc<dyn Workbench>, WorkbenchError> + Send + Sync>;

fn workbenches(context: &Context, environment: BTreeMap<String, String>) -> OpenWorkbench {
    let config = HostConfig {
        home: context.home.path().to_owned(),
        environment,
    };
    Arc::new(move |root| {
        let workbench = HostWorkbench::open(root, config.clone())
            .map_err(|error| WorkbenchError::Failed(error.to_string()))?;
        Ok(Arc::new(workbench) as Arc<dyn Workbench>)
    })
}

/// The code of folders; nothing is read before somebody asks. The engine's own home is none of it.
pub(crate) fn code(context: &Context) -> CodeFolders {
    let home = context.home.path();
    let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    let cache = context.env.cache.as_ref();
    CodeFolders::new(cache.map(|cache| cache.join("titanclaw/code")), vec![home])
}

/// The history of a file, read where programs run.
///
/// # Errors
/// When the file is in no repository, or it can't be read.
pub(crate) async fn history(
    context: &Context,
    question: HistoryQuestion,
) -> anyhow::Result<FileHistory> {
    let folder = question.path.ancestors().skip(1).find(|it| it.is_dir());
    let folder = folder.context("the file is in no folder")?;
    let workbench = workbenches(context, inherited())(folder)?;
    Ok(GitHistory.of_file(workbench.as_ref(), question).await?)
}

/// The person's own instruction files that are there and can be read.
fn identity(home: &Path) -> Vec<(String, String)> {
    use std::io::Read;
    IDENTITY_FILES
        .iter()
        .filter_map(|name| {
            let file = std::fs::File::open(home.join(name)).ok()?;
            let mut text = String::new();
            file.take(IDENTITY_BYTES_MAX)
                .read_to_string(&mut text)
                .ok()?;
            Some(((*name).to_owned(), text))
        })
        .collect()
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> UnixMillis {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

fn start_of_day(now: UnixMillis) -> UnixMillis {
    const DAY_MS: u64 = 86_400_000;
    now - now % DAY_MS
}

/// A model that is not there, with what to do.
fn no_model(text: String) -> anyhow::Error {
    anyhow!(crate::cli::Ended {
        exit: crate::cli::Exit::NoModel,
        text,
    })
}

/// The store of the home, for commands that change secrets. Fails where an engine runs, since it owns them.
async fn store_for_secrets(context: &Context) -> anyhow::Result<Store> {
    context.home.prepare()?;
    open_store(context)
        .await
        .context("keys can be changed only while no engine runs (titanclaw daemon stop)")
}

/// Opens the store and counts the keys in it, to see that it can be used.
///
/// # Errors
/// When another process owns the home or the store is damaged.
pub(crate) async fn try_store(context: &Context) -> anyhow::Result<usize> {
    let store = open_store(context).await?;
    Ok(store.secrets(secrets::OWNER).list().await?.len())
}
