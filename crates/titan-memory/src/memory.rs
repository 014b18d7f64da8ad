//! The memory of one owner, on a store: what is kept there, and an [`Index`] of it in this process.
//!
//! The store's documents are the truth. The index is made from them when the memory is first used, and each change goes
//! to the store first. What another engine changed there is taken over before anything is answered or decided.

use crate::documents::{checked, document_of, fingerprint, is_trusted, stored, told};
use crate::index::Index;
use crate::rank::{Found, Parts, Question};
use crate::state::State;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use titan_protocol::{
    Blobs, Change, ClientError, DOCUMENTS_MAX, Embedder, HITS_MAX, Journal, Memory, MemoryDocument,
    MemoryDraft, MemoryGraph, MemoryHit, MemoryQuery, MemoryQuestion, MemoryRelation, Query,
    Records, Search, StorageError, UnixMillis,
};
use tokio::sync::{Mutex, RwLock};

/// Texts that one question is answered with, in bytes; the rest is found by its words.
const FOUND_BYTES_MAX: usize = 4 << 20;
/// Documents that are read from the store at once.
const READ_MAX: usize = 500;
/// Ids that are read from the store at once.
const IDS_READ_MAX: usize = 10_000;
/// Passages that are embedded together.
const EMBEDDED_TOGETHER: usize = 64;
/// Passages that one question waits for to be embedded; the rest has vectors with a later one.
const EMBEDDED_AT_ONCE_MAX: usize = 1_024;
/// The collection of the home's owner. Others have it with their names behind it.
const COLLECTION: &str = "notes";
/// The table of vectors, by the hash of what they are made from and their space.
const VECTORS: &str = "memory_vectors";
/// The key there of how they are found; no hash is called so.
const VECTOR_GRAPH: &str = "graph";
/// Names that one answer about a name gives.
const RELATED_MAX: usize = 100;

/// What a memory is made of.
#[derive(Clone)]
pub struct Ports {
    /// What was said; without it only what is handed in is known.
    pub journal: Option<Arc<dyn Journal>>,
    /// Where documents are kept.
    pub search: Arc<dyn Search>,
    /// Where vectors are kept.
    pub records: Arc<dyn Records>,
    /// Makes documents findable by meaning; without it they are found by words and names.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Where what was read whole is; without it what the model was shown of a page is all that is known of it.
    pub blobs: Option<Arc<dyn Blobs>>,
    /// The time.
    pub clock: fn() -> UnixMillis,
    /// What is kept unasked.
    pub keeps: Keeps,
}

/// What is kept of turns without a word of the person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeps {
    /// What was said.
    pub conversations: bool,
    /// Pages that were read.
    pub pages: bool,
}

impl Default for Keeps {
    fn default() -> Self {
        Self {
            conversations: true,
            pages: true,
        }
    }
}

/// What one owner knows. Clones are the same.
#[derive(Clone)]
pub struct GraphMemory {
    pub(crate) ports: Ports,
    pub(crate) collection: Arc<str>,
    table: Arc<str>,
    pub(crate) state: Arc<RwLock<Option<State>>>,
    /// One listens at a time.
    pub(crate) listening: Arc<Mutex<()>>,
}

