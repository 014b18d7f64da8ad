//! A server's end of a move: filled in one transaction, read out as it was at one moment.

use super::pool::{Fault, Pool, Work};
use super::records::write_all;
use super::search::New;
use super::vectors::Vectors;
use super::{ENGINES, Server, schema};
use crate::chain::{self, Link};
use crate::migrate::{
    DocumentRow, JournalRow, Moved, Outlet, Piece, RecordRow, cut_short, odd_blob,
};
use crate::ranking::{decode_attributes, decode_vector};
use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::Transaction;
use titan_protocol::{Document, StorageError};
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Rows that are read at one time; blobs and rows of the journal may be large.
const ROWS_READ_MAX: i32 = 64;

/// Fills an empty database with all that arrives, or with nothing.
pub(crate) async fn fill(
    server: &Server,
    arriving: mpsc::Receiver<Piece>,
) -> Result<Moved, StorageError> {
    let pool = Pool::new(server)?;
    schema::migrate(&pool).await?;
    let fill = Fill(Mutex::new(Some(arriving)));
    let filled = pool.write(&fill).await?;
    Vectors::open(&pool).await?;
    Ok(filled)
}

/// What arrives, which can be taken once.
struct Fill(Mutex<Option<mpsc::Receiver<Piece>>>);

#[async_trait]
impl Work for Fill {
    type Done = Moved;

    async fn run(&self, transaction: &Transaction<'_>) -> Result<Moved, Fault> {
        let Some(mut arriving) = self.0.lock().await.take() else {
            return Err(Fault::Refused(cut_short()));
        };
        lock_out_engines(transaction).await?;
        transaction
            .batch_execute(
                "LOCK TABLE journal, chain, record, document, blob IN ACCESS EXCLUSIVE MODE",
            )
            .await?;
        must_be_empty(transaction).await?;
        let sent = loop {
            match arriving.recv().await {
                None => return Err(Fault::Refused(cut_short())),
                Some(Piece::End(sent)) => break sent,
                Some(piece) => insert(transaction, piece).await?,
            }
        };
        transaction.batch_execute(FINISH).await?;
        let filled = counted(transaction).await?;
        filled.must_be(&sent)?;
        Ok(filled)
    }
}

/// What stands beside the tables: where the journal ends, and the next numbers.
const FINISH: &str =
    "UPDATE journal_end SET last_seq = (SELECT coalesce(max(last_seq), 0) FROM journal);
    UPDATE journal_end SET number = chain.number, link = chain.link
        FROM (SELECT number, link FROM chain ORDER BY number DESC LIMIT 1) AS chain;
    SELECT setval('document_place', (SELECT coalesce(max(place), 0) + 1 FROM document), false)";

async fn lock_out_engines(transaction: &Transaction<'_>) -> Result<(), Fault> {
    transaction
        .batch_execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        .await?;
    let alone = "SELECT pg_try_advisory_xact_lock($1)";
    let alone: bool = transaction
        .query_one(alone, &[&ENGINES])
        .await?
        .try_get(0)?;
    if alone {
        return Ok(());
    }
    let text =
        "an engine uses the database: stop it first (titanclaw daemon stop), on every machine";
    Err(Fault::Refused(StorageError::Locked(text.to_owned())))
}

async fn must_be_empty(transaction: &Transaction<'_>) -> Result<(), Fault> {
    let used = "SELECT EXISTS (SELECT 1 FROM journal) OR EXISTS (SELECT 1 FROM record) \
                OR EXISTS (SELECT 1 FROM document) OR EXISTS (SELECT 1 FROM blob)";
    let is_used: bool = transaction.query_one(used, &[]).await?.try_get(0)?;
    if !is_used {
        return Ok(());
    }
    let text = "the database holds a store already and is left as it is: make another (createdb), or drop its schema \
                titanclaw if nobody needs it";
    Err(Fault::Refused(StorageError::Failed(text.to_owned())))
}

async fn counted(transaction: &Transaction<'_>) -> Result<Moved, Fault> {
    let count = "SELECT (SELECT count(*) FROM journal), (SELECT count(*) FROM chain), (SELECT count(*) FROM record), \
                 (SELECT count(*) FROM document), (SELECT count(*) FROM blob), link, number FROM journal_end";
    let row = transaction.query_one(count, &[]).await?;
    let n = |idx| row.try_get::<_, i64>(idx).map(|n| n as u64);
    let number: i64 = row.try_get(6)?;
    let newest_link = match number {
        0 => String::new(),
        _ => chain::hex(&chain::hash(row.try_get(5)?)?),
    };
    Ok(Moved {
        journal: n(0)?,
        links: n(1)?,
        records: n(2)?,
        documents: n(3)?,
        blobs: n(4)?,
        newest_link,
    })
}

