//! What hostile and broken components do, and what is said about it.

pub(crate) mod compiler;
mod computing;
mod documented;
mod forged;
mod fuzz;
mod kept;
mod loading;
mod reaching;
mod running;
mod slots;
mod tool;
mod wasi;

use crate::{CallError, Component, Config, Finished, Limits, LoadError, WasmHost};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use titan_testkit::component::Guest;

/// A host with small limits and a folder of its own.
struct Place {
    folder: TempDir,
    host: WasmHost,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = WasmHost::open(config(&folder)).unwrap();
        Self { folder, host }
    }

    /// Where nothing is cut short because the machine is busy.
    fn patient() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        config.limits.wall_clock_max = Duration::from_secs(60);
        let host = WasmHost::open(config).unwrap();
        Self { folder, host }
    }

    fn load(&self, guest: &Guest) -> Component {
        self.host.load(&guest.bytes()).unwrap()
    }

    fn refused(&self, guest: &Guest) -> String {
        let refused = refusal(self.host.load(&guest.bytes()));
        let told = refused.to_string();
        assert_eq!(refusal(self.host.load_once(&guest.bytes())), refused);
        assert!(!told.contains('\n') && told.len() < 400, "{told}");
        told
    }

    /// Both engines end the call in the same way.
    fn run(&self, guest: &Guest) -> Finished {
        let once = self.host.load_once(&guest.bytes()).unwrap();
        let once = once.call("{}", &Arc::default());
        let finished = self.load(guest).call("{}", &Arc::default());
        assert_eq!(once, finished);
        finished
    }

    /// What is said about a call that breaks off, after which the host still runs an honest one.
    fn broken(&self, guest: &Guest) -> String {
        let told = failure(self.run(guest)).to_string();
        assert!(!told.contains('\n') && told.len() < 400, "{told}");
        assert_eq!(text(self.add(2, 3)), "5");
        told
    }

    fn add(&self, a: u32, b: u32) -> Finished {
        let arguments = format!(r#"{{"a":{a},"b":{b}}}"#);
        self.load(&Guest::adder()).call(&arguments, &Arc::default())
    }
}

fn config(folder: &TempDir) -> Config {
    Config {
        limits: Limits {
            wall_clock_max: Duration::from_millis(100),
            memory_bytes_max: 4 << 20,
            output_bytes_max: 64 << 10,
            host_calls_max: 1_000,
        },
        ..Config::new(folder.path().join("artefacts"), folder.path().join("tools"))
    }
}

fn refusal(loaded: Result<Component, LoadError>) -> LoadError {
    match loaded {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error,
    }
}

fn failure(finished: Finished) -> CallError {
    finished.result.unwrap_err()
}

fn text(finished: Finished) -> String {
    finished.result.unwrap().unwrap()
}
