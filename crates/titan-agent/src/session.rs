//! One task per active session: takes what the person says, drives the turn's state machine, keeps the log.

use crate::checkpoint::Recording;
use crate::compact::compact;
use crate::engine::Shared;
use crate::idle::Place;
use crate::images::{self, Given, Shown};
use crate::log::{Log, TurnLog};
use crate::opinion::UtilityOpinion;
use crate::pipe::Pipe;
use crate::prompt::{Shape, Surroundings, assemble, estimate_tokens};
use crate::recovery::{Cause, end_what_was_left_open};
use crate::title::title;
use crate::turn::{Action, CallOutcome, Input, Turn};
use crate::utility::{self, Aside, Heard};
use crate::{branch, forget, known, summary, surroundings, trust, undo};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use titan_exec::Scope;
use titan_protocol::{
    Asked, BoxStream, CallId, CanvasAction, ClientError, Content, EndedTurn, Event, Forget, Grant,
    Image, ModelError, ModelEvent, NoticeLevel, Origin, Provider, ReflexStep, SessionId,
    StorageError, Taken, ToolCall, ToolError, TurnId, TurnOptions, TurnOutcome, Workbench,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Events that a model sends in one burst are stored together, at most this many.
const BURST_MAX: usize = 64;

/// Calls that were cancelled end by themselves within this time, or are dropped.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// What is said while a turn is ending waits for the next turn; at most so much.
const WAITING_MAX: usize = 16;

/// Commands that wait for a session.
pub(crate) const INBOX_MAX: usize = 64;

/// A thread is shortened when it fills this part of what the model reads, in percent, and then to half of that.
const COMPACT_AT_PERCENT: u32 = 75;

/// How often it is tried again to store how a turn ended, while the store can't be written.
const STORE_INTERVAL: Duration = Duration::from_secs(1);

/// What a session is told. Every command is answered when it is accepted.
pub(crate) enum Command {
    Say {
        turn: TurnId,
        text: String,
        /// What was pressed on the canvas, where the text is not the person's own.
        act: Option<CanvasAction>,
        images: Vec<Given>,
        options: TurnOptions,
        accepted: Accepted,
    },
    Call {
        turn: TurnId,
        text: String,
        tool: String,
        arguments: Map<String, Value>,
        options: TurnOptions,
        accepted: Accepted,
    },
    Interrupt {
        accepted: Accepted,
    },
    Compact {
        accepted: Accepted,
    },
    Forget {
        what: Forget,
        accepted: Accepted,
    },
    Undo {
        request: undo::Request,
        accepted: Accepted,
    },
    Branch {
        from: SessionId,
        after: TurnId,
        accepted: Accepted,
    },
    Rename {
        title: String,
        accepted: Accepted,
    },
    Ask {
        /// The turn that pays.
        turn: TurnId,
        aside: Aside,
        heard: mpsc::Sender<Result<Heard, ModelError>>,
        accepted: Accepted,
    },
}

impl Command {
    /// Where its sender hears what became of it.
    fn accepted(self) -> Accepted {
        match self {
            Self::Say { accepted, .. }
            | Self::Call { accepted, .. }
            | Self::Interrupt { accepted }
            | Self::Compact { accepted }
            | Self::Forget { accepted, .. }
            | Self::Undo { accepted, .. }
            | Self::Branch { accepted, .. }
            | Self::Rename { accepted, .. }
            | Self::Ask { accepted, .. } => accepted,
        }
    }
}

/// What begins a turn, or steers it.
struct Said {
    text: String,
    /// What was pressed on the canvas. The text is the engine's then: a form's words are the agent's, whoever sends it.
    act: Option<CanvasAction>,
    images: Vec<Given>,
}

impl Said {
    /// What the person said themselves may back what a step does; what they show may not.
    fn tell(&self, scope: &Scope) {
        if self.act.is_none() {
            scope.person_said(&self.text);
        }
        if !self.images.is_empty() {
            scope.was_shown("an image that you gave", "");
        }
    }

    /// What is written down beside the words, after them.
    fn events(&self) -> Vec<Event> {
        let acted = self.act.clone().map(|act| Event::CanvasActed { act });
        let images: Vec<Image> = self.images.iter().map(|it| it.image.clone()).collect();
        let given = (!images.is_empty()).then_some(Event::ImagesGiven { images });
        acted.into_iter().chain(given).collect()
    }
}

pub(crate) type Accepted = oneshot::Sender<Result<(), ClientError>>;

pub(crate) struct Session {
    id: SessionId,
    shared: Arc<Shared>,
    log: Arc<Log>,
    grants: Arc<Mutex<Vec<Grant>>>,
    inbox: mpsc::Receiver<Command>,
    /// What models are asked beside the turns: a title, an aside.
    beside: JoinSet<Vec<Event>>,
    /// What was said while a turn was ending.
    waiting: VecDeque<Command>,
    /// How the last turn ended could not be stored yet.
    is_unstored: bool,
}

/// The model's stream of one turn, in bursts.
type Bursts = BoxStream<Vec<Result<ModelEvent, ModelError>>>;

/// Why a turn cannot go on in an orderly way: the journal can't be written, or a tool found something broken.
struct Broken(String);

impl From<StorageError> for Broken {
    fn from(error: StorageError) -> Self {
        Self(error.to_string())
    }
}

/// Reads a listed session from the journal and serves it. If it can't be read, whoever waits for it hears why, and the
/// next one tries again.
pub(crate) async fn run(
    id: SessionId,
    shared: Arc<Shared>,
    log: Arc<Log>,
    mut inbox: mpsc::Receiver<Command>,
) {
    match log.reread().await {
        Ok(()) => Session::new(id, shared, log, inbox).await.serve().await,
        Err(error) => {
            // Whoever comes from here on finds it closed and lists it anew.
            inbox.close();
            while let Some(command) = inbox.recv().await {
                answer(command.accepted(), Err(error.clone().into()));
            }
        }
    }
}

impl Session {
    async fn new(
        id: SessionId,
        shared: Arc<Shared>,
        log: Arc<Log>,
        inbox: mpsc::Receiver<Command>,
    ) -> Self {
        let grants = log.read(|state| state.grants.clone()).await;
        Self {
            id,
            shared,
            log,
            grants: Arc::new(Mutex::new(grants)),
            inbox,
            beside: JoinSet::new(),
            waiting: VecDeque::new(),
            is_unstored: false,
        }
    }

    /// Serves the session until nothing has happened for a while, or others need its room. Then it is unlisted,
    /// unless a command came in.
    async fn serve(mut self) {
        self.repair().await;
        loop {
            while let Some(command) = self.waiting.pop_front() {
                self.obey(command).await;
            }
            // A session for which a model is asked is not idle.
            let place = (self.beside.is_empty()).then(|| self.shared.idle.enter());
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                Some(told) = self.beside.join_next() => self.take_told(told.unwrap_or_default()).await,
                () = tokio::time::sleep(STORE_INTERVAL), if self.is_unstored => self.store_again().await,
                () = is_up(place.as_ref()) => if self.shared.unlist(self.id, &self.inbox) {
                    return;
                },
            }
        }
    }

    /// Ends a turn that could not be ended, because the store failed.
    async fn repair(&self) {
        if let Err(error) = end_what_was_left_open(&self.log, Cause::StoreFailed).await {
            tracing::error!(%error, session = %self.id, "a session could not be repaired");
        }
    }

    /// Stores what could not be stored when the last turn ended, if that can be done by now.
    async fn store_again(&mut self) {
        let stored = async {
            end_what_was_left_open(&self.log, Cause::StoreFailed).await?;
            self.store_summary().await?;
            self.log.journal().sync().await
        };
        self.is_unstored = stored.await.is_err();
    }

    /// Stores what happened beside the turns: a title, what a model call cost.
    async fn take_told(&self, events: Vec<Event>) {
        if let Err(error) = self.log.append(None, events).await {
            tracing::error!(%error, session = %self.id, "a title or the cost of a call could not be stored");
        } else if let Err(error) = self.store_summary().await {
            tracing::error!(%error, session = %self.id, "a session's summary could not be stored");
        }
    }

    /// Has a title thought of while nothing else happens in the session. In a crowd it goes without for now.
    async fn wish_for_title(&mut self, provider: Arc<dyn Provider>) {
        if !self.shared.config.are_titled {
            return;
        }
        let Ok(place) = self.shared.title_places.clone().try_acquire_owned() else {
            return;
        };
        let said = self.log.read(|state| {
            let answered = state.thread.last_answer();
            state
                .summary
                .wants_title()
                .then(|| (state.summary.first_words().to_owned(), answered))
        });
        if let Some((asked, answered)) = said.await {
            self.beside.spawn(async move {
                let _place = place;
                title(provider, asked, answered).await
            });
        }
    }

    /// Asks a model something beside the turns. Whoever waits for it ends the call by going away.
    async fn ask(
        &mut self,
        turn: TurnId,
        aside: Aside,
        heard: mpsc::Sender<Result<Heard, ModelError>>,
    ) -> Result<(), ClientError> {
        let (is_begun, spent) = self
            .log
            .read(|state| (state.thread.workspace.is_some(), state.summary.usage()))
            .await;
        if !is_begun {
            return Err(ClientError::Refused(
                "There is no such session; it may have been forgotten.".to_owned(),
            ));
        }
        let spent = spent.cost_usd_micros.unwrap_or(0);
        let provider = (self.shared.parts.provider_for)(self.id, turn, spent);
        self.beside.spawn(async move {
            let said = tokio::select! {
                biased;
                () = heard.closed() => return Vec::new(),
                said = utility::put(provider.as_ref(), aside) => said,
            };
            // Who has gone meanwhile needs no answer; what it cost is stored all the same.
            match said {
                Ok(said) => {
                    let _ = heard.try_send(Ok(said.heard()));
                    said.events
                }
                Err(error) => {
                    let _ = heard.try_send(Err(error));
                    Vec::new()
                }
            }
        });
        Ok(())
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Say {
                turn,
                text,
                act,
                images,
                options,
                accepted,
            } => {
                let said = Said { text, act, images };
                self.run_turn(turn, said, Input::Begin, options, accepted)
                    .await
            }
            Command::Call {
                turn,
                text,
                tool,
                arguments,
                options,
                accepted,
            } => {
                let called = Input::PersonCalls { tool, arguments };
                let said = Said {
                    text,
                    act: None,
                    images: Vec::new(),
                };
                self.run_turn(turn, said, called, options, accepted).await;
            }
            Command::Interrupt { accepted } => answer(accepted, Ok(())),
            Command::Compact { accepted } => {
                let compacted = self.compact_by_hand().await;
                answer(accepted, compacted);
            }
            Command::Forget { what, accepted } => {
                let forgotten = self.forget(&what).await;
                answer(accepted, forgotten);
            }
            Command::Undo { request, accepted } => {
                let undone = self.undo(request).await;
                answer(accepted, undone);
            }
            Command::Branch {
                from,
                after,
                accepted,
            } => {
                let branched = self.branch(from, after).await;
                answer(accepted, branched);
            }
            Command::Rename { title, accepted } => {
                let renamed = self.rename(title).await;
                answer(accepted, renamed);
            }
            Command::Ask {
                turn,
                aside,
                heard,
                accepted,
            } => {
                let asked = self.ask(turn, aside, heard).await;
                answer(accepted, asked);
            }
        }
    }

    /// Keeps what is said while a turn is ending for the next turn, or refuses it: the turn that runs reads it no more.
    fn say_later(&mut self, later: Command) {
        match later {
            Command::Say { accepted, .. } if self.waiting.len() >= WAITING_MAX => {
                let refused = format!(
                    "{WAITING_MAX} messages wait for the next turn of this session already; say it again when that has begun."
                );
                answer(accepted, Err(ClientError::Refused(refused)));
            }
            later => self.waiting.push_back(later),
        }
    }

    async fn undo(&self, request: undo::Request) -> Result<(), ClientError> {
        undo::undo(self.id, &self.log, &self.shared.parts, request).await?;
        Ok(self.store_summary().await?)
    }

    /// Begins this session as a branch of another.
    async fn branch(&self, from: SessionId, after: TurnId) -> Result<(), ClientError> {
        let fork = branch::fork(self.log.journal().clone(), from, after).await?;
        let (is_begun, is_same) = self
            .log
            .read(|state| (state.thread.seq > 0, state.summary.past == fork.past))
            .await;
        if is_begun && !is_same {
            return Err(ClientError::Refused(
                "There is a session of this id already; a branch needs one of its own.".to_owned(),
            ));
        }
        if !is_begun {
            let branch::Fork { workspace, past } = fork;
            let text = branch::TOLD.to_owned();
            let events = vec![
                Event::SessionBranched { workspace, past },
                Event::Instructed { text },
            ];
            self.log.append(None, events).await?;
            self.log.reread().await?;
            self.store_summary().await?;
        }
        Ok(self.log.journal().sync().await?)
    }

    async fn rename(&self, title: String) -> Result<(), ClientError> {
        self.log
            .append(None, vec![Event::SessionTitled { title }])
            .await?;
        self.store_summary().await?;
        Ok(self.log.journal().sync().await?)
    }

    async fn compact_by_hand(&self) -> Result<(), ClientError> {
        let goal = self.shared.config.context_tokens_max * COMPACT_AT_PERCENT / 200;
        let compaction = self.log.read(|state| compact(&state.thread, goal)).await;
        let Some(compaction) = compaction else {
            return Err(ClientError::Refused(
                "This session is short already; there is nothing to leave out.".to_owned(),
            ));
        };
        self.log.append(None, vec![compaction.into_event()]).await?;
        Ok(self.log.journal().sync().await?)
    }

    async fn forget(&mut self, what: &Forget) -> Result<(), ClientError> {
        if let Forget::Turn { turn, .. } = what
            && self
                .log
                .read(|state| state.shared_turns.contains(turn))
                .await
        {
            return Err(ClientError::Refused(
                "A branch shares this turn with the session that it came from; forget it there, and it is gone here too."
                    .to_owned(),
            ));
        }
        let parts = &self.shared.parts;
        let branches = forget::branches(parts, self.id, what).await?;
        for branch in &branches {
            let log = self.shared.log(*branch).await?;
            if log.read(|state| state.summary.is_running).await {
                return Err(ClientError::Refused(format!(
                    "A turn runs in {branch}, a branch that shares this; interrupt it or wait for its end."
                )));
            }
        }
        // What was made of it goes first, since that is made from the journal.
        for projection in &parts.projections {
            projection.forget(what).await?;
        }
        forget::forget(parts, self.id, &branches, what).await?;
        for branch in branches {
            let log = self.shared.log(branch).await?;
            log.reread().await?;
            log.store_summary(parts.records.as_ref()).await?;
        }
        // It may hold what the session wrote and somebody deleted since.
        let workspace = self.log.read(|state| state.thread.workspace.clone()).await;
        if let Some(Ok(workbench)) = workspace.map(|path| (parts.open_workbench)(&path)) {
            let baselines = &self.shared.baselines;
            baselines
                .remove(workbench.root(), parts.records.as_ref())
                .await?;
        }
        // What a model is asked beside the turns may quote it. The projections are made anew, so that nothing of it is left
        // in memory; leave that was given in what is forgotten goes with it.
        self.beside = JoinSet::new();
        self.log.reread().await?;
        *self.grants.lock() = self.log.read(|state| state.grants.clone()).await;
        match what {
            Forget::Session { .. } => Ok(summary::remove(parts.records.as_ref(), self.id).await?),
            Forget::Turn { .. } | Forget::Events { .. } => Ok(self.store_summary().await?),
        }
    }

    async fn store_summary(&self) -> Result<(), StorageError> {
        let records = self.shared.parts.records.as_ref();
        self.log.store_summary(records).await
    }

    /// Starts a turn and drives it to its end.
    async fn run_turn(
        &mut self,
        turn: TurnId,
        said: Said,
        first: Input,
        options: TurnOptions,
        accepted: Accepted,
    ) {
        self.repair().await;
        let after = self.log.read(|state| state.thread.seq).await;
        let workbench = match self.begin(turn, &said, &options).await {
            Ok(Some(workbench)) => workbench,
            Ok(None) => {
                let synced = self.log.journal().sync().await;
                return answer(accepted, synced.map_err(ClientError::from));
            }
            Err(error) => return answer(accepted, Err(error)),
        };
        let _running = self.shared.count_turn();
        let mut accepting = accept(self.log.clone(), self.shared.clone(), accepted).boxed();
        // The commit is under way before anything else of the turn takes the processor.
        let is_accepted = futures::poll!(&mut accepting).is_ready();
        let accepting = (!is_accepted).then(|| tokio::spawn(accepting));
        let started = Instant::now();
        let is_attended = options.is_attended;
        let without_reflexes = options.without_reflexes;
        let mut running = Running::new(self, turn, said.text.clone(), workbench, options).await;
        said.tell(&running.scope);
        let ended = EndedTurn {
            session: self.id,
            turn,
            after,
            workspace: running.workspace.clone(),
            is_first: self.log.read(|state| state.thread.turns.len()).await == 1,
        };
        let is_said = matches!(first, Input::Begin);
        let first = match first {
            Input::Begin => {
                running
                    .begin(self, &said, without_reflexes, ended.is_first)
                    .await
            }
            first => first,
        };
        self.tell_of_material(turn, &running.surroundings).await;
        self.tell_of_open_undo(turn).await;
        let (outcome, usage) = match running.drive(self, first).await {
            Ok(outcome) => (outcome, running.turn.usage),
            Err(Broken(error)) => (TurnOutcome::Failed { error }, running.turn.usage),
        };
        if let Err(error) = running.recording.finish().await {
            tracing::error!(%error, session = %self.id, "what broken off programs changed could not be kept");
        }
        self.shared
            .parts
            .packs
            .worked_on(running.recording.changed());
        let provider = running.provider.clone();
        drop(running);
        // Where nobody looks, a session is found by its first words: a program that asks a thousand things needs no titles.
        let wants_title = is_said && is_attended && outcome == TurnOutcome::Completed;
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Err(error) = self
            .end(
                turn,
                Event::TurnEnded {
                    outcome,
                    usage,
                    elapsed_ms,
                },
                is_said.then_some(ended),
            )
            .await
        {
            tracing::error!(%error, session = %self.id, "the end of a turn could not be stored");
            self.is_unstored = true;
        }
        if wants_title {
            self.wish_for_title(provider).await;
        }
        if let Some(accepting) = accepting
            && let Err(error) = accepting.await
        {
            tracing::error!(%error, "accepting a turn failed");
        }
    }

    /// Says once in a session that an instruction file is not followed, since nobody was asked about it.
    async fn tell_of_material(&self, turn: TurnId, surroundings: &Surroundings) {
        let Some(text) = trust::notice(&surroundings.material) else {
            return;
        };
        if self.log.read(|state| state.thread.turns.len()).await > 1 {
            return;
        }
        let level = NoticeLevel::Info;
        if let Err(error) = self
            .log
            .append(Some(turn), vec![Event::Notice { level, text }])
            .await
        {
            tracing::error!(%error, session = %self.id, "a notice could not be stored");
        }
    }

    /// Says that an undo was broken off, since only the person can say whether it is to be finished.
    async fn tell_of_open_undo(&self, turn: TurnId) {
        if self
            .log
            .read(|state| state.thread.undo_open)
            .await
            .is_none()
        {
            return;
        }
        let text = "An undo was broken off: some files may be put back and others not. Undo again to finish it.";
        let notice = Event::Notice {
            level: NoticeLevel::Warning,
            text: text.to_owned(),
        };
        if let Err(error) = self.log.append(Some(turn), vec![notice]).await {
            tracing::error!(%error, session = %self.id, "a notice could not be stored");
        }
    }

    /// Writes down that the turn began. `None` when this turn was started before.
    async fn begin(
        &mut self,
        turn: TurnId,
        said: &Said,
        options: &TurnOptions,
    ) -> Result<Option<Arc<dyn Workbench>>, ClientError> {
        let (known, workspace) = self
            .log
            .read(|state| {
                (
                    state.thread.turns.contains(&turn),
                    state.thread.workspace.clone(),
                )
            })
            .await;
        if known {
            return Ok(None);
        }
        let is_new = workspace.is_none();
        let Some(workspace) = workspace.or_else(|| options.workspace.clone()) else {
            return Err(ClientError::Refused(
                "The first turn of a session has to name its workspace.".to_owned(),
            ));
        };
        let workbench = (self.shared.parts.open_workbench)(&workspace)
            .map_err(|error| ClientError::Refused(error.to_string()))?;
        self.admit(said).await?;
        // A turn that can't be stored is not begun: it would ask a model for nothing.
        self.log.append(None, Vec::new()).await?;
        images::keep(self.shared.parts.blobs.as_ref(), &said.images).await?;
        let text = said.text.clone();
        let mut events = vec![Event::TurnStarted { text }];
        events.extend(said.events());
        if is_new {
            events.insert(0, Event::SessionStarted { workspace });
        }
        self.log.append(Some(turn), events).await?;
        Ok(Some(workbench))
    }

    /// Whether what was pressed is there to be pressed.
    async fn admit(&self, said: &Said) -> Result<(), ClientError> {
        let Some(act) = &said.act else {
            return Ok(());
        };
        let admitted = self.log.read(|state| state.canvas.admits(act)).await;
        admitted.map_err(ClientError::Refused)
    }

    /// Writes down that a turn has ended. Whoever learns from it hears of it before it counts as ended, so that an engine
    /// that waits for its turns waits for that too.
    async fn end(
        &self,
        turn: TurnId,
        event: Event,
        ended: Option<EndedTurn>,
    ) -> Result<(), StorageError> {
        self.log.append(Some(turn), vec![event]).await?;
        if let Some(ended) = ended {
            self.shared.parts.shortcut.turn_ended(ended);
        }
        self.store_summary().await?;
        self.log.journal().sync().await
    }
}

