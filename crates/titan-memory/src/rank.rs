//! Which passages answer a question: by words, by meaning, by names and by what leads from one to another, together.

use crate::index::Index;
use crate::text;
use crate::top::top;
use std::collections::{BTreeMap, BTreeSet};
use titan_protocol::{MemoryReason, UnixMillis};

/// What the likeness of vectors weighs beside words.
const MEANING_WEIGHT: f32 = 0.2;
/// What it weighs that a passage is about a name of the question.
const NAME_WEIGHT: f32 = 0.25;
/// What is passed on from a passage to those that it leads to.
const LINK_WEIGHT: f32 = 0.35;
/// How much more is passed on for what the other passage says of the question that the first does not.
const COVER_WEIGHT: f32 = 3.0;
/// What a link weighs against its direction: from what is named to where it is named.
const BACK_WEIGHT: f32 = 0.5;
/// What PageRank weighs.
const RANK_WEIGHT: f32 = 0.1;
/// What is taken from a passage that says nothing of the question which those before it in the answer have not said.
const REPEATED_WEIGHT: f32 = 0.3;
/// Passages that links are followed from.
const FOLLOWED: usize = 20;
/// How many links are followed one after another.
const HOPS: usize = 2;
/// Passages that one name leads to; of a name with more, it leads to none.
const LED_TO_MAX: usize = 200;
/// Likenesses that are looked at.
const NEAREST: usize = 200;
/// Passages of one document in an answer, as long as there are others.
const OF_ONE_DOCUMENT_MAX: usize = 2;
/// Words of the question that a reason names.
const WORDS_NAMED_MAX: usize = 6;

/// Which parts of the ranking take part. All of them, but where one is measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// BM25.
    pub text: bool,
    /// Likeness of vectors.
    pub vector: bool,
    /// Names, links and PageRank.
    pub graph: bool,
}

impl Parts {
    /// All of them.
    pub const ALL: Self = Self {
        text: true,
        vector: true,
        graph: true,
    };
}

/// A question as the index takes it.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// In any words.
    pub text: &'a str,
    /// Its vector, in the space of the passages'.
    pub vector: Option<&'a [f32]>,
    /// Passages that are wanted.
    pub limit: usize,
    /// The time, to leave out what no longer holds; none to leave it in.
    pub now: Option<UnixMillis>,
    /// What takes part.
    pub parts: Parts,
}

/// A passage that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its document.
    pub document: String,
    /// Where it stands in the document, in bytes.
    pub at: std::ops::Range<usize>,
    /// Greater is better.
    pub score: f32,
    /// Why, the weightiest first.
    pub reasons: Vec<MemoryReason>,
}

/// What is known of the passages of one question, by their numbers.
struct Scores {
    /// Words and meaning together, at most 1, and names.
    base: Vec<f32>,
    likeness: BTreeMap<u32, f32>,
    named: BTreeMap<u32, u32>,
    /// From which passage and over which name the best link came.
    link: BTreeMap<u32, (u32, u32)>,
    total: Vec<f32>,
}

impl Index {
    /// The passages that answer a question best, best first.
    pub fn answer(&self, question: &Question<'_>) -> Vec<Found> {
        let words = text::folded(question.text);
        let stems = self.stems_of(&words);
        let holds = self.holding(question.now);
        let mut scores = self.by_words_and_meaning(question, &stems);
        if question.parts.graph {
            self.add_names(&words, &mut scores);
        }
        for (score, holds) in scores.base.iter_mut().zip(&holds) {
            if !holds {
                *score = 0.0;
            }
        }
        scores.total.clone_from(&scores.base);
        if question.parts.graph {
            self.follow_links(&stems, &holds, &mut scores);
            self.add_page_rank(&holds, &mut scores);
        }
        let chosen = self.choose(&scores.total, question.limit, &stems);
        chosen
            .into_iter()
            .map(|number| self.found(number, &stems, &scores))
            .collect()
    }

    /// Which passages are of documents that hold.
    fn holding(&self, now: Option<UnixMillis>) -> Vec<bool> {
        let mut holds: Vec<bool> = self.lengths.iter().map(Option::is_some).collect();
        for number in now.into_iter().flat_map(|now| self.ended(now)) {
            holds[number as usize] = false;
        }
        holds
    }

