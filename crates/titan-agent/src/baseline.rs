//! The content of a workspace's files as it was last seen, so that what a program changes can be put back.
//!
//! One for each workspace, kept in the store from turn to turn: a survey tells what may have changed by size, inode and
//! times, and only that is read again. A workspace above the bounds is not covered, or not all of it, and that is said.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use titan_protocol::{
    BlobId, Blobs, Captured, Change as Stored, Event, FileState, Records, Stamp, StorageError,
    Survey, UnixMillis, Workbench,
};

/// Files of a workspace that is covered.
const FILES_MAX: usize = 10_000;
/// The largest file whose content is kept, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// What is kept of one workspace, in bytes.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// Workspaces that are kept; the one not used for the longest time makes room.
const BASELINES_MAX: usize = 8;
/// Content that is stored in one commit, in bytes.
const COMMIT_BYTES_MAX: usize = 4 << 20;
/// Rows that are read or stored at one time.
const ROWS_MAX: usize = 1000;
/// Contents that are moved to the blobs at once; the store commits them together.
const PUTS_MAX: usize = 64;
/// A file that changed so shortly before it was read may have changed again within one tick of the clock.
const TICK_NS: i64 = 20_000_000;

const INDEX_TABLE: &str = "baseline_index";
const FILES_TABLE: &str = "baseline_files";

/// The baselines in use. Turns in the same workspace share one.
#[derive(Default)]
pub(crate) struct Baselines {
    used: Mutex<HashMap<PathBuf, Weak<Baseline>>>,
}

impl Baselines {
    pub(crate) fn of(
        &self,
        root: &Path,
        records: &Arc<dyn Records>,
        now: fn() -> UnixMillis,
    ) -> Arc<Baseline> {
        let mut used = self.used.lock();
        used.retain(|_, baseline| baseline.strong_count() > 0);
        if let Some(baseline) = used.get(root).and_then(Weak::upgrade) {
            return baseline;
        }
        let baseline = Arc::new(Baseline {
            root: root.to_owned(),
            key: key_of(root),
            records: records.clone(),
            now,
            index: tokio::sync::Mutex::default(),
            windows: Arc::default(),
        });
        used.insert(root.to_owned(), Arc::downgrade(&baseline));
        baseline
    }

    /// Deletes what is kept of a workspace; its next program has it kept anew.
    pub(crate) async fn remove(
        &self,
        root: &Path,
        records: &dyn Records,
    ) -> Result<(), StorageError> {
        let used = self.used.lock().get(root).and_then(Weak::upgrade);
        match used {
            Some(baseline) => {
                let mut known = baseline.index.lock().await;
                *known = None;
                remove_key(records, &baseline.key).await
            }
            None => remove_key(records, &key_of(root)).await,
        }
    }
}

async fn remove_key(records: &dyn Records, key: &str) -> Result<(), StorageError> {
    records
        .commit(vec![delete(INDEX_TABLE, key.to_owned())])
        .await?;
    let prefix = format!("{key}/");
    loop {
        let rows = records.scan(FILES_TABLE, &prefix, "", ROWS_MAX).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let gone = rows.into_iter().map(|(key, _)| delete(FILES_TABLE, key));
        records.commit(gone.collect()).await?;
    }
}

fn key_of(root: &Path) -> String {
    BlobId::of(root.as_os_str().as_encoded_bytes()).to_string()
}

fn delete(table: &str, key: String) -> Stored {
    Stored {
        table: table.to_owned(),
        key,
        value: None,
        expected_version: None,
    }
}

fn store(table: &str, key: String, value: Bytes) -> Stored {
    Stored {
        value: Some(value),
        ..delete(table, key)
    }
}

/// One workspace's files as they were last seen.
pub(crate) struct Baseline {
    root: PathBuf,
    key: String,
    records: Arc<dyn Records>,
    now: fn() -> UnixMillis,
    index: tokio::sync::Mutex<Option<Arc<Index>>>,
    /// One more than there are windows.
    windows: Arc<()>,
}

/// How the workspace was when a program began.
pub(crate) struct Window {
    before: Arc<Index>,
    _open: Arc<()>,
}

/// A path that is not as it was.
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    pub(crate) before: FileState,
    pub(crate) after: FileState,
}

impl Change {
    pub(crate) fn into_event(self) -> Event {
        Event::FileChanged {
            path: self.path,
            before: self.before,
            after: self.after,
        }
    }
}

