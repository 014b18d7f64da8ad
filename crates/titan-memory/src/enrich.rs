//! What a small model reads in documents when nobody waits: names and relations that rules do not see.
//!
//! Here stands what it is asked and what is taken of its answers; who asks it, and when, is somebody else's. A model is
//! believed in little: a name counts only where its words stand in the text that it was shown, as the text writes it. So it
//! invents none, and a stranger's text plants none that it does not say. What was read is a part of the stored document.

use crate::documents::told;
use crate::extract::Name;
use crate::memory::GraphMemory;
use crate::state::State;
use crate::text::{Word, words};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use titan_protocol::{
    ClientError, Enrichment, EnrichmentAnswer, EnrichmentQuestion, MemoryDocument, MemoryFact,
    MemoryReading,
};

/// The fixed part of what a model is asked. It is read once for many documents, where the model keeps what it has read.
const SYSTEM: &str = include_str!("enrich.md");
/// What a model is shown of a text, in bytes: so much is read in seconds on a machine without an accelerator.
const SHOWN_BYTES_MAX: usize = 1_500;
/// A text with less bytes relates nothing.
const TEXT_BYTES_MIN: usize = 20;
/// Names of one document.
const NAMES_MAX: usize = 8;
/// Relations of one document.
const RELATIONS_MAX: usize = 6;
/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 80;
/// The longest relation, in characters.
const RELATION_CHARS_MAX: usize = 40;
/// What is kept of a model's name, in characters.
const MODEL_CHARS_MAX: usize = 80;
/// An answer with more bytes is none.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// What a model writes at most.
const OUTPUT_TOKENS_MAX: u32 = 320;

#[async_trait]
impl Enrichment for GraphMemory {
    async fn question(&self) -> Result<Option<EnrichmentQuestion>, ClientError> {
        self.load().await?;
        self.listen().await?;
        self.hear_others().await?;
        let state = self.state.read().await;
        let Some(id) = state.as_ref().and_then(State::next_to_be_read) else {
            return Ok(None);
        };
        drop(state);
        let document = self.ports.search.get(&self.collection, &id).await?;
        Ok(document.map(|document| question_about(&told(document))))
    }

    async fn answer(&self, answer: EnrichmentAnswer) -> Result<(), ClientError> {
        self.load().await?;
        let mut state = self.state.write().await;
        let state = state.get_or_insert_default();
        self.take_over(state).await?;
        let stored = self.ports.search.get(&self.collection, &answer.key).await?;
        let unread = stored.map(told).filter(|it| it.reading.is_none());
        let Some(document) = unread else {
            return Ok(());
        };
        let document = MemoryDocument {
            reading: Some(reading_of(&document, &answer)),
            ..document
        };
        self.store(state, &document).await?;
        state.set_reading(&document);
        Ok(())
    }
}

/// Whether a model is to be asked about a document: one that holds, says enough, and was not read yet.
pub(crate) fn is_to_be_read(document: &MemoryDocument) -> bool {
    document.reading.is_none()
        && document.superseded_by.is_none()
        && document.text.len() >= TEXT_BYTES_MIN
}

fn question_about(document: &MemoryDocument) -> EnrichmentQuestion {
    // The text is last: nothing that it says can stand behind it.
    let text = match document.title.is_empty() {
        true => format!("Text:\n{}", shown(document)),
        false => format!("Title: {}\nText:\n{}", document.title, shown(document)),
    };
    EnrichmentQuestion {
        key: document.id.clone(),
        system: SYSTEM.trim_end().to_owned(),
        text,
        schema: schema(),
        output_tokens_max: OUTPUT_TOKENS_MAX,
    }
}

fn schema() -> Value {
    let object = |properties: Value, required: &[&str]| {
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    };
    let text =
        |chars_max: usize| json!({ "type": "string", "minLength": 1, "maxLength": chars_max });
    let list = |items: Value, items_max: usize| json!({ "type": "array", "items": items, "maxItems": items_max });
    let relation = json!({
        "subject": text(NAME_CHARS_MAX),
        "relation": text(RELATION_CHARS_MAX),
        "object": text(NAME_CHARS_MAX),
    });
    let relation = object(relation, &["subject", "relation", "object"]);
    let answer = json!({
        "names": list(text(NAME_CHARS_MAX), NAMES_MAX),
        "relations": list(relation, RELATIONS_MAX),
    });
    object(answer, &["names", "relations"])
}

/// The beginning of a document's text that a model is shown. No word is cut.
fn shown(document: &MemoryDocument) -> &str {
    let text = document.text.as_str();
    let beginning = &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)];
    match beginning.rfind(char::is_whitespace) {
        Some(end) if beginning.len() < text.len() => &beginning[..end],
        _ => beginning,
    }
}

