//! Components that are exchanged while they are in use.

use super::{Place, config, text};
use crate::{Change, Component, Shelf, Slots};
use std::sync::Arc;
use titan_testkit::component::{Guest, run};

/// A component of one name that gives this text.
fn version(text: &str) -> Vec<u8> {
    let code = format!(
        "(data (i32.const 20000) \"{text}\") {}",
        run(&format!(
            "(call $ok (i32.const 20000) (i32.const {}))",
            text.len()
        ))
    );
    Guest::new("version", &code).bytes()
}

fn said(component: &Component) -> String {
    text(component.call("{}", &Arc::default()))
}

/// What changed, a word each.
fn words(slots: &Slots) -> Vec<String> {
    let word = |change| match change {
        Change::Ready {
            component,
            is_newer: false,
        } => format!("new {}", said(&component)),
        Change::Ready { component, .. } => format!("newer {}", said(&component)),
        Change::Refused { name, why } => format!("{name} refused: {why}"),
        Change::Gone(name) => format!("{name} gone"),
    };
    slots.look().unwrap().into_iter().map(word).collect()
}

#[test]
fn m7_what_is_new_newer_taken_back_or_gone_is_seen_at_the_next_look() {
    let place = Place::new();
    let shelf = Shelf::new(place.folder.path().join("tools"));
    let slots = Slots::new(config(&place.folder), shelf.clone());
    let none: [&str; 0] = [];
    assert_eq!(words(&slots), none);
    shelf.add("version", &version("one")).unwrap();
    assert_eq!(words(&slots), ["new one"]);
    assert_eq!(words(&slots), none);
    shelf.replace("version", &version("two")).unwrap();
    assert_eq!(words(&slots), ["newer two"]);
    shelf.roll_back("version").unwrap();
    assert_eq!(words(&slots), ["newer one"]);
    shelf.roll_back("version").unwrap();
    assert_eq!(words(&slots), ["newer two"]);
    shelf.remove("version").unwrap();
    assert_eq!(words(&slots), ["version gone"]);
    assert_eq!(words(&slots), none);
}

#[test]
fn m7_a_version_that_can_not_be_offered_takes_no_place() {
    let place = Place::new();
    let shelf = Shelf::new(place.folder.path().join("tools"));
    let slots = Slots::new(config(&place.folder), shelf.clone());
    shelf.add("version", &version("one")).unwrap();
    assert_eq!(words(&slots), ["new one"]);
    let mut spins = Guest::new("version", &run("unreachable"));
    spins.before_describe = "(loop $on (br $on))".to_owned();
    for (bytes, why) in [
        (b"no component".to_vec(), "this is no WebAssembly component"),
        (spins.bytes(), "the component can't say what it is"),
        (Guest::adder().bytes(), "the component calls itself add"),
    ] {
        shelf.replace("version", &bytes).unwrap();
        let [told] = &words(&slots)[..] else {
            panic!("one change");
        };
        assert!(
            told.starts_with("version refused: ") && told.contains(why),
            "{told}"
        );
    }
}
