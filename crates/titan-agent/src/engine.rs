//! The engine: sessions over the ports it is opened with.

use crate::baseline::Baselines;
use crate::canvas;
use crate::changes::changes;
use crate::follow::follow;
use crate::idle::{Calm, Idle, RunningTurn};
use crate::images;
use crate::jobs;
use crate::leisure::{self, Leisure};
use crate::log::Log;
use crate::prompt::PromptSize;
use crate::questions::Questions;
use crate::recovery::{Recovered, recover};
use crate::session::{self, Accepted, Command, INBOX_MAX};
use crate::summary;
use crate::trust::TrustOf;
use crate::turn::TurnLimits;
use crate::undo;
use crate::utility::{Aside, Heard};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_exec::Pipeline;
use titan_protocol::{
    Blobs, BoxStream, Client, ClientError, CostLine, Egress, EngineStatus, Forget, ImageBytes, Job,
    Journal, ModelInfo, Op, Packs, Projection, Provider, Record, Records, ReflexSummary, Seq,
    SessionId, SessionSummary, Shortcut, StorageError, ToolSpec, TurnChanges, TurnId, UnixMillis,
    Workbench, WorkbenchError,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// The longest title of a session, in characters.
const TITLE_CHARS_MAX: usize = 200;
/// Titles that are thought of at once, in all sessions. When more turns end together, the other sessions keep their
/// first words for a name: a title is worth less than the turns that run.
const TITLES_MAX: usize = 4;
/// The longest thing that a person may say at once, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// How an engine behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// What a turn may use.
    pub turn_limits: TurnLimits,
    /// How long the prompt is.
    pub prompt_size: PromptSize,
    /// The tools on offer by name, in this order; all of the pipeline's when `None`.
    pub tools: Option<Vec<String>>,
    /// Tokens that the chat model reads and writes together.
    pub context_tokens_max: u32,
    /// Tokens of one reply.
    pub output_tokens_max: u32,
    /// Tokens of thinking in one reply, for models that can think.
    pub thinking_tokens_max: Option<u32>,
    /// Whether sessions are named by the utility model after their first turn that somebody attends; else by their first
    /// words.
    pub are_titled: bool,
    /// Whether the utility model is asked, now and then, if a program that has run for a while is worth waiting for.
    pub reads_along: bool,
    /// Whether what is known of open files, and of the files and code that a question names, is put beside the question.
    pub tells_unasked: bool,
    /// The person's own instruction files: name and content, the most general first.
    pub identity: Vec<(String, String)>,
    /// Whether no other engine writes to the same store. Only then is what was left open ended at the start: elsewhere
    /// another engine may be at it.
    pub is_alone: bool,
    /// The home directory, for the status.
    pub home: PathBuf,
    /// The program's version, for the status.
    pub version: String,
    /// Which model answers chats and why, in one line, for the status.
    pub model: String,
    /// Whether nothing beyond loopback may be reached, for the status.
    pub is_offline: bool,
}

/// Opens the workbench of a workspace.
pub type OpenWorkbench =
    Arc<dyn Fn(&Path) -> Result<Arc<dyn Workbench>, WorkbenchError> + Send + Sync>;

/// Gives a turn its models: the session, the turn, and what the session has cost so far in millionths of a US dollar.
pub type ProviderFor = Arc<dyn Fn(SessionId, TurnId, u64) -> Arc<dyn Provider> + Send + Sync>;

/// What an engine is made of.
#[derive(Clone)]
pub struct Parts {
    /// The log of all that happens.
    pub journal: Arc<dyn Journal>,
    /// Projections and grants.
    pub records: Arc<dyn Records>,
    /// Large outputs.
    pub blobs: Arc<dyn Blobs>,
    /// Gives each turn the models, paid for by it.
    pub provider_for: ProviderFor,
    /// The one way to a tool.
    pub pipeline: Arc<Pipeline>,
    /// What may answer in a model's place.
    pub shortcut: Arc<dyn Shortcut>,
    /// What was made of what was said, and goes with it.
    pub projections: Vec<Arc<dyn Projection>>,
    /// The one way to the network.
    pub egress: Arc<dyn Egress>,
    /// Opens a session's workspace.
    pub open_workbench: OpenWorkbench,
    /// What is ready about open files.
    pub packs: Arc<dyn Packs>,
    /// Which instruction files of workspaces speak for the person.
    pub trust_of: TrustOf,
    /// Milliseconds since the Unix epoch.
    pub now: fn() -> UnixMillis,
    /// Called when no turn has run for a moment after some did: the time to give memory back.
    pub at_rest: fn(),
}

