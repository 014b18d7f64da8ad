//! Whether a reflex does what the model did: its component is run on recorded turns, with the outcomes that were recorded.
//! No tool runs.

use crate::agree::agrees;
use crate::case::Case;
use crate::learned::Program;
use crate::wording::Wording;
use crate::words::tokens;
use crate::written::{says_none, unproved};
use serde_json::Value;
use titan_protocol::ReflexStep;

/// How a reflex fared on a recorded turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It made the same calls and said the same.
    Agrees,
    /// It made the same calls and said something else.
    Differs(String),
    /// It left the turn to the model, or went another way, of which nothing is recorded.
    Unknown(String),
}

/// Runs a reflex on a recorded turn.
pub(crate) fn replay(program: &Program, values: &[String], case: &Case) -> Verdict {
    let mut outcomes: Vec<String> = Vec::new();
    loop {
        let (step, computed) = match program.step(values, &outcomes) {
            Ok(step) => step,
            Err(error) => return Verdict::Unknown(format!("it broke off: {error}")),
        };
        match step {
            ReflexStep::Decline(why) => return Verdict::Unknown(why),
            ReflexStep::Answer(_) if outcomes.len() < case.calls.len() => {
                return Verdict::Unknown("the model called more".to_owned());
            }
            ReflexStep::Answer(text) if agrees(&case.asked, &text, &case.answer) => {
                let unproved = unproved(&computed, &case.asked, &text, &case.answer);
                return unproved.map_or(Verdict::Agrees, |why| Verdict::Unknown(why.to_owned()));
            }
            ReflexStep::Answer(_) if says_none(&computed, &case.answer) => {
                return Verdict::Unknown("the model said in words that there is none".to_owned());
            }
            ReflexStep::Answer(text) => {
                return Verdict::Differs(format!(
                    "it says {:?}, the model said {:?}",
                    clip(&text),
                    clip(&case.answer)
                ));
            }
            ReflexStep::Call(calls) => {
                for call in calls {
                    let recorded = case.calls.get(outcomes.len());
                    let is_same = recorded
                        .is_some_and(|it| it.tool == call.tool && it.arguments == call.arguments);
                    let Some(recorded) = recorded.filter(|_| is_same) else {
                        let arguments = Value::Object(call.arguments).to_string();
                        return Verdict::Unknown(format!(
                            "it calls {} with {}, the model did not",
                            call.tool,
                            clip(&arguments)
                        ));
                    };
                    outcomes.push(recorded.outcome.clone());
                }
            }
        }
    }
}

/// The beginning of a text, for a line of a proof.
pub(crate) fn clip(text: &str) -> String {
    const CHARS_MAX: usize = 120;
    let mut clipped: String = text.chars().take(CHARS_MAX).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped.replace('\n', " ")
}

/// The first text near one that was asked, but with another meaning, that these wordings take for it.
pub(crate) fn taken_for_it(wordings: &[Wording], asked: &str) -> Option<String> {
    near_misses(asked).into_iter().find(|text| {
        let tokens = tokens(text);
        tokens.is_some_and(|tokens| {
            wordings
                .iter()
                .any(|wording| wording.values(&tokens).is_some())
        })
    })
}

/// Texts near one that mean something else: turned round, with more asked, with one word exchanged or gone.
fn near_misses(asked: &str) -> Vec<String> {
    let asked = asked.trim().trim_end_matches(['?', '.', '!']);
    let mut misses = vec![
        format!("don't do this: {asked}"),
        format!("{asked}, and then delete it"),
        format!("{asked} but only the first"),
        format!("why {asked}"),
    ];
    let words: Vec<&str> = asked.split_whitespace().collect();
    let tokens = tokens(asked).unwrap_or_default();
    for (idx, word) in words.iter().enumerate() {
        let is_content = tokens.iter().any(|token| {
            word.contains(token.text.as_str())
                && !token.is_value()
                && token.role == crate::words::Role::Content
        });
        if is_content {
            let mut other = words.clone();
            other[idx] = "zebra";
            misses.push(other.join(" "));
            other.remove(idx);
            misses.push(other.join(" "));
        }
    }
    misses
}
