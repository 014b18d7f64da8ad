//! The control socket: how a second `titanclaw` reaches the one that owns the home.
//!
//! One connection carries one question. The caller writes a line of JSON, the owner answers with one line, or with
//! a line for each record when the caller follows; closing the connection ends the answer. Only processes of the
//! same user are answered. The engine is not known here: [`serve`] is given a [`titan_protocol::Client`], and
//! [`SocketClient`] is one.

mod client;
mod doors;
mod frame;
#[cfg(test)]
mod fuzz;
mod server;

pub(crate) use client::{SocketClient, is_served};
pub(crate) use doors::Doors;
pub(crate) use server::{ControlSocket, Serving};

/// Looks again at the tools that the person keeps, and says in lines what can't be offered. Blocks.
pub(crate) type Look = std::sync::Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// A frame holds at most this much; a record's texts are bounded well below it.
pub(crate) const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Connections that are served at once.
pub(crate) const CONNECTIONS_MAX: usize = 128;
