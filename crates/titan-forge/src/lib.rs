//! Code that the engine writes for itself, and what it may be trusted with.
//!
//! A **reflex** answers a question in a model's place. It is found in the journal ([`Reflexes::watch`]): two turns that asked
//! the same with other values and were answered by the same calls have a plan in common (`mine`), which becomes a component
//! without any compiler (`encode`). Where an answer has values that a model computed, a model writes the code of that
//! (`cluster`, `write`), and the plan has places for what it gives. It is proved on turns that it was not built from (`prove`), runs in shadow beside the
//! model, is promoted by its owner or by policy, and is demoted with the first answer that differs. In doubt the model is
//! asked: a question has to be known beyond doubt (`wording`), and everything that a reflex calls goes through the pipeline
//! with the leave that a model would have.
//!
//! Nothing here runs a component or a tool; it is handed a [`ReflexHost`](titan_protocol::ReflexHost).

mod agree;
mod author;
mod builtin;
mod case;
mod cluster;
mod encode;
mod learn;
mod learned;
mod mine;
mod plan;
mod prove;
mod reflex;
mod reflexes;
mod tool;
mod watch;
mod wording;
mod words;
mod write;
mod written;

#[cfg(test)]
mod tests;

pub use author::{Author, Authored, Commission};
pub use builtin::{About, Facts};
pub use reflexes::{Config, Ports, Promotion, Reflexes};
pub use tool::{FORGE_TOOL, ForgeTool, agrees, draft_of};
pub use write::Writing;
