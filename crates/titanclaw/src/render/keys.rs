//! Keys while a turn runs: what the person types to steer it, to answer and to approve.
//!
//! The terminal keeps turning Ctrl-C into an interrupt signal; everything else arrives here byte by byte.

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::io::{self, Stdin, Write};
use tokio::io::unix::AsyncFd;

/// A line that is typed holds at most this much.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A key, or a paste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Paste(String),
    Enter,
    Backspace,
    Escape,
    /// Ctrl-D.
    End,
    /// Ctrl-U.
    KillLine,
    /// Ctrl-W.
    KillWord,
}

/// The keyboard of the terminal at standard input, in raw mode until dropped.
pub(crate) struct Keyboard {
    terminal: AsyncFd<Stdin>,
    before: Termios,
    decoder: Decoder,
}

impl Keyboard {
    /// Takes the keyboard over. Fails where standard input is no terminal.
    pub(crate) fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
        // A read gives what is there and never waits.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        let terminal = AsyncFd::new(stdin)?;
        tcsetattr(terminal.get_ref(), OptionalActions::Now, &raw)?;
        set_bracketed_paste(true);
        Ok(Self {
            terminal,
            before,
            decoder: Decoder::default(),
        })
    }

    /// The keys that were pressed, at least one. Dropping the future loses none.
    pub(crate) async fn keys(&mut self) -> io::Result<Vec<Key>> {
        loop {
            let mut ready = self.terminal.readable().await?;
            let mut bytes = [0; 1024];
            let n_bytes = rustix::io::read(ready.get_inner(), &mut bytes)?;
            if n_bytes < bytes.len() {
                ready.clear_ready();
            }
            let keys = self.decoder.feed(&bytes[..n_bytes]);
            if !keys.is_empty() {
                return Ok(keys);
            }
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        set_bracketed_paste(false);
        if let Err(error) = tcsetattr(self.terminal.get_ref(), OptionalActions::Now, &self.before) {
            tracing::warn!(%error, "terminal mode not restored");
        }
    }
}

fn set_bracketed_paste(on: bool) {
    let code: &[u8] = if on { b"\x1b[?2004h" } else { b"\x1b[?2004l" };
    let mut out = io::stderr();
    if let Err(error) = out.write_all(code).and_then(|()| out.flush()) {
        tracing::debug!(%error, "bracketed paste not switched");
    }
}

/// Turns bytes into keys. Cursor and function keys are swallowed.
#[derive(Debug, Default)]
struct Decoder {
    pending: Vec<u8>,
}

const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

impl Decoder {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        let mut at = 0;
        while at < self.pending.len() {
            let Some((key, used)) = next_key(&self.pending[at..]) else {
                break;
            };
            keys.extend(key);
            at += used;
        }
        self.pending.drain(..at);
        if self.pending.len() > LINE_BYTES_MAX {
            self.pending.clear();
        }
        keys
    }
}

/// The first key and how many bytes it took; `None` when more bytes are needed to tell.
fn next_key(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    match bytes[0] {
        b'\r' | b'\n' => Some((Some(Key::Enter), 1)),
        0x7f | 0x08 => Some((Some(Key::Backspace), 1)),
        0x04 => Some((Some(Key::End), 1)),
        0x15 => Some((Some(Key::KillLine), 1)),
        0x17 => Some((Some(Key::KillWord), 1)),
        0x1b => escape_key(bytes),
        0..0x20 => Some((None, 1)),
        _ => char_key(bytes),
    }
}

fn escape_key(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    if bytes.starts_with(PASTE_START) {
        let body = &bytes[PASTE_START.len()..];
        let end = body.windows(PASTE_END.len()).position(|w| w == PASTE_END)?;
        let text = String::from_utf8_lossy(&body[..end]).replace("\r\n", "\n").replace('\r', "\n");
        return Some((Some(Key::Paste(text)), PASTE_START.len() + end + PASTE_END.len()));
    }
    match bytes.get(1) {
        None => Some((Some(Key::Escape), 1)),
        Some(b'[' | b'O') => {
            let end = bytes[2..].iter().position(|byte| (0x40..0x7f).contains(byte))?;
            Some((None, 2 + end + 1))
        }
        Some(_) => Some((None, 2)),
    }
}

fn char_key(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    let length = match bytes[0] {
        0..0x80 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf8 => 4,
        _ => return Some((None, 1)),
    };
    let whole = bytes.get(..length)?;
    let key = std::str::from_utf8(whole).ok().and_then(|text| text.chars().next());
    Some((key.map(Key::Char), if key.is_some() { length } else { 1 }))
}

/// A line being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineInput(String);

impl LineInput {
    /// Takes a key; gives the line when it is finished with Enter and holds something.
    pub(crate) fn key(&mut self, key: Key) -> Option<String> {
        match key {
            Key::Char(c) if self.0.len() < LINE_BYTES_MAX => self.0.push(c),
            Key::Paste(text) if self.0.len() + text.len() <= LINE_BYTES_MAX => self.0.push_str(&text),
            Key::Backspace => {
                self.0.pop();
            }
            Key::KillLine | Key::Escape => self.0.clear(),
            Key::KillWord => {
                let kept = self.0.trim_end().rfind(char::is_whitespace);
                self.0.truncate(kept.map_or(0, |idx| idx + 1));
            }
            Key::Enter if !self.0.trim().is_empty() => return Some(std::mem::take(&mut self.0)),
            _ => {}
        }
        None
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_keys_however_they_are_cut() {
        let bytes = "aé日\r\u{7f}\u{1b}[A\u{1b}[200~x\r\ny\u{1b}[201~\u{15}\u{17}\u{4}".as_bytes();
        let expected = [
            Key::Char('a'),
            Key::Char('é'),
            Key::Char('日'),
            Key::Enter,
            Key::Backspace,
            Key::Paste("x\ny".into()),
            Key::KillLine,
            Key::KillWord,
            Key::End,
        ];
        assert_eq!(Decoder::default().feed(bytes), expected);
        for cut in 0..bytes.len() {
            // A cut right after ESC is a press of Escape; terminals send their sequences whole.
            if cut > 0 && bytes[cut - 1] == 0x1b {
                continue;
            }
            let mut decoder = Decoder::default();
            let mut keys = decoder.feed(&bytes[..cut]);
            keys.extend(decoder.feed(&bytes[cut..]));
            assert_eq!(keys, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_is_edited_and_finished() {
        let mut line = LineInput::default();
        for c in "one two".chars() {
            assert_eq!(line.key(Key::Char(c)), None);
        }
        line.key(Key::KillWord);
        assert_eq!(line.text(), "one ");
        line.key(Key::Backspace);
        line.key(Key::Paste("\nmore".into()));
        assert_eq!(line.key(Key::Enter), Some("one\nmore".into()));
        assert_eq!(line.key(Key::Enter), None);
    }
}
