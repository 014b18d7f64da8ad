//! Instant vectors: a table of one vector per token, averaged over a text (WordLlama, 256 numbers).
//!
//! The table is part of the program, as bytes with a scale per row; its pages are read from disk when they are first
//! used. A short text takes some microseconds. Good for routing and a first ranking; knows nothing of word order.

use crate::PROVIDER;
use async_trait::async_trait;
use flate2::read::DeflateDecoder;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::Read;
use std::sync::OnceLock;
use titan_protocol::{Embedder, ModelError};

/// Made by `examples/embedding_table.rs` from the published table; see `assets/README.md`.
static TABLE: &[u8] = include_bytes!("../assets/wordllama-256.bin");

const MAGIC: &[u8; 4] = b"TWE1";
/// Characters of a text that count; the rest is left out.
const TEXT_CHARS_MAX: usize = 64_000;
/// Bytes of the list of tokens, at most.
const TOKENS_BYTES_MAX: u64 = 4 << 20;
/// Texts after which other tasks get a turn.
const TEXTS_PER_TURN: usize = 64;
/// Tokens that stand for no text: unknown, begin, end.
const CONTROL_TOKENS: u32 = 3;

/// Turns texts into unit vectors of 256 numbers, in this process and without a download.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalEmbedder;

impl LocalEmbedder {
    /// The length of its vectors.
    pub const DIMENSIONS: usize = 256;

    /// The embedder. The table is unpacked at the first text, which takes some milliseconds.
    pub fn new() -> Self {
        Self
    }

    /// The vector of one text: of length 1, or all zeros when the text is empty.
    ///
    /// # Errors
    /// When the table in the program is damaged.
    pub fn vector(&self, text: &str) -> Result<Vec<f32>, ModelError> {
        static LOADED: OnceLock<Option<Table>> = OnceLock::new();
        LOADED
            .get_or_init(|| Table::load(TABLE))
            .as_ref()
            .map(|table| table.vector(text))
            .ok_or_else(|| ModelError::Malformed {
                provider: PROVIDER.into(),
                detail: "the table of vectors in the program is damaged; install it again".into(),
            })
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn space(&self) -> &str {
        "wordllama-256-int8"
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for some in texts.chunks(TEXTS_PER_TURN) {
            for text in some {
                vectors.push(self.vector(text)?);
            }
            tokio::task::yield_now().await;
        }
        Ok(vectors)
    }
}

struct Table {
    rows: &'static [u8],
    scales: Vec<f32>,
    ids: HashMap<String, u32>,
    bytes: Vec<u32>,
}

impl Table {
    fn load(file: &'static [u8]) -> Option<Self> {
        let number = |at: usize| -> Option<usize> {
            Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize)
        };
        let (count, dimensions) = (number(4)?, number(8)?);
        if file.get(..4)? != MAGIC || dimensions != LocalEmbedder::DIMENSIONS {
            return None;
        }
        let scales_at = 12;
        let rows_at = scales_at + count * 2;
        let tokens_at = rows_at + count * dimensions;
        let scales = file.get(scales_at..rows_at)?.chunks_exact(2);
        let scales = scales.map(|half| crate::quant::half_at(half, 0)).collect();
        let mut list = String::new();
        DeflateDecoder::new(file.get(tokens_at..)?)
            .take(TOKENS_BYTES_MAX)
            .read_to_string(&mut list)
            .ok()?;
        // Tokens are separated by a character that none of them has.
        let ids: HashMap<String, u32> = list.split('\0').map(str::to_owned).zip(0..).collect();
        let bytes = (0..=u8::MAX).map(|byte| ids.get(&format!("<0x{byte:02X}>")).copied());
        let bytes = bytes.collect::<Option<_>>()?;
        (ids.len() == count).then_some(Self {
            rows: file.get(rows_at..tokens_at)?,
            scales,
            ids,
            bytes,
        })
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut sum = vec![0.0; LocalEmbedder::DIMENSIONS];
        for id in self.encode(text) {
            let at = id as usize * LocalEmbedder::DIMENSIONS;
            let scale = self.scales[id as usize];
            let row = &self.rows[at..at + LocalEmbedder::DIMENSIONS];
            for (sum, byte) in sum.iter_mut().zip(row) {
                *sum += scale * f32::from(byte.cast_signed());
            }
        }
        let length = sum.iter().map(|n| n * n).sum::<f32>().sqrt();
        if length > 0.0 {
            sum.iter_mut().for_each(|n| *n /= length);
        }
        sum
    }

