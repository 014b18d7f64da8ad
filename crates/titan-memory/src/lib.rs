//! What the person and the agent know: documents, and the names that connect them.
//!
//! [`GraphMemory`] is the port `Memory` on a store: what is kept, replaced, contradicted and deleted; and the port `Enrichment`: what a
//! small model reads there. [`Index`] is what questions are answered from: words (BM25), vectors and a graph of names, in memory and pure.

mod documents;
mod enrich;
mod extract;
mod files;
mod graph;
mod hnsw;
mod index;
mod lexicon;
mod memory;
mod pages;
mod rank;
mod said;
mod state;
#[cfg(test)]
mod tests;
mod text;
mod top;
mod vectors;

pub use files::{from_markdown, from_text, time_of, to_markdown};
pub use graph::Graph;
pub use index::{Entry, Index};
pub use memory::{GraphMemory, Keeps, Ports};
pub use rank::{Found, Parts, Question};
