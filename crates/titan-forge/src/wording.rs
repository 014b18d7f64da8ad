//! How something is asked: words that have to be there, and slots for values.

use crate::words::{Kind, Role, Token};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A question in other words is the same only if the light words on which the two differ weigh little: at least so much of
/// all that was said has to be equal. Calibrated by `a_paraphrase_is_known_and_a_near_miss_is_not`.
const LIKENESS_MIN: f64 = 0.7;
const LIGHT_WEIGHT: f64 = 0.2;
/// Values that a question may have.
pub(crate) const SLOTS_MAX: usize = 4;
/// In a text with more words than this no word is looked at as a value.
const WORDS_OF_VALUES_MAX: usize = 24;
/// Content words that a wording has to have, at least.
const CONTENT_MIN: usize = 1;

/// One way to ask for something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wording {
    parts: Vec<Part>,
    /// For people: as it was written first, the values in braces.
    pub(crate) shown: String,
}

/// A part of a wording; fillers are none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Word {
        meaning: String,
        role: Standing,
    },
    /// A value that is always the same.
    Value(String),
    Slot {
        slot: usize,
        kind: Option<Kind>,
        /// The word before it, where several values are told apart by it.
        before: String,
    },
}

/// [`Role`], for what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Content,
    Guard,
    Light,
}

impl Standing {
    fn of(role: Role) -> Option<Self> {
        match role {
            Role::Content => Some(Self::Content),
            Role::Guard => Some(Self::Guard),
            Role::Light => Some(Self::Light),
            Role::Filler => None,
        }
    }
}

/// Which question a text is, whatever its values: the sum of the hashes of its content words and guards, so that one word
/// can be taken out of it by a subtraction.
pub(crate) type Key = u64;

fn hashed(meaning: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    meaning.hash(&mut hasher);
    hasher.finish()
}

/// The keys under which the wordings of a question may stand: its own, and those without one or two of its words, which may
/// be values that look like words.
pub(crate) fn keys(tokens: &[Token]) -> Vec<Key> {
    let words: Vec<u64> = strict_words(tokens)
        .map(|token| hashed(&token.meaning))
        .collect();
    let all = words
        .iter()
        .fold(0_u64, |sum, word| sum.wrapping_add(*word));
    let mut keys = vec![all];
    if words.len() > WORDS_OF_VALUES_MAX {
        return keys;
    }
    for (idx, one) in words.iter().enumerate() {
        keys.push(all.wrapping_sub(*one));
        keys.extend(
            words[idx + 1..]
                .iter()
                .map(|other| all.wrapping_sub(*one).wrapping_sub(*other)),
        );
    }
    keys
}

fn strict_words(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    tokens
        .iter()
        .filter(|token| !token.is_value() && is_strict(token))
}

fn is_strict(token: &Token) -> bool {
    matches!(token.role, Role::Content | Role::Guard)
}

