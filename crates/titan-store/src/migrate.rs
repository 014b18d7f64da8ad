//! A store taken from a home to a server, or from a server to a home: row for row, with the same chain.
//!
//! The source is read as it was at one moment and stays as it is. The target gets all of it or nothing: on a server in one
//! transaction, in a home as a file that gets its name when it is whole. So a try that was cut short leaves nothing to
//! mend, and is simply made again. Nothing but an empty target is filled.

use crate::blobs::{BlobFiles, IN_DATABASE_BYTES_MAX, create_folder, flush_folder};
use crate::chain::{self, Link};
use crate::lock::{HomeLock, WriterToken};
use crate::postgres::{Server, fill, read_out};
use crate::ranking::{decode_attributes, decode_vector};
use crate::schema::{self, MIGRATIONS};
use crate::search;
use crate::sql::{Sql, bytes, integer, optional_bytes, text, utf8};
use bytes::Bytes;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_protocol::{BlobId, Document, StorageError};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Rows of one piece, and their bytes but for a single row that has more.
const PIECE_ROWS_MAX: usize = 256;
const PIECE_BYTES_MAX: usize = 1 << 20;
/// Pieces between the two ends.
const PIECES_MAX: usize = 4;
/// The database of a home while it is filled.
const INCOMING: &str = "titanclaw.db.incoming";
const DATABASE: &str = "titanclaw.db";

/// What a store holds, counted, and where its chain ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows of the journal; each holds some events.
    pub journal: u64,
    /// Links of the chain over it.
    pub links: u64,
    /// Records, the sealed secrets among them.
    pub records: u64,
    /// Documents.
    pub documents: u64,
    /// Blobs.
    pub blobs: u64,
    /// The newest link, in hex.
    pub newest_link: String,
}

/// Some rows of one table, in the order of its key.
pub(crate) enum Piece {
    Journal(Vec<JournalRow>),
    Chain(Vec<Link>),
    Records(Vec<RecordRow>),
    /// The last version that a record got.
    LastVersion(i64),
    Documents(Vec<DocumentRow>),
    Blobs(Vec<(BlobId, Bytes)>),
    /// What was sent, when that was all. Pieces that end without it are a part.
    End(Moved),
}

pub(crate) struct JournalRow {
    pub(crate) first_seq: i64,
    pub(crate) last_seq: i64,
    pub(crate) session: String,
    pub(crate) entries: Vec<u8>,
    pub(crate) vouched: i64,
}

pub(crate) struct RecordRow {
    pub(crate) collection: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) version: i64,
    pub(crate) value: Vec<u8>,
}

pub(crate) struct DocumentRow {
    pub(crate) collection: String,
    pub(crate) document: Document,
    pub(crate) place: i64,
}

impl Moved {
    pub(crate) fn count(&mut self, piece: &Piece) {
        match piece {
            Piece::Journal(rows) => self.journal += rows.len() as u64,
            Piece::Chain(links) => {
                self.links += links.len() as u64;
                if let Some(last) = links.last() {
                    self.newest_link = chain::hex(&last.link);
                }
            }
            Piece::Records(rows) => self.records += rows.len() as u64,
            Piece::LastVersion(_) | Piece::End(_) => {}
            Piece::Documents(rows) => self.documents += rows.len() as u64,
            Piece::Blobs(blobs) => self.blobs += blobs.len() as u64,
        }
    }

    /// Refuses a target that does not hold what was sent to it.
    pub(crate) fn must_be(&self, sent: &Self) -> Result<(), StorageError> {
        if self == sent {
            return Ok(());
        }
        Err(StorageError::Failed(format!(
            "what arrived is not what was sent ({self:?}, not {sent:?}), so nothing of it was kept: try again"
        )))
    }
}

