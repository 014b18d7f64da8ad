//! Components that nobody meant: kept in `fuzz/corpus/component`.

use super::Place;
use std::sync::Arc;

/// Any bytes are refused in one line, or are a component whose call ends; the host goes on.
#[test]
fn s2_s4_fuzz_component() {
    let place = Place::new();
    titan_testkit::fuzz::check("component", |bytes| match place.host.load(bytes) {
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        Ok(component) => {
            let finished = component.call(r#"{"a":1,"b":2}"#, &Arc::default());
            if let Err(error) = finished.result {
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    });
}
