//! Connections, and what is done when one breaks: wait a little, connect anew, try again, never write a thing twice.
//!
//! A commit whose answer was lost is asked about: the server keeps what became of every transaction, and ours told us its
//! number before it committed. Only one that the server says it undid is run again.

use super::server::Server;
use async_trait::async_trait;
use deadpool_postgres::{Client, Pool as Connections, PoolError, Runtime, Transaction};
use std::time::Duration;
use titan_protocol::StorageError;
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

/// Connections of one engine, besides the one that listens.
const CONNECTIONS_MAX: usize = 8;
/// How long a server that is away is waited for before the caller hears of it.
const OUTAGE_MAX: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a transaction may stay undecided after its connection broke: longer than the server lets it idle.
const UNDECIDED_MAX: Duration = Duration::from_secs(30);

/// What the parameters of a statement are.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Something that is written or looked at in one transaction. It is run again from its beginning when the transaction was
/// undone, so it changes nothing but the database.
#[async_trait]
pub(super) trait Work: Send + Sync {
    type Done: Send;

    async fn run(&self, transaction: &Transaction<'_>) -> Result<Self::Done, Fault>;
}

/// Why a work did not get done.
pub(super) enum Fault {
    Database(Error),
    /// The port's own answer; trying again would give the same.
    Refused(StorageError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        Self::Refused(error)
    }
}

/// The connections to one database.
pub(super) struct Pool {
    connections: Connections,
    server: Server,
}

impl Pool {
    /// Connects to nothing yet.
    pub(super) fn new(server: &Server) -> Result<Self, StorageError> {
        let built = Connections::builder(server.manager())
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .build();
        let connections = built.map_err(|error| {
            StorageError::Failed(format!("no connections to {server} can be kept: {error}"))
        })?;
        Ok(Self {
            connections,
            server: server.clone(),
        })
    }

    /// Connects for the first time. Nobody waits for a server that never was there.
    pub(super) async fn begin(&self) -> Result<(), StorageError> {
        match self.client().await {
            Ok(_client) => Ok(()),
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Database(error)) => Err(explain(&self.server, &error)),
        }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Makes a change, once; durable when this returns.
    pub(super) async fn write<W: Work>(&self, work: &W) -> Result<W::Done, StorageError> {
        let mut tries = Tries::begin(OUTAGE_MAX);
        loop {
            match self.write_once(work).await {
                Ok(done) => return Ok(done),
                Err(Fault::Refused(error)) => return Err(error),
                Err(Fault::Database(error)) => self.pause(&mut tries, error).await?,
            }
        }
    }

    async fn write_once<W: Work>(&self, work: &W) -> Result<W::Done, Fault> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let done = work.run(&transaction).await?;
        let number = transaction
            .query_one("SELECT pg_current_xact_id()::text", &[])
            .await?
            .try_get::<_, String>(0)?;
        let Err(error) = transaction.commit().await else {
            return Ok(done);
        };
        if is_lost(&error) && self.was_committed(&number).await? {
            return Ok(done);
        }
        Err(error.into())
    }

    /// Looks at something in one transaction, which writes nothing; again from its beginning when the connection broke.
    pub(super) async fn look<W: Work>(&self, work: &W) -> Result<W::Done, StorageError> {
        let mut tries = Tries::begin(OUTAGE_MAX);
        loop {
            match self.look_once(work).await {
                Ok(seen) => return Ok(seen),
                Err(Fault::Refused(error)) => return Err(error),
                Err(Fault::Database(error)) => self.pause(&mut tries, error).await?,
            }
        }
    }