/// A reflex that answers in a model's place.
struct Reflex {
    taken: Taken,
    /// The calls that run, in their order.
    calls: Vec<CallId>,
    /// What those before them gave.
    outcomes: Vec<String>,
}

impl Reflex {
    fn new(taken: Taken) -> Self {
        Self {
            taken,
            calls: Vec::new(),
            outcomes: Vec::new(),
        }
    }
}

/// A turn in progress with all that it waits for. Dropping it ends the model's stream and the calls.
struct Running {
    turn: Turn,
    id: TurnId,
    workspace: PathBuf,
    scope: Arc<Scope>,
    recording: Recording,
    provider: Arc<dyn Provider>,
    cancel: CancellationToken,
    surroundings: Surroundings,
    /// What the turn began with, until it was looked up what is known of it.
    unknown: Option<String>,
    shape: Shape,
    model: Option<Bursts>,
    /// What answers in a model's place.
    reflex: Option<Reflex>,
    images: Shown,
    calls: JoinSet<(CallId, Result<(), ToolError>)>,
    /// Calls that are being written and may run meanwhile.
    pipes: HashMap<CallId, Pipe>,
    /// One of them needs no more of what the model is writing.
    pointless: FuturesUnordered<BoxFuture<'static, String>>,
    deadline: Instant,
    started: Instant,
}

