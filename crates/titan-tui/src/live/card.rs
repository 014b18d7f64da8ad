//! A tool call as a card: what it is about, how it is written, what it puts out, how it was judged, how it ended.

use super::View;
use super::block::Content;
use super::growing::{Growing, Look, Part};
use crate::render::drawing::{CANVAS, Drawing};
use crate::render::style::{Color, Line, Style};
use crate::render::turn::{summary, unescaped};
use crate::render::visible::{clean, clean_line, visible};
use crate::render::{canvas, duration};
use serde_json::Value;
use std::time::Duration;
use titan_protocol::{ToolCall, UnixMillis, Verdict};

/// Lines that are shown of the arguments while they are written, and of the output, of a card that is folded.
const PREVIEW_LINES_MAX: usize = 5;
/// Lines that are shown of what it draws while it is written.
const DRAWN_LINES_MAX: usize = 20;
/// Lines of an error that are shown of a card that is folded.
const ERROR_LINES_MAX: usize = 4;
/// Bytes that are kept of the arguments while they are written, and of what the model reads of the result.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Judgements that are kept.
const VERDICTS_MAX: usize = 64;

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its arguments are still being written; parts of it may run.
    Written,
    Running,
    Ended,
    Failed,
    Denied,
    Stopped,
}

/// One judgement, and whether it is shown though the card is folded.
#[derive(Debug)]
struct Judgement {
    content: Content,
    is_always_shown: bool,
}

#[derive(Debug)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) state: State,
    /// Whether the person opened or folded it; as its state asks for when `None`.
    is_open: Option<bool>,
    is_by_hand: bool,
    summary: String,
    /// Its arguments while they are written, raw.
    written: String,
    /// What it draws, as far as it is written, until it stands in the conversation.
    drawing: Option<Drawing>,
    arguments: Growing,
    output: Growing,
    /// The beginning of what the model reads of it.
    result: String,
    steps: u32,
    verdicts: Vec<Judgement>,
    begun_at: UnixMillis,
    elapsed: Option<Duration>,
}

impl Card {
    pub(super) fn new(name: &str, begun_at: UnixMillis) -> Self {
        Self {
            name: clean_line(name).into_owned(),
            state: State::Written,
            is_open: None,
            is_by_hand: false,
            summary: String::new(),
            written: String::new(),
            drawing: (name == CANVAS).then(Drawing::default),
            arguments: Growing::new(Look::Written),
            output: Growing::new(Look::Output),
            result: String::new(),
            steps: 0,
            verdicts: Vec::new(),
            begun_at,
            elapsed: None,
        }
    }

    /// The next piece of the arguments.
    pub(super) fn write(&mut self, json: &str) {
        if let Some(drawing) = &mut self.drawing {
            return drawing.push(json);
        }
        self.written.push_str(json);
        if self.written.len() > TEXT_BYTES_MAX {
            let start = self.written.len() - TEXT_BYTES_MAX / 2;
            let start = self.written.ceil_char_boundary(start);
            self.written.drain(..start);
        }
    }

    /// The call arrived whole.
    pub(super) fn ready(&mut self, call: &ToolCall, is_by_hand: bool) {
        self.written.clear();
        self.summary = summary(call);
        self.is_by_hand = is_by_hand;
        self.state = State::Running;
        self.drawing = (call.name == CANVAS).then(|| Drawing::of(&call.arguments));
        for (name, value) in &call.arguments {
            let text = match value {
                Value::String(text) => visible(text),
                other => visible(&other.to_string()),
            };
            let lead = if text.contains('\n') { "\n" } else { " " };
            self.arguments
                .push(&format!("{}:{lead}{text}\n", clean_line(name)));
        }
        self.arguments.finish();
    }

    /// Whether it draws the surface of this name.
    pub(super) fn draws(&self, name: &str) -> bool {
        let surface = self.drawing.as_ref().and_then(Drawing::surface);
        surface.is_some_and(|surface| surface.name == name)
    }

    /// What it draws stands in the conversation by now.
    pub(super) fn was_drawn(&mut self) {
        self.drawing = None;
    }

    pub(super) fn put_out(&mut self, text: &str) {
        self.output.push(text);
    }

