//! The notes that `remember` writes and `recall` finds: plain texts in one search collection, with vectors where an
//! embedder is there.
//!
//! A note's id is the hash of its text, so the same thing remembered twice is one note. Vectors of another space than
//! the embedder's are never compared: each note says its space, and a question asks only within its own.

use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use titan_protocol::{
    BlobId, ClientError, DOCUMENTS_MAX, Document, Embedder, Hit, Memory, MemoryDocument,
    MemoryDraft, MemoryKind, MemoryOrigin, MemoryQuery, NOTE_CHARS_MAX, Query, Search,
    StorageError, TAG_CHARS_MAX, TAGS_MAX, UnixMillis,
};

/// Texts that one question is answered with, in bytes; the rest is found by its words.
const FOUND_BYTES_MAX: usize = 4 << 20;
/// The collection that holds the notes.
const COLLECTION: &str = "notes";

/// Where notes are kept.
#[derive(Clone)]
pub struct Notes {
    pub(crate) search: Arc<dyn Search>,
    pub(crate) embedder: Option<Arc<dyn Embedder>>,
    pub(crate) clock: fn() -> UnixMillis,
}

/// A note's text and tags as they are kept.
///
/// # Errors
/// When there is no text, or something is too long; the text says what is allowed.
pub(crate) fn checked(text: &str, tags: &[String]) -> Result<(String, Vec<String>), String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > NOTE_CHARS_MAX {
        return Err(format!("a note has 1 to {NOTE_CHARS_MAX} characters"));
    }
    let mut kept: Vec<String> = Vec::new();
    // Tags are kept in one line, with commas between them.
    for tag in tags.iter().flat_map(|tag| tag.split(',')).map(str::trim) {
        if !tag.is_empty() && !kept.iter().any(|other| other == tag) {
            kept.push(tag.to_owned());
        }
    }
    if kept.len() > TAGS_MAX || kept.iter().any(|tag| tag.chars().count() > TAG_CHARS_MAX) {
        return Err(format!(
            "a note has at most {TAGS_MAX} tags, each of at most {TAG_CHARS_MAX} characters"
        ));
    }
    Ok((text.to_owned(), kept))
}

#[async_trait]
impl Memory for Notes {
    async fn find(&self, query: MemoryQuery) -> Result<Vec<MemoryDocument>, ClientError> {
        let words = query.words.to_lowercase();
        let words: Vec<&str> = words.split_whitespace().collect();
        let newest = self.newest(DOCUMENTS_MAX).await?;
        let has_older = newest.len() == DOCUMENTS_MAX;
        let mut found: Vec<MemoryDocument> = newest
            .into_iter()
            .map(|hit| told(hit.document))
            .filter(|document| holds(document, &words))
            .collect();
        if has_older && !words.is_empty() {
            let query = Query {
                text: Some(query.words),
                limit: DOCUMENTS_MAX,
                ..Query::default()
            };
            let known: BTreeSet<String> = found.iter().map(|it| it.id.clone()).collect();
            let hits = self.search.query(COLLECTION, query).await?;
            let older = hits.into_iter().map(|hit| told(hit.document));
            found.extend(older.filter(|it| !known.contains(&it.id) && holds(it, &words)));
        }
        found.truncate(query.limit.clamp(1, DOCUMENTS_MAX));
        let mut bytes = 0;
        let has_room = |document: &MemoryDocument| -> bool {
            bytes += document.text.len();
            bytes <= FOUND_BYTES_MAX
        };
        Ok(found.into_iter().take_while(has_room).collect())
    }

    async fn keep(&self, draft: MemoryDraft) -> Result<MemoryDocument, ClientError> {
        let (text, tags) = checked(&draft.text, &draft.tags).map_err(ClientError::Refused)?;
        let now = (self.clock)();
        let Some(replaced) = draft.replaces else {
            let origin = MemoryOrigin::Person;
            return Ok(self.remember(text, tags, origin).await?);
        };
        let Some(old) = self.search.get(COLLECTION, &replaced).await? else {
            let gone = "that note is not there any more; look at the list again".to_owned();
            return Err(ClientError::Refused(gone));
        };
        let old = told(old);
        let document = MemoryDocument {
            id: id_of(&text),
            text,
            tags,
            changed_at: Some(now),
            ..old
        };
        // The new one first: a stop between the two leaves one too many and loses nothing.
        self.store(document.clone()).await?;
        if document.id != replaced {
            self.search.remove(COLLECTION, &[replaced]).await?;
        }
        Ok(document)
    }

    async fn discard(&self, id: String) -> Result<(), ClientError> {
        Ok(self.search.remove(COLLECTION, &[id]).await?)
    }
}

