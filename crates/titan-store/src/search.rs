//! Texts by FTS5 and BM25, vectors by a flat scan, both joined by reciprocal rank fusion.
//!
//! The scan reads every vector of the collection that passes the filter. An index over vectors is the engine's matter,
//! not the store's.

use crate::Core;
use crate::ranking::{
    self, FUSION_DEPTH, Near, Ranking, check_dimensions, check_filter, decode_attributes,
    decode_vector, encode_attributes, encode_vector, fuse, sort_best_first, words,
};
use crate::sql::{IntoParams, Row, Sql, Value, bytes, integer, optional_bytes, real, text, utf8};
use crate::writer::Wrote;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use titan_protocol::{Document, Hit, Numbered, Query, Search, StorageError};

/// A place behind every document and every numbered change: none is given twice.
const NEXT_PLACE: &str = "max((SELECT coalesce(max(place), 0) FROM document), \
                          (SELECT coalesce(max(number), 0) FROM collection_change)) + 1";

#[async_trait]
impl Search for Core {
    async fn upsert(
        &self,
        collection: &str,
        documents: Vec<Document>,
    ) -> Result<Numbered, StorageError> {
        let work = move |sql: &Sql, collection: &str| {
            let mut wrote = Wrote::Added;
            for document in documents {
                if delete(sql, collection, &document.id)? {
                    wrote = Wrote::Erased;
                }
                insert(sql, collection, document)?;
            }
            Ok(wrote)
        };
        self.change(collection, work).await
    }

    async fn remove(&self, collection: &str, ids: &[String]) -> Result<Numbered, StorageError> {
        let ids = ids.to_vec();
        let work = move |sql: &Sql, collection: &str| {
            let mut wrote = Wrote::Added;
            for id in &ids {
                if delete(sql, collection, id)? {
                    wrote = Wrote::Erased;
                }
            }
            Ok(wrote)
        };
        self.change(collection, work).await
    }

    async fn last_change(&self, collection: &str) -> Result<u64, StorageError> {
        let collection = collection.as_bytes().to_vec();
        let last = move |sql: &Sql| last_change(sql, collection);
        Ok(self.readers.read(last).await? as u64)
    }

    async fn stored_since(
        &self,
        collection: &str,
        number: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Document)>, StorageError> {
        let since = i64::try_from(number).unwrap_or(i64::MAX);
        let place = (collection.as_bytes().to_vec(), since);
        let select = "SELECT id, text, vector, attributes, place FROM document \
                      WHERE collection = ?1 AND place > ?2 ORDER BY place";
        let read = |row: &Row| Ok((integer(row, 4)? as u64, read_document(row)?));
        let since = move |sql: &Sql| some(sql, select, place, limit, read);
        self.readers.read(since).await
    }

    async fn ids(
        &self,
        collection: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let place = (collection.as_bytes().to_vec(), after.as_bytes().to_vec());
        let select = "SELECT id FROM document WHERE collection = ?1 AND id > ?2 ORDER BY id";
        let ids = move |sql: &Sql| some(sql, select, place, limit, |row| utf8(row, 0));
        self.readers.read(ids).await
    }

    async fn get(&self, collection: &str, id: &str) -> Result<Option<Document>, StorageError> {
        let key = (collection.as_bytes().to_vec(), id.as_bytes().to_vec());
        let select =
            "SELECT id, text, vector, attributes FROM document WHERE collection = ?1 AND id = ?2";
        let get = move |sql: &Sql| sql.first(select, key, read_document);
        self.readers.read(get).await
    }

