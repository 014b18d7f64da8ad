//! Reads a call's arguments: one strict parse, whose result alone reaches schema check, policy and executor.

mod scan;

pub(crate) use scan::Scanner;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Arguments longer than this are refused.
pub(crate) const ARGUMENTS_BYTES_MAX: usize = 4 << 20;

/// Parses the arguments of a call as the model wrote them. No text at all stands for no arguments.
///
/// Refused: what is not JSON, is not an object, has one key twice, a number out of range, or more than 128 levels.
/// The error speaks to the model.
pub(crate) fn parse_arguments(json: &str) -> Result<Map<String, Value>, String> {
    if json.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str::<Strict>(json) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        Ok(Strict(other)) => Err(format!(
            "the arguments are not a JSON object but {}",
            kind(&other)
        )),
        Err(error) => Err(format!("the arguments are not valid JSON: {error}")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A JSON value in which no object has one key twice: two readers could take two different ones.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Strict(Value::Array(array)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Strict, A::Error> {
        let mut map = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} stands twice")));
            }
            map.insert(key, value);
        }
        Ok(Strict(Value::Object(map)))
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn x26_arguments_are_an_object_with_each_key_once() {
        let refused = |json: &str| parse_arguments(json).expect_err(json);
        assert!(parse_arguments("").expect("none").is_empty());
        assert_eq!(
            Value::Object(parse_arguments(r#"{"a":{"b":[1,2.5,"x",null,true]}}"#).expect("fits"))
                .to_string(),
            r#"{"a":{"b":[1,2.5,"x",null,true]}}"#
        );
        assert!(refused(r#"{"a":1,"a":2}"#).contains("the key \"a\" stands twice"));
        assert!(refused(r#"{"x":{"a":1,"\u0061":2}}"#).contains("stands twice"));
        assert!(refused("[1]").contains("an array"));
        assert!(refused(r#"{"a":1e400}"#).contains("out of range"));
        assert!(
            refused(&format!("{}{}", r#"{"a":"#.repeat(200), "}".repeat(200)))
                .contains("recursion")
        );
        assert!(refused(r#"{"a":"b"#).contains("EOF"));
    }

    /// Nicolas Seriot's JSONTestSuite, each text as the value of one argument.
    #[test]
    fn x26_the_json_test_suite_is_read_as_it_says() {
        let Some(folder) = shared_data("JSONTestSuite/test_parsing") else {
            return;
        };
        let mut texts = 0;
        for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let Ok(text) = String::from_utf8(std::fs::read(&path).expect("a file")) else {
                continue;
            };
            let accepted = parse_arguments(&format!("{{\"value\":{text}}}")).is_ok();
            // Texts that are right only because the suite allows one key twice are refused here on purpose.
            let duplicate = name.contains("duplicated_key");
            // Cut or closed where our own braces would mend it: judged on its own instead.
            let alone = serde_json::from_str::<Strict>(&text).is_ok();
            match name.as_bytes()[0] {
                b'y' => assert_eq!(accepted, !duplicate, "{name}"),
                b'n' => assert!(!alone, "{name} was accepted"),
                _ => {}
            }
            texts += 1;
        }
        assert!(texts > 250, "only {texts} texts were found");
    }

    fn shared_data(path: &str) -> Option<PathBuf> {
        let root = std::env::var_os("TITAN_SHARED_DATA")
            .map(PathBuf::from)
            .unwrap_or_else(|| {
                PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"))
            });
        let path = root.join(path);
        if path.exists() {
            return Some(path);
        }
        titan_testkit::skip::skip(
            "data:JSONTestSuite",
            format!("{} is not there", path.display()),
        );
        None
    }
}
