//! Keeps what a turn is about to change, so that an undo can put it back.
//!
//! [`Recording`] stands before the workbench of a turn: all that its tools do to files goes through it. What a file tool
//! changes is kept and told before it happens. What a program changes is not seen, so the workspace is surveyed before
//! and after it, against a [`Baseline`] that holds its files' content. Nothing here puts anything back; see `undo`.

use crate::baseline::{Baseline, Baselines, Bounds, Change, Refreshed, Window, state_of};
use crate::engine::Parts;
use crate::history::History;
use crate::log::Log;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_protocol::{
    BlobId, Blobs, BoxStream, Captured, Command, Effect, Entry, Event, FileState, Metadata,
    NoticeLevel, ProcessEvent, Resolved, StorageError, Survey, TurnId, WalkOptions, Workbench,
    WorkbenchError,
};

/// The largest file whose content is kept when a file tool changes it, in bytes. Tools change files up to 4 MiB.
pub(crate) const KEPT_BYTES_MAX: u64 = 16 << 20;

/// Takes in what a program changed that ran when the engine stopped. What somebody changed since then can't be told
/// from it.
///
/// # Errors
/// When the store fails.
pub(crate) async fn take_in_after_stop(
    log: &Log,
    parts: &Parts,
    baselines: &Baselines,
) -> Result<(), StorageError> {
    let calls = log.read(|state| state.calls.clone()).await;
    if calls.is_empty() {
        return Ok(());
    }
    let history = History::read(log.journal(), log.session()).await?;
    // Only right before a program is the baseline brought up to date.
    let past = history
        .turns
        .last()
        .filter(|past| past.ran_a_program_in(&calls));
    let (Some(past), Some(workspace)) = (past, &history.workspace) else {
        return Ok(());
    };
    // A workspace that is gone has nothing to take in.
    let Ok(workbench) = (parts.open_workbench)(workspace) else {
        return Ok(());
    };
    let baseline = baselines.of(workbench.root(), &parts.records, parts.now);
    let changes = baseline
        .changes_since_stop(workbench.as_ref(), parts.blobs.as_ref())
        .await?;
    if changes.is_empty() {
        return Ok(());
    }
    let text = format!(
        "A program may have run when the engine stopped. {} files are not as they were before it: for undo that counts as its doing.",
        changes.len()
    );
    let level = NoticeLevel::Warning;
    let mut events = vec![Event::Notice { level, text }];
    events.extend(changes.into_iter().map(Change::into_event));
    log.append(Some(past.id), events).await
}

/// A workbench that keeps what it changes.
#[derive(Clone)]
pub(crate) struct Recording {
    inner: Arc<dyn Workbench>,
    checkpoint: Arc<Checkpoint>,
}

/// What a turn has changed so far.
pub(crate) struct Checkpoint {
    log: Arc<Log>,
    turn: TurnId,
    blobs: Arc<dyn Blobs>,
    /// The workbench without any step's rights.
    plain: Arc<dyn Workbench>,
    baseline: Arc<Baseline>,
    /// Each path that was changed, as this turn left it.
    left: Mutex<HashMap<PathBuf, FileState>>,
    /// Programs that were dropped before they told their end.
    unsettled: Mutex<Vec<Window>>,
}

impl Recording {
    /// Stands before a turn's workbench.
    pub(crate) fn new(
        plain: Arc<dyn Workbench>,
        log: Arc<Log>,
        turn: TurnId,
        blobs: Arc<dyn Blobs>,
        baseline: Arc<Baseline>,
    ) -> Self {
        let checkpoint = Checkpoint {
            log,
            turn,
            blobs,
            plain: plain.clone(),
            baseline,
            left: Mutex::default(),
            unsettled: Mutex::default(),
        };
        Self {
            inner: plain,
            checkpoint: Arc::new(checkpoint),
        }
    }

    /// The files that the turn has changed so far.
    pub(crate) fn changed(&self) -> Vec<PathBuf> {
        self.checkpoint.left.lock().keys().cloned().collect()
    }

