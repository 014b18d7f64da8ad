//! What a text names, by rules: names, quoted titles, code, paths, addresses, issues, commits, dates, definitions, and
//! claims that a later text can contradict. No model, no dictionary: what is found in a text depends on it alone.

use crate::text::{folded, is_stop_word, words};
use std::collections::BTreeMap;

/// Names of one passage; the rest is found by its words.
const MENTIONS_MAX: usize = 48;
/// Words of one name.
const NAME_WORDS_MAX: usize = 8;
/// Words that may stand between the capitals of a name.
const JOINTS: &[&str] = &[
    "of", "the", "de", "la", "von", "van", "der", "and", "for", "&", "du", "al", "bin",
];
/// What stands before a name and is no part of it.
const HONORIFICS: &[&str] = &["mr", "mrs", "ms", "dr", "prof", "sir", "lord", "lady", "st"];

/// A name in a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// Its folded words, with blanks between them: the same for all ways to write it.
    pub(crate) key: String,
    /// As it is written.
    pub(crate) surface: String,
}

impl Name {
    pub(crate) fn new(surface: &str) -> Option<Self> {
        let surface = surface.trim_matches(|c: char| !c.is_alphanumeric());
        let mut key = folded(surface);
        while key.len() > 1 && (is_stop_word(&key[0]) || HONORIFICS.contains(&key[0].as_str())) {
            key.remove(0);
        }
        let says_something = key.iter().any(|word| !is_stop_word(word) && word.len() > 1);
        (says_something && key.len() <= NAME_WORDS_MAX).then(|| Self {
            key: key.join(" "),
            surface: surface.to_owned(),
        })
    }
}

/// What a document of this title and beginning is about: its title, without what tells it from others of the same
/// name, or what its first sentence defines.
pub(crate) fn about(title: &str, text: &str) -> Vec<Name> {
    let mut names = Vec::new();
    let mut add = |surface: &str| {
        if let Some(name) = Name::new(surface)
            && !names.iter().any(|other: &Name| other.key == name.key)
        {
            names.push(name);
        }
    };
    if title.trim().is_empty() {
        defined(text).map(&mut add);
        return names;
    }
    let plain = match (title.find(" ("), title.ends_with(')')) {
        (Some(at), true) => &title[..at],
        _ => title,
    };
    add(plain);
    add(title);
    if let Some((before, _)) = plain.split_once(',') {
        add(before);
    }
    names
}

/// What a text's first sentence defines: its subject.
fn defined(text: &str) -> Option<&str> {
    const SUBJECT_BYTES_MAX: usize = 80;
    const VERBS: &[&str] = &[
        " is ", " was ", " are ", " were ", " has ", " had ", " refers ", " (", ",",
    ];
    let mut text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    for article in ["The ", "A ", "An "] {
        text = text.strip_prefix(article).unwrap_or(text);
    }
    let line = text.lines().next().unwrap_or_default();
    let end = VERBS.iter().filter_map(|verb| line.find(verb)).min()?;
    let subject = line[..end].trim_matches(|c: char| !c.is_alphanumeric());
    let first = subject.chars().next()?;
    let is_name = first.is_uppercase() || first.is_numeric() || subject.contains(['_', ':', '/']);
    (is_name && subject.len() <= SUBJECT_BYTES_MAX && !subject.contains(". ")).then_some(subject)
}

/// The names in a passage, in the order of their keys.
pub(crate) fn mentions(text: &str) -> Vec<Name> {
    let mut found = BTreeMap::new();
    let mut add = |surface: &str| {
        if let Some(name) = Name::new(surface)
            && found.len() < MENTIONS_MAX
        {
            found.entry(name.key.clone()).or_insert(name);
        }
    };
    text.split_whitespace()
        .filter(|token| is_code(token))
        .for_each(&mut add);
    quoted(text).for_each(&mut add);
    capitals(text).into_iter().for_each(&mut add);
    found.into_values().collect()
}

