//! A script as it is written, cut into statements, each with what it would do after those before it.

use super::analysis::Analysis;
use super::segment::Segmenter as Cutter;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use titan_protocol::{ArgumentPiece, Cut, Known, Segmenter, ToolError};

const SCRIPT: &str = "script";

/// The [`Segmenter`] of `shell`.
#[derive(Default)]
pub(super) struct Statements {
    cutter: Cutter,
    /// Complete, and not given yet.
    complete: VecDeque<String>,
    given: Option<Given>,
    /// The script as far as it was released, and what is known after it.
    released: String,
    after: Analysis,
    /// The arguments besides the script that came by now.
    others: Map<String, Value>,
}

/// A statement that was given and not released yet.
struct Given {
    text: String,
    cut: Cut,
    after: Analysis,
}

impl Statements {
    fn cut(&self, text: &str, others: Map<String, Value>) -> (Cut, Analysis) {
        let mut after = self.after.clone();
        let claims = after.add(text);
        let mut arguments = Map::from_iter([(SCRIPT.to_owned(), text.into())]);
        arguments.extend(others);
        let cut = Cut {
            arguments,
            before: self.released.clone(),
            known: Known::of(claims),
        };
        (cut, after)
    }

    fn give(&mut self, text: String, others: Map<String, Value>) -> Cut {
        let (cut, after) = self.cut(&text, others);
        let given = self.given.insert(Given { text, cut, after });
        given.cut.clone()
    }
}

impl Segmenter for Statements {
    fn push(&mut self, piece: &ArgumentPiece) {
        match piece {
            ArgumentPiece::Text { key, text } if **key == *SCRIPT => {
                self.complete.extend(self.cutter.push(text));
            }
            ArgumentPiece::Value { key, value } => {
                self.others.insert(key.to_string(), value.clone());
            }
            ArgumentPiece::Text { .. } | ArgumentPiece::TextEnd { .. } => {}
        }
    }

    fn next(&mut self) -> Option<Cut> {
        if let Some(given) = &self.given {
            return Some(given.cut.clone());
        }
        let text = self.complete.pop_front()?;
        let others = self.others.clone();
        Some(self.give(text, others))
    }

    fn release(&mut self) {
        if let Some(given) = self.given.take() {
            self.released.push_str(&given.text);
            self.after = given.after;
        }
    }

    fn released(&self) -> Map<String, Value> {
        Map::from_iter([(SCRIPT.to_owned(), self.released.clone().into())])
    }

    fn rest(&mut self, arguments: &Map<String, Value>) -> Result<Option<Cut>, ToolError> {
        let script = arguments.get(SCRIPT).and_then(Value::as_str);
        let Some(rest) = script.unwrap_or_default().strip_prefix(&self.released) else {
            let other = "The script is another one than what was read of it while it was written.";
            return Err(ToolError::Reply(other.to_owned()));
        };
        let mut others = arguments.clone();
        others.remove(SCRIPT);
        if rest.is_empty() && others == self.others {
            return Ok(None);
        }
        let rest = rest.to_owned();
        Ok(Some(self.give(rest, others)))
    }
}
