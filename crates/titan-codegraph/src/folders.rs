//! The ports `CodeGraph` and `Enrichment`: the folders that somebody asked about.

use crate::described::{self, Described};
use crate::folder::{Folder, Undescribed};
use crate::graph::Graph;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use titan_protocol::{
    CODE_DEPTH_MAX, CODE_SYMBOLS_MAX, CODE_TOKENS_MAX, ClientError, CodeDirection, CodeFile,
    CodeFound, CodeGraph, CodeImpact, CodeSummary, CodeSymbol, CodeUses, Enrichment,
    EnrichmentAnswer, EnrichmentQuestion,
};
use tokio::time::Instant;

/// Folders that are held at once; the one that was asked about longest ago makes room.
const FOLDERS_MAX: usize = 4;
/// How long an answer waits for all that comes of a change, before it tells what is known at once.
const PATIENCE: Duration = Duration::from_millis(20);

/// A folder that nobody asked about for so long is watched no more.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// The code of folders on this machine. Holds nothing before it is asked.
pub struct CodeFolders {
    cache: Option<PathBuf>,
    without: Vec<PathBuf>,
    /// After how long without a question a folder is watched no more, where any is watched.
    idle: Option<Duration>,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    /// Last asked about last.
    folders: Vec<Asked>,
    /// Whether somebody waits for folders to become idle.
    is_waited_for: bool,
}

struct Asked {
    path: PathBuf,
    folder: Arc<Mutex<Folder>>,
    at: Instant,
}

impl Held {
    /// The folders with their paths, the one that was last asked about last.
    fn places(&self) -> Vec<(PathBuf, Arc<Mutex<Folder>>)> {
        let folders = self.folders.iter();
        folders
            .map(|asked| (asked.path.clone(), Arc::clone(&asked.folder)))
            .collect()
    }
}

impl CodeFolders {
    /// What is read is kept in `cache` for the next process, if there is such a folder. What lies in one of `without` is
    /// never read.
    pub fn new(cache: Option<PathBuf>, without: Vec<PathBuf>) -> Self {
        Self {
            cache,
            without,
            idle: None,
            held: Arc::default(),
        }
    }

    /// Watches folders that are asked about, so that later answers need not look at all of them: for who stays.
    #[must_use]
    pub fn watched(mut self) -> Self {
        self.idle = Some(IDLE);
        self
    }

    fn folder(&self, root: &Path) -> Arc<Mutex<Folder>> {
        let mut held = self.held.lock();
        let known = held.folders.iter().position(|asked| asked.path == root);
        let mut asked = match known {
            Some(at) => held.folders.remove(at),
            None => Asked {
                path: root.to_owned(),
                folder: Arc::new(Mutex::new(self.open(root))),
                at: Instant::now(),
            },
        };
        if held.folders.len() >= FOLDERS_MAX {
            held.folders.remove(0);
        }
        asked.at = Instant::now();
        let folder = Arc::clone(&asked.folder);
        held.folders.push(asked);
        if let Some(idle) = self.idle
            && !std::mem::replace(&mut held.is_waited_for, true)
        {
            tokio::spawn(rest_when_idle(Arc::downgrade(&self.held), idle));
        }
        folder
    }

    fn open(&self, root: &Path) -> Folder {
        let folder = Folder::new(root, self.cache.as_deref()).without(&self.without);
        match self.idle {
            Some(_) => folder.watched(),
            None => folder,
        }
    }

    /// Answers from what lies on the disk now, on a thread that may wait for it: so long for all that comes of a change.
    async fn ask<T: Send + 'static>(
        &self,
        root: &Path,
        patience: Duration,
        answer: impl FnOnce(&Graph, usize) -> T + Send + 'static,
    ) -> Result<T, ClientError> {
        let shown = root.display().to_string();
        let folder = self.folder(root);
        let asked = tokio::task::spawn_blocking(move || {
            let mut folder = folder.lock();
            let refreshed = folder.refresh().map(|(_, changed)| changed);
            let changed = refreshed.map_err(|error| format!("{shown} can't be read: {error}"))?;
            Ok(answer(folder.settle(patience), changed))
        });
        match asked.await {
            Ok(answered) => answered.map_err(ClientError::Refused),
            Err(error) => Err(ClientError::Disconnected(format!(
                "the code could not be read: {error}"
            ))),
        }
    }
}

