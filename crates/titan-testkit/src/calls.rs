//! Other tools, as a test writes them: [`ScriptedCalls`] answers calls from a closure and remembers them.

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::sync::Arc;
use titan_protocol::{ToolCalls, ToolError, ToolOutput};

type Answer = dyn Fn(&str, &Map<String, Value>) -> ToolOutput + Send + Sync;

/// [`ToolCalls`] that a closure answers. Clones are the same.
#[derive(Clone)]
pub struct ScriptedCalls {
    answer: Arc<Answer>,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl ScriptedCalls {
    /// There are no other tools: every call is answered by an error.
    pub fn none() -> Self {
        Self::answering(|name, _| ToolOutput {
            text: format!("There is no tool called {name:?}."),
            is_error: true,
            ..ToolOutput::default()
        })
    }

    /// Answers all calls by this closure.
    pub fn answering(
        answer: impl Fn(&str, &Map<String, Value>) -> ToolOutput + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Arc::new(answer),
            calls: Arc::default(),
        }
    }

    /// The calls so far: name and arguments.
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.calls.lock().clone()
    }
}

#[async_trait]
impl ToolCalls for ScriptedCalls {
    async fn call(
        &self,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<ToolOutput, ToolError> {
        let output = (self.answer)(name, &arguments);
        let call = (name.to_owned(), Value::Object(arguments));
        self.calls.lock().push(call);
        Ok(output)
    }
}
