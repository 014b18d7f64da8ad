//! `shell`: runs a script, statement by statement while it is still being written, and streams what it puts out. What
//! the script would do is read from its parsed form.

mod analysis;
mod effects;
mod outside;
mod programs;
mod refusals;
mod scripts;
mod segment;
mod statements;
mod toolchains;
mod words;

#[cfg(test)]
mod equivalence;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use crate::call;
use crate::output::{self, OUTPUT_BYTES_MAX};
use analysis::Claim;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use statements::Statements;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{
    Approved, BoxStream, Command, Effect, Exit, ProcessEvent, SCRIPT, Segmenter, Step, Taint, Tool,
    ToolContext, ToolError, ToolOutput, ToolSpec, Workbench, WorkbenchError,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// A script is ended this long after all of it was given, unless the call says otherwise, in seconds.
const TIMEOUT_S_DEFAULT: u64 = 120;
/// The longest time that a call may give a script, in seconds.
const TIMEOUT_S_MAX: u64 = 3_600;
/// The longest script, in characters.
const SCRIPT_CHARS_MAX: usize = 100_000;
/// A shell is gone after this long whatever is still being written, in seconds.
const SHELL_S_MAX: u64 = 24 * 3_600;

/// Runs scripts, each statement once it is approved. One shell serves one call, and is there before its first statement.
pub(crate) struct Shell {
    spec: ToolSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    script: String,
    timeout_s: Option<u64>,
}

impl Shell {
    pub(crate) fn new() -> Self {
        let schema = json!({
            "type": "object",
            "properties": {
                "script": {"type": "string", "minLength": 1, "maxLength": SCRIPT_CHARS_MAX, "description": "Bash script"},
                "timeout_s": {"type": "integer", "minimum": 1, "maximum": TIMEOUT_S_MAX, "description": "Seconds until it is ended"}
            },
            "required": ["script"],
            "additionalProperties": false
        });
        Self {
            spec: call::spec("shell", include_str!("shell.md"), schema),
        }
    }
}

impl Arguments {
    fn parse(arguments: &Map<String, Value>) -> Result<Self, ToolError> {
        let arguments = Value::Object(arguments.clone());
        serde_json::from_value(arguments).map_err(|error| {
            let example = r#"{"script": "cargo test 2>&1 | tail -20"}"#;
            ToolError::Reply(format!(
                "the arguments of shell make no sense: {error}. An example: {example}"
            ))
        })
    }

    fn timeout(&self) -> Duration {
        let seconds = self.timeout_s.unwrap_or(TIMEOUT_S_DEFAULT);
        Duration::from_secs(seconds.clamp(1, TIMEOUT_S_MAX))
    }
}

#[async_trait]
impl Tool for Shell {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn effects(
        &self,
        step: &Step,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        let arguments = Arguments::parse(&step.call.arguments)?;
        let claims = match step.known.get::<Vec<Claim>>() {
            Some(claims) => claims,
            None => &analysis::analyze(&arguments.script),
        };
        Ok(effects::resolve(claims, workbench).await)
    }

    fn segmenter(&self) -> Option<Box<dyn Segmenter>> {
        Some(Box::new(Statements::default()))
    }

    async fn run(
        &self,
        context: ToolContext,
        steps: BoxStream<Approved>,
    ) -> Result<ToolOutput, ToolError> {
        let cancel = context.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ToolError::Cancelled),
            output = Run::new(&context).conduct(steps) => output,
        }
    }
}

/// A shell that runs, and its way to more of the script; `None` once that is closed.
struct Started {
    place: Arc<dyn Workbench>,
    events: BoxStream<Result<ProcessEvent, WorkbenchError>>,
    script: Option<mpsc::UnboundedSender<Bytes>>,
}

impl Started {
    /// A shell that waits for its script.
    async fn new(place: Arc<dyn Workbench>) -> Result<Self, ToolError> {
        let command = Command {
            program: shell_program(place.as_ref()).await?,
            arguments: vec![SCRIPT.to_owned()],
            directory: None,
            environment: BTreeMap::new(),
            wall_clock_max: Duration::from_secs(SHELL_S_MAX),
            output_bytes_max: OUTPUT_BYTES_MAX as u64,
        };
        let (script, pieces) = mpsc::unbounded_channel();
        let pieces = UnboundedReceiverStream::new(pieces).boxed();
        let events = place.start(command, Some(pieces));
        Ok(Self {
            place,
            events,
            script: Some(script),
        })
    }

