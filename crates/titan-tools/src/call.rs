//! Tools whose calls run whole: typed arguments, parsed once for the judgement and once for the run from the same
//! call, and nothing done until it was approved. Those that only look start as soon as what they need is written.

use crate::early::Early;
use async_trait::async_trait;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use titan_protocol::{
    Approved, BoxStream, Effect, Segmenter, Step, Tool, ToolCall, ToolContext, ToolError,
    ToolOutput, ToolSpec, Workbench,
};

/// A tool that takes a call as one step.
#[async_trait]
pub(crate) trait WholeCall: Send + Sync {
    /// What a call says.
    type Arguments: DeserializeOwned + Send;

    /// What the model is told.
    fn spec(&self) -> ToolSpec;

    /// Whether a call may be run before it is whole, and once more if it then says more. Only for what leaves nothing
    /// behind.
    fn starts_early(&self) -> bool {
        false
    }

    /// Arguments that make sense, for the reply to those that don't.
    fn example(&self) -> &'static str;

    /// See [`Tool::effects`].
    async fn effects(
        &self,
        arguments: Self::Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError>;

    /// Does it. Dropped when the turn is cancelled.
    async fn run(
        &self,
        context: &ToolContext,
        arguments: Self::Arguments,
    ) -> Result<ToolOutput, ToolError>;
}

/// A [`WholeCall`] as a [`Tool`].
pub(crate) struct Whole<T> {
    tool: T,
    spec: ToolSpec,
}

impl<T: WholeCall> Whole<T> {
    pub(crate) fn new(tool: T) -> Self {
        let spec = tool.spec();
        Self { tool, spec }
    }

    fn arguments(&self, call: &ToolCall) -> Result<T::Arguments, ToolError> {
        serde_json::from_value(Value::Object(call.arguments.clone())).map_err(|error| {
            ToolError::Reply(format!(
                "the arguments of {} make no sense: {error}. An example: {}",
                self.spec.name,
                self.tool.example()
            ))
        })
    }
}

#[async_trait]
impl<T: WholeCall> Tool for Whole<T> {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn effects(
        &self,
        step: &Step,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        let arguments = self.arguments(&step.call)?;
        self.tool.effects(arguments, workbench).await
    }

    fn segmenter(&self) -> Option<Box<dyn Segmenter>> {
        let required = || Early::new(&self.spec.input_schema);
        self.tool
            .starts_early()
            .then(|| Box::new(required()) as Box<dyn Segmenter>)
    }

    async fn run(
        &self,
        context: ToolContext,
        steps: BoxStream<Approved>,
    ) -> Result<ToolOutput, ToolError> {
        let cancel = context.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ToolError::Cancelled),
            output = self.last_of(context, steps) => output,
        }
    }
}

impl<T: WholeCall> Whole<T> {
    /// Runs each step in place of the one before, which is dropped, and gives what the last one gave.
    async fn last_of(
        &self,
        context: ToolContext,
        mut steps: BoxStream<Approved>,
    ) -> Result<ToolOutput, ToolError> {
        let mut next = steps.next().await;
        let mut output = Err(denied());
        while let Some(Approved {
            step, workbench, ..
        }) = next
        {
            let context = ToolContext {
                workbench,
                ..context.clone()
            };
            let arguments = self.arguments(&step.call)?;
            let mut running = std::pin::pin!(self.tool.run(&context, arguments));
            next = tokio::select! {
                biased;
                next = steps.next() => next,
                early = &mut running => {
                    output = early;
                    next = steps.next().await;
                    continue;
                }
            };
            if next.is_none() {
                output = running.await;
            }
        }
        output
    }
}

fn denied() -> ToolError {
    ToolError::Reply("the call was not allowed; nothing was done".to_owned())
}

/// What the model is told of a tool, from its `.md` file.
pub(crate) fn spec(name: &str, description: &str, input_schema: Value) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.trim_end().to_owned(),
        input_schema,
    }
}
