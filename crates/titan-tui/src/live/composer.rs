//! What the person is writing: several lines, a cursor, long pastes folded, and what was written before.

use super::key::Key;
use crate::render::style::{Color, Line, Span, Style};
use crate::render::visible::clean;
use unicode_width::UnicodeWidthChar;

/// What is written holds at most this much, pastes counted.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// A paste of more lines is folded to a mark.
const PASTE_LINES_MAX: usize = 8;
/// And one of more characters.
const PASTE_CHARS_MAX: usize = 1_000;
/// Lines that are kept of what was written before.
const HISTORY_MAX: usize = 1_000;

/// The text that is being written.
#[derive(Debug, Default)]
pub(super) struct Composer {
    text: String,
    /// A byte position in the text, at the beginning of a character and never inside a mark.
    cursor: usize,
    /// Folded pastes: the mark in the text, and what it stands for.
    pastes: Vec<(String, String)>,
    history: Vec<String>,
    /// Which line of the history is shown, and what was being written before.
    recalled: Option<(usize, String)>,
    /// A paste found no room since that was last asked.
    has_refused: bool,
}

impl Composer {
    pub(super) fn new(history: Vec<String>) -> Self {
        Self {
            history,
            ..Self::default()
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether a paste was too long, which is told once.
    pub(super) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.has_refused)
    }

    /// Replaces what is written.
    pub(super) fn set(&mut self, text: &str) {
        self.text = clean(text).into_owned();
        self.cursor = self.text.len();
        self.pastes.clear();
        self.recalled = None;
    }

    /// What was written, with pastes in their places, and an empty line after it. It joins the history, whose new entry
    /// is the same text.
    pub(super) fn take(&mut self) -> String {
        let mut text = std::mem::take(&mut self.text);
        for (mark, pasted) in std::mem::take(&mut self.pastes) {
            text = text.replacen(&mark, &pasted, 1);
        }
        self.cursor = 0;
        self.recalled = None;
        if self.history.last() != Some(&text) {
            self.history.push(text.clone());
        }
        if self.history.len() > HISTORY_MAX {
            self.history.remove(0);
        }
        text
    }

    /// Takes a key that edits; false when it is none of those.
    pub(super) fn key(&mut self, key: &Key, width: usize) -> bool {
        match key {
            Key::Char(c) => self.insert(&c.to_string()),
            Key::Paste(text) => self.paste(text),
            Key::NewLine => self.insert("\n"),
            Key::Backspace => self.delete(self.before(self.cursor), self.cursor),
            Key::Delete => self.delete(self.cursor, self.after(self.cursor)),
            Key::Ctrl('w') => self.delete(self.word_before(), self.cursor),
            Key::Ctrl('u') => self.delete(self.line_start(), self.cursor),
            Key::Ctrl('k') => self.delete(self.cursor, self.line_end()),
            Key::Left | Key::Ctrl('b') => self.cursor = self.before(self.cursor),
            Key::Right => self.cursor = self.after(self.cursor),
            Key::WordLeft => self.cursor = self.word_before(),
            Key::WordRight => self.cursor = self.word_after(),
            Key::Home | Key::Ctrl('a') => self.cursor = self.line_start(),
            Key::End | Key::Ctrl('e') => self.cursor = self.line_end(),
            Key::Up => self.up(width),
            Key::Down => self.down(width),
            _ => return false,
        }
        true
    }

    /// A backslash at the end asks for another line; puts one there instead.
    pub(super) fn goes_on(&mut self) -> bool {
        if self.cursor != self.text.len() || !self.text.ends_with('\\') {
            return false;
        }
        self.text.pop();
        self.cursor = self.text.len();
        self.insert("\n");
        true
    }

    /// The word that begins with `@` and ends at the cursor, without the `@`.
    pub(super) fn path(&self) -> Option<&str> {
        let before = &self.text[..self.cursor];
        let start = before.rfind(char::is_whitespace).map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
        before[start..].strip_prefix('@')
    }

    /// Replaces that word's path. A folder's can be gone on with.
    pub(super) fn complete_path(&mut self, path: &str) {
        let Some(length) = self.path().map(str::len) else {
            return;
        };
        let start = self.cursor - length;
        let end = if path.ends_with('/') { "" } else { " " };
        let path = format!("{}{end}", crate::render::visible::clean_line(path));
        self.text.replace_range(start..self.cursor, &path);
        self.cursor = start + path.len();
    }