impl Wording {
    /// The wording of a text whose tokens at these places are slots.
    pub(crate) fn of(tokens: &[Token], slots: &[SlotAt]) -> Option<Self> {
        let mut parts = Vec::new();
        let mut shown = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let slot = slots.iter().find(|slot| slot.at == at);
            shown.push(match slot {
                Some(slot) => format!("{{{}}}", slot.slot),
                None => token.text.clone(),
            });
            if let Some(slot) = slot {
                parts.push(Part::Slot {
                    slot: slot.slot,
                    kind: slot.kind,
                    before: word_before(tokens, at),
                });
            } else if token.is_value() {
                parts.push(Part::Value(token.text.to_lowercase()));
            } else if let Some(role) = Standing::of(token.role) {
                let meaning = token.meaning.clone();
                parts.push(Part::Word { meaning, role });
            }
        }
        let content = parts.iter().filter(|part| {
            matches!(
                part,
                Part::Word {
                    role: Standing::Content,
                    ..
                }
            )
        });
        (content.count() >= CONTENT_MIN && slots.len() <= SLOTS_MAX).then(|| Self {
            parts,
            shown: shown.join(" "),
        })
    }

    pub(crate) fn key(&self) -> Key {
        let strict = self.parts.iter().filter_map(|part| match part {
            Part::Word {
                meaning,
                role: Standing::Content | Standing::Guard,
            } => Some(hashed(meaning)),
            _ => None,
        });
        strict.fold(0, u64::wrapping_add)
    }

    /// What is asked, whatever the values and however it is put.
    pub(crate) fn subject(&self) -> String {
        let strict = self.parts.iter().filter_map(|part| match part {
            Part::Word {
                meaning,
                role: Standing::Content | Standing::Guard,
            } => Some(meaning.as_str()),
            _ => None,
        });
        strict.collect::<Vec<_>>().join(" ")
    }

    /// The values of the slots, if this asks the same: in the same words, or in other words beyond doubt.
    pub(crate) fn values(&self, tokens: &[Token]) -> Option<Vec<String>> {
        self.in_the_same_words(tokens)
            .or_else(|| self.in_other_words(tokens))
    }

    fn in_the_same_words(&self, tokens: &[Token]) -> Option<Vec<String>> {
        let mut said = (0..tokens.len()).filter(|at| tokens[*at].role != Role::Filler);
        let n_slots = self.slots();
        let mut values = vec![String::new(); n_slots];
        for part in &self.parts {
            let at = said.next()?;
            let token = &tokens[at];
            match part {
                Part::Word { meaning, .. } if !token.is_value() && token.meaning == *meaning => {}
                Part::Value(value) if token.text.to_lowercase() == *value => {}
                Part::Slot { slot, kind, before } if fits_here(*kind, token) => {
                    let word = word_before(tokens, at);
                    // What is done for somebody is not done to them.
                    let is_told_apart = n_slots > 1 && word != *before;
                    if is_told_apart || direction(&word) != direction(before) {
                        return None;
                    }
                    values[*slot].clone_from(&token.text);
                }
                _ => return None,
            }
        }
        said.next().is_none().then_some(values)
    }

    /// The words that say what is asked are the same and in the same order, since miles to kilometres is not kilometres
    /// to miles; how it is asked may differ.
    fn in_other_words(&self, tokens: &[Token]) -> Option<Vec<String>> {
        let own = self.parts.iter().filter_map(|part| match part {
            Part::Word {
                meaning,
                role: Standing::Content | Standing::Guard,
            } => Some(meaning.as_str()),
            _ => None,
        });
        let theirs = strict_words(tokens).map(|token| token.meaning.as_str());
        if !own.clone().eq(theirs) || self.likeness(own.count(), tokens) < LIKENESS_MIN {
            return None;
        }
        let places = self.fill(tokens)?;
        let values = places.into_iter().map(|at| tokens[at].text.clone());
        Some(values.collect())
    }

    /// How much of what both say is said by both, when so many words that count are the same.
    fn likeness(&self, n_strict: usize, tokens: &[Token]) -> f64 {
        let own: BTreeSet<&str> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Word {
                    meaning,
                    role: Standing::Light,
                } => Some(meaning.as_str()),
                _ => None,
            })
            .collect();
        let lights = tokens.iter().filter(|token| token.role == Role::Light);
        let theirs: BTreeSet<&str> = lights.map(|token| token.meaning.as_str()).collect();
        let weight = |n_light: usize| n_strict as f64 + LIGHT_WEIGHT * n_light as f64;
        weight(own.intersection(&theirs).count()) / weight(own.union(&theirs).count())
    }

    /// Puts every value of a text into a slot of its kind: where each slot's value stands. Two of one kind are told apart
    /// by the words before them, or not at all.
    fn fill(&self, tokens: &[Token]) -> Option<Vec<usize>> {
        let mut places = vec![None; self.slots()];
        let mut open: Vec<usize> = (0..tokens.len())
            .filter(|at| tokens[*at].is_value())
            .collect();
        for part in &self.parts {
            if let Part::Value(value) = part {
                let idx = open
                    .iter()
                    .position(|at| tokens[*at].text.to_lowercase() == *value)?;
                open.remove(idx);
            }
        }
        for at in open {
            let heading = word_before(tokens, at);
            let fitting: Vec<(usize, &str)> = self
                .fitting(&tokens[at])
                .filter(|(_, before)| direction(before) == direction(&heading))
                .collect();
            let slot = match fitting.as_slice() {
                [(slot, _)] => *slot,
                several => {
                    let mut same = several
                        .iter()
                        .filter(|(_, before)| !heading.is_empty() && *before == heading);
                    let (slot, _) = same.next()?;
                    same.next().is_none().then_some(*slot)?
                }
            };
            match &mut places[slot] {
                place @ None => *place = Some(at),
                Some(_) => return None,
            }
        }
        places.into_iter().collect()
    }

    /// Where the values of a text would stand that asks the same in words that are not known, and what they are.
    pub(crate) fn slots_of(&self, tokens: &[Token]) -> Option<(Vec<SlotAt>, Vec<String>)> {
        let places = self.fill(tokens)?;
        let values = places.iter().map(|at| tokens[*at].text.clone()).collect();
        let slots = places.into_iter().enumerate().map(|(slot, at)| SlotAt {
            at,
            slot,
            kind: Some(tokens[at].kind),
        });
        Some((slots.collect(), values))
    }

    fn fitting(&self, token: &Token) -> impl Iterator<Item = (usize, &str)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Slot {
                slot,
                kind: Some(kind),
                before,
            } if *kind == token.kind => Some((*slot, before.as_str())),
            _ => None,
        })
    }

    fn slots(&self) -> usize {
        self.parts
            .iter()
            .filter(|part| matches!(part, Part::Slot { .. }))
            .count()
    }
}

