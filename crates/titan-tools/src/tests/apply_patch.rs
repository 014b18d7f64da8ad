//! `apply_patch`: all of a patch or nothing.

use super::check_tool;
use expect_test::expect;
use serde_json::json;

#[tokio::test]
async fn a_patch_changes_all_its_files_or_none() {
    let files = [("a.txt", "1\n2\n"), ("b.txt", "x\n"), ("c.txt", "gone\n")];
    let good = "*** Begin Patch\n*** Update File: a.txt\n@@\n 1\n-2\n+two\n*** Update File: b.txt\n*** Move to: d/b.txt\n@@\n-x\n+y\n*** Add File: n.txt\n+new\n*** Delete File: c.txt\n*** End Patch";
    check_tool(&files, "apply_patch", json!({"patch": good}), expect![[r#"
        effects: read /workspace/a.txt, write /workspace/a.txt, read /workspace/b.txt, write /workspace/b.txt, write /workspace/d/b.txt, write /workspace/n.txt, read /workspace/c.txt, write /workspace/c.txt
        output (none):
        changed a.txt
        moved b.txt to d/b.txt
        made n.txt
        deleted c.txt
        //- a.txt
        1
        two

        //- b.txt is gone
        //- c.txt is gone
        //- d/b.txt (new)
        y

        //- n.txt (new)
        new
    "#]]).await;
    let half = "*** Begin Patch\n*** Update File: a.txt\n@@\n-2\n+two\n*** Update File: b.txt\n@@\n-not there\n+y\n*** End Patch";
    check_tool(&files, "apply_patch", json!({"patch": half}), expect![[r#"
        effects: read /workspace/a.txt, write /workspace/a.txt, read /workspace/b.txt, write /workspace/b.txt
        reply: nothing was changed: b.txt: these lines are not in it, or not in this order:
        not there"#]]).await;
    let outside = "--- a/../../etc/passwd\n+++ b/../../etc/passwd\n@@ -1 +1 @@\n-x\n+y\n";
    check_tool(
        &files,
        "apply_patch",
        json!({"patch": outside}),
        expect![[r#"
        effects: read /etc/passwd outside, write /etc/passwd outside
        reply: /etc/passwd does not exist; find it with glob or list"#]],
    )
    .await;
}
