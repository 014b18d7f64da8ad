//! Words of names and sentences: split, in lower case, in the singular.

use rustc_hash::FxHashSet;
use std::sync::LazyLock;

/// Longer words are no words that anybody writes.
const WORD_CHARS_MAX: usize = 32;

/// Words of a language and of programs in general, which say nothing about what one file is about.
static STOP_WORDS: LazyLock<FxHashSet<&str>> =
    LazyLock::new(|| include_str!("stop_words.txt").split_whitespace().collect());

/// Words that end as a plural does and are none. Sorted.
const SINGULARS: &[&str] = &[
    "alias",
    "always",
    "atlas",
    "bias",
    "canvas",
    "kubernetes",
    "lens",
    "news",
    "postgres",
    "series",
    "species",
];

/// Names that are one word, however they are written. Sorted.
const WHOLE: &[&str] = &[
    "github",
    "gitlab",
    "graphql",
    "ios",
    "javascript",
    "macos",
    "mysql",
    "oauth",
    "openai",
    "openapi",
    "postgresql",
    "sqlite",
    "typescript",
    "webassembly",
    "youtube",
];

/// The words of a name or of a text, in order; `None` stands where words that say something are kept apart by others or
/// by a mark.
pub(super) fn words(text: &str) -> Vec<Option<String>> {
    let mut found = Vec::new();
    let mut chunks = text.char_indices().peekable();
    while let Some((from, c)) = chunks.next() {
        if !c.is_alphanumeric() {
            // What joins words in names and texts keeps none apart.
            let joins = matches!(c, '_' | '-' | ' ' | '\'' | '\n' | '`');
            if !joins && found.last() != Some(&None) {
                found.push(None);
            }
            continue;
        }
        let mut to = from + c.len_utf8();
        while let Some((at, c)) = chunks.next_if(|(_, c)| c.is_alphanumeric()) {
            to = at + c.len_utf8();
        }
        split(&text[from..to], &mut found);
    }
    found
}

/// Splits `fooBar`, and `HTTPServer` before its second word.
fn split(chunk: &str, found: &mut Vec<Option<String>>) {
    let is_whole = || WHOLE.binary_search(&&*chunk.to_lowercase()).is_ok();
    let mut from = 0;
    let mut before = ' ';
    let mut chars = chunk.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let begins = c.is_uppercase()
            && (before.is_lowercase()
                || (before.is_uppercase() && next.is_some_and(char::is_lowercase)));
        if begins && from == 0 && is_whole() {
            break;
        }
        if begins {
            found.push(word(&chunk[from..at]));
            from = at;
        }
        before = c;
    }
    found.push(word(&chunk[from..]));
}

/// A word in lower case and in the singular, if it says something.
fn word(written: &str) -> Option<String> {
    let is_number = written.starts_with(|c: char| c.is_ascii_digit());
    let chars = written.chars().take(WORD_CHARS_MAX + 1).count();
    if is_number || !(2..=WORD_CHARS_MAX).contains(&chars) {
        return None;
    }
    let word = singular(written.to_lowercase());
    let is_told = !STOP_WORDS.contains(word.as_str());
    (is_told && word.len() > 1).then_some(word)
}

/// An English word without the ending of its plural.
fn singular(mut word: String) -> String {
    let is_plural = word.len() > 3
        && word.ends_with('s')
        && !["ss", "us", "is"].iter().any(|end| word.ends_with(end))
        && SINGULARS.binary_search(&word.as_str()).is_err();
    if !is_plural {
        return word;
    }
    let ends = |ends: &[&str]| ends.iter().any(|end| word.ends_with(end));
    if word.len() > 4 && ends(&["ies"]) && word != "cookies" {
        word.truncate(word.len() - 3);
        word.push('y');
        return word;
    }
    let with_e = [
        "sses", "shes", "xes", "tches", "nches", "rches", "oaches", "eaches", "iases", "tuses",
        "oes",
    ];
    let cut = if ends(&with_e) { 2 } else { 1 };
    word.truncate(word.len() - cut);
    word
}

/// What words of one kind have in common, to compare words with and never to be shown: `limit` of `limited`,
/// `limiting` and `limiter`.
pub(crate) fn stem(word: &str) -> &str {
    let is_long = |stem: &&str| stem.len() >= 3 && stem.is_ascii();
    let endings = ["ation", "ing", "ion", "ed", "er", "or", "al", "e", "y"];
    let cut = endings.iter().find_map(|end| word.strip_suffix(end));
    let stem = cut.filter(is_long).unwrap_or(word);
    match stem.as_bytes() {
        // `running` and `run`.
        [.., before, last] if stem.len() > 3 && before == last && !b"lsz".contains(last) => {
            &stem[..stem.len() - 1]
        }
        _ => stem,
    }
}

/// The words of a text that say something.
pub(crate) fn told(text: &str) -> Vec<String> {
    words(text).into_iter().flatten().collect()
}

/// The words that are asked for; all of them where none says anything by itself.
pub(crate) fn asked(text: &str) -> Vec<String> {
    let told = told(text);
    if !told.is_empty() {
        return told;
    }
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_up(text: &str) -> String {
        let words: Vec<String> = words(text)
            .into_iter()
            .map(|word| word.unwrap_or_else(|| "|".to_owned()))
            .collect();
        words.join(" ")
    }

    #[test]
    fn names_and_sentences_are_split_into_words_that_say_something() {
        assert_eq!(split_up("RateLimiter"), "rate limiter");
        assert_eq!(split_up("parse_HTTPHeaders2"), "parse | headers2");
        assert_eq!(split_up("XMLHttpRequest"), "xml | request");
        assert_eq!(split_up("retry-after: Wait, then go"), "retry | wait | | |");
        assert_eq!(split_up("SQLite, OAuth"), "sqlite | oauth");
        assert_eq!(split_up("Größe der Städte"), "größe der städte");
        assert_eq!(split_up("a 12 0xff"), "| | |");
    }

    #[test]
    fn plurals_are_told_as_what_they_are_many_of() {
        let plurals = "queries caches matches classes statuses boxes reaches cookies limits";
        assert_eq!(
            split_up(plurals),
            "query cache match | status box reach cookie limit"
        );
        for word in ["status", "address", "redis", "canvas", "dns", "postgres"] {
            assert_eq!(split_up(word), word);
        }
    }

    #[test]
    fn words_of_one_kind_are_compared_by_what_they_have_in_common() {
        for (some, other) in [
            ("limiting", "limiter"),
            ("limited", "limit"),
            ("running", "runner"),
            ("cache", "caching"),
            ("authorization", "authorize"),
            ("encoder", "encoding"),
        ] {
            let is_alike = stem(some) == stem(other) || stem(some).starts_with(stem(other));
            assert!(is_alike, "{some} {other}: {} {}", stem(some), stem(other));
        }
    }

    #[test]
    fn lists_of_words_are_sorted_so_that_they_are_found() {
        for list in [SINGULARS, WHOLE] {
            assert!(list.is_sorted());
        }
    }

    #[test]
    fn a_question_of_words_that_say_nothing_asks_for_them() {
        assert_eq!(
            asked("Which files are about rate limiting?"),
            ["rate", "limiting"]
        );
        assert_eq!(asked("main"), ["main"]);
    }
}
