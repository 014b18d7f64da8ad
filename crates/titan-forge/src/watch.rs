//! Reads every turn that has ended, in the background: one at a time, and when more end than are read, the oldest are left
//! out. What is learned is worth less than what is asked.

use crate::case::{by_reflex, case};
use crate::reflexes::Reflexes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use titan_protocol::{EndedTurn, Record, SessionId, StorageError};
use tokio::sync::Notify;

/// Turns that wait to be read.
const WAITING_MAX: usize = 64;
/// Records of a turn that is read. A longer one is nothing that a reflex could do.
const RECORDS_MAX: usize = 4096;

/// The turns that wait to be read.
#[derive(Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    news: Notify,
    is_read: Notify,
}

#[derive(Default)]
struct Waiting {
    turns: VecDeque<EndedTurn>,
    /// Whether one is being read.
    is_busy: bool,
}

impl Inbox {
    pub(crate) fn put(&self, ended: EndedTurn) {
        let mut waiting = self.waiting.lock();
        if waiting.turns.len() >= WAITING_MAX {
            waiting.turns.pop_front();
        }
        waiting.turns.push_back(ended);
        self.news.notify_one();
    }

    /// Lets go of what waits of a session.
    pub(crate) fn forget(&self, session: SessionId) {
        let mut waiting = self.waiting.lock();
        waiting.turns.retain(|ended| ended.session != session);
    }

    /// The next turn. Whoever asks has read the one before.
    async fn next(&self) -> EndedTurn {
        loop {
            {
                let mut waiting = self.waiting.lock();
                let next = waiting.turns.pop_front();
                waiting.is_busy = next.is_some();
                if let Some(ended) = next {
                    return ended;
                }
            }
            self.is_read.notify_waiters();
            self.news.notified().await;
        }
    }
}

impl Reflexes {
    /// Learns from turns as they end. Runs until it is dropped, which loses no more than the turn that is being read.
    pub async fn watch(&self) {
        loop {
            let ended = self.shared.inbox.next().await;
            let turn = ended.turn;
            if let Err(error) = self.read_turn(ended).await {
                tracing::warn!(%error, %turn, "nothing was learned from a turn");
            }
        }
    }

    /// Waits until every turn that has ended was read. Without a [`watch`](Self::watch) that may be never.
    pub async fn settle(&self) {
        loop {
            let is_read = self.shared.inbox.is_read.notified();
            tokio::pin!(is_read);
            is_read.as_mut().enable();
            {
                let waiting = self.shared.inbox.waiting.lock();
                if waiting.turns.is_empty() && !waiting.is_busy {
                    return;
                }
            }
            is_read.await;
        }
    }

    async fn read_turn(&self, ended: EndedTurn) -> Result<(), StorageError> {
        let journal = self.shared.ports.journal.as_ref();
        let records = journal
            .read(Some(ended.session), ended.after, RECORDS_MAX)
            .await?;
        let records: Vec<Record> = records
            .into_iter()
            .filter(|record| record.turn == Some(ended.turn))
            .collect();
        if let Some(by) = by_reflex(&records) {
            return self.answered(&by).await;
        }
        match case(&records, ended.workspace, ended.is_first) {
            Some(case) => self.observe(case).await,
            None => Ok(()),
        }
    }
}
