//! Begins a session that goes on from an earlier turn of another.

use crate::lineage::Reader;
use std::path::PathBuf;
use std::sync::Arc;
use titan_protocol::{ClientError, Event, Journal, SessionId, SharedPast, TurnId};

/// Sessions that a branch may share the past of: it reads them all when it comes back from the journal.
const PAST_SESSIONS_MAX: usize = 32;
/// Records that are read from the journal at one time.
const READ_RECORDS_MAX: usize = 4096;

/// What the model reads with the person's next words.
pub(crate) const TOLD: &str = "The person went back to this point of the conversation and goes on from here. What was said \
                               and done after it elsewhere is not shown. Files were not put back: they are as they are now, \
                               which may not be as the above left them. Read a file again before you rely on it.";

/// Where a branch begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fork {
    pub(crate) workspace: PathBuf,
    /// What it shares, oldest first.
    pub(crate) past: Vec<SharedPast>,
}

/// Finds the end of a turn in a session or in what that shares.
///
/// # Errors
/// `Refused` when there is no such turn, it still runs, or the past is too deep; `Storage` when the store can't be read.
pub(crate) async fn fork(
    journal: Arc<dyn Journal>,
    session: SessionId,
    after: TurnId,
) -> Result<Fork, ClientError> {
    let mut reader = Reader::new(journal, session, 0);
    let mut workspace = None;
    let mut past: Vec<SharedPast> = Vec::new();
    let mut has_begun = false;
    loop {
        let page = reader.next(READ_RECORDS_MAX).await?;
        for record in page.records {
            match record.event {
                Event::SessionStarted { workspace: at } => workspace = Some(at),
                Event::SessionBranched {
                    workspace: at,
                    past: shared,
                } => {
                    workspace = Some(at);
                    past = shared;
                }
                Event::TurnStarted { .. } if record.turn == Some(after) => has_begun = true,
                Event::TurnEnded { .. } if record.turn == Some(after) => {
                    past.push(SharedPast {
                        session: record.session,
                        until: record.seq,
                    });
                    return checked(workspace, past);
                }
                _ => {}
            }
        }
        if page.is_last {
            return refused(match has_begun {
                true => "This turn still runs; a branch begins after a turn has ended.",
                false => "There is no such turn in this session.",
            });
        }
    }
}

fn checked(workspace: Option<PathBuf>, past: Vec<SharedPast>) -> Result<Fork, ClientError> {
    if past.len() > PAST_SESSIONS_MAX {
        return Err(ClientError::Refused(format!(
            "This is a branch of a branch, {PAST_SESSIONS_MAX} deep; no more fit. Begin a new session."
        )));
    }
    match workspace {
        Some(workspace) => Ok(Fork { workspace, past }),
        None => refused("What began this session was forgotten; begin a new one."),
    }
}

fn refused(text: &str) -> Result<Fork, ClientError> {
    Err(ClientError::Refused(text.to_owned()))
}
