//! What a file is about, as it says by itself: a sentence for people, and the words that count most in it.
//!
//! The words come from its path, from what it says of itself, from the names of what it defines, from what is said of
//! those, and from what it takes of other packages; each place has a weight. Which of them tell the file from others is
//! known only beside the other files, so tags are chosen there ([`crate::tags`]).

mod said;
#[cfg(test)]
mod tests;
mod words;

use crate::facts::{FileFacts, Import, Symbol, SymbolKind};
use crate::flow::{Flow, Statement};
use crate::languages::{Family, Language};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

pub(crate) use said::{defined, shortened};
pub(crate) use words::{asked, stem, told};

/// Words of one file that are kept, and pairs of words that stand side by side.
const WORDS_MAX: usize = 40;
const PAIRS_MAX: usize = 16;
/// A pair that was seen less often is an accident.
const PAIR_TIMES_MIN: u32 = 2;
/// Symbols of one file whose names and comments are read for words.
const SYMBOLS_MAX: usize = 2_000;
/// Bytes of a text beyond what it says at its beginning that are read for words.
const PROSE_BYTES_MAX: usize = 16 << 10;

/// How much a word counts, by where it stands.
const OF_NAME: u32 = 12;
const OF_FOLDER: u32 = 4;
const OF_TITLE: u32 = 10;
const OF_SUMMARY: u32 = 8;
const OF_SAID: u32 = 3;
const OF_TYPE: u32 = 8;
const OF_ROOT: u32 = 5;
const OF_MEMBER: u32 = 3;
const OF_DOC: u32 = 2;
const OF_REST: u32 = 1;

/// What a file is about, as it says by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// A sentence of the file on itself, of at most 120 characters; empty where it says nothing.
    pub summary: Box<str>,
    /// Words and pairs of words, one a line: what counts most first.
    words: Box<str>,
    /// How much each counts.
    weights: Box<[u8]>,
}

impl About {
    /// What the file of these facts is about.
    pub(crate) fn of(path: &str, text: &str, facts: &FileFacts) -> Self {
        let said = said::said(facts, text);
        let mut summary = said::summary(&said);
        if summary.is_empty() {
            summary = said::of_main_symbol(facts, path).unwrap_or_default();
        }
        let mut words = Words::default();
        of_path(path, &mut words);
        words.take_name(&said.title, OF_TITLE);
        words.take_words(&summary, OF_SUMMARY);
        for symbol in facts.symbols.iter().take(SYMBOLS_MAX) {
            of_symbol(symbol, &mut words);
        }
        of_imports(facts, &mut words);
        if facts.language == Language::Markdown {
            // What it says at its beginning is read for pairs with the rest.
            words.take_words(&said.text, OF_SAID);
            words.take_said(&text[..text.floor_char_boundary(PROSE_BYTES_MAX)], OF_REST);
        } else {
            words.take_said(&said.text, OF_SAID);
        }
        words.told(summary)
    }

    /// Words and pairs of words with how much each counts, what counts most first.
    pub(crate) fn words(&self) -> impl Iterator<Item = (&str, u32)> {
        let weights = self.weights.iter().map(|weight| u32::from(*weight));
        self.words.lines().zip(weights)
    }
}

/// The words of a file while they are counted.
#[derive(Default)]
struct Words {
    words: FxHashMap<String, Counted>,
    /// How much and how often.
    pairs: FxHashMap<String, (u32, u32)>,
}

/// How much a word counts, and whether something is called so: what stands in sentences alone counts half.
#[derive(Default)]
struct Counted {
    weight: u32,
    is_name: bool,
}

impl Words {
    /// A name, or names.
    fn take_name(&mut self, text: &str, weight: u32) {
        self.take(text, weight, true);
    }

    /// Sentences.
    fn take_said(&mut self, text: &str, weight: u32) {
        self.take(text, weight, false);
    }

    fn take(&mut self, text: &str, weight: u32, is_name: bool) {
        let words = words::words(text);
        for pair in words.windows(2) {
            if let [Some(one), Some(other)] = pair
                && one != other
            {
                let pair = self.pairs.entry(format!("{one} {other}")).or_default();
                pair.0 += weight;
                pair.1 += 1;
            }
        }
        self.add(words, weight, is_name);
    }

    /// The words alone of sentences that are read for pairs elsewhere.
    fn take_words(&mut self, text: &str, weight: u32) {
        self.add(words::words(text), weight, false);
    }

