//! What calls of components cost, in this process: the runtime is the one of the binary, but nothing else is around it.

use super::block_on;
use crate::Setup;
use crate::process::{self, megabytes};
use crate::report::Row;
use anyhow::{Result, ensure};
use async_trait::async_trait;
use futures::StreamExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use titan_protocol::{
    Approved, CallId, Egress, EgressError, HttpRequest, HttpResponse, PlanItem, SessionId, Step,
    Surface, Tool, ToolCall, ToolContext, ToolSignals, TurnId,
};
use titan_testkit::calls::ScriptedCalls;
use titan_testkit::component::{Guest, run};
use titan_testkit::egress::{Reply, ScriptedEgress};
use titan_testkit::workbench::MemoryWorkbench;
use titan_wasm::{Component, ComponentTool, Config, WasmHost};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CALLS: usize = 20_000;
/// Calls before those that count, in which the pool's places get their pages.
const WARM_CALLS: usize = 1_000;
const LOADS: usize = 200;
const TASKS: usize = 10_000;

/// A call is counted from its arguments as text until the instance that it ran in is gone: store, instance, `run`, output,
/// drop. The component gives back what it was given. A load is of a component that was compiled before: measured,
/// read from the disk, checked, linked and asked what it is.
pub(super) fn wasm_call(_setup: &Setup) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let host = WasmHost::open(config(folder.path()))?;
    let bytes = Guest::echo().bytes();
    let component = host.load(&bytes)?;
    for _ in 0..WARM_CALLS {
        call(&component)?;
    }
    let calls: Result<Vec<f64>> = (0..CALLS).map(|_| call(&component)).collect();
    let loads: Result<Vec<f64>> = (0..LOADS).map(|_| load(&host, &bytes)).collect();
    Ok(vec![
        Row::new("wasm_call", "fresh_instance", "us", calls?).goal(10.0, Some(50.0)),
        Row::new("wasm_call", "load_again", "us", loads?),
    ])
}

fn call(component: &Component) -> Result<f64> {
    let started = Instant::now();
    let finished = component.call(r#"{"text":"hello"}"#, &Arc::default());
    let took = started.elapsed();
    ensure!(finished.result == Ok(Ok(r#"{"text":"hello"}"#.to_owned())));
    Ok(took.as_secs_f64() * 1e6)
}

fn load(host: &WasmHost, bytes: &[u8]) -> Result<f64> {
    let started = Instant::now();
    host.load(bytes)?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}

fn config(folder: &Path) -> Config {
    Config::new(folder.join("artefacts"), folder.join("tools"))
}

/// Ten thousand calls of a component as a tool, all handed in at once, each in an instance of its own. First of one that only
/// computes; then of one that asks a host, which answers when all ten thousand have asked, so that as many instances are alive
/// at the same time. A call is lost when it gave anything but its output.
pub(super) fn wasm_10k(_setup: &Setup) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let tasks = u32::try_from(TASKS)?;
    let host = WasmHost::open(Config {
        waiting_max: tasks,
        ..config(folder.path())
    })?;
    let computing = tasks_of(&host, &Guest::echo(), Arc::new(ScriptedEgress::new()), "{}")?;
    let code = format!(
        "(data (i32.const 20000) \"https://a.example/\") {}",
        run(
            "(call $http_get (i32.const 20000) (i32.const 18) (i32.const 300))
             (if (i32.load8_u (i32.const 300)) (then unreachable))
             (call $ok (i32.load (i32.const 324)) (i32.load (i32.const 328)))"
        )
    );
    let asking = Guest::new("asking", &code).with_host("a.example");
    let together = Arc::new(Together {
        all: Barrier::new(TASKS),
        egress: ScriptedEgress::answering(|_| Reply::ok("answer")),
    });
    let live = tasks_of(&host, &asking, together, "answer")?;
    let row = |metric, unit, value| Row::new("wasm_10k", metric, unit, vec![value]);
    Ok(vec![
        row("tasks_per_second", "1/s", computing.per_second).goal(50_000.0, None),
        row("lost", "tasks", computing.lost).goal(0.0, Some(0.0)),
        row("rss_peak", "MB", computing.rss_peak),
        row("live_tasks_per_second", "1/s", live.per_second),
        row("live_lost", "tasks", live.lost).goal(0.0, Some(0.0)),
        row("live_rss_peak", "MB", live.rss_peak).goal(400.0, None),
    ])
}

struct Ran {
    per_second: f64,
    lost: f64,
    rss_peak: f64,
}

fn tasks_of(host: &WasmHost, guest: &Guest, egress: Arc<dyn Egress>, given: &str) -> Result<Ran> {
    let tool = Arc::new(ComponentTool::new(host.load(&guest.bytes())?));
    block_on(async {
        let started = Instant::now();
        let mut running = JoinSet::new();
        for _ in 0..TASKS {
            let (tool, context) = (tool.clone(), context(egress.clone()));
            running.spawn(async move { tool.run(context, approved()).await });
        }
        let mut kept = 0;
        while let Some(ended) = running.join_next().await {
            let output = ended??;
            if output.text == given && !output.is_error {
                kept += 1;
            } else if kept == 0 {
                eprintln!("wasm_10k: {}", output.text);
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "ten thousand is exact")]
        let (tasks, lost) = (TASKS as f64, (TASKS - kept) as f64);
        Ok(Ran {
            per_second: tasks / seconds,
            lost,
            rss_peak: megabytes(process::resident_bytes_max(std::process::id())?),
        })
    })
}

/// Answers when all have asked.
struct Together {
    all: Barrier,
    egress: ScriptedEgress,
}

#[async_trait]
impl Egress for Together {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, EgressError> {
        self.all.wait().await;
        self.egress.send(request).await
    }
}

fn approved() -> titan_protocol::BoxStream<Approved> {
    let call = ToolCall {
        id: CallId::from("c"),
        name: "tool".to_owned(),
        arguments: serde_json::Map::new(),
    };
    let approved = Approved {
        step: Step::whole(call),
        effects: Vec::new(),
        workbench: Arc::new(MemoryWorkbench::new()),
    };
    futures::stream::once(std::future::ready(approved)).boxed()
}

fn context(egress: Arc<dyn Egress>) -> ToolContext {
    ToolContext {
        session: SessionId::from_u128(1),
        turn: TurnId::from_u128(2),
        workbench: Arc::new(MemoryWorkbench::new()),
        egress,
        signals: Arc::new(Silence),
        calls: Arc::new(ScriptedCalls::none()),
        cancel: CancellationToken::new(),
    }
}

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
