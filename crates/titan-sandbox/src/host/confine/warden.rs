//! What happens between the fork and the exec of a confined program.
//!
//! Three processes come of one fork. The *warden* is the engine's child. It makes the namespaces, holds one end of the
//! [`Lifeline`] and ends everything when the engine lets go of the other end, however the engine ended. In a process
//! namespace an *init* stands below it, whose end is the end of all the namespace. The *program* is the last; it is
//! confined for good and then executed. Without namespaces the warden adopts whatever the program leaves behind.
//!
//! The engine has many threads, so until the exec nothing here may take memory or a lock: everything is made ready in
//! a [`Fence`] before the fork, and only system calls follow. The warden and the init never execute anything; they
//! hold a copy of the engine's memory, which neither the program (Landlock) nor anyone else (not dumpable) may read.

use super::landlock::Ruleset;
use super::seccomp::Filter;
use super::sys::{self, call, pointer, prctl};
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// How long what a program left behind may go on, such as a pipe's last reader, before it is killed.
const AFTERMATH_MS: i64 = 100;

/// Memory that a program's shared-memory files may take.
const SHARED_MEMORY: &CStr = c"size=1g,mode=1777";

const SYS_OPEN_TREE: libc::c_long = libc::SYS_open_tree;
const OPEN_TREE_CLONE: libc::c_long = 1;
const AT_RECURSIVE: libc::c_long = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_long = 4;

/// Capabilities that stay with a program of root's: to use files of whoever owns the workspace, and no more.
/// `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`.
const CAPABILITIES_KEPT: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 4;
const CAPABILITY_LAST: libc::c_ulong = 63;

/// Which namespaces a program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Namespaces {
    /// A user namespace, which lets an ordinary account make the others.
    pub(super) user: bool,
    /// A `/proc` of its own.
    pub(super) proc: bool,
    /// A network with nothing in it but a loopback, unless the program was allowed the machine's.
    pub(super) network: bool,
}

/// The mounts of a program, made in this order.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// Whether the program gets a folder for shared memory of its own.
    pub(super) has_shared_memory: bool,
    /// `(what, where)`: stays writable when everything else becomes read-only.
    pub(super) writable: Vec<(CString, CString)>,
    /// Mounted on themselves read-only, so that they can be neither changed nor moved away.
    pub(super) fixed: Vec<CString>,
    /// Folders that get an empty, closed one over them.
    pub(super) hidden_folders: Vec<CString>,
    /// Files that can't be opened any more.
    pub(super) hidden_files: Vec<CString>,
}

/// Everything a program is confined by, made ready before the fork.
#[derive(Debug)]
pub(super) struct Fence {
    pub(super) namespaces: Option<Namespaces>,
    /// Whether the program gets the network namespace.
    pub(super) is_alone: bool,
    pub(super) identity: Identity,
    pub(super) mounts: Mounts,
    pub(super) rules: Option<Ruleset>,
    pub(super) filter: Option<Filter>,
    /// Resource, and its limit.
    pub(super) limits: Vec<(u32, u64)>,
    /// Processes and threads in a namespace of processes, as the kernel's `pid_max` is written.
    pub(super) processes: CString,
    pub(super) directory: CString,
    /// What must not be there when the program has ended. The engine sees to it; its warden, if the engine can't.
    pub(super) absent: Vec<Absent>,
}

/// A guarded path where nothing is.
#[derive(Debug)]
pub(super) struct Absent {
    pub(super) folder: CString,
    pub(super) name: CString,
    /// The name that whatever appears there gets.
    pub(super) aside: CString,
}

/// The account in a user namespace: the same as outside.
#[derive(Debug)]
pub(super) struct Identity {
    user: CString,
    group: CString,
}

impl Identity {
    pub(super) fn of_this_process() -> Self {
        let user = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        let line = |id: u32| CString::new(format!("{id} {id} 1\n")).unwrap_or_default();
        Self {
            user: line(user),
            group: line(group),
        }
    }
}

