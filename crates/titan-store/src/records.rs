//! Small values by table and key, with versions.

use crate::Core;
use crate::sql::{Row, Sql, bytes, integer, utf8};
use crate::writer::Wrote;
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::ControlFlow;
use titan_protocol::{Change, Records, StorageError, Versioned};

#[async_trait]
impl Records for Core {
    async fn get(&self, table: &str, key: &str) -> Result<Option<Versioned>, StorageError> {
        let (table, key) = (utf8_bytes(table), utf8_bytes(key));
        let query = move |sql: &Sql| {
            let select = "SELECT version, value FROM record WHERE collection = ?1 AND key = ?2";
            sql.first(select, (table, key), |row| versioned(row, 0, 1))
        };
        self.readers.read(query).await
    }

    async fn scan(
        &self,
        table: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Versioned)>, StorageError> {
        let place = (utf8_bytes(table), utf8_bytes(prefix), utf8_bytes(after));
        let prefix = prefix.to_owned();
        let query = move |sql: &Sql| {
            let mut found = Vec::new();
            let select = "SELECT key, version, value FROM record \
                          WHERE collection = ?1 AND key >= ?2 AND key > ?3 ORDER BY key";
            sql.rows(select, place, |row| {
                let key = utf8(row, 0)?;
                // Keys come in byte order, so those of one prefix stand together.
                if found.len() >= limit || !key.starts_with(&prefix) {
                    return Ok(ControlFlow::Break(()));
                }
                found.push((key, versioned(row, 1, 2)?));
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(found)
        };
        self.readers.read(query).await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        self.queue.write(move |sql| apply(sql, changes)).await
    }
}

fn utf8_bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn versioned(row: &Row, version: i32, value: i32) -> Result<Versioned, StorageError> {
    Ok(Versioned {
        version: integer(row, version)? as u64,
        value: Bytes::from(bytes(row, value)?),
    })
}

fn apply(sql: &Sql, changes: Vec<Change>) -> Result<Wrote, StorageError> {
    let mut wrote = Wrote::Added;
    for change in changes {
        let place = (utf8_bytes(&change.table), utf8_bytes(&change.key));
        if let Some(expected) = change.expected_version {
            let select = "SELECT version FROM record WHERE collection = ?1 AND key = ?2";
            let now = sql.first(select, place.clone(), |row| integer(row, 0))?;
            if now.unwrap_or(0) as u64 != expected {
                return Err(StorageError::Conflict {
                    table: change.table,
                    key: change.key,
                });
            }
        }
        match change.value {
            Some(value) => put(sql, place, value)?,
            None => {
                let delete = "DELETE FROM record WHERE collection = ?1 AND key = ?2";
                if sql.execute(delete, place)? > 0 {
                    wrote = Wrote::Erased;
                }
            }
        }
    }
    Ok(wrote)
}

fn put(sql: &Sql, place: (Vec<u8>, Vec<u8>), value: Bytes) -> Result<(), StorageError> {
    let (table, key) = place;
    sql.execute("UPDATE record_version SET last = last + 1", ())?;
    sql.execute(
        "INSERT OR REPLACE INTO record (collection, key, version, value) \
         VALUES (?1, ?2, (SELECT last FROM record_version), ?3)",
        (table, key, value.to_vec()),
    )?;
    Ok(())
}
