//! The port `CodeGraph`: the folders that somebody asked about.

use crate::folder::Folder;
use crate::graph::Graph;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_protocol::{
    CODE_DEPTH_MAX, CODE_SYMBOLS_MAX, CODE_TOKENS_MAX, ClientError, CodeDirection, CodeFile,
    CodeFound, CodeGraph, CodeImpact, CodeSummary, CodeSymbol, CodeUses,
};

/// Folders that are held at once; the one that was asked about longest ago makes room.
const FOLDERS_MAX: usize = 4;

/// The code of folders on this machine. Holds nothing before it is asked.
pub struct CodeFolders {
    cache: Option<PathBuf>,
    without: Vec<PathBuf>,
    /// Last asked about last.
    folders: Mutex<Vec<(PathBuf, Arc<Mutex<Folder>>)>>,
}

impl CodeFolders {
    /// What is read is kept in `cache` for the next process, if there is such a folder. What lies in one of `without` is
    /// never read.
    pub fn new(cache: Option<PathBuf>, without: Vec<PathBuf>) -> Self {
        Self {
            cache,
            without,
            folders: Mutex::new(Vec::new()),
        }
    }

    fn folder(&self, root: &Path) -> Arc<Mutex<Folder>> {
        let mut folders = self.folders.lock();
        let known = folders.iter().position(|(path, _)| path == root);
        let (path, folder) = match known {
            Some(at) => folders.remove(at),
            None => {
                let folder = Folder::new(root, self.cache.as_deref()).without(&self.without);
                (root.to_owned(), Arc::new(Mutex::new(folder)))
            }
        };
        if folders.len() >= FOLDERS_MAX {
            folders.remove(0);
        }
        folders.push((path, Arc::clone(&folder)));
        folder
    }

    /// Answers from what lies on the disk now, on a thread that may wait for it.
    async fn ask<T: Send + 'static>(
        &self,
        root: &Path,
        answer: impl FnOnce(&Graph, usize) -> T + Send + 'static,
    ) -> Result<T, ClientError> {
        let shown = root.display().to_string();
        let folder = self.folder(root);
        let asked = tokio::task::spawn_blocking(move || {
            let mut folder = folder.lock();
            let answered = folder
                .refresh()
                .map(|(graph, changed)| answer(graph, changed));
            answered.map_err(|error| format!("{shown} can't be read: {error}"))
        });
        match asked.await {
            Ok(answered) => answered.map_err(ClientError::Refused),
            Err(error) => Err(ClientError::Disconnected(format!(
                "the code could not be read: {error}"
            ))),
        }
    }
}

#[async_trait]
impl CodeGraph for CodeFolders {
    async fn index(&self, folder: &Path) -> Result<CodeSummary, ClientError> {
        let of = self.folder(folder);
        let summary = self
            .ask(folder, |graph, changed| CodeSummary {
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
        self.ask(folder, move |graph, _| graph.symbols(&name, limit))
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
        self.ask(folder, move |graph, _| graph.uses(&name, direction, limit))
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
        self.ask(folder, move |graph, _| graph.impact(&name, depth, limit))
            .await
    }

    async fn file(&self, folder: &Path, path: &str, limit: usize) -> Result<CodeFile, ClientError> {
        let path = path.to_owned();
        let limit = limit.clamp(1, CODE_SYMBOLS_MAX);
        self.ask(folder, move |graph, _| graph.file(&path, limit))
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
        self.ask(folder, move |graph, _| graph.search(&words, limit))
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
        self.ask(folder, move |graph, _| graph.map(about.as_deref(), tokens))
            .await
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
            .folders
            .lock()
            .iter()
            .map(|(path, _)| path.clone())
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
}
