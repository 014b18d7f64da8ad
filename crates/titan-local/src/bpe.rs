//! Byte-level BPE: which bytes are which token, and how neighbouring tokens merge into longer ones.
//!
//! The tables are built from a model file's lists without a text of its own for each token, because a process that
//! has just started waits for them. How text is cut into words before merging is the tokenizer's business.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher, RandomState};

/// No token, no neighbour.
const NONE: u32 = u32::MAX;

/// All tokens' bytes, found by number and by content.
pub(crate) struct Vocabulary {
    /// One token after another.
    bytes: Vec<u8>,
    /// Where each token begins in `bytes`, and where the last one ends.
    starts: Vec<u32>,
    /// Tokens by the hash of their bytes, `NONE` where there is none; a power of two of them, at most half of them taken.
    slots: Vec<u32>,
    hasher: RandomState,
}

impl Vocabulary {
    /// Of tokens that lie one after another in `bytes`, each from its start to the next one's. Where two have the same
    /// bytes, the later one is found.
    pub(crate) fn new(bytes: Vec<u8>, starts: Vec<u32>) -> Self {
        let count = starts.len().saturating_sub(1);
        let mut all = Self {
            bytes,
            starts,
            slots: vec![NONE; (count * 2).next_power_of_two()],
            hasher: RandomState::new(),
        };
        for id in 0..count as u32 {
            let slot = all.slot(all.bytes(id));
            all.slots[slot] = id;
        }
        all
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// A token's bytes; none when there is no such token.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        let at = id as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(from), Some(to)) => &self.bytes[*from as usize..*to as usize],
            _ => &[],
        }
    }

    /// The token with exactly these bytes.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<u32> {
        let id = self.slots[self.slot(bytes)];
        (id != NONE).then_some(id)
    }

    /// Where the token with these bytes is, or would be.
    fn slot(&self, bytes: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.hasher.hash_one(bytes) as usize & mask;
        while self.slots[at] != NONE && self.bytes(self.slots[at]) != bytes {
            at = (at + 1) & mask;
        }
        at
    }
}

/// Byte-level BPE writes each byte as a printable character; this is the way back.
pub(crate) struct Unmapping {
    /// By the character's code.
    bytes: [Option<u8>; CHARS],
}

/// Codes of the characters that stand for bytes are below this.
const CHARS: usize = 0x144;

impl Unmapping {
    pub(crate) fn new() -> Self {
        let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let mut bytes = [None; CHARS];
        let mut next = 256;
        for byte in 0..=u8::MAX {
            if printable(byte) {
                bytes[usize::from(byte)] = Some(byte);
            } else {
                bytes[next] = Some(byte);
                next += 1;
            }
        }
        Self { bytes }
    }

