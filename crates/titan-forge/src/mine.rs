//! Finds the plan that two turns have in common, if there is one.
//!
//! Every value of a call or an answer needs a source: what was asked, or a part of what an earlier call gave. Of all sources
//! that explain a value in one turn those stay that explain it in the other too. A value without a source, or an answer that
//! says much that was not asked, is the model's own work, and no plan is made of it.

use crate::agree::{agrees, is_value, value};
use crate::case::Case;
use crate::plan::{Extract, Form, Known, Piece, Plan, Source, Step, Template, numbers, remark};
use crate::words::{Kind, Role, tokens};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Lines and numbers of an outcome that may be a source.
const PLACES_MAX: usize = 50;
/// How often a value is looked for in one outcome.
const OCCURRENCES_MAX: usize = 4;
/// The longest text before a value that it is found by, in bytes.
const BEFORE_BYTES_MAX: usize = 48;
/// Content words of an answer that are neither asked nor found.
const OWN_WORDS_MAX: usize = 4;

/// A case with the values of its slots.
#[derive(Clone, Copy)]
pub(crate) struct Filled<'a> {
    pub(crate) case: &'a Case,
    pub(crate) slots: &'a [String],
}

/// The plan of both, with the words of the first one's answer.
pub(crate) fn plan(a: Filled<'_>, b: Filled<'_>) -> Option<Plan> {
    if a.case.calls.is_empty() {
        return None;
    }
    let steps = steps(a, b)?;
    let (outcomes_a, outcomes_b) = (outcomes(a.case), outcomes(b.case));
    let known_a = Known {
        slots: a.slots,
        outcomes: &outcomes_a,
    };
    let known_b = Known {
        slots: b.slots,
        outcomes: &outcomes_b,
    };
    let answer = answer(a.case, b.case, known_a, known_b)?;
    let plan = Plan { steps, answer };
    says_nothing_of_its_own(&plan, a.case).then_some(plan)
}

/// The calls of both, where each of their values is explained.
pub(crate) fn steps(a: Filled<'_>, b: Filled<'_>) -> Option<Vec<Step>> {
    let are_alike = a.case.calls.len() == b.case.calls.len()
        && a.case
            .calls
            .iter()
            .zip(&b.case.calls)
            .all(|(a, b)| a.tool == b.tool);
    if !are_alike {
        return None;
    }
    let (outcomes_a, outcomes_b) = (outcomes(a.case), outcomes(b.case));
    let mut steps = Vec::new();
    for (idx, (call_a, call_b)) in a.case.calls.iter().zip(&b.case.calls).enumerate() {
        let known_a = Known {
            slots: a.slots,
            outcomes: &outcomes_a[..idx],
        };
        let known_b = Known {
            slots: b.slots,
            outcomes: &outcomes_b[..idx],
        };
        let mut json = Vec::new();
        object(
            &call_a.arguments,
            &call_b.arguments,
            known_a,
            known_b,
            &mut json,
        )?;
        let said = remark(&call_a.outcome);
        if said != remark(&call_b.outcome) {
            return None;
        }
        steps.push(Step {
            tool: call_a.tool.clone(),
            arguments: joined(json),
            remark: said,
        });
    }
    Some(steps)
}

pub(crate) fn outcomes(case: &Case) -> Vec<&str> {
    case.calls
        .iter()
        .map(|call| call.outcome.as_str())
        .collect()
}

/// A part of a text with every source that explains it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Value(BTreeSet<Source>),
}

/// A text as parts. Longer values first, since a number may be a part of a name.
pub(crate) fn explain(text: &str, known: Known<'_>) -> Vec<Part> {
    let values = sources(text, known);
    let mut by_length: Vec<(&String, &BTreeSet<Source>)> = values.iter().collect();
    by_length.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let found = by_length.iter().find(|(value, _)| {
            text[at..].starts_with(value.as_str()) && is_apart(text, at, value.len())
        });
        let Some((value, sources)) = found else {
            plain.push(next);
            at += next.len_utf8();
            continue;
        };
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(Part::Value((*sources).clone()));
        at += value.len();
    }
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    parts
}

/// Whether what stands there is no part of a longer word or number.
fn is_apart(text: &str, at: usize, len: usize) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (first, last) = (
        text[at..].chars().next(),
        text[..at + len].chars().next_back(),
    );
    let before = text[..at].chars().next_back();
    let after = text[at + len..].chars().next();
    let goes_on =
        |a: Option<char>, b: Option<char>| a.is_some_and(is_word) && b.is_some_and(is_word);
    !goes_on(before, first) && !goes_on(last, after)
}

