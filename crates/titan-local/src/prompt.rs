//! Puts a request into the words and tokens that a small model was trained on.
//!
//! Pure. The system text and the tools come first and are equal from call to call, so that what the model has read
//! of them can be kept; tools are told in one line each. Control tokens are set by id, text is only ever text.

use crate::choice;
use crate::tokenizer::Tokenizer;
use serde_json::{Map, Value};
use titan_protocol::{Content, Message, Role, ToolSpec};

/// What frames the tools within the system text.
const FRAME: &str = include_str!("prompt.md");
/// The most characters of a tool's description that are told.
const DESCRIPTION_CHARS_MAX: usize = 160;
/// The most choices of an argument that are listed.
const CHOICES_MAX: usize = 8;

/// How a family frames messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `<|im_start|>role\n … <|im_end|>\n`
    ChatMl { start: u32, end: u32 },
    /// `<|start_header_id|>role<|end_header_id|>\n\n … <|eot_id|>`
    Llama3 {
        begin: u32,
        header: u32,
        header_end: u32,
        end: u32,
    },
}

impl Frame {
    /// The frame that the model's control tokens show; `None` when it is no chat model that we know.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let special = |name| tokenizer.special(name);
        if let (Some(start), Some(end)) = (special("<|im_start|>"), special("<|im_end|>")) {
            return Some(Self::ChatMl { start, end });
        }
        Some(Self::Llama3 {
            begin: special("<|begin_of_text|>")?,
            header: special("<|start_header_id|>")?,
            header_end: special("<|end_header_id|>")?,
            end: special("<|eot_id|>")?,
        })
    }
}

/// A request as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// All of it, up to where the model begins to write.
    pub(crate) tokens: Vec<u32>,
    /// How many of them are the fixed part: system text and tools.
    pub(crate) fixed: usize,
}

/// Renders a request. Tools are told even when none may be called, so that what was read of them is not read again.
pub(crate) fn render(
    tokenizer: &Tokenizer,
    frame: Frame,
    system: &str,
    tools: &[ToolSpec],
    messages: &[Message],
) -> Prompt {
    let mut writer = Writer {
        tokenizer,
        frame,
        tokens: Vec::new(),
    };
    writer.begin();
    let system = system_text(system, tools);
    if !system.is_empty() {
        writer.message("system", &system);
    }
    let fixed = writer.tokens.len();
    let mut names = Names::default();
    for message in messages {
        let text = message_text(message, &mut names);
        if !text.is_empty() {
            let role = match message.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            writer.message(role, &text);
        }
    }
    writer.open("assistant");
    Prompt {
        tokens: writer.tokens,
        fixed,
    }
}

struct Writer<'a> {
    tokenizer: &'a Tokenizer,
    frame: Frame,
    tokens: Vec<u32>,
}

impl Writer<'_> {
    fn text(&mut self, text: &str) {
        self.tokens.extend(self.tokenizer.encode(text));
    }

    fn begin(&mut self) {
        if let Frame::Llama3 { begin, .. } = self.frame {
            self.tokens.push(begin);
        }
    }

    fn open(&mut self, role: &str) {
        match self.frame {
            Frame::ChatMl { start, .. } => {
                self.tokens.push(start);
                self.text(&format!("{role}\n"));
            }
            Frame::Llama3 {
                header, header_end, ..
            } => {
                self.tokens.push(header);
                self.text(role);
                self.tokens.push(header_end);
                self.text("\n\n");
            }
        }
    }

    fn message(&mut self, role: &str, text: &str) {
        self.open(role);
        self.text(text);
        match self.frame {
            Frame::ChatMl { end, .. } => {
                self.tokens.push(end);
                self.text("\n");
            }
            Frame::Llama3 { end, .. } => self.tokens.push(end),
        }
    }
}

/// The system message: what the engine says, then the tools.
fn system_text(system: &str, tools: &[ToolSpec]) -> String {
    if tools.is_empty() {
        return system.trim().to_owned();
    }
    let lines: Vec<String> = tools.iter().map(tool_line).collect();
    FRAME
        .replace("{tools}", &lines.join("\n"))
        .replacen("{system}", system.trim(), 1)
        .trim()
        .to_owned()
}

