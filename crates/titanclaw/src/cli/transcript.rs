//! A session's log, read to its end, as lines or as Markdown.

use anyhow::bail;
use futures::StreamExt;
use std::time::Duration;
use titan_protocol::{Client, Event, Record, SessionId, SessionSummary, TurnOutcome};
use titan_tui::render::markdown::Layout;
use titan_tui::render::style::{Color, Line, Style};
use titan_tui::render::turn::{BRANCHED, TurnView, images_text, summary};
use titan_tui::render::visible::{CleanStream, clean, clean_line};

/// Sessions that are looked through for one that is named.
const SESSIONS_MAX: usize = 10_000;
/// The log of a session ends where nothing more comes for this long after its last known moment.
const END_WAIT: Duration = Duration::from_millis(100);
/// The longest wait for any record.
const RECORD_WAIT_MAX: Duration = Duration::from_secs(10);

/// The session that a person names by its id, a part of it, or the beginning of its title.
///
/// # Errors
/// When none or several fit.
pub(super) async fn find(client: &dyn Client, named: &str) -> anyhow::Result<SessionSummary> {
    let wanted = named.to_lowercase();
    let mut fitting: Vec<SessionSummary> = client
        .sessions(SESSIONS_MAX)
        .await?
        .into_iter()
        .filter(|session| {
            let id = session.session.to_string();
            id.starts_with(&wanted)
                || id.ends_with(&wanted)
                || session.title.to_lowercase().starts_with(&wanted)
        })
        .collect();
    match fitting.len() {
        1 => Ok(fitting.remove(0)),
        0 => bail!("there is no session {named:?}; `titanclaw sessions list` shows them"),
        n => bail!("{n} sessions fit {named:?}; name one by more of its id"),
    }
}

/// The session that was active last.
pub(super) async fn latest(client: &dyn Client) -> anyhow::Result<SessionSummary> {
    let mut sessions = client.sessions(SESSIONS_MAX).await?;
    sessions.sort_by_key(|session| std::cmp::Reverse(session.active_at));
    match sessions.into_iter().next() {
        Some(session) => Ok(session),
        None => bail!("there is no session yet; start one with `titanclaw ask`"),
    }
}

/// The last letters of an id, which tell sessions apart at a glance.
pub(super) fn short(session: &SessionSummary) -> String {
    ending(session.session)
}

/// The last letters of an id.
pub(super) fn ending(session: SessionId) -> String {
    let id = session.to_string();
    id[id.len().saturating_sub(8)..].to_owned()
}

/// All records of a session until now.
pub(super) async fn records(
    client: &dyn Client,
    session: &SessionSummary,
) -> anyhow::Result<Vec<Record>> {
    let mut stream = client.follow(Some(session.session), 0);
    let mut records: Vec<Record> = Vec::new();
    loop {
        let is_whole = records
            .last()
            .is_some_and(|last| last.at >= session.active_at);
        let wait = if is_whole { END_WAIT } else { RECORD_WAIT_MAX };
        match tokio::time::timeout(wait, stream.next()).await {
            Ok(Some(record)) => records.push(record?),
            Ok(None) | Err(_) => return Ok(records),
        }
    }
}

/// The session as it would have been seen.
pub(super) fn lines(records: &[Record], layout: Layout) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut view = TurnView::new(true, false);
    for record in records {
        if let Event::TurnStarted { text } = &record.event {
            view = TurnView::new(true, false);
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            for line in clean(text).lines() {
                lines.push(
                    Line::default()
                        .with(Style::color(Color::Cyan), "› ")
                        .with(Style::BOLD, line),
                );
            }
            lines.push(Line::default());
        }
        lines.extend(view.apply(record, layout));
    }
    lines
}

/// The session as a Markdown document.
pub(super) fn markdown(session: &SessionSummary, records: &[Record]) -> String {
    let title = clean(&session.title).replace('\n', " ");
    let mut text = format!(
        "# {title}\n\n- session: {}\n- workspace: {}\n",
        session.session,
        session.workspace.display()
    );
    let mut is_in_answer = false;
    let mut answer = CleanStream::default();
    for record in records {
        let block = match &record.event {
            Event::TextDelta { text: piece } => {
                if !is_in_answer {
                    text.push('\n');
                }
                is_in_answer = true;
                text.push_str(&answer.push(piece));
                continue;
            }
            Event::TurnStarted { text } | Event::Steered { text, .. } => {
                let quoted: Vec<String> = clean(text)
                    .lines()
                    .map(|line| format!("> {line}"))
                    .collect();
                format!(
                    "## {}\n\n{}",
                    titan_tui::render::moment(record.at),
                    quoted.join("\n")
                )
            }
            Event::ToolCallReady { call, .. } => {
                format!("- `{}` {}", clean(&call.name), fenced(&summary(call)))
            }
            Event::ToolCallEnded {
                text,
                is_error: true,
                ..
            } => format!("- failed:\n\n{}", fence(&clean(text))),
            Event::TurnEnded {
                outcome: TurnOutcome::Failed { error },
                ..
            } => format!("*failed: {}*", clean(error)),
            Event::TurnEnded {
                outcome: TurnOutcome::Limited { limit },
                ..
            } => format!("*a limit: {}*", clean(limit)),
            Event::TurnEnded {
                outcome: TurnOutcome::Interrupted,
                ..
            } => "*stopped*".to_owned(),
            Event::UndoEnded { files, .. } => {
                let names = files
                    .iter()
                    .map(|file| clean_line(&file.path.to_string_lossy()).into_owned());
                format!("*undone: {}*", names.collect::<Vec<_>>().join(", "))
            }
            Event::ImagesGiven { images } => format!("*images: {}*", images_text(images)),
            Event::SessionBranched { .. } => format!("*{BRANCHED}*"),
            Event::Forgotten => "*forgotten*".to_owned(),
            _ => continue,
        };
        if std::mem::take(&mut is_in_answer) {
            text.push_str(&(answer.finish() + "\n"));
        }
        text.push_str(&format!("\n{block}\n"));
    }
    if is_in_answer {
        text.push_str(&(answer.finish() + "\n"));
    }
    text
}

/// Text between backticks, more of them than it holds in a row.
fn fenced(text: &str) -> String {
    let marks = "`".repeat(longest_run(text) + 1);
    format!("{marks} {text} {marks}")
}

/// A block between fences longer than any in it.
pub(super) fn fence(text: &str) -> String {
    let marks = "`".repeat((longest_run(text) + 1).max(3));
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{marks}\n{text}{end}{marks}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_longer_than_any_inside() {
        assert_eq!(fence("a"), "```\na\n```");
        assert_eq!(fence("```\nx\n```\n"), "````\n```\nx\n```\n````");
        assert_eq!(fenced("a `b`"), "`` a `b` ``");
    }
}