/// Where setting up a program can fail. The number crosses a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    Session = 1,
    UserNamespace,
    MountNamespace,
    Network,
    ReadOnlyRoot,
    Mounts,
    ProcessNamespace,
    Proc,
    Limits,
    Directory,
    Rights,
    Landlock,
    Seccomp,
}

impl Stage {
    pub(super) fn describe(number: u8) -> &'static str {
        const WORDS: [&str; 14] = [
            "start",
            "a session of its own",
            "a user namespace",
            "a mount namespace",
            "a network of its own",
            "a read-only view of the file system",
            "the mounts of the workspace",
            "a process namespace",
            "a /proc of its own",
            "the resource limits",
            "the working folder",
            "giving up privileges",
            "Landlock",
            "the filter of system calls",
        ];
        WORDS.get(usize::from(number)).copied().unwrap_or(WORDS[0])
    }
}

/// The engine's hold on a program: dropping it, as an engine's death does, ends the program and all that it started.
#[derive(Debug)]
pub(super) struct Lifeline {
    held: OwnedFd,
    reports: OwnedFd,
}

/// The warden's ends of the lifeline's pipes.
#[derive(Debug)]
pub(super) struct Ends {
    life: OwnedFd,
    reports: OwnedFd,
}

/// Words that the engine says over the lifeline. Its end without the second is a death.
const END: u8 = 1;
const LET_GO: u8 = 2;

impl Lifeline {
    pub(super) fn new() -> io::Result<(Self, Ends)> {
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        let (life, held) = rustix::pipe::pipe_with(flags)?;
        let (reports, report) = rustix::pipe::pipe_with(flags)?;
        let ends = Ends {
            life,
            reports: report,
        };
        let lifeline = Self { held, reports };
        Ok((lifeline, ends))
    }

    /// Has the program ended, and all that it started. The engine looks at what they left, as long as it lives.
    pub(super) fn end(&self) {
        self.say(END);
    }

    /// Says that nothing is left for the warden to do.
    pub(super) fn let_go(self) {
        self.say(LET_GO);
    }

    fn say(&self, word: u8) {
        // Nobody listens when the warden is gone already.
        let _ = rustix::io::write(&self.held, &[word]);
    }

    /// Why a program could not be started, if it was its confinement.
    pub(super) fn failed_stage(&self) -> Option<u8> {
        let mut number = [0];
        match rustix::io::read(&self.reports, &mut number) {
            Ok(1) => Some(number[0]),
            _ => None,
        }
    }
}

type Staged<T> = Result<T, (Stage, io::Error)>;

fn at<T>(stage: Stage, result: io::Result<T>) -> Staged<T> {
    result.map_err(|error| (stage, error))
}

/// Confines the calling process. Returns in the program, which is then to be executed, or in whichever process failed.
///
/// Async-signal-safe, for use between fork and exec only.
pub(super) fn enter(fence: &Fence, ends: &Ends) -> io::Result<()> {
    match stand_guard(fence, ends) {
        Ok(()) => Ok(()),
        Err((stage, error)) => {
            // Should the pipe be gone, the error alone must do.
            let _ = sys::write(ends.reports.as_raw_fd().into(), &[stage as u8]);
            Err(error)
        }
    }
}

