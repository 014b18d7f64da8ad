//! Holds what the model writes to a grammar: tool calls to their schemas, answers to theirs.
//!
//! Every list and text in a grammar is bounded and its spaces are fixed, so that a model cannot write blanks or
//! repeat itself to the token limit, and so that what is certain needs no forward pass of its own. A grammar
//! guarantees the shape of a call, not that it is the right one.

use crate::tokenizer::Tokenizer;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::thread::JoinHandle;
use titan_protocol::ToolSpec;

/// Characters in a text whose schema does not bound it.
const TEXT_CHARS_MAX: u64 = 12_000;
/// Items in a list whose schema does not bound it.
const ITEMS_MAX: u64 = 64;
/// Levels of a schema that are bounded; deeper ones are refused.
const SCHEMA_DEPTH_MAX: usize = 32;

/// Why a grammar could not be made or went wrong.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct GrammarError(String);

/// Makes grammars for one model's tokens.
pub(crate) struct Grammars {
    factory: ParserFactory,
}

/// Grammars that are made on a thread of their own while the model already reads.
pub(crate) enum LazyGrammars {
    /// Nobody wanted any.
    Unwanted(Arc<Tokenizer>),
    /// In the making.
    Making(JoinHandle<Result<Grammars, GrammarError>>),
    /// There, or not possible.
    Made(Result<Grammars, GrammarError>),
}

impl LazyGrammars {
    /// Begins to make them, if nobody has.
    pub(crate) fn want(&mut self) -> std::io::Result<()> {
        if let Self::Unwanted(tokenizer) = self {
            let tokenizer = Arc::clone(tokenizer);
            let making = std::thread::Builder::new()
                .name("model-grammars".into())
                .spawn(move || Grammars::new(&tokenizer))?;
            *self = Self::Making(making);
        }
        Ok(())
    }

    /// The grammars; waits until they are made.
    pub(crate) fn get(&mut self) -> Result<&Grammars, GrammarError> {
        let stopped = || GrammarError("the thread that makes grammars stopped".into());
        self.want().map_err(wrong)?;
        if matches!(self, Self::Making(_)) {
            let made = std::mem::replace(self, Self::Made(Err(stopped())));
            if let Self::Making(thread) = made {
                *self = Self::Made(thread.join().unwrap_or_else(|_panicked| Err(stopped())));
            }
        }
        match self {
            Self::Made(Ok(grammars)) => Ok(grammars),
            Self::Made(Err(error)) => Err(error.clone()),
            Self::Unwanted(_) | Self::Making(_) => Err(stopped()),
        }
    }
}

/// A grammar at work.
pub(crate) struct Constraint {
    matcher: Matcher,
}

struct Tokens {
    trie: TokTrie,
    tokenizer: Arc<Tokenizer>,
}

impl TokenizerEnv for Tokens {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        self.trie
            .tokenize_with_greedy_fallback(bytes, |text| self.tokenizer.encode(text))
    }
}

impl Grammars {
    /// Sorts the tokens by their bytes: some tenths of a second for a large vocabulary, once per model.
    pub(crate) fn new(tokenizer: &Arc<Tokenizer>) -> Result<Self, GrammarError> {
        let words: Vec<Vec<u8>> = (0..tokenizer.len() as u32)
            .map(|id| match tokenizer.is_special(id) {
                true => [&[TokTrie::SPECIAL_TOKEN_MARKER], tokenizer.bytes(id)].concat(),
                false => tokenizer.bytes(id).to_vec(),
            })
            .collect();
        let info = TokRxInfo::new(words.len() as u32, tokenizer.end());
        let environment: TokEnv = Arc::new(Tokens {
            trie: TokTrie::from(&info, &words),
            tokenizer: Arc::clone(tokenizer),
        });
        let mut factory = ParserFactory::new_simple(&environment).map_err(wrong)?;
        factory.quiet();
        Ok(Self { factory })
    }

    /// A call of one of these tools. Only one: a small model chooses the next better when it has seen what this one gave.
    pub(crate) fn calls(&self, tools: &[ToolSpec]) -> Result<Constraint, GrammarError> {
        self.start(TopLevelGrammar::from_lark(calls_grammar(tools)?))
    }

    /// A JSON value of this schema.
    pub(crate) fn answer(&self, schema: &Value) -> Result<Constraint, GrammarError> {
        self.start(TopLevelGrammar::from_json_schema(bounded_top(schema)?))
    }

    fn start(&self, grammar: TopLevelGrammar) -> Result<Constraint, GrammarError> {
        let matcher = Matcher::new(self.factory.create_parser(grammar));
        match matcher.get_error() {
            Some(error) => Err(GrammarError(error)),
            None => Ok(Constraint { matcher }),
        }
    }
}

