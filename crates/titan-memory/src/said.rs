//! What was said: each turn that ended well is a document of its question and its answer, and each page that was read in it
//! is one.
//!
//! It is read from the journal when somebody asks the memory, so that nobody pays for it before. A place in the journal is
//! kept, beside the documents and for all engines that share them, and each turn is read once. A turn that only repeats what is known, because it recalled it or because a reflex
//! answered it, adds nothing.

use crate::documents::{checked, document_of, fingerprint, stored};
use crate::memory::GraphMemory;
use crate::pages::{self, Page};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use titan_protocol::{
    CallId, Change, Event, Forget, Journal, MemoryDocument, MemoryDraft, MemoryKind, MemoryOrigin,
    Projection, ReadIn, Record, Seq, SessionId, StorageError, Taint, TurnId, TurnOutcome,
};

/// Records that are read at once.
const RECORDS_TOGETHER: usize = 2_000;
/// Records of a turn of which the beginning was read before: a longer one is left out.
const TURN_RECORDS_MAX: u64 = 20_000;
/// The longest question, in characters.
const QUESTION_CHARS_MAX: usize = 2_000;
/// The longest answer, in characters.
const ANSWER_CHARS_MAX: usize = 8_000;
/// The longest title, in characters.
const TITLE_CHARS_MAX: usize = 80;
/// Words that a question has at least: an "ok" says nothing.
const WORDS_MIN: usize = 3;
/// Tools that give what is known already, or keep what is said by themselves.
const OF_THE_MEMORY: [&str; 2] = ["recall", "remember"];
/// The table of places in the journal, by collection.
const PLACES: &str = "memory_said";

/// A turn as far as it was read.
#[derive(Default)]
struct Turn {
    question: String,
    answer: String,
    taint: Taint,
    /// Whether what was said adds nothing to what is known.
    is_left_out: bool,
    is_forgotten: bool,
    /// Calls that read a page, and the pages.
    reading: BTreeSet<CallId>,
    pages: Vec<Page>,
}

/// What is kept of a turn that ended.
struct Heard {
    said: Option<MemoryDraft>,
    pages: Vec<MemoryDocument>,
}

impl Turn {
    fn take(&mut self, record: &Record) {
        match &record.event {
            Event::TurnStarted { text } => self.question.clone_from(text),
            Event::Steered { text, .. } => {
                self.question.push('\n');
                self.question.push_str(text);
            }
            Event::TextDelta { text } => self.answer.push_str(text),
            Event::ToolCallReady { call, .. } => {
                self.answer.clear();
                self.is_left_out |= OF_THE_MEMORY.contains(&call.name.as_str());
                if call.name == pages::TOOL {
                    self.reading.insert(call.id.clone());
                }
            }
            Event::ToolCallEnded {
                call,
                text,
                is_error,
                taint,
                whole,
                ..
            } => {
                self.taint = self.taint.union(*taint);
                let has_read = self.reading.remove(call) && !is_error;
                if has_read && self.pages.len() < pages::OF_A_TURN_MAX {
                    self.pages.push(Page {
                        text: text.clone(),
                        whole: whole.clone(),
                        at: record.at,
                    });
                }
            }
            Event::ContextAssembled { taint, .. } => self.taint = self.taint.union(*taint),
            // What stands in an image is a stranger's.
            Event::ImagesGiven { .. } => self.taint = self.taint.union(Taint::UNTRUSTED),
            Event::ShortcutTaken { .. } => self.is_left_out = true,
            Event::Forgotten => self.is_forgotten = true,
            _ => {}
        }
    }

    /// The document of what was said in a turn that ended.
    fn draft(&self, session: SessionId, turn: TurnId) -> Option<MemoryDraft> {
        let (question, answer) = (self.question.trim(), self.answer.trim());
        let says_something = question.split_whitespace().count() >= WORDS_MIN && !answer.is_empty();
        if self.is_left_out || self.is_forgotten || !says_something {
            return None;
        }
        let question = begin(question, QUESTION_CHARS_MAX);
        let title = begin(question.lines().next().unwrap_or_default(), TITLE_CHARS_MAX);
        Some(MemoryDraft {
            kind: MemoryKind::Conversation,
            text: format!("{question}\n\n{}", begin(answer, ANSWER_CHARS_MAX)),
            title,
            source: Some(source(session, turn)),
            origin: match self.taint.untrusted {
                true => MemoryOrigin::Untrusted,
                false => MemoryOrigin::Turn { session, turn },
            },
            ..MemoryDraft::default()
        })
    }
}

fn source(session: SessionId, turn: TurnId) -> String {
    format!("session {session}, turn {turn}")
}

/// The turn that a source names.
pub(crate) fn turn_of(source: &str) -> Option<(SessionId, TurnId)> {
    let (session, turn) = source.strip_prefix("session ")?.split_once(", turn ")?;
    Some((session.parse().ok()?, turn.parse().ok()?))
}

