//! Documents as passages, words and names, in memory: what questions are answered from.
//!
//! It is made from the stored documents alone, one at a time and in any order: adding and removing a document touches
//! what that document holds, and the result is what an index made anew from the same documents answers.

mod readings;

use self::readings::Reading;
use crate::extract::{self, Name};
use crate::graph::Graph;
use crate::lexicon::Lexicon;
use crate::text::{self, is_stop_word, stem};
use crate::vectors::Vectors;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use titan_protocol::{MemoryReading, UnixMillis};

/// How much more a word counts in a title or heading.
const TITLE_WEIGHT: u32 = 2;
/// BM25's constants, as they are used everywhere.
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// Fractions that a document's mean length is counted in, so that sums are exact.
const LENGTH_PARTS: u64 = 64;

/// A document as the index takes it.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Unique.
    pub id: String,
    /// What it is called; may be empty.
    pub title: String,
    /// What it says.
    pub text: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// When it ceases to hold.
    pub valid_until: Option<UnixMillis>,
    /// What a model read in it.
    pub reading: Option<MemoryReading>,
}

/// The index. See the module.
#[derive(Default)]
pub struct Index {
    pub(crate) words: Lexicon,
    stems: Lexicon,
    /// By stem: passages and how often they have it, by their number.
    postings: Vec<Vec<Posting>>,
    /// By stem: documents that have it. A document counts once, however often it says something.
    stem_documents: Vec<u32>,
    pub(crate) documents: BTreeMap<Arc<str>, Document>,
    pub(crate) passages: Vec<Option<Passage>>,
    /// By passage: its words as they are counted. What every question looks at lies together.
    pub(crate) lengths: Vec<Option<u32>>,
    /// Documents that cease to hold, and when.
    expiring: BTreeSet<(UnixMillis, Arc<str>)>,
    free_passages: Vec<u32>,
    pub(crate) entities: Vec<Option<Entity>>,
    free_entities: Vec<u32>,
    keys: HashMap<Box<str>, u32>,
    /// Names that passages are about, by their first word.
    named: HashMap<u32, Vec<u32>>,
    /// The sum over documents of the mean length of their passages.
    length_sum: u64,
    pub(crate) vectors: Vectors,
    graph: OnceLock<Graph>,
}

#[derive(Clone, Copy, Debug)]
struct Posting {
    passage: u32,
    count: u32,
}

#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) passages: Vec<u32>,
    pub(crate) valid_until: Option<UnixMillis>,
    mean_length: u64,
    stems: Vec<u32>,
    reading: Option<Reading>,
}

#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) document: Arc<str>,
    /// Which passage of its document it is, from 0.
    pub(crate) ordinal: u32,
    pub(crate) at: Range<usize>,
    /// Its title and the heading that it stands under.
    title: Box<str>,
    /// What it is called when it is named in a path.
    pub(crate) label: Box<str>,
    /// The same in every index that holds it.
    pub(crate) key: u64,
    words: Vec<u32>,
    stems: Vec<(u32, u32)>,
    /// Names that it is about, as it writes them.
    pub(crate) about: Vec<(u32, Box<str>)>,
    /// Names that were found in it by what they look like.
    mentions: Vec<(u32, Box<str>)>,
    /// Names that a model found in it, and rules did not.
    read: Vec<(u32, Box<str>)>,
    /// The hash of what its vector is made from.
    pub(crate) hash: [u8; 32],
}

/// Something with a name.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) key: Box<str>,
    pub(crate) order: u64,
    /// Ways to write it, and how many passages do.
    surfaces: BTreeMap<String, u32>,
    words: Vec<u32>,
    /// Passages that are about it, in the order of their keys, as those below.
    pub(crate) about: Members,
    /// Passages in which it was found by what it looks like.
    extracted: Members,
    /// Passages in which its words stand; kept only while some passage is about it.
    matched: Members,
    /// Passages in which a model found it, and rules did not see it by what it looks like.
    read: Members,
}

impl Entity {
    /// The way it is written most.
    pub(crate) fn surface(&self) -> &str {
        let most = self
            .surfaces
            .iter()
            .max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
        most.map_or(&*self.key, |(surface, _)| surface)
    }

    fn write(&mut self, surface: &str) {
        *self.surfaces.entry(surface.to_owned()).or_default() += 1;
    }

