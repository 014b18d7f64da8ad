//! Keys while a turn runs: what the person types to steer it, to answer and to approve.
//!
//! The terminal keeps turning Ctrl-C into an interrupt signal; everything else arrives here byte by byte.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use titan_tui::render::visible::clean;
use tokio::sync::mpsc;

/// Reads that wait to be taken.
const READS_MAX: usize = 16;
/// One read takes at most this much.
const READ_BYTES_MAX: usize = 1024;
/// A line that is typed holds at most this much, and so does a paste.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// No key sends a longer sequence.
const SEQUENCE_BYTES_MAX: usize = 64;
/// Whole lines that wait for the next prompt.
const LINES_AHEAD_MAX: usize = 64;
/// The rest of a key's sequence comes within this time; an escape that stands alone for longer is a press of Escape.
const SEQUENCE_WAIT_MAX: Duration = Duration::from_millis(50);
/// When the keyboard is given back in the middle of a paste, the next piece of it is waited for as long as this.
const PASTE_PIECE_WAIT_MAX: Duration = Duration::from_secs(2);
/// And its end as long as this.
const PASTE_WAIT_MAX: Duration = Duration::from_secs(30);

/// What the person is told of a paste that was not taken.
pub(crate) const PASTE_TOO_LONG: &str = "that paste makes the line longer than 64 KiB, so nothing of it was taken; put it into a file and name the file";

