//! Documents as the store keeps them, and what a draft may be.

use crate::text::folded;
use std::collections::BTreeMap;
use titan_protocol::{
    BlobId, DOCUMENT_BYTES_MAX, Document, MemoryDocument, MemoryDraft, MemoryKind, MemoryOrigin,
    NOTE_CHARS_MAX, ReadIn, TAG_CHARS_MAX, TAGS_MAX, TITLE_CHARS_MAX, UnixMillis,
};

/// The attribute of what a model read in a document.
pub(crate) const READING: &str = "reading";

/// A draft with its text, title and tags as they are kept.
///
/// # Errors
/// When there is no text, or something is too long; the text says what is allowed.
pub(crate) fn checked(draft: MemoryDraft) -> Result<MemoryDraft, String> {
    let text = draft.text.trim();
    let is_note = draft.kind == MemoryKind::Note;
    if is_note && (text.is_empty() || text.chars().count() > NOTE_CHARS_MAX) {
        return Err(format!("a note has 1 to {NOTE_CHARS_MAX} characters"));
    }
    if text.is_empty() || text.len() > DOCUMENT_BYTES_MAX {
        return Err(format!(
            "a document has 1 to {DOCUMENT_BYTES_MAX} bytes of text, this one has {}",
            text.len()
        ));
    }
    let title = draft.title.split_whitespace().collect::<Vec<_>>().join(" ");
    let longest = [Some(&title), draft.source.as_ref()];
    if longest
        .into_iter()
        .flatten()
        .any(|it| it.chars().count() > TITLE_CHARS_MAX)
    {
        return Err(format!(
            "a document's title and source have at most {TITLE_CHARS_MAX} characters"
        ));
    }
    let mut tags: Vec<String> = Vec::new();
    // Tags are kept in one line, with commas between them.
    for tag in draft
        .tags
        .iter()
        .flat_map(|tag| tag.split(','))
        .map(str::trim)
    {
        if !tag.is_empty() && !tags.iter().any(|other| other == tag) {
            tags.push(tag.to_owned());
        }
    }
    if tags.len() > TAGS_MAX || tags.iter().any(|tag| tag.chars().count() > TAG_CHARS_MAX) {
        return Err(format!(
            "a note has at most {TAGS_MAX} tags, each of at most {TAG_CHARS_MAX} characters"
        ));
    }
    Ok(MemoryDraft {
        text: text.to_owned(),
        title,
        tags,
        ..draft
    })
}

/// The document that a draft becomes.
pub(crate) fn document_of(draft: MemoryDraft, now: UnixMillis) -> MemoryDocument {
    MemoryDocument {
        id: id_of(&draft),
        kind: draft.kind,
        title: draft.title,
        text: draft.text,
        tags: draft.tags,
        source: draft.source,
        origin: draft.origin,
        at: now,
        changed_at: None,
        valid_until: draft.valid_until,
        superseded_by: None,
        read_in: None,
        reading: None,
    }
}

/// The id of what a draft says: the hash of a note's text, and of all that tells another document apart.
fn id_of(draft: &MemoryDraft) -> String {
    let hash = match draft.kind {
        MemoryKind::Note => BlobId::of(draft.text.as_bytes()),
        kind => {
            let source = draft.source.as_deref().unwrap_or_default();
            BlobId::of(
                [kind_word(kind), source, &draft.title, &draft.text]
                    .join("\0")
                    .as_bytes(),
            )
        }
    };
    hash.to_string()
}

/// What two ways to write the same have in common: words, in their order.
pub(crate) fn fingerprint(document: &MemoryDocument) -> String {
    let words = folded(&document.text).join(" ");
    let source = document.source.as_deref().unwrap_or_default();
    let told_apart = match document.kind {
        MemoryKind::Note => words,
        // The same question with the same answer is the same wherever it was asked.
        MemoryKind::Conversation => [kind_word(document.kind), &words].join("\0"),
        MemoryKind::File | MemoryKind::Page => {
            [kind_word(document.kind), source, &words].join("\0")
        }
    };
    BlobId::of(told_apart.as_bytes()).to_string()
}

