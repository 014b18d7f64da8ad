//! The compiler for generated tools: looked for on this machine, prepared once, believed only after it compiled a tool that ran.
//!
//! No program is started here but through the [`OpenBench`] that the host is given: a place that is closed to everything
//! but what a [`Closed`] names.

mod compile;
mod find;
mod prepare;
mod refuse;
#[cfg(test)]
mod tests;

pub use compile::Compiler;
pub use find::{Candidate, Class};
pub use prepare::{PrepareError, Progress};

use bytes::Bytes;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Closed, Command, Exit, ProcessEvent, Workbench, WorkbenchError};

/// The target of all generated tools.
const TARGET: &str = "wasm32-unknown-unknown";
/// What is written down of the toolchain that is ready.
const READY: &str = "ready.json";
/// Where a system has the libraries of its programs.
const LIBRARIES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store"];

/// Bytes that a compiler may say.
const OUTPUT_BYTES_MAX: u64 = 8 << 20;

/// Opens a folder as a place for compilers: without network, without environment, closed to all that is not named.
pub type OpenBench =
    Arc<dyn Fn(&Path, &Closed) -> Result<Arc<dyn Workbench>, WorkbenchError> + Send + Sync>;

/// Where a toolchain is looked for, and where what is prepared lies.
#[derive(Clone)]
pub struct Toolchain {
    /// The folder of what was prepared. Made when it is needed, closed to others.
    pub folder: PathBuf,
    /// The compiler that is to be used, if somebody says which; no other is looked at then.
    pub named: Option<PathBuf>,
    /// Folders of `rustup`, each with `toolchains` in it.
    pub rustup: Vec<PathBuf>,
    /// Folders with programs, in order.
    pub programs: Vec<PathBuf>,
    /// Where compilers run.
    pub open: OpenBench,
}

/// A toolchain that was prepared and has shown that it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The compiler.
    pub rustc: PathBuf,
    /// Its version, as `1.96.0`.
    pub version: String,
    /// What links.
    linker: PathBuf,
    /// What compilers may read.
    reads: Vec<PathBuf>,
    /// The folder of what was prepared, below [`Toolchain::folder`].
    key: String,
    /// Whether the standard library was compiled there, since the compiler came without.
    has_sysroot: bool,
    /// The compiler's length and time when all this held.
    stamp: (u64, u64),
}

impl Toolchain {
    /// The toolchain that was prepared, if it is still the same. Starts nothing.
    pub fn ready(&self) -> Option<Ready> {
        let text = std::fs::read(self.folder.join(READY)).ok()?;
        let ready: Ready = serde_json::from_slice(&text).ok()?;
        let is_same = ready.stamp == stamp(&ready.rustc)?
            && ready.key.ends_with(&prepare::archive_key())
            && self
                .named
                .as_ref()
                .is_none_or(|named| *named == ready.rustc)
            && ready.linker.is_file()
            && self.folder.join(&ready.key).is_dir();
        is_same.then_some(ready)
    }

    /// What is missing, and what to do, in a paragraph.
    pub fn missing(&self, found: &[Candidate]) -> String {
        let can_be = found.iter().any(|one| one.class != Class::Missing);
        if can_be {
            return "Tools can't be compiled yet, since the compiler that is here was not prepared for it. Do it once \
                    with: titanclaw toolchain prepare (about a minute, 90 MB)."
                .to_owned();
        }
        let seen = match (&self.named, found) {
            (Some(named), []) => format!(" ({} is no compiler that runs)", named.display()),
            (_, []) => String::new(),
            (_, [first, ..]) => format!(
                " ({} {} {})",
                first.rustc.display(),
                first.version,
                first.lacks.as_deref().unwrap_or("can't be used")
            ),
        };
        format!(
            "No compiler from Rust to WebAssembly was found{seen}, so new tools can't be compiled here. Reflexes, plans and \
             components work as they are. To change that: {}, then titanclaw toolchain prepare (about a minute, 90 MB).",
            find::install_hint()
        )
    }
}

/// The length and time of a file, to see whether it is still the one that it was.
fn stamp(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    Some((found.len(), found.mtime().unsigned_abs()))
}

/// How a program ended, and what it said.
struct Ran {
    exit: Exit,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Ran {
    fn is_well(&self) -> bool {
        self.exit == Exit::Status(0)
    }

    fn out(&self) -> String {
        String::from_utf8_lossy(&self.out).trim().to_owned()
    }

    /// The last lines of what it said went wrong.
    fn wrong(&self) -> String {
        let text = String::from_utf8_lossy(&self.err);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = &lines[lines.len().saturating_sub(8)..];
        let why = match self.exit {
            Exit::Status(status) => format!("it ended with status {status}"),
            Exit::Signal(signal) => format!("it was ended by signal {signal}"),
            Exit::TimedOut => "it ran too long".to_owned(),
            Exit::OutputExceeded => "it said too much".to_owned(),
        };
        format!("{why}: {}", last.join(" / "))
    }
}

/// A program to run.
struct Order {
    program: PathBuf,
    arguments: Vec<String>,
    /// The place itself when `None`.
    directory: Option<PathBuf>,
    /// All that it gets.
    environment: BTreeMap<String, String>,
    wall_clock_max: Duration,
}

/// Runs a program to its end. `piece` sees what it says as it comes.
async fn run(
    bench: &dyn Workbench,
    order: Order,
    mut piece: impl FnMut(&Bytes),
) -> Result<Ran, WorkbenchError> {
    let mut events = bench.run(Command {
        program: order.program.display().to_string(),
        arguments: order.arguments,
        directory: order.directory,
        environment: order.environment,
        wall_clock_max: order.wall_clock_max,
        output_bytes_max: OUTPUT_BYTES_MAX,
    });
    let mut ran = Ran {
        exit: Exit::TimedOut,
        out: Vec::new(),
        err: Vec::new(),
    };
    while let Some(event) = events.next().await {
        match event? {
            ProcessEvent::Stdout(bytes) => ran.out.extend_from_slice(&bytes),
            ProcessEvent::Stderr(bytes) => {
                piece(&bytes);
                ran.err.extend_from_slice(&bytes);
            }
            ProcessEvent::Exited(exit) => ran.exit = exit,
        }
    }
    Ok(ran)
}