/// A key, or a paste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Paste(String),
    /// More was pasted than a line holds; nothing of it is kept.
    PasteTooLong,
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
    keys: mpsc::Receiver<io::Result<Vec<Key>>>,
    /// Closing it ends the reader.
    stop: Option<OwnedFd>,
    reader: Option<JoinHandle<()>>,
    before: Termios,
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
        let (sender, keys) = mpsc::channel(READS_MAX);
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        let mut keyboard = Self {
            keys,
            stop: Some(stop),
            reader: None,
            before,
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

    /// The keys that one read gave, at least one. Dropping the future loses none.
    pub(crate) async fn keys(&mut self) -> io::Result<Vec<Key>> {
        match self.keys.recv().await {
            Some(keys) => keys,
            // The terminal is gone; the hang-up signal tells what to do.
            None => std::future::pending().await,
        }
    }

    /// Gives the keyboard back, with the keys that were read and asked for by nobody yet. A paste that is under way is
    /// read to its end first: whoever reads next would take the rest of it for key presses.
    pub(crate) async fn close(mut self) -> Vec<Key> {
        self.stop = None;
        let mut left = Vec::new();
        while let Some(keys) = self.keys.recv().await {
            match keys {
                Ok(keys) => left.extend(keys),
                Err(error) => tracing::debug!(%error, "the keyboard could not be read"),
            }
        }
        left
    }

    /// Ends the reader, which takes microseconds except in the middle of a paste. What it still reads is dropped.
    fn end_reader(&mut self) {
        self.stop = None;
        // It may wait for room in the channel.
        while !matches!(
            self.keys.try_recv(),
            Err(mpsc::error::TryRecvError::Disconnected)
        ) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self
            .reader
            .take()
            .is_some_and(|reader| reader.join().is_err())
        {
            tracing::error!("the keyboard's reader failed");
        }
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

/// Passes on what is typed until `stopped` is closed at its other end, and then what is left of a sequence or a paste.
fn read_keys(stopped: &OwnedFd, sender: &mpsc::Sender<io::Result<Vec<Key>>>) {
    let mut decoder = Decoder::default();
    let mut stopped_at = None;
    loop {
        let (keys, is_over) = match read_once(stopped, &mut decoder, &mut stopped_at) {
            Ok(Read::Keys(keys)) => (Ok(keys), false),
            Ok(Read::Over(keys)) => (Ok(keys), true),
            Err(error) => (Err(error), true),
        };
        let is_empty = keys.as_ref().is_ok_and(Vec::is_empty);
        if (!is_empty && sender.blocking_send(keys).is_err()) || is_over {
            return;
        }
    }
}

/// What came of one look at the terminal.
enum Read {
    Keys(Vec<Key>),
    /// Nothing more is read.
    Over(Vec<Key>),
}

fn read_once(
    stopped: &OwnedFd,
    decoder: &mut Decoder,
    stopped_at: &mut Option<Instant>,
) -> io::Result<Read> {
    let is_late = stopped_at.is_some_and(|at| at.elapsed() >= PASTE_WAIT_MAX);
    if is_late || (stopped_at.is_some() && decoder.is_at_rest()) {
        return Ok(Read::Over(decoder.settle()));
    }
    let stdin = io::stdin();
    let mut ready = [
        PollFd::new(&stdin, PollFlags::IN),
        PollFd::new(stopped, PollFlags::IN),
    ];
    // A pipe that is closed is always ready.
    let n_watched = if stopped_at.is_some() { 1 } else { 2 };
    let wait = decoder.wait_max(stopped_at.is_some()).map(timespec);
    match poll(&mut ready[..n_watched], wait.as_ref()) {
        Err(rustix::io::Errno::INTR) => return Ok(Read::Keys(Vec::new())),
        Err(error) => return Err(error.into()),
        Ok(0) if stopped_at.is_some() => return Ok(Read::Over(decoder.settle())),
        Ok(0) => return Ok(Read::Keys(decoder.settle())),
        Ok(_) => {}
    }
    if stopped_at.is_none() && !ready[1].revents().is_empty() {
        *stopped_at = Some(Instant::now());
        return Ok(Read::Keys(Vec::new()));
    }
    let is_gone = ready[0]
        .revents()
        .intersects(PollFlags::HUP | PollFlags::ERR);
    let mut bytes = [0; READ_BYTES_MAX];
    let n_bytes = rustix::io::read(&stdin, &mut bytes)?;
    let keys = decoder.feed(&bytes[..n_bytes]);
    Ok(if n_bytes == 0 && is_gone {
        Read::Over(keys)
    } else {
        Read::Keys(keys)
    })
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

fn set_bracketed_paste(on: bool) {
    let code: &[u8] = if on { b"\x1b[?2004h" } else { b"\x1b[?2004l" };
    let mut out = io::stderr();
    if let Err(error) = out.write_all(code).and_then(|()| out.flush()) {
        tracing::debug!(%error, "bracketed paste not switched");
    }
}

/// Turns bytes into keys, however they are cut. Cursor and function keys are swallowed.
#[derive(Debug, Default)]
struct Decoder {
    /// The beginning of a sequence or a character; in a paste, what may be the beginning of its end.
    pending: Vec<u8>,
    paste: Option<Paste>,
}

/// A paste whose end did not come yet.
#[derive(Debug)]
enum Paste {
    Taken(Vec<u8>),
    /// It is longer than a line may be: the rest of it is left out.
    TooLong,
}

const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

impl Decoder {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        loop {
            let goes_on = match self.paste.take() {
                Some(paste) => self.pasted(paste, &mut keys),
                None => self.pressed(&mut keys),
            };
            if !goes_on {
                return keys;
            }
        }
    }

    /// Takes keys up to the beginning of a paste; false when more bytes are needed.
    fn pressed(&mut self, keys: &mut Vec<Key>) -> bool {
        let mut at = 0;
        while at < self.pending.len() {
            let rest = &self.pending[at..];
            if rest.starts_with(PASTE_START) {
                self.pending.drain(..at + PASTE_START.len());
                self.paste = Some(Paste::Taken(Vec::new()));
                return true;
            }
            let Some((key, used)) = next_key(rest) else {
                break;
            };
            keys.extend(key);
            at += used;
        }
        self.pending.drain(..at);
        if self.pending.len() > SEQUENCE_BYTES_MAX {
            self.pending.clear();
        }
        false
    }

    /// Takes what is there of a paste; false when more bytes are needed.
    fn pasted(&mut self, paste: Paste, keys: &mut Vec<Key>) -> bool {
        let end = find(&self.pending, PASTE_END);
        // Without its end the last bytes may be the beginning of it.
        let n_bytes = end.unwrap_or(self.pending.len().saturating_sub(PASTE_END.len() - 1));
        let paste = match paste {
            Paste::Taken(bytes) if bytes.len() + n_bytes > LINE_BYTES_MAX => {
                keys.push(Key::PasteTooLong);
                Paste::TooLong
            }
            Paste::Taken(mut bytes) => {
                bytes.extend_from_slice(&self.pending[..n_bytes]);
                Paste::Taken(bytes)
            }
            Paste::TooLong => Paste::TooLong,
        };
        self.pending
            .drain(..end.map_or(n_bytes, |end| end + PASTE_END.len()));
        if end.is_none() {
            self.paste = Some(paste);
            return false;
        }
        if let Paste::Taken(bytes) = paste {
            let text = String::from_utf8_lossy(&bytes);
            keys.push(Key::Paste(text.replace("\r\n", "\n").replace('\r', "\n")));
        }
        true
    }

    /// Whether nothing is begun.
    fn is_at_rest(&self) -> bool {
        self.paste.is_none() && self.pending.is_empty()
    }

    /// How long the rest of what is begun is waited for. A paste has all the time while nobody else wants the keyboard.
    fn wait_max(&self, is_stopped: bool) -> Option<Duration> {
        match &self.paste {
            Some(_) => is_stopped.then_some(PASTE_PIECE_WAIT_MAX),
            None if self.pending.is_empty() => None,
            None => Some(SEQUENCE_WAIT_MAX),
        }
    }

    /// Nothing more came in time: an escape was a key, and any other beginning was nothing. Of a paste that has no end
    /// nothing is taken.
    fn settle(&mut self) -> Vec<Key> {
        self.paste = None;
        let pending = std::mem::take(&mut self.pending);
        let is_escape = pending == [0x1b];
        is_escape.then_some(Key::Escape).into_iter().collect()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
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
    match bytes.get(1)? {
        b'[' | b'O' => {
            let end = bytes[2..]
                .iter()
                .position(|byte| (0x40..0x7f).contains(byte))?;
            Some((None, 2 + end + 1))
        }
        // The second one may begin a sequence, such as a paste.
        0x1b => Some((Some(Key::Escape), 1)),
        _ => Some((None, 2)),
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
pub(crate) struct LineInput {
    text: String,
    /// A paste found no room since it was last asked.
    has_refused: bool,
}

impl LineInput {
    /// Takes a key; gives the line when it is finished with Enter and holds something.
    pub(crate) fn key(&mut self, key: Key) -> Option<String> {
        let text = &mut self.text;
        match key {
            Key::Char(c) if text.len() < LINE_BYTES_MAX => text.push(c),
            // What is pasted was copied from anywhere.
            Key::Paste(pasted) if text.len() + pasted.len() <= LINE_BYTES_MAX => {
                text.push_str(&clean(&pasted))
            }
            Key::Paste(_) | Key::PasteTooLong => self.has_refused = true,
            Key::Backspace => {
                text.pop();
            }
            Key::KillLine | Key::Escape => text.clear(),
            Key::KillWord => {
                let is_of_word = |c: char| !c.is_whitespace();
                text.truncate(text.trim_end().trim_end_matches(is_of_word).len());
            }
            Key::Enter if !text.trim().is_empty() => return Some(std::mem::take(text)),
            Key::Char(_) | Key::Enter | Key::End => {}
        }
        None
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a paste was too long, which is told once.
    pub(crate) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.has_refused)
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
        std::mem::take(&mut self.begun.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of these bytes, cut at `cut`.
    fn cut_at(bytes: &[u8], cut: usize) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut keys = decoder.feed(&bytes[..cut]);
        keys.extend(decoder.feed(&bytes[cut..]));
        keys.extend(decoder.settle());
        keys
    }

    #[test]
    fn bytes_become_keys_however_they_are_cut() {
        let bytes = "aé日\r\u{7f}\u{1b}[A\u{1b}\u{1b}[200~x\r\ny\u{1b}[20\u{1b}[201~\u{15}\u{17}\u{4}\u{1b}"
            .as_bytes();
        let expected = [
            Key::Char('a'),
            Key::Char('é'),
            Key::Char('日'),
            Key::Enter,
            Key::Backspace,
            Key::Escape,
            Key::Paste("x\ny\u{1b}[20".into()),
            Key::KillLine,
            Key::KillWord,
            Key::End,
            Key::Escape,
        ];
        for cut in 0..bytes.len() {
            assert_eq!(cut_at(bytes, cut), expected, "cut at {cut}");
        }
        let mut decoder = Decoder::default();
        let mut keys: Vec<Key> = bytes.iter().flat_map(|b| decoder.feed(&[*b])).collect();
        keys.extend(decoder.settle());
        assert_eq!(keys, expected, "byte by byte");
    }

    #[test]
    fn p15_a_paste_that_is_too_long_gives_no_key_wherever_it_is_cut() {
        let paste = |n_bytes: usize| {
            let text = "zzz say yes\r!touch x\r".bytes().cycle().take(n_bytes);
            let whole = PASTE_START.iter().copied().chain(text);
            whole
                .chain(PASTE_END.iter().copied())
                .chain(*b"k")
                .collect::<Vec<u8>>()
        };
        let too_long = paste(LINE_BYTES_MAX + 1);
        let pieces = [1, 2, 5, 6, 7, 1000, READ_BYTES_MAX, usize::MAX];
        for piece in pieces.map(|piece| piece.min(too_long.len())) {
            let mut decoder = Decoder::default();
            let keys: Vec<Key> = too_long
                .chunks(piece)
                .flat_map(|bytes| decoder.feed(bytes))
                .collect();
            let expected = [Key::PasteTooLong, Key::Char('k')];
            assert_eq!(keys, expected, "in pieces of {piece}");
            assert!(decoder.is_at_rest());
        }
        let most = paste(LINE_BYTES_MAX);
        let keys = Decoder::default().feed(&most);
        assert!(
            matches!(&keys[..], [Key::Paste(text), Key::Char('k')] if text.len() == LINE_BYTES_MAX)
        );
        let mut unended = Decoder::default();
        unended.feed(b"\x1b[200~!touch x\r");
        assert!(!unended.is_at_rest());
        assert_eq!(unended.settle(), []);
        assert!(unended.is_at_rest());
    }

    #[test]
    fn a_paste_without_room_leaves_the_line_and_is_told_once() {
        let mut line = LineInput::default();
        line.key(Key::Char('a'));
        line.key(Key::Paste("x".repeat(LINE_BYTES_MAX)));
        assert_eq!(line.text(), "a");
        assert!(line.take_refused());
        line.key(Key::PasteTooLong);
        assert!(line.take_refused());
        assert!(!line.take_refused());
    }

    #[test]
    fn a_line_is_edited_and_finished() {
        let mut line = LineInput::default();
        for c in "one two".chars() {
            assert_eq!(line.key(Key::Char(c)), None);
        }
        line.key(Key::KillWord);
        assert_eq!(line.text(), "one ");
        line.key(Key::Paste("\u{3000}two".into()));
        line.key(Key::KillWord);
        assert_eq!(line.text(), "one \u{3000}");
        line.key(Key::Backspace);
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