    fn insert(&mut self, text: &str) {
        if self.bytes() + text.len() > TEXT_BYTES_MAX {
            self.has_refused = true;
            return;
        }
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
        self.recalled = None;
    }

    fn bytes(&self) -> usize {
        let pastes = self.pastes.iter().map(|(_, text)| text.len());
        self.text.len() + pastes.sum::<usize>()
    }

    /// What is pasted was copied from anywhere.
    fn paste(&mut self, text: &str) {
        let text = clean(text);
        let n_lines = text.lines().count();
        if n_lines <= PASTE_LINES_MAX && text.chars().count() <= PASTE_CHARS_MAX {
            return self.insert(&text);
        }
        if self.bytes() + text.len() > TEXT_BYTES_MAX {
            self.has_refused = true;
            return;
        }
        let n_chars = text.chars().count();
        let what = match n_lines {
            1 => format!("{n_chars} characters"),
            n => format!("{n} lines"),
        };
        let mut mark = format!("[pasted {what}]");
        let mut number = 1;
        while self.text.contains(&mark) {
            number += 1;
            mark = format!("[pasted {what} #{number}]");
        }
        self.insert(&mark);
        self.pastes.push((mark, text.into_owned()));
    }

    fn delete(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = from;
        self.recalled = None;
        let text = &self.text;
        self.pastes.retain(|(mark, _)| text.contains(mark.as_str()));
    }

    fn before(&self, at: usize) -> usize {
        let text = &self.text[..at];
        if let Some(mark) = self.mark(|mark| text.ends_with(mark)) {
            return at - mark.len();
        }
        let mut start = at;
        for (idx, c) in text.char_indices().rev() {
            start = idx;
            if c.width() != Some(0) {
                break;
            }
        }
        start
    }

    fn after(&self, at: usize) -> usize {
        let text = &self.text[at..];
        if let Some(mark) = self.mark(|mark| text.starts_with(mark)) {
            return at + mark.len();
        }
        let mut chars = text.char_indices().skip(1);
        let next = chars.find(|(_, c)| c.width() != Some(0));
        match (text.is_empty(), next) {
            (true, _) => at,
            (_, Some((idx, _))) => at + idx,
            (_, None) => self.text.len(),
        }
    }

    fn mark(&self, is_there: impl Fn(&str) -> bool) -> Option<&str> {
        let mut marks = self.pastes.iter().map(|(mark, _)| mark.as_str());
        marks.find(|mark| is_there(mark))
    }

    fn word_before(&self) -> usize {
        let is_space = |at: usize| {
            self.text[..at]
                .chars()
                .next_back()
                .is_some_and(char::is_whitespace)
        };
        let mut at = self.cursor;
        while at > 0 && is_space(at) {
            at = self.before(at);
        }
        while at > 0 && !is_space(at) {
            at = self.before(at);
        }
        at
    }

