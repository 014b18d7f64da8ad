//! `shell`: runs a script and streams what it puts out. What the script would do is read from its parsed form.

mod analysis;
mod effects;
mod outside;
mod programs;
mod refusals;
mod scripts;
mod toolchains;
mod words;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use crate::call::{self, WholeCall};
use crate::output::{self, OUTPUT_BYTES_MAX};
use async_trait::async_trait;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use titan_protocol::{
    Command, Effect, Exit, ProcessEvent, Taint, ToolContext, ToolError, ToolOutput, ToolSpec,
    Workbench,
};

/// A script is ended after this long unless the call says otherwise, in seconds.
const TIMEOUT_S_DEFAULT: u64 = 120;
/// The longest time that a call may give a script, in seconds.
const TIMEOUT_S_MAX: u64 = 3_600;
/// The longest script, in characters.
const SCRIPT_CHARS_MAX: usize = 100_000;

pub(crate) struct Shell;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    script: String,
    timeout_s: Option<u64>,
}

#[async_trait]
impl WholeCall for Shell {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "shell",
            include_str!("shell.md"),
            json!({
                "type": "object",
                "properties": {
                    "script": {"type": "string", "minLength": 1, "maxLength": SCRIPT_CHARS_MAX, "description": "Bash script"},
                    "timeout_s": {"type": "integer", "minimum": 1, "maximum": TIMEOUT_S_MAX, "description": "Seconds until it is ended"}
                },
                "required": ["script"],
                "additionalProperties": false
            }),
        )
    }

    fn example(&self) -> &'static str {
        r#"{"script": "cargo test 2>&1 | tail -20"}"#
    }

    async fn effects(
        &self,
        arguments: Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        let claims = analysis::analyze(&arguments.script);
        Ok(effects::resolve(&claims, workbench).await)
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let timeout = Duration::from_secs(
            arguments
                .timeout_s
                .unwrap_or(TIMEOUT_S_DEFAULT)
                .clamp(1, TIMEOUT_S_MAX),
        );
        let command = Command {
            program: shell_program(context.workbench.as_ref()).await?,
            arguments: vec!["-c".to_owned(), "--".to_owned(), arguments.script.clone()],
            directory: None,
            environment: BTreeMap::new(),
            wall_clock_max: timeout,
            output_bytes_max: OUTPUT_BYTES_MAX as u64,
        };
        let (mut text, exit) = collect(context, command).await?;
        for note in refusals::notes(&text, exit, &arguments.script) {
            let begin = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            pass_on(context, &mut text, &format!("{begin}{note}\n")).await;
        }
        Ok(ToolOutput {
            text: with_ending(text, exit, timeout),
            is_error: matches!(exit, Some(Exit::TimedOut | Exit::OutputExceeded) | None),
            taint: Taint::BOTH,
        })
    }
}

async fn shell_program(workbench: &dyn Workbench) -> Result<String, ToolError> {
    for name in ["bash", "sh"] {
        if let Some(path) = workbench.which(name).await {
            return Ok(path.to_string_lossy().into_owned());
        }
    }
    Err(ToolError::Reply(
        "there is neither bash nor sh here; use the file tools instead".to_owned(),
    ))
}

/// Runs the command; both streams as one text in the order of arrival, passed on as they come.
async fn collect(
    context: &ToolContext,
    command: Command,
) -> Result<(String, Option<Exit>), ToolError> {
    let mut events = context.workbench.run(command);
    let mut standard = output::Decoder::default();
    let mut error = output::Decoder::default();
    let mut text = String::new();
    let mut exit = None;
    while let Some(event) = events.next().await {
        let piece = match event.map_err(output::reply)? {
            ProcessEvent::Stdout(bytes) => standard.push(&bytes),
            ProcessEvent::Stderr(bytes) => error.push(&bytes),
            ProcessEvent::Exited(how) => {
                exit = Some(how);
                break;
            }
        };
        pass_on(context, &mut text, &piece).await;
    }
    let rest = standard.finish() + &error.finish();
    pass_on(context, &mut text, &rest).await;
    Ok((text, exit))
}

async fn pass_on(context: &ToolContext, text: &mut String, piece: &str) {
    if !piece.is_empty() {
        text.push_str(piece);
        context.signals.output(piece).await;
    }
}

fn with_ending(mut text: String, exit: Option<Exit>, timeout: Duration) -> String {
    let ending = match exit {
        Some(Exit::Status(0)) if text.is_empty() => "[no output]".to_owned(),
        Some(Exit::Status(0)) => return text,
        Some(Exit::Status(status)) => format!("[exit status {status}]"),
        Some(Exit::Signal(signal)) => format!("[ended by signal {signal}]"),
        Some(Exit::TimedOut) => format!(
            "[ended after {} s; give a longer timeout_s, or run less]",
            timeout.as_secs()
        ),
        Some(Exit::OutputExceeded) => {
            format!(
                "[ended after {OUTPUT_BYTES_MAX} bytes of output; filter it, or write it to a file]"
            )
        }
        None => "[the program was lost before it ended]".to_owned(),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text + &ending
}
