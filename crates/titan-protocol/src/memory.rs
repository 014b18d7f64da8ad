//! What the engine keeps over sessions, as the person looks at it and changes it.

use crate::{ClientError, SessionId, TurnId, UnixMillis};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// The longest text of a note, in characters.
pub const NOTE_CHARS_MAX: usize = 4_000;
/// Tags of one document.
pub const TAGS_MAX: usize = 8;
/// The longest tag, in characters.
pub const TAG_CHARS_MAX: usize = 40;
/// Documents that one question may ask for.
pub const DOCUMENTS_MAX: usize = 1_000;

/// The documents that tools find again in later sessions.
#[async_trait]
pub trait Memory: Send + Sync {
    /// Documents whose text and tags hold every word, newest first. Words may be cut; beyond the newest
    /// [`DOCUMENTS_MAX`] whole ones alone are found.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn find(&self, query: MemoryQuery) -> Result<Vec<MemoryDocument>, ClientError>;

    /// Keeps what the person wrote, in the place of another document if it names one; durable when it returns. What is
    /// replaced is really deleted, and its origin stays with what takes its place. The same text is one document.
    ///
    /// Not cancel-safe: a dropped future may have kept the new text and not deleted the old one.
    ///
    /// # Errors
    /// When it is empty or too long, when what it replaces is not there, or the store can't be written.
    async fn keep(&self, draft: MemoryDraft) -> Result<MemoryDocument, ClientError>;

    /// Deletes a document for good; one that is not there is passed over. The words of the session that it came from
    /// are that session's own, and stay until it is forgotten.
    ///
    /// # Errors
    /// When the store can't be written.
    async fn discard(&self, id: String) -> Result<(), ClientError>;
}

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryQuery {
    /// Words; none finds everything.
    pub words: String,
    /// At most this many, 1 to [`DOCUMENTS_MAX`].
    pub limit: usize,
}

/// What the person wants to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryDraft {
    /// 1 to [`NOTE_CHARS_MAX`] characters.
    pub text: String,
    /// At most [`TAGS_MAX`], each of 1 to [`TAG_CHARS_MAX`] characters without a comma.
    pub tags: Vec<String>,
    /// The document whose place it takes.
    pub replaces: Option<String>,
}

/// Something that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryDocument {
    /// Unique; another when the text changes.
    pub id: String,
    /// What it is.
    pub kind: MemoryKind,
    /// What it says.
    pub text: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Where it comes from.
    pub origin: MemoryOrigin,
    /// When it was first kept.
    pub at: UnixMillis,
    /// When the person last changed it.
    pub changed_at: Option<UnixMillis>,
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    /// A short text about one thing.
    Note,
}

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MemoryOrigin {
    /// The person wrote it.
    Person,
    /// A tool kept it in a turn.
    Turn {
        /// The session; it may be forgotten since.
        session: SessionId,
        /// The turn.
        turn: TurnId,
    },
}