impl Running {
    async fn new(
        session: &Session,
        id: TurnId,
        asked: String,
        workbench: Arc<dyn Workbench>,
        options: TurnOptions,
    ) -> Self {
        let Shared {
            parts,
            config,
            questions,
            ..
        } = &*session.shared;
        let cancel = CancellationToken::new();
        let events = Arc::new(TurnLog {
            log: session.log.clone(),
            turn: id,
            questions: questions.clone(),
            is_attended: options.is_attended,
            cancel: cancel.clone(),
        });
        let (taint, usage) = session
            .log
            .read(|state| (state.thread.taint, state.summary.usage()))
            .await;
        let today = summary::date((parts.now)() / 86_400_000);
        let surroundings = surroundings::look(
            workbench.as_ref(),
            config.prompt_size,
            &config.identity,
            today,
            &parts.trust_of,
        )
        .await;
        let root = workbench.root().to_owned();
        let recording = Recording::new(
            workbench,
            session.log.clone(),
            id,
            parts.blobs.clone(),
            session
                .shared
                .baselines
                .of(&root, &parts.records, parts.now),
        );
        let provider = (parts.provider_for)(session.id, id, usage.cost_usd_micros.unwrap_or(0));
        let mut scope = Scope::new(
            session.id,
            id,
            Arc::new(recording.clone()),
            parts.egress.clone(),
            events,
            cancel.clone(),
            options.is_attended,
            taint.union(surroundings.taint()),
            session.grants.clone(),
        );
        if config.reads_along {
            scope = scope.with_opinion(Arc::new(UtilityOpinion {
                provider: provider.clone(),
                log: session.log.clone(),
            }));
        }
        let started = Instant::now();
        Self {
            turn: Turn::new(id, config.turn_limits),
            id,
            workspace: root,
            scope: Arc::new(scope),
            recording,
            provider,
            cancel,
            surroundings,
            unknown: Some(asked),
            shape: Shape {
                session: session.id,
                size: config.prompt_size,
                tools: session.shared.tools(),
                with_tools: true,
                model: options.model,
                output_tokens_max: config.output_tokens_max,
                thinking_tokens_max: config.thinking_tokens_max,
            },
            model: None,
            reflex: None,
            images: Shown::default(),
            calls: JoinSet::new(),
            pipes: HashMap::new(),
            pointless: FuturesUnordered::new(),
            deadline: started + config.turn_limits.wall_clock_max,
            started,
        }
    }

