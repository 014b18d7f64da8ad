//! Keys while a turn runs: what the person types to steer it, to answer and to approve.
//!
//! The terminal keeps turning Ctrl-C into an interrupt signal; everything else arrives here byte by byte.

use super::visible::clean;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Reads that wait to be decoded.
const READS_MAX: usize = 16;
/// A line that is typed holds at most this much.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Whole lines that wait for the next prompt.
const LINES_AHEAD_MAX: usize = 64;

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
    bytes: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// Closing it ends the reader.
    stop: Option<OwnedFd>,
    reader: Option<JoinHandle<()>>,
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
        let (stopped, stop) = rustix::pipe::pipe()?;
        let (sender, bytes) = mpsc::channel(READS_MAX);
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        let mut keyboard = Self {
            bytes,
            stop: Some(stop),
            reader: None,
            before,
            decoder: Decoder::default(),
        };
        set_bracketed_paste(true);
        let read = move || read_keys(&stopped, &sender);
        keyboard.reader = Some(
            std::thread::Builder::new()
                .name("keys".into())
                .spawn(read)?,
        );
        Ok(keyboard)
    }

    /// The keys that were pressed, at least one. Dropping the future loses none.
    pub(crate) async fn keys(&mut self) -> io::Result<Vec<Key>> {
        loop {
            let bytes = match self.bytes.recv().await {
                Some(bytes) => bytes?,
                // The terminal is gone; the hang-up signal tells what to do.
                None => std::future::pending().await,
            };
            let keys = self.decoder.feed(&bytes);
            if !keys.is_empty() {
                return Ok(keys);
            }
        }
    }

    /// Gives the keyboard back, with the keys that were read and asked for by nobody yet.
    pub(crate) fn close(mut self) -> Vec<Key> {
        self.end_reader()
    }

    /// Ends the reader at once, so that no key is taken from whoever reads next. What it had taken already comes back.
    fn end_reader(&mut self) -> Vec<Key> {
        self.stop = None;
        let mut keys = Vec::new();
        // It may wait for room in the channel, so its last words are taken while it ends; that is a matter of
        // microseconds, since it never waits for a key once it was stopped.
        loop {
            match self.bytes.try_recv() {
                Ok(Ok(bytes)) => keys.extend(self.decoder.feed(&bytes)),
                Ok(Err(error)) => tracing::debug!(%error, "the keyboard could not be read"),
                Err(mpsc::error::TryRecvError::Empty) => std::thread::yield_now(),
                Err(mpsc::error::TryRecvError::Disconnected) => break,
            }
        }
        if self
            .reader
            .take()
            .is_some_and(|reader| reader.join().is_err())
        {
            tracing::error!("the keyboard's reader failed");
        }
        keys
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.end_reader();
        set_bracketed_paste(false);
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Now, &self.before) {
            tracing::warn!(%error, "terminal mode not restored");
        }
    }
}

/// Passes on what is typed until `stopped` is closed at its other end.
fn read_keys(stopped: &OwnedFd, sender: &mpsc::Sender<io::Result<Vec<u8>>>) {
    let stdin = io::stdin();
    loop {
        let mut ready = [
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        let polled = poll(&mut ready, None);
        let (keys, stop) = (ready[0].revents(), ready[1].revents());
        if polled == Err(rustix::io::Errno::INTR) {
            continue;
        }
        if !stop.is_empty() {
            return;
        }
        let mut bytes = vec![0; 1024];
        let read = polled.and_then(|_| rustix::io::read(&stdin, &mut bytes));
        let is_over =
            read.is_err() || (read == Ok(0) && keys.intersects(PollFlags::HUP | PollFlags::ERR));
        bytes.truncate(read.unwrap_or(0));
        let taken = sender.blocking_send(read.map(|_| bytes).map_err(io::Error::from));
        if is_over || taken.is_err() {
            return;
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
        let text = String::from_utf8_lossy(&body[..end])
            .replace("\r\n", "\n")
            .replace('\r', "\n");
        return Some((
            Some(Key::Paste(text)),
            PASTE_START.len() + end + PASTE_END.len(),
        ));
    }
    match bytes.get(1) {
        None => Some((Some(Key::Escape), 1)),
        Some(b'[' | b'O') => {
            let end = bytes[2..]
                .iter()
                .position(|byte| (0x40..0x7f).contains(byte))?;
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
    let key = std::str::from_utf8(whole)
        .ok()
        .and_then(|text| text.chars().next());
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
            // What is pasted was copied from anywhere.
            Key::Paste(text) if self.0.len() + text.len() <= LINE_BYTES_MAX => {
                self.0.push_str(&clean(&text))
            }
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

/// What was typed when nobody asked for it: whole lines, and the beginning of one. It belongs to the next prompt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TypedAhead {
    pub(crate) lines: VecDeque<String>,
    pub(crate) begun: LineInput,
}

impl TypedAhead {
    /// Takes the keys that were left. Lines beyond the most that are kept are dropped.
    pub(crate) fn take(&mut self, keys: Vec<Key>) {
        for key in keys {
            if let Some(line) = self.begun.key(key)
                && self.lines.len() < LINES_AHEAD_MAX
            {
                self.lines.push_back(line);
            }
        }
    }

    /// The line that was begun, to be gone on with elsewhere.
    pub(crate) fn take_begun(&mut self) -> String {
        std::mem::take(&mut self.begun).0
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

    #[test]
    fn what_is_typed_ahead_is_kept_in_lines_and_a_beginning() {
        let mut ahead = TypedAhead::default();
        let keys = |text: &str| Decoder::default().feed(text.as_bytes());
        ahead.take(keys("one\rtw"));
        ahead.take(keys("o\r\rthr"));
        assert_eq!(ahead.lines, ["one", "two"]);
        assert_eq!(ahead.take_begun(), "thr");
        assert_eq!(ahead.begun, LineInput::default());
        ahead.take(keys(&"x\r".repeat(2 * LINES_AHEAD_MAX)));
        assert_eq!(ahead.lines.len(), LINES_AHEAD_MAX);
    }
}
