//! Tools that the engine writes for itself: what one is written as, who makes it, and where it goes if it is kept.

use crate::{Tool, ToolSpec};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A tool as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// What a model is told of it.
    pub spec: ToolSpec,
    /// Its source, a file in Rust.
    pub source: String,
    /// What it is to get.
    pub capabilities: Vec<String>,
    /// What is known of it: what it has to give. At least one.
    pub examples: Vec<Example>,
}

/// A call and what it has to give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The arguments.
    pub input: Map<String, Value>,
    /// The output.
    pub output: String,
}

/// With how much care a tool is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// For a few calls: at once, and nothing of it is kept.
    Once,
    /// For many: smaller and faster.
    Kept,
}

/// A tool that was made.
#[derive(Clone)]
pub struct Made {
    /// The tool. Nothing of it is left when the last clone goes.
    pub tool: Arc<dyn Tool>,
    /// The component that it is.
    pub component: Vec<u8>,
}

/// Why no tool was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// What was written is wrong; the text names each line, for whoever wrote it.
    #[error("{0}")]
    Wrong(String),
    /// Nothing can be made here; the text says what is missing and what to do.
    #[error("{0}")]
    Missing(String),
    /// Something broke that no change of the source mends.
    #[error("{0}")]
    Failed(String),
}

/// Makes tools of what was written.
#[async_trait]
pub trait ToolMaker: Send + Sync {
    /// What there is to write a tool with, for whoever writes one.
    fn guide(&self) -> &str;

    /// Whether these arguments fit a tool's schema.
    ///
    /// # Errors
    /// What does not fit, or that the schema is none.
    fn fits(&self, spec: &ToolSpec, input: &Map<String, Value>) -> Result<(), String>;

    /// Makes a tool. Dropping the future ends the work; nothing of it stays.
    ///
    /// # Errors
    /// See [`MakeError`].
    async fn make(&self, draft: &Draft, care: Care) -> Result<Made, MakeError>;
}

/// Takes in tools that are kept.
#[async_trait]
pub trait ToolKeeper: Send + Sync {
    /// Keeps a tool under its name and offers it from now on. One of that name that was written before goes; what a person
    /// added stays.
    ///
    /// # Errors
    /// Why it is not kept, in a sentence.
    async fn keep(&self, draft: &Draft, component: &[u8]) -> Result<(), String>;
}