/// Fills an empty database of a server with what a home holds. No engine may use either.
///
/// # Errors
/// When an engine uses the home or the database, something is in the database, or either can't be read or written.
/// Both are then as they were.
pub async fn move_to_server(home: &Path, server: &Server) -> Result<Moved, StorageError> {
    let (pieces, arriving) = mpsc::channel(PIECES_MAX);
    let home = home.to_owned();
    let reading = spawn_blocking(move || read_home(&home, Outlet(pieces)));
    let filled = fill(server, arriving).await;
    join(reading.await.map_err(broken_off)?, filled)
}

/// Makes the database of a home out of what a server holds. No engine may use either.
///
/// # Errors
/// When an engine uses the home or the database, something is in the home's database, or either can't be read or
/// written. Both are then as they were.
pub async fn move_to_home(server: &Server, home: &Path) -> Result<Moved, StorageError> {
    let (pieces, arriving) = mpsc::channel(PIECES_MAX);
    let home = home.to_owned();
    let filling = spawn_blocking(move || fill_home(&home, arriving));
    let read = read_out(server, Outlet(pieces)).await;
    join(read, filling.await.map_err(broken_off)?)
}

/// What both ends say. An end that only saw the other one close leaves the word to that one.
fn join(
    read: Result<(), StorageError>,
    filled: Result<Moved, StorageError>,
) -> Result<Moved, StorageError> {
    match read {
        Err(error) if !is_closed(&error) => Err(error),
        _ => filled,
    }
}

fn broken_off(error: tokio::task::JoinError) -> StorageError {
    StorageError::Failed(format!("the move was broken off: {error}"))
}

/// Where a source puts its pieces.
pub(crate) struct Outlet(mpsc::Sender<Piece>);

const CLOSED: &str = "the other end of the move closed";

fn closed<T>(_piece: T) -> StorageError {
    StorageError::Failed(CLOSED.to_owned())
}

fn is_closed(error: &StorageError) -> bool {
    matches!(error, StorageError::Failed(text) if text == CLOSED)
}

impl Outlet {
    pub(crate) async fn send(&self, piece: Piece) -> Result<(), StorageError> {
        self.0.send(piece).await.map_err(closed)
    }

    fn send_blocking(&self, piece: Piece) -> Result<(), StorageError> {
        self.0.blocking_send(piece).map_err(closed)
    }
}

/// What a target says whose source ended too early.
pub(crate) fn cut_short() -> StorageError {
    StorageError::Failed("the move was cut short, so nothing was kept: try again".to_owned())
}

fn read_home(home: &Path, outlet: Outlet) -> Result<(), StorageError> {
    let database = home.join(DATABASE);
    if !database.exists() {
        return Err(StorageError::Failed(format!(
            "there is nothing to move: {} is not there",
            database.display()
        )));
    }
    let _lock = HomeLock::acquire(home)?;
    let sql = Sql::onlooker(&database)?;
    sql.script("BEGIN")?;
    schema::must_be_current(&sql, MIGRATIONS)?;
    let mut sent = Moved::default();
    let mut send = |piece| {
        sent.count(&piece);
        outlet.send_blocking(piece)
    };
    read_tables(&sql, &mut send)?;
    for blob in BlobFiles::new(home).all()? {
        send(Piece::Blobs(vec![blob?]))?;
    }
    outlet.send_blocking(Piece::End(sent))
}