/// Whether what a document says may take the place of what the person or the agent said.
pub(crate) fn is_trusted(origin: &MemoryOrigin) -> bool {
    !matches!(origin, MemoryOrigin::Untrusted)
}

pub(crate) fn kind_word(kind: MemoryKind) -> &'static str {
    match kind {
        MemoryKind::Note => "note",
        MemoryKind::File => "file",
        MemoryKind::Conversation => "conversation",
        MemoryKind::Page => "page",
    }
}

pub(crate) fn kind_of(word: &str) -> Option<MemoryKind> {
    [
        MemoryKind::Note,
        MemoryKind::File,
        MemoryKind::Conversation,
        MemoryKind::Page,
    ]
    .into_iter()
    .find(|kind| kind_word(*kind) == word)
}

/// A stored document, with what its attributes say.
pub(crate) fn told(stored: Document) -> MemoryDocument {
    let attribute = |name: &str| stored.attributes.get(name).map(String::as_str);
    let time = |name: &str| attribute(name)?.parse().ok();
    let turn = || {
        Some((
            attribute("session")?.parse().ok()?,
            attribute("turn")?.parse().ok()?,
        ))
    };
    // A turn that strangers' words stand beside is where they were read, not who wrote them.
    let (origin, read_in) = match (attribute("origin"), turn()) {
        (Some("untrusted"), read_in) => (
            MemoryOrigin::Untrusted,
            read_in.map(|(session, turn)| ReadIn { session, turn }),
        ),
        (_, Some((session, turn))) => (MemoryOrigin::Turn { session, turn }, None),
        (_, None) => (MemoryOrigin::Person, None),
    };
    let tags = attribute("tags").unwrap_or_default().split(',');
    MemoryDocument {
        kind: attribute("kind").and_then(kind_of).unwrap_or_default(),
        title: attribute("title").unwrap_or_default().to_owned(),
        tags: tags
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        source: attribute("source").map(str::to_owned),
        origin,
        at: time("at").unwrap_or_default(),
        changed_at: time("changed"),
        valid_until: time("until"),
        superseded_by: attribute("superseded").map(str::to_owned),
        read_in,
        reading: attribute(READING).and_then(|it| serde_json::from_str(it).ok()),
        id: stored.id,
        text: stored.text,
    }
}

/// A document as it is stored. Its vectors are kept by the hashes of its passages.
pub(crate) fn stored(document: &MemoryDocument) -> Document {
    let mut attributes = BTreeMap::from([
        ("at".to_owned(), document.at.to_string()),
        ("tags".to_owned(), document.tags.join(",")),
    ]);
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value);
        }
    };
    if document.kind != MemoryKind::Note {
        set("kind", Some(kind_word(document.kind).to_owned()));
    }
    set(
        "title",
        Some(document.title.clone()).filter(|title| !title.is_empty()),
    );
    set("source", document.source.clone());
    set("changed", document.changed_at.map(|at| at.to_string()));
    set("until", document.valid_until.map(|at| at.to_string()));
    set("superseded", document.superseded_by.clone());
    let reading = document.reading.as_ref();
    set(READING, reading.map(|it| serde_json::json!(it).to_string()));
    match &document.origin {
        MemoryOrigin::Person => {}
        MemoryOrigin::Turn { session, turn } => {
            set("session", Some(session.to_string()));
            set("turn", Some(turn.to_string()));
        }
        MemoryOrigin::Untrusted => {
            set("origin", Some("untrusted".to_owned()));
            set("session", document.read_in.map(|it| it.session.to_string()));
            set("turn", document.read_in.map(|it| it.turn.to_string()));
        }
    }
    Document {
        id: document.id.clone(),
        text: document.text.clone(),
        vector: None,
        attributes,
    }
}
