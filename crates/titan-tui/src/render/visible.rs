//! Text of models, tools, files and servers made safe for a terminal.
//!
//! One rule, that no byte from outside may steer the terminal or hide from the reader, in four readings: [`clean`]
//! for prose and output, [`CleanStream`] for the same in pieces, [`visible`] for what a person is asked to approve,
//! [`json`] for documents. None of them wraps, colours or shortens.
//!
//! | in the text | prose and output | an approval |
//! |---|---|---|
//! | escape sequences (colours, titles, clipboard, links) | left out, their text stays | `␛[2K` |
//! | other controls | left out; a lone carriage return is a line break | `␇` |
//! | bidi marks, zero-width and other unseen characters | `⟨U+202E⟩`, a run of them as one mark | `⟨U+202E⟩` each |
//! | tag characters, which spell text that nobody sees | `⟨hidden: that text⟩` | `⟨U+E0041⟩` each |
//! | joiners and variation selectors, as scripts and emoji use them | stay | `⟨U+200D⟩` |
//!
//! [`Span`](super::style::Span) applies it to all that passes through it, so a caller that forgets is covered.

use std::borrow::Cow;
use unicode_width::UnicodeWidthChar;

/// How much of an unfinished escape sequence is held back for its end, in bytes.
const PENDING_BYTES_MAX: usize = 4 * 1024;

/// Prose and program output with nothing in it that steers or hides. Line breaks and tabs stay.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(scan(text, true).0)
}

/// [`clean`] in one line: line breaks and tabs become spaces.
pub fn clean_line(text: &str) -> Cow<'_, str> {
    match clean(text) {
        text if text.contains(['\n', '\t']) => Cow::Owned(text.replace(['\n', '\t'], " ")),
        text => text,
    }
}

/// Cleans a text that comes in pieces: wherever it is cut, the pieces together give what the whole would.
#[derive(Debug, Default)]
pub struct CleanStream {
    /// The beginning of something whose end decides what it is.
    pending: String,
}

impl CleanStream {
    /// What can be shown with the next piece.
    pub fn push(&mut self, piece: &str) -> String {
        self.pending.push_str(piece);
        let (mut out, taken) = scan(&self.pending, false);
        self.pending.drain(..taken);
        if self.pending.len() > PENDING_BYTES_MAX {
            out.push_str(&self.finish());
        }
        out
    }

    /// What is left at the end of the text. The stream can then be used for another text.
    pub fn finish(&mut self) -> String {
        scan(&std::mem::take(&mut self.pending), true).0
    }
}

/// A JSON document with every character that could steer or hide written as an escape: the same document to a
/// reader of JSON.
pub fn json(document: &str) -> Cow<'_, str> {
    let is_kept = |c: char| c == '\n' || !(c.is_control() || is_unseen(c) || is_line_end(c));
    if document.chars().all(is_kept) {
        return Cow::Borrowed(document);
    }
    let mut out = String::with_capacity(document.len() + 64);
    for c in document.chars() {
        if is_kept(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Cow::Owned(out)
}

/// Every character that could hide or steer is written out: controls as their pictures, all else by its number.
/// Line breaks stay, so the caller must mark each line as part of the whole.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | ' '..='~' => out.push(c),
            '\t' => out.push('⇥'),
            '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('�')),
            '\u{7f}' => out.push('␡'),
            c if c.is_control() || c.is_whitespace() || is_hidden(c) => {
                out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// Letters in `text` that are easily taken for others: Greek, Cyrillic, Armenian, Cherokee and full-width ones next
/// to Latin. Empty when the text holds no Latin letters. In order, each once.
pub fn lookalikes(text: &str) -> Vec<char> {
    if !text.chars().any(|c| c.is_ascii_alphabetic()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for c in text.chars().filter(|c| is_lookalike(*c)) {
        if !found.contains(&c) {
            found.push(c);
        }
    }
    found
}

/// Columns that cleaned text takes; tabs count as one.
pub fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(1)).sum()
}

/// What needs no second look.
fn is_plain(c: char) -> bool {
    matches!(c, '\n' | '\t' | ' '..='~')
        || !(c.is_control() || is_unseen(c) || is_joining(c) || is_line_end(c))
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Bidi controls, invisible fillers and tags: nothing that a reader sees, much that could mislead.
fn is_unseen(c: char) -> bool {
    is_quiet(c)
        || is_tag(c)
        || matches!(
            c,
            '\u{202a}'..='\u{202e}'
                | '\u{200b}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{34f}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180e}'
                | '\u{3164}'
                | '\u{ffa0}'
                | '\u{1d173}'..='\u{1d17a}'
        )
        || (matches!(c, '\u{e0000}'..='\u{e0fff}') && !is_joining(c))
}

/// Unseen characters that ordinary texts hold one at a time: soft hyphens, byte order marks, marks of direction.
fn is_quiet(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{feff}' | '\u{200e}' | '\u{200f}' | '\u{61c}'
    )
}

/// Characters that spell hidden text.
fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0020}'..='\u{e007e}')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Characters that change how their neighbours look, as scripts and emoji need it.
fn is_joining(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}') || is_selector(c)
}

