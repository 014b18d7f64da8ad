//! A folder on the disk and its graph. What lies there is looked at with every question: each file's place, size and
//! times are compared with those that it was read with, so that saves by another file's renaming, switched branches and
//! what happened while nobody asked are all seen, and only what differs is read.

mod kept;

use crate::extract::{self, FILE_BYTES_MAX, Skipped};
use crate::facts::FileFacts;
use crate::graph::Graph;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Files of one folder that are read.
const FILES_MAX: usize = 100_000;
/// Bytes of one folder's files that are read.
const BYTES_MAX: u64 = 512 << 20;
/// Threads that read and parse.
const THREADS_MAX: usize = 8;
/// Changed files after which what was read is kept again.
const KEEP_AFTER: usize = 64;
/// A file that was written so shortly before it was read may be written again in the same tick of the clock.
const TICK_NANOS: i128 = 20_000_000;

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
    is_fresh: bool,
    /// Changes since it was last kept.
    unkept: usize,
}

/// When two are the same, so is what the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: i128,
    changed: i128,
    /// Whether it was written just before it was read.
    is_hot: bool,
}

impl Stamp {
    fn of(metadata: &Metadata, now: i128) -> Self {
        let nanos =
            |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let changed = nanos(metadata.ctime(), metadata.ctime_nsec());
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed,
            is_hot: (now - changed).abs() < TICK_NANOS,
        }
    }

    /// Whether a file that has this stamp now still says what it said when it had the other.
    fn holds(&self, then: &Self) -> bool {
        let plain = |stamp: &Self| Self {
            is_hot: false,
            ..*stamp
        };
        !then.is_hot && plain(self) == plain(then)
    }
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
        let lying = look(&self.root, &self.without)?;
        let gone: Vec<String> = self
            .stamps
            .keys()
            .filter(|path| !lying.contains_key(*path))
            .cloned()
            .collect();
        for path in &gone {
            self.stamps.remove(path);
            self.hashes.remove(path);
            self.graph.remove(path);
        }
        let changed: Vec<(String, Stamp)> = lying
            .into_iter()
            .filter(|(path, stamp)| !self.stamps.get(path).is_some_and(|then| stamp.holds(then)))
            .collect();
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

