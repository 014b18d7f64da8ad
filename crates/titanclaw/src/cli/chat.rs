//! `titanclaw chat`: a conversation in the terminal, line by line.

use super::ask::Place;
use super::transcript;
use super::trust;
use super::turn::{self, Interrupts, Records, Stage};
use super::undo;
use super::{Context, Ended, Exit, engine_runtime};
use crate::config::Config;
use crate::render::keys::{PASTE_TOO_LONG, TypedAhead};
use crate::render::markdown::Layout;
use crate::render::output::Output;
use crate::render::style::{Line, Style};
use crate::render::{self, table};
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
use titan_protocol::{ClientError, Forget, Op, Seq, SessionId, TurnId, TurnOptions};
use tokio::sync::oneshot;

/// Lines that the history keeps.
const HISTORY_LINES_MAX: usize = 1_000;
/// Sessions that `/sessions` shows.
const SESSIONS_SHOWN_MAX: usize = 15;

const PROMPT: &str = "› ";

const HELP: &str = "\
/help            this
/model [NAME]    show or choose the model of this conversation, as provider/model
/sessions        list sessions; go on with one: titanclaw sessions resume ID
/new             begin a new session
/compact         shorten what the model is shown of this session; the log keeps all
/diff [TURN]     show what a turn changed in files; the last one, or by number or id
/undo [TURN] [force]  put the files that a turn changed back; force: also what was changed since
/forget [all]    delete the last turn, or the whole session, for good
/cost            what this session used
/quit            leave (or Ctrl-D)
!COMMAND         run a command by hand; the model reads of it later

A line that ends with \\ goes on in the next. What is typed while the model works steers it. Ctrl-C stops the turn.";

/// Talk in the terminal
#[derive(clap::Args, Debug, Default)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) place: Place,
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
    lines: Lines,
    /// What was typed while nobody asked for it.
    ahead: TypedAhead,
}

