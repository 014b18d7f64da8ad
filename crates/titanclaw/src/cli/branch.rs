//! Branches, for `titanclaw sessions` and the conversation alike.

use super::undo;
use titan_protocol::{Client, ClientError, Event, Op, Record, SessionId, TurnId};
use titan_tui::render::style::{Line, Style};
use titan_tui::render::visible::clean;

/// Begins a branch after a turn, the last one if none is named, and says which session it is.
///
/// # Errors
/// When the turn is not there or still runs.
pub(super) async fn branch(
    client: &dyn Client,
    session: SessionId,
    turn: Option<&str>,
) -> anyhow::Result<SessionId> {
    let records = undo::records(client, session).await?;
    let after = match turn {
        Some(named) => undo::turn_named(&records, named)?,
        None => last(&records)?,
    };
    let into = SessionId::new();
    let op = Op::Branch {
        session,
        after,
        into,
    };
    client.submit(op).await?;
    Ok(into)
}

/// The turns of a session by their numbers, to choose one.
///
/// # Errors
/// When nothing was said yet.
pub(super) async fn turns(client: &dyn Client, session: SessionId) -> anyhow::Result<Vec<Line>> {
    let records = undo::records(client, session).await?;
    let said = records.iter().filter_map(|record| match &record.event {
        Event::TurnStarted { text } => Some(clean(text).lines().next().unwrap_or("").to_owned()),
        _ => None,
    });
    let numbered = said
        .zip(1..)
        .map(|(words, n)| Line::default().with(Style::PLAIN, format!("{n:>4}  {words}")));
    Ok(numbered.collect())
}

fn last(records: &[Record]) -> anyhow::Result<TurnId> {
    let mut ended = records
        .iter()
        .rev()
        .filter_map(|record| match record.event {
            Event::TurnEnded { .. } => record.turn,
            _ => None,
        });
    let nothing = "No turn of this session has ended yet; there is nothing to go on from.";
    Ok(ended
        .next()
        .ok_or_else(|| ClientError::Refused(nothing.to_owned()))?)
}
