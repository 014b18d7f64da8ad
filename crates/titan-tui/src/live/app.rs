//! The state of the screen: what is known of the session, what the person is doing, and what is open.

use super::composer::Composer;
use super::conversation::{Conversation, Place};
use super::image::Chip;
use super::key::Key;
use super::palette::{Palette, Popup};
use super::pane::Pane;
use super::status::Turn;
use super::theme::Theme;
use super::{View, draw};
use crate::render::markdown::Layout;
use crate::render::style::{Color, Line, Style};
use crate::render::visible::visible;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{
    ApprovalId, CallId, ClientError, CostLine, Effect, EngineStatus, Forget, IMAGES_MAX,
    ImageBytes, Job, MemoryDocument, MemoryDraft, Op, PlanItem, QuestionId, SessionId,
    SessionSummary, ToolCall, TurnChanges, TurnId, TurnOptions, UnixMillis, Usage,
};

/// Lines that were said and are not heard of yet, which are shown.
const SENT_MAX: usize = 16;

/// What an [`App`] begins with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The session that is shown, which may begin with what is said first.
    pub session: SessionId,
    /// Where tools work in sessions that begin here; absolute.
    pub workspace: PathBuf,
    /// The model for what is said here, as `provider/model`; the engine's choice when `None`.
    pub model: Option<String>,
    /// Which model answers where none is chosen, and why, in a line.
    pub answers: String,
    /// The colours.
    pub theme: Theme,
    /// Whether the model's thinking is shown whole and not as a line.
    pub shows_thinking: bool,
}

/// What the person's keys ask of the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A command for the engine. What becomes of it is told with [`App::submitted`].
    Submit(Op),
    /// A question to the engine. Its answer is told with [`App::reply`].
    Ask(Query),
    /// What is remembered and holds these words is looked for, after this was done. Answered with [`Reply::Notes`] or
    /// [`Reply::NotesFailed`].
    Recall {
        /// The words; none finds everything.
        words: String,
        /// What is done first.
        change: Option<NoteChange>,
    },
    /// The records of this session are followed from its beginning, and of no other.
    Follow(SessionId),
    /// Which paths begin so; answered with [`Reply::Files`].
    Files(String),
    /// The file may be an image; answered with [`Reply::Image`].
    Image(Asking),
    /// A line for the history.
    Remember(String),
    /// A text for the person's clipboard.
    Copy(String),
    /// The screen is drawn anew from nothing.
    Redraw,
    /// The person leaves.
    Quit,
}

/// A file that may be an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The file.
    pub path: PathBuf,
    /// What was pasted for it, to be said as it is if it is none; else the person named it.
    pub pasted: Option<String>,
}

/// A question to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Its sessions.
    Sessions,
    /// What models cost lately.
    Costs,
    /// What a turn of this session changed, the last one when `None`.
    Changes(SessionId, Option<TurnId>),
    /// Which model answers.
    Status,
    /// What runs now.
    Jobs,
}

/// A change of what is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteChange {
    /// A note is kept, perhaps in another's place.
    Keep(MemoryDraft),
    /// The note of this id is deleted for good.
    Discard(String),
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Sessions, newest first.
    Sessions(Vec<SessionSummary>),
    /// Usage by day and model.
    Costs(Vec<CostLine>),
    /// What a turn changed.
    Changes(TurnChanges),
    /// How the engine is.
    Status(EngineStatus),
    /// The paths that begin with what was asked about.
    Files {
        /// The beginning.
        prefix: String,
        /// The paths, folders with a slash at their end.
        paths: Vec<String>,
    },
    /// What is in a file that was asked about.
    Image {
        /// What was asked.
        asked: Asking,
        /// Its bytes, or why it can't be read.
        read: Result<ImageBytes, String>,
    },
    /// What runs now.
    Jobs(Vec<Job>),
    /// What is remembered and was looked for.
    Notes {
        /// The words that were looked for.
        words: String,
        /// What was found, newest first.
        documents: Vec<MemoryDocument>,
        /// The note that was kept first, by its id.
        kept: Option<String>,
    },
    /// Nothing was done about the notes; the text says why.
    NotesFailed(String),
    /// Something could not be answered; the text says why.
    Failed(String),
    /// The engine is gone. Nothing is lost that it had accepted.
    Disconnected(String),
    /// There is an engine again. The session's records come from the beginning.
    Connected,
}