    /// The text's tokens: characters, joined pairwise, the token with the lowest number first.
    fn encode(&self, text: &str) -> Vec<u32> {
        if text.is_empty() {
            return Vec::new();
        }
        let text: String = std::iter::once('▁')
            .chain(
                text.chars()
                    .take(TEXT_CHARS_MAX)
                    .map(|c| if c == ' ' { '▁' } else { c }),
            )
            .collect();
        let mut pieces = Pieces::new(&text);
        let mut heap = BinaryHeap::new();
        for left in 0..pieces.spans.len().saturating_sub(1) {
            self.offer(&text, &pieces, left, &mut heap);
        }
        while let Some(Reverse((_, left, end))) = heap.pop() {
            if pieces.join(left, end) {
                if let Some(before) = pieces.spans[left].before {
                    self.offer(&text, &pieces, before, &mut heap);
                }
                self.offer(&text, &pieces, left, &mut heap);
            }
        }
        let mut ids = Vec::new();
        let alive = pieces.spans.iter().filter(|span| span.end > span.start);
        for span in alive {
            let piece = &text[span.start..span.end];
            match self.id(piece) {
                Some(id) => ids.push(id),
                None => ids.extend(piece.bytes().map(|byte| self.bytes[usize::from(byte)])),
            }
        }
        ids
    }

    fn id(&self, piece: &str) -> Option<u32> {
        self.ids
            .get(piece)
            .copied()
            .filter(|id| *id >= CONTROL_TOKENS)
    }

    /// Puts the joining of a piece with the next on the heap, if that makes a token.
    fn offer(
        &self,
        text: &str,
        pieces: &Pieces,
        left: usize,
        heap: &mut BinaryHeap<Reverse<(u32, usize, usize)>>,
    ) {
        let span = &pieces.spans[left];
        let Some(right) = span.after else {
            return;
        };
        let end = pieces.spans[right].end;
        let piece = &text[span.start..end];
        if let Some(id) = self.id(piece) {
            // Runs of blanks were added to the vocabulary last, whatever their numbers.
            let is_blank = piece.chars().all(|c| c == '▁');
            let rank = if is_blank {
                id + self.scales.len() as u32
            } else {
                id
            };
            heap.push(Reverse((rank, left, end)));
        }
    }
}

/// A text's pieces as a linked list; a piece that was joined to the one before is empty.
struct Pieces {
    spans: Vec<Span>,
}

struct Span {
    start: usize,
    end: usize,
    before: Option<usize>,
    after: Option<usize>,
}

impl Pieces {
    fn new(text: &str) -> Self {
        let count = text.chars().count();
        let spans = text
            .char_indices()
            .enumerate()
            .map(|(i, (start, char))| Span {
                start,
                end: start + char.len_utf8(),
                before: i.checked_sub(1),
                after: (i + 1 < count).then_some(i + 1),
            })
            .collect();
        Self { spans }
    }

    /// Joins a piece with the next, if they still end at `end`. Whether it did.
    fn join(&mut self, left: usize, end: usize) -> bool {
        let Some(right) = self.spans[left].after else {
            return false;
        };
        let is_alive = self.spans[left].end > self.spans[left].start;
        if !is_alive || self.spans[right].end != end {
            return false;
        }
        let after = self.spans[right].after;
        self.spans[left].end = end;
        self.spans[left].after = after;
        self.spans[right].end = self.spans[right].start;
        if let Some(after) = after {
            self.spans[after].before = Some(left);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(a: &str, b: &str) -> f32 {
        let embedder = LocalEmbedder::new();
        let (a, b) = (embedder.vector(a).unwrap(), embedder.vector(b).unwrap());
        a.iter().zip(&b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn texts_of_one_meaning_are_closer_than_texts_of_two() {
        let near = likeness("How do I delete a file?", "removing files from disk");
        let far = likeness("How do I delete a file?", "the weather in Lisbon is sunny");
        assert!(near > far + 0.15, "{near} against {far}");
    }

    #[test]
    fn vectors_have_length_one_and_an_empty_text_has_none() {
        assert!((likeness("some words", "some words") - 1.0).abs() < 1e-4);
        assert!(
            LocalEmbedder::new()
                .vector("")
                .unwrap()
                .iter()
                .all(|n| *n == 0.0)
        );
    }

    #[test]
    fn text_of_any_script_has_a_vector() {
        for text in ["你好，世界", "🦀🦀", "\u{0}\u{1}", "a\nb\tc", "▁▁"] {
            assert!((likeness(text, text) - 1.0).abs() < 1e-4, "{text:?}");
        }
    }

    #[test]
    fn tokens_are_those_of_the_published_tokenizer() {
        let table = Table::load(TABLE).unwrap();
        for (text, expected) in EXPECTED {
            assert_eq!(table.encode(text), expected, "{text:?}");
        }
    }

    const EXPECTED: [(&str, &[u32]); 5] = [
        ("Hello, world!", &[15043, 29892, 3186, 29991]),
        (
            "  two  spaces and\ttab\nnewline",
            &[259, 1023, 29871, 8162, 322, 12, 3891, 13, 1482, 1220],
        ),
        (
            "Der schnelle braune Fuchs läuft über die Brücke.",
            &[
                2452, 1364, 23497, 4105, 1540, 383, 19873, 301, 15583, 615, 2939, 762, 1771, 17959,
                29889,
            ],
        ),
        (
            "fn main() { println!(\"{}\", x_1); }",
            &[
                7876, 1667, 580, 426, 22088, 28457, 8875, 613, 921, 29918, 29896, 416, 500,
            ],
        ),
        ("你好 🦀", &[29871, 30919, 31076, 29871, 243, 162, 169, 131]),
    ];
}
