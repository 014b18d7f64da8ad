//! Bounds what a model is shown of an output: the head and the tail stay, the rest is one call away.

use titan_protocol::BlobId;

/// What is left of a text that was too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cut<'a> {
    pub(crate) head: &'a str,
    pub(crate) tail: &'a str,
}

/// Splits a text of more than `bytes_max` bytes into a head and a tail of together at most that many, at line ends
/// where there are any close by. `None` when it fits.
pub(crate) fn cut(text: &str, bytes_max: usize) -> Option<Cut<'_>> {
    if text.len() <= bytes_max {
        return None;
    }
    let head_max = bytes_max * 2 / 3;
    let head = line_end_before(text, floor_boundary(text, head_max));
    let tail = line_start_after(
        text,
        ceil_boundary(text, text.len() - (bytes_max - head_max)),
    );
    Some(Cut {
        head: &text[..head],
        tail: &text[tail..],
    })
}

/// The bounded text with a line that says what is missing and how to read it.
pub(crate) fn render(cut: &Cut<'_>, whole_bytes: usize, whole: &BlobId) -> String {
    let missing = whole_bytes - cut.head.len() - cut.tail.len();
    let newline = if cut.head.ends_with('\n') || cut.head.is_empty() {
        ""
    } else {
        "\n"
    };
    format!(
        "{}{newline}[{missing} of {whole_bytes} bytes are left out here; the whole is at output:{whole}, readable with the read tool]\n{}",
        cut.head, cut.tail
    )
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// The end of the last whole line before `at`, unless that would give up more than half.
fn line_end_before(text: &str, at: usize) -> usize {
    text[..at]
        .rfind('\n')
        .map(|newline| newline + 1)
        .filter(|end| *end >= at / 2)
        .unwrap_or(at)
}

/// The start of the first whole line after `at`, unless that would give up more than half.
fn line_start_after(text: &str, at: usize) -> usize {
    let kept = text.len() - at;
    text[at..]
        .find('\n')
        .map(|newline| at + newline + 1)
        .filter(|start| text.len() - start >= kept / 2)
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_that_fits_stays_whole() {
        assert_eq!(cut("abc\n", 4), None);
    }

    #[test]
    fn head_and_tail_end_at_lines() {
        let text = "one\ntwo\nthree\nfour\nfive\nsix\n";
        assert_eq!(
            cut(text, 18),
            Some(Cut {
                head: "one\ntwo\n",
                tail: "six\n"
            })
        );
    }

    proptest! {
        #[test]
        fn a_cut_keeps_both_ends_and_the_bound(text in "[a-zé\\n]{0,200}", bytes_max in 0usize..100) {
            match cut(&text, bytes_max) {
                None => prop_assert!(text.len() <= bytes_max),
                Some(cut) => {
                    prop_assert!(cut.head.len() + cut.tail.len() <= bytes_max);
                    prop_assert!(text.starts_with(cut.head) && text.ends_with(cut.tail));
                }
            }
        }
    }
}
