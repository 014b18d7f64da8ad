//! What a folder of code defines and what uses it.
//!
//! A file is parsed into [`FileFacts`], a function of its path and text. [`Graph`] puts the facts of all files together:
//! who calls, makes, inherits and names whom, each use as sure as what it rests on. Python's values are followed through
//! assignments, calls and containers; the other languages are read by scopes, imports and types that are written.
//! What a file is about is a part of its facts; what tells it from the others is chosen beside them, as its tags.
//! [`Folder`] keeps a graph as the disk is, and [`CodeFolders`] is the port `CodeGraph` over folders.

mod about;
mod chain;
mod described;
mod extract;
mod facts;
mod flow;
mod folder;
mod folders;
mod given;
mod graph;
mod group;
mod history;
mod imports;
mod languages;
mod link;
mod modules;
mod outline;
mod packs;
mod search;
mod tags;
#[cfg(test)]
mod tests;

pub use about::About;
pub use extract::{FILE_BYTES_MAX, Skipped, facts};
pub use facts::{FileFacts, Import, Receiver, Reference, Symbol, SymbolKind, Typed};
pub use folder::Folder;
pub use folders::CodeFolders;
pub use graph::{CallEnd, Graph};
pub use history::GitHistory;
pub use languages::Language;
pub use modules::python_module;
pub use packs::{OpenFiles, OpenFolder, PackPorts};
