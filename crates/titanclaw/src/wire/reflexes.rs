//! What answers without a model: learned in the background, run in the component host, which is opened when it is first
//! needed.

use super::now;
use crate::cli::Context;
use crate::config::{Config, Promotion};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use titan_agent::Engine;
use titan_forge::{About, Facts, Ports, Reflexes};
use titan_protocol::{Client, Projection, ReflexHost, ReflexProgram, Shortcut};
use titan_store::Store;
use titan_tui::render::{self, table};
use titan_wasm::WasmHost;
use tokio::task::AbortHandle;

/// How long an engine that ends waits for what its last turn teaches.
const SETTLE_MAX: Duration = Duration::from_secs(2);
/// Sessions that are named when somebody asks for them.
const SESSIONS_MAX: usize = 15;
const DAY_MS: u64 = 86_400_000;

/// The reflexes of a home, and the task that learns them.
pub(super) struct Learned {
    reflexes: Reflexes,
    facts: Arc<EngineFacts>,
    watching: AbortHandle,
}

impl Drop for Learned {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Learned {
    /// Opens what was learned, and begins to learn.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(super) async fn open(
        context: &Context,
        config: &Config,
        store: &Store,
    ) -> anyhow::Result<Self> {
        let facts = Arc::new(EngineFacts::default());
        let ports = Ports {
            journal: store.journal(),
            records: store.records(),
            host: Arc::new(LateHost {
                config: super::tools::config(context),
                host: OnceLock::new(),
            }),
            facts: facts.clone(),
            now,
        };
        let reflexes = Reflexes::open(ports, lowered(config)).await?;
        let watched = reflexes.clone();
        let watching = tokio::spawn(async move { watched.watch().await }).abort_handle();
        Ok(Self {
            reflexes,
            facts,
            watching,
        })
    }

    pub(super) fn shortcut(&self) -> Arc<dyn Shortcut> {
        Arc::new(self.reflexes.clone())
    }

    pub(super) fn projection(&self) -> Arc<dyn Projection> {
        Arc::new(self.reflexes.clone())
    }

    /// Says which engine is to be asked about itself.
    pub(super) fn tell_of(&self, engine: &Arc<Engine>) {
        // It is told once, by whoever opened both.
        let _ = self.facts.engine.set(Arc::downgrade(engine));
    }

    /// Waits, not for long, until what has ended was learned from.
    pub(super) async fn settle(&self) {
        if tokio::time::timeout(SETTLE_MAX, self.reflexes.settle())
            .await
            .is_err()
        {
            tracing::info!("the last turns were not learned from");
        }
    }
}

fn lowered(config: &Config) -> titan_forge::Config {
    titan_forge::Config {
        promotion: match config.reflexes.promotion {
            Promotion::Never => titan_forge::Promotion::Never,
            Promotion::Owner => titan_forge::Promotion::Owner,
            Promotion::Proved => titan_forge::Promotion::Proved,
        },
        agreements_min: config.reflexes.agreements_min,
        sample_every: config.reflexes.sample_every,
    }
}

/// A component host that is opened with the first component: most engines run none.
struct LateHost {
    config: titan_wasm::Config,
    host: OnceLock<Result<WasmHost, String>>,
}

impl ReflexHost for LateHost {
    fn prepare(&self, component: &[u8]) -> Result<Arc<dyn ReflexProgram>, String> {
        let open = || WasmHost::open(self.config.clone()).map_err(|error| error.to_string());
        let host = self.host.get_or_init(open);
        host.as_ref().map_err(String::clone)?.prepare(component)
    }
}

/// What the engine knows about itself, as text.
#[derive(Default)]
struct EngineFacts {
    engine: OnceLock<Weak<Engine>>,
}

impl Facts for EngineFacts {
    fn tell(&self, about: About) -> Result<String, String> {
        let engine = self.engine.get().and_then(Weak::upgrade);
        let engine = engine.ok_or_else(|| "the engine is just starting".to_owned())?;
        // Reflexes run on threads that may wait.
        let told = tokio::runtime::Handle::current().block_on(tell(engine.as_ref(), about));
        told.map_err(|error| error.to_string())
    }
}

async fn tell(engine: &Engine, about: About) -> anyhow::Result<String> {
    Ok(match about {
        About::Help => HELP.trim().to_owned(),
        About::Status => {
            let status = engine.status().await?;
            format!(
                "TitanClaw {} runs as process {} since {}. The model is {}. Turns that run now: {}, this one included. Memory in use: {}.",
                status.version,
                status.pid,
                render::moment(status.started_at),
                status.model,
                status.turns_running,
                render::bytes(status.resident_bytes),
            )
        }
        About::Cost => {
            let today = now() - now() % DAY_MS;
            let costs = engine.costs(today).await?;
            match costs.is_empty() {
                true => "No model was called today.".to_owned(),
                false => fenced(&table::costs(&costs, None)),
            }
        }
        About::Sessions => {
            let sessions = engine.sessions(SESSIONS_MAX).await?;
            let line = |session: &titan_protocol::SessionSummary| {
                format!("- {}, {}", session.title, render::moment(session.active_at))
            };
            sessions.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        About::Reflexes => {
            let reflexes = engine.reflexes().await?;
            let learned = reflexes.iter().filter(|reflex| !reflex.is_built_in);
            let line = |reflex: &titan_protocol::ReflexSummary| {
                let wording = reflex.wordings.first().map_or("", String::as_str);
                format!(
                    "- {} ({}): {wording}",
                    reflex.name,
                    render::reflex::state(reflex.state)
                )
            };
            let lines: Vec<String> = learned.map(line).collect();
            match lines.is_empty() {
                true => "Nothing was learned yet. What you ask again and again in the same way is proposed to you.".to_owned(),
                false => lines.join("\n"),
            }
        }
    })
}

fn fenced(lines: &[titan_tui::render::style::Line]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .map(titan_tui::render::style::Line::text)
        .collect();
    format!("```text\n{}\n```", lines.join("\n"))
}

const HELP: &str = include_str!("help.md");
