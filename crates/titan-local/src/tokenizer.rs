//! Text to tokens and back, as the model file's own tables say.
//!
//! Text never turns into control tokens, whatever it says: what frames a conversation is set by id, so a file that
//! contains `<|im_end|>` cannot end a message. Only byte-level BPE (`gpt2` in GGUF's words) is known, with the
//! splitting rules of the families that the decoder runs.

use crate::bpe::{Merges, Unmapping, Vocabulary};
use crate::error::LocalError;
use crate::gguf::Gguf;
use std::collections::{HashMap, HashSet};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::utils::SysRegex;
use tokenizers::{NormalizedString, Normalizer};

/// The kinds of tokens in GGUF that are not text: control and user-defined.
const SPECIAL_KINDS: [i64; 2] = [3, 4];

/// Tokens that end a reply, whatever else the file names.
const ENDS: [&str; 5] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "</s>",
];

pub(crate) const SPLIT_QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SPLIT_LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SPLIT_GPT2: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// How text is cut into words before merging.
struct Rules {
    /// What the file calls them.
    name: &'static str,
    pattern: &'static str,
    /// Text is composed (NFC) first.
    compose: bool,
    /// Each digit is a word.
    digits: bool,
    /// A word that is a token is that token, however merges would make it.
    whole_first: bool,
}

const RULES: [Rules; 7] = [
    rules("qwen2", SPLIT_QWEN2).composed(),
    rules("llama-bpe", SPLIT_LLAMA3).whole_first(),
    rules("llama3", SPLIT_LLAMA3).whole_first(),
    rules("smaug-bpe", SPLIT_LLAMA3),
    rules("smollm", SPLIT_GPT2).digits(),
    rules("gpt-2", SPLIT_GPT2),
    rules("default", SPLIT_GPT2),
];

const fn rules(name: &'static str, pattern: &'static str) -> Rules {
    Rules {
        name,
        pattern,
        compose: false,
        digits: false,
        whole_first: false,
    }
}

impl Rules {
    const fn composed(mut self) -> Self {
        self.compose = true;
        self
    }

    const fn digits(mut self) -> Self {
        self.digits = true;
        self
    }

    const fn whole_first(mut self) -> Self {
        self.whole_first = true;
        self
    }
}

/// The tables of one model.
pub(crate) struct Tokenizer {
    vocabulary: Vocabulary,
    merges: Merges,
    rules: &'static Rules,
    words: SysRegex,
    specials: HashMap<String, u32>,
    special_ids: HashSet<u32>,
    ends: HashSet<u32>,
    end: u32,
}

impl Tokenizer {
    /// Reads the tables.
    pub(crate) fn load(file: &Gguf) -> Result<Self, LocalError> {
        let model = file.text("tokenizer.ggml.model").unwrap_or("none");
        if model != "gpt2" {
            return Err(file.unsupported(format!("its tokenizer is of kind {model}, not gpt2")));
        }
        let name = file.text("tokenizer.ggml.pre").unwrap_or("default");
        let rules = RULES
            .iter()
            .find(|rules| rules.name == name)
            .ok_or_else(|| file.unsupported(format!("it splits text by the rules of {name}")))?;
        let tokens = file
            .texts("tokenizer.ggml.tokens")
            .ok_or_else(|| file.damaged("it has no list of tokens"))?;
        let count = tokens.len();
        let kinds = file.integers("tokenizer.ggml.token_type");
        let mut kinds = kinds.into_iter().flatten();
        let unmapping = Unmapping::new();
        let mut bytes = Vec::with_capacity(count * 8);
        let mut starts = Vec::with_capacity(count + 1);
        let mut specials = HashMap::new();
        for (id, token) in (0..).zip(tokens) {
            starts.push(bytes.len() as u32);
            if kinds
                .next()
                .is_some_and(|kind| SPECIAL_KINDS.contains(&kind))
            {
                bytes.extend_from_slice(token.as_bytes());
                specials.insert(token.into_owned(), id);
            } else {
                unmapping.append(&token, &mut bytes);
            }
        }
        starts.push(bytes.len() as u32);
        let named = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"]
            .into_iter()
            .filter_map(|key| file.size(key))
            .map(|id| id as u32)
            .filter(|id| (*id as usize) < count);
        let ends: HashSet<u32> = named
            .clone()
            .chain(ENDS.iter().filter_map(|end| specials.get(*end).copied()))
            .collect();
        let end = named
            .min()
            .or_else(|| ends.iter().min().copied())
            .ok_or_else(|| file.damaged("it does not say which token ends a text"))?;
        let vocabulary = Vocabulary::new(bytes, starts);
        let pairs = file.texts("tokenizer.ggml.merges");
        let merges = Merges::new(
            &vocabulary,
            &unmapping,
            pairs.into_iter().flatten(),
            rules.whole_first,
        )
        .map_err(|problem| file.damaged(problem))?;
        let words = SysRegex::new(rules.pattern)
            .map_err(|error| file.damaged(format!("its tokenizer: {error}")))?;
        Ok(Self {
            vocabulary,
            merges,
            rules,
            words,
            special_ids: specials.values().copied().collect(),
            specials,
            ends,
            end,
        })
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.vocabulary.len()
    }

