//! `titanclaw cost`: what model calls used, by day and model.

use super::{Context, Exit, engine_runtime};
use crate::wire::{self, Need};
use anyhow::bail;
use jiff::civil::Date;
use jiff::{Span, Timestamp, tz::TimeZone};
use titan_protocol::UnixMillis;
use titan_tui::render::table;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// From this day on (2026-11-01), or this long ago (7d, 12h) [default: 30d]
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let since = since(
        arguments.since.as_deref().unwrap_or("30d"),
        Timestamp::now(),
    )?;
    let lines = engine_runtime()?.block_on(async {
        let attached = wire::attach(context, Need::Records).await?;
        let lines = attached.client.costs(since).await;
        attached.close().await?;
        anyhow::Ok(lines?)
    })?;
    let output = context.output();
    if arguments.json {
        for line in &lines {
            output.json(line)?;
        }
        return Ok(Exit::Completed);
    }
    if lines.is_empty() {
        context.say("no model was called in that time");
    } else {
        output.lines(&table::costs(&lines, output.width()))?;
    }
    Ok(Exit::Completed)
}

/// A day, or a time before now, as a moment.
fn since(text: &str, now: Timestamp) -> anyhow::Result<UnixMillis> {
    let moment = match text.parse::<Date>() {
        Ok(day) => day.to_zoned(TimeZone::UTC)?.timestamp(),
        Err(_) => {
            let Ok(span) = text.parse::<Span>() else {
                bail!(
                    "--since {text:?} is neither a day such as 2026-11-01 nor a time such as 7d or 12h"
                );
            };
            now.to_zoned(TimeZone::UTC).checked_sub(span)?.timestamp()
        }
    };
    Ok(u64::try_from(moment.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_or_a_while_ago() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond() as u64;
        assert_eq!(
            since("2026-11-01", now).unwrap(),
            at("2026-11-01T00:00:00Z")
        );
        assert_eq!(since("7d", now).unwrap(), at("2026-11-15T10:00:00Z"));
        assert_eq!(since("12h", now).unwrap(), at("2026-11-21T22:00:00Z"));
        assert!(
            since("soon", now)
                .unwrap_err()
                .to_string()
                .contains("--since \"soon\"")
        );
    }
}