    async fn scan(
        &self,
        collection: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Document>, StorageError> {
        let place = (collection.as_bytes().to_vec(), after.as_bytes().to_vec());
        let select = "SELECT id, text, vector, attributes FROM document \
                      WHERE collection = ?1 AND id > ?2 ORDER BY id";
        let scan = move |sql: &Sql| some(sql, select, place, limit, read_document);
        self.readers.read(scan).await
    }

    async fn query(&self, collection: &str, query: Query) -> Result<Vec<Hit>, StorageError> {
        check_filter(&query.filter)?;
        let collection = collection.to_owned();
        let search = move |sql: &Sql| search(sql, &collection, &query);
        self.readers.read(search).await
    }
}

impl Core {
    /// Makes a change of a collection and numbers it.
    async fn change(
        &self,
        collection: &str,
        work: impl FnOnce(&Sql, &str) -> Result<Wrote, StorageError> + Send + 'static,
    ) -> Result<Numbered, StorageError> {
        let collection = collection.to_owned();
        let numbered = Arc::new(Mutex::new(Numbered::default()));
        let told = Arc::clone(&numbered);
        let change = move |sql: &Sql| {
            let wrote = work(sql, &collection)?;
            *told.lock() = number(sql, collection.into_bytes())?;
            Ok(wrote)
        };
        self.queue.write(change).await?;
        let numbered = *numbered.lock();
        Ok(numbered)
    }
}

/// At most so many rows of a query.
fn some<T>(
    sql: &Sql,
    select: &str,
    params: impl IntoParams,
    limit: usize,
    read: impl Fn(&Row) -> Result<T, StorageError>,
) -> Result<Vec<T>, StorageError> {
    let mut found = Vec::new();
    sql.rows(select, params, |row| {
        if found.len() >= limit {
            return Ok(ControlFlow::Break(()));
        }
        found.push(read(row)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

fn last_change(sql: &Sql, collection: Vec<u8>) -> Result<i64, StorageError> {
    let select = "SELECT number FROM collection_change WHERE collection = ?1";
    let last = sql.first(select, [collection], |row| integer(row, 0))?;
    Ok(last.unwrap_or(0))
}

/// Numbers the change that is being made: after every place, so that what is stored later stands after it.
fn number(sql: &Sql, collection: Vec<u8>) -> Result<Numbered, StorageError> {
    let before = last_change(sql, collection.clone())?;
    let next = format!("SELECT {NEXT_PLACE}");
    let now = sql.first(&next, (), |row| integer(row, 0))?.unwrap_or(1);
    sql.execute(
        "INSERT OR REPLACE INTO collection_change (collection, number) VALUES (?1, ?2)",
        (collection, now),
    )?;
    Ok(Numbered {
        before: before as u64,
        now: now as u64,
    })
}

fn search(sql: &Sql, collection: &str, query: &Query) -> Result<Vec<Hit>, StorageError> {
    let limit = ranking::limit(query);
    let filter = Filter::new(collection, &query.filter);
    let ranking = match (&query.text, &query.vector) {
        (Some(text), Some(vector)) => {
            let depth = limit.max(FUSION_DEPTH);
            fuse(&[
                by_text(sql, &filter, text, depth)?,
                by_vector(sql, &filter, vector, depth)?,
            ])
        }
        (Some(text), None) => by_text(sql, &filter, text, limit)?,
        (None, Some(vector)) => by_vector(sql, &filter, vector, limit)?,
        (None, None) => by_age(sql, &filter, limit)?,
    };
    let mut hits = Vec::with_capacity(limit.min(ranking.len()));
    for (place, score) in ranking.into_iter().take(limit) {
        // A document that was removed since it was ranked is no hit.
        if let Some(document) = document_at(sql, place)? {
            hits.push(Hit { document, score });
        }
    }
    Ok(hits)
}

/// The condition that all rankings share, and its parameters, which begin at `?2`.
struct Filter {
    condition: String,
    params: Vec<Value>,
}

impl Filter {
    fn new(collection: &str, attributes: &BTreeMap<String, String>) -> Self {
        let mut condition = "d.collection = ?2".to_owned();
        let mut params = vec![Value::Blob(collection.as_bytes().to_vec())];
        for (name, value) in attributes {
            let n = params.len() + 2;
            let m = n + 1;
            // Writing to a string can't fail.
            let _infallible = write!(
                condition,
                " AND EXISTS (SELECT 1 FROM json_each(d.attributes) a WHERE a.key = ?{n} AND a.value = ?{m})"
            );
            params.extend([Value::Text(name.clone()), Value::Text(value.clone())]);
        }
        Self { condition, params }
    }

    /// All parameters of a query whose own one is `?1`.
    fn params_after(&self, first: Value) -> Vec<Value> {
        let mut params = vec![first];
        params.extend(self.params.iter().cloned());
        params
    }
}

fn by_text(sql: &Sql, filter: &Filter, text: &str, limit: usize) -> Result<Ranking, StorageError> {
    let Some(words) = match_expression(text) else {
        return Ok(Vec::new());
    };
    let select = format!(
        "SELECT d.place, bm25(document_text) AS badness FROM document_text \
         JOIN document d ON d.place = document_text.rowid \
         WHERE document_text MATCH ?1 AND {} ORDER BY badness, d.id LIMIT {limit}",
        filter.condition
    );
    let mut ranking = Vec::new();
    sql.rows(&select, filter.params_after(Value::Text(words)), |row| {
        ranking.push((integer(row, 0)?, -real(row, 1)? as f32));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(ranking)
}

/// The words as an FTS5 expression that has no operators but OR: each is a quoted string of letters and digits.
fn match_expression(text: &str) -> Option<String> {
    let quoted: Vec<String> = words(text)
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

fn by_vector(
    sql: &Sql,
    filter: &Filter,
    wanted: &[f32],
    limit: usize,
) -> Result<Ranking, StorageError> {
    let select = format!(
        "SELECT d.place, d.vector FROM document d WHERE d.vector IS NOT NULL AND ?1 AND {}",
        filter.condition
    );
    let near = Near::new(wanted);
    let mut ranking: Ranking = Vec::new();
    sql.rows(&select, filter.params_after(Value::Integer(1)), |row| {
        ranking.push((integer(row, 0)?, near.cosine(&bytes(row, 1)?)?));
        Ok(ControlFlow::Continue(()))
    })?;
    sort_best_first(&mut ranking);
    ranking.truncate(limit);
    Ok(ranking)
}

fn by_age(sql: &Sql, filter: &Filter, limit: usize) -> Result<Ranking, StorageError> {
    let select = format!(
        "SELECT d.place FROM document d WHERE ?1 AND {} ORDER BY d.place DESC LIMIT {limit}",
        filter.condition
    );
    let mut ranking: Ranking = Vec::new();
    sql.rows(&select, filter.params_after(Value::Integer(1)), |row| {
        let rank = ranking.len() as f32;
        ranking.push((integer(row, 0)?, -rank));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(ranking)
}

fn document_at(sql: &Sql, place: i64) -> Result<Option<Document>, StorageError> {
    let select = "SELECT id, text, vector, attributes FROM document WHERE place = ?1";
    sql.first(select, [place], read_document)
}

fn read_document(row: &Row) -> Result<Document, StorageError> {
    Ok(Document {
        id: utf8(row, 0)?,
        text: utf8(row, 1)?,
        vector: optional_bytes(row, 2)?.as_deref().map(decode_vector),
        attributes: decode_attributes(&text(row, 3)?)?,
    })
}

/// Adds a document whose id is free, as the newest.
pub(crate) fn insert(sql: &Sql, collection: &str, document: Document) -> Result<(), StorageError> {
    let collection = collection.as_bytes().to_vec();
    if let Some(vector) = &document.vector {
        let select = "SELECT length(vector) FROM document \
                      WHERE collection = ?1 AND vector IS NOT NULL LIMIT 1";
        let held = sql.first(select, [collection.clone()], |row| integer(row, 0))?;
        if let Some(held_bytes) = held {
            check_dimensions(held_bytes as usize / 4, vector.len())?;
        }
    }
    let attributes = encode_attributes(&document.attributes)?;
    let insert = format!(
        "INSERT INTO document (place, collection, id, text, vector, attributes) \
         VALUES ({NEXT_PLACE}, ?1, ?2, ?3, ?4, ?5)"
    );
    sql.execute(
        &insert,
        (
            collection,
            document.id.into_bytes(),
            document.text.as_bytes().to_vec(),
            document.vector.as_deref().map(encode_vector),
            attributes,
        ),
    )?;
    sql.execute(
        "INSERT INTO document_text (rowid, text) VALUES ((SELECT max(place) FROM document), ?1)",
        [document.text],
    )?;
    Ok(())
}

/// Whether there was such a document. The index needs the old text to find what to delete.
fn delete(sql: &Sql, collection: &str, id: &str) -> Result<bool, StorageError> {
    let key = (collection.as_bytes().to_vec(), id.as_bytes().to_vec());
    let select = "SELECT place, text FROM document WHERE collection = ?1 AND id = ?2";
    let found = sql.first(select, key, |row| Ok((integer(row, 0)?, utf8(row, 1)?)))?;
    let Some((place, text)) = found else {
        return Ok(false);
    };
    sql.execute(
        "INSERT INTO document_text (document_text, rowid, text) VALUES ('delete', ?1, ?2)",
        (place, text),
    )?;
    sql.execute("DELETE FROM document WHERE place = ?1", [place])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_quoted_strings_and_nothing_else_gets_through() {
        let expression = |text| match_expression(text).unwrap_or_default();
        assert_eq!(
            expression("what's NEAR(a) a"),
            r#""what" OR "s" OR "NEAR" OR "a""#
        );
        assert_eq!(expression("\"*^-:{}()+ \0"), "");
        assert_eq!(expression("größe 中文"), r#""größe" OR "中文""#);
        let many: String = (0..1_000).map(|n| format!("w{n} ")).collect();
        assert_eq!(
            expression(&many).matches(" OR ").count(),
            ranking::WORDS_MAX - 1
        );
    }
}