async fn insert(transaction: &Transaction<'_>, piece: Piece) -> Result<(), Fault> {
    match piece {
        Piece::Journal(rows) => {
            let insert = "INSERT INTO journal (first_seq, last_seq, session, entries, vouched) \
                          VALUES ($1, $2, $3, $4, $5)";
            let insert = transaction.prepare_cached(insert).await?;
            for row in &rows {
                let params: [&(dyn ToSql + Sync); 5] = [
                    &row.first_seq,
                    &row.last_seq,
                    &row.session,
                    &row.entries,
                    &row.vouched,
                ];
                transaction.execute(&insert, &params).await?;
            }
        }
        Piece::Chain(links) => {
            let insert = "INSERT INTO chain (number, first_seq, salt, content, link) \
                          VALUES ($1, $2, $3, $4, $5)";
            let insert = transaction.prepare_cached(insert).await?;
            for link in &links {
                let hashes = (&link.content[..], &link.link[..]);
                let params: [&(dyn ToSql + Sync); 5] = [
                    &link.number,
                    &link.first_seq,
                    &link.salt,
                    &hashes.0,
                    &hashes.1,
                ];
                transaction.execute(&insert, &params).await?;
            }
        }
        Piece::Records(rows) => {
            let put: Vec<_> = rows
                .iter()
                .map(|row| {
                    (
                        (&row.collection[..], &row.key[..]),
                        row.version,
                        &row.value[..],
                    )
                })
                .collect();
            write_all(transaction, &put).await?;
        }
        Piece::LastVersion(last) => {
            let set = "SELECT setval('record_version', $1::bigint + 1, false)";
            transaction.query(set, &[&last]).await?;
        }
        Piece::Documents(rows) => {
            for row in &rows {
                let new = New {
                    collection: row.collection.as_bytes(),
                    document: &row.document,
                    place: row.place,
                };
                new.insert(transaction, false).await?;
            }
        }
        Piece::Blobs(blobs) => {
            let insert = transaction
                .prepare_cached("INSERT INTO blob (id, bytes) VALUES ($1, $2)")
                .await?;
            for (id, bytes) in &blobs {
                let bytes: &[u8] = bytes;
                transaction
                    .execute(&insert, &[&id.as_str(), &bytes])
                    .await?;
            }
        }
        Piece::End(_) => {}
    }
    Ok(())
}

/// Sends all that a database holds, as it is at one moment, and how much that is.
pub(crate) async fn read_out(server: &Server, outlet: Outlet) -> Result<(), StorageError> {
    let pool = Pool::new(server)?;
    schema::must_be_current(&pool).await?;
    pool.look(&ReadOut(Mutex::new(Some(outlet)))).await
}

/// Where pieces go, which can be used once.
struct ReadOut(Mutex<Option<Outlet>>);

#[async_trait]
impl Work for ReadOut {
    type Done = ();

    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let Some(outlet) = &self.0.lock().await.take() else {
            return Err(Fault::Refused(cut_short()));
        };
        transaction
            .batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        lock_out_engines(transaction).await?;
        let journal =
            "SELECT first_seq, last_seq, session, entries, vouched FROM journal ORDER BY first_seq";
        each_piece(transaction, outlet, journal, Piece::Journal, |row| {
            Ok(JournalRow {
                first_seq: row.try_get(0)?,
                last_seq: row.try_get(1)?,
                session: row.try_get(2)?,
                entries: row.try_get(3)?,
                vouched: row.try_get(4)?,
            })
        })
        .await?;
        let links = "SELECT number, first_seq, salt, content, link FROM chain ORDER BY number";
        each_piece(transaction, outlet, links, Piece::Chain, |row| {
            Ok(Link {
                number: row.try_get(0)?,
                first_seq: row.try_get(1)?,
                salt: row.try_get(2)?,
                content: chain::hash(row.try_get(3)?)?,
                link: chain::hash(row.try_get(4)?)?,
            })
        })
        .await?;
        let records = "SELECT collection, key, version, value FROM record ORDER BY collection, key";
        each_piece(transaction, outlet, records, Piece::Records, |row| {
            Ok(RecordRow {
                collection: row.try_get(0)?,
                key: row.try_get(1)?,
                version: row.try_get(2)?,
                value: row.try_get(3)?,
            })
        })
        .await?;
        let last = "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM record_version";
        let last = transaction.query_one(last, &[]).await?.try_get(0)?;
        outlet.send(Piece::LastVersion(last)).await?;
        let documents =
            "SELECT id, text, vector, attributes, collection, place FROM document ORDER BY place";
        each_piece(transaction, outlet, documents, Piece::Documents, document).await?;
        let blobs = "SELECT id, bytes FROM blob ORDER BY id";
        each_piece(transaction, outlet, blobs, Piece::Blobs, |row| {
            let id: &str = row.try_get(0)?;
            let bytes: Vec<u8> = row.try_get(1)?;
            Ok((id.parse().map_err(|_| odd_blob())?, Bytes::from(bytes)))
        })
        .await?;
        let sent = counted(transaction).await?;
        Ok(outlet.send(Piece::End(sent)).await?)
    }
}

fn document(row: &Row) -> Result<DocumentRow, Fault> {
    let utf8 = |idx| -> Result<String, Fault> {
        String::from_utf8(row.try_get(idx)?).map_err(|error| {
            Fault::Refused(StorageError::Incompatible(format!(
                "a document at the server is not text ({error}): something besides this program changed it"
            )))
        })
    };
    let vector: Option<&[u8]> = row.try_get(2)?;
    Ok(DocumentRow {
        document: Document {
            id: utf8(0)?,
            text: utf8(1)?,
            vector: vector.map(decode_vector),
            attributes: decode_attributes(row.try_get(3)?)?,
        },
        collection: utf8(4)?,
        place: row.try_get(5)?,
    })
}

async fn each_piece<T>(
    transaction: &Transaction<'_>,
    outlet: &Outlet,
    select: &str,
    piece: fn(Vec<T>) -> Piece,
    read: fn(&Row) -> Result<T, Fault>,
) -> Result<(), Fault> {
    let portal = transaction.bind(select, &[]).await?;
    loop {
        let rows = transaction.query_portal(&portal, ROWS_READ_MAX).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let rows: Vec<T> = rows.iter().map(read).collect::<Result<_, _>>()?;
        outlet.send(piece(rows)).await?;
    }
}
