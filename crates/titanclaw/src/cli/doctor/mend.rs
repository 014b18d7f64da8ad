//! `doctor --fix`: mends what can be mended without a guess, and says each thing that it did.
//!
//! Nothing is deleted that holds anything: a config that can't be used is set aside, and what only a person can decide
//! stays a line that says how.

use super::Context;
use crate::config::home::Home;
use crate::config::{edit, load};
use crate::daemon::is_served;
use anyhow::Context as _;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Entries of a home that are looked at; a home has a few dozen.
const ENTRIES_MAX: usize = 10_000;

/// Mends a home, and says what was done, one sentence each.
///
/// # Errors
/// When something that is wrong can't be changed; what was mended before stays mended.
pub(super) async fn run(context: &Context) -> anyhow::Result<Vec<String>> {
    let home = &context.home;
    let mut done = Vec::new();
    if !is_own_folder(home.path()) {
        return Ok(done);
    }
    for path in open_to_others(home) {
        close(&path)?;
        done.push(format!("{} was closed to other users", path.display()));
    }
    done.extend(mend_config(home)?);
    let socket = home.socket();
    let is_socket = std::fs::symlink_metadata(&socket).is_ok_and(|it| it.file_type().is_socket());
    if is_socket && !is_served(&socket).await {
        std::fs::remove_file(&socket)
            .with_context(|| format!("{} can't be removed", socket.display()))?;
        done.push(format!(
            "{} was left by an engine that is gone; it was removed",
            socket.display()
        ));
    }
    Ok(done)
}

/// The home's files and folders, and the home itself, that others may enter, read or write.
pub(super) fn open_to_others(home: &Home) -> Vec<PathBuf> {
    let entries = [home.path().to_owned(), home.logs()];
    let inner = entries
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .take(ENTRIES_MAX);
    let mut open: Vec<PathBuf> = std::iter::once(home.path().to_owned())
        .chain(inner)
        .filter(|path| {
            std::fs::symlink_metadata(path)
                .is_ok_and(|found| !found.is_symlink() && found.permissions().mode() & 0o077 != 0)
        })
        .collect();
    open.sort();
    open
}

/// A link, somebody else's folder or no folder at all is not ours to change.
fn is_own_folder(path: &Path) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::getuid().as_raw())
}

fn close(path: &Path) -> anyhow::Result<()> {
    let cause = || format!("{} can't be closed to other users", path.display());
    let mode = std::fs::metadata(path)
        .with_context(cause)?
        .permissions()
        .mode();
    let closed = std::fs::Permissions::from_mode(mode & 0o700);
    std::fs::set_permissions(path, closed).with_context(cause)
}

fn mend_config(home: &Home) -> anyhow::Result<Option<String>> {
    let path = home.config();
    if !path.is_file() || load(&path).is_ok() {
        return Ok(None);
    }
    Ok(edit::restore(&path)?.map(|broken| {
        format!(
            "{} could not be used; the last that could is in its place, and it is {} now",
            path.display(),
            broken.display()
        )
    }))
}