/// An answer as the schema has it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    names: Vec<String>,
    relations: Vec<MemoryFact>,
}

/// What is taken of an answer about a document; nothing of one that is no good.
fn reading_of(document: &MemoryDocument, answer: &EnrichmentAnswer) -> MemoryReading {
    let said = match answer.text.len() <= ANSWER_BYTES_MAX {
        true => serde_json::from_str(&answer.text),
        false => Ok(Said::default()),
    };
    let said = said.unwrap_or_else(|error| {
        tracing::debug!(%error, "what a model said of a document is not understood");
        Said::default()
    });
    let text = Shown::new(shown(document));
    let title = Shown::new(&document.title);
    let mut known = BTreeSet::new();
    let names = said.names.iter().filter_map(|name| text.written(name));
    let names = names.filter(|name| known.insert(name.key.clone()));
    let names = names.map(|name| name.surface).take(NAMES_MAX).collect();
    let mut known = BTreeSet::new();
    let end = |name: &str| text.written(name).or_else(|| title.written(name));
    let relations = said.relations.iter().filter_map(|fact| {
        let (subject, object) = (end(&fact.subject)?, end(&fact.object)?);
        let relation = relation_of(&fact.relation)?;
        let is_new =
            subject.key != object.key && known.insert((subject.key, relation.clone(), object.key));
        is_new.then_some(MemoryFact {
            subject: subject.surface,
            relation,
            object: object.surface,
        })
    });
    let relations = relations.take(RELATIONS_MAX).collect();
    MemoryReading {
        model: plain(&answer.model).chars().take(MODEL_CHARS_MAX).collect(),
        names,
        relations,
    }
}

/// What a model was shown.
struct Shown<'a> {
    text: &'a str,
    words: Vec<Word>,
}

impl<'a> Shown<'a> {
    fn new(text: &'a str) -> Self {
        let words = words(text);
        Self { text, words }
    }

    /// A name as the text writes it, if it is one and its words stand there, one after another.
    fn written(&self, name: &str) -> Option<Name> {
        let name = Name::new(name)?;
        let wanted: Vec<&str> = name.key.split(' ').collect();
        let mut places = self.words.windows(wanted.len());
        let is_it = |place: &&[Word]| {
            place
                .iter()
                .map(|word| &*word.folded)
                .eq(wanted.iter().copied())
        };
        let place = places.find(is_it)?;
        let surface = plain(&self.text[place[0].at.start..place[place.len() - 1].at.end]);
        Name::new(&surface).filter(|_| surface.chars().count() <= NAME_CHARS_MAX)
    }
}

/// How names are related, in words that can stand anywhere.
fn relation_of(said: &str) -> Option<String> {
    let is_kept = |c: char| c.is_alphanumeric() || "-'’_/&".contains(c);
    let words: String = said
        .chars()
        .map(|c| if is_kept(c) { c } else { ' ' })
        .collect();
    let relation = plain(&words);
    let says_something = relation.chars().any(char::is_alphanumeric);
    (says_something && relation.chars().count() <= RELATION_CHARS_MAX).then_some(relation)
}

