//! Turns a [`titan_protocol::ModelRequest`] into each vendor's wire and its stream back into
//! [`titan_protocol::ModelEvent`]s; fallback, routing, budgets.
//!
//! Each wire is a module of pure functions: `encode` writes a request, a decoder reads the answer's frames. One driver
//! sends and reads for all of them, through an [`titan_protocol::Egress`]: this crate opens no socket, holds no secret,
//! reads no file and no environment. It knows nothing of tools beyond their descriptions, nor of policy.
//!
//! ```text
//! Router ─▶ Fallback ─▶ Metered ─▶ Images ─▶ TextTools ─▶ HttpProvider ─▶ codec, Egress
//! by task   in order    priced,    to who    calls in     retries,
//!                       ceilings   sees      plain text   circuit breaker
//! ```

mod anthropic;
mod config;
mod embed;
mod failure;
mod fallback;
mod http;
mod images;
mod local;
mod meter;
mod ollama;
mod openai_chat;
mod openai_responses;
mod prices;
pub mod probe;
mod reply;
mod retry;
mod router;
mod sse;
mod text_calls;
mod text_tools;
mod wire;

#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use config::{
    IDLE_MAX_DEFAULT, OpenError, Ports, ProviderConfig, ProviderKind, ProvidersConfig, open,
};
pub use fallback::{Fallback, Link};
pub use meter::{Ceilings, SpendScope};
pub use retry::RetryPolicy;
pub use router::Router;
