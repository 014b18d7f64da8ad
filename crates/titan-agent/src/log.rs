//! A session's way into the journal: appends, and keeps the projections in step.

use crate::canvas::Canvas;
use crate::jobs::Running;
use crate::lineage::Reader;
use crate::questions::Questions;
use crate::summary::{self, SummaryState};
use crate::thread::Thread;
use async_trait::async_trait;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use titan_exec::EventSink;
use titan_protocol::{
    ApprovalId, CallId, Decision, Effect, Event, Grant, GrantScope, Journal, Record, Records,
    SessionId, StorageError, TurnId, Verdict,
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// How long a question waits for its answer.
const QUESTION_WAIT_MAX: Duration = Duration::from_secs(3600);

/// What is known of a session, made from its records.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) thread: Thread,
    pub(crate) summary: SummaryState,
    /// What the person allowed for the session.
    pub(crate) grants: Vec<Grant>,
    /// Approval requests without an answer.
    pub(crate) asked: BTreeMap<ApprovalId, Asked>,
    /// Calls of the turn that have no end yet, and whether they may have run.
    pub(crate) calls: BTreeMap<CallId, bool>,
    /// Those of them that are still being written.
    pub(crate) written: BTreeMap<CallId, Written>,
    pub(crate) canvas: Canvas,
    /// The turn that runs.
    pub(crate) running: Running,
    /// Turns that a branch shares with the session that it came from.
    pub(crate) shared_turns: HashSet<TurnId>,
}

/// A call that is not whole yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) tool: String,
    /// Its arguments as far as they came.
    pub(crate) json: String,
}

/// What a person was asked about.
#[derive(Debug)]
pub(crate) struct Asked {
    call: CallId,
    tool: String,
    effects: Vec<Effect>,
}

impl State {
    /// Takes in a record that a branch shares: it was said and drawn here too. What it cost, what was allowed there and
    /// what was left open are its own session's.
    fn apply_shared(&mut self, record: &Record) {
        self.thread.apply(record);
        self.canvas.apply(&record.event);
        self.shared_turns.extend(record.turn);
    }

    fn apply(&mut self, record: &Record) {
        self.thread.apply(record);
        self.summary.apply(record);
        self.running.apply(record);
        self.canvas.apply(&record.event);
        match &record.event {
            Event::ApprovalRequested {
                approval,
                call,
                effects,
                ..
            } => {
                let asked = Asked {
                    call: call.id.clone(),
                    tool: call.name.clone(),
                    effects: effects.clone(),
                };
                self.asked.insert(*approval, asked);
            }
            Event::ApprovalDecided {
                approval,
                decision,
                by,
            } => {
                let Some(asked) = self.asked.remove(approval) else {
                    return;
                };
                if *decision != Decision::Deny {
                    self.calls.insert(asked.call, true);
                }
                if *decision == Decision::Session && by == "person" {
                    self.grants.push(Grant {
                        tool: asked.tool,
                        scope: GrantScope::Session {
                            effects: asked.effects,
                        },
                    });
                }
            }
            Event::ToolCallStarted { call, name } => {
                let written = Written {
                    tool: name.clone(),
                    json: String::new(),
                };
                self.written.insert(call.clone(), written);
            }
            Event::ToolArgumentsDelta { call, json } => {
                if let Some(written) = self.written.get_mut(call) {
                    written.json.push_str(json);
                }
            }
            Event::ToolCallReady { call, .. } => {
                self.written.remove(&call.id);
                // A call may run before it is whole.
                self.calls.entry(call.id.clone()).or_insert(false);
            }
            Event::StepDecided {
                call,
                verdict: Verdict::Allow { .. },
                ..
            } => {
                self.calls.insert(call.clone(), true);
            }
            Event::ToolCallEnded { call, .. } => {
                self.calls.remove(call);
            }
            Event::ContextAssembled { .. } => self.written.clear(),
            Event::TurnStarted { .. } | Event::TurnEnded { .. } => {
                self.calls.clear();
                self.written.clear();
            }
            _ => {}
        }
    }
}

