//! `forge_tool`: a tool that a model writes, which is tried, run and destroyed, or kept.
//!
//! A tool that was written is a **candidate**. Its **proof** are its examples and what it gave in the calls before. It is
//! **promoted** on request, or when it is written again; then it is made anew with care, proved again as it will be called, and
//! offered by its name. From there it is **watched** and, if it breaks off, **demoted** by whoever offers it.

use async_trait::async_trait;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use titan_protocol::{
    Approved, BoxStream, CallId, Care, Draft, Effect, Example, Made, MakeError, Step, Taint, Tool,
    ToolCall, ToolContext, ToolError, ToolKeeper, ToolMaker, ToolOutput, ToolSpec, TurnId,
    Workbench,
};

/// What the tool is called.
pub const FORGE_TOOL: &str = "forge_tool";
/// Versions of tools that may go wrong in a turn.
const ROUNDS_MAX: u32 = 3;
/// Turns whose rounds are counted at a time.
const TURNS_MAX: usize = 64;
/// Tools that are known to have been written.
const WRITTEN_MAX: usize = 200;
/// Calls of one that are known.
const RUNS_MAX: usize = 8;
const EXAMPLES_MAX: usize = 8;
const SOURCE_CHARS_MAX: usize = 20_000;
/// What stands between an output and the lines that were logged below it.
const LOGGED: &str = "\n\nIt logged:\n";

/// The tool that writes tools.
pub struct ForgeTool {
    spec: ToolSpec,
    maker: Arc<dyn ToolMaker>,
    keeper: Arc<dyn ToolKeeper>,
    /// Names that no tool takes.
    taken: Vec<String>,
    memory: Mutex<Memory>,
}

/// What is known while the engine runs.
#[derive(Default)]
struct Memory {
    rounds: VecDeque<(TurnId, u32)>,
    written: VecDeque<Written>,
}

/// A tool that was written and destroyed: what tells that it is written again, and what it gave.
struct Written {
    keys: [blake3::Hash; 2],
    proof: Vec<Example>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    name: String,
    description: String,
    source: String,
    input_schema: Value,
    #[serde(default)]
    capabilities: Vec<String>,
    examples: Vec<Example>,
    input: Map<String, Value>,
    #[serde(default)]
    keep: bool,
}

impl Arguments {
    fn draft(&self) -> Draft {
        Draft {
            spec: ToolSpec {
                name: self.name.clone(),
                description: self.description.clone(),
                input_schema: self.input_schema.clone(),
            },
            source: self.source.clone(),
            capabilities: self.capabilities.clone(),
            examples: self.examples.clone(),
        }
    }
}

/// The tool that a call of `forge_tool` wrote, with these arguments.
///
/// # Errors
/// What does not fit, in a sentence.
pub fn draft_of(arguments: &Map<String, Value>) -> Result<Draft, String> {
    parse(arguments).map(|arguments| arguments.draft())
}

fn parse(arguments: &Map<String, Value>) -> Result<Arguments, String> {
    serde_json::from_value(Value::Object(arguments.clone())).map_err(|error| error.to_string())
}

impl ForgeTool {
    /// With these hands, and names that no tool takes.
    pub fn new(maker: Arc<dyn ToolMaker>, keeper: Arc<dyn ToolKeeper>, taken: &[&str]) -> Self {
        let description = format!("{}{}", include_str!("forge_tool.md"), maker.guide());
        Self {
            spec: ToolSpec {
                name: FORGE_TOOL.to_owned(),
                description,
                input_schema: schema(),
            },
            maker,
            keeper,
            taken: taken.iter().map(|name| (*name).to_owned()).collect(),
            memory: Mutex::default(),
        }
    }

    async fn forge(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let draft = arguments.draft();
        let round = self.memory.lock().round(context.turn);
        if round > ROUNDS_MAX {
            return Ok(wrong(format!(
                "{ROUNDS_MAX} tools went wrong in this turn already, so no other is made; answer without one"
            )));
        }
        match self.attempt(context, &draft, &arguments.input).await? {
            Attempt::Wrong(why) => {
                self.memory.lock().went_wrong(context.turn);
                let left = ROUNDS_MAX - round;
                Ok(wrong(format!(
                    "{why}\n\nNothing of it is left. {}",
                    match left {
                        0 => "No other is made in this turn; answer without one.".to_owned(),
                        left => format!(
                            "Mend it and send the whole tool again; that may go wrong {left} more times in this turn."
                        ),
                    }
                )))
            }
            Attempt::Gave(mut output) => {
                let proof = self
                    .memory
                    .lock()
                    .written(&draft, &arguments.input, &output);
                if let Some(proof) = proof.filter(|proof| arguments.keep || proof.is_again) {
                    let kept = self.promote(context, &draft, &proof.runs).await?;
                    output.text.push_str(&match kept {
                        Ok(()) => format!(
                            "\n\nThe tool is kept: from now on call it by its name, {}.",
                            draft.spec.name
                        ),
                        Err(why) => format!("\n\nThe tool is not kept: {why}"),
                    });
                }
                Ok(output)
            }
        }
    }