#[async_trait]
impl Memory for GraphMemory {
    async fn find(&self, query: MemoryQuery) -> Result<Vec<MemoryDocument>, ClientError> {
        let words = query.words.to_lowercase();
        let words: Vec<&str> = words.split_whitespace().collect();
        let fits = |document: &MemoryDocument| {
            query.kind.is_none_or(|kind| kind == document.kind) && holds(document, &words)
        };
        let limit = query.limit.clamp(1, DOCUMENTS_MAX);
        if let Some(after) = &query.after {
            let next = self
                .ports
                .search
                .scan(&self.collection, after, limit)
                .await?;
            return Ok(within_bytes(
                next.into_iter().map(told).filter(fits).collect(),
            ));
        }
        let newest = Query {
            limit: DOCUMENTS_MAX,
            ..Query::default()
        };
        let newest = self.ports.search.query(&self.collection, newest).await?;
        let has_older = newest.len() == DOCUMENTS_MAX;
        let mut found: Vec<MemoryDocument> = newest
            .into_iter()
            .map(|hit| told(hit.document))
            .filter(fits)
            .collect();
        if has_older && words.is_empty() {
            found.extend(self.not_among(&found).await?.into_iter().filter(fits));
        }
        // What was stored again because another contradicts it, or a model read it, is not new.
        found.sort_by_key(|document| std::cmp::Reverse(document.changed_at.unwrap_or(document.at)));
        if has_older && !words.is_empty() {
            let older = Query {
                text: Some(query.words.clone()),
                limit: DOCUMENTS_MAX,
                ..Query::default()
            };
            let known: BTreeSet<String> = found.iter().map(|it| it.id.clone()).collect();
            let hits = self.ports.search.query(&self.collection, older).await?;
            let older = hits.into_iter().map(|hit| told(hit.document));
            found.extend(older.filter(|it| !known.contains(&it.id) && fits(it)));
        }
        found.truncate(limit);
        Ok(within_bytes(found))
    }

    async fn get(&self, id: String) -> Result<Option<MemoryDocument>, ClientError> {
        Ok(self
            .ports
            .search
            .get(&self.collection, &id)
            .await?
            .map(told))
    }

    async fn recall(&self, question: MemoryQuestion) -> Result<Vec<MemoryHit>, ClientError> {
        self.load().await?;
        self.listen().await?;
        self.hear_others().await?;
        self.embed_passages().await;
        let vector = self.vector(&question.text).await;
        let asked = Question {
            text: &question.text,
            vector: vector.as_deref(),
            limit: question.limit.clamp(1, HITS_MAX),
            now: (!question.with_history).then(self.ports.clock),
            parts: Parts::ALL,
        };
        let found = match &*self.state.read().await {
            Some(state) => state.index.answer(&asked),
            None => Vec::new(),
        };
        let mut hits = Vec::with_capacity(found.len());
        for it in found {
            hits.extend(self.hit(it).await?);
        }
        Ok(hits)
    }

    async fn graph(&self, name: String, limit: usize) -> Result<MemoryGraph, ClientError> {
        self.load().await?;
        self.listen().await?;
        self.hear_others().await?;
        let state = self.state.read().await;
        Ok(state
            .as_ref()
            .map(|state| around(&state.index, &name, limit.clamp(1, RELATED_MAX)))
            .unwrap_or_default())
    }

    async fn keep(&self, draft: MemoryDraft) -> Result<MemoryDocument, ClientError> {
        let draft = checked(draft).map_err(ClientError::Refused)?;
        self.load().await?;
        // One change at a time: what is contradicted, merged or replaced is decided from what is known.
        let mut state = self.state.write().await;
        let state = state.get_or_insert_default();
        self.take_over(state).await?;
        let now = (self.ports.clock)();
        let replaced_by_source = draft
            .source
            .as_ref()
            .and_then(|source| state.of_same_source(source, &draft.origin));
        let replaced = match draft.replaces.clone().or(replaced_by_source) {
            None => None,
            Some(id) => match self.ports.search.get(&self.collection, &id).await? {
                Some(old) => Some(told(old)),
                None => {
                    let gone = "that note is not there any more; look at the list again".to_owned();
                    return Err(ClientError::Refused(gone));
                }
            },
        };
        let mut document = document_of(draft, now);
        if let Some(old) = &replaced {
            document = MemoryDocument {
                kind: old.kind,
                origin: old.origin.clone(),
                at: old.at,
                changed_at: Some(now),
                source: document.source.or_else(|| old.source.clone()),
                title: if document.title.is_empty() {
                    old.title.clone()
                } else {
                    document.title
                },
                ..document
            };
            // What was read in a text is of that text alone.
            let is_same = (&old.title, &old.text) == (&document.title, &document.text);
            document.reading = old.reading.clone().filter(|_| is_same);
        } else if let Some(same) = state.by_fingerprint.get(&fingerprint(&document)) {
            if !is_trusted(&document.origin)
                && state.known.get(same).is_some_and(|known| known.is_trusted)
                && let Some(old) = self.ports.search.get(&self.collection, same).await?
            {
                // A stranger's copy brings nothing back.
                return Ok(told(old));
            }
            document = self.merged(same, document).await?;
        }
        let contradicted = state.contradicted_by(&document);
        // The new one first: a stop between the two leaves one too many and loses nothing.
        self.store(state, &document).await?;
        state.insert(&document);
        if let Some(old) = replaced
            && old.id != document.id
        {
            self.erase(state, &old.id).await?;
        }
        for id in contradicted {
            self.supersede(state, &id, &document.id, now).await?;
        }
        Ok(document)
    }