/// Whether a value may stand in a slot where all words around it are equal.
fn fits_here(kind: Option<Kind>, token: &Token) -> bool {
    match kind {
        None => token.role != Role::Guard,
        Some(Kind::Name) => {
            matches!(token.kind, Kind::Name | Kind::Quoted) || token.role == Role::Content
        }
        Some(Kind::Quoted) => matches!(
            token.kind,
            Kind::Quoted | Kind::Path | Kind::Code | Kind::Name
        ),
        Some(kind) => token.kind == kind,
    }
}

/// The word before a place: what tells `from` from `to`.
fn word_before(tokens: &[Token], at: usize) -> String {
    let word = at.checked_sub(1).map(|at| &tokens[at]);
    word.filter(|word| !word.is_value())
        .map(|word| word.meaning.clone())
        .unwrap_or_default()
}

/// The words that say whither and for whom, where a value follows them; all others only say that one follows.
fn direction(before: &str) -> &str {
    match before {
        "to" | "for" => before,
        _ => "",
    }
}

/// A place of a text that is a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotAt {
    /// The token.
    pub(crate) at: usize,
    pub(crate) slot: usize,
    pub(crate) kind: Option<Kind>,
}

/// Two texts as one question: where their slots are, in each. `None` where they are two questions.
pub(crate) fn align(a: &[Token], b: &[Token]) -> Option<(Vec<SlotAt>, Vec<SlotAt>)> {
    in_step(a, b).or_else(|| by_their_values(a, b))
}

/// Word for word, but for the slots.
fn in_step(a: &[Token], b: &[Token]) -> Option<(Vec<SlotAt>, Vec<SlotAt>)> {
    let said = |tokens: &[Token]| -> Vec<usize> {
        (0..tokens.len())
            .filter(|at| tokens[*at].role != Role::Filler)
            .collect()
    };
    let (places_a, places_b) = (said(a), said(b));
    if places_a.len() != places_b.len() {
        return None;
    }
    let (mut slots_a, mut slots_b) = (Vec::new(), Vec::new());
    for (at_a, at_b) in places_a.into_iter().zip(places_b) {
        let (one, other) = (&a[at_a], &b[at_b]);
        let is_equal = one.is_value() == other.is_value()
            && one.meaning.to_lowercase() == other.meaning.to_lowercase();
        if is_equal {
            continue;
        }
        if one.role != Role::Content || other.role != Role::Content {
            return None;
        }
        if direction(&word_before(a, at_a)) != direction(&word_before(b, at_b)) {
            return None;
        }
        let kind = (one.kind == other.kind && one.is_value()).then_some(one.kind);
        let slot = slots_a.len();
        slots_a.push(SlotAt {
            at: at_a,
            slot,
            kind,
        });
        slots_b.push(SlotAt {
            at: at_b,
            slot,
            kind,
        });
    }
    (slots_a.len() <= SLOTS_MAX).then_some((slots_a, slots_b))
}

/// In other words: the same content in the same order, and values of the same kinds.
fn by_their_values(a: &[Token], b: &[Token]) -> Option<(Vec<SlotAt>, Vec<SlotAt>)> {
    let meanings = |tokens| strict_words(tokens).map(|token| token.meaning.as_str());
    if !meanings(a).eq(meanings(b)) {
        return None;
    }
    let values = |tokens: &[Token]| -> Vec<usize> {
        (0..tokens.len())
            .filter(|at| tokens[*at].is_value())
            .collect()
    };
    let (mut slots_a, mut slots_b) = (Vec::new(), Vec::new());
    let mut rest = values(b);
    for at in values(a) {
        if let Some(same) = rest
            .iter()
            .position(|other| b[*other].text.to_lowercase() == a[at].text.to_lowercase())
        {
            rest.remove(same);
            continue;
        }
        let kind = Some(a[at].kind);
        slots_a.push(SlotAt {
            at,
            slot: slots_a.len(),
            kind,
        });
    }
    for slot in &slots_a {
        let mut fitting = rest.iter().filter(|at| Some(b[**at].kind) == slot.kind);
        let at = *fitting.next()?;
        let is_alone = fitting.next().is_none();
        let twins = slots_a
            .iter()
            .filter(|other| other.kind == slot.kind)
            .count();
        if !(is_alone && twins == 1) {
            return None;
        }
        slots_b.push(SlotAt { at, ..*slot });
    }
    let is_whole = slots_b.len() == rest.len() && slots_a.len() <= SLOTS_MAX;
    is_whole.then_some((slots_a, slots_b))
}
