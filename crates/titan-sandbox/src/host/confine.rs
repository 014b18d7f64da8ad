//! Confinement of programs by the operating system.
//!
//! A program runs under whatever of these the machine has: Landlock (files, signals, abstract sockets), a filter of
//! system calls (network, kernel, other processes), namespaces (a read-only view of all but the workspace, its own
//! processes), resource limits. [`Confinement`] says what the machine has; [`Bounds`] makes it ready for each program
//! of a workspace.
//!
//! It holds whatever policy said before. A step's approved effects widen it ([`Leave`]), and nothing else does.

mod landlock;
mod reach;
mod seccomp;
mod sys;
#[cfg(test)]
mod tests;
mod warden;

use super::guard::ASIDE;
use super::path::Places;
use super::repository;
use super::scratch::Scratch;
use landlock::{Access, Ruleset};
pub(super) use reach::secrets;
use reach::{DEVICES, Reach};
use seccomp::Filter;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use titan_protocol::{Closed, Effect, WorkbenchError};
use warden::{Absent, Ends, Fence, Identity, Lifeline, Mounts, Namespaces, Stage};

/// Processes and threads that one program may have at a time. The least that the kernel takes for a namespace is 301.
const PROCESSES_MAX: u64 = 4_096;

/// The largest file that a program may write.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// Files that a process may hold open.
const DESCRIPTORS_MAX: u64 = 65_536;

/// Memory that one process may take, at most; less where the machine has less.
const MEMORY_BYTES_MAX: u64 = 16 << 30;

/// Paths outside of the workspace that one step may be given to write.
const WRITABLE_MAX: usize = 48;

/// Secrets that are covered one by one in what a program may open.
const COVERED_MAX: usize = 1_024;

/// What a step was allowed beyond the workspace, from its approved effects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leave {
    network: bool,
    reads: Vec<PathBuf>,
    pub(super) writes: Vec<PathBuf>,
    /// Those of `writes` that are folders. They are made if they aren't there, so that nothing around them is opened.
    folders: Vec<PathBuf>,
    /// What a step may delete in the workspace that does nothing else. It can't put anything in its place.
    removes: Vec<PathBuf>,
}

impl Leave {
    /// Only effects that name something count: the root of the file system stands for what could not be read from a
    /// script, and a yes to that opens nothing.
    pub(super) fn of(effects: &[Effect]) -> Self {
        let mut leave = Self::default();
        for effect in effects {
            match effect {
                Effect::Network { .. } => leave.network = true,
                Effect::Read {
                    path,
                    in_workspace: false,
                } if path.parent().is_some() => {
                    leave.reads.push(path.clone());
                }
                Effect::Write {
                    path,
                    in_workspace: false,
                } if path.parent().is_some() => {
                    // Without the `/` at its end, which says that it is a folder.
                    let plain: PathBuf = path.components().collect();
                    if path.as_os_str().as_bytes().ends_with(b"/") {
                        leave.folders.push(plain.clone());
                    }
                    leave.writes.push(plain);
                }
                Effect::Run { program, .. } if Path::new(program).is_absolute() => {
                    leave.reads.push(PathBuf::from(program));
                }
                Effect::Read { .. }
                | Effect::Write { .. }
                | Effect::Run { .. }
                | Effect::Message { .. }
                | Effect::Secret { .. }
                | Effect::Money { .. }
                | Effect::Remember => {}
            }
        }
        leave.removes = removed(effects);
        leave
    }

    /// Whether a step that deletes may delete this too.
    pub(super) fn removes(&self, path: &Path) -> bool {
        self.removes.iter().any(|removed| path.starts_with(removed))
    }

    /// Whether all below a path may be written.
    pub(super) fn covers(&self, path: &Path) -> bool {
        self.writes.iter().any(|written| path.starts_with(written))
    }