    fn unwrite(&mut self, surface: &str) {
        if let Some(count) = self.surfaces.get_mut(surface) {
            *count -= 1;
            if *count == 0 {
                self.surfaces.remove(surface);
            }
        }
    }

    /// The passages that name it as rules find it, each once, in the order of their keys.
    pub(crate) fn mentioned_in(&self) -> Vec<u32> {
        Members::joined(&[&self.extracted, &self.matched])
    }

    /// The passages that name it, whoever found it there, each once, in the order of their keys.
    pub(crate) fn named_in(&self) -> Vec<u32> {
        Members::joined(&[&self.extracted, &self.matched, &self.read])
    }

    /// Whether a model alone found it in a passage.
    pub(crate) fn is_only_read_in(&self, passage: u32) -> bool {
        let read = self.read.0.iter().find(|(_, it)| *it == passage);
        read.is_some_and(|it| !self.extracted.has(it) && !self.matched.has(it))
    }
}

/// Passages in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Members(Vec<(u64, u32)>);

impl Members {
    fn insert(&mut self, key: u64, passage: u32) -> bool {
        match self.0.binary_search(&(key, passage)) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, (key, passage));
                true
            }
        }
    }

    fn remove(&mut self, key: u64, passage: u32) {
        if let Ok(at) = self.0.binary_search(&(key, passage)) {
            self.0.remove(at);
        }
    }

    fn has(&self, member: &(u64, u32)) -> bool {
        self.0.binary_search(member).is_ok()
    }

    /// The passages of all of these, each once, in the order of their keys.
    fn joined(some: &[&Self]) -> Vec<u32> {
        let mut all: Vec<(u64, u32)> = some.iter().flat_map(|it| &it.0).copied().collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter().map(|(_, passage)| passage).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().map(|(_, passage)| *passage)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A number that is the same for the same text in every process.
pub(crate) fn order_of(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    let first: [u8; 8] = std::array::from_fn(|at| hash.as_bytes()[at]);
    u64::from_be_bytes(first)
}

/// What rules find in each piece of a text, and what its shorter names stand for.
fn extracted(text: &str, pieces: &[text::Passage]) -> (Vec<Vec<Name>>, BTreeMap<String, Name>) {
    let names: Vec<Vec<Name>> = pieces
        .iter()
        .map(|piece| extract::mentions(&text[piece.at.clone()]))
        .collect();
    let all: BTreeSet<Name> = names.iter().flatten().cloned().collect();
    let all: Vec<Name> = all.into_iter().collect();
    let aliases = extract::aliases(text, &all);
    (names, aliases)
}

impl Index {
    /// An index of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Documents that it holds.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Passages that it holds.
    pub fn passages(&self) -> usize {
        self.passages.len() - self.free_passages.len()
    }

    /// Adds a document, in the place of one with the same id.
    pub fn insert(&mut self, entry: &Entry) {
        self.remove(&entry.id);
        let id: Arc<str> = entry.id.as_str().into();
        let mut document = Document {
            passages: Vec::new(),
            valid_until: entry.valid_until,
            mean_length: 0,
            stems: Vec::new(),
            reading: None,
        };
        let pieces = text::passages(&entry.text);
        let (names, aliases) = extracted(&entry.text, &pieces);
        let mut stems = BTreeSet::new();
        let mut lengths = 0_u64;
        for (ordinal, (piece, names)) in pieces.into_iter().zip(names).enumerate() {
            let names = names
                .into_iter()
                .map(|name| aliases.get(&name.key).cloned().unwrap_or(name))
                .collect();
            let number = self.insert_passage(entry, &id, ordinal as u32, piece, names);
            lengths += u64::from(self.lengths[number as usize].unwrap_or_default());
            let passage = self.passage(number);
            stems.extend(passage.stems.iter().map(|(stem, _)| *stem));
            document.passages.push(number);
        }
        for stem in &stems {
            self.stem_documents[*stem as usize] += 1;
        }
        document.stems = stems.into_iter().collect();
        document.mean_length = (lengths * LENGTH_PARTS)
            .checked_div(document.passages.len() as u64)
            .unwrap_or(0);
        self.length_sum += document.mean_length;
        if let Some(until) = entry.valid_until {
            self.expiring.insert((until, Arc::clone(&id)));
        }
        self.documents.insert(id, document);
        self.read(entry, &aliases);
        self.graph = OnceLock::new();
    }

    /// Removes a document and all that only it said. Whether it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some((id, document)) = self.documents.remove_entry(id) else {
            return false;
        };
        if let Some(until) = document.valid_until {
            self.expiring.remove(&(until, id));
        }
        self.length_sum -= document.mean_length;
        for stem in &document.stems {
            self.stem_documents[*stem as usize] -= 1;
        }
        for number in document.passages {
            self.remove_passage(number);
        }
        self.graph = OnceLock::new();
        true
    }

    /// Changes until when a document holds.
    pub fn set_valid_until(&mut self, id: &str, valid_until: Option<UnixMillis>) {
        let Some((id, _)) = self.documents.get_key_value(id) else {
            return;
        };
        let id = Arc::clone(id);
        if let Some(document) = self.documents.get_mut(&id) {
            let before = std::mem::replace(&mut document.valid_until, valid_until);
            if let Some(until) = before {
                self.expiring.remove(&(until, Arc::clone(&id)));
            }
        }
        if let Some(until) = valid_until {
            self.expiring.insert((until, id));
        }
    }

    /// The passages of a document, each with the hash of what its vector is made from, that have no vector yet.
    pub(crate) fn without_vector(&self, id: &str) -> Vec<(u32, [u8; 32])> {
        let numbers = self
            .documents
            .get(id)
            .into_iter()
            .flat_map(|document| &document.passages);
        numbers
            .filter(|number| !self.vectors.is_set(**number))
            .map(|number| (*number, self.passage(*number).hash))
            .collect()
    }

    /// The passages of a document that have no vector yet, with what it is made from. `text` is the document's.
    pub fn unembedded(&self, id: &str, text: &str) -> Vec<(u32, String)> {
        let passages = self.without_vector(id).into_iter();
        let made_from = passages.filter_map(|(number, _)| {
            let passage = self.passage(number);
            Some((
                number,
                Self::embedded_text(&passage.title, text.get(passage.at.clone())?),
            ))
        });
        made_from.collect()
    }

    /// The hashes of what the vectors of a document's passages are made from.
    pub(crate) fn hashes(&self, id: &str) -> Vec<[u8; 32]> {
        let numbers = self
            .documents
            .get(id)
            .into_iter()
            .flat_map(|document| &document.passages);
        numbers.map(|number| self.passage(*number).hash).collect()
    }

    /// Gives a passage its vector, which has length 1.
    pub fn set_vector(&mut self, passage: u32, vector: &[f32]) {
        self.vectors.set(passage, vector);
    }

    /// What a passage's vector is made from: what it is called, and what it says.
    fn embedded_text(title: &str, passage: &str) -> String {
        match title {
            "" => passage.to_owned(),
            title => format!("{title}\n{passage}"),
        }
    }

    /// Prepares the search for vectors, where there are many, from what was kept of it. Whether there is more to keep.
    pub fn settle_vectors(&mut self, kept: Option<&[u8]>) -> bool {
        let present = self.passages.iter().enumerate();
        let nodes: HashMap<u64, u32> = match kept {
            None => HashMap::new(),
            Some(_) => present
                .filter_map(|(at, it)| Some((it.as_ref()?.key, at as u32)))
                .collect(),
        };
        self.vectors.settle(kept.map(|bytes| (bytes, &nodes)))
    }

    /// What is kept of the search for vectors, where there are many.
    pub fn vector_graph(&self) -> Option<Vec<u8>> {
        self.vectors.graph_bytes(&|number| self.passage(number).key)
    }

    pub(crate) fn passage(&self, number: u32) -> &Passage {
        self.passages[number as usize]
            .as_ref()
            .unwrap_or_else(|| unreachable!("a passage that is named is there"))
    }

    pub(crate) fn entity(&self, number: u32) -> &Entity {
        self.entities[number as usize]
            .as_ref()
            .unwrap_or_else(|| unreachable!("a name that is held is there"))
    }

    /// The graph of passages and names, made when it is first asked for after a change.
    pub(crate) fn graph(&self) -> &Graph {
        self.graph.get_or_init(|| Graph::of(self))
    }

    fn insert_passage(
        &mut self,
        entry: &Entry,
        id: &Arc<str>,
        ordinal: u32,
        piece: text::Passage,
        names: Vec<Name>,
    ) -> u32 {
        let body = &entry.text[piece.at.clone()];
        let mut label = entry.title.clone();
        if !piece.heading.is_empty() && piece.heading != entry.title {
            if !label.is_empty() {
                label.push_str(" › ");
            }
            label.push_str(&piece.heading);
        }
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        let mut length = 0;
        let mut count = |index: &mut Self, folded: &str, weight: u32| {
            if !is_stop_word(folded) {
                let stem = index.hold_stem(&stem(folded));
                if let Some(known) = counts.get_mut(&stem) {
                    index.stems.release(stem);
                    *known += weight;
                } else {
                    counts.insert(stem, weight);
                }
                length += weight;
            }
        };
        let folded = text::folded(body);
        for word in &folded {
            count(self, word, 1);
        }
        for word in text::folded(&label)
            .iter()
            .chain(&text::folded(&entry.tags.join(" ")))
        {
            count(self, word, TITLE_WEIGHT);
        }
        let number = self.free_passages.pop().unwrap_or_else(|| {
            self.passages.push(None);
            self.lengths.push(None);
            self.passages.len() as u32 - 1
        });
        for (stem, count) in &counts {
            let postings = &mut self.postings[*stem as usize];
            let at = postings.partition_point(|other| other.passage < number);
            postings.insert(
                at,
                Posting {
                    passage: number,
                    count: *count,
                },
            );
        }
        let words: Vec<u32> = folded.iter().map(|word| self.words.hold(word)).collect();
        let subject = match ordinal {
            0 => extract::about(&entry.title, body),
            _ => extract::about(&piece.heading, "")
                .into_iter()
                .filter(|_| !piece.heading.is_empty())
                .collect(),
        };
        let embedded = Self::embedded_text(&label, body);
        let beginning: String = body
            .split_whitespace()
            .take(8)
            .collect::<Vec<_>>()
            .join(" ");
        let passage = Passage {
            document: Arc::clone(id),
            ordinal,
            at: piece.at,
            title: label.as_str().into(),
            label: if label.is_empty() { beginning } else { label }.into(),
            key: order_of(&format!("{id}/{ordinal}")),
            words,
            stems: counts.into_iter().collect(),
            about: Vec::new(),
            mentions: Vec::new(),
            read: Vec::new(),
            hash: *blake3::hash(embedded.as_bytes()).as_bytes(),
        };
        let key = passage.key;
        self.passages[number as usize] = Some(passage);
        self.lengths[number as usize] = Some(length);
        self.match_names(number);
        let about = subject
            .iter()
            .map(|name| {
                (
                    self.be_about(name, key, number),
                    name.surface.as_str().into(),
                )
            })
            .collect();
        let mentions = names
            .iter()
            .map(|name| {
                (
                    self.mention(name, key, number),
                    name.surface.as_str().into(),
                )
            })
            .collect();
        if let Some(passage) = &mut self.passages[number as usize] {
            passage.about = about;
            passage.mentions = mentions;
        }
        number
    }

    fn remove_passage(&mut self, number: u32) {
        self.forget_read(number);
        let Some(passage) = self.passages[number as usize].take() else {
            return;
        };
        self.lengths[number as usize] = None;
        self.free_passages.push(number);
        self.vectors.remove(number);
        for (stem, _) in &passage.stems {
            let postings = &mut self.postings[*stem as usize];
            if let Ok(at) = postings.binary_search_by_key(&number, |it| it.passage) {
                postings.remove(at);
            }
            self.stems.release(*stem);
        }
        for entity in self.matches(&passage.words) {
            self.with_entity(entity, |it| it.matched.remove(passage.key, number));
        }
        for (entity, surface) in &passage.mentions {
            self.with_entity(*entity, |it| {
                it.extracted.remove(passage.key, number);
                it.unwrite(surface);
            });
        }
        for (entity, surface) in &passage.about {
            self.with_entity(*entity, |it| {
                it.about.remove(passage.key, number);
                it.unwrite(surface);
            });
            self.forget_matches(*entity);
        }
        let touched: BTreeSet<u32> = passage
            .mentions
            .iter()
            .chain(&passage.about)
            .map(|(entity, _)| *entity)
            .collect();
        for entity in touched {
            self.drop_unused(entity);
        }
        for word in &passage.words {
            self.words.release(*word);
        }
    }

    fn hold_stem(&mut self, stem: &str) -> u32 {
        let number = self.stems.hold(stem);
        if self.postings.len() <= number as usize {
            self.postings.resize_with(number as usize + 1, Vec::new);
            self.stem_documents.resize(number as usize + 1, 0);
        }
        number
    }

    fn with_entity(&mut self, number: u32, change: impl FnOnce(&mut Entity)) {
        if let Some(entity) = &mut self.entities[number as usize] {
            change(entity);
        }
    }

    fn hold_entity(&mut self, name: &Name) -> u32 {
        if let Some(number) = self.keys.get(name.key.as_str()) {
            return *number;
        }
        let entity = Entity {
            key: name.key.as_str().into(),
            order: order_of(&name.key),
            surfaces: BTreeMap::new(),
            words: name
                .key
                .split(' ')
                .map(|word| self.words.hold(word))
                .collect(),
            about: Members::default(),
            extracted: Members::default(),
            matched: Members::default(),
            read: Members::default(),
        };
        let number = self.free_entities.pop().unwrap_or_else(|| {
            self.entities.push(None);
            self.entities.len() as u32 - 1
        });
        self.entities[number as usize] = Some(entity);
        self.keys.insert(name.key.as_str().into(), number);
        number
    }

    /// Lets go of a name that no passage has.
    fn drop_unused(&mut self, number: u32) {
        let entity = &mut self.entities[number as usize];
        let is_unused = |it: &mut Entity| {
            [&it.about, &it.extracted, &it.read].map(Members::is_empty) == [true; 3]
        };
        if let Some(unused) = entity.take_if(is_unused) {
            for word in unused.words {
                self.words.release(word);
            }
            self.keys.remove(&unused.key);
            self.free_entities.push(number);
        }
    }

    /// Holds that a passage has a name in it.
    fn mention(&mut self, name: &Name, key: u64, passage: u32) -> u32 {
        let number = self.hold_entity(name);
        self.with_entity(number, |entity| {
            entity.extracted.insert(key, passage);
            entity.write(&name.surface);
        });
        number
    }

    /// Holds that a passage is about a name. The first one makes all passages known in which the name's words stand.
    fn be_about(&mut self, name: &Name, key: u64, passage: u32) -> u32 {
        let number = self.hold_entity(name);
        let is_first = self.entity(number).about.is_empty();
        self.with_entity(number, |entity| {
            entity.about.insert(key, passage);
            entity.write(&name.surface);
        });
        if is_first {
            let words = self.entity(number).words.clone();
            self.named.entry(words[0]).or_default().push(number);
            for other in self.passages_with(&words) {
                let key = self.passage(other).key;
                self.with_entity(number, |entity| {
                    entity.matched.insert(key, other);
                });
            }
        }
        number
    }

    /// Forgets where a name's words stand, if no passage is about it any more.
    fn forget_matches(&mut self, number: u32) {
        let entity = self.entity(number);
        if !entity.about.is_empty() {
            return;
        }
        let first = entity.words[0];
        if let Some(names) = self.named.get_mut(&first) {
            names.retain(|other| *other != number);
            if names.is_empty() {
                self.named.remove(&first);
            }
        }
        self.with_entity(number, |entity| entity.matched = Members::default());
    }

    /// Holds for each name that passages are about whether its words stand in this passage.
    fn match_names(&mut self, number: u32) {
        let passage = self.passage(number);
        let key = passage.key;
        for entity in self.matches(&passage.words) {
            self.with_entity(entity, |it| {
                it.matched.insert(key, number);
            });
        }
    }

    /// The names that passages are about whose words stand one after another among these.
    pub(crate) fn matches(&self, words: &[u32]) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        for at in 0..words.len() {
            for number in self.named.get(&words[at]).into_iter().flatten() {
                if words[at..].starts_with(&self.entity(*number).words) {
                    found.insert(*number);
                }
            }
        }
        found
    }

    /// The telling names that a passage names and that some passage is about, in an order of their own.
    pub(crate) fn names_of(&self, number: u32) -> Vec<u32> {
        let passage = self.passage(number);
        let matches = self.longest_matches(&passage.words);
        let mut names: BTreeSet<u32> = matches.into_iter().collect();
        names.extend(passage.mentions.iter().map(|(name, _)| *name));
        let mut names: Vec<u32> = names
            .into_iter()
            .filter(|name| !self.entity(*name).about.is_empty() && self.is_telling(*name))
            .collect();
        names.sort_unstable_by_key(|name| self.entity(*name).order);
        names
    }

    /// The telling names that a passage is about or was found to name, by rules or by a model, in an order of their own.
    pub(crate) fn held_names(&self, number: u32) -> Vec<u32> {
        let passage = self.passage(number);
        let names = [&passage.about, &passage.mentions, &passage.read];
        let names = names.into_iter().flatten().map(|(name, _)| *name);
        let mut names: Vec<u32> = names.filter(|name| self.is_telling(*name)).collect();
        names.sort_unstable_by_key(|name| self.entity(*name).order);
        names
    }

    /// The names of a question that passages are about, the longest at each place.
    pub(crate) fn names_in(&self, question: &[String]) -> Vec<u32> {
        // A word that nothing holds is none of any name.
        let number = |word: &String| self.words.find(word).unwrap_or(u32::MAX);
        let words: Vec<u32> = question.iter().map(number).collect();
        let mut found = self.longest_matches(&words);
        found.sort_unstable_by_key(|name| self.entity(*name).order);
        found.dedup();
        found
    }

    /// Of the names that passages are about and whose words stand among these, the longest at each place.
    fn longest_matches(&self, words: &[u32]) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let named = self.named.get(&words[at]).into_iter().flatten();
            let fits = |name: &&u32| words[at..].starts_with(&self.entity(**name).words);
            let longest = named
                .filter(fits)
                .max_by_key(|name| self.entity(**name).words.len());
            at += match longest {
                Some(name) => {
                    found.push(*name);
                    self.entity(*name).words.len()
                }
                None => 1,
            };
        }
        found
    }

    /// The passages in which these words stand one after another.
    fn passages_with(&self, words: &[u32]) -> Vec<u32> {
        let postings = |word: &u32| {
            let word = self.words.word(*word);
            let stem = self.stems.find(&stem(word))?;
            (!is_stop_word(word)).then(|| &self.postings[stem as usize])
        };
        let known: Vec<Option<&Vec<Posting>>> = words
            .iter()
            .filter(|word| !is_stop_word(self.words.word(**word)))
            .map(postings)
            .collect();
        // A word that stands nowhere makes the whole stand nowhere.
        let Some(known) = known.into_iter().collect::<Option<Vec<_>>>() else {
            return Vec::new();
        };
        let rarest = known.into_iter().min_by_key(|postings| postings.len());
        let candidates = rarest.into_iter().flatten().map(|posting| posting.passage);
        let has_all = |number: &u32| {
            let Some(passage) = &self.passages[*number as usize] else {
                return false;
            };
            passage
                .words
                .windows(words.len())
                .any(|window| window == words)
        };
        candidates.filter(has_all).collect()
    }

    /// The entity of a name, however it is written.
    pub(crate) fn entity_named(&self, name: &str) -> Option<u32> {
        let words: Vec<String> = text::folded(name);
        let whole = words.join(" ");
        let bare: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .skip_while(|word| is_stop_word(word))
            .collect();
        [whole, bare.join(" ")]
            .iter()
            .find_map(|key| self.keys.get(key.as_str()).copied())
    }

    /// How rare a stem is among documents, as BM25 counts it.
    pub(crate) fn rarity(&self, stem: u32) -> f32 {
        let all = self.documents.len() as f32;
        let with = self.stem_documents[stem as usize] as f32;
        (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
    }

    /// How rare a name is: the sum over its words, of 1 for two words that stand in one document each.
    pub(crate) fn rarity_of_name(&self, entity: u32) -> f32 {
        let words = self
            .entity(entity)
            .words
            .iter()
            .map(|word| self.words.word(*word));
        let stems = words
            .filter(|word| !is_stop_word(word))
            .filter_map(|word| self.stems.find(&stem(word)));
        let sum: f32 = stems.map(|stem| self.rarity(stem)).sum();
        (sum / (2.0 * (1.0 + self.documents.len() as f32).ln())).min(1.0)
    }

    /// Whether a name tells passages apart: one of a single word that many documents have does not.
    pub(crate) fn is_telling(&self, entity: u32) -> bool {
        const SHARE_MAX: usize = 50;
        const DOCUMENTS_MIN: usize = 3;
        let words = &self.entity(entity).words;
        if words.len() > 1 {
            return true;
        }
        let Some(stem) = self.stems.find(&stem(self.words.word(words[0]))) else {
            return true;
        };
        self.stem_documents[stem as usize] as usize
            <= DOCUMENTS_MIN.max(self.documents.len() / SHARE_MAX)
    }

    /// The stems of a question that some passage has, each once.
    pub(crate) fn stems_of(&self, question: &[String]) -> Vec<u32> {
        let mut stems = Vec::new();
        for word in question.iter().filter(|word| !is_stop_word(word)) {
            if let Some(stem) = self.stems.find(&stem(word))
                && !stems.contains(&stem)
            {
                stems.push(stem);
            }
        }
        stems
    }

    pub(crate) fn stem_word(&self, stem: u32) -> &str {
        self.stems.word(stem)
    }

    pub(crate) fn has_stem(&self, passage: u32, stem: u32) -> bool {
        self.passage(passage)
            .stems
            .binary_search_by_key(&stem, |(stem, _)| *stem)
            .is_ok()
    }

    /// The passages of documents that hold no longer.
    pub(crate) fn ended(&self, now: UnixMillis) -> impl Iterator<Item = u32> + '_ {
        self.expiring
            .iter()
            .take_while(move |(until, _)| *until <= now)
            .filter_map(|(_, id)| self.documents.get(id))
            .flat_map(|document| document.passages.iter().copied())
    }

    /// BM25 of every passage, by its number.
    pub(crate) fn text_scores(&self, stems: &[u32]) -> Vec<f32> {
        let mut scores = vec![0.0; self.passages.len()];
        let mean =
            self.length_sum as f32 / LENGTH_PARTS as f32 / (self.documents.len() as f32).max(1.0);
        for stem in stems {
            let rarity = self.rarity(*stem);
            for posting in &self.postings[*stem as usize] {
                let length = self.lengths[posting.passage as usize].unwrap_or_default() as f32;
                let count = posting.count as f32;
                let damped = count + K1 * (1.0 - B + B * length / mean.max(1.0));
                scores[posting.passage as usize] += rarity * count * (K1 + 1.0) / damped;
            }
        }
        scores
    }

    /// All that the index holds, as text, in an order of its own: two indexes of the same documents tell the same.
    pub fn facts(&self) -> String {
        use std::fmt::Write;
        let mut facts = String::new();
        let mut line = |text: String| {
            // Writing to a string can't fail.
            let _infallible = writeln!(facts, "{text}");
        };
        for (id, document) in &self.documents {
            line(format!(
                "document {id} {:?} {} {}",
                document.valid_until,
                document.mean_length,
                self.reading_words(document)
            ));
            for number in &document.passages {
                let passage = self.passage(*number);
                let words: Vec<&str> = passage
                    .words
                    .iter()
                    .map(|word| self.words.word(*word))
                    .collect();
                let mut stems: Vec<(&str, u32, u32)> = passage
                    .stems
                    .iter()
                    .map(|(stem, count)| {
                        (
                            self.stems.word(*stem),
                            *count,
                            self.stem_documents[*stem as usize],
                        )
                    })
                    .collect();
                stems.sort_unstable();
                line(format!(
                    "passage {}/{} {:?} {} {words:?} {stems:?} vector {}",
                    passage.document,
                    passage.ordinal,
                    passage.at,
                    passage.label,
                    self.vectors.is_set(*number)
                ));
            }
        }
        let mut entities: Vec<&Entity> = self.entities.iter().flatten().collect();
        entities.sort_by(|a, b| a.key.cmp(&b.key));
        let place = |number: u32| {
            format!(
                "{}/{}",
                self.passage(number).document,
                self.passage(number).ordinal
            )
        };
        for entity in entities {
            let places = |members: &Members| members.iter().map(place).collect::<Vec<_>>();
            line(format!(
                "name {} {:?} about {:?} in {:?} {:?} {:?}",
                entity.key,
                entity.surfaces,
                places(&entity.about),
                places(&entity.extracted),
                places(&entity.matched),
                places(&entity.read)
            ));
        }
        line(format!(
            "{} words, {} stems, mean {}",
            self.words.len(),
            self.stems.len(),
            self.length_sum
        ));
        facts
    }
}
