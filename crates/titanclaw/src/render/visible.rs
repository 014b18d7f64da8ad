//! Text of models, tools and files made safe for a terminal.
//!
//! Two readings of one rule, that no byte from outside may steer the terminal or hide from the reader:
//! [`clean`] takes the steering out of prose and output, [`visible`] shows every hidden character of something that
//! a person is asked to approve. Neither wraps, colours or shortens.

use std::borrow::Cow;
use unicode_width::UnicodeWidthChar;

/// Prose and program output without escape sequences, controls, bidi marks and invisible characters. Line breaks
/// and tabs stay; a carriage return alone becomes a line break.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' | '\u{2028}' | '\u{2029}' | '\u{b}' | '\u{c}' => out.push('\n'),
            c if is_harmless(c) => out.push(c),
            _ => {}
        }
    }
    Cow::Owned(out)
}

/// Every character that could hide or steer is written out: controls as their pictures, all else by its number.
/// Line breaks stay, so the caller must mark each line as part of the whole.
pub(crate) fn visible(text: &str) -> String {
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
pub(crate) fn lookalikes(text: &str) -> Vec<char> {
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
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(1)).sum()
}

fn is_harmless(c: char) -> bool {
    matches!(c, '\n' | '\t')
        || !(c.is_control() || is_steering(c) || matches!(c, '\u{2028}' | '\u{2029}'))
}

/// Bidi controls and invisible fillers. The joiners U+200C and U+200D are text: scripts and emoji need them.
fn is_steering(c: char) -> bool {
    matches!(
        c,
        '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{61c}'
            | '\u{2060}'..='\u{2064}'
            | '\u{feff}'
            | '\u{ad}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn is_hidden(c: char) -> bool {
    is_steering(c)
        || c.width().unwrap_or(0) == 0
        || matches!(
            c,
            '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}'
        )
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

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// What follows an ESC: a control sequence, a string, or one or two characters more.
fn skip_escape(rest: &mut Rest<'_>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_control_sequence(rest);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            rest.next();
            skip_string(rest);
        }
        Some(' '..='/') => {
            while matches!(rest.peek(), Some(' '..='/')) {
                rest.next();
            }
            rest.next_if(|c| matches!(c, '0'..='~'));
        }
        Some('0'..='~') => {
            rest.next();
        }
        _ => {}
    }
}

fn skip_control_sequence(rest: &mut Rest<'_>) {
    while matches!(rest.peek(), Some(' '..='?')) {
        rest.next();
    }
    rest.next_if(|c| matches!(c, '@'..='~'));
}

/// A string runs to BEL or ST. Without an end it stops at the line's end, so that a lone start hides one line at most.
fn skip_string(rest: &mut Rest<'_>) {
    while let Some(c) = rest.next_if(|c| *c != '\n') {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_dangerous(c: char) -> bool {
        (c.is_control() && c != '\n' && c != '\t') || is_steering(c)
    }

    #[test]
    fn colours_and_titles_leave_their_text() {
        let cases = [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9b}2Jgone", "gone"),
            ("\u{1b}(Bset", "set"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("bell\u{7} back\u{8}", "bell back"),
            ("rm \u{202e}cod", "rm cod"),
            ("\u{1b}]unended\nnext", "\nnext"),
            ("👩\u{200d}🚀", "👩\u{200d}🚀"),
        ];
        for (input, expected) in cases {
            assert_eq!(clean(input), expected, "{input:?}");
        }
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let all: String = (0..0x11_0000_u32).filter_map(char::from_u32).collect();
        assert!(!clean(&all).chars().any(is_dangerous));
        assert!(!visible(&all).chars().any(is_dangerous));
        for c in all.chars() {
            let alone = format!("a{c}[2Jb");
            assert!(!clean(&alone).chars().any(is_dangerous), "{alone:?}");
        }
    }

    #[test]
    fn an_approval_shows_what_hides() {
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