fn is_hidden(c: char) -> bool {
    is_unseen(c) || is_joining(c) || c.width().unwrap_or(0) == 0 || c == '\u{2800}'
}

fn is_lookalike(c: char) -> bool {
    matches!(
        c,
        '\u{370}'..='\u{3ff}'
            | '\u{400}'..='\u{52f}'
            | '\u{531}'..='\u{587}'
            | '\u{13a0}'..='\u{13ff}'
            | '\u{ff01}'..='\u{ff5e}'
            | '\u{2044}'
            | '\u{2215}'
            | '\u{1d400}'..='\u{1d7ff}'
    )
}

/// Cleans as much as can be judged, all of it when it `is_last`: the clean text, and how many bytes it stands for.
fn scan(text: &str, is_last: bool) -> (String, usize) {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match c {
            c if is_introducer(c) => escape_length(rest),
            '\r' => match rest[1..].chars().next() {
                None if !is_last => None,
                next => {
                    out.push_str(if next == Some('\n') { "" } else { "\n" });
                    Some(1)
                }
            },
            c if is_unseen(c) || is_joining(c) => {
                let (run, length) = unseen_run(rest);
                let length = length.filter(|length| *length < rest.len() || is_last);
                if length.is_some() || is_last {
                    push_run(&mut out, &run);
                }
                length
            }
            c => {
                match c {
                    '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
                    c if is_dropped(c) => {}
                    c => out.push(c),
                }
                Some(c.len_utf8())
            }
        };
        match length {
            Some(length) => at += length,
            None if is_last => at = text.len(),
            None => break,
        }
    }
    (out, at)
}

/// The characters not seen that `rest` begins with, and how many bytes they take, with those of what is left out between
/// them: once it is gone they are neighbours. `None` where its end has not come.
fn unseen_run(rest: &str) -> (String, Option<usize>) {
    let mut run = String::new();
    let mut at = 0;
    while let Some(c) = rest[at..].chars().next() {
        at += match c {
            c if is_unseen(c) || is_joining(c) => {
                run.push(c);
                c.len_utf8()
            }
            c if is_introducer(c) => match escape_length(&rest[at..]) {
                Some(length) => length,
                None => return (run, None),
            },
            c if is_dropped(c) => c.len_utf8(),
            _ => break,
        };
    }
    (run, Some(at))
}

/// What begins an escape sequence.
fn is_introducer(c: char) -> bool {
    matches!(
        c,
        '\u{1b}' | '\u{90}' | '\u{98}' | '\u{9b}' | '\u{9d}'..='\u{9f}'
    )
}

/// Controls of which nothing stays.
fn is_dropped(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t' | '\r' | '\u{b}' | '\u{c}') && !is_introducer(c)
}