/// The engine. Cheap to clone; all clones are one. Sessions run on the runtime that it is used from, and end with it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) parts: Parts,
    pub(crate) config: Config,
    pub(crate) questions: Arc<Questions>,
    pub(crate) idle: Idle,
    pub(crate) baselines: Baselines,
    /// Titles that may be thought of at once.
    pub(crate) title_places: Arc<Semaphore>,
    sessions: Mutex<HashMap<SessionId, Listed>>,
    calm: Calm,
    started_at: UnixMillis,
    recovered: Recovered,
}

/// A session that is in memory.
struct Listed {
    inbox: mpsc::Sender<Command>,
    log: Arc<Log>,
}

impl Shared {
    /// The log of a session, the one in memory if there is one.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub(crate) async fn log(&self, session: SessionId) -> Result<Arc<Log>, StorageError> {
        let listed = self.sessions.lock().get(&session).map(|it| it.log.clone());
        match listed {
            Some(log) => Ok(log),
            None => Ok(Arc::new(
                Log::open(self.parts.journal.clone(), session).await?,
            )),
        }
    }

    /// The logs of the sessions that are in memory.
    fn logs(&self) -> Vec<Arc<Log>> {
        let sessions = self.sessions.lock();
        sessions.values().map(|listed| listed.log.clone()).collect()
    }

    /// The tools that a turn which begins now is offered.
    pub(crate) fn tools(&self) -> Arc<[ToolSpec]> {
        let offered = self.parts.pipeline.registry().specs();
        match &self.config.tools {
            None => offered,
            Some(names) => names
                .iter()
                .filter_map(|name| offered.iter().find(|spec| spec.name == *name))
                .cloned()
                .collect(),
        }
    }

    /// Counts a turn as running for as long as what it returns is held.
    pub(crate) fn count_turn(&self) -> RunningTurn {
        self.calm.enter()
    }

    /// Takes a session off the list; false when a command waits for it.
    pub(crate) fn unlist(&self, session: SessionId, inbox: &mpsc::Receiver<Command>) -> bool {
        let mut sessions = self.sessions.lock();
        if inbox.is_empty() {
            sessions.remove(&session);
        }
        inbox.is_empty()
    }
}

