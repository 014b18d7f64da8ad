//! Styled lines: what is shown, apart from how a terminal is told.

use super::visible::{clean, columns};
use std::borrow::Cow;
use unicode_width::UnicodeWidthChar;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Heavier.
    pub bold: bool,
    /// Fainter.
    pub dim: bool,
    /// Slanted.
    pub italic: bool,
    /// With a line below.
    pub underline: bool,
    /// With a line through it.
    pub strike: bool,
    /// In a colour; the terminal's own for text when `None`.
    pub color: Option<Color>,
}

/// The terminal's own colours; the person chose how they look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// What failed or was denied.
    Red = 31,
    /// What went well.
    Green = 32,
    /// What asks for attention.
    Yellow = 33,
    /// Headings.
    Magenta = 35,
    /// Code, marks, the person's own words.
    Cyan = 36,
}

impl Style {
    /// As the terminal writes.
    pub const PLAIN: Self = Self {
        bold: false,
        dim: false,
        italic: false,
        underline: false,
        strike: false,
        color: None,
    };
    /// Bold and nothing else.
    pub const BOLD: Self = Self {
        bold: true,
        ..Self::PLAIN
    };
    /// Dim and nothing else.
    pub const DIM: Self = Self {
        dim: true,
        ..Self::PLAIN
    };

    /// Plain text in a colour.
    pub const fn color(color: Color) -> Self {
        Self {
            color: Some(color),
            ..Self::PLAIN
        }
    }

    fn codes(self) -> String {
        let flags = [
            (self.bold, "1"),
            (self.dim, "2"),
            (self.italic, "3"),
            (self.underline, "4"),
            (self.strike, "9"),
        ];
        let mut codes: Vec<String> = flags
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, code)| (*code).to_owned())
            .collect();
        codes.extend(self.color.map(|color| (color as u8).to_string()));
        codes.join(";")
    }
}

/// Text of one style, with nothing in it that steers a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What it says, cleaned.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

impl Span {
    /// A span of this text, made harmless with [`clean`].
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        let text = text.into();
        let text = match clean(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(cleaned) => cleaned,
        };
        Self { text, style }
    }
}

/// A line on the screen. Whatever is put into it, it stays one line: a line break or a tab becomes a space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Span>);

impl Line {
    /// A line of dim text.
    pub fn dim(text: impl Into<String>) -> Self {
        Self::default().with(Style::DIM, text)
    }

    /// The line with more text at its end.
    pub fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        self.push(Span::new(text, style));
        self
    }

    /// Adds a span, joined to the last one when both look alike.
    pub fn push(&mut self, mut span: Span) {
        if span.text.is_empty() {
            return;
        }
        if span.text.contains(['\n', '\t']) {
            span.text = span.text.replace(['\n', '\t'], " ");
        }
        match self.0.last_mut() {
            Some(last) if last.style == span.style => last.text.push_str(&span.text),
            _ => self.0.push(span),
        }
    }

    /// Columns that it takes.
    pub fn width(&self) -> usize {
        self.0.iter().map(|span| columns(&span.text)).sum()
    }

    /// At most `width` columns of it, with an ellipsis when something is left out.
    pub fn cut(&self, width: usize) -> Self {
        if self.width() <= width {
            return self.clone();
        }
        let mut room = width.saturating_sub(1);
        let mut cut = Self::default();
        'spans: for span in &self.0 {
            let mut text = String::new();
            for c in span.text.chars() {
                let columns = c.width().unwrap_or(1);
                if columns > room {
                    cut.push(Span::new(text, span.style));
                    break 'spans;
                }
                room -= columns;
                text.push(c);
            }
            cut.push(Span::new(text, span.style));
        }
        if width > 0 {
            cut.push(Span::new("…", Style::DIM));
        }
        cut
    }

    /// The text alone.
    pub fn text(&self) -> String {
        self.0.iter().map(|span| span.text.as_str()).collect()
    }

    /// The text with the terminal's codes, or without when there is no colour.
    pub fn paint(&self, has_color: bool) -> String {
        if !has_color {
            return self.text();
        }
        self.0
            .iter()
            .map(|span| match span.style.codes() {
                codes if codes.is_empty() => span.text.clone(),
                codes => format!("\u{1b}[{codes}m{}\u{1b}[0m", span.text),
            })
            .collect()
    }
}

