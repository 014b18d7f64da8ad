//! Why a local model could not be read or run.

use std::path::PathBuf;

/// Why a local model could not be read or run. Each text names the cause and the next step.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The file can't be opened.
    #[error("cannot open the model file {}: {source}. Fetch it with `titanclaw models pull`.", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a GGUF file, or is cut or damaged.
    #[error("{} is not a readable GGUF file: {detail}. Delete it and fetch it again with `titanclaw models pull`.", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The file is sound, but of a kind that this engine does not run.
    #[error("{} cannot be run by the built-in engine: {detail}. Choose another with `titanclaw models use`, or serve it with Ollama or llama.cpp.", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it holds.
        detail: String,
    },
    /// The model is known, but not on this machine.
    #[error(
        "the model {id} is not on this machine. Fetch it with `titanclaw models pull {id}` ({} MB).",
        bytes / 1_000_000
    )]
    Missing {
        /// The model.
        id: String,
        /// Its size.
        bytes: u64,
    },
    /// No such model is known and there is no such file.
    #[error(
        "{id:?} is neither a known model nor a file. `titanclaw models list` names the known ones."
    )]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// A thread or a folder that the engine needs can't be made.
    #[error("the local model cannot start: {0}")]
    System(#[from] std::io::Error),
}
