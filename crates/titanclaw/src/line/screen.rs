//! A terminal with a part at its bottom that is still changing.
//!
//! Lines above are written once and belong to the terminal's scrollback; the live part is erased and drawn again. It
//! is never taller than the terminal and none of its lines is wider, so that erasing is exact.

use std::io::{self, Write};
use titan_tui::render::style::Line;

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Size {
    /// What is assumed when a terminal does not say.
    pub(crate) const USUAL: Self = Self {
        columns: 80,
        rows: 24,
    };

    /// The size of the terminal behind a descriptor.
    pub(crate) fn of(terminal: impl rustix::fd::AsFd) -> Self {
        match rustix::termios::tcgetwinsize(terminal) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Self {
                columns: usize::from(size.ws_col),
                rows: usize::from(size.ws_row),
            },
            _ => Self::USUAL,
        }
    }
}

/// Draws on a terminal.
pub(crate) struct Screen<W: Write> {
    out: W,
    has_color: bool,
    live: Vec<Line>,
}

impl<W: Write> Screen<W> {
    pub(crate) fn new(out: W, has_color: bool) -> Self {
        Self {
            out,
            has_color,
            live: Vec::new(),
        }
    }

    /// Writes finished lines above and replaces the live part. Nothing is written when nothing changed.
    pub(crate) fn draw(&mut self, finished: &[Line], live: &[Line], size: Size) -> io::Result<()> {
        let rows_max = size.rows.saturating_sub(1).max(1);
        let shown: Vec<Line> = live[live.len().saturating_sub(rows_max)..]
            .iter()
            .map(|line| line.cut(size.columns.saturating_sub(1).max(1)))
            .collect();
        if finished.is_empty() && shown == self.live {
            return Ok(());
        }
        let mut text = self.erasure(size);
        for line in finished {
            text.push_str(&line.paint(self.has_color));
            text.push('\n');
        }
        let painted: Vec<String> = shown.iter().map(|l| l.paint(self.has_color)).collect();
        text.push_str(&painted.join("\n"));
        self.live = shown;
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Takes the live part away.
    pub(crate) fn clear(&mut self, size: Size) -> io::Result<()> {
        self.draw(&[], &[], size)
    }

    /// The codes that remove the live part, which a narrower terminal may have wrapped.
    fn erasure(&self, size: Size) -> String {
        let rows: usize = self
            .live
            .iter()
            .map(|line| line.width().div_ceil(size.columns.max(1)).max(1))
            .sum();
        match rows {
            0 => String::new(),
            1 => "\r\u{1b}[J".to_owned(),
            rows => format!("\r\u{1b}[{}A\u{1b}[J", rows - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use titan_tui::render::style::Style;

    const SIZE: Size = Size {
        columns: 10,
        rows: 4,
    };

    fn lines(texts: &[&str]) -> Vec<Line> {
        let line = |text: &&str| Line::default().with(Style::PLAIN, *text);
        texts.iter().map(line).collect()
    }

    #[test]
    fn the_live_part_is_replaced_and_what_is_finished_stays() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, false);
        screen
            .draw(&lines(&["done"]), &lines(&["a", "b"]), SIZE)
            .unwrap();
        screen.draw(&[], &lines(&["a", "b"]), SIZE).unwrap();
        screen.draw(&lines(&["a"]), &lines(&["c"]), SIZE).unwrap();
        screen.clear(SIZE).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "done\na\nb\r\u{1b}[1A\u{1b}[Ja\nc\r\u{1b}[J"
        );
    }

    #[test]
    fn the_live_part_fits_the_terminal() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, false);
        screen
            .draw(
                &[],
                &lines(&["1", "2", "3", "4", "much too long a line"]),
                SIZE,
            )
            .unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "3\n4\nmuch too…");
    }

    #[test]
    fn a_narrower_terminal_is_erased_whole() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, false);
        screen.draw(&[], &lines(&["12345678"]), SIZE).unwrap();
        let narrow = Size {
            columns: 4,
            rows: 4,
        };
        screen.clear(narrow).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "12345678\r\u{1b}[1A\u{1b}[J"
        );
    }
}
