//! Reads the text of a call's arguments as it arrives, however it is cut.
//!
//! What is told is always a beginning of what the strict parse of the whole text gives. Whether the whole is valid is
//! for that parse to say; here, reading stops at the first thing that is not.

use super::{ARGUMENTS_BYTES_MAX, Strict};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use titan_protocol::ArgumentPiece;

/// The text is no JSON object, or has a key twice. Nothing more is read from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// A push parser for one JSON object. Linear in the text; holds at most one value that is not a text.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    /// The key that is being read or whose value is.
    key: String,
    keys: HashSet<Arc<str>>,
    /// The text of a value that is none of the texts that are told piece by piece.
    value: String,
    n_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Start,
    /// Behind `{`: a key or the end.
    First,
    /// Behind `,`: a key.
    Key,
    InKey(Text),
    Colon,
    Value,
    InText(Text),
    /// In another value: how deep, and whether in a text within it, and behind a backslash there.
    Within {
        depth: usize,
        in_text: bool,
        is_escaped: bool,
    },
    /// Behind a value.
    Comma,
    End,
}

/// Where in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Text {
    Plain,
    Escape,
    /// In `\uXXXX`: digits so far and their value, and the first half of a pair.
    Unicode {
        n_digits: u8,
        code: u16,
        high: Option<u16>,
    },
    /// Behind the first half of a pair: only the second may follow.
    Half(u16),
    HalfEscape(u16),
}

