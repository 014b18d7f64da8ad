//! What one memory knows of its documents, in this process: the index, and what decides about the next document.

use crate::documents::{READING, fingerprint, is_trusted, stored};
use crate::enrich::is_to_be_read;
use crate::extract::{self, Claim};
use crate::index::{Entry, Index};
use crate::said::turn_of;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use titan_protocol::{
    MemoryDocument, MemoryKind, MemoryOrigin, Numbered, ReadIn, SessionId, TurnId, UnixMillis,
};

/// What is known of the stored documents without reading them again.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) known: HashMap<String, Known>,
    /// Documents by what was said, however it was written.
    pub(crate) by_fingerprint: HashMap<String, String>,
    /// Documents by where they were read; of a page the newest.
    by_source: HashMap<String, String>,
    /// Pages, by when they were read last.
    pages: BTreeSet<(UnixMillis, String)>,
    /// Documents that say something of what has one value at a time.
    by_claim: BTreeMap<String, BTreeSet<String>>,
    /// Documents with passages that have no vector yet.
    pub(crate) unembedded: BTreeSet<String>,
    /// Documents that a model may read something in: what was said behind all else, the newest first.
    unread: BTreeSet<(bool, Reverse<UnixMillis>, String)>,
    /// The number of the newest change of the stored documents that is taken over.
    pub(crate) heard: u64,
}

pub(crate) struct Known {
    /// Of all that is stored of it but what a model read in it.
    hash: blake3::Hash,
    /// Of what a model read in it.
    reading: Option<blake3::Hash>,
    /// Whether it is a turn.
    is_said: bool,
    /// When it was kept or changed last.
    changed_at: UnixMillis,
    fingerprint: String,
    source: Option<String>,
    read_in: Option<ReadIn>,
    /// When a page was read last.
    page_read_at: Option<UnixMillis>,
    claims: Vec<Claim>,
    pub(crate) is_trusted: bool,
    pub(crate) superseded_by: Option<String>,
}

impl State {
    /// Nothing, with all changes up to this one taken over.
    pub(crate) fn as_of(heard: u64) -> Self {
        Self {
            heard,
            ..Self::default()
        }
    }

    pub(crate) fn insert(&mut self, document: &MemoryDocument) {
        self.remove(&document.id);
        let id = &document.id;
        let (hash, reading) = hashes_of(document);
        let changed_at = document.changed_at.unwrap_or(document.at);
        let known = Known {
            hash,
            reading,
            is_said: document.kind == MemoryKind::Conversation,
            changed_at,
            fingerprint: fingerprint(document),
            source: document.source.clone(),
            read_in: document.read_in,
            page_read_at: (document.kind == MemoryKind::Page).then_some(changed_at),
            claims: claims(document),
            is_trusted: is_trusted(&document.origin),
            superseded_by: document.superseded_by.clone(),
        };
        self.by_fingerprint
            .insert(known.fingerprint.clone(), id.clone());
        // A page that another took the place of has ended, also when that one is gone.
        let has_ended = known.superseded_by.is_some()
            || (known.page_read_at.is_some() && document.valid_until.is_some());
        let is_newest = |source: &String| !has_ended || !self.by_source.contains_key(source);
        if let Some(source) = known.source.clone().filter(is_newest) {
            self.by_source.insert(source, id.clone());
        }
        if let Some(read_at) = known.page_read_at {
            self.pages.insert((read_at, id.clone()));
        }
        for claim in &known.claims {
            self.by_claim
                .entry(claim.of.clone())
                .or_default()
                .insert(id.clone());
        }
        self.known.insert(id.clone(), known);
        self.index.insert(&entry_of(document));
        self.unembedded.insert(id.clone());
        self.queue(document);
    }

    /// Takes over a document as it is stored.
    pub(crate) fn hear(&mut self, document: &MemoryDocument) {
        let (hash, reading) = hashes_of(document);
        match self.known.get(&document.id) {
            Some(known) if known.hash == hash && known.reading == reading => {}
            Some(known) if known.hash == hash => self.set_reading(document),
            _ => self.insert(document),
        }
    }

    /// Takes over what a model read in a document; its vectors stay.
    pub(crate) fn set_reading(&mut self, document: &MemoryDocument) {
        self.index.set_reading(&entry_of(document));
        if let Some(known) = self.known.get_mut(&document.id) {
            known.reading = hashes_of(document).1;
        }
        self.queue(document);
    }

    /// Puts a document among those that a model is to be asked about, or takes it out.
    fn queue(&mut self, document: &MemoryDocument) {
        let Some(known) = self.known.get(&document.id) else {
            return;
        };
        let place = known.place_among_unread(&document.id);
        match is_to_be_read(document) {
            true => self.unread.insert(place),
            false => self.unread.remove(&place),
        };
    }

    /// The document that a model is to be asked about next.
    pub(crate) fn next_to_be_read(&self) -> Option<String> {
        self.unread.first().map(|(_, _, id)| id.clone())
    }

    /// The documents that were kept or changed last.
    pub(crate) fn newest(&self, limit: usize) -> Vec<String> {
        let known = self.known.iter();
        let mut by_time: Vec<(Reverse<UnixMillis>, &String)> = known
            .map(|(id, known)| (Reverse(known.changed_at), id))
            .collect();
        by_time.sort_unstable();
        let newest = by_time.into_iter().take(limit);
        newest.map(|(_, id)| id.clone()).collect()
    }

