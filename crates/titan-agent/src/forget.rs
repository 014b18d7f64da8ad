//! "Forget this": finds what is to go and really deletes it.

use crate::engine::Parts;
use crate::summary;
use std::collections::HashSet;
use titan_protocol::{
    BlobId, Event, Forget, Journal, Record, Seq, SessionId, SharedPast, StorageError, TurnId,
};

/// Records that are read from the journal at one time.
const READ_RECORDS_MAX: usize = 4096;

/// Deletes the content of events from the journal, and the outputs that only they name.
///
/// # Errors
/// When the store fails; what was deleted by then is gone, and the same request finishes the rest.
pub(crate) async fn forget(
    parts: &Parts,
    session: SessionId,
    branches: &[SessionId],
    what: &Forget,
) -> Result<(), StorageError> {
    let (journal, blobs) = (parts.journal.as_ref(), parts.blobs.as_ref());
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
    // Digests and titles that were made later may quote it, in branches too.
    if let Some(first) = doomed.first().copied() {
        for_each(journal, Some(session), |record| {
            if may_quote(record) && record.seq > first && !doomed.contains(&record.seq) {
                quoting.push(record.seq);
            }
        })
        .await?;
    }
    doomed.extend(quoting);
    for branch in branches {
        let mut quoting: Vec<Seq> = Vec::new();
        for_each(journal, Some(*branch), |record| {
            if may_quote(record) {
                quoting.push(record.seq);
            }
        })
        .await?;
        journal.tombstone(*branch, &quoting).await?;
    }
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

/// The branches that share what is to go.
///
/// # Errors
/// When the store can't be read.
pub(crate) async fn branches(
    parts: &Parts,
    session: SessionId,
    what: &Forget,
) -> Result<Vec<SessionId>, StorageError> {
    let mut first = None;
    for_each(parts.journal.as_ref(), Some(session), |record| {
        if first.is_none() && is_meant(record, what) {
            first = Some(record.seq);
        }
    })
    .await?;
    let Some(first) = first else {
        return Ok(Vec::new());
    };
    let listed = summary::load(parts.records.as_ref()).await?;
    let shares = |past: &[SharedPast]| {
        let mut of_it = past.iter().filter(|shared| shared.session == session);
        of_it.any(|shared| shared.until >= first)
    };
    let sharing = listed.into_iter().filter(|(_, state)| shares(&state.past));
    Ok(sharing.map(|(branch, _)| branch).collect())
}

fn may_quote(record: &Record) -> bool {
    matches!(
        record.event,
        Event::Compacted { .. } | Event::SessionTitled { .. }
    )
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
    let (blobs, images) = match &record.event {
        Event::ToolCallEnded { whole, .. } => ([whole.as_ref(), None], &[][..]),
        Event::FileChanged { before, after, .. } => ([before.content(), after.content()], &[][..]),
        Event::ImagesGiven { images } => ([None, None], &images[..]),
        _ => ([None, None], &[][..]),
    };
    let images = images.iter().map(|image| &image.blob);
    blobs.into_iter().flatten().chain(images)
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
