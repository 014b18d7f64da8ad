//! Tools: what a model may call, and how one runs.

use crate::{
    BoxStream, Effect, Egress, PlanItem, SessionId, Surface, Taint, ToolCall, TurnId, Workbench,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::any::Any;
use std::fmt;
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
#[derive(Clone, Debug)]
pub struct Step {
    /// Its position in the call, from 0.
    pub index: u32,
    /// The call, with the arguments that belong to this step.
    pub call: ToolCall,
    /// The steps before it as one text; empty for the first.
    pub before: String,
    /// What the tool's segmenter knows of it.
    pub known: Known,
}

impl Step {
    /// A call that is one step.
    pub fn whole(call: ToolCall) -> Self {
        Self {
            index: 0,
            call,
            before: String::new(),
            known: Known::default(),
        }
    }
}

/// What a segmenter found out about a step in view of those before it, for the same tool's [`Tool::effects`]. Nobody
/// else looks into it.
#[derive(Clone, Default)]
pub struct Known(Option<Arc<dyn Any + Send + Sync>>);

impl Known {
    /// Keeps what is known.
    pub fn of(known: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(known)))
    }

    /// What is known, if it is of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Known" } else { "Unknown" })
    }
}

/// A step that was allowed, on its way to its tool.
#[derive(Clone)]
pub struct Approved {
    /// The step.
    pub step: Step,
    /// What it would do, as it was judged.
    pub effects: Vec<Effect>,
    /// The place whose programs may do just that.
    pub workbench: Arc<dyn Workbench>,
}

/// A piece of a call's arguments while they are being written. The pieces of one text come in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum ArgumentPiece {
    /// The next piece of a text, decoded. A text begins with an empty one.
    Text {
        /// Which argument.
        key: Arc<str>,
        /// The piece.
        text: String,
    },
    /// A text is complete.
    TextEnd {
        /// Which argument.
        key: Arc<str>,
    },
    /// An argument that is no text, complete.
    Value {
        /// Which argument.
        key: Arc<str>,
        /// Its value.
        value: Value,
    },
}

/// Cuts one call into steps while its arguments are being written. Pure: no clock, no I/O, no lock.
pub trait Segmenter: Send + Sync {
    /// Takes in the next piece of the arguments.
    fn push(&mut self, piece: &ArgumentPiece);

    /// The next step, if it is complete. Before it was released, only the last one is given again.
    fn next(&mut self) -> Option<Cut>;

    /// The step that was given last goes ahead.
    fn release(&mut self);

    /// The arguments of the call as far as they were released.
    fn released(&self) -> Map<String, Value>;

    /// The arguments are whole: what was not released of them, as the last step. `None` when nothing is left.
    ///
    /// # Errors
    /// `Reply` when what was released is no part of these arguments.
    fn rest(&mut self, arguments: &Map<String, Value>) -> Result<Option<Cut>, ToolError>;
}

/// A step as its segmenter cut it.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The arguments that belong to it.
    pub arguments: Map<String, Value>,
    /// See [`Step::before`].
    pub before: String,
    /// See [`Step::known`].
    pub known: Known,
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

    /// Another one whenever its code is another, for a tool whose code may change while its spec stays.
    fn version(&self) -> Option<&str> {
        None
    }

    /// What this step would do. Reads the workbench only to resolve paths and programs; changes nothing.
    ///
    /// # Errors
    /// `Reply` when the arguments make no sense; the call then ends without asking anybody.
    async fn effects(
        &self,
        step: &Step,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError>;

    /// How calls of this tool are cut while they are being written; `None` for a tool that takes them whole. A tool
    /// with one is started when a call begins, so that it can get ready. Until a step comes it has no effect.
    fn segmenter(&self) -> Option<Box<dyn Segmenter>> {
        None
    }

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
        steps: BoxStream<Approved>,
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
    /// Files and processes. What needs more leave than none is done on the workbench of its step.
    pub workbench: Arc<dyn Workbench>,
    /// The network.
    pub egress: Arc<dyn Egress>,
    /// Where signals go: output while it runs, the plan, questions.
    pub signals: Arc<dyn ToolSignals>,
    /// Other tools.
    pub calls: Arc<dyn ToolCalls>,
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

    /// Draws a surface of the canvas, or draws it anew.
    async fn draw(&self, surface: Surface);

    /// Takes a surface of the canvas away.
    async fn remove_surface(&self, name: &str);

    /// Asks the person. `None` when nobody can answer or nobody did in time.
    async fn ask(&self, question: &str, choices: &[String]) -> Option<String>;
}

/// The way from a running call to other tools: the same as from a model.
#[async_trait]
pub trait ToolCalls: Send + Sync {
    /// Runs a call of another tool, whole, after its own verdict. What was refused, went wrong or would be one call too many
    /// is an output that says so. The output is redacted and has at most as many bytes as are kept of one. Dropping the
    /// future ends the call.
    ///
    /// # Errors
    /// `Cancelled`, or `Fatal` when the turn has to end.
    async fn call(
        &self,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<ToolOutput, ToolError>;
}
