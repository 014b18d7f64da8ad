//! Passages that answer no question, made of a set's own: its sentences in other company, under other names.
//!
//! Sentences are those of passages that no question needs, so that no copy of what is looked for is called a mistake.
//! Half of the names in them are exchanged for others of the whole set, those that are asked about among them, as often
//! as the set has them.

use super::memory::next;

/// Sentences of one passage.
const SENTENCES: std::ops::Range<usize> = 3..6;

/// An endless row of passages, the same for the same set and seed.
pub(super) struct Distractors<'a> {
    sentences: Vec<&'a str>,
    names: Vec<&'a str>,
    state: u64,
}

impl<'a> Distractors<'a> {
    /// From passages with their titles, and whether some question needs them.
    pub(super) fn new(
        passages: impl Iterator<Item = (&'a [String], bool)> + Clone,
        seed: u64,
    ) -> Self {
        let unneeded = passages.clone().filter(|(_, is_needed)| !is_needed);
        let sentences = unneeded.flat_map(|(sentences, _)| sentences.iter().map(|it| it.trim()));
        let all = passages.flat_map(|(sentences, _)| sentences);
        let names = all.flat_map(|sentence| sentence.split_whitespace().skip(1).filter(is_name));
        Self {
            sentences: sentences.filter(|it| !it.is_empty()).collect(),
            names: names.map(bare).collect(),
            state: seed,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        next(&mut self.state) as usize % n.max(1)
    }

    fn name(&mut self) -> &'a str {
        let at = self.below(self.names.len());
        self.names[at]
    }

    fn sentence(&mut self) -> String {
        let at = self.below(self.sentences.len());
        let words: Vec<String> = self.sentences[at]
            .split_whitespace()
            .map(|word| match is_name(&word) && self.below(2) == 0 {
                true => word.replacen(bare(word), self.name(), 1),
                false => word.to_owned(),
            })
            .collect();
        words.join(" ")
    }
}

/// A title and a text.
impl Iterator for Distractors<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<(String, String)> {
        let title = format!("{} {}", self.name(), self.name());
        let n = SENTENCES.start + self.below(SENTENCES.len());
        let sentences: Vec<String> = (0..n).map(|_| self.sentence()).collect();
        Some((title, sentences.join(" ")))
    }
}

/// Whether a word is written as a name is.
fn is_name(word: &&str) -> bool {
    bare(word).chars().next().is_some_and(char::is_uppercase)
}

/// A word without what stands around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_same_each_time_and_hold_no_sentence_that_is_looked_for() {
        let needed = ["Ada Stone built the Helix.".to_owned()];
        let other = [
            "The River Tarn flows.".to_owned(),
            " It is long.".to_owned(),
        ];
        let passages = [(&needed[..], true), (&other[..], false)];
        let some = |seed| {
            Distractors::new(passages.into_iter(), seed)
                .take(50)
                .collect::<Vec<_>>()
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        assert!(some(1).iter().all(|(_, text)| !text.contains("built")));
        let names = some(1).into_iter().map(|(title, text)| title + &text);
        assert!(names.collect::<String>().contains("Helix"));
    }
}
