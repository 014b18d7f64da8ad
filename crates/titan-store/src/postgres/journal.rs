//! The journal on a server. One task of each engine writes it, in groups; the engines take turns by the row
//! `journal_end`, which gives the positions and the chain's end. What is appended is durable when the append returns.
//!
//! What others appended is learned from the server's notifications, which wake the reader; what they say is never
//! trusted to be all. Whatever way a record came, subscribers see it once and in its place: see [`super::follow`].

use super::Core;
use super::follow::{CHANNEL, Follower};
use super::pool::{Fault, Params, Pool, Work};
use super::schema::get;
use crate::chain::{self, Chain, RowContent};
use crate::rows::{self, Page, rows_of};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use futures::StreamExt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use titan_protocol::{
    BoxStream, Delivery, Event, Journal, Record, Seq, SessionId, StorageError, TurnId, UnixMillis,
};
use tokio::sync::{mpsc, oneshot};

/// Appends that may wait to be written; appending waits beyond.
pub(super) const WAITING_APPENDS_MAX: usize = 1_024;
/// Events of one transaction, but for a single append that has more.
const GROUP_EVENTS_MAX: usize = 8_192;
/// Rows that are read at one time.
const ROWS_READ_MAX: i64 = 256;

/// Events of one session that wait for their places.
pub(super) struct Append {
    session: SessionId,
    turn: Option<TurnId>,
    events: Vec<Event>,
    answer: oneshot::Sender<Result<Vec<Record>, StorageError>>,
}

#[async_trait]
impl Journal for Core {
    async fn append(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        events: Vec<Event>,
    ) -> Result<Vec<Record>, StorageError> {
        let (answer, answered) = oneshot::channel();
        let append = Append {
            session,
            turn,
            events,
            answer,
        };
        self.appends.send(append).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn sync(&self) -> Result<(), StorageError> {
        // An append that returned was committed.
        Ok(())
    }

    async fn read(
        &self,
        session: Option<SessionId>,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Record>, StorageError> {
        read(&self.pool, session, after, limit).await
    }

    fn subscribe(&self, session: Option<SessionId>) -> BoxStream<Delivery> {
        self.follower.subscribe(session).boxed()
    }

    async fn tombstone(&self, session: SessionId, seqs: &[Seq]) -> Result<(), StorageError> {
        let mut seqs = seqs.to_vec();
        seqs.sort_unstable();
        seqs.dedup();
        if self.pool.write(&Forget { session, seqs }).await? {
            self.erase("journal").await?;
        }
        Ok(())
    }
}

fn closed() -> StorageError {
    StorageError::Failed("the store was closed: open it again".to_owned())
}

/// At most `limit` records after a position.
pub(super) async fn read(
    pool: &Pool,
    session: Option<SessionId>,
    after: Seq,
    limit: usize,
) -> Result<Vec<Record>, StorageError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut page = Page::new(after, limit);
    let (mut rows_after, after) = (page.rows_after(), page.after());
    let session = session.map(|session| session.to_string());
    'rows: loop {
        let rows = match &session {
            Some(session) => {
                let params: Params<'_> = &[&rows_after, &after, &ROWS_READ_MAX, session];
                pool.rows(
                    "SELECT first_seq, session, entries FROM journal \
                     WHERE session = $4 AND first_seq > $1 AND last_seq > $2 ORDER BY first_seq LIMIT $3",
                    params,
                )
                .await?
            }
            None => {
                pool.rows(
                    "SELECT first_seq, session, entries FROM journal \
                     WHERE first_seq > $1 AND last_seq > $2 ORDER BY first_seq LIMIT $3",
                    &[&rows_after, &after, &ROWS_READ_MAX],
                )
                .await?
            }
        };
        for row in &rows {
            rows_after = get(pool, row, 0)?;
            if page
                .add(rows_after, get(pool, row, 1)?, get(pool, row, 2)?)?
                .is_break()
            {
                break 'rows;
            }
        }
        if (rows.len() as i64) < ROWS_READ_MAX {
            break;
        }
    }
    Ok(page.records())
}

/// Where the journal ends.
pub(super) async fn last_seq(pool: &Pool) -> Result<Seq, StorageError> {
    let rows = pool.rows("SELECT last_seq FROM journal_end", &[]).await?;
    let last: i64 = get(pool, &rows[0], 0)?;
    Ok(last as Seq)
}

