//! Colours for the background that a terminal has.

use crate::render::style::{self, Color};
use ratatui::style::{Color as Cell, Modifier, Style};

/// What the terminal's background is, or that no colour is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Light text on a dark ground, in the terminal's own colours.
    #[default]
    Dark,
    /// Dark text on a light ground.
    Light,
    /// No colour; emphasis alone.
    Plain,
}

impl Theme {
    /// The next one, for a person who tries them.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Plain,
            Self::Plain => Self::Dark,
        }
    }

    pub(super) fn has_color(self) -> bool {
        self != Self::Plain
    }

    /// A style of the lines as one of the screen's cells.
    pub(super) fn cell(self, style: style::Style) -> Style {
        let flags = [
            (style.bold, Modifier::BOLD),
            (style.dim, Modifier::DIM),
            (style.italic, Modifier::ITALIC),
            (style.underline, Modifier::UNDERLINED),
            (style.strike, Modifier::CROSSED_OUT),
        ];
        let set = flags.iter().filter(|(on, _)| *on);
        let cell = set.fold(Style::new(), |cell, (_, flag)| cell.add_modifier(*flag));
        match style.color.and_then(|color| self.color(color)) {
            Some(color) => cell.fg(color),
            None => cell,
        }
    }

    /// The terminal's yellow and cyan can't be read on white, so a light ground gets darker ones of the 256 colours.
    fn color(self, color: Color) -> Option<Cell> {
        let (dark, light) = match color {
            Color::Red => (Cell::Red, 124),
            Color::Green => (Cell::Green, 28),
            Color::Yellow => (Cell::Yellow, 130),
            Color::Magenta => (Cell::Magenta, 90),
            Color::Cyan => (Cell::Cyan, 30),
        };
        match self {
            Self::Dark => Some(dark),
            Self::Light => Some(Cell::Indexed(light)),
            Self::Plain => None,
        }
    }
}
