//! Finds tool calls in what a model writes as text.
//!
//! Text goes through as it comes; what may be the beginning of a call is held back until it is one or is not. A call
//! stands at the beginning of a line: a JSON object, in a code fence or in tags or bare. Only the offered tools'
//! exact names make a call; what looks like a call and is none makes the rest of the reply suspect.

use serde_json::{Map, Value};
use std::sync::Arc;
use titan_protocol::ToolSpec;

/// The most text that is held back, in bytes. Longer is no call.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// So many letters may follow a call, for tags and fences around it; more is a model that goes on by itself.
const LETTERS_AFTER_CALL_MAX: usize = 48;

/// Keys that say which tool.
const NAME_KEYS: &[&str] = &["name", "tool", "function", "tool_name"];
/// Keys that hold the arguments.
const ARGUMENT_KEYS: &[&str] = &["arguments", "parameters", "input", "args"];
/// Keys that may stand beside them.
const OTHER_KEYS: &[&str] = &["type", "id", "tool_calls", "thought", "reason"];
/// What models put around a call.
const TAGS: &[&str] = &[
    "<tool_call>",
    "</tool_call>",
    "<function_call>",
    "</function_call>",
    "<tools>",
    "</tools>",
    "<|tool_call|>",
    "<|python_tag|>",
    "[TOOL_CALLS]",
];
const FENCE: &str = "```";
/// Languages of a code fence that may hold a call.
const FENCE_LANGUAGES: &[&str] = &["", "json", "tool_call", "tool", "tool_code", "xml"];

/// A call found in text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TextCall {
    pub(crate) name: String,
    pub(crate) arguments: Map<String, Value>,
}

/// What a piece of text turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// Plain text.
    Text(String),
    /// A whole call.
    Call(TextCall),
}

/// What is left when the reply is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Text that was held back and is no call.
    pub(crate) text: String,
    /// It looks like an attempt at a call.
    pub(crate) is_suspect: bool,
}

/// Watches a reply.
pub(crate) struct Watch {
    tools: Arc<[ToolSpec]>,
    mode: Mode,
    /// Not yet given out.
    buffer: String,
    calls: Vec<TextCall>,
    /// How far the JSON value of [`Mode::Json`] has come.
    scan: Scan,
    /// What is held back is a value whose brackets are open, so only a closing one is news.
    awaits_bracket: bool,
    /// Letters dropped since the last call.
    n_letters_dropped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    LineStart,
    MidLine,
    /// At the beginning of a line of a code block that holds no call.
    Fence,
    /// Within such a line.
    FenceMidLine,
    /// In a JSON value that is no call.
    Json,
    /// After a call: the rest is dropped, but for more calls.
    AfterCall,
    /// After something that looks like a call and is none: all is held back.
    Suspect,
}

/// What the text at the beginning of a line is.
enum Opening {
    /// Cannot be told yet.
    More,
    /// Begins like a call, whose brackets are open.
    OpenValue,
    /// Not a call; goes on as plain text in this mode.
    Plain(Mode),
    /// A whole JSON value ends here.
    Value { value: Value, end: usize },
    /// Looked like a call, but is no JSON.
    Broken,
}

/// What a JSON value is.
enum Reading {
    Calls(Vec<TextCall>),
    Suspect,
    Plain,
}

impl Watch {
    pub(crate) fn new(tools: Arc<[ToolSpec]>) -> Self {
        Self {
            tools,
            mode: Mode::LineStart,
            buffer: String::new(),
            calls: Vec::new(),
            scan: Scan::default(),
            awaits_bracket: false,
            n_letters_dropped: 0,
        }
    }