    fn feed(&self, text: String) {
        if let Some(script) = &self.script {
            // A shell that has ended runs no more of it.
            let _ = script.send(Bytes::from(text));
        }
    }
}

/// A call that runs.
struct Run<'a> {
    context: &'a ToolContext,
    /// All that was given to shells.
    script: String,
    /// Whether all of that left nothing behind, so that running it again changes nothing.
    only_looked: bool,
    timeout: Duration,
    text: String,
    standard: output::Decoder,
    error: output::Decoder,
}

/// What happens next to a call that runs.
enum Next {
    Step(Option<Approved>),
    Event(Option<Result<ProcessEvent, WorkbenchError>>),
    TimeIsUp,
}

/// How a shell came to its end.
enum End {
    Exited(Exit),
    /// The next step needs more leave than the shell has.
    Outgrown(Approved),
}

impl<'a> Run<'a> {
    fn new(context: &'a ToolContext) -> Self {
        Self {
            context,
            script: String::new(),
            only_looked: true,
            timeout: Duration::from_secs(TIMEOUT_S_DEFAULT),
            text: String::new(),
            standard: output::Decoder::default(),
            error: output::Decoder::default(),
        }
    }

    async fn conduct(mut self, mut steps: BoxStream<Approved>) -> Result<ToolOutput, ToolError> {
        let mut shell = Started::new(self.context.workbench.clone()).await?;
        let exit = loop {
            match self.follow(&mut shell, &mut steps).await? {
                End::Exited(exit) => break exit,
                End::Outgrown(step) => match self.widen(shell, step).await? {
                    Ok(wider) => shell = wider,
                    Err(exit) => break exit,
                },
            }
        };
        if self.script.is_empty() {
            let denied = "the call was not allowed; nothing was done";
            return Err(ToolError::Reply(denied.to_owned()));
        }
        for note in refusals::notes(&self.text, Some(exit), &self.script) {
            self.note(note).await;
        }
        Ok(ToolOutput {
            text: with_ending(self.text, exit, self.timeout),
            is_error: matches!(exit, Exit::TimedOut | Exit::OutputExceeded),
            taint: Taint::BOTH,
        })
    }

    /// Gives the shell what is approved, and passes on what it puts out, until it has ended.
    async fn follow(
        &mut self,
        shell: &mut Started,
        steps: &mut BoxStream<Approved>,
    ) -> Result<End, ToolError> {
        let mut deadline = Instant::now() + Duration::from_secs(SHELL_S_MAX);
        loop {
            let next = tokio::select! {
                biased;
                step = steps.next(), if shell.script.is_some() => Next::Step(step),
                event = shell.events.next() => Next::Event(event),
                () = tokio::time::sleep_until(deadline) => Next::TimeIsUp,
            };
            match next {
                Next::Step(Some(step)) if !shell.place.admits(&step.effects) => {
                    return Ok(End::Outgrown(step));
                }
                Next::Step(Some(step)) => self.give(shell, &step)?,
                Next::Step(None) => {
                    // Until now the model may have been writing, or a person thinking.
                    deadline = Instant::now() + self.timeout;
                    shell.script = None;
                    if self.script.is_empty() {
                        return Ok(End::Exited(Exit::Status(0)));
                    }
                }
                Next::Event(event) => {
                    if let Some(exit) = self.pass_on(event).await? {
                        return Ok(End::Exited(exit));
                    }
                }
                Next::TimeIsUp => {
                    self.pass_on_rest().await;
                    return Ok(End::Exited(Exit::TimedOut));
                }
            }
        }
    }

    fn give(&mut self, shell: &Started, approved: &Approved) -> Result<(), ToolError> {
        let arguments = Arguments::parse(&approved.step.call.arguments)?;
        self.timeout = arguments.timeout();
        self.only_looked &= approved.effects.iter().all(only_looks);
        self.script.push_str(&arguments.script);
        shell.feed(arguments.script);
        Ok(())
    }

