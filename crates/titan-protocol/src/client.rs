//! What a surface holds: a way to command the engine, to follow it and to ask about it.

use crate::{
    BoxStream, CallId, ImageBytes, ModelInfo, Op, Record, ReflexSummary, Seq, SessionId,
    SharedPast, StorageError, TurnId, UnixMillis, Usage,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The engine as a surface sees it, in this process or behind the control socket.
#[async_trait]
pub trait Client: Send + Sync {
    /// Hands in a command. Returns when it is accepted and would survive a restart.
    ///
    /// # Errors
    /// When it makes no sense or can't be stored; the text says which.
    async fn submit(&self, op: Op) -> Result<(), ClientError>;

    /// All records after `after` and then those to come, of one session or of all, without gaps or repeats. Of a branch,
    /// what it shares comes first, told as its own.
    fn follow(
        &self,
        session: Option<SessionId>,
        after: Seq,
    ) -> BoxStream<Result<Record, ClientError>>;

    /// Sessions, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn sessions(&self, limit: usize) -> Result<Vec<SessionSummary>, ClientError>;

    /// Usage by day and model since `since`.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn costs(&self, since: UnixMillis) -> Result<Vec<CostLine>, ClientError>;

    /// What a turn or an undo changed in files; the last one that changed any when `turn` is `None`. Bounded: what is
    /// left out is said.
    ///
    /// # Errors
    /// When it changed none, or the store can't be read.
    async fn changes(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
    ) -> Result<TurnChanges, ClientError>;

    /// What runs now, in all sessions: the turns, those that began first come first, at most [`JOBS_MAX`].
    ///
    /// # Errors
    /// When the engine can't be reached.
    async fn jobs(&self) -> Result<Vec<Job>, ClientError>;

    /// One of the images of the record at this position of a session, counted from 0. Of a branch, records that it
    /// shares are its own here too. Nothing else that is kept can be had by this.
    ///
    /// # Errors
    /// `Refused` when the session has none there, also when it was forgotten; `Storage` when it can't be read.
    async fn image(
        &self,
        session: SessionId,
        at: Seq,
        number: usize,
    ) -> Result<ImageBytes, ClientError>;

    /// What the engine answers, or might answer, without a model.
    ///
    /// # Errors
    /// When it can't be reached.
    async fn reflexes(&self) -> Result<Vec<ReflexSummary>, ClientError>;

    /// The models that a turn may name. Servers are asked, so it may take seconds.
    ///
    /// # Errors
    /// When none can be reached.
    async fn models(&self) -> Result<Vec<ModelInfo>, ClientError>;

    /// How the engine is.
    ///
    /// # Errors
    /// When it can't be reached.
    async fn status(&self) -> Result<EngineStatus, ClientError>;
}

/// Why the engine did not take a command or answer a question.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "detail", rename_all = "snake_case")]
pub enum ClientError {
    /// The command makes no sense now.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error("{0}")]
    Storage(String),
    /// The engine is gone.
    #[error("{0}")]
    Disconnected(String),
}

impl From<StorageError> for ClientError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// A session in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionSummary {
    /// Its id.
    pub session: SessionId,
    /// Its title, or the beginning of what was said first; that of its origin while nothing was said in a branch.
    pub title: String,
    /// Its workspace.
    pub workspace: PathBuf,
    /// When it began.
    pub started_at: UnixMillis,
    /// When something last happened in it.
    pub active_at: UnixMillis,
    /// Turns so far; of a branch, those since it began.
    pub turns: u32,
    /// Whether a turn runs now.
    pub is_running: bool,
    /// All its model calls together; of a branch, those since it began.
    pub usage: Usage,
    /// Where it branched from another session, if it is a branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_of: Option<SharedPast>,
}

/// Jobs that are told at once.
pub const JOBS_MAX: usize = 100;
/// Calls of one job that are told.
pub const JOB_CALLS_MAX: usize = 16;
/// Characters of a line about a job or a call.
pub const JOB_LINE_CHARS_MAX: usize = 200;

/// A turn that runs. What stands in it is as it came; who shows it makes it harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its session.
    pub session: SessionId,
    /// The turn.
    pub turn: TurnId,
    /// The session's title, or the beginning of what was said first.
    pub title: String,
    /// How what began the turn begins, in a line.
    pub text: String,
    /// Where its tools work.
    pub workspace: PathBuf,
    /// When the turn began.
    pub started_at: UnixMillis,
    /// Its calls that have not ended, oldest first; without any, it waits for a model.
    pub calls: Vec<JobCall>,
}

/// A call that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCall {
    /// The call.
    pub call: CallId,
    /// The tool.
    pub tool: String,
    /// What it is to do, in a line: the first text among its arguments, which for a shell is the program. Empty while
    /// they are being written.
    pub about: String,
    /// Since when.
    pub started_at: UnixMillis,
    /// How far it is.
    pub stage: JobStage,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStage {
    /// A model is writing it; parts of it may run already.
    Written,
    /// It runs.
    Running,
    /// It waits for a person's yes.
    Asked,
}

/// What a turn changed in files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnChanges {
    /// The turn or undo.
    pub turn: TurnId,
    /// Files by path, each once.
    pub files: Vec<FileDiff>,
    /// What else is to be said: files that are left out.
    pub notes: Vec<String>,
}

/// What a turn changed in one file. Names and lines are as they are; who shows them makes them harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDiff {
    /// Absolute.
    pub path: PathBuf,
    /// `made`, `changed`, `deleted` or `left as it was`.
    pub what: String,
    /// What is to be said of it: not text, too large, changed again since.
    pub notes: Vec<String>,
    /// The difference in unified form, without the file's names; empty where there is none to show.
    pub diff: String,
}

/// Usage of one model on one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostLine {
    /// The day, UTC, as `YYYY-MM-DD`.
    pub day: String,
    /// The provider's configured name.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Model calls.
    pub calls: u32,
    /// Their tokens and cost.
    pub usage: Usage,
}

/// How the engine is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// The engine's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub started_at: UnixMillis,
    /// Its home directory.
    pub home: PathBuf,
    /// The model that answers chats, and why, in one line.
    pub model: String,
    /// Turns that run now.
    pub turns_running: u32,
    /// Memory in use (resident set), in bytes.
    pub resident_bytes: u64,
    /// Whether nothing beyond loopback may be reached.
    pub is_offline: bool,
    /// What was mended at the start, in a sentence, when the engine before had stopped without a word.
    #[serde(default)]
    pub recovered: Option<String>,
}