/// Shows a run of characters that are not seen: as it is where writing needs it, else as a mark.
fn push_run(out: &mut String, run: &str) {
    let mut chars = run.chars();
    let (first, second, is_longer) = (chars.next(), chars.next(), chars.next().is_some());
    let Some(first) = first else { return };
    match second {
        None if is_quiet(first) => return,
        None if is_joining(first) => return out.push(first),
        // An emoji's selector, then the joiner to its next part.
        Some('\u{200d}') if is_selector(first) && !is_longer => return out.push_str(run),
        _ => {}
    }
    let spelt: String = run
        .chars()
        .filter(|c| is_tag(*c))
        .filter_map(|c| char::from_u32(u32::from(c) - 0xe0000))
        .collect();
    let number = u32::from(first);
    let mark = match (spelt.is_empty(), run.chars().count() - 1) {
        (false, _) => format!("⟨hidden: {spelt}⟩"),
        (true, 0) => format!("⟨U+{number:04X}⟩"),
        (true, more) => format!("⟨U+{number:04X} and {more} more⟩"),
    };
    out.push_str(&mark);
}

/// Bytes of the escape sequence that `rest` begins with; `None` where its end has not come.
fn escape_length(rest: &str) -> Option<usize> {
    let introducer = rest.chars().next()?;
    let at = introducer.len_utf8();
    if introducer != '\u{1b}' {
        return match introducer {
            '\u{9b}' => control_sequence_end(rest, at),
            _ => string_end(rest, at),
        };
    }
    match rest[at..].chars().next()? {
        '[' => control_sequence_end(rest, at + 1),
        ']' | 'P' | 'X' | '^' | '_' => string_end(rest, at + 1),
        ' '..='/' => sequence_end(rest, at, ' '..='/', '0'..='~'),
        '0'..='~' => Some(at + 1),
        _ => Some(at),
    }
}

fn control_sequence_end(rest: &str, at: usize) -> Option<usize> {
    sequence_end(rest, at, ' '..='?', '@'..='~')
}

/// The end of a sequence of parameters and one last character. What fits neither ends it without belonging to it.
fn sequence_end(
    rest: &str,
    at: usize,
    parameters: std::ops::RangeInclusive<char>,
    last: std::ops::RangeInclusive<char>,
) -> Option<usize> {
    let end = at + rest[at..].find(|c| !parameters.contains(&c))?;
    let has_last = rest[end..].starts_with(|c| last.contains(&c));
    Some(end + usize::from(has_last))
}

