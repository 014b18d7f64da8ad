//! Texts by words and BM25, vectors by a flat scan or pgvector's index, both joined by reciprocal rank fusion.
//!
//! PostgreSQL finds the documents that have any of the words, and counts; its own ranks know neither how rare a word is
//! nor how long the others are, so BM25 is computed from the counts, as FTS5 does it in a home.

use super::Core;
use super::pool::{Fault, Params, Work};
use super::records::next_numbers;
use super::schema::get;
use super::vectors;
use crate::ranking::{
    self, FUSION_DEPTH, Near, Ranking, check_dimensions, check_filter, decode_attributes,
    decode_vector, encode_attributes, encode_vector, fuse, sort_best_first, words,
};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use std::collections::{BTreeMap, HashMap, HashSet};
use titan_protocol::{Document, Hit, Numbered, Query, Search, StorageError};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Bytes of a document's text whose words are found; PostgreSQL indexes not much more of one document.
const INDEXED_BYTES_MAX: usize = 512 * 1_024;
/// Where the locks of collections begin: "titan" in numbers, and three.
const LOCK_BASE: i64 = 0x7469_7461_6e03 << 8;
/// Vectors that are read at one time.
const VECTORS_READ_MAX: i64 = 4_096;
/// What a text is before it is cut into words: without accents.
const FOLDED: &str = "regexp_replace(normalize($1::text, NFD), '[\\u0300-\\u036f]', '', 'g')";

#[async_trait]
impl Search for Core {
    async fn upsert(
        &self,
        collection: &str,
        documents: Vec<Document>,
    ) -> Result<Numbered, StorageError> {
        self.vectors.prepare(&self.pool, &documents).await?;
        let upsert = Upsert {
            collection: collection.as_bytes(),
            documents: last_of_each(documents),
            has_near: self.vectors.are_there(),
        };
        self.pool.write(&upsert).await
    }

    async fn remove(&self, collection: &str, ids: &[String]) -> Result<Numbered, StorageError> {
        let remove = Remove {
            collection: collection.as_bytes(),
            ids: ids.iter().map(|id| id.as_bytes()).collect(),
        };
        let (has_removed, numbered) = self.pool.write(&remove).await?;
        if has_removed {
            self.erase("document").await?;
        }
        Ok(numbered)
    }

    async fn last_change(&self, collection: &str) -> Result<u64, StorageError> {
        let rows = self
            .pool
            .rows(LAST_CHANGE, &[&collection.as_bytes()])
            .await?;
        match rows.first() {
            Some(row) => Ok(get::<i64>(&self.pool, row, 0)? as u64),
            None => Ok(0),
        }
    }

    async fn stored_since(
        &self,
        collection: &str,
        number: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Document)>, StorageError> {
        let select = "SELECT place, id, text, vector, attributes FROM document \
                      WHERE collection = $1 AND place > $2 ORDER BY place LIMIT $3";
        let collection = collection.as_bytes();
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let params: Params<'_> = &[&collection, &number, &limit];
        let rows = self.pool.rows(select, params).await?;
        let read = |row| {
            let place: i64 = get(&self.pool, row, 0)?;
            Ok((place as u64, self.document(row, 1)?))
        };
        rows.iter().map(read).collect()
    }

    async fn ids(
        &self,
        collection: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let select =
            "SELECT id FROM document WHERE collection = $1 AND id > $2 ORDER BY id LIMIT $3";
        let place = (collection.as_bytes(), after.as_bytes());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let params: Params<'_> = &[&place.0, &place.1, &limit];
        let rows = self.pool.rows(select, params).await?;
        rows.iter().map(|row| self.utf8(row, 0)).collect()
    }

    async fn get(&self, collection: &str, id: &str) -> Result<Option<Document>, StorageError> {
        let select =
            "SELECT id, text, vector, attributes FROM document WHERE collection = $1 AND id = $2";
        let params = (collection.as_bytes(), id.as_bytes());
        let rows = self.pool.rows(select, &[&params.0, &params.1]).await?;
        rows.first().map(|row| self.document(row, 0)).transpose()
    }

