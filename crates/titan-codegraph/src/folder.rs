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

use self::kept::Told;
use self::look::{Place, Seen, Stamp};
use self::watch::{Changes, Unwatchable, Watch};
use crate::described::{Described, is_worth_describing};
use crate::extract::{self, FILE_BYTES_MAX, Skipped};
use crate::facts::FileFacts;
use crate::graph::Graph;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Threads that read and parse.
const THREADS_MAX: usize = 8;
/// Changed files after which what was read is kept again.
const KEEP_AFTER: usize = 64;
/// Files that were saved and wait to be described.
const SAVED_MAX: usize = 256;
/// Descriptions that are kept beyond one for each file: of what was on other branches, and may come back.
const TOLD_SPARE: usize = 1_024;
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
    /// What a model said of files.
    told: Told,
    /// Files that were saved since all was looked at first, the last one last.
    saved: Vec<String>,
    /// Changes since it was last kept.
    unkept: usize,
}

/// A file that a model is to describe.
pub(crate) struct Undescribed {
    pub(crate) path: String,
    pub(crate) hash: [u8; 32],
    pub(crate) facts: Arc<FileFacts>,
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
            told: Told::new(),
            saved: Vec::new(),
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
            self.told = kept::load_told(cache);
            for (path, file) in kept::load(cache) {
                self.stamps.insert(path.clone(), file.stamp);
                self.set(path, file.hash, file.facts);
            }
        }
        let is_first = self.looked.is_none();
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
                if !is_first {
                    self.saved.retain(|saved| *saved != file.path);
                    self.saved.push(file.path.clone());
                }
                self.set(file.path, file.hash, facts);
                count += 1;
            }
        }
        let waiting = self.saved.len().saturating_sub(SAVED_MAX);
        self.saved.drain(..waiting);
        self.unkept += count;
        if self.unkept >= KEEP_AFTER || (count > 0 && count == self.stamps.len()) {
            self.keep();
        }
        Ok((&self.graph, count))
    }

    fn set(&mut self, path: String, hash: [u8; 32], facts: Result<FileFacts, Skipped>) {
        self.graph.set(&path, facts);
        self.graph.describe(&path, self.told.get(&hash).cloned());
        self.hashes.insert(path, hash);
    }

    /// The file that a model is to describe next, with the hash of what it says: of those that were saved the last one, or
    /// else of those that say nothing of themselves the one that defines most.
    pub(crate) fn undescribed(&self) -> Option<Undescribed> {
        let waits = |path: &String| {
            let hash = *self.hashes.get(path)?;
            let facts = self.graph.facts(path)?;
            let waits = !self.told.contains_key(&hash) && is_worth_describing(facts);
            waits.then(|| Undescribed {
                path: path.clone(),
                hash,
                facts: Arc::clone(facts),
            })
        };
        let mut saved = self.saved.iter().rev().filter_map(waits);
        saved.next().or_else(|| {
            let silent = self.hashes.keys().filter_map(waits);
            silent
                .filter(|file| file.facts.about.summary.is_empty())
                .max_by_key(|file| (file.facts.symbols.len(), Reverse(file.path.clone())))
        })
    }

    /// What a file says, if that has this hash.
    pub(crate) fn text(&self, path: &str, hash: [u8; 32]) -> Option<String> {
        let bytes = bytes(&self.root, path)?;
        let is_same = *blake3::hash(&bytes).as_bytes() == hash;
        is_same.then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Takes what a model said of a file when it had this hash, and keeps it. Of a file that says something else now it is
    /// kept until the file says so again.
    pub(crate) fn describe(&mut self, path: &str, hash: [u8; 32], described: Described) {
        if self.hashes.get(path) == Some(&hash) {
            self.graph.describe(path, Some(described.clone()));
        }
        self.told.insert(hash, described);
        if self.told.len() > self.hashes.len() + TOLD_SPARE {
            let used: HashSet<[u8; 32]> = self.hashes.values().copied().collect();
            self.told.retain(|hash, _| used.contains(hash));
        }
        let Some(cache) = &self.cache else { return };
        if let Err(error) = kept::save_told(cache, &self.told) {
            tracing::warn!(%error, "what a model said of a folder's files can't be kept");
        }
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
    let bytes = bytes(root, &path)?;
    let hash = *blake3::hash(&bytes).as_bytes();
    let facts = (hashes.get(&path) != Some(&hash)).then(|| extract::facts(&path, &bytes));
    Some(ReadFile {
        path,
        stamp,
        hash,
        facts,
    })
}

/// What lies there, and at most one byte more than is read of a file.
fn bytes(root: &Path, path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(root.join(path)).ok()?;
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}
