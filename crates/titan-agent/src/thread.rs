//! The thread that a model is shown: a projection of a session's events. Pure.
//!
//! Live and after a restart it is made in the same way, by applying one record after the other, so a resumed session
//! shows the model what it was shown before.

use std::collections::{BTreeMap, HashSet};
use std::mem::take;
use std::path::PathBuf;
use titan_exec::taint_of_words;
use titan_protocol::{
    CallId, Content, Event, Message, Origin, PlanItem, Record, Role, Seq, Taint, ToolCall, TurnId,
};

/// What is said in place of the result of a call that never ended.
const NO_RESULT: &str = "This call was interrupted; it is not known what it did.";

/// A session as a model sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Thread {
    /// The workspace, from the session's start.
    pub(crate) workspace: Option<PathBuf>,
    /// The plan as it stands.
    pub(crate) plan: Vec<PlanItem>,
    /// What the thread holds, for policy. Only grows.
    pub(crate) taint: Taint,
    /// Turns that were started, so that none starts twice.
    pub(crate) turns: HashSet<TurnId>,
    /// The turn that was started last.
    pub(crate) last_turn: Option<TurnId>,
    /// Where it was started; what it began with is the message of this position.
    begun: Seq,
    /// An undo that was started and did not get through.
    pub(crate) undo_open: Option<TurnId>,
    /// The position of the last record that was applied.
    pub(crate) seq: Seq,
    /// What stands for the part that was left out, after a compaction.
    pub(crate) summary: Option<String>,
    closed: Vec<Placed>,
    open: Open,
}

/// A message with the positions that it was made from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) first: Seq,
    pub(crate) message: Message,
}

/// What was said since the last boundary: one reply, its results, and what is to follow them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Open {
    first: Seq,
    reply: Vec<Content>,
    results: BTreeMap<CallId, Content>,
    after: Vec<(Seq, Content)>,
}