impl GrammarError {
    /// A grammar of calls did not take the words with which each call opens.
    pub(crate) fn unopened() -> Self {
        Self("a call's opening was refused".into())
    }
}

impl From<std::io::Error> for GrammarError {
    fn from(error: std::io::Error) -> Self {
        wrong(error)
    }
}

fn wrong(error: impl std::fmt::Display) -> GrammarError {
    GrammarError(error.to_string())
}

impl Constraint {
    /// Names each token that the grammar allows next.
    pub(crate) fn allowed(&mut self, mut each: impl FnMut(u32)) -> Result<(), GrammarError> {
        let mask = self.matcher.compute_mask_or_eos().map_err(wrong)?;
        mask.iter_set_entries(|id| each(id as u32));
        Ok(())
    }

    /// Takes a token that was chosen.
    pub(crate) fn take(&mut self, token: u32) -> Result<(), GrammarError> {
        self.matcher.consume_token(token).map_err(wrong)
    }

    /// Takes all these tokens if the grammar allows them; else it is of no use any more. Whether it did.
    pub(crate) fn take_all(&mut self, tokens: &[u32]) -> bool {
        self.matcher
            .try_consume_tokens(tokens)
            .is_ok_and(|taken| taken == tokens.len())
    }

    /// Takes and gives the tokens that must come next.
    pub(crate) fn take_certain(&mut self) -> Vec<u32> {
        self.matcher.consume_ff_tokens()
    }

    /// Whether nothing more can come.
    pub(crate) fn is_over(&self) -> bool {
        self.matcher.is_stopped()
    }
}

/// How a call begins, up to the tool's name.
pub(crate) const CALL_OPENING: &str = "{\"name\": \"";
/// What stands between the name and the arguments.
pub(crate) const CALL_MIDDLE: &str = "\", \"arguments\": ";

fn calls_grammar(tools: &[ToolSpec]) -> Result<String, GrammarError> {
    let mut grammar = String::new();
    let names: Vec<String> = (0..tools.len()).map(|i| format!("call_{i}")).collect();
    let or = "writing to a text cannot fail";
    writeln!(grammar, "start: {}", names.join(" | ")).expect(or);
    for (name, tool) in names.iter().zip(tools) {
        let opening = Value::from(format!("{CALL_OPENING}{}{CALL_MIDDLE}", tool.name));
        let schema = bounded_top(&tool.input_schema)?;
        writeln!(grammar, "{name}: {opening} %json {schema} \"}}\"").expect(or);
    }
    Ok(grammar)
}

/// The schema with a bound on all that could go on, and with fixed spaces.
fn bounded_top(schema: &Value) -> Result<Value, GrammarError> {
    let mut schema = bounded(schema, 0)?;
    if let Value::Object(fields) = &mut schema {
        let spaces = json!({
            "whitespace_flexible": false,
            "item_separator": ", ",
            "key_separator": ": ",
        });
        fields.insert("x-guidance".into(), spaces);
    }
    Ok(schema)
}

/// Words of JSON schema whose values are schemas, lists of schemas, or named schemas.
const NESTED: [&str; 9] = [
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
];
const NESTED_LISTS: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];
const NESTED_NAMED: [&str; 4] = ["properties", "$defs", "definitions", "patternProperties"];

fn bounded(schema: &Value, depth: usize) -> Result<Value, GrammarError> {
    if depth > SCHEMA_DEPTH_MAX {
        return Err(GrammarError(format!(
            "a schema nests deeper than {SCHEMA_DEPTH_MAX} levels"
        )));
    }
    let Value::Object(fields) = schema else {
        return Ok(schema.clone());
    };
    let mut out = Map::new();
    for (key, value) in fields {
        let value = match (key.as_str(), value) {
            (word, value) if NESTED.contains(&word) => bounded(value, depth + 1)?,
            (word, Value::Array(all)) if NESTED_LISTS.contains(&word) => all
                .iter()
                .map(|one| bounded(one, depth + 1))
                .collect::<Result<_, _>>()?,
            (word, Value::Object(all)) if NESTED_NAMED.contains(&word) => Value::Object(
                all.iter()
                    .map(|(name, one)| Ok((name.clone(), bounded(one, depth + 1)?)))
                    .collect::<Result<_, GrammarError>>()?,
            ),
            // Words that only people read, and those that no grammar can hold to.
            ("description" | "title" | "examples" | "default" | "$schema", _) => continue,
            (_, value) => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    let is = |kind: &str| match fields.get("type") {
        Some(Value::String(name)) => name == kind,
        Some(Value::Array(names)) => names.iter().any(|name| name == kind),
        _ => false,
    };
    let free_text = !["enum", "const", "pattern", "format"]
        .iter()
        .any(|k| fields.contains_key(*k));
    if is("string") && free_text && !fields.contains_key("maxLength") {
        out.insert("maxLength".into(), TEXT_CHARS_MAX.into());
    }
    if fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
        out.insert("additionalProperties".into(), false.into());
    }
    if is("array") && !fields.contains_key("maxItems") {
        out.insert("maxItems".into(), ITEMS_MAX.into());
    }
    Ok(Value::Object(out))
}

/// What a piece of constrained text meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallPart {
    Begin { index: u32, name: String },
    Arguments { index: u32, json: String },
    End { index: u32 },
}

