//! The one path from a tool call to a tool output: look up, check the schema, decide, place, run, bound, redact,
//! mark taint, record.
//!
//! Nothing else runs a tool. Models, people and every later origin enter through [`Pipeline::run`] and meet the same
//! verdicts. This crate knows no concrete tool and no place to work; it is handed both.

mod approvals;
mod bound;
mod envelope;
mod fingerprint;
mod pipeline;
mod policy;
mod provenance;
mod redact;
mod registry;
mod validator;

pub use approvals::{Approvals, DecideError};
pub use envelope::{disarm, enclose};
pub use pipeline::{EventSink, Limits, Opinion, Pipeline, Ports, Scope, Writing};
pub use policy::{Policy, Question, Rule, Rules};
pub use provenance::{Provenance, taint_of_words};
pub use redact::Redactor;
pub use registry::{Registry, RegistryError};
