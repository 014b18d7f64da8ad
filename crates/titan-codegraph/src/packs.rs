//! Which files are open, and what is ready to be known about them: the ports [`Presence`] and [`Packs`].
//!
//! A pack is put together of what the ports `CodeGraph`, `History` and `Memory` say of a file. It is made in the
//! background when a file is opened and when it changes, and kept while it is open; fetching it is a look into a table.
//! Both are bounded: so many files, and so many bytes each.

mod make;
mod named;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use titan_protocol::{
    ClientError, CodeGraph, History, Memory, OPEN_FILES_MAX, OPENER_CHARS_MAX, OpenFile, Pack,
    Packs, Presence, UnixMillis, Workbench, WorkbenchError,
};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often open files are looked at for changes.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// A pack that is so old is made anew, for notes and history may have changed beside the file.
const AGE_MAX_MS: u64 = 10 * 60 * 1_000;

/// Files and names of one question that something is told of.
const NAMED_MAX: usize = 4;
/// Files that one turn of a session opens at most.
const WORKED_ON_MAX: usize = 8;
/// What a session has changed counts as open for so long.
const WORKED_ON_MS: u64 = 30 * 60 * 1_000;

/// Opens a folder as a place to work.
pub type OpenFolder =
    Arc<dyn Fn(&Path) -> Result<Arc<dyn Workbench>, WorkbenchError> + Send + Sync>;

/// What packs are made of.
#[derive(Clone)]
pub struct PackPorts {
    /// What the file defines, and who uses it.
    pub code: Arc<dyn CodeGraph>,
    /// Who changed it, and why.
    pub history: Arc<dyn History>,
    /// What is noted of it.
    pub memory: Arc<dyn Memory>,
    /// Opens the folder that a file is read in.
    pub open_workbench: OpenFolder,
    /// The time.
    pub clock: fn() -> UnixMillis,
}

/// The files that are open, with their packs. Clones are the same.
#[derive(Clone)]
pub struct OpenFiles {
    shared: Arc<Shared>,
}

struct Shared {
    ports: PackPorts,
    /// Last opened last.
    files: Mutex<Vec<Open>>,
    changed: Arc<Notify>,
}

impl Drop for Shared {
    /// Whoever keeps packs ready need not wait for more.
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

struct Open {
    path: PathBuf,
    by: By,
    at: UnixMillis,
    ready: Option<Ready>,
}

/// Who opened a file.
enum By {
    /// Somebody who will say when it is open no longer, by name.
    Named(String),
    /// A session that has changed it.
    Session,
}

struct Ready {
    pack: Arc<Pack>,
    /// What the file was when the pack was begun.
    stamp: Option<Stamp>,
}

/// What tells two states of a file apart.
type Stamp = (Option<SystemTime>, u64);

impl OpenFiles {
    /// No file is open. Packs are made on the runtime that this is called on, until the last clone is gone.
    pub fn start(ports: PackPorts) -> Self {
        let shared = Arc::new(Shared {
            ports,
            files: Mutex::default(),
            changed: Arc::default(),
        });
        tokio::spawn(keep_ready(Arc::downgrade(&shared)));
        Self { shared }
    }
}

impl Shared {
    fn note(&self, path: PathBuf, by: By) {
        let at = (self.ports.clock)();
        let mut files = self.files.lock();
        let known = files.iter().position(|open| open.path == path);
        let ready = known.and_then(|at| files.remove(at).ready);
        if files.len() >= OPEN_FILES_MAX {
            files.remove(0);
        }
        files.push(Open {
            path,
            by,
            at,
            ready,
        });
        drop(files);
        self.changed.notify_one();
    }

    fn ready(&self, path: &Path) -> Option<Arc<Pack>> {
        let files = self.files.lock();
        let open = files.iter().find(|open| open.path == *path)?;
        open.ready.as_ref().map(|ready| Arc::clone(&ready.pack))
    }

    /// Takes the pack of a file in, if that is still open.
    fn keep(&self, pack: Pack, stamp: Option<Stamp>) {
        let mut files = self.files.lock();
        if let Some(open) = files.iter_mut().find(|open| open.path == pack.path) {
            let pack = Arc::new(pack);
            open.ready = Some(Ready { pack, stamp });
        }
    }

    /// Closes what sessions have changed long ago.
    fn let_go(&self) {
        let now = (self.ports.clock)();
        let is_open = |open: &Open| match open.by {
            By::Named(_) => true,
            By::Session => now.saturating_sub(open.at) < WORKED_ON_MS,
        };
        self.files.lock().retain(is_open);
    }