/// `name(path: string, line?: integer) - First line of its description.`
fn tool_line(tool: &ToolSpec) -> String {
    let empty = Map::new();
    let properties = tool
        .input_schema
        .get("properties")
        .and_then(Value::as_object);
    let required: Vec<&str> = tool
        .input_schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let arguments: Vec<String> = properties
        .unwrap_or(&empty)
        .iter()
        .map(|(name, schema)| {
            let optional = if required.contains(&name.as_str()) {
                ""
            } else {
                "?"
            };
            format!("{name}{optional}: {}", kind(schema))
        })
        .collect();
    let first = tool.description.trim().lines().next().unwrap_or_default();
    let first: String = first.chars().take(DESCRIPTION_CHARS_MAX).collect();
    format!("- {}({}): {first}", tool.name, arguments.join(", "))
}

fn kind(schema: &Value) -> String {
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let listed: Vec<String> = choices
            .iter()
            .take(CHOICES_MAX)
            .map(Value::to_string)
            .collect();
        return listed.join("|");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => format!("[{}]", schema.get("items").map_or("any".to_owned(), kind)),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

/// The most characters of a request that are said again under a tool's result.
const REMINDER_CHARS_MAX: usize = 240;

/// What later messages refer to: which tool each call named, and what the person asked last.
#[derive(Default)]
struct Names {
    calls: Vec<(String, String)>,
    asked: String,
}

impl Names {
    fn of(&self, call: &str) -> &str {
        self.calls
            .iter()
            .rev()
            .find(|(id, _)| id == call)
            .map_or("the tool", |(_, name)| name)
    }
}

fn message_text(message: &Message, names: &mut Names) -> String {
    let mut parts = Vec::new();
    let mut has_result = false;
    for content in &message.content {
        match content {
            Content::Text { text } if !text.trim().is_empty() => {
                if message.role == Role::User {
                    names.asked = text.trim().chars().take(REMINDER_CHARS_MAX).collect();
                }
                parts.push(text.trim().to_owned());
            }
            // Who shows this model anything has put words in an image's place: it can't see.
            Content::Text { .. } | Content::Thinking { .. } | Content::Image { .. } => {}
            Content::ToolCall(call) => {
                names
                    .calls
                    .push((call.id.as_str().to_owned(), call.name.clone()));
                let arguments = Value::Object(call.arguments.clone());
                parts.push(choice::written(&call.name, &arguments));
            }
            Content::ToolResult {
                call,
                text,
                is_error,
                ..
            } => {
                let name = names.of(call.as_str());
                let heading = if *is_error { "Error of" } else { "Result of" };
                parts.push(format!("{heading} {name}:\n{}", text.trim_end()));
                has_result = true;
            }
        }
    }
    // After a long result a small model has lost sight of what was asked.
    if has_result && !names.asked.is_empty() {
        let asked = &names.asked;
        parts.push(format!(
            "(The request was: {asked}\nIf this is enough, answer every part of it from this result, else use another tool.)"
        ));
    }
    parts.join("\n")
}

/// JSON with the spaces that models are used to: `{"a": 1, "b": [2, 3]}`. The grammar writes it alike.
pub(crate) fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(spaced).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), spaced(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tool_is_told_in_one_line() {
        let tool = ToolSpec {
            name: "read".into(),
            description: "Reads a file.\nMore than the model needs to know.".into(),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "lines": {"type": "array", "items": {"type": "integer"}},
                    "mode": {"enum": ["text", "hex"]},
                },
                "required": ["path"],
            }),
        };
        assert_eq!(
            tool_line(&tool),
            r#"- read(path: string, lines?: [integer], mode?: "text"|"hex"): Reads a file."#
        );
    }

    #[test]
    fn arguments_are_spaced_as_the_grammar_spaces_them() {
        let value = json!({"a": [1, {"b": "x,y: z"}], "c": null});
        assert_eq!(spaced(&value), r#"{"a": [1, {"b": "x,y: z"}], "c": null}"#);
    }

    #[test]
    fn without_tools_the_system_text_stands_alone() {
        assert_eq!(system_text("  Be brief. ", &[]), "Be brief.");
    }
}
