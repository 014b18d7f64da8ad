//! Tools: what a model may call, and how one runs.

use crate::{BoxStream, Effect, Egress, PlanItem, SessionId, Taint, ToolCall, TurnId, Workbench};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a model is told of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// The name, `[a-z][a-z0-9_]*`, unique among the tools on offer.
    pub name: String,
    /// What it does and when to use it, for the model. The first line alone is shown to small models.
    pub description: String,
    /// JSON schema of its arguments: an object, with `additionalProperties: false`.
    pub input_schema: Value,
}

/// A piece of a call that is judged and run as one. A call that is not cut is one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its position in the call, from 0.
    pub index: u32,
    /// The call, with the arguments that belong to this step.
    pub call: ToolCall,
}

/// What a finished call gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// What the model reads. The pipeline bounds and redacts it.
    pub text: String,
    /// Whether the call did what was asked; a program's non-zero exit status is not a failure of the tool.
    pub is_error: bool,
    /// Where the text came from.
    pub taint: Taint,
}

/// Why a call gave no output.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// Something that the model can mend: it reads the text and goes on.
    #[error("{0}")]
    Reply(String),
    /// The turn was cancelled while the call ran.
    #[error("cancelled")]
    Cancelled,
    /// Something is broken that no model can mend; the turn ends and the person reads the text.
    #[error("{0}")]
    Fatal(String),
}

/// A tool. Stateless between calls but for what it reaches through its ports.
#[async_trait]
pub trait Tool: Send + Sync {
    /// What the model is told.
    fn spec(&self) -> &ToolSpec;

    /// What this step would do. Reads the workbench only to resolve paths and programs; changes nothing.
    ///
    /// # Errors
    /// `Reply` when the arguments make no sense; the call then ends without asking anybody.
    async fn effects(
        &self,
        step: &Step,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError>;

    /// Runs the steps of one call as they are approved. The stream gives each step after its own verdict and ends
    /// when the call has no more, or when a step was denied.
    ///
    /// Dropping the future ends all that it started.
    ///
    /// # Errors
    /// See [`ToolError`].
    async fn run(
        &self,
        context: ToolContext,
        steps: BoxStream<Step>,
    ) -> Result<ToolOutput, ToolError>;

    /// Sums of money in an output that the service behind the tool stands for, in millionths of a US dollar: the
    /// amount of a booking, never a number in a text that a stranger could have written. A payment to somebody whom
    /// the person named may be one of them without being asked about. None unless the tool says so.
    fn recorded_sums(&self, _output: &ToolOutput) -> Vec<u64> {
        Vec::new()
    }
}

/// What a running call may reach.
#[derive(Clone)]
pub struct ToolContext {
    /// The session that it runs for.
    pub session: SessionId,
    /// The turn that it runs for.
    pub turn: TurnId,
    /// Files and processes.
    pub workbench: Arc<dyn Workbench>,
    /// The network.
    pub egress: Arc<dyn Egress>,
    /// Where signals go: output while it runs, the plan, questions.
    pub signals: Arc<dyn ToolSignals>,
    /// Cancelled when the person interrupts or a limit is reached.
    pub cancel: CancellationToken,
}

/// What a running call tells the world before it ends.
#[async_trait]
pub trait ToolSignals: Send + Sync {
    /// The next piece of output, as it comes. Waits while the reader is behind.
    async fn output(&self, text: &str);

    /// The agent's plan, whole.
    async fn plan(&self, items: Vec<PlanItem>);

    /// Asks the person. `None` when nobody can answer or nobody did in time.
    async fn ask(&self, question: &str, choices: &[String]) -> Option<String>;
}
