//! Records become the state of the screen.

use super::app::{App, Request};
use super::status::{Turn, Waiting};
use crate::render::approval::decided;
use crate::render::style::{Color, Line, Style};
use crate::render::turn::{
    BRANCHED, compacted_text, cost_line, declined_text, finding_text, images_text, notice_style,
    outcome_note, plan_lines, question_lines, shortcut_text,
};
use crate::render::undo::undone;
use crate::render::visible::visible;
use std::time::Duration;
use titan_protocol::{
    CallId, Decision, Event, Origin, Record, Stopped, ToolCall, TurnId, TurnOutcome, UndoneFile,
    UnixMillis, Usage,
};

/// Names of changed files that are told at a turn's end.
const FILES_TOLD_MAX: usize = 4;
/// Turns whose ids are kept, to be named by their number.
const TURNS_MAX: usize = 10_000;
/// Of what was said in each of them, so much is kept, to choose one by.
const WORDS_CHARS_MAX: usize = 100;

impl App {
    /// Takes the next record of the session; those of others are not its own.
    pub fn apply(&mut self, record: &Record) {
        if record.session != self.session() {
            return;
        }
        match &record.event {
            Event::SessionStarted { workspace } => self.workspace = Some(workspace.clone()),
            Event::SessionBranched { workspace, .. } => {
                self.workspace = Some(workspace.clone());
                // What its past was called and cost is another session's.
                self.title.clear();
                self.usage = Usage::default();
                self.tell("↳", Style::DIM, BRANCHED);
            }
            Event::SessionTitled { title } => self.title.clone_from(title),
            Event::TurnStarted { text } => self.turn_started(record, text),
            Event::Steered { text, turn } => {
                self.sent.retain(|(sent, _)| sent != turn);
                self.conversation.say(text);
            }
            Event::ImagesGiven { images } => {
                let text = format!("{} · shown by titanclaw web", images_text(images));
                self.tell("▣", Style::DIM, &text);
            }
            // A call beside the turn, as for a title, is no part of it.
            Event::ModelCallStarted { .. } | Event::ModelCallEnded { .. }
                if record.turn.is_none() => {}
            Event::ModelCallStarted { model, reason, .. } => {
                self.model.clone_from(model);
                self.wait_for(Waiting::Model);
                if let Some(reason) = reason {
                    self.tell("·", Style::DIM, &format!("{model}: {reason}"));
                }
            }
            Event::TextDelta { text } => {
                self.wait_for(Waiting::Writing);
                self.conversation.answer(text);
            }
            Event::ThinkingDelta { text } => {
                self.wait_for(Waiting::Thinking);
                self.conversation.think(text);
            }
            Event::ToolCallStarted { call, name } => {
                self.wait_for(Waiting::Calls);
                self.conversation.open_call(call, name, record.at);
            }
            Event::ToolArgumentsDelta { call, json } => {
                if let Some(card) = self.conversation.call(call) {
                    card.write(json);
                }
            }
            Event::ToolCallReady { call, origin } => self.call_ready(call, *origin, record.at),
            Event::StepDecided {
                call,
                step,
                verdict,
                ..
            } => {
                if let Some(card) = self.conversation.call(call) {
                    card.judge(*step, verdict);
                }
            }
            Event::ApprovalRequested {
                approval,
                call,
                effects,
                reason,
                ..
            } => self.requests.push_back(Request::Approval {
                approval: *approval,
                call: call.clone(),
                effects: effects.clone(),
                reason: reason.clone(),
            }),
            Event::ApprovalDecided {
                approval,
                decision,
                by,
            } => {
                let is_meant = |request: &Request| matches!(request, Request::Approval { approval: id, .. } if id == approval);
                let call = self
                    .take_request(is_meant)
                    .and_then(|request| match request {
                        Request::Approval { call, .. } => Some(call.id),
                        Request::Question { .. } => None,
                    });
                self.decided(call, *decision, by);
            }
            Event::ToolOutputDelta { call, text } => {
                if let Some(card) = self.conversation.call(call) {
                    card.put_out(text);
                }
            }
            Event::ValidatorFinding {
                call,
                text,
                stopped,
                ..
            } => self.found(call, text, *stopped),
            Event::ToolCallEnded {
                call,
                text,
                is_error,
                elapsed_ms,
                ..
            } => {
                self.wait_for(Waiting::Calls);
                if let Some(card) = self.conversation.close_call(call) {
                    card.end(text, *is_error, Duration::from_millis(*elapsed_ms));
                }
            }
            Event::PlanUpdated { items } => self.plan.clone_from(items),
            Event::QuestionAsked {
                question,
                text,
                choices,
            } => self.requests.push_back(Request::Question {
                question: *question,
                text: text.clone(),
                choices: choices.clone(),
            }),
            Event::QuestionAnswered { question, text } => {
                let is_meant = |request: &Request| matches!(request, Request::Question { question: id, .. } if id == question);
                let asked = self.take_request(is_meant);
                self.answered(asked.as_ref(), text.as_deref());
            }
            Event::ModelCallEnded { usage, .. } => {
                self.usage = self.usage.plus(*usage);
                self.wait_for(Waiting::Engine);
                self.conversation.end_text();
            }
            Event::ModelCallFailed { error } => {
                let text = error.to_string();
                self.tell("!", Style::color(Color::Yellow), &text);
            }
            Event::Notice { level, text } => self.tell("!", notice_style(*level), text),
            Event::ShortcutTaken { name, because, .. } => {
                self.last_reflex = Some(name.clone());
                self.tell("⚡", Style::DIM, &shortcut_text(name, because));
            }
            Event::ShortcutDeclined { name, why } => {
                self.tell("·", Style::DIM, &declined_text(name, why));
            }
            Event::Compacted {
                tokens_before,
                tokens_after,
                ..
            } => self.tell(
                "·",
                Style::DIM,
                &compacted_text(*tokens_before, *tokens_after),
            ),
            Event::TurnEnded {
                outcome,
                usage,
                elapsed_ms,
            } => self.turn_ended(
                outcome,
                usage,
                Duration::from_millis(*elapsed_ms),
                record.at,
            ),
            Event::FileChanged { path, .. } if self.turn.is_some() => self.changed_file(path),
            Event::UndoStarted { .. } => self.undos.extend(record.turn),
            Event::UndoEnded { files, beyond, .. } => self.undone(files, beyond, record.turn),
            Event::Forgotten => self.tell("·", Style::DIM, "(forgotten)"),
            Event::CanvasDrawn { surface } => self.conversation.surface(surface),
            Event::CanvasRemoved { name } => {
                let text = format!("{name} was taken away from the canvas");
                self.tell("▦", Style::DIM, &text);
            }
            // The text of the turn, or of what steers it, says what was done on the canvas.
            Event::CanvasActed { .. }
            | Event::ShortcutResumed
            | Event::Instructed { .. }
            | Event::ContextAssembled { .. }
            | Event::ThinkingSealed { .. }
            | Event::FileChanged { .. } => {}
        }
    }

