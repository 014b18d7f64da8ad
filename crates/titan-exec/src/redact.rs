//! Takes known secrets out of texts, also when a secret is split over pieces of a stream.

use std::sync::Arc;

/// A value shorter than this is not looked for: it would match by chance.
const SECRET_BYTES_MIN: usize = 8;

/// Replaces known secret values by their names. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Value and name; longest first, so that a secret that holds another is taken out whole.
    secrets: Arc<[(String, String)]>,
}

impl Redactor {
    /// A redactor for these (name, value) pairs. Values of fewer than 8 bytes are passed over.
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut secrets: Vec<(String, String)> = secrets
            .into_iter()
            .map(|(name, value)| (value, name))
            .filter(|(value, _)| value.len() >= SECRET_BYTES_MIN)
            .collect();
        secrets.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        Self {
            secrets: secrets.into(),
        }
    }

    /// The text without secrets.
    pub fn redact(&self, text: &str) -> String {
        self.secrets
            .iter()
            .fold(text.to_owned(), |text, (value, name)| {
                if text.contains(value.as_str()) {
                    text.replace(value.as_str(), &format!("[secret {name}]"))
                } else {
                    text
                }
            })
    }

    /// A redactor for one stream of pieces.
    pub(crate) fn stream(&self) -> RedactStream {
        RedactStream {
            redactor: self.clone(),
            held: String::new(),
        }
    }

    /// How many bytes at the end of `text` could be the beginning of a secret.
    fn held_bytes(&self, text: &str) -> usize {
        let longest = self.secrets.first().map_or(0, |(value, _)| value.len());
        (1..longest.min(text.len() + 1))
            .rev()
            .find(|bytes| {
                let start = text.len() - bytes;
                text.is_char_boundary(start)
                    && self
                        .secrets
                        .iter()
                        .any(|(value, _)| value.len() > *bytes && value.starts_with(&text[start..]))
            })
            .unwrap_or(0)
    }
}

/// Redacts a stream: holds back only what could still become a secret.
pub(crate) struct RedactStream {
    redactor: Redactor,
    held: String,
}

impl RedactStream {
    /// The text that is safe to show after this piece.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        let redacted = self.redactor.redact(&self.held);
        let shown = redacted.len() - self.redactor.held_bytes(&redacted);
        self.held = redacted[shown..].to_owned();
        redacted[..shown].to_owned()
    }

    /// What was held back, at the end of the stream.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redactor() -> Redactor {
        Redactor::new([
            ("KEY".to_owned(), "sk-12345678".to_owned()),
            ("SHORT".to_owned(), "abc".to_owned()),
        ])
    }

    #[test]
    fn a_known_secret_is_named_and_not_shown() {
        assert_eq!(
            redactor().redact("a sk-12345678 b abc"),
            "a [secret KEY] b abc"
        );
    }

    #[test]
    fn what_cannot_become_a_secret_is_shown_at_once() {
        let mut stream = redactor().stream();
        assert_eq!(stream.push("hello sk"), "hello ");
        assert_eq!(stream.push("y"), "sky");
    }

    proptest! {
        #[test]
        fn any_split_redacts_like_the_whole(cuts in proptest::collection::vec(0usize..40, 0..6)) {
            let text = "x sk-1234 sk-12345678sk-12345678 sk-123456789 end sk-1234567";
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|at| *at < text.len()).collect();
            cuts.sort_unstable();
            let mut stream = redactor().stream();
            let mut shown = String::new();
            let mut from = 0;
            for at in cuts {
                shown += &stream.push(&text[from..at]);
                from = at;
            }
            shown += &stream.push(&text[from..]);
            shown += &stream.finish();
            prop_assert_eq!(shown, redactor().redact(text));
        }
    }
}
