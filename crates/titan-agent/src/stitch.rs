//! Joins an answer that broke off with the one that goes on with it, so that nothing is said twice.
//!
//! A model that is asked to go on often begins a little earlier, or from the start. What it repeats of the end of the
//! first answer, or the whole of it, is left out; anything else is another answer and stays as it is.

/// As much of the answer that broke off is compared, in bytes; of a longer one its end.
const SAID_BYTES_MAX: usize = 16 * 1024;
/// A shorter repetition of an answer's end may be chance, in bytes.
const OVERLAP_BYTES_MIN: usize = 16;
/// A shorter answer is not recognised when it is repeated as a whole, in bytes.
const WHOLE_BYTES_MIN: usize = 4;

/// The text that goes on, while it may still be a repetition.
#[derive(Debug)]
pub(crate) struct Stitch {
    said: String,
    held: String,
    /// It is told from the text before: all that comes is passed on.
    is_settled: bool,
}

impl Stitch {
    /// Goes on after this text.
    pub(crate) fn new(said: &str) -> Self {
        let start = said.len().saturating_sub(SAID_BYTES_MAX);
        let start = (start..=said.len()).find(|at| said.is_char_boundary(*at));
        Self {
            said: said[start.unwrap_or(0)..].to_owned(),
            held: String::new(),
            is_settled: false,
        }
    }

    /// Takes the next piece and gives what is new in what came so far.
    pub(crate) fn push(&mut self, text: &str) -> String {
        if self.is_settled {
            return text.to_owned();
        }
        self.held.push_str(text);
        // Shorter than what was said from some place on, and equal to it: it may be going to repeat all of that.
        let may_repeat = self.held.len() < self.said.len() && self.said.contains(&self.held);
        if may_repeat {
            return String::new();
        }
        self.settle()
    }

    /// The answer is complete: gives what was held and is no repetition.
    pub(crate) fn finish(mut self) -> String {
        if self.is_settled {
            return String::new();
        }
        self.settle()
    }

    fn settle(&mut self) -> String {
        self.is_settled = true;
        let held = std::mem::take(&mut self.held);
        let overlap = self.overlap(&held);
        held[overlap..].to_owned()
    }

    /// How many bytes at the beginning of a text repeat the end of what was said, or all of it.
    fn overlap(&self, text: &str) -> usize {
        let is_repeated = |len: &usize| {
            let start = self.said.len() - len;
            text.is_char_boundary(*len)
                && self.said.is_char_boundary(start)
                && self.said[start..] == text[..*len]
        };
        let longest = self.said.len().min(text.len());
        let found = (1..=longest).rev().find(is_repeated).unwrap_or(0);
        let is_whole = found == self.said.len() && found >= WHOLE_BYTES_MIN;
        if is_whole || found >= OVERLAP_BYTES_MIN {
            found
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the text is cut, the same is new in it.
    fn check(said: &str, text: &str, new: &str) {
        for piece in [1, 2, 5, usize::MAX] {
            let mut stitch = Stitch::new(said);
            let mut told = String::new();
            let mut piece_of = String::new();
            for (n, c) in text.chars().enumerate() {
                piece_of.push(c);
                if (n + 1) % piece == 0 {
                    told += &stitch.push(&std::mem::take(&mut piece_of));
                }
            }
            told += &stitch.push(&piece_of);
            told += &stitch.finish();
            assert_eq!(told, new, "{said:?} then {text:?} in pieces of {piece}");
        }
    }

    #[test]
    fn what_goes_on_is_told_whole() {
        check("The answer is", " 42.", " 42.");
        check("one two three", "four", "four");
        check("", "all of it", "all of it");
    }

    #[test]
    fn an_answer_that_begins_again_is_told_from_where_it_broke() {
        check("The answer – is", "The answer – is 42.", " 42.");
        check("The answer is", "The answer is", "");
    }

    #[test]
    fn the_last_words_said_again_are_left_out() {
        check(
            "First this, then the second thing",
            "then the second thing, and so on",
            ", and so on",
        );
    }

    #[test]
    fn chance_and_other_answers_are_no_repetition() {
        check("I looked in the", "the drawer", "the drawer");
        check(
            "The answer is 42",
            "The answer was lost",
            "The answer was lost",
        );
        check("The answer is 42", "The ans", "The ans");
        check("1", "12", "12");
    }
}