    /// Whether a reflex or a model begins to answer.
    async fn begin(
        &mut self,
        session: &Session,
        said: &Said,
        without_reflexes: bool,
        is_first: bool,
    ) -> Input {
        let is_more_than_words = said.act.is_some() || !said.images.is_empty();
        if without_reflexes || is_more_than_words || self.shape.model.is_some() {
            return Input::Begin;
        }
        let asked = Asked {
            workspace: self.workspace.clone(),
            text: said.text.clone(),
            is_first,
            tools: self.shape.tools.clone(),
            versions: session.shared.parts.pipeline.registry().versions(),
        };
        let shortcut = &session.shared.parts.shortcut;
        let Some(taken) = shortcut.consult(&asked) else {
            if let Some(text) = shortcut.proposal(&asked) {
                let level = NoticeLevel::Info;
                let told = vec![Event::Notice { level, text }];
                if let Err(error) = session.log.append(Some(self.id), told).await {
                    tracing::warn!(%error, "a proposal could not be told");
                }
            }
            return Input::Begin;
        };
        let told = Event::ShortcutTaken {
            name: taken.name.clone(),
            version: taken.version,
            because: taken.because.clone(),
        };
        if let Err(error) = session.log.append(Some(self.id), vec![told]).await {
            tracing::error!(%error, "a reflex could not be told and does not answer");
            return Input::Begin;
        }
        self.reflex = Some(Reflex::new(taken));
        Input::BeginByReflex
    }