    async fn discard(&self, id: String) -> Result<(), ClientError> {
        self.load().await?;
        let mut state = self.state.write().await;
        let state = state.get_or_insert_default();
        self.take_over(state).await?;
        Ok(self.erase(state, &id).await?)
    }
}

/// Those that fit into one answer, from the first on.
fn within_bytes(found: Vec<MemoryDocument>) -> Vec<MemoryDocument> {
    let mut bytes = 0;
    let has_room = |document: &MemoryDocument| -> bool {
        bytes += document.text.len();
        bytes <= FOUND_BYTES_MAX
    };
    found.into_iter().take_while(has_room).collect()
}

/// Whether a document has every one of these words, which are in lower case.
fn holds(document: &MemoryDocument, words: &[&str]) -> bool {
    let text = [&document.title, &document.text, &document.tags.join(" ")]
        .map(|text| text.to_lowercase())
        .join(" ");
    words.iter().all(|word| text.contains(word))
}

/// What an index knows of a name.
fn around(index: &Index, name: &str, limit: usize) -> MemoryGraph {
    let graph = index.graph();
    let mut known = MemoryGraph {
        nodes: index.passages() + index.entities.iter().flatten().count(),
        edges: graph.edges() / 2,
        ..MemoryGraph::default()
    };
    let Some(number) = index.entity_named(name) else {
        return known;
    };
    let entity = index.entity(number);
    known.name = Some(entity.surface().to_owned());
    let mut passages: Vec<u32> = entity.about.iter().collect();
    let mentioned = entity.named_in();
    passages.extend(
        mentioned
            .into_iter()
            .filter(|it| !passages.contains(it))
            .collect::<Vec<_>>(),
    );
    let place = |number: &u32| {
        let passage = index.passage(*number);
        (passage.label.to_string(), passage.document.to_string())
    };
    let of_name: BTreeSet<String> = passages.iter().map(|it| place(it).1).collect();
    known.passages = passages.iter().take(limit).map(place).collect();
    let ranks = graph.page_rank(&[(graph.names_from + number, 1.0)]);
    let others = (0..index.entities.len() as u32)
        .filter(|it| *it != number && index.entities[*it as usize].is_some());
    let mut others: Vec<(f32, u32)> = others
        .map(|it| (ranks[(graph.names_from + it) as usize], it))
        .filter(|it| it.0 > 0.0)
        .collect();
    others.sort_by(|a, b| {
        b.0.total_cmp(&a.0)
            .then_with(|| index.entity(a.1).key.cmp(&index.entity(b.1).key))
    });
    let total: f32 = others.iter().map(|(rank, _)| rank).sum();
    let related = others.into_iter().take(limit).map(|(rank, it)| {
        let other = index.entity(it);
        let with: BTreeSet<String> = other
            .about
            .iter()
            .chain(other.named_in())
            .map(|it| place(&it).1)
            .collect();
        MemoryRelation {
            name: other.surface().to_owned(),
            weight: rank / total,
            documents: with.intersection(&of_name).cloned().collect(),
        }
    });
    known.related = related.collect();
    known.facts = index.statements(number, &of_name);
    known.facts.truncate(limit);
    known
}

impl GraphMemory {
    /// The memory of the owner of the home.
    pub fn new(ports: Ports) -> Self {
        Self::in_collection(ports, COLLECTION.into(), VECTORS.into())
    }