fn read_tables(
    sql: &Sql,
    send: &mut impl FnMut(Piece) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    pieces(
        sql,
        "SELECT first_seq, last_seq, session, entries, vouched FROM journal ORDER BY first_seq",
        |row| {
            let entries = bytes(row, 3)?;
            let n_bytes = entries.len();
            let row = JournalRow {
                first_seq: integer(row, 0)?,
                last_seq: integer(row, 1)?,
                session: text(row, 2)?,
                entries,
                vouched: integer(row, 4)?,
            };
            Ok((row, n_bytes))
        },
        |rows| send(Piece::Journal(rows)),
    )?;
    pieces(
        sql,
        "SELECT number, first_seq, salt, content, link FROM chain ORDER BY number",
        |row| {
            let link = Link {
                number: integer(row, 0)?,
                first_seq: integer(row, 1)?,
                salt: optional_bytes(row, 2)?,
                content: chain::hash(bytes(row, 3)?)?,
                link: chain::hash(bytes(row, 4)?)?,
            };
            Ok((link, 0))
        },
        |links| send(Piece::Chain(links)),
    )?;
    pieces(
        sql,
        "SELECT collection, key, version, value FROM record ORDER BY collection, key",
        |row| {
            let value = bytes(row, 3)?;
            let n_bytes = value.len();
            let row = RecordRow {
                collection: bytes(row, 0)?,
                key: bytes(row, 1)?,
                version: integer(row, 2)?,
                value,
            };
            Ok((row, n_bytes))
        },
        |rows| send(Piece::Records(rows)),
    )?;
    let last = sql.first("SELECT last FROM record_version", (), |row| integer(row, 0))?;
    send(Piece::LastVersion(last.unwrap_or(0)))?;
    pieces(
        sql,
        "SELECT id, text, vector, attributes, collection, place FROM document ORDER BY place",
        |row| {
            let document = Document {
                id: utf8(row, 0)?,
                text: utf8(row, 1)?,
                vector: optional_bytes(row, 2)?.as_deref().map(decode_vector),
                attributes: decode_attributes(&text(row, 3)?)?,
            };
            let n_bytes = document.text.len();
            let row = DocumentRow {
                collection: utf8(row, 4)?,
                document,
                place: integer(row, 5)?,
            };
            Ok((row, n_bytes))
        },
        |rows| send(Piece::Documents(rows)),
    )?;
    pieces(
        sql,
        "SELECT id, bytes FROM blob ORDER BY id",
        |row| {
            let id = text(row, 0)?.parse().map_err(|_| odd_blob())?;
            let bytes = Bytes::from(bytes(row, 1)?);
            let n_bytes = bytes.len();
            Ok(((id, bytes), n_bytes))
        },
        |blobs| send(Piece::Blobs(blobs)),
    )
}

pub(crate) fn odd_blob() -> StorageError {
    StorageError::Incompatible(
        "a stored output has a name that is no hash: restore a backup".to_owned(),
    )
}