    /// Whether all that another leave opens is open already, given that this much is open anyway.
    fn includes(&self, other: &Self, reach: &Reach) -> bool {
        let reads = |path: &PathBuf| self.reads.contains(path) || reach.opens(path);
        (self.network || !other.network)
            && other.reads.iter().all(reads)
            && other.writes.iter().all(|path| self.covers(path))
            && other.removes.iter().all(|path| self.removes(path))
    }

    /// Makes the folders that are not there, but for those in the engine's home.
    fn make_folders(&self, places: &Places) {
        let made = self
            .folders
            .iter()
            .filter(|folder| places.check(folder).is_ok());
        for folder in made.filter(|folder| !folder.exists()) {
            if let Err(error) = std::fs::create_dir_all(folder) {
                tracing::debug!(folder = %folder.display(), %error, "a folder that a program may fill can't be made");
            }
        }
    }
}

/// What steps delete in the workspace that run `rm` and else only look; nothing for all others.
fn removed(effects: &[Effect]) -> Vec<PathBuf> {
    let only_deletes = effects.iter().all(|effect| match effect {
        Effect::Run {
            program,
            reads_only,
            ..
        } => {
            *reads_only
                || Path::new(program)
                    .file_name()
                    .is_some_and(|name| name == "rm")
        }
        Effect::Write { .. } | Effect::Read { .. } => true,
        _ => false,
    });
    let runs = effects.iter().any(|effect| {
        matches!(
            effect,
            Effect::Run {
                reads_only: false,
                ..
            }
        )
    });
    let written = effects.iter().filter_map(|effect| match effect {
        Effect::Write {
            path,
            in_workspace: true,
        } => Some(path.clone()),
        _ => None,
    });
    written.filter(|_| only_deletes && runs).collect()
}

/// How well something is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// By the kernel.
    Whole,
    /// In a weaker way, which the text names.
    Partly(&'static str),
    /// Not at all; the text says what the kernel lacks.
    Not(&'static str),
}

/// One thing that confinement is to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What is kept, in a few words.
    pub name: &'static str,
    /// How well.
    pub kept: Kept,
}

/// What this machine confines programs with.
#[derive(Clone, Debug)]
pub struct Confinement {
    landlock: Option<u32>,
    has_filter: bool,
    /// Which of them can be made is known only by making them, which is put off until it matters.
    namespaces: OnceLock<Option<Namespaces>>,
}