pub(crate) fn begin(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

impl GraphMemory {
    /// Keeps what was said since it listened last.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub(crate) async fn listen(&self) -> Result<(), StorageError> {
        let Some(journal) = self.ports.journal.clone() else {
            return Ok(());
        };
        let _nobody_else = self.listening.lock().await;
        let mut turns: HashMap<TurnId, Turn> = HashMap::new();
        let mut read_to = None;
        loop {
            let (place, version) = self.place().await?;
            if read_to != Some(place) {
                // Another engine has listened meanwhile. What it read of a turn is not read here.
                turns.clear();
            }
            let records = journal.read(None, place, RECORDS_TOGETHER).await?;
            let Some(last) = records.last() else {
                return Ok(());
            };
            let mut heard = Vec::new();
            for record in &records {
                heard.extend(self.hear(journal.as_ref(), &mut turns, record).await?);
            }
            match self.keep_heard(heard, last.seq, version).await {
                Err(StorageError::Conflict { .. }) => read_to = None,
                kept => {
                    kept?;
                    read_to = Some(last.seq);
                }
            }
        }
    }

    /// Takes a record, and gives what is kept of a turn that ends with it.
    async fn hear(
        &self,
        journal: &dyn Journal,
        turns: &mut HashMap<TurnId, Turn>,
        record: &Record,
    ) -> Result<Option<Heard>, StorageError> {
        let Some(turn) = record.turn else {
            return Ok(None);
        };
        if matches!(record.event, Event::TurnStarted { .. }) {
            turns.insert(turn, Turn::default());
        }
        if let Some(known) = turns.get_mut(&turn) {
            known.take(record);
        }
        let Event::TurnEnded { outcome, .. } = &record.event else {
            return Ok(None);
        };
        let read = turns.remove(&turn);
        if *outcome != TurnOutcome::Completed {
            return Ok(None);
        }
        let whole = match read {
            Some(whole) => Some(whole),
            None => whole(journal, record.session, turn, record.seq).await?,
        };
        let Some(whole) = whole else {
            return Ok(None);
        };
        let session = record.session;
        let keeps = self.ports.keeps;
        let mut heard = Heard {
            said: whole.draft(session, turn).filter(|_| keeps.conversations),
            pages: Vec::new(),
        };
        if keeps.pages && !whole.is_forgotten {
            for page in whole.pages {
                let read_in = ReadIn { session, turn };
                heard.pages.extend(self.page(page, read_in).await?);
            }
        }
        Ok(Some(heard))
    }

    /// Where it begins to listen, and the version of that.
    async fn place(&self) -> Result<(Seq, u64), StorageError> {
        let Some(kept) = self.ports.records.get(PLACES, &self.collection).await? else {
            return Ok((0, 0));
        };
        let place = std::str::from_utf8(&kept.value)
            .ok()
            .and_then(|it| it.parse().ok());
        Ok((place.unwrap_or_default(), kept.version))
    }

    async fn keep_heard(
        &self,
        heard: Vec<Heard>,
        place: Seq,
        version: u64,
    ) -> Result<(), StorageError> {
        let mut held = self.state.write().await;
        let state = held.get_or_insert_default();
        if !heard.is_empty() {
            self.take_over(state).await?;
        }
        let mut documents: Vec<MemoryDocument> = Vec::new();
        let mut together = BTreeSet::new();
        let mut pages = Vec::new();
        for turn in heard {
            pages.extend(turn.pages);
            let Some(Ok(draft)) = turn.said.map(checked) else {
                continue;
            };
            let document = document_of(draft, (self.ports.clock)());
            // Asked and answered in the same words before.
            let fingerprint = fingerprint(&document);
            if !state.by_fingerprint.contains_key(&fingerprint) && together.insert(fingerprint) {
                documents.push(document);
            }
        }
        if !documents.is_empty() {
            let upsert = documents.iter().map(stored).collect();
            let numbered = self.ports.search.upsert(&self.collection, upsert).await?;
            documents.iter().for_each(|document| state.insert(document));
            state.changed(numbered);
        }
        for page in pages {
            self.keep_page(state, page).await?;
        }
        let change = Change {
            table: PLACES.to_owned(),
            key: self.collection.to_string(),
            value: Some(Bytes::from(place.to_string())),
            expected_version: Some(version),
        };
        self.ports.records.commit(vec![change]).await
    }
}

/// A turn that began before what was read.
async fn whole(
    journal: &dyn Journal,
    session: SessionId,
    turn: TurnId,
    end: Seq,
) -> Result<Option<Turn>, StorageError> {
    let after = end.saturating_sub(TURN_RECORDS_MAX);
    let limit = usize::try_from(TURN_RECORDS_MAX).unwrap_or(usize::MAX);
    let records = journal.read(Some(session), after, limit).await?;
    let mut whole = Turn::default();
    let mut has_begun = false;
    for record in records.iter().filter(|record| record.turn == Some(turn)) {
        has_begun |= matches!(record.event, Event::TurnStarted { .. });
        whole.take(record);
    }
    Ok(has_begun.then_some(whole))
}

#[async_trait]
impl Projection for GraphMemory {
    async fn forget(&self, what: &Forget) -> Result<(), StorageError> {
        let Some(journal) = &self.ports.journal else {
            return Ok(());
        };
        self.load().await?;
        // What was said until now is heard, so that nothing of it is read once more before the journal forgets it.
        self.listen().await?;
        let _nobody_listens = self.listening.lock().await;
        let mut turns = BTreeSet::new();
        if let Forget::Events { session, seqs } = what {
            for seq in seqs {
                let before = seq.saturating_sub(1);
                let found = journal.read(Some(*session), before, 1).await?;
                let record = found.first().filter(|record| record.seq == *seq);
                turns.extend(record.and_then(|record| record.turn));
            }
        }
        let is_meant = |of: SessionId, turn: TurnId| match what {
            Forget::Session { session } => of == *session,
            Forget::Turn { session, turn: it } => of == *session && turn == *it,
            Forget::Events { session, .. } => of == *session && turns.contains(&turn),
        };
        let mut held = self.state.write().await;
        let state = held.get_or_insert_default();
        self.take_over(state).await?;
        for id in state.of_turns(is_meant) {
            self.erase(state, &id).await?;
        }
        Ok(())
    }
}