    /// Asks the reflex what it does next. What breaks it off leaves the turn to the model.
    async fn consult(&mut self, session: &Session) -> Result<ReflexStep, Broken> {
        let Some(reflex) = &mut self.reflex else {
            return Ok(ReflexStep::Decline("there is none".to_owned()));
        };
        let ended = std::mem::take(&mut reflex.calls);
        if !ended.is_empty() {
            let texts = session.log.read(|state| {
                let text = |call| match state.thread.result(call) {
                    Some(Content::ToolResult { text, .. }) => text.clone(),
                    _ => String::new(),
                };
                ended.iter().map(text).collect::<Vec<_>>()
            });
            reflex.outcomes.extend(texts.await);
            session
                .log
                .append(Some(self.id), vec![Event::ShortcutResumed])
                .await?;
        }
        let (code, outcomes) = (reflex.taken.code.clone(), reflex.outcomes.clone());
        let step = tokio::task::spawn_blocking(move || code.next(&outcomes)).await;
        Ok(match step {
            Ok(Ok(step)) => step,
            Ok(Err(why)) => ReflexStep::Decline(why),
            Err(error) => ReflexStep::Decline(error.to_string()),
        })
    }

    /// Performs actions and feeds what comes of them back, until the turn is over. Then whatever still runs is ended.
    async fn drive(&mut self, session: &mut Session, first: Input) -> Result<TurnOutcome, Broken> {
        let mut actions: VecDeque<Action> = self.turn.next(first).into();
        loop {
            if let Some(outcome) = self.perform(session, &mut actions).await? {
                self.cancel.cancel();
                let drain = async { while self.calls.join_next().await.is_some() {} };
                if tokio::time::timeout(DRAIN_MAX, drain).await.is_err() {
                    self.calls.shutdown().await;
                }
                return Ok(outcome);
            }
            actions.extend(self.wait(session).await?);
        }
    }