impl Confinement {
    /// Looks at the kernel, once for each process.
    pub fn of_this_machine() -> &'static Self {
        static FOUND: OnceLock<Confinement> = OnceLock::new();
        FOUND.get_or_init(|| Self {
            landlock: landlock::version(),
            has_filter: seccomp::is_available(),
            namespaces: OnceLock::new(),
        })
    }

    /// Whether files and the network are kept by the kernel. Where they are not, a program that is said to only look
    /// has to be asked for like any other.
    pub fn is_sound(&self) -> bool {
        self.landlock.is_some() && self.has_filter
    }

    /// What is kept and what is not, for `doctor`.
    pub fn parts(&self) -> Vec<Part> {
        let has_scopes = self
            .landlock
            .is_some_and(|version| version >= landlock::VERSION_WITH_SCOPES);
        let has_processes = self.namespaces().is_some();
        let either = |is_kept: bool, otherwise: Kept| if is_kept { Kept::Whole } else { otherwise };
        let has_landlock = self.landlock.is_some();
        let part = |name, kept| Part { name, kept };
        vec![
            part(
                "files outside the workspace",
                either(
                    has_landlock,
                    Kept::Not("the kernel has no Landlock, or it is switched off"),
                ),
            ),
            part(
                "modes and owners of files outside",
                either(has_processes, Kept::Not("no unprivileged user namespaces")),
            ),
            part(
                "git hooks and instruction files",
                either(
                    has_processes,
                    Kept::Partly(
                        "changes are undone when the program has ended, for want of user namespaces",
                    ),
                ),
            ),
            part(
                "the network and the kernel's insides",
                either(
                    self.has_filter,
                    Kept::Not("the kernel does not filter system calls"),
                ),
            ),
            part(
                "a loopback of the program's own",
                either(
                    self.namespaces()
                        .is_some_and(|namespaces| namespaces.network),
                    Kept::Not(
                        "no network namespaces: programs without leave have no sockets at all",
                    ),
                ),
            ),
            part(
                "signals to other programs",
                either(
                    has_scopes || has_processes,
                    Kept::Not("Landlock is older than version 6, and no user namespaces"),
                ),
            ),
            part(
                "the end of all processes",
                either(
                    has_processes,
                    Kept::Partly("they are followed one by one, for want of user namespaces"),
                ),
            ),
            part(
                "memory and processes",
                Kept::Partly("bounded for each process, not for all of a program together"),
            ),
        ]
    }

    /// The namespaces that can be made here. The first time, they are made, for a process that does nothing else.
    fn namespaces(&self) -> Option<Namespaces> {
        *self.namespaces.get_or_init(|| {
            let is_root = rustix::process::geteuid().is_root();
            let choices = [(false, true), (true, true), (false, false), (true, false)];
            let with = |network| {
                let of = move |(user, proc)| Namespaces {
                    user,
                    proc,
                    network,
                };
                choices.into_iter().map(of)
            };
            with(true)
                .chain(with(false))
                .filter(|namespaces| is_root || namespaces.user)
                .find(|namespaces| self.can_make(*namespaces))
        })
    }

    fn can_make(&self, namespaces: Namespaces) -> bool {
        let fence = self.bare_fence(namespaces);
        let Ok((_lifeline, ends)) = Lifeline::new() else {
            return false;
        };
        let mut command = std::process::Command::new("/");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let enter = move || {
            warden::enter(&fence, &ends)?;
            sys::exit(0);
        };
        // SAFETY: only system calls, and the program ends before it would be executed.
        unsafe { command.pre_exec(enter) };
        command.status().is_ok_and(|status| status.success())
    }

    fn bare_fence(&self, namespaces: Namespaces) -> Fence {
        Fence {
            namespaces: Some(namespaces),
            is_alone: namespaces.network,
            identity: Identity::of_this_process(),
            mounts: Mounts::default(),
            rules: self.landlock.map(|version| Ruleset::new(version, false)),
            filter: self.has_filter.then(|| Filter::new(false)),
            limits: Vec::new(),
            processes: number(PROCESSES_MAX),
            directory: c"/".to_owned(),
            absent: Vec::new(),
        }
    }
}

fn number(n: u64) -> CString {
    // Digits hold no NUL.
    CString::new(n.to_string()).unwrap_or_default()
}

/// What programs of one workspace are confined to. Made once, looks at the file system when the first one starts.
#[derive(Debug)]
pub(super) struct Bounds {
    closed: Option<Closed>,
    environment: BTreeMap<String, String>,
    program_folders: Vec<PathBuf>,
    machine: OnceLock<Confinement>,
    reach: OnceLock<Reach>,
    scratch: OnceLock<Scratch>,
}

/// A program's confinement, ready to be entered.
pub(super) struct Ready {
    fence: Fence,
    /// What the program's `TMPDIR` is.
    pub(super) scratch: PathBuf,
    /// Whether guarded paths that are there are mounted read-only.
    pub(super) has_mounts: bool,
}

impl Bounds {
    pub(super) fn new(
        environment: BTreeMap<String, String>,
        program_folders: Vec<PathBuf>,
    ) -> Self {
        Self {
            closed: None,
            environment,
            program_folders,
            machine: OnceLock::new(),
            reach: OnceLock::new(),
            scratch: OnceLock::new(),
        }
    }

    /// Those of a place that is closed.
    pub(super) fn closed(closed: Closed) -> Self {
        Self {
            closed: Some(closed),
            ..Self::new(BTreeMap::new(), Vec::new())
        }
    }

