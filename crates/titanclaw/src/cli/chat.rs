//! `titanclaw chat`: a conversation in the terminal, live or line by line.

use super::ask::Place;
use super::branch;
use super::image;
use super::live;
use super::transcript;
use super::trust;
use super::turn::{self, Interrupts, Records, Stage};
use super::undo;
use super::{Context, Ended, Exit, engine_runtime};
use crate::config::Config;
use crate::line::keys::{PASTE_TOO_LONG, TypedAhead};
use crate::line::output::Output;
use crate::wire::{self, Attached, Need};
use anyhow::{Context as _, bail};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Editor, Helper};
use serde_json::{Map, Value};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use titan_protocol::{
    ClientError, Event, Forget, ImageBytes, Judgement, MemoryQuery, Op, Seq, SessionId, TurnId,
    TurnOptions,
};
use titan_tui::command::{self, Command};
use titan_tui::render::markdown::Layout;
use titan_tui::render::style::{Line, Style};
use titan_tui::render::turn::BRANCHED;
use titan_tui::render::{self, table};
use tokio::sync::oneshot;

/// Lines that the history keeps.
const HISTORY_LINES_MAX: usize = 1_000;
/// Sessions that `/sessions` shows.
const SESSIONS_SHOWN_MAX: usize = 15;

/// Notes that `/memory` shows.
const NOTES_SHOWN_MAX: usize = 50;

const PROMPT: &str = "› ";

/// Talk in the terminal
#[derive(clap::Args, Debug, Default)]
pub(super) struct Arguments {
    /// Line by line, for screen readers and simple terminals
    #[arg(long)]
    pub(super) plain: bool,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Arguments {
    /// A conversation in a session that begins with it.
    pub(super) fn plain(plain: bool) -> Self {
        Self {
            plain,
            ..Self::default()
        }
    }
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let stage = Stage::new(context, config, false);
    if !stage.has_person() {
        bail!("a conversation needs a terminal. From a script, ask once: titanclaw ask \"…\"");
    }
    if arguments.place.is_new() {
        trust::ask_once(context, &arguments.place.workspace()?)?;
    }
    if !arguments.plain && live::is_possible(context) {
        return live::run(context, config, arguments.place);
    }
    let result = engine_runtime()?.block_on(async {
        let mut chat = Chat::open(context, config, stage, arguments.place).await?;
        let result = chat.talk().await;
        let closed = chat.attached.close().await;
        result?;
        closed?;
        anyhow::Ok(Exit::Completed)
    });
    match result {
        Err(error)
            if error
                .downcast_ref::<Ended>()
                .is_some_and(|ended| ended.exit == Exit::Interrupted && ended.text.is_empty()) =>
        {
            Ok(Exit::Interrupted)
        }
        other => other,
    }
}

struct Chat<'a> {
    context: &'a Context,
    stage: Stage,
    output: Output,
    attached: Attached,
    records: Records,
    session: SessionId,
    workspace: PathBuf,
    model: Option<String>,
    last_turn: Option<TurnId>,
    last_said: Option<String>,
    /// Given with what is said next.
    images: Vec<ImageBytes>,
    lines: Lines,
    /// What was typed while nobody asked for it.
    ahead: TypedAhead,
}

impl<'a> Chat<'a> {
    async fn open(
        context: &'a Context,
        config: &'a Config,
        stage: Stage,
        place: Place,
    ) -> anyhow::Result<Self> {
        let need = Need::Model {
            asked: place.model.as_deref(),
            lasts: true,
        };
        let attached = wire::attach(context, need).await?;
        let client = attached.client.as_ref();
        let output = Output::new(context.color(config), context.env.no_color);
        let session = place.session(client).await?;
        let mut seen: Seq = 0;
        if place.session.is_some() || place.latest {
            let named = session.to_string();
            let summary = transcript::find(client, &named).await?;
            let records = transcript::records(client, &summary).await?;
            seen = records.last().map_or(0, |record| record.seq);
            let layout = Layout {
                width: output.width().unwrap_or(80),
                has_color: output.has_color,
            };
            output.lines(&transcript::lines(&records, layout))?;
        }
        Ok(Self {
            records: client.follow(Some(session), seen),
            session,
            workspace: place.workspace()?,
            model: place.model,
            last_turn: None,
            last_said: None,
            images: Vec::new(),
            lines: Lines::start(context.home.history())?,
            ahead: TypedAhead::default(),
            context,
            stage,
            output,
            attached,
        })
    }

