//! The memory as its callers see it, on every store that there is: a home's own database, and PostgreSQL servers.

mod engines;
mod notes;
mod owners;
mod pages;
mod readings;
mod said;

use async_trait::async_trait;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use titan_memory::{GraphMemory, Keeps, Ports};
use titan_protocol::{
    DOCUMENTS_MAX, Embedder, Memory, MemoryDocument, MemoryDraft, MemoryHit, MemoryKind,
    MemoryOrigin, MemoryQuery, MemoryQuestion, ModelError, UnixMillis,
};
use titan_store::{Server, Store, StoreConfig, backup, open, restore};
use titan_testkit::postgres::{Installed, PostgresServer};

/// Where a store is: it can be opened, closed and opened again.
struct Place {
    folder: TempDir,
    server: Option<Arc<PostgresServer>>,
    address: Option<String>,
    name: &'static str,
}

/// Runs a test on each store in turn, on a fresh one each time. Servers that are not installed are skipped.
async fn on_every_store(check: impl AsyncFn(&Place)) {
    let home = Place {
        folder: folder(),
        server: None,
        address: None,
        name: "a home",
    };
    println!("on {home}");
    check(&home).await;
    on_every_server(check).await;
}

/// Runs a test on each server in turn, where engines meet.
async fn on_every_server(check: impl AsyncFn(&Place)) {
    let servers = [
        ("PostgreSQL", Installed::Plain),
        ("PostgreSQL with pgvector", Installed::WithVectors),
    ];
    for (name, installed) in servers {
        let Some(server) = PostgresServer::start(installed) else {
            continue;
        };
        let place = Place {
            folder: folder(),
            address: Some(server.database()),
            server: Some(Arc::new(server)),
            name,
        };
        println!("on {place}");
        check(&place).await;
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Place {
    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    async fn store(&self) -> Store {
        self.store_of(self.home()).await
    }

    /// As an engine opens it whose home this is.
    async fn store_of(&self, home: PathBuf) -> Store {
        let server = |address: &String| Server::new(address, None, None).expect("an address");
        let config = StoreConfig {
            server: self.address.as_ref().map(server),
            ..StoreConfig::new(home)
        };
        let store = open(&config).await.expect("the store opens");
        store.share();
        store
    }

    async fn open(&self) -> (Store, GraphMemory) {
        let store = self.store().await;
        let memory = GraphMemory::new(ports(&store, None));
        (store, memory)
    }

    /// The bytes of a backup that is made now, as a person makes it.
    fn backup(&self) -> Vec<u8> {
        if let (Some(server), Some(address)) = (&self.server, &self.address) {
            return server.dump(address);
        }
        let folder = folder();
        let file = folder.path().join("backup.tar");
        backup(&self.home(), &file, &[], false).expect("a backup is made");
        std::fs::read(file).expect("the backup is read")
    }

    /// A place that is made from a backup.
    fn restored(&self, backup: &[u8]) -> Self {
        let place = Self {
            folder: folder(),
            server: self.server.clone(),
            address: self.server.as_ref().map(|server| server.restored(backup)),
            name: self.name,
        };
        if place.address.is_none() {
            let file = place.folder.path().join("backup.tar");
            std::fs::write(&file, backup).expect("the backup is written");
            restore(&file, &place.home(), false).expect("a home is made from it");
        }
        place
    }
}

/// The time, which no two readings share.
fn clock() -> UnixMillis {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("it is after 1970").as_millis() as UnixMillis;
    LAST.fetch_max(now, Relaxed);
    LAST.fetch_add(1, Relaxed) + 1
}

fn ports(store: &Store, embedder: Option<Arc<dyn Embedder>>) -> Ports {
    Ports {
        journal: Some(store.journal()),
        search: store.search(),
        records: store.records(),
        embedder,
        blobs: Some(store.blobs()),
        clock,
        keeps: Keeps::default(),
    }
}

fn note(text: &str) -> MemoryDraft {
    MemoryDraft {
        text: text.into(),
        ..MemoryDraft::default()
    }
}

fn page(title: &str, text: &str) -> MemoryDraft {
    MemoryDraft {
        kind: MemoryKind::File,
        title: title.into(),
        source: Some(format!("https://{}.test/", title.replace(' ', "-"))),
        origin: MemoryOrigin::Untrusted,
        ..note(text)
    }
}

async fn kept(memory: &GraphMemory, draft: MemoryDraft) -> MemoryDocument {
    memory.keep(draft).await.expect("it is kept")
}

async fn hits(memory: &GraphMemory, text: &str) -> Vec<MemoryHit> {
    let question = MemoryQuestion {
        text: text.into(),
        limit: 5,
        with_history: false,
    };
    memory.recall(question).await.expect("it is answered")
}

async fn texts(memory: &GraphMemory, text: &str) -> Vec<String> {
    let hits = hits(memory, text).await.into_iter();
    hits.map(|hit| hit.document.text).collect()
}

async fn all(memory: &GraphMemory) -> Vec<MemoryDocument> {
    let query = MemoryQuery {
        limit: DOCUMENTS_MAX,
        ..MemoryQuery::default()
    };
    memory.find(query).await.expect("they are listed")
}

/// The name as the memory knows it.
async fn name(memory: &GraphMemory, name: &str) -> Option<String> {
    let known = memory.graph(name.into(), 5).await;
    known.expect("it is told").name
}

/// Knows drinks from builds, and nothing else. Counts what it is asked.
struct Drinks {
    space: &'static str,
    dimensions: usize,
    asked: AtomicUsize,
}

impl Drinks {
    fn new(space: &'static str, dimensions: usize) -> Arc<Self> {
        let asked = AtomicUsize::new(0);
        Arc::new(Self {
            space,
            dimensions,
            asked,
        })
    }
}

#[async_trait]
impl Embedder for Drinks {
    fn space(&self) -> &str {
        self.space
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        self.asked.fetch_add(texts.len(), Relaxed);
        let vector = |text: &String| {
            let drink = ["tea", "coffee"].iter().any(|word| text.contains(word));
            let mut vector = vec![0.0; self.dimensions];
            vector[usize::from(drink)] = 1.0;
            vector
        };
        Ok(texts.iter().map(vector).collect())
    }
}
