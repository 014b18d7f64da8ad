//! What answers without a model: learned in the background, run in the component host, which is opened when it is first
//! needed.

use super::models::Setting;
use super::{forge, models, now};
use crate::cli::Context;
use crate::config::{Config, Promotion};
use async_trait::async_trait;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use titan_agent::{Aside, Engine};
use titan_forge::{About, Author, Authored, Commission, Facts, Ports, Reflexes, Writing};
use titan_protocol::{
    Client, Computation, Projection, ReflexHost, ReflexProgram, Shortcut, Task, ToolMaker,
};
use titan_sandbox::Confinement;
use titan_store::Store;
use titan_tui::render::{self, table};
use titan_wasm::{Maker, Toolchain, WasmHost};
use tokio::task::AbortHandle;

/// How long an engine that ends waits for what its last turn teaches.
const SETTLE_MAX: Duration = Duration::from_secs(2);
/// Sessions that are named when somebody asks for them.
const SESSIONS_MAX: usize = 15;
const DAY_MS: u64 = 86_400_000;
/// Tokens of code that a model writes at a time, thinking included.
const CODE_TOKENS_MAX: u32 = 4096;

/// The reflexes of a home, and the task that learns them.
pub(super) struct Learned {
    reflexes: Reflexes,
    engine: Arc<LateEngine>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Learned {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Learned {
    /// Opens what was learned, and begins to learn. With a model that writes code, it is asked for it in the background.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(super) async fn open(
        context: &Context,
        config: &Config,
        store: &Store,
        writer: Option<Task>,
    ) -> anyhow::Result<Self> {
        let engine = Arc::new(LateEngine::default());
        let host = Arc::new(LateHost {
            config: super::tools::config(context),
            host: OnceLock::new(),
        });
        let writing = writer.map(|task| {
            let toolchain = forge::described(context, config);
            let opened = host.clone();
            let maker = Maker::new(toolchain.clone(), Arc::new(move || opened.open()));
            Writing {
                author: Arc::new(ModelAuthor {
                    engine: engine.clone(),
                    toolchain,
                    task,
                }),
                maker: Arc::new(maker) as Arc<dyn ToolMaker>,
            }
        });
        let ports = Ports {
            journal: store.journal(),
            records: store.records(),
            host,
            facts: engine.clone(),
            writing,
            now,
        };
        let reflexes = Reflexes::open(ports, lowered(config)).await?;
        let (watched, written) = (reflexes.clone(), reflexes.clone());
        let mut tasks = vec![tokio::spawn(async move { watched.watch().await }).abort_handle()];
        if writer.is_some() {
            tasks.push(tokio::spawn(async move { written.write().await }).abort_handle());
        }
        Ok(Self {
            reflexes,
            engine,
            tasks,
        })
    }

    pub(super) fn shortcut(&self) -> Arc<dyn Shortcut> {
        Arc::new(self.reflexes.clone())
    }

    pub(super) fn projection(&self) -> Arc<dyn Projection> {
        Arc::new(self.reflexes.clone())
    }

    /// Says which engine is to be asked about itself, and asks models.
    pub(super) fn tell_of(&self, engine: &Arc<Engine>) {
        // It is told once, by whoever opened both.
        let _ = self.engine.0.set(Arc::downgrade(engine));
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
        written_daily_max: config.reflexes.written_daily_max,
    }
}

/// What the model that writes code is asked for; `None` where none does. An engine that answers one question has no time
/// for it, and a small local model writes nothing that compiles.
pub(super) fn writer(config: &Config, setting: Option<&Setting>, lasts: bool) -> Option<Task> {
    let setting = setting.filter(|_| lasts)?;
    let is_able = |route: &[String]| route.first().is_some_and(|first| !models::is_local(first));
    let (utility, code) = (&config.routes.utility, &config.routes.code);
    match code.is_empty() {
        _ if is_able(utility) => Some(Task::Utility),
        true => (!setting.is_local()).then_some(Task::Code),
        false => is_able(code).then_some(Task::Code),
    }
}

/// A component host that is opened with the first component: most engines run none.
struct LateHost {
    config: titan_wasm::Config,
    host: OnceLock<Result<WasmHost, String>>,
}

impl LateHost {
    fn open(&self) -> Result<WasmHost, String> {
        let open = || WasmHost::open(self.config.clone()).map_err(|error| error.to_string());
        self.host.get_or_init(open).clone()
    }
}

impl ReflexHost for LateHost {
    fn prepare(&self, component: &[u8]) -> Result<Arc<dyn ReflexProgram>, String> {
        self.open()?.prepare(component)
    }

    fn computation(&self, component: &[u8]) -> Result<Arc<dyn Computation>, String> {
        self.open()?.computation(component)
    }

    fn forget(&self, component: &[u8]) -> Result<(), String> {
        ReflexHost::forget(&self.open()?, component)
    }
}

/// Has code written by a model that the engine asks, within the ceilings of the session that it is for.
struct ModelAuthor {
    engine: Arc<LateEngine>,
    toolchain: Toolchain,
    task: Task,
}

#[async_trait]
impl Author for ModelAuthor {
    fn missing(&self) -> Option<String> {
        if !Confinement::of_this_machine().is_sound() {
            return Some("programs are not confined here; see: titanclaw doctor".to_owned());
        }
        let is_ready = self.toolchain.ready().is_some();
        (!is_ready).then(|| "no compiler was prepared; see: titanclaw toolchain status".to_owned())
    }

    async fn write(&self, commission: Commission) -> Result<Authored, String> {
        let engine = self.engine.get()?;
        let aside = Aside {
            task: self.task,
            system: commission.system,
            text: commission.text,
            answer_schema: None,
            output_tokens_max: CODE_TOKENS_MAX,
        };
        let asked = engine.ask_aside(commission.session, commission.turn, aside);
        let heard = asked.await.map_err(|error| error.to_string())?;
        Ok(Authored {
            text: heard.text,
            model: heard.model,
        })
    }
}

/// The engine, which is opened after what it learns with. As text, it knows what it is asked about itself.
#[derive(Default)]
struct LateEngine(OnceLock<Weak<Engine>>);

impl LateEngine {
    fn get(&self) -> Result<Arc<Engine>, String> {
        let engine = self.0.get().and_then(Weak::upgrade);
        engine.ok_or_else(|| "the engine is just starting or ending".to_owned())
    }
}

impl Facts for LateEngine {
    fn tell(&self, about: About) -> Result<String, String> {
        let engine = self.get()?;
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
