//! Components that are not taken.

use super::{Place, config, refusal};
use crate::{Capability, Config, LoadError, WasmHost};
use titan_testkit::component::{Guest, run};

fn echo() -> Guest {
    Guest::echo()
}

#[test]
fn s3_what_is_imported_without_being_declared_does_not_link() {
    let place = Place::new();
    for capability in Capability::ALL {
        let mut guest = match capability {
            Capability::Wasi => Guest {
                imports: vec!["wasi:filesystem/types@0.2.0".to_owned()],
                ..echo()
            },
            own => echo().with(&[own.name()]),
        };
        guest.capabilities.clear();
        assert_eq!(
            refusal(place.host.load(&guest.bytes())),
            LoadError::Undeclared(capability)
        );
    }
}

#[test]
fn s3_what_no_component_gets_does_not_link() {
    let place = Place::new();
    for import in [
        "wasi:filesystem/types@0.3.0",
        "wasi:keyvalue/store@0.2.0",
        "wasi:http/outgoing-handler@0.2.0",
        "titanclaw:tool/files@0.1.0",
        "titanclaw:tool/log@0.3.0",
        "titanclaw:tool/http@0.1.0",
        "titanclaw:tool/shell@0.1.0",
        "go",
    ] {
        let mut guest = echo();
        guest.imports = vec![import.to_owned()];
        let told = refusal(place.host.load(&guest.bytes()));
        assert_eq!(told, LoadError::Import(import.to_owned()));
    }
    let mut declared = echo();
    declared.capabilities = vec!["network".to_owned()];
    assert_eq!(
        place.refused(&declared),
        "the component wants \"network\", which no component gets; there are log, clock, random, state, http, tools and wasi"
    );
}

#[test]
fn s3_what_was_not_granted_does_not_link() {
    let folder = tempfile::tempdir().unwrap();
    let host = WasmHost::open(Config {
        granted: vec![Capability::Log],
        ..config(&folder)
    });
    let host = host.unwrap();
    assert!(host.load(&echo().with(&["log"]).bytes()).is_ok());
    let refused = refusal(host.load(&echo().with(&["log", "clock"]).bytes()));
    assert_eq!(refused, LoadError::NotGranted(Capability::Clock));
}

#[test]
fn s3_a_component_that_uses_an_import_to_say_what_it_is_breaks_off() {
    let mut guest = echo().with(&["clock"]);
    guest.before_describe = "(drop (call $now))".to_owned();
    let told = Place::new().refused(&guest);
    assert!(
        told.starts_with("the component can't say what it is: the component broke off: "),
        "{told}"
    );
}

#[test]
fn what_is_no_component_is_told_apart() {
    let place = Place::new();
    let module = wat("(module (func (export \"run\")))");
    for bytes in [
        &b""[..],
        b"\0asm",
        b"MZ",
        b"#!/bin/sh\n",
        &[0; 4096],
        &module,
    ] {
        assert_eq!(refusal(place.host.load(bytes)), LoadError::NoComponent);
    }
    for empty in ["(component)", "(component (core module))"] {
        let refused = refusal(place.host.load(&wat(empty)));
        assert!(matches!(refused, LoadError::NoTool(_)), "{refused}");
    }
}

