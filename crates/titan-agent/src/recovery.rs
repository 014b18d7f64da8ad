//! What is mended when an engine opens after one that ended without a word: a crash, a kill, a power cut.
//!
//! What was accepted is in the journal. A turn without an end gets one, a question to the person counts as denied, and
//! a call without an end gets an end that says whether it may have run. The engine itself repeats nothing: whether to
//! do something again is for the model, which reads what is known, and for the person.

use crate::baseline::Baselines;
use crate::checkpoint::take_in_after_stop;
use crate::engine::Parts;
use crate::log::{Log, Written};
use crate::pipe::arguments_so_far;
use crate::summary;
use std::collections::BTreeSet;
use titan_protocol::{
    CallId, Decision, Event, Journal, Origin, Seq, SessionId, StorageError, Taint, ToolCall,
    TurnOutcome, Usage,
};

/// Records at the end of the journal that are looked through for turns that the lists do not know of: far more than are
/// appended between the beginning of a turn and its line in the lists.
const LATELY_RECORDS_MAX: u64 = 8_192;

/// Why something was left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The engine that ran it is gone.
    EngineStopped,
    /// The store could not be written for a while.
    StoreFailed,
}

impl Cause {
    fn text(self) -> &'static str {
        match self {
            Self::EngineStopped => "The engine stopped while this turn ran.",
            Self::StoreFailed => "The store could not be written while this turn ran.",
        }
    }
}

/// What was ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    turns: usize,
    /// Calls that may have done something.
    calls: usize,
}

impl Recovered {
    /// What the person is told of it; nothing when all had ended in order.
    pub(crate) fn told(self) -> Option<String> {
        let turns = match self.turns {
            0 => return None,
            1 => "a turn was".to_owned(),
            n => format!("{n} turns were"),
        };
        Some(format!(
            "the engine before this one stopped without a word. {turns} cut short and ended; what was said and done is \
             kept{}",
            told_of_calls(self.calls)
        ))
    }
}

fn told_of_calls(n_calls: usize) -> String {
    match n_calls {
        0 => String::new(),
        1 => ". One call had begun: what it did is not known, and it was not repeated".to_owned(),
        n => {
            format!(". {n} calls had begun: what they did is not known, and they were not repeated")
        }
    }
}

/// Ends what was running in any session when the engine before this one stopped.
///
/// # Errors
/// When the store can't be read or written.
pub(crate) async fn recover(
    parts: &Parts,
    baselines: &Baselines,
) -> Result<Recovered, StorageError> {
    let mut all = Recovered::default();
    let listed = summary::load(parts.records.as_ref()).await?;
    let running = listed.iter().filter(|(_, state)| state.is_running);
    let mut open: BTreeSet<SessionId> = running.map(|(session, _)| *session).collect();
    open.extend(begun_lately(parts.journal.as_ref()).await?);
    for session in open {
        let log = Log::open(parts.journal.clone(), session).await?;
        take_in_after_stop(&log, parts, baselines).await?;
        let ended = end_what_was_left_open(&log, Cause::EngineStopped).await?;
        log.store_summary(parts.records.as_ref()).await?;
        all.turns += ended.turns;
        all.calls += ended.calls;
    }
    Ok(all)
}

/// Sessions with a turn at the end of the journal that has begun and not ended. The lists may not know of it yet: their
/// change is made after the event, and a stop can fall between the two.
async fn begun_lately(journal: &dyn Journal) -> Result<BTreeSet<SessionId>, StorageError> {
    let after = last_seq(journal).await?.saturating_sub(LATELY_RECORDS_MAX);
    let limit = usize::try_from(LATELY_RECORDS_MAX).unwrap_or(usize::MAX);
    let mut open = BTreeSet::new();
    for record in journal.read(None, after, limit).await? {
        match record.event {
            Event::TurnStarted { .. } => open.insert(record.session),
            Event::TurnEnded { .. } => open.remove(&record.session),
            _ => continue,
        };
    }
    Ok(open)
}

/// The last position in the journal, by halving.
async fn last_seq(journal: &dyn Journal) -> Result<Seq, StorageError> {
    let mut beyond: Seq = 1;
    while !journal.read(None, beyond, 1).await?.is_empty() {
        beyond *= 2;
    }
    let mut before = beyond / 2;
    while before < beyond {
        let middle = before + (beyond - before) / 2;
        match journal.read(None, middle, 1).await?.first() {
            Some(record) => before = record.seq,
            None => beyond = middle,
        }
    }
    Ok(beyond)
}

/// Ends the turn, the calls and the approvals of a session that were left open, durably. Does nothing when none were.
///
/// # Errors
/// When the journal can't be written.
pub(crate) async fn end_what_was_left_open(
    log: &Log,
    cause: Cause,
) -> Result<Recovered, StorageError> {
    let (is_running, asked, calls, written, turn) = log
        .read(|state| {
            let asked: Vec<_> = state.asked.keys().copied().collect();
            let (calls, written) = (state.calls.clone(), state.written.clone());
            let turn = state.thread.last_turn;
            (state.summary.is_running, asked, calls, written, turn)
        })
        .await;
    if !is_running && asked.is_empty() {
        return Ok(Recovered::default());
    }
    let denied = |approval| Event::ApprovalDecided {
        approval,
        decision: Decision::Deny,
        by: "restart".to_owned(),
    };
    let mut events: Vec<Event> = asked.into_iter().map(denied).collect();
    let mut recovered = Recovered::default();
    if is_running {
        recovered.turns = 1;
        recovered.calls = calls.values().filter(|may_have_run| **may_have_run).count();
        let ran_while_written = written
            .into_iter()
            .filter(|(call, _)| calls.contains_key(call));
        events.extend(ran_while_written.map(|(call, written)| ready(call, &written)));
        events.extend(calls.into_iter().map(|(call, may_have_run)| {
            let text = if may_have_run { UNKNOWN } else { NOT_RUN };
            Event::ToolCallEnded {
                call,
                text: text.to_owned(),
                is_error: true,
                taint: Taint::NONE,
                whole: None,
                elapsed_ms: 0,
            }
        }));
        let error = format!(
            "{} What was said and done until then is kept{}; say \"go on\" to continue.",
            cause.text(),
            told_of_calls(recovered.calls)
        );
        events.push(Event::TurnEnded {
            outcome: TurnOutcome::Failed { error },
            usage: Usage::default(),
            elapsed_ms: 0,
        });
    }
    log.append(turn, events).await?;
    log.journal().sync().await?;
    Ok(recovered)
}

/// A call that was being written while its beginning ran, as far as it came.
fn ready(id: CallId, written: &Written) -> Event {
    let arguments = arguments_so_far(&written.json);
    Event::ToolCallReady {
        call: ToolCall {
            id,
            name: written.tool.clone(),
            arguments,
        },
        origin: Origin::Model,
    }
}

/// What the model reads of a call that had begun.
const UNKNOWN: &str = "Outcome unknown: the engine stopped while this call ran. It was done in full, in part or not \
                       at all, and it was not repeated. Look at what is there before doing it again.";
/// What the model reads of a call that had not.
const NOT_RUN: &str =
    "Not run: the engine stopped before this call began. Ask for it again if it is still wanted.";
