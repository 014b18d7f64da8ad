//! The journal: what is durable is read from the database, what is not yet from the writer's queue, both as one.

use crate::Core;
use crate::chain::{self, Chain, RowContent};
use crate::rows::{self, Page, ROW_SPAN_MAX};
use crate::sql::{Row, Sql, bytes, integer, text};
use crate::writer::{Batch, Wrote};
use async_trait::async_trait;
use futures::StreamExt;
use std::sync::Arc;
use titan_protocol::{
    BoxStream, Delivery, Event, Journal, Record, Seq, SessionId, StorageError, TurnId,
};

#[async_trait]
impl Journal for Core {
    async fn append(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        events: Vec<Event>,
    ) -> Result<Vec<Record>, StorageError> {
        self.queue.append(session, turn, events).await
    }

    async fn sync(&self) -> Result<(), StorageError> {
        self.queue.sync().await
    }

    async fn read(
        &self,
        session: Option<SessionId>,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Record>, StorageError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        // The queue is looked at first: what leaves it from here on is found in the database.
        let (tail, durable_to) = self.queue.tail(session, after);
        let mut found = Vec::new();
        if after < durable_to {
            let query = move |sql: &Sql| read_rows(sql, session, after, limit);
            found = self.readers.read(query).await?;
        }
        add_tail(&mut found, &tail, after, limit);
        Ok(found)
    }

    fn subscribe(&self, session: Option<SessionId>) -> BoxStream<Delivery> {
        self.hub.subscribe(session).boxed()
    }

    async fn tombstone(&self, session: SessionId, seqs: &[Seq]) -> Result<(), StorageError> {
        self.queue.mend().await?;
        let mut seqs = seqs.to_vec();
        seqs.sort_unstable();
        seqs.dedup();
        // Batches that wait are committed in the same transaction, before this change.
        let work = move |sql: &Sql| forget(sql, session, &seqs);
        self.queue.write(work).await
    }
}

/// The last position in the database, or 0.
pub(crate) fn last_seq(sql: &Sql) -> Result<Seq, StorageError> {
    let last = sql.first(
        "SELECT max(last_seq) FROM journal \
         WHERE first_seq > (SELECT max(first_seq) FROM journal) - ?1 HAVING count(*) > 0",
        [ROW_SPAN_MAX as i64],
        |row| integer(row, 0),
    )?;
    Ok(last.unwrap_or(0) as Seq)
}

fn read_rows(
    sql: &Sql,
    session: Option<SessionId>,
    after: Seq,
    limit: usize,
) -> Result<Vec<Record>, StorageError> {
    let mut page = Page::new(after, limit);
    let (rows_after, after) = (page.rows_after(), page.after());
    let show = |row: &Row| page.add(integer(row, 0)?, &text(row, 1)?, &bytes(row, 2)?);
    match session {
        Some(session) => sql.rows(
            "SELECT first_seq, session, entries FROM journal \
             WHERE session = ?3 AND first_seq > ?1 AND last_seq > ?2 ORDER BY first_seq",
            (rows_after, after, session.to_string()),
            show,
        )?,
        None => sql.rows(
            "SELECT first_seq, session, entries FROM journal \
             WHERE first_seq > ?1 AND last_seq > ?2 ORDER BY first_seq",
            (rows_after, after),
            show,
        )?,
    }
    Ok(page.records())
}

/// Adds what waits in the queue, unless the database had it: there a tombstone may have changed it.
fn add_tail(found: &mut Vec<Record>, tail: &[Arc<Batch>], after: Seq, limit: usize) {
    let after = found.last().map_or(after, |record| record.seq);
    let wanted = tail
        .iter()
        .flat_map(|batch| batch.records.iter())
        .filter(|record| record.seq > after);
    found.extend(wanted.take(limit - found.len()).cloned());
}

/// Rewrites the rows that hold these positions. Rows of one session do not overlap.
fn forget(sql: &Sql, session: SessionId, seqs: &[Seq]) -> Result<Wrote, StorageError> {
    let mut wrote = Wrote::Added;
    let mut rest = seqs;
    while let Some(seq) = rest.first() {
        let row = row_with(sql, session, *seq)?;
        let last_seq = row.as_ref().map_or(*seq, |row| row.last_seq);
        let (here, beyond) = rest.split_at(rest.partition_point(|seq| *seq <= last_seq));
        if let Some(row) = row {
            rewrite(sql, session, &row, here)?;
            wrote = Wrote::Erased;
        }
        rest = beyond;
    }
    Ok(wrote)
}

struct StoredRow {
    first_seq: i64,
    last_seq: Seq,
    entries: Vec<u8>,
    /// The link that vouches for it.
    vouched: i64,
}

fn row_with(sql: &Sql, session: SessionId, seq: Seq) -> Result<Option<StoredRow>, StorageError> {
    let Ok(seq) = i64::try_from(seq) else {
        return Ok(None);
    };
    let row = sql.first(
        "SELECT first_seq, last_seq, entries, vouched FROM journal \
         WHERE session = ?1 AND first_seq <= ?2 ORDER BY first_seq DESC LIMIT 1",
        (session.to_string(), seq),
        |row| {
            Ok(StoredRow {
                first_seq: integer(row, 0)?,
                last_seq: integer(row, 1)? as Seq,
                entries: bytes(row, 2)?,
                vouched: integer(row, 3)?,
            })
        },
    )?;
    Ok(row.filter(|row| row.last_seq >= seq as Seq))
}

fn rewrite(
    sql: &Sql,
    session: SessionId,
    row: &StoredRow,
    seqs: &[Seq],
) -> Result<(), StorageError> {
    let entries = rows::without(&row.entries, session, seqs)?;
    let content = RowContent {
        first_seq: row.first_seq,
        last_seq: row.last_seq as i64,
        session: &session.to_string(),
        entries: &entries,
    };
    let vouched = Chain::end(sql)?.add(sql, content)?;
    chain::release(sql, row.vouched)?;
    sql.execute(
        "UPDATE journal SET entries = ?2, vouched = ?3 WHERE first_seq = ?1",
        (row.first_seq, entries, vouched),
    )?;
    Ok(())
}
