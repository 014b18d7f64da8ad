//! Arguments as no model should write them: kept in `fuzz/corpus/arguments`.

use super::{Scanner, parse_arguments};
use crate::pipe::collect;
use serde_json::{Map, Value};

/// What is read is what any reader of JSON reads, and reads the same when it is written again.
#[test]
fn x26_fuzz_arguments() {
    titan_testkit::fuzz::check("arguments", |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        let Ok(map) = parse_arguments(text) else {
            return;
        };
        let read = Value::Object(map);
        if !text.trim().is_empty() {
            let other: Value = serde_json::from_str(text).expect("another reader takes it too");
            assert_eq!(read, other);
        }
        let again = parse_arguments(&read.to_string()).expect("what was read can be written");
        assert_eq!(Value::Object(again), read);
    });
}

/// What is found in a text that comes in pieces of so many characters, until it is no JSON any more; and whether it was.
fn scanned(text: &str, n: usize) -> (Map<String, Value>, bool) {
    let mut scanner = Scanner::new();
    let mut found = Vec::new();
    let characters: Vec<char> = text.chars().collect();
    for piece in characters.chunks(n) {
        match scanner.push(&piece.iter().collect::<String>()) {
            Ok(pieces) => found.extend(pieces),
            Err(_) => return (collect(found), false),
        }
    }
    (collect(found), true)
}

/// Whatever is valid reads the same as it comes, however it is cut; what is not is never read as something else.
#[test]
fn x26_fuzz_scanner() {
    titan_testkit::fuzz::check("arguments", |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        let by_character = scanned(text, 1);
        for n in [2, 7, usize::MAX] {
            let (found, is_read) = scanned(text, n);
            assert_eq!(is_read, by_character.1, "in pieces of {n}");
            assert!(!is_read || found == by_character.0, "in pieces of {n}");
        }
        // No text at all is no arguments, whatever the spaces in it.
        if !text.trim().is_empty()
            && let Ok(whole) = parse_arguments(text)
        {
            assert_eq!(by_character, (whole, true));
        }
    });
}