/// A text on one line, without what steers a terminal.
fn plain(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(title: &str, text: &str) -> MemoryDocument {
        let draft = titan_protocol::MemoryDraft {
            title: title.into(),
            text: text.into(),
            ..titan_protocol::MemoryDraft::default()
        };
        crate::documents::document_of(draft, 1)
    }

    fn read(document: &MemoryDocument, text: &str) -> MemoryReading {
        let answer = EnrichmentAnswer {
            key: document.id.clone(),
            text: text.into(),
            model: "local/small".into(),
        };
        reading_of(document, &answer)
    }

    fn names(document: &MemoryDocument, names: &[&str]) -> Vec<String> {
        let said = json!({ "names": names, "relations": [] });
        read(document, &said.to_string()).names
    }

    fn relations(document: &MemoryDocument, relations: &[[&str; 3]]) -> Vec<String> {
        let relations = relations.iter().map(|[subject, relation, object]| {
            json!({ "subject": subject, "relation": relation, "object": object })
        });
        let said = json!({ "names": [], "relations": relations.collect::<Vec<_>>() });
        let facts = read(document, &said.to_string()).relations.into_iter();
        facts
            .map(|it| [it.subject, it.relation, it.object].join("|"))
            .collect()
    }

    #[test]
    fn a_question_shows_the_title_and_the_beginning_and_bounds_the_answer() {
        let text = "grün ist der Wald. ".repeat(200);
        let asked = question_about(&document("On Woods", &text));
        assert!(asked.text.starts_with("Title: On Woods\nText:\ngrün ist"));
        assert!(asked.text.len() < SHOWN_BYTES_MAX + 30);
        assert!(
            asked.text.ends_with("grün")
                || asked.text.ends_with("Wald.")
                || asked.text.ends_with("der")
        );
        assert!(asked.system.len() < 1_000, "{} bytes", asked.system.len());
        assert!(asked.system.contains(&format!("at most {NAMES_MAX} of")));
        assert!(
            asked
                .system
                .contains(&format!("at most {RELATIONS_MAX}. Subject"))
        );
        assert_eq!(asked.schema["properties"]["names"]["maxItems"], NAMES_MAX);
        assert_eq!(asked.schema["additionalProperties"], false);
        let whole = question_about(&document("", "Ada uses the grey heron."));
        assert_eq!(whole.text, "Text:\nAda uses the grey heron.");
        let unbroken = document("", &"木".repeat(2_000));
        assert_eq!(shown(&unbroken).len(), 1_500);
    }

    #[test]
    fn only_names_that_stand_in_the_text_are_taken_as_the_text_writes_them() {
        let text = document(
            "Zoë",
            "The grey\n heron\u{7} met Łódź's mayor, and src/main.rs was there.",
        );
        assert_eq!(
            names(&text, &["GREY HERON", "lodz", "src main.rs"]),
            ["grey heron", "Łódź", "src/main.rs"]
        );
        for odd in [
            "heron grey",
            "grey mayor",
            "Ada Stone",
            "her",
            "the",
            "and",
            "",
            "…",
            "a",
            "Zoe",
        ] {
            assert_eq!(names(&text, &[odd]), Vec::<String>::new(), "{odd:?}");
        }
        assert_eq!(
            names(&text, &["heron", "The heron", "HERON"]),
            ["heron"],
            "each once"
        );
        let many = document("", "w1x w2x w3x w4x w5x w6x w7x w8x w9x w10x w11x");
        let all: Vec<&str> = many.text.split(' ').collect();
        assert_eq!(names(&many, &all).len(), NAMES_MAX);
        assert_eq!(
            names(&many, &["w1x w2x w3x w4x w5x w6x w7x w8x w9x"]),
            Vec::<String>::new()
        );
        let apart = document("", &format!("grey {} heron", "-".repeat(90)));
        assert_eq!(
            names(&apart, &["grey heron"]),
            Vec::<String>::new(),
            "too long"
        );
    }

    #[test]
    fn what_stands_behind_the_text_that_was_shown_is_not_taken() {
        let text = format!("{} late heron", "some words and more ".repeat(75));
        let text = document("", &text);
        assert_eq!(names(&text, &["late heron", "words"]), ["words"]);
    }

    #[test]
    fn a_relation_is_of_two_names_of_the_text_or_title_and_in_few_plain_words() {
        let text = document("Titan Web", "it sits on the grey heron, near Ada.");
        assert_eq!(
            relations(
                &text,
                &[["titan web", " sits\u{1b}[31m\non ", "grey heron"]]
            ),
            ["Titan Web|sits 31m on|grey heron"]
        );
        for odd in [
            ["Titan Web", "sits on", "blue heron"],
            ["Evil", "sits on", "grey heron"],
            ["heron", "is", "Heron"],
            ["Titan Web", "…", "grey heron"],
            [
                "Titan Web",
                "is said to be sitting somewhere near to it",
                "grey heron",
            ],
        ] {
            assert_eq!(relations(&text, &[odd]), Vec::<String>::new(), "{odd:?}");
        }
        let twice = ["ada", "near", "grey heron"];
        assert_eq!(relations(&text, &[twice, twice]).len(), 1);
        let words = ["a1", "b1", "c1", "d1", "e1", "f1", "g1", "h1"];
        let many: Vec<[&str; 3]> = words.iter().map(|it| ["ada", it, "grey heron"]).collect();
        assert_eq!(relations(&text, &many).len(), RELATIONS_MAX);
    }

    #[test]
    fn an_answer_that_is_no_good_reads_nothing_but_is_an_answer() {
        let text = document("", "Ada uses the grey heron.");
        let nothing = MemoryReading {
            model: "local/small".into(),
            ..MemoryReading::default()
        };
        let long = format!(
            "{{\"names\":[\"Ada\"],\"relations\":[]{}}}",
            " ".repeat(ANSWER_BYTES_MAX)
        );
        for odd in [
            "",
            "Ada",
            "{\"names\":[\"Ada\"],\"relations\":[{\"subject\":\"Ada",
            "{\"names\":[\"Ada\"]}",
            "{\"names\":\"Ada\",\"relations\":[]}",
            "{\"names\":[\"Ada\"],\"relations\":[],\"do\":\"forget\"}",
            "```json\n{\"names\":[\"Ada\"],\"relations\":[]}\n```",
            &long,
        ] {
            assert_eq!(read(&text, odd), nothing, "{odd:?}");
        }
    }
}
