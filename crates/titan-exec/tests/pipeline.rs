//! The pipeline around a tool made for these tests.

use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use titan_exec::{
    EventSink, Limits, Pipeline, Policy, Ports, Redactor, Registry, RegistryError, Rules, Scope,
};
use titan_protocol::{
    Approved, BoxStream, CallId, Decision, Effect, Event, Origin, SessionId, Step, StorageError,
    Taint, Tool, ToolCall, ToolContext, ToolError, ToolOutput, ToolSpec, TurnId, Workbench,
};
use titan_testkit::egress::ScriptedEgress;
use titan_testkit::gate::Gate;
use titan_testkit::storage::MemoryStore;
use titan_testkit::transcript::Transcript;
use titan_testkit::workbench::{MemoryWorkbench, Process};
use tokio_util::sync::CancellationToken;

/// Says its `text` in pieces of 3 bytes, as output and as its result. Writes a file, if policy is asked.
struct Echo {
    spec: ToolSpec,
    runs: Arc<AtomicUsize>,
    gate: Option<Gate>,
    writes: bool,
}

impl Echo {
    fn new(name: &str, writes: bool, gate: Option<Gate>) -> Self {
        let input_schema = json!({
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": false,
        });
        let spec = ToolSpec {
            name: name.to_owned(),
            description: "Says it again.".to_owned(),
            input_schema,
        };
        Self {
            spec,
            runs: Arc::default(),
            gate,
            writes,
        }
    }
}

#[async_trait]
impl Tool for Echo {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn effects(&self, _: &Step, workbench: &dyn Workbench) -> Result<Vec<Effect>, ToolError> {
        let path = workbench.root().join("a");
        let write = Effect::Write {
            path,
            in_workspace: true,
        };
        Ok(if self.writes { vec![write] } else { vec![] })
    }

    async fn run(
        &self,
        context: ToolContext,
        mut steps: BoxStream<Approved>,
    ) -> Result<ToolOutput, ToolError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let Approved { step, .. } = steps.next().await.ok_or(ToolError::Cancelled)?;
        let text = step.call.arguments["text"]
            .as_str()
            .expect("the schema was checked")
            .to_owned();
        for piece in text.as_bytes().chunks(3) {
            context
                .signals
                .output(std::str::from_utf8(piece).expect("ASCII"))
                .await;
        }
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        Ok(ToolOutput {
            text,
            is_error: false,
            taint: Taint::UNTRUSTED,
        })
    }
}

#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

#[async_trait]
impl EventSink for Events {
    async fn emit(&self, event: Event) -> Result<(), StorageError> {
        self.0.lock().push(event);
        Ok(())
    }

    async fn make_durable(&self) -> Result<(), StorageError> {
        Ok(())
    }

    async fn ask(&self, _: &str, _: &[String]) -> Option<String> {
        None
    }
}

struct Rig {
    pipeline: Arc<Pipeline>,
    events: Arc<Events>,
    scope: Arc<Scope>,
    cancel: CancellationToken,
}

fn rig(tools: Vec<Arc<dyn Tool>>, rules: Rules, limits: Limits) -> Rig {
    let store = MemoryStore::new();
    let ports = Ports {
        blobs: store.clone(),
        records: store,
        now: || 0,
    };
    let registry = Registry::new(tools).expect("the tools are well-formed");
    let redactor = Redactor::new([("KEY".to_owned(), "sk-0123456789".to_owned())]);
    let pipeline = Arc::new(Pipeline::new(
        registry,
        Policy::new(rules),
        limits,
        redactor,
        ports,
    ));
    let events = Arc::new(Events::default());
    let cancel = CancellationToken::new();
    let scope = Arc::new(Scope::new(
        SessionId::from_u128(1),
        TurnId::from_u128(1),
        Arc::new(MemoryWorkbench::new()),
        Arc::new(ScriptedEgress::new()),
        events.clone(),
        cancel.clone(),
        false,
        Taint::NONE,
        Arc::default(),
    ));
    Rig {
        pipeline,
        events,
        scope,
        cancel,
    }
}

impl Rig {
    fn call(
        &self,
        id: &str,
        name: &str,
        arguments: serde_json::Value,
    ) -> impl Future<Output = Result<(), ToolError>> + use<> {
        let serde_json::Value::Object(arguments) = arguments else {
            panic!("arguments are an object")
        };
        let call = ToolCall {
            id: CallId::from(id),
            name: name.to_owned(),
            arguments,
        };
        self.pipeline.run(&self.scope, Origin::Model, call)
    }

    fn transcript(&self) -> String {
        Transcript::of(self.events.0.lock().iter())
    }
}