    /// Whether the model writes on after its calls, as those do that make up the results.
    pub(crate) fn has_gone_on(&self) -> bool {
        self.n_letters_dropped > LETTERS_AFTER_CALL_MAX
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Found> {
        self.buffer.push_str(text);
        let mut found = Vec::new();
        if !self.awaits_bracket || text.contains(['}', ']']) {
            while self.step(&mut found) {}
        }
        if self.buffer.len() > HELD_BYTES_MAX {
            self.overflow(&mut found);
        }
        found
    }

    /// The reply is over.
    pub(crate) fn finish(&mut self) -> Rest {
        let text = std::mem::take(&mut self.buffer);
        let is_suspect = match self.mode {
            Mode::Suspect => true,
            Mode::LineStart => text.contains('{') || TAGS.iter().any(|tag| text.contains(tag)),
            Mode::AfterCall => {
                return Rest {
                    text: String::new(),
                    is_suspect: false,
                };
            }
            _ => false,
        };
        Rest { text, is_suspect }
    }

    /// One step on; whether another may follow.
    fn step(&mut self, found: &mut Vec<Found>) -> bool {
        if self.buffer.is_empty() {
            return false;
        }
        match self.mode {
            Mode::Suspect => false,
            Mode::MidLine => self.pass_line(Mode::LineStart, found),
            Mode::FenceMidLine => self.pass_line(Mode::Fence, found),
            Mode::Fence => self.step_fence(),
            Mode::Json => {
                let end = self.scan.end_in(&self.buffer);
                if end.is_some() {
                    self.mode = Mode::MidLine;
                }
                self.give(end.unwrap_or(self.buffer.len()), found);
                true
            }
            Mode::LineStart => self.step_line_start(found),
            Mode::AfterCall => self.step_after_call(found),
        }
    }

    fn overflow(&mut self, found: &mut Vec<Found>) {
        let text = std::mem::take(&mut self.buffer);
        if self.mode != Mode::AfterCall {
            self.mode = Mode::MidLine;
            self.awaits_bracket = false;
            found.push(Found::Text(text));
        }
    }

    fn give(&mut self, end: usize, found: &mut Vec<Found>) {
        let rest = self.buffer.split_off(end);
        let text = std::mem::replace(&mut self.buffer, rest);
        if !text.is_empty() {
            found.push(Found::Text(text));
        }
    }

    /// Gives out the rest of a line; at its end goes on in the next mode.
    fn pass_line(&mut self, next: Mode, found: &mut Vec<Found>) -> bool {
        let end = self.buffer.find('\n').map(|at| at + 1);
        if end.is_some() {
            self.mode = next;
        }
        self.give(end.unwrap_or(self.buffer.len()), found);
        true
    }

    fn step_fence(&mut self) -> bool {
        let line = self.buffer.split('\n').next().unwrap_or("");
        let start = line.trim_start();
        if start.starts_with(FENCE) {
            self.mode = Mode::MidLine;
        } else if FENCE.starts_with(start) && line.len() == self.buffer.len() {
            return false;
        } else {
            self.mode = Mode::FenceMidLine;
        }
        true
    }

    /// The block that begins here holds no call: its first line goes out, and its lines until its end.
    fn enter_fence(&mut self, found: &mut Vec<Found>) {
        let start = self.buffer.len() - self.buffer.trim_start().len();
        let line_end = self.buffer[start..].find('\n');
        self.mode = match line_end {
            Some(_) => Mode::Fence,
            None => Mode::FenceMidLine,
        };
        let end = line_end.map_or(self.buffer.len(), |at| start + at + 1);
        self.give(end, found);
    }

    fn step_line_start(&mut self, found: &mut Vec<Found>) -> bool {
        let opening = opening(&self.buffer);
        self.awaits_bracket = matches!(opening, Opening::OpenValue);
        match opening {
            Opening::More | Opening::OpenValue => false,
            Opening::Plain(Mode::Fence) => {
                self.enter_fence(found);
                true
            }
            Opening::Plain(mode) => {
                self.mode = mode;
                self.scan = Scan::default();
                true
            }
            Opening::Broken => {
                self.mode = Mode::Suspect;
                false
            }
            Opening::Value { value, end } => {
                match read(&value, &self.tools) {
                    Reading::Calls(calls) => {
                        self.buffer.drain(..end);
                        self.mode = Mode::AfterCall;
                        self.take_calls(calls, found);
                    }
                    Reading::Suspect => self.mode = Mode::Suspect,
                    Reading::Plain if self.buffer.trim_start().starts_with(FENCE) => {
                        self.enter_fence(found);
                    }
                    Reading::Plain => {
                        self.mode = Mode::MidLine;
                        self.give(end, found);
                    }
                }
                true
            }
        }
    }

    fn step_after_call(&mut self, found: &mut Vec<Found>) -> bool {
        let at = self.buffer.find('{');
        let dropped = self.buffer.drain(..at.unwrap_or(self.buffer.len()));
        self.n_letters_dropped += dropped.filter(|it| it.is_alphanumeric()).count();
        if at.is_none() {
            return false;
        }
        let Some(end) = json_end(&self.buffer) else {
            return false;
        };
        if let Ok(value) = serde_json::from_str(&self.buffer[..end])
            && let Reading::Calls(calls) = read(&value, &self.tools)
        {
            self.take_calls(calls, found);
        }
        self.buffer.drain(..end);
        true
    }

    /// A model that writes the same call twice in one reply means it once.
    fn take_calls(&mut self, calls: Vec<TextCall>, found: &mut Vec<Found>) {
        for call in calls {
            if !self.calls.contains(&call) {
                self.calls.push(call.clone());
                self.n_letters_dropped = 0;
                found.push(Found::Call(call));
            }
        }
    }
}

/// The calls in a reply that should hold nothing else.
pub(crate) fn calls_in(text: &str, tools: &Arc<[ToolSpec]>) -> Vec<TextCall> {
    let mut watch = Watch::new(Arc::clone(tools));
    let found = watch.push(text);
    found
        .into_iter()
        .filter_map(|it| match it {
            Found::Call(call) => Some(call),
            Found::Text(_) => None,
        })
        .collect()
}

/// What stands at the beginning of a line.
fn opening(text: &str) -> Opening {
    let mut rest = text;
    let (mut is_wrapped, mut is_fenced) = (false, false);
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Opening::More;
        }
        if let Some(tag) = TAGS.iter().find(|tag| rest.starts_with(**tag)) {
            rest = &rest[tag.len()..];
            is_wrapped = true;
            continue;
        }
        if let Some(after) = rest.strip_prefix(FENCE) {
            let Some((language, body)) = after.split_once('\n') else {
                let may_be = FENCE_LANGUAGES
                    .iter()
                    .any(|it| it.starts_with(after.trim()));
                return if may_be {
                    Opening::More
                } else {
                    Opening::Plain(Mode::Fence)
                };
            };
            if !FENCE_LANGUAGES.contains(&language.trim()) {
                return Opening::Plain(Mode::Fence);
            }
            if !body.trim_start().is_empty() && !body.trim_start().starts_with(['{', '[', '<']) {
                return Opening::Plain(Mode::Fence);
            }
            rest = body;
            is_fenced = true;
            continue;
        }
        break;
    }
    let may_grow = |marker: &&str| marker.starts_with(rest);
    if TAGS.iter().any(may_grow) || FENCE.starts_with(rest) {
        return Opening::More;
    }
    let start = text.len() - rest.len();
    match begins_call(rest) {
        None => Opening::More,
        Some(false) if is_wrapped => Opening::Broken,
        Some(false) if is_fenced => Opening::Plain(Mode::Fence),
        Some(false) if rest.starts_with('{') => Opening::Plain(Mode::Json),
        Some(false) => Opening::Plain(Mode::MidLine),
        Some(true) => match json_end(rest) {
            None => Opening::OpenValue,
            Some(end) => match serde_json::from_str(&rest[..end]) {
                Ok(value) => Opening::Value {
                    value,
                    end: start + end,
                },
                Err(_) => Opening::Broken,
            },
        },
    }
}

