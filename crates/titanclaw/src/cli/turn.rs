//! Runs one turn between a client and whoever looks on: a terminal, a pipe, or a script that wants records.

use super::{Context, Ended, Exit};
use crate::config::Config;
use crate::line::keys::{Key, Keyboard, PASTE_TOO_LONG, TypedAhead};
use crate::line::output::{Output, wants_color};
use crate::line::screen::{Screen, Size};
use clap::ValueEnum;
use futures::future::FusedFuture;
use futures::{FutureExt, StreamExt};
use serde_json::{Map, Value};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};
use titan_protocol::{
    ApprovalId, BoxStream, Client, ClientError, Decision, Effect, Event, ImageBytes, ModelError,
    Op, Record, SessionId, TurnId, TurnOptions, TurnOutcome,
};
use titan_tui::render::approval;
use titan_tui::render::markdown::Layout;
use titan_tui::render::style::{Color, Line, Style};
use titan_tui::render::turn::{Request, TurnView, chosen};
use titan_tui::render::visible::{CleanStream, clean};
use titan_tui::submits::{Submits, steer_of};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The shortest time between two drawings of the live part.
const DRAW_INTERVAL: Duration = Duration::from_millis(33);
/// The spinner's pace.
const TICK_INTERVAL: Duration = Duration::from_millis(100);
/// Records that are taken before the screen is drawn again.
const RECORDS_PER_DRAW_MAX: usize = 256;
/// What a question is answered with where nobody can.
const NOBODY: &str = "Nobody is here to answer. Decide yourself and say what you assumed.";

/// The records of one session.
pub(super) type Records = BoxStream<Result<Record, ClientError>>;

/// An effect that a standing answer allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Allow {
    /// Reading files, anywhere
    Read,
    /// Changing files in the workspace
    Write,
    /// Changing files outside the workspace
    WriteOutside,
    /// Running programs
    Run,
    /// Reaching the network
    Network,
}

impl Allow {
    fn covers(self, effect: &Effect) -> bool {
        match (self, effect) {
            (Self::Read, Effect::Read { .. })
            | (Self::Run, Effect::Run { .. })
            | (Self::Network, Effect::Network { .. }) => true,
            (Self::Write, Effect::Write { in_workspace, .. }) => *in_workspace,
            (Self::WriteOutside, Effect::Write { in_workspace, .. }) => !in_workspace,
            _ => false,
        }
    }
}

/// Where a turn is shown and who can be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    output: Output,
    status: Status,
    status_has_color: bool,
    shows_thinking: bool,
    has_person: bool,
}

/// How all but the answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// With the answer, drawn on standard output.
    Whole,
    /// Drawn on standard error; the answer is plain text on standard output.
    Drawn,
    /// Plain lines on standard error.
    Lines,
    /// Not at all.
    None,
    /// Every record on standard output as JSON.
    Json,
}

impl Stage {
    pub(super) fn new(context: &Context, config: &Config, is_json: bool) -> Self {
        let color = context.color(config);
        let output = Output::new(color, context.env.no_color);
        let is_drawn = |is_terminal: bool| is_terminal && !context.env.is_dumb_terminal;
        let on_stderr = is_drawn(io::stderr().is_terminal());
        let status = match () {
            () if is_json => Status::Json,
            () if context.is_quiet => Status::None,
            () if is_drawn(output.is_terminal) => Status::Whole,
            () if on_stderr => Status::Drawn,
            () => Status::Lines,
        };
        Self {
            output,
            status,
            status_has_color: wants_color(color, context.env.no_color, on_stderr),
            shows_thinking: config.display.thinking,
            has_person: io::stdin().is_terminal()
                && matches!(status, Status::Whole | Status::Drawn),
        }
    }

    /// Whether somebody can approve and answer.
    pub(super) fn has_person(&self) -> bool {
        self.has_person
    }

    /// Whether failures are told by the view itself.
    fn tells_failures(&self) -> bool {
        !matches!(self.status, Status::None | Status::Json)
    }

