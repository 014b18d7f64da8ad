//! The conversation as it stands, in bounded memory, drawn from where the person looks.
//!
//! It is a list of entries, an entry a list of blocks, and only the blocks that are in sight are laid out. Places are
//! told by entry, block and line, so nothing has to be measured that is not seen: neither a new width nor a long log
//! costs more than a screen of it.

use super::View;
use super::answer::Answer;
use super::block::{Block, Content};
use super::card::Card;
use super::growing::{Growing, Look, Part};
use crate::render::count;
use crate::render::style::{Line, Style};
use std::collections::VecDeque;
use titan_protocol::{CallId, SessionId, Surface};

/// Entries that are kept of a session; older ones are in its log.
const ENTRIES_MAX: usize = 2_000;
/// And bytes of their text.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// Blocks that keep their lines.
const LAID_BLOCKS_MAX: usize = 256;

/// A place in the conversation: the line of a block of an entry. Entries keep their number when older ones go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) entry: u64,
    pub(super) block: usize,
    pub(super) line: usize,
}

/// A row of the screen.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) line: Line,
}

#[derive(Debug)]
pub(super) enum Kind {
    Said(Block),
    Answer(Answer),
    Thinking {
        text: Growing,
        is_open: Option<bool>,
        is_ended: bool,
    },
    Call(Box<Card>),
    Note(Block),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Whether it stands apart from the one before.
    has_gap: bool,
}

#[derive(Debug, Default)]
pub(super) struct Conversation {
    entries: VecDeque<Entry>,
    /// The number of the first entry that is kept, which is how many were dropped.
    first: u64,
    /// The row that is drawn first; the end is followed when `None`.
    top: Option<Place>,
    /// Calls that have not ended, with their entries.
    calls: Vec<(CallId, u64)>,
    /// Blocks that keep their lines, oldest first.
    laid: VecDeque<(u64, usize)>,
    /// Lines laid out so far, for tests that count.
    pub(super) lines_laid: u64,
}

impl Conversation {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The person's words.
    pub(super) fn say(&mut self, text: &str) {
        self.end_text();
        self.add(Kind::Said(Block::new(Content::Said(text.to_owned()))));
    }

    /// A sentence of the engine's.
    pub(super) fn note(&mut self, mark: &'static str, style: Style, text: &str) {
        let text = text.to_owned();
        self.add_block(Content::Note { mark, style, text });
    }

    /// Lines that are laid out already.
    pub(super) fn lines(&mut self, lines: Vec<Line>) {
        if !lines.is_empty() {
            self.add_block(Content::Lines(lines));
        }
    }

    /// A surface of the canvas, as it was drawn.
    pub(super) fn surface(&mut self, surface: &Surface) {
        let drawing: Vec<u64> = self.calls.iter().map(|(_, entry)| *entry).collect();
        for entry in drawing {
            if let Some(card) = self.card(entry).filter(|card| card.draws(&surface.name)) {
                card.was_drawn();
            }
        }
        self.add_block(Content::Surface(surface.clone()));
    }

    fn add_block(&mut self, content: Content) {
        self.end_text();
        self.add(Kind::Note(Block::new(content)));
    }

    pub(super) fn answer(&mut self, piece: &str) {
        if let Some(Kind::Answer(answer)) = self.open_text() {
            return answer.push(piece);
        }
        if piece.is_empty() {
            return;
        }
        self.end_text();
        let mut answer = Answer::default();
        answer.push(piece);
        self.add(Kind::Answer(answer));
    }

    pub(super) fn think(&mut self, piece: &str) {
        if let Some(Kind::Thinking { text, .. }) = self.open_text() {
            return text.push(piece);
        }
        if piece.is_empty() {
            return;
        }
        self.end_text();
        let mut text = Growing::new(Look::Thought);
        text.push(piece);
        self.add(Kind::Thinking {
            text,
            is_open: None,
            is_ended: false,
        });
    }

    /// What is being said has come to its end, since something else follows.
    pub(super) fn end_text(&mut self) {
        match self.open_text() {
            Some(Kind::Answer(answer)) => answer.finish(),
            Some(Kind::Thinking { text, is_ended, .. }) => {
                text.finish();
                *is_ended = true;
            }
            _ => {}
        }
    }

    fn open_text(&mut self) -> Option<&mut Kind> {
        let kind = &mut self.entries.back_mut()?.kind;
        match kind {
            Kind::Answer(answer) if !answer.is_ended() => Some(kind),
            Kind::Thinking {
                is_ended: false, ..
            } => Some(kind),
            _ => None,
        }
    }

