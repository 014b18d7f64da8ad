//! Text as lines that a terminal can show: Markdown, approvals, summaries, differences, tables.
//!
//! All of it is pure: values in, lines out. [`visible`] is where text from outside is made harmless, [`style::Line`]
//! is what both surfaces show, and [`turn`] is line mode's projection of a turn.

pub mod approval;
pub mod canvas;
pub(crate) mod drawing;
#[cfg(test)]
mod fuzz;
pub mod highlight;
pub mod job;
pub mod markdown;
pub mod reflex;
pub mod style;
pub mod table;
pub mod turn;
pub mod undo;
pub mod visible;

use jiff::Timestamp;
use std::time::Duration;
use titan_protocol::{SessionSummary, UnixMillis, Usage};

/// What stands before the title of a branch in a list: the end of the id of the session that it came from.
pub fn branch_mark(session: &SessionSummary) -> String {
    session.branch_of.map_or(String::new(), |origin| {
        let id = origin.session.to_string();
        format!("↳ {} · ", &id[id.len().saturating_sub(8)..])
    })
}

/// A duration for people: `340ms`, `1.2s`, `3m 05s`.
pub fn duration(elapsed: Duration) -> String {
    match elapsed.as_millis() {
        ms @ 0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{:.1}s", elapsed.as_secs_f64()),
        _ => format!("{}m {:02}s", elapsed.as_secs() / 60, elapsed.as_secs() % 60),
    }
}

/// A count with thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes for people, in powers of 1,000.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut scaled = number as f64;
    let mut unit = 0;
    while scaled >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1_000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{number} B"),
        _ if scaled < 10.0 => format!("{scaled:.1} {}", UNITS[unit]),
        _ => format!("{scaled:.0} {}", UNITS[unit]),
    }
}

/// Money, with as many digits as small sums need; `?` when no price is known.
pub fn money(usd_micros: Option<u64>) -> String {
    match usd_micros {
        None => "$?".to_owned(),
        Some(0) => "$0".to_owned(),
        Some(micros @ 1..1_000_000) => format!("${:.4}", micros as f64 / 1e6),
        Some(micros) => format!("${:.2}", micros as f64 / 1e6),
    }
}

/// Tokens and money in one line.
pub fn usage(usage: &Usage) -> String {
    let read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
    let cached = match usage.cache_read_tokens {
        0 => String::new(),
        cached => format!(" ({} cached)", count(cached)),
    };
    format!(
        "{} in{cached} · {} out · {}",
        count(read),
        count(usage.output_tokens),
        money(usage.cost_usd_micros)
    )
}

/// A moment as date and minute in the person's time zone.
pub fn moment(at: UnixMillis) -> String {
    i64::try_from(at)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map(|time| time.to_zoned(jiff::tz::TimeZone::system()))
        .map_or_else(
            || at.to_string(),
            |time| time.strftime("%Y-%m-%d %H:%M").to_string(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(duration(Duration::from_millis(340)), "340ms");
        assert_eq!(duration(Duration::from_millis(1_249)), "1.2s");
        assert_eq!(duration(Duration::from_secs(185)), "3m 05s");
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_117_320_768), "1.1 GB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(money(Some(1_200)), "$0.0012");
        assert_eq!(money(Some(2_345_678)), "$2.35");
        assert_eq!(money(None), "$?");
    }
}