    fn painter(&self) -> Painter {
        let screen = |out: Box<dyn Write>, has_color| Some(Screen::new(out, has_color));
        Painter {
            stage: *self,
            screen: match self.status {
                Status::Whole => screen(Box::new(io::stdout()), self.output.has_color),
                Status::Drawn => screen(Box::new(io::stderr()), self.status_has_color),
                Status::Lines | Status::None | Status::Json => None,
            },
            finished: Vec::new(),
            drawn: None,
            answer: PlainAnswer::default(),
        }
    }
}

/// What is to be said in a session, and how.
pub(super) struct Ask<'a> {
    pub(super) session: SessionId,
    pub(super) turn: TurnId,
    pub(super) text: String,
    /// Given with the words, where a model answers.
    pub(super) images: Vec<ImageBytes>,
    /// A tool that the person calls by hand, with its arguments; else a model answers.
    pub(super) call: Option<(String, Map<String, Value>)>,
    pub(super) options: TurnOptions,
    pub(super) allow: &'a [Allow],
    /// What was typed before; what is typed during the turn and is not for it is left here.
    pub(super) ahead: &'a mut TypedAhead,
}

impl Ask<'_> {
    fn op(&self) -> Op {
        let (session, turn) = (self.session, self.turn);
        let (text, options) = (self.text.clone(), self.options.clone());
        match self.call.clone() {
            Some((tool, arguments)) => Op::UserCall {
                session,
                turn,
                text,
                tool,
                arguments,
                options,
            },
            None => Op::UserTurn {
                session,
                turn,
                text,
                images: self.images.clone(),
                options,
            },
        }
    }
}

/// How a turn ended.
#[derive(Debug)]
pub(super) struct TurnEnd {
    outcome: TurnOutcome,
    was_denied: bool,
    model_error: Option<ModelError>,
}

impl TurnEnd {
    /// The exit code that tells a script how it ended.
    pub(super) fn exit(&self) -> Exit {
        match (&self.outcome, &self.model_error) {
            (
                TurnOutcome::Failed { .. },
                Some(
                    ModelError::NoModel { .. }
                    | ModelError::Unavailable { .. }
                    | ModelError::Unauthorized { .. },
                ),
            ) => Exit::NoModel,
            (TurnOutcome::Failed { .. }, Some(ModelError::Budget { .. })) => Exit::Limited,
            (TurnOutcome::Failed { .. }, _) => Exit::Failed,
            (TurnOutcome::Limited { .. }, _) => Exit::Limited,
            (TurnOutcome::Interrupted, _) => Exit::Interrupted,
            (TurnOutcome::Completed, _) if self.was_denied => Exit::Denied,
            (TurnOutcome::Completed, _) => Exit::Completed,
        }
    }
}

/// Says something and shows what comes of it, until the turn ends. `records` is the session's stream; it is left
/// behind the turn's last record.
///
/// # Errors
/// When the client fails, standard output is closed, or the person interrupts twice.
pub(super) async fn run(
    stage: &Stage,
    client: &dyn Client,
    records: &mut Records,
    ask: Ask<'_>,
) -> anyhow::Result<TurnEnd> {
    let op = ask.op();
    let mut run = Run {
        stage: *stage,
        client,
        view: TurnView::new(stage.status == Status::Whole, stage.shows_thinking),
        painter: stage.painter(),
        ahead: ask.ahead,
        started: Instant::now(),
        frame: 0,
        current: ask.turn,
        has_begun: false,
        steers: Vec::new(),
        submits: Submits::new(client),
        n_interrupts: 0,
        allow: ask.allow,
        options: ask.options,
        session: ask.session,
        was_denied: false,
        outcome: None,
        seen: None,
    };
    let result = run.drive(records, op).await;
    let cleared = run.painter.end();
    let end = result?;
    cleared?;
    if let (TurnOutcome::Failed { error }, false) = (&end.outcome, stage.tells_failures()) {
        let text = error.clone();
        return Err(Ended {
            exit: end.exit(),
            text,
        }
        .into());
    }
    Ok(end)
}

