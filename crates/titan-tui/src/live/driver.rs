//! Drives an [`App`]: its terminal, its client, its clock.

use super::app::{Action, App, Asking, NoteChange, Query, Reply, Settings};
use super::key::Key;
use super::reader::Reader;
use super::screen::{Screen, clipboard};
use super::tty::Tty;
use super::{FRAME_MS, history, image};
use crate::submits::Submits;
use crossterm::execute;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use ratatui::Terminal;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use titan_protocol::{
    BoxStream, Client, ClientError, Memory, MemoryKind, MemoryQuery, Record, UnixMillis,
};
use tokio::signal::unix::{SignalKind, signal};

/// The shortest time between two drawings: 60 a second.
const DRAW_INTERVAL: Duration = Duration::from_micros(16_667);
/// Records that are taken before the screen is drawn again, and the time that this may take.
const RECORDS_PER_DRAW_MAX: usize = 4_096;
const RECORDS_TIME_MAX: Duration = Duration::from_millis(8);
/// Questions that are under way at once; more are not asked.
const QUERIES_MAX: usize = 16;
/// Sessions that are listed.
const SESSIONS_MAX: usize = 200;
/// Notes that are listed.
const NOTES_MAX: usize = 500;
/// Costs are shown for this long.
const COSTS_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// Lists the paths of a workspace that begin so, folders with a slash at their end. Called on a thread that may wait.
pub type Files = Arc<dyn Fn(&Path, &str) -> Vec<String> + Send + Sync>;

/// What a live terminal needs besides a client.
pub struct Options {
    /// What is shown first, and how.
    pub settings: Settings,
    /// The file that keeps what was typed; made when there is none.
    pub history: PathBuf,
    /// What completes a path after `@`.
    pub files: Files,
}

/// Why a live terminal was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// The person wanted to.
    ByPerson,
    /// The engine is gone, for this reason. The screen stays as it is until the next [`Live::run`].
    Disconnected(String),
}

/// Why a live terminal could not go on.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// It can't be read or drawn on.
    #[error("the terminal can't be used: {0}. Line mode needs less of it: titanclaw chat --plain")]
    Terminal(#[from] io::Error),
}

type Records = BoxStream<Result<Record, ClientError>>;

/// The live terminal. The terminal is given back when it is dropped.
pub struct Live {
    // Dropped first: what it writes belongs to the terminal as it is taken over.
    terminal: Terminal<Tty>,
    reader: Reader,
    app: App,
    history: PathBuf,
    files: Files,
    clock: Clock,
    drawn: Option<Instant>,
    was_connected: bool,
    _screen: Screen,
}

impl Live {
    /// Takes the terminal over and draws an empty conversation.
    ///
    /// # Errors
    /// When standard output is no terminal that can be drawn on.
    pub fn open(options: Options) -> Result<Self, LiveError> {
        let typed_before = history::read(&options.history).unwrap_or_else(|error| {
            tracing::warn!(%error, "history not read");
            Vec::new()
        });
        let screen = Screen::open()?;
        let terminal = Terminal::new(Tty::new())?;
        Ok(Self {
            terminal,
            reader: Reader::start()?,
            app: App::new(options.settings, typed_before),
            history: options.history,
            files: options.files,
            clock: Clock::start(),
            drawn: None,
            was_connected: false,
            _screen: screen,
        })
    }

    /// Shows the conversation until the person leaves or the engine is gone; then it can be run with another client. What
    /// is remembered is looked at and changed through `memory`, the same engine's. Dropping the future loses what was typed and not accepted yet, and nothing else.
    ///
    /// # Errors
    /// When the terminal fails.
    pub async fn run(
        &mut self,
        client: Arc<dyn Client>,
        memory: Arc<dyn Memory>,
    ) -> Result<Left, LiveError> {
        if std::mem::replace(&mut self.was_connected, true) {
            self.app.reply(Reply::Connected);
        }
        // Whatever was written meanwhile is no part of the screen.
        self.terminal.clear()?;
        let mut work = Work {
            records: client.follow(Some(self.app.session()), 0),
            submits: Submits::new(client.as_ref()),
            queries: FuturesUnordered::new(),
            client: client.clone(),
            memory,
        };
        let left = self.drive(&mut work).await?;
        if let Left::Disconnected(why) = &left {
            self.app
                .reply(Reply::Disconnected(format!("{why} Connecting anew …")));
            self.draw()?;
        }
        Ok(left)
    }

