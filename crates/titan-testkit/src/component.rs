//! Small components of the world `tool`, written by hand in the text format, so that tests need no second compiler.

use std::fmt::Write;

/// Where `run` puts what it gives back.
const GIVEN: u32 = 64;
/// Where `describe` keeps what it gives back.
const SPEC: u32 = 128;
/// Where its texts begin.
const TEXTS: u32 = 1024;

/// A component that is a tool. What is not said is as in an honest one.
#[derive(Clone, Debug)]
pub struct Guest {
    /// What it says its name is.
    pub name: String,
    /// What it says it does.
    pub description: String,
    /// What it says its arguments are.
    pub schema: String,
    /// What it declares.
    pub capabilities: Vec<String>,
    /// What it imports: of `log`, `clock` and `random`, which its code calls as `$write`, `$now` and `$next`.
    pub imports: Vec<String>,
    /// Pages of its memory at the start, of 64 KiB.
    pub pages: u64,
    /// Core functions. One is exported as `run`, takes the address and length of the arguments and gives what `$ok` or
    /// `$wrong` gave for the address and length of a text.
    pub code: String,
    /// Instructions that `describe` begins with.
    pub before_describe: String,
}

impl Guest {
    /// A tool of this name that runs this code.
    pub fn new(name: &str, code: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: "Does what the test needs.".to_owned(),
            schema: r#"{"type":"object","properties":{},"additionalProperties":false}"#.to_owned(),
            capabilities: Vec::new(),
            imports: Vec::new(),
            pages: 2,
            code: code.to_owned(),
            before_describe: String::new(),
        }
    }

    /// Adds the whole numbers in its arguments.
    pub fn adder() -> Self {
        Self {
            description: "Adds two whole numbers that are not below zero.".to_owned(),
            schema: r#"{"type":"object","properties":{"a":{"type":"integer","minimum":0},"b":{"type":"integer","minimum":0}},"required":["a","b"],"additionalProperties":false}"#.to_owned(),
            ..Self::new("add", ADD)
        }
    }

    /// Gives its arguments back.
    pub fn echo() -> Self {
        Self {
            schema: r#"{"type":"object","properties":{"text":{"type":"string"}},"additionalProperties":false}"#.to_owned(),
            ..Self::new("echo", &run("(call $ok (local.get $at) (local.get $bytes))"))
        }
    }

    /// Imports and declares these.
    #[must_use]
    pub fn with(mut self, capabilities: &[&str]) -> Self {
        self.capabilities = capabilities.iter().map(ToString::to_string).collect();
        self.imports = self.capabilities.clone();
        self
    }

    /// Its bytes.
    ///
    /// # Panics
    /// When the code is no code.
    pub fn bytes(&self) -> Vec<u8> {
        assemble(&self.text())
    }

    fn text(&self) -> String {
        let imports: String = self.imports.iter().map(|name| import(name).0).collect();
        let lowered: String = self.imports.iter().map(|name| import(name).1).collect();
        let core: String = self.imports.iter().map(|name| import(name).2).collect();
        let (pages, code, before) = (self.pages, &self.code, &self.before_describe);
        let data = self.data();
        format!(
            r#"(component
  (type $spec' (record (field "name" string) (field "description" string) (field "input-schema" string)
    (field "capabilities" (list string))))
  (import "spec" (type $spec (eq $spec')))
  {imports}
  (core module $room
    (memory (export "memory") {pages})
    (global $free (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $free)
      (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 7)) (i32.const -8)))))
  (core instance $room (instantiate $room))
  (alias core export $room "memory" (core memory $memory))
  (core func $realloc (alias core export $room "realloc"))
  {lowered}
  (core module $main
    (import "room" "memory" (memory 1))
    {core}
    {data}
    (func $given (param $kind i32) (param $at i32) (param $bytes i32) (result i32)
      (i32.store (i32.const {GIVEN}) (local.get $kind))
      (i32.store offset=4 (i32.const {GIVEN}) (local.get $at))
      (i32.store offset=8 (i32.const {GIVEN}) (local.get $bytes))
      (i32.const {GIVEN}))
    (func $ok (param i32 i32) (result i32) (call $given (i32.const 0) (local.get 0) (local.get 1)))
    (func $wrong (param i32 i32) (result i32) (call $given (i32.const 1) (local.get 0) (local.get 1)))
    (func $describe (export "describe") (result i32) {before} (i32.const {SPEC}))
    {code})
  (core instance $main (instantiate $main (with "room" (instance $room)) {with}))
  (func $describe (result $spec)
    (canon lift (core func $main "describe") (memory $memory) (realloc (core func $realloc))))
  (func $run (param "arguments" string) (result (result string (error string)))
    (canon lift (core func $main "run") (memory $memory) (realloc (core func $realloc))))
  (export "describe" (func $describe))
  (export "run" (func $run)))"#,
            with = self.with_host(),
        )
    }

    fn with_host(&self) -> String {
        match self.imports.is_empty() {
            true => String::new(),
            false => {
                let exports: String = self.imports.iter().map(|name| import(name).3).collect();
                format!(r#"(with "host" (instance {exports}))"#)
            }
        }
    }

    /// The texts of the spec, and the record that says where they are.
    fn data(&self) -> String {
        let mut texts = Vec::new();
        let mut put = |text: &str| {
            let at = TEXTS + u32::try_from(texts.len()).unwrap_or(u32::MAX);
            texts.extend_from_slice(text.as_bytes());
            [at, u32::try_from(text.len()).unwrap_or(u32::MAX)]
        };
        let spec: Vec<u32> = [&self.name, &self.description, &self.schema]
            .into_iter()
            .flat_map(|text| put(text))
            .collect();
        let capabilities: Vec<u32> = self
            .capabilities
            .iter()
            .flat_map(|text| put(text))
            .collect();
        let count = u32::try_from(self.capabilities.len()).unwrap_or(u32::MAX);
        let list = [SPEC + 32, count];
        let record: Vec<u8> = [&spec[..], &list[..], &capabilities[..]]
            .concat()
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        format!(
            "(data (i32.const {SPEC}) \"{}\") (data (i32.const {TEXTS}) \"{}\")",
            escaped(&record),
            escaped(&texts)
        )
    }
}

