//! Text to tokens and back, as the model file's own tables say.
//!
//! Text never turns into control tokens, whatever it says: what frames a conversation is set by id, so a file that
//! contains `<|im_end|>` cannot end a message. Only byte-level BPE (`gpt2` in GGUF's words) is known, with the
//! splitting rules of the families that the decoder runs.

use crate::error::LocalError;
use crate::gguf::Gguf;
use std::collections::{HashMap, HashSet};
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

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

const SPLIT_QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SPLIT_LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How text is cut before merging.
enum Splitting {
    Pattern(&'static str),
    DigitsThenGpt2,
    Gpt2,
}

/// Splitting rules by the name that the file gives, and whether text is composed (NFC) first.
const SPLITTINGS: [(&str, Splitting, bool); 7] = [
    ("qwen2", Splitting::Pattern(SPLIT_QWEN2), true),
    ("llama-bpe", Splitting::Pattern(SPLIT_LLAMA3), false),
    ("llama3", Splitting::Pattern(SPLIT_LLAMA3), false),
    ("smaug-bpe", Splitting::Pattern(SPLIT_LLAMA3), false),
    ("smollm", Splitting::DigitsThenGpt2, false),
    ("gpt-2", Splitting::Gpt2, false),
    ("default", Splitting::Gpt2, false),
];

/// The tables of one model.
pub(crate) struct Tokenizer {
    merging: tokenizers::Tokenizer,
    /// All tokens' bytes, one after another.
    bytes: Vec<u8>,
    /// Where each token begins in `bytes`, and where the last one ends.
    starts: Vec<u32>,
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
        let tokens = file
            .texts("tokenizer.ggml.tokens")
            .ok_or_else(|| file.damaged("it has no list of tokens"))?;
        let kinds = file.integers("tokenizer.ggml.token_type").unwrap_or(&[]);
        let is_special = |id: usize| kinds.get(id).is_some_and(|k| SPECIAL_KINDS.contains(k));
        let unmapped = byte_of_char();
        let mut bytes = Vec::with_capacity(tokens.len() * 8);
        let mut starts = Vec::with_capacity(tokens.len() + 1);
        let mut specials = HashMap::new();
        for (id, token) in tokens.iter().enumerate() {
            starts.push(bytes.len() as u32);
            if is_special(id) {
                bytes.extend_from_slice(token.as_bytes());
                specials.insert(token.clone(), id as u32);
            } else {
                for char in token.chars() {
                    match unmapped.get(&char) {
                        Some(byte) => bytes.push(*byte),
                        None => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
                    }
                }
            }
        }
        starts.push(bytes.len() as u32);
        let named = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"]
            .into_iter()
            .filter_map(|key| file.size(key))
            .map(|id| id as u32)
            .filter(|id| (*id as usize) < tokens.len());
        let ends: HashSet<u32> = named
            .clone()
            .chain(ENDS.iter().filter_map(|end| specials.get(*end).copied()))
            .collect();
        let end = named
            .min()
            .or_else(|| ends.iter().min().copied())
            .ok_or_else(|| file.damaged("it does not say which token ends a text"))?;
        Ok(Self {
            merging: merging(file, tokens)?,
            bytes,
            starts,
            special_ids: specials.values().copied().collect(),
            specials,
            ends,
            end,
        })
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Plain text as tokens; never a control token.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        match self.merging.encode_fast(text, false) {
            Ok(encoding) => encoding.get_ids().to_vec(),
            Err(error) => {
                // Splitting can only fail on a text that exhausts the pattern's stack; bytes always have tokens.
                tracing::warn!(%error, "a text was split into bytes");
                self.encode_bytes(text.as_bytes())
            }
        }
    }

    fn encode_bytes(&self, text: &[u8]) -> Vec<u32> {
        let single: HashMap<u8, u32> = (0..self.len() as u32)
            .filter(|id| !self.is_special(*id))
            .filter_map(|id| match self.bytes(id) {
                [byte] => Some((*byte, id)),
                _ => None,
            })
            .collect();
        text.iter()
            .filter_map(|byte| single.get(byte).copied())
            .collect()
    }

    /// A token's bytes; of a control token, its name.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        let at = id as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(from), Some(to)) => &self.bytes[*from as usize..*to as usize],
            _ => &[],
        }
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

fn merging(file: &Gguf, tokens: &[String]) -> Result<tokenizers::Tokenizer, LocalError> {
    let name = file.text("tokenizer.ggml.pre").unwrap_or("default");
    let (_, splitting, compose) = SPLITTINGS
        .iter()
        .find(|row| row.0 == name)
        .ok_or_else(|| file.unsupported(format!("it splits text by the rules of {name}")))?;
    let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
    let merges: Option<Merges> = file
        .texts("tokenizer.ggml.merges")
        .unwrap_or(&[])
        .iter()
        .map(|merge| {
            let (left, right) = merge.split_once(' ')?;
            Some((left.to_owned(), right.to_owned()))
        })
        .collect();
    let merges = merges.ok_or_else(|| file.damaged("a merge in it is no pair"))?;
    let whole_first = name == "llama-bpe" || name == "llama3";
    let problem = |error: tokenizers::Error| file.damaged(format!("its tokenizer: {error}"));
    let bpe = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .ignore_merges(whole_first)
        .build()
        .map_err(problem)?;
    let mut all = tokenizers::Tokenizer::new(bpe);
    if *compose {
        all.with_normalizer(Some(NFC)).map_err(problem)?;
    }
    let bytes = ByteLevel::new(false, false, false);
    let splits = match splitting {
        Splitting::Pattern(pattern) => {
            let pattern = SplitPattern::Regex((*pattern).to_owned());
            let split =
                Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(problem)?;
            vec![split.into(), bytes.into()]
        }
        Splitting::DigitsThenGpt2 => {
            vec![
                Digits::new(true).into(),
                ByteLevel::new(false, false, true).into(),
            ]
        }
        Splitting::Gpt2 => vec![ByteLevel::new(false, false, true).into()],
    };
    all.with_pre_tokenizer(Some(Sequence::new(splits)));
    Ok(all)
}

/// Byte-level BPE writes each byte as a printable character; this is the way back.
fn byte_of_char() -> HashMap<char, u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut next = 256;
    (0..=u8::MAX)
        .map(|byte| {
            let code = if printable(byte) {
                u32::from(byte)
            } else {
                next += 1;
                next - 1
            };
            (
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                byte,
            )
        })
        .collect()
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

    #[test]
    fn every_byte_has_its_character() {
        let map = byte_of_char();
        assert_eq!(map.len(), 256);
        assert_eq!((map[&'Ġ'], map[&'Ċ'], map[&'a']), (b' ', b'\n', b'a'));
    }
}
