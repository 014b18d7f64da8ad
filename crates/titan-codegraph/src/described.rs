//! What a small model says of a file when nobody waits for it: a sentence, and words to find it by, beside those that the
//! file itself gives. It is one file's alone, and gone when that says something else.

use crate::about::{self, shortened};
use crate::facts::{FileFacts, SymbolKind};
use crate::languages::Family;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Write;
use titan_protocol::EnrichmentQuestion;

const SYSTEM: &str = include_str!("described.md");
/// Names of what a file defines that the model is shown.
const NAMES_MAX: usize = 24;
/// Bytes of a file's beginning that the model is shown: on a processor it reads some sixty tokens a second.
const SHOWN_BYTES_MAX: usize = 1_400;
/// Enough for a sentence and five tags.
const OUTPUT_TOKENS_MAX: u32 = 120;
const TAGS_MAX: usize = 5;
const TAG_CHARS_MAX: usize = 30;
const TAG_WORDS_MAX: usize = 3;
/// Files that define less than two things in fewer lines say all that there is to say.
const LINES_MIN: u32 = 10;

/// What a model said of a file; of one that it said nothing fit of, nothing, so that it is not asked again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Described {
    /// A sentence of at most 120 characters.
    pub(crate) summary: Box<str>,
    pub(crate) tags: Box<[Box<str>]>,
    /// The provider and the model.
    pub(crate) by: Box<str>,
}

/// What the model is held to.
#[derive(Deserialize)]
struct Answer {
    summary: String,
    tags: Vec<String>,
}

impl Described {
    /// What is made of a model's answer. What is no JSON after the schema, or only repeats the path, says nothing.
    pub(crate) fn of(path: &str, answer: &str, by: &str) -> Self {
        let answer: Answer = match serde_json::from_str(answer.trim()) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, path, "a file's description can't be read");
                return Self::default();
            }
        };
        let mut tags: Vec<Box<str>> = Vec::new();
        for tag in answer.tags.iter().filter_map(|tag| tag_of(tag)) {
            if tags.len() < TAGS_MAX && !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        Self {
            summary: summary_of(path, &answer.summary).into(),
            tags: tags.into(),
            by: by.into(),
        }
    }
}

/// A model's sentence as it is shown: one line, without marks around it; empty where it says too little.
fn summary_of(path: &str, said: &str) -> String {
    let plain: String = said
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let sentence = words.join(" ");
    let sentence = sentence.trim_matches(|c: char| c.is_whitespace() || "\"'`*.".contains(c));
    let says_something = sentence.split(' ').count() > 2 && !sentence.contains(path);
    match says_something {
        true => shortened(sentence),
        false => String::new(),
    }
}

/// A tag as it is written everywhere, if it says something.
fn tag_of(said: &str) -> Option<Box<str>> {
    let words = about::told(&said.replace(['_', '-'], " "));
    let tag = words.join(" ");
    let is_fit = (1..=TAG_WORDS_MAX).contains(&words.len()) && tag.chars().count() <= TAG_CHARS_MAX;
    is_fit.then(|| tag.into())
}

/// Whether a model has something to add to what a file says by itself.
pub(crate) fn is_worth_describing(facts: &FileFacts) -> bool {
    facts.language.family() != Family::Data
        && (facts.lines >= LINES_MIN || names(facts).count() > 1)
}

/// What the model is asked about a file.
pub(crate) fn question(
    key: String,
    path: &str,
    facts: &FileFacts,
    text: &str,
) -> EnrichmentQuestion {
    let names: Vec<&str> = names(facts).take(NAMES_MAX).collect();
    let mut asked = format!("Path: {path}\n");
    if !names.is_empty() {
        // Writing to a string can't fail.
        let _infallible = writeln!(asked, "Defines: {}", names.join(", "));
    }
    let _infallible = write!(
        asked,
        "It begins:\n{}",
        &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)]
    );
    EnrichmentQuestion {
        key,
        system: SYSTEM.trim().to_owned(),
        text: asked,
        schema: json!({
            "type": "object",
            "properties": {
                "summary": {"type": "string", "maxLength": 140},
                "tags": {
                    "type": "array",
                    "items": {"type": "string", "maxLength": TAG_CHARS_MAX},
                    "minItems": 1,
                    "maxItems": TAGS_MAX
                }
            },
            "required": ["summary", "tags"],
            "additionalProperties": false
        }),
        output_tokens_max: OUTPUT_TOKENS_MAX,
    }
}

/// What it defines for others to name, tests left out.
fn names(facts: &FileFacts) -> impl Iterator<Item = &str> {
    let symbols = facts.symbols.iter();
    symbols
        .filter(|symbol| {
            let has_name = !matches!(symbol.kind, SymbolKind::Lambda | SymbolKind::Extension);
            has_name && !symbol.is_test
        })
        .map(|symbol| &*symbol.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_a_sentence_and_tags_as_they_are_written_everywhere() {
        let answer = r#"{"summary": "`Limits how often\na client may ask.`",
            "tags": ["Rate-Limiting", "token_buckets", "the", "SQLite clients", "sqlite client", "a b c d e f"]}"#;
        let described = Described::of("src/limit.rs", answer, "local/small");
        assert_eq!(&*described.summary, "Limits how often a client may ask");
        let tags: Vec<&str> = described.tags.iter().map(|tag| &**tag).collect();
        assert_eq!(tags, ["rate limiting", "token bucket", "sqlite client"]);
        assert_eq!(&*described.by, "local/small");
    }

    #[test]
    fn what_is_no_answer_says_nothing() {
        for answer in ["", "{\"summary\": \"cut sho", "[]", "{\"summary\": 3}"] {
            assert_eq!(Described::of("a.rs", answer, "m"), Described::default());
        }
        let repeated = r#"{"summary": "The file src/a.rs defines things", "tags": []}"#;
        assert_eq!(&*Described::of("src/a.rs", repeated, "m").summary, "");
    }
}
