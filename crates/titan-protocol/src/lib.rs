//! The words that cross a boundary, and the ports.
//!
//! Everything here is data or a trait: no behaviour beyond what keeps a value well-formed, no I/O, no clock.
//! Surfaces send an [`Op`] and read [`Event`]s; the engine reaches the world through a [`Workbench`] and an
//! [`Egress`], models through a [`Provider`], and storage through four small ports ([`Journal`], [`Records`],
//! [`Search`], [`Blobs`]), and what a folder's code says through [`CodeGraph`]. What a person changes beside the sessions has ports of its own: [`Memory`], [`Settings`],
//! [`Presence`], [`Logs`]. What a model may add to when nothing else is to be done is an [`Enrichment`].

mod canvas;
mod client;
mod code;
mod effect;
mod enrich;
mod event;
mod forge;
mod history;
mod id;
mod image;
mod logs;
mod memory;
mod message;
mod model;
mod op;
mod presence;
mod settings;
mod shortcut;
mod storage;
mod tool;
mod world;

pub use canvas::*;
pub use client::*;
pub use code::*;
pub use effect::*;
pub use enrich::*;
pub use event::*;
pub use forge::*;
pub use history::*;
pub use id::*;
pub use image::*;
pub use logs::*;
pub use memory::*;
pub use message::*;
pub use model::*;
pub use op::*;
pub use presence::*;
pub use settings::*;
pub use shortcut::*;
pub use storage::*;
pub use tool::*;
pub use world::*;

/// A boxed stream that owns what it needs and may cross threads.
pub type BoxStream<T> = futures::stream::BoxStream<'static, T>;
