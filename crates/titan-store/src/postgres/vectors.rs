//! pgvector, where the server has it: a second copy of each vector in a column that its index can find.
//!
//! The bytes in `document.vector` are the truth, with or without it. Collections of some size are searched by the index,
//! smaller ones exactly.

use super::pool::{Fault, Pool, Work};
use super::schema::get;
use super::search::Among;
use crate::ranking::{Ranking, decode_vector, sort_best_first};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fmt::Write;
use titan_protocol::{Document, StorageError};

/// Vectors of a collection up to which all are compared.
const EXACT_MAX: i64 = 2_000;
/// The most that pgvector indexes.
const DIMENSIONS_MAX: usize = 2_000;
/// The first version whose index goes on until enough of what is found passes the filter.
const VERSION_MIN: (u32, u32) = (0, 8);
/// The lock of those who make the column and its indexes: "titan" in numbers, and four.
const LOCK: i64 = 0x7469_7461_6e04;
/// Vectors that are copied at one time.
const COPIED_MAX: i64 = 1_000;

/// What is known of pgvector on this server.
pub(super) struct Vectors {
    are_there: bool,
    /// Lengths of vectors that have an index.
    indexed: Mutex<HashSet<usize>>,
}

impl Vectors {
    /// Takes pgvector into use if the server has it, and gives vectors that were stored without it to it.
    pub(super) async fn open(pool: &Pool) -> Result<Self, StorageError> {
        let are_there = is_usable(pool).await?;
        if are_there {
            let mut adopt = Adopt { after: i64::MIN };
            let mut lengths = HashSet::new();
            while let Some((after, adopted)) = pool.write(&adopt).await? {
                lengths.extend(adopted);
                adopt = Adopt { after };
            }
            for length in lengths {
                pool.write(&Index(length)).await?;
            }
        }
        Ok(Self {
            are_there,
            indexed: Mutex::default(),
        })
    }

    pub(super) fn are_there(&self) -> bool {
        self.are_there
    }

    /// Makes the index for vectors of a length that were not seen before.
    pub(super) async fn prepare(
        &self,
        pool: &Pool,
        documents: &[Document],
    ) -> Result<(), StorageError> {
        let lengths = documents.iter().filter_map(|document| {
            let length = document.vector.as_ref()?.len();
            (self.are_there && (1..=DIMENSIONS_MAX).contains(&length)).then_some(length)
        });
        for length in lengths {
            if !self.indexed.lock().contains(&length) {
                pool.write(&Index(length)).await?;
                self.indexed.lock().insert(length);
            }
        }
        Ok(())
    }

    /// The nearest documents by the index; `None` where all have to be compared: there is no index, the collection is
    /// small, or the index did not find as many as were asked for.
    pub(super) async fn nearest(
        &self,
        pool: &Pool,
        among: &Among<'_>,
        wanted: &[f32],
        limit: usize,
    ) -> Result<Option<Ranking>, StorageError> {
        if !self.are_there || wanted.len() > DIMENSIONS_MAX {
            return Ok(None);
        }
        let count = "SELECT count(*) FROM (SELECT 1 FROM document \
                     WHERE collection = $1 AND vector IS NOT NULL LIMIT $2) AS counted";
        let rows = pool
            .rows(count, &[&among.collection, &(EXACT_MAX + 1)])
            .await?;
        if get::<i64>(pool, &rows[0], 0)? <= EXACT_MAX {
            return Ok(None);
        }
        let nearest = Nearest {
            among,
            wanted,
            limit,
        };
        let mut ranking = pool.look(&nearest).await?;
        sort_best_first(&mut ranking);
        Ok((ranking.len() == limit).then_some(ranking))
    }
}

/// Whether pgvector is there or can be had, and is new enough.
async fn is_usable(pool: &Pool) -> Result<bool, StorageError> {
    let known = "SELECT installed_version, default_version FROM pg_available_extensions WHERE name = 'vector'";
    let rows = pool.rows(known, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(false);
    };
    let installed: Option<String> = get(pool, row, 0)?;
    let version = match &installed {
        Some(version) => version.clone(),
        None => get(pool, row, 1)?,
    };
    if !is_new_enough(&version) {
        tracing::info!(%version, "pgvector is too old to be used");
        return Ok(false);
    }
    if installed.is_none()
        && let Err(error) = pool.write(&Create).await
    {
        // Only some may make it, on some servers.
        tracing::info!(%error, "pgvector is there but can't be used");
        return Ok(false);
    }
    Ok(true)
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let (major, minor) = (parts.next().flatten(), parts.next().flatten());
    major.zip(minor).is_some_and(|it| it >= VERSION_MIN)
}

async fn lock(transaction: &Transaction<'_>) -> Result<(), Fault> {
    transaction
        .query("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    Ok(())
}

struct Create;

#[async_trait]
impl Work for Create {
    type Done = ();

    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        lock(transaction).await?;
        Ok(transaction
            .batch_execute("CREATE EXTENSION IF NOT EXISTS vector")
            .await?)
    }
}

