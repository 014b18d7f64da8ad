//! The four ports on a PostgreSQL server, for several engines on one database.
//!
//! The rows are those of a home's own database. What differs: every change is durable when its call returns, an append
//! included, because only the server can say what place an event has. Engines meet in the database alone: locks give
//! turns, notifications wake, and whatever is told to subscribers was read or written in the journal's order.
//!
//! Not here: replication, backups and the erasing of old log segments, which are the server's.

mod blobs;
mod follow;
mod journal;
mod migrate;
mod pool;
mod records;
mod schema;
mod search;
mod server;
mod vectors;

pub(crate) use migrate::{fill, read_out};
pub use server::Server;

use crate::chain::{self, Checked, Link, RowContent, Walk};
use crate::lock::HomeLock;
use crate::{Company, Ports};
use follow::{Ear, Follower};
use journal::{Append, WAITING_APPENDS_MAX};
use pool::Pool;
use schema::get;
use std::sync::Arc;
use titan_protocol::StorageError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_postgres::Row;
use vectors::Vectors;

/// The lock that every engine shares while it listens: "titan" in numbers, and five.
const ENGINES: i64 = 0x7469_7461_6e05;
/// Links that are read at one time.
const LINKS_READ_MAX: i64 = 1_000;

/// What a server is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// PostgreSQL's version.
    pub version: String,
    /// pgvector's, where it is in use.
    pub vectors: Option<String>,
    /// Engines that use the database now.
    pub n_engines: u64,
    /// Whether what it calls committed would survive a power cut.
    pub is_durable: bool,
}

/// Looks at a server; writes nothing.
///
/// # Errors
/// When it can't be reached or asked.
pub async fn look_at(server: &Server) -> Result<Looked, StorageError> {
    let pool = Pool::new(server)?;
    pool.begin().await?;
    let ask = "SELECT current_setting('server_version'), \
               (SELECT extversion FROM pg_extension WHERE extname = 'vector'), current_setting('fsync')::bool";
    let rows = pool.rows(ask, &[]).await?;
    Ok(Looked {
        version: get(&pool, &rows[0], 0)?,
        vectors: get(&pool, &rows[0], 1)?,
        is_durable: get(&pool, &rows[0], 2)?,
        n_engines: n_engines(&pool).await?,
    })
}

/// Engines that listen now.
async fn n_engines(pool: &Pool) -> Result<u64, StorageError> {
    let count = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 \
                 AND (classid::bigint << 32) + objid::bigint = $1 \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let rows = pool.rows(count, &[&ENGINES]).await?;
    Ok(get::<i64>(pool, &rows[0], 0)? as u64)
}

/// Opens the store on a server, making its schema if it is not there.
pub(crate) async fn open(
    server: &Server,
    lock: Arc<HomeLock>,
) -> Result<(Ports, Company), StorageError> {
    let pool = Arc::new(Pool::new(server)?);
    schema::migrate(&pool).await?;
    let (ear, is_alone) = Ear::open(&pool).await?;
    let vectors = Vectors::open(&pool).await?;
    let follower = Arc::new(Follower::new(journal::last_seq(&pool).await?));
    let (appends, waiting) = mpsc::channel(WAITING_APPENDS_MAX);
    let mut tasks = JoinSet::new();
    tasks.spawn(journal::write(
        Arc::clone(&pool),
        Arc::clone(&follower),
        waiting,
    ));
    let (shares, shared) = watch::channel(false);
    tasks.spawn(follow::listen(
        Arc::clone(&pool),
        Arc::clone(&follower),
        ear,
        shared,
    ));
    let core = Arc::new(Core {
        pool,
        follower,
        vectors,
        appends,
        _tasks: tasks,
        _lock: lock,
    });
    let company = match is_alone {
        true => Company::WaitsOutside(shares),
        false => Company::IsThere,
    };
    Ok((Ports::of(core), company))
}

/// What all ports share. Dropping it ends its tasks; what an append waits for is then undecided, as when it is dropped.
struct Core {
    pool: Arc<Pool>,
    follower: Arc<Follower>,
    vectors: Vectors,
    appends: mpsc::Sender<Append>,
    _tasks: JoinSet<()>,
    _lock: Arc<HomeLock>,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.follower.close();
    }
}

impl Core {
    /// A column of bytes that are UTF-8.
    fn utf8(&self, row: &Row, idx: usize) -> Result<String, StorageError> {
        String::from_utf8(get(&self.pool, row, idx)?).map_err(|error| {
            StorageError::Incompatible(format!(
                "column {idx} at {} is not text ({error}): something besides this program changed it",
                self.pool.server()
            ))
        })
    }

    /// Takes what was deleted out of a table's pages. The server's log keeps it for as long as the server keeps its log.
    async fn erase(&self, table: &str) -> Result<(), StorageError> {
        self.pool.execute_alone(&format!("VACUUM {table}")).await
    }
}

/// Checks every link of the chain over the journal on a server. Changes nothing, and may be done while engines run.
///
/// # Errors
/// When the server can't be read, or its schema is not this program's.
pub async fn check_server(server: &Server) -> Result<Checked, StorageError> {
    let pool = Pool::new(server)?;
    schema::must_be_current(&pool).await?;
    let mut walk = Walk::default();
    let mut after = 0_i64;
    'links: loop {
        let rows = pool
            .rows(
                "SELECT chain.number, chain.first_seq, salt, content, link, last_seq, session, entries \
                 FROM chain LEFT JOIN journal ON journal.first_seq = chain.first_seq AND vouched = chain.number \
                 WHERE chain.number > $1 ORDER BY chain.number LIMIT $2",
                &[&after, &LINKS_READ_MAX],
            )
            .await?;
        for row in &rows {
            after = get(&pool, row, 0)?;
            if step(&pool, row, &mut walk)?.is_break() {
                break 'links;
            }
        }
        if (rows.len() as i64) < LINKS_READ_MAX {
            break;
        }
    }
    let mut checked = walk.checked();
    if checked.wrong.is_none() {
        let rows = pool.rows(chain::UNVOUCHED, &[]).await?;
        checked.wrong = match rows.first() {
            Some(row) => Some(chain::not_vouched_for(get(&pool, row, 0)?)),
            None => None,
        };
    }
    Ok(checked)
}

fn step(
    pool: &Pool,
    row: &Row,
    walk: &mut Walk,
) -> Result<std::ops::ControlFlow<()>, StorageError> {
    let link = Link {
        number: get(pool, row, 0)?,
        first_seq: get(pool, row, 1)?,
        salt: get(pool, row, 2)?,
        content: chain::hash(get(pool, row, 3)?)?,
        link: chain::hash(get(pool, row, 4)?)?,
    };
    let Some(entries) = get::<Option<&[u8]>>(pool, row, 7)? else {
        return Ok(walk.step(&link, None));
    };
    let vouched = RowContent {
        first_seq: link.first_seq,
        last_seq: get(pool, row, 5)?,
        session: get(pool, row, 6)?,
        entries,
    };
    Ok(walk.step(&link, Some(vouched)))
}
