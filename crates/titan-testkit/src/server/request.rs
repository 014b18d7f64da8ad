//! What a client asked, and a reader of it that knows each vendor's words.

use super::Wire;
use serde_json::{Value, json};
use std::time::Instant;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its position among all requests for a reply, from 0. Requests for lists have positions of their own.
    pub index: usize,
    /// The wire that the server speaks.
    pub wire: Wire,
    /// `GET`, `POST`, `HEAD`.
    pub method: String,
    /// The path, with the query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as JSON; `Null` when it is empty or not JSON.
    pub body: Value,
    /// When the whole request was in.
    pub arrived: Instant,
}

impl Request {
    /// A request that asks for all that a reply can tell, for encoding a reply without a connection.
    pub(super) fn first(wire: Wire) -> Self {
        Self {
            index: 0,
            wire,
            method: "POST".to_owned(),
            path: wire.path().to_owned(),
            headers: Vec::new(),
            body: json!({"stream": true, "stream_options": {"include_usage": true}}),
            arrived: Instant::now(),
        }
    }

    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The model that was asked for.
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or("scripted")
    }

    /// Names of the tools on offer, in order.
    pub fn tool_names(&self) -> Vec<String> {
        let tools = self.body["tools"].as_array().into_iter().flatten();
        tools
            .filter_map(|tool| tool["name"].as_str().or(tool["function"]["name"].as_str()))
            .map(str::to_owned)
            .collect()
    }

    /// The system prompt, its parts joined.
    pub fn system(&self) -> String {
        let from_thread = || {
            let spoken = self
                .thread()
                .iter()
                .filter(|entry| matches!(entry["role"].as_str(), Some("system" | "developer")));
            spoken.map(|entry| text_of(&entry["content"])).collect()
        };
        match self.wire {
            Wire::Anthropic => text_of(&self.body["system"]),
            Wire::Responses if self.body["instructions"].is_string() => {
                text_of(&self.body["instructions"])
            }
            _ => from_thread(),
        }
    }

    /// The last thing that the person said; empty when nothing was.
    pub fn last_user_text(&self) -> String {
        if let Some(text) = self.body["input"].as_str() {
            return text.to_owned();
        }
        let spoken = self.thread().iter().rev();
        spoken
            .filter(|entry| entry["role"] == "user")
            .map(|entry| text_of(&entry["content"]))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }

    /// What tools answered, oldest first.
    pub fn tool_results(&self) -> Vec<String> {
        self.thread().iter().flat_map(results_of).collect()
    }

    fn thread(&self) -> &[Value] {
        let entries = match self.wire {
            Wire::Responses => &self.body["input"],
            _ => &self.body["messages"],
        };
        entries.as_array().map_or(&[], Vec::as_slice)
    }
}

fn results_of(entry: &Value) -> Vec<String> {
    if entry["role"] == "tool" {
        return vec![text_of(&entry["content"])];
    }
    if entry["type"] == "function_call_output" {
        return vec![text_of(&entry["output"])];
    }
    let blocks = entry["content"].as_array().into_iter().flatten();
    blocks
        .filter(|block| block["type"] == "tool_result")
        .map(|block| text_of(&block["content"]))
        .collect()
}

/// The text of a content field: a string, or blocks of which those with text count.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().filter_map(|b| b["text"].as_str()).collect(),
        _ => String::new(),
    }
}
