//! The records of a session with those that it shares: a branch begins with the past of the session that it came from,
//! which is read where it lies and copied nowhere.

use std::collections::VecDeque;
use std::sync::Arc;
use titan_protocol::{Event, Journal, Record, Seq, SessionId, SharedPast, StorageError};

/// Reads a session's records in their order, those of its past first.
pub(crate) struct Reader {
    journal: Arc<dyn Journal>,
    session: SessionId,
    /// What is still to be read of the past.
    past: VecDeque<SharedPast>,
    /// The past was found, so that what begins the branch is a record like others.
    is_past_known: bool,
    after: Seq,
}

/// Records that lie together.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Page {
    /// Oldest first.
    pub(crate) records: Vec<Record>,
    /// Whether they are another session's, which this one shares.
    pub(crate) is_past: bool,
    /// Whether there are no more for now.
    pub(crate) is_last: bool,
}

impl Reader {
    /// A reader of the records after a position. Positions of a branch's past are before those of its own records.
    pub(crate) fn new(journal: Arc<dyn Journal>, session: SessionId, after: Seq) -> Self {
        Self {
            journal,
            session,
            past: VecDeque::new(),
            is_past_known: false,
            after,
        }
    }

    /// The next records, at most `limit`.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub(crate) async fn next(&mut self, limit: usize) -> Result<Page, StorageError> {
        loop {
            if let Some(records) = self.next_of_past(limit).await? {
                return Ok(self.page(records, true, false));
            }
            let records = self
                .journal
                .read(Some(self.session), self.after, limit)
                .await?;
            match records.first().map(|first| &first.event) {
                Some(Event::SessionBranched { past, .. }) if !self.is_past_known => {
                    self.past = past.iter().copied().collect();
                    self.is_past_known = true;
                }
                _ => {
                    let is_last = records.len() < limit;
                    return Ok(self.page(records, false, is_last));
                }
            }
        }
    }

    async fn next_of_past(&mut self, limit: usize) -> Result<Option<Vec<Record>>, StorageError> {
        while let Some(shared) = self.past.front().copied() {
            let read = self.journal.read(Some(shared.session), self.after, limit);
            let mut records = read.await?;
            let is_full = records.len() == limit;
            let n_read = records.len();
            records.retain(|record| record.seq <= shared.until);
            if !is_full || records.len() < n_read {
                self.past.pop_front();
            }
            if !records.is_empty() {
                return Ok(Some(records));
            }
        }
        Ok(None)
    }

    fn page(&mut self, records: Vec<Record>, is_past: bool, is_last: bool) -> Page {
        self.after = records.last().map_or(self.after, |last| last.seq);
        Page {
            records,
            is_past,
            is_last,
        }
    }
}