/// Writes what comes, until nobody can send any more.
pub(super) async fn write(
    pool: Arc<Pool>,
    follower: Arc<Follower>,
    mut appends: mpsc::Receiver<Append>,
) {
    while let Some(first) = appends.recv().await {
        let mut n_events = first.events.len();
        let mut group = vec![first];
        // All that came while the last group was being written.
        while n_events < GROUP_EVENTS_MAX {
            let Ok(next) = appends.try_recv() else { break };
            n_events += next.events.len();
            group.push(next);
        }
        let (batches, answers): (Vec<Batch>, Vec<_>) = group.into_iter().map(Append::split).unzip();
        match pool.write(&Group(batches)).await {
            Ok(batches) => {
                follower.appended(&pool, &batches).await;
                for (answer, records) in answers.into_iter().zip(batches) {
                    // Whoever stopped waiting needs no answer.
                    let _gone = answer.send(Ok(records.to_vec()));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _gone = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

/// An append without its answer.
struct Batch {
    session: SessionId,
    turn: Option<TurnId>,
    events: Vec<Event>,
    at: UnixMillis,
}

type Answer = oneshot::Sender<Result<Vec<Record>, StorageError>>;

impl Append {
    fn split(self) -> (Batch, Answer) {
        let batch = Batch {
            session: self.session,
            turn: self.turn,
            events: self.events,
            at: unix_millis_now(),
        };
        (batch, self.answer)
    }
}

fn unix_millis_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as UnixMillis)
}

/// Batches that are written together. Nothing in them asks whether the journal can be written.
struct Group(Vec<Batch>);

#[async_trait]
impl Work for Group {
    /// The records of each batch.
    type Done = Vec<Arc<[Record]>>;

    async fn run(&self, transaction: &Transaction<'_>) -> Result<Self::Done, Fault> {
        let mut end = End::lock(transaction).await?;
        let mut written = Vec::with_capacity(self.0.len());
        for batch in &self.0 {
            let records = (end.last_seq + 1..)
                .zip(&batch.events)
                .map(|(seq, event)| Record {
                    seq,
                    at: batch.at,
                    session: batch.session,
                    turn: batch.turn,
                    event: event.clone(),
                });
            written.push(records.collect::<Arc<[Record]>>());
            end.last_seq += batch.events.len() as Seq;
        }
        let mut rows = Vec::new();
        for row in rows_of(written.iter().flat_map(|batch| batch.iter()))? {
            rows.push(ChainedRow {
                first_seq: row.first_seq as i64,
                last_seq: row.last_seq as i64,
                session: row.session.to_string(),
                entries: row.entries,
            });
        }
        if rows.is_empty() {
            return Ok(written);
        }
        let vouched = end.vouch(transaction, &rows).await?;
        insert_rows(transaction, &rows, &vouched).await?;
        end.store(transaction).await?;
        let notify = transaction
            .prepare_cached("SELECT pg_notify($1, $2)")
            .await?;
        transaction
            .query(&notify, &[&CHANNEL, &end.last_seq.to_string()])
            .await?;
        Ok(written)
    }
}

async fn insert_rows(
    transaction: &Transaction<'_>,
    rows: &[ChainedRow],
    vouched: &[i64],
) -> Result<(), Fault> {
    let insert = "INSERT INTO journal (first_seq, last_seq, session, entries, vouched) \
                  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bigint[])";
    let insert = transaction.prepare_cached(insert).await?;
    let first: Vec<i64> = rows.iter().map(|row| row.first_seq).collect();
    let last: Vec<i64> = rows.iter().map(|row| row.last_seq).collect();
    let session: Vec<&str> = rows.iter().map(|row| row.session.as_str()).collect();
    let entries: Vec<&[u8]> = rows.iter().map(|row| row.entries.as_slice()).collect();
    transaction
        .execute(&insert, &[&first, &last, &session, &entries, &vouched])
        .await?;
    Ok(())
}

/// A row that gets a link.
struct ChainedRow {
    first_seq: i64,
    last_seq: i64,
    session: String,
    entries: Vec<u8>,
}

/// Where the journal ends, held by this transaction alone.
struct End {
    last_seq: Seq,
    chain: Chain,
}

impl End {
    async fn lock(transaction: &Transaction<'_>) -> Result<Self, Fault> {
        let lock = "SELECT last_seq, number, link FROM journal_end FOR UPDATE";
        let lock = transaction.prepare_cached(lock).await?;
        let row = transaction.query_one(&lock, &[]).await?;
        Ok(Self {
            last_seq: row.try_get::<_, i64>(0)? as Seq,
            chain: Chain::at(row.try_get(1)?, chain::hash(row.try_get(2)?)?),
        })
    }

    /// Links that vouch for these rows, by their numbers.
    async fn vouch(
        &mut self,
        transaction: &Transaction<'_>,
        rows: &[ChainedRow],
    ) -> Result<Vec<i64>, Fault> {
        let links = rows
            .iter()
            .map(|row| {
                self.chain.next(RowContent {
                    first_seq: row.first_seq,
                    last_seq: row.last_seq,
                    session: &row.session,
                    entries: &row.entries,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let numbers: Vec<i64> = links.iter().map(|link| link.number).collect();
        let first: Vec<i64> = links.iter().map(|link| link.first_seq).collect();
        let salts: Vec<Option<&[u8]>> = links.iter().map(|link| link.salt.as_deref()).collect();
        let contents: Vec<&[u8]> = links.iter().map(|link| &link.content[..]).collect();
        let hashes: Vec<&[u8]> = links.iter().map(|link| &link.link[..]).collect();
        let insert = "INSERT INTO chain (number, first_seq, salt, content, link) \
                      SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[])";
        let insert = transaction.prepare_cached(insert).await?;
        transaction
            .execute(&insert, &[&numbers, &first, &salts, &contents, &hashes])
            .await?;
        Ok(numbers)
    }

    async fn store(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let update = "UPDATE journal_end SET last_seq = $1, number = $2, link = $3";
        let update = transaction.prepare_cached(update).await?;
        let (number, link) = self.chain.place();
        transaction
            .execute(&update, &[&(self.last_seq as i64), &number, &&link[..]])
            .await?;
        Ok(())
    }
}

/// Replaces events by a tombstone; tells whether there were any.
struct Forget {
    session: SessionId,
    seqs: Vec<Seq>,
}

#[async_trait]
impl Work for Forget {
    type Done = bool;

    async fn run(&self, transaction: &Transaction<'_>) -> Result<bool, Fault> {
        let mut end = End::lock(transaction).await?;
        let mut has_forgotten = false;
        let mut rest = &self.seqs[..];
        while let Some(seq) = rest.first() {
            let row = row_with(transaction, self.session, *seq).await?;
            let last_seq = row.as_ref().map_or(*seq, |(row, _)| row.last_seq as Seq);
            let (here, beyond) = rest.split_at(rest.partition_point(|seq| *seq <= last_seq));
            if let Some((row, vouched)) = row {
                self.rewrite(transaction, &mut end, row, vouched, here)
                    .await?;
                has_forgotten = true;
            }
            rest = beyond;
        }
        if has_forgotten {
            end.store(transaction).await?;
        }
        Ok(has_forgotten)
    }
}

impl Forget {
    async fn rewrite(
        &self,
        transaction: &Transaction<'_>,
        end: &mut End,
        row: ChainedRow,
        vouched: i64,
        seqs: &[Seq],
    ) -> Result<(), Fault> {
        let row = ChainedRow {
            entries: rows::without(&row.entries, self.session, seqs)?,
            ..row
        };
        let now = end.vouch(transaction, std::slice::from_ref(&row)).await?;
        transaction
            .execute(
                "UPDATE chain SET salt = NULL WHERE number = $1",
                &[&vouched],
            )
            .await?;
        transaction
            .execute(
                "UPDATE journal SET entries = $2, vouched = $3 WHERE first_seq = $1",
                &[&row.first_seq, &row.entries, &now[0]],
            )
            .await?;
        Ok(())
    }
}

/// The row that holds a position of a session, and the link that vouches for it. Rows of one session do not overlap.
async fn row_with(
    transaction: &Transaction<'_>,
    session: SessionId,
    seq: Seq,
) -> Result<Option<(ChainedRow, i64)>, Fault> {
    let Ok(seq) = i64::try_from(seq) else {
        return Ok(None);
    };
    let select = "SELECT first_seq, last_seq, entries, vouched FROM journal \
                  WHERE session = $1 AND first_seq <= $2 ORDER BY first_seq DESC LIMIT 1";
    let session = session.to_string();
    let Some(row) = transaction.query_opt(select, &[&session, &seq]).await? else {
        return Ok(None);
    };
    let found = ChainedRow {
        first_seq: row.try_get(0)?,
        last_seq: row.try_get(1)?,
        entries: row.try_get(2)?,
        session,
    };
    let vouched = row.try_get(3)?;
    Ok((found.last_seq >= seq).then_some((found, vouched)))
}