/// What one character of a text gives.
enum Read {
    Nothing,
    Character(char),
    End,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Start,
            key: String::new(),
            keys: HashSet::new(),
            value: String::new(),
            n_bytes: 0,
        }
    }

    /// Takes in the next piece and gives what is known with it.
    ///
    /// # Errors
    /// [`Unreadable`]; what was told before stands, and nothing may be pushed after it.
    pub(crate) fn push(&mut self, piece: &str) -> Result<Vec<ArgumentPiece>, Unreadable> {
        self.n_bytes += piece.len();
        if self.n_bytes > ARGUMENTS_BYTES_MAX {
            return Err(Unreadable);
        }
        let mut found = Vec::new();
        for c in piece.chars() {
            self.next(c, &mut found)?;
        }
        Ok(found)
    }

    fn next(&mut self, c: char, found: &mut Vec<ArgumentPiece>) -> Result<(), Unreadable> {
        let is_space = matches!(c, ' ' | '\t' | '\n' | '\r');
        self.state = match self.state {
            State::Start
            | State::First
            | State::Key
            | State::Colon
            | State::Value
            | State::Comma
            | State::End
                if is_space =>
            {
                self.state
            }
            State::Start if c == '{' => State::First,
            State::First | State::Key if c == '"' => {
                self.key.clear();
                State::InKey(Text::Plain)
            }
            State::First | State::Comma if c == '}' => State::End,
            State::InKey(text) => self.key_goes_on(text, c)?,
            State::Colon if c == ':' => State::Value,
            State::Value => self.value_begins(c, found),
            State::InText(text) => self.text_goes_on(text, c, found)?,
            State::Within {
                depth,
                in_text,
                is_escaped,
            } => self.value_goes_on(depth, in_text, is_escaped, c, found)?,
            State::Comma if c == ',' => State::Key,
            _ => return Err(Unreadable),
        };
        Ok(())
    }

    fn key_goes_on(&mut self, text: Text, c: char) -> Result<State, Unreadable> {
        let (text, read) = text.next(c)?;
        match read {
            Read::Nothing => {}
            Read::Character(c) => self.key.push(c),
            Read::End if self.keys.insert(self.key.as_str().into()) => return Ok(State::Colon),
            Read::End => return Err(Unreadable),
        }
        Ok(State::InKey(text))
    }

    fn key(&self) -> Arc<str> {
        self.key.as_str().into()
    }

    fn value_begins(&mut self, c: char, found: &mut Vec<ArgumentPiece>) -> State {
        if c == '"' {
            let (key, text) = (self.key(), String::new());
            found.push(ArgumentPiece::Text { key, text });
            return State::InText(Text::Plain);
        }
        self.value.clear();
        self.value.push(c);
        State::Within {
            depth: usize::from(matches!(c, '{' | '[')),
            in_text: false,
            is_escaped: false,
        }
    }

    fn text_goes_on(
        &mut self,
        text: Text,
        c: char,
        found: &mut Vec<ArgumentPiece>,
    ) -> Result<State, Unreadable> {
        let (text, read) = text.next(c)?;
        match (read, found.last_mut()) {
            (Read::Nothing, _) => {}
            (Read::Character(c), Some(ArgumentPiece::Text { text, .. })) => text.push(c),
            (Read::Character(c), _) => found.push(ArgumentPiece::Text {
                key: self.key(),
                text: c.to_string(),
            }),
            (Read::End, _) => {
                found.push(ArgumentPiece::TextEnd { key: self.key() });
                return Ok(State::Comma);
            }
        }
        Ok(State::InText(text))
    }

    fn value_goes_on(
        &mut self,
        depth: usize,
        in_text: bool,
        is_escaped: bool,
        c: char,
        found: &mut Vec<ArgumentPiece>,
    ) -> Result<State, Unreadable> {
        if depth == 0 && matches!(c, ',' | '}' | ' ' | '\t' | '\n' | '\r') {
            self.value_ends(found)?;
            return Ok(match c {
                ',' => State::Key,
                '}' => State::End,
                _ => State::Comma,
            });
        }
        self.value.push(c);
        let within = |depth, in_text, is_escaped| State::Within {
            depth,
            in_text,
            is_escaped,
        };
        Ok(match c {
            _ if is_escaped => within(depth, true, false),
            '\\' if in_text => within(depth, true, true),
            '"' if depth > 0 => within(depth, !in_text, false),
            _ if in_text => within(depth, true, false),
            '{' | '[' if depth > 0 => within(depth + 1, false, false),
            '}' | ']' if depth == 1 => {
                self.value_ends(found)?;
                State::Comma
            }
            '}' | ']' if depth > 0 => within(depth - 1, false, false),
            _ => within(depth, false, false),
        })
    }

    fn value_ends(&mut self, found: &mut Vec<ArgumentPiece>) -> Result<(), Unreadable> {
        let parsed = serde_json::from_str::<Strict>(&self.value);
        let Strict(value) = parsed.map_err(|_invalid| Unreadable)?;
        let key = self.key();
        // A text can't come this way: it would have been told in pieces.
        debug_assert!(!matches!(value, Value::String(_)));
        found.push(ArgumentPiece::Value { key, value });
        Ok(())
    }
}

impl Text {
    fn next(self, c: char) -> Result<(Self, Read), Unreadable> {
        Ok(match (self, c) {
            (Self::Plain, '"') => (Self::Plain, Read::End),
            (Self::Plain, '\\') => (Self::Escape, Read::Nothing),
            (Self::Plain, c) if c < ' ' => return Err(Unreadable),
            (Self::Plain, c) => (Self::Plain, Read::Character(c)),
            (Self::Escape, 'u') => (Self::unicode(None), Read::Nothing),
            (Self::Escape, c) => (Self::Plain, Read::Character(escaped(c)?)),
            (Self::Half(high), '\\') => (Self::HalfEscape(high), Read::Nothing),
            (Self::HalfEscape(high), 'u') => (Self::unicode(Some(high)), Read::Nothing),
            (Self::Half(_) | Self::HalfEscape(_), _) => return Err(Unreadable),
            (
                Self::Unicode {
                    n_digits,
                    code,
                    high,
                },
                c,
            ) => {
                let digit = c.to_digit(16).ok_or(Unreadable)?;
                let code = code << 4 | u16::try_from(digit).map_err(|_too_large| Unreadable)?;
                if n_digits < 3 {
                    let n_digits = n_digits + 1;
                    let more = Self::Unicode {
                        n_digits,
                        code,
                        high,
                    };
                    return Ok((more, Read::Nothing));
                }
                let mut units = char::decode_utf16(high.into_iter().chain([code]));
                match (units.next(), high) {
                    (Some(Ok(c)), _) => (Self::Plain, Read::Character(c)),
                    (_, None) if (0xd800..0xdc00).contains(&code) => {
                        (Self::Half(code), Read::Nothing)
                    }
                    _ => return Err(Unreadable),
                }
            }
        })
    }

