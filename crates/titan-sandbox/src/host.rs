//! The person's own machine as a place to work.
//!
//! Files are touched by the engine itself, by resolved path. Programs are confined by the operating system to the
//! workspace and to what their step was allowed; `Launch::launch` of `process` is the one place where a program starts.

mod confine;
mod environment;
mod file;
mod guard;
mod path;
mod process;
#[cfg(test)]
mod tests;
mod tree;

use async_trait::async_trait;
use bytes::Bytes;
use confine::{Bounds, Leave};
pub use confine::{Confinement, Kept, Part};
use environment::Environment;
use futures::StreamExt;
use path::Places;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_protocol::{
    BoxStream, Command, Effect, Entry, EntryKind, Metadata, ProcessEvent, Resolved, WalkOptions,
    Workbench, WorkbenchError,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Entries that a walk runs ahead of its reader.
const WALK_AHEAD_MAX: usize = 256;

/// What a [`HostWorkbench`] has to know.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The engine's own home. It is neither read nor written through the workbench, wherever it lies. It need not
    /// exist yet.
    pub home: PathBuf,
    /// The engine's environment. Programs get a fixed list of harmless variables from it; `HOME` is what `~` means,
    /// and `PATH`, without its relative entries and those in the workspace, is where programs are looked for.
    pub environment: BTreeMap<String, String>,
}

/// Why a workspace can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no such folder, or it can't be entered.
    #[error("can't open the workspace {path}: {source}; name an existing folder")]
    Root {
        /// The workspace as it was given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The workspace is a file.
    #[error("the workspace {path} is not a folder")]
    NotAFolder {
        /// The workspace as it was given.
        path: String,
    },
    /// The workspace lies in the engine's home, where nothing may be written.
    #[error(
        "the workspace {path} lies in the engine's own home; choose a folder outside of {home}"
    )]
    InHome {
        /// The workspace, links resolved.
        path: String,
        /// The engine's home, links resolved.
        home: String,
    },
    /// The engine's home can't be located.
    #[error("can't locate the engine's home: {0}")]
    Home(WorkbenchError),
}

/// The host as a [`Workbench`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HostWorkbench {
    places: Arc<Places>,
    shared: Arc<Shared>,
    leave: Arc<Leave>,
}

/// What all programs of a workspace have in common.
#[derive(Debug)]
struct Shared {
    places: Arc<Places>,
    environment: Environment,
    bounds: Bounds,
}

impl HostWorkbench {
    /// Opens a workspace. Looks at the file system, but starts nothing and writes nothing.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn open(root: &Path, config: HostConfig) -> Result<Self, HostError> {
        let root = open_root(root)?;
        let home = path::follow(&config.home).map_err(HostError::Home)?;
        if root.starts_with(&home) {
            return Err(HostError::InHome {
                path: root.display().to_string(),
                home: home.display().to_string(),
            });
        }
        let environment = Environment::from_engine(&config.environment, &[&root, &home]);
        let person_home = config.environment.get("HOME").map(PathBuf::from);
        let places = Arc::new(Places {
            root,
            home,
            person_home,
        });
        let bounds = Bounds::new(config.environment, environment.folders().to_vec());
        let shared = Shared {
            places: places.clone(),
            environment,
            bounds,
        };
        Ok(Self {
            places,
            shared: Arc::new(shared),
            leave: Arc::default(),
        })
    }

    /// Runs file work off the runtime's threads, after asking whether the path may be touched at all.
    async fn with_file<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce(&Path) -> Result<T, WorkbenchError> + Send + 'static,
    ) -> Result<T, WorkbenchError> {
        self.places.check(path)?;
        let path = path.to_owned();
        blocking(move || work(&path)).await
    }
}

fn open_root(root: &Path) -> Result<PathBuf, HostError> {
    let shown = root.display().to_string();
    let canonical = std::fs::canonicalize(root).map_err(|source| HostError::Root {
        path: shown.clone(),
        source,
    })?;
    match canonical.is_dir() {
        true => Ok(canonical),
        false => Err(HostError::NotAFolder { path: shown }),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WorkbenchError> + Send + 'static,
) -> Result<T, WorkbenchError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(WorkbenchError::Failed(format!(
            "the work on a file ended early: {error}"
        ))),
    }
}

#[async_trait]
impl Workbench for HostWorkbench {
    fn root(&self) -> &Path {
        &self.places.root
    }

