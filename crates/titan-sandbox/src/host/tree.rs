//! The processes that a program started, wherever they went.
//!
//! A process belongs to the tree if it is in the program's session, carries the run's marker in its environment, or
//! descends from one that does. That finds background jobs, double forks and `setsid`, but is only the second look:
//! the kernel ends all of a namespace of processes, and where there is none, a program's warden adopts and ends what it
//! left behind.

use super::process::MARKER;
use rustix::process::{Pid, Signal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Looks at the process table before the sweep gives up on a tree that outruns it.
const SWEEPS_MAX: u32 = 100;

/// Between two looks.
const SWEEP_PAUSE: Duration = Duration::from_millis(1);

/// The program of one run and all that it started.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    leader: Option<Pid>,
    /// When the leader started, in the kernel's ticks. Older processes are none of ours, whatever their numbers.
    since: Option<u64>,
    marker: String,
    /// Whether the kernel ends them all with the leader, so that nobody needs to be looked for.
    is_contained: bool,
}

impl Tree {
    /// Marks no other run of this process.
    pub(super) fn fresh_marker() -> String {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        format!("{}-{n}", std::process::id())
    }

    /// The tree of a program that was just started and is not reaped yet.
    pub(super) fn of(leader: Option<u32>, marker: String, is_contained: bool) -> Self {
        let leader = leader
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Self {
            leader,
            since: leader.and_then(Process::look).map(|leader| leader.started),
            marker,
            is_contained,
        }
    }

    /// Asks the leader's group to end. Call it only while the leader is not reaped: its number is then its own.
    pub(super) fn ask_to_end(&self) {
        self.signal_group(Signal::TERM);
    }

    fn signal_group(&self, signal: Signal) {
        let Some(leader) = self.leader else {
            return;
        };
        match rustix::process::kill_process_group(leader, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!(?leader, %error, "a program's group can't be signalled"),
        }
    }

    /// Who is in the tree now. Take it before anybody dies: an orphan no longer shows whose child it was.
    pub(super) async fn census(&self) -> Census {
        if self.is_contained {
            return Census::default();
        }
        let tree = self.clone();
        let counted = tokio::task::spawn_blocking(move || tree.members(&Census::default())).await;
        match counted {
            Ok(members) => Census(members),
            Err(error) => {
                tracing::warn!(%error, "the census of a program broke off");
                Census::default()
            }
        }
    }

    /// Kills all that is left of the tree, those of an earlier census too, and returns when nothing is, or when it
    /// could not be done. Dropping the future does not stop the work.
    pub(super) async fn end(&self, known: Census) {
        if self.is_contained {
            return;
        }
        let tree = self.clone();
        let swept = tokio::task::spawn_blocking(move || tree.sweep(&known)).await;
        match swept {
            Ok(0) => {}
            Ok(left) => tracing::warn!(left, "processes of an ended program can't be killed"),
            Err(error) => tracing::warn!(%error, "the sweep after a program broke off"),
        }
    }

    /// Kills until nobody is found. Returns how many are left.
    fn sweep(&self, known: &Census) -> usize {
        let mut left = 0;
        for _ in 0..SWEEPS_MAX {
            let members = self.members(known);
            left = members.len();
            if left == 0 {
                break;
            }
            for member in members {
                member.kill();
            }
            // A blocking thread: the kernel needs a moment to take the dead off the table.
            std::thread::sleep(SWEEP_PAUSE);
        }
        left
    }

    /// The living processes of the tree.
    fn members(&self, known: &Census) -> Vec<Process> {
        let Some(since) = self.since else {
            return Vec::new();
        };
        let young: BTreeMap<i32, Process> = processes()
            .filter(|process| process.started >= since)
            .map(|process| (process.pid.as_raw_nonzero().get(), process))
            .collect();
        let leader = self.leader.map(|leader| leader.as_raw_nonzero().get());
        let mut found: BTreeSet<i32> = young
            .iter()
            .filter(|(pid, process)| {
                Some(**pid) == leader
                    || Some(process.session) == leader
                    || known.holds(process)
                    || process.is_marked(&self.marker)
            })
            .map(|(pid, _)| *pid)
            .collect();
        loop {
            let children: Vec<i32> = young
                .iter()
                .filter(|(pid, process)| !found.contains(pid) && found.contains(&process.parent))
                .map(|(pid, _)| *pid)
                .collect();
            if children.is_empty() {
                break;
            }
            found.extend(children);
        }
        young
            .into_values()
            .filter(|process| found.contains(&process.pid.as_raw_nonzero().get()))
            .filter(|process| !process.is_dead)
            .collect()
    }
}

/// The members of a tree at one moment.
#[derive(Debug, Default)]
pub(super) struct Census(Vec<Process>);

impl Census {
    fn holds(&self, process: &Process) -> bool {
        let is_same =
            |known: &Process| known.pid == process.pid && known.started == process.started;
        self.0.iter().any(is_same)
    }
}

/// A line of the process table.
#[derive(Clone, Copy, Debug)]
struct Process {
    pid: Pid,
    parent: i32,
    session: i32,
    started: u64,
    is_dead: bool,
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        Process::look(Pid::from_raw(number)?)
    })
}

impl Process {
    /// What the kernel tells of a process; `None` when it is gone.
    fn look(pid: Pid) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        Self::parse(pid, &text)
    }

    fn parse(pid: Pid, stat: &str) -> Option<Self> {
        // The name stands in brackets and may hold anything, brackets and blanks too.
        let (_, after_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
        let field = |n: usize| fields.get(n).copied();
        Some(Self {
            pid,
            is_dead: matches!(field(0)?, "Z" | "X"),
            parent: field(1)?.parse().ok()?,
            session: field(3)?.parse().ok()?,
            started: field(19)?.parse().ok()?,
        })
    }

    fn is_marked(&self, marker: &str) -> bool {
        let path = format!("/proc/{}/environ", self.pid.as_raw_nonzero());
        let Ok(environment) = std::fs::read(path) else {
            return false;
        };
        let wanted = format!("{MARKER}={marker}");
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == wanted.as_bytes())
    }

    /// Kills this very process: its number is held while we make sure that it is still the same.
    #[cfg(target_os = "linux")]
    fn kill(&self) {
        use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
        let Ok(held) = pidfd_open(self.pid, PidfdFlags::empty()) else {
            return;
        };
        let is_same = Self::look(self.pid).is_some_and(|now| now.started == self.started);
        if is_same && let Err(error) = pidfd_send_signal(&held, Signal::KILL) {
            tracing::debug!(pid = ?self.pid, %error, "a process can't be killed");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn kill(&self) {
        let is_same = Self::look(self.pid).is_some_and(|now| now.started == self.started);
        if is_same && let Err(error) = rustix::process::kill_process(self.pid, Signal::KILL) {
            tracing::debug!(pid = ?self.pid, %error, "a process can't be killed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_name_imitates_the_table_is_read_right() {
        let pid = Pid::from_raw(7).unwrap();
        let stat = "7 (a) R 1 (b) S 5 6 4 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 999 0";
        let process = Process::parse(pid, stat).unwrap();
        assert_eq!(
            (process.parent, process.session, process.started),
            (5, 4, 999)
        );
    }
}
