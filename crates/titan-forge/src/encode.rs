//! Makes a component of a plan, without a compiler for any language: a few milliseconds, most of them the engine's.

use crate::plan::{Extract, Form, Piece, Plan, Source, Template};
use std::collections::BTreeSet;
use std::fmt::Write;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What plans are made with.
const LIBRARY: &str = include_str!("plan.wat");
/// The world of a plan's component.
const WIT: &str = include_str!("../../../wit/reflex.wit");
/// Where a plan's texts begin in its memory; below is nothing, so that no place is 0.
const TEXTS_AT: usize = 1024;
const PAGE_BYTES: usize = 1 << 16;
/// What a plan says when it does not find what it should.
const NOT_FOUND: &str = "what was found does not look as it did before";
/// What a plan says when it is asked what it has no step for.
const NO_STEP: &str = "it has no further step";

/// Why a plan can't be made a component. It never happens with a plan that was mined, but for one that is too large.
#[derive(Debug, thiserror::Error)]
#[error("the plan can't be encoded: {0}")]
pub(crate) struct EncodeError(String);

/// The component of a plan.
///
/// # Errors
/// When the plan is too large for a component.
pub(crate) fn encode(plan: &Plan) -> Result<Vec<u8>, EncodeError> {
    let broken = |error: String| EncodeError(error);
    let mut module = wat::parse_str(text(plan)).map_err(|error| broken(error.to_string()))?;
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("reflex.wit", WIT)
        .map_err(|error| broken(error.to_string()))?;
    let world = resolve
        .select_world(&[package], Some("reflex"))
        .map_err(|error| broken(error.to_string()))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| broken(error.to_string()))?;
    // Whoever loads it validates it.
    let encoder = ComponentEncoder::default().validate(false).module(&module);
    encoder
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| broken(format!("{error:#}")))
}

/// The plan's module, as people can read it.
fn text(plan: &Plan) -> String {
    let mut texts = Texts::default();
    let mut body = String::new();
    for (idx, step) in plan.steps.iter().enumerate() {
        let arguments = built(&step.arguments, idx, &mut texts);
        let (tool, tool_len) = texts.place(&step.tool);
        let _ = write!(
            body,
            "\n    (if (i32.eq (local.get $n) (i32.const {idx}))\n      (then{arguments}\n        (return (call $call (i32.const {tool}) \
             (i32.const {tool_len}) (local.get $from) (i32.sub (global.get $top) (local.get $from))))))"
        );
    }
    let n = plan.n_given();
    let answer = built(&plan.answer, n, &mut texts);
    let (not_found, not_found_len) = texts.place(NOT_FOUND);
    let (no_step, no_step_len) = texts.place(NO_STEP);
    let top = (TEXTS_AT + texts.bytes.len()).next_multiple_of(8);
    let pages = top / PAGE_BYTES + 2;
    let next = format!(
        "(func (export \"next\") (param $values i32) (param $n_values i32) \
         (param $outcomes i32) (param $n i32) (result i32)\n    (local $from i32)\n    (block $missing{body}\n    \
         (if (i32.eq (local.get $n) (i32.const {n}))\n      (then{answer}\n        (return (call $say (i32.const 1) (local.get $from) \
         (i32.sub (global.get $top) (local.get $from))))))\n    (return (call $say (i32.const 2) (i32.const {no_step}) (i32.const {no_step_len}))))\n    \
         (call $say (i32.const 2) (i32.const {not_found}) (i32.const {not_found_len})))"
    );
    let library = library(&next)
        .replace("{top}", &top.to_string())
        .replace("{pages}", &pages.to_string());
    format!(
        "(module\n{library}\n  (data (i32.const {TEXTS_AT}) \"{}\")\n  {next}\n)",
        escaped(&texts.bytes)
    )
}

/// The library with the functions that this code calls, those that they call, and the one that the host calls. A plan is
/// ready the sooner, the less of it has to be compiled.
fn library(code: &str) -> String {
    const FUNCTION: &str = "\n  (func ";
    const OF_HOST: &str = "(export";
    let name = |text: &'static str| text.split(' ').next().unwrap_or_default();
    let mut parts = LIBRARY.split(FUNCTION);
    let head = parts.next().unwrap_or_default();
    let functions: Vec<(&str, &str)> = parts.map(|text| (name(text), text)).collect();
    let mut needed = BTreeSet::new();
    let mut open: Vec<&str> = calls(code).chain([OF_HOST]).collect();
    while let Some(called) = open.pop() {
        let function = functions.iter().find(|(name, _)| *name == called);
        if let Some((name, text)) = function
            && needed.insert(*name)
        {
            open.extend(calls(text));
        }
    }
    let functions = functions.iter();
    let needed = functions.filter(|(name, _)| needed.contains(name));
    let parts: Vec<&str> = needed.map(|(_, text)| *text).collect();
    [head, &parts.join(FUNCTION)].join(FUNCTION)
}