    async fn scan(
        &self,
        collection: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Document>, StorageError> {
        let select = "SELECT id, text, vector, attributes FROM document \
                      WHERE collection = $1 AND id > $2 ORDER BY id LIMIT $3";
        let params = (collection.as_bytes(), after.as_bytes());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .pool
            .rows(select, &[&params.0, &params.1, &limit])
            .await?;
        rows.iter().map(|row| self.document(row, 0)).collect()
    }

    async fn query(&self, collection: &str, query: Query) -> Result<Vec<Hit>, StorageError> {
        check_filter(&query.filter)?;
        let limit = ranking::limit(&query);
        let among = Among {
            collection: collection.as_bytes(),
            pairs: pairs(&query.filter)?,
        };
        let ranking = match (&query.text, &query.vector) {
            (Some(text), Some(vector)) => {
                let depth = limit.max(FUSION_DEPTH);
                fuse(&[
                    self.by_text(&among, text, depth).await?,
                    self.by_vector(&among, vector, depth).await?,
                ])
            }
            (Some(text), None) => self.by_text(&among, text, limit).await?,
            (None, Some(vector)) => self.by_vector(&among, vector, limit).await?,
            (None, None) => self.by_age(&among, limit).await?,
        };
        self.hits(&ranking[..limit.min(ranking.len())]).await
    }
}

/// What a query looks at: documents of one collection that have these attributes.
pub(super) struct Among<'a> {
    pub(super) collection: &'a [u8],
    pub(super) pairs: Vec<String>,
}

impl Core {
    async fn by_text(
        &self,
        among: &Among<'_>,
        text: &str,
        limit: usize,
    ) -> Result<Ranking, StorageError> {
        let plain = plain(&words(text).join(" "));
        let cut = format!("SELECT tsvector_to_array(to_tsvector('titanclaw.words', {FOLDED}))");
        let rows = self.pool.rows(&cut, &[&plain]).await?;
        let lexemes: Vec<String> = get(&self.pool, &rows[0], 0)?;
        if lexemes.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<String> = lexemes.iter().map(|word| format!("'{word}'")).collect();
        let limit = limit as i64;
        let rows = self
            .pool
            .rows(
                include_str!("bm25.sql"),
                &[
                    &among.collection,
                    &among.pairs,
                    &wanted.join(" | "),
                    &lexemes,
                    &limit,
                ],
            )
            .await?;
        rows.iter()
            .map(|row| Ok((get(&self.pool, row, 0)?, get(&self.pool, row, 1)?)))
            .collect()
    }

    async fn by_vector(
        &self,
        among: &Among<'_>,
        wanted: &[f32],
        limit: usize,
    ) -> Result<Ranking, StorageError> {
        let held = "SELECT length(vector) FROM document WHERE collection = $1 AND vector IS NOT NULL LIMIT 1";
        let rows = self.pool.rows(held, &[&among.collection]).await?;
        let Some(row) = rows.first() else {
            return Ok(Vec::new());
        };
        check_dimensions(get::<i32>(&self.pool, row, 0)? as usize / 4, wanted.len())?;
        let found = self.vectors.nearest(&self.pool, among, wanted, limit);
        match found.await? {
            Some(ranking) => Ok(ranking),
            None => self.by_every_vector(among, wanted, limit).await,
        }
    }

    async fn by_every_vector(
        &self,
        among: &Among<'_>,
        wanted: &[f32],
        limit: usize,
    ) -> Result<Ranking, StorageError> {
        let select = "SELECT place, vector FROM document \
                      WHERE collection = $1 AND vector IS NOT NULL AND pairs @> $2 AND place > $3 \
                      ORDER BY place LIMIT $4";
        let near = Near::new(wanted);
        let mut ranking = Ranking::new();
        let mut after = i64::MIN;
        loop {
            let rows = self
                .pool
                .rows(
                    select,
                    &[&among.collection, &among.pairs, &after, &VECTORS_READ_MAX],
                )
                .await?;
            for row in &rows {
                after = get(&self.pool, row, 0)?;
                ranking.push((after, near.cosine(get(&self.pool, row, 1)?)?));
            }
            if (rows.len() as i64) < VECTORS_READ_MAX {
                break;
            }
        }
        sort_best_first(&mut ranking);
        ranking.truncate(limit);
        Ok(ranking)
    }

    async fn by_age(&self, among: &Among<'_>, limit: usize) -> Result<Ranking, StorageError> {
        let select = "SELECT place FROM document WHERE collection = $1 AND pairs @> $2 \
                      ORDER BY place DESC LIMIT $3";
        let rows = self
            .pool
            .rows(select, &[&among.collection, &among.pairs, &(limit as i64)])
            .await?;
        (rows.iter().zip(0_u16..))
            .map(|(row, rank)| Ok((get(&self.pool, row, 0)?, -f32::from(rank))))
            .collect()
    }

