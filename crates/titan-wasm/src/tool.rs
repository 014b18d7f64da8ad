//! A component as a tool like any other.

use crate::component::{Component, Finished};
use async_trait::async_trait;
use futures::StreamExt;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use titan_protocol::{
    Approved, BoxStream, Effect, Step, Taint, Tool, ToolContext, ToolError, ToolOutput, ToolSpec,
    Workbench,
};

/// A tool that is a component. It has no effects, since nothing that a component can import reaches out of the call; what
/// it says counts as a stranger's words.
pub struct ComponentTool(Component);

impl ComponentTool {
    /// The tool that this component is.
    pub fn new(component: Component) -> Self {
        Self(component)
    }
}

/// Stops a call when whoever waits for it is gone.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Tool for ComponentTool {
    fn spec(&self) -> &ToolSpec {
        self.0.spec()
    }

    async fn effects(
        &self,
        _step: &Step,
        _workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        Ok(Vec::new())
    }

    async fn run(
        &self,
        context: ToolContext,
        mut steps: BoxStream<Approved>,
    ) -> Result<ToolOutput, ToolError> {
        let Some(approved) = steps.next().await else {
            let text = "the call was not allowed; nothing was done";
            return Err(ToolError::Reply(text.to_owned()));
        };
        let stop = StopOnDrop(Arc::default());
        let (component, is_stopped) = (self.0.clone(), stop.0.clone());
        let arguments = Value::Object(approved.step.call.arguments).to_string();
        let call = tokio::task::spawn_blocking(move || component.call(&arguments, &is_stopped));
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(ToolError::Cancelled),
            finished = call => finished.map(output).map_err(|error| ToolError::Fatal(error.to_string())),
        }
    }
}

/// What the model reads of a call.
fn output(finished: Finished) -> ToolOutput {
    let (mut text, is_error) = match finished.result {
        Ok(Ok(text)) => (text, false),
        Ok(Err(wrong)) => (wrong, true),
        Err(error) => (error.to_string(), true),
    };
    if !finished.log.is_empty() {
        text.push_str("\n\nIt logged:\n");
        text.push_str(finished.log.trim_end());
    }
    ToolOutput {
        text,
        is_error,
        taint: Taint::UNTRUSTED,
    }
}