    /// Performs what is to be done; events that follow each other are stored together.
    async fn perform(
        &mut self,
        session: &Session,
        actions: &mut VecDeque<Action>,
    ) -> Result<Option<TurnOutcome>, Broken> {
        let mut events = Vec::new();
        while let Some(action) = actions.pop_front() {
            if let Action::Emit(event) = action {
                events.push(event);
                continue;
            }
            self.emit(session, &mut events).await?;
            match action {
                Action::Emit(_) => {}
                Action::Ask { with_tools } => self.ask(session, with_tools, false).await?,
                Action::CompactAndAsk { with_tools } => self.ask(session, with_tools, true).await?,
                Action::Open { call, name } => self.open_pipe(session, call, &name),
                Action::Write { call, json } => {
                    if let Some(pipe) = self.pipes.get_mut(&call) {
                        pipe.push(&json);
                    }
                }
                Action::Cut { call, why } => match self.pipes.remove(&call) {
                    Some(pipe) => pipe.cut(why),
                    None => {
                        let ended = None;
                        let told = self.turn.next(Input::CallEnded { call, ended });
                        told.into_iter()
                            .rev()
                            .for_each(|action| actions.push_front(action));
                    }
                },
                Action::Consult => {
                    let step = self.consult(session).await?;
                    actions.extend(self.turn.next(Input::Reflex(step)));
                }
                Action::LeaveReflex { why } => {
                    let name = self.reflex.take().map(|reflex| reflex.taken.name);
                    events.extend(name.map(|name| Event::ShortcutDeclined { name, why }));
                }
                Action::Run(call, origin) => match self.pipes.remove(&call.id) {
                    Some(pipe) => pipe.whole(call.arguments),
                    None => self.run(session, call, origin),
                },
                Action::StopModel => self.model = None,
                Action::StopCalls => self.cancel.cancel(),
                Action::End(outcome) => return Ok(Some(outcome)),
            }
        }
        self.emit(session, &mut events).await?;
        Ok(None)
    }

    async fn emit(&mut self, session: &Session, events: &mut Vec<Event>) -> Result<(), Broken> {
        if !events.is_empty() {
            session
                .log
                .append(Some(self.id), std::mem::take(events))
                .await?;
        }
        Ok(())
    }