/// Waits until nobody has asked about any folder for long, and lets go of each that nobody asked about meanwhile.
async fn rest_when_idle(held: Weak<Mutex<Held>>, after: Duration) {
    loop {
        let (idle, next) = {
            let Some(held) = held.upgrade() else { return };
            let mut held = held.lock();
            let now = Instant::now();
            let is_idle = |asked: &&Asked| now.duration_since(asked.at) >= after;
            let idle = held.folders.iter().filter(is_idle);
            let idle: Vec<_> = idle.map(|asked| Arc::clone(&asked.folder)).collect();
            let busy = held.folders.iter().filter(|asked| !is_idle(asked));
            let next = busy.map(|asked| asked.at + after).min();
            held.is_waited_for = next.is_some();
            (idle, next)
        };
        // A folder that is being asked about again is let go of after that, which costs it one look.
        let rested = tokio::task::spawn_blocking(move || {
            for folder in idle {
                folder.lock().rest();
            }
        });
        if rested.await.is_err() {
            tracing::warn!("a folder that nobody asks about could not be let go of");
        }
        let Some(next) = next else { return };
        tokio::time::sleep_until(next).await;
    }
}

#[async_trait]
impl CodeGraph for CodeFolders {
    async fn index(&self, folder: &Path) -> Result<CodeSummary, ClientError> {
        let of = self.folder(folder);
        let summary = self
            .ask(folder, Duration::MAX, |graph, changed| CodeSummary {
                changed,
                ..graph.summary()
            })
            .await?;
        // Who asks for it wants the next start to be quick.
        let kept = tokio::task::spawn_blocking(move || of.lock().keep()).await;
        kept.map_err(|error| ClientError::Disconnected(error.to_string()))?;
        Ok(summary)
    }

    async fn symbols(
        &self,
        folder: &Path,
        name: &str,
        limit: usize,
    ) -> Result<Vec<CodeSymbol>, ClientError> {
        let name = name.to_owned();
        let limit = limit.clamp(1, CODE_SYMBOLS_MAX);
        self.ask(folder, PATIENCE, move |graph, _| {
            graph.symbols(&name, limit)
        })
        .await
    }

    async fn uses(
        &self,
        folder: &Path,
        name: &str,
        direction: CodeDirection,
        limit: usize,
    ) -> Result<CodeUses, ClientError> {
        let name = name.to_owned();
        let limit = limit.clamp(1, CODE_SYMBOLS_MAX);
        self.ask(folder, PATIENCE, move |graph, _| {
            graph.uses(&name, direction, limit)
        })
        .await
    }

    async fn impact(
        &self,
        folder: &Path,
        name: &str,
        depth: usize,
        limit: usize,
    ) -> Result<CodeImpact, ClientError> {
        let name = name.to_owned();
        let depth = depth.clamp(1, CODE_DEPTH_MAX);
        let limit = limit.clamp(1, CODE_SYMBOLS_MAX);
        self.ask(folder, PATIENCE, move |graph, _| {
            graph.impact(&name, depth, limit)
        })
        .await
    }

    async fn file(&self, folder: &Path, path: &str, limit: usize) -> Result<CodeFile, ClientError> {
        let path = path.to_owned();
        let limit = limit.clamp(1, CODE_SYMBOLS_MAX);
        self.ask(folder, PATIENCE, move |graph, _| graph.file(&path, limit))
            .await
    }

    async fn search(
        &self,
        folder: &Path,
        words: &str,
        limit: usize,
    ) -> Result<Vec<CodeFound>, ClientError> {
        let words = words.to_owned();
        let limit = limit.clamp(1, CODE_SYMBOLS_MAX);
        self.ask(folder, PATIENCE, move |graph, _| {
            graph.search(&words, limit)
        })
        .await
    }

    async fn map(
        &self,
        folder: &Path,
        about: Option<&str>,
        tokens: usize,
    ) -> Result<String, ClientError> {
        let about = about.map(str::to_owned);
        let tokens = tokens.clamp(1, CODE_TOKENS_MAX);
        self.ask(folder, PATIENCE, move |graph, _| {
            graph.map(about.as_deref(), tokens)
        })
        .await
    }
}

