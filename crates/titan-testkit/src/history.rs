//! Histories that are told beforehand: what tools are tested with.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::PathBuf;
use titan_protocol::{FileHistory, History, HistoryError, HistoryQuestion, Workbench};

/// A [`History`] in a table; a file that is not in it is in no repository.
#[derive(Clone, Debug, Default)]
pub struct ToldHistory {
    files: BTreeMap<PathBuf, FileHistory>,
}

impl ToldHistory {
    /// A place without any repository.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a file's history, whatever is asked of it; the path is absolute.
    pub fn file(mut self, path: &str, history: FileHistory) -> Self {
        self.files.insert(PathBuf::from(path), history);
        self
    }
}

#[async_trait]
impl History for ToldHistory {
    async fn of_file(
        &self,
        _workbench: &dyn Workbench,
        question: HistoryQuestion,
    ) -> Result<FileHistory, HistoryError> {
        let found = self.files.get(&question.path).cloned();
        found.ok_or_else(|| HistoryError::NoRepository {
            path: question.path.display().to_string(),
        })
    }
}