    /// Whether a program that was started with one leave may do what another one opens.
    pub(super) fn admits(&self, places: &Places, leave: &Leave, wanted: &Leave) -> bool {
        leave.includes(wanted, self.reach(places))
    }

    fn reach(&self, places: &Places) -> &Reach {
        self.reach.get_or_init(|| match &self.closed {
            Some(closed) => Reach::only(&closed.reads),
            None => Reach::look(&self.environment, &self.program_folders, &places.home),
        })
    }

    /// Makes a program's confinement ready. Looks at the file system.
    ///
    /// # Errors
    /// When there is no place for temporary files, or more was allowed than can be.
    pub(super) fn fence(
        &self,
        places: &Places,
        leave: &Leave,
        directory: &Path,
        guarded: &[PathBuf],
    ) -> Result<Ready, WorkbenchError> {
        let machine = self
            .machine
            .get_or_init(|| Confinement::of_this_machine().clone());
        let reach = self.reach(places);
        leave.make_folders(places);
        let mut plan = Plan::new(reach, places, leave)?;
        let namespaces = machine.namespaces();
        let has_mounts = namespaces.is_some();
        let scratch = match &self.closed {
            Some(_) => {
                // Memory that is shared is no place of it, so that the place itself may lie there.
                plan.devices.retain(|device| !device.is_dir());
                places.root.clone()
            }
            None => plan.add_scratch(self.scratch()?, has_mounts),
        };
        let mounts = match has_mounts {
            true => plan.mounts(places, guarded).map_err(unusable)?,
            false => Mounts::default(),
        };
        // In a network of its own a program may have all sockets of the internet: they lead to itself.
        let is_alone = !leave.network && namespaces.is_some_and(|namespaces| namespaces.network);
        let has_sockets = leave.network || is_alone;
        let rules = machine
            .landlock
            .map(|version| plan.rules(Ruleset::new(version, has_sockets), has_mounts));
        let fence = Fence {
            namespaces,
            is_alone,
            identity: Identity::of_this_process(),
            mounts,
            rules,
            filter: machine.has_filter.then(|| Filter::new(has_sockets)),
            limits: self.limits(namespaces.is_some_and(|namespaces| namespaces.user)),
            processes: number(PROCESSES_MAX),
            directory: sys::c_path(directory).map_err(unusable)?,
            absent: absent(guarded).map_err(unusable)?,
        };
        Ok(Ready {
            fence,
            scratch,
            has_mounts,
        })
    }

    fn limits(&self, counts_own_processes: bool) -> Vec<(u32, u64)> {
        let mut limits = limits(counts_own_processes);
        if let Some(closed) = &self.closed {
            limits.push((libc::RLIMIT_AS, closed.address_bytes_max));
            limits.push((libc::RLIMIT_CPU, closed.processor_seconds_max));
        }
        limits
    }

    /// The folder for temporary files. It is kept while the workspace is open, so that one program finds what another
    /// left there.
    fn scratch(&self) -> Result<PathBuf, WorkbenchError> {
        if let Some(scratch) = self.scratch.get() {
            return Ok(scratch.path().to_owned());
        }
        let made = Scratch::new().map_err(unusable)?;
        let scratch = self.scratch.get_or_init(|| made);
        Ok(scratch.path().to_owned())
    }
}

fn unusable(error: std::io::Error) -> WorkbenchError {
    WorkbenchError::Failed(format!(
        "the program was not started, for it can't be confined: {error}; see titanclaw doctor"
    ))
}

/// Files of one program: what may be done where.
struct Plan {
    hidden: Vec<PathBuf>,
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    listable: Vec<PathBuf>,
    devices: Vec<PathBuf>,
    /// `(what, where)`.
    scratch: Vec<(PathBuf, PathBuf)>,
}