/// Paths, addresses, symbols of code, issues, commits and dates.
fn is_code(token: &str) -> bool {
    let token =
        token.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '#' | '/' | '_' | '~'));
    if token.len() < 3 || token.len() > 200 {
        return false;
    }
    let has_letter = token.chars().any(char::is_alphabetic);
    let is_issue = token
        .strip_prefix('#')
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    let is_commit = (7..=40).contains(&token.len())
        && token.bytes().all(|b| b.is_ascii_hexdigit())
        && token.bytes().any(|b| b.is_ascii_digit())
        && has_letter;
    let is_date = token.len() == 10
        && token.bytes().enumerate().all(|(at, b)| match at {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    let inner = &token[token.chars().next().map_or(0, char::len_utf8)..];
    let is_symbol = token.contains("::")
        || inner.contains('_')
        || inner.contains('@')
        || (inner.contains('/') && has_letter)
        || has_extension(token);
    is_issue || is_commit || is_date || (is_symbol && has_letter)
}

/// Whether a word ends as a name of a file does.
fn has_extension(token: &str) -> bool {
    token.rsplit_once('.').is_some_and(|(stem, end)| {
        !stem.is_empty()
            && (1..=5).contains(&end.len())
            && end
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && end.bytes().any(|b| b.is_ascii_lowercase())
    })
}

/// What stands in double quotes or backticks and is short.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    const QUOTED_BYTES_MAX: usize = 80;
    let between = |open: char, close: char| {
        let mut rest = text;
        std::iter::from_fn(move || {
            let from = rest.find(open)? + open.len_utf8();
            let len = rest[from..].find(close)?;
            let inside = &rest[from..from + len];
            rest = &rest[from + len + close.len_utf8()..];
            Some(inside)
        })
    };
    between('"', '"')
        .chain(between('“', '”'))
        .chain(between('`', '`'))
        .filter(|inside| inside.len() <= QUOTED_BYTES_MAX && !inside.contains('\n'))
}

/// Runs of words with capitals; of one word only where no sentence begins with it.
fn capitals(text: &str) -> Vec<&str> {
    let words = words(text);
    let is_capital = |idx: usize| text[words[idx].at.clone()].starts_with(char::is_uppercase);
    let gap = |idx: usize| &text[words[idx].at.end..words[idx + 1].at.start];
    let joins = |gap: &str| matches!(gap, " " | "-" | "." | ". " | "'" | "’" | " & ");
    let begins_sentence = |idx: usize| {
        let Some(before) = idx.checked_sub(1) else {
            return true;
        };
        gap(before).contains(['.', '!', '?', '\n', ':'])
    };
    let mut found = Vec::new();
    let mut idx = 0;
    while idx < words.len() {
        if !is_capital(idx) {
            idx += 1;
            continue;
        }
        let mut last = idx;
        let mut next = idx + 1;
        while next < words.len() && next - idx < NAME_WORDS_MAX {
            let between = gap(next - 1);
            // A full stop ends a name but behind an initial.
            let is_initial = words[next - 1].folded.len() <= 2;
            if !joins(between) || (between.starts_with('.') && !is_initial) {
                break;
            }
            if is_capital(next) {
                last = next;
            } else if !JOINTS.contains(&words[next].folded.as_str()) || next > last + 2 {
                break;
            }
            next += 1;
        }
        let run = &text[words[idx].at.start..words[last].at.end];
        let is_short = last == idx;
        let is_acronym = run.len() > 1
            && run
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !is_short || is_acronym || !begins_sentence(idx) {
            found.push(run);
        }
        idx = last + 1;
    }
    found
}

/// What the shorter names of a document stand for in it: letters for the name before them in brackets, a last name for
/// the only full name that ends with it.
pub(crate) fn aliases(text: &str, names: &[Name]) -> BTreeMap<String, Name> {
    let mut aliases = BTreeMap::new();
    for name in names {
        let Some(at) = text.find(&format!("{} (", name.surface)) else {
            continue;
        };
        let inside = text[at + name.surface.len() + 2..]
            .split(')')
            .next()
            .unwrap_or_default();
        let initials: String = name
            .key
            .split(' ')
            .filter(|word| !is_stop_word(word))
            .filter_map(|word| word.chars().next())
            .collect();
        if inside.len() > 1 && inside.to_lowercase() == initials {
            aliases.insert(initials, name.clone());
        }
    }
    for short in names.iter().filter(|name| !name.key.contains(' ')) {
        let ending = format!(" {}", short.key);
        let mut full = names.iter().filter(|name| {
            name.key.ends_with(&ending)
                && !name.key.contains(" of ")
                && name.key.split(' ').count() <= 3
        });
        if let (Some(only), None) = (full.next(), full.next()) {
            aliases
                .entry(short.key.clone())
                .or_insert_with(|| only.clone());
        }
    }
    aliases
}

/// Something that has one value at a time, so that a newer text can contradict an older one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    /// What it is said of.
    pub(crate) of: String,
    /// What is said.
    pub(crate) value: String,
}

/// Attributes that have one value at a time.
const ATTRIBUTES: &[&str] = &[
    "address", "age", "birthday", "boss", "branch", "city", "colour", "color", "date", "deadline",
    "drink", "editor", "email", "employer", "font", "food", "home", "host", "job", "language",
    "manager", "name", "number", "password", "phone", "port", "price", "shell", "size", "status",
    "theme", "time", "timezone", "url", "username", "version",
];
/// What makes any attribute one of these.
const SINGULAR: &[&str] = &[
    "favourite",
    "favorite",
    "preferred",
    "current",
    "default",
    "main",
    "primary",
];
/// Verbs that say one thing at a time of their subject.
const VERBS: &[&str] = &[
    "lives in",
    "works at",
    "works for",
    "is called",
    "is named",
    "moved to",
    "is located in",
    "expires on",
    "is due on",
];

