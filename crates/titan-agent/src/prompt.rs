//! Puts together what a model is shown. Pure: the thread and the session's surroundings in, a request out.

use crate::thread::Thread;
use std::path::PathBuf;
use titan_protocol::{
    Content, Message, ModelRequest, PlanStatus, Role, Task, ToolChoice, ToolSpec,
};

/// How long and how rich the prompt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptSize {
    /// For models that read long prompts fast.
    Full,
    /// For small local models, where every token costs time: a short fixed part and few tools.
    Small,
}

impl PromptSize {
    fn system(self) -> &'static str {
        match self {
            Self::Full => include_str!("prompt.md"),
            Self::Small => include_str!("small.md"),
        }
    }

    /// Bytes of all instruction files together.
    pub(crate) fn instructions_bytes_max(self) -> usize {
        match self {
            Self::Full => 32 << 10,
            Self::Small => 1 << 10,
        }
    }
}

/// What a session is surrounded by. Fixed for a turn, so that vendors' and the local model's caches hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Surroundings {
    pub(crate) workspace: PathBuf,
    /// Names in the workspace's top folder, for orientation.
    pub(crate) top_level: Vec<String>,
    /// `YYYY-MM-DD`, the day on which the turn began.
    pub(crate) today: String,
    /// Instruction files: name and content, the most general first.
    pub(crate) instructions: Vec<(String, String)>,
}

/// How the request is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) size: PromptSize,
    pub(crate) tools: Vec<ToolSpec>,
    pub(crate) with_tools: bool,
    pub(crate) model: Option<String>,
    pub(crate) output_tokens_max: u32,
    pub(crate) thinking_tokens_max: Option<u32>,
}

/// The request that shows this thread to a model. The fixed part comes first and does not change within a session.
pub(crate) fn assemble(
    thread: &Thread,
    surroundings: &Surroundings,
    shape: &Shape,
) -> ModelRequest {
    let mut messages = vec![Message {
        role: Role::User,
        content: context(thread, surroundings),
    }];
    for message in thread.messages() {
        match messages.last_mut() {
            Some(last) if last.role == message.role => last.content.extend(message.content),
            _ => messages.push(message),
        }
    }
    ModelRequest {
        model: shape.model.clone(),
        tools: shape.tools.clone(),
        tool_choice: if shape.with_tools {
            ToolChoice::Auto
        } else {
            ToolChoice::None
        },
        output_tokens_max: shape.output_tokens_max,
        thinking_tokens_max: shape.thinking_tokens_max,
        ..ModelRequest::new(task(surroundings), shape.size.system(), messages)
    }
}

/// Work in a workspace that is a project of code goes to the models that are set up for code.
fn task(surroundings: &Surroundings) -> Task {
    const SIGNS: [&str; 9] = [
        "Cargo.toml",
        "package.json",
        "pyproject.toml",
        "go.mod",
        "pom.xml",
        "build.gradle",
        "CMakeLists.txt",
        "Makefile",
        "src/",
    ];
    let is_code = surroundings
        .top_level
        .iter()
        .any(|name| SIGNS.contains(&name.as_str()));
    if is_code { Task::Code } else { Task::Chat }
}

/// The session's surroundings as the first thing that is said.
fn context(thread: &Thread, surroundings: &Surroundings) -> Vec<Content> {
    let mut text = format!(
        "[context] Workspace: {}. Today: {}.",
        surroundings.workspace.display(),
        surroundings.today
    );
    if !surroundings.top_level.is_empty() {
        text.push_str(&format!(
            "\nTop folder: {}",
            surroundings.top_level.join("  ")
        ));
    }
    for (name, content) in &surroundings.instructions {
        text.push_str(&format!(
            "\n\nThe person's instructions, from {name}:\n{}",
            content.trim_end()
        ));
    }
    if let Some(summary) = &thread.summary {
        text.push_str(&format!("\n\n{summary}"));
        for item in &thread.plan {
            let mark = match item.status {
                PlanStatus::Done => "x",
                PlanStatus::InProgress => "~",
                PlanStatus::Pending => " ",
            };
            text.push_str(&format!("\nPlan: [{mark}] {}", item.text));
        }
    }
    vec![Content::Text { text }]
}

/// Tokens of a request, estimated at 3.5 bytes each: between English prose (4.5) and code (3).
pub(crate) fn estimate_tokens(request: &ModelRequest) -> u32 {
    let tools: usize = request
        .tools
        .iter()
        .map(|tool| tool.description.len() + tool.input_schema.to_string().len())
        .sum();
    let bytes =
        request.system.len() + tools + request.messages.iter().map(message_bytes).sum::<usize>();
    tokens(bytes)
}

/// Tokens that so many bytes are likely to be.
pub(crate) fn tokens(bytes: usize) -> u32 {
    u32::try_from(bytes * 2 / 7).unwrap_or(u32::MAX)
}

/// Bytes of a message, with a little for its frame.
pub(crate) fn message_bytes(message: &Message) -> usize {
    message
        .content
        .iter()
        .map(|part| match part {
            Content::Text { text } | Content::Thinking { text, .. } => text.len(),
            Content::ToolCall(call) => {
                call.name.len()
                    + serde_json::Value::Object(call.arguments.clone())
                        .to_string()
                        .len()
            }
            Content::ToolResult { text, .. } => text.len(),
        })
        .map(|bytes| bytes + 16)
        .sum()
}
