//! Standard output that survives a reader who leaves, as in `titanclaw sessions list | head -1`.

use super::screen::Size;
use crate::cli::ColorChoice;
use std::io::{self, IsTerminal, Write};
use titan_tui::render::style::Line;
use titan_tui::render::visible::{clean, json};

/// What standard output is, and how to write to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) is_terminal: bool,
    pub(crate) has_color: bool,
}

impl Output {
    /// Looks at standard output. `no_color` is the person's `NO_COLOR`.
    pub(crate) fn new(choice: ColorChoice, no_color: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self {
            is_terminal,
            has_color: wants_color(choice, no_color, is_terminal),
        }
    }

    /// Columns of the terminal; `None` in a pipe.
    pub(crate) fn width(self) -> Option<usize> {
        self.is_terminal.then(|| Size::of(io::stdout()).columns)
    }

    /// Writes lines.
    ///
    /// # Errors
    /// When they can't be written; a reader who left is an error of kind `BrokenPipe`, which ends the program
    /// without a word.
    pub(crate) fn lines(self, lines: &[Line]) -> io::Result<()> {
        let text: String = lines
            .iter()
            .map(|line| line.paint(self.has_color) + "\n")
            .collect();
        write(&text)
    }

    /// Writes text: as it is into a pipe, made harmless for a terminal.
    pub(crate) fn text(self, text: &str) -> io::Result<()> {
        match self.is_terminal {
            true => write(&clean(text)),
            false => write(text),
        }
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        self.json_line(&serde_json::to_string(value)?)
    }

    /// Writes a line that is JSON already.
    pub(crate) fn json_line(self, line: &str) -> anyhow::Result<()> {
        Ok(write(&format!("{}\n", json(line)))?)
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| {
            let text = format!("standard output can't be written: {error}");
            io::Error::new(error.kind(), text)
        })
}

/// Whether colour is written: the flag first, then `NO_COLOR`, then whether anybody sees it.
pub(crate) fn wants_color(choice: ColorChoice, no_color: bool, is_terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => is_terminal && !no_color,
    }
}
