//! Answers without a model: what is known of a question, and what takes a model's place in a turn.

use crate::{ClientError, Forget, Seq, SessionId, StorageError, ToolSpec, TurnId, UnixMillis};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What a person asked, as far as it matters for whether a model is needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The session's workspace.
    pub workspace: PathBuf,
    /// What was said.
    pub text: String,
    /// Whether nothing was said in the session before.
    pub is_first: bool,
    /// The tools on offer in this turn. A reflex that needs another, or one that has changed, does not answer.
    pub tools: Arc<[ToolSpec]>,
    /// The versions of those that have one, by name.
    pub versions: Arc<BTreeMap<String, String>>,
}

/// Knows questions that need no model.
#[async_trait]
pub trait Shortcut: Send + Sync {
    /// The reflex that answers this, if there is one beyond doubt. Takes less than a millisecond and does no I/O.
    fn consult(&self, asked: &Asked) -> Option<Taken>;

    /// What the person is told of a question that the model answers, though it need not any more. Said once in the life of
    /// a process. Takes as long as [`Shortcut::consult`].
    fn proposal(&self, asked: &Asked) -> Option<String>;

    /// Hears of a turn that has ended. Returns at once; what is learned from it is learned later.
    fn turn_ended(&self, ended: EndedTurn);

    /// All that is known of every reflex, by name.
    async fn reflexes(&self) -> Vec<ReflexSummary>;

    /// Does with a reflex what its owner says.
    ///
    /// # Errors
    /// When there is none of this name, it can't be done, or it can't be stored.
    async fn judge(&self, name: &str, judgement: Judgement) -> Result<(), ClientError>;
}

/// Keeps something that was made of what was said.
#[async_trait]
pub trait Projection: Send + Sync {
    /// Deletes what was made of something that the person has forgotten, before that itself is deleted.
    ///
    /// # Errors
    /// When the store can't be read or written.
    async fn forget(&self, what: &Forget) -> Result<(), StorageError>;
}

/// A turn that has ended, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedTurn {
    /// The session.
    pub session: SessionId,
    /// The turn.
    pub turn: TurnId,
    /// The session's last position before it.
    pub after: Seq,
    /// The session's workspace.
    pub workspace: PathBuf,
    /// Whether nothing was said in the session before.
    pub is_first: bool,
}

/// A reflex that answers in a model's place.
#[derive(Clone)]
pub struct Taken {
    /// The reflex's name.
    pub name: String,
    /// Which version of it.
    pub version: u32,
    /// Why it may, in a sentence for the person.
    pub because: String,
    /// What says what is to be done.
    pub code: Arc<dyn ReflexCode>,
}

/// A reflex's code: pure, in that the same question and the same outcomes give the same step.
pub trait ReflexCode: Send + Sync {
    /// The next step, given the texts of the calls that have ended, in their order. Blocks: microseconds as a rule, at
    /// most as long as a component may run.
    ///
    /// # Errors
    /// When the code breaks off; the text says how.
    fn next(&self, outcomes: &[String]) -> Result<ReflexStep, String>;
}

/// Makes the components of reflexes ready to be run.
pub trait ReflexHost: Send + Sync {
    /// Compiles a component of the world in `wit/reflex.wit`. Blocks for a few milliseconds; one that was compiled before
    /// takes less than one.
    ///
    /// # Errors
    /// When it is none, or takes more than a component may; the text says which.
    fn prepare(&self, component: &[u8]) -> Result<Arc<dyn ReflexProgram>, String>;

    /// Makes a component of the world in `wit/tool.wit` ready that computes a value for a reflex. Blocks as
    /// [`ReflexHost::prepare`] does, or for a tenth of a second where it was not compiled before.
    ///
    /// # Errors
    /// When it is none, or wants anything besides its input and a log that nobody reads.
    fn computation(&self, component: &[u8]) -> Result<Arc<dyn Computation>, String>;

    /// Deletes what was kept of a component. One of which nothing is kept is no error.
    ///
    /// # Errors
    /// When something is kept and can't be deleted.
    fn forget(&self, component: &[u8]) -> Result<(), String>;
}

/// A computation that is ready: a pure function from a text to a text. Each run has an instance of its own.
pub trait Computation: Send + Sync {
    /// What it gives for a JSON object. Blocks: microseconds as a rule, at most a second.
    ///
    /// # Errors
    /// When it says that something is wrong, breaks off, runs too long or gives too much; the text says which.
    fn compute(&self, input: &str) -> Result<String, String>;
}

/// A component that is ready. Each step runs in an instance of its own.
pub trait ReflexProgram: Send + Sync {
    /// The next step for these values and outcomes. Blocks as [`ReflexCode::next`] does.
    ///
    /// # Errors
    /// When the component breaks off or gives what can't be done.
    fn next(&self, values: &[String], outcomes: &[String]) -> Result<ReflexStep, String>;
}

/// What a reflex does next.
#[derive(Clone, Debug, PartialEq)]
pub enum ReflexStep {
    /// Calls tools, in this order.
    Call(Vec<ReflexCall>),
    /// Answers the person; the turn ends.
    Answer(String),
    /// Leaves the turn to the model, for this reason.
    Decline(String),
}

/// A call that a reflex makes.
#[derive(Clone, Debug, PartialEq)]
pub struct ReflexCall {
    /// The tool's name.
    pub tool: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
}

/// What a reflex's owner says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// It may answer from now on.
    Promote,
    /// It may not answer any more, and is not proposed again.
    Demote,
    /// It is proved anew on what is in the journal.
    Prove,
}

/// What a reflex may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReflexState {
    /// It is compared with the model's answers and answers nothing itself.
    Shadow,
    /// The same, and it was proved: its owner may promote it.
    Proposed,
    /// It answers.
    Promoted,
    /// It answers nothing and never will by itself.
    Demoted,
}

/// All that is known of a reflex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReflexSummary {
    /// Its name.
    pub name: String,
    /// Its version, from 1; it grows when it is built anew.
    pub version: u32,
    /// What it may do.
    pub state: ReflexState,
    /// Why it is in that state, in a sentence.
    pub because: String,
    /// Whether it comes with the program.
    pub is_built_in: bool,
    /// The workspace where it holds; everywhere when `None`.
    pub workspace: Option<PathBuf>,
    /// The wordings that it knows, values in braces.
    pub wordings: Vec<String>,
    /// What it does, a line a step.
    pub steps: Vec<String>,
    /// The code in it that a model wrote, if there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<ReflexWriting>,
    /// What it was built from: what was asked, and when.
    pub built_from: Vec<(String, UnixMillis)>,
    /// Recorded turns that it was not built from and whose outcome it gave.
    pub agreements: u32,
    /// Turns that it answered.
    pub hits: u32,
    /// Turns that it gave back to the model.
    pub declined: u32,
    /// The last proof: a line a case, and what did not hold.
    pub proof: Vec<String>,
    /// The sessions that it was built from.
    pub sessions: Vec<SessionId>,
    /// Model time that its answers took no more, in milliseconds: what the turns that it was built from took, each hit.
    pub saved_ms: u64,
}

/// Code that a model wrote for a reflex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReflexWriting {
    /// The provider and the model that wrote it.
    pub by: String,
    /// The source, a file in Rust.
    pub source: String,
    /// Of the turns that the reflex was built from so many, the first ones, were shown to the model. What was said in the
    /// others the code had to give unseen.
    pub shown: usize,
}