    async fn resolve(&self, path: &str) -> Result<Resolved, WorkbenchError> {
        let spelt = self.places.spell_out(path)?;
        let path = blocking(move || path::follow(&spelt)).await?;
        let in_workspace = path.starts_with(&self.places.root);
        Ok(Resolved { path, in_workspace })
    }

    async fn which(&self, program: &str) -> Option<PathBuf> {
        let shared = self.shared.clone();
        let program = program.to_owned();
        let find = move || Ok(shared.environment.which(&program, &shared.places.root));
        let found = blocking(find).await;
        found.ok().flatten()
    }

    async fn metadata(&self, path: &Path) -> Result<Option<Metadata>, WorkbenchError> {
        self.with_file(path, file::metadata).await
    }

    async fn read(
        &self,
        path: &Path,
        offset: u64,
        bytes_max: u64,
    ) -> Result<Bytes, WorkbenchError> {
        self.with_file(path, move |path| file::read(path, offset, bytes_max))
            .await
    }

    async fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), WorkbenchError> {
        let bytes = Bytes::copy_from_slice(bytes);
        self.with_file(path, move |path| file::write(path, &bytes))
            .await
    }

    async fn remove(&self, path: &Path) -> Result<(), WorkbenchError> {
        self.with_file(path, file::remove).await
    }

    fn walk(
        &self,
        folder: &Path,
        options: WalkOptions,
    ) -> BoxStream<Result<Entry, WorkbenchError>> {
        let (entries, reader) = mpsc::channel(WALK_AHEAD_MAX);
        let (places, folder) = (self.places.clone(), folder.to_owned());
        // Ends by itself when its reader is dropped: the next entry then has nowhere to go.
        tokio::task::spawn_blocking(move || walk(&places, &folder, options, &entries));
        ReceiverStream::new(reader).boxed()
    }

    fn run(&self, command: Command) -> BoxStream<Result<ProcessEvent, WorkbenchError>> {
        process::run(command, self.shared.clone(), self.leave.clone())
    }

    fn for_step(&self, effects: &[Effect]) -> Option<Arc<dyn Workbench>> {
        Some(Arc::new(Self {
            leave: Arc::new(Leave::of(effects)),
            ..self.clone()
        }))
    }
}

type Entries = mpsc::Sender<Result<Entry, WorkbenchError>>;

fn walk(places: &Arc<Places>, folder: &Path, options: WalkOptions, entries: &Entries) {
    if let Err(error) = check_walk(places, folder) {
        // A reader that is gone needs no error.
        let _ = entries.blocking_send(Err(error));
        return;
    }
    for found in walker(places, folder, options).skip(1) {
        let item = match found.map(|found| entry(&found)) {
            Ok(Ok(entry)) if entry.kind == EntryKind::Folder && !options.include_folders => {
                continue;
            }
            Ok(item) => item,
            Err(error) => Err(WorkbenchError::Failed(error.to_string())),
        };
        if entries.blocking_send(item).is_err() {
            return;
        }
    }
}

fn check_walk(places: &Places, folder: &Path) -> Result<(), WorkbenchError> {
    places.check(folder)?;
    match file::metadata(folder)?.map(|found| found.kind) {
        Some(EntryKind::Folder) => Ok(()),
        Some(_) => Err(file::failed(folder, "is not a folder")),
        None => Err(file::not_found(folder)),
    }
}

fn walker(places: &Arc<Places>, folder: &Path, options: WalkOptions) -> ignore::Walk {
    let places = places.clone();
    ignore::WalkBuilder::new(folder)
        .standard_filters(!options.include_ignored)
        // A workspace need not be a repository for its ignore files to hold.
        .require_git(false)
        .follow_links(false)
        .max_depth(options.depth_max)
        .sort_by_file_name(|a, b| a.cmp(b))
        .filter_entry(move |entry| places.check(entry.path()).is_ok())
        .build()
}

fn entry(found: &ignore::DirEntry) -> Result<Entry, WorkbenchError> {
    let metadata = found
        .metadata()
        .map_err(|error| WorkbenchError::Failed(error.to_string()))?;
    Ok(Entry {
        path: found.path().to_owned(),
        kind: file::kind(metadata.is_file(), metadata.is_dir()),
        bytes: metadata.len(),
    })
}