/// The files that lie in a folder, but for hidden ones and those that git ignores. No link is followed.
fn look(root: &Path, without: &[PathBuf]) -> io::Result<BTreeMap<String, Stamp>> {
    std::fs::read_dir(root)?;
    let now = now();
    let without = without.to_vec();
    let walk = ignore::WalkBuilder::new(root)
        .follow_links(false)
        .require_git(false)
        .filter_entry(move |entry| !without.iter().any(|it| it == entry.path()))
        .build();
    let mut found = BTreeMap::new();
    let mut bytes = 0;
    for entry in walk {
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let relative = entry.path().strip_prefix(root).ok();
        let (Some(path), Ok(metadata)) = (relative.and_then(Path::to_str), entry.metadata()) else {
            continue;
        };
        // What is too long is counted and not read.
        if metadata.len() <= FILE_BYTES_MAX as u64 {
            bytes += metadata.len();
        }
        if found.len() >= FILES_MAX || bytes > BYTES_MAX {
            tracing::warn!(
                FILES_MAX,
                BYTES_MAX,
                "a folder has more files than are read"
            );
            break;
        }
        found.insert(path.to_owned(), Stamp::of(&metadata, now));
    }
    Ok(found)
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as i128)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Place {
        folder: tempfile::TempDir,
        cache: tempfile::TempDir,
    }

    impl Place {
        fn new(files: &[(&str, &str)]) -> Self {
            let place = Self {
                folder: tempfile::tempdir().unwrap(),
                cache: tempfile::tempdir().unwrap(),
            };
            files
                .iter()
                .for_each(|(path, text)| place.write(path, text));
            place
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn open(&self) -> Folder {
            Folder::new(self.folder.path(), Some(self.cache.path()))
        }
    }

    /// The symbols that are there, and how many files were read anew.
    fn check(folder: &mut Folder, expected: &str) {
        let (graph, changed) = folder.refresh().unwrap();
        let names: Vec<String> = graph
            .symbols("f", 100)
            .into_iter()
            .map(|it| it.name)
            .collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(format!("{} ({changed})", names.join(" ")), expected);
    }

    #[test]
    fn only_what_changed_is_read_however_it_was_saved() {
        let place = Place::new(&[("a.py", "def f1(): pass"), ("b.py", "def f2(): pass")]);
        let mut folder = place.open();
        check(&mut folder, "f1 f2 (2)");
        check(&mut folder, "f1 f2 (0)");
        place.write("a.py", "def f3(): pass");
        check(&mut folder, "f2 f3 (1)");
        // As editors save: another file takes the place, of the same size.
        place.write(".a.py.swp", "def f4(): pass");
        let at = |path: &str| place.folder.path().join(path);
        fs::rename(at(".a.py.swp"), at("a.py")).unwrap();
        check(&mut folder, "f2 f4 (1)");
        // The same size within the same tick of the clock.
        for n in 5..9 {
            place.write("a.py", &format!("def f{n}(): pass"));
            check(&mut folder, &format!("f2 f{n} (1)"));
        }
        // As branches are switched: some go, some come, some are others.
        fs::remove_file(at("b.py")).unwrap();
        place.write("c/d.py", "def f9(): pass");
        place.write("a.py", "def f0(): pass");
        check(&mut folder, "f0 f9 (3)");
    }

    #[test]
    fn what_is_hidden_ignored_or_elsewhere_is_not_read() {
        let place = Place::new(&[
            ("a.py", "def f1(): pass"),
            (".hidden.py", "def f2(): pass"),
            ("made/b.py", "def f3(): pass"),
            (".gitignore", "made/\n"),
        ]);
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("c.py"), "def f4(): pass").unwrap();
        let link = |to: &Path, name: &str| {
            std::os::unix::fs::symlink(to, place.folder.path().join(name)).unwrap();
        };
        link(outside.path(), "elsewhere");
        link(&outside.path().join("c.py"), "d.py");
        place.write("kept_out/e.py", "def f5(): pass");
        let mut folder = place
            .open()
            .without(&[place.folder.path().join("kept_out")]);
        check(&mut folder, "f1 (1)");
    }

    #[test]
    fn a_second_start_reads_what_was_kept_and_a_damaged_one_reads_the_files() {
        let place = Place::new(&[("a.py", "def f1(): pass"), ("b.py", "def f2(): f1()")]);
        // What was written in this tick would be read again.
        let long_ago = SystemTime::now() - std::time::Duration::from_secs(60);
        let mut first = place.open();
        check(&mut first, "f1 f2 (2)");
        first
            .stamps
            .values_mut()
            .for_each(|stamp| stamp.is_hot = false);
        first.unkept = 1;
        first.keep();
        let edges = first.graph.edges();
        let mut second = place.open();
        check(&mut second, "f1 f2 (0)");
        assert_eq!(second.graph.edges(), edges);
        // Of another time, but saying the same: it is read, and not parsed.
        let file = File::options()
            .append(true)
            .open(place.folder.path().join("a.py"))
            .unwrap();
        file.set_modified(long_ago).unwrap();
        check(&mut place.open(), "f1 f2 (0)");
        let kept = fs::read_dir(place.cache.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let whole = fs::read(&kept).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        for broken in [&damaged[..], &whole[..whole.len() - 1], b"", b"other"] {
            fs::write(&kept, broken).unwrap();
            check(&mut place.open(), "f1 f2 (2)");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let mut folder = Folder::new(Path::new("/nowhere/at/all"), None);
        assert!(folder.refresh().is_err());
    }
}