impl Plan {
    fn new(reach: &Reach, places: &Places, leave: &Leave) -> Result<Self, WorkbenchError> {
        let named: Vec<&Path> = leave
            .reads
            .iter()
            .chain(&leave.writes)
            .map(PathBuf::as_path)
            .collect();
        let secret = reach.secret.iter().map(PathBuf::as_path);
        let secret: Vec<&Path> = secret
            .filter(|secret| !places.root.starts_with(secret))
            .collect();
        // What is named is uncovered, and nothing beside it. Where new files could be put beside it, nothing is.
        let is_in_writable = |secret: &Path| {
            let mut writable = leave.writes.iter().chain([&places.root]);
            writable.any(|path| path != secret && secret.starts_with(path))
        };
        let is_in_open = |secret: &Path| {
            let mut open = reach
                .readable
                .iter()
                .chain(&leave.reads)
                .chain(&leave.writes);
            open.any(|path| secret.starts_with(path)) || secret.starts_with(&places.root)
        };
        let uncovered = |secret: &&Path| {
            let is_in_writable = is_in_writable(secret);
            let inner = named
                .iter()
                .filter(|path| *path == secret || (path.starts_with(secret) && !is_in_writable));
            match inner.copied().collect::<Vec<_>>() {
                inner if inner.is_empty() => vec![secret.to_path_buf()],
                // No rule reaches into it but those of what is named.
                _ if !is_in_open(secret) => Vec::new(),
                inner => reach::without(secret, &inner),
            }
        };
        let mut hidden: Vec<PathBuf> = secret.iter().flat_map(uncovered).collect();
        hidden.extend(reach.barred.clone());
        refuse_new_secrets(&leave.writes, &secret)?;
        let is_open = |path: &&PathBuf| !hidden.iter().any(|hidden| path.starts_with(hidden));
        let mut writable = vec![places.root.clone()];
        // What lies in another one is open with it; a mount of its own would keep it from being replaced.
        let is_outermost = |path: &&PathBuf| {
            let mut others = leave.writes.iter().chain([&places.root]);
            !others.any(|other| other != *path && path.starts_with(other))
        };
        let outermost = leave.writes.iter().filter(is_outermost);
        let closed: Vec<&Path> = secret.into_iter().chain(reach.barred.as_deref()).collect();
        writable.extend(outermost.filter_map(|path| writable_place(path, &closed, &hidden)));
        if writable.len() > WRITABLE_MAX {
            return Err(WorkbenchError::Failed(format!(
                "the program was not started: it would write to more than {WRITABLE_MAX} places outside the \
                 workspace; do it in smaller steps"
            )));
        }
        let git = repository::outside(&places.root);
        let readable = reach.readable.iter().chain(&leave.reads).chain(&git);
        Ok(Self {
            readable: readable.filter(is_open).cloned().collect(),
            listable: leave.reads.iter().filter(is_open).cloned().collect(),
            devices: DEVICES
                .iter()
                .map(PathBuf::from)
                .filter(|path| path.exists())
                .collect(),
            writable,
            hidden,
            scratch: Vec::new(),
        })
    }

    /// Gives the program its folder for temporary files: as `/tmp` itself where nothing else is needed there.
    fn add_scratch(&mut self, scratch: PathBuf, has_mounts: bool) -> PathBuf {
        let shared = Path::new("/tmp");
        let is_needed = |folder: &Path| {
            let mut needed = self.writable.iter().chain(&self.listable);
            needed.any(|path| path.starts_with(folder))
        };
        if !has_mounts || !shared.is_dir() || shared.is_symlink() || is_needed(shared) {
            self.scratch.push((scratch.clone(), scratch.clone()));
            return scratch;
        }
        self.scratch.push((scratch, shared.to_owned()));
        shared.to_owned()
    }

