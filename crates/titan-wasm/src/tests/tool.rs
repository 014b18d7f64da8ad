//! A component as a tool.

use super::Place;
use crate::ComponentTool;
use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use titan_protocol::{
    Approved, CallId, PlanItem, SessionId, Step, Surface, Taint, Tool, ToolCall, ToolContext,
    ToolError, ToolOutput, ToolSignals, TurnId,
};
use titan_testkit::calls::ScriptedCalls;
use titan_testkit::component::{Guest, run};
use titan_testkit::egress::ScriptedEgress;
use titan_testkit::workbench::MemoryWorkbench;
use tokio_util::sync::CancellationToken;

struct Silence;

#[async_trait]
impl ToolSignals for Silence {
    async fn output(&self, _text: &str) {}
    async fn plan(&self, _items: Vec<PlanItem>) {}
    async fn draw(&self, _surface: Surface) {}
    async fn remove_surface(&self, _name: &str) {}
    async fn ask(&self, _question: &str, _choices: &[String]) -> Option<String> {
        None
    }
}

pub(super) fn context(cancel: CancellationToken) -> ToolContext {
    ToolContext {
        session: SessionId::from_u128(1),
        turn: TurnId::from_u128(2),
        workbench: Arc::new(MemoryWorkbench::new()),
        egress: Arc::new(ScriptedEgress::new()),
        signals: Arc::new(Silence),
        calls: Arc::new(ScriptedCalls::none()),
        cancel,
    }
}

pub(super) fn step(arguments: Value) -> Step {
    let arguments: Map<String, Value> = serde_json::from_value(arguments).unwrap();
    Step::whole(ToolCall {
        id: CallId::from("c1"),
        name: "tool".to_owned(),
        arguments,
    })
}

async fn call(guest: &Guest, cancel: CancellationToken) -> Result<ToolOutput, ToolError> {
    let tool = ComponentTool::new(Place::new().load(guest));
    let step = step(json!({"a": 40, "b": 2}));
    let effects = tool.effects(&step, &MemoryWorkbench::new()).await?;
    assert_eq!(effects, []);
    let approved = Approved {
        step,
        effects,
        workbench: Arc::new(MemoryWorkbench::new()),
    };
    let steps = futures::stream::once(async { approved }).boxed();
    tool.run(context(cancel), steps).await
}

fn output(text: &str, is_error: bool) -> ToolOutput {
    ToolOutput {
        text: text.to_owned(),
        is_error,
        taint: Taint::UNTRUSTED,
    }
}

#[tokio::test]
async fn a_component_is_a_tool_without_effects_whose_words_are_a_strangers() {
    let given = call(&Guest::adder(), CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(given, output("42", false));
}

#[tokio::test]
async fn a_component_that_breaks_off_is_an_answer_to_the_model_and_no_end_of_the_turn() {
    let code = run("(call $write (i32.const 1024) (i32.const 4)) unreachable");
    let given = call(
        &Guest::new("fail", &code).with(&["log"]),
        CancellationToken::new(),
    )
    .await;
    let told = "the component broke off: wasm `unreachable` instruction executed, in run\n\nIt logged:\nfail";
    assert_eq!(given.unwrap(), output(told, true));
}

#[tokio::test]
async fn s1_a_turn_that_is_interrupted_waits_for_no_component() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let spin = Guest::new("spin", &run("(loop $on (br $on)) unreachable"));
    assert!(matches!(
        call(&spin, cancel).await,
        Err(ToolError::Cancelled)
    ));
}

#[tokio::test]
async fn a_call_that_was_denied_reaches_no_component() {
    let tool = ComponentTool::new(Place::new().load(&Guest::adder()));
    let denied = tool.run(
        context(CancellationToken::new()),
        futures::stream::empty().boxed(),
    );
    assert!(matches!(
        denied.now_or_never(),
        Some(Err(ToolError::Reply(_)))
    ));
}