/// What the person should know about what is not covered.
pub(crate) struct Bounds(pub(crate) String);

/// How a look at the workspace before a program ended.
pub(crate) struct Refreshed {
    /// `None` when the workspace can't be covered.
    pub(crate) window: Option<Window>,
    /// Told once, and again when it changes.
    pub(crate) bounds: Option<Bounds>,
}

/// The files by their path in the workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Index {
    files: BTreeMap<String, Kept>,
    used_at: UnixMillis,
    /// What was told last about what is not covered.
    told: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    stamp: Stamp,
    /// Whether it has to be read again even if its stamp is the same.
    is_young: bool,
    state: FileState,
}

impl Kept {
    fn is_changed(&self, other: &Self) -> bool {
        match (&self.state, &other.state) {
            (FileState::NotKept { .. }, FileState::NotKept { .. }) => self.stamp != other.stamp,
            (before, after) => before != after,
        }
    }
}

impl Baseline {
    /// Before a program runs.
    pub(crate) async fn open(
        &self,
        workbench: &dyn Workbench,
        blobs: &dyn Blobs,
    ) -> Result<Refreshed, StorageError> {
        let mut known = self.index.lock().await;
        let old = self.loaded(&mut known).await?;
        let found = self.look(workbench, blobs, &old).await?;
        let told = match &found {
            Ok(index) => bounds_of(index),
            Err(why) => Some(why.clone()),
        };
        let is_news = told.is_some() && told != old.told;
        let mut index = found.clone().unwrap_or_else(|_| old.clone());
        if told != old.told {
            let mut changed = Index::clone(&index);
            changed.told.clone_from(&told);
            index = Arc::new(changed);
            self.records.commit(vec![self.row_of(&index)?]).await?;
        }
        *known = Some(index.clone());
        let window = found.is_ok().then(|| self.window(index));
        let bounds = told.filter(|_| is_news).map(Bounds);
        Ok(Refreshed { window, bounds })
    }

    /// After a program ran: what is not as it was. The old content of it is among the blobs. `Err` when the program
    /// left the workspace as one that can't be covered.
    pub(crate) async fn changes(
        &self,
        window: &Window,
        workbench: &dyn Workbench,
        blobs: &dyn Blobs,
    ) -> Result<Result<Vec<Change>, Bounds>, StorageError> {
        let mut known = self.index.lock().await;
        let old = self.loaded(&mut known).await?;
        match self.look(workbench, blobs, &old).await? {
            Err(why) => Ok(Err(Bounds(why))),
            Ok(now) => {
                *known = Some(now.clone());
                Ok(Ok(self.differences(&window.before, &now)))
            }
        }
    }

    /// After the engine stopped while a program ran: what is not as it was before that program. Nothing when no
    /// program ran in this workspace yet.
    pub(crate) async fn changes_since_stop(
        &self,
        workbench: &dyn Workbench,
        blobs: &dyn Blobs,
    ) -> Result<Vec<Change>, StorageError> {
        if self.records.get(INDEX_TABLE, &self.key).await?.is_none() {
            return Ok(Vec::new());
        }
        let window = {
            let mut known = self.index.lock().await;
            self.window(self.loaded(&mut known).await?)
        };
        let changes = self.changes(&window, workbench, blobs).await?;
        Ok(changes.unwrap_or_default())
    }

    fn window(&self, before: Arc<Index>) -> Window {
        Window {
            before,
            _open: self.windows.clone(),
        }
    }

    fn differences(&self, before: &Index, after: &Index) -> Vec<Change> {
        let gone = before.files.iter().filter_map(|(name, old)| {
            let new = after.files.get(name);
            new.is_none_or(|new| old.is_changed(new)).then(|| Change {
                path: self.root.join(name),
                before: old.state.clone(),
                after: new.map_or(FileState::Absent, |new| new.state.clone()),
            })
        });
        let made = after
            .files
            .iter()
            .filter(|(name, _)| !before.files.contains_key(*name))
            .map(|(name, new)| Change {
                path: self.root.join(name),
                before: FileState::Absent,
                after: new.state.clone(),
            });
        gone.chain(made).collect()
    }