/// The warden's life. Only the program returns from it.
fn stand_guard(fence: &Fence, ends: &Ends) -> Staged<()> {
    at(Stage::Session, call(libc::SYS_setsid, [0; 5]))?;
    at(Stage::Session, prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    let signals = at(Stage::Session, Signals::gather())?;
    let Some(namespaces) = fence.namespaces else {
        let program = at(Stage::ProcessNamespace, sys::fork(0))?;
        if program == 0 {
            return become_program(fence, &signals);
        }
        let status = tend(program, &signals, ends.life.as_raw_fd(), Household::Adopted);
        set_aside_for(fence, ends.life.as_raw_fd());
        mirror(status);
    };
    make_namespaces(fence, namespaces)?;
    let [told, telling] = at(Stage::ProcessNamespace, pipe())?;
    let init = at(Stage::ProcessNamespace, sys::fork(libc::CLONE_NEWPID))?;
    if init == 0 {
        return begin_anew(fence, namespaces, &signals, telling);
    }
    let status = wait_for_init(init, &signals, ends.life.as_raw_fd(), told);
    set_aside_for(fence, ends.life.as_raw_fd());
    mirror(status);
}

/// The init's life. Only the program returns from it.
fn begin_anew(
    fence: &Fence,
    namespaces: Namespaces,
    signals: &Signals,
    telling: RawFd,
) -> Staged<()> {
    at(Stage::ProcessNamespace, die_with_parent())?;
    if namespaces.proc {
        let flags = (libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC) as libc::c_long;
        let mounted = mount(c"proc", c"/proc", c"proc", flags, c"");
        at(Stage::Proc, mounted)?;
        // Kernels since 6.14 count processes for each namespace; for others the resource limit has to do.
        let _ = sys::write_file(c"/proc/sys/kernel/pid_max", fence.processes.to_bytes());
    }
    let program = at(Stage::ProcessNamespace, sys::fork(0))?;
    if program == 0 {
        return become_program(fence, signals);
    }
    let status = tend(program, signals, telling, Household::Namespace);
    let _ = sys::write(telling.into(), &status.to_ne_bytes());
    // The kernel kills the rest of the namespace.
    sys::exit(0);
}

fn become_program(fence: &Fence, signals: &Signals) -> Staged<()> {
    at(Stage::Session, die_with_parent())?;
    at(Stage::Session, call(libc::SYS_setsid, [0; 5]))?;
    at(Stage::Session, signals.release())?;
    for (resource, limit) in &fence.limits {
        at(Stage::Limits, set_limit(*resource, *limit))?;
    }
    // Where memory runs out, the program goes before anything else. It works without.
    let _ = sys::write_file(c"/proc/self/oom_score_adj", b"1000");
    let directory = pointer(&fence.directory);
    at(
        Stage::Directory,
        call(libc::SYS_chdir, [directory, 0, 0, 0, 0]),
    )?;
    at(Stage::Rights, give_up_rights())?;
    at(Stage::Session, die_with_parent())?;
    if let Some(rules) = &fence.rules {
        at(Stage::Landlock, rules.enforce())?;
    }
    if let Some(filter) = &fence.filter {
        at(Stage::Seccomp, filter.enforce())?;
    }
    Ok(())
}

/// Wardens and inits have one thread, so the end of the thread that made a process is the end of its parent.
fn die_with_parent() -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
}