    async fn talk(&mut self) -> anyhow::Result<()> {
        self.note("/help lists what can be typed here; Ctrl-D leaves")?;
        let mut was_interrupted = false;
        let mut ended = Interrupts::listen()?;
        loop {
            let wanted = self.wanted()?;
            let input = tokio::select! {
                input = self.attached.unless_stopped(self.lines.next(wanted)) => input?,
                () = ended.next() => return Ok(()),
            };
            let line = match input {
                Input::Line(line) => line,
                Input::Interrupted if was_interrupted => return Ok(()),
                Input::Interrupted => {
                    was_interrupted = true;
                    self.note("Ctrl-C again, or Ctrl-D, leaves")?;
                    continue;
                }
                Input::End => return Ok(()),
            };
            was_interrupted = false;
            if line.trim().is_empty() {
                continue;
            }
            if command::parse(&line) == Command::Quit {
                return Ok(());
            }
            let performed = self.perform(command::parse(&line)).await;
            // It stopped a turn; the conversation goes on.
            ended.forget_interrupt();
            match performed {
                Ok(()) => {}
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// What the editor is asked for next. A line that was finished ahead is shown as if it were typed now.
    fn wanted(&mut self) -> anyhow::Result<Wanted> {
        if self.ahead.begun.take_refused() {
            self.note(PASTE_TOO_LONG)?;
        }
        let Some(line) = self.ahead.lines.pop_front() else {
            return Ok(Wanted::Rest(self.ahead.take_begun()));
        };
        if command::is_command(&line) {
            // It was meant for a turn, or pasted: a command is the person's own once they see it and press Enter.
            return Ok(Wanted::Rest(line));
        }
        let shown: Vec<Line> = render::visible::clean(&line)
            .lines()
            .map(|line| Line::default().with(Style::PLAIN, format!("{PROMPT}{line}")))
            .collect();
        self.output.lines(&shown)?;
        Ok(Wanted::Whole(line))
    }

    async fn perform(&mut self, command: Command<'_>) -> anyhow::Result<()> {
        let client = self.attached.client.clone();
        match command {
            Command::Say(text) => {
                self.last_said = Some(text.to_owned());
                self.say(text, None, false).await
            }
            Command::Again => match self.last_said.clone() {
                Some(text) => self.say(&text, None, true).await,
                None => self.note("nothing was said yet"),
            },
            Command::Never => self.never().await,
            Command::Shell(script) => {
                let arguments = Map::from_iter([("script".to_owned(), script.into())]);
                let text = format!("!{script}");
                self.say(&text, Some(("shell".to_owned(), arguments)), false)
                    .await
            }
            Command::Help => Ok(self.output.text(&format!("{}\n", command::help()))?),
            Command::Model(None) => {
                let status = client.status().await?;
                match &self.model {
                    Some(model) => self.note(&format!("{model}, chosen for this conversation")),
                    None => self.note(&status.model),
                }
            }
            Command::Model(Some(name)) => {
                self.model = Some(name.to_owned());
                self.note(&format!(
                    "{name} answers from now on in this conversation; for good: titanclaw models use {name}"
                ))
            }
            Command::Sessions => self.sessions().await,
            Command::New => {
                self.session = SessionId::new();
                self.last_turn = None;
                self.records = client.follow(Some(self.session), 0);
                self.note("a new session begins with what you say next")
            }
            Command::Branch(None) => {
                let turns = branch::turns(client.as_ref(), self.session).await?;
                self.output.lines(&turns)?;
                self.note("go on after one of them with its number: /branch N")
            }
            Command::Branch(turn) => {
                self.session = branch::branch(client.as_ref(), self.session, turn).await?;
                let records = undo::records(client.as_ref(), self.session).await?;
                let seen = records.last().map_or(0, |record| record.seq);
                self.last_turn = None;
                self.records = client.follow(Some(self.session), seen);
                self.note(BRANCHED)
            }
            Command::Image(None) => {
                self.images.clear();
                self.note("no image goes with what you say next")
            }
            Command::Image(Some(path)) => match image::read(&self.workspace.join(path)) {
                Err(error) => self.note(&format!("{error:#}")),
                Ok(bytes) => {
                    self.images.push(bytes);
                    let n_images = self.images.len();
                    self.note(&format!("goes with what you say next, as image {n_images}"))
                }
            },
            Command::Compact => {
                client
                    .submit(Op::Compact {
                        session: self.session,
                    })
                    .await?;
                self.note("the model is shown less of this session from now on; the log keeps all")
            }
            Command::Diff(turn) => {
                undo::diff(client.as_ref(), self.session, turn, self.output).await
            }
            Command::Undo { turn, is_forced } => {
                let undone = undo::undo(client.as_ref(), self.session, turn, is_forced).await?;
                Ok(self.output.lines(&undone.lines)?)
            }
            Command::Forget { all } => self.forget(all).await,
            Command::Cost => {
                let sessions = client.sessions(usize::MAX).await?;
                let usage = sessions
                    .iter()
                    .find(|session| session.session == self.session)
                    .map(|session| session.usage)
                    .unwrap_or_default();
                self.note(&render::usage(&usage))
            }
            Command::Memory(words) => self.memory(words.unwrap_or_default()).await,
            Command::Jobs => {
                let jobs = client.jobs().await?;
                if jobs.is_empty() {
                    return self.note("no turn runs, in no session");
                }
                let now = wire::now();
                let lines = jobs.iter().flat_map(|job| render::job::lines(job, now));
                Ok(self.output.lines(&lines.collect::<Vec<Line>>())?)
            }
            Command::Unknown(name) => self.note(&format!(
                "there is no /{name}; /help lists what can be typed here"
            )),
            Command::Quit => Ok(()),
        }
    }

    async fn say(
        &mut self,
        text: &str,
        call: Option<(String, Map<String, Value>)>,
        without_reflexes: bool,
    ) -> anyhow::Result<()> {
        let turn = TurnId::new();
        self.last_turn = Some(turn);
        let ask = turn::Ask {
            session: self.session,
            turn,
            text: text.to_owned(),
            images: match &call {
                None => std::mem::take(&mut self.images),
                Some(_) => Vec::new(),
            },
            call,
            options: TurnOptions {
                workspace: Some(self.workspace.clone()),
                model: self.model.clone(),
                is_attended: true,
                without_reflexes,
            },
            allow: &[],
            ahead: &mut self.ahead,
        };
        let client = self.attached.client.clone();
        let turn = turn::run(&self.stage, client.as_ref(), &mut self.records, ask);
        self.attached.unless_stopped(turn).await?;
        Ok(self.output.text("\n")?)
    }

    /// Ends the reflex that answered last in this session.
    async fn never(&self) -> anyhow::Result<()> {
        let client = self.attached.client.as_ref();
        let summary = transcript::find(client, &self.session.to_string()).await?;
        let records = transcript::records(client, &summary).await?;
        let taken = records
            .into_iter()
            .rev()
            .find_map(|record| match record.event {
                Event::ShortcutTaken { name, .. } => Some(name),
                _ => None,
            });
        let Some(name) = taken else {
            return self.note("no reflex has answered in this session");
        };
        let judgement = Judgement::Demote;
        let text = format!("{name} answers no more");
        client.submit(Op::JudgeReflex { name, judgement }).await?;
        self.note(&text)
    }

    async fn sessions(&self) -> anyhow::Result<()> {
        let sessions = self.attached.client.sessions(SESSIONS_SHOWN_MAX).await?;
        let rows: Vec<Vec<String>> = sessions
            .iter()
            .map(|session| {
                let id = transcript::short(session);
                vec![id, render::moment(session.active_at), session.title.clone()]
            })
            .collect();
        let lines = table::columns_of(&["id", "active", "title"], &rows, self.output.width());
        Ok(self.output.lines(&lines)?)
    }

    async fn memory(&self, words: &str) -> anyhow::Result<()> {
        let query = MemoryQuery {
            words: words.to_owned(),
            limit: NOTES_SHOWN_MAX,
            kind: Some(titan_protocol::MemoryKind::Note),
            ..MemoryQuery::default()
        };
        let notes = self.attached.memory.find(query).await?;
        if notes.is_empty() {
            return self.note(match words {
                "" => "nothing is remembered yet",
                _ => "no note holds all these words",
            });
        }
        let rows: Vec<Vec<String>> = notes
            .iter()
            .map(|note| {
                let noted = render::moment(note.changed_at.unwrap_or(note.at));
                vec![noted, note.tags.join(", "), note.text.clone()]
            })
            .collect();
        let lines = table::columns_of(&["noted", "tags", "text"], &rows, self.output.width());
        Ok(self.output.lines(&lines)?)
    }

    async fn forget(&mut self, all: bool) -> anyhow::Result<()> {
        let session = self.session;
        let what = match (all, self.last_turn) {
            (true, _) => Forget::Session { session },
            (false, Some(turn)) => Forget::Turn { session, turn },
            (false, None) => {
                return self.note("nothing was said yet; /forget all deletes the whole session");
            }
        };
        self.attached.client.submit(Op::Forget { what }).await?;
        self.last_turn = None;
        self.note("forgotten")
    }

    /// Tells what went wrong and goes on where that is possible: a refusal, or an engine that ended elsewhere.
    async fn recover(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        match error.downcast_ref::<ClientError>() {
            Some(ClientError::Refused(text)) => {
                let text = text.clone();
                self.note(&text)
            }
            Some(ClientError::Disconnected(text)) => {
                let text = format!("{text} Connecting anew; what was said is kept.");
                self.note(&text)?;
                let need = Need::Model {
                    asked: self.model.as_deref(),
                    lasts: true,
                };
                self.attached = wire::attach(self.context, need).await?;
                self.records = self.attached.client.follow(Some(self.session), 0);
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn note(&self, text: &str) -> anyhow::Result<()> {
        let text = render::visible::clean(text);
        let lines: Vec<Line> = text
            .lines()
            .map(|line| Line::default().with(Style::DIM, line))
            .collect();
        Ok(self.output.lines(&lines)?)
    }
}

/// What came from the prompt.
enum Input {
    Line(String),
    Interrupted,
    End,
}

/// What the line editor is asked for.
enum Wanted {
    /// A line, of which this much was typed already.
    Rest(String),
    /// Nothing more: this line was typed already and is kept in the history.
    Whole(String),
}

type Question = (Wanted, oneshot::Sender<rustyline::Result<String>>);

/// The line editor, on a thread of its own since it waits for keys.
struct Lines {
    ask: mpsc::Sender<Question>,
    /// How the terminal was; the editor changes it and may still wait when the conversation ends.
    before: Termios,
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Now, &self.before) {
            tracing::warn!(%error, "terminal mode not restored");
        }
    }
}

impl Lines {
    fn start(history: PathBuf) -> anyhow::Result<Self> {
        let before = tcgetattr(io::stdin()).context("the terminal's mode can't be read")?;
        let config = rustyline::Config::builder()
            .max_history_size(HISTORY_LINES_MAX)?
            .auto_add_history(true)
            .build();
        let mut editor: Editor<Continued, FileHistory> =
            Editor::with_config(config).context("the terminal can't be read line by line")?;
        editor.set_helper(Some(Continued));
        let (ask, asked) = mpsc::channel::<Question>();
        std::thread::Builder::new()
            .name("lines".into())
            .spawn(move || {
                if history.exists()
                    && let Err(error) = editor.load_history(&history)
                {
                    tracing::warn!(%error, "history not read");
                }
                for (wanted, answer) in asked {
                    let line = match wanted {
                        Wanted::Rest(begun) => editor.readline_with_initial(PROMPT, (&begun, "")),
                        Wanted::Whole(line) => editor.add_history_entry(&line).map(|_| line),
                    };
                    if line.is_ok()
                        && let Err(error) = editor.append_history(&history)
                    {
                        tracing::warn!(%error, "history not written");
                    }
                    // Nobody waits any more when the conversation ended meanwhile.
                    drop(answer.send(line));
                }
            })?;
        Ok(Self { ask, before })
    }

    async fn next(&self, wanted: Wanted) -> anyhow::Result<Input> {
        let (answer, line) = oneshot::channel();
        self.ask
            .send((wanted, answer))
            .context("the line editor has ended")?;
        match line.await.context("the line editor has ended")? {
            Ok(line) => Ok(Input::Line(line.replace("\\\n", "\n"))),
            Err(ReadlineError::Interrupted) => Ok(Input::Interrupted),
            Err(ReadlineError::Eof) => Ok(Input::End),
            Err(error) => Err(error).context("the terminal can't be read"),
        }
    }
}

/// A line that ends with a backslash goes on in the next.
struct Continued;

impl Helper for Continued {}
impl Highlighter for Continued {}

impl Hinter for Continued {
    type Hint = String;
}

impl Completer for Continued {
    type Candidate = String;
}

impl Validator for Continued {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match context.input().ends_with('\\') {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}
