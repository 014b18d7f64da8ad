//! The four storage ports. Small on purpose: a new backend is one file.

use crate::{BlobId, BoxStream, Event, Record, Seq, SessionId, TurnId};
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why storage failed. The text names the cause and the next step.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// A compare-and-swap met another value than expected; read again and retry.
    #[error("{table}/{key} was changed by somebody else meanwhile")]
    Conflict {
        /// The table.
        table: String,
        /// The key.
        key: String,
    },
    /// Another process owns this home.
    #[error("{0}")]
    Locked(String),
    /// The data is newer than this program, or damaged.
    #[error("{0}")]
    Incompatible(String),
    /// The disk is full, a file can't be read, the server is gone.
    #[error("{0}")]
    Failed(String),
}

/// The log of all that happened, in one order over a home.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends events of one session, in order and together, and gives them their places. Subscribers see them when
    /// this returns; they are durable after the next [`sync`](Journal::sync). Waits when the writer is behind. Appending
    /// nothing asks whether the store can be written.
    ///
    /// Not cancel-safe: a dropped future may or may not have appended.
    ///
    /// # Errors
    /// When the store can't write, and holds as much as it may until it can.
    async fn append(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        events: Vec<Event>,
    ) -> Result<Vec<Record>, StorageError>;

    /// Returns when all that was appended before this call would survive a power cut.
    ///
    /// # Errors
    /// When any of it could not be written.
    async fn sync(&self) -> Result<(), StorageError>;

    /// At most `limit` records after `after`, oldest first, of one session or of all.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn read(
        &self,
        session: Option<SessionId>,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Record>, StorageError>;

    /// Records as they are appended from now on, of one session or of all. A reader that falls behind by more than
    /// the subscription holds gets [`Delivery::Lagged`] and reads on from the journal.
    fn subscribe(&self, session: Option<SessionId>) -> BoxStream<Delivery>;

    /// Replaces these records' events by [`Event::Forgotten`], and really deletes the old content, from free pages
    /// and write-ahead logs too, before it returns.
    ///
    /// # Errors
    /// When the store can't be written.
    async fn tombstone(&self, session: SessionId, seqs: &[Seq]) -> Result<(), StorageError>;
}

/// What a journal subscriber receives.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every delivery is a record; a box each would cost more"
)]
pub enum Delivery {
    /// The next record.
    Record(Record),
    /// Records after this position were not delivered; read them from the journal.
    Lagged {
        /// The last position that was delivered, or 0.
        after: Seq,
    },
}

/// Small values by table and key, with versions.
#[async_trait]
pub trait Records: Send + Sync {
    /// The value and its version, if there is one.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn get(&self, table: &str, key: &str) -> Result<Option<Versioned>, StorageError>;

    /// Values whose key begins with `prefix` and is greater than `after`, by key, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn scan(
        &self,
        table: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Versioned)>, StorageError>;

    /// Makes all the changes or none; durable when it returns.
    ///
    /// # Errors
    /// `Conflict` when an expected version does not match, and nothing was changed.
    async fn commit(&self, changes: Vec<Change>) -> Result<(), StorageError>;
}

/// A value with its version, which grows with each change; 0 stands for "not there".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The value.
    pub value: Bytes,
    /// Its version, from 1.
    pub version: u64,
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: String,
    /// The key.
    pub key: String,
    /// The new value; `None` deletes.
    pub value: Option<Bytes>,
    /// The version that must be there now (0: none); `None` takes any.
    pub expected_version: Option<u64>,
}

/// Texts and vectors that can be searched.
#[async_trait]
pub trait Search: Send + Sync {
    /// Adds documents to a collection, replacing those of the same id; durable when it returns.
    ///
    /// # Errors
    /// When the store can't be written.
    async fn upsert(
        &self,
        collection: &str,
        documents: Vec<Document>,
    ) -> Result<Numbered, StorageError>;

    /// Removes documents; unknown ids are passed over. Their text is really deleted.
    ///
    /// # Errors
    /// When the store can't be written.
    async fn remove(&self, collection: &str, ids: &[String]) -> Result<Numbered, StorageError>;

    /// The number of the newest change of a collection, whoever made it; 0 of one that nobody changed. It is quick to ask.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn last_change(&self, collection: &str) -> Result<u64, StorageError>;

    /// Documents that were stored after the change of this number, oldest first, at most `limit`, each with a number that
    /// those after it are read from.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn stored_since(
        &self,
        collection: &str,
        number: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Document)>, StorageError>;

    /// Ids that are greater than `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn ids(
        &self,
        collection: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StorageError>;

    /// The document of this id, if there is one.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn get(&self, collection: &str, id: &str) -> Result<Option<Document>, StorageError>;

    /// Documents whose id is greater than `after`, by id, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn scan(
        &self,
        collection: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Document>, StorageError>;

    /// The best matches, best first. Text is matched by BM25, vectors by cosine; with both, the two rankings are
    /// joined by reciprocal rank fusion (Cormack, Clarke and Büttcher 2009, k = 60). Neither: newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn query(&self, collection: &str, query: Query) -> Result<Vec<Hit>, StorageError>;
}

/// The number of a change of a collection. Numbers grow with each change, and who has seen the one before has missed
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbered {
    /// That of the change before it, whoever made that; 0 if it is the first.
    pub before: u64,
    /// Its own.
    pub now: u64,
}

/// Something that can be found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Unique in its collection.
    pub id: String,
    /// The text that is searched.
    pub text: String,
    /// A unit vector; all of one collection have one length.
    pub vector: Option<Vec<f32>>,
    /// Values to filter by.
    pub attributes: BTreeMap<String, String>,
}

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Words, taken literally: no operator syntax.
    pub text: Option<String>,
    /// A unit vector.
    pub vector: Option<Vec<f32>>,
    /// Attributes that must be equal.
    pub filter: BTreeMap<String, String>,
    /// At most this many, 1 to 1,000.
    pub limit: usize,
}

/// A match.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The document.
    pub document: Document,
    /// Greater is better; comparable within one answer only.
    pub score: f32,
}

/// Large values by the hash of their content.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores bytes; the same bytes are stored once. Durable when it returns.
    ///
    /// # Errors
    /// When the store can't be written.
    async fn put(&self, bytes: Bytes) -> Result<BlobId, StorageError>;

    /// The bytes, if they are there. Damaged bytes are an error, never returned.
    ///
    /// # Errors
    /// When they can't be read or no longer match their hash.
    async fn get(&self, id: &BlobId) -> Result<Option<Bytes>, StorageError>;

    /// Deletes the bytes for good.
    ///
    /// # Errors
    /// When the store can't be written.
    async fn delete(&self, id: &BlobId) -> Result<(), StorageError>;
}