fn give_up_rights() -> io::Result<()> {
    for capability in 0..=CAPABILITY_LAST {
        let is_kept = CAPABILITIES_KEPT & (1 << capability) != 0;
        // Fails for accounts that have none to give up, and from the first one on that the kernel does not know.
        let dropped = is_kept || prctl(libc::PR_CAPBSET_DROP, capability).is_ok();
        if !dropped {
            break;
        }
    }
    // Version 3 and this process; effective, permitted, inheritable, twice 32 bits.
    let header: [u32; 2] = [0x2008_0522, 0];
    let mut sets = [0_u32; 6];
    call(
        libc::SYS_capget,
        [
            (&raw const header) as libc::c_long,
            (&raw mut sets) as libc::c_long,
            0,
            0,
            0,
        ],
    )?;
    let kept = CAPABILITIES_KEPT as u32;
    let fewer: [u32; 6] = [sets[0] & kept, sets[1] & kept, 0, 0, 0, 0];
    call(
        libc::SYS_capset,
        [
            (&raw const header) as libc::c_long,
            (&raw const fewer) as libc::c_long,
            0,
            0,
            0,
        ],
    )?;
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

fn set_limit(resource: u32, limit: u64) -> io::Result<()> {
    let mut now = [0_u64; 2];
    let resource = libc::c_long::from(resource);
    call(
        libc::SYS_prlimit64,
        [0, resource, 0, (&raw mut now) as libc::c_long, 0],
    )?;
    let limit = limit.min(now[1]);
    let set = [limit, limit];
    call(
        libc::SYS_prlimit64,
        [0, resource, (&raw const set) as libc::c_long, 0, 0],
    )
    .map(drop)
}

// --- Namespaces -------------------------------------------------------------------------------------------------------

fn make_namespaces(fence: &Fence, namespaces: Namespaces) -> Staged<()> {
    let unshare = |flags: i32| call(libc::SYS_unshare, [flags.into(), 0, 0, 0, 0]);
    if namespaces.user {
        at(Stage::UserNamespace, unshare(libc::CLONE_NEWUSER))?;
        at(Stage::UserNamespace, keep_identity(&fence.identity))?;
    }
    if fence.is_alone {
        at(Stage::Network, unshare(libc::CLONE_NEWNET))?;
        at(Stage::Network, raise_loopback())?;
    }
    let kinds = libc::CLONE_NEWNS | libc::CLONE_NEWIPC;
    at(Stage::MountNamespace, unshare(kinds))?;
    at(Stage::MountNamespace, private_mounts())?;
    make_mounts(&fence.mounts)
}

fn keep_identity(identity: &Identity) -> io::Result<()> {
    sys::write_file(c"/proc/self/setgroups", b"deny")?;
    sys::write_file(c"/proc/self/uid_map", identity.user.to_bytes())?;
    sys::write_file(c"/proc/self/gid_map", identity.group.to_bytes())
}

/// Switches the one device of a new network on, with its usual addresses.
fn raise_loopback() -> io::Result<()> {
    /// The kernel's `struct ifreq`.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: libc::c_short,
        rest: [u8; 22],
    }
    let mut name = [0; 16];
    name[..2].copy_from_slice(b"lo");
    let request = Request {
        name,
        flags: (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short,
        rest: [0; 22],
    };
    let kind = libc::c_long::from(libc::SOCK_DGRAM | libc::SOCK_CLOEXEC);
    let socket = call(libc::SYS_socket, [libc::AF_INET.into(), kind, 0, 0, 0])?;
    let order = libc::SIOCSIFFLAGS as libc::c_long;
    let raised = call(
        libc::SYS_ioctl,
        [socket, order, (&raw const request) as libc::c_long, 0, 0],
    );
    sys::close(socket);
    raised.map(drop)
}

fn private_mounts() -> io::Result<()> {
    let flags = (libc::MS_REC | libc::MS_PRIVATE) as libc::c_long;
    mount(c"", c"/", c"", flags, c"")
}

fn make_mounts(mounts: &Mounts) -> Staged<()> {
    // What stays writable is taken hold of before everything becomes read-only, and put back in its place after.
    const HELD_MAX: usize = 64;
    let mut held = [-1; HELD_MAX];
    for (slot, (what, _)) in held.iter_mut().zip(&mounts.writable) {
        *slot = at(Stage::Mounts, copy_of(what))?;
    }
    at(
        Stage::ReadOnlyRoot,
        make_read_only(libc::AT_FDCWD.into(), c"/"),
    )?;
    for (tree, (_, place)) in held.iter().zip(&mounts.writable) {
        at(Stage::Mounts, put(*tree, place))?;
    }
    let flags = (libc::MS_NOSUID | libc::MS_NODEV) as libc::c_long;
    if mounts.has_shared_memory {
        // A machine without the folder needs no other one.
        let _ = mount(c"tmpfs", c"/dev/shm", c"tmpfs", flags, SHARED_MEMORY);
    }
    for path in &mounts.fixed {
        at(Stage::Mounts, fix(path))?;
    }
    let closed = flags | (libc::MS_RDONLY | libc::MS_NOEXEC) as libc::c_long;
    for path in &mounts.hidden_folders {
        let mounted = mount(c"tmpfs", path, c"tmpfs", closed, c"size=4k,mode=000");
        at(Stage::Mounts, mounted)?;
    }
    for path in &mounts.hidden_files {
        at(Stage::Mounts, hide_file(path))?;
    }
    Ok(())
}

fn mount(
    source: &CStr,
    target: &CStr,
    kind: &CStr,
    flags: libc::c_long,
    options: &CStr,
) -> io::Result<()> {
    let arguments = [
        pointer(source),
        pointer(target),
        pointer(kind),
        flags,
        pointer(options),
    ];
    call(libc::SYS_mount, arguments).map(drop)
}

/// A mount of its own of what is at a path that has no links in it.
fn copy_of(path: &CStr) -> io::Result<RawFd> {
    let there = sys::open_without_links(path)?;
    let flags = OPEN_TREE_CLONE
        | AT_RECURSIVE
        | libc::c_long::from(libc::AT_EMPTY_PATH)
        | libc::c_long::from(libc::O_CLOEXEC);
    let tree = call(SYS_OPEN_TREE, [there.into(), pointer(c""), flags, 0, 0]);
    sys::close(there.into());
    tree.map(|tree| tree as RawFd)
}

fn put(tree: RawFd, place: &CStr) -> io::Result<()> {
    let there = sys::open_without_links(place)?;
    const MOVE_MOUNT_T_EMPTY_PATH: libc::c_long = 0x40;
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let moved = call(
        libc::SYS_move_mount,
        [tree.into(), pointer(c""), there.into(), pointer(c""), flags],
    );
    sys::close(there.into());
    sys::close(tree.into());
    moved.map(drop)
}

const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NODEV: u64 = 4;

fn set_attributes(folder: libc::c_long, path: &CStr, attributes: u64) -> io::Result<()> {
    // Set, clear, propagation, user namespace.
    let change: [u64; 4] = [attributes, 0, 0, 0];
    let flags = AT_RECURSIVE | libc::c_long::from(libc::AT_EMPTY_PATH);
    let size = size_of_val(&change) as libc::c_long;
    call(
        libc::SYS_mount_setattr,
        [
            folder,
            pointer(path),
            flags,
            (&raw const change) as libc::c_long,
            size,
        ],
    )
    .map(drop)
}

fn make_read_only(folder: libc::c_long, path: &CStr) -> io::Result<()> {
    set_attributes(folder, path, MOUNT_ATTR_RDONLY)
}

fn fix(path: &CStr) -> io::Result<()> {
    let tree = copy_of(path)?;
    make_read_only(tree.into(), c"")?;
    put(tree, path)
}

fn hide_file(path: &CStr) -> io::Result<()> {
    let tree = copy_of(c"/dev/null")?;
    set_attributes(tree.into(), c"", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV)?;
    put(tree, path)
}

// --- Waiting ----------------------------------------------------------------------------------------------------------

fn pipe() -> io::Result<[RawFd; 2]> {
    let mut ends = [0; 2];
    let flags = libc::c_long::from(libc::O_CLOEXEC);
    call(
        libc::SYS_pipe2,
        [(&raw mut ends) as libc::c_long, flags, 0, 0, 0],
    )?;
    Ok(ends)
}

/// The signals that a warden and an init wait for, as a descriptor.
struct Signals {
    descriptor: RawFd,
    before: libc::sigset_t,
}

impl Signals {
    fn gather() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets live on this stack and are written before they are read; these functions take no lock.
        let (descriptor, before) = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
            if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            (
                libc::signalfd(-1, set.as_ptr(), flags),
                before.assume_init(),
            )
        };
        match descriptor {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(Self { descriptor, before }),
        }
    }

    fn release(&self) -> io::Result<()> {
        // SAFETY: the set was filled by the kernel in `gather`.
        match unsafe {
            libc::sigprocmask(
                libc::SIG_SETMASK,
                &raw const self.before,
                std::ptr::null_mut(),
            )
        } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The next signal that has arrived.
    fn next(&self) -> Option<i32> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        let arguments = [
            self.descriptor.into(),
            info.as_mut_ptr() as libc::c_long,
            size as libc::c_long,
            0,
            0,
        ];
        let n_read = call(libc::SYS_read, arguments).ok()?;
        // SAFETY: the kernel gives whole records only.
        (n_read == size as libc::c_long).then(|| unsafe { info.assume_init() }.ssi_signo as i32)
    }
}