    /// A shell with more leave, in the state that the script has brought its shell to; or how the script ended.
    ///
    /// What runs keeps the leave that it was started with. A script that has only looked so far is run again from its
    /// beginning, unseen; one that has changed something is not.
    async fn widen(
        &mut self,
        mut shell: Started,
        step: Approved,
    ) -> Result<Result<Started, Exit>, ToolError> {
        if self.script.is_empty() {
            let wider = Started::new(step.workbench.clone()).await?;
            self.give(&wider, &step)?;
            return Ok(Ok(wider));
        }
        if !self.only_looked {
            shell.script = None;
            let exit = self.rest_of(&mut shell).await?;
            self.note(
                "[titanclaw: the rest was not run: it needs leave that a running shell can't be given. Call shell \
                 again with the rest; what came before has run]",
            )
            .await;
            return Ok(Err(exit));
        }
        // Whether the script would go on is known once its shell comes to this line.
        shell.feed(format!("\nexit {GOES_ON}\n"));
        shell.script = None;
        let exit = self.rest_of(&mut shell).await?;
        if exit != Exit::Status(GOES_ON) {
            return Ok(Err(exit));
        }
        let wider = Started::new(step.workbench.clone()).await?;
        let so_far = std::mem::take(&mut self.script);
        wider.feed(format!(
            "exec 250>&1 251>&2 >/dev/null 2>&1; {so_far}exec 1>&250 2>&251 250>&- 251>&-; "
        ));
        self.script = so_far;
        self.give(&wider, &step)?;
        Ok(Ok(wider))
    }

    async fn rest_of(&mut self, shell: &mut Started) -> Result<Exit, ToolError> {
        let mut no_more: BoxStream<Approved> = futures::stream::empty().boxed();
        let deadline = tokio::time::timeout(self.timeout, self.follow(shell, &mut no_more));
        match deadline.await {
            Ok(Ok(End::Exited(exit))) => Ok(exit),
            Ok(Err(error)) => Err(error),
            Ok(Ok(End::Outgrown(_))) | Err(_) => Ok(Exit::TimedOut),
        }
    }

    /// Takes in what the shell did; how it ended, if it did.
    async fn pass_on(
        &mut self,
        event: Option<Result<ProcessEvent, WorkbenchError>>,
    ) -> Result<Option<Exit>, ToolError> {
        let piece = match event {
            Some(Ok(ProcessEvent::Stdout(bytes))) => self.standard.push(&bytes),
            Some(Ok(ProcessEvent::Stderr(bytes))) => self.error.push(&bytes),
            Some(Ok(ProcessEvent::Exited(exit))) => {
                self.pass_on_rest().await;
                return Ok(Some(exit));
            }
            Some(Err(error)) => return Err(output::reply(error)),
            None => {
                let lost = "the shell was lost before it ended; try again".to_owned();
                return Err(ToolError::Reply(lost));
            }
        };
        self.show(&piece).await;
        Ok(None)
    }

    /// What was held back because a character was not whole.
    async fn pass_on_rest(&mut self) {
        let standard = std::mem::take(&mut self.standard).finish();
        let rest = standard + &std::mem::take(&mut self.error).finish();
        self.show(&rest).await;
    }

    async fn note(&mut self, note: &str) {
        let begin = if self.text.is_empty() || self.text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        self.show(&format!("{begin}{note}\n")).await;
    }

    async fn show(&mut self, piece: &str) {
        if !piece.is_empty() {
            self.text.push_str(piece);
            self.context.signals.output(piece).await;
        }
    }
}

/// The status of a shell whose script would go on in another one. No script is likely to end with it.
const GOES_ON: i32 = 219;

/// Whether an effect can be had a second time without a difference.
fn only_looks(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Read { .. }
            | Effect::Run {
                reads_only: true,
                ..
            }
    )
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

fn with_ending(mut text: String, exit: Exit, timeout: Duration) -> String {
    let ending = match exit {
        Exit::Status(0) if text.is_empty() => "[no output]".to_owned(),
        Exit::Status(0) => return text,
        Exit::Status(status) => format!("[exit status {status}]"),
        Exit::Signal(signal) => format!("[ended by signal {signal}]"),
        Exit::TimedOut => format!(
            "[ended after {} s; give a longer timeout_s, or run less]",
            timeout.as_secs()
        ),
        Exit::OutputExceeded => {
            format!(
                "[ended after {OUTPUT_BYTES_MAX} bytes of output; filter it, or write it to a file]"
            )
        }
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text + &ending
}
