//! The four storage ports in memory, and the contract suites that every backend passes.
//!
//! [`MemoryStore`] keeps everything in plain maps behind one lock: it is the model that real backends are compared
//! with, so it is written to be obviously right, not fast. Its clock is a counter unless a test brings its own.

mod contract;

pub use contract::{blobs_contract, journal_contract, records_contract, search_contract};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use titan_protocol::{
    BlobId, Blobs, BoxStream, Change, Delivery, Document, Event, Hit, Journal, Numbered, Query,
    Record, Records, Search, Seq, SessionId, StorageError, TurnId, UnixMillis, Versioned,
};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Records that a subscriber may fall behind by, over all sessions together.
const SUBSCRIPTION_RECORDS_MAX: usize = 1024;
/// The constant of reciprocal rank fusion.
const FUSION_K: f32 = 60.0;
/// Matches that one query may ask for.
const QUERY_LIMIT_MAX: usize = 1_000;

/// All four storage ports in memory. Nothing survives it.
pub struct MemoryStore {
    state: Mutex<State>,
    clock: Box<dyn Fn() -> UnixMillis + Send + Sync>,
    appended: broadcast::Sender<Record>,
}

#[derive(Default)]
struct State {
    journal: Vec<Record>,
    records: BTreeMap<(String, String), Versioned>,
    last_version: u64,
    collections: HashMap<String, Vec<Document>>,
    /// The numbers at which documents were stored, by collection and id, and those of the newest changes.
    places: HashMap<(String, String), u64>,
    changes: HashMap<String, Numbered>,
    last_place: u64,
    blobs: HashMap<BlobId, Bytes>,
}

impl State {
    /// Numbers the change that is being made.
    fn number(&mut self, collection: &str) -> Numbered {
        self.last_place += 1;
        let change = self.changes.entry(collection.to_owned()).or_default();
        *change = Numbered {
            before: change.now,
            now: self.last_place,
        };
        *change
    }
}

impl MemoryStore {
    /// An empty store whose clock counts its readings: 1, 2, 3.
    #[allow(
        clippy::new_ret_no_self,
        reason = "ports are shared, so it is born shared"
    )]
    pub fn new() -> Arc<Self> {
        let readings = AtomicU64::new(0);
        Self::with_clock(move || readings.fetch_add(1, Relaxed) + 1)
    }

    /// An empty store with a clock of the caller's. It is read once for each append that is not empty.
    pub fn with_clock(clock: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            clock: Box::new(clock),
            appended: broadcast::channel(SUBSCRIPTION_RECORDS_MAX).0,
        })
    }
}

