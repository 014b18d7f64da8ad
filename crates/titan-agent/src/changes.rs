//! What a turn changed, as differences that a person reads.

use crate::baseline::state_of;
use crate::checkpoint::KEPT_BYTES_MAX;
use crate::engine::Parts;
use crate::history::{History, Touched};
use similar::TextDiff;
use std::path::Path;
use std::time::Duration;
use titan_protocol::{
    Blobs, Captured, ClientError, FileDiff, FileState, SessionId, StorageError, TurnChanges,
    TurnId, Workbench,
};

/// Files that are told.
const FILES_MAX: usize = 200;
/// The largest content that is compared, in bytes.
const COMPARED_BYTES_MAX: usize = 1 << 20;
/// What is told of one file, in bytes.
const DIFF_BYTES_MAX: usize = 64 << 10;
/// What is told of all files, in bytes.
const ALL_BYTES_MAX: usize = 512 << 10;
/// Lines that are shown around a change.
const CONTEXT_LINES: usize = 3;
/// How long one file is compared; then the difference is coarser.
const COMPARE_MAX: Duration = Duration::from_millis(500);

/// What a turn or an undo changed.
///
/// # Errors
/// `Refused` when it changed no files, `Storage` when the store can't be read.
pub(crate) async fn changes(
    parts: &Parts,
    session: SessionId,
    turn: Option<TurnId>,
) -> Result<TurnChanges, ClientError> {
    let history = History::read_with_past(&parts.journal, session).await?;
    let refused = |text: &str| Err(ClientError::Refused(text.to_owned()));
    let past = match turn {
        Some(turn) => history.find(turn),
        None => history.last_changing(),
    };
    let (Some(workspace), Some(past)) = (&history.workspace, past) else {
        return match turn {
            Some(_) => refused("There is no such turn in this session."),
            None => refused("No turn of this session changed files."),
        };
    };
    if past.files.is_empty() {
        return refused("This turn changed no files.");
    }
    let workbench = (parts.open_workbench)(workspace)
        .map_err(|error| ClientError::Refused(error.to_string()))?;
    let mut left = ALL_BYTES_MAX;
    let mut files = Vec::new();
    for (path, touched) in past.files.iter().take(FILES_MAX) {
        let mut file = file(workbench.as_ref(), parts.blobs.as_ref(), path, touched).await?;
        cut(&mut file, left.min(DIFF_BYTES_MAX));
        left -= file.diff.len();
        files.push(file);
    }
    let notes = match past.files.len().saturating_sub(FILES_MAX) {
        0 => Vec::new(),
        n => vec![format!(
            "{n} more files were changed; they are left out here"
        )],
    };
    Ok(TurnChanges {
        turn: past.id,
        files,
        notes,
    })
}

/// A side of a comparison.
enum Side {
    Text(String),
    /// Nothing to compare, and why.
    Other(String),
}

async fn file(
    workbench: &dyn Workbench,
    blobs: &dyn Blobs,
    path: &Path,
    touched: &Touched,
) -> Result<FileDiff, StorageError> {
    let Touched {
        before,
        after,
        is_mixed,
    } = touched;
    let mut notes = Vec::new();
    if *is_mixed {
        notes.push("somebody else changed it too while the turn ran".to_owned());
    }
    let what = match (before, after) {
        (FileState::Absent, FileState::Absent) => "left as it was",
        (FileState::Absent, _) => "made",
        (_, FileState::Absent) => "deleted",
        (before, after) if before == after => "left as it was",
        _ => "changed",
    };
    if let (FileState::File { mode: Some(a), .. }, FileState::File { mode: Some(b), .. }) =
        (before, after)
        && a != b
    {
        notes.push(format!(
            "its mode was {:o} and became {:o}",
            a & 0o7777,
            b & 0o7777
        ));
    }
    let old = kept(blobs, before).await?;
    let old = old.unwrap_or_else(|| Side::Other("what was there is not kept".to_owned()));
    let new = match kept(blobs, after).await? {
        Some(new) => new,
        None => {
            let (side, is_as_left) = now(workbench, path, after).await;
            if !is_as_left {
                notes
                    .push("it was changed again since; compared with what is there now".to_owned());
            }
            side
        }
    };
    let diff = match (old, new) {
        (Side::Text(old), Side::Text(new)) => unified(&old, &new),
        (Side::Other(why), _) | (_, Side::Other(why)) => {
            notes.push(why);
            String::new()
        }
    };
    Ok(FileDiff {
        path: path.to_owned(),
        what: what.to_owned(),
        notes,
        diff,
    })
}

/// What a state stands for, if that is known without looking at the file.
async fn kept(blobs: &dyn Blobs, state: &FileState) -> Result<Option<Side>, StorageError> {
    Ok(match state {
        FileState::Absent => Some(Side::Text(String::new())),
        FileState::Link { target } => Some(Side::Text(format!("link to {}\n", target.display()))),
        FileState::NotKept { why } => Some(Side::Other(format!("not compared: it is {why}"))),
        FileState::File { content, .. } => blobs.get(content).await?.map(|bytes| side(&bytes)),
    })
}

/// What is there now, and whether it is what the turn left.
async fn now(workbench: &dyn Workbench, path: &Path, left: &FileState) -> (Side, bool) {
    match workbench.capture(path, KEPT_BYTES_MAX).await {
        Err(error) => (Side::Other(error.to_string()), false),
        Ok(captured) => {
            let is_as_left = state_of(&captured).is_like(left);
            let side = match captured {
                Captured::Absent => Side::Text(String::new()),
                Captured::File { content, .. } => side(&content),
                Captured::Link { target } => Side::Text(format!("link to {}\n", target.display())),
                Captured::Unheld { why, .. } => Side::Other(format!("not compared: it is {why}")),
            };
            (side, is_as_left)
        }
    }
}

fn side(bytes: &[u8]) -> Side {
    match std::str::from_utf8(bytes) {
        _ if bytes.len() > COMPARED_BYTES_MAX => Side::Other(format!(
            "not compared: it is larger than {} MiB",
            COMPARED_BYTES_MAX >> 20
        )),
        Ok(text) if !text.contains('\0') => Side::Text(text.to_owned()),
        _ => Side::Other("not compared: it is not text".to_owned()),
    }
}

fn unified(old: &str, new: &str) -> String {
    TextDiff::configure()
        .timeout(COMPARE_MAX)
        .diff_lines(old, new)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .to_string()
}

/// Cuts a difference at the end of a line, and says so.
fn cut(file: &mut FileDiff, bytes_max: usize) {
    if file.diff.len() <= bytes_max {
        return;
    }
    let bytes = file.diff.len();
    let head = file.diff.floor_char_boundary(bytes_max);
    let end = file.diff[..head].rfind('\n').map_or(0, |end| end + 1);
    file.diff.truncate(end);
    file.notes.push(format!(
        "only {end} of {bytes} bytes of the difference are shown"
    ));
}