    /// Plain text as tokens; never a control token.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        if self.rules.compose && !text.is_ascii() {
            self.encode_composed(&composed(text), &mut tokens);
        } else {
            self.encode_composed(text, &mut tokens);
        }
        tokens
    }

    fn encode_composed(&self, text: &str, tokens: &mut Vec<u32>) {
        if !self.rules.digits {
            return self.encode_words(text, tokens);
        }
        for piece in text.split_inclusive(char::is_numeric) {
            let digit = piece.char_indices().next_back();
            let digit = digit.filter(|(_, char)| char.is_numeric());
            let (before, digit) = piece.split_at(digit.map_or(piece.len(), |(at, _)| at));
            self.encode_words(before, tokens);
            self.merges
                .encode(&self.vocabulary, digit.as_bytes(), tokens);
        }
    }

    fn encode_words(&self, text: &str, tokens: &mut Vec<u32>) {
        let mut add = |word: &str| {
            self.merges
                .encode(&self.vocabulary, word.as_bytes(), tokens);
        };
        let mut at = 0;
        // What no word covers is one of its own: all that is left when a text exhausts the pattern's stack.
        for (from, to) in self.words.find_iter(text) {
            add(&text[at..from]);
            add(&text[from..to]);
            at = to;
        }
        add(&text[at..]);
    }

    /// A token's bytes; of a control token, its name.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        self.vocabulary.bytes(id)
    }

    /// The control token of this name.
    pub(crate) fn special(&self, name: &str) -> Option<u32> {
        self.specials.get(name).copied()
    }

    /// Whether it is a control token.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.special_ids.contains(&id)
    }

    /// Whether it ends a reply.
    pub(crate) fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// The token that ends a text.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }
}

fn composed(text: &str) -> String {
    let mut text = NormalizedString::from(text);
    match NFC.normalize(&mut text) {
        Ok(()) => {}
        Err(error) => tracing::warn!(%error, "a text was not composed"),
    }
    text.get().to_owned()
}

/// Gives text out of bytes as soon as its characters are whole.
#[derive(Debug, Default)]
pub(crate) struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Takes more bytes and gives all characters that are whole now. Bytes that can be no character become U+FFFD.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(whole) => {
                    text.push_str(whole);
                    self.pending.clear();
                    return text;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.pending[..valid]));
                    let Some(bad) = error.error_len() else {
                        self.pending.drain(..valid);
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.pending.drain(..valid + bad);
                }
            }
        }
    }

    /// What is left when nothing more comes.
    pub(crate) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_in_two_tokens_comes_out_once_and_whole() {
        let mut stream = Utf8Stream::default();
        assert_eq!(stream.push(&[b'a', 0xe2, 0x82]), "a");
        assert_eq!(stream.push(&[0xac, b'b']), "€b");
        assert_eq!(stream.push(&[0xff, b'c', 0xf0]), "\u{fffd}c");
        assert_eq!(stream.finish(), "\u{fffd}");
    }
}
