//! The tools as a pipeline sees them: a call and some files in, effects, output and files out. Here is what the tests
//! of all tools share, and what holds for every tool; a tool's own tests are in the file of its name.

mod apply_patch;
mod attacks;
mod code;
mod edit;
mod fetch;
mod find;
mod history;
mod notes;
mod person;
mod read;
mod shell;
mod write;

use crate::{Ports, builtin};
use async_trait::async_trait;
use expect_test::{Expect, expect};
use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use titan_protocol::{
    Approved, CallId, PlanItem, SessionId, Step, Surface, Taint, Tool, ToolCall, ToolContext,
    ToolError, ToolOutput, ToolSignals, TurnId,
};
use titan_testkit::calls::ScriptedCalls;
use titan_testkit::code::ToldCode;
use titan_testkit::egress::ScriptedEgress;
use titan_testkit::history::ToldHistory;
use titan_testkit::memory::ListedMemory;
use titan_testkit::storage::MemoryStore;
use titan_testkit::transcript::effect_text;
use titan_testkit::workbench::{MemoryWorkbench, Process};
use tokio_util::sync::CancellationToken;

/// Whose calls these are.
const SESSION: SessionId = SessionId::from_u128(1);

/// Everything that a call may reach, in memory.
struct Place {
    workbench: MemoryWorkbench,
    egress: Arc<ScriptedEgress>,
    store: Arc<MemoryStore>,
    memory: ListedMemory,
    code: ToldCode,
    history: ToldHistory,
    signals: Arc<Signals>,
    cancel: CancellationToken,
}

impl Place {
    fn new(workbench: MemoryWorkbench) -> Self {
        Self {
            workbench,
            egress: Arc::new(ScriptedEgress::new()),
            store: MemoryStore::new(),
            memory: ListedMemory::new(),
            code: ToldCode::none(),
            history: ToldHistory::none(),
            signals: Arc::default(),
            cancel: CancellationToken::new(),
        }
    }

    fn ports(&self) -> Ports {
        Ports {
            memory: Arc::new(self.memory.clone()),
            code: Arc::new(self.code.clone()),
            history: Arc::new(self.history.clone()),
            journal: self.store.clone(),
            blobs: self.store.clone(),
        }
    }

    fn tool(&self, name: &str) -> Arc<dyn Tool> {
        builtin(self.ports())
            .into_iter()
            .find(|tool| tool.spec().name == name)
            .expect("a tool of this name")
    }

    fn context(&self) -> ToolContext {
        ToolContext {
            session: SESSION,
            turn: TurnId::from_u128(2),
            workbench: Arc::new(self.workbench.clone()),
            egress: self.egress.clone(),
            signals: self.signals.clone(),
            calls: Arc::new(ScriptedCalls::none()),
            cancel: self.cancel.clone(),
        }
    }

    async fn run(&self, name: &str, arguments: Value) -> Result<ToolOutput, ToolError> {
        self.run_steps(name, [arguments], Duration::ZERO).await
    }

    /// Runs a call in steps, all of them approved, each so long after the one before.
    async fn run_steps(
        &self,
        name: &str,
        steps: impl IntoIterator<Item = Value>,
        apart: Duration,
    ) -> Result<ToolOutput, ToolError> {
        let approved = steps.into_iter().map(|arguments| Approved {
            step: step(name, arguments),
            effects: Vec::new(),
            workbench: Arc::new(self.workbench.clone()),
        });
        let approved: Vec<Approved> = approved.collect();
        let steps = stream::iter(approved.into_iter().enumerate());
        let steps = steps.then(move |(n, approved)| async move {
            if n > 0 {
                tokio::time::sleep(apart).await;
            }
            approved
        });
        let steps = steps.boxed();
        self.tool(name).run(self.context(), steps).await
    }

    /// Effects, then the output, as text.
    async fn call(&self, name: &str, arguments: Value) -> String {
        let tool = self.tool(name);
        let step = step(name, arguments.clone());
        match tool.effects(&step, &self.workbench).await {
            Err(error) => format!("effects refused: {error}"),
            Ok(effects) => {
                let effects: Vec<String> = effects.iter().map(effect_text).collect();
                let output = outcome_text(self.run(name, arguments).await);
                format!("effects: {}\n{output}", effects.join(", "))
            }
        }
    }
}

