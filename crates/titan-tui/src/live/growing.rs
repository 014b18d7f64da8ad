//! Text that grows without end, kept as its beginning and its end: a program's output, a model's thinking.

use super::block::{Block, Content};
use crate::render::visible::CleanStream;
use std::collections::VecDeque;

/// Lines of one block. Only the last block of a text changes.
const BLOCK_LINES_MAX: usize = 100;
/// And its bytes.
const BLOCK_BYTES_MAX: usize = 32 * 1024;
/// Blocks that are kept of the beginning.
const HEAD_BLOCKS_MAX: usize = 2;
/// Blocks that are kept of the end.
const TAIL_BLOCKS_MAX: usize = 20;
/// A line that is longer goes on in the next.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Output,
    Written,
    Thought,
}

/// The text as far as it came.
#[derive(Debug)]
pub(super) struct Growing {
    look: Look,
    cleaned: CleanStream,
    /// The line that has no end yet.
    begun: String,
    head: Vec<Block>,
    tail: VecDeque<Block>,
    lines: u64,
    lines_left_out: u64,
    /// Bytes of the lines that are kept.
    bytes: usize,
    /// Bytes of the block that still grows.
    last_bytes: usize,
}

impl Growing {
    pub(super) fn new(look: Look) -> Self {
        Self {
            look,
            cleaned: CleanStream::default(),
            begun: String::new(),
            head: Vec::new(),
            tail: VecDeque::new(),
            lines: 0,
            lines_left_out: 0,
            bytes: 0,
            last_bytes: 0,
        }
    }

    /// Takes the next piece, however the text is cut.
    pub(super) fn push(&mut self, piece: &str) {
        let cleaned = self.cleaned.push(piece);
        self.take(&cleaned);
    }

    /// The text has come to its end.
    pub(super) fn finish(&mut self) {
        let rest = self.cleaned.finish();
        self.take(&rest);
        if !self.begun.is_empty() {
            self.end_line();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines == 0 && self.begun.is_empty()
    }

    /// Lines so far, the one that is begun counted.
    pub(super) fn lines(&self) -> u64 {
        self.lines + u64::from(!self.begun.is_empty())
    }

    /// The last lines that are not blank, at most so many, oldest first.
    pub(super) fn last_lines(&self, lines_max: usize) -> Vec<String> {
        let blocks = self.head.iter().chain(&self.tail).rev();
        let whole = blocks.flat_map(|block| texts(&block.content).iter().rev());
        let mut last: Vec<String> = std::iter::once(&self.begun)
            .chain(whole)
            .filter(|line| !line.trim().is_empty())
            .take(lines_max)
            .cloned()
            .collect();
        last.reverse();
        last
    }

    /// Blocks that show all that is kept: the head, what is left out, the tail, the line that is begun.
    pub(super) fn n_blocks(&self) -> usize {
        self.head.len() + 1 + self.tail.len() + 1
    }

    /// The block at a position below [`Growing::n_blocks`].
    pub(super) fn block(&mut self, idx: usize) -> Part<'_> {
        let n_head = self.head.len();
        if idx < n_head {
            return Part::Kept(&mut self.head[idx]);
        }
        match (idx - n_head, self.tail.len()) {
            (0, _) if self.lines_left_out == 0 => Part::Made(None),
            (0, _) => {
                let n_lines = crate::render::count(self.lines_left_out);
                let text = format!("… {n_lines} lines are not kept here");
                Part::Made(Some(self.content(vec![text])))
            }
            (at, n_tail) if at <= n_tail => Part::Kept(&mut self.tail[at - 1]),
            _ if self.begun.is_empty() => Part::Made(None),
            _ => Part::Made(Some(self.content(vec![self.begun.clone()]))),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.begun.len()
    }

    pub(super) fn holds(&self, wanted: &str) -> bool {
        let mut blocks = self.head.iter().chain(&self.tail);
        blocks.any(|block| block.content.holds(wanted))
            || self.begun.to_lowercase().contains(wanted)
    }

    fn content(&self, lines: Vec<String>) -> Content {
        match self.look {
            Look::Output => Content::Output(lines),
            Look::Written => Content::Written(lines),
            Look::Thought => Content::Thought(lines),
        }
    }

    fn take(&mut self, cleaned: &str) {
        for c in cleaned.chars() {
            if c == '\n' {
                self.end_line();
                continue;
            }
            if self.begun.len() + c.len_utf8() > LINE_BYTES_MAX {
                self.end_line();
            }
            self.begun.push(c);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.begun);
        self.lines += 1;
        self.bytes += line.len();
        self.last_bytes += line.len();
        let fits = self.last_bytes <= BLOCK_BYTES_MAX;
        let has_room = |block: &Block| fits && texts(&block.content).len() < BLOCK_LINES_MAX;
        let last = self.tail.back_mut().or(self.head.last_mut());
        if let Some(last) = last.filter(|last| has_room(last)) {
            return last.change(|content| match content {
                Content::Output(lines) | Content::Written(lines) | Content::Thought(lines) => {
                    lines.push(line)
                }
                _ => {}
            });
        }
        self.last_bytes = line.len();
        let block = Block::new(self.content(vec![line]));
        if self.head.len() < HEAD_BLOCKS_MAX {
            return self.head.push(block);
        }
        self.tail.push_back(block);
        if self.tail.len() > TAIL_BLOCKS_MAX
            && let Some(dropped) = self.tail.pop_front()
        {
            self.bytes -= dropped.content.bytes();
            self.lines_left_out += texts(&dropped.content).len() as u64;
        }
    }
}

/// A block that is kept with its lines, or made when it is asked for.
pub(super) enum Part<'a> {
    Kept(&'a mut Block),
    Made(Option<Content>),
}

fn texts(content: &Content) -> &[String] {
    match content {
        Content::Output(lines) | Content::Written(lines) | Content::Thought(lines) => lines,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept_and_the_middle_is_counted() {
        let mut text = Growing::new(Look::Output);
        for n in 0..100_000 {
            text.push(&format!("line {n}\n"));
        }
        text.push("and no end");
        text.finish();
        assert_eq!(text.lines(), 100_001);
        let kept = (HEAD_BLOCKS_MAX + TAIL_BLOCKS_MAX) * BLOCK_LINES_MAX;
        assert!(text.lines() - text.lines_left_out <= kept as u64);
        assert!(text.bytes() < 64 * 1024);
        assert!(text.holds("line 0") && text.holds("line 99999") && !text.holds("line 50000"));
        assert_eq!(text.last_lines(2), ["line 99999", "and no end"]);
    }

    #[test]
    fn a_line_without_an_end_is_bounded_wherever_it_is_cut() {
        let long = "é".repeat(LINE_BYTES_MAX);
        for piece in [1, 7, long.len()] {
            let mut text = Growing::new(Look::Output);
            let chars: Vec<char> = long.chars().collect();
            for piece in chars.chunks(piece) {
                text.push(&piece.iter().collect::<String>());
            }
            text.finish();
            assert_eq!(text.lines(), 2);
        }
    }
}