/// What may stand in a text, with where each comes from.
fn sources(text: &str, known: Known<'_>) -> BTreeMap<String, BTreeSet<Source>> {
    let mut sources: BTreeMap<String, BTreeSet<Source>> = BTreeMap::new();
    let mut add = |value: String, source| {
        if !value.is_empty() && text.contains(&value) {
            sources.entry(value).or_default().insert(source);
        }
    };
    for (slot, value) in known.slots.iter().enumerate() {
        add(value.clone(), Source::Slot(slot));
    }
    let words: BTreeSet<String> = tokens(text)
        .unwrap_or_default()
        .into_iter()
        .filter(|token| token.is_value())
        .map(|token| token.text)
        .collect();
    for (call, outcome) in known.outcomes.iter().enumerate() {
        let mut from = |extract: Extract| {
            if let Some(value) = extract.of(outcome) {
                add(value, Source::Outcome { call, extract });
            }
        };
        from(Extract::Whole);
        from(Extract::Lines);
        let n_lines = outcome.split('\n').count().min(PLACES_MAX);
        (0..n_lines).for_each(|line| from(Extract::Line(u32::try_from(line).unwrap_or(0))));
        let n_numbers = numbers(outcome).take(PLACES_MAX).count();
        (0..n_numbers).for_each(|number| from(Extract::Number(u32::try_from(number).unwrap_or(0))));
        words
            .iter()
            .flat_map(|word| around(word, outcome))
            .for_each(from);
    }
    sources
}

/// The ways to find a value by what stands around it.
fn around(value: &str, outcome: &str) -> Vec<Extract> {
    let mut found = Vec::new();
    for (at, _) in outcome
        .match_indices(value)
        .filter(|(at, _)| is_apart(outcome, *at, value.len()))
        .take(OCCURRENCES_MAX)
    {
        let line_start = outcome[..at].rfind('\n').map_or(0, |at| at + 1);
        let line = &outcome[line_start..at];
        let after = outcome[at + value.len()..]
            .chars()
            .next()
            .filter(|c| *c != '\n')
            .map(String::from)
            .unwrap_or_default();
        let last_word = line
            .trim_end()
            .rfind([' ', '\t'])
            .map_or(line, |space| &line[space + 1..]);
        for before in [line, last_word] {
            if (1..=BEFORE_BYTES_MAX).contains(&before.len()) && !before.trim().is_empty() {
                let before = before.to_owned();
                let after = after.clone();
                found.push(Extract::Between { before, after });
            }
        }
    }
    found.retain(|extract| extract.of(outcome).as_deref() == Some(value));
    found
}

/// Of every part's sources those that make the other text, letter by letter.
fn narrowed(parts: Vec<Part>, text: &str, known: Known<'_>) -> Option<Vec<Part>> {
    let mut rest = text;
    let mut narrowed = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => {
                rest = rest.strip_prefix(text.as_str())?;
                narrowed.push(Part::Text(text));
            }
            Part::Value(sources) => {
                let values: Vec<(Source, String)> = sources
                    .into_iter()
                    .filter_map(|source| Some((source.clone(), source.value(known)?)))
                    .collect();
                let fitting = values
                    .iter()
                    .filter(|(_, value)| rest.starts_with(value.as_str()));
                let longest = fitting
                    .map(|(_, value)| value.clone())
                    .max_by_key(String::len)?;
                rest = &rest[longest.len()..];
                let same = values.into_iter().filter(|(_, value)| *value == longest);
                narrowed.push(Part::Value(same.map(|(source, _)| source).collect()));
            }
        }
    }
    rest.is_empty().then_some(narrowed)
}

/// The arguments of two calls as one JSON text with values in it.
fn object(
    a: &Map<String, Value>,
    b: &Map<String, Value>,
    known_a: Known<'_>,
    known_b: Known<'_>,
    json: &mut Vec<Piece>,
) -> Option<()> {
    if a.len() != b.len() {
        return None;
    }
    json.push(Piece::Text("{".to_owned()));
    for (idx, (key, value)) in a.iter().enumerate() {
        let comma = if idx > 0 { "," } else { "" };
        json.push(Piece::Text(format!(
            "{comma}{}:",
            Value::from(key.as_str())
        )));
        leaf(value, b.get(key)?, known_a, known_b, json)?;
    }
    json.push(Piece::Text("}".to_owned()));
    Some(())
}

