//! Calls that a running call makes of other tools. Each is judged by itself, as one of a model is, whoever made the outer
//! one; it is told with an identifier of its own, and what it gives marks the turn.

use super::{Ended, Pipeline, Run, Running, Scope, fatal};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use titan_protocol::{
    CallId, Event, Origin, Step, Taint, ToolCall, ToolCalls, ToolError, ToolOutput,
};

/// Calls that are made within one call of a turn, those within them counted too.
const CALLS_MAX: u32 = 32;
/// Calls that a call may be within.
const DEPTH_MAX: u32 = 3;

/// A call's way to other tools.
pub(super) struct Within {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) scope: Arc<Scope>,
    pub(super) running: Running,
}

#[async_trait]
impl ToolCalls for Within {
    async fn call(
        &self,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<ToolOutput, ToolError> {
        let n = self.running.made.fetch_add(1, Ordering::Relaxed) + 1;
        if n > CALLS_MAX {
            let text = format!("Not run: one call makes at most {CALLS_MAX} calls of other tools.");
            return Ok(refused(text));
        }
        if self.running.depth >= DEPTH_MAX {
            let text = format!("Not run: calls go at most {DEPTH_MAX} deep.");
            return Ok(refused(text));
        }
        let call = ToolCall {
            id: CallId::from(format!("{}.{n}", self.running.call).as_str()),
            name: name.to_owned(),
            arguments,
        };
        let running = self.pipeline.run_within(&self.scope, call, &self.running);
        running.await
    }
}

impl Pipeline {
    async fn run_within(
        self: &Arc<Self>,
        scope: &Arc<Scope>,
        call: ToolCall,
        outer: &Running,
    ) -> Ended {
        let id = call.id.clone();
        scope.start(&id)?;
        let ready = Event::ToolCallReady {
            call: call.clone(),
            origin: Origin::Tool,
        };
        scope.events.emit(ready).await.map_err(fatal)?;
        let mut run = Run::new(self.source_of(&call));
        let ended = self.ended_within(scope, call, outer, &mut run).await;
        let output = run.output(ended)?;
        let output = ToolOutput {
            text: self.kept(&output.text),
            ..output
        };
        self.record(scope, id, output.clone(), run).await?;
        Ok(output)
    }

    /// As [`Pipeline::ended`], but in the outer call's place of the turn's order, and off its clock while a person decides.
    async fn ended_within(
        self: &Arc<Self>,
        scope: &Arc<Scope>,
        call: ToolCall,
        outer: &Running,
        run: &mut Run,
    ) -> Ended {
        let tool = self
            .registry
            .find(&call.name, &call.arguments)
            .map_err(ToolError::Reply)?;
        let running = Running {
            call: call.id.clone(),
            reader: Arc::default(),
            depth: outer.depth + 1,
            ..outer.clone()
        };
        let step = Step::whole(call);
        let approving = self.approve(scope, Origin::Tool, tool.as_ref(), &step);
        let effects = outer.waited.wait(approving).await?;
        self.record_effects(scope, &effects, run).await?;
        running.held.take(scope, &effects).await?;
        self.run_step(scope, tool.as_ref(), step, effects, &running, run)
            .await
    }
}

fn refused(text: String) -> ToolOutput {
    ToolOutput {
        text,
        is_error: true,
        taint: Taint::NONE,
    }
}
