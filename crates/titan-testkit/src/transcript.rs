//! Events as text, one line each: what tests compare and people read.

use serde_json::Value;
use std::collections::HashMap;
use titan_protocol::{CallId, Effect, Event, FileState, Image, Surface, TurnOutcome, Verdict};

/// Renders events one by one; calls are numbered `c1`, `c2` in the order they appear, and pieces of one text that
/// follow each other are joined.
#[derive(Default)]
pub struct Transcript {
    lines: Vec<String>,
    calls: HashMap<CallId, usize>,
    /// The prefix of the last line while more pieces of the same text may follow.
    open: Option<String>,
    text: String,
}

impl Transcript {
    /// The transcript of these events.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> String {
        let mut transcript = Self::default();
        for event in events {
            transcript.push(event);
        }
        transcript.finish()
    }

    /// Adds an event.
    pub fn push(&mut self, event: &Event) {
        match event {
            Event::TextDelta { text } => self.piece("text", text),
            Event::ThinkingDelta { text } => self.piece("thinking", text),
            Event::ToolArgumentsDelta { call, json } => {
                let prefix = format!("arguments {}", self.call(call));
                self.piece(&prefix, json);
            }
            Event::ToolOutputDelta { call, text } => {
                let prefix = format!("output {}", self.call(call));
                self.piece(&prefix, text);
            }
            other => {
                self.close();
                if let Some(line) = self.line(other) {
                    self.lines.push(line);
                }
            }
        }
    }

    /// The lines so far.
    pub fn finish(mut self) -> String {
        self.close();
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }

    fn piece(&mut self, prefix: &str, text: &str) {
        if self.open.as_deref() != Some(prefix) {
            self.close();
            self.open = Some(prefix.to_owned());
        }
        self.text.push_str(text);
    }

    fn close(&mut self) {
        if let Some(prefix) = self.open.take() {
            let text = std::mem::take(&mut self.text);
            self.lines.push(format!("{prefix} {text:?}"));
        }
    }

    fn call(&mut self, call: &CallId) -> String {
        let next = self.calls.len() + 1;
        format!("c{}", self.calls.entry(call.clone()).or_insert(next))
    }

    /// One line for an event; the match is exhaustive, so that a new event gets its line.
    fn line(&mut self, event: &Event) -> Option<String> {
        Some(match event {
            Event::SessionStarted { workspace } => {
                format!("session_started {}", workspace.display())
            }
            Event::SessionBranched { past, .. } => {
                format!("session_branched after {} shared", past.len())
            }
            Event::SessionTitled { title } => format!("session_titled {title:?}"),
            Event::TurnStarted { text } => format!("turn_started {text:?}"),
            Event::Steered { text, .. } => format!("steered {text:?}"),
            Event::ImagesGiven { images } => {
                let images: Vec<String> = images.iter().map(Image::in_words).collect();
                format!("images_given {}", images.join("; "))
            }
            Event::Instructed { text } => format!("instructed {text:?}"),
            // Estimates change with every word of the prompt; tests of the prompt look at the request itself.
            Event::ContextAssembled { .. } => return None,
            Event::ModelCallStarted {
                provider,
                model,
                reason,
            } => {
                format!(
                    "model_call_started {provider}/{model}{}",
                    suffix(reason.as_deref())
                )
            }
            Event::TextDelta { .. }
            | Event::ThinkingDelta { .. }
            | Event::ToolArgumentsDelta { .. }
            | Event::ToolOutputDelta { .. } => return None,
            Event::ThinkingSealed { signature } => format!("thinking_sealed {signature:?}"),
            Event::ToolCallStarted { call, name } => {
                format!("tool_call_started {} {name}", self.call(call))
            }
            Event::ToolCallReady { call, .. } => {
                let arguments = serde_json::Value::Object(call.arguments.clone());
                format!(
                    "tool_call_ready {} {} {arguments}",
                    self.call(&call.id),
                    call.name
                )
            }
            Event::StepDecided { call, verdict, .. } => {
                format!("step_decided {} {}", self.call(call), verdict_text(verdict))
            }
            Event::ValidatorFinding {
                call,
                rule,
                text,
                stopped,
            } => format!(
                "validator_finding {} {rule} stopped {stopped:?}: {text:?}",
                self.call(call)
            ),
            Event::ApprovalRequested {
                call,
                reason,
                effects,
                ..
            } => {
                let effects: Vec<String> = effects.iter().map(effect_text).collect();
                format!(
                    "approval_requested {} {reason:?} [{}]",
                    self.call(&call.id),
                    effects.join(", ")
                )
            }
            Event::ApprovalDecided { decision, by, .. } => {
                format!("approval_decided {decision:?} by {by}")
            }
            Event::ToolCallEnded {
                call,
                text,
                is_error,
                whole,
                ..
            } => {
                let outcome = if *is_error { "failed" } else { "ended" };
                let whole = if whole.is_some() { " (a part)" } else { "" };
                format!("tool_call_{outcome} {}{whole} {text:?}", self.call(call))
            }
            Event::PlanUpdated { items } => {
                let items: Vec<String> = items
                    .iter()
                    .map(|item| format!("{:?} {}", item.status, item.text))
                    .collect();
                format!("plan_updated {}", items.join("; "))
            }
            Event::CanvasDrawn { surface } => {
                let Surface {
                    name,
                    title,
                    kind,
                    content,
                    ..
                } = surface;
                format!("canvas_drawn {name} {kind:?} {title:?} {content:?}")
            }
            Event::ShortcutTaken {
                name,
                version,
                because,
            } => format!("shortcut_taken {name} {version} {because:?}"),
            Event::ShortcutResumed => "shortcut_resumed".to_owned(),
            Event::ShortcutDeclined { name, why } => format!("shortcut_declined {name} {why:?}"),
            Event::CanvasRemoved { name } => format!("canvas_removed {name}"),
            Event::CanvasActed { act } => {
                let values = Value::Object(act.values.clone());
                format!("canvas_acted {} {:?} {values}", act.surface, act.action)
            }
            Event::QuestionAsked { text, choices, .. } => {
                format!("question_asked {text:?} {choices:?}")
            }
            Event::QuestionAnswered { text, .. } => format!("question_answered {text:?}"),
            Event::ModelCallEnded { usage, stop } => {
                format!(
                    "model_call_ended {stop:?} {}+{}",
                    usage.input_tokens, usage.output_tokens
                )
            }
            Event::ModelCallFailed { error } => format!("model_call_failed {error}"),
            Event::Notice { level, text } => format!("notice {level:?} {text:?}"),
            Event::Compacted { summary, .. } => format!("compacted {summary:?}"),
            Event::TurnEnded { outcome, usage, .. } => {
                format!(
                    "turn_ended {} {}+{}",
                    outcome_text(outcome),
                    usage.input_tokens,
                    usage.output_tokens
                )
            }
            Event::FileChanged {
                path,
                before,
                after,
            } => {
                format!(
                    "file_changed {} {} -> {}",
                    path.display(),
                    state_text(before),
                    state_text(after)
                )
            }
            Event::UndoStarted { is_forced, .. } => {
                format!("undo_started{}", if *is_forced { " forced" } else { "" })
            }
            Event::UndoEnded { files, beyond, .. } => {
                let files: Vec<String> = files
                    .iter()
                    .map(|file| format!("{} {:?}", file.path.display(), file.outcome))
                    .collect();
                format!("undo_ended [{}] {beyond:?}", files.join(", "))
            }
            Event::Forgotten => "forgotten".to_owned(),
        })
    }
}

