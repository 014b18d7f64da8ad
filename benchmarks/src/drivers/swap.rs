//! Components that are exchanged under load.

use super::block_on;
use crate::Setup;
use crate::report::Row;
use anyhow::{Result, ensure};
use async_trait::async_trait;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use titan_exec::{EventSink, Limits, Pipeline, Policy, Ports, Redactor, Registry, Rules, Scope};
use titan_protocol::{CallId, Event, Origin, SessionId, StorageError, Taint, ToolCall, TurnId};
use titan_testkit::component::{Guest, run};
use titan_testkit::egress::ScriptedEgress;
use titan_testkit::storage::MemoryStore;
use titan_testkit::workbench::MemoryWorkbench;
use titan_wasm::{Change, ComponentTool, Config, Shelf, Slots};
use tokio_util::sync::CancellationToken;

const SWAPS: usize = 100;
/// Tasks that call without a pause.
const CALLERS: usize = 4;
/// Between two swaps.
const PAUSE: Duration = Duration::from_millis(5);

/// A component that says its version is called by four tasks without a pause, through the pipeline, while it is exchanged a
/// hundred times: written to the shelf, compiled, linked, asked what it is, published. A call is stale when it began after a
/// version was published and was answered by one before.
pub(super) fn hot_swap(_setup: &Setup) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let shelf = Shelf::new(folder.path().join("tools"));
    let config = Config::new(folder.path().join("artefacts"), folder.path().join("tools"));
    let bench = Arc::new(Bench {
        slots: Slots::new(config, shelf),
        pipeline: pipeline()?,
        published: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    });
    bench.slots.shelf().add("version", &version(0))?;
    bench.look()?;
    block_on(async {
        let callers: Vec<_> = (0..CALLERS)
            .map(|n| tokio::spawn(bench.clone().calls(n)))
            .collect();
        let swapping = bench.clone();
        let swaps = tokio::task::spawn_blocking(move || swapping.swaps()).await;
        bench.is_over.store(true, Ordering::SeqCst);
        let mut seen = Seen::default();
        for caller in callers {
            let more = caller.await?;
            seen.took.extend(more.took);
            seen.failed += more.failed;
            seen.stale += more.stale;
        }
        let row = |metric, unit, samples| Row::new("hot_swap", metric, unit, samples);
        Ok(vec![
            row("swap", "ms", swaps??),
            row("call", "us", seen.took),
            row("failed", "calls", vec![f64::from(seen.failed)]).goal(0.0, Some(0.0)),
            row("stale", "calls", vec![f64::from(seen.stale)]).goal(0.0, Some(0.0)),
        ])
    })
}

struct Bench {
    slots: Slots,
    pipeline: Arc<Pipeline>,
    published: AtomicUsize,
    is_over: AtomicBool,
}

#[derive(Default)]
struct Seen {
    took: Vec<f64>,
    failed: u32,
    stale: u32,
}

impl Bench {
    /// As the engine does.
    fn look(&self) -> Result<()> {
        for change in self.slots.look()? {
            let Change::Ready { component, .. } = change else {
                anyhow::bail!("a version was refused");
            };
            let tool = Arc::new(ComponentTool::new(component));
            self.pipeline.registry().publish(tool)?;
        }
        Ok(())
    }

    fn swaps(&self) -> Result<Vec<f64>> {
        let swap = |n: usize| {
            std::thread::sleep(PAUSE);
            let bytes = version(n);
            let started = Instant::now();
            self.slots.shelf().replace("version", &bytes)?;
            self.look()?;
            let took = started.elapsed();
            self.published.store(n, Ordering::SeqCst);
            Ok(took.as_secs_f64() * 1e3)
        };
        (1..=SWAPS).map(swap).collect()
    }

    async fn calls(self: Arc<Self>, caller: usize) -> Seen {
        let heard = Arc::new(Heard::default());
        let scope = scope(caller, heard.clone());
        let mut seen = Seen::default();
        while !self.is_over.load(Ordering::SeqCst) {
            let published = self.published.load(Ordering::SeqCst);
            let started = Instant::now();
            let call = ToolCall {
                id: CallId::from(format!("c{}", seen.took.len()).as_str()),
                name: "version".to_owned(),
                arguments: serde_json::Map::new(),
            };
            let ran = self.pipeline.run(&scope, Origin::Model, call).await;
            seen.took.push(started.elapsed().as_secs_f64() * 1e6);
            match (ran, heard.version()) {
                (Ok(()), Some(answered)) => seen.stale += u32::from(answered < published),
                _ => seen.failed += 1,
            }
        }
        seen
    }
}

fn version(n: usize) -> Vec<u8> {
    let text = n.to_string();
    let code = format!(
        "(data (i32.const 20000) \"{text}\") {}",
        run(&format!(
            "(call $ok (i32.const 20000) (i32.const {}))",
            text.len()
        ))
    );
    Guest::new("version", &code).bytes()
}

fn pipeline() -> Result<Arc<Pipeline>> {
    let store = MemoryStore::new();
    let ports = Ports {
        blobs: store.clone(),
        records: store,
        now: || 0,
    };
    let registry = Registry::new(Vec::new())?;
    ensure!(registry.specs().is_empty());
    let redactor = Redactor::new([]);
    Ok(Arc::new(Pipeline::new(
        registry,
        Policy::new(Rules::default()),
        Limits::default(),
        redactor,
        ports,
    )))
}

fn scope(caller: usize, heard: Arc<Heard>) -> Arc<Scope> {
    Arc::new(Scope::new(
        SessionId::from_u128(caller as u128),
        TurnId::from_u128(1),
        Arc::new(MemoryWorkbench::new()),
        Arc::new(ScriptedEgress::new()),
        heard,
        CancellationToken::new(),
        false,
        Taint::NONE,
        Arc::default(),
    ))
}

/// The version that answered last.
#[derive(Default)]
struct Heard(Mutex<Option<usize>>);

impl Heard {
    fn version(&self) -> Option<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl EventSink for Heard {
    async fn emit(&self, event: Event) -> Result<(), StorageError> {
        if let Event::ToolCallEnded { text, .. } = event {
            let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *heard = text.parse().ok();
        }
        Ok(())
    }

    async fn make_durable(&self) -> Result<(), StorageError> {
        Ok(())
    }

    async fn ask(&self, _question: &str, _choices: &[String]) -> Option<String> {
        None
    }
}
