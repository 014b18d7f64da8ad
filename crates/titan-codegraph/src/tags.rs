//! What each file of a folder is tagged with: the words that count most in it and stand in few others.
//!
//! A word counts by where it stands in the file, which levels off as in BM25, times how rare it is among all files
//! (Spärck Jones, "A statistical interpretation of term specificity", 1972). A pair of words that stand side by side again
//! and again is as rare as its words are on average, and takes their place. A function of the facts of all files.

use crate::about::{self, About};
use crate::described::Described;
use crate::facts::FileFacts;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Tags of one file at most.
const TAGS_MAX: usize = 8;
/// Tags of those that a model gave.
const TOLD_TAGS_MAX: usize = 3;
/// Tags that a file has even where they say little.
const TAGS_MIN: usize = 3;
/// What says less than this share of what says most is no tag.
const SHARE_MIN: f32 = 0.4;
/// How much a word has to count to be worth half of what it could be.
const HALF_AT: f32 = 16.0;
/// Two words together say more than one.
const OF_PAIR: f32 = 1.2;

/// What was done to something says less than what it is.
const OF_PARTICIPLE: f32 = 0.6;

/// The tags of all files.
pub(crate) struct Tags {
    files: BTreeMap<Arc<str>, Vec<String>>,
}

impl Tags {
    /// Those of these files; what a model said of some comes after what they say themselves.
    pub(crate) fn new<'a>(
        files: impl Iterator<Item = (&'a Arc<str>, &'a Arc<FileFacts>)>,
        described: &HashMap<Arc<str>, Described>,
    ) -> Self {
        let files: Vec<_> = files.collect();
        let mut counts: FxHashMap<&str, u32> = FxHashMap::default();
        for (_, facts) in &files {
            for (word, _) in facts.about.words().filter(|(word, _)| !word.contains(' ')) {
                *counts.entry(word).or_default() += 1;
            }
        }
        let rarity = |word: &str| rarity(files.len(), counts.get(word).copied().unwrap_or(1));
        let tagged = files.iter().map(|(path, facts)| {
            let mut tags = chosen(&facts.about, rarity);
            if let Some(described) = described.get(*path) {
                add(&mut tags, &described.tags);
            }
            (Arc::clone(path), tags)
        });
        Self {
            files: tagged.collect(),
        }
    }

    /// What a file is tagged with, what says most first; nothing for a file that was not read.
    pub(crate) fn of(&self, path: &str) -> &[String] {
        self.files.get(path).map_or(&[], Vec::as_slice)
    }
}

/// How rare a word is that stands in some of so many files, as BM25 has it.
pub(crate) fn rarity(files: usize, with_it: u32) -> f32 {
    let (files, with_it) = (files as f32, with_it as f32);
    (1.0 + (files - with_it + 0.5) / (with_it + 0.5)).ln()
}

fn chosen(about: &About, rarity: impl Fn(&str) -> f32) -> Vec<String> {
    let worth = |word: &str, weight: u32| {
        let weight = weight as f32;
        let rarity = match word.split_once(' ') {
            Some((one, other)) => OF_PAIR * (rarity(one) + rarity(other)) / 2.0,
            None if word.len() > 4 && word.ends_with("ed") => OF_PARTICIPLE * rarity(word),
            None => rarity(word),
        };
        rarity * weight / (weight + HALF_AT)
    };
    let mut words: Vec<(f32, &str)> = about
        .words()
        .map(|(word, weight)| (worth(word, weight), word))
        .collect();
    words.sort_by(|(x, a), (y, b)| y.total_cmp(x).then_with(|| a.cmp(b)));
    let least = words.first().map_or(0.0, |(most, _)| most * SHARE_MIN);
    let weights: FxHashMap<&str, u32> = about.words().collect();
    let mut tags: Vec<String> = Vec::new();
    for (worth, word) in words {
        if tags.len() >= TAGS_MAX || (worth < least && tags.len() >= TAGS_MIN) {
            break;
        }
        take(&mut tags, word, &weights);
    }
    tags
}

/// Adds a model's tags that say something which those of the file do not, in the place of what says least.
fn add(tags: &mut Vec<String>, told: &[Box<str>]) {
    let says_more = |tag: &&str| !tag.split(' ').all(|word| has(tags, word));
    let told = told.iter().map(|tag| &**tag).filter(says_more);
    let told: Vec<String> = told.take(TOLD_TAGS_MAX).map(str::to_owned).collect();
    tags.truncate(TAGS_MAX - told.len());
    tags.extend(told);
}

/// Whether a word is in one of the tags.
fn has(tags: &[String], word: &str) -> bool {
    let mut parts = tags.iter().flat_map(|tag| tag.split(' '));
    parts.any(|part| about::stem(part) == about::stem(word))
}

/// Adds a tag that says more than those that are there. A pair takes the place of its words, or of one of them.
fn take(tags: &mut Vec<String>, word: &str, weights: &FxHashMap<&str, u32>) {
    let first = tags
        .iter()
        .position(|tag| word.split(' ').any(|part| part == tag));
    let is_said = word.split(' ').all(|part| has(tags, part));
    let Some((one, other)) = word.split_once(' ') else {
        if !is_said {
            tags.push(word.to_owned());
        }
        return;
    };
    let weight = |word: &str| weights.get(word).copied().unwrap_or_default();
    let is_tight = 2 * weight(word) >= weight(one).min(weight(other));
    match first {
        Some(at) if is_tight || !is_said => {
            word.clone_into(&mut tags[at]);
            tags.retain(|tag| tag != one && tag != other);
        }
        None if !is_said => tags.push(word.to_owned()),
        _ => {}
    }
}