/// Reads calls out of the text that the grammar let through, piece by piece.
#[derive(Debug, Default)]
pub(crate) struct CallReader {
    index: u32,
    state: CallState,
}

#[derive(Debug)]
enum CallState {
    /// Before the arguments; what was read of the opening.
    Opening(String),
    /// In the arguments.
    Arguments {
        depth: u32,
        in_text: bool,
        escaped: bool,
    },
    /// The arguments are whole; the call's own brace is to come.
    Closing,
}

impl Default for CallState {
    fn default() -> Self {
        Self::Opening(String::new())
    }
}

impl CallReader {
    /// Takes the next piece.
    pub(crate) fn push(&mut self, text: &str) -> Vec<CallPart> {
        let mut parts = Vec::new();
        let mut json = String::new();
        for char in text.chars() {
            self.step(char, &mut json, &mut parts);
        }
        self.flush(&mut json, &mut parts);
        parts
    }

    /// Whether a call was begun and not ended.
    pub(crate) fn is_inside(&self) -> bool {
        match &self.state {
            CallState::Opening(text) => !text.is_empty(),
            _ => true,
        }
    }

    fn flush(&self, json: &mut String, parts: &mut Vec<CallPart>) {
        if !json.is_empty() {
            parts.push(CallPart::Arguments {
                index: self.index,
                json: std::mem::take(json),
            });
        }
    }

    fn step(&mut self, char: char, json: &mut String, parts: &mut Vec<CallPart>) {
        match &mut self.state {
            CallState::Opening(text) => {
                if text.is_empty() && char == '\n' {
                    return;
                }
                text.push(char);
                let name = text
                    .strip_prefix(CALL_OPENING)
                    .and_then(|rest| rest.strip_suffix(CALL_MIDDLE));
                if let Some(name) = name {
                    parts.push(CallPart::Begin {
                        index: self.index,
                        name: name.to_owned(),
                    });
                    self.state = CallState::Arguments {
                        depth: 0,
                        in_text: false,
                        escaped: false,
                    };
                }
            }
            CallState::Arguments {
                depth,
                in_text,
                escaped,
            } => {
                json.push(char);
                match (char, *in_text, *escaped) {
                    (_, true, true) => *escaped = false,
                    ('\\', true, false) => *escaped = true,
                    ('"', _, _) => *in_text = !*in_text,
                    ('{' | '[', false, _) => *depth += 1,
                    ('}' | ']', false, _) => *depth -= 1,
                    _ => {}
                }
                if *depth == 0 && !*in_text {
                    self.flush(json, parts);
                    self.state = CallState::Closing;
                }
            }
            CallState::Closing => {
                parts.push(CallPart::End { index: self.index });
                self.index += 1;
                self.state = CallState::default();
            }
        }
    }
}

/// What a beginning of a line may still become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Not known yet.
    Open,
    /// Text.
    Text,
    /// A call of an offered tool, in whatever dress the model gave it.
    Call,
}

/// Whether a line that begins so is a tool call: `{"name": "TOOL"`, perhaps in a fence or a tag, perhaps with other
/// spaces or under another key. Only the names of offered tools count.
pub(crate) fn intent(line: &str, tools: &[ToolSpec]) -> Intent {
    let dresses = [
        "",
        "```json\n",
        "```\n",
        "<tool_call>\n",
        "<tool_call>",
        "<tools>\n",
    ];
    let mut open = false;
    for dress in dresses {
        match intent_in(line, dress, tools) {
            Intent::Call => return Intent::Call,
            Intent::Open => open = true,
            Intent::Text => {}
        }
    }
    if open { Intent::Open } else { Intent::Text }
}

