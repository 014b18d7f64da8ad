//! What a call of a component costs, in this process: the runtime is the one of the binary, but nothing else is around it.

use crate::Setup;
use crate::report::Row;
use anyhow::{Result, ensure};
use std::sync::Arc;
use std::time::Instant;
use titan_testkit::component::Guest;
use titan_wasm::{Component, Config, WasmHost};

const CALLS: usize = 20_000;
/// Calls before those that count, in which the pool's places get their pages.
const WARM_CALLS: usize = 1_000;
const LOADS: usize = 200;

/// A call is counted from its arguments as text until the instance that it ran in is gone: store, instance, `run`, output,
/// drop. The component gives back what it was given. A load is of a component that was compiled before: measured,
/// read from the disk, checked, linked and asked what it is.
pub(super) fn wasm_call(_setup: &Setup) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let host = WasmHost::open(Config::new(folder.path().join("artefacts")))?;
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