    /// The documents of a ranking. One that was removed since it was ranked is no hit.
    async fn hits(&self, ranking: &[(i64, f32)]) -> Result<Vec<Hit>, StorageError> {
        let places: Vec<i64> = ranking.iter().map(|(place, _)| *place).collect();
        let select =
            "SELECT place, id, text, vector, attributes FROM document WHERE place = ANY($1)";
        let mut documents = HashMap::new();
        for row in self.pool.rows(select, &[&places]).await? {
            let place: i64 = get(&self.pool, &row, 0)?;
            documents.insert(place, self.document(&row, 1)?);
        }
        let hit = |(place, score): &(i64, f32)| {
            let document = documents.remove(place)?;
            Some(Hit {
                document,
                score: *score,
            })
        };
        Ok(ranking.iter().filter_map(hit).collect())
    }

    fn document(&self, row: &Row, idx: usize) -> Result<Document, StorageError> {
        let vector: Option<&[u8]> = get(&self.pool, row, idx + 2)?;
        Ok(Document {
            id: self.utf8(row, idx)?,
            text: self.utf8(row, idx + 1)?,
            vector: vector.map(decode_vector),
            attributes: decode_attributes(get(&self.pool, row, idx + 3)?)?,
        })
    }
}

/// Each id once, with the last of its documents, where that stood.
fn last_of_each(documents: Vec<Document>) -> Vec<Document> {
    let mut seen = HashSet::new();
    let mut last: Vec<Document> = documents
        .into_iter()
        .rev()
        .filter(|document| seen.insert(document.id.clone()))
        .collect();
    last.reverse();
    last
}

/// Attributes as they are compared: each as JSON, in which a NUL is written in letters.
pub(super) fn pairs(attributes: &BTreeMap<String, String>) -> Result<Vec<String>, StorageError> {
    let pair = |pair| {
        serde_json::to_string(&pair)
            .map_err(|error| StorageError::Failed(format!("attributes can't be written: {error}")))
    };
    attributes.iter().map(pair).collect()
}

/// A text as words in small letters with spaces between them, so that nothing in it looks like an address or a number
/// with a point. Marks that belong to a letter stay with it until the server takes them off.
pub(super) fn plain(text: &str) -> String {
    let is_mark = |c: char| ('\u{300}'..='\u{36f}').contains(&c);
    let mut plain = String::with_capacity(text.len().min(INDEXED_BYTES_MAX));
    for c in text.chars().flat_map(char::to_lowercase) {
        if plain.len() >= INDEXED_BYTES_MAX {
            break;
        }
        plain.push(if c.is_alphanumeric() || is_mark(c) {
            c
        } else {
            ' '
        });
    }
    plain
}

struct Upsert<'a> {
    collection: &'a [u8],
    /// Each id once.
    documents: Vec<Document>,
    /// Whether vectors are kept for pgvector too.
    has_near: bool,
}

#[async_trait]
impl Work for Upsert<'_> {
    type Done = Numbered;

    async fn run(&self, transaction: &Transaction<'_>) -> Result<Numbered, Fault> {
        lock(transaction, self.collection).await?;
        let ids: Vec<&[u8]> = self.documents.iter().map(|it| it.id.as_bytes()).collect();
        delete(transaction, self.collection, &ids).await?;
        self.check_vectors(transaction).await?;
        let places = next_numbers(transaction, "document_place", self.documents.len()).await?;
        for (document, place) in self.documents.iter().zip(places) {
            let new = New {
                collection: self.collection,
                document,
                place,
            };
            new.insert(transaction, self.has_near).await?;
        }
        number(transaction, self.collection).await
    }
}

impl Upsert<'_> {
    async fn check_vectors(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let held = "SELECT length(vector) FROM document WHERE collection = $1 AND vector IS NOT NULL LIMIT 1";
        let held = transaction.prepare_cached(held).await?;
        let row = transaction.query_opt(&held, &[&self.collection]).await?;
        let mut held = match row {
            Some(row) => Some(row.try_get::<_, i32>(0)? as usize / 4),
            None => None,
        };
        for vector in self.documents.iter().filter_map(|it| it.vector.as_ref()) {
            check_dimensions(*held.get_or_insert(vector.len()), vector.len())?;
        }
        Ok(())
    }
}

