//! Where a path leads, and whether it may be touched at all.
//!
//! Links are followed by hand, one part at a time, so that a path whose end does not exist yet still has one meaning.
//! What is resolved here is opened in [`super::file`] without following links, so a link that is put in between
//! afterwards makes the access fail instead of leading it elsewhere.

use super::confine::secrets;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use titan_protocol::WorkbenchError;

/// Links followed on one path, as many as Linux does.
const LINKS_MAX: usize = 40;

/// The longest path that is looked at, in bytes, as on Linux.
const PATH_BYTES_MAX: usize = 4096;

/// The places that paths are judged by. All but `person_home` are absolute with links resolved.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) root: PathBuf,
    pub(super) home: PathBuf,
    pub(super) person_home: Option<PathBuf>,
    /// Places of keys and tokens below the root, as in a workspace that is somebody's home. Looked up when it matters.
    secret: OnceLock<Vec<PathBuf>>,
}

impl Places {
    pub(super) fn new(root: PathBuf, home: PathBuf, person_home: Option<PathBuf>) -> Self {
        Self {
            root,
            home,
            person_home,
            secret: OnceLock::new(),
        }
    }

    /// Whether a resolved path is the workspace's own: below the root, and no place of keys and tokens.
    pub(super) fn owns(&self, path: &Path) -> bool {
        path.starts_with(&self.root) && !self.is_secret(path)
    }

    /// Whether a resolved path lies in a place of keys and tokens below the root.
    pub(super) fn is_secret(&self, path: &Path) -> bool {
        let is_below = |secret: &PathBuf| secret.starts_with(&self.root) && *secret != self.root;
        let look = || {
            secrets(self.person_home.as_deref())
                .filter(is_below)
                .collect()
        };
        let secret = self.secret.get_or_init(look);
        secret.iter().any(|secret| path.starts_with(secret))
    }

    /// The absolute path that a model's spelling stands for, links not yet followed.
    pub(super) fn spell_out(&self, text: &str) -> Result<PathBuf, WorkbenchError> {
        if text.is_empty() || text.len() > PATH_BYTES_MAX || text.contains('\0') {
            return Err(WorkbenchError::Failed(format!(
                "{:?} is not a path: give 1 to {PATH_BYTES_MAX} bytes without NUL",
                text.chars().take(80).collect::<String>()
            )));
        }
        match text.strip_prefix('~') {
            Some(inner) if inner.is_empty() || inner.starts_with('/') => {
                let home = self.person_home.as_ref().ok_or_else(|| {
                    WorkbenchError::Failed(
                        "~ means nothing here: HOME is not set; give an absolute path".to_owned(),
                    )
                })?;
                Ok(home.join(inner.trim_start_matches('/')))
            }
            _ => Ok(self.root.join(text)),
        }
    }

    /// Refuses what no step may touch, whoever approved it. Takes resolved paths only.
    pub(super) fn check(&self, path: &Path) -> Result<(), WorkbenchError> {
        if !is_plain(path) {
            return Err(WorkbenchError::Failed(format!(
                "{} is not a resolved path",
                path.display()
            )));
        }
        if path.starts_with(&self.home) {
            return Err(WorkbenchError::Denied(format!(
                "{} belongs to the engine itself, which no tool may read or change",
                path.display()
            )));
        }
        if is_process_memory(path) {
            return Err(WorkbenchError::Denied(format!(
                "{} shows the memory or environment of a process, which no tool may read",
                path.display()
            )));
        }
        Ok(())
    }
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

/// `/proc/PID` holds the engine's keys in `environ` and its memory in `mem`; `kcore` holds everybody's.
fn is_process_memory(path: &Path) -> bool {
    let Ok(inner) = path.strip_prefix("/proc") else {
        return false;
    };
    let Some(Component::Normal(first)) = inner.components().next() else {
        return false;
    };
    let is_number = first.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    is_number
        || [
            OsStr::new("self"),
            OsStr::new("thread-self"),
            OsStr::new("kcore"),
        ]
        .contains(&first)
}

/// Follows every link on the way, the last one too. What does not exist is taken as it is spelt.
pub(super) fn follow(path: &Path) -> Result<PathBuf, WorkbenchError> {
    let mut links = 0;
    let mut pending = parts(path);
    let mut reached = PathBuf::from("/");
    while let Some(part) = pending.pop_front() {
        if part == ".." {
            reached.pop();
            continue;
        }
        let next = reached.join(&part);
        match kind_of(&next)? {
            Kind::Link(target) => {
                links += 1;
                if links > LINKS_MAX || target.as_os_str().len() > PATH_BYTES_MAX {
                    return Err(failed(path, "goes through too many links"));
                }
                if target.is_absolute() {
                    reached = PathBuf::from("/");
                }
                for part in parts(&target).into_iter().rev() {
                    pending.push_front(part);
                }
            }
            Kind::File if !pending.is_empty() => return Err(failed(&next, "is not a folder")),
            Kind::File | Kind::Folder | Kind::Missing => reached = next,
        }
    }
    Ok(reached)
}

enum Kind {
    Folder,
    File,
    Link(PathBuf),
    Missing,
}

fn kind_of(path: &Path) -> Result<Kind, WorkbenchError> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kind::Missing),
        Err(error) => return Err(failed(path, &format!("can't be looked at: {error}"))),
    };
    if found.is_dir() {
        return Ok(Kind::Folder);
    }
    if !found.is_symlink() {
        return Ok(Kind::File);
    }
    match std::fs::read_link(path) {
        Ok(target) => Ok(Kind::Link(target)),
        Err(error) => Err(failed(
            path,
            &format!("is a link that can't be read: {error}"),
        )),
    }
}

/// The names and `..` of a path, in order.
fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

fn failed(path: &Path, what: &str) -> WorkbenchError {
    super::file::failed(path, what)
}
