//! Cuts a script into statements while it is being written. Pure.
//!
//! A piece is one or more whole lines that bash would run before it reads on: it reads a script line by line and runs
//! each complete command. The cut is made by a real parser, and where that is not sure, none is made: what can't be
//! taken apart comes whole at the end.

use super::words::parse;

/// A statement of up to so many bytes is tried at each of its lines; a longer one ever more rarely.
const TRIED_OFTEN_BYTES: usize = 2_048;

/// What is left of a script after its complete statements.
#[derive(Debug, Default)]
pub(super) struct Segmenter {
    /// What belongs to no statement yet.
    open: String,
    /// The part of it whose lines were looked at.
    seen: usize,
    /// How long it has to be before it is parsed again.
    tried_from: usize,
    /// From here on lines may mean something else than the parser takes them for.
    has_stopped: bool,
}

impl Segmenter {
    /// Takes in the next piece of the script and gives the statements that are complete with it, in order.
    pub(super) fn push(&mut self, text: &str) -> Vec<String> {
        if self.has_stopped {
            return Vec::new();
        }
        self.open.push_str(text);
        let mut complete = Vec::new();
        while let Some(end) = self.next_line() {
            self.seen = end;
            if end < self.tried_from {
                continue;
            }
            match is_complete(&self.open[..end]) {
                true => {
                    let rest = self.open.split_off(end);
                    let statement = std::mem::replace(&mut self.open, rest);
                    self.has_stopped = changes_the_language(&statement);
                    (self.seen, self.tried_from) = (0, 0);
                    complete.push(statement);
                    if self.has_stopped {
                        break;
                    }
                }
                false if end > TRIED_OFTEN_BYTES => self.tried_from = end + end / 2,
                false => {}
            }
        }
        complete
    }

    /// Where the next line ends that was not looked at.
    fn next_line(&self) -> Option<usize> {
        let found = self.open[self.seen..].find('\n')?;
        Some(self.seen + found + 1)
    }
}

/// Whether bash would run these lines before it reads more.
fn is_complete(lines: &str) -> bool {
    let text = lines.strip_suffix('\n').unwrap_or(lines);
    let n_backslashes = text.bytes().rev().take_while(|byte| *byte == b'\\').count();
    // A joined line goes on. Blank lines and comments wait for what they stand before.
    n_backslashes % 2 == 0 && parse(lines).is_ok_and(|script| !script.complete_commands.is_empty())
}

/// Whether what follows may be read by other rules: extended patterns, aliases.
fn changes_the_language(statement: &str) -> bool {
    ["shopt", "alias", "posix"]
        .iter()
        .any(|word| statement.contains(word))
}
