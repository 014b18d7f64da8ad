//! The exports of a component, in the canonical ABI of `wit/0.2.0/tool.wit`, world `tool`. A tool's own crate only says what it is
//! and what to run.

use crate::host;
use serde_json::Value;
use std::alloc::Layout;
use std::fmt::Display;

/// What a tool gives: its output, or what went wrong.
pub type Answer = Result<String, String>;

/// What a tool is, as its host wrote it down.
#[derive(Debug)]
pub struct Spec {
    /// What it is called.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// The JSON schema of its arguments.
    pub input_schema: &'static str,
    /// What it imports.
    pub capabilities: &'static [&'static str],
    /// The hosts that it asks.
    pub hosts: &'static [&'static str],
    /// The tools that it calls.
    pub tools: &'static [&'static str],
}

unsafe extern "Rust" {
    safe fn titan_tool_spec() -> Spec;
    safe fn titan_tool_run(arguments: &str) -> Answer;
}

/// Runs a tool's `run`, whichever of its shapes it has.
pub fn call<Takes>(run: impl Run<Takes>, arguments: &str) -> Answer {
    run.with(arguments)
}

/// The shapes of `run`.
#[diagnostic::on_unimplemented(
    message = "`run` has to be `fn run(input: Value) -> Result<String>`",
    label = "takes or gives something else",
    note = "it may take Value, &Value, &str or String, and give String, Value or a Result of one of these"
)]
pub trait Run<Takes> {
    /// Runs it.
    fn with(self, arguments: &str) -> Answer;
}

impl<F: FnOnce(Value) -> G, G: Gives> Run<(Value, G)> for F {
    fn with(self, arguments: &str) -> Answer {
        self(value(arguments)?).answer()
    }
}

impl<F: FnOnce(&Value) -> G, G: Gives> Run<(&Value, G)> for F {
    fn with(self, arguments: &str) -> Answer {
        self(&value(arguments)?).answer()
    }
}

impl<F: FnOnce(&str) -> G, G: Gives> Run<(&str, G)> for F {
    fn with(self, arguments: &str) -> Answer {
        self(arguments).answer()
    }
}

impl<F: FnOnce(String) -> G, G: Gives> Run<(String, G)> for F {
    fn with(self, arguments: &str) -> Answer {
        self(arguments.to_owned()).answer()
    }
}

/// What `run` may give.
#[diagnostic::on_unimplemented(
    message = "`run` has to be `fn run(input: Value) -> Result<String>`",
    label = "gives something else",
    note = "it may take Value, &Value, &str or String, and give String, Value or a Result of one of these"
)]
pub trait Gives {
    /// As an answer.
    fn answer(self) -> Answer;
}

impl<T: Gives, E: Display> Gives for Result<T, E> {
    fn answer(self) -> Answer {
        self.map_err(|error| error.to_string())?.answer()
    }
}

impl Gives for String {
    fn answer(self) -> Answer {
        Ok(self)
    }
}

impl Gives for &'static str {
    fn answer(self) -> Answer {
        Ok(self.to_owned())
    }
}

impl Gives for Value {
    #[inline(never)]
    fn answer(self) -> Answer {
        Ok(match self {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }
}

#[inline(never)]
fn value(arguments: &str) -> Result<Value, String> {
    crate::json::parse(arguments).map_err(|error| error.to_string())
}

/// An address and a length, as both sides write texts and lists.
#[repr(C)]
struct Slice {
    at: *const u8,
    n: usize,
}

impl Slice {
    fn of(text: &str) -> Self {
        Self {
            at: text.as_ptr(),
            n: text.len(),
        }
    }

    fn list(texts: &[&str]) -> Self {
        let list: Vec<Self> = texts.iter().map(|text| Self::of(text)).collect();
        let list = list.leak();
        Self {
            at: list.as_ptr().cast(),
            n: list.len(),
        }
    }
}

#[repr(C)]
struct Described {
    name: Slice,
    description: Slice,
    input_schema: Slice,
    capabilities: Slice,
    hosts: Slice,
    tools: Slice,
}

#[repr(C)]
struct Answered {
    is_wrong: u32,
    text: Slice,
}

#[unsafe(export_name = "describe")]
extern "C" fn describe() -> *const Described {
    let spec = titan_tool_spec();
    Box::leak(Box::new(Described {
        name: Slice::of(spec.name),
        description: Slice::of(spec.description),
        input_schema: Slice::of(spec.input_schema),
        capabilities: Slice::list(spec.capabilities),
        hosts: Slice::list(spec.hosts),
        tools: Slice::list(spec.tools),
    }))
}

/// # Safety
/// The host calls it with UTF-8 that it put there.
#[unsafe(export_name = "run")]
unsafe extern "C" fn run(at: *const u8, n: usize) -> *const Answered {
    std::panic::set_hook(Box::new(|panic| host::log::write(&told(panic))));
    // SAFETY: as above.
    let arguments = unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(at, n)) };
    let answer = titan_tool_run(arguments);
    let is_wrong = answer.is_err().into();
    let text = answer.unwrap_or_else(|wrong| wrong).leak();
    Box::leak(Box::new(Answered {
        is_wrong,
        text: Slice::of(text),
    }))
}

/// In one line: `panicked at tool.rs:3:5: …`.
fn told(panic: &std::panic::PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let what = text.unwrap_or("no message");
    match panic.location() {
        Some(place) => format!("panicked at {place}: {what}"),
        None => format!("panicked: {what}"),
    }
}

/// # Safety
/// The host calls it, for room that only grows.
#[unsafe(export_name = "cabi_realloc")]
unsafe extern "C" fn room(old: *mut u8, bytes: usize, align: usize, new: usize) -> *mut u8 {
    // SAFETY: the host gives what it got here before, or nothing.
    unsafe {
        match (bytes, new) {
            (_, 0) => align as *mut u8,
            (0, _) => std::alloc::alloc(Layout::from_size_align_unchecked(new, align)),
            _ => std::alloc::realloc(old, Layout::from_size_align_unchecked(bytes, align), new),
        }
    }
}
