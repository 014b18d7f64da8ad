//! Small values by table and key, with versions. Whoever changes keys locks them first, in one order, so that engines wait
//! for each other and never in a circle.

use super::Core;
use super::pool::{Fault, Work};
use super::schema::get;
use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::Transaction;
use std::collections::{BTreeMap, BTreeSet};
use titan_protocol::{Change, Records, StorageError, Versioned};
use tokio_postgres::Row;

/// Locks that all keys share, so that a large commit does not fill the server's table of locks.
const LOCKS: u8 = 128;
/// Where these locks begin: "titan" in numbers, and two.
const LOCK_BASE: i64 = 0x7469_7461_6e02 << 8;

#[async_trait]
impl Records for Core {
    async fn get(&self, table: &str, key: &str) -> Result<Option<Versioned>, StorageError> {
        let select = "SELECT version, value FROM record WHERE collection = $1 AND key = $2";
        let place = (table.as_bytes(), key.as_bytes());
        let rows = self.pool.rows(select, &[&place.0, &place.1]).await?;
        rows.first().map(|row| self.versioned(row, 0)).transpose()
    }

    async fn scan(
        &self,
        table: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Versioned)>, StorageError> {
        // Keys come in byte order, so those of one prefix stand together.
        let select = "SELECT version, value, key FROM record WHERE collection = $1 AND key >= $2 AND key > $3 \
                      AND substring(key FROM 1 FOR $4) = $2 ORDER BY key LIMIT $5";
        let place = (table.as_bytes(), prefix.as_bytes(), after.as_bytes());
        let n_bytes = i32::try_from(prefix.len()).unwrap_or(i32::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .pool
            .rows(select, &[&place.0, &place.1, &place.2, &n_bytes, &limit])
            .await?;
        rows.iter()
            .map(|row| Ok((self.utf8(row, 2)?, self.versioned(row, 0)?)))
            .collect()
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.pool.write(&Commit(changes)).await
    }
}

impl Core {
    /// A version and the value after it.
    fn versioned(&self, row: &Row, idx: usize) -> Result<Versioned, StorageError> {
        let version: i64 = get(&self.pool, row, idx)?;
        let value: Vec<u8> = get(&self.pool, row, idx + 1)?;
        Ok(Versioned {
            value: Bytes::from(value),
            version: version as u64,
        })
    }
}

struct Commit(Vec<Change>);

/// A table and a key.
pub(super) type Place<'a> = (&'a [u8], &'a [u8]);

#[async_trait]
impl Work for Commit {
    type Done = ();

    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let places: BTreeSet<Place<'_>> = self.0.iter().map(place).collect();
        let locks: BTreeSet<i64> = places.iter().map(lock_of).collect();
        let locks: Vec<i64> = locks.into_iter().collect();
        let lock = "SELECT pg_advisory_xact_lock(lock) FROM unnest($1::bigint[]) AS lock";
        let lock = transaction.prepare_cached(lock).await?;
        transaction.query(&lock, &[&locks]).await?;

        let versions = versions(transaction, &places).await?;
        let n_put = self
            .0
            .iter()
            .filter(|change| change.value.is_some())
            .count();
        let fresh = next_numbers(transaction, "record_version", n_put).await?;
        let (put, gone) = decide(&self.0, versions, fresh)?;
        if !put.is_empty() {
            write_all(transaction, &put).await?;
        }
        if !gone.is_empty() {
            delete_all(transaction, &gone).await?;
        }
        Ok(())
    }
}

/// A place with the version and the value that it gets.
pub(super) type Put<'a> = (Place<'a>, i64, &'a [u8]);

