//! A connection to libSQL as the threads of this crate use it: synchronous, statements cached, errors explained.
//!
//! libSQL's local calls are `async fn`s that never wait: they run SQLite on the thread that polls them. So each
//! connection lives on a thread of its own and is never shared. No other module names libSQL.

use crate::lock::WriterToken;
use futures::FutureExt;
pub(crate) use libsql::params::IntoParams;
use libsql::{Connection, Database, OpenFlags, Statement};
pub(crate) use libsql::{Row, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use titan_protocol::StorageError;

/// Prepared statements kept for one connection; past this many all are prepared anew.
const STATEMENTS_MAX: usize = 64;
/// The longest wait of a truncating checkpoint for readers to end.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Pages in the write-ahead log after which the writer copies them into the database: 4 MiB.
const CHECKPOINT_PAGES: u32 = 1_000;
const PAGE_BYTES: u64 = 4_096;

/// What the connection that writes is told. FULL: a commit is on the disk when it returns.
const WRITER_PRAGMAS: &[&str] = &[
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
];
/// What the connections that read are told: they neither write nor checkpoint.
const READER_PRAGMAS: &[&str] = &[
    "PRAGMA query_only = ON",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA temp_store = MEMORY",
];

/// One connection, on one thread.
pub(crate) struct Sql {
    // Before the connection, so that they are finalised before it closes.
    statements: RefCell<HashMap<String, Rc<Statement>>>,
    connection: Connection,
    _database: Database,
    path: PathBuf,
}

impl Sql {
    /// The one connection that writes. Only here is a database opened for writing.
    pub(crate) fn writer(
        path: &Path,
        _right: WriterToken,
        bytes_max: u64,
    ) -> Result<Self, StorageError> {
        let sql = Self::connect(path, OpenFlags::default())?;
        for pragma in WRITER_PRAGMAS {
            sql.pragma(pragma)?;
        }
        sql.pragma(&format!("PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"))?;
        sql.pragma(&format!(
            "PRAGMA max_page_count = {}",
            bytes_max / PAGE_BYTES
        ))?;
        Ok(sql)
    }

    /// A connection that can't write.
    pub(crate) fn reader(path: &Path) -> Result<Self, StorageError> {
        let sql = Self::connect(path, OpenFlags::default())?;
        for pragma in READER_PRAGMAS {
            sql.pragma(pragma)?;
        }
        Ok(sql)
    }

    /// A connection of a process that may not own the home: it can't write, nor checkpoint when it closes.
    pub(crate) fn onlooker(path: &Path) -> Result<Self, StorageError> {
        let sql = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        sql.pragma("PRAGMA temp_store = MEMORY")?;
        Ok(sql)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, StorageError> {
        let explain = |error| explain(path, &error);
        let builder = libsql::Builder::new_local(path).flags(flags);
        let database = ready(builder.build()).map_err(explain)?;
        let connection = database.connect().map_err(explain)?;
        connection.busy_timeout(BUSY_MAX).map_err(explain)?;
        Ok(Self {
            statements: RefCell::default(),
            connection,
            _database: database,
            path: path.to_owned(),
        })
    }

    /// Runs a statement that gives no rows, and says how many it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl IntoParams) -> Result<u64, StorageError> {
        let statement = self.prepared(sql)?;
        let _reset = Reset(&statement);
        let changed = ready(statement.execute(params)).map_err(|error| self.explain(&error))?;
        Ok(changed as u64)
    }

    /// Runs a query and shows its rows one by one, until it is told to stop.
    pub(crate) fn rows(
        &self,
        sql: &str,
        params: impl IntoParams,
        mut show: impl FnMut(&Row) -> Result<ControlFlow<()>, StorageError>,
    ) -> Result<(), StorageError> {
        let statement = self.prepared(sql)?;
        let _reset = Reset(&statement);
        let mut rows = ready(statement.query(params)).map_err(|error| self.explain(&error))?;
        while let Some(row) = ready(rows.next()).map_err(|error| self.explain(&error))? {
            if show(&row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The first row of a query, if there is one.
    pub(crate) fn first<T>(
        &self,
        sql: &str,
        params: impl IntoParams,
        mut read: impl FnMut(&Row) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        let mut found = None;
        self.rows(sql, params, |row| {
            found = Some(read(row)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// Several statements without parameters.
    pub(crate) fn script(&self, sql: &str) -> Result<(), StorageError> {
        ready(self.connection.execute_batch(sql)).map_err(|error| self.explain(&error))?;
        Ok(())
    }

    /// Reads or sets a pragma; rows that it gives are passed over.
    pub(crate) fn pragma(&self, pragma: &str) -> Result<(), StorageError> {
        let rows = ready(self.connection.query(pragma, ()));
        let mut rows = rows.map_err(|error| self.explain(&error))?;
        while ready(rows.next())
            .map_err(|error| self.explain(&error))?
            .is_some()
        {}
        Ok(())
    }

    /// Whether a transaction is open.
    pub(crate) fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Copies the write-ahead log into the database and cuts it to nothing. What was overwritten is then in neither.
    pub(crate) fn truncate_log(&self) -> Result<(), StorageError> {
        let busy = self.first("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| integer(row, 0))?;
        if busy == Some(0) {
            return Ok(());
        }
        Err(StorageError::Failed(format!(
            "the old content is out of {}, but a long query kept a copy in its write-ahead log: forget it again",
            self.path.display()
        )))
    }

    fn prepared(&self, sql: &str) -> Result<Rc<Statement>, StorageError> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(Rc::clone(statement));
        }
        let statement =
            ready(self.connection.prepare(sql)).map_err(|error| self.explain(&error))?;
        let statement = Rc::new(statement);
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS_MAX {
            statements.clear();
        }
        statements.insert(sql.to_owned(), Rc::clone(&statement));
        Ok(statement)
    }

    fn explain(&self, error: &libsql::Error) -> StorageError {
        explain(&self.path, error)
    }
}

/// A statement that was not reset keeps its read transaction open.
struct Reset<'a>(&'a Statement);

impl Drop for Reset<'_> {
    fn drop(&mut self) {
        self.0.reset();
    }
}

fn ready<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never()
        .expect("a local libSQL call runs to its end when it is polled")
}

/// An integer column.
pub(crate) fn integer(row: &Row, idx: i32) -> Result<i64, StorageError> {
    match row.get_value(idx) {
        Ok(Value::Integer(value)) => Ok(value),
        other => Err(wrong_column(idx, "an integer", &other)),
    }
}

/// A real column.
pub(crate) fn real(row: &Row, idx: i32) -> Result<f64, StorageError> {
    match row.get_value(idx) {
        Ok(Value::Real(value)) => Ok(value),
        other => Err(wrong_column(idx, "a number", &other)),
    }
}

/// A column of bytes.
pub(crate) fn bytes(row: &Row, idx: i32) -> Result<Vec<u8>, StorageError> {
    match row.get_value(idx) {
        Ok(Value::Blob(value)) => Ok(value),
        other => Err(wrong_column(idx, "bytes", &other)),
    }
}

/// A column of bytes that may be empty of a value.
pub(crate) fn optional_bytes(row: &Row, idx: i32) -> Result<Option<Vec<u8>>, StorageError> {
    match row.get_value(idx) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::Blob(value)) => Ok(Some(value)),
        other => Err(wrong_column(idx, "bytes or nothing", &other)),
    }
}

/// A column of bytes that are UTF-8.
pub(crate) fn utf8(row: &Row, idx: i32) -> Result<String, StorageError> {
    String::from_utf8(bytes(row, idx)?).map_err(|error| {
        StorageError::Incompatible(format!(
            "column {idx} is not text ({error}): the store is damaged, restore a backup"
        ))
    })
}

/// A text column. Only for text of our own, which holds no NUL.
pub(crate) fn text(row: &Row, idx: i32) -> Result<String, StorageError> {
    match row.get_value(idx) {
        Ok(Value::Text(value)) => Ok(value),
        other => Err(wrong_column(idx, "text", &other)),
    }
}

fn wrong_column(idx: i32, wanted: &str, found: &libsql::Result<Value>) -> StorageError {
    let kind = match found {
        Ok(Value::Null) => "nothing".to_owned(),
        Ok(Value::Integer(_)) => "an integer".to_owned(),
        Ok(Value::Real(_)) => "a number".to_owned(),
        Ok(Value::Text(_)) => "text".to_owned(),
        Ok(Value::Blob(_)) => "bytes".to_owned(),
        Err(error) => error.to_string(),
    };
    StorageError::Incompatible(format!(
        "column {idx} holds {kind} where {wanted} belongs: the store is damaged, restore a backup"
    ))
}

fn explain(path: &Path, error: &libsql::Error) -> StorageError {
    let place = path.display();
    let code = match error {
        libsql::Error::SqliteFailure(code, _) => code & 0xff,
        _ => 0,
    };
    match code {
        libsql::ffi::SQLITE_FULL => StorageError::Failed(format!(
            "{place} can't grow: free space on the disk, or raise the store's size limit"
        )),
        libsql::ffi::SQLITE_CORRUPT | libsql::ffi::SQLITE_NOTADB => {
            StorageError::Incompatible(format!(
                "{place} is damaged ({error}): restore a backup, or move it away to begin anew"
            ))
        }
        libsql::ffi::SQLITE_READONLY | libsql::ffi::SQLITE_CANTOPEN | libsql::ffi::SQLITE_PERM => {
            StorageError::Failed(format!(
                "{place} can't be opened or written ({error}): check that you own it and may write there"
            ))
        }
        libsql::ffi::SQLITE_IOERR => StorageError::Failed(format!(
            "the disk failed under {place} ({error}): check the disk, then start again"
        )),
        _ => StorageError::Failed(format!("{place} failed: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::HomeLock;

    fn setting(sql: &Sql, name: &str) -> i64 {
        let value = sql.first(&format!("PRAGMA {name}"), (), |row| integer(row, 0));
        value.expect("a pragma is read").expect("and has a value")
    }

    fn writer(home: &Path) -> Sql {
        let lock = HomeLock::acquire(home).expect("the home is free");
        let right = lock.take_writer().expect("nobody writes yet");
        Sql::writer(&home.join("t.db"), right, 1 << 30).expect("a database opens")
    }

    #[test]
    fn the_writer_alone_writes_and_checkpoints() {
        let home = tempfile::tempdir().expect("a folder");
        let writer = writer(home.path());
        writer
            .script("CREATE TABLE t (n INTEGER)")
            .expect("the writer writes");
        assert_eq!(setting(&writer, "synchronous"), 2, "FULL");
        assert_eq!(setting(&writer, "secure_delete"), 1);
        assert_eq!(setting(&writer, "wal_autocheckpoint"), 1_000);
        assert_eq!(setting(&writer, "page_size"), PAGE_BYTES as i64);

        let reader = Sql::reader(&home.path().join("t.db")).expect("a reader opens");
        assert_eq!(setting(&reader, "query_only"), 1);
        assert_eq!(setting(&reader, "wal_autocheckpoint"), 0);
        assert_eq!(
            setting(&reader, "mmap_size"),
            0,
            "a truncated file can't fault"
        );
        let refused = reader.execute("INSERT INTO t VALUES (1)", ());
        assert!(refused.is_err(), "a reader can't write");
    }

    #[test]
    fn s8_the_engine_is_the_one_that_the_single_writer_rule_was_made_for() {
        // Before 3.51.3 SQLite may lose commits when two connections write and checkpoint. With another version
        // read its release notes, and then decide anew whether the rule is still needed.
        assert_eq!(libsql::version(), "3.47.0");
    }

    #[test]
    fn a_query_that_was_left_early_holds_no_transaction() {
        let home = tempfile::tempdir().expect("a folder");
        let sql = writer(home.path());
        sql.script("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1), (2)")
            .expect("a script runs");
        let first = sql.first("SELECT n FROM t", (), |row| integer(row, 0));
        assert_eq!(first.expect("a query runs"), Some(1));
        sql.truncate_log().expect("no reader is in the way");
        let again = sql.first("SELECT n FROM t", (), |row| integer(row, 0));
        assert_eq!(again.expect("a cached statement runs again"), Some(1));
    }
}
