//! The one thread that writes: every commit and every checkpoint is made here, in groups.
//!
//! Journal batches and other changes wait in one queue. The thread takes all that waits, commits it as one transaction
//! and answers everybody at once, so a disk flush is shared by all who came while the last one ran. When nobody waits
//! for durability it lets journal batches gather for [`GATHER_MAX`] first. An idle store has no timer.
//!
//! A commit that fails (a full disk, a failing flush) says so to all who wait for it, and keeps the events. Whoever
//! appends or syncs next has it tried again first, from the first byte. While it fails a few more events are taken, so
//! that screens hear how things ended, and nothing is called durable.

use crate::chain::{Chain, RowContent};
use crate::rows::rows_of;
use crate::sql::Sql;
use crate::subscribe::Hub;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use titan_protocol::{Event, Record, Seq, SessionId, StorageError, TurnId, UnixMillis};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Events that may wait to be committed; appending waits beyond.
const WAITING_EVENTS_MAX: usize = 32_768;
/// Events that may wait while the journal can't be written: enough to tell how turns ended. What is more is refused.
const UNWRITTEN_EVENTS_MAX: usize = 1_024;
/// Other changes that may wait to be committed; making one waits beyond.
const WAITING_CHANGES_MAX: usize = 256;
/// How long events gather when nobody waits for them to be durable.
const GATHER_MAX: Duration = Duration::from_millis(50);
/// Events that end the gathering early.
const GATHER_EVENTS_MAX: usize = 8_192;

/// What a change left behind.
pub(crate) enum Wrote {
    /// Nothing that must be gone.
    Added,
    /// Content that must not survive in the write-ahead log.
    Erased,
}

type Answer = oneshot::Sender<Result<(), StorageError>>;
type Work = Box<dyn FnOnce(&Sql) -> Result<Wrote, StorageError> + Send>;

struct Change {
    work: Work,
    answer: Answer,
    place: OwnedSemaphorePermit,
}

/// Records of one append, at least one, that are not durable yet.
pub(crate) struct Batch {
    pub(crate) records: Arc<[Record]>,
    _places: OwnedSemaphorePermit,
}

/// What waits for the writer thread, and what it says of itself.
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    change_places: Arc<Semaphore>,
    hub: Arc<Hub>,
}

/// The store's end of the queue. Dropping it lets the writer end, also when nobody waits for the store any more.
pub(crate) struct QueueOwner(pub(crate) Arc<Queue>);

impl Deref for QueueOwner {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.0
    }
}

impl Drop for QueueOwner {
    fn drop(&mut self) {
        self.close();
    }
}

struct State {
    next_seq: Seq,
    /// Batches that are not durable, oldest first. The first `in_commit` of them are being committed now.
    tail: VecDeque<Arc<Batch>>,
    in_commit: usize,
    /// Events of the batches that no commit took yet, and when the first of them came.
    gathered: usize,
    gathering_since: Option<Instant>,
    changes: Vec<Change>,
    syncs: Vec<Answer>,
    /// Those for whom the commit that runs now is enough.
    syncs_in_commit: Vec<Answer>,
    /// Others, and fewer, while the journal can't be written.
    event_places: Arc<Semaphore>,
    /// Why the last commit of events failed, until one succeeds.
    journal_failure: Option<StorageError>,
    is_closing: bool,
    /// A journal that fails is tried once more when the store closes, and then given up.
    was_last_try: bool,
}

/// All that one transaction commits.
struct Group {
    batches: Vec<Arc<Batch>>,
    changes: Vec<Change>,
    syncs: Vec<Answer>,
}

impl Queue {
    pub(crate) fn new(last_seq: Seq, hub: Arc<Hub>) -> Self {
        Self {
            state: Mutex::new(State {
                next_seq: last_seq + 1,
                tail: VecDeque::new(),
                in_commit: 0,
                gathered: 0,
                gathering_since: None,
                changes: Vec::new(),
                syncs: Vec::new(),
                syncs_in_commit: Vec::new(),
                event_places: Arc::new(Semaphore::new(WAITING_EVENTS_MAX)),
                journal_failure: None,
                is_closing: false,
                was_last_try: false,
            }),
            wake: Condvar::new(),
            change_places: Arc::new(Semaphore::new(WAITING_CHANGES_MAX)),
            hub,
        }
    }