    fn by_words_and_meaning(&self, question: &Question<'_>, stems: &[u32]) -> Scores {
        let mut base = match question.parts.text {
            true => self.text_scores(stems),
            false => vec![0.0; self.passages.len()],
        };
        let best = base.iter().copied().fold(0.0, f32::max);
        if best > 0.0 {
            base.iter_mut().for_each(|score| *score /= best);
        }
        let nearest = match (question.parts.vector, question.vector) {
            (true, Some(vector)) => self
                .vectors
                .nearest(vector, NEAREST.min(self.vectors.count() / 2 + 1)),
            _ => Vec::new(),
        };
        // Where nothing has a word of the question, meaning is all there is.
        let (words, meaning) = match (best > 0.0, nearest.is_empty()) {
            (_, true) => (1.0, 0.0),
            (true, false) => (
                1.0 / (1.0 + MEANING_WEIGHT),
                MEANING_WEIGHT / (1.0 + MEANING_WEIGHT),
            ),
            (false, false) => (0.0, 1.0),
        };
        base.iter_mut().for_each(|score| *score *= words);
        let (most, least) = match nearest.as_slice() {
            [(_, most), .., (_, least)] => (*most, *least),
            _ => (1.0, 0.0),
        };
        for (number, likeness) in &nearest {
            let part = ((likeness - least) / (most - least).max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
            base[*number as usize] += meaning * part;
        }
        Scores {
            base,
            likeness: nearest.into_iter().collect(),
            named: BTreeMap::new(),
            link: BTreeMap::new(),
            total: Vec::new(),
        }
    }

    fn add_names(&self, words: &[String], scores: &mut Scores) {
        for name in self.names_in(words) {
            let entity = self.entity(name);
            let share = (entity.about.len() as f32).sqrt();
            for passage in entity.about.iter() {
                scores.base[passage as usize] += NAME_WEIGHT * self.rarity_of_name(name) / share;
                scores.named.insert(passage, name);
            }
        }
    }

    /// Passes the scores of the best passages on to those that they lead to, the more of them what the question asks
    /// beyond what the first one says, and from those on once more.
    fn follow_links(&self, stems: &[u32], holds: &[bool], scores: &mut Scores) {
        let weight_of: Vec<f32> = stems.iter().map(|stem| self.rarity(*stem)).collect();
        let all: f32 = weight_of.iter().sum();
        if stems.is_empty() {
            return;
        }
        // What is said on the way to a passage, for those that were come to by a link.
        let mut said: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for _ in 0..HOPS {
            let before = scores.total.clone();
            for from in self.best(&before, FOLLOWED) {
                let has = |stem: u32| {
                    self.has_stem(from, stem)
                        || said.get(&from).is_some_and(|said| said.contains(&stem))
                };
                let (known, open): (Vec<usize>, Vec<usize>) =
                    (0..stems.len()).partition(|at| has(stems[*at]));
                let known: BTreeSet<u32> = known.into_iter().map(|at| stems[at]).collect();
                for (to, (weight, name)) in self.links(from) {
                    if !holds[to as usize] {
                        continue;
                    }
                    let covered = open.iter().filter(|at| self.has_stem(to, stems[**at]));
                    let covered: f32 =
                        covered.map(|at| weight_of[*at]).sum::<f32>() / all.max(f32::MIN_POSITIVE);
                    let passed = LINK_WEIGHT
                        * before[from as usize]
                        * weight
                        * (1.0 + COVER_WEIGHT * covered);
                    let score = scores.base[to as usize] + passed;
                    if score > scores.total[to as usize] {
                        scores.total[to as usize] = score;
                        scores.link.insert(to, (from, name));
                        said.insert(to, known.clone());
                    }
                }
            }
        }
    }

    /// The passages that one leads to, how strongly, and over which name: those that are about what it names, and, more
    /// weakly, those that name what it is about.
    fn links(&self, from: u32) -> BTreeMap<u32, (f32, u32)> {
        let mut links: BTreeMap<u32, (f32, u32)> = BTreeMap::new();
        let passage = self.passage(from);
        let mut add = |to: u32, weight: f32, name: u32| {
            let known = links.entry(to).or_insert((weight, name));
            if to != from && weight > known.0 {
                *known = (weight, name);
            }
        };
        for name in self.names_of(from) {
            let about = &self.entity(name).about;
            let share = (about.len() as f32).sqrt();
            for to in about.iter() {
                add(to, 1.0 / share, name);
            }
        }
        for (name, _) in &passage.about {
            let entity = self.entity(*name);
            let mentioned = entity.mentioned_in();
            if mentioned.len() > LED_TO_MAX || !self.is_telling(*name) {
                continue;
            }
            let share = (entity.about.len() as f32).sqrt();
            for to in mentioned {
                add(to, BACK_WEIGHT / share, *name);
            }
        }
        links.remove(&from);
        links
    }

    /// PageRank from the best passages.
    fn add_page_rank(&self, holds: &[bool], scores: &mut Scores) {
        let seeds = self.best(&scores.base, FOLLOWED);
        let seeds: Vec<(u32, f32)> = seeds
            .into_iter()
            .map(|it| (it, scores.base[it as usize]))
            .collect();
        if seeds.is_empty() {
            return;
        }
        let ranks = self.graph().page_rank(&seeds);
        let best = ranks
            .iter()
            .take(self.passages.len())
            .copied()
            .fold(0.0, f32::max);
        for (number, rank) in ranks.iter().enumerate().take(self.passages.len()) {
            if holds[number] && *rank > 0.0 {
                scores.total[number] += RANK_WEIGHT * rank / best.max(f32::MIN_POSITIVE);
            }
        }
    }

    /// The passages with the best scores above 0; ties in an order that does not depend on how the index came to be.
    fn best(&self, scores: &[f32], limit: usize) -> Vec<u32> {
        let best_first = |a: &u32, b: &u32| {
            let by_score = scores[*b as usize].total_cmp(&scores[*a as usize]);
            by_score.then_with(|| self.passage(*a).key.cmp(&self.passage(*b).key))
        };
        let above = scores.iter().enumerate().filter(|(_, score)| **score > 0.0);
        let scored = above.map(|(number, score)| (number as u32, *score));
        top(scored, limit, |a, b| best_first(&a.0, &b.0))
            .into_iter()
            .map(|(number, _)| number)
            .collect()
    }

    /// The answer: the best of those that do not repeat one another, and of one document no more than some as long as there
    /// are others.
    fn choose(&self, scores: &[f32], limit: usize, stems: &[u32]) -> Vec<u32> {
        const LOOKED_AT: usize = 4;
        let best = self.best(scores, limit.saturating_mul(LOOKED_AT));
        let best = self.varied(&best, scores, stems);
        let mut of_document: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut chosen, rest): (Vec<u32>, Vec<u32>) = best.into_iter().partition(|number| {
            let count = of_document
                .entry(&self.passage(*number).document)
                .or_default();
            *count += 1;
            *count <= OF_ONE_DOCUMENT_MAX
        });
        chosen.extend(rest);
        chosen.truncate(limit);
        chosen
    }