/// A request that only the person can answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Request {
    Approval {
        approval: ApprovalId,
        call: ToolCall,
        effects: Vec<Effect>,
        reason: String,
    },
    Question {
        question: QuestionId,
        text: String,
        choices: Vec<String>,
    },
}

/// The approval that is in sight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) approval: ApprovalId,
    pub(super) since: UnixMillis,
    /// Whether its end has been on the screen.
    pub(super) is_whole: bool,
    /// The first of its rows that is shown, and the last that can be.
    pub(super) scroll: usize,
    pub(super) scroll_max: usize,
    /// Its rows on the screen.
    pub(super) rows: usize,
}

/// An approval's request, laid out.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) approval: ApprovalId,
    pub(super) width: usize,
    pub(super) lines: Arc<[Line]>,
}

/// Looking for words in the conversation.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    pub(super) wanted: String,
    pub(super) at: Option<Place>,
}

/// The screen's state. Everything that happens is told to it; it asks nobody.
#[derive(Debug)]
pub struct App {
    pub(super) settings: Settings,
    pub(super) now: UnixMillis,
    pub(super) conversation: Conversation,
    pub(super) composer: Composer,
    /// Images that go with what is said next.
    pub(super) images: Vec<Chip>,
    pub(super) turn: Option<Turn>,
    /// Turns and undos of the session, oldest first, as far as they are known.
    pub(super) turns: Vec<TurnId>,
    /// How each of those turns begins, to choose one by.
    pub(super) words: Vec<String>,
    pub(super) undos: Vec<TurnId>,
    /// Files that the turn that runs has changed.
    pub(super) changed: Vec<PathBuf>,
    /// The session's workspace, once it is known.
    pub(super) workspace: Option<PathBuf>,
    pub(super) title: String,
    /// The model that answered last.
    pub(super) model: String,
    pub(super) usage: Usage,
    /// What began the last turn.
    pub(super) last_said: Option<String>,
    /// The reflex that answered last, until it is ended.
    pub(super) last_reflex: Option<String>,
    pub(super) plan: Vec<PlanItem>,
    pub(super) hides_plan: bool,
    pub(super) requests: VecDeque<Request>,
    pub(super) seen: Option<Seen>,
    pub(super) asked: Option<Asked>,
    /// What was said and is not in the records yet.
    pub(super) sent: Vec<(TurnId, String)>,
    pub(super) pane: Option<Pane>,
    pub(super) palette: Option<Palette>,
    pub(super) popup: Option<Popup>,
    pub(super) search: Option<Search>,
    /// A word about the last key, until the next.
    pub(super) hint: Option<String>,
    /// Ctrl-C was pressed and nothing else since.
    pub(super) was_interrupted: bool,
    /// Why there is no engine, while there is none.
    pub(super) disconnected: Option<String>,
    /// Columns and rows of the conversation and of the whole screen when it was drawn last.
    pub(super) drawn: draw::Drawn,
}

impl App {
    /// A screen that has seen nothing. `history` is what was typed before, oldest first.
    pub fn new(settings: Settings, history: Vec<String>) -> Self {
        Self {
            now: 0,
            conversation: Conversation::default(),
            composer: Composer::new(history),
            images: Vec::new(),
            turn: None,
            turns: Vec::new(),
            words: Vec::new(),
            undos: Vec::new(),
            changed: Vec::new(),
            workspace: None,
            title: String::new(),
            model: String::new(),
            usage: Usage::default(),
            last_said: None,
            last_reflex: None,
            plan: Vec::new(),
            hides_plan: false,
            requests: VecDeque::new(),
            seen: None,
            asked: None,
            sent: Vec::new(),
            pane: None,
            palette: None,
            popup: None,
            search: None,
            hint: None,
            was_interrupted: false,
            disconnected: None,
            drawn: draw::Drawn::default(),
            settings,
        }
    }

    /// Tells the time, in milliseconds since the epoch. It must not run backwards.
    pub fn at(&mut self, now: UnixMillis) {
        self.now = now;
    }

    /// The session that is shown.
    pub fn session(&self) -> SessionId {
        self.settings.session
    }

    /// Whether something on the screen moves by itself: a spinner, a time that runs.
    pub fn is_moving(&self) -> bool {
        let has_times = self.pane.as_ref().is_some_and(Pane::is_moving);
        self.turn.is_some() || self.disconnected.is_some() || has_times
    }

