//! Processes: what one cost from start to end, and what a running one uses now.

use anyhow::{Context, Result, bail};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a process cost, all told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// From before it was started until it was gone.
    pub(crate) wall: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory that it held at a time. A child begins as a copy of this process, so this is never less than
    /// what this small program itself holds; drivers that need much run last.
    pub(crate) resident_bytes_max: u64,
}

/// Runs a command to its end, its output unseen. Fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<Cost> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let started = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let (status, usage) = wait(child.id())?;
    let wall = started.elapsed();
    if status != 0 {
        bail!("{command:?} ended with wait status {status}");
    }
    Ok(Cost {
        wall,
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        resident_bytes_max: u64::try_from(usage.ru_maxrss)? * 1024,
    })
}

/// Waits for a child and takes its accounts, which the standard library drops.
fn wait(pid: u32) -> Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: `rusage` is a plain C struct of numbers, for which all zeroes are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the types that wait4 fills.
    let waited = unsafe { libc::wait4(pid.cast_signed(), &raw mut status, 0, &raw mut usage) };
    if waited != pid.cast_signed() {
        return Err(std::io::Error::last_os_error()).context("waiting for a child");
    }
    Ok((status, usage))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = Duration::from_secs(time.tv_sec.unsigned_abs());
    seconds + Duration::from_micros(time.tv_usec.unsigned_abs())
}

/// Allows this process as many open files as the system lets it: a thousand streams are a thousand sockets here, and
/// the usual soft limit is 1,024. Processes that are started later inherit it.
pub(crate) fn raise_open_files_limit() -> Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live value of the type that getrlimit fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(std::io::Error::last_os_error()).context("reading the limit of open files");
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a live value, which setrlimit only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(std::io::Error::last_os_error()).context("raising the limit of open files");
    }
    Ok(())
}

/// Memory that a running process holds now, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    status_field(pid, "VmRSS:")
}

/// The most memory that a running process has held so far, in bytes.
pub(crate) fn resident_bytes_max(pid: u32) -> Result<u64> {
    status_field(pid, "VmHWM:")
}

fn status_field(pid: u32, field: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes.context("no such field in /proc")?.parse()?;
    Ok(kibibytes * 1024)
}

/// Processor time that a running process has used so far, all its threads together.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // The first number is nanoseconds on a processor; `stat` has only ticks of ten milliseconds.
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanoseconds = text.split(' ').next().unwrap_or_default().parse()?;
        total += Duration::from_nanos(nanoseconds);
    }
    Ok(total)
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Megabytes of a million bytes.
#[allow(
    clippy::cast_precision_loss,
    reason = "sizes here are far below 2^52 bytes"
)]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_charged_for_its_own_work() {
        let mut busy = Command::new("sh");
        busy.args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]);
        let busy = run(&mut busy).unwrap();
        let idle = run(Command::new("true").arg("")).unwrap();
        assert!(busy.cpu > idle.cpu, "{busy:?} {idle:?}");
        assert!(busy.resident_bytes_max > 500_000);
    }

    #[test]
    fn a_failing_process_is_no_measurement() {
        assert!(run(&mut Command::new("false")).is_err());
    }

    #[test]
    fn the_limit_of_open_files_can_be_raised() {
        raise_open_files_limit().unwrap();
        raise_open_files_limit().unwrap();
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() <= resident_bytes_max(pid).unwrap());
        assert!(cpu(pid).unwrap() > Duration::ZERO);
    }
}
