//! "Forget this": finds what is to go and really deletes it.

use std::collections::HashSet;
use titan_protocol::{BlobId, Blobs, Event, Forget, Journal, Record, Seq, SessionId, StorageError};

/// Records that are read from the journal at one time.
const READ_RECORDS_MAX: usize = 4096;

/// Deletes the content of events from the journal, and the outputs that only they name.
///
/// # Errors
/// When the store fails; what was deleted by then is gone, and the same request finishes the rest.
pub(crate) async fn forget(
    journal: &dyn Journal,
    blobs: &dyn Blobs,
    session: SessionId,
    what: &Forget,
) -> Result<(), StorageError> {
    let mut doomed: Vec<Seq> = Vec::new();
    let mut quoting: Vec<Seq> = Vec::new();
    let mut orphans: HashSet<BlobId> = HashSet::new();
    for_each(journal, Some(session), |record| {
        if is_meant(record, what) {
            doomed.push(record.seq);
            orphans.extend(blob(record).cloned());
        }
    })
    .await?;
    // Digests and titles that were made later may quote it.
    if let Some(first) = doomed.first().copied() {
        for_each(journal, Some(session), |record| {
            let quotes = matches!(
                record.event,
                Event::Compacted { .. } | Event::SessionTitled { .. }
            );
            if quotes && record.seq > first && !doomed.contains(&record.seq) {
                quoting.push(record.seq);
            }
        })
        .await?;
    }
    doomed.extend(quoting);
    if !orphans.is_empty() {
        let going: HashSet<Seq> = doomed.iter().copied().collect();
        for_each(journal, None, |record| {
            if let Some(id) = blob(record)
                && !going.contains(&record.seq)
            {
                orphans.remove(id);
            }
        })
        .await?;
    }
    for id in &orphans {
        blobs.delete(id).await?;
    }
    journal.tombstone(session, &doomed).await
}

/// Whether a record is to go. What is gone already stays as it is.
fn is_meant(record: &Record, what: &Forget) -> bool {
    if matches!(record.event, Event::Forgotten) {
        return false;
    }
    match what {
        Forget::Session { .. } => true,
        Forget::Turn { turn, .. } => record.turn == Some(*turn),
        Forget::Events { seqs, .. } => seqs.contains(&record.seq),
    }
}

fn blob(record: &Record) -> Option<&BlobId> {
    match &record.event {
        Event::ToolCallEnded { whole, .. } => whole.as_ref(),
        _ => None,
    }
}

async fn for_each(
    journal: &dyn Journal,
    session: Option<SessionId>,
    mut visit: impl FnMut(&Record),
) -> Result<(), StorageError> {
    let mut after = 0;
    loop {
        let records = journal.read(session, after, READ_RECORDS_MAX).await?;
        records.iter().for_each(&mut visit);
        match records.last() {
            Some(last) if records.len() == READ_RECORDS_MAX => after = last.seq,
            _ => return Ok(()),
        }
    }
}
