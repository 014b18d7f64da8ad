//! The filter of system calls: what no program needs for work in a folder, and every way to the network.
//!
//! It is written by hand, since it must also refuse the second numbering of x86-64 (x32), through which every call
//! could be reached again. All that is not listed is allowed: Landlock and the namespaces hold the files.

use super::sys::call;
use std::io;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_003E);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_00B7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<u32> = None;

/// Where the x32 numbers of x86-64 begin. No other architecture has so many calls.
const X32: u32 = 0x4000_0000;

/// Offsets in the kernel's description of a call, little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;
const SECOND_ARGUMENT: u32 = 24;
const THIRD_ARGUMENT: u32 = 32;

/// New namespaces, asked of `clone`.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

const FORBIDDEN: [libc::c_long; 47] = [
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // The kernel's own insides.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_syslog,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // `open_tree_attr`, newer than the bindings.
    467,
];

/// Calls that programs do without when the kernel says that it does not know them.
const UNKNOWN: [libc::c_long; 4] = [
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Its flags lie in memory, where a filter can't look; `clone` does the same.
    libc::SYS_clone3,
];

/// Terminal input pushed back as if it were typed, and the console's own orders.
const FORBIDDEN_IOCTLS: [libc::c_ulong; 2] = [libc::TIOCSTI as libc::c_ulong, 0x541C];

/// A filter, ready to be put into force.
#[derive(Debug)]
pub(super) struct Filter(Vec<libc::sock_filter>);

/// Whether the kernel filters calls, and this architecture's numbers are known here.
pub(super) fn is_available() -> bool {
    const GET_ACTION_AVAIL: libc::c_long = 2;
    let action: u32 = libc::SECCOMP_RET_ERRNO;
    let asked = call(
        libc::SYS_seccomp,
        [
            GET_ACTION_AVAIL,
            0,
            (&raw const action) as libc::c_long,
            0,
            0,
        ],
    );
    ARCHITECTURE.is_some() && asked.is_ok()
}

impl Filter {
    /// Without a network, no socket can be made at all but a pair. With one, be it the program's own, those of the
    /// internet.
    pub(super) fn new(has_network: bool) -> Self {
        let mut code = Code(Vec::new());
        code.load(ARCHITECTURE_AT);
        code.unless_equal(
            ARCHITECTURE.unwrap_or_default(),
            libc::SECCOMP_RET_KILL_PROCESS,
        );
        code.load(NUMBER);
        code.if_at_least(X32, errno(libc::ENOSYS));
        for number in FORBIDDEN {
            code.if_equal(number as u32, errno(libc::EPERM));
        }
        for number in UNKNOWN {
            code.if_equal(number as u32, errno(libc::ENOSYS));
        }
        code.within(libc::SYS_clone, |code| {
            code.load(FIRST_ARGUMENT);
            code.if_any_bit(NAMESPACES, errno(libc::EPERM));
        });
        code.within(libc::SYS_ioctl, |code| {
            code.load(SECOND_ARGUMENT);
            for request in FORBIDDEN_IOCTLS {
                code.if_equal(request as u32, errno(libc::EPERM));
            }
        });
        code.within(libc::SYS_socket, |code| socket(code, has_network));
        code.give(libc::SECCOMP_RET_ALLOW);
        Self(code.0)
    }

    /// Puts the filter into force for the calling thread and all that it starts, for good.
    ///
    /// Async-signal-safe. The caller has given up new privileges before.
    pub(super) fn enforce(&self) -> io::Result<()> {
        const SET_MODE_FILTER: libc::c_long = 1;
        let program = libc::sock_fprog {
            len: self.0.len() as u16,
            filter: self.0.as_ptr().cast_mut(),
        };
        call(
            libc::SYS_seccomp,
            [
                SET_MODE_FILTER,
                0,
                (&raw const program) as libc::c_long,
                0,
                0,
            ],
        )
        .map(drop)
    }
}

fn socket(code: &mut Code, has_network: bool) {
    if has_network {
        code.load(FIRST_ARGUMENT);
        code.if_equal(libc::AF_INET as u32, libc::SECCOMP_RET_ALLOW);
        code.if_equal(libc::AF_INET6 as u32, libc::SECCOMP_RET_ALLOW);
        // Resolvers ask the kernel for its addresses this way.
        code.unless_equal(libc::AF_NETLINK as u32, errno(libc::EACCES));
        code.load(THIRD_ARGUMENT);
        code.if_equal(libc::NETLINK_ROUTE as u32, libc::SECCOMP_RET_ALLOW);
    }
    code.give(errno(libc::EACCES));
}

fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number as u32
}

/// A filter as it is written.
struct Code(Vec<libc::sock_filter>);

impl Code {
    fn put(&mut self, code: u32, jt: u8, jf: u8, k: u32) {
        let code = code as u16;
        self.0.push(libc::sock_filter { code, jt, jf, k });
    }

    fn load(&mut self, offset: u32) {
        self.put(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    }

    fn give(&mut self, verdict: u32) {
        self.put(libc::BPF_RET | libc::BPF_K, 0, 0, verdict);
    }

    fn if_equal(&mut self, value: u32, verdict: u32) {
        self.put(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, value);
        self.give(verdict);
    }

    fn unless_equal(&mut self, value: u32, verdict: u32) {
        self.put(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, value);
        self.give(verdict);
    }

    fn if_at_least(&mut self, value: u32, verdict: u32) {
        self.put(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, value);
        self.give(verdict);
    }

    fn if_any_bit(&mut self, bits: u32, verdict: u32) {
        self.put(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, bits);
        self.give(verdict);
    }

    /// Instructions for one call; it is allowed if they come to no verdict.
    fn within(&mut self, number: libc::c_long, inner: impl FnOnce(&mut Self)) {
        let mut body = Self(Vec::new());
        inner(&mut body);
        body.give(libc::SECCOMP_RET_ALLOW);
        let length = body.0.len() as u8;
        self.put(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            length,
            number as u32,
        );
        self.0.append(&mut body.0);
    }
}