struct Run<'a> {
    stage: Stage,
    client: &'a dyn Client,
    view: TurnView,
    painter: Painter,
    /// The line that is being typed is the beginning in it.
    ahead: &'a mut TypedAhead,
    started: Instant,
    frame: usize,
    session: SessionId,
    /// The turn that is shown: the one asked for, the one it steered, or one that a steering began.
    current: TurnId,
    has_begun: bool,
    /// Turns sent to steer that were not heard of yet.
    steers: Vec<TurnId>,
    /// What was typed and is not accepted yet. Nothing waits for it: a line said to a turn that is ending is accepted
    /// only when the next one begins.
    submits: Submits<'a>,
    /// How often the turn that is shown was interrupted.
    n_interrupts: usize,
    allow: &'a [Allow],
    options: TurnOptions,
    was_denied: bool,
    /// How the turn that is shown ended.
    outcome: Option<TurnOutcome>,
    /// The approval that is in sight, and since when.
    seen: Option<(ApprovalId, Instant)>,
}

impl Run<'_> {
    /// Drives the turn with the keyboard in hand. What is typed and not for this turn stays for the next prompt.
    async fn drive(&mut self, records: &mut Records, op: Op) -> anyhow::Result<TurnEnd> {
        let mut keyboard = self.stage.has_person.then(Keyboard::open).transpose()?;
        let end = self.follow(records, op, &mut keyboard).await;
        if let Some(keyboard) = keyboard {
            self.ahead.take(keyboard.close().await);
        }
        end
    }

    async fn follow(
        &mut self,
        records: &mut Records,
        op: Op,
        keyboard: &mut Option<Keyboard>,
    ) -> anyhow::Result<TurnEnd> {
        let mut interrupts = Interrupts::listen()?;
        let mut ticks = tokio::time::interval(TICK_INTERVAL);
        let submitted = self.client.submit(op);
        let mut submitted = submitted.fuse();
        loop {
            tokio::select! {
                result = &mut submitted => result?,
                (op, result) = self.submits.next() => {
                    if let Some(end) = self.submitted(op, result)? {
                        return Ok(end);
                    }
                }
                record = records.next() => {
                    if let Some(end) = self.take(record, records).await? {
                        // A turn may end sooner than it is kept for good, and listed, that it began.
                        if !submitted.is_terminated() {
                            submitted.await?;
                        }
                        return Ok(end);
                    }
                }
                keys = typed(keyboard) => self.keys(keys?),
                () = interrupts.next() => {
                    self.n_interrupts += 1;
                    if self.n_interrupts > 1 {
                        return Err(Ended { exit: Exit::Interrupted, text: String::new() }.into());
                    }
                    self.submit(Op::Interrupt { session: self.session });
                }
                _ = ticks.tick() => self.frame += 1,
            }
            let live = self.view.live(
                self.frame,
                self.started.elapsed(),
                self.ahead.begun.text(),
                self.painter.layout(),
            );
            self.painter.draw(&live)?;
            self.see();
        }
    }

    /// Notes since when the request that waits is in sight.
    fn see(&mut self) {
        let waiting = match self.view.request() {
            Some(Request::Approval { approval, .. }) => Some(*approval),
            _ => None,
        };
        if self.seen.map(|(approval, _)| approval) != waiting {
            self.seen = waiting.map(|approval| (approval, Instant::now()));
        }
    }

    /// Takes a record and those that are there already.
    async fn take(
        &mut self,
        first: Option<Result<Record, ClientError>>,
        records: &mut Records,
    ) -> anyhow::Result<Option<TurnEnd>> {
        let mut next = Some(first);
        for _ in 0..RECORDS_PER_DRAW_MAX {
            let Some(record) = next else { return Ok(None) };
            let Some(record) = record else {
                let gone = "the engine ended before the turn did. Run the command again";
                return Err(ClientError::Disconnected(gone.to_owned()).into());
            };
            if let Some(end) = self.record(record?).await? {
                return Ok(Some(end));
            }
            next = records.next().now_or_never();
        }
        Ok(None)
    }

    async fn record(&mut self, record: Record) -> anyhow::Result<Option<TurnEnd>> {
        if !self.concerns(&record) {
            return Ok(None);
        }
        if self.stage.status == Status::Json {
            self.stage.output.json(&record)?;
        }
        let layout = self.painter.layout();
        let lines = self.view.apply(&record, layout);
        self.painter.take(&record.event, lines)?;
        match record.event {
            Event::ApprovalRequested {
                approval, effects, ..
            } => {
                if let Some(decision) = self.standing_answer(&effects) {
                    self.was_denied |= decision == Decision::Deny;
                    self.client
                        .submit(Op::Decide { approval, decision })
                        .await?;
                }
            }
            Event::QuestionAsked { question, .. } if !self.stage.has_person => {
                let text = NOBODY.to_owned();
                match self.client.submit(Op::Answer { question, text }).await {
                    // The engine answers by itself where a turn is not attended.
                    Ok(()) | Err(ClientError::Refused(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Event::Steered { turn, .. } => self.steers.retain(|steer| *steer != turn),
            Event::TurnEnded { outcome, .. } => {
                self.outcome = Some(outcome);
                return Ok(self.end());
            }
            Event::TurnStarted { .. } => self.outcome = None,
            _ => {}
        }
        Ok(None)
    }

    /// Whether a record belongs to what is shown. What was before the turn does not.
    fn concerns(&mut self, record: &Record) -> bool {
        let Some(turn) = record.turn else {
            return self.has_begun;
        };
        match &record.event {
            Event::TurnStarted { .. } if self.steers.contains(&turn) => {
                self.steers.retain(|steer| *steer != turn);
                self.current = turn;
                self.n_interrupts = 0;
            }
            // What was asked steers a turn that ran already, perhaps from another terminal.
            Event::Steered { turn: steer, .. } if !self.has_begun && *steer == self.current => {
                self.current = turn;
            }
            _ => {}
        }
        self.has_begun |= turn == self.current;
        turn == self.current
    }

    /// The end, unless something that was typed begins another turn: it is heard of, or refused.
    fn end(&self) -> Option<TurnEnd> {
        let outcome = self.outcome.clone().filter(|_| self.steers.is_empty())?;
        Some(TurnEnd {
            outcome,
            was_denied: self.was_denied || self.view.was_denied(),
            model_error: self.view.model_error().cloned(),
        })
    }

    /// The answer to an approval without asking: by the standing answers, and no where nobody is there.
    fn standing_answer(&self, effects: &[Effect]) -> Option<Decision> {
        let is_covered = effects
            .iter()
            .all(|effect| self.allow.iter().any(|allow| allow.covers(effect)));
        match (is_covered && !self.allow.is_empty(), self.stage.has_person) {
            (true, _) => Some(Decision::Once),
            (false, true) => None,
            // Without standing answers the turn is not attended, and the engine says no by itself.
            (false, false) => (!self.allow.is_empty()).then_some(Decision::Deny),
        }
    }

    /// Takes the keys of one read.
    fn keys(&mut self, keys: Vec<Key>) {
        // What comes in one piece was pasted into a terminal that does not mark it, or typed ahead.
        let is_press = keys.iter().all(|key| *key == keys[0]);
        for key in keys {
            if let Some(op) = self.key(key, is_press) {
                self.submit(op);
            }
        }
        if self.ahead.begun.take_refused() {
            self.tell(PASTE_TOO_LONG);
        }
    }

    /// What a key asks for. An approval is decided by a letter that was pressed, and by nothing that was pasted.
    fn key(&mut self, key: Key, is_press: bool) -> Option<Op> {
        match self.view.request() {
            Some(Request::Approval { approval, .. })
                if self.ahead.begun.text().is_empty() && !is_pasted(&key) =>
            {
                let approval = *approval;
                let decision = match key {
                    Key::Char(letter) if is_press => approval::decision(letter),
                    _ => None,
                };
                if decision.is_none() {
                    // Who types on, or pastes, did not mean this request with what comes next either.
                    self.seen = Some((approval, Instant::now()));
                }
                let is_meant = self.seen.is_some_and(|(seen, since)| {
                    seen == approval && since.elapsed() >= approval::SEEN_MIN
                });
                decision
                    .filter(|_| is_meant)
                    .map(|decision| Op::Decide { approval, decision })
            }
            Some(Request::Question { question, choices }) => {
                let question = *question;
                let choices = choices.clone();
                self.ahead.begun.key(key).map(|text| Op::Answer {
                    question,
                    text: chosen(&text, &choices),
                })
            }
            // A line that was begun before an approval came is finished first, and so is what was pasted since.
            Some(Request::Approval { approval, .. }) => {
                self.seen = Some((*approval, Instant::now()));
                self.steer(key)
            }
            None => self.steer(key),
        }
    }

    fn steer(&mut self, key: Key) -> Option<Op> {
        self.ahead.begun.key(key).map(|text| Op::UserTurn {
            session: self.session,
            turn: TurnId::new(),
            text,
            images: Vec::new(),
            options: self.options.clone(),
        })
    }

    fn submit(&mut self, op: Op) {
        let steer = steer_of(&op).map(|(turn, _)| turn);
        match self.submits.push(op) {
            None => self.steers.extend(steer),
            Some(op) => self.tell_refused(&op, "too much waits for the engine already"),
        }
    }

    /// Takes in what became of something typed. Gives the turn's end where that alone was waited for.
    fn submitted(
        &mut self,
        op: Op,
        result: Result<(), ClientError>,
    ) -> anyhow::Result<Option<TurnEnd>> {
        match result {
            Ok(()) => Ok(None),
            Err(ClientError::Refused(why)) => {
                if let Some((turn, _)) = steer_of(&op) {
                    self.steers.retain(|steer| *steer != turn);
                    self.tell_refused(&op, &why);
                }
                // Anything else was answered meanwhile by somebody else, or by the clock; the record of it is on its
                // way.
                Ok(self.end())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn tell_refused(&mut self, op: &Op, why: &str) {
        match steer_of(op) {
            Some((_, text)) => self.tell(&format!("not said: {text}\n{why}")),
            None => self.tell(why),
        }
    }

    /// Says something of its own above what is going on.
    fn tell(&mut self, text: &str) {
        let yellow = Style::color(Color::Yellow);
        let text = clean(text);
        let lines = text.lines().map(|line| Line::default().with(yellow, line));
        self.painter.finished.extend(lines);
    }
}

fn is_pasted(key: &Key) -> bool {
    matches!(key, Key::Paste(_) | Key::PasteTooLong)
}

async fn typed(keyboard: &mut Option<Keyboard>) -> io::Result<Vec<Key>> {
    match keyboard {
        Some(keyboard) => keyboard.keys().await,
        None => std::future::pending().await,
    }
}

/// Ctrl-C, and the signals that ask a program to end.
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupts {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Forgets a Ctrl-C that was meant for something else, such as a turn that is over.
    pub(super) fn forget_interrupt(&mut self) {
        // At most one is kept, however many came.
        let _ = self.interrupt.recv().now_or_never();
    }

    /// Returns when one comes.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Brings lines and the plain answer to where they belong, the live part not more often than can be seen.
struct Painter {
    stage: Stage,
    screen: Option<Screen<Box<dyn Write>>>,
    finished: Vec<Line>,
    drawn: Option<Instant>,
    answer: PlainAnswer,
}

impl Painter {
    fn size(&self) -> Size {
        match self.stage.status {
            Status::Whole => Size::of(io::stdout()),
            _ => Size::of(io::stderr()),
        }
    }

    fn layout(&self) -> Layout {
        let is_whole = self.stage.status == Status::Whole;
        Layout {
            width: self.size().columns.saturating_sub(1).max(1),
            has_color: if is_whole {
                self.stage.output.has_color
            } else {
                self.stage.status_has_color
            },
        }
    }

    fn take(&mut self, event: &Event, lines: Vec<Line>) -> io::Result<()> {
        match self.stage.status {
            Status::Whole | Status::Drawn => self.finished.extend(lines),
            Status::Lines => {
                let text: String = lines.iter().map(|line| line.text() + "\n").collect();
                // A closed standard error must not end the work.
                if let Err(error) = io::stderr().write_all(text.as_bytes()) {
                    tracing::debug!(%error, "status not shown");
                }
            }
            Status::None | Status::Json => {}
        }
        if matches!(
            self.stage.status,
            Status::Drawn | Status::Lines | Status::None
        ) {
            self.answer.take(event, self.stage.output)?;
        }
        Ok(())
    }

    fn draw(&mut self, live: &[Line]) -> io::Result<()> {
        let size = self.size();
        let Some(screen) = &mut self.screen else {
            return Ok(());
        };
        let is_due = self
            .drawn
            .is_none_or(|drawn| drawn.elapsed() >= DRAW_INTERVAL);
        if !self.finished.is_empty() || is_due {
            screen.draw(&std::mem::take(&mut self.finished), live, size)?;
            self.drawn = Some(Instant::now());
        }
        Ok(())
    }

    /// Leaves what is finished and nothing else.
    fn end(&mut self) -> io::Result<()> {
        let size = self.size();
        let finished = std::mem::take(&mut self.finished);
        if let Some(screen) = &mut self.screen {
            screen.draw(&finished, &[], size)?;
            screen.clear(size)?;
        }
        self.answer.end(self.stage.output)
    }
}

/// The answer as plain text: its parts a blank line apart, a line break at its end.
#[derive(Debug, Default)]
struct PlainAnswer {
    cleaned: CleanStream,
    has_text: bool,
    is_in_part: bool,
    ends_line: bool,
}

impl PlainAnswer {
    fn take(&mut self, event: &Event, output: Output) -> io::Result<()> {
        match event {
            Event::TextDelta { text } => {
                let text = self.cleaned.push(text);
                self.put(&text, output)
            }
            Event::ToolCallStarted { .. } | Event::TurnEnded { .. } => self.end(output),
            _ => Ok(()),
        }
    }

    fn put(&mut self, text: &str, output: Output) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.has_text && !self.is_in_part {
            output.text("\n")?;
        }
        self.has_text = true;
        self.is_in_part = true;
        self.ends_line = text.ends_with('\n');
        output.text(text)
    }

    fn end(&mut self, output: Output) -> io::Result<()> {
        let rest = self.cleaned.finish();
        self.put(&rest, output)?;
        if std::mem::take(&mut self.is_in_part) && !self.ends_line {
            output.text("\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_answer_covers_its_kind_alone() {
        let write = |in_workspace| Effect::Write {
            path: "/x".into(),
            in_workspace,
        };
        let network = Effect::Network {
            host: "x".into(),
            port: 443,
        };
        assert!(Allow::Write.covers(&write(true)));
        assert!(!Allow::Write.covers(&write(false)));
        assert!(Allow::WriteOutside.covers(&write(false)));
        assert!(Allow::Network.covers(&network));
        assert!(!Allow::Run.covers(&network));
        assert!(!Allow::Read.covers(&Effect::Remember));
    }

    #[test]
    fn scripts_can_tell_how_a_turn_ended() {
        let end = |outcome, was_denied, model_error| TurnEnd {
            outcome,
            was_denied,
            model_error,
        };
        let failed = || TurnOutcome::Failed {
            error: String::new(),
        };
        let no_model = ModelError::NoModel {
            detail: String::new(),
        };
        let limited = TurnOutcome::Limited {
            limit: String::new(),
        };
        assert_eq!(
            end(TurnOutcome::Completed, false, None).exit(),
            Exit::Completed
        );
        assert_eq!(end(TurnOutcome::Completed, true, None).exit(), Exit::Denied);
        assert_eq!(end(failed(), true, None).exit(), Exit::Failed);
        assert_eq!(end(failed(), false, Some(no_model)).exit(), Exit::NoModel);
        assert_eq!(end(limited, false, None).exit(), Exit::Limited);
        assert_eq!(
            end(TurnOutcome::Interrupted, false, None).exit(),
            Exit::Interrupted
        );
    }
}