    async fn look_once<W: Work>(&self, work: &W) -> Result<W::Done, Fault> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        work.run(&transaction).await
    }

    /// What became of a transaction whose answer was lost.
    async fn was_committed(&self, number: &str) -> Result<bool, StorageError> {
        let mut tries = Tries::begin(UNDECIDED_MAX);
        loop {
            let status = self
                .rows_once("SELECT pg_xact_status($1::text::xid8)", &[&number])
                .await;
            let status = match status {
                Ok(rows) => rows[0].try_get::<_, Option<String>>(0).map_err(Fault::from),
                Err(fault) => Err(fault),
            };
            match status {
                Ok(Some(status)) if status == "committed" => return Ok(true),
                Ok(Some(status)) if status == "aborted" => return Ok(false),
                // A server that came back from a crash without any trace of it.
                Err(Fault::Database(error))
                    if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) =>
                {
                    return Ok(false);
                }
                Ok(_) if tries.may_go_on() => tries.wait().await,
                Err(Fault::Database(error)) if is_passing(&error) && tries.may_go_on() => {
                    tries.wait().await;
                }
                Err(Fault::Refused(error)) => return Err(error),
                Ok(_) | Err(Fault::Database(_)) => {
                    return Err(StorageError::Failed(format!(
                        "{} broke off a write, and can't be asked whether it was done: look at what is there before \
                         you repeat it",
                        self.server
                    )));
                }
            }
        }
    }

    /// The rows of one query, asked again when the connection broke.
    pub(super) async fn rows(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StorageError> {
        let mut tries = Tries::begin(OUTAGE_MAX);
        loop {
            match self.rows_once(sql, params).await {
                Ok(rows) => return Ok(rows),
                Err(Fault::Refused(error)) => return Err(error),
                Err(Fault::Database(error)) => self.pause(&mut tries, error).await?,
            }
        }
    }

    async fn rows_once(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, params).await?)
    }

    /// Runs a statement that can't be part of a transaction.
    pub(super) async fn execute_alone(&self, sql: &str) -> Result<(), StorageError> {
        let mut tries = Tries::begin(OUTAGE_MAX);
        loop {
            let done = match self.client().await {
                Ok(client) => client.batch_execute(sql).await.map_err(Fault::from),
                Err(fault) => Err(fault),
            };
            match done {
                Ok(()) => return Ok(()),
                Err(Fault::Refused(error)) => return Err(error),
                Err(Fault::Database(error)) => self.pause(&mut tries, error).await?,
            }
        }
    }

    async fn client(&self) -> Result<Client, Fault> {
        self.connections.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Fault::Database(error),
            other => Fault::Refused(StorageError::Failed(format!(
                "no connection to {}: {other}",
                self.server
            ))),
        })
    }

    async fn pause(&self, tries: &mut Tries, error: Error) -> Result<(), StorageError> {
        if is_passing(&error) && tries.may_go_on() {
            tracing::debug!(%error, server = %self.server, "trying the store again");
            tries.wait().await;
            return Ok(());
        }
        Err(explain(&self.server, &error))
    }
}

/// How long, and how often, something is tried.
pub(super) struct Tries {
    until: Instant,
    pause: Duration,
}

impl Tries {
    pub(super) fn begin(longest: Duration) -> Self {
        Self {
            until: Instant::now() + longest,
            pause: PAUSE_FIRST,
        }
    }

    fn may_go_on(&self) -> bool {
        Instant::now() + self.pause < self.until
    }

    /// Waits twice as long as the last time.
    pub(super) async fn wait(&mut self) {
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

/// Whether the connection is gone, so that nobody can say what became of its transaction.
fn is_lost(error: &Error) -> bool {
    let is_ended = |code: &SqlState| {
        [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(code)
            || code.code().starts_with("08")
    };
    match error.code() {
        Some(code) => is_ended(code),
        None => error.is_closed() || is_io(error),
    }
}

/// Whether another try may well succeed.
fn is_passing(error: &Error) -> bool {
    let clashed = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::TOO_MANY_CONNECTIONS,
    ];
    is_lost(error) || error.code().is_some_and(|code| clashed.contains(code))
}

fn is_io(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        // A certificate that is not trusted stays so.
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.kind() != std::io::ErrorKind::InvalidData;
        }
        cause = error.source();
    }
    false
}

/// What went wrong, without the values that were written.
pub(super) fn explain(server: &Server, error: &Error) -> StorageError {
    let Some(said) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        return StorageError::Failed(match is_lost(error) || text.contains("connect") {
            true => format!(
                "{server} can't be reached ({text}): check that it runs, and that the address in store.url is right"
            ),
            false => format!("{server} and this titanclaw don't understand each other: {text}"),
        });
    };
    let next = match said.code() {
        code if *code == SqlState::INVALID_PASSWORD
            || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
        {
            "check the user in store.url and the password"
        }
        code if *code == SqlState::INVALID_CATALOG_NAME => "make the database first: createdb",
        code if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            "let the user make a schema there: GRANT CREATE ON DATABASE"
        }
        code if *code == SqlState::DISK_FULL => "free space on the server",
        code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
            "it takes no writes: name the server that does"
        }
        _ if is_passing(error) => "check that the server runs, then try again",
        _ => "the server's log says more",
    };
    StorageError::Failed(format!("{server} says: {}; {next}", said.message()))
}
