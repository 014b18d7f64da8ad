//! What lies in a folder, but for hidden files and those that git ignores. No link is followed.

use super::watch::{Kind, SHARED_MAX, Unwatchable, Watch, is_local};
use crate::extract::FILE_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Files of one folder that are read.
const FILES_MAX: usize = 100_000;
/// Bytes of one folder's files that are read.
const BYTES_MAX: u64 = 512 << 20;
/// A file that was written so shortly before it was read may be written again in the same tick of the clock.
const TICK_NANOS: i128 = 20_000_000;
/// Folders that are looked at one by one; where there are more, all is looked at.
const WALKS_MAX: usize = 16;

/// When two are the same, so is what the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: i128,
    changed: i128,
    /// Whether it was written just before it was read.
    pub(super) is_hot: bool,
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

    /// That of what lies there, if anything does.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self::of(&metadata, now()))
    }

    /// Whether a file that has this stamp now still says what it said when it had the other.
    pub(super) fn holds(&self, then: &Self) -> bool {
        let plain = |stamp: &Self| Self {
            is_hot: false,
            ..*stamp
        };
        !then.is_hot && plain(self) == plain(then)
    }
}

/// A folder, and what is left alone in it.
pub(super) struct Place<'a> {
    pub(super) root: &'a Path,
    pub(super) without: &'a [PathBuf],
}

/// A file that lies there.
pub(super) struct Found {
    pub(super) stamp: Stamp,
    /// Whether it has other names too.
    pub(super) is_shared: bool,
}

impl Found {
    fn of(metadata: &Metadata, now: i128) -> Self {
        Self {
            stamp: Stamp::of(metadata, now),
            is_shared: metadata.nlink() > 1,
        }
    }
}

/// All that was found by a look.
#[derive(Default)]
pub(super) struct All {
    pub(super) files: BTreeMap<String, Found>,
    bytes: u64,
    is_too_much: bool,
}

/// What may be other than it was.
pub(super) struct Seen {
    pub(super) there: BTreeMap<String, Found>,
    pub(super) gone: Vec<String>,
}

impl All {
    fn add(&mut self, path: &str, metadata: &Metadata, now: i128) {
        // What is too long is counted and not read.
        if metadata.len() <= FILE_BYTES_MAX as u64 {
            self.bytes += metadata.len();
        }
        self.is_too_much = self.files.len() >= FILES_MAX || self.bytes > BYTES_MAX;
        if !self.is_too_much {
            self.files.insert(path.to_owned(), Found::of(metadata, now));
        }
    }

    /// Why watching these files would not tell of all changes, if it would not.
    pub(super) fn unwatchable(&self, root: &Path) -> Option<Unwatchable> {
        if self.is_too_much {
            return Some(Unwatchable::TooMuch);
        }
        if self.files.values().filter(|file| file.is_shared).count() > SHARED_MAX {
            return Some(Unwatchable::Shared);
        }
        let mut devices = HashSet::new();
        let mut others = self.files.iter();
        let is_elsewhere = others.any(|(path, file)| {
            devices.insert(file.stamp.device) && !is_local(&root.join(path)).unwrap_or(false)
        });
        is_elsewhere.then_some(Unwatchable::Elsewhere)
    }
}

/// All that lies there. What is watched is watched before it is looked at.
pub(super) fn all(place: &Place<'_>, watch: Option<&Watch>) -> All {
    let mut all = All::default();
    walk(place, "", None, watch, &mut all);
    if all.is_too_much {
        tracing::warn!(
            FILES_MAX,
            BYTES_MAX,
            "a folder has more files than are read"
        );
    }
    all
}

/// What lies where something changed; `None` where all has to be looked at.
pub(super) fn at(
    place: &Place<'_>,
    changes: &BTreeMap<String, BTreeMap<String, Kind>>,
    watch: &Watch,
    shared: &BTreeSet<String>,
    known: &HashMap<String, Stamp>,
) -> Option<Seen> {
    let mut folders = HashSet::new();
    for (folder, names) in changes {
        let inner = names.iter().filter(|(_, kind)| **kind == Kind::Folder);
        folders.extend(inner.map(|(name, _)| below(folder, name)));
    }
    let mut all = All::default();
    let mut gone = Vec::new();
    let mut walks = Vec::new();
    let mut single: BTreeSet<String> = shared.clone();
    for (folder, names) in changes {
        // What lies in a folder that is another is found with that.
        if is_inside(folder, &folders) {
            continue;
        }
        let mut unknown = HashSet::new();
        for (name, kind) in names {
            let path = below(folder, name);
            match *kind == Kind::File && known.contains_key(&path) {
                true => single.insert(path),
                false => unknown.insert(name.clone()),
            };
        }
        if !unknown.is_empty() {
            walks.push((folder, unknown));
        }
    }
    if walks.len() > WALKS_MAX {
        return None;
    }
    let now = now();
    for path in single.iter().filter(|path| !is_inside(path, &folders)) {
        match std::fs::symlink_metadata(place.root.join(path)) {
            Ok(metadata) if metadata.is_file() => all.add(path, &metadata, now),
            _ => gone.push(path.clone()),
        }
    }
    for (folder, names) in walks {
        walk(place, folder, Some(names), Some(watch), &mut all);
    }
    if !folders.is_empty() {
        let is_gone = |path: &&String| is_inside(path, &folders) && !all.files.contains_key(*path);
        gone.extend(known.keys().filter(is_gone).cloned());
    }
    let bytes: u64 = known.values().map(|stamp| stamp.bytes).sum();
    let is_much = known.len() + all.files.len() > FILES_MAX || bytes + all.bytes > BYTES_MAX;
    (!is_much).then_some(Seen {
        there: all.files,
        gone,
    })
}

/// Whether a path is one of these folders, or in one.
fn is_inside(path: &str, folders: &HashSet<String>) -> bool {
    if folders.is_empty() {
        return false;
    }
    let ends = path.match_indices('/').map(|(at, _)| at);
    ends.chain([path.len()])
        .any(|end| folders.contains(&path[..end]))
}

/// What lies in a folder, or of that, what has these names.
fn walk(
    place: &Place<'_>,
    folder: &str,
    names: Option<HashSet<String>>,
    watch: Option<&Watch>,
    all: &mut All,
) {
    let now = now();
    let without = place.without.to_vec();
    let watch = watch.cloned();
    let from = match folder {
        "" => place.root.to_owned(),
        folder => place.root.join(folder),
    };
    let walk = ignore::WalkBuilder::new(from)
        .follow_links(false)
        .require_git(false)
        .filter_entry(move |entry| {
            let is_named = |names: &HashSet<String>| {
                let name = entry.file_name().to_str();
                entry.depth() != 1 || name.is_some_and(|name| names.contains(name))
            };
            let is_wanted =
                names.as_ref().is_none_or(is_named) && !without.iter().any(|it| it == entry.path());
            // A folder is told of here before anything in it is read.
            if let Some(watch) = &watch
                && is_wanted
                && entry.file_type().is_some_and(|kind| kind.is_dir())
            {
                watch.enter(entry.path());
            }
            is_wanted
        })
        .build();
    for entry in walk {
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let relative = entry.path().strip_prefix(place.root).ok();
        let (Some(path), Ok(metadata)) = (relative.and_then(Path::to_str), entry.metadata()) else {
            continue;
        };
        all.add(path, &metadata, now);
        if all.is_too_much {
            return;
        }
    }
}

/// A name in a folder, from the root.
pub(super) fn below(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as i128)
}
