//! A turn that runs, as lines: what it is, what it was told, and its calls that have not ended.

use super::duration;
use super::style::{Color, Line, Style};
use super::visible::clean_line;
use std::time::Duration;
use titan_protocol::{Job, JobCall, JobStage, UnixMillis};

/// The job's title and time, then what was said, then its calls.
pub fn lines(job: &Job, now: UnixMillis) -> Vec<Line> {
    let running = elapsed(now, job.started_at);
    let head = Line::default()
        .with(Style::PLAIN, clean_line(&job.title))
        .with(Style::DIM, format!(" · {running}"));
    let said = Line::default()
        .with(Style::color(Color::Cyan), "› ")
        .with(Style::DIM, clean_line(&job.text));
    let mut lines = vec![head, said];
    match job.calls.is_empty() {
        true => lines.push(Line::dim("waits for the model")),
        false => lines.extend(job.calls.iter().map(|call| call_line(call, now))),
    }
    lines
}

fn call_line(call: &JobCall, now: UnixMillis) -> Line {
    let about = match call.about.is_empty() {
        true => "…".into(),
        false => clean_line(&call.about),
    };
    let time = elapsed(now, call.started_at);
    let (style, stage) = match call.stage {
        JobStage::Written => (Style::DIM, "is being written"),
        JobStage::Running => (Style::DIM, "runs"),
        JobStage::Asked => (Style::color(Color::Yellow), "waits for a yes or no"),
    };
    Line::default()
        .with(Style::PLAIN, format!("{} ", clean_line(&call.tool)))
        .with(Style::BOLD, about)
        .with(style, format!(" · {stage}, {time}"))
}

/// Whole seconds, so that figures do not dance.
fn elapsed(now: UnixMillis, since: UnixMillis) -> String {
    match now.saturating_sub(since) / 1_000 {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => duration(Duration::from_secs(seconds)),
    }
}
