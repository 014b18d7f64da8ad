//! Whether two answers say the same: the same values, in much the same words.

use crate::words::{Role, Token, tokens};
use std::collections::BTreeSet;

/// The words that two answers have in common, as a part of the shorter one's.
const OVERLAP_MIN: f64 = 0.5;
/// The same where neither has a value, so that words are all there is.
const OVERLAP_OF_WORDS_MIN: f64 = 0.75;

/// Whether both answer `asked` alike. Values count by what they are, not where they stand; those that were asked about
/// need not be said again.
pub(crate) fn agrees(asked: &str, ours: &str, theirs: &str) -> bool {
    if squeezed(ours) == squeezed(theirs) {
        return true;
    }
    let (Some(asked), Some(ours), Some(theirs)) = (tokens(asked), tokens(ours), tokens(theirs))
    else {
        return false;
    };
    let (a, b, known) = (values(&ours), values(&theirs), values(&asked));
    if a.symmetric_difference(&b)
        .any(|value| !known.contains(value))
        || guards(&ours) != guards(&theirs)
    {
        return false;
    }
    let least = match a.intersection(&b).next() {
        Some(_) => OVERLAP_MIN,
        None => OVERLAP_OF_WORDS_MIN,
    };
    overlap(&words(&ours), &words(&theirs)) >= least
}

/// A text without what nobody means: case, white space, the mark at its end.
pub(crate) fn squeezed(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").trim_end_matches(['.', '?']).to_owned()
}

/// Numbers that people write in letters, from nought.
const IN_LETTERS: &str = "zero one two three four five six seven eight nine ten eleven twelve";

/// Whether a word of an answer is a value: by its looks, as a number in letters, or because there is a digit in it.
pub(crate) fn is_value(token: &Token) -> bool {
    token.is_value()
        || token.text.contains(|c: char| c.is_ascii_digit())
        || is_in_letters(bare(&token.text))
}

/// The values of a text, written one way.
pub(crate) fn values(tokens: &[Token]) -> BTreeSet<String> {
    tokens
        .iter()
        .filter(|token| is_value(token))
        .map(value)
        .collect()
}

/// A value, written one way: `1,024` is `1024`, and so is `**1024**`; `three` is `3`.
pub(crate) fn value(token: &Token) -> String {
    let text = bare(&token.text).to_lowercase();
    let is_number = text.contains(|c: char| c.is_ascii_digit())
        && !text.contains(|c: char| c.is_alphabetic() || c == '/');
    match in_letters(&text) {
        Some(number) => number.to_string(),
        None if is_number => text.replace([',', '_'], ""),
        None => text,
    }
}

/// A word without the marks that make it bold or code.
pub(crate) fn bare(text: &str) -> &str {
    text.trim_matches(['*', '`', '"'])
}

/// Whether a word is a number in letters.
pub(crate) fn is_in_letters(word: &str) -> bool {
    in_letters(&word.to_lowercase()).is_some()
}

fn in_letters(word: &str) -> Option<usize> {
    IN_LETTERS.split(' ').position(|number| number == word)
}

/// Yes and no turn an answer round.
fn guards(tokens: &[Token]) -> BTreeSet<&str> {
    let turns = |token: &&Token| {
        matches!(
            token.meaning.as_str(),
            "no" | "not" | "none" | "nothing" | "never" | "yes" | "only"
        )
    };
    tokens
        .iter()
        .filter(turns)
        .map(|token| token.meaning.as_str())
        .collect()
}

fn words(tokens: &[Token]) -> BTreeSet<&str> {
    let is_word = |token: &&Token| !is_value(token) && token.role == Role::Content;
    tokens
        .iter()
        .filter(is_word)
        .map(|token| token.meaning.as_str())
        .collect()
}

fn overlap(a: &BTreeSet<&str>, b: &BTreeSet<&str>) -> f64 {
    let least = a.len().min(b.len());
    if least == 0 {
        return 1.0;
    }
    let common = u32::try_from(a.intersection(b).count()).unwrap_or(u32::MAX);
    f64::from(common) / f64::from(u32::try_from(least).unwrap_or(u32::MAX))
}