/// The claims of a short text, one for each sentence that makes one.
pub(crate) fn claims(text: &str) -> Vec<Claim> {
    let mut claims: Vec<Claim> = text
        .split(['\n', ';'])
        .flat_map(|line| line.split(". "))
        .filter_map(claim)
        .collect();
    claims.sort();
    claims.dedup_by(|a, b| a.of == b.of);
    claims
}

fn claim(sentence: &str) -> Option<Claim> {
    const SENTENCE_BYTES_MAX: usize = 300;
    let sentence = sentence.trim().trim_end_matches(['.', '!']);
    if sentence.is_empty() || sentence.len() > SENTENCE_BYTES_MAX || sentence.ends_with('?') {
        return None;
    }
    let made = |of: &str, verb: &str, value: &str| {
        let skipped = |word: &String| !matches!(word.as_str(), "the" | "a" | "an" | "now");
        let of: Vec<String> = folded(of).into_iter().filter(skipped).collect();
        let value: Vec<String> = folded(value).into_iter().filter(skipped).collect();
        (!of.is_empty() && of.len() <= NAME_WORDS_MAX && !value.is_empty()).then(|| Claim {
            of: [of.join(" "), verb.to_owned()].join("|"),
            value: value.join(" "),
        })
    };
    for verb in VERBS {
        if let Some((of, value)) = sentence.split_once(&format!(" {verb} ")) {
            // To have moved somewhere is to live there.
            let verb = if *verb == "moved to" {
                "lives in"
            } else {
                verb
            };
            return made(of, verb, value);
        }
    }
    let (of, value) = [" is now ", " is ", " are ", " = ", ": "]
        .iter()
        .find_map(|verb| sentence.split_once(verb))?;
    let words = folded(of);
    let is_attribute = words.iter().any(|word| SINGULAR.contains(&word.as_str()))
        || (words.len() > 1 && words.iter().any(|word| ATTRIBUTES.contains(&word.as_str())));
    if is_attribute {
        made(of, "is", value)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[Name]) -> Vec<&str> {
        names.iter().map(|name| name.key.as_str()).collect()
    }

    #[test]
    fn names_code_paths_issues_and_dates_are_found() {
        let found = mentions(
            "Yesterday Dr. Marie Curie-Smith met J. R. Tolkien of the Bank of England in Paris. He fixed #412 in \
             `src/main.rs` (commit 3f2a9bc, 2026-03-01) for \"the last stand\". See Index::insert_all and NASA.",
        );
        for key in [
            "412",
            "3f2a9bc",
            "2026 03 01",
            "src main rs",
            "index insert all",
            "last stand",
            "nasa",
            "paris",
        ] {
            assert!(keys(&found).contains(&key), "{key}: {found:?}");
        }
    }

    #[test]
    fn a_title_names_its_document_with_and_without_what_tells_it_apart() {
        assert_eq!(
            keys(&about("Mark King (musician)", "")),
            ["mark king", "mark king musician"]
        );
        assert_eq!(
            keys(&about("Young, New South Wales", "")),
            ["young new south wales", "young"]
        );
        assert_eq!(keys(&about("", "The Exies were a band.")), ["exies"]);
        assert_eq!(keys(&about("", "Helix (editor) is modal.")), ["helix"]);
        assert_eq!(
            keys(&about("", "remember to buy milk, bread")),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn short_names_stand_for_the_full_name_of_their_document() {
        let text = "The World Health Organization (WHO) hired Ada Lovelace. Since then Lovelace leads what WHO plans.";
        let aliases = aliases(text, &mentions(text));
        assert_eq!(aliases["lovelace"].key, "ada lovelace");
        assert_eq!(aliases["who"].key, "world health organization");
    }

    #[test]
    fn only_what_has_one_value_at_a_time_is_a_claim() {
        let claim = |text: &str| {
            claims(text)
                .into_iter()
                .map(|it| (it.of, it.value))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            claim("My favourite editor is Helix."),
            [("my favourite editor|is".into(), "helix".into())]
        );
        assert_eq!(
            claim("The port of the staging server is now 8080"),
            [("port of staging server|is".into(), "8080".into())]
        );
        assert_eq!(
            claim("Anna moved to Lisbon."),
            claim("Anna lives in Lisbon")
        );
        assert_eq!(
            claim("Helix is an editor. The build is slow. Is my name Bob?"),
            []
        );
    }
}
