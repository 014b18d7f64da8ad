//! A surface of the canvas while the model still writes it, read from the raw arguments of its call.
//!
//! How the arguments are cut makes no difference: after the same text the same is known. Nothing is refused here; whether
//! the whole is right is for the tool to say.

use serde_json::{Map, Value};
use titan_protocol::{SURFACE_BYTES_MAX, Surface};

/// The tool that draws.
pub(crate) const CANVAS: &str = "canvas";
/// The longest of the texts besides the content, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// The arguments as far as they came. Takes time in what is pushed alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drawing {
    at: At,
    escape: Escape,
    /// The first half of a character that is written as two.
    high: Option<u16>,
    key: String,
    name: String,
    kind: String,
    title: String,
    language: String,
    content: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before a key, or behind the last value.
    #[default]
    Between,
    Key,
    Colon,
    Value,
    Text,
    /// In a value that is no text: how deep, and whether in a text there.
    Other {
        depth: u32,
        is_in_text: bool,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Backslash,
    /// In `\uXXXX`: digits so far, and their value.
    Unicode(u8, u16),
}

impl Drawing {
    /// Takes the next piece of the arguments.
    pub(crate) fn push(&mut self, json: &str) {
        json.chars().for_each(|c| self.next(c));
    }

    /// What arguments that came whole draw.
    pub(crate) fn of(arguments: &Map<String, Value>) -> Self {
        let mut drawing = Self::default();
        drawing.push(&Value::Object(arguments.clone()).to_string());
        drawing
    }

    /// What is drawn so far; nothing before it is known how to read it, or where there is nothing to read.
    pub(crate) fn surface(&self) -> Option<Surface> {
        let kind = serde_json::from_value(Value::String(self.kind.clone())).ok()?;
        let is_begun = !self.name.is_empty() && !self.content.is_empty();
        is_begun.then(|| Surface {
            name: self.name.clone(),
            title: self.title.clone(),
            kind,
            language: self.language.clone(),
            content: self.content.clone(),
        })
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.title.len() + self.content.len()
    }

    fn next(&mut self, c: char) {
        match self.at {
            At::Between if c == '"' => {
                self.key.clear();
                self.at = At::Key;
            }
            At::Between => {}
            At::Key => match self.read(c) {
                Read::Char(c) if self.key.len() < NAME_BYTES_MAX => self.key.push(c),
                Read::Char(_) | Read::Nothing => {}
                Read::End => self.at = At::Colon,
            },
            At::Colon if c == ':' => self.at = At::Value,
            At::Colon => {}
            At::Value if c.is_whitespace() => {}
            At::Value => {
                self.at = match c {
                    '"' => At::Text,
                    '{' | '[' => At::Other {
                        depth: 1,
                        is_in_text: false,
                    },
                    _ => At::Other {
                        depth: 0,
                        is_in_text: false,
                    },
                };
            }
            At::Text => match self.read(c) {
                Read::Char(c) => self.write(c),
                Read::Nothing => {}
                Read::End => self.at = At::Between,
            },
            At::Other { depth, is_in_text } => self.pass(c, depth, is_in_text),
        }
    }

    fn write(&mut self, c: char) {
        let (text, bytes_max) = match self.key.as_str() {
            "name" => (&mut self.name, NAME_BYTES_MAX),
            "kind" => (&mut self.kind, NAME_BYTES_MAX),
            "title" => (&mut self.title, NAME_BYTES_MAX),
            "language" => (&mut self.language, NAME_BYTES_MAX),
            "content" => (&mut self.content, SURFACE_BYTES_MAX),
            _ => return,
        };
        if text.len() + c.len_utf8() <= bytes_max {
            text.push(c);
        }
    }

    /// Passes over a value that no surface has.
    fn pass(&mut self, c: char, depth: u32, is_in_text: bool) {
        if is_in_text {
            if matches!(self.read(c), Read::End) {
                self.at = At::Other {
                    depth,
                    is_in_text: false,
                };
            }
            return;
        }
        self.at = match c {
            '"' => At::Other {
                depth,
                is_in_text: true,
            },
            '{' | '[' => At::Other {
                depth: depth.saturating_add(1),
                is_in_text,
            },
            ',' if depth == 0 => At::Between,
            // One that closes more than was opened too.
            '}' | ']' if depth <= 1 => At::Between,
            '}' | ']' => At::Other {
                depth: depth - 1,
                is_in_text,
            },
            _ => return,
        };
    }

