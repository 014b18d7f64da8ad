//! Components that compute a value for a reflex.

use super::Place;
use std::sync::Arc;
use titan_protocol::{Computation, ReflexHost};
use titan_testkit::component::{Guest, run};

impl Place {
    fn computation(&self, guest: &Guest) -> Result<Arc<dyn Computation>, String> {
        self.host.computation(&guest.bytes())
    }
}

#[test]
fn a_computation_gives_what_it_computes() {
    let place = Place::new();
    let adder = place.computation(&Guest::adder()).expect("it is pure");
    assert_eq!(adder.compute(r#"{"a":40,"b":2}"#), Ok("42".to_owned()));
    let wrong = Guest::new(
        "odd",
        &run("(call $wrong (local.get $at) (local.get $bytes))"),
    );
    let wrong = place.computation(&wrong).expect("it is pure");
    assert_eq!(wrong.compute("no number"), Err("no number".to_owned()));
}

#[test]
fn s3_a_computation_gets_no_capability_even_if_it_declares_it() {
    let place = Place::new();
    let logs = Guest::adder().with(&["log"]);
    assert!(
        place.computation(&logs).is_ok(),
        "nobody reads what it says"
    );
    for capability in ["clock", "random", "state"] {
        let guest = Guest::adder().with(&[capability]);
        let refused = place.computation(&guest).err().expect("it is refused");
        assert!(refused.contains(capability), "{refused}");
    }
}

#[test]
fn s1_a_computation_that_runs_on_breaks_off_or_gives_too_much_is_stopped_and_told() {
    let place = Place::new();
    let compute = |code: &str| {
        let guest = Guest::new("odd", &run(code));
        let computation = place.computation(&guest).expect("it is pure");
        computation.compute("{}").expect_err("it gives nothing")
    };
    assert!(compute("(loop $on (br $on)) (unreachable)").contains("1 s"));
    assert!(!compute("(unreachable)").is_empty());
    assert!(compute("(call $ok (i32.const 65536) (i32.const 5000))").contains("4096"));
}

#[test]
fn nothing_is_left_of_a_computation_that_is_forgotten() {
    let place = Place::new();
    let kept = || {
        let files = std::fs::read_dir(place.folder.path().join("artefacts")).expect("a folder");
        files
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|end| end == "artefact"))
            .count()
    };
    let bytes = Guest::adder().bytes();
    place.host.computation(&bytes).expect("it is pure");
    assert_eq!(kept(), 1);
    ReflexHost::forget(&place.host, &bytes).expect("it is deleted");
    assert_eq!(kept(), 0);
    ReflexHost::forget(&place.host, &bytes).expect("there is none");
}