/// Breaks spans into lines of at most `width` columns between words; a longer word is cut where the line ends.
/// A line break in a span's text is kept.
pub fn wrap(spans: &[Span], width: usize) -> Vec<Line> {
    let width = width.max(1);
    let mut wrapper = Wrapper {
        width,
        lines: Vec::new(),
        line: Line::default(),
        used: 0,
        word: Vec::new(),
        word_columns: 0,
        space: None,
    };
    for span in spans {
        for c in span.text.chars() {
            wrapper.take(c, span.style);
        }
    }
    wrapper.end_word();
    wrapper.end_line();
    wrapper.lines
}

/// Breaks text where a line is full and nowhere else, so that spaces are shown as they are.
pub fn wrap_exactly(spans: &[Span], width: usize) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let mut used = 0;
    for span in spans {
        for c in span.text.chars() {
            let columns = c.width().unwrap_or(0);
            if c == '\n' || used + columns > width {
                lines.push(Line::default());
                used = 0;
            }
            if c != '\n' {
                if let Some(line) = lines.last_mut() {
                    line.push(Span::new(c, span.style));
                }
                used += columns;
            }
        }
    }
    lines
}

struct Wrapper {
    width: usize,
    lines: Vec<Line>,
    line: Line,
    used: usize,
    word: Vec<(char, Style)>,
    word_columns: usize,
    space: Option<Style>,
}

impl Wrapper {
    fn take(&mut self, c: char, style: Style) {
        match c {
            '\n' => {
                self.end_word();
                self.end_line();
            }
            c if c.is_whitespace() && c != '\u{a0}' => {
                self.end_word();
                self.space = Some(style);
            }
            c => {
                let columns = c.width().unwrap_or(0);
                // Wide characters need no space between words.
                if columns == 2 {
                    self.end_word();
                }
                if self.word_columns + columns > self.width {
                    self.end_word();
                }
                self.word.push((c, style));
                self.word_columns += columns;
                if columns == 2 {
                    self.end_word();
                }
            }
        }
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let gap = usize::from(self.space.is_some() && self.used > 0);
        if self.used + gap + self.word_columns > self.width {
            self.end_line();
        } else if let Some(style) = self.space.take().filter(|_| self.used > 0) {
            self.line.push(Span::new(" ", style));
            self.used += 1;
        }
        self.space = None;
        for (c, style) in self.word.drain(..) {
            self.line.push(Span::new(c, style));
        }
        self.used += std::mem::take(&mut self.word_columns);
    }

    fn end_line(&mut self) {
        self.lines.push(std::mem::take(&mut self.line));
        self.used = 0;
        self.space = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_wrap(text: &str, width: usize, expected: &[&str]) {
        let lines = wrap(&[Span::new(text, Style::PLAIN)], width);
        assert_eq!(lines.iter().map(Line::text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn lines_break_between_words() {
        check_wrap("one two three", 7, &["one two", "three"]);
        check_wrap("a  b", 10, &["a b"]);
        check_wrap("abcdefgh ij", 3, &["abc", "def", "gh", "ij"]);
        check_wrap("日本語", 4, &["日本", "語"]);
        check_wrap("a\nb", 4, &["a", "b"]);
        check_wrap("", 4, &[""]);
    }

    #[test]
    fn a_cut_line_says_so_and_keeps_its_width() {
        let line = Line::default()
            .with(Style::PLAIN, "hello ")
            .with(Style::BOLD, "日本語");
        assert_eq!(line.cut(9).text(), "hello 日…");
        assert_eq!(line.cut(12), line);
        assert_eq!(line.cut(1).text(), "…");
        assert_eq!(line.cut(0).text(), "");
    }

    #[test]
    fn colour_is_written_only_when_wanted() {
        let line = Line::default()
            .with(Style::PLAIN, "a")
            .with(Style::color(Color::Red), "b");
        assert_eq!(line.paint(false), "ab");
        assert_eq!(line.paint(true), "a\u{1b}[31mb\u{1b}[0m");
    }
}
