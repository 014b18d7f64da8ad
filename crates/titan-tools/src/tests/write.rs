//! `write`: files made and replaced.

use super::check_tool;
use expect_test::expect;
use serde_json::json;

#[tokio::test]
async fn write_makes_and_replaces_files() {
    check_tool(
        &[],
        "write",
        json!({"path": "d/a.txt", "content": "x\ny\n"}),
        expect![[r#"
        effects: write /workspace/d/a.txt
        output (none):
        made d/a.txt: 2 lines, 4 bytes
        //- d/a.txt (new)
        x
        y
    "#]],
    )
    .await;
    check_tool(
        &[("a", "1")],
        "write",
        json!({"path": "a", "content": "2"}),
        expect![[r#"
        effects: write /workspace/a
        output (none):
        replaced a: 1 lines, 1 bytes
        //- a
        2"#]],
    )
    .await;
    check_tool(
        &[("d/a", "1")],
        "write",
        json!({"path": "d", "content": "2"}),
        expect![[r#"
        effects: write /workspace/d
        reply: d is not a file; nothing was written"#]],
    )
    .await;
    check_tool(
        &[],
        "write",
        json!({"path": "../up", "content": ""}),
        expect![[r#"
        effects: write /up outside
        output (none):
        made /up: 0 lines, 0 bytes
        //- /up (new)
    "#]],
    )
    .await;
}
