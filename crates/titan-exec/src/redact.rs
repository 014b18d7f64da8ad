//! Takes secrets out of texts, also when a secret is split over pieces of a stream, turned around or encoded.
//!
//! Two kinds are looked for: the values that the engine keeps, in every usual encoding, and whatever looks like a key of
//! a known format. What a person types is theirs to say and does not come here.

mod encodings;
mod formats;

use formats::Found;
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

/// A value shorter than this is not looked for: it would match by chance.
const SECRET_BYTES_MIN: usize = 8;

/// What ends the mark that stands for a secret.
const MARK_END: char = ']';

/// The bytes with which a secret of a known format may begin.
static FORMAT_BEGINNINGS: LazyLock<[bool; 256]> =
    LazyLock::new(|| std::array::from_fn(|byte| formats::may_begin(byte as u8)));

/// Replaces secrets by their names. Cheap to clone.
#[derive(Clone)]
pub struct Redactor(Arc<Known>);

/// The values that are known, by the byte with which they begin; longest first, so that a secret that holds another is
/// taken out whole.
struct Known {
    by_first_byte: Vec<Vec<Needle>>,
}

struct Needle {
    text: String,
    name: Arc<str>,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new([])
    }
}

/// What stands at a place in a text.
enum Seen<'a> {
    Nothing,
    MoreIsNeeded,
    /// A name, and the bytes that are shown before it and hidden behind them.
    Secret(&'a str, usize, usize),
}

impl Redactor {
    /// A redactor for these (name, value) pairs and all known formats. Values of fewer than 8 bytes are passed over.
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut by_first_byte: Vec<Vec<Needle>> = (0..256).map(|_| Vec::new()).collect();
        for (name, value) in secrets {
            if value.len() < SECRET_BYTES_MIN {
                continue;
            }
            let name: Arc<str> = name.into();
            for text in encodings::of(&value) {
                let first = usize::from(text.as_bytes()[0]);
                let name = name.clone();
                by_first_byte[first].push(Needle { text, name });
            }
        }
        for needles in &mut by_first_byte {
            needles.sort_by(|a, b| {
                (b.text.len(), &a.text, &a.name).cmp(&(a.text.len(), &b.text, &b.name))
            });
        }
        Self(Arc::new(Known { by_first_byte }))
    }

    /// The text without secrets.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut shown = String::new();
        let mut copied = 0;
        self.scan(text, None, true, |at, name, hidden| {
            shown.push_str(&text[copied..at]);
            mark(&mut shown, name);
            copied = at + hidden;
        });
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        shown.push_str(&text[copied..]);
        Cow::Owned(shown)
    }

    /// A redactor for one stream of pieces.
    pub(crate) fn stream(&self) -> RedactStream {
        RedactStream {
            redactor: self.clone(),
            held: String::new(),
            before: None,
        }
    }

    /// Tells each secret's place, name and length. Gives the place from which only more text can tell, and what stands
    /// before it.
    fn scan(
        &self,
        text: &str,
        mut before: Option<char>,
        is_end: bool,
        mut found: impl FnMut(usize, &str, usize),
    ) -> (usize, Option<char>) {
        let mut at = 0;
        while let Some(first) = text[at..].chars().next() {
            match self.see(&text[at..], before, is_end) {
                Seen::Nothing => {
                    at += first.len_utf8();
                    before = Some(first);
                }
                Seen::MoreIsNeeded => return (at, before),
                Seen::Secret(name, shown, hidden) => {
                    found(at + shown, name, hidden);
                    at += shown + hidden;
                    // What follows a secret at once stands as apart from it as from the mark in its place.
                    before = Some(MARK_END);
                }
            }
        }
        (at, before)
    }

    fn see<'a>(&'a self, text: &str, before: Option<char>, is_end: bool) -> Seen<'a> {
        let first = usize::from(text.as_bytes()[0]);
        for needle in &self.0.by_first_byte[first] {
            if text.starts_with(&needle.text) {
                return Seen::Secret(&needle.name, 0, needle.text.len());
            }
            if !is_end && needle.text.starts_with(text) {
                return Seen::MoreIsNeeded;
            }
        }
        if !FORMAT_BEGINNINGS[first] {
            return Seen::Nothing;
        }
        match formats::at_start(text, before, is_end) {
            Found::Nothing => Seen::Nothing,
            Found::MoreIsNeeded => Seen::MoreIsNeeded,
            Found::Secret {
                name,
                shown,
                hidden,
            } => Seen::Secret(name, shown, hidden),
        }
    }
}

fn mark(text: &mut String, name: &str) {
    text.push_str("[secret ");
    text.push_str(name);
    text.push(MARK_END);
}

/// Redacts a stream: holds back only what could still become a secret, at most a few thousand bytes.
pub(crate) struct RedactStream {
    redactor: Redactor,
    held: String,
    before: Option<char>,
}

impl RedactStream {
    /// The text that is safe to show after this piece.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        self.show(false)
    }

    /// What was held back, at the end of the stream.
    pub(crate) fn finish(&mut self) -> String {
        self.show(true)
    }

    fn show(&mut self, is_end: bool) -> String {
        let mut shown = String::new();
        let mut copied = 0;
        let text = std::mem::take(&mut self.held);
        let redactor = self.redactor.clone();
        let (told, before) = redactor.scan(&text, self.before, is_end, |at, name, hidden| {
            shown.push_str(&text[copied..at]);
            mark(&mut shown, name);
            copied = at + hidden;
        });
        shown.push_str(&text[copied..told]);
        self.before = before;
        self.held = text[told..].to_owned();
        shown
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