    /// Appends the bytes that a text stands for. A character that stands for none is taken as it is.
    pub(crate) fn append(&self, text: &str, out: &mut Vec<u8>) {
        for char in text.chars() {
            match self.bytes.get(char as usize) {
                Some(Some(byte)) => out.push(*byte),
                _ => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
}

/// The merges of one vocabulary.
pub(crate) struct Merges {
    pairs: HashMap<(u32, u32), Merge>,
    /// The token of each single byte, `NONE` where there is none.
    singles: [u32; 256],
    /// Whether a word that is a token is that token, however merges would make it.
    whole_first: bool,
}

#[derive(Clone, Copy)]
struct Merge {
    /// Lower ones are made first.
    rank: u32,
    token: u32,
}

/// A token of a word at work, and its neighbours.
#[derive(Clone, Copy)]
struct Link {
    token: u32,
    before: u32,
    after: u32,
    /// It was merged into the one before.
    is_gone: bool,
}

/// A merge that may be made: its rank, where, and what comes of it. The lowest rank goes first, then the leftmost.
type Candidate = Reverse<(u32, u32, u32)>;

impl Merges {
    /// Reads `left right` pairs in the order of their ranks. The error says what is wrong with one.
    pub(crate) fn new<'a>(
        vocabulary: &Vocabulary,
        unmapping: &Unmapping,
        pairs: impl Iterator<Item = Cow<'a, str>>,
        whole_first: bool,
    ) -> Result<Self, String> {
        let mut all = HashMap::with_capacity(vocabulary.len());
        let mut joined = Vec::new();
        let mut token = NONE;
        for (rank, pair) in (0..).zip(pairs) {
            let (left, right) = pair.split_once(' ').ok_or("a merge in it is no pair")?;
            joined.clear();
            unmapping.append(left, &mut joined);
            let middle = joined.len();
            unmapping.append(right, &mut joined);
            let find = |bytes: &[u8]| {
                let unknown = || format!("a merge in it is of an unknown token, {pair:?}");
                vocabulary.find(bytes).ok_or_else(unknown)
            };
            // What merges make is mostly listed in the order of the merges.
            token = token.wrapping_add(1);
            if joined.is_empty() || vocabulary.bytes(token) != joined {
                token = find(&joined)?;
            }
            let key = (find(&joined[..middle])?, find(&joined[middle..])?);
            all.insert(key, Merge { rank, token });
        }
        let single = |byte| vocabulary.find(&[byte]).unwrap_or(NONE);
        Ok(Self {
            pairs: all,
            singles: std::array::from_fn(|byte| single(byte as u8)),
            whole_first,
        })
    }

    /// Appends the tokens of a word. A byte without a token is left out.
    pub(crate) fn encode(&self, vocabulary: &Vocabulary, word: &[u8], out: &mut Vec<u32>) {
        if self.whole_first
            && let Some(id) = vocabulary.find(word)
        {
            return out.push(id);
        }
        let singles = word.iter().map(|byte| self.singles[usize::from(*byte)]);
        let mut links: Vec<Link> = (0..)
            .zip(singles.filter(|id| *id != NONE))
            .map(|(at, token): (u32, u32)| Link {
                token,
                before: at.wrapping_sub(1),
                after: at + 1,
                is_gone: false,
            })
            .collect();
        if let Some(last) = links.last_mut() {
            last.after = NONE;
        }
        self.merge(&mut links);
        let left = links.iter().filter(|link| !link.is_gone);
        out.extend(left.map(|link| link.token));
    }

    fn merge(&self, links: &mut [Link]) {
        let mut candidates: BinaryHeap<Candidate> = (0..links.len() as u32)
            .filter_map(|at| self.candidate(links, at))
            .collect();
        while let Some(Reverse((_, at, token))) = candidates.pop() {
            // What is at that place, or after it, may have been merged otherwise since.
            let is_current = self
                .candidate(links, at)
                .is_some_and(|Reverse((_, _, now))| now == token);
            if !is_current {
                continue;
            }
            let (here, gone) = (at as usize, links[at as usize].after as usize);
            links[gone].is_gone = true;
            links[here].token = token;
            links[here].after = links[gone].after;
            if let Some(after) = links.get_mut(links[gone].after as usize) {
                after.before = at;
            }
            candidates.extend(self.candidate(links, links[here].before));
            candidates.extend(self.candidate(links, at));
        }
    }

    /// The merge of the token at this place with the one after it, if there is one.
    fn candidate(&self, links: &[Link], at: u32) -> Option<Candidate> {
        let link = links.get(at as usize).filter(|link| !link.is_gone)?;
        let after = links.get(link.after as usize)?;
        let merge = self.pairs.get(&(link.token, after.token))?;
        Some(Reverse((merge.rank, at, merge.token)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::Model;
    use tokenizers::models::bpe::{BPE, Vocab};

    fn number(state: &mut u64, below: usize) -> usize {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) as usize % below
    }

    /// Tokens of four letters, and merges that make the longer ones, some of them in two ways.
    fn made_up(state: &mut u64) -> (Vec<String>, Vec<(String, String)>) {
        let mut tokens: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        let mut pairs = Vec::new();
        while pairs.len() < 60 {
            let left = tokens[number(state, tokens.len())].clone();
            let right = tokens[number(state, tokens.len())].clone();
            let joined = format!("{left}{right}");
            if joined.len() > 7 || pairs.contains(&(left.clone(), right.clone())) {
                continue;
            }
            if !tokens.contains(&joined) {
                tokens.push(joined);
            }
            pairs.push((left, right));
        }
        (tokens, pairs)
    }

    #[test]
    fn words_merge_as_in_the_reference() {
        let state = &mut 5;
        for whole_first in [false, true] {
            let (tokens, pairs) = made_up(state);
            let mut starts = vec![0];
            for token in &tokens {
                starts.push(starts[starts.len() - 1] + token.len() as u32);
            }
            let vocabulary = Vocabulary::new(tokens.concat().into_bytes(), starts);
            let texts = pairs
                .iter()
                .map(|(left, right)| Cow::from(format!("{left} {right}")));
            let merges = Merges::new(&vocabulary, &Unmapping::new(), texts, whole_first).unwrap();
            let reference = BPE::builder()
                .vocab_and_merges(tokens.into_iter().zip(0..).collect::<Vocab>(), pairs)
                .ignore_merges(whole_first)
                .build()
                .unwrap();
            for length in (0..3000).map(|i| i % 25) {
                let word: String = (0..length)
                    .map(|_| ['a', 'b', 'c', 'd'][number(state, 4)])
                    .collect();
                let expected: Vec<u32> = reference
                    .tokenize(&word)
                    .unwrap()
                    .iter()
                    .map(|token| token.id)
                    .collect();
                let mut got = Vec::new();
                merges.encode(&vocabulary, word.as_bytes(), &mut got);
                assert_eq!(got, expected, "{word}");
            }
        }
    }

    #[test]
    fn a_merge_of_what_is_no_token_is_refused() {
        let vocabulary = Vocabulary::new(b"abab".to_vec(), vec![0, 1, 2, 4]);
        let merge = |pair: &'static str| {
            let pairs = [Cow::from(pair)].into_iter();
            Merges::new(&vocabulary, &Unmapping::new(), pairs, false).map(drop)
        };
        assert_eq!(merge("a b"), Ok(()));
        for pair in ["b a", "a c", "ab", " "] {
            assert!(merge(pair).is_err(), "{pair:?}");
        }
    }

    #[test]
    fn every_byte_has_its_character() {
        let unmapping = Unmapping::new();
        let mut bytes = Vec::new();
        unmapping.append("\u{120}\u{10a}a\u{143}\u{444}", &mut bytes);
        assert_eq!(bytes, [&b" \na\xad"[..], "\u{444}".as_bytes()].concat());
        assert_eq!(unmapping.bytes.iter().flatten().count(), 256);
    }
}