    /// Takes in what programs did that were broken off. To be called when no call of the turn runs any more.
    pub(crate) async fn finish(&self) -> Result<(), StorageError> {
        self.checkpoint.settle_dropped().await
    }
}

impl Checkpoint {
    /// Keeps what is there and tells the change; both are on the disk when this returns.
    async fn keep(
        &self,
        path: &Path,
        before: Captured,
        after: FileState,
    ) -> Result<(), StorageError> {
        let state = state_of(&before);
        if state == after {
            return Ok(());
        }
        let is_ours = self
            .left
            .lock()
            .get(path)
            .is_some_and(|left| left.is_like(&state));
        let keep = async {
            match before {
                Captured::File { content, .. } if !is_ours => {
                    self.blobs.put(content).await.map(drop)
                }
                _ => Ok(()),
            }
        };
        let change = Change {
            path: path.to_owned(),
            before: state,
            after,
        };
        let (kept, told) = tokio::join!(keep, self.tell(vec![change]));
        kept?;
        told?;
        self.log.journal().sync().await
    }

    /// Appends changes that were not told yet.
    async fn tell(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let mut events = Vec::new();
        for change in changes {
            let Change { path, after, .. } = &change;
            if path.to_str().is_none() {
                events.push(nameless(path));
                continue;
            }
            let left = self.left.lock().insert(path.clone(), after.clone());
            // Programs that ran side by side saw the same change.
            if left.as_ref() != Some(after) {
                events.push(change.into_event());
            }
        }
        if events.is_empty() {
            return Ok(());
        }
        self.log.append(Some(self.turn), events).await
    }

    /// Before a program: what is there now is not its doing.
    async fn open(&self) -> Result<Option<Window>, StorageError> {
        self.settle_dropped().await?;
        let Refreshed { window, bounds } = self
            .baseline
            .open(self.plain.as_ref(), self.blobs.as_ref())
            .await?;
        if let Some(bounds) = bounds {
            self.tell_bounds(bounds, NoticeLevel::Info).await?;
        }
        Ok(window)
    }

    async fn tell_bounds(&self, bounds: Bounds, level: NoticeLevel) -> Result<(), StorageError> {
        let Bounds(text) = bounds;
        let notice = Event::Notice { level, text };
        self.log.append(Some(self.turn), vec![notice]).await
    }

    /// After a program: what changed is its doing.
    async fn settle(&self, window: &Window) -> Result<(), StorageError> {
        let (plain, blobs) = (self.plain.as_ref(), self.blobs.as_ref());
        match self.baseline.changes(window, plain, blobs).await? {
            Ok(changes) => self.tell(changes).await,
            Err(bounds) => self.tell_bounds(bounds, NoticeLevel::Warning).await,
        }
    }

    async fn settle_dropped(&self) -> Result<(), StorageError> {
        loop {
            let Some(window) = self.unsettled.lock().pop() else {
                return Ok(());
            };
            self.settle(&window).await?;
        }
    }
}

fn nameless(path: &Path) -> Event {
    Event::Notice {
        level: NoticeLevel::Warning,
        text: format!(
            "The change of {:?} can't be undone: its name is not text.",
            path.to_string_lossy()
        ),
    }
}

fn not_kept(error: &StorageError) -> WorkbenchError {
    WorkbenchError::Failed(format!(
        "not done, because what it changes could not be kept for undo: {error}"
    ))
}

impl Recording {
    /// Changes one path, after what is there was kept.
    async fn change(
        &self,
        path: &Path,
        after: FileState,
        change: impl Future<Output = Result<(), WorkbenchError>>,
    ) -> Result<(), WorkbenchError> {
        let before = self.inner.capture(path, KEPT_BYTES_MAX).await?;
        let was = state_of(&before);
        let kept = self.checkpoint.keep(path, before, after.clone()).await;
        kept.map_err(|error| not_kept(&error))?;
        let changed = change.await;
        if changed.is_err() && was != after {
            // What was told did not happen.
            let took_back = Change {
                path: path.to_owned(),
                before: after,
                after: was,
            };
            let told = self.checkpoint.tell(vec![took_back]).await;
            told.map_err(|error| not_kept(&error))?;
        }
        changed
    }
}