    /// The card of a call that has not ended, made when there is none.
    pub(super) fn open_call(&mut self, id: &CallId, name: &str, at: u64) -> Option<&mut Card> {
        self.end_text();
        if !self.calls.iter().any(|(call, _)| call == id) {
            self.add(Kind::Call(Box::new(Card::new(name, at))));
            let entry = self.first + self.entries.len() as u64 - 1;
            self.calls.push((id.clone(), entry));
        }
        self.call(id)
    }

    /// The card of a call that has not ended.
    pub(super) fn call(&mut self, id: &CallId) -> Option<&mut Card> {
        let entry = self.calls.iter().find(|(call, _)| call == id)?.1;
        self.card(entry)
    }

    /// Takes a call from those that have not ended.
    pub(super) fn close_call(&mut self, id: &CallId) -> Option<&mut Card> {
        let at = self.calls.iter().position(|(call, _)| call == id)?;
        let (_, entry) = self.calls.remove(at);
        self.card(entry)
    }

    /// Cards of calls that have not ended.
    pub(super) fn open_cards(&self) -> impl Iterator<Item = &Card> {
        self.calls
            .iter()
            .filter_map(|(_, entry)| match &self.entry(*entry)?.kind {
                Kind::Call(card) => Some(&**card),
                _ => None,
            })
    }

    /// A turn ended: nothing of it goes on.
    pub(super) fn end_turn(&mut self, now: u64) {
        self.end_text();
        for (_, entry) in std::mem::take(&mut self.calls) {
            if let Some(card) = self.card(entry) {
                card.cut_off(now);
            }
        }
    }

    /// The text of the answer that came last.
    pub(super) fn last_answer(&self) -> Option<String> {
        let mut kinds = self.entries.iter().rev().map(|entry| &entry.kind);
        kinds.find_map(|kind| match kind {
            Kind::Answer(answer) => Some(answer.text()),
            _ => None,
        })
    }

    /// Opens what is folded at an entry, or folds it. Gives whether there is something to fold.
    pub(super) fn toggle(&mut self, entry: u64, view: &View) -> bool {
        match self.entry_mut(entry).map(|entry| &mut entry.kind) {
            Some(Kind::Call(card)) => card.toggle(),
            Some(Kind::Thinking { is_open, .. }) => {
                *is_open = Some(!is_open.unwrap_or(view.opens_thinking));
            }
            _ => return false,
        }
        self.laid.retain(|(laid, _)| *laid != entry);
        true
    }

    /// The model's thinking is shown as the default says again, whatever was opened or folded.
    pub(super) fn follow_default(&mut self) {
        for entry in &mut self.entries {
            if let Kind::Thinking { is_open, .. } = &mut entry.kind {
                *is_open = None;
            }
        }
    }

    /// The last entry up to a place that satisfies a condition.
    pub(super) fn last_entry(&self, end: u64, is_meant: impl Fn(&Kind) -> bool) -> Option<u64> {
        let n_entries = (end + 1).saturating_sub(self.first) as usize;
        let at = self
            .entries
            .iter()
            .take(n_entries)
            .rposition(|entry| is_meant(&entry.kind))?;
        Some(self.first + at as u64)
    }

    fn add(&mut self, kind: Kind) {
        // Models write empty lines between their calls.
        if self.entries.back().is_some_and(Entry::is_blank) {
            self.entries.pop_back();
        }
        let has_gap = self.entries.back().is_some_and(|last| {
            let is_small = |kind: &Kind| matches!(kind, Kind::Call(_) | Kind::Note(_));
            !(is_small(&last.kind) && is_small(&kind))
        });
        self.entries.push_back(Entry { kind, has_gap });
        let mut bytes: usize = self.entries.iter().map(Entry::bytes).sum();
        while self.entries.len() > ENTRIES_MAX || (bytes > TEXT_BYTES_MAX && self.entries.len() > 1)
        {
            bytes -= self.entries.pop_front().map_or(0, |entry| entry.bytes());
            self.first += 1;
        }
    }

    fn entry(&self, entry: u64) -> Option<&Entry> {
        let at = entry.checked_sub(self.first)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    fn entry_mut(&mut self, entry: u64) -> Option<&mut Entry> {
        let at = entry.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(at).ok()?)
    }

    fn card(&mut self, entry: u64) -> Option<&mut Card> {
        match &mut self.entry_mut(entry)?.kind {
            Kind::Call(card) => Some(card),
            _ => None,
        }
    }