/// What the changes come to, one after the other, if each meets the version that it expects.
fn decide<'a>(
    changes: &'a [Change],
    mut versions: BTreeMap<Place<'a>, i64>,
    fresh: Vec<i64>,
) -> Result<(Vec<Put<'a>>, Vec<Place<'a>>), StorageError> {
    let mut fresh = fresh.into_iter();
    let mut after: BTreeMap<Place<'_>, Option<(i64, &[u8])>> = BTreeMap::new();
    for change in changes {
        let place = place(change);
        let now = versions.get(&place).copied().unwrap_or(0);
        if change.expected_version.is_some_and(|it| it != now as u64) {
            return Err(StorageError::Conflict {
                table: change.table.clone(),
                key: change.key.clone(),
            });
        }
        let value = change.value.as_deref();
        let put = value.and_then(|value| Some((fresh.next()?, value)));
        versions.insert(place, put.map_or(0, |(version, _)| version));
        after.insert(place, put);
    }
    let (put, gone): (Vec<_>, Vec<_>) = after.into_iter().partition(|(_, put)| put.is_some());
    let put = put
        .into_iter()
        .filter_map(|(place, put)| put.map(|(version, value)| (place, version, value)));
    Ok((
        put.collect(),
        gone.into_iter().map(|(place, _)| place).collect(),
    ))
}

pub(super) async fn write_all(transaction: &Transaction<'_>, put: &[Put<'_>]) -> Result<(), Fault> {
    let insert = "INSERT INTO record (collection, key, version, value) \
                  SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bytea[]) \
                  ON CONFLICT (collection, key) DO UPDATE SET version = EXCLUDED.version, value = EXCLUDED.value";
    let insert = transaction.prepare_cached(insert).await?;
    let (tables, keys): (Vec<&[u8]>, Vec<&[u8]>) = put.iter().map(|(place, ..)| *place).unzip();
    let (versions, values): (Vec<i64>, Vec<&[u8]>) = put
        .iter()
        .map(|(_, version, value)| (*version, *value))
        .unzip();
    transaction
        .execute(&insert, &[&tables, &keys, &versions, &values])
        .await?;
    Ok(())
}

async fn delete_all(transaction: &Transaction<'_>, gone: &[Place<'_>]) -> Result<(), Fault> {
    let delete = "DELETE FROM record USING unnest($1::bytea[], $2::bytea[]) AS gone (collection, key) \
                  WHERE record.collection = gone.collection AND record.key = gone.key";
    let delete = transaction.prepare_cached(delete).await?;
    let (tables, keys): (Vec<&[u8]>, Vec<&[u8]>) = gone.iter().copied().unzip();
    transaction.execute(&delete, &[&tables, &keys]).await?;
    Ok(())
}

fn place(change: &Change) -> Place<'_> {
    (change.table.as_bytes(), change.key.as_bytes())
}

fn lock_of((table, key): &Place<'_>) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(table.len() as u64).to_le_bytes());
    hasher.update(table);
    hasher.update(key);
    LOCK_BASE + i64::from(hasher.finalize().as_bytes()[0] % LOCKS)
}

async fn versions<'a>(
    transaction: &Transaction<'_>,
    places: &BTreeSet<Place<'a>>,
) -> Result<BTreeMap<Place<'a>, i64>, Fault> {
    let places: Vec<Place<'a>> = places.iter().copied().collect();
    let (tables, keys): (Vec<&[u8]>, Vec<&[u8]>) = places.iter().copied().unzip();
    let select = "SELECT n, version FROM record JOIN unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY \
                  AS wanted (collection, key, n) USING (collection, key)";
    let select = transaction.prepare_cached(select).await?;
    let mut versions = BTreeMap::new();
    for row in transaction.query(&select, &[&tables, &keys]).await? {
        let n: i64 = row.try_get(0)?;
        versions.insert(places[n as usize - 1], row.try_get(1)?);
    }
    Ok(versions)
}

/// The next numbers of a sequence, from the lowest.
pub(super) async fn next_numbers(
    transaction: &Transaction<'_>,
    sequence: &str,
    n: usize,
) -> Result<Vec<i64>, Fault> {
    let next = "SELECT nextval($1::text::regclass) FROM generate_series(1, $2::bigint)";
    let next = transaction.prepare_cached(next).await?;
    let rows = transaction.query(&next, &[&sequence, &(n as i64)]).await?;
    let mut numbers = Vec::with_capacity(rows.len());
    for row in &rows {
        numbers.push(row.try_get(0)?);
    }
    numbers.sort_unstable();
    Ok(numbers)
}
