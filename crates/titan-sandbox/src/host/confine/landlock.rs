//! Landlock: which files a program may read, run and change, and that it can't signal or call those outside.
//!
//! The rules are written down before the fork ([`Ruleset`]) and put into force after it, by system calls alone. The
//! kernel's interface is three calls and two structures; that is less than an adapter around a library that allocates.

use super::sys::{self, call};
use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;
use std::path::Path;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// All of the first version: the above up to `MAKE_SYM`, and the making of devices, which nobody is given.
const FIRST_VERSION: u64 = (1 << 13) - 1;
/// What makes sense for a file; the kernel refuses the rest in a rule on one.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

const TCP: u64 = 0b11;
const SCOPES: u64 = 0b11;

const RULE_PATH_BENEATH: libc::c_long = 1;
const VERSION: libc::c_long = 1;

/// What a program may do below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// See the names, not the contents.
    List,
    /// Read and run.
    Read,
    /// Read and write what is there: a device.
    Device,
    /// Everything but making devices.
    Write,
}

impl Access {
    fn rights(self) -> u64 {
        let read = READ_FILE | READ_DIR | EXECUTE;
        let make = MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM;
        match self {
            Self::List => READ_DIR,
            Self::Read => read,
            Self::Device => READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV,
            Self::Write => {
                read | make | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | REFER | TRUNCATE | IOCTL_DEV
            }
        }
    }
}

#[repr(C)]
struct RulesetAttributes {
    files: u64,
    network: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: RawFd,
}

/// The version that the kernel speaks; `None` where it has no Landlock or it is switched off.
pub(super) fn version() -> Option<u32> {
    let answer = call(libc::SYS_landlock_create_ruleset, [0, 0, VERSION, 0, 0]);
    answer.ok().and_then(|version| u32::try_from(version).ok())
}

/// The first version that keeps signals and abstract sockets in.
pub(super) const VERSION_WITH_SCOPES: u32 = 6;

/// Rules, ready to be put into force.
#[derive(Debug)]
pub(super) struct Ruleset {
    files: u64,
    network: u64,
    scoped: u64,
    rules: Vec<(CString, u64)>,
}

impl Ruleset {
    /// No file may be touched until a rule says so.
    pub(super) fn new(version: u32, has_network: bool) -> Self {
        let since = |first: u32, right: u64| if version >= first { right } else { 0 };
        Self {
            files: FIRST_VERSION | since(2, REFER) | since(3, TRUNCATE) | since(5, IOCTL_DEV),
            network: if has_network { 0 } else { since(4, TCP) },
            scoped: since(VERSION_WITH_SCOPES, SCOPES),
            rules: Vec::new(),
        }
    }

    /// Allows something below a path that has no links in it. What is not there when the program starts stays closed.
    pub(super) fn allow(&mut self, path: &Path, access: Access) {
        let kind = if path.is_dir() { u64::MAX } else { OF_FILES };
        let rights = access.rights() & self.files & kind;
        if rights != 0
            && let Ok(path) = sys::c_path(path)
        {
            self.rules.push((path, rights));
        }
    }

    /// Puts the rules into force for the calling thread and all that it starts, for good.
    ///
    /// Async-signal-safe. The caller has given up new privileges before.
    pub(super) fn enforce(&self) -> io::Result<()> {
        let attributes = RulesetAttributes {
            files: self.files,
            network: self.network,
            scoped: self.scoped,
        };
        // Older versions know a shorter structure, and take a longer one only if its rest is zero, as it is for them.
        let size = size_of::<RulesetAttributes>() as libc::c_long;
        let ruleset = call(
            libc::SYS_landlock_create_ruleset,
            [(&raw const attributes) as libc::c_long, size, 0, 0, 0],
        )?;
        for (path, rights) in &self.rules {
            add(ruleset, path, *rights)?;
        }
        call(libc::SYS_landlock_restrict_self, [ruleset, 0, 0, 0, 0])?;
        sys::close(ruleset);
        Ok(())
    }
}

fn add(ruleset: libc::c_long, path: &CString, rights: u64) -> io::Result<()> {
    let parent = match sys::open_without_links(path) {
        Ok(parent) => parent,
        // Nothing is there any more, or a link has been put in: it stays closed.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ELOOP)) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let rule = PathBeneath {
        allowed: rights,
        parent,
    };
    let added = call(
        libc::SYS_landlock_add_rule,
        [
            ruleset,
            RULE_PATH_BENEATH,
            (&raw const rule) as libc::c_long,
            0,
            0,
        ],
    );
    sys::close(parent.into());
    added.map(drop)
}