    /// These passages, best first, in the order in which each adds most to those before it: maximal marginal relevance
    /// (Carbonell and Goldstein, 1998), where what is repeated is the words of the question, by how rare they are, and
    /// counts half as new with each passage that has them. A sentence that stands in a hundred documents so takes one
    /// place, and leaves the others to what else was asked for. The first stays the first.
    fn varied(&self, best: &[u32], scores: &[f32], stems: &[u32]) -> Vec<u32> {
        let weights: Vec<f32> = stems.iter().map(|stem| self.rarity(*stem)).collect();
        let says = |number: &u32| {
            let has = |at: &usize| self.has_stem(*number, stems[*at]);
            (*number, (0..stems.len()).filter(has).collect::<Vec<_>>())
        };
        let mut open: Vec<(u32, Vec<usize>)> = best.iter().map(says).collect();
        let mut is_new = vec![1.0_f32; stems.len()];
        let mut chosen = Vec::with_capacity(open.len());
        while !open.is_empty() {
            let worth = |(number, says): &(u32, Vec<usize>)| {
                let all: f32 = says.iter().map(|at| weights[*at]).sum();
                let new: f32 = says.iter().map(|at| weights[*at] * is_new[*at]).sum();
                let repeated = (all - new) / all.max(f32::MIN_POSITIVE);
                scores[*number as usize] * (1.0 - REPEATED_WEIGHT * repeated)
            };
            let worths: Vec<f32> = open.iter().map(worth).collect();
            let best_first =
                |a: &usize, b: &usize| worths[*b].total_cmp(&worths[*a]).then(a.cmp(b));
            let next = (0..open.len()).min_by(best_first).unwrap_or_default();
            let (number, says) = open.remove(next);
            says.into_iter().for_each(|at| is_new[at] /= 2.0);
            chosen.push(number);
        }
        chosen
    }

