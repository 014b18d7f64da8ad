//! The gateway over a real loopback socket, before an engine that is told what to do.

mod api;
mod attacks;
mod crowd;
mod place;
mod v1;
