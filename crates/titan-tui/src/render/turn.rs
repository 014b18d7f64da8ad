//! A turn as lines: a projection of its records, without a terminal, a clock or a key.
//!
//! [`TurnView::apply`] takes a record and gives the lines that are finished; [`TurnView::live`] draws what is still
//! changing. The same view serves a terminal (answer included) and a pipe's status (answer left out, since it goes
//! to standard output as it is).

use super::drawing::{CANVAS, Drawing};
use super::markdown::{Layout, MarkdownStream};
use super::style::{Color, Line, Span, Style, wrap};
use super::visible::clean;
use super::{approval, canvas, duration, usage};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use titan_protocol::{
    ApprovalId, CallId, Effect, Event, Image, ModelError, NoticeLevel, Origin, PlanItem,
    PlanStatus, QuestionId, Record, Stopped, ToolCall, TurnOutcome, Verdict,
};

/// Lines of a running tool's output that are shown under it.
const OUTPUT_LINES_MAX: usize = 3;
/// Lines that are shown of a call that is being written.
const WRITTEN_LINES_MAX: usize = 3;
/// Lines that are shown of a surface that is being drawn.
const DRAWN_LINES_MAX: usize = 8;
/// Bytes of a running tool's output, and of its arguments, that are kept for that.
const OUTPUT_BYTES_MAX: usize = 4 * 1024;
/// Lines of an error that are shown when a call failed.
const ERROR_LINES_MAX: usize = 4;
/// Lines of the plan that are shown while it changes.
const PLAN_LINES_MAX: usize = 8;

/// What is said where a branch begins.
pub const BRANCHED: &str = "a branch begins here: what is above is shared; files are as they are now, not as they were then";

/// The spinner.
pub(crate) const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// What a turn waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Waiting {
    Engine,
    Model { model: String },
    Thinking,
    Writing,
    Arguments { tool: String },
    Tools,
}

/// A request that only a person can answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Whether a call may run.
    Approval {
        /// Which request.
        approval: ApprovalId,
        /// The call that waits, whole.
        call: ToolCall,
        /// What no rule or grant covers.
        effects: Vec<Effect>,
    },
    /// Something that a tool wants to know.
    Question {
        /// Which question.
        question: QuestionId,
        /// Suggested answers; empty for free text.
        choices: Vec<String>,
    },
}

struct Call {
    id: CallId,
    name: String,
    summary: String,
    /// Its arguments while they are being written, raw.
    written: String,
    /// What it draws, as far as it is written.
    drawing: Option<Drawing>,
    output: String,
    /// The person called it and wants to see all that came of it.
    is_by_hand: bool,
}

/// A turn as far as it was told.
pub struct TurnView {
    shows_answer: bool,
    shows_thinking: bool,
    waiting: Waiting,
    answer: MarkdownStream,
    has_answer: bool,
    thinking: String,
    calls: Vec<Call>,
    plan: Vec<PlanItem>,
    requests: Vec<Request>,
    model: String,
    was_denied: bool,
    model_error: Option<ModelError>,
    needs_gap: bool,
}

impl TurnView {
    /// A view that has seen nothing. `shows_answer`: the answer is drawn, not written elsewhere.
    pub fn new(shows_answer: bool, shows_thinking: bool) -> Self {
        Self {
            shows_answer,
            shows_thinking,
            waiting: Waiting::Engine,
            answer: MarkdownStream::default(),
            has_answer: false,
            thinking: String::new(),
            calls: Vec::new(),
            plan: Vec::new(),
            requests: Vec::new(),
            model: String::new(),
            was_denied: false,
            model_error: None,
            needs_gap: false,
        }
    }

    /// The oldest request that waits for a person.
    pub fn request(&self) -> Option<&Request> {
        self.requests.first()
    }

    /// Whether something was denied because nobody was there, or by a standing answer.
    pub fn was_denied(&self) -> bool {
        self.was_denied
    }

    /// Why the last model call failed, if it did.
    pub fn model_error(&self) -> Option<&ModelError> {
        self.model_error.as_ref()
    }