/// Gives some vectors that pgvector does not have to it, and tells how far it came and how long they were; `None` when
/// that was all.
struct Adopt {
    after: i64,
}

#[async_trait]
impl Work for Adopt {
    type Done = Option<(i64, HashSet<usize>)>;

    async fn run(&self, transaction: &Transaction<'_>) -> Result<Self::Done, Fault> {
        lock(transaction).await?;
        let column = "SELECT 1 FROM pg_attribute \
                      WHERE attrelid = 'document'::regclass AND attname = 'near' AND NOT attisdropped";
        if transaction.query_opt(column, &[]).await?.is_none() {
            transaction
                .batch_execute("ALTER TABLE document ADD COLUMN near vector")
                .await?;
        }
        let select = "SELECT place, vector FROM document \
                      WHERE vector IS NOT NULL AND near IS NULL AND place > $1 ORDER BY place LIMIT $2";
        let rows = transaction
            .query(select, &[&self.after, &COPIED_MAX])
            .await?;
        let (mut last, mut lengths) = (None, HashSet::new());
        for row in &rows {
            let place: i64 = row.try_get(0)?;
            let vector = decode_vector(row.try_get(1)?);
            let near = literal(&vector);
            lengths.extend(near.is_some().then_some(vector.len()));
            transaction
                .execute(
                    "UPDATE document SET near = $2::text::vector WHERE place = $1",
                    &[&place, &near],
                )
                .await?;
            last = Some(place);
        }
        Ok(last.map(|last| (last, lengths)))
    }
}

/// The index for vectors of one length.
struct Index(usize);

#[async_trait]
impl Work for Index {
    type Done = ();

    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        lock(transaction).await?;
        let length = self.0;
        let make = format!(
            "CREATE INDEX IF NOT EXISTS document_near_{length} ON document \
             USING hnsw ((near::vector({length})) vector_cosine_ops) WHERE vector_dims(near) = {length}"
        );
        Ok(transaction.batch_execute(&make).await?)
    }
}

/// A vector as pgvector reads it; `None` for one that it does not take.
pub(super) fn literal(vector: &[f32]) -> Option<String> {
    let is_taken = (1..=DIMENSIONS_MAX).contains(&vector.len())
        && vector.iter().all(|value| value.is_finite());
    let mut text = String::with_capacity(vector.len() * 12);
    for value in vector {
        text.push(if text.is_empty() { '[' } else { ',' });
        // Writing to a string can't fail.
        let _infallible = write!(text, "{value}");
    }
    text.push(']');
    is_taken.then_some(text)
}

struct Nearest<'a> {
    among: &'a Among<'a>,
    wanted: &'a [f32],
    limit: usize,
}

#[async_trait]
impl Work for Nearest<'_> {
    type Done = Ranking;

    async fn run(&self, transaction: &Transaction<'_>) -> Result<Ranking, Fault> {
        let breadth = self.limit.clamp(100, 1_000);
        // Only the index gives an order without sorting. The planner would not take it: it takes vectors for small.
        transaction
            .batch_execute(&format!(
                "SET LOCAL hnsw.iterative_scan = strict_order; SET LOCAL hnsw.ef_search = {breadth}; \
                 SET LOCAL enable_sort = off"
            ))
            .await?;
        let length = self.wanted.len();
        let select = format!(
            "SELECT place, (1 - distance)::real FROM ( \
             SELECT place, near::vector({length}) <=> $1::text::vector({length}) AS distance FROM document \
             WHERE vector_dims(near) = {length} AND collection = $2 AND pairs @> $3 ORDER BY distance LIMIT $4) AS nearest"
        );
        let select = transaction.prepare_cached(&select).await?;
        let params = (literal(self.wanted), self.limit as i64);
        let among = self.among;
        let rows = transaction
            .query(
                &select,
                &[&params.0, &among.collection, &among.pairs, &params.1],
            )
            .await?;
        let mut ranking = Ranking::with_capacity(rows.len());
        for row in &rows {
            ranking.push((row.try_get(0)?, row.try_get(1)?));
        }
        Ok(ranking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_ones_are_left_alone() {
        assert!(is_new_enough("0.8.0") && is_new_enough("0.10.1") && is_new_enough("1.0"));
        assert!(!is_new_enough("0.7.4") && !is_new_enough("odd") && !is_new_enough(""));
    }

    #[test]
    fn a_vector_is_written_with_every_bit() {
        let vector = [0.1_f32, -0.0, f32::MIN_POSITIVE];
        let written = "[0.1,-0,0.000000000000000000000000000000000000011754944]";
        assert_eq!(literal(&vector).as_deref(), Some(written));
        assert_eq!(literal(&[]), None);
        assert_eq!(literal(&[f32::NAN]), None);
        assert_eq!(literal(&[0.0; DIMENSIONS_MAX + 1]), None);
    }
}