fn step(name: &str, arguments: Value) -> Step {
    let arguments = match arguments {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    Step::whole(ToolCall {
        id: CallId::from("c1"),
        name: name.to_owned(),
        arguments,
    })
}

fn outcome_text(outcome: Result<ToolOutput, ToolError>) -> String {
    match outcome {
        Ok(output) => {
            let taint = match output.taint {
                Taint::NONE => "none",
                Taint::PRIVATE => "private",
                Taint::UNTRUSTED => "untrusted",
                Taint::BOTH => "both",
            };
            let error = if output.is_error { ", an error" } else { "" };
            format!("output ({taint}{error}):\n{}", output.text)
        }
        Err(ToolError::Reply(text)) => format!("reply: {text}"),
        Err(other) => format!("ended: {other:?}"),
    }
}

/// A call in a place with files, and what came of it.
async fn check_tool(files: &[(&str, &str)], name: &str, arguments: Value, expected: Expect) {
    let workbench = files
        .iter()
        .fold(MemoryWorkbench::new(), |place, (path, content)| {
            place.file(path, (*content).to_owned())
        });
    let place = Place::new(workbench);
    let mut text = place.call(name, arguments).await;
    for (path, before) in files {
        match place.workbench.content(path) {
            Some(after) if after != *before => text.push_str(&format!("\n//- {path}\n{after}")),
            Some(_) => {}
            None => text.push_str(&format!("\n//- {path} is gone")),
        }
    }
    for path in place.workbench.files() {
        if !files.iter().any(|(known, _)| *known == path) {
            let content = place.workbench.content(&path).unwrap_or_default();
            text.push_str(&format!("\n//- {path} (new)\n{content}"));
        }
    }
    expected.assert_eq(&text);
}

#[derive(Default)]
struct Signals {
    output: Mutex<Vec<String>>,
    plan: Mutex<Vec<PlanItem>>,
    canvas: Mutex<Vec<Surface>>,
    answer: Mutex<Option<String>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl ToolSignals for Signals {
    async fn output(&self, text: &str) {
        self.output.lock().unwrap().push(text.to_owned());
    }

    async fn plan(&self, items: Vec<PlanItem>) {
        *self.plan.lock().unwrap() = items;
    }

    async fn draw(&self, surface: Surface) {
        self.canvas.lock().unwrap().push(surface);
    }

    async fn remove_surface(&self, name: &str) {
        let mut canvas = self.canvas.lock().unwrap();
        canvas.retain(|surface| surface.name != name);
    }

    async fn ask(&self, question: &str, choices: &[String]) -> Option<String> {
        let asked = format!("{question} {choices:?}");
        self.asked.lock().unwrap().push(asked);
        self.answer.lock().unwrap().clone()
    }
}

#[test]
fn the_names_are_those_of_all_built_in_tools() {
    let store = MemoryStore::new();
    let tools = builtin(Ports {
        memory: Arc::new(ListedMemory::new()),
        code: Arc::new(ToldCode::none()),
        history: Arc::new(ToldHistory::none()),
        journal: store.clone(),
        blobs: store,
    });
    let names: Vec<&str> = tools.iter().map(|tool| tool.spec().name.as_str()).collect();
    assert_eq!(names, crate::NAMES);
}

#[test]
fn every_tool_tells_a_small_model_enough_in_its_first_line() {
    let place = Place::new(MemoryWorkbench::new());
    let mut lines = Vec::new();
    for name in crate::NAMES {
        let spec = place.tool(name).spec().clone();
        let first = spec.description.lines().next().unwrap_or_default();
        assert!(first.len() <= 90 && first.ends_with('.'), "{name}: {first}");
        assert_eq!(
            spec.input_schema["additionalProperties"],
            json!(false),
            "{name}"
        );
        lines.push(format!("{name}: {first}"));
    }
    expect![[r#"
        shell: Run programs, such as git, builds and tests, by a bash script, and read what they print.
        read: Read a text file; long ones in pieces by offset_line and lines.
        write: Write a whole file: makes it, or replaces all of its content.
        edit: Replace a text in a file: old must be in it exactly, and only once.
        apply_patch: Change several places or files at once, all or nothing, by a patch.
        list: List the files and folders in a folder, and what each package in it is for.
        glob: Find files by a pattern of their path, such as **/*.rs.
        grep: Search file contents by a regular expression; gives path:line:text.
        symbol: Find where something is defined: functions, types, methods, sections, by name.
        callers: Find what calls, makes, inherits or names a function or type, across files.
        callees: Find what a function or type calls, makes, inherits or names, across files.
        impact: Find what may break when a function or type changes: all that uses it, and tests.
        map: Show an outline of the workspace's code: what matters most, or what is about some words.
        history: Tell who wrote a file or some of its lines, when and why, from git's history.
        fetch: Read a web page or file from an https address as text.
        todo: Show the person your plan, whole, each time that it changes.
        canvas: Draw something for the person: a table, a chart, a form, a diagram, a page.
        ask_user: Ask the person a question and wait for the answer.
        remember: Keep a note for later sessions: a fact, a preference, a decision.
        recall: Search what is remembered from earlier sessions: notes, conversations, files, pages."#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_answered_with_the_field_and_an_example() {
    check_tool(&[], "read", json!({"file": "x"}), expect![[r#"effects refused: the arguments of read make no sense: unknown field `file`, expected one of `path`, `offset_line`, `lines`. An example: {"path": "src/main.rs", "offset_line": 1, "lines": 200}"#]]).await;
    check_tool(&[], "edit", json!({"path": "x"}), expect![[r#"effects refused: the arguments of edit make no sense: missing field `old`. An example: {"path": "src/main.rs", "old": "let x = 1;", "new": "let x = 2;"}"#]]).await;
    check_tool(&[], "todo", json!({"items": [{"text": "a", "status": "started"}]}), expect![[r#"effects refused: the arguments of todo make no sense: unknown variant `started`, expected one of `pending`, `in_progress`, `done`. An example: {"items": [{"text": "Read the failing test", "status": "done"}, {"text": "Mend it", "status": "in_progress"}]}"#]]).await;
}

#[tokio::test]
async fn a_denied_step_reaches_no_executor() {
    let place = Place::new(MemoryWorkbench::new().shell([("rm x", Process::exits(0))]));
    for (name, arguments) in [
        ("shell", json!({"script": "rm x"})),
        ("write", json!({"path": "x", "content": "y"})),
        ("fetch", json!({"url": "https://example.org"})),
        ("remember", json!({"text": "x"})),
    ] {
        let denied = place
            .tool(name)
            .run(place.context(), stream::empty().boxed())
            .await;
        assert!(
            matches!(denied, Err(ToolError::Reply(_))),
            "{name} {arguments}"
        );
    }
    assert_eq!(place.workbench.commands(), []);
    assert_eq!(place.workbench.files(), Vec::<String>::new());
    assert_eq!(place.egress.requests().len(), 0);
}
