//! The schema on a server, by the rules of a home's own: numbered, with checksums, newer ones refused. Engines that start
//! together take turns.

use super::pool::{Fault, Pool, Work};
use crate::schema::{checksum_of, n_known};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use titan_protocol::StorageError;

/// All migrations, oldest first. A released one is never edited.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];
/// The lock of those who change the schema: "titan" in numbers, and one.
const LOCK: i64 = 0x7469_7461_6e01;
/// The oldest server that the tests run on.
const VERSION_MIN: i32 = 15;

const LEDGER: &str = "CREATE SCHEMA IF NOT EXISTS titanclaw;
    CREATE TABLE IF NOT EXISTS titanclaw.migration (
        number integer PRIMARY KEY, checksum text NOT NULL, applied_by text NOT NULL
    )";

/// Brings the schema up to date; writes nothing when it is.
///
/// # Errors
/// `Incompatible` when the server is too old or its database is not UTF-8, or when another program made the schema.
pub(super) async fn migrate(pool: &Pool) -> Result<(), StorageError> {
    check_server(pool).await?;
    if is_current(pool).await? {
        return Ok(());
    }
    pool.write(&Migrate).await
}

/// Refuses a database that has not the last migration yet.
pub(super) async fn must_be_current(pool: &Pool) -> Result<(), StorageError> {
    check_server(pool).await?;
    if is_current(pool).await? {
        return Ok(());
    }
    Err(StorageError::Incompatible(format!(
        "{} has not this titanclaw's schema: it is made when an engine opens it (titanclaw sessions list)",
        pool.server()
    )))
}

async fn check_server(pool: &Pool) -> Result<(), StorageError> {
    pool.begin().await?;
    let said = "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding')";
    let rows = pool.rows(said, &[]).await?;
    let (version, encoding): (i32, String) = (get(pool, &rows[0], 0)?, get(pool, &rows[0], 1)?);
    if version < VERSION_MIN {
        return Err(StorageError::Incompatible(format!(
            "{} is PostgreSQL {version}: use {VERSION_MIN} or newer",
            pool.server()
        )));
    }
    if encoding != "UTF8" {
        return Err(StorageError::Incompatible(format!(
            "{} is encoded in {encoding}: make a database in UTF-8 (createdb --encoding=UTF8 --template=template0)",
            pool.server()
        )));
    }
    Ok(())
}

async fn is_current(pool: &Pool) -> Result<bool, StorageError> {
    let ledger = "SELECT to_regclass('titanclaw.migration') IS NOT NULL";
    let rows = pool.rows(ledger, &[]).await?;
    if !get::<bool>(pool, &rows[0], 0)? {
        return Ok(false);
    }
    let rows = pool.rows(APPLIED, &[]).await?;
    let mut applied = Vec::with_capacity(rows.len());
    for row in &rows {
        applied.push((get(pool, row, 0)?, get(pool, row, 1)?));
    }
    Ok(n_known(&applied, MIGRATIONS)? == MIGRATIONS.len())
}

const APPLIED: &str = "SELECT checksum, applied_by FROM titanclaw.migration ORDER BY number";

struct Migrate;

#[async_trait]
impl Work for Migrate {
    type Done = ();

    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
            .await?;
        transaction.batch_execute(LEDGER).await?;
        let mut applied = Vec::new();
        for row in transaction.query(APPLIED, &[]).await? {
            applied.push((row.try_get(0)?, row.try_get(1)?));
        }
        let n_applied = n_known(&applied, MIGRATIONS)?;
        for (script, number) in MIGRATIONS.iter().zip(1_i32..).skip(n_applied) {
            transaction.batch_execute(script).await?;
            transaction
                .execute(
                    "INSERT INTO titanclaw.migration VALUES ($1, $2, $3)",
                    &[&number, &checksum_of(script), &env!("CARGO_PKG_VERSION")],
                )
                .await?;
        }
        Ok(())
    }
}

/// A column of a row.
pub(super) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
    pool: &Pool,
    row: &'a tokio_postgres::Row,
    idx: usize,
) -> Result<T, StorageError> {
    row.try_get(idx).map_err(|error| {
        StorageError::Incompatible(format!(
            "column {idx} at {} is not what belongs there ({error}): something besides this program changed it",
            pool.server()
        ))
    })
}
