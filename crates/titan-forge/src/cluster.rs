//! Finds turns that asked the same with other values, were answered by the same calls, and say values that were neither
//! asked nor found: what a model computed. Of these values code can be written, of the rest there is a plan.

use crate::agree::{agrees, bare, is_in_letters, is_value, value, values as values_of};
use crate::case::Case;
use crate::mine::{Filled, Part, explain, has_few_words_of_its_own, outcomes, says, steps};
use crate::plan::{Form, Known, Piece, Plan, Source, Step, Template, remark};
use crate::wording::{Wording, align};
use crate::words::{Kind, Token, is_timeless, tokens};
use crate::written::kind_of;
use serde_json::Value;
use std::collections::BTreeSet;

/// Turns that there have to be: some are shown to whoever writes the code, and at least one is not.
const MEMBERS_MIN: usize = 3;
/// Turns that are shown.
pub(crate) const SHOWN: usize = 2;
/// Turns that are looked at; of the others, it is enough that they don't speak against it.
const MEMBERS_MAX: usize = 12;
/// Values of an answer that are computed.
const COMPUTED_MAX: usize = 4;
/// Turns with the same calls among which they are looked for.
const ALIKE_MAX: usize = 50;
/// Earlier turns whose words are laid beside the last one's.
const ALIGNED_MAX: usize = 4;

/// Turns of one kind, with what is the same in them.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// What is asked, and with which tools it is answered.
    pub(crate) key: String,
    pub(crate) wordings: Vec<Wording>,
    pub(crate) plan: Plan,
    /// What each computed value looks like.
    pub(crate) kinds: Vec<Kind>,
    /// Those that are shown first, then the others.
    pub(crate) members: Vec<Member>,
    /// How many there are in all.
    pub(crate) size: usize,
}

/// One of the turns.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) case: Case,
    /// What was asked about.
    pub(crate) values: Vec<String>,
    /// What the model computed.
    pub(crate) computed: Vec<String>,
}

impl Member {
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let calls = self.case.calls.iter();
        calls.map(|call| call.outcome.clone()).collect()
    }
}

/// The turns that are of one kind with a turn that has just ended; `cases` are all that are known, that one among them,
/// the newest first.
pub(crate) fn find<'a>(
    cases: impl Iterator<Item = &'a Case>,
    case: &Case,
    asked: &[Token],
) -> Option<Cluster> {
    let alike: Vec<(&Case, Vec<Token>)> = cases
        .filter(|other| is_alike(other, case))
        .filter_map(|other| Some((other, tokens(&other.asked)?)))
        .take(ALIKE_MAX)
        .collect();
    let aligned = alike.iter().filter(|(other, _)| other.turn != case.turn);
    let aligned = aligned.filter_map(|(other, said)| {
        let (slots, theirs) = align(asked, said)?;
        let wordings = vec![Wording::of(asked, &slots)?, Wording::of(said, &theirs)?];
        let texts = |tokens: &[Token], slots: &[crate::wording::SlotAt]| -> Vec<String> {
            let slots = slots.iter();
            slots.map(|slot| tokens[slot.at].text.clone()).collect()
        };
        let values = (texts(asked, &slots), texts(said, &theirs));
        let a = Filled {
            case,
            slots: &values.0,
        };
        let b = Filled {
            case: other,
            slots: &values.1,
        };
        Some((slots.len(), wordings, steps(a, b)?))
    });
    let found = aligned
        .take(ALIGNED_MAX)
        .filter_map(|(n, wordings, steps)| {
            // Where nothing is looked up and nothing differs, there is nothing to compute from.
            let has_source = n > 0 || !steps.is_empty();
            let cluster = has_source.then(|| of(&alike, wordings, steps))??;
            Some((n, cluster))
        });
    let (_, cluster) = found.max_by_key(|(n, cluster)| (*n, cluster.size))?;
    Some(cluster)
}

/// Whether two turns made the same calls. Where nothing was called, a question has to say all that is needed itself.
fn is_alike(a: &Case, b: &Case) -> bool {
    let called = |case: &Case| -> Vec<String> {
        let calls = case.calls.iter();
        calls.map(|call| call.tool.clone()).collect()
    };
    let says_all = |case: &Case| case.is_first && is_timeless(&case.asked);
    called(a) == called(b)
        && a.tools == b.tools
        && (!a.calls.is_empty() || (says_all(a) && says_all(b)))
}