    /// Gives events their places, shows them to subscribers and leaves them to the writer.
    pub(crate) async fn append(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        events: Vec<Event>,
    ) -> Result<Vec<Record>, StorageError> {
        let mended = self.mend().await;
        if events.is_empty() {
            return mended.map(|()| Vec::new());
        }
        let n_places = events.len().min(WAITING_EVENTS_MAX) as u32;
        let event_places = Arc::clone(&self.state.lock().event_places);
        let places = match mended {
            Ok(()) => acquire(&event_places, n_places)
                .await
                .map_err(|closed| self.journal_failure().unwrap_or(closed))?,
            Err(failure) => event_places
                .try_acquire_many_owned(n_places)
                .map_err(|_full| failure)?,
        };
        let at = unix_millis_now();
        let n_events = events.len();

        // Places are given, and subscribers told, under one lock: everybody sees the same order.
        let mut state = self.state.lock();
        let records: Vec<Record> = (state.next_seq..)
            .zip(events)
            .map(|(seq, event)| Record {
                seq,
                at,
                session,
                turn,
                event,
            })
            .collect();
        let shared: Arc<[Record]> = records.as_slice().into();
        state.next_seq += n_events as u64;
        self.hub.publish(session, &shared);
        state.tail.push_back(Arc::new(Batch {
            records: shared,
            _places: places,
        }));
        let had_gathered = state.gathered;
        state.gathered += n_events;
        state.gathering_since.get_or_insert_with(Instant::now);
        // Between these two moments the writer sleeps on its own timer.
        if had_gathered == 0 || state.gathered >= GATHER_EVENTS_MAX {
            self.wake.notify_one();
        }
        Ok(records)
    }

    /// Has a commit that failed tried again: the disk may have room by now.
    ///
    /// # Errors
    /// When it fails again.
    pub(crate) async fn mend(&self) -> Result<(), StorageError> {
        match self.journal_failure() {
            None => Ok(()),
            Some(_) => self.sync().await,
        }
    }

