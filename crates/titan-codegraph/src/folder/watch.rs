//! What changed below a folder, as the kernel tells it.
//!
//! The kernel notes a change before the call that made it returns, so whoever reads all that is noted knows of all that was
//! done before. Nothing runs meanwhile: what is noted lies there until somebody asks, and when it was too much to be noted,
//! that is said. What is written through a mapping of memory is noted when the file is let go of.

use super::look::{Stamp, below};
use ignore::gitignore::gitconfig_excludes_path;
use parking_lot::Mutex;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders of one folder that are watched.
const FOLDERS_MAX: usize = 32_768;
/// Notes that are read at once; where there are more, all is looked at.
const NOTES_MAX: usize = 65_536;
/// Files that have several names: by one that lies elsewhere they are changed without a note.
pub(super) const SHARED_MAX: usize = 1_000;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Files that say what is left alone, wherever they lie.
const RULES: &[&str] = &[".gitignore", ".ignore", ".git"];
/// Kinds of file systems that are this machine's alone, so that all that changes them is noted: ext, XFS, Btrfs, tmpfs,
/// F2FS, overlays, ZFS, bcachefs, JFS, FAT, exFAT and NTFS.
const LOCAL: &[u64] = &[
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0xf2f5_2010,
    0x794c_7630,
    0x2fc1_2fc1,
    0xca45_1a4e,
    0x3153_464a,
    0x4d44,
    0x2011_bab0,
    0x7366_746e,
];

/// Why a folder can't be watched.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Unwatchable {
    #[error("this user may watch no more folders; fs.inotify.max_user_watches allows more")]
    Limit,
    #[error("it has more than {FOLDERS_MAX} folders")]
    TooMany,
    #[error("a folder of it lies at two places")]
    Twice,
    #[error("it has more files than are read")]
    TooMuch,
    #[error("more than {SHARED_MAX} of its files have other names too")]
    Shared,
    #[error("other machines or programs may change it without this one noting it")]
    Elsewhere,
    #[error("the kernel watches nothing for this process: {0}")]
    Refused(Errno),
}

impl Unwatchable {
    /// Whether it may be otherwise the next time.
    pub(super) fn is_passing(self) -> bool {
        matches!(self, Self::Refused(Errno::NOENT))
    }
}

/// What changed.
#[derive(Debug, PartialEq)]
pub(super) enum Changes {
    /// It is not known; all has to be looked at.
    All,
    /// What lies in these folders by these names, and all below.
    Some(BTreeMap<String, BTreeMap<String, Kind>>),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    File,
    Folder,
}

/// A folder that is watched until this is dropped. Clones are the same.
#[derive(Clone)]
pub(super) struct Watch {
    root: PathBuf,
    noted: Arc<Mutex<Noted>>,
}

struct Noted {
    inotify: OwnedFd,
    /// The folders that are watched, from the root, by the kernel's numbers, and the other way round.
    folders: HashMap<i32, String>,
    numbers: BTreeMap<String, i32>,
    root: i32,
    identity: Option<(u64, u64)>,
    /// What says which files are left alone, where it lies outside of what is watched.
    rules: BTreeMap<PathBuf, Option<Stamp>>,
    failed: Option<Unwatchable>,
}

impl Watch {
    /// Watches the root alone; [`enter`](Self::enter) is for what lies below.
    ///
    /// # Errors
    /// When it can't be watched.
    pub(super) fn start(root: &Path) -> Result<Self, Unwatchable> {
        if !is_local(root).map_err(Unwatchable::Refused)? {
            return Err(Unwatchable::Elsewhere);
        }
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).map_err(Unwatchable::Refused)?;
        let number = inotify::add_watch(&inotify, root, flags_of()).map_err(unwatchable)?;
        let mut rules: BTreeMap<PathBuf, Option<Stamp>> = BTreeMap::new();
        for folder in root.ancestors().skip(1) {
            for rule in RULES.iter().filter(|rule| **rule != ".git") {
                rules.insert(folder.join(rule), None);
            }
            rules.insert(folder.join(".git/info/exclude"), None);
        }
        rules.insert(root.join(".git/info/exclude"), None);
        rules.extend(gitconfig_excludes_path().map(|path| (path, None)));
        for (path, stamp) in &mut rules {
            *stamp = Stamp::at(path);
        }
        let noted = Noted {
            inotify,
            folders: HashMap::from([(number, String::new())]),
            numbers: BTreeMap::from([(String::new(), number)]),
            root: number,
            identity: identity_of(root),
            rules,
            failed: None,
        };
        Ok(Self {
            root: root.to_owned(),
            noted: Arc::new(Mutex::new(noted)),
        })
    }

    /// Watches a folder too, before what lies in it is looked at.
    pub(super) fn enter(&self, folder: &Path) {
        let relative = folder.strip_prefix(&self.root).ok().and_then(Path::to_str);
        // What no name is told of is not read either.
        let Some(relative) = relative else { return };
        self.noted.lock().enter(folder, relative);
    }

    /// Why not all that was entered is watched, if it is not.
    pub(super) fn failed(&self) -> Option<Unwatchable> {
        self.noted.lock().failed
    }

    /// What changed since this was asked last. Folders that are told are not watched any more, until they are entered again.
    pub(super) fn changes(&self) -> Changes {
        let mut noted = self.noted.lock();
        let is_other = |(path, then): (&PathBuf, &Option<Stamp>)| match (Stamp::at(path), then) {
            (Some(now), Some(then)) => !now.holds(then),
            (now, then) => now.is_some() != then.is_some(),
        };
        if identity_of(&self.root) != noted.identity
            || gitconfig_excludes_path().is_some_and(|path| !noted.rules.contains_key(&path))
            || noted.rules.iter().any(is_other)
        {
            return Changes::All;
        }
        let Some(found) = noted.read() else {
            return Changes::All;
        };
        for (folder, names) in &found {
            for (name, kind) in names {
                if *kind == Kind::Folder {
                    noted.leave(&below(folder, name));
                }
            }
        }
        Changes::Some(found)
    }
}

