//! Packs that are ready beforehand: what turns are tested with.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Pack, Packs};

/// [`Packs`] in a list. It remembers which files were worked on. Clones are the same.
#[derive(Clone, Default)]
pub struct ReadyPacks {
    packs: Vec<Arc<Pack>>,
    named: Vec<Arc<Pack>>,
    /// The files that sessions have changed.
    pub worked_on: Arc<Mutex<Vec<PathBuf>>>,
}

impl ReadyPacks {
    /// No file is open.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a pack.
    pub fn with(mut self, pack: Pack) -> Self {
        self.packs.push(Arc::new(pack));
        self
    }

    /// Adds a pack that is known when a question says its file's name.
    pub fn with_named(mut self, pack: Pack) -> Self {
        self.named.push(Arc::new(pack));
        self
    }
}

#[async_trait]
impl Packs for ReadyPacks {
    fn ready(&self, workspace: &Path) -> Vec<Arc<Pack>> {
        let inside = |pack: &&Arc<Pack>| pack.path.starts_with(workspace);
        self.packs.iter().filter(inside).cloned().collect()
    }

    async fn named(&self, workspace: &Path, asked: &str, _: Duration) -> Vec<Arc<Pack>> {
        let is_named = |pack: &&Arc<Pack>| {
            let name = pack.path.strip_prefix(workspace).ok();
            name.is_some_and(|name| asked.contains(&*name.to_string_lossy()))
        };
        self.named.iter().filter(is_named).cloned().collect()
    }

    fn worked_on(&self, paths: Vec<PathBuf>) {
        self.worked_on.lock().extend(paths);
    }
}