/// What was typed at the prompt.
#[derive(Debug, PartialEq)]
enum Typed<'a> {
    Say(&'a str),
    Shell(&'a str),
    Help,
    Model(Option<&'a str>),
    Sessions,
    New,
    Compact,
    Diff(Option<&'a str>),
    Undo {
        turn: Option<&'a str>,
        is_forced: bool,
    },
    Forget {
        all: bool,
    },
    Cost,
    Quit,
    Unknown(&'a str),
}

fn typed(line: &str) -> Typed<'_> {
    let line = line.trim();
    if let Some(command) = line
        .strip_prefix('!')
        .filter(|command| !command.trim().is_empty())
    {
        return Typed::Shell(command.trim());
    }
    let Some(command) = line.strip_prefix('/') else {
        return Typed::Say(line);
    };
    let (name, rest) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    let rest = rest.trim();
    match (name, rest) {
        ("help" | "?", "") => Typed::Help,
        ("model", "") => Typed::Model(None),
        ("model", name) => Typed::Model(Some(name)),
        ("sessions", "") => Typed::Sessions,
        ("new", "") => Typed::New,
        ("compact", "") => Typed::Compact,
        ("diff", "") => Typed::Diff(None),
        ("diff", turn) => Typed::Diff(Some(turn)),
        ("undo", rest) => undo_typed(rest),
        ("forget", "") => Typed::Forget { all: false },
        ("forget", "all") => Typed::Forget { all: true },
        ("cost", "") => Typed::Cost,
        ("quit" | "exit" | "q", "") => Typed::Quit,
        // A path or anything else with a slash is something to say.
        (name, _) if name.contains('/') || name.is_empty() => Typed::Say(line),
        (name, _) => Typed::Unknown(name),
    }
}

/// Whether a line does more than say something.
fn is_command(line: &str) -> bool {
    !matches!(typed(line), Typed::Say(_))
}

/// `/undo`, with a turn or `force` or both.
fn undo_typed(rest: &str) -> Typed<'_> {
    let (turn, is_forced) = match rest.strip_suffix("force") {
        Some(turn) => (turn.trim_end_matches("--").trim(), true),
        None => (rest, false),
    };
    Typed::Undo {
        turn: (!turn.is_empty()).then_some(turn),
        is_forced,
    }
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
            if typed(&line) == Typed::Quit {
                return Ok(());
            }
            let performed = self.perform(typed(&line)).await;
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
        if is_command(&line) {
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

    async fn perform(&mut self, typed: Typed<'_>) -> anyhow::Result<()> {
        let client = self.attached.client.clone();
        match typed {
            Typed::Say(text) => self.say(text, None).await,
            Typed::Shell(script) => {
                let arguments = Map::from_iter([("script".to_owned(), script.into())]);
                let text = format!("!{script}");
                self.say(&text, Some(("shell".to_owned(), arguments))).await
            }
            Typed::Help => Ok(self.output.text(&format!("{HELP}\n"))?),
            Typed::Model(None) => {
                let status = client.status().await?;
                match &self.model {
                    Some(model) => self.note(&format!("{model}, chosen for this conversation")),
                    None => self.note(&status.model),
                }
            }
            Typed::Model(Some(name)) => {
                self.model = Some(name.to_owned());
                self.note(&format!(
                    "{name} answers from now on in this conversation; for good: titanclaw models use {name}"
                ))
            }
            Typed::Sessions => self.sessions().await,
            Typed::New => {
                self.session = SessionId::new();
                self.last_turn = None;
                self.records = client.follow(Some(self.session), 0);
                self.note("a new session begins with what you say next")
            }
            Typed::Compact => {
                client
                    .submit(Op::Compact {
                        session: self.session,
                    })
                    .await?;
                self.note("the model is shown less of this session from now on; the log keeps all")
            }
            Typed::Diff(turn) => undo::diff(client.as_ref(), self.session, turn, self.output).await,
            Typed::Undo { turn, is_forced } => {
                let undone = undo::undo(client.as_ref(), self.session, turn, is_forced).await?;
                Ok(self.output.lines(&undone.lines)?)
            }
            Typed::Forget { all } => self.forget(all).await,
            Typed::Cost => {
                let sessions = client.sessions(usize::MAX).await?;
                let usage = sessions
                    .iter()
                    .find(|session| session.session == self.session)
                    .map(|session| session.usage)
                    .unwrap_or_default();
                self.note(&render::usage(&usage))
            }
            Typed::Unknown(name) => self.note(&format!(
                "there is no /{name}; /help lists what can be typed here"
            )),
            Typed::Quit => Ok(()),
        }
    }

    async fn say(
        &mut self,
        text: &str,
        call: Option<(String, Map<String, Value>)>,
    ) -> anyhow::Result<()> {
        let turn = TurnId::new();
        self.last_turn = Some(turn);
        let ask = turn::Ask {
            session: self.session,
            turn,
            text: text.to_owned(),
            call,
            options: TurnOptions {
                workspace: Some(self.workspace.clone()),
                model: self.model.clone(),
                is_attended: true,
            },
            allow: &[],
            ahead: &mut self.ahead,
        };
        let client = self.attached.client.clone();
        let turn = turn::run(&self.stage, client.as_ref(), &mut self.records, ask);
        self.attached.unless_stopped(turn).await?;
        Ok(self.output.text("\n")?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_begins_a_command_unless_it_is_a_path() {
        let undo = |turn, is_forced| Typed::Undo { turn, is_forced };
        let cases = [
            ("hello", Typed::Say("hello")),
            (" /help ", Typed::Help),
            ("/model", Typed::Model(None)),
            ("/model a/b", Typed::Model(Some("a/b"))),
            ("/forget all", Typed::Forget { all: true }),
            ("/diff", Typed::Diff(None)),
            ("/diff 2", Typed::Diff(Some("2"))),
            ("/undo", undo(None, false)),
            ("/undo force", undo(None, true)),
            ("/undo 3 --force", undo(Some("3"), true)),
            ("/undo ab12", undo(Some("ab12"), false)),
            ("!ls -la", Typed::Shell("ls -la")),
            ("!", Typed::Say("!")),
            ("/usr/bin is what?", Typed::Say("/usr/bin is what?")),
            ("/ or not", Typed::Say("/ or not")),
            ("/nonsense x", Typed::Unknown("nonsense")),
            ("/quit", Typed::Quit),
        ];
        for (line, expected) in cases {
            assert_eq!(typed(line), expected);
        }
    }

    #[test]
    fn p15_a_command_that_was_typed_ahead_is_not_obeyed_unseen() {
        for line in ["!touch x", " !touch x", "/forget all", "/quit", "/nonsense"] {
            assert!(is_command(line), "{line}");
        }
        for line in ["hello", "what is !x", "/usr/bin is what?", "one\n!touch x"] {
            assert!(!is_command(line), "{line}");
        }
    }
}