enum Woken {
    Signal,
    LifelineCut,
    TimedOut,
}

/// Waits for a signal, the end of the lifeline, or so many milliseconds (for ever when negative).
fn wait(signals: &Signals, lifeline: RawFd, wait_ms: i64) -> Woken {
    let entry = |fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries = [entry(signals.descriptor), entry(lifeline)];
    let wait_ms = i32::try_from(wait_ms).unwrap_or(i32::MAX);
    // SAFETY: the entries live on this stack while the call runs.
    let n_ready = unsafe { libc::poll(entries.as_mut_ptr(), 2, wait_ms) };
    match n_ready {
        0 => Woken::TimedOut,
        _ if entries[1].revents != 0 => Woken::LifelineCut,
        _ => Woken::Signal,
    }
}

/// Who belongs to a program when it has ended.
#[derive(Clone, Copy, PartialEq)]
enum Household {
    /// All of the namespace, which the kernel clears with its init.
    Namespace,
    /// All whom this process has adopted, one after the other.
    Adopted,
}

/// Lets nothing of the engine stay open here, above all not the program's output.
fn withdraw(kept: [RawFd; 2]) {
    let [a, b] = kept;
    sys::close_all_but(&[a.min(b), a.max(b)]);
    // Nobody may look into what is a copy of the engine's memory.
    let _ = prctl(libc::PR_SET_DUMPABLE, 0);
}