/// The cluster of those turns that these wordings know and these steps explain.
fn of(alike: &[(&Case, Vec<Token>)], wordings: Vec<Wording>, steps: Vec<Step>) -> Option<Cluster> {
    let mut given = BTreeSet::new();
    let mut all: Vec<(&Case, Vec<String>)> = Vec::new();
    // The oldest first.
    for (case, tokens) in alike.iter().rev() {
        let Some(values) = wordings.iter().find_map(|wording| wording.values(tokens)) else {
            continue;
        };
        let is_new = given.insert((values.clone(), outcomes(case)));
        if is_new && made_these_calls(case, &values, &steps) {
            all.push((*case, values));
        }
    }
    // What only a few values speak for is no slot.
    let n_slots = all.first()?.1.len();
    let are_varied = (0..n_slots).all(|slot| {
        let distinct: BTreeSet<&String> = all.iter().map(|(_, values)| &values[slot]).collect();
        distinct.len() >= MEMBERS_MIN
    });
    if !are_varied {
        return None;
    }
    let (answer, kinds, mut members) = (0..all.len()).find_map(|base| common(&all, base))?;
    let size = members.len();
    members.truncate(MEMBERS_MAX);
    let first = &members.first()?.case;
    let mut hasher = blake3::Hasher::new();
    hasher.update(wordings.first()?.subject().as_bytes());
    hasher.update(&serde_json::to_vec(&first.tools).ok()?);
    for call in &first.calls {
        hasher.update(call.tool.as_bytes());
    }
    Some(Cluster {
        key: hasher.finalize().to_hex().to_string(),
        wordings,
        plan: Plan { steps, answer },
        kinds,
        members,
        size,
    })
}

fn made_these_calls(case: &Case, values: &[String], steps: &[Step]) -> bool {
    let outcomes = outcomes(case);
    let mut calls = case.calls.iter().zip(steps).enumerate();
    calls.all(|(idx, (call, step))| {
        let known = Known {
            slots: values,
            outcomes: &outcomes[..idx],
        };
        let arguments = step.arguments.render(known);
        let arguments = arguments.and_then(|json| serde_json::from_str::<Value>(&json).ok());
        arguments == Some(Value::Object(call.arguments.clone()))
            && remark(&call.outcome) == step.remark
    })
}

/// The answer of one turn as a template, with places for what was computed, and the turns that it holds for: that one
/// first, then one with other values. `None` where too few turns have it in common, or nothing differs in them.
fn common(all: &[(&Case, Vec<String>)], base: usize) -> Option<(Template, Vec<Kind>, Vec<Member>)> {
    let (template, kinds) = answer(all, base)?;
    let mut members: Vec<Member> = Vec::new();
    for (idx, (case, values)) in all.iter().enumerate() {
        let Some(computed) = computed(&template, &kinds, case, values) else {
            // What does not even give its own words again is no template.
            if idx == base {
                return None;
            }
            continue;
        };
        let member = Member {
            case: (*case).clone(),
            values: values.clone(),
            computed,
        };
        match idx == base {
            true => members.insert(0, member),
            false => members.push(member),
        }
    }
    let other = members
        .iter()
        .position(|it| it.computed != members[0].computed)?;
    let other = members.remove(other);
    members.insert(1, other);
    (members.len() >= MEMBERS_MIN).then_some((template, kinds, members))
}

/// A piece of an answer.
enum Said {
    Text(String),
    Found(Source),
}

fn answer(all: &[(&Case, Vec<String>)], base: usize) -> Option<(Template, Vec<Kind>)> {
    let (case, values) = &all[base];
    let found = outcomes(case);
    let known = Known {
        slots: values,
        outcomes: &found,
    };
    let asked = values_of(&tokens(&case.asked)?);
    let is_asked = |text: &str| {
        let tokens = tokens(&format!("a {text}")).unwrap_or_default();
        values_of(&tokens).iter().any(|value| asked.contains(value))
    };
    let mut said: Vec<Said> = Vec::new();
    for part in explain(&case.answer, known) {
        let piece = match part {
            Part::Text(text) => Said::Text(text),
            Part::Value(sources) => {
                let text = sources.first()?.value(known)?;
                let source = sources
                    .into_iter()
                    .find(|source| is_said_by_all(source, all));
                match source {
                    // What every question says need not be found.
                    Some(Source::Outcome { .. }) if is_asked(&text) => Said::Text(text),
                    Some(source) => Said::Found(source),
                    None => Said::Text(text),
                }
            }
        };
        match (said.last_mut(), piece) {
            (Some(Said::Text(last)), Said::Text(text)) => last.push_str(&text),
            (_, piece) => said.push(piece),
        }
    }
    let mut pieces = Vec::new();
    let mut kinds = Vec::new();
    for (idx, said) in said.into_iter().enumerate() {
        match said {
            Said::Found(source) => pieces.push(Piece::Value {
                source,
                form: Form::Raw,
            }),
            Said::Text(text) => split(&text, idx == 0, all, base, &mut pieces, &mut kinds)?,
        }
    }
    let template = Template(pieces);
    let is_fit = (1..=COMPUTED_MAX).contains(&kinds.len())
        && has_few_words_of_its_own(&template, &case.asked);
    is_fit.then_some((template, kinds))
}

