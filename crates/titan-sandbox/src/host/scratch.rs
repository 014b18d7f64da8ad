//! Temporary folders of the engine's own, and the end of those that a killed engine left behind.
//!
//! Each is locked for as long as its engine lives, so what is not locked belongs to nobody any more.

use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// What the names of all these folders begin with.
const PREFIX: &str = "titanclaw-held-";

/// Younger folders are left alone: they may not be locked yet.
const AGE_MIN: Duration = Duration::from_secs(60);

/// Folders that one sweep removes at most.
const SWEPT_MAX: usize = 256;

/// A temporary folder, removed when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one in the system's place for temporary files.
    ///
    /// # Errors
    /// When it can't be made or locked.
    pub(super) fn new() -> io::Result<Self> {
        sweep_once();
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(place()?)?;
        let lock = File::open(folder.path())?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn place() -> io::Result<PathBuf> {
    std::env::temp_dir().canonicalize()
}

/// Once in a process, aside from everything else: a large folder takes its time.
fn sweep_once() {
    static BEGUN: std::sync::Once = std::sync::Once::new();
    BEGUN.call_once(|| {
        let sweeping = || place().map(|place| sweep(&place, AGE_MIN));
        // Without a thread to spare, the next engine does it.
        let _ = std::thread::Builder::new()
            .name("titan-sweep".to_owned())
            .spawn(sweeping);
    });
}

/// Removes folders of this account's that no engine holds. Gives how many.
fn sweep(place: &Path, age_min: Duration) -> usize {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    ours.map(|entry| entry.path())
        .filter(|path| is_left(path, age_min))
        .take(SWEPT_MAX)
        .filter(|path| match fs::remove_dir_all(path) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a folder that an earlier run left can't be removed");
                false
            }
        })
        .count()
}

fn is_left(path: &Path, age_min: Duration) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let Ok(found) = path.symlink_metadata() else {
        return false;
    };
    let age = found
        .modified()
        .ok()
        .and_then(|then| SystemTime::now().duration_since(then).ok());
    let is_old = age.is_some_and(|age| age >= age_min);
    if !found.is_dir() || found.uid() != own || !is_old {
        return false;
    }
    // The lock goes with its engine, however that ended; this one goes at the end of the question.
    File::open(path)
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_engine_left_is_swept_and_what_lives_stays() {
        let place = TempDir::new().unwrap();
        let at = |name: &str| place.path().join(name);
        let left = format!("{PREFIX}left");
        let held = format!("{PREFIX}held");
        for name in [left.as_str(), held.as_str(), "titanclaw-else"] {
            fs::create_dir_all(at(name).join("inner")).unwrap();
        }
        std::os::unix::fs::symlink(at("titanclaw-else"), at(&format!("{PREFIX}link"))).unwrap();
        let lock = File::open(at(&held)).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(sweep(place.path(), AGE_MIN), 0, "all are young");
        assert_eq!(sweep(place.path(), Duration::ZERO), 1);
        assert!(!at(&left).exists() && at(&held).join("inner").exists());
        assert!(at("titanclaw-else/inner").exists());
        drop(lock);
        assert_eq!(sweep(place.path(), Duration::ZERO), 1);
    }
}
