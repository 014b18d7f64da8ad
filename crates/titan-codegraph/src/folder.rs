//! A folder on the disk and its graph. Each file's place, size and times are compared with those that it was read with, so
//! that saves by another file's renaming, switched branches and what happened while nobody asked are all seen, and only
//! what differs is read. All that lies there is looked at with every question, or where it is watched, what changed since.

mod kept;
mod look;
#[cfg(test)]
mod tests;
#[cfg(not(target_os = "linux"))]
#[path = "folder/unwatched.rs"]
mod watch;
#[cfg(target_os = "linux")]
mod watch;

use self::look::{Place, Seen, Stamp};
use self::watch::{Changes, Unwatchable, Watch};
use crate::extract::{self, FILE_BYTES_MAX, Skipped};
use crate::facts::FileFacts;
use crate::graph::Graph;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Threads that read and parse.
const THREADS_MAX: usize = 8;
/// Changed files after which what was read is kept again.
const KEEP_AFTER: usize = 64;
/// All of a folder that is watched is looked at after so long nevertheless, when somebody asks.
const LOOK_AFTER: Duration = Duration::from_secs(600);

/// A folder and its graph.
pub struct Folder {
    root: PathBuf,
    /// Where what was read is kept, if anywhere.
    cache: Option<PathBuf>,
    /// What is left alone, wherever it lies.
    without: Vec<PathBuf>,
    graph: Graph,
    stamps: HashMap<String, Stamp>,
    hashes: HashMap<String, [u8; 32]>,
    /// Files that have other names too.
    shared: BTreeSet<String>,
    /// Whether it is to be watched, and what tells of changes if it is.
    is_watched: bool,
    watch: Option<Watch>,
    /// When all was looked at last.
    looked: Option<Instant>,
    is_fresh: bool,
    /// Changes since it was last kept.
    unkept: usize,
}

/// What was read of a file.
struct ReadFile {
    path: String,
    stamp: Stamp,
    hash: [u8; 32],
    /// `None` where the file says what it said before.
    facts: Option<Result<FileFacts, Skipped>>,
}

impl Folder {
    /// A folder of which nothing is read yet; with a folder where what will be read is kept for the next time.
    pub fn new(root: &Path, cache: Option<&Path>) -> Self {
        Self {
            root: root.to_owned(),
            cache: cache.map(|cache| kept::file_of(cache, root)),
            without: Vec::new(),
            graph: Graph::new(),
            stamps: HashMap::new(),
            hashes: HashMap::new(),
            shared: BTreeSet::new(),
            is_watched: false,
            watch: None,
            looked: None,
            is_fresh: true,
            unkept: 0,
        }
    }

    /// Leaves these folders alone, wherever they lie.
    #[must_use]
    pub fn without(mut self, folders: &[PathBuf]) -> Self {
        self.without = folders.to_vec();
        self
    }

    /// Has what changes told by the kernel, so that what did not is not looked at again. Where that can't be, all is
    /// looked at each time.
    #[must_use]
    pub fn watched(mut self) -> Self {
        self.is_watched = true;
        self
    }

    /// The graph of what lies on the disk now, and how many files were read anew.
    ///
    /// # Errors
    /// When the folder can't be read at all. A file that can't be is passed over.
    pub fn refresh(&mut self) -> io::Result<(&Graph, usize)> {
        if std::mem::take(&mut self.is_fresh)
            && let Some(cache) = &self.cache
        {
            for (path, file) in kept::load(cache) {
                self.stamps.insert(path.clone(), file.stamp);
                self.hashes.insert(path.clone(), file.hash);
                self.graph.set(&path, file.facts);
            }
        }
        let Seen { there, gone } = self.look()?;
        for path in &gone {
            self.stamps.remove(path);
            self.hashes.remove(path);
            self.shared.remove(path);
            self.graph.remove(path);
        }
        let mut changed = Vec::new();
        for (path, found) in there {
            match found.is_shared {
                true => self.shared.insert(path.clone()),
                false => self.shared.remove(&path),
            };
            if !self
                .stamps
                .get(&path)
                .is_some_and(|then| found.stamp.holds(then))
            {
                changed.push((path, found.stamp));
            }
        }
        let files = read_all(&self.root, changed, &self.hashes);
        let mut count = gone.len();
        for file in files {
            self.stamps.insert(file.path.clone(), file.stamp);
            if let Some(facts) = file.facts {
                self.hashes.insert(file.path.clone(), file.hash);
                self.graph.set(&file.path, facts);
                count += 1;
            }
        }
        self.unkept += count;
        if self.unkept >= KEEP_AFTER || (count > 0 && count == self.stamps.len()) {
            self.keep();
        }
        Ok((&self.graph, count))
    }