    /// Makes a tool for this call, tries it and runs it. Nothing of it is left.
    async fn attempt(
        &self,
        context: &ToolContext,
        draft: &Draft,
        input: &Map<String, Value>,
    ) -> Result<Attempt, ToolError> {
        if self.taken.contains(&draft.spec.name) {
            return Ok(Attempt::Wrong(format!(
                "{} is the name of a built-in tool, which no other tool may take",
                draft.spec.name
            )));
        }
        for (of, input) in inputs(draft, input) {
            if let Err(why) = self.maker.fits(&draft.spec, input) {
                return Ok(Attempt::Wrong(format!(
                    "{of} does not fit the schema: {why}"
                )));
            }
        }
        let made = match self.maker.make(draft, Care::Once).await {
            Ok(made) => made,
            Err(MakeError::Wrong(why)) => {
                return Ok(Attempt::Wrong(format!("The tool can't be made:\n{why}")));
            }
            Err(MakeError::Missing(why) | MakeError::Failed(why)) => {
                return Err(ToolError::Reply(why));
            }
        };
        if let Some(why) = try_examples(context, &made, &draft.examples).await? {
            return Ok(Attempt::Wrong(why));
        }
        let mut output = call(context, &made, input).await?;
        // The model wrote the tool and what it was given, and it reaches nothing else: these are the model's own words, and
        // whatever that has read is held by its turn.
        output.taint = Taint::NONE;
        Ok(Attempt::Gave(output))
    }

    /// From a candidate to a tool that is offered; the inner error says why it is not.
    ///
    /// # Errors
    /// When the turn has to end.
    pub async fn promote(
        &self,
        context: &ToolContext,
        draft: &Draft,
        runs: &[Example],
    ) -> Result<Result<(), String>, ToolError> {
        let made = match self.maker.make(draft, Care::Kept).await {
            Ok(made) => made,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if let Some(why) = try_examples(context, &made, &draft.examples).await? {
            return Ok(Err(why));
        }
        // What the time or chance has a part in gives something else each time.
        let is_pure = draft.capabilities.iter().all(|one| one == "log");
        if is_pure && let Some(why) = try_examples(context, &made, runs).await? {
            return Ok(Err(why));
        }
        Ok(self.keeper.keep(draft, &made.component).await)
    }
}

/// How an attempt ended.
enum Attempt {
    /// What the writer can mend.
    Wrong(String),
    /// What the tool gave.
    Gave(ToolOutput),
}

/// What is known for a proof.
struct Proof {
    runs: Vec<Example>,
    /// Whether it was written before.
    is_again: bool,
}

impl Memory {
    /// Which round this is in a turn, from 1.
    fn round(&self, turn: TurnId) -> u32 {
        let there = self.rounds.iter().find(|(of, _)| *of == turn);
        there.map_or(0, |(_, n)| *n) + 1
    }

    fn went_wrong(&mut self, turn: TurnId) {
        if let Some((_, n)) = self.rounds.iter_mut().find(|(of, _)| *of == turn) {
            *n += 1;
            return;
        }
        self.rounds.push_back((turn, 1));
        if self.rounds.len() > TURNS_MAX {
            self.rounds.pop_front();
        }
    }

    fn knows(&self, draft: &Draft) -> bool {
        let keys = keys(draft);
        self.written.iter().any(|written| is_same(written, &keys))
    }

    /// A tool was written and gave this. `None` when it gave an error, which proves nothing.
    fn written(
        &mut self,
        draft: &Draft,
        input: &Map<String, Value>,
        output: &ToolOutput,
    ) -> Option<Proof> {
        if output.is_error {
            return None;
        }
        let keys = keys(draft);
        let at = self
            .written
            .iter()
            .position(|written| is_same(written, &keys));
        let mut written = match at.and_then(|at| self.written.remove(at)) {
            Some(there) => there,
            None => Written {
                keys,
                proof: Vec::new(),
            },
        };
        let runs = written.proof.clone();
        written.keys = keys;
        written.proof.push(Example {
            input: input.clone(),
            output: said(&output.text).to_owned(),
        });
        if written.proof.len() > RUNS_MAX {
            written.proof.remove(0);
        }
        self.written.push_back(written);
        if self.written.len() > WRITTEN_MAX {
            self.written.pop_front();
        }
        Some(Proof {
            runs,
            is_again: at.is_some(),
        })
    }
}

fn is_same(written: &Written, keys: &[blake3::Hash; 2]) -> bool {
    written
        .keys
        .iter()
        .zip(keys)
        .any(|(one, other)| one == other)
}

/// What tells that a tool is written again: the same source, however it is set; or the same name and arguments.
fn keys(draft: &Draft) -> [blake3::Hash; 2] {
    let source: Vec<&str> = draft.source.split_whitespace().collect();
    let call = format!("{} {}", draft.spec.name, draft.spec.input_schema);
    [
        blake3::hash(source.join(" ").as_bytes()),
        blake3::hash(call.as_bytes()),
    ]
}

/// All inputs that a draft is called with, each with what it is.
fn inputs<'a>(
    draft: &'a Draft,
    input: &'a Map<String, Value>,
) -> impl Iterator<Item = (&'static str, &'a Map<String, Value>)> {
    let examples = draft
        .examples
        .iter()
        .map(|example| ("the input of an example", &example.input));
    examples.chain([("`input`", input)])
}