impl Engine {
    /// Opens an engine, and ends the turns that a crash left open.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(parts: Parts, config: Config) -> Result<Self, StorageError> {
        let baselines = Baselines::default();
        let recovered = match config.is_alone {
            true => recover(&parts, &baselines).await?,
            false => Recovered::default(),
        };
        let started_at = (parts.now)();
        let at_rest = parts.at_rest;
        let shared = Shared {
            parts,
            config,
            questions: Arc::default(),
            idle: Idle::default(),
            baselines,
            title_places: Arc::new(Semaphore::new(TITLES_MAX)),
            sessions: Mutex::default(),
            calm: Calm::new(at_rest),
            started_at,
            recovered,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Asks a model something beside the turns of a session, paid for by one of them: within its ceilings, and told where the
    /// cost of its calls is. A turn that runs is not held up. Dropping the future ends the call.
    ///
    /// # Errors
    /// When there is no such session, the model can't be asked, or the session is forgotten meanwhile.
    pub async fn ask_aside(
        &self,
        session: SessionId,
        turn: TurnId,
        aside: Aside,
    ) -> Result<Heard, ClientError> {
        let (heard, mut answer) = mpsc::channel(1);
        let asked = self.tell(session, |accepted| Command::Ask {
            turn,
            aside: aside.clone(),
            heard: heard.clone(),
            accepted,
        });
        asked.await?;
        drop(heard);
        match answer.recv().await {
            Some(heard) => heard.map_err(|error| ClientError::Refused(error.to_string())),
            None => Err(ClientError::Disconnected(
                "nobody answers any more: the session was forgotten, or the engine ends".to_owned(),
            )),
        }
    }

    /// Has a small model add to what is known while nobody waits for anything, until the engine ends. The future does not keep
    /// the engine; dropping it breaks off the question that is being answered.
    pub fn enrich(&self, leisure: Leisure) -> impl Future<Output = ()> + Send + use<> {
        leisure::work(self.shared.calm.turns(), self.shared.parts.now, leisure)
    }

    /// Sends a command to a session, which is brought back from the journal if it has to be.
    async fn tell(
        &self,
        session: SessionId,
        command: impl Fn(Accepted) -> Command,
    ) -> Result<(), ClientError> {
        loop {
            let (accepted, answer) = oneshot::channel();
            let inbox = self.inbox(session);
            // A session that was put away this very moment does not answer; it is brought back.
            if inbox.send(command(accepted)).await.is_err() {
                continue;
            }
            if let Ok(answer) = answer.await {
                return answer;
            }
        }
    }

    /// The way to a session. It is listed before it is read from the journal, so that no two ever serve what they read:
    /// who comes meanwhile waits in its inbox.
    fn inbox(&self, id: SessionId) -> mpsc::Sender<Command> {
        let mut sessions = self.shared.sessions.lock();
        if let Some(listed) = sessions.get(&id).filter(|it| !it.inbox.is_closed()) {
            return listed.inbox.clone();
        }
        let (inbox, receiver) = mpsc::channel(INBOX_MAX);
        let log = Arc::new(Log::unread(self.shared.parts.journal.clone(), id));
        let listed = Listed {
            inbox: inbox.clone(),
            log: log.clone(),
        };
        sessions.insert(id, listed);
        tokio::spawn(session::run(id, self.shared.clone(), log, receiver));
        inbox
    }

    fn listed(&self, id: SessionId) -> Option<mpsc::Sender<Command>> {
        self.shared
            .sessions
            .lock()
            .get(&id)
            .map(|listed| listed.inbox.clone())
            .filter(|inbox| !inbox.is_closed())
    }

    async fn session_list(&self) -> Result<Vec<(SessionId, summary::SummaryState)>, ClientError> {
        Ok(summary::load(self.shared.parts.records.as_ref()).await?)
    }
}

#[async_trait]
impl Client for Engine {
    async fn submit(&self, op: Op) -> Result<(), ClientError> {
        match op {
            Op::UserTurn {
                session,
                turn,
                text,
                images,
                options,
            } => {
                let text = checked(text)?;
                let images = images::checked(images)?;
                self.tell(session, |accepted| Command::Say {
                    turn,
                    text: text.clone(),
                    act: None,
                    images: images.clone(),
                    options: options.clone(),
                    accepted,
                })
                .await
            }
            Op::UserCall {
                session,
                turn,
                text,
                tool,
                arguments,
                options,
            } => {
                let text = checked(text)?;
                self.tell(session, |accepted| Command::Call {
                    turn,
                    text: text.clone(),
                    tool: tool.clone(),
                    arguments: arguments.clone(),
                    options: options.clone(),
                    accepted,
                })
                .await
            }
            Op::Act {
                session,
                turn,
                act,
                options,
            } => {
                let text = checked(canvas::words(&act))?;
                self.tell(session, |accepted| Command::Say {
                    turn,
                    text: text.clone(),
                    act: Some(act.clone()),
                    images: Vec::new(),
                    options: options.clone(),
                    accepted,
                })
                .await
            }
            Op::Interrupt { session } => match self.listed(session) {
                Some(_) => {
                    self.tell(session, |accepted| Command::Interrupt { accepted })
                        .await
                }
                None => Ok(()),
            },
            Op::Decide { approval, decision } => {
                let decided = self
                    .shared
                    .parts
                    .pipeline
                    .approvals()
                    .decide(approval, decision);
                decided.map_err(|error| ClientError::Refused(error.to_string()))
            }
            Op::Answer { question, text } => match self.shared.questions.answer(question, text) {
                true => Ok(()),
                false => Err(ClientError::Refused(format!(
                    "question {question} does not wait for an answer"
                ))),
            },
            Op::Compact { session } => {
                self.tell(session, |accepted| Command::Compact { accepted })
                    .await
            }
            Op::Forget { what } => {
                let (Forget::Session { session }
                | Forget::Turn { session, .. }
                | Forget::Events { session, .. }) = what;
                self.tell(session, |accepted| Command::Forget {
                    what: what.clone(),
                    accepted,
                })
                .await
            }
            Op::Undo {
                session,
                undo,
                of,
                is_forced,
            } => {
                let request = undo::Request {
                    undo,
                    of,
                    is_forced,
                };
                self.tell(session, |accepted| Command::Undo { request, accepted })
                    .await
            }
            Op::Branch {
                session,
                after,
                into,
            } => {
                self.tell(into, |accepted| Command::Branch {
                    from: session,
                    after,
                    accepted,
                })
                .await
            }
            Op::Rename { session, title } => {
                let title = checked_title(&title)?;
                self.tell(session, |accepted| Command::Rename {
                    title: title.clone(),
                    accepted,
                })
                .await
            }
            Op::JudgeReflex { name, judgement } => {
                self.shared.parts.shortcut.judge(&name, judgement).await
            }
        }
    }