    /// Waits until all that was appended before is durable.
    pub(crate) async fn sync(&self) -> Result<(), StorageError> {
        let answered = {
            let mut state = self.state.lock();
            if state.is_closing {
                return Err(state.journal_failure.clone().unwrap_or_else(closed));
            }
            if state.tail.is_empty() {
                return Ok(());
            }
            let (answer, answered) = oneshot::channel();
            if state.in_commit == state.tail.len() {
                // All of it is on its way to the disk: its end is soon enough, and another flush would be for nothing.
                state.syncs_in_commit.push(answer);
            } else {
                state.syncs.push(answer);
                self.wake.notify_one();
            }
            answered
        };
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Has the writer make a change; it is durable, and what it erased is gone, when this returns.
    pub(crate) async fn write(
        &self,
        work: impl FnOnce(&Sql) -> Result<Wrote, StorageError> + Send + 'static,
    ) -> Result<(), StorageError> {
        let place = acquire(&self.change_places, 1).await?;
        let (answer, answered) = oneshot::channel();
        self.state.lock().changes.push(Change {
            work: Box::new(work),
            answer,
            place,
        });
        self.wake.notify_one();
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Batches with records after `after` that may not be durable yet, oldest first, and the last position that is.
    pub(crate) fn tail(&self, session: Option<SessionId>, after: Seq) -> (Vec<Arc<Batch>>, Seq) {
        let state = self.state.lock();
        let is_wanted = |batch: &&Arc<Batch>| {
            let records = &batch.records;
            session.is_none_or(|session| records[0].session == session)
                && records[records.len() - 1].seq > after
        };
        let first_waiting = state
            .tail
            .front()
            .map_or(state.next_seq, |batch| batch.records[0].seq);
        let wanted = state.tail.iter().filter(is_wanted).cloned().collect();
        (wanted, first_waiting - 1)
    }

    /// Why the journal can't be written, if so.
    pub(crate) fn journal_failure(&self) -> Option<StorageError> {
        self.state.lock().journal_failure.clone()
    }

    /// Lets the writer end after it has committed all that waits.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closing = true;
        state.event_places.close();
        drop(state);
        self.change_places.close();
        self.wake.notify_one();
    }

    /// Waits for something to commit; `None` when the store closes and nothing is left.
    fn next_group(&self) -> Option<Group> {
        let mut state = self.state.lock();
        loop {
            let is_urgent = !state.changes.is_empty()
                || !state.syncs.is_empty()
                || state.gathered >= GATHER_EVENTS_MAX
                || state.is_closing;
            match state.gathering_since {
                _ if is_urgent => break,
                Some(since) => {
                    if self
                        .wake
                        .wait_until(&mut state, since + GATHER_MAX)
                        .timed_out()
                    {
                        break;
                    }
                }
                None => self.wake.wait(&mut state),
            }
        }
        let is_last = state.is_closing;
        let group = state.take_group();
        let is_empty =
            group.batches.is_empty() && group.changes.is_empty() && group.syncs.is_empty();
        (!(is_last && is_empty)).then_some(group)
    }

    /// The commit that holds the group's batches is over. Gives back those who joined it.
    fn journal_done(&self, result: &Result<(), StorageError>) -> Vec<Answer> {
        let mut state = self.state.lock();
        let n_done = std::mem::take(&mut state.in_commit);
        match result {
            Ok(()) => {
                drop(state.tail.drain(..n_done));
                if state.journal_failure.take().is_some() && !state.is_closing {
                    // All that waited is written.
                    state.event_places = Arc::new(Semaphore::new(WAITING_EVENTS_MAX));
                }
            }
            // What can't be written stays readable, since screens have shown it, and is tried again. Who waits for a
            // place would wait for the disk, and hears of it instead.
            Err(error) => {
                if state.journal_failure.replace(error.clone()).is_none() {
                    state.event_places.close();
                    state.event_places = Arc::new(Semaphore::new(UNWRITTEN_EVENTS_MAX));
                }
            }
        }
        std::mem::take(&mut state.syncs_in_commit)
    }
}

impl State {
    fn take_group(&mut self) -> Group {
        let mut batches = Vec::new();
        let is_given_up = self.was_last_try && self.journal_failure.is_some();
        self.was_last_try = self.is_closing;
        if !is_given_up {
            self.in_commit = self.tail.len();
            batches.extend(self.tail.iter().cloned());
        }
        self.gathered = 0;
        self.gathering_since = None;
        Group {
            batches,
            changes: std::mem::take(&mut self.changes),
            syncs: std::mem::take(&mut self.syncs),
        }
    }
}

async fn acquire(places: &Arc<Semaphore>, n: u32) -> Result<OwnedSemaphorePermit, StorageError> {
    let places = Arc::clone(places).acquire_many_owned(n).await;
    places.map_err(|_closed| closed())
}

fn closed() -> StorageError {
    StorageError::Failed("the store was closed: open it again".to_owned())
}

fn unix_millis_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as UnixMillis)
}

/// Commits groups until the queue is closed and empty.
pub(crate) fn run(sql: &Sql, queue: &Queue) {
    while let Some(group) = queue.next_group() {
        commit(sql, queue, group);
    }
}

fn commit(sql: &Sql, queue: &Queue, group: Group) {
    let Group {
        batches,
        changes,
        mut syncs,
    } = group;
    let has_changes = !changes.is_empty();
    let (works, answers): (Vec<Work>, Vec<(Answer, OwnedSemaphorePermit)>) = changes
        .into_iter()
        .map(|change| (change.work, (change.answer, change.place)))
        .unzip();

    let (mut committed, journal) = if queue.journal_failure().is_some() {
        // Changes may be what makes room, so neither waits for the other.
        let committed = transaction(sql, &[], works);
        (committed, transaction(sql, &batches, Vec::new()).map(drop))
    } else {
        let committed = transaction(sql, &batches, works);
        let mut journal = committed.as_ref().map(drop).map_err(Clone::clone);
        if journal.is_err() && has_changes && !batches.is_empty() {
            // A change that can't be made must not take the journal with it.
            journal = transaction(sql, &batches, Vec::new()).map(drop);
        }
        (committed, journal)
    };
    if let Ok(outcomes) = &mut committed {
        cut_log_if_erased(sql, outcomes);
    }
    if !batches.is_empty() {
        drop(batches);
        syncs.extend(queue.journal_done(&journal));
    }
    let synced = queue.journal_failure().map_or(Ok(()), Err);
    for answer in syncs {
        // Whoever stopped waiting needs no answer.
        let _gone = answer.send(synced.clone());
    }
    let outcomes: Vec<Result<Wrote, StorageError>> = match committed {
        Ok(outcomes) => outcomes,
        Err(error) => answers.iter().map(|_| Err(error.clone())).collect(),
    };
    for ((answer, _place), outcome) in answers.into_iter().zip(outcomes) {
        let _gone = answer.send(outcome.map(drop));
    }
}