/// The bytes of a module or component in the text format.
///
/// # Panics
/// When it is none.
pub fn assemble(text: &str) -> Vec<u8> {
    match wat::parse_str(text) {
        Ok(bytes) => bytes,
        Err(error) => panic!("{error}"),
    }
}

/// A function `run` whose arguments are `$at` and `$bytes`.
pub fn run(instructions: &str) -> String {
    format!(
        r#"(func $run (export "run") (param $at i32) (param $bytes i32) (result i32) {instructions})"#
    )
}

/// How a capability is imported, made a core function, imported by the core module and handed to it. Another name is
/// that of an interface with one function `go`.
fn import(name: &str) -> (String, String, String, String) {
    let (interface, function, kind, core) = match name {
        "log" => (
            "titanclaw:tool/log@0.1.0",
            "write",
            r#"(param "line" string)"#,
            "(param i32 i32)",
        ),
        "clock" => (
            "titanclaw:tool/clock@0.1.0",
            "now",
            "(result u64)",
            "(result i64)",
        ),
        "random" => (
            "titanclaw:tool/random@0.1.0",
            "next",
            "(result u64)",
            "(result i64)",
        ),
        other => (other, "go", "", ""),
    };
    (
        format!(
            r#"(import "{interface}" (instance ${function} (export "{function}" (func {kind}))))"#
        ),
        format!(
            r#"(core func ${function} (canon lower (func ${function} "{function}") (memory $memory)))"#
        ),
        format!(r#"(import "host" "{function}" (func ${function} {core}))"#),
        format!(r#"(export "{function}" (func ${function}))"#),
    )
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "\\{byte:02x}");
        text
    })
}

const ADD: &str = r#"
(func $digits (param $sum i64) (result i32) (local $at i32)
  (local.set $at (i32.const 1000))
  (loop $next
    (local.set $at (i32.sub (local.get $at) (i32.const 1)))
    (i32.store8 (local.get $at)
      (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $sum) (i64.const 10)))))
    (local.set $sum (i64.div_u (local.get $sum) (i64.const 10)))
    (br_if $next (i64.ne (local.get $sum) (i64.const 0))))
  (local.get $at))
(func $run (export "run") (param $at i32) (param $bytes i32) (result i32)
  (local $sum i64) (local $number i64) (local $char i32)
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $bytes)))
      (local.set $char (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
      (if (i32.lt_u (local.get $char) (i32.const 10))
        (then (local.set $number (i64.add (i64.mul (local.get $number) (i64.const 10))
          (i64.extend_i32_u (local.get $char)))))
        (else
          (local.set $sum (i64.add (local.get $sum) (local.get $number)))
          (local.set $number (i64.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $bytes (i32.sub (local.get $bytes) (i32.const 1)))
      (br $next)))
  (local.set $char (call $digits (i64.add (local.get $sum) (local.get $number))))
  (call $ok (local.get $char) (i32.sub (i32.const 1000) (local.get $char))))"#;