fn leaf(
    a: &Value,
    b: &Value,
    known_a: Known<'_>,
    known_b: Known<'_>,
    json: &mut Vec<Piece>,
) -> Option<()> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => object(a, b, known_a, known_b, json)?,
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            json.push(Piece::Text("[".to_owned()));
            for (idx, (a, b)) in a.iter().zip(b).enumerate() {
                if idx > 0 {
                    json.push(Piece::Text(",".to_owned()));
                }
                leaf(a, b, known_a, known_b, json)?;
            }
            json.push(Piece::Text("]".to_owned()));
        }
        (Value::String(a), Value::String(b)) => {
            let parts = narrowed(explain(a, known_a), b, known_b)?;
            string(parts, json)?;
        }
        (Value::Number(x), Value::Number(y)) => {
            let parts = narrowed(explain(&x.to_string(), known_a), &y.to_string(), known_b)?;
            json.extend(pieces(parts, Form::Number)?);
        }
        (a, b) if a == b => json.push(Piece::Text(a.to_string())),
        _ => return None,
    }
    Some(())
}

/// A string of arguments. A value that is all of it may be any text; within a longer one it has to be plain.
fn string(parts: Vec<Part>, json: &mut Vec<Piece>) -> Option<()> {
    let form = match parts.as_slice() {
        [Part::Value(_)] => Form::Json,
        _ => Form::Plain,
    };
    json.push(Piece::Text("\"".to_owned()));
    for piece in pieces(parts, form)? {
        json.push(match piece {
            Piece::Text(text) => Piece::Text(Form::Json.put(&text)?),
            value => value,
        });
    }
    json.push(Piece::Text("\"".to_owned()));
    Some(())
}

/// The best source of each value.
fn pieces(parts: Vec<Part>, form: Form) -> Option<Vec<Piece>> {
    parts
        .into_iter()
        .map(|part| match part {
            Part::Text(text) => Some(Piece::Text(text)),
            Part::Value(sources) => Some(Piece::Value {
                source: sources.into_iter().next()?,
                form,
            }),
        })
        .collect()
}

/// Neighbouring texts as one.
fn joined(pieces: Vec<Piece>) -> Template {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Text(last)), Piece::Text(text)) => last.push_str(&text),
            (_, piece) => joined.push(piece),
        }
    }
    Template(joined)
}

/// The answer of the first as a template that says in the other's place what the other said.
fn answer(a: &Case, b: &Case, known_a: Known<'_>, known_b: Known<'_>) -> Option<Template> {
    let mut parts = explain(&a.answer, known_a);
    for part in &mut parts {
        if let Part::Value(sources) = part {
            let is_said = |source: &Source| {
                let value = source.value(known_b);
                value.is_some_and(|value| says(&b.answer, &value) || says(&b.asked, &value))
            };
            sources.retain(is_said);
            if sources.is_empty() {
                return None;
            }
        }
    }
    let template = Template(pieces(parts, Form::Raw)?);
    let said = template.render(known_b)?;
    agrees(&b.asked, &said, &b.answer).then_some(template)
}

pub(crate) fn says(text: &str, value: &str) -> bool {
    text.match_indices(value)
        .any(|(at, _)| is_apart(text, at, value.len()))
}

/// Whether all that the answer says beyond a few words was asked, put into a call or found. What a model concluded from
/// what it read may be wrong the next time.
fn says_nothing_of_its_own(plan: &Plan, case: &Case) -> bool {
    let is_outcome = |source: &Source| matches!(source, Source::Outcome { .. });
    if !plan.answer.sources().any(is_outcome) {
        return false;
    }
    let Some(said) = tokens(&plan.answer.words()) else {
        return false;
    };
    let arguments = case
        .calls
        .iter()
        .map(|call| Value::Object(call.arguments.clone()).to_string());
    let given = std::iter::once(case.asked.clone())
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ");
    let given = given.to_lowercase();
    let mut strangers = said.iter().filter(|token| {
        is_value(token) && token.kind != Kind::Name && !given.contains(&value(token))
    });
    strangers.next().is_none() && has_few_words_of_its_own(&plan.answer, &case.asked)
}

/// Whether an answer's own words are few: those that say something and were not asked.
pub(crate) fn has_few_words_of_its_own(answer: &Template, asked: &str) -> bool {
    let (Some(said), Some(asked)) = (tokens(&answer.words()), tokens(asked)) else {
        return false;
    };
    let own = said.iter().filter(|token| {
        token.role == Role::Content
            && token.text.contains(char::is_alphanumeric)
            && !asked
                .iter()
                .any(|word| word.meaning.to_lowercase() == token.meaning.to_lowercase())
    });
    own.count() <= OWN_WORDS_MAX
}