    pub(crate) fn remove(&mut self, id: &str) {
        let Some(known) = self.known.remove(id) else {
            return;
        };
        if self
            .by_fingerprint
            .get(&known.fingerprint)
            .is_some_and(|it| it == id)
        {
            self.by_fingerprint.remove(&known.fingerprint);
        }
        if let Some(source) = known.source
            && self.by_source.get(&source).is_some_and(|it| it == id)
        {
            self.by_source.remove(&source);
        }
        if let Some(read_at) = known.page_read_at {
            self.pages.remove(&(read_at, id.to_owned()));
        }
        for claim in known.claims {
            if let Some(ids) = self.by_claim.get_mut(&claim.of) {
                ids.remove(id);
                if ids.is_empty() {
                    self.by_claim.remove(&claim.of);
                }
            }
        }
        self.unembedded.remove(id);
        self.index.remove(id);
    }

    /// Takes note of a change that this memory made. If another one came before it, that is still to be heard.
    pub(crate) fn changed(&mut self, numbered: Numbered) {
        if self.heard == numbered.before {
            self.heard = numbered.now;
        }
    }

    /// Takes over until when a document holds, and why.
    pub(crate) fn set_validity(&mut self, document: &MemoryDocument) {
        self.index
            .set_valid_until(&document.id, document.valid_until);
        if let Some(known) = self.known.get_mut(&document.id) {
            (known.hash, known.reading) = hashes_of(document);
            known.superseded_by.clone_from(&document.superseded_by);
        }
        self.queue(document);
    }

    /// Documents of turns: what was said in them, and what was read.
    pub(crate) fn of_turns(&self, is_meant: impl Fn(SessionId, TurnId) -> bool) -> Vec<String> {
        let is_meant = |known: &Known| {
            let said = known.source.as_deref().and_then(turn_of);
            let read = known.read_in.map(|it| (it.session, it.turn));
            said.or(read)
                .is_some_and(|(session, turn)| is_meant(session, turn))
        };
        let known = self.known.iter();
        known
            .filter(|(_, known)| is_meant(known))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// The page that was read from this address, as it was last.
    pub(crate) fn page_of(&self, address: &str) -> Option<String> {
        let id = self.by_source.get(address)?;
        let known = self.known.get(id)?;
        known.page_read_at.is_some().then(|| id.clone())
    }

    /// Pages that there is no room for: what this one said longest ago, and what was read longest ago.
    pub(crate) fn pages_without_room(
        &self,
        page: &MemoryDocument,
        earlier_max: usize,
        pages_max: usize,
    ) -> BTreeSet<String> {
        let ids = self.pages.iter().map(|(_, id)| id);
        let ids = ids.filter(|id| **id != page.id);
        let is_earlier = |id: &&String| {
            let known = self.known.get(*id);
            known.is_some_and(|known| known.source == page.source)
        };
        let earlier: Vec<&String> = ids.clone().filter(is_earlier).collect();
        let of_page = earlier.len().saturating_sub(earlier_max);
        let of_all = self.pages.len().saturating_sub(pages_max);
        let gone = earlier.into_iter().take(of_page).chain(ids.take(of_all));
        gone.cloned().collect()
    }

    /// The document that was read from the same place before. What strangers wrote takes the place of nothing else.
    pub(crate) fn of_same_source(&self, source: &str, origin: &MemoryOrigin) -> Option<String> {
        let id = self.by_source.get(source)?;
        let known = self.known.get(id)?;
        (is_trusted(origin) || !known.is_trusted).then(|| id.clone())
    }

    /// The documents that say otherwise than this one, and that it may contradict.
    pub(crate) fn contradicted_by(&self, document: &MemoryDocument) -> Vec<String> {
        let mut found = BTreeSet::new();
        let trusted = is_trusted(&document.origin);
        for claim in claims(document) {
            for id in self.by_claim.get(&claim.of).into_iter().flatten() {
                let Some(known) = self.known.get(id) else {
                    continue;
                };
                let differs = known
                    .claims
                    .iter()
                    .any(|it| it.of == claim.of && it.value != claim.value);
                if differs
                    && *id != document.id
                    && known.superseded_by.is_none()
                    && (trusted || !known.is_trusted)
                {
                    found.insert(id.clone());
                }
            }
        }
        found.into_iter().collect()
    }
}

impl Known {
    fn place_among_unread(&self, id: &str) -> (bool, Reverse<UnixMillis>, String) {
        (self.is_said, Reverse(self.changed_at), id.to_owned())
    }
}

/// A document as the index takes it.
fn entry_of(document: &MemoryDocument) -> Entry {
    Entry {
        id: document.id.clone(),
        title: document.title.clone(),
        text: document.text.clone(),
        tags: document.tags.clone(),
        valid_until: document.valid_until,
        reading: document.reading.clone(),
    }
}

/// Of all that is stored of a document but what a model read in it, and of that.
fn hashes_of(document: &MemoryDocument) -> (blake3::Hash, Option<blake3::Hash>) {
    let mut stored = stored(document);
    let reading = stored.attributes.remove(READING);
    let mut hasher = blake3::Hasher::new();
    for part in [stored.id.as_bytes(), stored.text.as_bytes()] {
        hasher.update(part).update(&[0]);
    }
    for (name, value) in &stored.attributes {
        hasher.update(name.as_bytes()).update(&[0]);
        hasher.update(value.as_bytes()).update(&[0]);
    }
    let reading = reading.map(|it| blake3::hash(it.as_bytes()));
    (hasher.finalize(), reading)
}

/// What a note says of things that have one value at a time. Files and conversations say much that is not meant so.
fn claims(document: &MemoryDocument) -> Vec<Claim> {
    match document.kind {
        MemoryKind::Note => extract::claims(&document.text),
        MemoryKind::File | MemoryKind::Conversation | MemoryKind::Page => Vec::new(),
    }
}
