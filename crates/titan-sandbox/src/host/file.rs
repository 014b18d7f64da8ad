//! Files by resolved path, without following a single link on the way.
//!
//! Every folder of the path is opened relative to the one before it and refused if it is a link. So the file that is
//! touched is the one whose path was judged, even if somebody swaps a folder for a link in between.

use bytes::Bytes;
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use titan_protocol::{Captured, EntryKind, Metadata, WorkbenchError};

/// The first read asks for no more memory than this, whatever its bound.
const READ_AHEAD_BYTES: u64 = 64 * 1024;

/// Names tried for the new content before a write gives up.
const TEMPORARY_NAMES_MAX: u32 = 16;

#[cfg(target_os = "linux")]
const STEP: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const STEP: OFlags = OFlags::RDONLY;

pub(super) fn failed(path: &Path, what: &str) -> WorkbenchError {
    WorkbenchError::Failed(format!("{} {what}", path.display()))
}

pub(super) fn not_found(path: &Path) -> WorkbenchError {
    WorkbenchError::NotFound {
        path: path.display().to_string(),
    }
}

pub(super) fn kind(is_file: bool, is_folder: bool) -> EntryKind {
    match (is_file, is_folder) {
        (true, _) => EntryKind::File,
        (_, true) => EntryKind::Folder,
        _ => EntryKind::Other,
    }
}

/// What the system said, as words that name the path and the way out.
fn explain(path: &Path, errno: Errno) -> WorkbenchError {
    match errno {
        Errno::NOENT => not_found(path),
        Errno::ACCESS | Errno::PERM => WorkbenchError::Denied(format!(
            "the system does not let this account touch {}",
            path.display()
        )),
        Errno::LOOP | Errno::NOTDIR => failed(
            path,
            "goes through a link or a file where a folder was; resolve it again",
        ),
        Errno::ISDIR => failed(path, "is a folder"),
        Errno::NOSPC | Errno::DQUOT => failed(path, "does not fit: the disk is full"),
        Errno::ROFS => failed(path, "is on a read-only file system"),
        other => failed(path, &format!("failed: {other}")),
    }
}

/// A file's place: its folder, held open, and its name there.
struct Place<'a> {
    folder: OwnedFd,
    name: &'a OsStr,
}

#[derive(Clone, Copy, PartialEq)]
enum Missing {
    Fail,
    Create,
}

fn place(path: &Path, missing: Missing) -> Result<Place<'_>, Errno> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::ISDIR);
    };
    let flags = STEP | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = rustix::fs::open("/", flags, Mode::empty())?;
    for part in parent.components() {
        let Component::Normal(part) = part else {
            continue;
        };
        let opened = rustix::fs::openat(&folder, part, flags, Mode::empty());
        folder = match opened {
            Err(Errno::NOENT) if missing == Missing::Create => {
                make_folder(&folder, part)?;
                rustix::fs::openat(&folder, part, flags, Mode::empty())?
            }
            opened => opened?,
        };
    }
    Ok(Place { folder, name })
}

