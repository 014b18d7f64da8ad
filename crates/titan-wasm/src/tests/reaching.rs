//! Components that ask hosts and tools, and that keep something.

use super::tool::{context, step};
use super::{Place, config, refusal};
use crate::{Capability, ComponentTool, Config, LoadError, Shelf, WasmHost};
use futures::StreamExt;
use serde_json::json;
use std::sync::Arc;
use titan_protocol::{
    Approved, Effect, EgressPurpose, HttpMethod, Taint, Tool, ToolContext, ToolOutput,
};
use titan_testkit::calls::ScriptedCalls;
use titan_testkit::component::{Guest, run};
use titan_testkit::egress::{Reply, ScriptedEgress};
use titan_testkit::workbench::MemoryWorkbench;
use tokio_util::sync::CancellationToken;

/// Code that calls a function with a text and gives back what came, at this distance from where it was put.
fn asks(function: &str, given: &str, offset: u32) -> String {
    format!(
        "(data (i32.const 20000) \"{given}\") {}",
        run(&format!(
            "(call {function} (i32.const 20000) (i32.const {}) (i32.const 300))
             (if (result i32) (i32.load8_u (i32.const 300))
               (then (call $wrong (i32.load (i32.const 304)) (i32.load (i32.const 308))))
               (else (call $ok (i32.load (i32.const {offset})) (i32.load (i32.const {offset_2})))))",
            given.len(),
            offset_2 = offset + 4,
        ))
    )
}

fn fetcher(url: &str) -> Guest {
    Guest::new("fetcher", &asks("$http_get", url, 324)).with_host("api.example.com")
}

/// Calls a tool without arguments.
fn caller(tool: &str) -> Guest {
    let given = format!("{tool}{{}}");
    let code = asks("$call", &given, 304);
    let split = "(func $call (param $at i32) (param $bytes i32) (param $to i32)
          (call $tool_call (local.get $at) (i32.sub (local.get $bytes) (i32.const 2))
            (i32.sub (i32.add (local.get $at) (local.get $bytes)) (i32.const 2)) (i32.const 2) (local.get $to)))";
    Guest::new("caller", &format!("{split} {code}")).with_tool("look")
}

struct World {
    egress: ScriptedEgress,
    calls: ScriptedCalls,
}

impl World {
    fn answering(text: &'static str) -> Self {
        Self {
            egress: ScriptedEgress::answering(move |_| Reply::ok(text)),
            calls: ScriptedCalls::answering(|name, _| ToolOutput {
                text: format!("{name} looked"),
                is_error: false,
                taint: Taint::PRIVATE,
            }),
        }
    }

    fn context(&self) -> ToolContext {
        ToolContext {
            egress: Arc::new(self.egress.clone()),
            calls: Arc::new(self.calls.clone()),
            ..context(CancellationToken::new())
        }
    }

    async fn run(&self, tool: &ComponentTool) -> ToolOutput {
        let step = step(json!({}));
        let effects = tool.effects(&step, &MemoryWorkbench::new()).await.unwrap();
        let approved = Approved {
            step,
            effects,
            workbench: Arc::new(MemoryWorkbench::new()),
        };
        let steps = futures::stream::once(async { approved }).boxed();
        tool.run(self.context(), steps).await.unwrap()
    }
}

fn tool(place: &Place, guest: &Guest) -> ComponentTool {
    ComponentTool::new(place.load(guest))
}

async fn effects(tool: &ComponentTool) -> Vec<Effect> {
    let workbench = MemoryWorkbench::new();
    tool.effects(&step(json!({})), &workbench).await.unwrap()
}

fn ok(text: &str, taint: Taint) -> ToolOutput {
    ToolOutput {
        text: text.to_owned(),
        is_error: false,
        taint,
    }
}

#[tokio::test]
async fn a_component_asks_its_host_as_the_effect_says() {
    let (place, world) = (Place::new(), World::answering("sunny"));
    let fetcher = tool(&place, &fetcher("https://api.example.com/weather?q=1"));
    let network = Effect::Network {
        host: "api.example.com".to_owned(),
        port: 443,
    };
    assert_eq!(effects(&fetcher).await, [network]);
    assert_eq!(world.run(&fetcher).await, ok("sunny", Taint::UNTRUSTED));
    let [request] = &world.egress.requests()[..] else {
        panic!("one request");
    };
    assert_eq!(
        (request.method, request.url.as_str(), request.purpose),
        (
            HttpMethod::Get,
            "https://api.example.com/weather?q=1",
            EgressPurpose::Tool
        )
    );
    assert!(request.credential.is_none() && request.redirects_max == 0);
}