    /// Takes a record and gives the lines that are finished with it.
    pub fn apply(&mut self, record: &Record, layout: Layout) -> Vec<Line> {
        match &record.event {
            Event::TextDelta { text } => self.text(text, layout),
            Event::ThinkingDelta { text } => {
                self.waiting = Waiting::Thinking;
                self.thinking.push_str(text);
                Vec::new()
            }
            Event::ModelCallStarted { model, reason, .. } => {
                self.model.clone_from(model);
                self.waiting = Waiting::Model {
                    model: model.clone(),
                };
                match reason {
                    Some(reason) => {
                        self.note("·", Style::DIM, &format!("{model}: {reason}"), layout)
                    }
                    None => Vec::new(),
                }
            }
            Event::ToolCallStarted { call, name } => {
                let lines = self.end_text(layout);
                self.waiting = Waiting::Arguments { tool: name.clone() };
                self.open_call(call, name);
                lines
            }
            Event::ToolArgumentsDelta { call, json } => {
                if let Some(call) = self.calls.iter_mut().find(|open| open.id == *call) {
                    push_bounded(&mut call.written, json);
                    if let Some(drawing) = &mut call.drawing {
                        drawing.push(json);
                    }
                }
                Vec::new()
            }
            Event::ToolCallReady { call, origin } => {
                let lines = self.end_text(layout);
                let open = self.open_call(&call.id, &call.name);
                open.written.clear();
                open.summary = summary(call);
                open.is_by_hand = *origin == Origin::Person;
                self.waiting = Waiting::Tools;
                lines
            }
            Event::ToolOutputDelta { call, text } => {
                if let Some(call) = self.calls.iter_mut().find(|open| open.id == *call) {
                    push_bounded(&mut call.output, text);
                }
                Vec::new()
            }
            Event::ToolCallEnded {
                call,
                text,
                is_error,
                elapsed_ms,
                ..
            } => self.end_call(
                call,
                text,
                *is_error,
                Duration::from_millis(*elapsed_ms),
                layout,
            ),
            Event::StepDecided {
                verdict: Verdict::Deny { reason },
                ..
            } => self.note(
                "✗",
                Style::color(Color::Red),
                &format!("not allowed: {reason}"),
                layout,
            ),
            Event::ValidatorFinding { text, stopped, .. } => {
                let text = finding_text(*stopped, text);
                self.note("!", Style::color(Color::Yellow), &text, layout)
            }
            Event::ApprovalRequested {
                approval,
                call,
                effects,
                reason,
                ..
            } => {
                let mut lines = self.end_text(layout);
                lines.extend(approval::request(call, effects, reason, layout.width));
                self.requests.push(Request::Approval {
                    approval: *approval,
                    call: call.clone(),
                    effects: effects.clone(),
                });
                lines
            }
            Event::ApprovalDecided {
                approval,
                decision,
                by,
            } => {
                self.requests
                    .retain(|request| !matches!(request, Request::Approval { approval: id, .. } if id == approval));
                self.was_denied |= by == "unattended";
                vec![approval::decided(*decision, by)]
            }
            Event::QuestionAsked {
                question,
                text,
                choices,
            } => {
                let mut lines = self.end_text(layout);
                lines.extend(question_lines(text, choices, layout.width));
                self.requests.push(Request::Question {
                    question: *question,
                    choices: choices.clone(),
                });
                lines
            }
            Event::QuestionAnswered { question, text } => {
                self.requests
                    .retain(|request| !matches!(request, Request::Question { question: id, .. } if id == question));
                let answer = text.as_deref().unwrap_or("(nobody answered)");
                self.note("›", Style::color(Color::Cyan), answer, layout)
            }
            Event::PlanUpdated { items } => {
                self.plan.clone_from(items);
                Vec::new()
            }
            Event::SessionBranched { .. } => self.note("↳", Style::DIM, BRANCHED, layout),
            Event::CanvasDrawn { surface } => {
                let mut lines = self.end_text(layout);
                lines.extend(canvas::lines(surface, layout));
                lines
            }
            Event::CanvasRemoved { name } => {
                let text = format!("{name} was taken away from the canvas");
                self.note("▦", Style::DIM, &text, layout)
            }
            // The text of the turn, or of what steers it, says it.
            Event::CanvasActed { .. } => Vec::new(),
            Event::Steered { text, .. } => {
                let mut lines = self.end_text(layout);
                lines.extend(self.note("›", Style::color(Color::Cyan), text, layout));
                lines
            }
            Event::ImagesGiven { images } => {
                self.note("▣", Style::DIM, &images_text(images), layout)
            }
            Event::Notice { level, text } => self.note("!", notice_style(*level), text, layout),
            Event::ShortcutTaken { name, because, .. } => {
                let text = shortcut_text(name, because);
                self.note("⚡", Style::DIM, &text, layout)
            }
            Event::ShortcutDeclined { name, why } => {
                let mut lines = self.end_text(layout);
                lines.extend(self.note("·", Style::DIM, &declined_text(name, why), layout));
                lines
            }
            Event::Compacted {
                tokens_before,
                tokens_after,
                ..
            } => {
                let text = compacted_text(*tokens_before, *tokens_after);
                self.note("·", Style::DIM, &text, layout)
            }
            Event::ModelCallFailed { error } => {
                self.model_error = Some(error.clone());
                let mut lines = self.end_text(layout);
                lines.extend(self.note(
                    "!",
                    Style::color(Color::Yellow),
                    &error.to_string(),
                    layout,
                ));
                lines
            }
            Event::ModelCallEnded { .. } => {
                self.model_error = None;
                self.thinking.clear();
                self.waiting = Waiting::Engine;
                self.end_text(layout)
            }
            Event::UndoEnded { files, beyond, .. } => {
                let mut lines = self.note("↶", Style::DIM, "undone:", layout);
                lines.extend(super::undo::undone(files, beyond, Path::new("/")));
                lines
            }
            Event::TurnEnded {
                outcome,
                usage,
                elapsed_ms,
            } => {
                let mut lines = self.end_text(layout);
                lines.extend(plan_lines(&self.plan, usize::MAX));
                lines.extend(self.outcome(outcome, layout));
                if self.shows_answer || *usage != titan_protocol::Usage::default() {
                    let elapsed = Duration::from_millis(*elapsed_ms);
                    lines.push(cost_line(&self.model, usage, elapsed));
                }
                self.requests.clear();
                lines
            }
            _ => Vec::new(),
        }
    }