#[test]
fn s2_truncated_and_damaged_bytes_are_refused_or_run_and_never_break_the_host() {
    let place = Place::new();
    let whole = Guest::adder().with(&["log", "clock"]).bytes();
    for end in (0..whole.len()).step_by(7) {
        // Without its names, which come last, it is still whole.
        if let Ok(component) = place.host.load(&whole[..end]) {
            let sum = component.call(r#"{"a":1,"b":2}"#, &std::sync::Arc::default());
            assert_eq!(super::text(sum), "3");
        }
    }
    for at in (0..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        if let Ok(component) = place.host.load(&damaged) {
            drop(component.call(r#"{"a":1,"b":2}"#, &std::sync::Arc::default()));
        }
    }
}

#[test]
fn s2_modules_of_any_size_are_measured_before_they_are_compiled() {
    let place = Place::new();
    let too_large = |bytes: &[u8], what: &str| match refusal(place.host.load(bytes)) {
        LoadError::TooLarge { what: told, .. } => assert_eq!(told, what),
        other => panic!("{other}"),
    };
    too_large(&vec![0; (8 << 20) + 1], "bytes");
    let many = format!("(component (core module {}))", "(func)".repeat(20_001));
    too_large(&wat(&many), "functions");
    let long = format!(
        "(component (core module (func {})))",
        "nop ".repeat(300_000)
    );
    too_large(&wat(&long), "bytes in one function");
    let modules = format!("(component {})", "(core module)".repeat(65));
    too_large(&wat(&modules), "modules");
    let deep = format!("{}{}", "(component ".repeat(10), ")".repeat(10));
    too_large(&wat(&deep), "levels of nesting");
}

#[test]
fn s2_two_memories_and_shared_memory_are_refused() {
    let place = Place::new();
    for memory in [
        "(memory 1) (memory 1)",
        "(memory 1 2 shared)",
        "(memory i64 1)",
    ] {
        let code = format!("(component (core module {memory}) (core module $m (memory 1)))");
        let refused = refusal(place.host.load(&wat(&code)));
        assert!(!refused.to_string().contains('\n'), "{refused}");
    }
}

#[test]
fn a_component_of_another_world_is_no_tool() {
    let place = Place::new();
    let wrong_type = r#"(component (core module $m (func (export "run") (result i32) (i32.const 1)))
        (core instance $i (instantiate $m)) (func (export "run") (result u32) (canon lift (core func $i "run"))))"#;
    let refused = refusal(place.host.load(&wat(wrong_type)));
    assert!(matches!(refused, LoadError::NoTool(_)), "{refused}");
}

#[test]
fn a_name_that_is_none_is_refused() {
    let place = Place::new();
    for name in [
        "",
        "Add",
        "../add",
        "add.wasm",
        "a b",
        "аdd",
        "1st",
        "a\u{1b}[2J",
        &"a".repeat(65),
    ] {
        let guest = Guest {
            name: name.to_owned(),
            ..echo()
        };
        let told = place.refused(&guest);
        assert!(told.contains("is no tool name"), "{told}");
    }
}

#[test]
fn p16_a_description_that_hides_something_is_refused() {
    let place = Place::new();
    for (text, why) in [
        ("", "is empty"),
        ("Adds.\u{202e}sdda", "nobody sees"),
        ("Adds.\u{1b}[8mhidden", "nobody sees"),
        ("Adds.\u{e0041}", "nobody sees"),
        (&"long ".repeat(1_000), "4096 bytes"),
    ] {
        let guest = Guest {
            description: text.to_owned(),
            ..echo()
        };
        let told = place.refused(&guest);
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn a_schema_that_is_none_is_refused() {
    let place = Place::new();
    let large = format!(
        r#"{{"type":"object","additionalProperties":false,"title":"{}"}}"#,
        "x".repeat(17_000)
    );
    for (schema, why) in [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[]", "must be that of an object"),
        (r#"{"type":"object"}"#, "must be that of an object"),
        (
            r#"{"type":"string","additionalProperties":false}"#,
            "must be that of an object",
        ),
        (
            r#"{"type":"object","additionalProperties":false,"properties":5}"#,
            "is no schema",
        ),
        (
            r#"{"type":"object","additionalProperties":false,"required":"a"}"#,
            "is no schema",
        ),
        (
            r#"{"type":"object","additionalProperties":false,"$ref":"https://example.com/s"}"#,
            "is no schema",
        ),
        (
            r#"{"type":"object","additionalProperties":false,"properties":{"a":{"pattern":"("}}}"#,
            "is no schema",
        ),
        (&large, "has more than"),
        (&"[".repeat(5_000), "is no JSON"),
    ] {
        let guest = Guest {
            schema: schema.to_owned(),
            pages: 3,
            ..echo()
        };
        let told = place.refused(&guest);
        assert!(told.contains(why), "{schema:.80}: {told}");
    }
}

#[test]
fn s4_a_component_that_lies_about_its_own_texts_breaks_off() {
    let place = Place::new();
    for lie in [
        "(i32.store offset=132 (i32.const 0) (i32.const -1))",
        "(i32.store offset=128 (i32.const 0) (i32.const -9))",
        "(i32.store offset=156 (i32.const 0) (i32.const 2147483647))",
    ] {
        let mut guest = Guest::new("liar", &run("unreachable"));
        guest.before_describe = lie.to_owned();
        let told = place.refused(&guest);
        assert!(
            told.starts_with("the component can't say what it is"),
            "{told}"
        );
    }
}

fn wat(text: &str) -> Vec<u8> {
    titan_testkit::component::assemble(text)
}
