//! What tools put out: bounds, pieces of text, errors, and where text comes from.
//!
//! # Taint
//!
//! Stated here once, kept by each tool:
//!
//! | output | taint | why |
//! |---|---|---|
//! | file content, names of files, shell output, stored outputs | both | a file in the workspace is the person's, and a stranger may have written it |
//! | fetched pages | untrusted | strangers write the web; the address was known before |
//! | what is remembered | private | the person's own; what went in was judged when it went in. Untrusted too, if a document of strangers is in it |
//! | answers of the person, confirmations of what a call did | none | the person and the engine speak |

use titan_protocol::{Taint, ToolError, ToolOutput, WorkbenchError};

/// A tool's whole output is cut here, in bytes. The pipeline shows the model less and stores the rest.
pub(crate) const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A finished call's output, bounded.
pub(crate) fn text(text: String, taint: Taint) -> ToolOutput {
    ToolOutput {
        text: bounded(text),
        is_error: false,
        taint,
    }
}

/// Something the model can mend.
pub(crate) fn reply(error: WorkbenchError) -> ToolError {
    ToolError::Reply(error.to_string())
}

fn bounded(mut text: String) -> String {
    if text.len() > OUTPUT_BYTES_MAX {
        let end = text.floor_char_boundary(OUTPUT_BYTES_MAX);
        text.truncate(end);
        text.push_str("\n[cut: there is more]");
    }
    text
}

/// Makes text of bytes that arrive in pieces, cut anywhere. What is not UTF-8 becomes `�`.
#[derive(Default)]
pub(crate) struct Decoder {
    /// The beginning of a character whose rest has not come; at most three bytes.
    pending: Vec<u8>,
}

impl Decoder {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut taken = 0;
        while let Some(rest) = self.pending.get(taken..) {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    taken = self.pending.len();
                    break;
                }
                Err(error) => {
                    let valid = &rest[..error.valid_up_to()];
                    text.push_str(&String::from_utf8_lossy(valid));
                    taken += error.valid_up_to();
                    let Some(bad) = error.error_len() else { break };
                    text.push('\u{fffd}');
                    taken += bad;
                }
            }
        }
        self.pending.drain(..taken);
        text
    }

    /// What is left when no more comes.
    pub(crate) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cut_anywhere_decodes_to_the_same() {
        let text = "aé€🦀z\u{fffd}".as_bytes();
        for cut in 0..=text.len() {
            let mut decoder = Decoder::default();
            let joined =
                decoder.push(&text[..cut]) + &decoder.push(&text[cut..]) + &decoder.finish();
            assert_eq!(joined.as_bytes(), text, "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(decoder.finish(), "\u{fffd}");
    }
}
