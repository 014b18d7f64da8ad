//! What is counted, and how Prometheus reads it. Labels are routes and status codes, never what somebody wrote.

use crate::Gateway;
use axum::http::StatusCode;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use titan_protocol::EngineStatus;

/// Counts since the gateway began.
#[derive(Default)]
pub(crate) struct Metrics {
    /// By route and status; there are few of both.
    answers: Mutex<BTreeMap<(String, u16), u64>>,
    unauthorized: AtomicU64,
    records: AtomicU64,
    stalled: AtomicU64,
}

impl Metrics {
    pub(crate) fn answered(&self, route: &str, status: StatusCode) {
        let key = (route.to_owned(), status.as_u16());
        *self.answers.lock().entry(key).or_default() += 1;
    }

    pub(crate) fn refused(&self) {
        self.unauthorized.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn told(&self, records: usize) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn stalled(&self) {
        self.stalled.fetch_add(1, Ordering::Relaxed);
    }
}

/// All of it as text.
pub(crate) fn text(gateway: &Gateway, engine: &EngineStatus) -> String {
    let metrics = &gateway.metrics;
    let limits = gateway.config.limits;
    let streams = limits.streams_max - gateway.streams.available_permits();
    let turns = limits.turns_max - gateway.turns.available_permits();
    let mut text = String::new();
    let mut put = |name: &str, kind: &str, about: &str, value: u64| {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP {name} {about}\n# TYPE {name} {kind}\n{name} {value}"
        );
    };
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    put(
        "titanclaw_start_time_seconds",
        "gauge",
        "When the engine started.",
        engine.started_at / 1000,
    );
    put(
        "titanclaw_resident_bytes",
        "gauge",
        "Memory of the engine's process.",
        engine.resident_bytes,
    );
    put(
        "titanclaw_turns_running",
        "gauge",
        "Turns that run now.",
        engine.turns_running.into(),
    );
    put(
        "titanclaw_gateway_connections",
        "gauge",
        "Connections now.",
        count(gateway.places.held()),
    );
    put(
        "titanclaw_gateway_streams",
        "gauge",
        "Streams of events now.",
        count(streams),
    );
    put(
        "titanclaw_gateway_api_turns_running",
        "gauge",
        "Turns of /v1 that run now.",
        count(turns),
    );
    put(
        "titanclaw_gateway_records_total",
        "counter",
        "Records sent to followers.",
        read(&metrics.records),
    );
    put(
        "titanclaw_gateway_stalled_total",
        "counter",
        "Readers cut off because they took nothing.",
        read(&metrics.stalled),
    );
    put(
        "titanclaw_gateway_unauthorized_total",
        "counter",
        "Requests without the right token.",
        read(&metrics.unauthorized),
    );
    text.push_str("# HELP titanclaw_gateway_answers_total Answers by route and status.\n# TYPE titanclaw_gateway_answers_total counter\n");
    for ((route, status), n) in metrics.answers.lock().iter() {
        let _ = writeln!(
            text,
            "titanclaw_gateway_answers_total{{route=\"{route}\",status=\"{status}\"}} {n}"
        );
    }
    text
}
