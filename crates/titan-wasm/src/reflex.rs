//! Components of the world in `wit/reflex.wit`: they answer in a model's place, and reach nothing.

use crate::capability::Capability;
use crate::component::{Component, store};
use crate::guest::{Guest, Limits};
use crate::host::{LoadError, WasmHost};
use crate::ticker::Ticker;
use crate::trouble::{CallError, clip};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use titan_protocol::{Computation, ReflexCall, ReflexHost, ReflexProgram, ReflexStep};
use wasmtime::UpdateDeadline;
use wasmtime::component::Linker;

mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        reason = "generated from wit/reflex.wit, where the words are"
    )]

    wasmtime::component::bindgen!({
        path: "../../wit/reflex.wit",
        world: "reflex",
    });
}

/// A reflex takes microseconds; one that takes so long is broken.
const WALL_CLOCK_MAX: Duration = Duration::from_secs(1);
/// Bytes of what a computation gives: a few values.
const COMPUTED_BYTES_MAX: usize = 4 << 10;

struct Reflex {
    ready: bindings::ReflexPre<Guest>,
    limits: Limits,
    ticker: Arc<Ticker>,
}

impl WasmHost {
    fn load_reflex(&self, bytes: &[u8]) -> Result<Reflex, LoadError> {
        let no_reflex = |error: wasmtime::Error| LoadError::NoReflex(clip(&format!("{error:#}")));
        let compiled = self.compiled(bytes)?;
        let linked = Linker::new(self.engine())
            .instantiate_pre(&compiled)
            .map_err(no_reflex)?;
        Ok(Reflex {
            ready: bindings::ReflexPre::new(linked).map_err(no_reflex)?,
            limits: Limits {
                wall_clock_max: WALL_CLOCK_MAX,
                ..self.limits()
            },
            ticker: self.ticker(),
        })
    }
}

impl ReflexHost for WasmHost {
    fn prepare(&self, component: &[u8]) -> Result<Arc<dyn ReflexProgram>, String> {
        let reflex = self
            .load_reflex(component)
            .map_err(|error| error.to_string())?;
        Ok(Arc::new(reflex))
    }

    fn computation(&self, component: &[u8]) -> Result<Arc<dyn Computation>, String> {
        let component = self.load(component).map_err(|error| error.to_string())?;
        // What a panic says goes to the log, which nobody reads here.
        let mut wanted = component.capabilities().iter();
        if let Some(one) = wanted.find(|one| **one != Capability::Log) {
            return Err(format!(
                "the component wants {one}, and what computes for a reflex gets nothing but its input"
            ));
        }
        let limits = Limits {
            wall_clock_max: WALL_CLOCK_MAX,
            output_bytes_max: COMPUTED_BYTES_MAX,
            ..self.limits()
        };
        Ok(Arc::new(Computing(component.within(limits))))
    }

    fn forget(&self, component: &[u8]) -> Result<(), String> {
        WasmHost::forget(self, component).map_err(|error| error.to_string())
    }
}

/// A tool that reaches nothing, which is run on the thread that asks.
struct Computing(Component);

impl Computation for Computing {
    fn compute(&self, input: &str) -> Result<String, String> {
        match self.0.call(input, &Arc::default()).result {
            Ok(given) => given.map_err(|wrong| clip(&wrong)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl ReflexProgram for Reflex {
    fn next(&self, values: &[String], outcomes: &[String]) -> Result<ReflexStep, String> {
        let _running = self.ticker.run();
        let guest = Guest::new(self.limits, None, None, Arc::<AtomicBool>::default());
        let mut store = store(self.ready.engine(), self.limits, guest);
        store.epoch_deadline_callback(|context| match context.data().over() {
            Some(halt) => Err(wasmtime::Error::new(halt)),
            None => Ok(UpdateDeadline::Continue(1)),
        });
        let given = self
            .ready
            .instantiate(&mut store)
            .and_then(|reflex| reflex.call_next(&mut store, values, outcomes));
        match given {
            Ok(step) => self.step(step),
            Err(error) => Err(CallError::of(&error, store.data()).to_string()),
        }
    }
}

impl Reflex {
    fn step(&self, given: bindings::Step) -> Result<ReflexStep, String> {
        let max = self.limits.output_bytes_max;
        match given {
            bindings::Step::Answer(text) if text.len() > max => {
                Err(CallError::Output { max }.to_string())
            }
            bindings::Step::Answer(text) => Ok(ReflexStep::Answer(text)),
            bindings::Step::Decline(why) => Ok(ReflexStep::Decline(clip(&why))),
            bindings::Step::Call(calls) => calls
                .into_iter()
                .map(call)
                .collect::<Result<_, _>>()
                .map(ReflexStep::Call),
        }
    }
}

fn call(given: bindings::Call) -> Result<ReflexCall, String> {
    let arguments: Map<String, Value> =
        serde_json::from_str(&given.arguments).map_err(|error| {
            format!(
                "the arguments of {} are no JSON object: {error}",
                clip(&given.tool)
            )
        })?;
    Ok(ReflexCall {
        tool: given.tool,
        arguments,
    })
}