    /// What is still changing, drawn for this frame.
    pub fn live(&self, frame: usize, elapsed: Duration, typed: &str, layout: Layout) -> Vec<Line> {
        let mut lines = Vec::new();
        if self.shows_answer {
            lines.extend(self.answer.live(layout));
        }
        if self.shows_thinking {
            lines.extend(tail(&self.thinking, OUTPUT_LINES_MAX, "  "));
        }
        let frame = FRAMES[frame % FRAMES.len()];
        for call in &self.calls {
            lines.push(call_line(
                Span::new(frame, Style::color(Color::Cyan)),
                call,
                "",
            ));
            match call.drawing.as_ref().and_then(Drawing::surface) {
                Some(surface) => lines.extend(canvas::growing(&surface, layout, DRAWN_LINES_MAX)),
                None => lines.extend(tail(&unescaped(&call.written), WRITTEN_LINES_MAX, "  ✎ ")),
            }
            lines.extend(tail(&call.output, OUTPUT_LINES_MAX, "  │ "));
        }
        if self.calls.is_empty() {
            lines.extend(plan_lines(&self.plan, PLAN_LINES_MAX));
        }
        match self.request() {
            Some(Request::Approval { .. }) if typed.is_empty() => lines.push(approval::choices()),
            Some(Request::Approval { .. }) => {
                lines.push(approval::choices());
                lines.push(input_line("finish or clear first", typed));
            }
            Some(Request::Question { .. }) => lines.push(input_line("answer", typed)),
            None => {
                lines.push(Line::default().with(Style::color(Color::Cyan), frame).with(
                    Style::DIM,
                    format!(" {} {}", self.waiting_text(), duration_short(elapsed)),
                ));
                if !typed.is_empty() {
                    lines.push(input_line("steer", typed));
                }
            }
        }
        lines
    }