    /// What it is time to ask, for what shows how things stand.
    pub fn due(&mut self) -> Vec<Action> {
        let now = self.now;
        let is_due = self.pane.as_mut().is_some_and(|pane| pane.is_due(now));
        is_due
            .then_some(Action::Ask(Query::Jobs))
            .into_iter()
            .collect()
    }

    /// What became of a command.
    pub fn submitted(&mut self, op: &Op, result: Result<(), ClientError>) -> Vec<Action> {
        match (op, result) {
            (Op::Forget { what }, Ok(())) => {
                let session = match what {
                    Forget::Session { .. } => SessionId::new(),
                    Forget::Turn { session, .. } | Forget::Events { session, .. } => *session,
                };
                let action = self.show_session(session);
                self.tell("·", Style::DIM, "forgotten");
                vec![action]
            }
            (Op::Branch { session, into, .. }, Ok(())) if *session == self.session() => {
                vec![self.show_session(*into)]
            }
            (Op::Compact { .. }, Ok(())) => {
                let text = "the model is shown less of this session from now on; the log keeps all";
                self.tell("·", Style::DIM, text);
                Vec::new()
            }
            (_, Ok(())) => Vec::new(),
            (op, Err(error)) => {
                self.refused(op, &error);
                Vec::new()
            }
        }
    }

    fn refused(&mut self, op: &Op, error: &ClientError) {
        let why = error.to_string();
        match op {
            Op::UserTurn { turn, text, .. } | Op::UserCall { turn, text, .. } => {
                if let Op::UserTurn { images, .. } = op
                    && self.images.is_empty()
                {
                    let back = images.iter().cloned();
                    let back = back.filter_map(|it| Chip::new(Path::new("image"), it).ok());
                    self.images = back.collect();
                }
                self.sent.retain(|(sent, _)| sent != turn);
                self.tell(
                    "!",
                    Style::color(Color::Yellow),
                    &format!("not said: {why}"),
                );
                // The words are the person's; where there is room, they are given back.
                if self.composer.is_empty() {
                    self.composer.set(text);
                } else {
                    self.tell("›", Style::DIM, text);
                }
            }
            // It was answered meanwhile by somebody else, or by the clock; the record of it is on its way.
            Op::Decide { .. } | Op::Answer { .. } if matches!(error, ClientError::Refused(_)) => {}
            _ => self.tell("!", Style::color(Color::Yellow), &why),
        }
    }

    /// An answer to a question that an action asked.
    pub fn reply(&mut self, reply: Reply) {
        let root = self.root();
        match reply {
            Reply::Sessions(sessions) => self.open(Pane::sessions(sessions, self.session())),
            Reply::Costs(costs) => self.open(Pane::costs(&costs, &self.usage)),
            Reply::Changes(changes) => self.open(Pane::changes(&changes, &root)),
            Reply::Status(status) => {
                self.settings.answers = status.model;
                let model = self.who_answers();
                self.tell("·", Style::DIM, &model);
            }
            Reply::Files { prefix, paths } => self.offer_files(&prefix, paths),
            Reply::Image { asked, read } => self.take_image(&asked, read),
            Reply::Jobs(jobs) => {
                if let Some(pane) = &mut self.pane {
                    pane.running(jobs);
                }
            }
            Reply::Notes {
                words,
                documents,
                kept,
            } => {
                if let Some(pane) = &mut self.pane {
                    pane.found(words, documents, kept.as_deref());
                }
            }
            Reply::NotesFailed(why) => {
                let is_told = self.pane.as_mut().map(|pane| pane.notes_failed(&why));
                if is_told != Some(true) {
                    self.tell("!", Style::color(Color::Yellow), &why);
                }
            }
            Reply::Failed(why) => {
                self.pane = self.pane.take().filter(|pane| !pane.is_waiting());
                self.tell("!", Style::color(Color::Yellow), &why);
            }
            Reply::Disconnected(why) => self.disconnected = Some(why),
            Reply::Connected => {
                self.disconnected = None;
                if let Some(pane) = &mut self.pane {
                    pane.connected();
                }
                self.show_session(self.session());
            }
        }
    }