    async fn drive(&mut self, work: &mut Work<'_>) -> Result<Left, LiveError> {
        let mut resized = signal(SignalKind::window_change())?;
        let mut is_stale = true;
        loop {
            if is_stale && self.is_due() {
                self.draw()?;
                is_stale = false;
            }
            self.app.at(self.clock.now());
            let due = self.app.due();
            self.perform(due, work)?;
            let wait = self.wait(is_stale);
            tokio::select! {
                keys = self.reader.next() => match keys {
                    Some(keys) => {
                        if let Some(left) = self.take_keys(&keys?, work)? {
                            return Ok(left);
                        }
                    }
                    None => return Ok(Left::ByPerson),
                },
                record = work.records.next() => {
                    if let Some(gone) = self.take_records(record, work) {
                        return Ok(Left::Disconnected(gone));
                    }
                }
                (op, result) = work.submits.next() => {
                    if let Err(ClientError::Disconnected(gone)) = result {
                        return Ok(Left::Disconnected(gone));
                    }
                    self.app.at(self.clock.now());
                    let actions = self.app.submitted(&op, result);
                    if let Some(left) = self.perform(actions, work)? {
                        return Ok(left);
                    }
                }
                Some(reply) = work.queries.next() => self.app.reply(reply),
                () = sleep(wait) => {}
                _ = resized.recv() => {}
            }
            is_stale = true;
        }
    }

    /// How long nothing has to be done: until the next drawing, or the spinner's next picture.
    fn wait(&self, is_stale: bool) -> Option<Duration> {
        let interval = match (is_stale, self.app.is_moving()) {
            (true, _) => DRAW_INTERVAL,
            (false, true) => Duration::from_millis(FRAME_MS),
            (false, false) => return None,
        };
        let since = self.drawn.map_or(interval, |drawn| drawn.elapsed());
        Some(interval.saturating_sub(since))
    }

    fn is_due(&self) -> bool {
        self.drawn
            .is_none_or(|drawn| drawn.elapsed() >= DRAW_INTERVAL)
    }

    fn draw(&mut self) -> io::Result<()> {
        self.app.at(self.clock.now());
        execute!(io::stdout(), BeginSynchronizedUpdate)?;
        let app = &mut self.app;
        let drawn = self.terminal.draw(|frame| app.view(frame)).map(drop);
        execute!(io::stdout(), EndSynchronizedUpdate)?;
        self.drawn = Some(Instant::now());
        drawn
    }

    fn take_keys(&mut self, keys: &[Key], work: &mut Work<'_>) -> Result<Option<Left>, LiveError> {
        if keys.is_empty() {
            return Ok(None);
        }
        self.app.at(self.clock.now());
        let actions = self.app.keys(keys);
        self.perform(actions, work)
    }

    /// Takes a record and those that are there already; gives why there are no more.
    fn take_records(
        &mut self,
        first: Option<Result<Record, ClientError>>,
        work: &mut Work<'_>,
    ) -> Option<String> {
        let begun = Instant::now();
        self.app.at(self.clock.now());
        let mut next = Some(first);
        for _ in 0..RECORDS_PER_DRAW_MAX {
            match next? {
                Some(Ok(record)) => self.app.apply(&record),
                Some(Err(error)) => return Some(error.to_string()),
                None => return Some("The engine ended.".to_owned()),
            }
            if begun.elapsed() >= RECORDS_TIME_MAX {
                return None;
            }
            next = work.records.next().now_or_never();
        }
        None
    }

