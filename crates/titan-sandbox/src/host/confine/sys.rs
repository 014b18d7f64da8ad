//! System calls that are safe between fork and exec: no memory is taken, no lock is held.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Calls the kernel. Pointers in `arguments` must hold what the call expects for as long as it runs.
pub(super) fn call(number: libc::c_long, arguments: [libc::c_long; 5]) -> io::Result<libc::c_long> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the calls made here read and write only what their arguments point to, which the callers own.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}

pub(super) fn prctl(option: i32, argument: libc::c_ulong) -> io::Result<()> {
    call(
        libc::SYS_prctl,
        [option.into(), argument as libc::c_long, 0, 0, 0],
    )
    .map(drop)
}

pub(super) fn pointer(text: &CStr) -> libc::c_long {
    text.as_ptr() as libc::c_long
}

pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Holds a path, links nowhere followed.
pub(super) fn open_without_links(path: &CStr) -> io::Result<RawFd> {
    #[repr(C)]
    struct How {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = How {
        flags: (libc::O_PATH | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: libc::RESOLVE_NO_SYMLINKS,
    };
    let opened = call(
        libc::SYS_openat2,
        [
            libc::AT_FDCWD.into(),
            pointer(path),
            (&raw const how) as libc::c_long,
            size_of::<How>() as libc::c_long,
            0,
        ],
    )?;
    Ok(opened as RawFd)
}

/// Closes a descriptor that this code opened itself.
pub(super) fn close(descriptor: libc::c_long) {
    // A descriptor of our own that can't be closed is closed all the same.
    let _ = call(libc::SYS_close, [descriptor, 0, 0, 0, 0]);
}

/// Closes all but these, which must be in order.
pub(super) fn close_all_but(kept: &[RawFd]) {
    let mut first: libc::c_long = 0;
    for descriptor in kept.iter().filter(|descriptor| **descriptor >= 0) {
        let kept = libc::c_long::from(*descriptor);
        if first < kept {
            close_range(first, kept - 1);
        }
        first = kept + 1;
    }
    close_range(first, libc::c_long::from(u32::MAX));
}

fn close_range(first: libc::c_long, last: libc::c_long) {
    /// Looked through on kernels before 5.9, which can't close many at once.
    const DESCRIPTORS_MAX: libc::c_long = 65_536;
    if call(libc::SYS_close_range, [first, last, 0, 0, 0]).is_err() {
        (first..=last.min(DESCRIPTORS_MAX)).for_each(close);
    }
}

/// Writes into an existing file of the kernel's.
pub(super) fn write_file(path: &CStr, bytes: &[u8]) -> io::Result<()> {
    let flags = libc::c_long::from(libc::O_WRONLY | libc::O_CLOEXEC);
    let file = call(
        libc::SYS_openat,
        [libc::AT_FDCWD.into(), pointer(path), flags, 0, 0],
    )?;
    let written = write(file, bytes);
    close(file);
    written
}

pub(super) fn write(file: libc::c_long, bytes: &[u8]) -> io::Result<()> {
    let written = call(
        libc::SYS_write,
        [
            file,
            bytes.as_ptr() as libc::c_long,
            bytes.len() as libc::c_long,
            0,
            0,
        ],
    )?;
    match usize::try_from(written) == Ok(bytes.len()) {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(libc::EIO)),
    }
}

/// Makes a process. The child gets 0.
pub(super) fn fork(namespaces: i32) -> io::Result<i32> {
    let flags = libc::c_long::from(libc::SIGCHLD | namespaces);
    call(libc::SYS_clone, [flags, 0, 0, 0, 0]).map(|id| id as i32)
}

pub(super) fn kill(process: i32, signal: i32) {
    // Whoever is gone needs no signal.
    let _ = call(libc::SYS_kill, [process.into(), signal.into(), 0, 0, 0]);
}

pub(super) fn exit(status: i32) -> ! {
    // SAFETY: ends this process without running anything of the engine's.
    unsafe { libc::_exit(status) }
}
