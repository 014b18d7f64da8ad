//! A memory that holds documents in a list: what tools are tested with.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;
use titan_protocol::{
    BlobId, ClientError, Memory, MemoryDocument, MemoryDraft, MemoryGraph, MemoryHit, MemoryQuery,
    MemoryQuestion, NOTE_CHARS_MAX,
};

/// A [`Memory`] in a list. It finds what has a word of the question, newest first, and knows no names. Clones are the
/// same.
#[derive(Clone, Default)]
pub struct ListedMemory {
    documents: Arc<Mutex<Vec<MemoryDocument>>>,
}

impl ListedMemory {
    /// A memory of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it holds, oldest first.
    pub fn documents(&self) -> Vec<MemoryDocument> {
        self.documents.lock().clone()
    }

    fn newest(&self, fits: impl Fn(&str) -> bool, limit: usize) -> Vec<MemoryDocument> {
        let documents = self.documents.lock();
        let newest = documents.iter().rev();
        newest
            .filter(|document| fits(&document.text.to_lowercase()))
            .take(limit)
            .cloned()
            .collect()
    }
}

#[async_trait]
impl Memory for ListedMemory {
    async fn find(&self, query: MemoryQuery) -> Result<Vec<MemoryDocument>, ClientError> {
        let words = query.words.to_lowercase();
        let holds = |text: &str| words.split_whitespace().all(|word| text.contains(word));
        Ok(self.newest(holds, query.limit))
    }

    async fn get(&self, id: String) -> Result<Option<MemoryDocument>, ClientError> {
        let documents = self.documents.lock();
        Ok(documents.iter().find(|it| it.id == id).cloned())
    }

    async fn recall(&self, question: MemoryQuestion) -> Result<Vec<MemoryHit>, ClientError> {
        let words = question.text.to_lowercase();
        let has_some = |text: &str| words.split_whitespace().any(|word| text.contains(word));
        let found = self.newest(has_some, question.limit).into_iter();
        let hits = found.map(|document| MemoryHit {
            document,
            begins_at: 0,
            score: 1.0,
            reasons: Vec::new(),
        });
        Ok(hits.collect())
    }

    async fn graph(&self, _name: String, _limit: usize) -> Result<MemoryGraph, ClientError> {
        Ok(MemoryGraph::default())
    }

    async fn keep(&self, draft: MemoryDraft) -> Result<MemoryDocument, ClientError> {
        let text = draft.text.trim();
        if text.is_empty() || text.chars().count() > NOTE_CHARS_MAX {
            let text = format!("a note has 1 to {NOTE_CHARS_MAX} characters");
            return Err(ClientError::Refused(text));
        }
        let id = BlobId::of(text.as_bytes()).to_string();
        let document = MemoryDocument {
            id: id.clone(),
            kind: draft.kind,
            title: draft.title,
            text: text.to_owned(),
            tags: draft.tags,
            source: draft.source,
            origin: draft.origin,
            at: 0,
            changed_at: None,
            valid_until: draft.valid_until,
            superseded_by: None,
            read_in: None,
            reading: None,
        };
        let mut documents = self.documents.lock();
        documents.retain(|it| it.id != id && Some(&it.id) != draft.replaces.as_ref());
        documents.push(document.clone());
        Ok(document)
    }

    async fn discard(&self, id: String) -> Result<(), ClientError> {
        self.documents.lock().retain(|it| it.id != id);
        Ok(())
    }
}