    /// The files whose packs are not those of what lies on the disk now, the last opened first.
    async fn stale(&self) -> Vec<PathBuf> {
        let now = (self.ports.clock)();
        let known: Vec<(PathBuf, Option<Stamp>)> = {
            let files = self.files.lock();
            let fresh = |ready: &&Ready| now.saturating_sub(ready.pack.made_at) < AGE_MAX_MS;
            let state = |open: &Open| {
                let ready = open.ready.as_ref().filter(fresh);
                (open.path.clone(), ready.and_then(|ready| ready.stamp))
            };
            files.iter().rev().map(state).collect()
        };
        let mut stale = Vec::new();
        for (path, stamp) in known {
            if stamp.is_none() || stamp != stamp_of(&path).await {
                stale.push(path);
            }
        }
        stale
    }
}

async fn stamp_of(path: &Path) -> Option<Stamp> {
    let found = tokio::fs::metadata(path).await.ok()?;
    Some((found.modified().ok(), found.len()))
}

/// Makes the packs that are missing or stale, one after another, as long as somebody holds the files.
async fn keep_ready(shared: Weak<Shared>) {
    loop {
        let Some(held) = shared.upgrade() else { return };
        held.let_go();
        for path in held.stale().await {
            let stamp = stamp_of(&path).await;
            match make::pack(&held.ports, &path).await {
                // One that lacks something is as good as stale.
                Ok((pack, is_whole)) => held.keep(pack, stamp.filter(|_| is_whole)),
                // It is gone, or may not be read any more.
                Err(error) => {
                    tracing::debug!(%error, "an open file has no pack");
                    held.files.lock().retain(|open| open.path != path);
                }
            }
        }
        let changed = Arc::clone(&held.changed);
        let is_none_open = held.files.lock().is_empty();
        drop(held);
        tokio::select! {
            () = changed.notified() => {}
            () = tokio::time::sleep(LOOK_INTERVAL), if !is_none_open => {}
        }
    }
}

#[async_trait]
impl Presence for OpenFiles {
    async fn open(&self, path: PathBuf, by: String) -> Result<(), ClientError> {
        if by.trim().is_empty() || by.chars().count() > OPENER_CHARS_MAX {
            return Err(ClientError::Refused(format!(
                "who has a file open is said in 1 to {OPENER_CHARS_MAX} characters"
            )));
        }
        let place = make::place(&self.shared.ports, &path).await?;
        self.shared.note(place.path, By::Named(make::line(&by)));
        Ok(())
    }

    async fn close(&self, path: PathBuf) -> Result<(), ClientError> {
        let real = tokio::fs::canonicalize(&path).await.unwrap_or(path);
        self.shared.files.lock().retain(|open| open.path != real);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<OpenFile>, ClientError> {
        let files = self.shared.files.lock();
        let told = |open: &Open| OpenFile {
            path: open.path.clone(),
            by: match &open.by {
                By::Named(name) => name.clone(),
                By::Session => "session".to_owned(),
            },
            at: open.at,
            is_ready: open.ready.is_some(),
        };
        Ok(files.iter().rev().map(told).collect())
    }

    async fn pack(&self, path: PathBuf) -> Result<Pack, ClientError> {
        if let Some(ready) = self.shared.ready(&path) {
            return Ok(Pack::clone(&ready));
        }
        let place = make::place(&self.shared.ports, &path).await?;
        match self.shared.ready(&place.path) {
            Some(ready) => Ok(Pack::clone(&ready)),
            None => Ok(make::pack(&self.shared.ports, &path).await?.0),
        }
    }
}

#[async_trait]
impl Packs for OpenFiles {
    fn ready(&self, workspace: &Path) -> Vec<Arc<Pack>> {
        let files = self.shared.files.lock();
        let inside = files
            .iter()
            .rev()
            .filter(|open| open.path.starts_with(workspace));
        inside
            .filter_map(|open| open.ready.as_ref().map(|ready| Arc::clone(&ready.pack)))
            .collect()
    }

    async fn named(&self, workspace: &Path, asked: &str, wait_max: Duration) -> Vec<Arc<Pack>> {
        let until = Instant::now() + wait_max;
        let mut packs: Vec<Arc<Pack>> = Vec::new();
        let names = named::names(asked);
        for name in &names {
            let found = match self.shared.ready(&workspace.join(name)) {
                Some(ready) => Some(ready),
                None => named::pack(&self.shared.ports, workspace, name, &names, until).await,
            };
            packs.extend(found);
            if packs.len() == NAMED_MAX {
                break;
            }
        }
        packs
    }

    fn worked_on(&self, paths: Vec<PathBuf>) {
        for path in paths.into_iter().take(WORKED_ON_MAX) {
            self.shared.note(path, By::Session);
        }
    }
}