    fn turn_started(&mut self, record: &Record, text: &str) {
        if let Some(turn) = record.turn {
            self.sent.retain(|(sent, _)| *sent != turn);
            if self.turns.len() < TURNS_MAX {
                self.turns.push(turn);
                self.words.push(beginning(text));
            }
        }
        self.conversation.say(text);
        self.last_said = Some(text.to_owned());
        self.changed.clear();
        self.plan.clear();
        self.turn = Some(Turn {
            begun_at: record.at,
            waiting: Waiting::Engine,
            is_stopping: false,
        });
    }

    fn wait_for(&mut self, waiting: Waiting) {
        if let Some(turn) = &mut self.turn {
            turn.waiting = waiting;
        }
    }

    fn call_ready(&mut self, call: &ToolCall, origin: Origin, at: UnixMillis) {
        self.wait_for(Waiting::Calls);
        if let Some(card) = self.conversation.open_call(&call.id, &call.name, at) {
            card.ready(call, origin == Origin::Person);
        }
    }

    fn take_request(&mut self, is_meant: impl Fn(&Request) -> bool) -> Option<Request> {
        let at = self.requests.iter().position(is_meant)?;
        self.requests.remove(at)
    }

    /// A decision is told under the card of its call, or by itself where there is none any more.
    fn decided(&mut self, call: Option<CallId>, decision: Decision, by: &str) {
        let line = decided(decision, by);
        let text = line.text();
        let text = text.trim_start_matches(['└', ' ', '✓', '✗']);
        let (mark, style) = match decision {
            Decision::Deny => ("✗", Style::color(Color::Red)),
            _ => ("✓", Style::color(Color::Green)),
        };
        match call.filter(|call| self.names_call(call)) {
            Some(call) => {
                if let Some(card) = self.conversation.call(&call) {
                    if decision == Decision::Deny {
                        card.was_denied();
                    }
                    card.tell(mark, style, text.to_owned());
                }
            }
            None => self.tell(mark, style, text),
        }
    }