/// What went wrong with the first example that does.
///
/// # Errors
/// When the turn has to end.
pub(crate) async fn try_examples(
    context: &ToolContext,
    made: &Made,
    examples: &[Example],
) -> Result<Option<String>, ToolError> {
    for example in examples {
        let given = call(context, made, &example.input).await?;
        if given.is_error || !agrees(&given.text, example) {
            let asked = Value::Object(example.input.clone());
            return Ok(Some(format!(
                "An example went wrong. For {asked} the tool gave:\n{}\ninstead of:\n{}",
                given.text, example.output
            )));
        }
    }
    Ok(None)
}

/// Calls a tool that is in no registry, as the step that was approved for it: it has no effects of its own.
async fn call(
    context: &ToolContext,
    made: &Made,
    input: &Map<String, Value>,
) -> Result<ToolOutput, ToolError> {
    let step = Step::whole(ToolCall {
        id: CallId::from("forged"),
        name: made.tool.spec().name.clone(),
        arguments: input.clone(),
    });
    let effects = made.tool.effects(&step, &*context.workbench).await?;
    if !effects.is_empty() {
        return Err(ToolError::Reply(
            "the tool would reach beyond itself, which was not approved".to_owned(),
        ));
    }
    let approved = Approved {
        step,
        effects,
        workbench: context.workbench.clone(),
    };
    let steps = stream::once(async move { approved }).boxed();
    made.tool.run(context.clone(), steps).await
}

/// Whether an output is what an example says: the same JSON, or the same text but for space at its ends. Lines that were
/// logged don't count.
pub fn agrees(output: &str, example: &Example) -> bool {
    is_equal(said(output), &example.output)
}

/// An output without the lines that were logged.
fn said(text: &str) -> &str {
    text.split_once(LOGGED).map_or(text, |(said, _)| said)
}

fn is_equal(one: &str, other: &str) -> bool {
    let as_json = |text: &str| serde_json::from_str::<Value>(text).ok();
    one.trim() == other.trim() || as_json(one).is_some_and(|one| as_json(other) == Some(one))
}

fn wrong(text: String) -> ToolOutput {
    ToolOutput {
        text,
        is_error: true,
        taint: Taint::NONE,
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "What the tool is called: lower-case letters, digits and underscores"},
            "description": {"type": "string", "maxLength": 1000, "description": "What it does, in a sentence"},
            "source": {"type": "string", "maxLength": SOURCE_CHARS_MAX, "description": "A Rust file with fn run(input: Value) -> Result<String>"},
            "input_schema": {"type": "object", "description": "JSON schema of the tool's input"},
            "capabilities": {"type": "array", "items": {"enum": ["log", "clock", "random"]}, "description": "What it uses besides its input"},
            "examples": {
                "type": "array",
                "minItems": 1,
                "maxItems": EXAMPLES_MAX,
                "items": {
                    "type": "object",
                    "properties": {"input": {"type": "object"}, "output": {"type": "string"}},
                    "required": ["input", "output"],
                    "additionalProperties": false
                }
            },
            "input": {"type": "object", "description": "What to run it on now"},
            "keep": {"type": "boolean", "description": "Keep the tool for later turns"}
        },
        "required": ["name", "description", "source", "input_schema", "examples", "input"],
        "additionalProperties": false
    })
}

#[async_trait]
impl Tool for ForgeTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn effects(
        &self,
        step: &Step,
        _workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        let arguments = parse(&step.call.arguments).map_err(ToolError::Reply)?;
        let lasts = arguments.keep || self.memory.lock().knows(&arguments.draft());
        // What is kept is read by later turns, as a note is.
        Ok(lasts.then_some(Effect::Remember).into_iter().collect())
    }

    async fn run(
        &self,
        context: ToolContext,
        mut steps: BoxStream<Approved>,
    ) -> Result<ToolOutput, ToolError> {
        let Some(approved) = steps.next().await else {
            let text = "the call was not allowed; nothing was done";
            return Err(ToolError::Reply(text.to_owned()));
        };
        let arguments = parse(&approved.step.call.arguments).map_err(ToolError::Reply)?;
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(ToolError::Cancelled),
            output = self.forge(&context, arguments) => output,
        }
    }
}