    fn waiting_text(&self) -> String {
        match &self.waiting {
            Waiting::Engine => "working".to_owned(),
            Waiting::Model { model } => format!("waiting for {}", clean(model)),
            Waiting::Thinking => "thinking".to_owned(),
            Waiting::Writing => "writing".to_owned(),
            Waiting::Arguments { tool } => match self.calls.last() {
                Some(call) if !call.output.is_empty() => {
                    format!("running {} while it is written", clean(tool))
                }
                _ => format!("preparing {}", clean(tool)),
            },
            Waiting::Tools => match self.calls.as_slice() {
                [] => "waiting for the model".to_owned(),
                [call] => format!("running {}", clean(&call.name)),
                calls => format!("running {} tools", calls.len()),
            },
        }
    }

    fn text(&mut self, text: &str, layout: Layout) -> Vec<Line> {
        self.waiting = Waiting::Writing;
        if !self.shows_answer {
            return Vec::new();
        }
        let mut lines = Vec::new();
        if !self.has_answer && std::mem::take(&mut self.needs_gap) {
            lines.push(Line::default());
        }
        self.has_answer = true;
        self.answer.push(text);
        lines.extend(self.answer.finished(layout));
        lines
    }

    /// Hands out the rest of the answer so far, since something else follows it.
    fn end_text(&mut self, layout: Layout) -> Vec<Line> {
        if !std::mem::take(&mut self.has_answer) {
            return Vec::new();
        }
        let mut lines = self.answer.finish(layout);
        lines.push(Line::default());
        lines
    }

    fn open_call(&mut self, id: &CallId, name: &str) -> &mut Call {
        let idx = match self.calls.iter().position(|call| call.id == *id) {
            Some(idx) => idx,
            None => {
                self.calls.push(Call {
                    id: id.clone(),
                    name: name.to_owned(),
                    summary: String::new(),
                    written: String::new(),
                    drawing: (name == CANVAS).then(Drawing::default),
                    output: String::new(),
                    is_by_hand: false,
                });
                self.calls.len() - 1
            }
        };
        &mut self.calls[idx]
    }

    fn end_call(
        &mut self,
        id: &CallId,
        text: &str,
        is_error: bool,
        elapsed: Duration,
        layout: Layout,
    ) -> Vec<Line> {
        let Some(idx) = self.calls.iter().position(|call| call.id == *id) else {
            return Vec::new();
        };
        let call = self.calls.remove(idx);
        let (mark, color) = if is_error {
            ("✗", Color::Red)
        } else {
            ("✓", Color::Green)
        };
        let took = duration(elapsed);
        let mark = Span::new(mark, Style::color(color));
        let mut line =
            call_line(mark, &call, "").cut(layout.width.saturating_sub(took.len() + 3).max(12));
        line.push(Span::new(format!("  {took}"), Style::DIM));
        let mut lines = vec![line];
        if call.is_by_hand {
            let text = clean(text).replace('\t', "    ");
            let shown = text
                .lines()
                .map(|line| Line::default().with(Style::PLAIN, line));
            lines.splice(0..0, shown);
        } else if is_error {
            let text = clean(text);
            for line in text.lines().take(ERROR_LINES_MAX) {
                let line = Line::default().with(Style::color(Color::Red), format!("  {line}"));
                lines.push(line.cut(layout.width));
            }
        }
        self.needs_gap = true;
        self.waiting = Waiting::Tools;
        lines
    }

    fn note(&mut self, mark: &str, style: Style, text: &str, layout: Layout) -> Vec<Line> {
        self.needs_gap = true;
        let spans = [Span::new(clean(text), style)];
        wrap(&spans, layout.width.saturating_sub(2).max(1))
            .into_iter()
            .enumerate()
            .map(|(idx, line)| {
                let lead = if idx == 0 { mark } else { " " };
                let mut marked = Line::default().with(style, format!("{lead} "));
                line.0.into_iter().for_each(|span| marked.push(span));
                marked
            })
            .collect()
    }

    fn outcome(&mut self, outcome: &TurnOutcome, layout: Layout) -> Vec<Line> {
        match outcome_note(outcome) {
            Some((mark, style, text)) => self.note(mark, style, &text, layout),
            None => Vec::new(),
        }
    }
}

