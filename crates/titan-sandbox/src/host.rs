//! The person's own machine as a place to work.
//!
//! Files are touched by the engine itself, by resolved path. Programs are confined by the operating system to the
//! workspace and to what their step was allowed; `Launch::launch` of `process` is the one place where a program starts.

mod confine;
mod environment;
mod file;
mod guard;
mod notes;
mod path;
mod process;
mod repository;
mod scratch;
mod survey;
#[cfg(test)]
mod tests;
mod tree;

use async_trait::async_trait;
use bytes::Bytes;
use confine::{Bounds, Leave};
pub use confine::{Confinement, Kept, Part};
use environment::Environment;
use futures::{StreamExt, stream};
use path::Places;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use titan_protocol::{
    BoxStream, Captured, Closed, Command, Effect, Entry, EntryKind, Metadata, ProcessEvent,
    Resolved, Survey, WalkOptions, Workbench, WorkbenchError,
};

/// Entries that are walked at a time. A thread is held for so many, and none while their reader is busy with them:
/// readers need threads of the same pool.
const WALK_BATCH: usize = 256;

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
    /// What is guarded in the repositories below the root, once a program was started.
    below: OnceLock<Vec<PathBuf>>,
}

impl Shared {
    fn below(&self) -> &[PathBuf] {
        self.below
            .get_or_init(|| repository::below(&self.places.root))
    }
}

/// Opens a folder as a place whose programs reach nothing that is not named.
///
/// # Errors
/// When the folder can't be opened.
pub fn open_closed(folder: &Path, closed: &Closed) -> Result<Arc<dyn Workbench>, WorkbenchError> {
    let opened = HostWorkbench::open_closed(folder, closed.clone());
    let opened = opened.map_err(|error| WorkbenchError::Failed(error.to_string()))?;
    Ok(Arc::new(opened))
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
        let places = Arc::new(Places::new(root, home, person_home));
        let bounds = Bounds::new(config.environment, environment.folders().to_vec());
        let shared = Shared {
            places: places.clone(),
            environment,
            bounds,
            below: OnceLock::new(),
        };
        Ok(Self {
            places,
            shared: Arc::new(shared),
            leave: Arc::default(),
        })
    }

    /// Opens a folder as a place whose programs reach nothing else, have no network and no environment, and end at limits of
    /// their own. Programs are named by their path there, and their variables are what each command says.
    ///
    /// # Errors
    /// See [`HostError`].
    fn open_closed(root: &Path, closed: Closed) -> Result<Self, HostError> {
        let root = open_root(root)?;
        // No path of it is given to a tool, so there is no home to keep apart.
        let places = Arc::new(Places::new(root, PathBuf::from("/proc"), None));
        let shared = Shared {
            places: places.clone(),
            environment: Environment::closed(),
            bounds: Bounds::closed(closed),
            below: OnceLock::new(),
        };
        Ok(Self {
            places,
            shared: Arc::new(shared),
            leave: Arc::default(),
        })
    }

    /// Waits until all programs of this process have ended and what they left was looked at, for at most three seconds;
    /// whether that is so. For an engine that closes, once nobody reads their output any more: a runtime that is
    /// dropped earlier leaves it to their wardens, which can only set aside. Safe to drop.
    pub async fn programs_ended() -> bool {
        process::all_ended().await
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
        let in_workspace = self.places.owns(&path);
        Ok(Resolved { path, in_workspace })
    }

    async fn which(&self, program: &str) -> Option<PathBuf> {
        let shared = self.shared.clone();
        let program = program.to_owned();
        let find = move || Ok(shared.environment.which(&program, &shared.places.root));
        let found = blocking(find).await;
        found.ok().flatten()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.shared.environment.value(name)
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
        let write = move |path: &Path| notes::noted(path, || file::write(path, &bytes));
        self.with_file(path, write).await
    }

    async fn remove(&self, path: &Path) -> Result<(), WorkbenchError> {
        self.with_file(path, |path| notes::noted(path, || file::remove(path)))
            .await
    }

    async fn capture(&self, path: &Path, bytes_max: u64) -> Result<Captured, WorkbenchError> {
        self.with_file(path, move |path| file::capture(path, bytes_max))
            .await
    }

    async fn restore(&self, path: &Path, state: &Captured) -> Result<(), WorkbenchError> {
        let state = state.clone();
        let restore = move |path: &Path| notes::noted(path, || file::restore(path, &state));
        self.with_file(path, restore).await
    }

    async fn survey(&self, files_max: usize) -> Result<Survey, WorkbenchError> {
        let places = self.places.clone();
        blocking(move || survey::survey(&places, files_max)).await
    }

    fn walk(
        &self,
        folder: &Path,
        options: WalkOptions,
    ) -> BoxStream<Result<Entry, WorkbenchError>> {
        let walk = Walk::Ahead(self.places.clone(), folder.to_owned(), options);
        stream::unfold(Some(walk), |walk| async {
            let mut walk = walk?;
            let batch = blocking(move || Ok((walk.batch()?, walk))).await;
            Some(match batch {
                Ok((batch, walk)) => {
                    let is_last = batch.len() < WALK_BATCH;
                    (batch, (!is_last).then_some(walk))
                }
                Err(error) => (vec![Err(error)], None),
            })
        })
        .flat_map(stream::iter)
        .boxed()
    }

    fn start(
        &self,
        command: Command,
        script: Option<BoxStream<Bytes>>,
    ) -> BoxStream<Result<ProcessEvent, WorkbenchError>> {
        process::run(command, script, self.shared.clone(), self.leave.clone())
    }

    fn for_step(&self, effects: &[Effect]) -> Option<Arc<dyn Workbench>> {
        Some(Arc::new(Self {
            leave: Arc::new(Leave::of(effects)),
            ..self.clone()
        }))
    }

    fn admits(&self, effects: &[Effect]) -> bool {
        let wanted = Leave::of(effects);
        self.shared
            .bounds
            .admits(&self.places, &self.leave, &wanted)
    }
}

