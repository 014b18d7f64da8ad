//! What tests are made with: a scripted model, in-memory ports, contract suites that fakes and real parts pass alike,
//! a scripted HTTP server that speaks each vendor's wire, and the transcript renderer.

pub mod calls;
pub mod code;
pub mod component;
pub mod egress;
pub mod fuzz;
pub mod gate;
pub mod history;
pub mod memory;
pub mod model;
pub mod packs;
pub mod postgres;
pub mod server;
pub mod shortcut;
pub mod skip;
pub mod storage;
pub mod transcript;
pub mod workbench;

pub use skip::skip;
