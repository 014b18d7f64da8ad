//! Components that strangers built for WASI 0.2: a linker of their own, and behind it nothing of this machine but the time
//! and random numbers. There is no file, no network, no environment; what is printed is kept up to a limit.

use crate::guest::{Guest, LOG_BYTES_MAX, Limits};
use crate::trouble::CallError;
use bytes::Bytes;
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

/// The packages of WASI 0.2 that there are here.
const PACKAGES: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];
/// How the interface is called that a command-line program exports.
const COMMAND: &str = "wasi:cli/run@0.2.";
/// Streams, timers and the like that a call may hold at once.
const RESOURCES_MAX: usize = 1_000;
/// Random bytes that are given at once.
const RANDOM_BYTES_MAX: u64 = 1 << 20;

/// Whether an import is one of WASI 0.2.
pub(crate) fn is_import(name: &str) -> bool {
    let interface = name
        .strip_prefix("wasi:")
        .and_then(|rest| rest.split_once('/'));
    interface.is_some_and(|(package, interface)| {
        let version = interface.split_once('@').map(|(_, version)| version);
        PACKAGES.contains(&package) && version.is_some_and(|version| version.starts_with("0.2."))
    })
}

/// Whether an export makes a component a command-line program.
pub(crate) fn is_command(export: &str) -> bool {
    export.starts_with(COMMAND)
}

/// Makes all of it importable.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

/// What a command-line program is given.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Given {
    pub(crate) args: Vec<String>,
    pub(crate) stdin: String,
}

/// What one call sees of a machine, and what it printed.
pub(crate) struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
    out: Printed,
    log: Printed,
}

impl Wasi {
    /// `name` is the first word that a command-line program sees of itself.
    pub(crate) fn new(name: &str, given: Given, limits: Limits) -> Self {
        let out = Printed::new(limits.output_bytes_max, Beyond::Ends);
        let log = Printed::new(LOG_BYTES_MAX, Beyond::IsLost);
        let context = WasiCtx::builder()
            .arg(name)
            .args(&given.args)
            .stdin(MemoryInputPipe::new(given.stdin))
            .stdout(out.clone())
            .stderr(log.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(RANDOM_BYTES_MAX)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        Self {
            context,
            table,
            out,
            log,
        }
    }

    /// What was printed for whoever looks how a call went.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// What a command-line program gave, from how it ended.
    ///
    /// # Errors
    /// How it broke off.
    pub(crate) fn ended(
        &self,
        ended: wasmtime::Result<(Result<(), ()>,)>,
    ) -> wasmtime::Result<Result<String, String>> {
        let is_well = match ended {
            Ok((given,)) => given.is_ok(),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(status)) => *status == 0,
                None => return Err(error),
            },
        };
        let out = self.out.text();
        Ok(match is_well {
            true => Ok(out),
            // WASI 0.2 does not tell which status a program ended with.
            false => Err(format!("{out}\n[the program failed]")
                .trim_start()
                .to_owned()),
        })
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView {
            ctx: &mut wasi.context,
            table: &mut wasi.table,
        }
    }
}

/// What is done with more than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beyond {
    /// The call ends.
    Ends,
    /// It is let go.
    IsLost,
}

/// What was printed, up to so many bytes.
#[derive(Clone)]
struct Printed {
    max: usize,
    beyond: Beyond,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Printed {
    fn new(max: usize, beyond: Beyond) -> Self {
        Self {
            max,
            beyond,
            bytes: Arc::default(),
        }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// Only WASI 0.3 asks for this, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::empty())
    }
}

#[async_trait::async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}

impl OutputStream for Printed {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut kept = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.max - kept.len();
        if bytes.len() > room && self.beyond == Beyond::Ends {
            let error = CallError::Output { max: self.max };
            return Err(StreamError::Trap(wasmtime::Error::new(error)));
        }
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LOG_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_wasi_the_second_preview_is_known_without_http() {
        for known in ["wasi:io/streams@0.2.6", "wasi:filesystem/preopens@0.2.0"] {
            assert!(is_import(known), "{known}");
        }
        for other in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:io/streams@0.3.0",
            "wasi:io/streams",
            "wasi_snapshot_preview1",
            "titanclaw:tool/log@0.1.0",
        ] {
            assert!(!is_import(other), "{other}");
        }
    }
}
