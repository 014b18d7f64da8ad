//! Calls that do harm, and honest ones.

use super::{Place, failure, text};
use crate::CallError;
use crate::trouble::Halt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use titan_testkit::component::{Guest, run};

/// What may pass beyond a limit before the call has ended, on a busy machine.
const LATE_MAX: Duration = Duration::from_millis(400);

#[test]
fn a_component_adds_and_says_what_it_is() {
    let place = Place::new();
    let adder = place.load(&Guest::adder());
    assert_eq!(adder.spec().name, "add");
    assert_eq!(adder.capabilities(), []);
    assert_eq!(text(place.add(19, 23)), "42");
    assert_eq!(text(place.run(&Guest::echo())), "{}");
}

#[test]
fn what_a_component_says_went_wrong_is_its_answer() {
    let code = run("(call $wrong (local.get $at) (local.get $bytes))");
    let finished = Place::new().run(&Guest::new("no", &code));
    assert_eq!(finished.result, Ok(Err("{}".to_owned())));
}

#[test]
fn s1_code_without_end_is_stopped_in_time_wherever_it_stands() {
    let place = Place::new();
    let spinning = "(loop $on (br $on)) unreachable";
    let recursive = format!(
        "(func $deep (call $deeper)) (func $deeper (loop $on (br $on))) {}",
        run("(call $deep) unreachable")
    );
    for code in [run(spinning), recursive] {
        let bytes = Guest::new("spin", &code).bytes();
        for spin in [place.host.load(&bytes), place.host.load_once(&bytes)] {
            let (spin, started) = (spin.unwrap(), Instant::now());
            let told = failure(spin.call("{}", &Arc::default())).to_string();
            assert!(started.elapsed() < Duration::from_millis(100) + LATE_MAX);
            assert_eq!(told, "the component was stopped after 0.1 s");
        }
    }
    let host_calls = run("(loop $on (drop (call $now)) (br $on)) unreachable");
    let told = place.broken(&Guest::new("flood", &host_calls).with(&["clock"]));
    assert_eq!(
        told,
        "the component called the host more than the 1000 times that it may"
    );
}

#[test]
fn s1_a_component_that_spins_when_it_is_loaded_is_refused() {
    let place = Place::new();
    let start = format!(
        "(func $spin (loop $on (br $on))) (start $spin) {}",
        run("unreachable")
    );
    let mut described = Guest::new("spin", &run("unreachable"));
    described.before_describe = "(loop $on (br $on))".to_owned();
    for guest in [Guest::new("spin", &start), described] {
        let told = place.refused(&guest);
        assert_eq!(
            told,
            "the component can't say what it is: the component was stopped after 0.1 s"
        );
    }
}

#[test]
fn s1_a_host_stays_live_while_components_spin() {
    let place = Place::new();
    let spin = place.load(&Guest::new("spin", &run("(loop $on (br $on)) unreachable")));
    let adder = place.load(&Guest::adder());
    std::thread::scope(|scope| {
        let spinning: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| failure(spin.call("{}", &Arc::default()))))
            .collect();
        for _ in 0..50 {
            assert_eq!(text(adder.call(r#"{"a":1,"b":2}"#, &Arc::default())), "3");
        }
        for call in spinning {
            let after = Duration::from_millis(100);
            assert_eq!(
                call.join().unwrap(),
                CallError::Halted(Halt::Time { after })
            );
        }
    });
}

#[test]
fn s1_a_call_that_nobody_waits_for_is_stopped() {
    let place = Place::new();
    let spin = place.load(&Guest::new("spin", &run("(loop $on (br $on)) unreachable")));
    let is_stopped = Arc::default();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| failure(spin.call("{}", &is_stopped)));
        is_stopped.store(true, Ordering::Relaxed);
        assert_eq!(call.join().unwrap(), CallError::Halted(Halt::Stopped));
    });
}

#[test]
fn s1_recursion_without_end_breaks_off_with_the_functions_named() {
    let code = format!(
        "(func $dig (param i64) (result i64) (i64.add (call $dig (local.get 0)) (call $dig (local.get 0)))) {}",
        run("(drop (call $dig (i64.const 1))) unreachable")
    );
    let told = Place::new().broken(&Guest::new("dig", &code));
    assert!(
        told.starts_with("the component broke off: call stack exhausted, in dig, called by dig"),
        "{told}"
    );
}

#[test]
fn s2_memory_without_end_is_bounded_and_told() {
    let place = Place::new();
    let grow =
        "(loop $on (br_if $on (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    let at_once = "(drop (memory.grow (i32.const 65000))) unreachable";
    for code in [grow, at_once] {
        let told = place.broken(&Guest::new("bomb", &run(code)));
        assert_eq!(
            told,
            "the component wanted more than the 4194304 bytes of memory that it may have"
        );
    }
}

#[test]
fn s2_a_component_that_takes_a_no_goes_on_and_one_that_is_large_from_the_start_is_refused() {
    let place = Place::new();
    let polite =
        "(drop (memory.grow (i32.const 1000))) (call $ok (local.get $at) (local.get $bytes))";
    assert_eq!(text(place.run(&Guest::new("polite", &run(polite)))), "{}");
    for pages in [1_000, 30_000, 65_536] {
        let large = Guest {
            pages,
            ..Guest::echo()
        };
        let told = place.refused(&large);
        assert!(told.contains("memory"), "{told}");
    }
}

