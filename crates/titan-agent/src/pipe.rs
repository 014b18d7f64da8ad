//! From the text of a call's arguments, as a model writes it, to the call that runs meanwhile.

use crate::arguments::Scanner;
use serde_json::{Map, Value};
use titan_exec::Writing;
use titan_protocol::ArgumentPiece;

/// A call that is being written.
pub(crate) struct Pipe {
    scanner: Scanner,
    writing: Writing,
    /// The text is no JSON, or no JSON that is understood: what follows is not taken for anything.
    is_broken: bool,
}

impl Pipe {
    pub(crate) fn new(writing: Writing) -> Self {
        Self {
            scanner: Scanner::new(),
            writing,
            is_broken: false,
        }
    }

    /// The next piece of the text.
    pub(crate) fn push(&mut self, json: &str) {
        if self.is_broken {
            return;
        }
        match self.scanner.push(json) {
            Ok(pieces) => pieces
                .into_iter()
                .for_each(|piece| self.writing.push(piece)),
            // What is wrong is told when the call is whole, by the parse that alone decides.
            Err(_) => self.is_broken = true,
        }
    }

    /// Returns when there is no use in writing on, with the reason. Safe to drop.
    pub(crate) fn pointless(&self) -> impl Future<Output = String> + Send + use<> {
        self.writing.pointless()
    }

    /// The call is whole, with these arguments.
    pub(crate) fn whole(self, arguments: Map<String, Value>) {
        self.writing.whole(arguments);
    }

    /// The call will never be whole.
    pub(crate) fn cut(self, why: String) {
        self.writing.cut(why);
    }
}

/// The arguments in the beginning of a text, the last one as far as it came.
pub(crate) fn arguments_so_far(json: &str) -> Map<String, Value> {
    // What is no JSON has no arguments.
    collect(Scanner::new().push(json).unwrap_or_default())
}

/// What pieces of arguments amount to.
pub(crate) fn collect(pieces: impl IntoIterator<Item = ArgumentPiece>) -> Map<String, Value> {
    let mut arguments = Map::new();
    for piece in pieces {
        match piece {
            ArgumentPiece::Text { key, text } => {
                let so_far = arguments.entry(&*key).or_insert_with(|| "".into());
                if let Value::String(so_far) = so_far {
                    so_far.push_str(&text);
                }
            }
            ArgumentPiece::TextEnd { .. } => {}
            ArgumentPiece::Value { key, value } => {
                arguments.insert(key.to_string(), value);
            }
        }
    }
    arguments
}
