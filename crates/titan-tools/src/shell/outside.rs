//! Where toolchains and repositories keep what they write outside of a workspace: looked up in a workbench.
//!
//! A folder's path ends with `/`: a place to work makes such a folder if it isn't there, so that nothing around it has
//! to be opened.

use super::toolchains::{Cache, configured_target};
use std::path::{Path, PathBuf};
use titan_protocol::{Effect, EntryKind, Workbench};

/// The most that is read of a settings file, in bytes.
const SETTINGS_BYTES_MAX: u64 = 64 * 1024;

/// Everything below a folder is written.
pub(super) fn fills(folder: &Path, workbench: &dyn Workbench) -> Effect {
    Effect::Write {
        in_workspace: folder.starts_with(workbench.root()),
        path: folder.join(""),
    }
}

/// The folder of a toolchain's cache.
pub(super) async fn cache(cache: &Cache, workbench: &dyn Workbench) -> Option<PathBuf> {
    let moved = cache.moved_by.and_then(|(variable, inner)| {
        let folder = workbench.variable(variable)?;
        Some(PathBuf::from(folder).join(inner).display().to_string())
    });
    let spelt = moved.unwrap_or_else(|| cache.usual.to_owned());
    workbench.resolve(&spelt).await.ok().map(|found| found.path)
}

/// Where `cargo`, run in this folder, puts what it builds, if a variable or its settings say so.
pub(super) async fn cargo_target(folder: &Path, workbench: &dyn Workbench) -> Option<PathBuf> {
    if let Some(named) = workbench.variable("CARGO_TARGET_DIR") {
        return Some(resolve(&folder.join(named), workbench).await);
    }
    let mut homes: Vec<PathBuf> = folder
        .ancestors()
        .map(|above| above.join(".cargo"))
        .collect();
    match workbench.variable("CARGO_HOME") {
        Some(home) => homes.push(PathBuf::from(home)),
        None => homes.extend(
            workbench
                .resolve("~/.cargo")
                .await
                .ok()
                .map(|found| found.path),
        ),
    }
    for home in homes {
        for name in ["config.toml", "config"] {
            let settings = text(&home.join(name), workbench).await;
            if let (Some(named), Some(beside)) = (configured_target(&settings), home.parent()) {
                return Some(resolve(&beside.join(named), workbench).await);
            }
        }
    }
    None
}

/// Where the repository that a folder is in keeps its files. Worktrees share it.
pub(super) async fn repository(folder: &Path, workbench: &dyn Workbench) -> Option<PathBuf> {
    for above in folder.ancestors() {
        let git = above.join(".git");
        let Ok(Some(found)) = workbench.metadata(&git).await else {
            continue;
        };
        return match found.kind {
            EntryKind::Folder => Some(git),
            EntryKind::File => linked(above, &git, workbench).await,
            EntryKind::Other => None,
        };
    }
    None
}

/// The folder that a worktree's `.git` file leads to: the one that all worktrees share.
async fn linked(folder: &Path, git: &Path, workbench: &dyn Workbench) -> Option<PathBuf> {
    let line = text(git, workbench).await;
    let named = line.trim().strip_prefix("gitdir:")?.trim().to_owned();
    let own = resolve(&folder.join(named), workbench).await;
    let common = text(&own.join("commondir"), workbench).await;
    Some(match common.trim() {
        "" => own,
        common => resolve(&own.join(common), workbench).await,
    })
}

/// A path with its links followed; as it is where they can't be.
async fn resolve(path: &Path, workbench: &dyn Workbench) -> PathBuf {
    let found = workbench.resolve(&path.to_string_lossy()).await;
    found.map_or_else(|_| path.to_owned(), |found| found.path)
}

/// A file's text; nothing where there is none.
async fn text(path: &Path, workbench: &dyn Workbench) -> String {
    let Ok(found) = workbench.resolve(&path.to_string_lossy()).await else {
        return String::new();
    };
    let read = workbench.read(&found.path, 0, SETTINGS_BYTES_MAX).await;
    read.map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}
