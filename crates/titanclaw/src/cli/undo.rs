//! Undo and differences, for `titanclaw sessions` and the conversation alike.

use super::transcript;
use crate::render::output::Output;
use crate::render::style::Line;
use crate::render::undo;
use std::path::Path;
use titan_protocol::{Client, ClientError, Event, Op, Record, SessionId, TurnId, UndoOutcome};

/// Letters of an id that name a turn; fewer could be a number that no turn has.
const ID_LETTERS_MIN: usize = 4;

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

async fn records(client: &dyn Client, session: SessionId) -> anyhow::Result<Vec<Record>> {
    let sessions = client.sessions(usize::MAX).await?;
    match sessions.iter().find(|summary| summary.session == session) {
        Some(summary) => transcript::records(client, summary).await,
        None => Err(refused("Nothing was said in this session yet.")),
    }
}

fn root(records: &[Record]) -> &Path {
    let root = records.iter().find_map(|record| match &record.event {
        Event::SessionStarted { workspace } => Some(workspace.as_path()),
        _ => None,
    });
    root.unwrap_or(Path::new("/"))
}

/// The turn of this number, counted from 1, or of this id or its end; an undo by its id alone.
fn turn_named(records: &[Record], named: &str) -> anyhow::Result<TurnId> {
    let turns: Vec<TurnId> = begun(records, |event| matches!(event, Event::TurnStarted { .. }));
    let undos = begun(records, |event| matches!(event, Event::UndoStarted { .. }));
    let number = named.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    if let Some(turn) = number.and_then(|idx| turns.get(idx)) {
        return Ok(*turn);
    }
    let wanted = named.to_lowercase();
    let is_long = wanted.len() >= ID_LETTERS_MIN;
    let mut fitting = turns
        .iter()
        .chain(&undos)
        .filter(|turn| is_long && turn.to_string().ends_with(&wanted));
    match (fitting.next(), fitting.next()) {
        (Some(turn), None) => Ok(*turn),
        (Some(_), Some(_)) => Err(refused(&format!(
            "Several turns fit {named:?}; give more of the id."
        ))),
        (None, _) => Err(refused(&format!(
            "There is no turn {named:?}: name one by its number, 1 to {}, or by its id.",
            turns.len()
        ))),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(turn: u128, event: Event) -> Record {
        Record {
            seq: 1,
            at: 1,
            session: SessionId::from_u128(1),
            turn: Some(TurnId::from_u128(turn)),
            event,
        }
    }

    #[test]
    fn a_turn_is_named_by_its_number_or_the_end_of_its_id() {
        let said = || Event::TurnStarted { text: "hi".into() };
        let undid = Event::UndoStarted {
            of: TurnId::from_u128(0xa1),
            is_forced: false,
        };
        let records = [
            record(0xa1, said()),
            record(0xa2, undid),
            record(0xb1, said()),
        ];
        let named = |name: &str| turn_named(&records, name).ok();
        assert_eq!(named("1"), Some(TurnId::from_u128(0xa1)));
        assert_eq!(named("2"), Some(TurnId::from_u128(0xb1)));
        assert_eq!(named("00a2"), Some(TurnId::from_u128(0xa2)));
        assert_eq!(named("00B1"), Some(TurnId::from_u128(0xb1)));
        assert_eq!(named("9"), None);
    }
}