#[test]
fn s2_tables_without_end_are_bounded_and_told() {
    let code = format!(
        "(table $t 1 funcref) {}",
        run(
            "(loop $on (br_if $on (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable"
        )
    );
    let told = Place::new().broken(&Guest::new("tables", &code));
    assert_eq!(
        told,
        "the component wanted more than the 20000 table entries that it may have"
    );
}

#[test]
fn s2_an_output_without_end_is_bounded_and_told() {
    let place = Place::new();
    let large = |bytes: u32| {
        let code = format!(
            "(drop (memory.grow (i32.const 40))) (call $ok (i32.const 8192) (i32.const {bytes}))"
        );
        Guest::new("flood", &run(&code))
    };
    let told = "the component gave back more than the 65536 bytes that it may";
    assert_eq!(place.broken(&large(65_537)), told);
    assert_eq!(place.broken(&large(2_000_000)), told);
    assert_eq!(text(place.run(&large(65_536))).len(), 65_536);
}

#[test]
fn s4_crooked_pointers_trap_and_the_host_goes_on() {
    let place = Place::new();
    let crooked = [
        "(call $ok (i32.const -16) (i32.const 32))",
        "(call $ok (i32.const 0) (i32.const 2147483647))",
        "(call $ok (i32.const -1) (i32.const -1))",
        "(call $wrong (i32.const 131072) (i32.const 1))",
        "(call $given (i32.const 7) (i32.const 0) (i32.const 0))",
        "(i32.const 3)",
        "(i32.const -4)",
        "(i32.const 131068)",
        "(i32.store8 (i32.const 512) (i32.const 255)) (call $ok (i32.const 512) (i32.const 1))",
        "(i32.load (i32.const 131072))",
        "(i32.store (i32.const -1) (i32.const 1)) (i32.const 0)",
        "(i32.div_u (i32.const 1) (i32.const 0))",
        "unreachable",
    ];
    for code in crooked {
        let told = place.broken(&Guest::new("crooked", &run(code)));
        assert!(
            told.starts_with("the component broke off: "),
            "{code}: {told}"
        );
    }
}

#[test]
fn s4_crooked_pointers_into_the_host_trap_too() {
    let place = Place::new();
    for line in [
        "(i32.const -16) (i32.const 64)",
        "(i32.const 0) (i32.const -1)",
        "(i32.const 131071) (i32.const 2)",
    ] {
        let code = run(&format!(
            "(call $write {line}) (call $ok (i32.const 0) (i32.const 0))"
        ));
        let told = place.broken(&Guest::new("crooked", &code).with(&["log"]));
        assert!(told.starts_with("the component broke off: "), "{told}");
    }
    let code = run(
        "(i32.store8 (i32.const 512) (i32.const 255)) (call $write (i32.const 512) (i32.const 1)) unreachable",
    );
    let told = place.broken(&Guest::new("crooked", &code).with(&["log"]));
    assert!(told.contains("utf-8"), "{told}");
}

#[test]
fn s4_a_realloc_that_gives_a_crooked_address_traps() {
    let place = Place::new();
    let echo = place.load(&Guest::echo());
    // The little allocator of these guests gives addresses beyond the memory once the arguments are too long.
    let long = "x".repeat(200_000);
    let told = failure(echo.call(&long, &Arc::default())).to_string();
    assert!(told.starts_with("the component broke off: "), "{told}");
    assert_eq!(text(place.add(1, 1)), "2");
}

#[test]
fn s5_nothing_of_one_call_is_seen_by_the_next() {
    let place = Place::new();
    let code = format!(
        "(global $calls (mut i32) (i32.const 48)) {}",
        run("(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
             (i32.store8 (i32.const 513) (i32.load8_u (i32.const 70000)))
             (i32.store8 (i32.const 70000) (i32.const 65))
             (i32.store8 (i32.const 512) (global.get $calls)) (call $ok (i32.const 512) (i32.const 2))")
    );
    let counter = place.load(&Guest::new("count", &code));
    for _ in 0..20 {
        assert_eq!(text(counter.call("{}", &Arc::default())), "1\0");
        drop(counter.call(&"secret ".repeat(9_000), &Arc::default()));
    }
}

#[test]
fn s9_lines_are_bounded() {
    let code = run("(local $n i32) (loop $on (call $write (i32.const 8192) (i32.const 1000))
        (local.set $n (i32.add (local.get $n) (i32.const 1))) (br_if $on (i32.lt_u (local.get $n) (i32.const 500))))
        (call $ok (i32.const 0) (i32.const 0))");
    let finished = Place::new().run(&Guest::new("chatty", &code).with(&["log"]));
    assert_eq!(finished.result, Ok(Ok(String::new())));
    assert!(finished.log.len() <= 8 << 10);
}

#[test]
fn clock_and_random_give_what_they_say() {
    let place = Place::new();
    let sane = "(if (i64.lt_u (call $now) (i64.const 1700000000000)) (then unreachable))
        (if (i64.eq (call $next) (call $next)) (then unreachable))
        (call $ok (local.get $at) (local.get $bytes))";
    let guest = Guest::new("sane", &run(sane)).with(&["clock", "random"]);
    assert_eq!(text(place.run(&guest)), "{}");
}
