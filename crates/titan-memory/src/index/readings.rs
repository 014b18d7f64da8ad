//! What models read in documents, in the index: names beside those that rules find, and how they are related.
//!
//! A name joins the passages in which its words stand, so that it leads from one to another, but counts less than what rules
//! found. A relation connects nothing by itself: it is told of the names that it is about.

use super::{Document, Entry, Index, extracted};
use crate::extract::Name;
use crate::text::{self, folded};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use titan_protocol::{MemoryFact, MemoryStatement};

/// How far a relation is to be believed whose words are the model's.
const READ_CONFIDENCE: f32 = 0.5;
/// How far one is to be believed that a document says in these words.
const SAID_CONFIDENCE: f32 = 0.9;
/// Words that may stand between a name and what is said of it.
const WORDS_BETWEEN_MAX: usize = 3;

/// What a model read in a document.
#[derive(Debug)]
pub(super) struct Reading {
    model: String,
    facts: Vec<Fact>,
}

/// A relation of two names, which a passage of the same document has.
#[derive(Debug)]
struct Fact {
    subject: u32,
    object: u32,
    said: MemoryFact,
    confidence: f32,
}

impl Index {
    /// Takes what a model read in a document that is held, in the place of what one read before. The vectors stay.
    pub fn set_reading(&mut self, entry: &Entry) {
        let Some(document) = self.documents.get_mut(entry.id.as_str()) else {
            return;
        };
        document.reading = None;
        for number in document.passages.clone() {
            self.forget_read(number);
        }
        if entry.reading.is_some() {
            let (_, aliases) = extracted(&entry.text, &text::passages(&entry.text));
            self.read(entry, &aliases);
        }
        self.graph = OnceLock::new();
    }

    /// Holds what a model read in a document, in which nothing is held to be read.
    pub(super) fn read(&mut self, entry: &Entry, aliases: &BTreeMap<String, Name>) {
        let Some((id, document)) = self.documents.get_key_value(entry.id.as_str()) else {
            return;
        };
        let Some(reading) = &entry.reading else {
            return;
        };
        let (id, passages) = (Arc::clone(id), document.passages.clone());
        for name in &reading.names {
            self.read_name(name, &passages, aliases);
        }
        let mut facts = Vec::new();
        for said in &reading.relations {
            let subject = self.read_name(&said.subject, &passages, aliases);
            let object = self.read_name(&said.object, &passages, aliases);
            if let (Some(subject), Some(object)) = (subject, object) {
                facts.push(Fact {
                    subject,
                    object,
                    confidence: self.confidence(said, &passages),
                    said: said.clone(),
                });
            }
        }
        if let Some(document) = self.documents.get_mut(&id) {
            let model = reading.model.clone();
            document.reading = Some(Reading { model, facts });
        }
    }

    /// Holds that a model found a name in those of a document's passages in which its words stand. One that stands in the
    /// title alone is in the first.
    fn read_name(
        &mut self,
        surface: &str,
        passages: &[u32],
        aliases: &BTreeMap<String, Name>,
    ) -> Option<u32> {
        let name = Name::new(surface)?;
        let words = self.words_of(&name.key).unwrap_or_default();
        let has_it = |number: &&u32| find(&self.passage(**number).words, &words).is_some();
        let standing: Vec<u32> = passages.iter().filter(has_it).copied().collect();
        let places = match standing.is_empty() {
            true => passages.first().copied().into_iter().collect(),
            false => standing,
        };
        let name = aliases.get(&name.key).cloned().unwrap_or(name);
        places
            .into_iter()
            .map(|number| self.read_in(&name, number))
            .last()
    }

    fn read_in(&mut self, name: &Name, number: u32) -> u32 {
        let entity = self.hold_entity(name);
        let Some(passage) = &mut self.passages[number as usize] else {
            return entity;
        };
        let mut known = passage.mentions.iter().chain(&passage.read);
        if known.any(|(other, _)| *other == entity) {
            return entity;
        }
        let key = passage.key;
        passage.read.push((entity, name.surface.as_str().into()));
        self.with_entity(entity, |it| {
            it.read.insert(key, number);
            it.write(&name.surface);
        });
        entity
    }

    /// Forgets what a model found in a passage.
    pub(super) fn forget_read(&mut self, number: u32) {
        let Some(passage) = &mut self.passages[number as usize] else {
            return;
        };
        let key = passage.key;
        for (entity, surface) in std::mem::take(&mut passage.read) {
            self.with_entity(entity, |it| {
                it.read.remove(key, number);
                it.unwrite(&surface);
            });
            self.drop_unused(entity);
        }
    }

    fn confidence(&self, said: &MemoryFact, passages: &[u32]) -> f32 {
        let parts = [&said.subject, &said.relation, &said.object];
        let parts: Option<Vec<Vec<u32>>> = parts.iter().map(|part| self.words_of(part)).collect();
        let is_said = parts.is_some_and(|parts| {
            passages
                .iter()
                .any(|number| says(&self.passage(*number).words, &parts))
        });
        match is_said {
            true => SAID_CONFIDENCE,
            false => READ_CONFIDENCE,
        }
    }

    /// The words of a text, if some passage has each.
    fn words_of(&self, text: &str) -> Option<Vec<u32>> {
        let words = folded(text).into_iter();
        words.map(|word| self.words.find(&word)).collect()
    }

    /// What models read of a name in these documents, the surest first.
    pub(crate) fn statements(
        &self,
        name: u32,
        documents: &BTreeSet<String>,
    ) -> Vec<MemoryStatement> {
        let mut statements = Vec::new();
        for id in documents {
            let document = self.documents.get(id.as_str());
            let Some(reading) = document.and_then(|it| it.reading.as_ref()) else {
                continue;
            };
            let facts = reading.facts.iter();
            let of_name = facts.filter(|fact| [fact.subject, fact.object].contains(&name));
            statements.extend(of_name.map(|fact| MemoryStatement {
                fact: fact.said.clone(),
                document: id.clone(),
                model: reading.model.clone(),
                confidence: fact.confidence,
            }));
        }
        statements.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        statements
    }

    /// What was read in a document, as `facts` tells it.
    pub(super) fn reading_words(&self, document: &Document) -> String {
        let Some(reading) = &document.reading else {
            return "unread".to_owned();
        };
        let facts = reading.facts.iter().map(|fact| {
            let ends = [fact.subject, fact.object].map(|end| &self.entity(end).key);
            format!("{:?} {ends:?} {}", fact.said, fact.confidence)
        });
        format!("read by {} {:?}", reading.model, facts.collect::<Vec<_>>())
    }
}

/// Where these words end that stand one after another.
fn find(words: &[u32], part: &[u32]) -> Option<usize> {
    let begin = match part.is_empty() {
        true => None,
        false => words.windows(part.len()).position(|it| it == part),
    };
    begin.map(|at| at + part.len())
}

/// Whether these parts follow each other with few words between.
fn says(words: &[u32], parts: &[Vec<u32>]) -> bool {
    let Some((first, others)) = parts.split_first() else {
        return true;
    };
    let mut rest = words;
    while let Some(end) = find(rest, first) {
        rest = &rest[end..];
        let mut next = rest;
        let follows = |part: &Vec<u32>| {
            let near = next.len().min(part.len() + WORDS_BETWEEN_MAX);
            let end = find(&next[..near], part);
            next = &next[end.unwrap_or_default()..];
            end.is_some()
        };
        if others.iter().all(follows) {
            return true;
        }
    }
    false
}
