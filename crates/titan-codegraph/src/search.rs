//! Which files are about some words: BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and
//! Beyond", 2009) over what each file is about, where a word counts by the place that it stands in, and over the names
//! of all that is defined. A file that has more of what is asked for goes before one that has some of it more often.

use crate::about::{self, About};
use crate::described::Described;
use crate::facts::{FileFacts, SymbolKind};
use crate::graph::{self, Graph};
use crate::languages::Family;
use crate::tags;
use std::collections::HashMap;
use std::sync::Arc;
use titan_protocol::{CodeFound, CodeSymbol};

/// Words of a question that are looked for.
const WORDS_MAX: usize = 16;
/// How soon more of a word counts little, and how much long texts lose: BM25's constants.
const LEVELS_OFF: f32 = 12.0;
const OF_LENGTH: f32 = 0.3;
/// What a symbol counts whose name has the word, and how many do.
const OF_SYMBOL: f32 = 3.0;
const COUNTED_SYMBOLS_MAX: usize = 5;
/// What a model's tag counts: less than what the file's own name says, as much as what it says of itself.
const OF_TOLD: f32 = 6.0;
/// A word that only begins as what is asked for.
const OF_BEGINNING: f32 = 0.5;
const BEGINNING_BYTES_MIN: usize = 4;
/// What files of tests are worth where code says the same, or code where tests are asked for.
const OF_OTHER: f32 = 0.7;
/// What files of structure alone are worth, where all is a name.
const OF_DATA: f32 = 0.4;
/// Symbols that are told of a file.
const SYMBOLS_MAX: usize = 3;

/// What is asked for, a word or two that stand side by side.
struct Asked {
    /// Stems of what it may be written as.
    stems: Vec<String>,
    /// What a word of a name begins with that has it: stems that are long enough not to begin other words.
    beginnings: Vec<String>,
    is_pair: bool,
}

/// The files, with how much each has of what is asked for.
pub(crate) struct Search<'a> {
    graph: &'a Graph,
    asked: Vec<Asked>,
    /// The best first.
    files: Vec<(f32, &'a Arc<str>, &'a Arc<FileFacts>)>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(graph: &'a Graph, words: &str) -> Self {
        let asked = asked(words);
        let counted: Vec<_> = graph
            .files()
            .map(|(path, facts)| (path, facts, counts(facts, graph.described(path), &asked)))
            .collect();
        let rarities: Vec<f32> = (0..asked.len())
            .map(|at| {
                let with_it = counted.iter().filter(|(.., counts)| counts[at] > 0.0);
                tags::rarity(counted.len(), with_it.count() as u32)
            })
            .collect();
        let lengths = counted.iter().map(|(_, facts, _)| length(&facts.about));
        let mean = lengths.sum::<f32>() / counted.len().max(1) as f32;
        let asks_for_tests = words.to_lowercase().contains("test");
        let worth = |path: &str, facts: &FileFacts, counts: &[f32]| {
            let long = 1.0 - OF_LENGTH + OF_LENGTH * length(&facts.about) / mean.max(1.0);
            let (mut sum, mut has, mut all) = (0.0, 0.0, 0.0);
            for ((count, rarity), asked) in counts.iter().zip(&rarities).zip(&asked) {
                sum += rarity * count / (count + LEVELS_OFF * long);
                if !asked.is_pair {
                    all += rarity;
                    has += if *count > 0.0 { *rarity } else { 0.0 };
                }
            }
            sum * of_kind(path, facts, asks_for_tests) * has / f32::max(all, f32::MIN_POSITIVE)
        };
        let mut files: Vec<_> = counted
            .iter()
            .map(|(path, facts, counts)| (worth(path, facts, counts), *path, *facts))
            .filter(|(worth, ..)| *worth > 0.0)
            .collect();
        files.sort_by(|(x, a, _), (y, b, _)| y.total_cmp(x).then_with(|| a.cmp(b)));
        Self {
            graph,
            asked,
            files,
        }
    }

    /// The files that have most of it.
    pub(crate) fn found(&self, limit: usize) -> Vec<CodeFound> {
        let files = self.files.iter().take(limit);
        let found = files.map(|(_, path, facts)| CodeFound {
            path: path.to_string(),
            language: facts.language.name().to_owned(),
            lines: facts.lines,
            summary: self.graph.about_or_defined(path, facts),
            tags: self.graph.tags().of(path).to_vec(),
            symbols: self.symbols(path, facts),
        });
        found.collect()
    }

    /// How much each file has of it, of what the best one has.
    pub(crate) fn shares(&self) -> HashMap<&'a str, f32> {
        let best = self.files.first().map_or(1.0, |(worth, ..)| *worth);
        let files = self.files.iter();
        files
            .map(|(worth, path, _)| (&***path, worth / best))
            .collect()
    }

    /// The symbols of a file whose names have at least half of what is asked for.
    fn symbols(&self, path: &str, facts: &FileFacts) -> Vec<CodeSymbol> {
        let words: Vec<&Asked> = self.asked.iter().filter(|asked| !asked.is_pair).collect();
        let mut found: Vec<(usize, bool, u32)> = Vec::new();
        for (at, symbol) in facts.symbols.iter().enumerate() {
            if matches!(symbol.kind, SymbolKind::Extension | SymbolKind::Lambda) {
                continue;
            }
            let has = words.iter().filter(|asked| asked.is_in(&symbol.name));
            let has = has.count();
            if has > 0 && has * 2 >= words.len() {
                found.push((words.len() - has, symbol.is_test, at as u32));
            }
        }
        found.sort_unstable();
        found.truncate(SYMBOLS_MAX);
        let symbols = found.into_iter();
        symbols
            .map(|(_, _, at)| graph::of_file(path, facts, at))
            .collect()
    }
}