    pub(super) fn judge(&mut self, step: u32, verdict: &Verdict) {
        self.steps = self.steps.max(step.saturating_add(1));
        let step = step.saturating_add(1);
        let (mark, color, text, is_always_shown) = match verdict {
            Verdict::Allow { reason } => {
                ("✓", Color::Green, format!("step {step}: {reason}"), false)
            }
            Verdict::Ask { reason, .. } => {
                ("?", Color::Yellow, format!("step {step}: {reason}"), false)
            }
            Verdict::Deny { reason } => {
                self.state = State::Denied;
                ("✗", Color::Red, format!("not allowed: {reason}"), true)
            }
        };
        let style = match is_always_shown {
            true => Style::color(color),
            false => Style::DIM,
        };
        self.note(mark, style, text, is_always_shown);
    }

    /// A sentence under the card, whether it is folded or not.
    pub(super) fn tell(&mut self, mark: &'static str, style: Style, text: String) {
        self.note(mark, style, text, true);
    }

    fn note(&mut self, mark: &'static str, style: Style, text: String, is_always_shown: bool) {
        if self.verdicts.len() < VERDICTS_MAX {
            let content = Content::Note { mark, style, text };
            self.verdicts.push(Judgement {
                content,
                is_always_shown,
            });
        }
    }

    pub(super) fn was_denied(&mut self) {
        self.state = State::Denied;
    }

    pub(super) fn was_stopped(&mut self) {
        self.state = State::Stopped;
    }

    pub(super) fn end(&mut self, text: &str, is_error: bool, elapsed: Duration) {
        self.output.finish();
        if self.output.is_empty() {
            self.output.push(text);
            self.output.finish();
        }
        let end = text.floor_char_boundary(TEXT_BYTES_MAX);
        text[..end].clone_into(&mut self.result);
        self.written.clear();
        self.drawing = None;
        self.elapsed = Some(elapsed);
        let has_end = matches!(self.state, State::Denied | State::Stopped);
        self.state = match is_error {
            true if has_end => self.state,
            true => State::Failed,
            false => State::Ended,
        };
    }

    /// Its turn ended without it.
    pub(super) fn cut_off(&mut self, now: UnixMillis) {
        if self.is_under_way() {
            self.output.finish();
            self.written.clear();
            self.drawing = None;
            self.state = State::Stopped;
            self.elapsed = Some(Duration::from_millis(now.saturating_sub(self.begun_at)));
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.elapsed.is_none()
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.unwrap_or(self.is_by_hand)
    }

    pub(super) fn toggle(&mut self) {
        self.is_open = Some(!self.is_open());
    }

    pub(super) fn open(&mut self) {
        self.is_open = Some(true);
    }

    pub(super) fn n_blocks(&self) -> usize {
        match self.is_open() {
            true => 2 + self.n_argument_blocks() + self.output.n_blocks(),
            false => 4,
        }
    }

    fn n_argument_blocks(&self) -> usize {
        match self.state {
            State::Written => 1,
            _ => self.arguments.n_blocks(),
        }
    }

    pub(super) fn block(&mut self, idx: usize, view: &View) -> Part<'_> {
        if idx == 0 {
            return Part::Made(Some(Content::Lines(vec![self.header(view)])));
        }
        if !self.is_open() {
            return Part::Made(match idx {
                1 => self.writing(PREVIEW_LINES_MAX, view),
                2 => self.preview(view.layout.width),
                _ => self.judgements(view, false),
            });
        }
        let n_arguments = self.n_argument_blocks();
        let n_output = self.output.n_blocks();
        match idx - 1 {
            _ if idx == 1 && self.state == State::Written => {
                Part::Made(self.writing(view.height.max(PREVIEW_LINES_MAX), view))
            }
            at if at < n_arguments => self.arguments.block(at),
            at if at < n_arguments + n_output => self.output.block(at - n_arguments),
            _ => Part::Made(self.judgements(view, true)),
        }
    }

    fn header(&self, view: &View) -> Line {
        let (mark, color) = match self.state {
            State::Written => ("✎", Color::Cyan),
            State::Running => (view.spinner(), Color::Cyan),
            State::Ended => ("✓", Color::Green),
            State::Failed | State::Denied => ("✗", Color::Red),
            State::Stopped => ("■", Color::Yellow),
        };
        let end = self.header_end(view);
        let fold = if self.is_open() { "▾ " } else { "▸ " };
        let mut line = Line::default()
            .with(Style::DIM, fold)
            .with(Style::color(color), format!("{mark} "))
            .with(Style::BOLD, self.name.as_str());
        if !self.summary.is_empty() {
            line = line.with(Style::PLAIN, format!(" {}", self.summary));
        }
        let room = view.layout.width.saturating_sub(end.chars().count());
        line.cut(room.max(8))
            .with(Style::DIM, end)
            .cut(view.layout.width)
    }