    fn word_after(&self) -> usize {
        let is_space = |at: usize| self.text[at..].starts_with(char::is_whitespace);
        let mut at = self.cursor;
        while at < self.text.len() && is_space(at) {
            at = self.after(at);
        }
        while at < self.text.len() && !is_space(at) {
            at = self.after(at);
        }
        at
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..]
            .find('\n')
            .map_or(self.text.len(), |at| self.cursor + at)
    }

    fn up(&mut self, width: usize) {
        let (row, column) = self.cursor_at(width);
        match row.checked_sub(1) {
            Some(row) => self.cursor = self.position(row, column, width),
            None => self.recall_older(),
        }
    }

    fn down(&mut self, width: usize) {
        let (row, column) = self.cursor_at(width);
        match row + 1 < self.rows(width).len() {
            true => self.cursor = self.position(row + 1, column, width),
            false => self.recall_newer(),
        }
    }

    fn recall_older(&mut self) {
        let (at, writing) = match self.recalled.take() {
            Some((at, writing)) => (at, writing),
            None => (self.history.len(), self.text.clone()),
        };
        let Some(older) = at.checked_sub(1) else {
            self.recalled = (at < self.history.len()).then_some((at, writing));
            return;
        };
        let text = self.history[older].clone();
        self.set(&text);
        self.recalled = Some((older, writing));
    }

    fn recall_newer(&mut self) {
        let Some((at, writing)) = self.recalled.take() else {
            return;
        };
        match self.history.get(at + 1).cloned() {
            Some(text) => {
                self.set(&text);
                self.recalled = Some((at + 1, writing));
            }
            None => self.set(&writing),
        }
    }

    /// The rows of the text, each as the byte positions of its beginning and end.
    fn rows(&self, width: usize) -> Vec<(usize, usize)> {
        let width = width.max(1);
        let mut rows = Vec::new();
        let (mut start, mut used) = (0, 0);
        for (at, c) in self.text.char_indices() {
            let columns = columns_of(c);
            if c == '\n' {
                rows.push((start, at));
                (start, used) = (at + 1, 0);
            } else if used + columns > width {
                rows.push((start, at));
                (start, used) = (at, columns);
            } else {
                used += columns;
            }
        }
        rows.push((start, self.text.len()));
        // The cursor stands behind a row that is full.
        if used >= width {
            rows.push((self.text.len(), self.text.len()));
        }
        rows
    }

    /// The cursor's row and column.
    pub(super) fn cursor_at(&self, width: usize) -> (usize, usize) {
        let rows = self.rows(width);
        let row = rows
            .iter()
            .rposition(|(start, _)| *start <= self.cursor)
            .unwrap_or(0);
        let (start, _) = rows[row];
        let before = self.text[start..self.cursor].chars();
        (row, before.map(columns_of).sum())
    }

    fn position(&self, row: usize, column: usize, width: usize) -> usize {
        let (start, end) = self.rows(width)[row];
        let mut used = 0;
        let mut at = start;
        for (idx, c) in self.text[start..end].char_indices() {
            used += columns_of(c);
            if used > column {
                break;
            }
            at = start + idx + c.len_utf8();
        }
        self.outside_marks(at)
    }

    /// The position itself, or the end of the mark that it lies in.
    fn outside_marks(&self, at: usize) -> usize {
        for (mark, _) in &self.pastes {
            if let Some(start) = self.text.find(mark.as_str())
                && start < at
                && at < start + mark.len()
            {
                return start + mark.len();
            }
        }
        at
    }

    /// The text in rows of at most `width` columns, marks of pastes told apart.
    pub(super) fn lines(&self, width: usize) -> Vec<Line> {
        let rows = self.rows(width);
        rows.iter()
            .map(|(start, end)| {
                let mut line = Line::default();
                self.put(&mut line, *start, *end);
                line
            })
            .collect()
    }

    fn put(&self, line: &mut Line, start: usize, end: usize) {
        let mut at = start;
        let mut marks: Vec<(usize, usize)> = self
            .pastes
            .iter()
            .filter_map(|(mark, _)| {
                let from = self.text.find(mark.as_str())?;
                Some((from, from + mark.len()))
            })
            .collect();
        marks.sort_unstable();
        for (from, to) in marks {
            let (from, to) = (from.clamp(start, end), to.clamp(start, end));
            if from < to {
                line.push(Span::new(&self.text[at..from], Style::PLAIN));
                line.push(Span::new(&self.text[from..to], Style::color(Color::Cyan)));
                at = to;
            }
        }
        line.push(Span::new(&self.text[at..end], Style::PLAIN));
    }
}

