//! Durable state behind four small ports, on libSQL in the home or on a PostgreSQL server.
//!
//! [`open`] gives a [`Store`], which hands out the ports and the sealed [`Secrets`]. One process owns a home: a lock
//! file says so. In it, **one thread makes every commit and every checkpoint**; a few others read. That is not only
//! fast (commits are shared by all who wait), it is what keeps the bundled SQLite clear of its WAL-reset bug, which
//! needs two connections that write or checkpoint.
//!
//! Not here: what the values mean. Sessions, costs and notes are the engine's; an index over vectors is too.

mod backup;
mod blobs;
mod chain;
mod journal;
mod key;
mod lock;
mod migrate;
mod postgres;
mod ranking;
mod readers;
mod records;
mod rows;
mod schema;
mod search;
mod secrets;
mod sql;
mod subscribe;
mod writer;

pub use backup::{Manifest, ManifestFile, Restored, backup, restore};
pub use chain::{Checked, check};
pub use key::KeySource;
pub use migrate::{Moved, move_to_home, move_to_server};
pub use postgres::{Looked, Server, check_server, look_at};
pub use secrets::{SecretEntry, Secrets};

use blobs::{BlobFiles, create_folder, flush_folder, private_file};
use key::KeyPlace;
use lock::HomeLock;
use readers::Readers;
use secrets::Vault;
use sql::Sql;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use subscribe::Hub;
use titan_protocol::{Blobs, Journal, Records, Search, StorageError};
use tokio::sync::{oneshot, watch};
use writer::{Queue, QueueOwner};

/// How much the database may grow to unless the configuration says otherwise: 64 GiB.
const DATABASE_BYTES_MAX: u64 = 64 << 30;

/// Where a store is, and how it keeps its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The home directory. Made if it is not there; its parent must be.
    pub home: PathBuf,
    /// Where the master key of the secrets is kept.
    pub key: KeySource,
    /// The database refuses to grow beyond this many bytes; files of large blobs are not counted. A server has limits of
    /// its own.
    pub database_bytes_max: u64,
    /// Where everything but the key is kept instead of in the home.
    pub server: Option<Server>,
}

impl StoreConfig {
    /// The defaults: the key in a file, 64 GiB at most.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            key: KeySource::default(),
            database_bytes_max: DATABASE_BYTES_MAX,
            server: None,
        }
    }
}

/// An open store. Cheap to clone; the home is free again when the last clone and the last port are dropped.
///
/// That last drop blocks until all that was appended is committed: at most one transaction.
#[derive(Clone)]
pub struct Store {
    ports: Ports,
    vault: Arc<Vault>,
    company: Company,
}

/// Other engines on the same database.
#[derive(Clone)]
enum Company {
    /// A home has one engine.
    Never,
    /// Some use it already.
    IsThere,
    /// Those that come wait until this engine lets them in.
    WaitsOutside(watch::Sender<bool>),
}

/// The ports of one backend.
#[derive(Clone)]
struct Ports {
    journal: Arc<dyn Journal>,
    records: Arc<dyn Records>,
    search: Arc<dyn Search>,
    blobs: Arc<dyn Blobs>,
}

impl Ports {
    fn of(core: Arc<impl Journal + Records + Search + Blobs + 'static>) -> Self {
        Self {
            journal: core.clone(),
            records: core.clone(),
            search: core.clone(),
            blobs: core,
        }
    }
}

impl Store {
    /// The log of all that happened.
    pub fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.ports.journal)
    }

    /// Small values by table and key.
    pub fn records(&self) -> Arc<dyn Records> {
        Arc::clone(&self.ports.records)
    }

    /// Texts and vectors that can be searched.
    pub fn search(&self) -> Arc<dyn Search> {
        Arc::clone(&self.ports.search)
    }

    /// Large values by hash.
    pub fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::clone(&self.ports.blobs)
    }

    /// Whether no other engine uses the same database until this one [shares](Store::share) it. A home has one engine; a
    /// server's database may have many.
    pub fn is_alone(&self) -> bool {
        !matches!(self.company, Company::IsThere)
    }

    /// Lets other engines use the same database, which wait for that in [`open`]. Whoever opened it to do something alone
    /// calls this afterwards; it ends with the store at the latest.
    pub fn share(&self) {
        if let Company::WaitsOutside(shares) = &self.company {
            shares.send_replace(true);
        }
    }

    /// The secrets of one owner.
    pub fn secrets(&self, owner: &str) -> Secrets {
        Secrets::new(owner, self.records(), Arc::clone(&self.vault))
    }
}