impl Thread {
    /// The thread of these records, oldest first.
    #[cfg(test)]
    pub(crate) fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut thread = Self::default();
        for record in records {
            thread.apply(record);
        }
        thread
    }

    /// Takes one record in. Records come in order, each once.
    pub(crate) fn apply(&mut self, record: &Record) {
        self.seq = record.seq;
        match &record.event {
            Event::SessionStarted { workspace } => self.workspace = Some(workspace.clone()),
            Event::SessionBranched { workspace, .. } => {
                self.workspace = Some(workspace.clone());
                self.close();
                // An undo that its origin broke off is the origin's to finish.
                self.undo_open = None;
                self.last_turn = None;
            }
            Event::TurnStarted { text } => {
                self.taint = self.taint.union(taint_of_words(text));
                self.turns.extend(record.turn);
                self.last_turn = record.turn;
                self.begun = record.seq;
                self.close();
                self.say(record.seq, text);
                self.close();
            }
            Event::Steered { text, turn } => {
                self.taint = self.taint.union(taint_of_words(text));
                self.turns.insert(*turn);
                self.say(record.seq, text);
            }
            Event::ImagesGiven { images } => {
                // What an image says is a stranger's, as what a file says.
                self.taint = self.taint.union(Taint::BOTH);
                self.open.after.extend(images.iter().map(|image| {
                    let image = image.clone();
                    let base64 = None;
                    (record.seq, Content::Image { image, base64 })
                }));
            }
            Event::Instructed { text } => self.say(record.seq, &instruction(text)),
            Event::ContextAssembled { taint, .. } => {
                self.taint = self.taint.union(*taint);
                self.close();
            }
            // What follows is another reply.
            Event::ShortcutResumed | Event::ShortcutDeclined { .. } | Event::TurnEnded { .. } => {
                self.close();
            }
            Event::TextDelta { text } => self.text(record.seq, text),
            Event::ThinkingDelta { text } => self.thinking(record.seq, text),
            Event::ThinkingSealed { signature } => self.seal(signature),
            // A call within another is that one's own doing; the model is shown what the outer one made of it.
            Event::ToolCallReady {
                origin: Origin::Tool,
                ..
            } => {}
            Event::ToolCallReady { call, .. } => self.call(record.seq, call),
            Event::ToolCallEnded {
                call,
                text,
                is_error,
                taint,
                ..
            } => {
                self.taint = self.taint.union(*taint);
                let result = Content::ToolResult {
                    call: call.clone(),
                    text: text.clone(),
                    is_error: *is_error,
                    taint: *taint,
                };
                self.open.results.insert(call.clone(), result);
            }
            Event::PlanUpdated { items } => self.plan.clone_from(items),
            Event::Compacted {
                summary,
                kept_after,
                ..
            } => {
                self.close();
                self.summary = Some(summary.clone());
                self.closed.retain(|placed| placed.first > *kept_after);
            }
            Event::SessionTitled { .. }
            | Event::ModelCallStarted { .. }
            | Event::ShortcutTaken { .. }
            | Event::ToolCallStarted { .. }
            | Event::ToolArgumentsDelta { .. }
            | Event::StepDecided { .. }
            | Event::ApprovalRequested { .. }
            | Event::ApprovalDecided { .. }
            | Event::ToolOutputDelta { .. }
            | Event::ValidatorFinding { .. }
            | Event::CanvasDrawn { .. }
            | Event::CanvasRemoved { .. }
            | Event::CanvasActed { .. }
            | Event::QuestionAsked { .. }
            | Event::QuestionAnswered { .. }
            | Event::ModelCallEnded { .. }
            | Event::ModelCallFailed { .. }
            | Event::Notice { .. }
            | Event::FileChanged { .. }
            | Event::Forgotten => {}
            Event::UndoStarted { .. } => self.undo_open = record.turn,
            Event::UndoEnded { .. } => self.undo_open = None,
        }
    }

    /// The messages with the positions where they begin, up to now.
    pub(crate) fn placed(&self) -> Vec<Placed> {
        let mut thread = self.clone();
        thread.close();
        thread.closed
    }

    /// The messages to show a model now; what one side says in a row is one message, since vendors want the sides to
    /// alternate. What is `known` stands before what the turn began with, so that all that was said earlier stays as it
    /// was, and what a vendor has kept of it holds.
    pub(crate) fn messages(&self, known: &str) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        for Placed { first, mut message } in self.placed() {
            if first == self.begun && !known.is_empty() {
                let text = known.to_owned();
                message.content.insert(0, Content::Text { text });
            }
            match messages.last_mut() {
                Some(last) if last.role == message.role => last.content.extend(message.content),
                _ => messages.push(message),
            }
        }
        messages
    }

    /// The result of a call of the reply that is open.
    pub(crate) fn result(&self, call: &CallId) -> Option<&Content> {
        self.open.results.get(call)
    }

    /// What was answered last, if the last word was the assistant's.
    pub(crate) fn last_answer(&self) -> String {
        let last = self.closed.last().map(|placed| &placed.message);
        last.filter(|message| message.role == Role::Assistant)
            .map(Message::text)
            .unwrap_or_default()
    }

    /// What follows the reply that is open.
    fn say(&mut self, seq: Seq, text: &str) {
        let text = text.to_owned();
        self.open.after.push((seq, Content::Text { text }));
    }

    fn begin(&mut self, seq: Seq) {
        if self.open.reply.is_empty() {
            self.open.first = seq;
        }
    }

    fn text(&mut self, seq: Seq, piece: &str) {
        self.begin(seq);
        match self.open.reply.last_mut() {
            Some(Content::Text { text }) => text.push_str(piece),
            _ => self.open.reply.push(Content::Text {
                text: piece.to_owned(),
            }),
        }
    }

    fn thinking(&mut self, seq: Seq, piece: &str) {
        self.begin(seq);
        match self.open.reply.last_mut() {
            Some(Content::Thinking {
                text,
                signature: None,
            }) => text.push_str(piece),
            _ => self.open.reply.push(Content::Thinking {
                text: piece.to_owned(),
                signature: None,
            }),
        }
    }

    fn seal(&mut self, seal: &str) {
        if let Some(Content::Thinking { signature, .. }) = self.open.reply.last_mut() {
            *signature = Some(seal.to_owned());
        }
    }

    fn call(&mut self, seq: Seq, call: &ToolCall) {
        self.begin(seq);
        self.open.reply.push(Content::ToolCall(call.clone()));
    }

    /// Ends the open reply: its message, then the results of its calls in their order, then what was said meanwhile.
    /// Does nothing when nothing is open.
    fn close(&mut self) {
        let open = take(&mut self.open);
        let mut results = open.results;
        let answers: Vec<Content> = open
            .reply
            .iter()
            .filter_map(|part| match part {
                Content::ToolCall(call) => Some(
                    results
                        .remove(&call.id)
                        .unwrap_or_else(|| no_result(&call.id)),
                ),
                _ => None,
            })
            .collect();
        if open
            .reply
            .iter()
            .any(|part| !matches!(part, Content::Thinking { .. }))
        {
            self.push(open.first, Role::Assistant, open.reply);
        }
        if !answers.is_empty() {
            self.push(open.first, Role::User, answers);
        }
        for (seq, part) in open.after {
            self.push(seq, Role::User, vec![part]);
        }
    }

    fn push(&mut self, first: Seq, role: Role, content: Vec<Content>) {
        self.closed.push(Placed {
            first,
            message: Message { role, content },
        });
    }
}