/// The names of the functions that are called in this code.
fn calls(code: &str) -> impl Iterator<Item = &str> {
    let calls = code.split("(call ").skip(1);
    calls.filter_map(|rest| rest.split([' ', ')']).next())
}

/// Instructions that leave a template's text between `$from` and the top, or leave `$missing`; they run where so many texts
/// are given. Values are found before the first piece is put, since what counts lines leaves its digits at the top.
fn built(template: &Template, n_given: usize, texts: &mut Texts) -> String {
    let mut code = String::new();
    let mut places = Vec::new();
    for (idx, piece) in template.0.iter().enumerate() {
        if let Piece::Value { source, form } = piece {
            let _ = write!(
                code,
                "\n        (br_if $missing (i32.eqz {}))",
                found(source, n_given, texts)
            );
            let check = match form {
                Form::Plain => Some("$is_plain"),
                Form::Number => Some("$is_number"),
                Form::Raw | Form::Json => None,
            };
            if let Some(check) = check {
                let _ = write!(code, "\n        (br_if $missing (i32.eqz (call {check})))");
            }
            // Two words of memory keep where it is.
            let place = texts.reserve(8);
            let _ = write!(
                code,
                "\n        (i32.store (i32.const {place}) (global.get $at))\n        (i32.store (i32.const {}) (global.get $len))",
                place + 4
            );
            places.push((idx, place));
        }
    }
    code.push_str("\n        (local.set $from (global.get $top))");
    for (idx, piece) in template.0.iter().enumerate() {
        match piece {
            Piece::Text(text) => {
                let (at, len) = texts.place(text);
                let _ = write!(
                    code,
                    "\n        (call $put (i32.const {at}) (i32.const {len}))"
                );
            }
            Piece::Value { form, .. } => {
                let put = if *form == Form::Json {
                    "$put_json"
                } else {
                    "$put"
                };
                let place = places
                    .iter()
                    .find(|(at, _)| *at == idx)
                    .map_or(0, |(_, place)| *place);
                let _ = write!(
                    code,
                    "\n        (call {put} (i32.load (i32.const {place})) (i32.load (i32.const {})))",
                    place + 4
                );
            }
        }
    }
    code
}

/// An instruction that looks for a value where so many texts are given, and says whether it is there.
fn found(source: &Source, n_given: usize, texts: &mut Texts) -> String {
    let line;
    let (call, extract) = match source {
        Source::Slot(slot) => {
            return format!(
                "(call $item (local.get $values) (local.get $n_values) (i32.const {slot}))"
            );
        }
        Source::Outcome { call, extract } => (*call, extract),
        Source::Computed(value) => {
            line = Extract::Line(*value);
            (n_given.saturating_sub(1), &line)
        }
    };
    let call = call * 8;
    // The step is only reached when the outcome is there.
    let outcome = format!(
        "(i32.load offset={call} (local.get $outcomes)) (i32.load offset={} (local.get $outcomes))",
        call + 4
    );
    match extract {
        Extract::Whole => format!("(call $whole {outcome})"),
        Extract::Lines => format!("(call $lines {outcome})"),
        Extract::Line(line) => format!("(call $line {outcome} (i32.const {line}))"),
        Extract::Number(number) => format!("(call $number {outcome} (i32.const {number}))"),
        Extract::Between { before, after } => {
            let (before, before_len) = texts.place(before);
            let (after, after_len) = texts.place(after);
            format!(
                "(call $between {outcome} (i32.const {before}) (i32.const {before_len}) (i32.const {after}) (i32.const {after_len}))"
            )
        }
    }
}

/// The texts of a plan, one after the other.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
}

impl Texts {
    /// Where a text stands, and its length.
    fn place(&mut self, text: &str) -> (usize, usize) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(text.as_bytes());
        (TEXTS_AT + at, text.len())
    }

    /// Room for so many bytes, aligned to four.
    fn reserve(&mut self, bytes: usize) -> usize {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(4) + bytes, 0);
        TEXTS_AT + self.bytes.len() - bytes
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 3), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        })
}
