//! A second reader of what a call puts out, while it runs and while the model may still be writing it. By rules: it
//! knows what a failed build, a failed test, a crash, a question and a program that repeats itself look like. Pure.
//!
//! It has no tools and no say over what is allowed. What it can do is stop: a call that can't come to an end, or a model
//! that still writes what a failure has made pointless.

use std::collections::VecDeque;

/// Bytes of an output's end that are kept for the words about it.
const TAIL_BYTES_MAX: usize = 4 << 10;
/// Characters of a line that are looked at.
const LINE_CHARS_MAX: usize = 400;
/// The same line so often in a row is a program that will not end by itself.
const REPEATS_MAX: u32 = 5_000;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The rule's name: `build`, `tests`, `crash`, `missing`, `question`, `repetition`, `ended`, `opinion`.
    pub(crate) rule: &'static str,
    /// What was seen, in words that follow "because".
    pub(crate) what: String,
}

/// Reads one call's output.
#[derive(Debug, Default)]
pub(crate) struct Validator {
    line: String,
    last: String,
    repeats: u32,
    failure: Option<Finding>,
    tail: VecDeque<u8>,
}

impl Validator {
    /// Takes in the next piece of output.
    pub(crate) fn push(&mut self, text: &str) {
        self.tail.extend(text.as_bytes());
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..surplus);
        for piece in text.split_inclusive('\n') {
            let room = LINE_CHARS_MAX.saturating_sub(self.line.len());
            self.line.extend(piece.chars().take(room));
            if piece.ends_with('\n') {
                let line = std::mem::take(&mut self.line);
                self.read(line.trim());
            }
        }
    }

    fn read(&mut self, line: &str) {
        match !line.is_empty() && line == self.last {
            true => self.repeats += 1,
            false => {
                self.repeats = 1;
                line.clone_into(&mut self.last);
            }
        }
        if self.failure.is_none()
            && let Some(rule) = failure(line)
        {
            let what = format!("it said {line:?}");
            self.failure = Some(Finding { rule, what });
        }
    }

    /// Something failed in a way that whatever builds on it fails too.
    pub(crate) fn failure(&self) -> Option<&Finding> {
        self.failure.as_ref()
    }

    /// It says the same over and over.
    pub(crate) fn repetition(&self) -> Option<Finding> {
        (self.repeats >= REPEATS_MAX).then(|| Finding {
            rule: "repetition",
            what: format!("it said {:?} {} times in a row", self.last, self.repeats),
        })
    }

    /// It ends with a question; a program that says nothing after it waits for an answer that nobody can give.
    pub(crate) fn question(&self) -> Option<Finding> {
        let line = self.line.trim();
        is_question(line).then(|| Finding {
            rule: "question",
            what: format!("it asks {line:?}, and nothing can be answered: its input is empty"),
        })
    }

    /// The end of the output.
    pub(crate) fn tail(&self) -> String {
        let (a, b) = self.tail.as_slices();
        String::from_utf8_lossy(&[a, b].concat()).into_owned()
    }
}

/// The rule by which a line tells of a failure.
fn failure(line: &str) -> Option<&'static str> {
    let begins = |marks: &[&str]| marks.iter().any(|mark| line.starts_with(mark));
    let has = |marks: &[&str]| marks.iter().any(|mark| line.contains(mark));
    if begins(&[
        "error[E",
        "error: could not compile",
        "error: linking with",
        "BUILD FAILED",
    ]) || begins(&["npm ERR!", "npm error", "make: *** "])
        || has(&[": fatal error: ", ": error: ", "): error TS"])
    {
        return Some("build");
    }
    if begins(&["test result: FAILED", "FAILED (", "--- FAIL: ", "FAIL\t"])
        || (line.starts_with("==") && has(&[" failed in ", " failed, ", " error in "]))
    {
        return Some("tests");
    }
    if line == "Traceback (most recent call last):"
        || (line.starts_with("thread '") && has(&["panicked at "]))
        || begins(&["panic: ", "Segmentation fault"])
    {
        return Some("crash");
    }
    line.ends_with(": command not found").then_some("missing")
}

/// Whether a line that is not ended asks for an answer.
fn is_question(line: &str) -> bool {
    const ENDS: [&str; 6] = [
        "[y/n]",
        "(y/n)",
        "[yes/no]",
        "(yes/no)",
        "password",
        "passphrase",
    ];
    const SAYS: [&str; 2] = ["press any key", "press enter to continue"];
    let lower = line.to_ascii_lowercase();
    let bare = lower.trim_end_matches([' ', '?', ':']);
    ENDS.iter().any(|mark| bare.ends_with(mark)) || SAYS.iter().any(|mark| lower.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Validator {
        let mut validator = Validator::default();
        // However it is cut.
        for piece in text.as_bytes().chunks(5) {
            validator.push(std::str::from_utf8(piece).unwrap());
        }
        validator
    }

    #[test]
    fn failures_are_known_by_their_lines() {
        for (text, rule) in [
            (
                "   Compiling x\nerror[E0308]: mismatched types\n",
                Some("build"),
            ),
            ("a.c:3:5: error: expected ';'\n", Some("build")),
            ("src/a.ts(3,5): error TS2304: no name\n", Some("build")),
            ("make: *** [all] Error 1\n", Some("build")),
            ("test result: FAILED. 1 passed; 1 failed\n", Some("tests")),
            ("===== 1 failed, 3 passed in 0.1s =====\n", Some("tests")),
            ("--- FAIL: TestX (0.00s)\n", Some("tests")),
            ("Traceback (most recent call last):\n", Some("crash")),
            (
                "thread 'main' panicked at src/main.rs:1:1:\n",
                Some("crash"),
            ),
            ("bash: line 1: foo: command not found\n", Some("missing")),
            ("test result: ok. 3 passed; 0 failed\n", None),
            ("0 errors, 0 warnings\nall good\n", None),
            ("==== 4 passed in 0.1s ====\n", None),
            // Half a line says nothing yet.
            ("error[E0308]", None),
        ] {
            assert_eq!(
                after(text).failure().map(|found| found.rule),
                rule,
                "{text}"
            );
        }
    }

    #[test]
    fn a_question_stands_at_the_very_end() {
        for text in [
            "x\nProceed? [Y/n] ",
            "Password: ",
            "Overwrite a? (y/n)",
            "Press any key",
        ] {
            assert!(after(text).question().is_some(), "{text}");
        }
        for text in ["Proceed? [Y/n] y\n", "done", "", "[y/n] is asked later on"] {
            assert!(after(text).question().is_none(), "{text}");
        }
    }

    #[test]
    fn only_the_same_line_many_times_in_a_row_is_a_repetition() {
        let many = "again\n".repeat(5_000);
        assert!(after(&many).repetition().is_some());
        assert!(after(&"again\n".repeat(4_999)).repetition().is_none());
        assert!(after(&"again\nand\n".repeat(5_000)).repetition().is_none());
        assert!(after(&"\n".repeat(9_000)).repetition().is_none());
    }
}
