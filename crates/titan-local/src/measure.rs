//! How fast the model is on this machine, and whether it chooses tools rightly.

use crate::generate::Model;
use futures::StreamExt;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use titan_protocol::{Message, ModelError, ModelEvent, ModelRequest, Provider, Task, ToolSpec};

const PROMPT_TOKENS: usize = 256;
const WRITTEN_TOKENS: usize = 32;
const WARM_TOKENS: usize = 20;

/// What was measured of a model.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Measurement {
    /// Tokens of a prompt read per second, 256 at once.
    pub read_tokens_per_second: f64,
    /// Tokens written per second, one after another, at the beginning of a conversation.
    pub write_tokens_per_second: f64,
    /// From a request of 20 tokens after a prompt that is already read, to the first token of its answer.
    pub first_token: Duration,
    /// Memory that the process holds, mapped weights included, in bytes; `None` where the system does not tell.
    pub resident_bytes: Option<u64>,
    /// Threads in use.
    pub threads: usize,
    /// Instructions in use.
    pub instructions: &'static str,
}

/// Measures a loaded model with made-up tokens.
pub(crate) fn run(model: &mut Model) -> Measurement {
    let decoder = model.decoder();
    let vocabulary = decoder.vocabulary();
    let tokens: Vec<u32> = (0..PROMPT_TOKENS + WARM_TOKENS)
        .map(|i| (i * 7919 % vocabulary) as u32)
        .collect();
    let mut cache = decoder.new_cache();
    decoder.settle();
    let mut read = |cache: &mut _, tokens: &[u32]| {
        let start = Instant::now();
        // Nothing calls a measurement off, so it can't be cancelled.
        let done = decoder.read(cache, tokens, &|| false).is_ok();
        debug_assert!(done, "a measurement was called off");
        start.elapsed()
    };
    // Some tokens bring the weights in and give the copy to large pages its time.
    for _ in 0..WARM_TOKENS {
        read(&mut cache, &tokens[..1]);
    }
    cache.truncate(0);
    let prompt = read(&mut cache, &tokens[..PROMPT_TOKENS]);
    let first_token = read(&mut cache, &tokens[PROMPT_TOKENS..]);
    cache.truncate(WARM_TOKENS);
    let written: Duration = tokens[..WRITTEN_TOKENS]
        .iter()
        .map(|token| read(&mut cache, &[*token]))
        .sum();
    Measurement {
        read_tokens_per_second: PROMPT_TOKENS as f64 / prompt.as_secs_f64(),
        write_tokens_per_second: WRITTEN_TOKENS as f64 / written.as_secs_f64(),
        first_token,
        resident_bytes: resident_bytes(),
        threads: decoder.threads(),
        instructions: decoder.instructions(),
    }
}

/// This process's resident memory, in bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// How a model did in the tool-choice check.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ToolCheck {
    /// Requests asked.
    pub asked: usize,
    /// Calls of the right tool.
    pub right_tool: usize,
    /// Calls of the right tool with the right argument in them.
    pub right_argument: usize,
    /// What was asked and what came instead, for those that were wrong.
    pub wrong: Vec<String>,
}

/// request, the right tool, what its arguments must contain
const QUESTIONS: [(&str, &str, &str); 10] = [
    ("Show me the content of src/main.rs.", "read", "src/main.rs"),
    (
        "What does the README.md of this project say?",
        "read",
        "README.md",
    ),
    (
        "Find all places where `parse_config` is used.",
        "search",
        "parse_config",
    ),
    ("Which files mention the word TODO?", "search", "TODO"),
    ("Which files are in the folder docs?", "list", "docs"),
    (
        "What is in the directory crates/core?",
        "list",
        "crates/core",
    ),
    ("Run the tests with cargo.", "shell", "cargo test"),
    ("Show the last five commits of git.", "shell", "git log"),
    (
        "Remember that my favourite editor is Helix.",
        "remember",
        "Helix",
    ),
    (
        "Note for later: the server's port is 8443.",
        "remember",
        "8443",
    ),
];

/// name, what it is for, its one argument
const TOOLS: [(&str, &str, &str); 5] = [
    ("read", "Reads a file.", "path"),
    (
        "search",
        "Searches the text of all files for a word or pattern.",
        "pattern",
    ),
    ("list", "Lists the files in a folder.", "path"),
    (
        "shell",
        "Runs a command in a shell, such as git or cargo.",
        "command",
    ),
    (
        "remember",
        "Stores a fact about the user or the project in the notes.",
        "text",
    ),
];

/// Asks a model ten requests over five tools and counts right choices. Works with any provider.
///
/// # Errors
/// When the model fails. Dropping the future stops it.
pub async fn check_tools(provider: &dyn Provider) -> Result<ToolCheck, ModelError> {
    let tools: Arc<[ToolSpec]> = TOOLS.iter().map(tool).collect();
    let mut check = ToolCheck {
        asked: QUESTIONS.len(),
        right_tool: 0,
        right_argument: 0,
        wrong: Vec::new(),
    };
    for (question, name, argument) in QUESTIONS {
        let mut request = ModelRequest::new(
            Task::Code,
            "You are a helpful assistant at work in the user's project folder.",
            vec![Message::user(question)],
        );
        request.tools.clone_from(&tools);
        request.output_tokens_max = 96;
        let reply = first_call(provider, request).await?;
        let right_tool = reply.name.as_deref() == Some(name);
        let right_argument = right_tool && reply.is_whole && reply.text.contains(argument);
        check.right_tool += usize::from(right_tool);
        check.right_argument += usize::from(right_argument);
        if !right_argument {
            let came = reply.name.unwrap_or_else(|| "text".into());
            let text: String = reply.text.chars().take(120).collect();
            check.wrong.push(format!("{question} → {came} {text}"));
        }
    }
    Ok(check)
}

fn tool((name, description, argument): &(&str, &str, &str)) -> ToolSpec {
    let mut properties = Map::new();
    properties.insert(
        (*argument).into(),
        json!({"type": "string", "maxLength": 200}),
    );
    ToolSpec {
        name: (*name).into(),
        description: (*description).into(),
        input_schema: json!({
            "type": "object",
            "properties": Value::Object(properties),
            "required": [argument],
            "additionalProperties": false,
        }),
    }
}

#[derive(Default)]
struct FirstCall {
    name: Option<String>,
    text: String,
    is_whole: bool,
}

async fn first_call(
    provider: &dyn Provider,
    request: ModelRequest,
) -> Result<FirstCall, ModelError> {
    let mut reply = FirstCall::default();
    let mut events = provider.stream(request);
    while let Some(event) = events.next().await {
        match event? {
            ModelEvent::ToolCallBegin { index: 0, name } => {
                reply.name = Some(name);
                reply.text.clear();
            }
            ModelEvent::ToolCallDelta {
                index: 0,
                json: text,
            } => reply.text.push_str(&text),
            ModelEvent::TextDelta { text } if reply.name.is_none() => reply.text.push_str(&text),
            ModelEvent::ToolCallEnd { index: 0 } => reply.is_whole = true,
            _ => {}
        }
    }
    Ok(reply)
}
