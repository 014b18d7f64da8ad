//! Runs small models in the process: chat with tool calls held to their schemas, and embeddings.
//!
//! A decoder of our own reads GGUF files in place (`gguf`, `decoder`, `kernels`); nothing is converted, repacked or
//! linked from elsewhere, so that a model costs the memory of its file and `cargo build` is all it takes. Replies
//! come from a [`LocalProvider`], vectors from a [`LocalEmbedder`], model files from [`fetch`](fetch::pull). Not a
//! server and not for large models: one reply at a time on a few cores.

mod bpe;
mod catalogue;
mod choice;
mod constrain;
mod decoder;
mod embed;
mod error;
mod fetch;
mod generate;
mod gguf;
mod kernels;
mod math;
mod measure;
mod pool;
mod prefix;
mod prompt;
mod provider;
mod quant;
#[cfg(test)]
mod real_model;
mod sample;
mod threads;
#[cfg(test)]
mod tiny;
mod tokenizer;
mod wheel;

pub use catalogue::{CatalogueModel, DEFAULT_MODEL, MODELS, Part, find, find_on_machine, locate};
pub use embed::LocalEmbedder;
pub use error::LocalError;
pub use fetch::{Attempt, FetchError, Fetched, Progress, Source, pull, verify};
pub use measure::{Measurement, ToolCheck, check_tools};
pub use provider::LocalProvider;

use std::path::PathBuf;
use std::time::Duration;

/// The provider's name in events.
pub(crate) const PROVIDER: &str = "local";

/// How the local model is run.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// An id of the catalogue, or a path of a GGUF file.
    pub model: String,
    /// Where fetched models lie.
    pub models_dir: PathBuf,
    /// Threads to use, 1 to 64; `None` takes the cores that are idle when the model is loaded.
    pub threads: Option<usize>,
    /// Tokens read and written together, at most; the model's own limit also holds. A token costs some tens of
    /// kilobytes of memory.
    pub context_tokens_max: usize,
    /// After this long without a request the model's memory is given back.
    pub idle_unload: Duration,
    /// Where the processed fixed part of prompts is kept between starts; `None` keeps it in memory only.
    pub prefix_cache_dir: Option<PathBuf>,
}

impl LocalConfig {
    /// The default model from this folder, with idle cores, 8,192 tokens, five minutes, and no folder for prefixes.
    pub fn new(models_dir: impl Into<PathBuf>) -> Self {
        Self {
            model: DEFAULT_MODEL.into(),
            models_dir: models_dir.into(),
            threads: None,
            context_tokens_max: 8_192,
            idle_unload: Duration::from_secs(300),
            prefix_cache_dir: None,
        }
    }
}