#[tokio::test]
async fn s7_only_declared_hosts_are_asked_and_only_over_https() {
    let (place, world) = (Place::new(), World::answering("secret"));
    for url in [
        "https://example.com/",
        "https://evil.example/",
        "https://api.example.com.evil.example/",
        "https://x.api.example.com/",
        "https://api.example.com:8443/",
        "https://api.example.com@evil.example/",
        "https://user@api.example.com/",
        "http://api.example.com/",
        "http://127.0.0.1/",
        "https://[::1]/",
        "file:///etc/passwd",
        "/etc/passwd",
        "",
    ] {
        let output = world.run(&tool(&place, &fetcher(url))).await;
        assert!(
            output.is_error && !output.text.contains("secret"),
            "{url}: {output:?}"
        );
    }
    assert!(world.egress.requests().is_empty());
}

#[tokio::test]
async fn s7_an_answer_that_points_elsewhere_is_given_back_and_not_followed() {
    let place = Place::new();
    let world = World {
        egress: ScriptedEgress::answering(|_| {
            Reply::status(302).header("location", "https://evil.example/")
        }),
        ..World::answering("")
    };
    let location = Guest {
        code: asks("$http_get", "https://api.example.com/", 316),
        ..fetcher("")
    };
    let output = world.run(&tool(&place, &location)).await;
    assert_eq!(output, ok("https://evil.example/", Taint::UNTRUSTED));
    assert_eq!(world.egress.requests().len(), 1);
}

#[tokio::test]
async fn a_component_calls_the_tools_that_it_declared_and_its_words_hold_what_theirs_do() {
    let (place, world) = (Place::new(), World::answering(""));
    let output = world.run(&tool(&place, &caller("look"))).await;
    assert_eq!(output, ok("look looked", Taint::BOTH));
    let other = world.run(&tool(&place, &caller("shell"))).await;
    assert_eq!(
        other.text,
        "\"shell\" is none of the tools that were declared"
    );
    assert!(other.is_error);
    assert_eq!(world.calls.calls(), [("look".to_owned(), json!({}))]);
}

#[tokio::test]
async fn s7_nothing_is_sent_after_a_tool_gave_the_persons_own_data() {
    let (place, world) = (Place::new(), World::answering("sent"));
    let url = "https://api.example.com/";
    let code = format!(
        "(data (i32.const 30000) \"look{{}}\") {}",
        asks("$http_get", url, 324).replace(
            "(call $http_get",
            "(call $tool_call (i32.const 30000) (i32.const 4) (i32.const 30004) (i32.const 2) (i32.const 400)) (call $http_get"
        )
    );
    let both = Guest::new("both", &code)
        .with_host("api.example.com")
        .with_tool("look");
    let output = world.run(&tool(&place, &both)).await;
    assert_eq!(
        output.text,
        "nothing is sent any more, since a tool gave the person's own data"
    );
    assert!(world.egress.requests().is_empty());
}

