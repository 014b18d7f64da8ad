//! What a conversation with a model is made of.

use crate::{CallId, Image, Taint};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Who speaks in a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person, or the results of tools that answer the assistant's calls.
    User,
    /// The model.
    Assistant,
}

/// One entry of the thread that a model is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub content: Vec<Content>,
}

impl Message {
    /// A message of the person, of text alone.
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: vec![Content::Text { text: text.into() }],
        }
    }

    /// A message of the model, of text alone.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self {
            role: Role::Assistant,
            content: vec![Content::Text { text: text.into() }],
        }
    }

    /// All its text, joined; calls, results and thinking left out.
    pub fn text(&self) -> String {
        self.content
            .iter()
            .filter_map(|part| match part {
                Content::Text { text } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// Plain text, Markdown by convention.
    Text {
        /// The text.
        text: String,
    },
    /// An image that the person gave.
    Image {
        /// What it is.
        image: Image,
        /// Its bytes in base64; `None` where they are not shown.
        base64: Option<Arc<str>>,
    },
    /// What the model thought before it spoke.
    Thinking {
        /// The thought, possibly empty when the vendor keeps it to itself.
        text: String,
        /// The vendor's seal, sent back unchanged with the thought.
        signature: Option<String>,
    },
    /// A call that the model made.
    ToolCall(ToolCall),
    /// The answer to one call.
    ToolResult {
        /// The call that it answers.
        call: CallId,
        /// What the model reads.
        text: String,
        /// Whether the call failed.
        is_error: bool,
        /// Where the text came from.
        taint: Taint,
    },
}

/// A call of a tool, whole and parsed once: the same arguments reach schema check, policy and executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The engine's id for it.
    pub id: CallId,
    /// The tool's name as offered to the model.
    pub name: String,
    /// The arguments, a JSON object without duplicate keys.
    pub arguments: Map<String, Value>,
}