/// Whether what a source gives in each of the turns is said there.
fn is_said_by_all(source: &Source, all: &[(&Case, Vec<String>)]) -> bool {
    all.iter().all(|(case, values)| {
        let outcomes = outcomes(case);
        let value = source.value(Known {
            slots: values,
            outcomes: &outcomes,
        });
        value.is_some_and(|value| says(&case.answer, &value) || says(&case.asked, &value))
    })
}

/// A text without a source, as words and values that were computed. `None` where one is of a kind that can't be.
fn split(
    text: &str,
    begins: bool,
    all: &[(&Case, Vec<String>)],
    base: usize,
    pieces: &mut Vec<Piece>,
    kinds: &mut Vec<Kind>,
) -> Option<()> {
    // In the middle of a sentence a capital letter makes a name.
    let before = if begins { "" } else { "a " };
    let read = tokens(&format!("{before}{text}"))?;
    let asked = tokens(&all[base].0.asked)?;
    let (mut at, mut done) = (0, 0);
    for token in read.iter().skip(usize::from(!begins)) {
        let (start, end) = place(text, at, token)?;
        at = end;
        let is_asked = asked.iter().any(|word| value(word) == value(token));
        let is_usual = token.kind == Kind::Name
            && !is_in_letters(bare(&token.text))
            && all
                .iter()
                .all(|(case, _)| says(&case.answer, bare(&token.text)));
        if !is_value(token) || is_asked || is_usual {
            continue;
        }
        let core = &text[start..end];
        let kind = kind_of(core)?;
        if start > done {
            pieces.push(Piece::Text(text[done..start].to_owned()));
        }
        pieces.push(Piece::Value {
            source: Source::Computed(u32::try_from(kinds.len()).ok()?),
            form: Form::Raw,
        });
        kinds.push(kind);
        done = end;
    }
    if done < text.len() {
        pieces.push(Piece::Text(text[done..].to_owned()));
    }
    Some(())
}

/// Where a word of a text stands that is read from left to right, without the marks around it.
fn place(text: &str, from: usize, token: &Token) -> Option<(usize, usize)> {
    let core = bare(&token.text);
    let at = from + text.get(from..)?.find(token.text.as_str())? + token.text.find(core)?;
    Some((at, at + core.len()))
}

/// The values that a turn's answer says in the places of a template; `None` where the template does not hold for it.
fn computed(
    template: &Template,
    kinds: &[Kind],
    case: &Case,
    slots: &[String],
) -> Option<Vec<String>> {
    let mut outcomes = outcomes(case);
    let known = Known {
        slots,
        outcomes: &outcomes,
    };
    let rest = Template(template.0.iter().map(without_computed).collect()).render(known)?;
    let (rest, asked) = (values_of(&tokens(&rest)?), values_of(&tokens(&case.asked)?));
    let mut said: Vec<String> = Vec::new();
    for token in tokens(&case.answer)?.iter().filter(|token| is_value(token)) {
        let text = match is_in_letters(bare(&token.text)) {
            true => value(token),
            false => bare(&token.text).to_owned(),
        };
        let is_known = rest.contains(&value(token)) || asked.contains(&value(token));
        if !is_known && !said.contains(&text) {
            said.push(text);
        }
    }
    let are_fit = said.len() == kinds.len()
        && said
            .iter()
            .zip(kinds)
            .all(|(one, kind)| kind_of(one) == Some(*kind));
    let lines = said.join("\n");
    outcomes.push(&lines);
    let ours = template.render(Known {
        slots,
        outcomes: &outcomes,
    })?;
    (are_fit && agrees(&case.asked, &ours, &case.answer)).then_some(said)
}

fn without_computed(piece: &Piece) -> Piece {
    match piece {
        Piece::Value {
            source: Source::Computed(_),
            ..
        } => Piece::Text(" ".to_owned()),
        piece => piece.clone(),
    }
}