    fn follow(
        &self,
        session: Option<SessionId>,
        after: Seq,
    ) -> BoxStream<Result<Record, ClientError>> {
        follow(self.shared.parts.journal.clone(), session, after)
    }

    async fn sessions(&self, limit: usize) -> Result<Vec<SessionSummary>, ClientError> {
        Ok(summary::newest(&self.session_list().await?, limit))
    }

    async fn costs(&self, since: UnixMillis) -> Result<Vec<CostLine>, ClientError> {
        Ok(summary::costs(&self.session_list().await?, since))
    }

    async fn changes(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
    ) -> Result<TurnChanges, ClientError> {
        changes(&self.shared.parts, session, turn).await
    }

    async fn jobs(&self) -> Result<Vec<Job>, ClientError> {
        Ok(jobs::running(&self.shared.logs()).await)
    }

    async fn image(
        &self,
        session: SessionId,
        at: Seq,
        number: usize,
    ) -> Result<ImageBytes, ClientError> {
        images::of_record(&self.shared.parts, session, at, number).await
    }

    async fn reflexes(&self) -> Result<Vec<ReflexSummary>, ClientError> {
        Ok(self.shared.parts.shortcut.reflexes().await)
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ClientError> {
        let models = (self.shared.parts.provider_for)(SessionId::new(), TurnId::new(), 0);
        let listed = models.models().await;
        listed.map_err(|error| ClientError::Refused(error.to_string()))
    }

    async fn status(&self) -> Result<EngineStatus, ClientError> {
        let Shared {
            config,
            started_at,
            recovered,
            ..
        } = &*self.shared;
        let running = self
            .session_list()
            .await?
            .iter()
            .filter(|(_, state)| state.is_running)
            .count();
        Ok(EngineStatus {
            version: config.version.clone(),
            pid: std::process::id(),
            started_at: *started_at,
            home: config.home.clone(),
            model: config.model.clone(),
            turns_running: u32::try_from(running).unwrap_or(u32::MAX),
            resident_bytes: resident_bytes(),
            is_offline: config.is_offline,
            recovered: recovered.told(),
        })
    }
}

fn checked(text: String) -> Result<String, ClientError> {
    if text.trim().is_empty() {
        return Err(ClientError::Refused(
            "There is nothing to answer: the message is empty.".to_owned(),
        ));
    }
    if text.len() > TEXT_BYTES_MAX {
        let most = TEXT_BYTES_MAX >> 10;
        let refused = format!(
            "The message is {} KiB long; at most {most} KiB fit. Put it into a file and name the file.",
            text.len() >> 10
        );
        return Err(ClientError::Refused(refused));
    }
    Ok(text)
}

fn checked_title(title: &str) -> Result<String, ClientError> {
    let title = title.trim();
    if title.is_empty() || title.chars().count() > TITLE_CHARS_MAX {
        return Err(ClientError::Refused(format!(
            "A title has 1 to {TITLE_CHARS_MAX} characters."
        )));
    }
    Ok(title.to_owned())
}

/// The process's resident memory, 0 where the system does not say.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok())
        .map_or(0, |pages| pages * PAGE_BYTES)
}
