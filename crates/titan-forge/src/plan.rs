//! What a reflex does: calls with values put into them, and an answer made from what they gave.
//!
//! A plan is data. It runs as the component that [`encode`](crate::encode) makes of it; what is here is what finding plans
//! needs, and the measure that the component is held to.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a reflex does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) answer: Template,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) tool: String,
    /// JSON text.
    pub(crate) arguments: Template,
    /// What the tool says of an outcome that can be used, as [`remark`] tells it.
    pub(crate) remark: Option<String>,
}

/// What a tool says of its outcome in the last line, in brackets: that it was cut, that a program failed. Without numbers, so
/// that it is the same for one line and for two; but an exit status says what happened.
pub(crate) fn remark(outcome: &str) -> Option<String> {
    let line = outcome.trim_end().lines().next_back()?;
    let said = line.strip_prefix('[')?.strip_suffix(']')?;
    if said.starts_with("exit status") {
        return Some(said.to_owned());
    }
    let words =
        said.split_whitespace()
            .map(|word| match word.contains(|c: char| c.is_ascii_digit()) {
                true => "#",
                false => word.trim_end_matches('s'),
            });
    Some(words.collect::<Vec<_>>().join(" "))
}

/// A text with values in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Template(pub(crate) Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Piece {
    Text(String),
    Value { source: Source, form: Form },
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// What was asked.
    Slot(usize),
    /// What a call gave.
    Outcome { call: usize, extract: Extract },
    /// This one, from 0, of the values that were computed: the lines of what follows the outcomes of all calls.
    Computed(u32),
}

/// A part of a text. In the order of how well it stands when the text changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Extract {
    /// All of it.
    Whole,
    /// What follows the first `before`, up to `after`, or to the end of the line where that is empty.
    Between { before: String, after: String },
    /// This line, from 0.
    Line(u32),
    /// This number, from 0.
    Number(u32),
    /// How many lines that are not blank it has.
    Lines,
}

/// How a value is put into a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// As it is.
    Raw,
    /// As the inside of a JSON string.
    Json,
    /// Within a longer text of a call, which a shell may read: only letters, digits and what means nothing to any shell.
    Plain,
    /// As a JSON number.
    Number,
}

/// What is known while a plan runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) slots: &'a [String],
    pub(crate) outcomes: &'a [&'a str],
}

impl Source {
    /// The value, if there is one.
    pub(crate) fn value(&self, known: Known<'_>) -> Option<String> {
        match self {
            Self::Slot(slot) => known
                .slots
                .get(*slot)
                .filter(|value| !value.is_empty())
                .cloned(),
            Self::Outcome { call, extract } => extract.of(known.outcomes.get(*call)?),
            Self::Computed(value) => Extract::Line(*value).of(known.outcomes.last()?),
        }
    }
}

impl Extract {
    /// This part of a text; `None` where it has none or it is empty.
    pub(crate) fn of(&self, text: &str) -> Option<String> {
        let found = match self {
            Self::Whole => trim(text).to_owned(),
            Self::Line(line) => trim(text.split('\n').nth(*line as usize)?).to_owned(),
            Self::Between { before, after } => {
                let rest = &text[text.find(before.as_str())? + before.len()..];
                let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
                let end = match after.is_empty() {
                    true => line.len(),
                    false => line.find(after.as_str())?,
                };
                trim(&line[..end]).to_owned()
            }
            Self::Number(number) => numbers(text).nth(*number as usize)?.to_owned(),
            Self::Lines => text
                .split('\n')
                .filter(|line| !trim(line).is_empty())
                .count()
                .to_string(),
        };
        (!found.is_empty()).then_some(found)
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The numbers of a text that are no part of a word: digits, with single points and commas between them.
pub(crate) fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            if !bytes[at].is_ascii_digit() {
                at += 1;
                continue;
            }
            let start = at;
            while at < bytes.len()
                && (bytes[at].is_ascii_digit()
                    || matches!(bytes[at], b'.' | b',')
                        && bytes.get(at + 1).is_some_and(u8::is_ascii_digit))
            {
                at += 1;
            }
            let is_alone = (start == 0 || !is_of_word(bytes[start - 1]))
                && !bytes.get(at).is_some_and(|next| is_of_word(*next));
            if is_alone {
                return Some(&text[start..at]);
            }
        }
        None
    })
}

impl Form {
    /// A value in this form; `None` where it can't be put so.
    pub(crate) fn put(self, value: &str) -> Option<String> {
        let is_put = match self {
            Self::Raw => true,
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                return Some(quoted[1..quoted.len() - 1].to_owned());
            }
            Self::Plain => {
                !value.starts_with('-')
                    && value
                        .bytes()
                        .all(|byte| is_of_word(byte) || b"./@:+=,%-".contains(&byte))
            }
            Self::Number => is_number(value),
        };
        is_put.then(|| value.to_owned())
    }
}

/// Whether JSON takes it as a number: digits, and a fraction.
fn is_number(value: &str) -> bool {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let are_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits(whole) && are_digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

impl Template {
    /// The text; `None` where a value is missing or can't be put into it.
    pub(crate) fn render(&self, known: Known<'_>) -> Option<String> {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => Some(text.clone()),
                Piece::Value { source, form } => form.put(&source.value(known)?),
            })
            .collect()
    }

    /// What it says beside its values.
    pub(crate) fn words(&self) -> String {
        let texts = self.0.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Value { .. } => None,
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Value { source, .. } => Some(source),
            Piece::Text(_) => None,
        })
    }
}

impl Plan {
    /// Whether its answer has values that are computed.
    pub(crate) fn computes(&self) -> bool {
        let is_computed = |source: &Source| matches!(source, Source::Computed(_));
        self.answer.sources().any(is_computed)
    }

    /// How many texts there are when it answers: what its calls gave, and after that what was computed.
    pub(crate) fn n_given(&self) -> usize {
        self.steps.len() + usize::from(self.computes())
    }

    /// What it does, a line a step, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let calls = self.steps.iter().enumerate();
        let calls = calls
            .map(|(idx, step)| format!("{}. call {} with {}", idx + 1, step.tool, step.arguments));
        let computed = self.computes().then(|| {
            let n = self.n_given();
            format!("{n}. compute, with the code below, from the values in braces and what the calls gave")
        });
        calls
            .chain(computed)
            .chain([format!("answer: {}", self.answer)])
            .collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Value { source, .. } => write!(f, "{{{source}}}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot(slot) => write!(f, "{slot}"),
            Self::Outcome { call, extract } => {
                write!(f, "{extract} of what call {} gave", call + 1)
            }
            Self::Computed(value) => write!(f, "value {} that was computed", value + 1),
        }
    }
}

impl fmt::Display for Extract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("all"),
            Self::Between { before, after } if after.is_empty() => {
                write!(f, "the line after {before:?}")
            }
            Self::Between { before, after } => {
                write!(f, "what stands between {before:?} and {after:?}")
            }
            Self::Line(line) => write!(f, "line {}", line + 1),
            Self::Number(number) => write!(f, "number {}", number + 1),
            Self::Lines => f.write_str("the count of lines"),
        }
    }
}
