//! Calls that only look begin when all that they must be given is written, before what they may be given is.

use serde_json::{Map, Value};
use titan_protocol::{ArgumentPiece, Cut, Known, Segmenter, ToolError};

/// Cuts a call at the moment when its required arguments are complete. What comes after is a step that takes the place
/// of the first.
pub(crate) struct Early {
    required: Vec<String>,
    /// What is complete.
    arrived: Map<String, Value>,
    /// The text that is being written.
    text: String,
    given: Option<Map<String, Value>>,
    released: Option<Map<String, Value>>,
}

impl Early {
    /// For a tool with this schema.
    pub(crate) fn new(schema: &Value) -> Self {
        let required = schema["required"].as_array().into_iter().flatten();
        let required = required.filter_map(|key| Some(key.as_str()?.to_owned()));
        Self {
            required: required.collect(),
            arrived: Map::new(),
            text: String::new(),
            given: None,
            released: None,
        }
    }
}

fn cut(arguments: Map<String, Value>) -> Cut {
    Cut {
        arguments,
        before: String::new(),
        known: Known::default(),
    }
}

impl Segmenter for Early {
    fn push(&mut self, piece: &ArgumentPiece) {
        let (key, value) = match piece {
            ArgumentPiece::Text { text, .. } => return self.text.push_str(text),
            ArgumentPiece::TextEnd { key } => (key, std::mem::take(&mut self.text).into()),
            ArgumentPiece::Value { key, value } => (key, value.clone()),
        };
        self.arrived.insert(key.to_string(), value);
    }

    fn next(&mut self) -> Option<Cut> {
        let has = |key: &String| self.arrived.contains_key(key);
        // Without anything required there is no moment to begin before the end.
        let is_ready = !self.required.is_empty() && self.required.iter().all(has);
        if !is_ready || self.released.is_some() {
            return None;
        }
        let given = self.given.get_or_insert_with(|| self.arrived.clone());
        Some(cut(given.clone()))
    }

    fn release(&mut self) {
        self.released = self.given.take();
    }

    fn released(&self) -> Map<String, Value> {
        self.released.clone().unwrap_or_default()
    }

    fn rest(&mut self, arguments: &Map<String, Value>) -> Result<Option<Cut>, ToolError> {
        if self.released.as_ref() == Some(arguments) {
            return Ok(None);
        }
        self.given = Some(arguments.clone());
        Ok(Some(cut(arguments.clone())))
    }
}