#[async_trait]
impl Journal for MemoryStore {
    async fn append(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        events: Vec<Event>,
    ) -> Result<Vec<Record>, StorageError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        // The lock is held while subscribers are told, so that they see the journal's order.
        let mut state = self.state.lock();
        let at = (self.clock)();
        let first = state.journal.len() as Seq + 1;
        let records: Vec<Record> = (first..)
            .zip(events)
            .map(|(seq, event)| Record {
                seq,
                at,
                session,
                turn,
                event,
            })
            .collect();
        state.journal.extend(records.iter().cloned());
        for record in &records {
            // An error says that nobody listens.
            let _listeners = self.appended.send(record.clone());
        }
        Ok(records)
    }

    async fn sync(&self) -> Result<(), StorageError> {
        Ok(())
    }

    async fn read(
        &self,
        session: Option<SessionId>,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Record>, StorageError> {
        let state = self.state.lock();
        let records = state
            .journal
            .iter()
            .filter(|record| record.seq > after)
            .filter(|record| session.is_none_or(|session| record.session == session));
        Ok(records.take(limit).cloned().collect())
    }

    fn subscribe(&self, session: Option<SessionId>) -> BoxStream<Delivery> {
        let start = (self.appended.subscribe(), 0);
        futures::stream::unfold(start, move |(mut receiver, delivered)| async move {
            loop {
                match receiver.recv().await {
                    Ok(record) if session.is_some_and(|wanted| record.session != wanted) => {}
                    Ok(record) => {
                        let seq = record.seq;
                        return Some((Delivery::Record(record), (receiver, seq)));
                    }
                    Err(RecvError::Lagged(_)) => {
                        let lagged = Delivery::Lagged { after: delivered };
                        return Some((lagged, (receiver, delivered)));
                    }
                    Err(RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }

    async fn tombstone(&self, session: SessionId, seqs: &[Seq]) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        for record in &mut state.journal {
            if record.session == session && seqs.contains(&record.seq) {
                record.event = Event::Forgotten;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Records for MemoryStore {
    async fn get(&self, table: &str, key: &str) -> Result<Option<Versioned>, StorageError> {
        let place = (table.to_owned(), key.to_owned());
        Ok(self.state.lock().records.get(&place).cloned())
    }

    async fn scan(
        &self,
        table: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Versioned)>, StorageError> {
        let state = self.state.lock();
        let matches = state.records.iter().filter(|((in_table, key), _)| {
            in_table == table && key.starts_with(prefix) && key.as_str() > after
        });
        Ok(matches
            .take(limit)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        let mut records = state.records.clone();
        let mut last_version = state.last_version;
        for change in changes {
            let Change {
                table,
                key,
                value,
                expected_version,
            } = change;
            let place = (table, key);
            let version_now = records.get(&place).map_or(0, |found| found.version);
            if expected_version.is_some_and(|expected| expected != version_now) {
                let (table, key) = place;
                return Err(StorageError::Conflict { table, key });
            }
            // One counter for the whole store: a key that was deleted and made anew never repeats a version.
            last_version += 1;
            match value {
                Some(value) => {
                    let version = last_version;
                    records.insert(place, Versioned { value, version });
                }
                None => drop(records.remove(&place)),
            }
        }
        state.records = records;
        state.last_version = last_version;
        Ok(())
    }
}

#[async_trait]
impl Search for MemoryStore {
    async fn upsert(
        &self,
        collection: &str,
        documents: Vec<Document>,
    ) -> Result<Numbered, StorageError> {
        let mut state = self.state.lock();
        let mut stored = state
            .collections
            .get(collection)
            .cloned()
            .unwrap_or_default();
        let mut ids = Vec::new();
        for document in documents {
            stored.retain(|other| other.id != document.id);
            check_dimensions(collection, &stored, document.vector.as_deref())?;
            ids.push(document.id.clone());
            stored.push(document);
        }
        state.collections.insert(collection.to_owned(), stored);
        for id in ids {
            state.last_place += 1;
            let place = state.last_place;
            state.places.insert((collection.to_owned(), id), place);
        }
        Ok(state.number(collection))
    }

    async fn remove(&self, collection: &str, ids: &[String]) -> Result<Numbered, StorageError> {
        let mut state = self.state.lock();
        if let Some(stored) = state.collections.get_mut(collection) {
            stored.retain(|document| !ids.contains(&document.id));
        }
        Ok(state.number(collection))
    }

    async fn last_change(&self, collection: &str) -> Result<u64, StorageError> {
        let state = self.state.lock();
        Ok(state.changes.get(collection).map_or(0, |last| last.now))
    }

    async fn stored_since(
        &self,
        collection: &str,
        number: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Document)>, StorageError> {
        let state = self.state.lock();
        let stored = state.collections.get(collection).into_iter().flatten();
        let mut found: Vec<(u64, Document)> = stored
            .map(|document| {
                let key = (collection.to_owned(), document.id.clone());
                (state.places[&key], document.clone())
            })
            .filter(|(place, _)| *place > number)
            .collect();
        found.sort_by_key(|(place, _)| *place);
        found.truncate(limit);
        Ok(found)
    }

    async fn ids(
        &self,
        collection: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let found = Search::scan(self, collection, after, limit).await?;
        Ok(found.into_iter().map(|document| document.id).collect())
    }

    async fn get(&self, collection: &str, id: &str) -> Result<Option<Document>, StorageError> {
        let state = self.state.lock();
        let mut stored = state.collections.get(collection).into_iter().flatten();
        Ok(stored.find(|document| document.id == id).cloned())
    }

    async fn scan(
        &self,
        collection: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Document>, StorageError> {
        let state = self.state.lock();
        let stored = state.collections.get(collection).into_iter().flatten();
        let mut found: Vec<Document> = stored
            .filter(|document| document.id.as_str() > after)
            .cloned()
            .collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.truncate(limit);
        Ok(found)
    }

    async fn query(&self, collection: &str, query: Query) -> Result<Vec<Hit>, StorageError> {
        let state = self.state.lock();
        let stored = state.collections.get(collection).map_or(&[][..], |all| all);
        check_dimensions(collection, stored, query.vector.as_deref())?;
        let candidates: Vec<&Document> = stored
            .iter()
            .filter(|document| passes(&query.filter, document))
            .collect();
        let by_text = query
            .text
            .as_deref()
            .map(|text| rank(&candidates, &bm25(&candidates, text)));
        let by_vector = query
            .vector
            .as_deref()
            .map(|vector| rank(&candidates, &cosines(&candidates, vector)));
        let ranking = match (by_text, by_vector) {
            (Some(text), Some(vector)) => fuse(&candidates, &[text, vector]),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => (0..candidates.len())
                .rev()
                .map(|idx| (idx, idx as f32))
                .collect(),
        };
        Ok(ranking
            .into_iter()
            .take(query.limit.clamp(1, QUERY_LIMIT_MAX))
            .map(|(idx, score)| Hit {
                document: candidates[idx].clone(),
                score,
            })
            .collect())
    }
}

#[async_trait]
impl Blobs for MemoryStore {
    async fn put(&self, bytes: Bytes) -> Result<BlobId, StorageError> {
        let id = BlobId::of(&bytes);
        self.state.lock().blobs.insert(id.clone(), bytes);
        Ok(id)
    }

    async fn get(&self, id: &BlobId) -> Result<Option<Bytes>, StorageError> {
        Ok(self.state.lock().blobs.get(id).cloned())
    }

    async fn delete(&self, id: &BlobId) -> Result<(), StorageError> {
        self.state.lock().blobs.remove(id);
        Ok(())
    }
}

/// Positions in the candidates with their scores, best first.
type Ranking = Vec<(usize, f32)>;

fn passes(filter: &BTreeMap<String, String>, document: &Document) -> bool {
    filter
        .iter()
        .all(|(name, value)| document.attributes.get(name) == Some(value))
}

fn check_dimensions(
    collection: &str,
    stored: &[Document],
    vector: Option<&[f32]>,
) -> Result<(), StorageError> {
    let held = stored.iter().find_map(|document| document.vector.as_ref());
    match (held, vector) {
        (Some(held), Some(vector)) if held.len() != vector.len() => {
            Err(StorageError::Failed(format!(
                "the vectors of {collection} have {} dimensions, this one has {}: embed with the same model",
                held.len(),
                vector.len()
            )))
        }
        _ => Ok(()),
    }
}

/// What scores, best first; ties by id, so that answers repeat.
fn rank(candidates: &[&Document], scores: &[Option<f32>]) -> Ranking {
    let mut ranking: Ranking = scores
        .iter()
        .enumerate()
        .filter_map(|(idx, score)| score.map(|score| (idx, score)))
        .collect();
    ranking.sort_by(|a, b| {
        let by_score = b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal);
        by_score.then_with(|| candidates[a.0].id.cmp(&candidates[b.0].id))
    });
    ranking
}

fn fuse(candidates: &[&Document], rankings: &[Ranking]) -> Ranking {
    let mut scores = vec![None; candidates.len()];
    for ranking in rankings {
        for (place, (idx, _)) in ranking.iter().enumerate() {
            *scores[*idx].get_or_insert(0.0) += 1.0 / (FUSION_K + place as f32 + 1.0);
        }
    }
    rank(candidates, &scores)
}

fn cosines(candidates: &[&Document], wanted: &[f32]) -> Vec<Option<f32>> {
    let cosine = |vector: &Vec<f32>| {
        let dot: f32 = vector.iter().zip(wanted).map(|(a, b)| a * b).sum();
        let length = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
        dot / (length(vector) * length(wanted)).max(f32::MIN_POSITIVE)
    };
    candidates
        .iter()
        .map(|document| document.vector.as_ref().map(cosine))
        .collect()
}

fn bm25(candidates: &[&Document], text: &str) -> Vec<Option<f32>> {
    const K1: f32 = 1.2;
    const B: f32 = 0.75;
    let texts: Vec<Vec<String>> = candidates.iter().map(|d| words(&d.text)).collect();
    let n = texts.len() as f32;
    let length_mean = texts.iter().map(Vec::len).sum::<usize>() as f32 / n.max(1.0);
    let mut scores = vec![None; candidates.len()];
    for word in words(text) {
        let holders = texts.iter().filter(|t| t.contains(&word)).count() as f32;
        let rarity = ((n - holders + 0.5) / (holders + 0.5)).ln().max(1e-6);
        for (score, words) in scores.iter_mut().zip(&texts) {
            let times = words.iter().filter(|other| **other == word).count() as f32;
            if times > 0.0 {
                let length = words.len() as f32 / length_mean;
                let weight = times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * length));
                *score.get_or_insert(0.0) += rarity * weight;
            }
        }
    }
    scores
}

/// Lower-case words; a plural's `s` is dropped, which stands for a real stemmer.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| {
            let word = word.to_lowercase();
            word.strip_suffix('s').map(str::to_owned).unwrap_or(word)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_journal_keeps_the_contract() {
        journal_contract(&*MemoryStore::new()).await;
    }

    #[tokio::test]
    async fn the_memory_records_keep_the_contract() {
        records_contract(&*MemoryStore::new()).await;
    }

    #[tokio::test]
    async fn the_memory_search_keeps_the_contract() {
        search_contract(&*MemoryStore::new()).await;
    }

    #[tokio::test]
    async fn the_memory_blobs_keep_the_contract() {
        blobs_contract(&*MemoryStore::new()).await;
    }

    #[tokio::test]
    async fn the_clock_of_the_test_dates_the_records() {
        let store = MemoryStore::with_clock(|| 77);
        let session = SessionId::from_u128(1);
        let records = store.append(session, None, vec![Event::Forgotten]).await;
        let records = records.expect("memory takes it");
        assert_eq!(
            records[0].at, 77,
            "the injected clock dates what is appended"
        );
    }
}
