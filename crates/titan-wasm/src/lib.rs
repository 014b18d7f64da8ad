//! Tools that are WebAssembly components of the worlds in `wit/`.
//!
//! A component is somebody else's program. It is measured before it is compiled ([`LoadError::TooLarge`]), reaches only
//! what it declared and was granted ([`Capability`]), and each call of it runs in an instance of its own, whose time,
//! memory, output and host calls end at [`Limits`]. Whatever it does, the host goes on, and a model or a person reads one
//! sentence about it. Nothing here knows the pipeline: [`ComponentTool`] is a tool like any other.

mod artefacts;
mod bindings;
mod capability;
mod command;
mod component;
mod engine;
mod guest;
mod host;
mod maker;
mod measure;
mod prelude;
mod reach;
mod reflex;
mod shelf;
mod slots;
mod spec;
mod state;
mod ticker;
mod tool;
mod toolchain;
mod trouble;
mod wasi;

#[cfg(test)]
mod tests;

pub use capability::Capability;
pub use component::{Component, Finished};
pub use guest::Limits;
pub use host::{Config, LoadError, OpenError, WasmHost};
pub use maker::{Maker, OpenHost};
pub use measure::COMPONENT_BYTES_MAX;
pub use reach::Host;
pub use shelf::{Shelf, ShelfError};
pub use slots::{Change, KeptError, Slots, load_kept};
pub use tool::ComponentTool;
pub use toolchain::{
    Candidate, Class, Compiler, OpenBench, PrepareError, Progress, Ready, Toolchain,
};
pub use trouble::{CallError, Halt};
