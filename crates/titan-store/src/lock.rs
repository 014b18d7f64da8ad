//! One process owns a home, and one connection in it writes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use titan_protocol::StorageError;

/// How long what a killed engine left behind may take to end. Only then is a lock waited for.
const DYING_MAX: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// The home is ours for as long as this lives. The kernel gives the lock back when the process ends, however it ends.
pub(crate) struct HomeLock {
    _file: File,
    writer_is_taken: AtomicBool,
}

/// The right to open the one connection that writes and checkpoints. There is one for each lock, and it can't be copied.
pub(crate) struct WriterToken(());

impl HomeLock {
    pub(crate) fn acquire(home: &Path) -> Result<Self, StorageError> {
        let path = home.join("lock");
        let unusable = |error: std::io::Error| {
            StorageError::Failed(format!(
                "{} can't be locked ({error}): check that you own {} and may write there",
                path.display(),
                home.display()
            ))
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(unusable)?;
        let until = Instant::now() + DYING_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // What an engine that was killed had just started shares its lock until it has ended too.
                Err(TryLockError::WouldBlock)
                    if Instant::now() < until && owner_is_gone(&mut file) =>
                {
                    std::thread::sleep(LOOK_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => return Err(locked(home, &mut file)),
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
        }
        write_pid(&mut file).map_err(unusable)?;
        Ok(Self {
            _file: file,
            writer_is_taken: AtomicBool::new(false),
        })
    }

    /// `None` from the second call on.
    pub(crate) fn take_writer(&self) -> Option<WriterToken> {
        let was_taken = self.writer_is_taken.swap(true, Ordering::AcqRel);
        (!was_taken).then_some(WriterToken(()))
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

/// Whether the process that says that it holds the lock does not live any more.
fn owner_is_gone(file: &mut File) -> bool {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let pid = read.ok().and_then(|_| text.parse().ok());
    let pid = pid.and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

fn locked(home: &Path, file: &mut File) -> StorageError {
    let mut pid = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut pid));
    let owner = match read {
        Ok(_) if !pid.is_empty() => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    StorageError::Locked(format!(
        "{owner} holds {}: commands attach to it through its control socket. To free the home, stop it with \
         `titanclaw daemon stop`; or choose another home with `--home`.",
        home.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_told_who_holds_the_home_and_what_to_do() {
        let home = tempfile::tempdir().expect("a folder");
        let held = HomeLock::acquire(home.path()).expect("the home is free");
        let Err(StorageError::Locked(text)) = HomeLock::acquire(home.path()) else {
            panic!("a held home can't be locked twice");
        };
        assert!(text.starts_with(&format!("process {} holds", std::process::id())));
        assert!(text.contains("attach to it through its control socket"));
        drop(held);
        HomeLock::acquire(home.path()).expect("a lock that was dropped is free");
    }

    #[test]
    fn a_home_gives_out_one_right_to_write() {
        let home = tempfile::tempdir().expect("a folder");
        let lock = HomeLock::acquire(home.path()).expect("the home is free");
        assert!(lock.take_writer().is_some());
        assert!(lock.take_writer().is_none());
    }
}