    fn rules(&self, mut rules: Ruleset, has_mounts: bool) -> Ruleset {
        // Where mounts cover what is hidden, a rule may go over it; elsewhere it has to go around.
        let hidden: Vec<&Path> = self.hidden.iter().map(PathBuf::as_path).collect();
        let uncovered = |path: &PathBuf| match has_mounts {
            true => vec![path.clone()],
            false => reach::without(path, &hidden),
        };
        for path in self.readable.iter().flat_map(uncovered) {
            rules.allow(&path, Access::Read);
        }
        for path in &self.listable {
            rules.allow(path, Access::List);
        }
        for path in &self.devices {
            let is_shared = path.is_dir();
            match (is_shared, has_mounts) {
                (false, _) => rules.allow(path, Access::Device),
                // Memory that is shared with everybody else, unless it is the program's own.
                (true, true) => rules.allow(path, Access::Write),
                (true, false) => {}
            }
        }
        for path in self.writable.iter().flat_map(uncovered) {
            rules.allow(&path, Access::Write);
        }
        for (_, place) in &self.scratch {
            rules.allow(place, Access::Write);
        }
        rules
    }

    fn mounts(&self, places: &Places, guarded: &[PathBuf]) -> std::io::Result<Mounts> {
        let mut mounts = Mounts {
            has_shared_memory: self.devices.iter().any(|device| device.is_dir()),
            ..Mounts::default()
        };
        // A repository on itself: what contains a mount could be moved away as a whole, a mount can't.
        let git = Some(places.root.join(".git")).filter(|git| is_real_folder(git));
        let scratch = self.scratch.iter().cloned();
        let writable = self
            .writable
            .iter()
            .chain(&git)
            .map(|path| (path.clone(), path.clone()));
        for (what, place) in scratch.chain(writable) {
            mounts
                .writable
                .push((sys::c_path(&what)?, sys::c_path(&place)?));
        }
        for path in guarded
            .iter()
            .filter(|path| !path.is_symlink() && path.exists())
        {
            mounts.fixed.push(sys::c_path(path)?);
        }
        let open = || self.readable.iter().chain(&self.writable);
        let covered = self
            .hidden
            .iter()
            .filter(|hidden| open().any(|open| hidden.starts_with(open)));
        for (n, hidden) in covered.filter(|hidden| hidden.exists()).enumerate() {
            if n == COVERED_MAX {
                let why = format!("more than {COVERED_MAX} secrets would have to be covered");
                return Err(std::io::Error::other(why));
            }
            match hidden.is_dir() {
                true => mounts.hidden_folders.push(sys::c_path(hidden)?),
                false => mounts.hidden_files.push(sys::c_path(hidden)?),
            }
        }
        Ok(mounts)
    }
}

/// The guarded paths that are not there, for the warden to look at should the engine be killed.
fn absent(guarded: &[PathBuf]) -> std::io::Result<Vec<Absent>> {
    let absent = guarded
        .iter()
        .filter(|path| path.symlink_metadata().is_err());
    let parts = absent.filter_map(|path| Some((path.parent()?, path.file_name()?)));
    parts
        .map(|(folder, name)| {
            let aside = format!("{}.{ASIDE}", name.to_string_lossy());
            Ok(Absent {
                folder: sys::c_path(folder)?,
                name: sys::c_path(Path::new(name))?,
                aside: sys::c_path(Path::new(&aside))?,
            })
        })
        .collect()
}

pub(super) fn is_real_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

/// A file that is not there can be opened only with the folder that it is to lie in, which must not be a secret one.
fn refuse_new_secrets(writes: &[PathBuf], secret: &[&Path]) -> Result<(), WorkbenchError> {
    let mut missing = writes.iter().filter(|path| !path.exists());
    let found = missing.find_map(|path| {
        let secret = secret.iter().find(|secret| path.starts_with(secret))?;
        Some((path, secret))
    });
    found.map_or(Ok(()), |(path, secret)| {
        Err(WorkbenchError::Failed(format!(
            "the program was not started: {} is not there yet, and all of {} would have to be opened for it; make it \
             there yourself, empty, and try again",
            path.display(),
            secret.display()
        )))
    })
}