    #[cfg(test)]
    pub(super) fn n_entries(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.entries.iter().map(Entry::bytes).sum()
    }

    #[cfg(test)]
    pub(super) fn n_laid(&self) -> usize {
        self.laid.len()
    }
}

/// What is seen of it.
impl Conversation {
    /// The rows of the screen, at most as many as the view is high.
    pub(super) fn rows(&mut self, view: &View) -> Vec<Row> {
        for entry in self.entries.iter_mut().rev().take(1) {
            if let Kind::Answer(answer) = &mut entry.kind {
                answer.settle();
            }
        }
        let from_top = self.top.map(|top| self.rows_from(self.held(top), view));
        let rows = match from_top {
            Some(rows) if rows.len() >= view.height => rows,
            _ => {
                self.top = None;
                self.rows_to_end(view)
            }
        };
        self.forget_old();
        rows
    }

    /// Whether the newest is in sight and stays so.
    pub(super) fn is_at_end(&self) -> bool {
        self.top.is_none()
    }

    pub(super) fn go_to_end(&mut self) {
        self.top = None;
    }

    pub(super) fn go_to_start(&mut self) {
        let entry = self.first;
        self.top = Some(Place {
            entry,
            ..Place::default()
        });
    }

    /// Moves what is seen by rows, up when negative.
    pub(super) fn scroll(&mut self, rows: isize, view: &View) {
        let top = match self.top {
            Some(top) => self.held(top),
            None => match self.rows_to_end(view).first() {
                Some(row) => row.place,
                None => return,
            },
        };
        let n_rows = rows.unsigned_abs();
        self.top = match rows < 0 {
            true => Some(self.before(top, n_rows, view)),
            false if self.top.is_none() => None,
            false => self.after(top, n_rows, view),
        };
    }

    /// The place after or before `from` whose line holds what is looked for, which is in lower case. What is folded
    /// there is opened.
    pub(super) fn find(
        &mut self,
        wanted: &str,
        from: Option<Place>,
        is_backward: bool,
        view: &View,
    ) -> Option<Place> {
        let last = self.first + self.entries.len() as u64;
        let entries: Vec<u64> = match is_backward {
            true => (self.first..last).rev().collect(),
            false => (self.first..last).collect(),
        };
        for entry in entries {
            let is_past = from.is_some_and(|from| match is_backward {
                true => entry > from.entry,
                false => entry < from.entry,
            });
            if is_past || !self.entry(entry).is_some_and(|it| it.holds(wanted)) {
                continue;
            }
            let places = self.places_in(entry, wanted, view);
            let is_next = |place: &&Place| match from {
                None => true,
                Some(from) if is_backward => **place < from,
                Some(from) => **place > from,
            };
            let found = match is_backward {
                true => places.iter().rev().find(is_next),
                false => places.iter().find(is_next),
            };
            if let Some(found) = found {
                return Some(*found);
            }
        }
        None
    }

    /// Brings a place into sight, a third of the screen below its top.
    pub(super) fn show(&mut self, place: Place, view: &View) {
        self.top = Some(self.before(place, view.height / 3, view));
    }

    fn places_in(&mut self, entry: u64, wanted: &str, view: &View) -> Vec<Place> {
        let held = self.lines_holding(entry, wanted, view);
        if !held.is_empty() {
            return held;
        }
        match self.entry_mut(entry).map(|entry| &mut entry.kind) {
            Some(Kind::Call(card)) => card.open(),
            Some(Kind::Thinking { is_open, .. }) => *is_open = Some(true),
            _ => {}
        }
        match self.lines_holding(entry, wanted, view) {
            // It is broken over two lines; its entry is near enough.
            places if places.is_empty() => vec![Place {
                entry,
                ..Place::default()
            }],
            places => places,
        }
    }

    fn lines_holding(&mut self, entry: u64, wanted: &str, view: &View) -> Vec<Place> {
        let mut places = Vec::new();
        for block in 0..self.n_blocks(entry) {
            self.with_lines((entry, block), view, |lines| {
                let held = lines
                    .iter()
                    .enumerate()
                    .filter(|(_, line)| line.text().to_lowercase().contains(wanted));
                places.extend(held.map(|(line, _)| Place { entry, block, line }));
            });
        }
        places
    }

    /// The place, or the nearest one that there is: entries are dropped, blocks change.
    fn held(&self, place: Place) -> Place {
        if place.entry < self.first {
            return Place {
                entry: self.first,
                ..Place::default()
            };
        }
        let last_block = self.n_blocks(place.entry).saturating_sub(1);
        match place.block > last_block {
            true => Place {
                block: last_block,
                line: 0,
                ..place
            },
            false => place,
        }
    }

