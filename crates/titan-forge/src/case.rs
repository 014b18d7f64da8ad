//! What a turn was: what was asked, what was called, what was answered. Made from the journal.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use titan_protocol::{Event, Record, Seq, SessionId, TurnId, TurnOutcome, UnixMillis};

/// The longest question, call or outcome that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Calls of a turn that is looked at.
pub(crate) const CALLS_MAX: usize = 8;

/// A turn that a model answered and that ended well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) session: SessionId,
    pub(crate) turn: TurnId,
    /// Where its first record stands.
    pub(crate) seq: Seq,
    pub(crate) workspace: PathBuf,
    pub(crate) at: UnixMillis,
    pub(crate) asked: String,
    pub(crate) calls: Vec<Call>,
    /// The tools that it called, with the hashes of what they were. A turn says nothing about another tool of that name.
    pub(crate) tools: BTreeMap<String, String>,
    /// What was said after the last call.
    pub(crate) answer: String,
    /// Whether nothing was said in the session before.
    pub(crate) is_first: bool,
    /// The provider and model that answered.
    pub(crate) model: String,
    pub(crate) elapsed_ms: u64,
}

/// A reflex's part in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByReflex {
    pub(crate) name: String,
    /// Whether it left the turn to the model.
    pub(crate) has_declined: bool,
    pub(crate) elapsed_ms: u64,
}

/// The part that a reflex had in a turn, if it had one. Such a turn proves nothing.
pub(crate) fn by_reflex(records: &[Record]) -> Option<ByReflex> {
    let mut by: Option<ByReflex> = None;
    for record in records {
        match (&record.event, &mut by) {
            (Event::ShortcutTaken { name, .. }, _) => {
                by = Some(ByReflex {
                    name: name.clone(),
                    has_declined: false,
                    elapsed_ms: 0,
                });
            }
            (Event::ShortcutDeclined { .. }, Some(by)) => by.has_declined = true,
            (Event::TurnEnded { elapsed_ms, .. }, Some(by)) => by.elapsed_ms = *elapsed_ms,
            _ => {}
        }
    }
    by
}

/// A call that ended well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) tool: String,
    pub(crate) arguments: Map<String, Value>,
    /// What the model read of it.
    pub(crate) outcome: String,
}

/// The case of a turn's records, where the turn is one from which something can be learned: nobody said more meanwhile, no
/// call failed or was denied, nothing was asked back.
pub(crate) fn case(records: &[Record], workspace: PathBuf, is_first: bool) -> Option<Case> {
    let first = records.first()?;
    let mut case = Case {
        session: first.session,
        turn: first.turn?,
        seq: first.seq,
        workspace,
        at: first.at,
        asked: String::new(),
        calls: Vec::new(),
        tools: BTreeMap::new(),
        answer: String::new(),
        is_first,
        model: String::new(),
        elapsed_ms: 0,
    };
    let mut ended: Vec<(titan_protocol::CallId, String)> = Vec::new();
    let mut ready = Vec::new();
    let mut is_complete = false;
    for record in records {
        match &record.event {
            Event::TurnStarted { text } => case.asked.clone_from(text),
            Event::ModelCallStarted {
                provider, model, ..
            } => case.model = format!("{provider}/{model}"),
            Event::TextDelta { text } => case.answer.push_str(text),
            Event::ToolCallReady { call, .. } => {
                case.answer.clear();
                ready.push(call.clone());
            }
            Event::ToolCallEnded {
                call,
                text,
                is_error: false,
                whole: None,
                ..
            } => ended.push((call.clone(), text.clone())),
            Event::TurnEnded {
                outcome: TurnOutcome::Completed,
                elapsed_ms,
                ..
            } => {
                is_complete = true;
                case.elapsed_ms = *elapsed_ms;
            }
            // Whatever else a person or a limit did makes the turn one of its own.
            Event::ToolCallEnded { .. }
            | Event::TurnEnded { .. }
            | Event::Steered { .. }
            | Event::Instructed { .. }
            | Event::QuestionAsked { .. }
            | Event::ImagesGiven { .. }
            | Event::CanvasDrawn { .. }
            | Event::CanvasActed { .. }
            | Event::Compacted { .. }
            | Event::ModelCallFailed { .. }
            | Event::ValidatorFinding { .. }
            | Event::Forgotten => return None,
            _ => {}
        }
    }
    for call in ready {
        let at = ended.iter().position(|(id, _)| *id == call.id)?;
        case.calls.push(Call {
            tool: call.name,
            arguments: call.arguments,
            outcome: ended.swap_remove(at).1,
        });
    }
    case.answer = case.answer.trim().to_owned();
    let is_short = |text: &str| text.len() <= TEXT_BYTES_MAX;
    let is_fit = is_complete
        && !case.answer.is_empty()
        && is_short(&case.asked)
        && is_short(&case.answer)
        && case.calls.len() <= CALLS_MAX
        && case.calls.iter().all(|call| is_short(&call.outcome));
    is_fit.then_some(case)
}
