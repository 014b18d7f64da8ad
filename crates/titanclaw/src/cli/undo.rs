//! Undo and differences, for `titanclaw sessions` and the conversation alike.

use super::transcript;
use crate::line::output::Output;
use std::path::Path;
use titan_protocol::{Client, ClientError, Event, Op, Record, SessionId, TurnId, UndoOutcome};
use titan_tui::command;
use titan_tui::render::style::Line;
use titan_tui::render::undo;

/// What an undo came to.
pub(super) struct Undone {
    pub(super) lines: Vec<Line>,
    /// Whether every file is as it was.
    pub(super) is_whole: bool,
}

/// Undoes a turn, the last one if none is named, and says what came of it.
///
/// # Errors
/// When there is nothing to undo, or the turn is not there.
pub(super) async fn undo(
    client: &dyn Client,
    session: SessionId,
    turn: Option<&str>,
    is_forced: bool,
) -> anyhow::Result<Undone> {
    let of = match turn {
        Some(named) => Some(turn_named(&records(client, session).await?, named)?),
        None => None,
    };
    let op = Op::Undo {
        session,
        undo: TurnId::new(),
        of,
        is_forced,
    };
    client.submit(op).await?;
    let records = records(client, session).await?;
    let root = root(&records);
    let ended = records.iter().rev().find_map(|record| match &record.event {
        Event::UndoEnded { files, beyond, .. } => Some((record.turn?, files, beyond)),
        _ => None,
    });
    let Some((undo, files, beyond)) = ended else {
        return Err(refused(
            "The undo is done, but the log does not say so yet; see sessions show",
        ));
    };
    let mut lines = undo::undone(files, beyond, root);
    let is_refused = |outcome: &UndoOutcome| matches!(outcome, UndoOutcome::Refused { .. });
    if files.iter().any(|file| is_refused(&file.outcome)) {
        lines.push(Line::dim("put back all the same: undo with force"));
    }
    let is_left = |outcome: &UndoOutcome| {
        is_refused(outcome) || matches!(outcome, UndoOutcome::Impossible { .. })
    };
    let is_put_back =
        |outcome: &UndoOutcome| matches!(outcome, UndoOutcome::Restored | UndoOutcome::Removed);
    if files.iter().any(|file| is_put_back(&file.outcome)) {
        lines.push(Line::dim(format!(
            "this undo can be undone by its name: {}",
            short(undo)
        )));
    }
    Ok(Undone {
        lines,
        is_whole: !files.iter().any(|file| is_left(&file.outcome)),
    })
}

/// Shows what a turn changed, the last one that did if none is named.
///
/// # Errors
/// When it changed nothing, or is not there.
pub(super) async fn diff(
    client: &dyn Client,
    session: SessionId,
    turn: Option<&str>,
    output: Output,
) -> anyhow::Result<()> {
    let records = records(client, session).await?;
    let turn = match turn {
        Some(named) => Some(turn_named(&records, named)?),
        None => None,
    };
    let changes = client.changes(session, turn).await?;
    Ok(output.lines(&undo::changes(&changes, root(&records)))?)
}

/// All records of a session, named by its id.
///
/// # Errors
/// When there is none.
pub(super) async fn records(
    client: &dyn Client,
    session: SessionId,
) -> anyhow::Result<Vec<Record>> {
    let sessions = client.sessions(usize::MAX).await?;
    match sessions.iter().find(|summary| summary.session == session) {
        Some(summary) => transcript::records(client, summary).await,
        None => Err(refused("Nothing was said in this session yet.")),
    }
}

fn root(records: &[Record]) -> &Path {
    let root = records.iter().find_map(|record| match &record.event {
        Event::SessionStarted { workspace } | Event::SessionBranched { workspace, .. } => {
            Some(workspace.as_path())
        }
        _ => None,
    });
    root.unwrap_or(Path::new("/"))
}

/// The turn that a person names in this log.
pub(super) fn turn_named(records: &[Record], named: &str) -> anyhow::Result<TurnId> {
    let turns = begun(records, |event| matches!(event, Event::TurnStarted { .. }));
    let undos = begun(records, |event| matches!(event, Event::UndoStarted { .. }));
    command::turn_named(&turns, &undos, named).map_err(|text| refused(&text))
}

fn begun(records: &[Record], is_meant: fn(&Event) -> bool) -> Vec<TurnId> {
    let meant = records.iter().filter(|record| is_meant(&record.event));
    meant.filter_map(|record| record.turn).collect()
}

/// The last letters of an id, which tell turns apart at a glance.
fn short(turn: TurnId) -> String {
    let id = turn.to_string();
    id[id.len().saturating_sub(8)..].to_owned()
}

fn refused(text: &str) -> anyhow::Error {
    ClientError::Refused(text.to_owned()).into()
}