    /// What lies on the disk, as far as it may be other than it was.
    fn look(&mut self) -> io::Result<Seen> {
        if let Some(watch) = self.watch.clone()
            && self.looked.is_some_and(|at| at.elapsed() < LOOK_AFTER)
            && let Changes::Some(changes) = watch.changes()
            && let Some(seen) =
                look::at(&self.place(), &changes, &watch, &self.shared, &self.stamps)
        {
            match watch.failed() {
                Some(why) => self.give_up(why),
                None => return Ok(seen),
            }
        }
        // What is not watched any more is let go of before it is watched anew.
        self.watch = None;
        std::fs::read_dir(&self.root)?;
        let watch = match self.is_watched.then(|| Watch::start(&self.root)) {
            Some(Ok(watch)) => Some(watch),
            Some(Err(why)) => {
                self.give_up(why);
                None
            }
            None => None,
        };
        let found = look::all(&self.place(), watch.as_ref());
        if let Some(watch) = watch {
            match watch.failed().or_else(|| found.unwatchable(&self.root)) {
                Some(why) => self.give_up(why),
                None => self.watch = Some(watch),
            }
        }
        self.looked = Some(Instant::now());
        let is_gone = |path: &&String| !found.files.contains_key(*path);
        Ok(Seen {
            gone: self.stamps.keys().filter(is_gone).cloned().collect(),
            there: found.files,
        })
    }

    fn place(&self) -> Place<'_> {
        Place {
            root: &self.root,
            without: &self.without,
        }
    }

    /// From now on it is looked at with every question.
    fn give_up(&mut self, why: Unwatchable) {
        self.watch = None;
        // A folder that is gone may come again.
        if !why.is_passing() {
            self.is_watched = false;
            let folder = self.root.display();
            tracing::warn!(%folder, %why, "a folder can't be watched and is looked at with every question");
        }
    }

    /// Watches it no more until somebody asks again.
    pub(crate) fn rest(&mut self) {
        self.watch = None;
    }

    /// Whether what changes is told by the kernel.
    pub fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// The graph as it was last refreshed, with answers ready in about so long: see [`Graph::settle`].
    pub fn settle(&mut self, patience: Duration) -> &Graph {
        self.graph.settle(patience);
        &self.graph
    }

    /// Keeps what was read, so that the next process needs not read it.
    pub fn keep(&mut self) {
        let Some(cache) = &self.cache else { return };
        if self.unkept == 0 {
            return;
        }
        let files = self.stamps.iter().filter_map(|(path, stamp)| {
            let facts = match self.graph.facts(path) {
                Some(facts) => Ok(&**facts),
                None => Err(self.graph.skipped(path)?),
            };
            Some((path.as_str(), *stamp, *self.hashes.get(path)?, facts))
        });
        match kept::save(cache, files) {
            Ok(()) => self.unkept = 0,
            Err(error) => tracing::warn!(%error, "what was read of a folder's code can't be kept"),
        }
    }
}

/// Reads files on all cores.
fn read_all(
    root: &Path,
    changed: Vec<(String, Stamp)>,
    hashes: &HashMap<String, [u8; 32]>,
) -> Vec<ReadFile> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS_MAX)
        .min(changed.len().div_ceil(4));
    if threads <= 1 {
        let files = changed.into_iter();
        return files
            .filter_map(|(path, stamp)| read(root, path, stamp, hashes))
            .collect();
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = || {
            let mut files = Vec::new();
            while let Some((path, stamp)) = changed.get(next.fetch_add(1, Ordering::Relaxed)) {
                files.extend(read(root, path.clone(), *stamp, hashes));
            }
            files
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_default())
            .collect()
    })
}

fn read(
    root: &Path,
    path: String,
    stamp: Stamp,
    hashes: &HashMap<String, [u8; 32]>,
) -> Option<ReadFile> {
    if crate::Language::of(&path, "#!/bin/sh").is_none() {
        // What no file of this name can be is not opened.
        return Some(ReadFile {
            facts: Some(Err(Skipped::Unknown)),
            hash: [0; 32],
            path,
            stamp,
        });
    }
    let mut bytes = Vec::new();
    let file = File::open(root.join(&path)).ok()?;
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    let hash = *blake3::hash(&bytes).as_bytes();
    let facts = (hashes.get(&path) != Some(&hash)).then(|| extract::facts(&path, &bytes));
    Some(ReadFile {
        path,
        stamp,
        hash,
        facts,
    })
}