#[async_trait]
impl Workbench for Recording {
    fn root(&self) -> &Path {
        self.inner.root()
    }

    async fn resolve(&self, path: &str) -> Result<Resolved, WorkbenchError> {
        self.inner.resolve(path).await
    }

    async fn which(&self, program: &str) -> Option<PathBuf> {
        self.inner.which(program).await
    }

    async fn metadata(&self, path: &Path) -> Result<Option<Metadata>, WorkbenchError> {
        self.inner.metadata(path).await
    }

    async fn read(
        &self,
        path: &Path,
        offset: u64,
        bytes_max: u64,
    ) -> Result<Bytes, WorkbenchError> {
        self.inner.read(path, offset, bytes_max).await
    }

    async fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), WorkbenchError> {
        let content = BlobId::of(bytes);
        let mode = None;
        let write = self.inner.write(path, bytes);
        self.change(path, FileState::File { content, mode }, write)
            .await
    }

    async fn remove(&self, path: &Path) -> Result<(), WorkbenchError> {
        let remove = self.inner.remove(path);
        self.change(path, FileState::Absent, remove).await
    }

    async fn capture(&self, path: &Path, bytes_max: u64) -> Result<Captured, WorkbenchError> {
        self.inner.capture(path, bytes_max).await
    }

    async fn restore(&self, path: &Path, state: &Captured) -> Result<(), WorkbenchError> {
        let restore = self.inner.restore(path, state);
        self.change(path, state_of(state), restore).await
    }

    async fn survey(&self, files_max: usize) -> Result<Survey, WorkbenchError> {
        self.inner.survey(files_max).await
    }

    fn walk(
        &self,
        folder: &Path,
        options: WalkOptions,
    ) -> BoxStream<Result<Entry, WorkbenchError>> {
        self.inner.walk(folder, options)
    }

    fn start(
        &self,
        command: Command,
        script: Option<BoxStream<Bytes>>,
    ) -> BoxStream<Result<ProcessEvent, WorkbenchError>> {
        let Self { inner, checkpoint } = self.clone();
        let started = async move {
            match checkpoint.open().await {
                Err(error) => futures::stream::iter([Err(not_kept(&error))]).boxed(),
                Ok(None) => inner.start(command, script),
                Ok(window) => watched(inner.start(command, script), window, checkpoint),
            }
        };
        futures::stream::once(started).flatten().boxed()
    }

    fn for_step(&self, effects: &[Effect]) -> Option<Arc<dyn Workbench>> {
        let inner = self.inner.for_step(effects)?;
        let checkpoint = self.checkpoint.clone();
        Some(Arc::new(Self { inner, checkpoint }))
    }

    fn admits(&self, effects: &[Effect]) -> bool {
        self.inner.admits(effects)
    }
}

/// A program that is running, and how the workspace was before it.
struct Watched {
    program: BoxStream<Result<ProcessEvent, WorkbenchError>>,
    window: Option<Window>,
    checkpoint: Arc<Checkpoint>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It is looked at when the program is gone: before the next one, or at the turn's end.
        self.checkpoint.unsettled.lock().extend(self.window.take());
    }
}

/// The program's events. Its changes are told before its end is.
fn watched(
    program: BoxStream<Result<ProcessEvent, WorkbenchError>>,
    window: Option<Window>,
    checkpoint: Arc<Checkpoint>,
) -> BoxStream<Result<ProcessEvent, WorkbenchError>> {
    let watched = Watched {
        program,
        window,
        checkpoint,
    };
    futures::stream::unfold(watched, |mut watched| async {
        let event = watched.program.next().await;
        if matches!(event, None | Some(Ok(ProcessEvent::Exited(_))))
            && let Some(window) = &watched.window
        {
            let settled = watched.checkpoint.settle(window).await;
            watched.window = None;
            if let Err(error) = settled {
                return Some((Err(not_kept(&error)), watched));
            }
        }
        Some((event?, watched))
    })
    .boxed()
}