fn make_folder(folder: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

impl Place<'_> {
    fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::statat(&self.folder, self.name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

fn stat_kind(stat: &Stat) -> EntryKind {
    let kind_of = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    kind(kind_of.is_file(), kind_of.is_dir())
}

pub(super) fn metadata(path: &Path) -> Result<Option<Metadata>, WorkbenchError> {
    let found = match path.parent() {
        None => rustix::fs::stat(path),
        Some(_) => place(path, Missing::Fail).and_then(|place| place.stat()),
    };
    match found {
        Ok(stat) => Ok(Some(Metadata {
            kind: stat_kind(&stat),
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
        })),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(explain(path, errno)),
    }
}

pub(super) fn read(path: &Path, offset: u64, bytes_max: u64) -> Result<Bytes, WorkbenchError> {
    let mut file = open_to_read(path)?;
    let mut read = || -> std::io::Result<Vec<u8>> {
        let ahead = usize::try_from(bytes_max.min(READ_AHEAD_BYTES)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(ahead);
        file.seek(SeekFrom::Start(offset))?;
        (&file).take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read()
        .map(Bytes::from)
        .map_err(|error| failed(path, &format!("can't be read: {error}")))
}

fn open_to_read(path: &Path) -> Result<File, WorkbenchError> {
    // Without NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = place(path, Missing::Fail)
        .and_then(|place| rustix::fs::openat(&place.folder, place.name, flags, Mode::empty()))
        .and_then(|file| rustix::fs::fstat(&file).map(|stat| (file, stat)));
    let (file, stat) = opened.map_err(|errno| explain(path, errno))?;
    match stat_kind(&stat) {
        EntryKind::File => Ok(File::from(file)),
        EntryKind::Folder => Err(explain(path, Errno::ISDIR)),
        EntryKind::Other => Err(failed(path, "is a device, pipe or socket, not a file")),
    }
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), WorkbenchError> {
    let place = place(path, Missing::Create).map_err(|errno| explain(path, errno))?;
    let old = replaceable(path, &place)?;
    let mut temporary = Temporary::create(&place).map_err(|errno| explain(path, errno))?;
    if let Some(old) = old {
        temporary
            .take_rights_of(&old)
            .map_err(|errno| explain(path, errno))?;
    }
    temporary
        .fill(bytes)
        .map_err(|error| match error.raw_os_error() {
            Some(code) => explain(path, Errno::from_raw_os_error(code)),
            None => failed(path, &format!("can't be written: {error}")),
        })?;
    temporary
        .put_in_place(place.name)
        .map_err(|errno| explain(path, errno))
}

/// The file that a write would replace; an error if what is there is no file or must not be changed.
fn replaceable(path: &Path, place: &Place<'_>) -> Result<Option<Stat>, WorkbenchError> {
    let old = match place.stat() {
        Ok(old) => old,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(explain(path, errno)),
    };
    match stat_kind(&old) {
        EntryKind::File => {}
        EntryKind::Folder => return Err(explain(path, Errno::ISDIR)),
        EntryKind::Other => return Err(failed(path, "is a link or device, not a file")),
    }
    let access = rustix::fs::Access::WRITE_OK;
    match rustix::fs::accessat(&place.folder, place.name, access, AtFlags::empty()) {
        Ok(()) => Ok(Some(old)),
        Err(errno) => Err(explain(path, errno)),
    }
}

/// New content beside the file that it will replace. Removed when dropped before it is in place.
struct Temporary<'a> {
    folder: &'a OwnedFd,
    name: String,
    file: File,
    is_in_place: bool,
}

impl<'a> Temporary<'a> {
    fn create(place: &'a Place<'_>) -> Result<Self, Errno> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        for _ in 0..TEMPORARY_NAMES_MAX {
            let n = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!(".titan-{}-{n}.tmp", std::process::id());
            match rustix::fs::openat(&place.folder, &name, flags, mode) {
                Ok(file) => {
                    return Ok(Self {
                        folder: &place.folder,
                        name,
                        file: File::from(file),
                        is_in_place: false,
                    });
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EXIST)
    }

    /// Comes before the content, which must not be readable for a moment by those who could not read the old.
    fn take_rights_of(&mut self, old: &Stat) -> Result<(), Errno> {
        let own = rustix::fs::fstat(&self.file)?;
        if (own.st_uid, own.st_gid) != (old.st_uid, old.st_gid) {
            let owner = rustix::fs::Uid::from_raw(old.st_uid);
            let group = rustix::fs::Gid::from_raw(old.st_gid);
            match rustix::fs::fchown(&self.file, Some(owner), Some(group)) {
                // Who may write a file but not give one away leaves it as their own, as every editor does.
                Ok(()) | Err(Errno::PERM) => {}
                Err(errno) => return Err(errno),
            }
        }
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(old.st_mode & 0o7777))
    }

    fn fill(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    fn put_in_place(mut self, name: &OsStr) -> Result<(), Errno> {
        rustix::fs::renameat(self.folder, &self.name, self.folder, name)?;
        self.is_in_place = true;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.is_in_place {
            return;
        }
        if let Err(error) = rustix::fs::unlinkat(self.folder, &self.name, AtFlags::empty()) {
            tracing::warn!(name = %self.name, %error, "a temporary file stays behind");
        }
    }
}

pub(super) fn remove(path: &Path) -> Result<(), WorkbenchError> {
    let place = place(path, Missing::Fail).map_err(|errno| explain(path, errno))?;
    // Some systems let root unlink folders or answer EPERM for them, so ask first.
    let found = place.stat().map_err(|errno| explain(path, errno))?;
    if stat_kind(&found) == EntryKind::Folder {
        return Err(explain(path, Errno::ISDIR));
    }
    rustix::fs::unlinkat(&place.folder, place.name, AtFlags::empty())
        .map_err(|errno| explain(path, errno))
}

/// What is there, for [`restore`].
pub(super) fn capture(path: &Path, bytes_max: u64) -> Result<Captured, WorkbenchError> {
    let place = match place(path, Missing::Fail) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Captured::Absent),
        place => place.map_err(|errno| explain(path, errno))?,
    };
    let stat = match place.stat() {
        Err(Errno::NOENT) => return Ok(Captured::Absent),
        stat => stat.map_err(|errno| explain(path, errno))?,
    };
    let bytes = u64::try_from(stat.st_size).unwrap_or(0);
    let unheld = |why: &str| {
        let why = why.to_owned();
        Captured::Unheld { bytes, why }
    };
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    if kind.is_symlink() {
        let target = rustix::fs::readlinkat(&place.folder, place.name, Vec::new())
            .map_err(|errno| explain(path, errno))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        return Ok(Captured::Link { target });
    }
    if !kind.is_file() {
        return Ok(unheld(match kind.is_dir() {
            true => "a folder",
            false => "a device, pipe or socket",
        }));
    }
    let content = read(path, 0, bytes_max.saturating_add(1))?;
    if content.len() as u64 > bytes_max {
        return Ok(unheld(&format!("larger than {} MiB", bytes_max >> 20)));
    }
    Ok(Captured::File {
        content,
        mode: Some(stat.st_mode & 0o7777),
    })
}

/// Makes a path what it was, whatever file or link is there now.
pub(super) fn restore(path: &Path, state: &Captured) -> Result<(), WorkbenchError> {
    let told = |errno| explain(path, errno);
    match state {
        Captured::Absent => match place(path, Missing::Fail) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(told(errno)),
            Ok(_) => match remove(path) {
                Err(WorkbenchError::NotFound { .. }) => Ok(()),
                removed => removed,
            },
        },
        Captured::File { content, mode } => {
            let place = place(path, Missing::Create).map_err(told)?;
            make_room(&place).map_err(told)?;
            let mut temporary = Temporary::create(&place).map_err(told)?;
            if let Some(mode) = mode {
                rustix::fs::fchmod(&temporary.file, Mode::from_raw_mode(*mode)).map_err(told)?;
            }
            temporary
                .fill(content)
                .map_err(|error| match error.raw_os_error() {
                    Some(code) => told(Errno::from_raw_os_error(code)),
                    None => failed(path, &format!("can't be written: {error}")),
                })?;
            temporary.put_in_place(place.name).map_err(told)
        }
        Captured::Link { target } => {
            let place = place(path, Missing::Create).map_err(told)?;
            make_room(&place).map_err(told)?;
            let temporary = Temporary::create(&place).map_err(told)?;
            // The name is ours; the link takes the place of the empty file that holds it.
            rustix::fs::unlinkat(&place.folder, &temporary.name, AtFlags::empty()).map_err(told)?;
            rustix::fs::symlinkat(target, &place.folder, &temporary.name).map_err(told)?;
            temporary.put_in_place(place.name).map_err(told)
        }
        Captured::Unheld { why, .. } => Err(failed(path, &format!("was {why} and was not kept"))),
    }
}

/// Removes an empty folder that stands where a file is to be.
fn make_room(place: &Place<'_>) -> Result<(), Errno> {
    match place.stat() {
        Ok(found) if stat_kind(&found) == EntryKind::Folder => {
            rustix::fs::unlinkat(&place.folder, place.name, AtFlags::REMOVEDIR)
        }
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}