/// A walk between two batches.
enum Walk {
    Ahead(Arc<Places>, PathBuf, WalkOptions),
    Under(Box<ignore::Walk>, WalkOptions),
}

impl Walk {
    /// The next entries; fewer than [`WALK_BATCH`] are the last ones.
    fn batch(&mut self) -> Result<Vec<Result<Entry, WorkbenchError>>, WorkbenchError> {
        if let Self::Ahead(places, folder, options) = self {
            check_walk(places, folder)?;
            let mut walk = Box::new(walker(places, folder, *options));
            // The folder itself.
            walk.next();
            *self = Self::Under(walk, *options);
        }
        let Self::Under(walk, options) = self else {
            return Ok(Vec::new());
        };
        let is_wanted = |found: &Result<Entry, WorkbenchError>| match found {
            Ok(entry) => entry.kind != EntryKind::Folder || options.include_folders,
            Err(_) => true,
        };
        let found = walk.map(|found| match found {
            Ok(found) => entry(&found),
            Err(error) => Err(WorkbenchError::Failed(error.to_string())),
        });
        Ok(found.filter(is_wanted).take(WALK_BATCH).collect())
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
    // Who walks through a place of keys has leave for it.
    let is_among_secrets = places.is_secret(folder);
    let is_shown = move |path: &Path| {
        places.check(path).is_ok() && (is_among_secrets || !places.is_secret(path))
    };
    ignore::WalkBuilder::new(folder)
        .standard_filters(!options.include_ignored)
        // A workspace need not be a repository for its ignore files to hold.
        .require_git(false)
        .follow_links(false)
        .max_depth(options.depth_max)
        .sort_by_file_name(|a, b| a.cmp(b))
        .filter_entry(move |entry| is_shown(entry.path()))
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