    fn unicode(high: Option<u16>) -> Self {
        Self::Unicode {
            n_digits: 0,
            code: 0,
            high,
        }
    }
}

fn escaped(c: char) -> Result<char, Unreadable> {
    Ok(match c {
        '"' | '\\' | '/' => c,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        _ => return Err(Unreadable),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::parse_arguments;
    use crate::pipe::arguments_so_far;
    use serde_json::{Map, json};

    /// What a text gives when it is cut into pieces of so many characters.
    fn cut(text: &str, n: usize) -> Result<Vec<ArgumentPiece>, Unreadable> {
        let mut scanner = Scanner::new();
        let characters: Vec<char> = text.chars().collect();
        let mut joined: Vec<ArgumentPiece> = Vec::new();
        for piece in characters.chunks(n) {
            let piece: String = piece.iter().collect();
            for found in scanner.push(&piece)? {
                match (joined.last_mut(), found) {
                    (
                        Some(ArgumentPiece::Text { text, .. }),
                        ArgumentPiece::Text { text: more, .. },
                    ) => {
                        text.push_str(&more);
                    }
                    (_, found) => joined.push(found),
                }
            }
        }
        Ok(joined)
    }

    #[test]
    fn any_cut_of_a_text_gives_the_same_and_what_the_whole_parse_gives() {
        let texts = [
            r#"{}"#,
            r#" { "a" : "x" , "b":[1,{"c":"}]"}], "d":-1.5e3,"e":true , "f":null } "#,
            r#"{"script":"echo \"hi\"\n\t\\ \u00e9 \ud83d\ude00 é 😀","timeout_s":5}"#,
            r#"{"":"","\u0061":{}}"#,
        ];
        for text in texts {
            let whole = cut(text, usize::MAX).unwrap();
            for n in 1..8 {
                assert_eq!(cut(text, n).as_ref(), Ok(&whole), "{text} by {n}");
            }
            assert_eq!(
                arguments_so_far(text),
                parse_arguments(text).unwrap(),
                "{text}"
            );
        }
    }

    #[test]
    fn what_the_whole_parse_refuses_is_not_read_to_its_end() {
        for text in [
            r#"[1]"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":"\ud800x"}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":01}"#,
            r#"{"a":[1,]}"#,
            r#"{"a" 1}"#,
            r#"{"a":"x"}}"#,
            r#"{,}"#,
            r#"{"a":1,}"#,
        ] {
            assert!(parse_arguments(text).is_err(), "{text}");
            assert_eq!(cut(text, 1), Err(Unreadable), "{text}");
        }
    }

    #[test]
    fn a_text_is_told_as_it_comes() {
        let mut scanner = Scanner::new();
        assert_eq!(scanner.push(r#"{"script":"#), Ok(vec![]));
        let text = |text: &str| ArgumentPiece::Text {
            key: "script".into(),
            text: text.to_owned(),
        };
        assert_eq!(scanner.push(r#" "ls\"#), Ok(vec![text("ls")]));
        assert_eq!(scanner.push("nca"), Ok(vec![text("\nca")]));
        let so_far: Map<_, _> = arguments_so_far(r#"{"n":1,"script":"ls\nca"#);
        assert_eq!(
            serde_json::Value::Object(so_far),
            json!({"n": 1, "script": "ls\nca"})
        );
    }
}