    fn add(&mut self, words: Vec<Option<String>>, weight: u32, is_name: bool) {
        for word in words.into_iter().flatten() {
            let counted = self.words.entry(word).or_default();
            counted.weight += weight;
            counted.is_name |= is_name;
        }
    }

    fn told(self, summary: String) -> About {
        let pairs = self.pairs.into_iter();
        let pairs = pairs.filter(|(_, (_, times))| *times >= PAIR_TIMES_MIN);
        let pairs = pairs.map(|(pair, (weight, _))| (pair, weight)).collect();
        let words = self.words.into_iter();
        let words = words.map(|(word, counted)| match counted.is_name {
            true => (word, counted.weight),
            false => (word, counted.weight.div_ceil(2)),
        });
        let mut told = most(words.collect(), WORDS_MAX);
        told.extend(most(pairs, PAIRS_MAX));
        sort(&mut told);
        let words: Vec<&str> = told.iter().map(|(word, _)| word.as_str()).collect();
        let weights = told.iter();
        let weights = weights.map(|(_, weight)| u8::try_from(*weight).unwrap_or(u8::MAX));
        About {
            summary: summary.into(),
            words: words.join("\n").into(),
            weights: weights.collect(),
        }
    }
}

fn most(mut words: Vec<(String, u32)>, count: usize) -> Vec<(String, u32)> {
    sort(&mut words);
    words.truncate(count);
    words
}

/// What counts most comes first, and what counts the same in the order of letters.
fn sort(words: &mut [(String, u32)]) {
    words.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
}

/// Names of files that say nothing but what part of their folder they are.
const NAMELESS: &[&str] = &[
    "mod",
    "lib",
    "main",
    "index",
    "init",
    "__init__",
    "__main__",
    "readme",
    "package",
    "cargo",
    "setup",
    "pyproject",
    "makefile",
    "types",
];
/// Folders that say nothing but where code lies.
const PLACES: &[&str] = &[
    "src", "lib", "tests", "test", "spec", "include", "pkg", "internal",
];

/// A file's name counts most, and its folder's takes its place where the file has none of its own.
fn of_path(path: &str, words: &mut Words) {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or(path);
    let stem = file.split('.').next().unwrap_or(file);
    let mut folders = parts.filter(|folder| !PLACES.contains(folder));
    if NAMELESS.contains(&stem.to_lowercase().as_str()) {
        words.take_name(folders.next().unwrap_or_default(), OF_NAME);
    } else {
        words.take_name(stem, OF_NAME);
    }
    words.take_name(folders.next().unwrap_or_default(), OF_FOLDER);
}

fn of_symbol(symbol: &Symbol, words: &mut Words) {
    let is_root = symbol.container.is_none();
    let weight = match symbol.kind {
        SymbolKind::Lambda | SymbolKind::Extension => return,
        _ if symbol.is_test => OF_REST,
        kind if kind.is_type() && is_root => OF_TYPE,
        SymbolKind::Section | SymbolKind::Module if is_root => OF_ROOT,
        SymbolKind::Function | SymbolKind::Macro if is_root => OF_ROOT,
        SymbolKind::Constant | SymbolKind::Key => OF_REST,
        _ => OF_MEMBER,
    };
    words.take_name(&symbol.name, weight);
    words.take_said(&symbol.doc, OF_DOC);
}

/// The packages that something is taken from, but for the folder's own.
fn of_imports(facts: &FileFacts, words: &mut Words) {
    let family = facts.language.family();
    let mut packages: Vec<&str> = match &facts.flow {
        Some(flow) => of_statements(flow),
        None => {
            let imports = facts.imports.iter();
            imports.map(|import| package(family, import)).collect()
        }
    };
    packages.retain(|package| !package.starts_with(['.', '/']));
    packages.sort_unstable();
    packages.dedup();
    for package in packages {
        words.take_name(package, OF_REST);
    }
}

fn of_statements(flow: &Flow) -> Vec<&str> {
    let mut packages: Vec<&str> = Vec::new();
    let statements = flow.scopes.iter().flat_map(|scope| &scope.statements);
    for (statement, _) in statements {
        match statement {
            Statement::ImportModule { module, .. }
            | Statement::ImportName {
                module, dots: 0, ..
            } => packages.push(module),
            _ => {}
        }
    }
    packages
}

fn package(family: Family, import: &Import) -> &str {
    match (family, import.module.split("::").next()) {
        (Family::Rust, Some("") | None) => &import.alias,
        (Family::Rust, Some(package)) => package,
        _ => &import.module,
    }
}