impl Noted {
    fn enter(&mut self, folder: &Path, relative: &str) {
        if self.numbers.len() >= FOLDERS_MAX {
            self.failed = Some(Unwatchable::TooMany);
        }
        if self.failed.is_some() {
            return;
        }
        let flags = flags_of() | WatchFlags::DONT_FOLLOW;
        match inotify::add_watch(&self.inotify, folder, flags) {
            Ok(number) => {
                let known = self.folders.insert(number, relative.to_owned());
                if known.is_some_and(|known| known != relative) {
                    self.failed = Some(Unwatchable::Twice);
                }
                self.numbers.insert(relative.to_owned(), number);
            }
            Err(error @ (Errno::NOSPC | Errno::NOMEM)) => self.failed = Some(unwatchable(error)),
            // It is gone again, or can't be looked into either.
            Err(_) => {}
        }
        let exclude = folder.join(".git/info/exclude");
        if let Some(stamp) = Stamp::at(&exclude) {
            self.rules.insert(exclude, Some(stamp));
        }
    }

    /// Watches a folder and all below no more.
    fn leave(&mut self, folder: &str) {
        let inside = format!("{folder}/");
        let from_there = self.numbers.range(folder.to_owned()..);
        let left: Vec<String> = from_there
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(folder))
            .filter(|path| *path == folder || path.starts_with(&inside))
            .cloned()
            .collect();
        for path in left {
            if let Some(number) = self.numbers.remove(&path) {
                self.folders.remove(&number);
                // It is not watched any more where the folder itself is gone.
                let _ = inotify::remove_watch(&self.inotify, number);
            }
        }
    }

    /// All that is noted; `None` where that is not all that happened.
    fn read(&mut self) -> Option<BTreeMap<String, BTreeMap<String, Kind>>> {
        let mut found: BTreeMap<String, BTreeMap<String, Kind>> = BTreeMap::new();
        let mut gone = HashSet::new();
        let mut buffer = vec![MaybeUninit::uninit(); READ_BYTES];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        for _ in 0..NOTES_MAX {
            let note = match reader.next() {
                Ok(note) => note,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    for number in gone {
                        if let Some(path) = self.folders.remove(&number) {
                            self.numbers.remove(&path);
                        }
                    }
                    return Some(found);
                }
                Err(_) => return None,
            };
            let events = note.events();
            if events.intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::UNMOUNT) {
                return None;
            }
            let is_of_itself = ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
            if note.wd() == self.root && events.intersects(is_of_itself) {
                return None;
            }
            if events.contains(ReadFlags::IGNORED) {
                gone.insert(note.wd());
                continue;
            }
            let Some(folder) = self.folders.get(&note.wd()) else {
                continue;
            };
            let Some(Ok(name)) = note.file_name().map(|name| name.to_str()) else {
                continue;
            };
            if RULES.contains(&name) {
                return None;
            }
            let kind = match events.contains(ReadFlags::ISDIR) {
                true => Kind::Folder,
                false => Kind::File,
            };
            let names = found.entry(folder.clone()).or_default();
            let known = names.entry(name.to_owned()).or_insert(kind);
            *known = (*known).max(kind);
        }
        None
    }
}

fn flags_of() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MODIFY
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ATTRIB
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
        | WatchFlags::EXCL_UNLINK
}

fn unwatchable(error: Errno) -> Unwatchable {
    match error {
        Errno::NOSPC => Unwatchable::Limit,
        error => Unwatchable::Refused(error),
    }
}

/// Whether nobody else changes what lies there.
pub(super) fn is_local(path: &Path) -> Result<bool, Errno> {
    let found = rustix::fs::statfs(path)?;
    Ok(LOCAL.contains(&(found.f_type as u64)))
}

/// A folder is the same for as long as it has its number, whatever lies in it.
fn identity_of(root: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(root).ok()?;
    Some((found.dev(), found.ino()))
}