/// A string runs to BEL or ST. Without an end it stops at the line's end, so that a lone start hides one line at most.
fn string_end(rest: &str, at: usize) -> Option<usize> {
    let end = at + rest[at..].find(['\n', '\u{7}', '\u{9c}', '\u{1b}'])?;
    match &rest[end..] {
        rest if rest.starts_with('\u{7}') => Some(end + 1),
        rest if rest.starts_with('\u{9c}') => Some(end + 2),
        "\u{1b}" => None,
        rest if rest.starts_with("\u{1b}\\") => Some(end + 2),
        // A line's end, or another sequence, which is judged on its own.
        _ => Some(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_dangerous(c: char) -> bool {
        (c.is_control() && c != '\n' && c != '\t') || is_unseen(c)
    }

    #[test]
    fn colours_and_titles_leave_their_text() {
        let cases = [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}]52;c;aGk=\u{1b}\\no clipboard", "no clipboard"),
            ("\u{1b}P+q544e\u{1b}\\no answer", "no answer"),
            ("\u{1b}[6nno report", "no report"),
            ("\u{1b}[201~no end of a paste", "no end of a paste"),
            ("\u{1b}]0;a\u{1b}[2Jb", "b"),
            ("\u{9b}2Jgone", "gone"),
            ("\u{9d}0;title\u{9c}text", "text"),
            ("\u{1b}(Bset", "set"),
            ("\u{1b}cno reset", "no reset"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("bell\u{7} back\u{8}", "bell back"),
            ("\u{1b}]unended\nnext", "\nnext"),
        ];
        for (input, expected) in cases {
            assert_eq!(clean(input), expected, "{input:?}");
        }
    }

    #[test]
    fn what_hides_in_prose_is_marked_and_what_writing_needs_stays() {
        let tags = |text: &str| -> String {
            text.chars()
                .filter_map(|c| char::from_u32(u32::from(c) + 0xe0000))
                .collect()
        };
        let cases = [
            ("rm \u{202e}cod".to_owned(), "rm ⟨U+202E⟩cod"),
            ("a\u{200b}b".to_owned(), "a⟨U+200B⟩b"),
            (
                "a\u{200b}\u{200c}\u{200b}b".to_owned(),
                "a⟨U+200B and 2 more⟩b",
            ),
            (
                "a\u{200d}\u{1b}[0m\u{7}\u{200d}b".to_owned(),
                "a⟨U+200D and 1 more⟩b",
            ),
            (format!("hi{}!", tags("obey me")), "hi⟨hidden: obey me⟩!"),
            ("\u{feff}text".to_owned(), "text"),
            ("co\u{ad}operate".to_owned(), "cooperate"),
            ("👩\u{200d}🚀".to_owned(), "👩\u{200d}🚀"),
            ("❤\u{fe0f}\u{200d}🔥".to_owned(), "❤\u{fe0f}\u{200d}🔥"),
            ("می\u{200c}خواهم".to_owned(), "می\u{200c}خواهم"),
            (
                "x\u{fe0f}\u{fe01}\u{fe02}".to_owned(),
                "x⟨U+FE0F and 2 more⟩",
            ),
        ];
        for (input, expected) in cases {
            assert_eq!(clean(&input), expected, "{input:?}");
        }
    }

    #[test]
    fn a_text_cut_anywhere_is_cleaned_like_the_whole() {
        let text = "a\u{1b}[31mred\u{1b}]8;;u\u{1b}\\x\u{1b}]0;t\u{7}\r\nb\rc\u{9b}2J\u{200b}\u{200b}👩\u{200d}🚀\u{e0041}\u{e0042}z\u{1b}(B\u{200d}\u{1b}[1m\u{200d}.\u{1b}[4";
        let whole = clean(text);
        for (cut, _) in text.char_indices() {
            let mut stream = CleanStream::default();
            let joined = stream.push(&text[..cut]) + &stream.push(&text[cut..]) + &stream.finish();
            assert_eq!(joined, whole, "cut at {cut}");
        }
        let mut stream = CleanStream::default();
        let joined: String = text.chars().map(|c| stream.push(&c.to_string())).collect();
        assert_eq!(joined + &stream.finish(), whole);
    }

    #[test]
    fn a_sequence_without_an_end_is_not_held_back_for_ever() {
        let mut stream = CleanStream::default();
        stream.push("\u{1b}]");
        for _ in 0..PENDING_BYTES_MAX {
            stream.push("xx");
            assert!(stream.pending.len() <= PENDING_BYTES_MAX);
        }
    }

    #[test]
    fn json_says_the_same_without_a_byte_that_steers() {
        let text = "a\u{9b}2J\u{202e}\u{7f}\u{e0041}日\n";
        let document = serde_json::to_string(text).unwrap();
        let safe = json(&document);
        assert_eq!(safe, r#""a\u009b2J\u202e\u007f\udb40\udc41日\n""#);
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let all: String = (0..0x11_0000_u32).filter_map(char::from_u32).collect();
        assert!(!clean(&all).chars().any(is_dangerous));
        assert!(!visible(&all).chars().any(is_dangerous));
        assert!(!json(&all).chars().any(is_dangerous));
        for c in all.chars() {
            let alone = format!("a{c}[2Jb");
            assert!(!clean(&alone).chars().any(is_dangerous), "{alone:?}");
        }
    }

    #[test]
    fn x14_an_approval_shows_what_hides() {
        let cases = [
            ("ls -la\nrm x", "ls -la\nrm x"),
            ("a\tb", "a⇥b"),
            ("\u{1b}[2K", "␛[2K"),
            ("a\rb", "a␍b"),
            ("x\u{202e}y", "x⟨U+202E⟩y"),
            ("x\u{200b}y", "x⟨U+200B⟩y"),
            ("x\u{a0}y", "x⟨U+00A0⟩y"),
            ("x\u{3164}y", "x⟨U+3164⟩y"),
            ("日本 é", "日本 é"),
        ];
        for (input, expected) in cases {
            assert_eq!(visible(input), expected, "{input:?}");
        }
    }

    #[test]
    fn letters_that_look_like_others_are_named() {
        assert_eq!(lookalikes("rm аpple αa"), ['а', 'α']);
        assert_eq!(lookalikes("привет"), Vec::<char>::new());
        assert_eq!(lookalikes("plain"), Vec::<char>::new());
    }
}
