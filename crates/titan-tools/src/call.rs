//! Tools whose calls run whole: typed arguments, parsed once for the judgement and once for the run from the same
//! call, and nothing done until the one step was approved.

use async_trait::async_trait;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use titan_protocol::{
    BoxStream, Effect, Step, Tool, ToolCall, ToolContext, ToolError, ToolOutput, ToolSpec,
    Workbench,
};

/// A tool that takes a call as one step.
#[async_trait]
pub(crate) trait WholeCall: Send + Sync {
    /// What a call says.
    type Arguments: DeserializeOwned + Send;

    /// What the model is told.
    fn spec(&self) -> ToolSpec;

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

    async fn run(
        &self,
        context: ToolContext,
        steps: BoxStream<Step>,
    ) -> Result<ToolOutput, ToolError> {
        let work = async {
            let step = only_step(steps).await.ok_or_else(denied)?;
            let arguments = self.arguments(&step.call)?;
            self.tool.run(&context, arguments).await
        };
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(ToolError::Cancelled),
            output = work => output,
        }
    }
}

/// The one step of a call that is not cut; `None` when it was denied.
async fn only_step(mut steps: BoxStream<Step>) -> Option<Step> {
    steps.next().await
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
