//! The one path from a tool call to a tool output: look up, check the schema, decide, place, run, bound, redact,
//! mark taint, record.
//!
//! Nothing else runs a tool. Models, people and every later origin enter through [`Pipeline::run`] and meet the same
//! verdicts. This crate knows no concrete tool and no place to work; it is handed both.

mod approvals;
mod bound;
mod fingerprint;
mod pipeline;
mod policy;
mod redact;
mod registry;

pub use approvals::{Approvals, DecideError};
pub use pipeline::{EventSink, Limits, Pipeline, Ports, Scope};
pub use policy::{Policy, Question, Rule, Rules};
pub use redact::Redactor;
pub use registry::{Registry, RegistryError};
