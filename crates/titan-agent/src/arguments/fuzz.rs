//! Arguments as no model should write them: kept in `fuzz/corpus/arguments`.

use super::parse_arguments;
use serde_json::Value;

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
