//! Calls that tools make of other tools, and tools that come and go while calls run.

use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use titan_exec::{
    EventSink, Limits, Pipeline, Policy, Ports, Redactor, Registry, RegistryError, Rule, Rules,
    Scope,
};
use titan_protocol::{
    Approved, BoxStream, CallId, Effect, Event, Origin, SessionId, Step, StorageError, Taint, Tool,
    ToolCall, ToolContext, ToolError, ToolOutput, ToolSpec, TurnId, Workbench,
};
use titan_testkit::egress::ScriptedEgress;
use titan_testkit::gate::Gate;
use titan_testkit::storage::MemoryStore;
use titan_testkit::transcript::Transcript;
use titan_testkit::workbench::MemoryWorkbench;
use tokio_util::sync::CancellationToken;

/// What a tool does when it is called.
enum Does {
    /// Says this, having gone through a gate.
    Says(&'static str, Gate),
    /// Calls another tool so many times and says what came of the last call.
    Calls(&'static str, u32),
    /// Writes a file.
    Writes,
}

struct Made {
    spec: ToolSpec,
    does: Does,
}

fn tool(name: &str, does: Does) -> Arc<dyn Tool> {
    let spec = ToolSpec {
        name: name.to_owned(),
        description: "Made for a test.".to_owned(),
        input_schema: json!({"type": "object", "properties": {}, "additionalProperties": false}),
    };
    Arc::new(Made { spec, does })
}

fn says(name: &str, text: &'static str) -> Arc<dyn Tool> {
    let gate = Gate::new();
    gate.open();
    tool(name, Does::Says(text, gate))
}

#[async_trait]
impl Tool for Made {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn effects(&self, _: &Step, workbench: &dyn Workbench) -> Result<Vec<Effect>, ToolError> {
        let write = Effect::Write {
            path: workbench.root().join("a"),
            in_workspace: true,
        };
        Ok(match self.does {
            Does::Writes => vec![write],
            Does::Says(..) | Does::Calls(..) => Vec::new(),
        })
    }

    async fn run(
        &self,
        context: ToolContext,
        mut steps: BoxStream<Approved>,
    ) -> Result<ToolOutput, ToolError> {
        steps.next().await.ok_or(ToolError::Cancelled)?;
        let mut output = ToolOutput {
            taint: Taint::UNTRUSTED,
            ..ToolOutput::default()
        };
        match &self.does {
            Does::Says(text, gate) => {
                gate.pass().await;
                output.text = (*text).to_owned();
            }
            Does::Calls(name, times) => {
                for _ in 0..*times {
                    output = context.calls.call(name, Map::new()).await?;
                }
            }
            Does::Writes => output.text = "written".to_owned(),
        }
        Ok(output)
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
}

fn rig(tools: Vec<Arc<dyn Tool>>, rules: Rules) -> Rig {
    let store = MemoryStore::new();
    let ports = Ports {
        blobs: store.clone(),
        records: store,
        now: || 0,
    };
    let registry = Registry::new(tools).expect("the tools are well-formed");
    let redactor = Redactor::new([("KEY".to_owned(), "sk-0123456789".to_owned())]);
    let policy = Policy::new(rules);
    let pipeline = Pipeline::new(registry, policy, Limits::default(), redactor, ports);
    let events = Arc::new(Events::default());
    let scope = Scope::new(
        SessionId::from_u128(1),
        TurnId::from_u128(1),
        Arc::new(MemoryWorkbench::new()),
        Arc::new(ScriptedEgress::new()),
        events.clone(),
        CancellationToken::new(),
        false,
        Taint::NONE,
        Arc::default(),
    );
    Rig {
        pipeline: Arc::new(pipeline),
        events,
        scope: Arc::new(scope),
    }
}

impl Rig {
    fn call(&self, id: &str, name: &str, origin: Origin) -> impl Future<Output = ()> + use<> {
        let call = ToolCall {
            id: CallId::from(id),
            name: name.to_owned(),
            arguments: Map::new(),
        };
        let running = self.pipeline.run(&self.scope, origin, call);
        async move { running.await.expect("it ran") }
    }

    fn transcript(&self) -> String {
        Transcript::of(self.events.0.lock().iter())
    }

    /// What the call of this identifier gave.
    fn given(&self, id: &str) -> (String, bool) {
        let events = self.events.0.lock();
        let given = events.iter().find_map(|event| match event {
            Event::ToolCallEnded {
                call,
                text,
                is_error,
                ..
            } if call.to_string() == id => Some((text.clone(), *is_error)),
            _ => None,
        });
        given.expect("it has ended")
    }
}

#[tokio::test]
async fn a_call_within_another_is_told_judged_and_gives_its_output_to_the_outer_one() {
    let tools = vec![
        tool("outer", Does::Calls("inner", 1)),
        says("inner", "the key is sk-0123456789"),
    ];
    let rig = rig(tools, Rules::default());
    rig.call("a", "outer", Origin::Model).await;
    let told = ("the key is [secret KEY]".to_owned(), false);
    assert_eq!(rig.given("a.1"), told);
    assert_eq!(rig.given("a"), told);
    let events = rig.events.0.lock();
    let begins = events.iter().any(|event| {
        matches!(event, Event::ToolCallReady { call, origin: Origin::Tool } if call.id.to_string() == "a.1")
    });
    assert!(begins, "{}", Transcript::of(events.iter()));
}

#[tokio::test]
async fn what_a_person_calls_by_hand_makes_no_call_that_they_would_be_asked_about() {
    let tools = vec![
        tool("outer", Does::Calls("change", 1)),
        tool("change", Does::Writes),
    ];
    let rig = rig(tools, Rules::default());
    rig.call("a", "outer", Origin::Person).await;
    let (text, is_error) = rig.given("a.1");
    assert!(is_error && text.contains("needs an approval"), "{text}");
    rig.call("b", "change", Origin::Person).await;
    assert_eq!(rig.given("b"), ("written".to_owned(), false));
}

#[tokio::test]
async fn calls_within_calls_end_at_their_depth_and_number() {
    let tools = vec![
        tool("endless", Does::Calls("endless", 1)),
        tool("many", Does::Calls("small", 100)),
        says("small", "small"),
    ];
    let rig = rig(tools, Rules::default());
    rig.call("a", "endless", Origin::Model).await;
    assert_eq!(
        rig.given("a"),
        ("Not run: calls go at most 3 deep.".to_owned(), true)
    );
    rig.call("b", "many", Origin::Model).await;
    let told = "Not run: one call makes at most 32 calls of other tools.";
    assert_eq!(rig.given("b"), (told.to_owned(), true));
    assert_eq!(rig.transcript().matches("\"small\"").count(), 32);
}

#[tokio::test]
async fn calls_side_by_side_that_change_something_within_wait_for_one_another() {
    let tools = vec![
        tool("outer", Does::Calls("change", 3)),
        tool("change", Does::Writes),
    ];
    let rules = Rules {
        write: Rule::Allow,
        ..Rules::default()
    };
    let rig = rig(tools, rules);
    let calls = ["a", "b", "c"].map(|id| rig.call(id, "outer", Origin::Model));
    futures::future::join_all(calls).await;
    for id in ["a", "b", "c"] {
        assert_eq!(rig.given(id), ("written".to_owned(), false));
    }
}

#[tokio::test]
async fn m7_a_call_keeps_the_tool_that_it_began_with_and_the_next_finds_the_new_one() {
    let rig = rig(Vec::new(), Rules::default());
    let gate = Gate::new();
    let registry = rig.pipeline.registry();
    registry
        .publish(tool("version", Does::Says("one", gate.clone())))
        .unwrap();
    let swap = async {
        gate.reached().await;
        registry.publish(says("version", "two")).unwrap();
        rig.call("b", "version", Origin::Model).await;
        registry.withdraw("version");
        gate.open();
    };
    tokio::join!(rig.call("a", "version", Origin::Model), swap);
    assert_eq!(rig.given("a"), ("one".to_owned(), false));
    assert_eq!(rig.given("b"), ("two".to_owned(), false));
    assert!(registry.specs().is_empty());
    rig.call("c", "version", Origin::Model).await;
    assert!(rig.given("c").0.contains("There is no tool called"));
}

#[test]
fn m8_nothing_that_comes_later_takes_the_name_of_one_of_the_engines_own_tools() {
    let registry = Registry::new(vec![says("own", "own")]).unwrap();
    let refused = registry.publish(says("own", "other"));
    assert!(matches!(refused, Err(RegistryError::Own(name)) if name == "own"));
    registry.withdraw("own");
    let names: Vec<Value> = registry
        .specs()
        .iter()
        .map(|spec| json!(spec.name))
        .collect();
    assert_eq!(names, [json!("own")]);
    let broken = registry.publish(says("Own", "other"));
    assert!(matches!(broken, Err(RegistryError::Name(_))));
    for n in 0..200 {
        registry.publish(says(&format!("tool_{n}"), "")).unwrap();
    }
    assert!(matches!(
        registry.publish(says("one_more", "")),
        Err(RegistryError::Full)
    ));
    registry.publish(says("tool_7", "")).unwrap();
}
