//! Which files are open, and what is ready to be known about them.

use crate::{ClientError, UnixMillis};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Files that are open at once; the one that was opened longest ago makes room.
pub const OPEN_FILES_MAX: usize = 64;
/// The longest name of whoever says that a file is open, in characters.
pub const OPENER_CHARS_MAX: usize = 60;
/// The largest pack, in bytes of its lines.
pub const PACK_BYTES_MAX: usize = 16 << 10;

/// What editors, browsers and people say of the files that they have open.
#[async_trait]
pub trait Presence: Send + Sync {
    /// A file is open. What is known about it is made ready in the background.
    ///
    /// # Errors
    /// When there is no such file, or it is one of those that nobody may read.
    async fn open(&self, path: PathBuf, by: String) -> Result<(), ClientError>;

    /// A file is open no longer; one that wasn't is passed over.
    ///
    /// # Errors
    /// When the engine is gone.
    async fn close(&self, path: PathBuf) -> Result<(), ClientError>;

    /// The files that are open, the last opened first.
    ///
    /// # Errors
    /// When the engine is gone.
    async fn list(&self) -> Result<Vec<OpenFile>, ClientError>;

    /// What is known about a file: what is ready, or what is found now.
    ///
    /// # Errors
    /// As [`Presence::open`].
    async fn pack(&self, path: PathBuf) -> Result<Pack, ClientError>;
}

/// What is known for a turn before its model is asked.
#[async_trait]
pub trait Packs: Send + Sync {
    /// The packs of the files that are open in a workspace, the last opened first. Waits for nothing.
    fn ready(&self, workspace: &Path) -> Vec<Arc<Pack>>;

    /// What is known of the files and the names of code that a question speaks of, in its order. A turn waits for it: what
    /// can't be found out within `wait_max` is left out. Cancel-safe: what was begun goes on, so that it is there the next
    /// time.
    async fn named(&self, workspace: &Path, asked: &str, wait_max: Duration) -> Vec<Arc<Pack>>;

    /// A session has changed these files, so they count as open. Waits for nothing.
    fn worked_on(&self, paths: Vec<PathBuf>);
}

/// A file that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFile {
    /// Absolute, links resolved.
    pub path: PathBuf,
    /// Who said so last.
    pub by: String,
    /// When.
    pub at: UnixMillis,
    /// Whether its pack is ready.
    pub is_ready: bool,
}

/// What is known about a file. Its lines are words of whoever wrote the file, its history and the notes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// The file, absolute, links resolved.
    pub path: PathBuf,
    /// The folder that its code was read with.
    pub folder: PathBuf,
    /// When it was made.
    pub made_at: UnixMillis,
    /// The parts that hold something, or that something is missing from.
    pub parts: Vec<PackPart>,
}

/// A part of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackPart {
    /// What it tells.
    pub kind: PackKind,
    /// The most telling first.
    pub lines: Vec<PackLine>,
    /// Why something is missing.
    pub gap: Option<String>,
}

/// What a part of a pack tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackKind {
    /// What the file is about, in a sentence, and its tags.
    About,
    /// What the file defines.
    Outline,
    /// Who uses it from other files.
    Callers,
    /// What changed it last, and why.
    History,
    /// What was wrong in it.
    Bugs,
    /// What was noted of it in conversations.
    Decisions,
    /// What else is noted of it.
    Notes,
}

/// A line of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackLine {
    /// What it says.
    pub text: String,
    /// Where that is from: a place in a file, a commit, a note.
    pub source: String,
}