    /// What is said at the end of the header: how it ended, the step that runs, the time.
    fn header_end(&self, view: &View) -> String {
        let how = match self.state {
            State::Denied => " · denied",
            State::Stopped => " · stopped",
            State::Failed => " · failed",
            State::Written if self.has_output() => " · runs while it is written",
            State::Written | State::Running | State::Ended => "",
        };
        let step = match self.is_under_way() && self.steps > 1 {
            true => format!(" · step {}", self.steps),
            false => String::new(),
        };
        let time = match self.elapsed {
            Some(elapsed) => format!("  {}", duration(elapsed)),
            None => match view.now.saturating_sub(self.begun_at) / 1_000 {
                0 => String::new(),
                seconds => format!("  {seconds}s"),
            },
        };
        format!("{how}{step}{time}")
    }

    fn writing(&self, lines_max: usize, view: &View) -> Option<Content> {
        if let Some(drawing) = &self.drawing {
            let lines_max = lines_max.max(DRAWN_LINES_MAX.min(view.height / 2));
            let lines = canvas::growing(&drawing.surface()?, view.layout, lines_max);
            return Some(Content::Lines(lines));
        }
        if self.state != State::Written || self.written.is_empty() {
            return None;
        }
        let text = unescaped(&self.written);
        let text = clean(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(lines_max);
        let written = lines[from..].iter().map(|line| {
            Line::default()
                .with(Style::color(Color::Cyan), "  ✎ ")
                .with(Style::PLAIN, line.replace('\t', "    "))
        });
        Some(Content::Lines(written.collect()))
    }

    fn preview(&self, width: usize) -> Option<Content> {
        let (lines, style) = match self.state {
            State::Failed => {
                let text = clean(&self.result);
                let lines = text.lines().take(ERROR_LINES_MAX).map(str::to_owned);
                (lines.collect(), Style::color(Color::Red))
            }
            _ if self.is_under_way() => (self.output.last_lines(PREVIEW_LINES_MAX), Style::DIM),
            _ => return None,
        };
        let shown = lines.iter().map(|line: &String| {
            let text = line.replace('\t', "    ");
            let line = Line::default().with(Style::DIM, "  │ ");
            line.with(style, text).cut(width)
        });
        Some(Content::Lines(shown.collect()))
    }

    fn judgements(&self, view: &View, is_open: bool) -> Option<Content> {
        let shown = self
            .verdicts
            .iter()
            .filter(|verdict| is_open || verdict.is_always_shown);
        let mut layout = view.layout;
        layout.width = layout.width.saturating_sub(2).max(1);
        let lines: Vec<Line> = shown
            .flat_map(|verdict| verdict.content.lay_out(layout))
            .map(|line| {
                let mut indented = Line::default().with(Style::PLAIN, "  ");
                line.0.into_iter().for_each(|span| indented.push(span));
                indented
            })
            .collect();
        (!lines.is_empty()).then_some(Content::Lines(lines))
    }

    pub(super) fn bytes(&self) -> usize {
        self.arguments.bytes()
            + self.output.bytes()
            + self.written.len()
            + self.result.len()
            + self.drawing.as_ref().map_or(0, Drawing::bytes)
    }

    pub(super) fn holds(&self, wanted: &str) -> bool {
        self.arguments.holds(wanted)
            || self.output.holds(wanted)
            || self.name.to_lowercase().contains(wanted)
            || self
                .verdicts
                .iter()
                .any(|verdict| verdict.content.holds(wanted))
    }

    /// Forgets the lines of a block.
    pub(super) fn forget(&mut self, idx: usize) {
        if !self.is_open() || idx == 0 {
            return;
        }
        let n_arguments = self.n_argument_blocks();
        let part = match idx - 1 {
            at if at < n_arguments => self.arguments.block(at),
            at if at - n_arguments < self.output.n_blocks() => self.output.block(at - n_arguments),
            _ => return,
        };
        if let Part::Kept(block) = part {
            block.forget();
        }
    }
}
