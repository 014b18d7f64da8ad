//! The gateway over a real loopback socket, before an engine that is told what to do.

#![allow(
    clippy::unwrap_used,
    reason = "a test whose place can't be set up has nothing to say"
)]

mod api;
mod attacks;
mod crowd;
mod place;
mod v1;
mod wire;
