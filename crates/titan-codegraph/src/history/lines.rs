//! Which line of the committed file a line of the file as it is now was. Pure.
//!
//! Git could say so itself, but would run a repository's own filter on the file to do it.

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};
use std::time::Instant;

/// For each line of `now` the line of `before` that it is, from 1; `None` where it is new or another. After the deadline
/// what is left counts as new.
pub(super) fn origins(before: &[u8], now: &[u8], deadline: Instant) -> Vec<Option<u32>> {
    let (before, now) = (lines(before), lines(now));
    let mut origins = vec![None; now.len()];
    for step in capture_diff_slices_deadline(Algorithm::Myers, &before, &now, Some(deadline)) {
        if let DiffOp::Equal {
            old_index,
            new_index,
            len,
        } = step
        {
            for at in 0..len {
                origins[new_index + at] = u32::try_from(old_index + at + 1).ok();
            }
        }
    }
    origins
}

/// Lines without their ends, so that files that are checked out with other ends are the same.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn lines_are_found_again_around_what_changed() {
        let origins = |before: &str, now: &str| {
            let deadline = Instant::now() + Duration::from_secs(60);
            origins(before.as_bytes(), now.as_bytes(), deadline)
        };
        assert_eq!(
            origins("a\nb\nc\n", "a\r\nb\r\nc"),
            [Some(1), Some(2), Some(3)]
        );
        assert_eq!(
            origins("a\nb\nc\n", "new\na\nB\nc\n"),
            [None, Some(1), None, Some(3)]
        );
        assert_eq!(origins("", "a\n"), [None]);
        assert_eq!(origins("a\n", ""), []);
    }
}