    /// An image goes with what is said next. A pasted path that leads to none is a text like others.
    fn take_image(&mut self, asked: &Asking, read: Result<ImageBytes, String>) {
        let chip = read.and_then(|bytes| Chip::new(&asked.path, bytes));
        match chip {
            Ok(_) if self.images.len() >= IMAGES_MAX => {
                let text = format!("{IMAGES_MAX} images go with what you say next already");
                self.tell("!", Style::color(Color::Yellow), &text);
            }
            Ok(chip) => self.images.push(chip),
            Err(why) => match &asked.pasted {
                Some(pasted) => {
                    let width = self.composer_width();
                    self.composer.key(&Key::Paste(pasted.clone()), width);
                    self.hint = Some(format!("not taken as an image: {}", visible(&why)));
                }
                None => {
                    let text = format!("{}: {why}", asked.path.display());
                    self.tell("!", Style::color(Color::Yellow), &text);
                }
            },
        }
    }

    /// Opens a pane, where one was waited for: the person may have closed it meanwhile.
    fn open(&mut self, pane: Pane) {
        if self.pane.as_ref().is_some_and(Pane::is_waiting) {
            self.pane = Some(pane);
        }
    }

    /// Forgets what is on the screen and shows another session, or this one from its beginning.
    pub(super) fn show_session(&mut self, session: SessionId) -> Action {
        self.settings.session = session;
        self.conversation = Conversation::default();
        self.turn = None;
        self.turns.clear();
        self.words.clear();
        self.undos.clear();
        self.changed.clear();
        self.workspace = None;
        self.title.clear();
        self.usage = Usage::default();
        self.last_said = None;
        self.last_reflex = None;
        self.plan.clear();
        self.requests.clear();
        self.seen = None;
        self.sent.clear();
        self.search = None;
        Action::Follow(session)
    }

    /// A sentence of the screen's own in the conversation.
    pub(super) fn tell(&mut self, mark: &'static str, style: Style, text: &str) {
        self.conversation.note(mark, style, text);
    }

    pub(super) fn tell_lines(&mut self, lines: Vec<Line>) {
        self.conversation.lines(lines);
    }

    /// The model that answers, and why.
    pub(super) fn who_answers(&self) -> String {
        match &self.settings.model {
            Some(model) => format!("{model}, chosen for this conversation"),
            None => self.settings.answers.clone(),
        }
    }

    /// Where the session's tools work.
    pub(super) fn root(&self) -> PathBuf {
        let known = self.workspace.as_ref();
        known.unwrap_or(&self.settings.workspace).clone()
    }

    pub(super) fn options(&self) -> TurnOptions {
        TurnOptions {
            workspace: Some(self.root()),
            model: self.settings.model.clone(),
            is_attended: true,
            without_reflexes: false,
        }
    }

    /// Remembers what was said until the records tell of it.
    pub(super) fn send(&mut self, turn: TurnId, text: &str) {
        if self.sent.len() < SENT_MAX {
            self.sent.push((turn, text.to_owned()));
        }
    }

    /// How the conversation is drawn now.
    pub(super) fn view_of_conversation(&self) -> View {
        View {
            layout: Layout {
                width: self.drawn.width.max(1),
                has_color: self.settings.theme.has_color(),
            },
            height: self.drawn.height,
            now: self.now,
            opens_thinking: self.settings.shows_thinking,
            session: self.session(),
        }
    }

    /// The approval that waits first, if no other request does before it.
    pub(super) fn approval(&self) -> Option<ApprovalId> {
        match self.requests.front()? {
            Request::Approval { approval, .. } => Some(*approval),
            Request::Question { .. } => None,
        }
    }

    /// Whether something stands before the conversation.
    pub(super) fn has_overlay(&self) -> bool {
        self.pane.is_some() || self.palette.is_some() || self.search.is_some()
    }

    pub(super) fn elapsed(&self, since: UnixMillis) -> Duration {
        Duration::from_millis(self.now.saturating_sub(since))
    }

    /// A file that the turn changed, each once.
    pub(super) fn changed_file(&mut self, path: &std::path::Path) {
        const FILES_MAX: usize = 1_000;
        if self.changed.len() < FILES_MAX && !self.changed.iter().any(|known| known == path) {
            self.changed.push(path.to_owned());
        }
    }

    pub(super) fn names_call(&mut self, call: &CallId) -> bool {
        self.conversation.call(call).is_some()
    }
}