/// One session's log. Appends are in order: a record is applied before the next is appended.
pub(crate) struct Log {
    journal: Arc<dyn Journal>,
    session: SessionId,
    state: Mutex<State>,
    /// Held while the summary is stored.
    storing: Mutex<()>,
}

/// Records that are read from the journal at one time.
const READ_RECORDS_MAX: usize = 4096;

impl Log {
    /// The log of a session as the journal has it.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub(crate) async fn open(
        journal: Arc<dyn Journal>,
        session: SessionId,
    ) -> Result<Self, StorageError> {
        let log = Self::unread(journal, session);
        log.reread().await?;
        Ok(log)
    }

    /// A log that knows nothing until it is reread.
    pub(crate) fn unread(journal: Arc<dyn Journal>, session: SessionId) -> Self {
        Self {
            journal,
            session,
            state: Mutex::default(),
            storing: Mutex::default(),
        }
    }

    /// Makes the projections anew, so that nothing of what was forgotten is left in them. Nothing is appended meanwhile.
    ///
    /// # Errors
    /// When the journal can't be read; the projections are as they were then.
    pub(crate) async fn reread(&self) -> Result<(), StorageError> {
        let mut state = self.state.lock().await;
        let mut anew = State::default();
        let mut reader = Reader::new(self.journal.clone(), self.session, 0);
        loop {
            let page = reader.next(READ_RECORDS_MAX).await?;
            for record in &page.records {
                match page.is_past {
                    true => anew.apply_shared(record),
                    false => anew.apply(record),
                }
            }
            if page.is_last {
                *state = anew;
                return Ok(());
            }
        }
    }

    /// Appends events of a turn together.
    ///
    /// # Errors
    /// When the journal can't be written.
    pub(crate) async fn append(
        &self,
        turn: Option<TurnId>,
        events: Vec<Event>,
    ) -> Result<(), StorageError> {
        let mut state = self.state.lock().await;
        for record in self.journal.append(self.session, turn, events).await? {
            state.apply(&record);
        }
        Ok(())
    }

    /// Reads the projections.
    pub(crate) async fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&*self.state.lock().await)
    }

    /// Stores the session's line in the lists. One at a time, each as it is when its time comes: what is stored last
    /// is what was known last.
    ///
    /// # Errors
    /// When the records can't be written.
    pub(crate) async fn store_summary(&self, records: &dyn Records) -> Result<(), StorageError> {
        let _storing = self.storing.lock().await;
        let summary = self.read(|state| state.summary.clone()).await;
        summary::store(records, self.session, &summary).await
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    pub(crate) fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }
}

/// The log as one turn's calls see it.
pub(crate) struct TurnLog {
    pub(crate) log: Arc<Log>,
    pub(crate) turn: TurnId,
    pub(crate) questions: Arc<Questions>,
    pub(crate) is_attended: bool,
    pub(crate) cancel: CancellationToken,
}

#[async_trait]
impl EventSink for TurnLog {
    async fn emit(&self, event: Event) -> Result<(), StorageError> {
        self.log.append(Some(self.turn), vec![event]).await
    }

    async fn make_durable(&self) -> Result<(), StorageError> {
        self.log.journal().sync().await
    }

    async fn ask(&self, question: &str, choices: &[String]) -> Option<String> {
        if !self.is_attended {
            return None;
        }
        let (id, answer) = self.questions.open();
        let asked = Event::QuestionAsked {
            question: id,
            text: question.to_owned(),
            choices: choices.to_vec(),
        };
        if let Err(error) = self.emit(asked).await {
            tracing::error!(%error, "a question could not be stored");
            return None;
        }
        let text = tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            answer = answer => answer.ok(),
            () = tokio::time::sleep(QUESTION_WAIT_MAX) => None,
        };
        if let Err(error) = self
            .emit(Event::QuestionAnswered {
                question: id,
                text: text.clone(),
            })
            .await
        {
            tracing::error!(%error, "an answer could not be stored");
        }
        text
    }
}
