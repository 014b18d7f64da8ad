//! The notes that `remember` writes and `recall` finds: plain texts in one search collection, with vectors where an
//! embedder is there.
//!
//! A note's id is the hash of its text, so the same thing remembered twice is one note. Vectors of another space than
//! the embedder's are never compared: each note says its space, and a question asks only within its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use titan_protocol::{
    BlobId, Document, Embedder, Hit, Query, Search, SessionId, StorageError, TurnId, UnixMillis,
};

/// The collection that holds the notes.
pub(crate) const COLLECTION: &str = "notes";

/// Where notes are kept.
#[derive(Clone)]
pub(crate) struct Notes {
    pub(crate) search: Arc<dyn Search>,
    pub(crate) embedder: Option<Arc<dyn Embedder>>,
}

/// Something to remember.
pub(crate) struct Note {
    pub(crate) text: String,
    pub(crate) tags: Vec<String>,
    pub(crate) session: SessionId,
    pub(crate) turn: TurnId,
    pub(crate) at: UnixMillis,
}

impl Notes {
    /// Stores a note. Without its vector when the embedder fails or the collection holds vectors of another length.
    pub(crate) async fn store(&self, note: Note) -> Result<(), StorageError> {
        let mut document = Document {
            id: BlobId::of(note.text.as_bytes()).to_string(),
            attributes: BTreeMap::from([
                ("at".to_owned(), note.at.to_string()),
                ("session".to_owned(), note.session.to_string()),
                ("tags".to_owned(), note.tags.join(",")),
                ("turn".to_owned(), note.turn.to_string()),
            ]),
            text: note.text,
            vector: None,
        };
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
        document.attributes.remove("space");
        self.search.upsert(COLLECTION, vec![document]).await
    }

    /// The best matches for a question, best first.
    pub(crate) async fn find(
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
