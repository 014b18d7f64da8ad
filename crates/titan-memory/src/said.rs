//! What was said: each turn that ended well is a document of its question and its answer.
//!
//! It is read from the journal when somebody asks the memory, so that nobody pays for it before. A place in the journal is
//! kept, beside the documents and for all engines that share them, and each turn is read once. A turn that only repeats what is known, because it recalled it or because a reflex
//! answered it, adds nothing.

use crate::documents::{checked, document_of, fingerprint, stored};
use crate::memory::GraphMemory;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use titan_protocol::{
    Change, Event, Forget, Journal, MemoryDocument, MemoryDraft, MemoryKind, MemoryOrigin,
    Projection, Record, Seq, SessionId, StorageError, Taint, TurnId, TurnOutcome,
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
    /// Whether it adds nothing to what is known, or is not to be known.
    is_left_out: bool,
}

impl Turn {
    fn take(&mut self, event: &Event) {
        match event {
            Event::TurnStarted { text } => self.question.clone_from(text),
            Event::Steered { text, .. } => {
                self.question.push('\n');
                self.question.push_str(text);
            }
            Event::TextDelta { text } => self.answer.push_str(text),
            Event::ToolCallReady { call, .. } => {
                self.answer.clear();
                self.is_left_out |= OF_THE_MEMORY.contains(&call.name.as_str());
            }
            Event::ToolCallEnded { taint, .. } | Event::ContextAssembled { taint, .. } => {
                self.taint = self.taint.union(*taint);
            }
            // What stands in an image is a stranger's.
            Event::ImagesGiven { .. } => self.taint = self.taint.union(Taint::UNTRUSTED),
            Event::ShortcutTaken { .. } | Event::Forgotten => self.is_left_out = true,
            _ => {}
        }
    }

    /// The document of a turn that ended.
    fn draft(self, session: SessionId, turn: TurnId) -> Option<MemoryDraft> {
        let (question, answer) = (self.question.trim(), self.answer.trim());
        let says_something = question.split_whitespace().count() >= WORDS_MIN && !answer.is_empty();
        if self.is_left_out || !says_something {
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

fn begin(text: &str, chars_max: usize) -> String {
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
            let mut said = Vec::new();
            for record in &records {
                said.extend(self.hear(journal.as_ref(), &mut turns, record).await?);
            }
            match self.keep_said(said, last.seq, version).await {
                Err(StorageError::Conflict { .. }) => read_to = None,
                kept => {
                    kept?;
                    read_to = Some(last.seq);
                }
            }
        }
    }

    /// Takes a record, and gives the document of a turn that ends with it.
    async fn hear(
        &self,
        journal: &dyn Journal,
        turns: &mut HashMap<TurnId, Turn>,
        record: &Record,
    ) -> Result<Option<MemoryDraft>, StorageError> {
        let Some(turn) = record.turn else {
            return Ok(None);
        };
        if matches!(record.event, Event::TurnStarted { .. }) {
            turns.insert(turn, Turn::default());
        }
        if let Some(known) = turns.get_mut(&turn) {
            known.take(&record.event);
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
        Ok(whole.and_then(|whole| whole.draft(record.session, turn)))
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

    async fn keep_said(
        &self,
        said: Vec<MemoryDraft>,
        place: Seq,
        version: u64,
    ) -> Result<(), StorageError> {
        let mut held = self.state.write().await;
        let state = held.get_or_insert_default();
        if !said.is_empty() {
            self.take_over(state).await?;
        }
        let mut documents: Vec<MemoryDocument> = Vec::new();
        let mut together = BTreeSet::new();
        for draft in said {
            let Ok(draft) = checked(draft) else {
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
        whole.take(&record.event);
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
        let sources = match what {
            Forget::Session { session } => vec![format!("session {session},")],
            Forget::Turn { session, turn } => vec![source(*session, *turn)],
            Forget::Events { session, seqs } => {
                let mut sources = BTreeSet::new();
                for seq in seqs {
                    let before = seq.saturating_sub(1);
                    let found = journal.read(Some(*session), before, 1).await?;
                    let turn = found.first().filter(|record| record.seq == *seq);
                    sources.extend(turn.and_then(|record| Some(source(*session, record.turn?))));
                }
                sources.into_iter().collect()
            }
        };
        let mut held = self.state.write().await;
        let state = held.get_or_insert_default();
        self.take_over(state).await?;
        for id in state.of_sources(&sources) {
            self.erase(state, &id).await?;
        }
        Ok(())
    }
}
