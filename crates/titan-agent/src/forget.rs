//! "Forget this": finds what is to go and really deletes it.

use std::collections::HashSet;
use titan_protocol::{
    BlobId, Blobs, Event, Forget, Journal, Record, Seq, SessionId, StorageError, TurnId,
};

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
    let mut undos: HashSet<TurnId> = HashSet::new();
    for_each(journal, Some(session), |record| {
        // An undo keeps what the turn that it undid had made.
        if undoes(record, what, &undos) {
            undos.extend(record.turn);
        }
        let is_of_undo = record.turn.is_some_and(|turn| undos.contains(&turn));
        let is_gone = matches!(record.event, Event::Forgotten);
        if is_meant(record, what) || is_of_undo && !is_gone {
            doomed.push(record.seq);
            orphans.extend(blobs_of(record).cloned());
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
            if !going.contains(&record.seq) {
                for id in blobs_of(record) {
                    orphans.remove(id);
                }
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

/// Whether a record begins an undo of what is to go.
fn undoes(record: &Record, what: &Forget, undos: &HashSet<TurnId>) -> bool {
    match (&record.event, what) {
        (Event::UndoStarted { of, .. }, Forget::Turn { turn, .. }) => {
            of == turn || undos.contains(of)
        }
        _ => false,
    }
}

fn blobs_of(record: &Record) -> impl Iterator<Item = &BlobId> {
    let blobs = match &record.event {
        Event::ToolCallEnded { whole, .. } => [whole.as_ref(), None],
        Event::FileChanged { before, after, .. } => [before.content(), after.content()],
        _ => [None, None],
    };
    blobs.into_iter().flatten()
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