    /// Begins a model call, after the thread was shortened if it has to be.
    async fn ask(
        &mut self,
        session: &Session,
        with_tools: bool,
        must_compact: bool,
    ) -> Result<(), Broken> {
        self.shape.with_tools = with_tools;
        self.pointless.clear();
        let tells_unasked = session.shared.config.tells_unasked;
        if let Some(asked) = self.unknown.take().filter(|_| tells_unasked) {
            self.look_up(session, &asked).await;
        }
        let mut request = self.request(session).await;
        let mut tokens_estimated = estimate_tokens(&request);
        let room = session.shared.config.context_tokens_max * COMPACT_AT_PERCENT / 100;
        if must_compact || tokens_estimated > room {
            self.compact(session, room / 2).await?;
            request = self.request(session).await;
            tokens_estimated = estimate_tokens(&request);
        }
        let assembled = Event::ContextAssembled {
            tokens_estimated,
            messages: u32::try_from(request.messages.len()).unwrap_or(u32::MAX),
            instructions: self
                .surroundings
                .instructions
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
            taint: self.surroundings.taint(),
        };
        session.log.append(Some(self.id), vec![assembled]).await?;
        self.model = Some(
            self.provider
                .stream(request)
                .ready_chunks(BURST_MAX)
                .boxed(),
        );
        Ok(())
    }

    /// Puts beside the question what is known of the files that are open and of what it names, before the first model call
    /// of the turn. A reflex that answers needs none of it.
    async fn look_up(&mut self, session: &Session, asked: &str) {
        let packs = session.shared.parts.packs.as_ref();
        let wait_max = self.shape.size.known_wait_max();
        let named = packs.named(&self.workspace, asked, wait_max).await;
        let open = packs.ready(&self.workspace);
        let known = known::shown(named, open, &self.workspace, self.shape.size);
        if !known.is_empty() {
            self.scope.was_shown("what is known of files", &known);
        }
        self.surroundings.known = known;
    }

    async fn request(&mut self, session: &Session) -> titan_protocol::ModelRequest {
        let assembled = session
            .log
            .read(|state| assemble(&state.thread, &self.surroundings, &self.shape));
        let mut request = assembled.await;
        let blobs = session.shared.parts.blobs.as_ref();
        self.images.fill(&mut request, blobs).await;
        request
    }

    async fn compact(&mut self, session: &Session, goal: u32) -> Result<(), Broken> {
        if let Some(compaction) = session.log.read(|state| compact(&state.thread, goal)).await {
            let text =
                "The beginning of this session was shortened for the model; the full log is kept."
                    .to_owned();
            let notice = Event::Notice {
                level: NoticeLevel::Info,
                text,
            };
            session
                .log
                .append(Some(self.id), vec![compaction.into_event(), notice])
                .await?;
        }
        Ok(())
    }

    fn run(&mut self, session: &Session, call: ToolCall, origin: Origin) {
        let id = call.id.clone();
        if let Some(reflex) = &mut self.reflex {
            reflex.calls.push(id.clone());
        }
        let running = session.shared.parts.pipeline.run(&self.scope, origin, call);
        self.spawn(id, running);
    }

    /// Lets a call run while it is being written, if its tool can.
    fn open_pipe(&mut self, session: &Session, call: CallId, name: &str) {
        let pipeline = &session.shared.parts.pipeline;
        let id = call.clone();
        if let Some((writing, running)) = pipeline.open(&self.scope, Origin::Model, id, name) {
            let pipe = Pipe::new(writing);
            self.pointless.push(pipe.pointless().boxed());
            self.pipes.insert(call.clone(), pipe);
            self.spawn(call, running);
        }
    }

    /// Starts a call as a task of its own: it must go on while this one waits for the journal.
    fn spawn(
        &mut self,
        id: CallId,
        running: impl Future<Output = Result<(), ToolError>> + Send + 'static,
    ) {
        self.calls.spawn(async move {
            let broke = |_| {
                Err(ToolError::Fatal(
                    "a tool broke down; its log says where".to_owned(),
                ))
            };
            let ended = AssertUnwindSafe(running)
                .catch_unwind()
                .await
                .unwrap_or_else(broke);
            (id, ended)
        });
    }