    /// The memory of another owner. Nothing of it is in any other memory, and what is said in the home is not in it.
    pub fn of(ports: Ports, owner: &str) -> Self {
        Self::in_collection(
            Ports {
                journal: None,
                ..ports
            },
            format!("{COLLECTION}/{owner}").into(),
            format!("{VECTORS}/{owner}").into(),
        )
    }

    fn in_collection(ports: Ports, collection: Arc<str>, table: Arc<str>) -> Self {
        Self {
            ports,
            collection,
            table,
            state: Arc::default(),
            listening: Arc::default(),
        }
    }

    /// Reads what is stored, if that has not been done.
    pub(crate) async fn load(&self) -> Result<(), StorageError> {
        if self.state.read().await.is_some() {
            return Ok(());
        }
        let mut held = self.state.write().await;
        if held.is_some() {
            return Ok(());
        }
        let mut state = State::as_of(self.ports.search.last_change(&self.collection).await?);
        let mut after = String::new();
        loop {
            let page = self
                .ports
                .search
                .scan(&self.collection, &after, READ_MAX)
                .await?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.id.clone();
            page.into_iter()
                .map(told)
                .for_each(|document| state.insert(&document));
            tokio::task::yield_now().await;
        }
        self.load_vectors(&mut state).await?;
        *held = Some(state);
        Ok(())
    }

    /// The newest documents that are not among these. To the store, what is stored again is new.
    async fn not_among(
        &self,
        found: &[MemoryDocument],
    ) -> Result<Vec<MemoryDocument>, StorageError> {
        self.load().await?;
        self.hear_others().await?;
        let found: BTreeSet<&str> = found.iter().map(|it| it.id.as_str()).collect();
        let newest = match &*self.state.read().await {
            Some(state) => state.newest(DOCUMENTS_MAX),
            None => Vec::new(),
        };
        let mut missing = Vec::new();
        for id in newest.iter().filter(|id| !found.contains(id.as_str())) {
            let document = self.ports.search.get(&self.collection, id).await?;
            missing.extend(document.map(told));
        }
        Ok(missing)
    }

    /// Takes over what another engine changed in the same store, if one did.
    pub(crate) async fn hear_others(&self) -> Result<(), StorageError> {
        let newest = self.ports.search.last_change(&self.collection).await?;
        let heard = |state: &Option<State>| state.as_ref().is_none_or(|it| it.heard == newest);
        if heard(&*self.state.read().await) {
            return Ok(());
        }
        self.take_over(self.state.write().await.get_or_insert_default())
            .await
    }

    /// Makes the state that of the stored documents. What is changed meanwhile is taken over the next time.
    pub(crate) async fn take_over(&self, state: &mut State) -> Result<(), StorageError> {
        let (search, collection) = (&self.ports.search, &self.collection);
        let newest = search.last_change(collection).await?;
        if newest == state.heard {
            return Ok(());
        }
        let mut after = state.heard;
        loop {
            let page = search.stored_since(collection, after, READ_MAX).await?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = *last;
            page.into_iter()
                .map(|(_, document)| told(document))
                .for_each(|document| state.hear(&document));
        }
        let mut gone: BTreeSet<String> = state.known.keys().cloned().collect();
        let mut after = String::new();
        loop {
            let page = search.ids(collection, &after, IDS_READ_MAX).await?;
            let Some(last) = page.last() else {
                break;
            };
            after.clone_from(last);
            for id in &page {
                gone.remove(id);
            }
        }
        gone.iter().for_each(|id| state.remove(id));
        state.heard = newest;
        Ok(())
    }

    /// Gives passages the vectors that were computed before.
    async fn load_vectors(&self, state: &mut State) -> Result<(), StorageError> {
        let Some(embedder) = &self.ports.embedder else {
            return Ok(());
        };
        let mut wanted: HashMap<String, Vec<u32>> = HashMap::new();
        for id in &state.unembedded {
            for (passage, hash) in state.index.without_vector(id) {
                wanted
                    .entry(key_of(&hash, embedder.space()))
                    .or_default()
                    .push(passage);
            }
        }
        let mut after = String::new();
        while !wanted.is_empty() {
            let page = self
                .ports
                .records
                .scan(&self.table, "", &after, READ_MAX)
                .await?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after.clone_from(last);
            for (key, vector) in page {
                for passage in wanted.remove(&key).unwrap_or_default() {
                    state.index.set_vector(passage, &from_bytes(&vector.value));
                }
            }
        }
        let index = &state.index;
        state
            .unembedded
            .retain(|id| !index.without_vector(id).is_empty());
        let kept = self.ports.records.get(&self.table, VECTOR_GRAPH).await?;
        if state
            .index
            .settle_vectors(kept.as_ref().map(|it| &*it.value))
        {
            self.keep_vector_graph(&state.index).await?;
        }
        Ok(())
    }

