//! The compiler of this machine, as tests use it: prepared once for all of them and all runs, confined as it is for everybody.

use crate::{Config, PrepareError, Ready, Toolchain, WasmHost};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_protocol::Closed;
use titan_sandbox::open_closed;

/// What has to be there.
const NEED: &str = "program:rust-wasm";

/// A toolchain that is ready; `None`, and the test is skipped, where there is none.
pub(crate) async fn prepared() -> Option<(Toolchain, Ready)> {
    let cache =
        PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/titanclaw");
    std::fs::create_dir_all(&cache).unwrap();
    // Tests are processes of their own; the first prepares, and the others wait for it.
    let lock = std::fs::File::create(cache.join("jit.lock")).unwrap();
    lock.lock().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let toolchain = Toolchain {
        folder: cache.join("jit"),
        named: None,
        rustup: std::env::home_dir()
            .map(|home| home.join(".rustup"))
            .into_iter()
            .collect(),
        programs: std::env::split_paths(&path)
            .filter(|folder| folder.is_absolute())
            .collect(),
        open: Arc::new(open_closed),
    };
    if let Some(ready) = toolchain.ready() {
        return Some((toolchain, ready));
    }
    let folder = tempfile::tempdir().unwrap();
    match toolchain.prepare(&host(folder.path()), |_| {}).await {
        Ok(ready) => return Some((toolchain, ready)),
        Err(PrepareError::Missing(why)) => titan_testkit::skip(NEED, why),
        Err(error) => panic!("{error}"),
    }
    None
}

/// A host with the usual limits.
pub(crate) fn host(folder: &Path) -> WasmHost {
    WasmHost::open(Config::new(folder.join("artefacts"), folder.join("tools"))).unwrap()
}

/// The same toolchain, whose compilers get so many seconds of a processor for a tool: tests don't wait as long as people do.
pub(crate) fn hurried(mut toolchain: Toolchain, seconds: u64) -> Toolchain {
    /// What builds get is more than any tool's.
    const OF_A_TOOL: u64 = 60;
    toolchain.open = Arc::new(move |folder, closed: &Closed| {
        let mut closed = closed.clone();
        if closed.processor_seconds_max < OF_A_TOOL {
            closed.processor_seconds_max = seconds;
        }
        open_closed(folder, &closed)
    });
    toolchain
}