fn no_result(call: &CallId) -> Content {
    Content::ToolResult {
        call: call.clone(),
        text: NO_RESULT.to_owned(),
        is_error: true,
        taint: Taint::NONE,
    }
}

/// How the engine's own words are marked, so that the model does not take them for the person's.
fn instruction(text: &str) -> String {
    format!("[from the engine, not from the person] {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;
    use titan_protocol::SessionId;

    const SESSION: SessionId = SessionId::from_u128(1);
    const TURN: TurnId = TurnId::from_u128(2);

    fn thread(events: Vec<Event>) -> Thread {
        let records: Vec<Record> = events
            .into_iter()
            .zip(1..)
            .map(|(event, seq)| Record {
                seq,
                at: seq,
                session: SESSION,
                turn: Some(TURN),
                event,
            })
            .collect();
        Thread::of(&records)
    }
    fn started(text: &str) -> Event {
        Event::TurnStarted { text: text.into() }
    }
    fn said(text: &str) -> Event {
        Event::TextDelta { text: text.into() }
    }
    fn boundary() -> Event {
        Event::ContextAssembled {
            tokens_estimated: 0,
            messages: 0,
            instructions: vec![],
            taint: Taint::NONE,
        }
    }
    fn call(id: &str) -> Event {
        let call = ToolCall {
            id: id.into(),
            name: "read".into(),
            arguments: Map::new(),
        };
        Event::ToolCallReady {
            call,
            origin: titan_protocol::Origin::Model,
        }
    }
    fn ended(id: &str, text: &str) -> Event {
        Event::ToolCallEnded {
            call: id.into(),
            text: text.into(),
            is_error: false,
            taint: Taint::PRIVATE,
            whole: None,
            elapsed_ms: 1,
        }
    }
    fn show(thread: &Thread) -> Vec<String> {
        let part = |content: &Content| match content {
            Content::Text { text } => text.clone(),
            Content::Image { image, .. } => image.in_words(),
            Content::Thinking { text, .. } => format!("<{text}>"),
            Content::ToolCall(call) => format!("call {}", call.id),
            Content::ToolResult { call, text, .. } => format!("result {call} {text}"),
        };
        let line = |message: &Message| {
            let parts: Vec<String> = message.content.iter().map(part).collect();
            format!("{:?}: {}", message.role, parts.join(" | "))
        };
        thread.messages("").iter().map(line).collect()
    }

    #[test]
    fn pieces_join_and_results_follow_their_calls_in_order() {
        let thread = thread(vec![
            started("hi"),
            boundary(),
            said("let me "),
            said("look"),
            call("a"),
            call("b"),
            ended("b", "2"),
            Event::Steered {
                text: "hurry".into(),
                turn: TurnId::from_u128(3),
            },
            ended("a", "1"),
            boundary(),
            said("done"),
        ]);
        assert_eq!(
            show(&thread),
            [
                "User: hi",
                "Assistant: let me look | call a | call b",
                "User: result a 1 | result b 2 | hurry",
                "Assistant: done"
            ]
        );
        assert_eq!(thread.taint, Taint::PRIVATE);
    }

    #[test]
    fn a_call_without_an_end_is_answered_all_the_same() {
        let thread = thread(vec![started("hi"), call("a"), started("go on")]);
        assert_eq!(
            show(&thread)[2],
            format!("User: result a {NO_RESULT} | go on")
        );
    }

    #[test]
    fn what_is_compacted_away_is_not_shown() {
        let compacted = Event::Compacted {
            summary: "talk".into(),
            kept_after: 3,
            tokens_before: 9,
            tokens_after: 1,
        };
        let thread = thread(vec![
            started("one"),
            said("first"),
            boundary(),
            started("two"),
            said("second"),
            compacted,
        ]);
        assert_eq!(show(&thread), ["User: two", "Assistant: second"]);
        assert_eq!(thread.summary.as_deref(), Some("talk"));
    }

    #[test]
    fn thinking_alone_is_no_reply() {
        let thread = thread(vec![
            started("hi"),
            Event::ThinkingDelta { text: "hm".into() },
            started("still there?"),
        ]);
        assert_eq!(show(&thread), ["User: hi | still there?"]);
    }
}