    fn answered(&mut self, asked: Option<&Request>, answer: Option<&str>) {
        if let Some(Request::Question { text, choices, .. }) = asked {
            // Its width is not known here; it is fitted when it is drawn.
            self.tell_lines(question_lines(text, choices, usize::MAX));
        }
        let answer = answer.unwrap_or("(nobody answered)");
        self.tell("›", Style::color(Color::Cyan), answer);
    }

    fn found(&mut self, call: &CallId, text: &str, stopped: Stopped) {
        let text = finding_text(stopped, text);
        let style = Style::color(Color::Yellow);
        match self.conversation.call(call) {
            Some(card) => {
                if stopped == Stopped::Call {
                    card.was_stopped();
                }
                card.tell("!", style, text);
            }
            None => self.tell("!", style, &text),
        }
    }

    fn turn_ended(
        &mut self,
        outcome: &TurnOutcome,
        usage: &Usage,
        elapsed: Duration,
        at: UnixMillis,
    ) {
        self.conversation.end_turn(at);
        self.requests.clear();
        let plan = std::mem::take(&mut self.plan);
        self.tell_lines(plan_lines(&plan, usize::MAX));
        if let Some((mark, style, text)) = outcome_note(outcome) {
            self.tell(mark, style, &text);
        }
        if !self.changed.is_empty() {
            let line = self.changed_line();
            self.tell_lines(vec![line]);
        }
        // What was called by hand cost nothing.
        if *usage != Usage::default() {
            self.tell_lines(vec![cost_line(&self.model, usage, elapsed)]);
        }
        self.turn = None;
    }

    fn changed_line(&self) -> Line {
        let root = self.root();
        let mut names: Vec<String> = self
            .changed
            .iter()
            .take(FILES_TOLD_MAX)
            .map(|path| visible(&path.strip_prefix(&root).unwrap_or(path).to_string_lossy()))
            .collect();
        let n_more = self.changed.len() - names.len();
        if n_more > 0 {
            names.push(format!("and {n_more} more"));
        }
        Line::default()
            .with(
                Style::color(Color::Green),
                format!("± {}", names.join(", ")),
            )
            .with(Style::DIM, " · /diff shows, /undo puts back")
    }

    fn undone(&mut self, files: &[UndoneFile], beyond: &[String], undo: Option<TurnId>) {
        let root = self.root();
        let mut lines = vec![Line::dim("↶ undone:")];
        lines.extend(undone(files, beyond, &root));
        if let Some(undo) = undo {
            let id = undo.to_string();
            let name = &id[id.len().saturating_sub(8)..];
            lines.push(Line::dim(format!(
                "this undo can be undone by its name: /undo {name}"
            )));
        }
        self.tell_lines(lines);
    }
}

/// How a text begins, in a line.
fn beginning(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty());
    visible(line.unwrap_or_default().trim())
        .chars()
        .take(WORDS_CHARS_MAX)
        .collect()
}
