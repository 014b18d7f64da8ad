//! A component as a tool like any other.

use crate::component::{Component, Finished};
use crate::reach::Host;
use crate::trouble::CallError;
use async_trait::async_trait;
use futures::StreamExt;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use titan_protocol::{
    Approved, BoxStream, Effect, Step, Taint, Tool, ToolContext, ToolError, ToolOutput, ToolSpec,
    Workbench,
};

/// Calls of a version that is new in which it may show that it does not work.
const WATCHED_CALLS: u32 = 20;

/// A tool that is a component. What it says counts as a stranger's words, and as the person's own data where it could hold
/// any.
///
/// Its effects are requests to the hosts that it declared. What it keeps from call to call could go to those hosts and tools
/// too, so that one which does both also reads its folder, as far as policy is concerned. Tools that it calls are judged
/// call by call.
pub struct ComponentTool {
    component: Component,
    watch: Option<Watch>,
}

/// Somebody who is told when a version that is new breaks off.
struct Watch {
    calls_left: AtomicU32,
    broke: Box<dyn Fn() + Send + Sync>,
}

impl ComponentTool {
    /// The tool that this component is.
    pub fn new(component: Component) -> Self {
        Self {
            component,
            watch: None,
        }
    }

    /// `broke` is called when one of its first 20 calls breaks off, which no sound component does. A limit that is met, or
    /// an error that the component gives back, is no such end.
    #[must_use]
    pub fn watched(component: Component, broke: impl Fn() + Send + Sync + 'static) -> Self {
        let watch = Watch {
            calls_left: AtomicU32::new(WATCHED_CALLS),
            broke: Box::new(broke),
        };
        Self {
            component,
            watch: Some(watch),
        }
    }

    async fn call(
        &self,
        arguments: String,
        context: &ToolContext,
    ) -> Result<(Finished, Taint), ToolError> {
        if self.component.waits() {
            return self.component.call_out(&arguments, context).await;
        }
        let place = self.component.place().await?;
        let stop = StopOnDrop(Arc::default());
        let (component, is_stopped) = (self.component.clone(), stop.0.clone());
        let call = tokio::task::spawn_blocking(move || {
            let _place = place;
            component.call(&arguments, &is_stopped)
        });
        let finished = call
            .await
            .map_err(|error| ToolError::Fatal(error.to_string()))?;
        Ok((finished, Taint::NONE))
    }

    fn has_finished(&self, finished: &Finished) {
        let Some(watch) = &self.watch else { return };
        let less = |left: u32| left.checked_sub(1);
        let is_new = watch
            .calls_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok();
        if is_new && matches!(finished.result, Err(CallError::Trapped(_))) {
            watch.calls_left.store(0, Ordering::Relaxed);
            (watch.broke)();
        }
    }

    fn keeps(&self) -> Taint {
        match self.component.kept() {
            Some(_) => Taint::BOTH,
            None => Taint::UNTRUSTED,
        }
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
        self.component.spec()
    }

    fn version(&self) -> Option<&str> {
        Some(self.component.version())
    }

    async fn effects(
        &self,
        _step: &Step,
        _workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        let mut effects: Vec<Effect> = self.component.hosts().iter().map(Host::effect).collect();
        if self.component.reaches_out()
            && let Some(folder) = self.component.kept()
        {
            effects.push(Effect::Read {
                path: folder.to_owned(),
                in_workspace: false,
            });
        }
        Ok(effects)
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
        let arguments = Value::Object(approved.step.call.arguments).to_string();
        let (finished, heard) = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(ToolError::Cancelled),
            finished = self.call(arguments, &context) => finished?,
        };
        self.has_finished(&finished);
        Ok(output(finished, self.keeps().union(heard)))
    }
}

/// What the model reads of a call.
fn output(finished: Finished, taint: Taint) -> ToolOutput {
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
        taint,
    }
}