    fn perform(
        &mut self,
        actions: Vec<Action>,
        work: &mut Work<'_>,
    ) -> Result<Option<Left>, LiveError> {
        for action in actions {
            match action {
                Action::Quit => return Ok(Some(Left::ByPerson)),
                Action::Submit(op) => {
                    if let Some(op) = work.submits.push(op) {
                        let why = "too much waits for the engine already".to_owned();
                        self.app.submitted(&op, Err(ClientError::Refused(why)));
                    }
                }
                Action::Follow(session) => work.records = work.client.follow(Some(session), 0),
                Action::Recall { words, change } => {
                    let query = notes(work.memory.clone(), words, change);
                    work.query(query.boxed());
                }
                Action::Ask(query) => {
                    let query = ask(work.client.clone(), query, self.clock.now());
                    work.query(query);
                }
                Action::Files(prefix) => {
                    let (files, root) = (self.files.clone(), self.app.root());
                    work.query(listed(files, root, prefix));
                }
                Action::Image(asked) => work.query(looked_at(asked)),
                Action::Remember(entry) => {
                    if let Err(error) = history::append(&self.history, &entry) {
                        tracing::warn!(%error, "history not written");
                    }
                }
                Action::Copy(text) => {
                    let mut out = io::stdout();
                    out.write_all(clipboard(&text).as_bytes())?;
                    out.flush()?;
                }
                Action::Redraw => self.terminal.clear()?,
            }
        }
        Ok(None)
    }
}

/// What is under way at the client.
struct Work<'a> {
    client: Arc<dyn Client>,
    memory: Arc<dyn Memory>,
    records: Records,
    submits: Submits<'a>,
    queries: FuturesUnordered<BoxFuture<'static, Reply>>,
}

impl Work<'_> {
    fn query(&mut self, query: BoxFuture<'static, Reply>) {
        if self.queries.len() < QUERIES_MAX {
            self.queries.push(query);
        }
    }
}

fn ask(client: Arc<dyn Client>, query: Query, now: UnixMillis) -> BoxFuture<'static, Reply> {
    async move {
        let answer = match query {
            Query::Sessions => client.sessions(SESSIONS_MAX).await.map(Reply::Sessions),
            Query::Costs => {
                let since = now.saturating_sub(COSTS_MS);
                client.costs(since).await.map(Reply::Costs)
            }
            Query::Changes(session, turn) => {
                client.changes(session, turn).await.map(Reply::Changes)
            }
            Query::Status => client.status().await.map(Reply::Status),
            Query::Jobs => client.jobs().await.map(Reply::Jobs),
        };
        answer.unwrap_or_else(|error| Reply::Failed(error.to_string()))
    }
    .boxed()
}

/// Does what is to be done about what is remembered, and looks for it then.
async fn notes(memory: Arc<dyn Memory>, words: String, change: Option<NoteChange>) -> Reply {
    let done = match change {
        None => Ok(None),
        Some(NoteChange::Keep(draft)) => memory.keep(draft).await.map(|kept| Some(kept.id)),
        Some(NoteChange::Discard(id)) => memory.discard(id).await.map(|()| None),
    };
    let kept = match done {
        Ok(kept) => kept,
        Err(error) => return Reply::NotesFailed(error.to_string()),
    };
    let query = MemoryQuery {
        words: words.clone(),
        kind: Some(MemoryKind::Note),
        limit: NOTES_MAX,
        ..MemoryQuery::default()
    };
    match memory.find(query).await {
        Ok(documents) => Reply::Notes {
            words,
            documents,
            kept,
        },
        Err(error) => Reply::NotesFailed(error.to_string()),
    }
}

fn listed(files: Files, root: PathBuf, prefix: String) -> BoxFuture<'static, Reply> {
    async move {
        let wanted = prefix.clone();
        let paths = tokio::task::spawn_blocking(move || files(&root, &wanted)).await;
        let paths = paths.unwrap_or_else(|error| {
            tracing::warn!(%error, "files not listed");
            Vec::new()
        });
        Reply::Files { prefix, paths }
    }
    .boxed()
}

fn looked_at(asked: Asking) -> BoxFuture<'static, Reply> {
    async move {
        let path = asked.path.clone();
        let read = tokio::task::spawn_blocking(move || image::read(&path)).await;
        let read = read.unwrap_or_else(|error| Err(error.to_string()));
        Reply::Image { asked, read }
    }
    .boxed()
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// The time of day as it was at the start, going on evenly whatever is done to the machine's clock.
struct Clock {
    started: Instant,
    started_at: UnixMillis,
}

impl Clock {
    fn start() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let ms = since.map_or(0, |since| since.as_millis());
        Self {
            started: Instant::now(),
            started_at: UnixMillis::try_from(ms).unwrap_or(UnixMillis::MAX),
        }
    }

    fn now(&self) -> UnixMillis {
        let elapsed = UnixMillis::try_from(self.started.elapsed().as_millis());
        self.started_at
            .saturating_add(elapsed.unwrap_or(UnixMillis::MAX))
    }
}