/// Keeps a value and gives back the one before.
fn keeper() -> Guest {
    let code = format!(
        "(data (i32.const 20000) \"key\") (data (i32.const 20010) \"none\") {}",
        run("(call $state_get (i32.const 20000) (i32.const 3) (i32.const 300))
             (call $state_set (i32.const 20000) (i32.const 3) (local.get $at) (local.get $bytes) (i32.const 400))
             (if (result i32) (i32.load8_u (i32.const 300))
               (then (call $ok (i32.load (i32.const 304)) (i32.load (i32.const 308))))
               (else (call $ok (i32.const 20010) (i32.const 4))))")
    );
    Guest::new("keeper", &code).with(&["state"])
}

#[tokio::test]
async fn a_component_keeps_values_of_its_own_which_go_with_it() {
    let (place, world) = (Place::new(), World::answering(""));
    let shelf = Shelf::new(place.folder.path().join("tools"));
    shelf.add("keeper", &keeper().bytes()).unwrap();
    let first = tool(&place, &keeper());
    assert_eq!(world.run(&first).await, ok("none", Taint::BOTH));
    assert_eq!(world.run(&first).await, ok("{}", Taint::BOTH));
    let other = Guest {
        name: "other".to_owned(),
        ..keeper()
    };
    assert_eq!(world.run(&tool(&place, &other)).await.text, "none");
    assert!(effects(&first).await.is_empty());
    shelf.remove("keeper").unwrap();
    assert_eq!(world.run(&tool(&place, &keeper())).await.text, "none");
}

#[tokio::test]
async fn what_is_kept_counts_as_read_where_it_could_be_sent() {
    let place = Place::new();
    let both = keeper().with_host("api.example.com");
    let read = Effect::Read {
        path: place.folder.path().join("tools/keeper.state"),
        in_workspace: false,
    };
    let effects = effects(&tool(&place, &both)).await;
    assert!(effects.len() == 2 && effects.contains(&read), "{effects:?}");
}

#[test]
fn s5_a_component_that_is_run_once_keeps_nothing() {
    let place = Place::new();
    let refused = refusal(place.host.load_once(&keeper().bytes()));
    assert_eq!(refused, LoadError::NotGranted(Capability::State));
}

#[test]
fn what_is_declared_has_to_be_spelt_and_used() {
    let place = Place::new();
    let named = |hosts: &[&str], tools: &[&str], capabilities: &[&str]| {
        let mut guest = Guest::echo().with(capabilities);
        guest.hosts = hosts.iter().map(ToString::to_string).collect();
        guest.tools = tools.iter().map(ToString::to_string).collect();
        place.refused(&guest)
    };
    let many: Vec<String> = (0..17).map(|n| format!("h{n}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (told, why) in [
        (named(&["*"], &[], &["http"]), "\"*\" is no host"),
        (named(&["https://a.example"], &[], &["http"]), "is no host"),
        (named(&[], &[], &["http"]), "it declares http but no hosts"),
        (
            named(&[], &[], &["tools"]),
            "it declares tools but no tools",
        ),
        (
            named(&["a.example"], &[], &["state"]),
            "names hosts but does not declare http",
        ),
        (named(&[], &["../x"], &["tools"]), "is no tool name"),
        (named(&many, &[], &["http"]), "names more than 16 hosts"),
    ] {
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn one_that_asks_others_runs_only_as_a_tool() {
    let place = Place::new();
    let told = place.broken(&fetcher("https://api.example.com/"));
    assert_eq!(
        told,
        "the component waits for others, which it can only do when it is called as a tool"
    );
}

#[tokio::test]
async fn s1_code_without_end_is_stopped_between_its_questions_too() {
    let (place, world) = (Place::new(), World::answering("x"));
    let url = "https://api.example.com/";
    let spins = Guest {
        code: asks("$http_get", url, 324)
            .replace("(call $http_get", "(loop $on (br $on)) (call $http_get"),
        ..fetcher("")
    };
    let floods = Guest {
        code: asks("$http_get", url, 324).replace(
            "(call $http_get",
            "(loop $on (call $http_get (i32.const 20000) (i32.const 24) (i32.const 300)) (br $on)) (call $http_get",
        ),
        ..fetcher("")
    };
    let output = world.run(&tool(&place, &spins)).await;
    assert_eq!(output.text, "the component was stopped after 0.1 s");
    let output = world.run(&tool(&place, &floods)).await;
    assert!(output.is_error, "{output:?}");
    assert_eq!(world.egress.requests().len(), 64);
}

#[tokio::test]
async fn more_calls_than_there_is_room_for_wait_for_their_turn() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        waiting_max: 8,
        ..config(&folder)
    };
    let host = WasmHost::open(config).unwrap();
    let bytes = fetcher("https://api.example.com/").bytes();
    let fetcher = ComponentTool::new(host.load(&bytes).unwrap());
    let world = World::answering("sunny");
    let calls = futures::future::join_all((0..100).map(|_| world.run(&fetcher)));
    assert_eq!(calls.await, vec![ok("sunny", Taint::UNTRUSTED); 100]);
}
