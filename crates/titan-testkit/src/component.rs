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
    /// What it imports: of `log`, `clock` and `random`, which its code calls as `$write`, `$now` and `$next`; and of `state`,
    /// `http` and `tools`, which it calls as `$state_get`, `$state_set`, `$http_get` and `$tool_call`, with addresses and
    /// lengths of what is given and the address where the answer is put.
    pub imports: Vec<String>,
    /// The hosts that it declares.
    pub hosts: Vec<String>,
    /// The tools that it declares.
    pub tools: Vec<String>,
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
            hosts: Vec::new(),
            tools: Vec::new(),
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

    /// Imports and declares `http` for this host.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self.and("http")
    }

    /// Imports and declares `tools` for this tool.
    #[must_use]
    pub fn with_tool(mut self, tool: &str) -> Self {
        self.tools.push(tool.to_owned());
        self.and("tools")
    }

    fn and(mut self, capability: &str) -> Self {
        if !self.imports.iter().any(|one| one == capability) {
            self.capabilities.push(capability.to_owned());
            self.imports.push(capability.to_owned());
        }
        self
    }

    /// Whether it is of version 0.2.0 of the world.
    fn is_second(&self) -> bool {
        let new = |one: &String| matches!(one.as_str(), "state" | "http" | "tools");
        self.capabilities.iter().chain(&self.imports).any(new)
    }

    /// Its bytes.
    ///
    /// # Panics
    /// When the code is no code.
    pub fn bytes(&self) -> Vec<u8> {
        assemble(&self.text())
    }

    fn text(&self) -> String {
        let version = if self.is_second() { "0.2.0" } else { "0.1.0" };
        let imports: Vec<Import> = self.imports.iter().map(|name| Import::of(name)).collect();
        let lowered: String = imports.iter().map(Import::lowered).collect();
        let core: String = imports.iter().map(Import::core).collect();
        let with = with_host(&imports);
        let imports: String = imports.iter().map(|one| one.component(version)).collect();
        let more = if self.is_second() {
            r#"(field "hosts" (list string)) (field "tools" (list string))"#
        } else {
            ""
        };
        let (pages, code, before) = (self.pages, &self.code, &self.before_describe);
        let data = self.data();
        format!(
            r#"(component
  (type $spec' (record (field "name" string) (field "description" string) (field "input-schema" string)
    (field "capabilities" (list string)) {more}))
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
  (export "run" (func $run)))"#
        )
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
        let lists: &[&Vec<String>] = if self.is_second() {
            &[&self.capabilities, &self.hosts, &self.tools]
        } else {
            &[&self.capabilities]
        };
        // The lists' places, then what is in them.
        let (mut places, mut listed) = (Vec::new(), Vec::new());
        let begin = SPEC + 24 + 8 * u32::try_from(lists.len()).unwrap_or(u32::MAX);
        for list in lists {
            let before = u32::try_from(listed.len()).unwrap_or(u32::MAX) * 4;
            places.extend([
                begin + before,
                u32::try_from(list.len()).unwrap_or(u32::MAX),
            ]);
            listed.extend(list.iter().flat_map(|text| put(text)));
        }
        let record: Vec<u8> = [&spec[..], &places[..], &listed[..]]
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

/// How a capability is imported, made core functions, imported by the core module and handed to it.
struct Import {
    /// Its name, or the whole name of an interface with one function `go`.
    name: String,
    /// Types that its functions name.
    types: &'static str,
    functions: &'static [Function],
}

/// A function: what it is called in the interface, in the code, its type there and its type here.
type Function = (&'static str, &'static str, &'static str, &'static str);

impl Import {
    fn of(name: &str) -> Self {
        let functions: &[Function] = match name {
            "log" => &[(
                "write",
                "write",
                r#"(param "line" string)"#,
                "(param i32 i32)",
            )],
            "clock" => &[("now", "now", "(result u64)", "(result i64)")],
            "random" => &[("next", "next", "(result u64)", "(result i64)")],
            "state" => &[
                (
                    "get",
                    "state_get",
                    r#"(param "key" string) (result (option (list u8)))"#,
                    "(param i32 i32 i32)",
                ),
                (
                    "set",
                    "state_set",
                    r#"(param "key" string) (param "value" (list u8)) (result (result (error string)))"#,
                    "(param i32 i32 i32 i32 i32)",
                ),
            ],
            "http" => &[(
                "get",
                "http_get",
                r#"(param "url" string) (result (result $response (error string)))"#,
                "(param i32 i32 i32)",
            )],
            "tools" => &[(
                "call",
                "tool_call",
                r#"(param "name" string) (param "arguments" string) (result (result string (error string)))"#,
                "(param i32 i32 i32 i32 i32)",
            )],
            _ => &[("go", "go", "", "")],
        };
        let types = match name {
            "http" => {
                r#"(type $response' (record (field "status" u16) (field "content-type" string) (field "location" string)
                    (field "body" (list u8)))) (export "response" (type $response (eq $response')))"#
            }
            _ => "",
        };
        Self {
            name: name.to_owned(),
            types,
            functions,
        }
    }

    fn component(&self, version: &str) -> String {
        let exports = self.functions.iter();
        let exports: String = exports
            .map(|(name, _, kind, _)| format!(r#"(export "{name}" (func {kind}))"#))
            .collect();
        let interface = match self.functions {
            [("go", ..)] => self.name.clone(),
            _ => format!("titanclaw:tool/{}@{version}", self.name),
        };
        let (instance, types) = (self.instance(), self.types);
        format!(r#"(import "{interface}" (instance {instance} {types} {exports}))"#)
    }

    fn lowered(&self) -> String {
        let instance = self.instance();
        let lower = |(name, code, ..): &Function| {
            format!(
                r#"(core func ${code} (canon lower (func {instance} "{name}") (memory $memory) (realloc (core func $realloc))))"#
            )
        };
        self.functions.iter().map(lower).collect()
    }

    fn core(&self) -> String {
        let import = |(_, code, _, core): &Function| {
            format!(r#"(import "host" "{code}" (func ${code} {core}))"#)
        };
        self.functions.iter().map(import).collect()
    }

    fn handed(&self) -> String {
        let hand = |(_, code, ..): &Function| format!(r#"(export "{code}" (func ${code}))"#);
        self.functions.iter().map(hand).collect()
    }

    fn instance(&self) -> String {
        match self.functions {
            [("go", ..)] => "$other".to_owned(),
            _ => format!("${}-interface", self.name),
        }
    }
}

fn with_host(imports: &[Import]) -> String {
    let exports: String = imports.iter().map(Import::handed).collect();
    match exports.is_empty() {
        true => String::new(),
        false => format!(r#"(with "host" (instance {exports}))"#),
    }
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