    /// Reads one character of a text.
    fn read(&mut self, c: char) -> Read {
        match self.escape {
            Escape::None => match c {
                '\\' => self.escape = Escape::Backslash,
                '"' => {
                    self.high = None;
                    return Read::End;
                }
                c => return self.whole(c),
            },
            Escape::Backslash => {
                self.escape = Escape::None;
                return match c {
                    'u' => {
                        self.escape = Escape::Unicode(0, 0);
                        Read::Nothing
                    }
                    'n' => self.whole('\n'),
                    't' => self.whole('\t'),
                    'r' => self.whole('\r'),
                    'b' => self.whole('\u{8}'),
                    'f' => self.whole('\u{c}'),
                    c => self.whole(c),
                };
            }
            Escape::Unicode(n_digits, code) => {
                let digit = u16::try_from(c.to_digit(16).unwrap_or(0)).unwrap_or(0);
                let code = (code << 4) | digit;
                if n_digits < 3 {
                    self.escape = Escape::Unicode(n_digits + 1, code);
                } else {
                    self.escape = Escape::None;
                    return self.unit(code);
                }
            }
        }
        Read::Nothing
    }

    fn whole(&mut self, c: char) -> Read {
        self.high = None;
        Read::Char(c)
    }

    /// A unit of UTF-16: a character, or half of one.
    fn unit(&mut self, unit: u16) -> Read {
        let units = self.high.take().into_iter().chain([unit]);
        match char::decode_utf16(units).last() {
            Some(Ok(c)) => Read::Char(c),
            _ if (0xd800..0xdc00).contains(&unit) => {
                self.high = Some(unit);
                Read::Nothing
            }
            _ => Read::Char(char::REPLACEMENT_CHARACTER),
        }
    }
}

enum Read {
    Nothing,
    Char(char),
    End,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(pieces: &[&str]) -> Drawing {
        let mut drawing = Drawing::default();
        pieces.iter().for_each(|piece| drawing.push(piece));
        drawing
    }

    #[test]
    fn other_arguments_are_passed_over() {
        let json = r#"{"kind": "code", "x": {"content": ["]", 1]}, "n": 12, "t": true, "name": "a", "content": "b"}"#;
        let surface = of(&[json]).surface().expect("it is known");
        assert_eq!(
            (surface.name.as_str(), surface.content.as_str()),
            ("a", "b")
        );
        assert_eq!(
            of(&[r#"{"kind": "song", "name": "a", "content": "b"#]).surface(),
            None
        );
        assert_eq!(
            of(&[r#"{"kind": "code", "name": "a", "content": ""#]).surface(),
            None
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is drawn, and however it is cut, what is known is a beginning of it, and in the end all of it.
        #[test]
        fn what_is_known_is_a_beginning_of_the_whole_however_it_was_cut(
            title in any::<String>(),
            content in any::<String>().prop_filter("a surface says something", |text| !text.is_empty()),
            is_ascii in any::<bool>(),
            cuts in vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let given = json!({"content": content, "kind": "markdown", "name": "it", "title": title});
            let mut json = given.to_string();
            if is_ascii {
                json = json.chars().map(escaped).collect();
            }
            let mut at: Vec<usize> = cuts
                .iter()
                .map(|cut| json.floor_char_boundary(cut.index(json.len() + 1)))
                .chain([0, json.len()])
                .collect();
            at.sort_unstable();
            let mut drawing = Drawing::default();
            for pair in at.windows(2) {
                drawing.push(&json[pair[0]..pair[1]]);
                prop_assert!(content.starts_with(&drawing.content));
                prop_assert!(title.starts_with(&drawing.title));
                prop_assert_eq!(&drawing, &of(&[&json[..pair[1]]]));
            }
            let surface = drawing.surface().expect("it is whole");
            prop_assert_eq!((surface.title, surface.content), (title, content));
        }

        #[test]
        fn nothing_that_a_model_may_write_is_too_much(json in any::<String>()) {
            of(&[&json]).surface();
        }
    }

    #[test]
    fn a_bracket_that_closes_more_than_was_opened_is_passed_over() {
        let drawn = of(&[
            r#"{"a":1]]}}"#,
            r#","kind":"code","name":"x","content":"fn"}"#,
        ]);
        assert_eq!(drawn.surface().unwrap().content, "fn");
    }

    fn escaped(c: char) -> String {
        match c.is_ascii() {
            true => c.to_string(),
            false => {
                let mut units = [0; 2];
                let units = c.encode_utf16(&mut units);
                units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }
        }
    }
}
