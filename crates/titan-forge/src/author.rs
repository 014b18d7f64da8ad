//! What a model is told that writes code for a reflex, and what is made of its answer.

use crate::cluster::{Cluster, Member, SHOWN};
use crate::words::Kind;
use crate::written::input;
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use titan_protocol::{Draft, Example, SessionId, ToolSpec, TurnId};

const SYSTEM: &str = include_str!("author.md");
/// Bytes of a question, an answer or an outcome that a writer is shown.
const SHOWN_BYTES_MAX: usize = 3000;
/// The longest source.
const SOURCE_BYTES_MAX: usize = 10_000;
/// Bytes of what is said to be wrong with one.
const WRONG_BYTES_MAX: usize = 4000;

/// Asks a model to write code.
#[async_trait]
pub trait Author: Send + Sync {
    /// What is missing for code to be written and compiled here, and what to do, if anything is. Starts nothing.
    fn missing(&self) -> Option<String>;

    /// Asks a model. Dropping the future ends the call.
    ///
    /// # Errors
    /// When no model answers; the text says why.
    async fn write(&self, commission: Commission) -> Result<Authored, String>;
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commission {
    /// The session that pays for it.
    pub session: SessionId,
    /// The turn of it.
    pub turn: TurnId,
    /// What is the same for all code that is written.
    pub system: String,
    /// What is to be computed.
    pub text: String,
}

/// What a model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authored {
    /// Its answer.
    pub text: String,
    /// The provider and the model.
    pub model: String,
}

/// What went wrong with the code that was written before.
pub(crate) struct Wrong {
    pub(crate) source: String,
    pub(crate) why: String,
}

/// The fixed part of a commission; `guide` says what there is to write code with.
pub(crate) fn system(guide: &str) -> String {
    format!("{SYSTEM}\n{guide}")
}

/// What is to be computed, with the examples that are shown, and what was wrong before.
pub(crate) fn text(cluster: &Cluster, wrong: Option<&Wrong>) -> String {
    let mut text = String::new();
    let asked = cluster
        .wordings
        .first()
        .map_or("", |wording| &wording.shown);
    let _ = writeln!(text, "The question: {asked}");
    for (idx, step) in cluster.plan.steps.iter().enumerate() {
        let _ = writeln!(
            text,
            "Outcome {}: what the tool {} gave for {}",
            idx + 1,
            step.tool,
            step.arguments
        );
    }
    let _ = writeln!(text, "The answer: {}", cluster.plan.answer);
    for (idx, kind) in cluster.kinds.iter().enumerate() {
        let _ = writeln!(text, "Value {} that is computed: {}", idx + 1, name(*kind));
    }
    for (idx, member) in cluster.members.iter().take(SHOWN).enumerate() {
        example(&mut text, idx + 1, member);
    }
    if let Some(wrong) = wrong {
        let _ = write!(
            text,
            "\nThis was written before:\n```rust\n{}\n```\nIt is wrong:\n{}\nMend it, and send the whole file again.\n",
            wrong.source.trim(),
            beginning(&wrong.why, WRONG_BYTES_MAX)
        );
    }
    text
}

fn example(text: &mut String, number: usize, member: &Member) {
    let outcomes: Vec<String> = member
        .outcomes()
        .iter()
        .map(|outcome| beginning(outcome, SHOWN_BYTES_MAX))
        .collect();
    let _ = write!(
        text,
        "\nExample {number}\nQuestion: {}\nInput: {}\nAnswer: {}\nOutput:\n{}\n",
        beginning(&member.case.asked, SHOWN_BYTES_MAX),
        input(&member.values, &outcomes),
        beginning(&member.case.answer, SHOWN_BYTES_MAX),
        member.computed.join("\n")
    );
}

/// A text, cut where it is too long, which is said.
fn beginning(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!(
        "{}… (the other {} bytes are left out here; the function gets all)",
        &text[..end],
        text.len() - end
    )
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => "a number",
        Kind::Date => "a date",
        Kind::Name => "a name",
        Kind::Path => "a path",
        Kind::Code => "a name in code",
        Kind::Word | Kind::Url | Kind::Quoted => "a number with its unit",
    }
}

/// The file in a model's answer: what stands in the first block of code, or all of it.
pub(crate) fn source(answer: &str) -> Option<String> {
    let block = answer.split_once("```").and_then(|(_, rest)| {
        let (_, code) = rest.split_once('\n')?;
        Some(code.split_once("```").map_or(code, |(code, _)| code))
    });
    let source = block.unwrap_or(answer).trim();
    let is_fit = source.contains("fn run") && source.len() <= SOURCE_BYTES_MAX;
    is_fit.then(|| format!("{source}\n"))
}

/// The code as a tool without any capability.
pub(crate) fn draft(cluster: &Cluster, source: &str) -> Draft {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let examples = cluster.members.iter().take(SHOWN).map(|member| {
        let mut given = Map::new();
        given.insert("values".to_owned(), Value::from(member.values.clone()));
        given.insert("outcomes".to_owned(), Value::from(member.outcomes()));
        Example {
            input: given,
            output: member.computed.join("\n"),
        }
    });
    Draft {
        spec: ToolSpec {
            name: "computation".to_owned(),
            description: "Computes the values of an answer.".to_owned(),
            input_schema: json!({
                "type": "object",
                "properties": {"values": texts, "outcomes": texts},
                "required": ["values", "outcomes"],
                "additionalProperties": false
            }),
        },
        source: source.to_owned(),
        capabilities: Vec::new(),
        examples: examples.collect(),
    }
}
