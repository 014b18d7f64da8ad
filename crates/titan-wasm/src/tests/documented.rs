//! What `docs/tools.md` shows is what works.

use super::{Place, text};
use serde_json::json;
use std::sync::Arc;
use titan_testkit::component::assemble;

#[test]
fn the_tool_that_the_page_shows_is_a_tool() {
    let page = include_str!("../../../../docs/tools.md");
    let shown = page.split("```wat\n").nth(1).unwrap();
    let shown = shown.split("\n```").next().unwrap();
    let place = Place::new();
    let tool = place.host.load(&assemble(shown)).unwrap();
    assert_eq!(tool.spec().name, "repeat");
    assert_eq!(tool.spec().description, "Gives its arguments back.");
    assert_eq!(
        tool.spec().input_schema["properties"],
        json!({"text": {"type": "string"}})
    );
    assert_eq!(tool.capabilities(), []);
    let given = r#"{"text":"hello"}"#;
    assert_eq!(text(tool.call(given, &Arc::default())), given);
}