/// Follows the program until it and all that it left behind are gone. Gives its status, as `wait` does.
fn tend(program: i32, signals: &Signals, other: RawFd, household: Household) -> i32 {
    withdraw([signals.descriptor, other]);
    // An init has no lifeline: it dies with its warden. The other descriptor is then where it tells the status.
    let lifeline = if household == Household::Adopted {
        other
    } else {
        -1
    };
    let mut status = None;
    let mut deadline = i64::MAX;
    loop {
        while let Some((process, ended)) = reap() {
            if process == program {
                status = Some(ended);
                deadline = now_ms() + AFTERMATH_MS;
            }
        }
        let left_ms = match status {
            None => -1,
            Some(status) if !has_children() => return status,
            Some(status) => match deadline - now_ms() {
                left_ms if left_ms > 0 => left_ms,
                _ => {
                    clear(household);
                    return status;
                }
            },
        };
        match wait(signals, lifeline, left_ms) {
            Woken::LifelineCut => {
                clear(household);
                return libc::SIGKILL;
            }
            Woken::TimedOut => {}
            Woken::Signal => {
                while let Some(signal) = signals.next() {
                    if signal == libc::SIGTERM {
                        sys::kill(-program, libc::SIGTERM);
                    }
                }
            }
        }
    }
}

fn wait_for_init(init: i32, signals: &Signals, lifeline: RawFd, told: RawFd) -> i32 {
    let mut kept = [signals.descriptor, lifeline, told];
    kept.sort_unstable();
    sys::close_all_but(&kept);
    let _ = prctl(libc::PR_SET_DUMPABLE, 0);
    let mut lifeline = lifeline;
    loop {
        while let Some((process, ended)) = reap() {
            if process == init {
                let mut status = [0; 4];
                let place = status.as_mut_ptr() as libc::c_long;
                return match call(libc::SYS_read, [told.into(), place, 4, 0, 0]) {
                    Ok(4) => i32::from_ne_bytes(status),
                    _ => ended,
                };
            }
        }
        match wait(signals, lifeline, -1) {
            Woken::LifelineCut => {
                sys::kill(init, libc::SIGKILL);
                lifeline = -1;
            }
            Woken::TimedOut => {}
            Woken::Signal => {
                while let Some(signal) = signals.next() {
                    if signal == libc::SIGTERM {
                        sys::kill(init, libc::SIGTERM);
                    }
                }
            }
        }
    }
}