/// Commits batches and works together. A work that fails is undone alone; its error is in its place in the answer.
fn transaction(
    sql: &Sql,
    batches: &[Arc<Batch>],
    works: Vec<Work>,
) -> Result<Vec<Result<Wrote, StorageError>>, StorageError> {
    if batches.is_empty() && works.is_empty() {
        return Ok(Vec::new());
    }
    let written = sql
        .execute("BEGIN IMMEDIATE", ())
        .and_then(|_| insert_batches(sql, batches))
        .and_then(|()| works.into_iter().map(|work| alone(sql, work)).collect())
        .and_then(|outcomes| sql.execute("COMMIT", ()).map(|_| outcomes));
    if written.is_err() && sql.in_transaction() {
        // The first error is the one to tell; what a failed rollback leaves open, the next BEGIN reports.
        let _rolled_back = sql.execute("ROLLBACK", ());
    }
    written
}

/// Runs a work so that its failure undoes it alone. The outer error means that the whole transaction is gone.
fn alone(sql: &Sql, work: Work) -> Result<Result<Wrote, StorageError>, StorageError> {
    sql.execute("SAVEPOINT change", ())?;
    let outcome = work(sql);
    if let Err(error) = &outcome {
        if !sql.in_transaction() {
            return Err(error.clone());
        }
        sql.execute("ROLLBACK TO change", ())?;
    }
    sql.execute("RELEASE change", ())?;
    Ok(outcome)
}

fn cut_log_if_erased(sql: &Sql, outcomes: &mut [Result<Wrote, StorageError>]) {
    let erased = |outcome: &Result<Wrote, StorageError>| matches!(outcome, Ok(Wrote::Erased));
    if !outcomes.iter().any(erased) {
        return;
    }
    if let Err(error) = sql.truncate_log() {
        for outcome in outcomes.iter_mut().filter(|outcome| erased(outcome)) {
            *outcome = Err(error.clone());
        }
    }
}

fn insert_batches(sql: &Sql, batches: &[Arc<Batch>]) -> Result<(), StorageError> {
    if batches.is_empty() {
        return Ok(());
    }
    let mut chain = Chain::end(sql)?;
    for row in rows_of(batches.iter().flat_map(|batch| batch.records.iter()))? {
        let session = row.session.to_string();
        let content = RowContent {
            first_seq: row.first_seq as i64,
            last_seq: row.last_seq as i64,
            session: &session,
            entries: &row.entries,
        };
        let vouched = chain.add(sql, content)?;
        sql.execute(
            "INSERT INTO journal (first_seq, last_seq, session, entries, vouched) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                row.first_seq as i64,
                row.last_seq as i64,
                session,
                row.entries,
                vouched,
            ),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn whoever_syncs_while_all_is_being_committed_needs_no_commit_of_its_own() {
        let queue = Queue::new(0, Arc::default());
        let append = async || {
            let events = vec![Event::Forgotten];
            let appended = queue.append(SessionId::from_u128(1), None, events).await;
            appended.expect("the queue is open");
        };
        append().await;
        let mut early = Box::pin(queue.sync());
        assert!((&mut early).now_or_never().is_none());
        let group = queue.next_group().expect("somebody waits for it");
        assert_eq!((group.batches.len(), group.syncs.len()), (1, 1));

        let mut joins = Box::pin(queue.sync());
        assert!((&mut joins).now_or_never().is_none());
        assert!(
            queue.state.lock().syncs.is_empty(),
            "no commit is asked for"
        );
        append().await;
        let mut late = Box::pin(queue.sync());
        assert!((&mut late).now_or_never().is_none());

        drop(group);
        for answer in queue.journal_done(&Ok(())) {
            answer.send(Ok(())).expect("it waits");
        }
        joins
            .await
            .expect("the commit that ran held all it asked for");
        assert!((&mut late).now_or_never().is_none(), "not this one's");
        let next = queue.next_group().expect("it asked for a commit");
        assert_eq!((next.batches.len(), next.syncs.len()), (1, 1));
    }
}