    fn rows_from(&mut self, top: Place, view: &View) -> Vec<Row> {
        let mut rows = Vec::with_capacity(view.height);
        let mut at = Some((top.entry, top.block));
        let mut skipped = top.line;
        while let Some((entry, block)) = at.filter(|_| rows.len() < view.height) {
            let room = view.height - rows.len();
            self.with_lines((entry, block), view, |lines| {
                let from = skipped.min(lines.len().saturating_sub(1));
                let taken = lines.iter().enumerate().skip(from).take(room);
                rows.extend(taken.map(|(line, text)| Row {
                    place: Place { entry, block, line },
                    line: text.clone(),
                }));
            });
            skipped = 0;
            at = self.block_after((entry, block));
        }
        rows
    }

    fn rows_to_end(&mut self, view: &View) -> Vec<Row> {
        let mut rows = Vec::with_capacity(view.height);
        let mut at = self.last_block();
        while let Some((entry, block)) = at.filter(|_| rows.len() < view.height) {
            let room = view.height - rows.len();
            self.with_lines((entry, block), view, |lines| {
                let taken = lines.iter().enumerate().rev().take(room);
                rows.extend(taken.map(|(line, text)| Row {
                    place: Place { entry, block, line },
                    line: text.clone(),
                }));
            });
            at = self.block_before((entry, block));
        }
        rows.reverse();
        rows
    }

    fn before(&mut self, place: Place, rows: usize, view: &View) -> Place {
        let (mut place, mut left) = (place, rows);
        while left > place.line {
            left -= place.line;
            let Some((entry, block)) = self.block_before((place.entry, place.block)) else {
                return Place { line: 0, ..place };
            };
            // One past its last line.
            let line = self.with_lines((entry, block), view, <[Line]>::len);
            place = Place { entry, block, line };
        }
        place.line -= left;
        place
    }

    /// `None` where the end comes first.
    fn after(&mut self, place: Place, rows: usize, view: &View) -> Option<Place> {
        let (mut place, mut left) = (place, rows);
        loop {
            let n_lines = self.with_lines((place.entry, place.block), view, <[Line]>::len);
            if place.line + left < n_lines {
                place.line += left;
                return Some(place);
            }
            left = (place.line + left).saturating_sub(n_lines);
            let (entry, block) = self.block_after((place.entry, place.block))?;
            place = Place {
                entry,
                block,
                line: 0,
            };
        }
    }

    fn n_blocks(&self, entry: u64) -> usize {
        self.entry(entry).map_or(0, Entry::n_blocks)
    }

    fn last_block(&self) -> Option<(u64, usize)> {
        let last = (self.first + self.entries.len() as u64).checked_sub(1)?;
        Some((last, self.n_blocks(last).checked_sub(1)?))
    }

    fn block_after(&self, (entry, block): (u64, usize)) -> Option<(u64, usize)> {
        if block + 1 < self.n_blocks(entry) {
            return Some((entry, block + 1));
        }
        self.entry(entry + 1).map(|_| (entry + 1, 0))
    }

    fn block_before(&self, (entry, block): (u64, usize)) -> Option<(u64, usize)> {
        if let Some(before) = block.checked_sub(1) {
            return Some((entry, before));
        }
        let before = entry.checked_sub(1)?;
        Some((before, self.entry(before)?.n_blocks().checked_sub(1)?))
    }

    /// Does something with the lines of a block, laid out if they are not.
    fn with_lines<T>(
        &mut self,
        (entry, block): (u64, usize),
        view: &View,
        with: impl FnOnce(&[Line]) -> T,
    ) -> T {
        let is_first = entry == self.first && entry > 0;
        let first = self.first;
        let Some(held) = self.entry_mut(entry) else {
            return with(&[]);
        };
        if block == 0 {
            return match (is_first, held.has_gap && !held.is_blank()) {
                (true, _) => with(&[dropped_line(first, view), Line::default()]),
                (false, true) => with(&[Line::default()]),
                (false, false) => with(&[]),
            };
        }
        match held.part(block - 1, view) {
            Part::Made(None) => with(&[]),
            Part::Made(Some(content)) => {
                let lines = content.lay_out(view.layout);
                self.lines_laid += lines.len() as u64;
                with(&lines)
            }
            Part::Kept(kept) => {
                let (lines, is_new) = kept.lines(view.layout);
                let n_lines = lines.len() as u64;
                let done = with(lines);
                if is_new {
                    self.lines_laid += n_lines;
                    self.laid.push_back((entry, block));
                }
                done
            }
        }
    }