    /// Keeps how vectors are found, where there are so many that it takes long to make.
    async fn keep_vector_graph(&self, index: &Index) -> Result<(), StorageError> {
        let Some(bytes) = index.vector_graph() else {
            return Ok(());
        };
        let change = Change {
            table: self.table.to_string(),
            key: VECTOR_GRAPH.to_owned(),
            value: Some(bytes.into()),
            expected_version: None,
        };
        self.ports.records.commit(vec![change]).await
    }

    /// Computes vectors that are missing, in batches, and keeps them. What fails is tried again with the next question;
    /// until then passages are found by words and names.
    async fn embed_passages(&self) {
        let Some(embedder) = &self.ports.embedder else {
            return;
        };
        for _ in 0..EMBEDDED_AT_ONCE_MAX / EMBEDDED_TOGETHER {
            let batch = self.unembedded_batch().await;
            if batch.is_empty() {
                return;
            }
            let texts: Vec<String> = batch.iter().map(|(_, _, text)| text.clone()).collect();
            let vectors = match embedder.embed(&texts).await {
                Ok(vectors) => vectors,
                Err(error) => {
                    tracing::warn!(%error, "passages of the memory have no vectors yet");
                    return;
                }
            };
            let changes = batch
                .iter()
                .zip(&vectors)
                .map(|((_, hash, _), vector)| Change {
                    table: self.table.to_string(),
                    key: key_of(hash, embedder.space()),
                    value: Some(to_bytes(vector)),
                    expected_version: None,
                });
            if let Err(error) = self.ports.records.commit(changes.collect()).await {
                tracing::warn!(%error, "vectors of the memory were not kept; they are computed again");
            }
            let mut state = self.state.write().await;
            let Some(state) = state.as_mut() else {
                return;
            };
            for ((id, hash, _), vector) in batch.iter().zip(&vectors) {
                // The document may have gone or changed meanwhile.
                for (passage, other) in state.index.without_vector(id) {
                    if other == *hash {
                        state.index.set_vector(passage, vector);
                    }
                }
            }
            state.index.settle_vectors(None);
            for (id, _, _) in &batch {
                if state.index.without_vector(id).is_empty() {
                    state.unembedded.remove(id);
                }
            }
        }
    }

    /// Some passages without a vector: their documents, hashes and texts.
    async fn unembedded_batch(&self) -> Vec<(String, [u8; 32], String)> {
        let mut ids = Vec::new();
        {
            let state = self.state.read().await;
            let Some(state) = state.as_ref() else {
                return Vec::new();
            };
            let mut count = 0;
            for id in &state.unembedded {
                ids.push(id.clone());
                count += state.index.without_vector(id).len();
                if count >= EMBEDDED_TOGETHER {
                    break;
                }
            }
        }
        let mut batch = Vec::new();
        for id in ids {
            let Ok(Some(document)) = self.ports.search.get(&self.collection, &id).await else {
                continue;
            };
            let state = self.state.read().await;
            let Some(index) = state.as_ref().map(|state| &state.index) else {
                continue;
            };
            let texts = index.unembedded(&id, &document.text).into_iter();
            batch.extend(
                texts.map(|(passage, text)| (id.clone(), index.passage(passage).hash, text)),
            );
        }
        batch.truncate(EMBEDDED_TOGETHER);
        batch
    }

    async fn vector(&self, text: &str) -> Option<Vec<f32>> {
        let embedder = self.ports.embedder.as_ref()?;
        let vectors = embedder.embed(&[text.to_owned()]).await.ok()?;
        vectors.into_iter().next()
    }

