//! `edit`: one text in a file replaced by another.

use super::{Place, check_tool};
use expect_test::expect;
use serde_json::json;
use titan_testkit::workbench::MemoryWorkbench;

#[tokio::test]
async fn edit_changes_a_unique_text_only() {
    let file = [("a.rs", "fn a() {\n    one();\n}\nfn b() {\n    one();\n}\n")];
    check_tool(
        &file,
        "edit",
        json!({"path": "a.rs", "old": "fn b() {\n    one();", "new": "fn b() {\n    two();"}),
        expect![[r#"
        effects: read /workspace/a.rs, write /workspace/a.rs
        output (none):
        changed a.rs at line 4
        //- a.rs
        fn a() {
            one();
        }
        fn b() {
            two();
        }
    "#]],
    )
    .await;
    check_tool(&file, "edit", json!({"path": "a.rs", "old": "one();", "new": "two();"}), expect![[r#"
        effects: read /workspace/a.rs, write /workspace/a.rs
        output (both, an error):
        a.rs was not changed: old is there 2 times, at lines 2, 5; give more of its surroundings, or all: true"#]]).await;
    check_tool(
        &file,
        "edit",
        json!({"path": "a.rs", "old": "one();", "new": "two();", "all": true}),
        expect![[r#"
        effects: read /workspace/a.rs, write /workspace/a.rs
        output (none):
        changed a.rs at line 2, 5
        //- a.rs
        fn a() {
            two();
        }
        fn b() {
            two();
        }
    "#]],
    )
    .await;
    check_tool(
        &file,
        "edit",
        json!({"path": "a.rs", "old": "fn b() {\n  one() ;\n}", "new": ""}),
        expect![[r#"
        effects: read /workspace/a.rs, write /workspace/a.rs
        output (both, an error):
        a.rs was not changed: old is not in it. The closest, at lines 4 to 6:
        fn b() {
            one();
        }"#]],
    )
    .await;
    check_tool(
        &file,
        "edit",
        json!({"path": "a.rs", "old": "nothing of the kind", "new": ""}),
        expect![[r#"
        effects: read /workspace/a.rs, write /workspace/a.rs
        output (both, an error):
        a.rs was not changed: old is not in it, nor anything like it; read the file first"#]],
    )
    .await;
}

#[tokio::test]
async fn edit_keeps_the_line_endings_of_the_file() {
    let place = Place::new(MemoryWorkbench::new().file("w.txt", "a\r\nb\r\n"));
    let arguments = json!({"path": "w.txt", "old": "a\nb", "new": "c\nd"});
    place.run("edit", arguments).await.unwrap();
    assert_eq!(
        place.workbench.content("w.txt").as_deref(),
        Some("c\r\nd\r\n")
    );
}