/// Whether a text begins like the JSON of a call; `None` when it is too short to say.
fn begins_call(text: &str) -> Option<bool> {
    let mut rest = text;
    if let Some(list) = rest.strip_prefix('[') {
        rest = list.trim_start();
        if rest.is_empty() {
            return None;
        }
    }
    let Some(object) = rest.strip_prefix('{') else {
        return Some(false);
    };
    let object = object.trim_start();
    if object.is_empty() {
        return None;
    }
    let Some(key) = object.strip_prefix('"') else {
        return Some(false);
    };
    let keys = || NAME_KEYS.iter().chain(ARGUMENT_KEYS).chain(OTHER_KEYS);
    match key.split_once('"') {
        Some((key, _)) => Some(keys().any(|it| *it == key)),
        None if keys().any(|it| it.starts_with(key)) => None,
        None => Some(false),
    }
}

/// Finds the end of a JSON value by its brackets, over several pieces of text.
#[derive(Clone, Copy, Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Scan {
    /// Where the value ends in this piece; `None` while its brackets are open.
    fn end_in(&mut self, piece: &str) -> Option<usize> {
        for (at, byte) in piece.bytes().enumerate() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Where the JSON value at the beginning of a text ends; `None` while its brackets are open.
fn json_end(text: &str) -> Option<usize> {
    Scan::default().end_in(text)
}

fn read(value: &Value, tools: &[ToolSpec]) -> Reading {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        Value::Object(fields) => match fields.get("tool_calls") {
            Some(Value::Array(items)) => items.as_slice(),
            _ => std::slice::from_ref(value),
        },
        _ => return Reading::Plain,
    };
    let mut calls = Vec::new();
    for item in items {
        match read_call(item, tools) {
            Ok(call) => calls.push(call),
            Err(true) => return Reading::Suspect,
            Err(false) => return Reading::Plain,
        }
    }
    if calls.is_empty() {
        return Reading::Plain;
    }
    Reading::Calls(calls)
}