    async fn hit(&self, found: Found) -> Result<Option<MemoryHit>, StorageError> {
        let stored = self
            .ports
            .search
            .get(&self.collection, &found.document)
            .await?;
        Ok(stored.map(told).and_then(|mut document| {
            document.text = document.text.get(found.at.clone())?.to_owned();
            Some(MemoryHit {
                document,
                begins_at: found.at.start,
                score: found.score,
                reasons: found.reasons,
            })
        }))
    }

    /// A document that says the same as one that is there: one of both, with the tags of both. It holds again if it did
    /// not, and is the person's or the agent's if one of both is.
    async fn merged(
        &self,
        same: &str,
        new: MemoryDocument,
    ) -> Result<MemoryDocument, StorageError> {
        let Some(old) = self
            .ports
            .search
            .get(&self.collection, same)
            .await?
            .map(told)
        else {
            return Ok(new);
        };
        let mut tags = old.tags.clone();
        let others = new.tags.into_iter().filter(|tag| !old.tags.contains(tag));
        tags.extend(others);
        tags.truncate(titan_protocol::TAGS_MAX);
        let origin = match is_trusted(&old.origin) || !is_trusted(&new.origin) {
            true => old.origin.clone(),
            false => new.origin,
        };
        Ok(MemoryDocument {
            tags,
            origin,
            valid_until: new.valid_until,
            superseded_by: None,
            ..old
        })
    }

    pub(crate) async fn store(
        &self,
        state: &mut State,
        document: &MemoryDocument,
    ) -> Result<(), StorageError> {
        let upsert = vec![stored(document)];
        let numbered = self.ports.search.upsert(&self.collection, upsert).await?;
        state.changed(numbered);
        Ok(())
    }

    /// Makes a document history: another says otherwise.
    pub(crate) async fn supersede(
        &self,
        state: &mut State,
        id: &str,
        by: &str,
        now: UnixMillis,
    ) -> Result<(), StorageError> {
        let Some(mut old) = self.ports.search.get(&self.collection, id).await?.map(told) else {
            return Ok(());
        };
        old.valid_until = Some(old.valid_until.unwrap_or(now).min(now));
        old.superseded_by = Some(by.to_owned());
        self.store(state, &old).await?;
        state.set_validity(&old);
        Ok(())
    }

    /// Deletes a document from text, vectors and names, and from what names it.
    pub(crate) async fn erase(&self, state: &mut State, id: &str) -> Result<(), StorageError> {
        let hashes = state.index.hashes(id);
        let ids = [id.to_owned()];
        let numbered = self.ports.search.remove(&self.collection, &ids).await?;
        state.changed(numbered);
        let mut changes = Vec::new();
        for hash in hashes {
            // A vector that another passage of the same text needs is computed again.
            let prefix = key_of(&hash, "");
            let spaces = self
                .ports
                .records
                .scan(&self.table, &prefix, &prefix, READ_MAX)
                .await?;
            changes.extend(spaces.into_iter().map(|(key, _)| Change {
                table: self.table.to_string(),
                key,
                value: None,
                expected_version: None,
            }));
        }
        if !changes.is_empty() {
            self.ports.records.commit(changes).await?;
        }
        state.remove(id);
        self.keep_vector_graph(&state.index).await?;
        let naming = state
            .known
            .iter()
            .filter(|(_, known)| known.superseded_by.as_deref() == Some(id));
        let naming: Vec<String> = naming.map(|(other, _)| other.clone()).collect();
        for other in naming {
            if let Some(mut document) = self
                .ports
                .search
                .get(&self.collection, &other)
                .await?
                .map(told)
            {
                document.superseded_by = None;
                self.store(state, &document).await?;
                state.set_validity(&document);
            }
        }
        Ok(())
    }
}

fn key_of(hash: &[u8; 32], space: &str) -> String {
    format!("{}/{space}", blake3::Hash::from_bytes(*hash).to_hex())
}

fn to_bytes(vector: &[f32]) -> Bytes {
    vector
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect::<Vec<u8>>()
        .into()
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}