/// Of folders that are watched alone: what nobody asked about for long is left in peace.
#[async_trait]
impl Enrichment for CodeFolders {
    async fn question(&self) -> Result<Option<EnrichmentQuestion>, ClientError> {
        let mut held = self.held.lock().places();
        held.reverse();
        let asked = tokio::task::spawn_blocking(move || {
            held.iter()
                .find_map(|(root, folder)| undescribed(root, &mut folder.lock()))
        });
        asked
            .await
            .map_err(|error| ClientError::Disconnected(error.to_string()))
    }

    async fn answer(&self, answer: EnrichmentAnswer) -> Result<(), ClientError> {
        let Ok((root, path, hash)) = serde_json::from_str::<Key>(&answer.key) else {
            return Err(ClientError::Refused(format!(
                "{:?} names no file that was asked about",
                answer.key
            )));
        };
        let mut held = self.held.lock().places().into_iter();
        let Some((_, folder)) = held.find(|(held, _)| *held == root) else {
            return Ok(());
        };
        let taken = tokio::task::spawn_blocking(move || {
            let described = Described::of(&path, &answer.text, &answer.model);
            folder.lock().describe(&path, hash, described);
        });
        taken
            .await
            .map_err(|error| ClientError::Disconnected(error.to_string()))
    }
}

/// The folder, the file, and the hash of what it said when it was asked about.
type Key = (PathBuf, String, [u8; 32]);

/// What a model is to be asked of a folder next.
fn undescribed(root: &Path, folder: &mut Folder) -> Option<EnrichmentQuestion> {
    if !folder.is_watched() {
        return None;
    }
    folder.refresh().ok()?;
    loop {
        let Undescribed { path, hash, facts } = folder.undescribed()?;
        match folder.text(&path, hash) {
            Some(text) => {
                let key = serde_json::to_string(&(root, &path, hash)).ok()?;
                return Some(described::question(key, &path, &facts, &text));
            }
            // It changed just now, or can't be read any more.
            None => folder.describe(&path, hash, Described::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_folder_asked_about_longest_ago_makes_room() {
        let folders = CodeFolders::new(None, Vec::new());
        let place = tempfile::tempdir().unwrap();
        for n in 0..=FOLDERS_MAX {
            let folder = place.path().join(n.to_string());
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("a.py"), format!("def f{n}(): pass")).unwrap();
            let found = folders.symbols(&folder, "f", 9).await.unwrap();
            assert_eq!(found[0].name, format!("f{n}"));
        }
        let held: Vec<_> = folders
            .held
            .lock()
            .folders
            .iter()
            .map(|asked| asked.path.clone())
            .collect();
        let expected: Vec<_> = (1..=FOLDERS_MAX)
            .map(|n| place.path().join(n.to_string()))
            .collect();
        assert_eq!(held, expected);
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_refused_by_name() {
        let folders = CodeFolders::new(None, Vec::new());
        let error = folders
            .map(Path::new("/nowhere"), None, 100)
            .await
            .unwrap_err();
        let expected = "/nowhere can't be read: No such file or directory (os error 2)";
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test]
    async fn a_folder_that_nobody_asks_about_for_long_is_watched_no_more() {
        let mut folders = CodeFolders::new(None, Vec::new()).watched();
        folders.idle = Some(Duration::from_millis(20));
        let place = tempfile::tempdir().unwrap();
        for n in 1..4 {
            // It is watched again with each question, and tells what happened meanwhile.
            let text = format!("def f{n}(): pass");
            std::fs::write(place.path().join(format!("{n}.py")), text).unwrap();
            let found = folders.symbols(place.path(), "f", 9).await.unwrap();
            assert_eq!(found.len(), n);
            let folder = Arc::clone(&folders.held.lock().folders[0].folder);
            let until = Instant::now() + Duration::from_secs(60);
            while folder.lock().is_watched() || folders.held.lock().is_waited_for {
                assert!(Instant::now() < until, "it is watched for ever");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
