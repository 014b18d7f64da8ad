//! Rows of the journal: events of one session that were committed together, as one piece of JSON. Pure, and the same in
//! every database, so that a journal moves from one to another byte for byte.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::ControlFlow;
use titan_protocol::{Event, Record, Seq, SessionId, StorageError, TurnId, UnixMillis};

/// Positions from the first to the last event of one journal row. Readers rely on it.
pub(crate) const ROW_SPAN_MAX: u64 = 4_096;
/// Bytes of one journal row, but for a single event that is larger.
const ROW_BYTES_MAX: usize = 256 * 1_024;

/// An event in a row, as `[seq, at, turn, event]`.
#[derive(Serialize)]
struct EntryRef<'a>(Seq, UnixMillis, Option<TurnId>, &'a Event);

/// The same, as it is read.
#[derive(Deserialize)]
struct Entry(Seq, UnixMillis, Option<TurnId>, Event);

/// A journal row in the making.
pub(crate) struct Row {
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    pub(crate) session: SessionId,
    pub(crate) entries: Vec<u8>,
}

impl Row {
    fn begin(record: &Record) -> Self {
        Self {
            first_seq: record.seq,
            last_seq: record.seq,
            session: record.session,
            entries: Vec::with_capacity(256),
        }
    }

    fn has_room_for(&self, record: &Record) -> bool {
        record.seq - self.first_seq < ROW_SPAN_MAX && self.entries.len() < ROW_BYTES_MAX
    }

    fn push(&mut self, record: &Record) -> Result<(), StorageError> {
        let separator = if self.entries.is_empty() { b'[' } else { b',' };
        self.entries.push(separator);
        self.last_seq = record.seq;
        let entry = EntryRef(record.seq, record.at, record.turn, &record.event);
        serde_json::to_writer(&mut self.entries, &entry).map_err(|error| unwritable(&error))
    }
}

/// One row for each session, and another whenever one is full; in the order of their first events.
pub(crate) fn rows_of<'a>(
    records: impl IntoIterator<Item = &'a Record>,
) -> Result<Vec<Row>, StorageError> {
    let mut rows: Vec<Row> = Vec::new();
    let mut open: HashMap<SessionId, usize> = HashMap::new();
    for record in records {
        let in_room = open
            .get(&record.session)
            .copied()
            .filter(|idx| rows[*idx].has_room_for(record));
        let idx = in_room.unwrap_or_else(|| {
            rows.push(Row::begin(record));
            open.insert(record.session, rows.len() - 1);
            rows.len() - 1
        });
        rows[idx].push(record)?;
    }
    for row in &mut rows {
        row.entries.push(b']');
    }
    Ok(rows)
}

/// The entries of a row in which the events at these positions are forgotten. They are in order.
pub(crate) fn without(
    entries: &[u8],
    session: SessionId,
    seqs: &[Seq],
) -> Result<Vec<u8>, StorageError> {
    let mut records: Vec<Record> = decode(entries, session)?.collect();
    for record in &mut records {
        if seqs.binary_search(&record.seq).is_ok() {
            record.event = Event::Forgotten;
        }
    }
    let entries: Vec<EntryRef<'_>> = records
        .iter()
        .map(|record| EntryRef(record.seq, record.at, record.turn, &record.event))
        .collect();
    serde_json::to_vec(&entries).map_err(|error| unwritable(&error))
}

/// At most so many records after a position, gathered from rows that are shown in the order of their first events.
pub(crate) struct Page {
    after: i64,
    limit: usize,
    end: i64,
    found: Vec<Record>,
}

impl Page {
    pub(crate) fn new(after: Seq, limit: usize) -> Self {
        Self {
            after: i64::try_from(after).unwrap_or(i64::MAX),
            limit,
            end: i64::MAX,
            found: Vec::new(),
        }
    }

    /// The position after which records are wanted.
    pub(crate) fn after(&self) -> i64 {
        self.after
    }

    /// The position after which rows begin that may hold such records: one that holds a later one begins at most one
    /// span before it.
    pub(crate) fn rows_after(&self) -> i64 {
        self.after.saturating_sub(ROW_SPAN_MAX as i64)
    }

    /// Takes what is wanted of the next row, until no further row can matter.
    pub(crate) fn add(
        &mut self,
        first_seq: i64,
        session: &str,
        entries: &[u8],
    ) -> Result<ControlFlow<()>, StorageError> {
        // Rows of several sessions interleave, so what is found is complete only up to where this row begins.
        if first_seq > self.end {
            return Ok(ControlFlow::Break(()));
        }
        let session = session.parse().map_err(|_| damaged("a session's id"))?;
        let after = self.after;
        let records = decode(entries, session)?;
        self.found
            .extend(records.filter(|record| record.seq as i64 > after));
        if self.end == i64::MAX && self.found.len() >= self.limit {
            let nth = self.limit - 1;
            let (_, nth, _) = self
                .found
                .select_nth_unstable_by_key(nth, |record| record.seq);
            self.end = nth.seq as i64;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The records, oldest first.
    pub(crate) fn records(mut self) -> Vec<Record> {
        self.found.sort_unstable_by_key(|record| record.seq);
        self.found.truncate(self.limit);
        self.found
    }
}

fn decode(
    entries: &[u8],
    session: SessionId,
) -> Result<impl Iterator<Item = Record> + use<>, StorageError> {
    let entries: Vec<Entry> = serde_json::from_slice(entries).map_err(|error| {
        StorageError::Incompatible(format!(
            "an event of session {session} can't be read ({error}): a newer titanclaw may have written it, or the \
             store is damaged; update titanclaw, or restore a backup"
        ))
    })?;
    let record = move |Entry(seq, at, turn, event)| Record {
        seq,
        at,
        session,
        turn,
        event,
    };
    Ok(entries.into_iter().map(record))
}

fn unwritable(error: &serde_json::Error) -> StorageError {
    StorageError::Failed(format!("an event can't be written: {error}"))
}

fn damaged(what: &str) -> StorageError {
    StorageError::Incompatible(format!(
        "{what} in the journal is damaged: restore a backup"
    ))
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn records(session: u128, seqs: std::ops::Range<Seq>) -> Vec<Record> {
        let record = |seq| Record {
            seq,
            at: 0,
            session: SessionId::from_u128(session),
            turn: None,
            event: Event::Forgotten,
        };
        seqs.map(record).collect()
    }

    fn spans(batches: &[Vec<Record>]) -> Vec<(Seq, Seq)> {
        let rows = rows_of(batches.iter().flatten()).expect("events can be written");
        rows.iter()
            .map(|row| (row.first_seq, row.last_seq))
            .collect()
    }

    #[test]
    fn events_of_one_session_that_commit_together_share_a_row() {
        let interleaved = [
            records(1, 1..2),
            records(2, 2..3),
            records(1, 3..5),
            records(2, 5..6),
        ];
        assert_eq!(spans(&interleaved), [(1, 4), (2, 5)]);
    }

    #[test]
    fn no_row_spans_more_positions_than_readers_look_back() {
        let apart = [
            records(1, 1..2),
            records(2, 2..5_000),
            records(1, 5_000..5_001),
        ];
        let rows = spans(&apart);
        assert_eq!(rows, [(1, 1), (2, 4_097), (4_098, 4_999), (5_000, 5_000)]);
        assert!(rows.iter().all(|(first, last)| last - first < ROW_SPAN_MAX));
    }
}
