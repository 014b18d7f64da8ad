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
/// The longest title and the longest source, in characters.
pub const TITLE_CHARS_MAX: usize = 400;
/// The longest text of a document that is no note, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Documents that one question may ask for.
pub const DOCUMENTS_MAX: usize = 1_000;
/// Passages that one question may ask for.
pub const HITS_MAX: usize = 50;

/// The documents that are found again in later sessions. A memory is one owner's: nothing of another owner's is found,
/// shown, changed or deleted through it.
#[async_trait]
pub trait Memory: Send + Sync {
    /// Documents whose text and tags hold every word, newest first. Words may be cut; beyond the newest
    /// [`DOCUMENTS_MAX`] whole ones alone are found.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn find(&self, query: MemoryQuery) -> Result<Vec<MemoryDocument>, ClientError>;

    /// The document of this id, if there is one.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn get(&self, id: String) -> Result<Option<MemoryDocument>, ClientError>;

    /// The passages that answer a question best, best first, each with where it comes from and why it was found.
    /// Nothing is kept by asking.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn recall(&self, question: MemoryQuestion) -> Result<Vec<MemoryHit>, ClientError>;

    /// What is known of a name: what it is called, what it is connected with, and what is said of it.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn graph(&self, name: String, limit: usize) -> Result<MemoryGraph, ClientError>;

    /// Keeps a document, in the place of another if it names one; durable when it returns. What is replaced is really
    /// deleted, and its origin stays with what takes its place. The same text is one document. Where it says otherwise
    /// than an older document of no better origin, that one stays as history.
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
    /// Documents of this kind alone.
    #[serde(default)]
    pub kind: Option<MemoryKind>,
    /// Documents whose id is greater, by id, in the place of the newest: all of them, some after some.
    #[serde(default)]
    pub after: Option<String>,
    /// At most this many, 1 to [`DOCUMENTS_MAX`].
    pub limit: usize,
}

/// What is to be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryQuestion {
    /// The question, in any words.
    pub text: String,
    /// At most this many passages, 1 to [`HITS_MAX`].
    pub limit: usize,
    /// Whether what no longer holds is found too.
    pub with_history: bool,
}

/// What is to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryDraft {
    /// What it is.
    #[serde(default)]
    pub kind: MemoryKind,
    /// What it is called; a note has no title.
    #[serde(default)]
    pub title: String,
    /// A note has 1 to [`NOTE_CHARS_MAX`] characters, all else at most [`DOCUMENT_BYTES_MAX`] bytes.
    pub text: String,
    /// At most [`TAGS_MAX`], each of 1 to [`TAG_CHARS_MAX`] characters without a comma.
    pub tags: Vec<String>,
    /// The file or address that it was read from. A document of the same source takes the older one's place.
    #[serde(default)]
    pub source: Option<String>,
    /// Who wrote it. That of a document that is replaced stays.
    #[serde(default)]
    pub origin: MemoryOrigin,
    /// When it ceases to hold.
    #[serde(default)]
    pub valid_until: Option<UnixMillis>,
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
    /// What it is called; empty where it has no title.
    #[serde(default)]
    pub title: String,
    /// What it says.
    pub text: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The file or address that it was read from.
    #[serde(default)]
    pub source: Option<String>,
    /// Where it comes from.
    pub origin: MemoryOrigin,
    /// When it was first kept.
    pub at: UnixMillis,
    /// When the person last changed it.
    pub changed_at: Option<UnixMillis>,
    /// When it ceases to hold, or ceased.
    #[serde(default)]
    pub valid_until: Option<UnixMillis>,
    /// The newer document that says otherwise, for which it ceased to hold.
    #[serde(default)]
    pub superseded_by: Option<String>,
    /// The turn that a page was read in; the page is forgotten with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_in: Option<ReadIn>,
    /// What a model read in the text, if one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<MemoryReading>,
}

/// What a model read in a document, beside what rules find there. It goes with the text: another text has no reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryReading {
    /// The provider and the model.
    pub model: String,
    /// Names, as the document writes them. None where the model found none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// How names are related.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<MemoryFact>,
}

/// How one name is related to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFact {
    /// A name, as the document writes it.
    pub subject: String,
    /// A few words of the model's.
    pub relation: String,
    /// Another name, as the document writes it.
    pub object: String,
}

/// What a document is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    /// A short text about one thing.
    #[default]
    Note,
    /// A file of this machine.
    File,
    /// A turn: what the person said, and the answer.
    Conversation,
    /// A page that was read in a turn.
    Page,
}

/// The turn that something was read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadIn {
    /// Its session.
    pub session: SessionId,
    /// The turn.
    pub turn: TurnId,
}

/// Where a document comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MemoryOrigin {
    /// The person wrote it.
    #[default]
    Person,
    /// A tool kept it in a turn.
    Turn {
        /// The session; it may be forgotten since.
        session: SessionId,
        /// The turn.
        turn: TurnId,
    },
    /// Strangers may have written it. It never takes the place of what the person or the agent said, and taints whoever
    /// reads it.
    Untrusted,
}

/// A passage that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryHit {
    /// The document; its text is the passage alone.
    pub document: MemoryDocument,
    /// Where the passage begins in the document, in bytes.
    pub begins_at: usize,
    /// Greater is better; comparable within one answer only.
    pub score: f32,
    /// Why it was found, the weightiest first.
    pub reasons: Vec<MemoryReason>,
}

/// Why a passage was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MemoryReason {
    /// It has words of the question.
    Words {
        /// The rarest of them first.
        words: Vec<String>,
    },
    /// Its vector is close to the question's.
    Meaning {
        /// The cosine of both.
        likeness: f32,
    },
    /// It is about a name in the question.
    Named {
        /// The name.
        name: String,
    },
    /// Another passage that was found leads to it.
    Linked {
        /// Passages and the names between them, from the first to this one.
        path: Vec<String>,
    },
}

/// What is known of a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryGraph {
    /// The name as it is written most, if it is known.
    pub name: Option<String>,
    /// What is connected with it, closest first.
    pub related: Vec<MemoryRelation>,
    /// Titles or beginnings of the passages that are about it, then of those that name it, each with its document.
    pub passages: Vec<(String, String)>,
    /// How models read it to be related, the surest first.
    #[serde(default)]
    pub facts: Vec<MemoryStatement>,
    /// Names and passages that the memory knows in all.
    pub nodes: usize,
    /// Connections between them in all.
    pub edges: usize,
}

/// A connection of one name with another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRelation {
    /// The other name.
    pub name: String,
    /// How close it is, of 1 in all.
    pub weight: f32,
    /// Documents that have both.
    pub documents: Vec<String>,
}

/// A fact, with where it was read and how far it is to be believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryStatement {
    /// What is said.
    #[serde(flatten)]
    pub fact: MemoryFact,
    /// The document that it was read in.
    pub document: String,
    /// The provider and the model that read it.
    pub model: String,
    /// From 0 to 1: greater where the document says it in these words than where the words are the model's.
    pub confidence: f32,
}
