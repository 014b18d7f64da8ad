//! Why a call ended early, in a sentence for a model and a person alike.

use crate::guest::Guest;
use rustc_demangle::demangle;
use std::time::Duration;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

/// Functions that are named where a component broke off.
const FRAMES_MAX: usize = 8;
/// How the names of the functions begin in which a program in Rust ends itself.
const GIVES_UP: [&str; 4] = [
    "__rustc::",
    "std::panicking::",
    "std::sys::backtrace::",
    "core::panicking::",
];
/// Bytes of what a component, or the runtime about it, says.
const WORDS_BYTES_MAX: usize = 160;

/// Why a call gave nothing back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It reached a limit or was stopped.
    #[error("{0}")]
    Halted(Halt),
    /// It did something that a component must not, such as reading beyond its memory, or gave itself up.
    #[error("the component broke off: {0}")]
    Trapped(String),
    /// It gave back more than it may.
    #[error("the component gave back more than the {max} bytes that it may")]
    Output {
        /// The most.
        max: usize,
    },
    /// It waits for others, which only a call of a tool can.
    #[error("the component waits for others, which it can only do when it is called as a tool")]
    Outside,
    /// There are as many calls as there can be at once.
    #[error("too many components run at once; try again")]
    Busy,
}

/// The limit that a call met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// It ran too long.
    #[error("the component was stopped after {} s", .after.as_secs_f32())]
    Time {
        /// How long it may run.
        after: Duration,
    },
    /// It wanted too much memory.
    #[error("the component wanted more than the {max} bytes of memory that it may have")]
    Memory {
        /// Bytes.
        max: usize,
    },
    /// It wanted too large a table.
    #[error("the component wanted more than the {max} table entries that it may have")]
    Table {
        /// Entries.
        max: usize,
    },
    /// It called the host too often.
    #[error("the component called the host more than the {max} times that it may")]
    HostCalls {
        /// Calls.
        max: u32,
    },
    /// Nobody waits for it any more.
    #[error("the component was stopped, since nobody waits for it any more")]
    Stopped,
}

impl CallError {
    /// What an error of the runtime means for this call.
    pub(crate) fn of(error: &wasmtime::Error, guest: &Guest) -> Self {
        if let Some(halt) = error.downcast_ref::<Halt>() {
            return Self::Halted(*halt);
        }
        if let Some(over) = error.downcast_ref::<Self>() {
            return over.clone();
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Self::Busy;
        }
        // A component that was refused memory breaks off a moment later, and that is not what is of interest.
        if let Some(halt) = guest.halted {
            return Self::Halted(halt);
        }
        let cause = match error.downcast_ref::<Trap>() {
            Some(trap) => trap.to_string().replace("wasm trap: ", ""),
            None => clip(&error.root_cause().to_string()),
        };
        Self::Trapped(cause + &place(error))
    }
}

/// The functions in which it broke off, the innermost first, where the component names them.
fn place(error: &wasmtime::Error) -> String {
    let frames = error.downcast_ref::<WasmBacktrace>();
    let frames = frames.map(WasmBacktrace::frames).unwrap_or_default();
    let names = frames.iter().filter_map(|frame| {
        let name = format!("{:#}", demangle(frame.func_name()?));
        // How Rust gives up is the same for all; what is of interest is who did.
        let is_its_own = !GIVES_UP.iter().any(|start| name.starts_with(start));
        is_its_own.then(|| clip(&name.escape_debug().to_string()))
    });
    let names: Vec<String> = names.take(FRAMES_MAX).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(", in {}", names.join(", called by ")),
    }
}

/// The beginning of the first line of a text from a component or about it.
pub(crate) fn clip(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.len() <= WORDS_BYTES_MAX {
        true => line.to_owned(),
        false => format!("{}…", &line[..line.floor_char_boundary(WORDS_BYTES_MAX)]),
    }
}