/// A document whose id is free.
pub(super) struct New<'a> {
    pub(super) collection: &'a [u8],
    pub(super) document: &'a Document,
    pub(super) place: i64,
}

impl New<'_> {
    pub(super) async fn insert(
        &self,
        transaction: &Transaction<'_>,
        has_near: bool,
    ) -> Result<(), Fault> {
        let (column, value) = match has_near {
            true => (", near", ", $10::text::vector"),
            false => ("", ""),
        };
        let insert = format!(
            "INSERT INTO document (words, n_words, place, collection, id, text, vector, attributes, pairs{column}) \
             VALUES (to_tsvector('titanclaw.words', {FOLDED}), $2, $3, $4, $5, $6, $7, $8, $9{value})"
        );
        let insert = transaction.prepare_cached(&insert).await?;
        let document = self.document;
        let plain = plain(&document.text);
        let n_words = plain.split_ascii_whitespace().count() as i32;
        let bytes = (document.id.as_bytes(), document.text.as_bytes());
        let vector = document.vector.as_deref().map(encode_vector);
        let attributes = encode_attributes(&document.attributes)?;
        let pairs = pairs(&document.attributes)?;
        let near = document.vector.as_deref().and_then(vectors::literal);
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![
            &plain,
            &n_words,
            &self.place,
            &self.collection,
            &bytes.0,
            &bytes.1,
            &vector,
            &attributes,
            &pairs,
        ];
        if has_near {
            params.push(&near);
        }
        transaction.execute(&insert, &params).await?;
        Ok(())
    }
}

/// Tells whether there were any, too.
struct Remove<'a> {
    collection: &'a [u8],
    ids: Vec<&'a [u8]>,
}

#[async_trait]
impl Work for Remove<'_> {
    type Done = (bool, Numbered);

    async fn run(&self, transaction: &Transaction<'_>) -> Result<Self::Done, Fault> {
        lock(transaction, self.collection).await?;
        let has_removed = delete(transaction, self.collection, &self.ids).await?;
        let numbered = number(transaction, self.collection).await?;
        Ok((has_removed, numbered))
    }
}

const LAST_CHANGE: &str = "SELECT number FROM collection_change WHERE collection = $1";

/// Numbers the change that is being made: after every place, so that what is stored later stands after it. The lock of the
/// collection makes the order of numbers that of commits.
async fn number(transaction: &Transaction<'_>, collection: &[u8]) -> Result<Numbered, Fault> {
    let last = transaction.prepare_cached(LAST_CHANGE).await?;
    let before = match transaction.query_opt(&last, &[&collection]).await? {
        Some(row) => row.try_get::<_, i64>(0)?,
        None => 0,
    };
    let set = "INSERT INTO collection_change (collection, number) VALUES ($1, nextval('document_place')) \
               ON CONFLICT (collection) DO UPDATE SET number = EXCLUDED.number RETURNING number";
    let set = transaction.prepare_cached(set).await?;
    let now: i64 = transaction
        .query_one(&set, &[&collection])
        .await?
        .try_get(0)?;
    Ok(Numbered {
        before: before as u64,
        now: now as u64,
    })
}

/// One engine changes a collection at a time.
async fn lock(transaction: &Transaction<'_>, collection: &[u8]) -> Result<(), Fault> {
    let lock = LOCK_BASE + i64::from(blake3::hash(collection).as_bytes()[0]);
    let wait = transaction
        .prepare_cached("SELECT pg_advisory_xact_lock($1)")
        .await?;
    transaction.query(&wait, &[&lock]).await?;
    Ok(())
}

async fn delete(
    transaction: &Transaction<'_>,
    collection: &[u8],
    ids: &[&[u8]],
) -> Result<bool, Fault> {
    let delete = "DELETE FROM document WHERE collection = $1 AND id = ANY($2)";
    let delete = transaction.prepare_cached(delete).await?;
    Ok(transaction.execute(&delete, &[&collection, &ids]).await? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_small_words_and_spaces() {
        assert_eq!(plain("Größe, a/b.rs\0x-1"), "größe  a b rs x 1");
        assert_eq!(plain("e\u{301}tude 中文🦀"), "e\u{301}tude 中文 ");
        assert!(plain(&"word ".repeat(300_000)).len() <= INDEXED_BYTES_MAX + 4);
    }
}