#[tokio::test]
async fn p7_a_secret_is_in_no_event_even_when_it_comes_in_pieces() {
    let rig = rig(
        vec![Arc::new(Echo::new("echo", false, None))],
        Rules::default(),
        Limits::default(),
    );
    rig.call(
        "a",
        "echo",
        json!({"text": "my key is sk-0123456789, keep it"}),
    )
    .await
    .expect("it ran");
    let text = rig.transcript();
    assert!(!text.contains("sk-0123456789"), "{text}");
    assert_eq!(
        text.matches("my key is [secret KEY], keep it").count(),
        2,
        "{text}"
    );
}

#[tokio::test]
async fn x22_a_call_id_runs_once() {
    let echo = Echo::new("echo", false, None);
    let runs = echo.runs.clone();
    let rig = rig(vec![Arc::new(echo)], Rules::default(), Limits::default());
    rig.call("a", "echo", json!({"text": "x"}))
        .await
        .expect("it ran");
    let again = rig.call("a", "echo", json!({"text": "x"})).await;
    assert!(matches!(again, Err(ToolError::Fatal(text)) if text.contains("started twice")));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn x16_what_policy_forbids_or_nobody_approves_reaches_no_tool() {
    for (rules, reason) in [
        (
            Rules {
                write: titan_exec::Rule::Deny,
                ..Rules::default()
            },
            "policy forbids to change /workspace/a",
        ),
        (Rules::default(), "nobody is there to give it"),
    ] {
        let echo = Echo::new("echo", true, None);
        let runs = echo.runs.clone();
        let rig = rig(vec![Arc::new(echo)], rules, Limits::default());
        rig.call("a", "echo", json!({"text": "x"}))
            .await
            .expect("it is answered");
        assert!(rig.transcript().contains(reason), "{}", rig.transcript());
        assert_eq!(runs.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_too_long_is_stopped() {
    let gate = Gate::new();
    let rig = rig(
        vec![Arc::new(Echo::new("echo", false, Some(gate)))],
        Rules::default(),
        Limits::default(),
    );
    rig.call("a", "echo", json!({"text": "x"}))
        .await
        .expect("it is answered");
    assert!(
        rig.transcript().contains("it ran longer than 600 s"),
        "{}",
        rig.transcript()
    );
}

#[tokio::test]
async fn a_cancelled_call_ends_with_what_it_put_out() {
    let gate = Gate::new();
    let rig = rig(
        vec![Arc::new(Echo::new("echo", false, Some(gate.clone())))],
        Rules::default(),
        Limits::default(),
    );
    let cancel = async {
        gate.reached().await;
        rig.cancel.cancel();
    };
    let (ended, ()) = tokio::join!(rig.call("a", "echo", json!({"text": "half"})), cancel);
    ended.expect("it is answered");
    let text = rig.transcript();
    assert!(
        text.contains("output c1 \"half\"")
            && text.contains("tool_call_failed c1 \"Interrupted.\""),
        "{text}"
    );
}

#[test]
fn x27_tools_that_could_be_confused_are_refused() {
    let refused = |names: [&str; 2]| {
        let tools = names
            .map(|name| Arc::new(Echo::new(name, false, None)) as Arc<dyn Tool>)
            .to_vec();
        Registry::new(tools)
            .err()
            .expect("it is refused")
            .to_string()
    };
    assert!(refused(["echo", "echo"]).contains("two tools are called \"echo\""));
    assert!(refused(["echo", "Echo"]).contains("\"Echo\" is no tool name"));
    assert!(
        refused(["echo", "еcho"]).contains("is no tool name"),
        "a Cyrillic letter"
    );
    let broken = Echo {
        spec: ToolSpec {
            input_schema: json!({"type": 5}),
            ..Echo::new("a", false, None).spec
        },
        ..Echo::new("a", false, None)
    };
    assert!(matches!(
        Registry::new(vec![Arc::new(broken)]),
        Err(RegistryError::Schema { .. })
    ));
}

#[tokio::test]
async fn a_call_is_judged_and_run_after_those_before_it_that_change_something() {
    let gate = Gate::new();
    let writes = Echo::new("slow_write", true, Some(gate.clone()));
    let tools: Vec<Arc<dyn Tool>> =
        vec![Arc::new(writes), Arc::new(Echo::new("look", false, None))];
    let rules = Rules {
        write: titan_exec::Rule::Allow,
        ..Rules::default()
    };
    let rig = rig(tools, rules, Limits::default());
    let first = rig.call("a", "slow_write", json!({"text": "x"}));
    let second = rig.call("b", "look", json!({"text": "y"}));
    let open = async {
        gate.reached().await;
        assert!(
            !rig.transcript().contains("step_decided c2"),
            "{}",
            rig.transcript()
        );
        gate.open();
    };
    // The later call is polled first, and still waits for its place.
    let (second, first, ()) = tokio::join!(second, first, open);
    first.expect("it ran");
    second.expect("it ran");
    let text = rig.transcript();
    assert!(
        text.find("tool_call_ended c1") < text.find("step_decided c2"),
        "{text}"
    );
}

/// Answers every approval request with the next of these decisions; counts the requests.
struct Person {
    pipeline: Arc<Pipeline>,
    events: Arc<Events>,
    decisions: Mutex<Vec<Decision>>,
    /// What happens while they think.
    meanwhile: Box<dyn Fn() + Send + Sync>,
}

#[async_trait]
impl EventSink for Person {
    async fn emit(&self, event: Event) -> Result<(), StorageError> {
        let asked = match &event {
            Event::ApprovalRequested { approval, .. } => Some(*approval),
            _ => None,
        };
        self.events.emit(event).await?;
        if let Some(approval) = asked {
            (self.meanwhile)();
            let decision = self.decisions.lock().remove(0);
            let decided = self.pipeline.approvals().decide(approval, decision);
            decided.expect("the request waits");
        }
        Ok(())
    }

    async fn make_durable(&self) -> Result<(), StorageError> {
        self.events.make_durable().await
    }

    async fn ask(&self, _: &str, _: &[String]) -> Option<String> {
        None
    }
}

/// The rig with a person at it, at this place.
fn attended(
    rig: Rig,
    place: MemoryWorkbench,
    decisions: Vec<Decision>,
    meanwhile: impl Fn() + Send + Sync + 'static,
) -> Rig {
    let person = Arc::new(Person {
        pipeline: rig.pipeline.clone(),
        events: rig.events.clone(),
        decisions: Mutex::new(decisions),
        meanwhile: Box::new(meanwhile),
    });
    let scope = Arc::new(Scope::new(
        SessionId::from_u128(1),
        TurnId::from_u128(1),
        Arc::new(place),
        Arc::new(ScriptedEgress::new()),
        person,
        rig.cancel.clone(),
        true,
        Taint::NONE,
        Arc::default(),
    ));
    Rig { scope, ..rig }
}

/// Says that it runs `sh build.sh`, and does nothing.
struct Builds(Echo);

#[async_trait]
impl Tool for Builds {
    fn spec(&self) -> &ToolSpec {
        self.0.spec()
    }

    async fn effects(&self, _: &Step, _: &dyn Workbench) -> Result<Vec<Effect>, ToolError> {
        Ok(vec![Effect::Run {
            program: "sh".to_owned(),
            arguments: vec!["build.sh".to_owned()],
            reads_only: false,
        }])
    }

    async fn run(
        &self,
        context: ToolContext,
        steps: BoxStream<Approved>,
    ) -> Result<ToolOutput, ToolError> {
        self.0.run(context, steps).await
    }
}

#[tokio::test]
async fn x12_a_script_that_changes_while_the_person_decides_does_not_run() {
    for (changes, runs_then) in [(false, 1), (true, 0)] {
        let echo = Echo::new("echo", false, None);
        let runs = echo.runs.clone();
        let rig = rig(
            vec![Arc::new(Builds(echo))],
            Rules::default(),
            Limits::default(),
        );
        let place = MemoryWorkbench::new()
            .program("sh", |_| Process::exits(0))
            .file("/usr/bin/sh", "sh")
            .file("build.sh", "cargo build");
        let other = place.clone();
        let rig = attended(rig, place, vec![Decision::Once], move || {
            if changes {
                let _ = other.clone().file("build.sh", "rm -r .");
            }
        });
        rig.call("a", "echo", json!({"text": "x"}))
            .await
            .expect("it is answered");
        assert_eq!(
            runs.load(Ordering::SeqCst),
            runs_then,
            "{}",
            rig.transcript()
        );
    }
}

#[tokio::test]
async fn what_the_person_refused_is_not_asked_about_again_until_they_speak() {
    let rig = rig(
        vec![Arc::new(Echo::new("echo", true, None))],
        Rules::default(),
        Limits::default(),
    );
    let decisions = vec![Decision::Deny, Decision::Deny, Decision::Once];
    let rig = attended(rig, MemoryWorkbench::new(), decisions, || {});
    let prompts = || rig.transcript().matches("approval_requested").count();
    for (id, text, prompts_then) in [("a", "x", 1), ("b", "x", 1), ("c", "y", 2)] {
        let call = rig.call(id, "echo", json!({ "text": text }));
        call.await.expect("it is answered");
        assert_eq!(prompts(), prompts_then, "{}", rig.transcript());
    }
    let again = "Not run: the person said no to exactly this already.";
    assert!(rig.transcript().contains(again), "{}", rig.transcript());
    rig.scope.person_said("well, do it");
    rig.call("d", "echo", json!({"text": "x"}))
        .await
        .expect("it ran");
    assert_eq!(prompts(), 3);
    assert!(
        rig.transcript().contains("tool_call_ended c4 \"x\""),
        "{}",
        rig.transcript()
    );
}