/// What a turn took: its model, tokens, money and time.
pub(crate) fn cost_line(model: &str, total: &titan_protocol::Usage, elapsed: Duration) -> Line {
    let model = match model {
        "" => String::new(),
        model => format!("{} · ", clean(model)),
    };
    Line::dim(format!("{model}{} · {}", usage(total), duration(elapsed)))
}

/// What the validator stopped, in a sentence.
pub(crate) fn finding_text(stopped: Stopped, text: &str) -> String {
    let what = match stopped {
        Stopped::Call => "stopped",
        Stopped::Model => "the model was stopped while it still wrote",
    };
    format!("{what}, because {text}")
}

/// What images were given.
pub fn images_text(images: &[Image]) -> String {
    let words = images.iter().map(|image| {
        let size = super::bytes(image.bytes);
        format!("{}, {size}", image.in_words())
    });
    words.collect::<Vec<String>>().join("; ")
}

/// How a notice looks.
pub(crate) fn notice_style(level: NoticeLevel) -> Style {
    match level {
        NoticeLevel::Info => Style::DIM,
        NoticeLevel::Warning => Style::color(Color::Yellow),
        NoticeLevel::Error => Style::color(Color::Red),
    }
}

/// What became of the earlier conversation, in a sentence.
/// That a reflex answers, and what the person can do about it.
pub(crate) fn shortcut_text(name: &str, because: &str) -> String {
    format!(
        "the reflex {name} answers, no model is asked: {because} (/again asks the model, /never ends the reflex)"
    )
}

/// That a reflex left the turn to the model.
pub(crate) fn declined_text(name: &str, why: &str) -> String {
    format!("the reflex {name} left this to the model, because {why}")
}

/// What a compaction did.
pub(crate) fn compacted_text(tokens_before: u32, tokens_after: u32) -> String {
    format!(
        "the earlier conversation was summarised for the model: about {} tokens became {}; the log keeps all",
        super::count(u64::from(tokens_before)),
        super::count(u64::from(tokens_after))
    )
}

/// How a turn ended, with its mark, where that needs a word.
pub(crate) fn outcome_note(outcome: &TurnOutcome) -> Option<(&'static str, Style, String)> {
    let yellow = Style::color(Color::Yellow);
    match outcome {
        TurnOutcome::Completed => None,
        TurnOutcome::Interrupted => {
            Some(("!", yellow, "stopped; what was said is kept".to_owned()))
        }
        TurnOutcome::Limited { limit } => {
            Some(("!", yellow, format!("a limit ended the turn: {limit}")))
        }
        TurnOutcome::Failed { error } => Some(("✗", Style::color(Color::Red), error.clone())),
    }
}

fn duration_short(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0 => String::new(),
        seconds @ 1..60 => format!("{seconds}s"),
        _ => duration(elapsed),
    }
}

fn call_line(mark: Span, call: &Call, end: &str) -> Line {
    let mut line = Line::default();
    line.push(mark);
    line.with(Style::BOLD, format!(" {}", clean(&call.name)))
        .with(Style::PLAIN, format!(" {}", call.summary))
        .with(Style::DIM, end)
}

fn input_line(label: &str, typed: &str) -> Line {
    let typed = clean(typed).replace('\n', " ⏎ ");
    Line::default()
        .with(Style::color(Color::Cyan), format!("{label} › "))
        .with(Style::PLAIN, typed)
}

/// The last lines of a text, each behind `lead`.
fn tail(text: &str, lines_max: usize, lead: &str) -> Vec<Line> {
    let text = clean(text).replace('\t', "    ");
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(lines_max)..]
        .iter()
        .map(|line| Line::dim(format!("{lead}{line}")))
        .collect()
}

/// The text in the raw JSON of a call that is being written, or in its end: good enough to read along.
pub(crate) fn unescaped(json: &str) -> String {
    let text = json.split_once("\":").map_or(json, |(_, value)| value);
    let text = text.trim_start().trim_start_matches('"');
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => shown.push(c),
            _ => match chars.next() {
                Some('n') => shown.push('\n'),
                Some('t') => shown.push('\t'),
                Some(c @ ('"' | '\\' | '/')) => shown.push(c),
                Some(c) => shown.extend(['\\', c]),
                None => {}
            },
        }
    }
    shown
}