/// Shows the rows of a query in pieces; each row comes with its size.
fn pieces<T>(
    sql: &Sql,
    query: &str,
    read: impl Fn(&crate::sql::Row) -> Result<(T, usize), StorageError>,
    mut show: impl FnMut(Vec<T>) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let (mut piece, mut n_bytes) = (Vec::new(), 0);
    sql.rows(query, (), |row| {
        let (row, size) = read(row)?;
        piece.push(row);
        n_bytes += size;
        if piece.len() >= PIECE_ROWS_MAX || n_bytes >= PIECE_BYTES_MAX {
            n_bytes = 0;
            show(std::mem::take(&mut piece))?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if piece.is_empty() {
        return Ok(());
    }
    show(piece)
}

fn fill_home(home: &Path, mut arriving: mpsc::Receiver<Piece>) -> Result<Moved, StorageError> {
    let failed = |error: io::Error| {
        StorageError::Failed(format!(
            "{} can't be filled ({error}): check that you own it and the disk has room",
            home.display()
        ))
    };
    create_folder(home).map_err(failed)?;
    let lock = Arc::new(HomeLock::acquire(home)?);
    let Some(right) = lock.take_writer() else {
        return Err(StorageError::Failed(
            "this home has a writer already".to_owned(),
        ));
    };
    must_be_empty(home)?;
    let incoming = Incoming(home.join(INCOMING));
    incoming.clear().map_err(failed)?;
    crate::blobs::private_file(&incoming.0).map_err(failed)?;
    let filled = incoming.fill(home, right, &mut arriving)?;
    // An empty database may be there, which an engine made that was only looked at.
    clear(&home.join(DATABASE)).map_err(failed)?;
    fs::rename(&incoming.0, home.join(DATABASE)).map_err(failed)?;
    flush_folder(home).map_err(failed)?;
    Ok(filled)
}

fn must_be_empty(home: &Path) -> Result<(), StorageError> {
    let database = home.join(DATABASE);
    if !database.exists() {
        return Ok(());
    }
    let sql = Sql::onlooker(&database)?;
    let is_used = sql.first(
        "SELECT 1 FROM sqlite_schema WHERE name = 'migration' AND (EXISTS (SELECT 1 FROM journal) \
         OR EXISTS (SELECT 1 FROM record) OR EXISTS (SELECT 1 FROM document) OR EXISTS (SELECT 1 FROM blob))",
        (),
        |row| integer(row, 0),
    )?;
    match is_used {
        None => Ok(()),
        Some(_) => Err(StorageError::Failed(format!(
            "{} holds a store already and is left as it is: move it away with its -wal and -shm, or choose another home \
             with `--home`",
            database.display()
        ))),
    }
}

/// The database that is being made. What is left of it goes with this, unless it got its proper name.
struct Incoming(PathBuf);

impl Drop for Incoming {
    fn drop(&mut self) {
        // What can't be removed is removed by the next try, or refuses it.
        let _cleared = self.clear();
    }
}

impl Incoming {
    fn clear(&self) -> io::Result<()> {
        clear(&self.0)
    }

    fn fill(
        &self,
        home: &Path,
        right: WriterToken,
        arriving: &mut mpsc::Receiver<Piece>,
    ) -> Result<Moved, StorageError> {
        let sql = Sql::writer(&self.0, right, crate::DATABASE_BYTES_MAX)?;
        schema::migrate(&sql, MIGRATIONS)?;
        let files = BlobFiles::new(home);
        let mut filled = Moved::default();
        loop {
            match arriving.blocking_recv() {
                None => return Err(cut_short()),
                Some(Piece::End(sent)) => break filled.must_be(&sent)?,
                Some(piece) => {
                    sql.script("BEGIN IMMEDIATE")?;
                    filled.count(&piece);
                    insert(&sql, &files, piece)?;
                    sql.script("COMMIT")?;
                }
            }
        }
        let walked = chain::walk(&sql)?;
        if let Some(wrong) = walked.wrong {
            return Err(StorageError::Incompatible(wrong));
        }
        sql.truncate_log()?;
        Ok(filled)
    }
}

/// Removes a database with its logs.
fn clear(database: &Path) -> io::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn insert(sql: &Sql, files: &BlobFiles, piece: Piece) -> Result<(), StorageError> {
    match piece {
        Piece::Journal(rows) => rows.into_iter().try_for_each(|row| {
            sql.execute(
                "INSERT INTO journal (first_seq, last_seq, session, entries, vouched) VALUES (?1, ?2, ?3, ?4, ?5)",
                (row.first_seq, row.last_seq, row.session, row.entries, row.vouched),
            )
            .map(drop)
        }),
        Piece::Chain(links) => links.iter().try_for_each(|link| chain::insert(sql, link)),
        Piece::Records(rows) => rows.into_iter().try_for_each(|row| {
            sql.execute(
                "INSERT INTO record (collection, key, version, value) VALUES (?1, ?2, ?3, ?4)",
                (row.collection, row.key, row.version, row.value),
            )
            .map(drop)
        }),
        Piece::LastVersion(last) => sql
            .execute("UPDATE record_version SET last = ?1", [last])
            .map(drop),
        Piece::Documents(rows) => rows
            .into_iter()
            .try_for_each(|row| search::insert(sql, &row.collection, row.document)),
        Piece::Blobs(blobs) => blobs.into_iter().try_for_each(|(id, bytes)| {
            if bytes.len() > IN_DATABASE_BYTES_MAX {
                return files.put(&bytes).map(drop);
            }
            sql.execute(
                "INSERT INTO blob (id, bytes) VALUES (?1, ?2)",
                (id.to_string(), bytes.to_vec()),
            )
            .map(drop)
        }),
        Piece::End(_) => Ok(()),
    }
}
