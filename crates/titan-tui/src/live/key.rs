//! What a person does at the terminal, apart from how a terminal tells it.

/// A key, with what is held down while it is pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// A letter with Ctrl, lower case.
    Ctrl(char),
    /// A paste, whole, with line feeds at its lines' ends.
    Paste(String),
    /// Enter alone.
    Enter,
    /// Enter with Alt or Shift, or Ctrl-J: the next line of what is typed.
    NewLine,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Escape.
    Escape,
    /// One to the left.
    Left,
    /// One to the right.
    Right,
    /// A word to the left.
    WordLeft,
    /// A word to the right.
    WordRight,
    /// One up.
    Up,
    /// One down.
    Down,
    /// Shift-Up or Ctrl-Up: the conversation by a row.
    RowUp,
    /// Shift-Down or Ctrl-Down.
    RowDown,
    /// The line's beginning.
    Home,
    /// The line's end.
    End,
    /// Ctrl-Home: the conversation's beginning.
    First,
    /// Ctrl-End: the conversation's end.
    Last,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// F1.
    Help,
    /// The mouse's wheel, by rows; up is negative.
    Wheel(i16),
    /// The left button, pressed at a column and row from 0.
    Click(u16, u16),
}

impl Key {
    /// Whether it came from the keyboard itself: not pasted and not by mouse.
    pub(super) fn is_pressed(&self) -> bool {
        !matches!(self, Self::Paste(_) | Self::Wheel(_) | Self::Click(..))
    }
}