fn push_bounded(output: &mut String, text: &str) {
    output.push_str(text);
    if output.len() > OUTPUT_BYTES_MAX {
        let mut start = output.len() - OUTPUT_BYTES_MAX / 2;
        while !output.is_char_boundary(start) {
            start += 1;
        }
        output.drain(..start);
    }
}

/// The plan's items, the first `lines_max` of them.
pub(crate) fn plan_lines(items: &[PlanItem], lines_max: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = items
        .iter()
        .take(lines_max)
        .map(|item| {
            let (mark, style) = match item.status {
                PlanStatus::Done => ("☑", Style::DIM),
                PlanStatus::InProgress => ("▸", Style::BOLD),
                PlanStatus::Pending => ("☐", Style::PLAIN),
            };
            let text = clean(&item.text).replace('\n', " ");
            Line::default().with(style, format!("{mark} {text}"))
        })
        .collect();
    if items.len() > lines_max {
        lines.push(Line::dim(format!("  and {} more", items.len() - lines_max)));
    }
    lines
}

/// A question with its numbered choices.
pub(crate) fn question_lines(text: &str, choices: &[String], width: usize) -> Vec<Line> {
    let mark = Style::color(Color::Cyan);
    let mut lines: Vec<Line> = wrap(
        &[Span::new(clean(text), Style::BOLD)],
        width.saturating_sub(2),
    )
    .into_iter()
    .enumerate()
    .map(|(idx, line)| {
        let mut marked = Line::default().with(mark, if idx == 0 { "? " } else { "  " });
        line.0.into_iter().for_each(|span| marked.push(span));
        marked
    })
    .collect();
    for (idx, choice) in choices.iter().enumerate() {
        let choice = clean(choice).replace('\n', " ");
        lines.push(
            Line::default()
                .with(mark, format!("  {} ", idx + 1))
                .with(Style::PLAIN, choice),
        );
    }
    lines
}