fn suffix(reason: Option<&str>) -> String {
    reason
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default()
}

/// The first letters of a content's hash tell contents apart.
fn state_text(state: &FileState) -> String {
    match state {
        FileState::Absent => "absent".to_owned(),
        FileState::File { content, .. } => content.as_str()[..8].to_owned(),
        FileState::Link { target } => format!("link {}", target.display()),
        FileState::NotKept { why } => format!("not kept ({why})"),
    }
}

fn verdict_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Allow { reason } => format!("allow ({reason})"),
        Verdict::Ask { reason, .. } => format!("ask ({reason})"),
        Verdict::Deny { reason } => format!("deny ({reason})"),
    }
}

/// An effect in a few words, for transcripts and fixtures.
pub fn effect_text(effect: &Effect) -> String {
    let outside = |in_workspace: bool| if in_workspace { "" } else { " outside" };
    match effect {
        Effect::Read { path, in_workspace } => {
            format!("read {}{}", path.display(), outside(*in_workspace))
        }
        Effect::Write { path, in_workspace } => {
            format!("write {}{}", path.display(), outside(*in_workspace))
        }
        Effect::Run {
            program,
            arguments,
            reads_only,
        } => {
            let reading = if *reads_only { " (reads only)" } else { "" };
            let words: Vec<&str> = std::iter::once(program)
                .chain(arguments)
                .map(String::as_str)
                .collect();
            format!("run {}{reading}", words.join(" "))
        }
        Effect::Network { host, port } => format!("network {host}:{port}"),
        Effect::Message { recipient } => format!("message {recipient}"),
        Effect::Secret { name } => format!("secret {name}"),
        Effect::Money {
            usd_micros,
            recipient,
        } => format!("money {usd_micros} {recipient}")
            .trim_end()
            .to_owned(),
        Effect::Remember => "remember".to_owned(),
    }
}

fn outcome_text(outcome: &TurnOutcome) -> String {
    match outcome {
        TurnOutcome::Completed => "completed".to_owned(),
        TurnOutcome::Interrupted => "interrupted".to_owned(),
        TurnOutcome::Limited { limit } => format!("limited ({limit})"),
        TurnOutcome::Failed { error } => format!("failed ({error})"),
    }
}