    async fn loaded(&self, known: &mut Option<Arc<Index>>) -> Result<Arc<Index>, StorageError> {
        if let Some(index) = known {
            return Ok(index.clone());
        }
        let row = self.records.get(INDEX_TABLE, &self.key).await?;
        // A row that is not understood is of another version, and is made anew.
        let index: Option<Index> = row.and_then(|row| serde_json::from_slice(&row.value).ok());
        if index.is_none() {
            self.make_room().await?;
        }
        let index = Arc::new(index.unwrap_or_default());
        *known = Some(index.clone());
        Ok(index)
    }

    async fn make_room(&self) -> Result<(), StorageError> {
        let rows = self.records.scan(INDEX_TABLE, "", "", ROWS_MAX).await?;
        if rows.len() < BASELINES_MAX {
            return Ok(());
        }
        let used_at = |value: &Bytes| -> UnixMillis {
            let index: Option<Index> = serde_json::from_slice(value).ok();
            index.map_or(0, |index| index.used_at)
        };
        match rows.iter().min_by_key(|(_, row)| used_at(&row.value)) {
            Some((oldest, _)) => remove_key(self.records.as_ref(), oldest).await,
            None => Ok(()),
        }
    }

    /// Surveys the workspace, and reads and stores what may have changed. `Err` says why it is not covered.
    async fn look(
        &self,
        workbench: &dyn Workbench,
        blobs: &dyn Blobs,
        old: &Arc<Index>,
    ) -> Result<Result<Arc<Index>, String>, StorageError> {
        let survey = match workbench.survey(FILES_MAX).await {
            Ok(survey) if survey.is_whole => survey,
            Ok(_) => return Ok(Err(too_many())),
            Err(error) => {
                return Ok(Err(format!(
                    "Undo does not cover what programs change here: {error}."
                )));
            }
        };
        let mut look = Look::of(self, old, &survey);
        if look.doubtful.is_empty() && look.gone.is_empty() {
            return Ok(Ok(old.clone()));
        }
        look.read(self, workbench, old).await;
        if Arc::strong_count(&self.windows) > 1 {
            self.save(blobs, old, &look).await?;
        }
        let index = Arc::new(Index {
            files: look.files,
            used_at: (self.now)(),
            told: old.told.clone(),
        });
        let mut batch = Vec::new();
        let mut bytes = 0;
        for change in look.rows {
            bytes += change.value.as_ref().map_or(0, Bytes::len);
            batch.push(change);
            if bytes > COMMIT_BYTES_MAX || batch.len() >= ROWS_MAX {
                self.records.commit(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        batch.push(self.row_of(&index)?);
        self.records.commit(batch).await?;
        Ok(Ok(index))
    }

    /// Moves old content that is about to be replaced to the blobs: a program that runs may have changed it.
    async fn save(&self, blobs: &dyn Blobs, old: &Index, look: &Look) -> Result<(), StorageError> {
        let replaced = look.rows.iter().filter_map(|row| {
            let name = row.key.strip_prefix(&self.key)?.strip_prefix('/')?;
            old.files
                .get(name)?
                .state
                .content()
                .map(|content| (row.key.clone(), content.clone()))
        });
        let replaced: Vec<(String, BlobId)> = replaced.collect();
        futures::stream::iter(replaced)
            .map(|(key, content)| async move {
                let row = self.records.get(FILES_TABLE, &key).await?;
                match row.filter(|row| BlobId::of(&row.value) == content) {
                    Some(row) => blobs.put(row.value).await.map(drop),
                    None => Ok(()),
                }
            })
            .buffer_unordered(PUTS_MAX)
            .try_collect::<()>()
            .await
    }

    fn row_of(&self, index: &Index) -> Result<Stored, StorageError> {
        let value = serde_json::to_vec(index).map_err(|error| {
            StorageError::Failed(format!("a list of files can't be written: {error}"))
        })?;
        Ok(store(INDEX_TABLE, self.key.clone(), Bytes::from(value)))
    }
}

/// One look at a workspace.
struct Look {
    files: BTreeMap<String, Kept>,
    doubtful: Vec<(String, PathBuf, Stamp)>,
    gone: Vec<String>,
    kept_bytes: u64,
    rows: Vec<Stored>,
    young_from_ns: i64,
}

impl Look {
    fn of(baseline: &Baseline, old: &Index, survey: &Survey) -> Self {
        let now_ns = i64::try_from((baseline.now)())
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000_000);
        let mut look = Self {
            files: BTreeMap::new(),
            doubtful: Vec::new(),
            gone: Vec::new(),
            kept_bytes: 0,
            rows: Vec::new(),
            young_from_ns: now_ns.saturating_sub(TICK_NS),
        };
        for file in &survey.files {
            // What has no name in text can't be told of, so it can't be put back either.
            let Some(name) = file
                .path
                .strip_prefix(&baseline.root)
                .ok()
                .and_then(Path::to_str)
            else {
                continue;
            };
            match old.files.get(name) {
                Some(kept) if kept.stamp == file.stamp && !kept.is_young => {
                    look.kept_bytes += kept.state.content().map_or(0, |_| kept.stamp.bytes);
                    look.files.insert(name.to_owned(), kept.clone());
                }
                _ => look
                    .doubtful
                    .push((name.to_owned(), file.path.clone(), file.stamp)),
            }
        }
        let doubtful: std::collections::HashSet<&str> = look
            .doubtful
            .iter()
            .map(|(name, ..)| name.as_str())
            .collect();
        let is_gone =
            |name: &&String| !look.files.contains_key(*name) && !doubtful.contains(name.as_str());
        look.gone = old.files.keys().filter(is_gone).cloned().collect();
        look
    }

    async fn read(&mut self, baseline: &Baseline, workbench: &dyn Workbench, old: &Index) {
        let row_key = |name: &str| format!("{}/{name}", baseline.key);
        for name in &self.gone {
            self.rows.push(delete(FILES_TABLE, row_key(name)));
        }
        for (name, path, stamp) in std::mem::take(&mut self.doubtful) {
            let state = match workbench.capture(&path, FILE_BYTES_MAX).await {
                Ok(Captured::Absent) => continue,
                Ok(Captured::File { content, mode }) => {
                    let bytes = content.len() as u64;
                    if self.kept_bytes + bytes > KEPT_BYTES_MAX {
                        not_kept("beyond the 64 MiB that are kept of a workspace")
                    } else {
                        self.kept_bytes += bytes;
                        let id = BlobId::of(&content);
                        if old.files.get(&name).and_then(|kept| kept.state.content()) != Some(&id) {
                            self.rows.push(store(FILES_TABLE, row_key(&name), content));
                        }
                        FileState::File { content: id, mode }
                    }
                }
                Ok(other) => state_of(&other),
                Err(error) => not_kept(&format!("not readable: {error}")),
            };
            let had_content = old
                .files
                .get(&name)
                .is_some_and(|kept| kept.state.content().is_some());
            if had_content && state.content().is_none() {
                self.rows.push(delete(FILES_TABLE, row_key(&name)));
            }
            let is_young = stamp.changed_ns >= self.young_from_ns;
            self.files.insert(
                name,
                Kept {
                    stamp,
                    is_young,
                    state,
                },
            );
        }
    }
}

/// What was captured, told by its hash.
pub(crate) fn state_of(captured: &Captured) -> FileState {
    match captured {
        Captured::Absent => FileState::Absent,
        Captured::File { content, mode } => FileState::File {
            content: BlobId::of(content),
            mode: *mode,
        },
        Captured::Link { target } if target.to_str().is_none() => {
            not_kept("a link to a name that is not text")
        }
        Captured::Link { target } => FileState::Link {
            target: target.clone(),
        },
        Captured::Unheld { why, .. } => not_kept(why),
    }
}

fn not_kept(why: &str) -> FileState {
    FileState::NotKept {
        why: why.to_owned(),
    }
}

fn too_many() -> String {
    format!(
        "This workspace has more than {FILES_MAX} files, so undo does not cover what programs change in it; what the file tools change it does."
    )
}

/// What is not covered of a workspace, if anything.
fn bounds_of(index: &Index) -> Option<String> {
    let mut left_out = index
        .files
        .iter()
        .filter_map(|(name, kept)| match &kept.state {
            FileState::NotKept { why } => Some((name, why)),
            _ => None,
        });
    let (name, why) = left_out.next()?;
    let more = match left_out.count() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    Some(format!(
        "Undo does not cover what programs do to {name:?} ({why}){more}. It keeps files up to {} MiB, {} MiB of a workspace.",
        FILE_BYTES_MAX >> 20,
        KEPT_BYTES_MAX >> 20
    ))
}