impl Asked {
    /// Whether a word of a name begins with it.
    fn is_in(&self, name: &str) -> bool {
        if self.is_pair {
            return false;
        }
        let mut before = '_';
        for (at, c) in name.char_indices() {
            let begins = !before.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
            let begins_with = |word: &String| {
                let here = name.get(at..at + word.len());
                here.is_some_and(|here| here.eq_ignore_ascii_case(word))
            };
            if begins && self.beginnings.iter().any(begins_with) {
                return true;
            }
            before = c;
        }
        false
    }

    /// How much of it a word is, of 1.
    fn likeness(&self, word: &str) -> f32 {
        if self.is_pair {
            let is_same = word
                .split_once(' ')
                .is_some_and(|(a, b)| *self.stems == [about::stem(a), about::stem(b)]);
            return f32::from(u8::from(is_same));
        }
        let stem = about::stem(word);
        if self.stems.iter().any(|asked| asked == stem) {
            return 1.0;
        }
        let begins = |asked: &String| {
            is_beginning(asked) && !word.contains(' ') && word.starts_with(&**asked)
        };
        match self.stems.iter().any(begins) {
            true => OF_BEGINNING,
            false => 0.0,
        }
    }
}

/// Whether not too many other words begin with it.
fn is_beginning(stem: &str) -> bool {
    stem.len() >= BEGINNING_BYTES_MIN
}

/// The words of a question, and its pairs; two words may be written as one.
fn asked(words: &str) -> Vec<Asked> {
    let mut words = about::asked(words);
    words.truncate(WORDS_MAX);
    let stem = |word: &String| about::stem(word).to_owned();
    let mut asked: Vec<Asked> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let mut written = vec![word.clone()];
        let before = at.checked_sub(1).map(|before| &words[before]);
        for (a, b) in [(before, Some(word)), (Some(word), words.get(at + 1))] {
            if let (Some(a), Some(b)) = (a, b) {
                written.push(format!("{a}{b}"));
            }
        }
        let beginning = |word: String| match about::stem(&word) {
            stem if is_beginning(stem) => stem.to_owned(),
            _ => word,
        };
        asked.push(Asked {
            stems: written.iter().map(stem).collect(),
            beginnings: written.into_iter().map(beginning).collect(),
            is_pair: false,
        });
    }
    asked.extend(words.windows(2).map(|pair| Asked {
        stems: pair.iter().map(stem).collect(),
        beginnings: Vec::new(),
        is_pair: true,
    }));
    asked
}

/// How much a file has of each word.
fn counts(facts: &FileFacts, described: Option<&Described>, asked: &[Asked]) -> Vec<f32> {
    let mut counts = vec![0.0; asked.len()];
    let mut add = |word: &str, weight: f32| {
        for (count, asked) in counts.iter_mut().zip(asked) {
            *count += asked.likeness(word) * weight;
        }
    };
    for (word, weight) in facts.about.words() {
        add(word, weight as f32);
    }
    if let Some(described) = described {
        for tag in &described.tags {
            add(tag, OF_TOLD);
            let words = tag.split(' ').filter(|word| word.len() < tag.len());
            words.for_each(|word| add(word, OF_TOLD));
        }
        let summary = about::told(&described.summary);
        summary.iter().for_each(|word| add(word, OF_TOLD / 2.0));
    }
    let mut named = vec![0; asked.len()];
    for symbol in &facts.symbols {
        for (count, asked) in named.iter_mut().zip(asked) {
            *count += usize::from(asked.is_in(&symbol.name));
        }
    }
    for (count, named) in counts.iter_mut().zip(named) {
        *count += OF_SYMBOL * named.min(COUNTED_SYMBOLS_MAX) as f32;
    }
    counts
}

fn length(about: &About) -> f32 {
    about.words().map(|(_, weight)| weight as f32).sum()
}

/// What a file is worth for what it is.
fn of_kind(path: &str, facts: &FileFacts, asks_for_tests: bool) -> f32 {
    if is_structure(facts) {
        OF_DATA
    } else if is_of_tests(path, facts) != asks_for_tests {
        OF_OTHER
    } else {
        1.0
    }
}

fn is_of_tests(path: &str, facts: &FileFacts) -> bool {
    let is_among_tests = path
        .split(['/', '.', '_'])
        .any(|part| matches!(part, "test" | "tests" | "spec" | "specs"));
    let tests = facts.symbols.iter().filter(|symbol| symbol.is_test).count();
    is_among_tests || tests * 2 > facts.symbols.len()
}

/// Whether a file is data, and not a text for people.
fn is_structure(facts: &FileFacts) -> bool {
    facts.language.family() == Family::Data && facts.language != crate::Language::Markdown
}
