//! Reads the terminal on a thread of its own.
//!
//! A terminal that hangs up keeps whoever reads it through crossterm busy for ever, so crossterm reads only what is there,
//! and never where others wait for it.

use super::key::Key;
use super::screen::key_of;
use crossterm::event::{poll as has_event, read};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Reads that wait to be taken.
const READS_MAX: usize = 64;
/// Keys of one read.
const KEYS_MAX: usize = 1_024;
/// How long the end of reading may take.
const STOP_WAIT_MAX: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

type Read = io::Result<Vec<Key>>;

/// The keys of the terminal, until dropped.
pub(super) struct Reader {
    reads: mpsc::Receiver<Read>,
    is_stopped: Arc<AtomicBool>,
}

impl Reader {
    /// Begins to read.
    pub(super) fn start() -> io::Result<Self> {
        let (sender, reads) = mpsc::channel(READS_MAX);
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = is_stopped.clone();
        std::thread::Builder::new()
            .name("keys".into())
            .spawn(move || read_on(&sender, &stop))?;
        Ok(Self { reads, is_stopped })
    }

    /// The keys that came at once, none where the terminal told something else. `None` when it has hung up. Dropping the
    /// future loses none.
    pub(super) async fn next(&mut self) -> Option<Read> {
        self.reads.recv().await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

fn read_on(sender: &mpsc::Sender<Read>, is_stopped: &AtomicBool) {
    while !is_stopped.load(Ordering::Relaxed) {
        let keys = match wait() {
            Ok(Wait::Nothing) => continue,
            Ok(Wait::HungUp) => return,
            Ok(Wait::Input) => read_at_once(),
            Err(error) => Err(error),
        };
        let is_last = keys.is_err();
        if sender.blocking_send(keys).is_err() || is_last {
            return;
        }
    }
}

enum Wait {
    Nothing,
    Input,
    HungUp,
}

fn wait() -> io::Result<Wait> {
    let stdin = io::stdin();
    let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut ready, Some(&STOP_WAIT_MAX)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Wait::Nothing),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let gone = PollFlags::HUP | PollFlags::ERR;
    Ok(match ready[0].revents().intersects(gone) {
        true => Wait::HungUp,
        false => Wait::Input,
    })
}

/// What is there. Keys of one piece stay together: what came at once was not pressed.
fn read_at_once() -> Read {
    let mut keys = Vec::new();
    while keys.len() < KEYS_MAX && has_event(Duration::ZERO)? {
        keys.extend(key_of(read()?));
    }
    Ok(keys)
}
