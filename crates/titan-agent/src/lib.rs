//! Decides what happens next in a session: what the model is shown, what is done with what it says, when it ends.
//!
//! [`Engine`] is the whole interface: it is a [`titan_protocol::Client`] over the ports it is opened with. Inside, a
//! turn is a pure state machine (`turn`), the thread is a projection of the journal (`thread`), and one task per
//! active session drives both (`session`). This crate knows no vendor, no database and no place to work.

mod arguments;
mod baseline;
mod branch;
mod canvas;
mod changes;
mod checkpoint;
mod compact;
mod engine;
mod follow;
mod forget;
mod history;
mod idle;
mod images;
mod jobs;
mod known;
mod leisure;
mod lineage;
mod log;
mod opinion;
mod pipe;
mod prompt;
mod questions;
mod recovery;
mod session;
mod stitch;
mod summary;
mod surroundings;
mod thread;
mod title;
mod trust;
mod turn;
mod undo;
mod utility;

pub use engine::{Config, Engine, OpenWorkbench, Parts, ProviderFor};
pub use leisure::Leisure;
pub use prompt::PromptSize;
pub use trust::{INSTRUCTION_BYTES_MAX, INSTRUCTION_FILES, TrustOf, fingerprint};
pub use turn::TurnLimits;
pub use utility::{Aside, Heard};