/// Whether the engine went without having looked at what the program left.
fn is_orphaned(lifeline: RawFd) -> bool {
    let mut word = [0_u8];
    let place = word.as_mut_ptr() as libc::c_long;
    loop {
        match call(libc::SYS_read, [lifeline.into(), place, 1, 0, 0]) {
            Ok(1) if word[0] == END => {}
            // An end without the last word is a death; no end at all is an engine that lives.
            said => return matches!(said, Ok(0)),
        }
    }
}

/// If the engine is gone, does what it would have done: whatever the program put where nothing may be gets another name.
fn set_aside_for(fence: &Fence, lifeline: RawFd) {
    if !is_orphaned(lifeline) {
        return;
    }
    for Absent {
        folder,
        name,
        aside,
    } in &fence.absent
    {
        let Ok(folder) = sys::open_without_links(folder) else {
            continue;
        };
        const NO_REPLACE: libc::c_long = 1;
        let folder = libc::c_long::from(folder);
        let names = [folder, pointer(name), folder, pointer(aside), NO_REPLACE];
        // Nothing is there, or that name is taken, when the next engine finds it.
        let _ = call(libc::SYS_renameat2, names);
        sys::close(folder);
    }
}

/// A child that has ended, and how.
fn reap() -> Option<(i32, i32)> {
    let mut status = 0_i32;
    let arguments = [
        -1,
        (&raw mut status) as libc::c_long,
        libc::c_long::from(libc::WNOHANG),
        0,
        0,
    ];
    match call(libc::SYS_wait4, arguments) {
        Ok(process) if process > 0 => Some((process as i32, status)),
        _ => None,
    }
}

fn has_children() -> bool {
    let flags = libc::c_long::from(libc::WNOHANG | libc::WNOWAIT | libc::WEXITED);
    let all = libc::c_long::from(libc::P_ALL);
    call(libc::SYS_waitid, [all, 0, 0, flags, 0]).is_ok()
}

/// Ends whoever is left. In a namespace the kernel does it.
fn clear(household: Household) {
    if household == Household::Namespace {
        return;
    }
    // A killed child hands its own children on to this process, until nobody has any left. Bounded, should one be out
    // of reach: the engine looks once more.
    const ROUNDS_MAX: u32 = 10_000;
    for _ in 0..ROUNDS_MAX {
        kill_children();
        while reap().is_some() {}
        if !has_children() {
            return;
        }
        let pause = libc::timespec {
            tv_sec: 0,
            tv_nsec: 200_000,
        };
        let _ = call(
            libc::SYS_nanosleep,
            [(&raw const pause) as libc::c_long, 0, 0, 0, 0],
        );
    }
}

fn kill_children() {
    let path = pointer(c"/proc/thread-self/children");
    let flags = libc::c_long::from(libc::O_RDONLY | libc::O_CLOEXEC);
    let opened = call(libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags, 0, 0]);
    let Ok(file) = opened else {
        return;
    };
    let mut buffer = [0_u8; 4096];
    let place = buffer.as_mut_ptr() as libc::c_long;
    let read = call(libc::SYS_read, [file, place, 4096, 0, 0]);
    sys::close(file);
    let n_read = read.ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let mut number = 0_i32;
    for byte in &buffer[..n_read] {
        match byte {
            b'0'..=b'9' => {
                number = number
                    .saturating_mul(10)
                    .saturating_add(i32::from(byte - b'0'))
            }
            _ => {
                if number > 1 {
                    sys::kill(number, libc::SIGKILL);
                }
                number = 0;
            }
        }
    }
}

fn now_ms() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure lives on this stack; the call takes no lock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// Ends this process as the program ended.
fn mirror(status: i32) -> ! {
    if libc::WIFEXITED(status) {
        sys::exit(libc::WEXITSTATUS(status));
    }
    let signal = libc::WTERMSIG(status);
    let _ = set_limit(libc::RLIMIT_CORE, 0);
    // SAFETY: this process is about to end by this signal and has one thread.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
        libc::kill(libc::getpid(), signal);
    }
    sys::exit(128 + signal)
}
