//! A component that is ready to be called.

use crate::bindings::{Spec, ToolPre};
use crate::capability::Capability;
use crate::guest::{Guest, Limits};
use crate::ticker::Ticker;
use crate::trouble::CallError;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use titan_protocol::ToolSpec;
use wasmtime::{Engine, Store, UpdateDeadline};

/// A component that is ready. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    ready: ToolPre<Guest>,
    spec: Arc<ToolSpec>,
    capabilities: Arc<[Capability]>,
    limits: Limits,
    ticker: Arc<Ticker>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// What the component gave back: its output, or what it says went wrong; or why it gave nothing.
    pub result: Result<Result<String, String>, CallError>,
    /// What it logged, a line each; at most 8 KiB.
    pub log: String,
}

impl Component {
    pub(crate) fn new(
        ready: ToolPre<Guest>,
        spec: ToolSpec,
        capabilities: Vec<Capability>,
        limits: Limits,
        ticker: Arc<Ticker>,
    ) -> Self {
        Self {
            ready,
            spec: Arc::new(spec),
            capabilities: capabilities.into(),
            limits,
            ticker,
        }
    }

    /// What it says it is.
    pub fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    /// What it declared and got.
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Runs it once, in an instance of its own, with a JSON object. Blocks until it is done, at a limit, or at most a few
    /// milliseconds after `is_stopped` was set by somebody.
    pub fn call(&self, arguments: &str, is_stopped: &Arc<AtomicBool>) -> Finished {
        let _running = self.ticker.run();
        let mut store = store(self.ready.engine(), self.limits, is_stopped.clone());
        let given = self
            .ready
            .instantiate(&mut store)
            .and_then(|tool| tool.call_run(&mut store, arguments));
        let result = match given {
            Ok(given) => self.bounded(given),
            Err(error) => Err(CallError::of(&error, store.data())),
        };
        Finished {
            result,
            log: store.into_data().into_log(),
        }
    }

    fn bounded(&self, given: Result<String, String>) -> Result<Result<String, String>, CallError> {
        let max = self.limits.output_bytes_max;
        match given.as_ref().unwrap_or_else(|wrong| wrong).len() <= max {
            true => Ok(given),
            false => Err(CallError::Output { max }),
        }
    }
}

/// Asks a component what it is.
pub(crate) fn describe(
    ready: &ToolPre<Guest>,
    limits: Limits,
    ticker: &Ticker,
) -> Result<Spec, CallError> {
    let _running = ticker.run();
    let mut store = store(ready.engine(), limits, Arc::default());
    ready
        .instantiate(&mut store)
        .and_then(|tool| tool.call_describe(&mut store))
        .map_err(|error| CallError::of(&error, store.data()))
}

/// A place for one call.
pub(crate) fn store(engine: &Engine, limits: Limits, is_stopped: Arc<AtomicBool>) -> Store<Guest> {
    let mut store = Store::new(engine, Guest::new(limits, is_stopped));
    store.limiter(|guest| guest);
    // What a component hands over may name the same bytes many times.
    store.set_hostcall_fuel(limits.memory_bytes_max);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| match context.data().over() {
        Some(halt) => Err(wasmtime::Error::new(halt)),
        None => Ok(UpdateDeadline::Continue(1)),
    });
    store
}