/// What a call is about, in one line: its most telling argument, or all of them.
pub fn summary(call: &ToolCall) -> String {
    const TELLING: [&str; 8] = [
        "script", "command", "path", "pattern", "url", "query", "question", "text",
    ];
    let telling = TELLING
        .iter()
        .find_map(|name| call.arguments.get(*name).and_then(Value::as_str))
        .or_else(|| call.arguments.values().find_map(Value::as_str));
    let text = match telling {
        Some(text) => text.to_owned(),
        None if call.arguments.is_empty() => String::new(),
        None => Value::Object(call.arguments.clone()).to_string(),
    };
    clean(&text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The choice that a number stands for, or what was typed.
pub fn chosen(text: &str, choices: &[String]) -> String {
    text.trim()
        .parse::<usize>()
        .ok()
        .and_then(|number| choices.get(number.checked_sub(1)?))
        .map_or_else(|| text.to_owned(), Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;
    use titan_protocol::{Decision, SessionId, StopReason, Taint, Usage};

    const LAYOUT: Layout = Layout {
        width: 44,
        has_color: true,
    };

    fn record(event: Event) -> Record {
        Record {
            seq: 1,
            at: 0,
            session: SessionId::from_u128(1),
            turn: None,
            event,
        }
    }

    fn text(text: &str) -> Event {
        Event::TextDelta { text: text.into() }
    }

    fn call(script: &str) -> ToolCall {
        ToolCall {
            id: "c1".into(),
            name: "shell".into(),
            arguments: json!({ "script": script })
                .as_object()
                .cloned()
                .unwrap_or_default(),
        }
    }

    /// Plays events; what is finished is written as it comes, and the live part, marked by `~`, after each.
    fn check(shows_answer: bool, events: Vec<Event>, expected: Expect) {
        let mut view = TurnView::new(shows_answer, true);
        let mut shown = String::new();
        for event in events {
            for line in view.apply(&record(event), LAYOUT) {
                shown.push_str(&format!("{}\n", line.text()));
            }
            for line in view.live(0, Duration::from_secs(2), "", LAYOUT) {
                shown.push_str(&format!("~ {}\n", line.text()));
            }
        }
        expected.assert_eq(&shown);
    }

    fn a_turn() -> Vec<Event> {
        vec![
            Event::ModelCallStarted {
                provider: "local".into(),
                model: "qwen".into(),
                reason: None,
            },
            text("Let me **look**."),
            Event::ToolCallStarted {
                call: "c1".into(),
                name: "shell".into(),
            },
            Event::ToolCallReady {
                call: call("cargo test\n--quiet"),
                origin: Origin::Model,
            },
            Event::ToolOutputDelta {
                call: "c1".into(),
                text: "one\ntwo\n\u{1b}[32mthree\nfour".into(),
            },
            Event::ToolCallEnded {
                call: "c1".into(),
                text: "all".into(),
                is_error: false,
                taint: Taint::NONE,
                whole: None,
                elapsed_ms: 1_234,
            },
            Event::PlanUpdated {
                items: vec![PlanItem {
                    text: "tell".into(),
                    status: PlanStatus::InProgress,
                }],
            },
            text("It\n\npasses"),
            Event::ModelCallEnded {
                usage: Usage::default(),
                stop: StopReason::End,
            },
            Event::TurnEnded {
                outcome: TurnOutcome::Completed,
                usage: Usage {
                    input_tokens: 1_200,
                    output_tokens: 34,
                    cost_usd_micros: Some(0),
                    ..Usage::default()
                },
                elapsed_ms: 3_400,
            },
        ]
    }

    #[test]
    fn a_number_stands_for_its_choice() {
        let choices = ["left".to_owned(), "right".to_owned()];
        assert_eq!(chosen(" 2 ", &choices), "right");
        assert_eq!(chosen("0", &choices), "0");
        assert_eq!(chosen("3", &choices), "3");
        assert_eq!(chosen("neither", &choices), "neither");
    }

    #[test]
    fn a_call_is_drawn_as_it_is_written_with_what_it_puts_out_meanwhile() {
        let written = |json: &str| Event::ToolArgumentsDelta {
            call: "c1".into(),
            json: json.into(),
        };
        let events = vec![
            Event::ToolCallStarted {
                call: "c1".into(),
                name: "shell".into(),
            },
            written(r#"{"script":"make \"all\"\nma"#),
            Event::ToolOutputDelta {
                call: "c1".into(),
                text: "made".into(),
            },
            written(r#"ke test\n"}"#),
            Event::ToolCallReady {
                call: call("make \"all\"\nmake test\n"),
                origin: Origin::Model,
            },
        ];
        check(
            true,
            events,
            expect![[r#"
            ~ ⠋ shell 
            ~ ⠋ preparing shell 2s
            ~ ⠋ shell 
            ~   ✎ make "all"
            ~   ✎ ma
            ~ ⠋ preparing shell 2s
            ~ ⠋ shell 
            ~   ✎ make "all"
            ~   ✎ ma
            ~   │ made
            ~ ⠋ running shell while it is written 2s
            ~ ⠋ shell 
            ~   ✎ make "all"
            ~   ✎ make test
            ~   ✎ "}
            ~   │ made
            ~ ⠋ running shell while it is written 2s
            ~ ⠋ shell make "all" make test
            ~   │ made
            ~ ⠋ running shell 2s
        "#]],
        );
    }

    #[test]
    fn a_turn_is_drawn_as_it_goes() {
        check(
            true,
            a_turn(),
            expect![[r#"
            ~ ⠋ waiting for qwen 2s
            ~ Let me look.
            ~ ⠋ writing 2s
            Let me look.

            ~ ⠋ shell 
            ~ ⠋ preparing shell 2s
            ~ ⠋ shell cargo test --quiet
            ~ ⠋ running shell 2s
            ~ ⠋ shell cargo test --quiet
            ~   │ two
            ~   │ three
            ~   │ four
            ~ ⠋ running shell 2s
            ✓ shell cargo test --quiet  1.2s
            ~ ⠋ waiting for the model 2s
            ~ ▸ tell
            ~ ⠋ waiting for the model 2s

            It
            ~ 
            ~ passes
            ~ ▸ tell
            ~ ⠋ writing 2s

            passes

            ~ ▸ tell
            ~ ⠋ working 2s
            ▸ tell
            qwen · 1,200 in · 34 out · $0 · 3.4s
            ~ ▸ tell
            ~ ⠋ working 2s
        "#]],
        );
    }

    #[test]
    fn a_pipe_gets_the_status_without_the_answer() {
        check(
            false,
            a_turn(),
            expect![[r#"
            ~ ⠋ waiting for qwen 2s
            ~ ⠋ writing 2s
            ~ ⠋ shell 
            ~ ⠋ preparing shell 2s
            ~ ⠋ shell cargo test --quiet
            ~ ⠋ running shell 2s
            ~ ⠋ shell cargo test --quiet
            ~   │ two
            ~   │ three
            ~   │ four
            ~ ⠋ running shell 2s
            ✓ shell cargo test --quiet  1.2s
            ~ ⠋ waiting for the model 2s
            ~ ▸ tell
            ~ ⠋ waiting for the model 2s
            ~ ▸ tell
            ~ ⠋ writing 2s
            ~ ▸ tell
            ~ ⠋ working 2s
            ▸ tell
            qwen · 1,200 in · 34 out · $0 · 3.4s
            ~ ▸ tell
            ~ ⠋ working 2s
        "#]],
        );
    }

    #[test]
    fn an_approval_waits_in_place_and_is_answered() {
        let approval = ApprovalId::from_u128(7);
        check(
            true,
            vec![
                Event::ApprovalRequested {
                    approval,
                    call: call("rm x"),
                    effects: vec![Effect::Write {
                        path: "/w/x".into(),
                        in_workspace: true,
                    }],
                    reason: "deletes a file".into(),
                    expires_at: 0,
                },
                Event::ApprovalDecided {
                    approval,
                    decision: Decision::Deny,
                    by: "unattended".into(),
                },
            ],
            expect![[r#"
                ┌ shell wants to run
                │ script: rm x
                │ → writes /w/x
                │ deletes a file
                ~ └ [o]nce [s]ession [e]xact [d]eny 
                └ ✗ denied (nobody is here to ask; --allow gives standing answers)
                ~ ⠋ working 2s
            "#]],
        );
    }

    #[test]
    fn a_call_by_hand_shows_all_that_came_of_it() {
        check(
            true,
            vec![
                Event::ToolCallReady {
                    call: call("ls"),
                    origin: Origin::Person,
                },
                Event::ToolCallEnded {
                    call: "c1".into(),
                    text: "a\n\u{1b}[1mb".into(),
                    is_error: false,
                    taint: Taint::NONE,
                    whole: None,
                    elapsed_ms: 5,
                },
            ],
            expect![[r#"
                ~ ⠋ shell ls
                ~ ⠋ running shell 2s
                a
                b
                ✓ shell ls  5ms
                ~ ⠋ waiting for the model 2s
            "#]],
        );
    }

    #[test]
    fn failures_and_questions_are_told() {
        check(
            true,
            vec![
                Event::QuestionAsked {
                    question: QuestionId::from_u128(3),
                    text: "Which one?".into(),
                    choices: vec!["a".into(), "b".into()],
                },
                Event::QuestionAnswered {
                    question: QuestionId::from_u128(3),
                    text: Some("b".into()),
                },
                Event::ToolCallReady {
                    call: call("false"),
                    origin: Origin::Model,
                },
                Event::ToolCallEnded {
                    call: "c1".into(),
                    text: "no such\nprogram".into(),
                    is_error: true,
                    taint: Taint::NONE,
                    whole: None,
                    elapsed_ms: 5,
                },
                Event::TurnEnded {
                    outcome: TurnOutcome::Failed {
                        error: "the model is gone. Start it again.".into(),
                    },
                    usage: Usage::default(),
                    elapsed_ms: 10,
                },
            ],
            expect![[r#"
                ? Which one?
                  1 a
                  2 b
                ~ answer › 
                › b
                ~ ⠋ working 2s
                ~ ⠋ shell false
                ~ ⠋ running shell 2s
                ✗ shell false  5ms
                  no such
                  program
                ~ ⠋ waiting for the model 2s
                ✗ the model is gone. Start it again.
                0 in · 0 out · $? · 10ms
                ~ ⠋ waiting for the model 2s
            "#]],
        );
    }
}