    fn found(&self, number: u32, stems: &[u32], scores: &Scores) -> Found {
        let passage = self.passage(number);
        let mut reasons = Vec::new();
        if let Some(name) = scores.named.get(&number) {
            let name = self.entity(*name).surface().to_owned();
            reasons.push(MemoryReason::Named { name });
        }
        let mut words: Vec<u32> = stems
            .iter()
            .filter(|stem| self.has_stem(number, **stem))
            .copied()
            .collect();
        words.sort_by(|a, b| self.rarity(*b).total_cmp(&self.rarity(*a)));
        words.truncate(WORDS_NAMED_MAX);
        let words: Vec<String> = words
            .into_iter()
            .map(|stem| self.stem_word(stem).to_owned())
            .collect();
        if !words.is_empty() {
            reasons.push(MemoryReason::Words { words });
        }
        let mut path = self.path_to(number, &scores.link);
        let has_reason = !reasons.is_empty() || scores.likeness.contains_key(&number);
        if path.len() == 1 && !has_reason {
            path = self.path_by_name(number, &scores.base).unwrap_or(path);
        }
        if path.len() > 1 {
            reasons.push(MemoryReason::Linked { path });
        }
        if let Some(likeness) = scores.likeness.get(&number) {
            reasons.push(MemoryReason::Meaning {
                likeness: *likeness,
            });
        }
        Found {
            document: passage.document.as_ref().to_owned(),
            at: passage.at.clone(),
            score: scores.total[number as usize],
            reasons,
        }
    }

    /// How a passage was come to that PageRank alone found: from the best one that shares a name with it.
    fn path_by_name(&self, number: u32, base: &[f32]) -> Option<Vec<String>> {
        let mut best: Option<(u32, u32)> = None;
        for name in self.held_names(number) {
            let entity = self.entity(name);
            let others: Vec<u32> = entity.about.iter().chain(entity.named_in()).collect();
            if others.len() > LED_TO_MAX {
                continue;
            }
            let others = others.into_iter();
            for other in others.filter(|it| *it != number && base[*it as usize] > 0.0) {
                let score = |it: u32| (base[it as usize], std::cmp::Reverse(self.passage(it).key));
                if best.is_none_or(|(known, _)| score(other) > score(known)) {
                    best = Some((other, name));
                }
            }
        }
        let (from, name) = best?;
        let ends = [from, number].map(|it| self.passage(it).label.as_ref().to_owned());
        let [from, to] = ends;
        Some(vec![from, self.entity(name).surface().to_owned(), to])
    }

    /// The passages and names from where a passage was come to.
    fn path_to(&self, number: u32, link: &BTreeMap<u32, (u32, u32)>) -> Vec<String> {
        let mut path = vec![self.passage(number).label.as_ref().to_owned()];
        let mut passed = vec![number];
        for _ in 0..HOPS {
            let Some((from, name)) = link.get(&passed[passed.len() - 1]) else {
                break;
            };
            // Two passages that name one another lead to each other.
            if passed.contains(from) {
                break;
            }
            path.push(self.entity(*name).surface().to_owned());
            path.push(self.passage(*from).label.as_ref().to_owned());
            passed.push(*from);
        }
        path.reverse();
        path
    }
}
