//! A model's answer: Markdown of which only the last block still changes.

use super::block::{Block, Content};
use super::growing::Part;
use crate::render::markdown::{Layout, last_block_start, render};
use crate::render::visible::CleanStream;

/// A block of Markdown that is longer is laid out in parts.
const BLOCK_BYTES_MAX: usize = 32 * 1024;

/// Whether a text shows anything does not depend on how wide it is laid out.
const ANY_LAYOUT: Layout = Layout {
    width: 80,
    has_color: true,
};

/// The answer as far as it came.
#[derive(Debug, Default)]
pub(super) struct Answer {
    cleaned: CleanStream,
    blocks: Vec<Block>,
    /// The last block, which may still become another.
    pending: String,
    /// How that looked when it was drawn last.
    drawn: Option<Block>,
    /// Whether a block before the last one shows anything: blank lines and definitions of links don't.
    has_output: bool,
    is_ended: bool,
}

impl Answer {
    /// Takes the next piece. Nothing is parsed before it is drawn, so that a burst of pieces costs no more than one.
    pub(super) fn push(&mut self, piece: &str) {
        self.pending.push_str(&self.cleaned.push(piece));
        self.drawn = None;
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) {
        let rest = self.cleaned.finish();
        self.pending.push_str(&rest);
        self.settle();
        let rest = std::mem::take(&mut self.pending);
        if !rest.trim().is_empty() {
            self.keep(rest);
        }
        self.drawn = None;
        self.is_ended = true;
    }

    /// Sets apart the blocks that can no longer change.
    pub(super) fn settle(&mut self) {
        if self.is_ended || self.drawn.is_some() {
            return;
        }
        let start = last_block_start(&self.pending);
        if start > 0 {
            let whole = self.pending.drain(..start).collect();
            self.keep(whole);
        }
        while self.pending.len() > BLOCK_BYTES_MAX {
            self.keep_part();
        }
    }

    /// Cuts what is too long at the end of a line. Code goes on as code.
    fn keep_part(&mut self) {
        let most = self.pending.floor_char_boundary(BLOCK_BYTES_MAX);
        let end = self.pending[..most]
            .rfind('\n')
            .filter(|at| *at > 0)
            .map_or(most, |at| at + 1);
        let part: String = self.pending.drain(..end).collect();
        let is_fence = part.starts_with("```") || part.starts_with("~~~");
        if let (true, Some(fence)) = (is_fence, part.lines().next()) {
            self.pending.insert_str(0, &format!("{fence}\n"));
        }
        self.keep(part);
    }

    fn keep(&mut self, source: String) {
        let follows = self.has_output;
        self.has_output = self.has_output || !render(&source, ANY_LAYOUT).is_empty();
        self.blocks
            .push(Block::new(Content::Markdown { source, follows }));
    }

    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    pub(super) fn is_blank(&self) -> bool {
        !self.has_output && self.pending.trim().is_empty()
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.blocks.len() + 1
    }

    pub(super) fn block(&mut self, idx: usize) -> Part<'_> {
        if idx < self.blocks.len() {
            return Part::Kept(&mut self.blocks[idx]);
        }
        if self.pending.trim().is_empty() {
            return Part::Made(None);
        }
        let (pending, follows) = (&self.pending, self.has_output);
        Part::Kept(self.drawn.get_or_insert_with(|| {
            let source = pending.clone();
            Block::new(Content::Markdown { source, follows })
        }))
    }

    /// The whole text as it was written, cleaned.
    pub(super) fn text(&self) -> String {
        let sources = self.blocks.iter().map(|block| match &block.content {
            Content::Markdown { source, .. } => source.as_str(),
            _ => "",
        });
        sources.chain([self.pending.as_str()]).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|block| block.content.bytes());
        blocks.sum::<usize>() + self.pending.len()
    }

    pub(super) fn holds(&self, wanted: &str) -> bool {
        self.blocks.iter().any(|block| block.content.holds(wanted))
            || self.pending.to_lowercase().contains(wanted)
    }
}
