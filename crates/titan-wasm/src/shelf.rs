//! The components that a person keeps: `NAME.wasm`, the version before it as `NAME.previous`, and what it keeps from call to
//! call in the folder `NAME.state`.

use crate::artefacts::{own_folder, read_own};
use crate::measure::COMPONENT_BYTES_MAX;
use crate::spec::is_name;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use titan_protocol::Draft;

/// Components that are kept.
const KEPT_MAX: usize = 100;
const SUFFIX: &str = "wasm";
const PREVIOUS: &str = "previous";
const STATE: &str = "state";
/// What a tool that the engine wrote was written as.
const DRAFT: &str = "json";
/// One that was taken from the offer, since it broke off.
const DEMOTED: &str = "demoted";
/// Bytes of a draft.
const DRAFT_BYTES_MAX: u64 = 1 << 20;

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
    #[error(
        "there is a component called {0:?} already; remove it first, or put the new one in its place with --replace"
    )]
    Taken(String),
    /// It never was another.
    #[error("no version of {0:?} before this one is kept")]
    NoPrevious(String),
    /// It was not written here.
    #[error(
        "{0:?} was added by hand, so it was not written here and is not replaced; choose another name"
    )]
    Foreign(String),
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
        let broken = |source| broken(&self.0, source);
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
        let absent = || ShelfError::Absent(name.to_owned());
        read(&self.path(name)?, absent)
    }

    /// The version of a component that stood here before.
    ///
    /// # Errors
    /// When there is none, or its file is a link, open to others or too large.
    pub fn read_previous(&self, name: &str) -> Result<Vec<u8>, ShelfError> {
        let path = self.path(name)?.with_extension(PREVIOUS);
        read(&path, || ShelfError::NoPrevious(name.to_owned()))
    }

    /// Puts a component in the place of another one of its name, which is kept as its previous version; the one before that
    /// is gone. It is there whole or not at all.
    ///
    /// # Errors
    /// When there is none of this name, or a file can't be written.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), ShelfError> {
        let path = self.path(name)?;
        let before = self.read(name)?;
        self.write(&path.with_extension(PREVIOUS), &before)?;
        self.write(&path, bytes)
    }

    /// Takes the previous version of a component back; the present one is the previous one then.
    ///
    /// # Errors
    /// When there is none, or a file can't be written.
    pub fn roll_back(&self, name: &str) -> Result<(), ShelfError> {
        let previous = self.read_previous(name)?;
        self.replace(name, &previous)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), ShelfError> {
        let written = tempfile::NamedTempFile::new_in(&self.0).and_then(|mut file| {
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)
        });
        written.map(drop).map_err(|source| broken(path, source))
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
            written => written.map(drop).map_err(|source| broken(&path, source)),
        }
    }

    /// Keeps a tool that the engine wrote, with what it was written as: under a name that is free, or in the place of another
    /// that the engine wrote.
    ///
    /// # Errors
    /// When the name is that of one that a person added, the shelf is full, or a file can't be written.
    pub fn keep(&self, draft: &Draft, component: &[u8]) -> Result<(), ShelfError> {
        let name = &draft.spec.name;
        let path = self.path(name)?;
        let is_there = path.exists();
        if is_there && self.draft(name)?.is_none() {
            return Err(ShelfError::Foreign(name.clone()));
        }
        own_folder(&self.0).map_err(|source| broken(&self.0, source))?;
        let beside = path.with_extension(DRAFT);
        let text =
            serde_json::to_vec_pretty(draft).map_err(|error| broken(&beside, error.into()))?;
        self.write(&beside, &text)?;
        match is_there {
            true => self.replace(name, component),
            false => self.add(name, component),
        }
    }

    /// Takes a tool that the engine wrote from the shelf, since it broke off: the version before it comes back; where there is
    /// none, none of it is offered until it is written again.
    ///
    /// # Errors
    /// When there is none of this name that was written here, or a file can't be moved.
    pub fn demote(&self, name: &str) -> Result<(), ShelfError> {
        if self.draft(name)?.is_none() {
            return Err(ShelfError::Foreign(name.to_owned()));
        }
        if self.read_previous(name).is_ok() {
            return self.roll_back(name);
        }
        let path = self.path(name)?;
        let moved = std::fs::rename(&path, path.with_extension(DEMOTED));
        moved.map_err(|source| broken(&path, source))
    }

    /// What a tool was written as; `None` for one that was not written here.
    ///
    /// # Errors
    /// When there is something that can't be read.
    pub fn draft(&self, name: &str) -> Result<Option<Draft>, ShelfError> {
        let path = self.path(name)?.with_extension(DRAFT);
        match read_own(&path, DRAFT_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(broken(&path, source)),
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| broken(&path, error.into())),
        }
    }

    /// Deletes a component, the version before it, and what it kept.
    ///
    /// # Errors
    /// When there is none or it can't be deleted.
    pub fn remove(&self, name: &str) -> Result<(), ShelfError> {
        let path = self.path(name)?;
        let mut n_removed = 0;
        for end in [PREVIOUS, STATE, DRAFT, DEMOTED, SUFFIX] {
            let beside = path.with_extension(end);
            let removed = match std::fs::symlink_metadata(&beside) {
                Ok(found) if found.is_dir() => std::fs::remove_dir_all(&beside),
                Ok(_) => std::fs::remove_file(&beside),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => Err(error),
            };
            removed.map_err(|source| broken(&beside, source))?;
            n_removed += 1;
        }
        match n_removed {
            0 => Err(ShelfError::Absent(name.to_owned())),
            _ => Ok(()),
        }
    }

    /// All that is there of a component and can be read: itself, the version before it, and one that was demoted.
    pub fn versions(&self, name: &str) -> Vec<Vec<u8>> {
        let Ok(path) = self.path(name) else {
            return Vec::new();
        };
        let all = [SUFFIX, PREVIOUS, DEMOTED].map(|end| path.with_extension(end));
        let read = all
            .iter()
            .map(|path| read_own(path, COMPONENT_BYTES_MAX as u64));
        read.flatten().collect()
    }

    /// A name that is none would be a path.
    fn path(&self, name: &str) -> Result<PathBuf, ShelfError> {
        match is_name(name) {
            true => Ok(self.0.join(name).with_extension(SUFFIX)),
            false => Err(ShelfError::Absent(name.to_owned())),
        }
    }
}

fn read(path: &Path, absent: impl FnOnce() -> ShelfError) -> Result<Vec<u8>, ShelfError> {
    match read_own(path, COMPONENT_BYTES_MAX as u64) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(absent()),
        read => read.map_err(|source| broken(path, source)),
    }
}

fn broken(path: &Path, source: io::Error) -> ShelfError {
    ShelfError::Broken {
        path: path.display().to_string(),
        source,
    }
}
