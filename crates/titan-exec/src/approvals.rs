//! Approval requests that wait for a person. Each is answered once.

use parking_lot::Mutex;
use std::collections::HashMap;
use titan_protocol::{ApprovalId, Decision};
use tokio::sync::oneshot;

/// Requests that may wait at one time; a further one is denied.
const PENDING_MAX: usize = 256;

/// The requests that wait.
#[derive(Default)]
pub struct Approvals {
    pending: Mutex<HashMap<ApprovalId, oneshot::Sender<Decision>>>,
}

/// Why a decision was not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecideError {
    /// Never asked, answered already, or run out.
    #[error("approval {0} is not waiting: it was answered, ran out, or never asked")]
    NotPending(ApprovalId),
}

impl Approvals {
    /// Answers a request. Of two answers at once exactly one counts.
    ///
    /// # Errors
    /// When no such request waits.
    pub fn decide(&self, approval: ApprovalId, decision: Decision) -> Result<(), DecideError> {
        let waiting = self
            .pending
            .lock()
            .remove(&approval)
            .ok_or(DecideError::NotPending(approval))?;
        waiting
            .send(decision)
            .map_err(|_| DecideError::NotPending(approval))
    }

    /// Registers a request. `None` when too many wait. Dropping what is returned withdraws it.
    pub(crate) fn open(&self) -> Option<Pending<'_>> {
        let mut pending = self.pending.lock();
        if pending.len() >= PENDING_MAX {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        let id = ApprovalId::new();
        pending.insert(id, sender);
        Some(Pending {
            approvals: self,
            id,
            answer,
        })
    }
}

/// A request that waits.
pub(crate) struct Pending<'a> {
    approvals: &'a Approvals,
    pub(crate) id: ApprovalId,
    pub(crate) answer: oneshot::Receiver<Decision>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.approvals.pending.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x13_an_approval_is_answered_once() {
        let approvals = Approvals::default();
        let mut pending = approvals.open().expect("there is room");
        assert_eq!(approvals.decide(pending.id, Decision::Once), Ok(()));
        assert_eq!(
            approvals.decide(pending.id, Decision::Session),
            Err(DecideError::NotPending(pending.id))
        );
        assert_eq!(pending.answer.try_recv(), Ok(Decision::Once));
    }

    #[test]
    fn x15_of_many_answers_at_once_exactly_one_counts() {
        for round in 0..200 {
            let approvals = Approvals::default();
            let mut pending = approvals.open().expect("there is room");
            let id = pending.id;
            let start = std::sync::Barrier::new(8);
            let n_taken: usize = std::thread::scope(|scope| {
                let answer = || {
                    start.wait();
                    usize::from(approvals.decide(id, Decision::Once).is_ok())
                };
                let answers: Vec<_> = (0..8).map(|_| scope.spawn(answer)).collect();
                let taken = answers
                    .into_iter()
                    .map(|answer| answer.join().expect("an end"));
                taken.sum()
            });
            assert_eq!(n_taken, 1, "round {round}");
            assert_eq!(pending.answer.try_recv(), Ok(Decision::Once));
        }
    }

    #[test]
    fn x13_identifiers_say_nothing_about_each_other() {
        let approvals = Approvals::default();
        let ids: Vec<String> = (0..PENDING_MAX)
            .map(|_| approvals.open().expect("there is room").id.to_string())
            .collect();
        // Of 122 random bits the first 32 meet in 256 draws once in a hundred thousand; in a counter or clock they do
        // every time.
        let heads: std::collections::HashSet<&str> = ids.iter().map(|id| &id[..8]).collect();
        assert!(heads.len() >= PENDING_MAX - 1, "{ids:?}");
    }

    #[test]
    fn x13_a_withdrawn_request_takes_no_answer() {
        let approvals = Approvals::default();
        let id = approvals.open().expect("there is room").id;
        assert_eq!(
            approvals.decide(id, Decision::Once),
            Err(DecideError::NotPending(id))
        );
    }

    #[test]
    fn no_more_than_the_maximum_wait() {
        let approvals = Approvals::default();
        let _held: Vec<_> = (0..PENDING_MAX)
            .map(|_| approvals.open().expect("there is room"))
            .collect();
        assert!(approvals.open().is_none());
    }
}