    /// Lets the lines go that were laid out longest ago.
    fn forget_old(&mut self) {
        while self.laid.len() > LAID_BLOCKS_MAX {
            if let Some((entry, block)) = self.laid.pop_front()
                && let Some(held) = self.entry_mut(entry)
            {
                held.forget(block.saturating_sub(1));
            }
        }
    }
}

fn dropped_line(n_dropped: u64, view: &View) -> Line {
    let text = format!(
        "… {} earlier entries: titanclaw sessions show {}",
        count(n_dropped),
        short(view.session)
    );
    Line::dim(text).cut(view.layout.width)
}

/// The last letters of an id, which name a session well enough.
pub(super) fn short(session: SessionId) -> String {
    let id = session.to_string();
    id[id.len().saturating_sub(8)..].to_owned()
}

impl Entry {
    /// Whether nothing of it is seen.
    fn is_blank(&self) -> bool {
        match &self.kind {
            Kind::Answer(answer) => answer.is_blank(),
            Kind::Thinking { text, .. } => text.last_lines(1).is_empty(),
            Kind::Said(_) | Kind::Note(_) | Kind::Call(_) => false,
        }
    }

    /// Blocks, the gap before it counted.
    fn n_blocks(&self) -> usize {
        if self.is_blank() {
            return 1;
        }
        1 + match &self.kind {
            Kind::Said(_) | Kind::Note(_) => 1,
            Kind::Answer(answer) => answer.n_blocks(),
            Kind::Thinking { text, .. } => 1 + text.n_blocks(),
            Kind::Call(card) => card.n_blocks(),
        }
    }

    fn part(&mut self, idx: usize, view: &View) -> Part<'_> {
        match &mut self.kind {
            Kind::Said(block) | Kind::Note(block) => Part::Kept(block),
            Kind::Answer(answer) => answer.block(idx),
            Kind::Call(card) => card.block(idx, view),
            Kind::Thinking {
                text,
                is_open,
                is_ended,
            } => {
                let is_open = is_open.unwrap_or(view.opens_thinking);
                match idx {
                    0 => Part::Made(Some(thinking_header(text, is_open, *is_ended, view))),
                    _ if is_open => text.block(idx - 1),
                    _ => Part::Made(None),
                }
            }
        }
    }

    fn forget(&mut self, idx: usize) {
        match &mut self.kind {
            Kind::Said(block) | Kind::Note(block) => block.forget(),
            Kind::Answer(answer) => {
                if let Part::Kept(block) = answer.block(idx) {
                    block.forget();
                }
            }
            Kind::Thinking { text, .. } if idx > 0 && idx <= text.n_blocks() => {
                if let Part::Kept(block) = text.block(idx - 1) {
                    block.forget();
                }
            }
            Kind::Thinking { .. } => {}
            Kind::Call(card) => card.forget(idx),
        }
    }

    fn bytes(&self) -> usize {
        match &self.kind {
            Kind::Said(block) | Kind::Note(block) => block.content.bytes(),
            Kind::Answer(answer) => answer.bytes(),
            Kind::Thinking { text, .. } => text.bytes(),
            Kind::Call(card) => card.bytes(),
        }
    }

    fn holds(&self, wanted: &str) -> bool {
        match &self.kind {
            Kind::Said(block) | Kind::Note(block) => block.content.holds(wanted),
            Kind::Answer(answer) => answer.holds(wanted),
            Kind::Thinking { text, .. } => text.holds(wanted),
            Kind::Call(card) => card.holds(wanted),
        }
    }
}

fn thinking_header(text: &Growing, is_open: bool, is_ended: bool, view: &View) -> Content {
    let fold = if is_open { "▾ " } else { "▸ " };
    let name = if is_ended { "thought" } else { "thinking" };
    let mut line = Line::dim(format!("{fold}{name}"));
    if !is_open {
        let last = text.last_lines(1).pop().unwrap_or_default();
        let n_lines = match text.lines() {
            1 => "1 line".to_owned(),
            n => format!("{} lines", count(n)),
        };
        line = match is_ended {
            true => line.with(Style::DIM, format!(" · {n_lines}")),
            false => line.with(Style::DIM, format!(" · {}", last.trim())),
        };
    }
    Content::Lines(vec![line.cut(view.layout.width)])
}