/// A tab is shown as a space.
fn columns_of(c: char) -> usize {
    if c == '\t' { 1 } else { c.width().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 10;

    fn typed(text: &str) -> Composer {
        let mut composer = Composer::default();
        for c in text.chars() {
            let key = if c == '\n' {
                Key::NewLine
            } else {
                Key::Char(c)
            };
            assert!(composer.key(&key, WIDTH));
        }
        composer
    }

    fn press(composer: &mut Composer, keys: &[Key]) {
        for key in keys {
            composer.key(key, WIDTH);
        }
    }

    /// The text with a bar where the cursor is.
    fn shown(composer: &Composer) -> String {
        let mut text = composer.text.clone();
        text.insert(composer.cursor, '|');
        text
    }

    #[test]
    fn text_is_edited_by_characters_words_and_lines() {
        let mut composer = typed("one two\nthree");
        press(&mut composer, &[Key::Home, Key::Char('>')]);
        assert_eq!(shown(&composer), "one two\n>|three");
        press(&mut composer, &[Key::Up, Key::WordRight, Key::Ctrl('w')]);
        assert_eq!(shown(&composer), "| two\n>three");
        press(&mut composer, &[Key::End, Key::Delete, Key::Ctrl('k')]);
        assert_eq!(shown(&composer), " two|");
        press(&mut composer, &[Key::Left, Key::Backspace]);
        assert_eq!(shown(&composer), " t|o");
        press(&mut composer, &[Key::Ctrl('u')]);
        assert_eq!(shown(&composer), "|o");
    }

    #[test]
    fn letters_with_marks_and_wide_ones_are_one_step() {
        let mut composer = typed("e\u{301}日");
        press(&mut composer, &[Key::Left, Key::Left]);
        assert_eq!(composer.cursor, 0);
        press(&mut composer, &[Key::Delete]);
        assert_eq!(shown(&composer), "|日");
    }

    #[test]
    fn a_long_paste_is_a_mark_that_is_sent_whole_and_deleted_whole() {
        let pasted = "line\n".repeat(120);
        let mut composer = typed("see ");
        press(&mut composer, &[Key::Paste(pasted.clone()), Key::Char('!')]);
        assert_eq!(composer.text(), "see [pasted 120 lines]!");
        press(&mut composer, &[Key::Left, Key::Left]);
        assert_eq!(shown(&composer), "see |[pasted 120 lines]!");
        press(&mut composer, &[Key::Right, Key::Paste(pasted.clone())]);
        assert_eq!(
            composer.text(),
            "see [pasted 120 lines][pasted 120 lines #2]!"
        );
        press(&mut composer, &[Key::Backspace]);
        assert_eq!(shown(&composer), "see [pasted 120 lines]|!");
        assert_eq!(composer.take(), format!("see {pasted}!"));
        assert!(composer.is_empty());
    }

    #[test]
    fn a_paste_that_is_too_long_is_refused_whole() {
        let mut composer = typed("a");
        press(&mut composer, &[Key::Paste("x".repeat(TEXT_BYTES_MAX))]);
        assert_eq!(composer.text(), "a");
        assert!(composer.take_refused());
        assert!(!composer.take_refused());
    }

    #[test]
    fn what_was_written_before_comes_back_and_what_is_written_stays() {
        let mut composer = Composer::new(vec!["old".into(), "newer\nlines".into()]);
        press(&mut composer, &[Key::Char('x'), Key::Up]);
        assert_eq!(composer.text(), "newer\nlines");
        press(&mut composer, &[Key::Up, Key::Up, Key::Up]);
        assert_eq!(composer.text(), "old");
        press(&mut composer, &[Key::Down, Key::Down, Key::Down]);
        assert_eq!(composer.text(), "x");
        assert_eq!(composer.take(), "x");
        press(&mut composer, &[Key::Up]);
        assert_eq!(composer.text(), "x");
    }

    #[test]
    fn rows_break_where_they_are_full_and_the_cursor_is_in_one() {
        let composer = typed("0123456789abc\n日本語日本語");
        let lines: Vec<String> = composer.lines(WIDTH).iter().map(Line::text).collect();
        assert_eq!(lines, ["0123456789", "abc", "日本語日本", "語"]);
        assert_eq!(composer.cursor_at(WIDTH), (3, 2));
        assert_eq!(typed("0123456789").cursor_at(WIDTH), (1, 0));
        for width in 0..4 {
            composer.cursor_at(width);
            composer.lines(width);
        }
    }

    #[test]
    fn a_path_after_an_at_sign_is_completed() {
        let mut composer = typed("read @src/ma");
        assert_eq!(composer.path(), Some("src/ma"));
        composer.complete_path("src/main.rs");
        assert_eq!(shown(&composer), "read @src/main.rs |");
        assert_eq!(composer.path(), None);
        assert_eq!(typed("a@b").path(), None);
        assert_eq!(typed("@").path(), Some(""));
    }

    #[test]
    fn a_backslash_at_the_end_asks_for_another_line() {
        let mut composer = typed("a\\");
        assert!(composer.goes_on());
        assert_eq!(shown(&composer), "a\n|");
        assert!(!composer.goes_on());
    }
}
