//! What the turns of a session changed, read from the journal. Pure but for the reading.

use crate::lineage::Reader;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_protocol::{
    ApprovalId, CallId, Decision, Effect, Event, FileState, Journal, Record, SessionId,
    StorageError, TurnId, UndoOutcome,
};

/// Records that are read from the journal at one time.
const READ_RECORDS_MAX: usize = 4096;

/// A session's turns and undos, as far as they matter for undo.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) workspace: Option<PathBuf>,
    pub(crate) is_branch: bool,
    pub(crate) turns: Vec<Past>,
    asked: HashMap<ApprovalId, CallId>,
}

/// A turn, or an undo.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) id: TurnId,
    /// What the person said; empty for an undo.
    pub(crate) text: String,
    /// What this undid, if it is an undo.
    pub(crate) of: Option<TurnId>,
    /// An undo that is not through yet.
    pub(crate) is_open: bool,
    /// Files by path, each as it was first and last.
    pub(crate) files: BTreeMap<PathBuf, Touched>,
    /// What its calls left behind, as it was judged.
    lasting: Vec<(CallId, Vec<Effect>)>,
    /// Whether an undo put anything back.
    has_restored: bool,
}

/// What a turn did to one file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Touched {
    pub(crate) before: FileState,
    pub(crate) after: FileState,
    /// Somebody else changed it between two changes of the turn.
    pub(crate) is_mixed: bool,
}

impl Past {
    fn new(id: TurnId) -> Self {
        Self {
            id,
            text: String::new(),
            of: None,
            is_open: false,
            files: BTreeMap::new(),
            lasting: Vec::new(),
            has_restored: false,
        }
    }

    fn change(&mut self, path: &Path, before: &FileState, after: &FileState) {
        match self.files.get_mut(path) {
            Some(known) => {
                // What stood there at first and stands there again is not lost when it is put back.
                known.is_mixed |= !known.after.is_like(before) && !known.before.is_like(before);
                known.after = after.clone();
            }
            None => {
                let touched = Touched {
                    before: before.clone(),
                    after: after.clone(),
                    is_mixed: false,
                };
                self.files.insert(path.to_owned(), touched);
            }
        }
    }

    /// Whether one of these calls ran a program, if it ran.
    pub(crate) fn ran_a_program_in(&self, calls: &BTreeMap<CallId, bool>) -> bool {
        self.lasting.iter().any(|(call, effects)| {
            let runs = |effect: &Effect| matches!(effect, Effect::Run { .. });
            calls.get(call).is_some_and(|may_have_run| *may_have_run) && effects.iter().any(runs)
        })
    }

    /// What its calls left behind, files or other.
    pub(crate) fn lasting(&self) -> impl Iterator<Item = &Effect> {
        self.lasting.iter().flat_map(|(_, effects)| effects)
    }
}

impl History {
    /// What a session's own turns changed. A branch puts back nothing that was done before it began.
    pub(crate) async fn read(
        journal: &Arc<dyn Journal>,
        session: SessionId,
    ) -> Result<Self, StorageError> {
        Self::read_all(journal, session, false).await
    }

    /// Also what was changed in the past that a branch shares.
    pub(crate) async fn read_with_past(
        journal: &Arc<dyn Journal>,
        session: SessionId,
    ) -> Result<Self, StorageError> {
        Self::read_all(journal, session, true).await
    }

    async fn read_all(
        journal: &Arc<dyn Journal>,
        session: SessionId,
        with_past: bool,
    ) -> Result<Self, StorageError> {
        let mut history = Self::default();
        let mut reader = Reader::new(journal.clone(), session, 0);
        loop {
            let page = reader.next(READ_RECORDS_MAX).await?;
            if with_past || !page.is_past {
                page.records.iter().for_each(|record| history.apply(record));
            }
            if page.is_last {
                return Ok(history);
            }
        }
    }

    fn apply(&mut self, record: &Record) {
        match (&record.event, record.turn) {
            (Event::SessionStarted { workspace }, _) => self.workspace = Some(workspace.clone()),
            (Event::SessionBranched { workspace, .. }, _) => {
                self.workspace = Some(workspace.clone());
                self.is_branch = true;
            }
            (Event::TurnStarted { text }, Some(turn)) => self.past(turn).text.clone_from(text),
            (
                Event::FileChanged {
                    path,
                    before,
                    after,
                },
                Some(turn),
            ) => self.past(turn).change(path, before, after),
            (Event::StepDecided { call, lasting, .. }, Some(turn)) if !lasting.is_empty() => {
                self.past(turn)
                    .lasting
                    .push((call.clone(), lasting.clone()));
            }
            (Event::ApprovalRequested { approval, call, .. }, _) => {
                self.asked.insert(*approval, call.id.clone());
            }
            (
                Event::ApprovalDecided {
                    approval, decision, ..
                },
                Some(turn),
            ) => {
                let call = self.asked.remove(approval);
                if *decision == Decision::Deny {
                    let past = self.past(turn);
                    past.lasting.retain(|(id, _)| Some(id) != call.as_ref());
                }
            }
            (Event::UndoStarted { of, .. }, Some(undo)) => {
                let past = self.past(undo);
                past.of = Some(*of);
                past.is_open = true;
            }
            (Event::UndoEnded { files, .. }, Some(undo)) => {
                let past = self.past(undo);
                past.is_open = false;
                past.has_restored = files.iter().any(|file| {
                    matches!(file.outcome, UndoOutcome::Restored | UndoOutcome::Removed)
                });
            }
            _ => {}
        }
    }

    fn past(&mut self, id: TurnId) -> &mut Past {
        let idx = match self.turns.iter().rposition(|past| past.id == id) {
            Some(idx) => idx,
            None => {
                self.turns.push(Past::new(id));
                self.turns.len() - 1
            }
        };
        &mut self.turns[idx]
    }

    pub(crate) fn find(&self, id: TurnId) -> Option<&Past> {
        self.turns.iter().find(|past| past.id == id)
    }

    /// An undo that is not through.
    pub(crate) fn open(&self) -> Option<&Past> {
        self.turns.iter().rfind(|past| past.is_open)
    }

    /// The last turn or undo that changed files.
    pub(crate) fn last_changing(&self) -> Option<&Past> {
        self.turns.iter().rfind(|past| !past.files.is_empty())
    }

    /// The last turn that changed files and is not undone.
    pub(crate) fn last_to_undo(&self) -> Option<&Past> {
        let undone = self.undone();
        self.turns
            .iter()
            .rfind(|past| past.of.is_none() && !past.files.is_empty() && !undone.contains(&past.id))
    }

    /// Turns that are undone now: an undo of an undo makes them done again.
    fn undone(&self) -> HashSet<TurnId> {
        let mut undone = HashSet::new();
        for past in self.turns.iter().filter(|past| past.has_restored) {
            let Some((turn, is_again)) = self.root(past) else {
                continue;
            };
            match is_again {
                true => undone.remove(&turn),
                false => undone.insert(turn),
            };
        }
        undone
    }

    /// The turn that an undo is about in the end, and whether it makes it done again.
    fn root(&self, undo: &Past) -> Option<(TurnId, bool)> {
        let mut of = undo.of?;
        let mut is_again = false;
        while let Some(further) = self.find(of).and_then(|past| past.of) {
            of = further;
            is_again = !is_again;
        }
        Some((of, is_again))
    }
}