/// The call that an object is; else whether it looks like an attempt at one.
fn read_call(value: &Value, tools: &[ToolSpec]) -> Result<TextCall, bool> {
    let fields = value.as_object().ok_or(false)?;
    // OpenAI's own form: the function's name and arguments are one level down.
    if let Some(inner @ Value::Object(_)) = fields.get("function") {
        return read_call(inner, tools);
    }
    let (name_key, name) = NAME_KEYS
        .iter()
        .find_map(|key| Some((*key, fields.get(*key)?.as_str()?)))
        .ok_or_else(|| has_any(fields, NAME_KEYS) && has_any(fields, ARGUMENT_KEYS))?;
    let has_arguments = has_any(fields, ARGUMENT_KEYS);
    let tool = tools
        .iter()
        .find(|tool| tool.name == name)
        .ok_or(has_arguments)?;
    let arguments = ARGUMENT_KEYS
        .iter()
        .find_map(|key| fields.get(*key))
        .map_or_else(|| loose_arguments(fields, name_key, tool), as_object)
        .ok_or(true)?;
    Ok(TextCall {
        name: name.to_owned(),
        arguments,
    })
}

fn has_any(fields: &Map<String, Value>, keys: &[&str]) -> bool {
    keys.iter().any(|key| fields.contains_key(*key))
}