/// Whether a document has every one of these words, which are in lower case.
fn holds(document: &MemoryDocument, words: &[&str]) -> bool {
    let text = format!("{} {}", document.text, document.tags.join(" ")).to_lowercase();
    words.iter().all(|word| text.contains(word))
}

fn id_of(text: &str) -> String {
    BlobId::of(text.as_bytes()).to_string()
}

/// A stored note, with what its attributes say.
fn told(stored: Document) -> MemoryDocument {
    let attribute = |name: &str| stored.attributes.get(name).map(String::as_str);
    let time = |name: &str| attribute(name)?.parse().ok();
    let turn = || {
        Some(MemoryOrigin::Turn {
            session: attribute("session")?.parse().ok()?,
            turn: attribute("turn")?.parse().ok()?,
        })
    };
    let tags = attribute("tags").unwrap_or_default().split(',');
    MemoryDocument {
        kind: MemoryKind::Note,
        tags: tags
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        origin: turn().unwrap_or(MemoryOrigin::Person),
        at: time("at").unwrap_or_default(),
        changed_at: time("changed"),
        id: stored.id,
        text: stored.text,
    }
}

/// A note as it is stored, without its vector.
fn stored(note: MemoryDocument) -> Document {
    let mut attributes = BTreeMap::from([
        ("at".to_owned(), note.at.to_string()),
        ("tags".to_owned(), note.tags.join(",")),
    ]);
    if let MemoryOrigin::Turn { session, turn } = note.origin {
        attributes.insert("session".to_owned(), session.to_string());
        attributes.insert("turn".to_owned(), turn.to_string());
    }
    if let Some(changed_at) = note.changed_at {
        attributes.insert("changed".to_owned(), changed_at.to_string());
    }
    Document {
        id: note.id,
        text: note.text,
        vector: None,
        attributes,
    }
}

impl Notes {
    /// Keeps a note. Text and tags are [`checked`].
    pub(crate) async fn remember(
        &self,
        text: String,
        tags: Vec<String>,
        origin: MemoryOrigin,
    ) -> Result<MemoryDocument, StorageError> {
        let note = MemoryDocument {
            id: id_of(&text),
            kind: MemoryKind::Note,
            text,
            tags,
            origin,
            at: (self.clock)(),
            changed_at: None,
        };
        self.store(note.clone()).await?;
        Ok(note)
    }

    /// Stores a note. Without its vector when the embedder fails or the collection holds vectors of another length.
    async fn store(&self, note: MemoryDocument) -> Result<(), StorageError> {
        let document = stored(note);
        if let Some((space, vector)) = self.vector(&document.text).await {
            let mut with_vector = document.clone();
            with_vector.vector = Some(vector);
            with_vector.attributes.insert("space".to_owned(), space);
            if self
                .search
                .upsert(COLLECTION, vec![with_vector])
                .await
                .is_ok()
            {
                return Ok(());
            }
        }
        self.search.upsert(COLLECTION, vec![document]).await
    }

    /// The best matches for a question, best first.
    pub(crate) async fn recall(
        &self,
        question: &str,
        limit: usize,
    ) -> Result<Vec<Hit>, StorageError> {
        let mut hits = self.find_by_vector(question, limit).await;
        let query = Query {
            text: Some(question.to_owned()),
            limit,
            ..Query::default()
        };
        hits.extend(self.search.query(COLLECTION, query).await?);
        let mut seen = BTreeSet::new();
        hits.retain(|hit| seen.insert(hit.document.id.clone()));
        hits.truncate(limit);
        Ok(hits)
    }

    /// The newest notes, newest first.
    pub(crate) async fn newest(&self, limit: usize) -> Result<Vec<Hit>, StorageError> {
        let query = Query {
            limit,
            ..Query::default()
        };
        self.search.query(COLLECTION, query).await
    }

    /// Matches by meaning and words together. Empty where there is no embedder, or no vector to compare with.
    async fn find_by_vector(&self, question: &str, limit: usize) -> Vec<Hit> {
        let Some((space, vector)) = self.vector(question).await else {
            return Vec::new();
        };
        let query = Query {
            text: Some(question.to_owned()),
            vector: Some(vector),
            filter: BTreeMap::from([("space".to_owned(), space)]),
            limit,
        };
        self.search
            .query(COLLECTION, query)
            .await
            .unwrap_or_default()
    }

    async fn vector(&self, text: &str) -> Option<(String, Vec<f32>)> {
        let embedder = self.embedder.as_ref()?;
        let vectors = embedder.embed(&[text.to_owned()]).await.ok()?;
        let vector = vectors.into_iter().next()?;
        Some((embedder.space().to_owned(), vector))
    }
}