/// What has to be opened so that a path can be written: itself, or the nearest folder that is there. `None` if that
/// would open what is hidden, or a folder that holds secrets or lies among them.
fn writable_place(path: &Path, closed: &[&Path], hidden: &[PathBuf]) -> Option<PathBuf> {
    let place = path.ancestors().find(|place| place.exists())?;
    let is_asked = place == path && !hidden.iter().any(|hidden| path.starts_with(hidden));
    let is_harmless = || {
        let is_root = place.parent().is_none();
        !is_root
            && !closed
                .iter()
                .any(|closed| closed.starts_with(place) || place.starts_with(closed))
    };
    (is_asked || is_harmless()).then(|| place.to_owned())
}

fn limits(counts_own_processes: bool) -> Vec<(u32, u64)> {
    // Outside of a user namespace the kernel counts all of the account's processes, so those are added.
    let others = if counts_own_processes {
        0
    } else {
        tasks_of_the_machine()
    };
    vec![
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_NPROC, PROCESSES_MAX + others),
        (libc::RLIMIT_FSIZE, FILE_BYTES_MAX),
        (libc::RLIMIT_NOFILE, DESCRIPTORS_MAX),
        (libc::RLIMIT_DATA, memory_bytes_max()),
    ]
}

fn tasks_of_the_machine() -> u64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let tasks = load
        .split_whitespace()
        .nth(3)
        .and_then(|field| field.split_once('/'));
    tasks.and_then(|(_, all)| all.parse().ok()).unwrap_or(0)
}

/// Three quarters of the machine's memory, at most [`MEMORY_BYTES_MAX`].
fn memory_bytes_max() -> u64 {
    static FOUND: OnceLock<u64> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.map_or(MEMORY_BYTES_MAX, |kib| (kib * 768).min(MEMORY_BYTES_MAX))
    })
}

/// A program that is about to be started confined.
pub(super) struct Entry {
    lifeline: Lifeline,
    is_contained: bool,
}

/// What holds a started program. Dropping it counts as the engine's death: the program's warden ends everything and
/// looks at the guarded files itself.
#[derive(Debug)]
pub(super) struct Hold {
    lifeline: Lifeline,
    /// Whether the kernel itself ends all processes with the program.
    pub(super) is_contained: bool,
}

impl Hold {
    /// Ends the program and all that it started.
    pub(super) fn end(&self) {
        self.lifeline.end();
    }

    /// Once the guard has looked: there is nothing left to be done.
    pub(super) fn let_go(self) {
        self.lifeline.let_go();
    }
}

impl Entry {
    /// Has the command confined between its fork and its exec.
    ///
    /// # Errors
    /// When the system has no pipe left.
    pub(super) fn prepare(
        command: &mut std::process::Command,
        ready: Ready,
    ) -> Result<Self, WorkbenchError> {
        let fence = ready.fence;
        let (lifeline, ends) = Lifeline::new().map_err(unusable)?;
        let is_contained = fence.namespaces.is_some();
        let enter = move || enter(&fence, &ends);
        // SAFETY: `warden::enter` makes system calls only and takes no memory and no lock.
        unsafe { command.pre_exec(enter) };
        Ok(Self {
            lifeline,
            is_contained,
        })
    }

    /// Once the program has started: what holds it.
    pub(super) fn hold(self) -> Hold {
        Hold {
            lifeline: self.lifeline,
            is_contained: self.is_contained,
        }
    }

    /// Once it could not be started: whether the confinement was the cause, and which part of it.
    pub(super) fn refusal(&self, error: &std::io::Error) -> Option<WorkbenchError> {
        let stage = Stage::describe(self.lifeline.failed_stage()?);
        Some(WorkbenchError::Failed(format!(
            "the program was not started, for it can't be confined: {stage} failed ({error}); see titanclaw doctor"
        )))
    }
}

fn enter(fence: &Fence, ends: &Ends) -> std::io::Result<()> {
    warden::enter(fence, ends)
}