/// Arguments as an object, or as a text that holds one.
fn as_object(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::Null => Some(Map::new()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// Arguments written beside the name, when each of them is one of the tool's.
fn loose_arguments(
    fields: &Map<String, Value>,
    name_key: &str,
    tool: &ToolSpec,
) -> Option<Map<String, Value>> {
    let properties = tool.input_schema.get("properties")?.as_object()?;
    let rest: Map<String, Value> = fields
        .iter()
        .filter(|(key, _)| *key != name_key && *key != "type" && *key != "id")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    rest.keys()
        .all(|key| properties.contains_key(key))
        .then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use serde_json::json;
    use std::fmt::Write;

    fn tools() -> Vec<ToolSpec> {
        let tool = |name: &str, schema| ToolSpec {
            name: name.to_owned(),
            description: String::new(),
            input_schema: schema,
        };
        vec![
            tool(
                "read",
                json!({"type": "object", "properties": {"path": {"type": "string"}}}),
            ),
            tool("list", json!({"type": "object", "properties": {}})),
        ]
    }

    fn run(pieces: &[&str]) -> String {
        let mut watch = Watch::new(tools().into());
        let mut text = String::new();
        let mut out = String::new();
        for found in pieces.iter().flat_map(|piece| watch.push(piece)) {
            match found {
                Found::Text(piece) => text.push_str(&piece),
                Found::Call(call) => {
                    flush(&mut text, &mut out);
                    writeln!(out, "call {} {}", call.name, json!(call.arguments)).unwrap();
                }
            }
        }
        let rest = watch.finish();
        if rest.is_suspect {
            flush(&mut text, &mut out);
            writeln!(out, "suspect {:?}", rest.text).unwrap();
        } else {
            text.push_str(&rest.text);
            flush(&mut text, &mut out);
        }
        out
    }

    fn flush(text: &mut String, out: &mut String) {
        if !text.is_empty() {
            writeln!(out, "text {:?}", std::mem::take(text)).unwrap();
        }
    }

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&run(&[text]));
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        expected.assert_eq(&run(&letters));
    }

    #[test]
    fn a_bare_object_is_a_call() {
        for text in [
            r#"{"name": "read", "arguments": {"path": "a.rs"}}"#,
            r#" {"tool":"read","parameters":{"path":"a.rs"}}"#,
            r#"{"function":"read","input":{"path":"a.rs"}}"#,
            r#"{"name":"read","arguments":"{\"path\":\"a.rs\"}"}"#,
            r#"{"name":"read","path":"a.rs"}"#,
            r#"{"type":"function","function":{"name":"read","arguments":{"path":"a.rs"}}}"#,
            r#"{"tool_calls":[{"name":"read","arguments":{"path":"a.rs"}}]}"#,
            r#"[{"name":"read","arguments":{"path":"a.rs"}}]"#,
            "<tool_call>\n{\"name\":\"read\",\"arguments\":{\"path\":\"a.rs\"}}\n</tool_call>",
            "```json\n{\"name\":\"read\",\"arguments\":{\"path\":\"a.rs\"}}\n```\n",
            "```\n{\"arguments\":{\"path\":\"a.rs\"},\"name\":\"read\"}\n```",
            "[TOOL_CALLS][{\"name\":\"read\",\"arguments\":{\"path\":\"a.rs\"}}]",
        ] {
            let letters: Vec<String> = text.chars().map(String::from).collect();
            let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
            for pieces in [&[text][..], &letters] {
                assert_eq!(run(pieces), "call read {\"path\":\"a.rs\"}\n", "{text}");
            }
        }
    }

    #[test]
    fn prose_before_a_call_is_text_and_what_follows_is_dropped() {
        check(
            "I look.\n```json\n{\"name\":\"list\"}\n```\nThe result is: none.",
            expect![[r#"
                text "I look.\n"
                call list {}
            "#]],
        );
    }

    #[test]
    fn several_calls_are_several_and_a_repeated_one_is_one() {
        check(
            "{\"name\":\"list\"}\n{\"name\":\"read\",\"arguments\":{\"path\":\"b\"}}\n{\"name\":\"list\"}",
            expect![[r#"
                call list {}
                call read {"path":"b"}
            "#]],
        );
    }

    #[test]
    fn what_is_no_call_goes_through() {
        for text in [
            "Plain words.\n\n- a {list}\n",
            "```rust\nlet x = json!(\n{\"name\":\"list\"});\n```\nand more\n",
            "{\"answer\": 42, \"list\": [\n{\"name\":\"list\"}]}\ndone",
            "{\"name\": \"package\", \"version\": \"1\"}",
            "say {\"name\":\"list\"} inline",
            "```json\n{\"a\":1}\n```\n",
            "<b>html</b>",
            "[1] a footnote",
            "",
        ] {
            let expected = if text.is_empty() {
                String::new()
            } else {
                format!("text {text:?}\n")
            };
            assert_eq!(run(&[text]), expected);
        }
    }

    #[test]
    fn an_attempt_at_a_call_is_suspect_and_held_back() {
        check(
            "Now:\n{\"name\":\"rm\",\"arguments\":{}}",
            expect![[r#"
                text "Now:\n"
                suspect "{\"name\":\"rm\",\"arguments\":{}}"
            "#]],
        );
        check(
            r#"{"name":"read","arguments":{"path":"a"#,
            expect![[r#"
                suspect "{\"name\":\"read\",\"arguments\":{\"path\":\"a"
            "#]],
        );
        check(
            "<tool_call>\nread a.rs\n</tool_call>",
            expect![[r#"
                suspect "<tool_call>\nread a.rs\n</tool_call>"
            "#]],
        );
        check(
            r#"{"name":"read","arguments":{path:'a'}}"#,
            expect![[r#"
                suspect "{\"name\":\"read\",\"arguments\":{path:'a'}}"
            "#]],
        );
    }

    #[test]
    fn a_name_must_be_exact() {
        for name in ["Read", "read ", "functions.read", "rеad"] {
            let text = json!({"name": name, "arguments": {}}).to_string();
            assert!(run(&[&text]).starts_with("suspect"), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_split_finds_the_same(
            text in proptest::collection::vec(prop_oneof![
                Just("{\"name\":\"read\",\"arguments\":{\"path\":\"}\"}}"), Just("{\"name\":\"x\"}"),
                Just("```json\n"), Just("```\n"), Just("```rust\n"), Just("\n"), Just("words "), Just("{\"a\":1}"),
                Just("<tool_call>"), Just("</tool_call>"), Just("ß{"), Just("[{"), Just("}")], 0..8),
            cut in any::<proptest::sample::Index>(),
        ) {
            let text = text.concat();
            let mut at = cut.index(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            prop_assert_eq!(run(&[&text[..at], &text[at..]]), run(&[&text]));
        }
    }
}
