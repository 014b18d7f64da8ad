//! What the engine logged, for whoever runs it.

use crate::ClientError;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Entries that one question may ask for.
pub const ENTRIES_MAX: usize = 1_000;

/// The log. Secrets were taken out of it before it was written.
#[async_trait]
pub trait Logs: Send + Sync {
    /// The newest entries that fit, or those after a position; oldest first.
    ///
    /// # Errors
    /// When the log can't be read, or the position is none.
    async fn read(&self, query: LogQuery) -> Result<LogPage, ClientError>;
}

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Entries after this position, from [`LogPage::next`]; the newest where there is none. Where it is older than the
    /// log, all that is left of it.
    pub after: Option<String>,
    /// The least level.
    pub level: Option<LogLevel>,
    /// Words that an entry holds, each of them.
    pub words: String,
    /// At most this many, 1 to [`ENTRIES_MAX`].
    pub limit: usize,
}

/// Some of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPage {
    /// Oldest first.
    pub entries: Vec<LogEntry>,
    /// The position behind the last that was looked at.
    pub next: String,
}

/// How much an entry matters, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For those who look for a mistake in the program, step by step.
    Trace,
    /// For those who look for a mistake in the program.
    Debug,
    /// What was done.
    Info,
    /// Something odd; it goes on.
    Warn,
    /// Something failed.
    Error,
}

/// One entry. Its texts are as they were logged; who shows them makes them harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When, as `2026-11-22T10:00:00.000000Z`.
    pub at: String,
    /// How much it matters.
    pub level: LogLevel,
    /// The part of the program that it comes from.
    pub target: String,
    /// What happened.
    pub message: String,
    /// What belongs to it, by name.
    pub fields: BTreeMap<String, String>,
}
