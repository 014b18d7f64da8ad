//! The part of a reflex that a model wrote: a pure function from what was asked and found to the values of an answer that
//! nobody gave. It has no capability, so that whatever it was written from, and whatever it is given, the worst that it can
//! do is to give a wrong value.

use crate::agree::{bare, is_in_letters, is_value, value};
use crate::plan::{Plan, remark};
use crate::words::{Kind, tokens};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use titan_protocol::{Computation, ReflexProgram, ReflexStep};

/// The longest value that is computed, in bytes.
const VALUE_BYTES_MAX: usize = 100;

/// What is kept of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// The calls, and the answer with places for what is computed.
    pub(crate) plan: Plan,
    /// The source, a file in Rust.
    pub(crate) source: String,
    /// The hash of the component that it is.
    pub(crate) component: String,
    /// The provider and model that wrote it.
    pub(crate) by: String,
    /// What each computed value looks like.
    pub(crate) kinds: Vec<Kind>,
    /// Turns that its writer saw.
    pub(crate) shown: usize,
}

/// What the code is given, as the JSON object that it reads.
pub(crate) fn input(values: &[String], outcomes: &[String]) -> String {
    json!({ "values": values, "outcomes": outcomes }).to_string()
}

/// The next step of a reflex with code in it, and the values that were computed for it. What the code says or does wrong
/// leaves the turn to the model.
///
/// # Errors
/// When the plan's component breaks off.
pub(crate) fn step(
    written: &Written,
    plan: &dyn ReflexProgram,
    code: &dyn Computation,
    values: &[String],
    outcomes: &[String],
) -> Result<(ReflexStep, Vec<String>), String> {
    if outcomes.len() != written.plan.steps.len() {
        return Ok((plan.next(values, outcomes)?, Vec::new()));
    }
    let computed = code
        .compute(&input(values, outcomes))
        .and_then(|given| checked(&given, &written.kinds));
    let computed = match computed {
        Ok(computed) => computed,
        Err(why) => {
            let why = format!("what computes its answer gave none: {why}");
            return Ok((ReflexStep::Decline(why), Vec::new()));
        }
    };
    let mut given = outcomes.to_vec();
    given.push(computed.join("\n"));
    Ok((plan.next(values, &given)?, computed))
}

/// The values of an output: a line each, and each a value that looks as it should.
fn checked(given: &str, kinds: &[Kind]) -> Result<Vec<String>, String> {
    let lines: Vec<String> = given
        .trim()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect();
    let are_fit = lines.len() == kinds.len()
        && lines
            .iter()
            .zip(kinds)
            .all(|(line, kind)| line.len() <= VALUE_BYTES_MAX && kind_of(line) == Some(*kind));
    match are_fit {
        true => Ok(lines),
        false => Err("it is not what it gave before".to_owned()),
    }
}

/// What a value looks like that can be computed. What stands in quotes and addresses can't, since it could be anything.
pub(crate) fn kind_of(text: &str) -> Option<Kind> {
    // A word at the beginning of a sentence says nothing by its capital letter.
    let tokens = tokens(&format!("a {text}"))?;
    let [_, token] = tokens.as_slice() else {
        return None;
    };
    let is_whole = token.text == text && bare(text) == text && is_value(token);
    match token.kind {
        Kind::Quoted | Kind::Url => None,
        _ if is_in_letters(text) => Some(Kind::Number),
        kind => is_whole.then_some(kind),
    }
}

/// The form of a value that was asked about: `37` is of another than `36.6`, and both than `many`. Code is only trusted with
/// the forms that it was proved on.
pub(crate) fn form(text: &str) -> String {
    let looks = match tokens(&format!("a {text}")).as_deref() {
        Some([_, token]) if token.text == text => Some(token.kind),
        _ => None,
    };
    let is_measured = text.contains(|c: char| c.is_ascii_digit())
        && matches!(looks, Some(Kind::Number | Kind::Date | Kind::Word));
    if !is_measured {
        return looks.map_or_else(|| "text".to_owned(), |kind| format!("{kind:?}"));
    }
    let mut form = String::new();
    for c in text.chars() {
        match c.is_ascii_digit() {
            true if form.ends_with('0') => {}
            true => form.push('0'),
            false => form.push(c),
        }
    }
    form
}

/// The forms of each value.
pub(crate) type Forms = Vec<BTreeSet<String>>;

/// Whether all values are of a form that is known.
pub(crate) fn are_known(forms: &Forms, values: &[String]) -> bool {
    forms.len() == values.len()
        && forms
            .iter()
            .zip(values)
            .all(|(forms, value)| forms.contains(&form(value)))
}

/// Adds the forms of these values.
pub(crate) fn learn_forms(forms: &mut Forms, values: &[String]) {
    forms.resize_with(values.len(), BTreeSet::new);
    for (forms, value) in forms.iter_mut().zip(values) {
        forms.insert(form(value));
    }
}

/// Why an answer that agrees with a model's proves nothing of what was computed: the value stands in the question or
/// elsewhere in the answer too, so that a wrong one would not be seen, or the values stand in another order.
pub(crate) fn unproved(
    computed: &[String],
    asked: &str,
    ours: &str,
    theirs: &str,
) -> Option<&'static str> {
    const SAID_ANYWAY: &str = "what was computed is said anyway, so that it proves nothing";
    let in_order = |text: &str| -> Vec<String> {
        let tokens = tokens(text).unwrap_or_default();
        tokens
            .iter()
            .filter(|token| is_value(token))
            .map(value)
            .collect()
    };
    let computed: Vec<String> = computed
        .iter()
        .flat_map(|one| in_order(&format!("a {one}")))
        .collect();
    let (asked, ours, theirs) = (in_order(asked), in_order(ours), in_order(theirs));
    for one in &computed {
        let times = ours.iter().filter(|said| *said == one).count();
        if times > 1 || asked.contains(one) {
            return Some(SAID_ANYWAY);
        }
    }
    let mut said: Vec<String> = Vec::new();
    for one in theirs.into_iter().filter(|one| computed.contains(one)) {
        if !said.contains(&one) {
            said.push(one);
        }
    }
    (said != computed).then_some("the model said the values in another order")
}

/// Whether a model said in words what was computed as nought, which can't be compared.
pub(crate) fn says_none(computed: &[String], theirs: &str) -> bool {
    let says = |token: &crate::words::Token| {
        matches!(
            token.meaning.as_str(),
            "no" | "none" | "nothing" | "not" | "never"
        )
    };
    computed.iter().any(|one| one == "0")
        && tokens(theirs).is_some_and(|said| said.iter().any(says))
}

/// Whether what a call gave ended as it did before: what a program printed when it failed may hold a number too.
pub(crate) fn ended_otherwise(plan: &Plan, outcomes: &[String]) -> Option<String> {
    let mut given = plan.steps.iter().zip(outcomes);
    let (step, _) = given.find(|(step, outcome)| remark(outcome) != step.remark)?;
    Some(format!("{} ended otherwise than before", step.tool))
}
