//! The components that a person keeps, one file each.

use crate::artefacts::{own_folder, read_own};
use crate::measure::COMPONENT_BYTES_MAX;
use crate::spec::is_name;
use std::io::{self, Write};
use std::path::PathBuf;

/// Components that are kept.
const KEPT_MAX: usize = 100;
const SUFFIX: &str = "wasm";

/// A folder of `NAME.wasm`, closed to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf(PathBuf);

/// Why a component can't be kept, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// There is none of this name.
    #[error("there is no component called {0:?}; see them with titanclaw tools list")]
    Absent(String),
    /// There is one of this name already.
    #[error("there is a component called {0:?} already; remove it first")]
    Taken(String),
    /// There are too many.
    #[error("{KEPT_MAX} components are kept already; remove one first")]
    Full,
    /// The file or folder can't be used.
    #[error("{path} can't be used: {source}")]
    Broken {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Shelf {
    /// The shelf in this folder. Nothing is touched.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The names on it, in order; at most 100. None when there is no folder.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn names(&self) -> Result<Vec<String>, ShelfError> {
        let broken = |source| self.broken(&self.0, source);
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(broken)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(broken)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".wasm"));
            names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
        }
        names.sort();
        names.truncate(KEPT_MAX);
        Ok(names)
    }

    /// The component of this name.
    ///
    /// # Errors
    /// When there is none, or its file is a link, open to others or too large.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, ShelfError> {
        let path = self.path(name)?;
        match read_own(&path, COMPONENT_BYTES_MAX as u64) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ShelfError::Absent(name.to_owned()))
            }
            read => read.map_err(|source| self.broken(&path, source)),
        }
    }

    /// Keeps a component under a name that is free. It is there whole or not at all.
    ///
    /// # Errors
    /// When the name is taken, the shelf is full, or the file can't be written.
    pub fn add(&self, name: &str, bytes: &[u8]) -> Result<(), ShelfError> {
        let path = self.path(name)?;
        if self.names()?.len() >= KEPT_MAX {
            return Err(ShelfError::Full);
        }
        let written = own_folder(&self.0).and_then(|()| {
            let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist_noclobber(&path).map_err(|error| error.error)
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(ShelfError::Taken(name.to_owned()))
            }
            written => written
                .map(drop)
                .map_err(|source| self.broken(&path, source)),
        }
    }

    /// Deletes a component.
    ///
    /// # Errors
    /// When there is none or it can't be deleted.
    pub fn remove(&self, name: &str) -> Result<(), ShelfError> {
        let path = self.path(name)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ShelfError::Absent(name.to_owned()))
            }
            removed => removed.map_err(|source| self.broken(&path, source)),
        }
    }

    /// A name that is none would be a path.
    fn path(&self, name: &str) -> Result<PathBuf, ShelfError> {
        match is_name(name) {
            true => Ok(self.0.join(name).with_extension(SUFFIX)),
            false => Err(ShelfError::Absent(name.to_owned())),
        }
    }

    fn broken(&self, path: &std::path::Path, source: io::Error) -> ShelfError {
        ShelfError::Broken {
            path: path.display().to_string(),
            source,
        }
    }
}
