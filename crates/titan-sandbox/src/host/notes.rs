//! What the engine itself writes where programs may not, while one of them runs.
//!
//! Another session's approved write is no program's, and must not be taken back with what programs did. So each run
//! that guards files keeps notes of what the workbench put there or deleted, in whichever session of this process; a
//! file is the engine's as long as it is exactly what the engine left. What the person writes by hand meanwhile can't
//! be told from what a program writes.

use super::guard::Mark;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Paths that one run keeps notes of. What is written beyond that is treated as the program's.
const NOTES_MAX: usize = 10_000;

const POISONED: &str = "nothing that holds the lock panics";

/// The runs of this process. As long as there are programs.
static RUNS: Mutex<Vec<Weak<Notes>>> = Mutex::new(Vec::new());

/// How the engine left a path; `None` where it deleted what was there.
pub(super) type Left = BTreeMap<PathBuf, Option<Mark>>;

/// The notes of one run.
#[derive(Debug)]
pub(super) struct Notes {
    guarded: Vec<PathBuf>,
    left: Mutex<Left>,
}

impl Notes {
    /// Keeps notes of these paths and of all below them until it is dropped.
    pub(super) fn open(guarded: Vec<PathBuf>) -> Arc<Self> {
        let notes = Arc::new(Self {
            guarded,
            left: Mutex::default(),
        });
        let mut runs = RUNS.lock().expect(POISONED);
        runs.retain(|run| run.strong_count() > 0);
        runs.push(Arc::downgrade(&notes));
        notes
    }

    /// What the engine left. Nothing guarded is written by it while this is held.
    pub(super) fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().expect(POISONED)
    }

    fn concern(&self, path: &Path) -> bool {
        self.guarded.iter().any(|guarded| path.starts_with(guarded))
    }
}

/// Does the engine's own work on a path, and has all runs that guard it know.
pub(super) fn noted<T, E>(path: &Path, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let runs: Vec<Arc<Notes>> = {
        let runs = RUNS.lock().expect(POISONED);
        let alive = runs.iter().filter_map(Weak::upgrade);
        alive.filter(|run| run.concern(path)).collect()
    };
    // Always in the order of the runs, so that two writers don't wait for each other.
    let mut notes: Vec<_> = runs.iter().map(|run| run.left()).collect();
    let done = work()?;
    for left in &mut notes {
        if left.len() < NOTES_MAX {
            left.insert(path.to_owned(), Mark::of(path));
        }
    }
    Ok(done)
}