/// Opens a home, making it if it is not there, and brings its schema up to date. Writes nothing when nothing changed.
///
/// # Errors
/// `Locked` when another process owns the home, `Incompatible` when a newer program wrote it or it is damaged, `Failed`
/// when it can't be read or written.
///
/// Cancel-safe: a dropped future leaves the home free again as soon as the writer has noticed.
pub async fn open(config: &StoreConfig) -> Result<Store, StorageError> {
    let home = &config.home;
    create_folder(home).map_err(|error| {
        StorageError::Failed(format!(
            "{} can't be made ({error}): make its parent folder first, or choose another home with `--home`",
            home.display()
        ))
    })?;
    let lock = Arc::new(HomeLock::acquire(home)?);
    let (ports, company) = match &config.server {
        Some(server) => postgres::open(server, lock).await?,
        None => (open_home(config, lock).await?, Company::Never),
    };
    Ok(Store {
        ports,
        company,
        vault: Arc::new(Vault::new(KeyPlace::new(&config.key, home))),
    })
}

async fn open_home(config: &StoreConfig, lock: Arc<HomeLock>) -> Result<Ports, StorageError> {
    let home = &config.home;
    let database = home.join("titanclaw.db");
    create_database_file(home, &database)?;

    let hub = Arc::new(Hub::default());
    let (queue, writer) = start_writer(&lock, &database, config.database_bytes_max, &hub).await?;
    // From here on, dropping the core ends what was started.
    let mut core = Core {
        queue,
        hub,
        readers: Readers::none(),
        blob_files: Arc::new(BlobFiles::new(home)),
        writer: Some(writer),
        _lock: lock,
    };
    core.readers.start(&database)?;
    Ok(Ports::of(Arc::new(core)))
}

/// SQLite would let others read the file, and gives its logs the file's own mode.
fn create_database_file(home: &Path, path: &Path) -> Result<(), StorageError> {
    let created = match private_file(path) {
        Ok(_file) => flush_folder(home),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    created.map_err(|error| {
        StorageError::Failed(format!(
            "{} can't be made ({error}): check that you own the folder and the disk has room",
            path.display()
        ))
    })
}

async fn start_writer(
    lock: &Arc<HomeLock>,
    database: &Path,
    bytes_max: u64,
    hub: &Arc<Hub>,
) -> Result<(QueueOwner, JoinHandle<()>), StorageError> {
    let Some(right) = lock.take_writer() else {
        return Err(StorageError::Failed(
            "this home has a writer already: open it once and share the store".to_owned(),
        ));
    };
    let (path, hub) = (database.to_owned(), Arc::clone(hub));
    let (answer, opened) = oneshot::channel();
    let held = Arc::clone(lock);
    let run = move || {
        // The home stays locked until its writer is gone, even when nobody waits for the store any more.
        let _held = held;
        let open = || -> Result<_, StorageError> {
            let sql = Sql::writer(&path, right, bytes_max)?;
            schema::migrate(&sql, schema::MIGRATIONS)?;
            let queue = Arc::new(Queue::new(journal::last_seq(&sql)?, hub));
            Ok((sql, queue))
        };
        match open() {
            Ok((sql, queue)) => {
                // When nobody waits any more, the owner is dropped here, and the run ends at once.
                drop(answer.send(Ok(QueueOwner(Arc::clone(&queue)))));
                writer::run(&sql, &queue);
            }
            Err(error) => {
                // Whoever stopped waiting for the store does not need to know.
                let _gone = answer.send(Err(error));
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(run)
        .map_err(|error| StorageError::Failed(format!("no thread to write on: {error}")))?;
    let queue = opened.await.map_err(|_| {
        StorageError::Failed("the writer ended while it opened the store: open it again".to_owned())
    })??;
    Ok((queue, thread))
}

/// What all ports share.
struct Core {
    queue: QueueOwner,
    hub: Arc<Hub>,
    readers: Readers,
    blob_files: Arc<BlobFiles>,
    writer: Option<JoinHandle<()>>,
    _lock: Arc<HomeLock>,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.hub.close();
        // The writer's connection closes last: closing the last one checkpoints.
        self.readers.stop();
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A thread that panicked has said so already.
            let _panicked = writer.join();
        }
    }
}
