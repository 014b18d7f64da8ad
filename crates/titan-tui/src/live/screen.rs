//! The terminal taken over and given back: the alternate screen, raw keys, marked pastes, the mouse.

use super::key::Key;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event,
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, KeyboardEnhancementFlags, MouseButton,
    MouseEvent, MouseEventKind, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use std::io;
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::thread;

/// Rows that one notch of the wheel moves.
const WHEEL_ROWS: i16 = 3;

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// The terminal, until dropped. It is given back on a panic too, before its message is written.
pub(super) struct Screen {
    before: Arc<Hook>,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        // Where a terminal does not know the last one, Shift-Enter is Enter; Alt-Enter works everywhere.
        let taken = execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            EnableMouseCapture,
            PushKeyboardEnhancementFlags(KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES)
        );
        if let Err(error) = taken {
            give_back();
            return Err(error);
        }
        let before: Arc<Hook> = Arc::from(panic::take_hook());
        let (owner, then) = (thread::current().id(), before.clone());
        panic::set_hook(Box::new(move |panicked| {
            // Other threads' panics end their tasks; the screen goes on.
            if thread::current().id() == owner {
                give_back();
            }
            then(panicked);
        }));
        Ok(Self { before })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        if !thread::panicking() {
            let before = self.before.clone();
            panic::set_hook(Box::new(move |panicked| before(panicked)));
        }
    }
}

fn give_back() {
    let given = execute!(
        io::stdout(),
        PopKeyboardEnhancementFlags,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let restored = disable_raw_mode();
    if let Err(error) = given.and(restored) {
        tracing::warn!(%error, "terminal not restored");
    }
}

/// What the terminal tells, as a key; `None` where it is none, or one that does nothing.
pub(super) fn key_of(event: Event) -> Option<Key> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => pressed(key),
        Event::Paste(text) => Some(Key::Paste(text.replace("\r\n", "\n").replace('\r', "\n"))),
        Event::Mouse(mouse) => moused(mouse),
        _ => None,
    }
}

fn pressed(key: KeyEvent) -> Option<Key> {
    let has = |modifier| key.modifiers.contains(modifier);
    let has_ctrl = has(KeyModifiers::CONTROL);
    let has_alt = has(KeyModifiers::ALT);
    let has_shift = has(KeyModifiers::SHIFT);
    Some(match key.code {
        KeyCode::Char('j') if has_ctrl => Key::NewLine,
        KeyCode::Char(c) if has_ctrl && !has_alt => Key::Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char('b') if has_alt => Key::WordLeft,
        KeyCode::Char('f') if has_alt => Key::WordRight,
        // With both, or with AltGr, it is a letter of the layout.
        KeyCode::Char(c) if has_ctrl == has_alt => Key::Char(c),
        KeyCode::Enter if has_alt || has_shift || has_ctrl => Key::NewLine,
        KeyCode::Enter => Key::Enter,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace if has_alt || has_ctrl => Key::Ctrl('w'),
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Esc => Key::Escape,
        KeyCode::Left if has_ctrl || has_alt => Key::WordLeft,
        KeyCode::Right if has_ctrl || has_alt => Key::WordRight,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Up if has_shift || has_ctrl => Key::RowUp,
        KeyCode::Down if has_shift || has_ctrl => Key::RowDown,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Home if has_ctrl => Key::First,
        KeyCode::End if has_ctrl => Key::Last,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::F(1) => Key::Help,
        _ => return None,
    })
}

fn moused(mouse: MouseEvent) -> Option<Key> {
    match mouse.kind {
        MouseEventKind::ScrollUp => Some(Key::Wheel(-WHEEL_ROWS)),
        MouseEventKind::ScrollDown => Some(Key::Wheel(WHEEL_ROWS)),
        MouseEventKind::Down(MouseButton::Left) => Some(Key::Click(mouse.column, mouse.row)),
        _ => None,
    }
}

/// The sequence that puts a text into the clipboard of a terminal that allows it (OSC 52).
pub(super) fn clipboard(text: &str) -> String {
    format!("\u{1b}]52;c;{}\u{7}", base64(text.as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |idx: usize| u32::from(three.get(idx).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        for idx in 0..4 {
            let letter = LETTERS[((bits >> (18 - 6 * idx)) & 63) as usize];
            let is_there = idx <= three.len();
            text.push(if is_there { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
        key_of(Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn keys_are_told_as_they_are_meant() {
        let none = KeyModifiers::NONE;
        let cases = [
            (KeyCode::Char('a'), none, Some(Key::Char('a'))),
            (
                KeyCode::Char('A'),
                KeyModifiers::SHIFT,
                Some(Key::Char('A')),
            ),
            (
                KeyCode::Char('c'),
                KeyModifiers::CONTROL,
                Some(Key::Ctrl('c')),
            ),
            (
                KeyCode::Char('j'),
                KeyModifiers::CONTROL,
                Some(Key::NewLine),
            ),
            (KeyCode::Char('x'), KeyModifiers::ALT, None),
            (KeyCode::Enter, none, Some(Key::Enter)),
            (KeyCode::Enter, KeyModifiers::ALT, Some(Key::NewLine)),
            (KeyCode::Enter, KeyModifiers::SHIFT, Some(Key::NewLine)),
            (KeyCode::Left, KeyModifiers::CONTROL, Some(Key::WordLeft)),
            (KeyCode::End, KeyModifiers::CONTROL, Some(Key::Last)),
            (KeyCode::F(9), none, None),
        ];
        for (code, modifiers, expected) in cases {
            assert_eq!(key(code, modifiers), expected, "{code:?} {modifiers:?}");
        }
        let pasted = key_of(Event::Paste("a\r\nb\rc".into()));
        assert_eq!(pasted, Some(Key::Paste("a\nb\nc".into())));
    }

    #[test]
    fn a_text_for_the_clipboard_is_encoded() {
        for (text, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(clipboard("foo"), "\u{1b}]52;c;Zm9v\u{7}");
    }
}