    /// Waits for the next thing to happen and says what is to be done about it.
    async fn wait(&mut self, session: &mut Session) -> Result<Vec<Action>, Broken> {
        let is_writing = self.model.is_some();
        let model = async {
            match &mut self.model {
                Some(model) => model.next().await,
                None => std::future::pending().await,
            }
        };
        let call = async {
            match self.calls.join_next().await {
                Some(Ok(ended)) => ended,
                // Only an aborted task has no outcome, and none is aborted while somebody waits.
                Some(Err(_)) | None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = session.inbox.recv() => self.command(session, command).await,
            (call, ended) = call => self.call_ended(session, call, ended).await,
            Some(why) = self.pointless.next(), if is_writing => {
                Ok(self.turn.next(Input::Pointless(why)))
            }
            () = tokio::time::sleep_until(self.deadline) => Ok(self.time_is_up()),
            burst = model => Ok(self.model_said(burst)),
        }
    }

    fn model_said(&mut self, burst: Option<Vec<Result<ModelEvent, ModelError>>>) -> Vec<Action> {
        let Some(burst) = burst else {
            self.model = None;
            let detail = "the stream ended without saying that it was complete".to_owned();
            let provider = "the model".to_owned();
            return self.turn.next(Input::ModelFailed(ModelError::Interrupted {
                provider,
                detail,
            }));
        };
        let mut actions = Vec::new();
        for said in burst {
            let is_last = matches!(said, Ok(ModelEvent::Done { .. }) | Err(_));
            actions.extend(self.turn.next(match said {
                Ok(event) => Input::Model(event),
                Err(error) => Input::ModelFailed(error),
            }));
            // Nothing after the end, or after a fault, belongs to the next reply.
            if is_last || actions.contains(&Action::StopModel) {
                self.model = None;
                break;
            }
        }
        actions
    }

    async fn call_ended(
        &mut self,
        session: &Session,
        call: CallId,
        ended: Result<(), ToolError>,
    ) -> Result<Vec<Action>, Broken> {
        ended.map_err(|error| Broken(error.to_string()))?;
        self.pipes.remove(&call);
        let ended = session
            .log
            .read(|state| outcome_of(state.thread.result(&call)))
            .await;
        Ok(self.turn.next(Input::CallEnded { call, ended }))
    }

    async fn command(
        &mut self,
        session: &mut Session,
        command: Option<Command>,
    ) -> Result<Vec<Action>, Broken> {
        const LATER: &str = "A turn runs in this session; interrupt it or wait for its end.";
        match command {
            None => Ok(self.turn.next(Input::Cancel)),
            Some(Command::Interrupt { accepted }) => {
                answer(accepted, Ok(()));
                Ok(self.turn.next(Input::Cancel))
            }
            Some(later @ Command::Say { .. }) if self.turn.is_ending() => {
                session.say_later(later);
                Ok(Vec::new())
            }
            Some(Command::Say {
                turn,
                text,
                act,
                images,
                accepted,
                ..
            }) => {
                let said = Said { text, act, images };
                self.steer(session, turn, said, accepted).await
            }
            Some(Command::Rename { title, accepted }) => {
                let renamed = session.rename(title).await;
                answer(accepted, renamed);
                Ok(Vec::new())
            }
            Some(Command::Ask {
                turn,
                aside,
                heard,
                accepted,
            }) => {
                answer(accepted, session.ask(turn, aside, heard).await);
                Ok(Vec::new())
            }
            Some(
                Command::Compact { accepted }
                | Command::Forget { accepted, .. }
                | Command::Undo { accepted, .. }
                | Command::Branch { accepted, .. }
                | Command::Call { accepted, .. },
            ) => {
                answer(accepted, Err(ClientError::Refused(LATER.to_owned())));
                Ok(Vec::new())
            }
        }
    }

    async fn steer(
        &mut self,
        session: &Session,
        turn: TurnId,
        said: Said,
        accepted: Accepted,
    ) -> Result<Vec<Action>, Broken> {
        let is_known = session
            .log
            .read(|state| state.thread.turns.contains(&turn))
            .await;
        if is_known {
            let synced = session.log.journal().sync().await;
            answer(accepted, synced.map_err(ClientError::from));
            return Ok(Vec::new());
        }
        if let Err(error) = session.admit(&said).await {
            answer(accepted, Err(error));
            return Ok(Vec::new());
        }
        images::keep(session.shared.parts.blobs.as_ref(), &said.images).await?;
        said.tell(&self.scope);
        let beside = said.events();
        let text = said.text;
        let mut events = vec![Event::Steered { text, turn }];
        events.extend(beside);
        session.log.append(Some(self.id), events).await?;
        session.log.journal().sync().await?;
        answer(accepted, Ok(()));
        Ok(self.turn.next(Input::Steered))
    }

    fn time_is_up(&mut self) -> Vec<Action> {
        // The turn gives the last answer a tenth more.
        self.deadline += self.deadline.duration_since(self.started) / 10 + Duration::from_millis(1);
        self.turn.next(Input::Elapsed(self.started.elapsed()))
    }
}

/// Makes durable that a turn began, while the turn goes on, and then tells the person that it is accepted. What is
/// accepted is in the journal and in the lists; both are one commit.
async fn accept(log: Arc<Log>, shared: Arc<Shared>, accepted: Accepted) {
    let listing = log.store_summary(shared.parts.records.as_ref());
    let (listed, synced) = tokio::join!(listing, log.journal().sync());
    // The journal alone decides: a list is a projection of it.
    if let Err(error) = listed {
        tracing::error!(%error, "a session's summary could not be stored");
    }
    answer(accepted, synced.map_err(ClientError::from));
}

/// Returns when an idle session has to go. One that is not idle stays.
async fn is_up(place: Option<&Place>) {
    match place {
        Some(place) => place.is_up().await,
        None => std::future::pending().await,
    }
}

/// How a call ended by what the model will read of it. `None` when nothing of it was told.
fn outcome_of(result: Option<&Content>) -> Option<CallOutcome> {
    let Some(Content::ToolResult { text, is_error, .. }) = result else {
        return None;
    };
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Some(CallOutcome {
        is_error: *is_error,
        result: hasher.finish(),
    })
}

/// Tells whoever sent a command what became of it. They may have gone; then nobody needs to know.
fn answer(accepted: Accepted, result: Result<(), ClientError>) {
    let _ = accepted.send(result);
}
