//! JSON: reading arguments, walking and writing values.

use crate::{Error, Result, Value, fail};

/// Reads a text.
///
/// # Errors
/// Where it is no JSON.
#[inline(never)]
pub fn parse(text: &str) -> Result<Value> {
    serde_json::from_str::<Value>(text)
        .map_err(|error| Error::new(format!("this is no JSON: {error}")))
}

/// In one line.
#[inline(never)]
pub fn to_string(value: &Value) -> String {
    value.to_string()
}

/// In lines, indented.
#[inline(never)]
pub fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// The text under a key.
///
/// # Errors
/// When there is none.
#[inline(never)]
pub fn text(object: &Value, key: &str) -> Result<String> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        other => wrong(key, "a text", other),
    }
}

/// The number under a key.
///
/// # Errors
/// When there is none.
#[inline(never)]
pub fn number(object: &Value, key: &str) -> Result<f64> {
    match object.get(key).and_then(Value::as_f64) {
        Some(number) => Ok(number),
        None => wrong(key, "a number", object.get(key)),
    }
}

/// The whole number under a key.
///
/// # Errors
/// When there is none.
#[inline(never)]
pub fn integer(object: &Value, key: &str) -> Result<i64> {
    match object.get(key).and_then(whole) {
        Some(number) => Ok(number),
        None => wrong(key, "a whole number", object.get(key)),
    }
}

/// Whether it is true under a key; false where nothing is.
///
/// # Errors
/// When something else is there.
#[inline(never)]
pub fn flag(object: &Value, key: &str) -> Result<bool> {
    match object.get(key) {
        Some(Value::Bool(flag)) => Ok(*flag),
        None | Some(Value::Null) => Ok(false),
        other => wrong(key, "true or false", other),
    }
}

/// The list under a key.
///
/// # Errors
/// When there is none.
#[inline(never)]
pub fn list(object: &Value, key: &str) -> Result<Vec<Value>> {
    match object.get(key) {
        Some(Value::Array(list)) => Ok(list.clone()),
        other => wrong(key, "a list", other),
    }
}

/// The texts of the list under a key.
///
/// # Errors
/// When there is none, or it holds something else.
#[inline(never)]
pub fn texts(object: &Value, key: &str) -> Result<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        other => wrong(key, "a list of texts", Some(other)),
    };
    list(object, key)?.iter().map(one).collect()
}

/// The numbers of the list under a key.
///
/// # Errors
/// When there is none, or it holds something else.
#[inline(never)]
pub fn numbers(object: &Value, key: &str) -> Result<Vec<f64>> {
    let one = |value: &Value| match value.as_f64() {
        Some(number) => Ok(number),
        None => wrong(key, "a list of numbers", Some(value)),
    };
    list(object, key)?.iter().map(one).collect()
}

/// What a path such as `orders[0].customer.name` leads to; null where it leads nowhere.
#[inline(never)]
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    let mut here = value;
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        here = match step.strip_suffix(']') {
            Some(index) => index
                .parse::<usize>()
                .map_or(&Value::Null, |index| &here[index]),
            None => &here[step],
        };
    }
    here
}

/// A value as people write it: texts without quotes, nothing for null.
#[inline(never)]
pub fn show(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn whole(value: &Value) -> Option<i64> {
    let exact = |number: f64| {
        let is_whole = number.fract() == 0.0 && number.abs() < 9e15;
        is_whole.then_some(number as i64)
    };
    value.as_i64().or_else(|| value.as_f64().and_then(exact))
}

#[inline(never)]
fn wrong<T>(key: &str, wanted: &str, found: Option<&Value>) -> Result<T> {
    match found {
        None => fail(format!("there is no {key:?}; it should be {wanted}")),
        Some(found) => {
            let mut found = found.to_string();
            if found.len() > 60 {
                found = found.chars().take(60).collect();
                found.push('…');
            }
            fail(format!("{key:?} should be {wanted}, not {found}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn arguments_are_read_or_refused_with_their_name() {
        let given = json!({"t": "x", "n": 2.5, "i": 3.0, "b": true, "l": ["a", 1], "f": [1, 2]});
        assert_eq!(text(&given, "t").unwrap(), "x");
        assert_eq!(number(&given, "n").unwrap(), 2.5);
        assert_eq!(integer(&given, "i").unwrap(), 3);
        assert!(flag(&given, "b").unwrap() && !flag(&given, "none").unwrap());
        assert_eq!(numbers(&given, "f").unwrap(), [1.0, 2.0]);
        let told = |error: Error| error.to_string();
        assert_eq!(
            told(text(&given, "z").unwrap_err()),
            r#"there is no "z"; it should be a text"#
        );
        assert_eq!(
            told(integer(&given, "n").unwrap_err()),
            r#""n" should be a whole number, not 2.5"#
        );
        assert_eq!(
            told(texts(&given, "l").unwrap_err()),
            r#""l" should be a list of texts, not 1"#
        );
    }

    #[test]
    fn paths_lead_through_objects_and_lists() {
        let value = json!({"a": [{"b": {"c": 5}}]});
        assert_eq!(at(&value, "a[0].b.c"), &json!(5));
        assert_eq!(at(&value, "a[1].b.c"), &Value::Null);
        assert_eq!(at(&value, "a.b"), &Value::Null);
        assert_eq!(show(&json!("x")), "x");
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        assert_eq!(
            parse("{\"a\": }").unwrap_err().to_string(),
            "this is no JSON: expected value at line 1 column 7"
        );
    }
}