fn intent_in(line: &str, dress: &str, tools: &[ToolSpec]) -> Intent {
    let Some(rest) = line.strip_prefix(dress) else {
        return open_if(dress.starts_with(line));
    };
    let Some(rest) = rest.strip_prefix('{') else {
        return open_if(rest.is_empty());
    };
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Intent::Open;
    }
    let keys = ["\"name\"", "\"tool\"", "\"function\""];
    let Some(key) = keys.iter().find(|key| rest.starts_with(**key)) else {
        return open_if(keys.iter().any(|key| key.starts_with(rest)));
    };
    let rest = rest[key.len()..].trim_start();
    let Some(rest) = rest.strip_prefix(':') else {
        return open_if(rest.is_empty());
    };
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Intent::Open;
    }
    let mut open = false;
    for tool in tools {
        let name = format!("\"{}\"", tool.name);
        if rest.starts_with(&name) {
            return Intent::Call;
        }
        open |= name.starts_with(rest);
    }
    open_if(open)
}

fn open_if(open: bool) -> Intent {
    if open { Intent::Open } else { Intent::Text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> ToolSpec {
        ToolSpec {
            name: name.into(),
            description: String::new(),
            input_schema: json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"], "additionalProperties": false}),
        }
    }

    #[test]
    fn calls_are_read_alike_however_they_are_cut() {
        let text = "{\"name\": \"read\", \"arguments\": {\"path\": \"a}\\\"b{\", \"n\": [1, {}]}}\n{\"name\": \"list\", \"arguments\": {}}";
        let whole = joined(&[text]);
        for cut in 1..text.len() {
            assert_eq!(joined(&[&text[..cut], &text[cut..]]), whole);
        }
        assert_eq!(
            whole,
            [
                "begin 0 read",
                "arguments 0 {\"path\": \"a}\\\"b{\", \"n\": [1, {}]}",
                "end 0",
                "begin 1 list",
                "arguments 1 {}",
                "end 1"
            ]
        );
    }

    fn joined(pieces: &[&str]) -> Vec<String> {
        let mut reader = CallReader::default();
        let mut lines: Vec<String> = Vec::new();
        for part in pieces.iter().flat_map(|piece| reader.push(piece)) {
            match part {
                CallPart::Begin { index, name } => lines.push(format!("begin {index} {name}")),
                CallPart::Arguments { index, json } => {
                    let start = format!("arguments {index} ");
                    match lines.last_mut().filter(|line| line.starts_with(&start)) {
                        Some(line) => line.push_str(&json),
                        None => lines.push(start + &json),
                    }
                }
                CallPart::End { index } => lines.push(format!("end {index}")),
            }
        }
        lines
    }

    #[test]
    fn a_cut_call_is_seen_to_be_inside() {
        let mut reader = CallReader::default();
        assert!(!reader.is_inside());
        reader.push("{\"name\": \"read\", \"arguments\": {\"path\": \"a\"}");
        assert!(reader.is_inside());
        reader.push("}");
        assert!(!reader.is_inside());
    }

    #[test]
    fn an_intent_is_known_as_soon_as_it_can_be() {
        let tools = [tool("read"), tool("read_all")];
        for (line, expected) in [
            ("", Intent::Open),
            ("{", Intent::Open),
            ("{\"na", Intent::Open),
            ("{\"name\": \"re", Intent::Open),
            ("{\"name\": \"read\"", Intent::Call),
            ("{ \"name\":\"read_all\"", Intent::Call),
            ("{\"name\": \"Peter", Intent::Text),
            ("{\"key\"", Intent::Text),
            ("```", Intent::Open),
            ("```json\n{\"name\": \"read\"", Intent::Call),
            ("```rust", Intent::Text),
            ("<tool_call>\n{\"name\": \"read\", ", Intent::Call),
            ("Hello", Intent::Text),
            ("<b", Intent::Text),
        ] {
            assert_eq!(intent(line, &tools), expected, "{line:?}");
        }
    }

    #[test]
    fn every_text_and_list_of_a_schema_gets_a_bound() {
        let schema = json!({
            "type": "object",
            "description": "dropped",
            "properties": {
                "description": {"type": "string", "description": "dropped"},
                "short": {"type": "string", "maxLength": 5},
                "many": {"type": "array", "items": {"type": "string"}},
            },
        });
        assert_eq!(
            bounded(&schema, 0).unwrap(),
            json!({
                "type": "object",
                "properties": {
                    "description": {"type": "string", "maxLength": TEXT_CHARS_MAX},
                    "short": {"type": "string", "maxLength": 5},
                    "many": {"type": "array", "items": {"type": "string", "maxLength": TEXT_CHARS_MAX}, "maxItems": ITEMS_MAX},
                },
                "additionalProperties": false,
            })
        );
    }
}
