//! Who wrote a file, when and why, as its repository tells it.

use crate::{UnixMillis, Workbench};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Commits that one question may ask for.
pub const COMMITS_MAX: usize = 500;

/// Reads the history of files. Whatever a repository's settings and files say, reading runs nothing of its own, writes
/// nothing and fetches nothing.
///
/// Names, messages and paths are words of whoever wrote them: they come without control characters and bounded, and may
/// say anything.
#[async_trait]
pub trait History: Send + Sync {
    /// What is known of a file and of some of its lines. Dropping the future ends what it started.
    ///
    /// # Errors
    /// See [`HistoryError`]. A file that no commit touched has a history without commits.
    async fn of_file(
        &self,
        workbench: &dyn Workbench,
        question: HistoryQuestion,
    ) -> Result<FileHistory, HistoryError>;
}

/// What is asked of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuestion {
    /// Absolute, links resolved. The file may be gone.
    pub path: PathBuf,
    /// The first and the last line that are asked about, from 1, as the file is now.
    pub lines: Option<(u32, u32)>,
    /// At most this many commits, 1 to [`COMMITS_MAX`].
    pub commits_max: usize,
}

/// The history of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHistory {
    /// The commits that touched it, newest first, also under its earlier names.
    pub commits: Vec<Commit>,
    /// Whether these are all.
    pub is_whole: bool,
    /// Who wrote the lines that it has in the newest commit, who wrote most first.
    pub owners: Vec<Owner>,
    /// The lines that were asked about, in order.
    pub lines: Vec<WrittenLines>,
    /// What could not be found out, each with why.
    pub gaps: Vec<String>,
}

/// A change that was written down with its reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its name, in hex.
    pub hash: String,
    /// Who wrote it.
    pub author: String,
    /// Their address.
    pub mail: String,
    /// When it was written.
    pub at: UnixMillis,
    /// What it does, in one line.
    pub subject: String,
    /// Why, as far as it says: its message without the subject and the trailers.
    pub why: String,
    /// `Reviewed-by` and the like, each with its value.
    pub trailers: Vec<(String, String)>,
    /// The issues that it names.
    pub issues: Vec<Issue>,
    /// Whether it says that it mends something.
    pub mends: bool,
    /// The commits that it says it takes back.
    pub reverts: Vec<String>,
    /// The later commit that took it back, of those that touched the file.
    pub reverted_by: Option<String>,
    /// What the file was called in it; empty where that was not looked for.
    pub path: String,
    /// What the file was called before it, if it gave it another name.
    pub renamed_from: Option<String>,
}

/// An issue as a message names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Issue {
    /// `#12`, `GH-12`, `owner/name#12`, `JIRA-12`, or an address.
    pub name: String,
    /// Whether the message says that it is done with.
    pub closes: bool,
}

/// Somebody who wrote lines of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Who.
    pub author: String,
    /// Their address.
    pub mail: String,
    /// Lines that are theirs now.
    pub lines: u32,
    /// When the youngest of them was written.
    pub at: UnixMillis,
}

/// Lines of one commit in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenLines {
    /// The first, from 1.
    pub first: u32,
    /// The last.
    pub last: u32,
    /// The commit that wrote them; `None` for what is in no commit yet.
    pub commit: Option<Commit>,
}

/// Why there is no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// There is no git.
    #[error(
        "there is no git to read histories with: it is not installed, or lies in the folder itself, whose programs are not run"
    )]
    NoGit,
    /// The file is in no repository.
    #[error("{path} is in no git repository")]
    NoRepository {
        /// The file.
        path: String,
    },
    /// It can't be read; the text says why.
    #[error("{0}")]
    Failed(String),
}
