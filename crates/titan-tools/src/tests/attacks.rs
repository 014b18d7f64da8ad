//! What a hostile model or workspace tries on tools: paths that lead out, and values that look like options.

use super::{Place, step};
use serde_json::json;
use titan_protocol::{Effect, ToolError};
use titan_testkit::workbench::MemoryWorkbench;

/// Ways to name a file that is not in the workspace.
const OUTSIDE: &[&str] = &[
    "/etc/passwd",
    "../out",
    "src/../../out",
    "./../../etc/passwd",
    "link/file",
    "src/../link/file",
    "~/.bashrc",
    "/workspace/../etc/passwd",
    "/workspacer/file",
    "  /etc/passwd",
];

fn place() -> Place {
    Place::new(
        MemoryWorkbench::new()
            .file("src/a.txt", "x\n")
            .file("/etc/passwd", "x\n")
            .file("/home/person/.bashrc", "x\n")
            .link("link", "/elsewhere")
            .file("/elsewhere/file", "x\n"),
    )
}

/// Every form in which a patch names a file.
fn patches(path: &str) -> Vec<(&'static str, String)> {
    let marked = |body: String| format!("*** Begin Patch\n{body}\n*** End Patch");
    vec![
        ("add", marked(format!("*** Add File: {path}\n+x"))),
        ("delete", marked(format!("*** Delete File: {path}"))),
        (
            "update",
            marked(format!("*** Update File: {path}\n@@\n-x\n+y")),
        ),
        (
            "move",
            marked(format!(
                "*** Update File: src/a.txt\n*** Move to: {path}\n@@\n-x\n+y"
            )),
        ),
        (
            "bare move",
            marked(format!("*** Update File: src/a.txt\n*** Move to: {path}")),
        ),
        (
            "second",
            marked(format!(
                "*** Update File: src/a.txt\n@@\n-x\n+y\n*** Add File: {path}\n+x"
            )),
        ),
        (
            "unified",
            format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-x\n+y\n"),
        ),
        (
            "unified without sides",
            format!("--- {path}\n+++ {path}\n@@ -1 +1 @@\n-x\n+y\n"),
        ),
        (
            "unified new",
            format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"),
        ),
        (
            "unified gone",
            format!("--- a/{path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"),
        ),
        (
            "unified other",
            format!("--- a/src/a.txt\n+++ b/{path}\n@@ -1 +1 @@\n-x\n+y\n"),
        ),
        (
            "git",
            format!(
                "diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-x\n+y\n"
            ),
        ),
        (
            "git rename",
            format!(
                "diff --git a/src/a.txt b/{path}\nrename from src/a.txt\nrename to {path}\n--- a/src/a.txt\n+++ b/{path}\n@@ -1 +1 @@\n-x\n+y\n"
            ),
        ),
    ]
}

/// Whatever a patch may change, its effects say so before it runs: a write outside, or a refusal.
#[tokio::test]
async fn s22_no_form_of_patch_reaches_out_of_the_workspace_unseen() {
    let mut n_seen = 0;
    for path in OUTSIDE {
        for (form, patch) in patches(path) {
            let place = place();
            let step = step("apply_patch", json!({ "patch": patch }));
            let tool = place.tool("apply_patch");
            let effects = tool.effects(&step, &place.workbench).await;
            let is_seen = match effects {
                Err(_) => true,
                Ok(effects) => effects.iter().any(|effect| {
                    matches!(
                        effect,
                        Effect::Write {
                            in_workspace: false,
                            ..
                        }
                    )
                }),
            };
            let before = place.workbench.files();
            let _ = place.run("apply_patch", json!({ "patch": patch })).await;
            let outside = ["/etc/passwd", "/elsewhere/file", "/home/person/.bashrc"];
            let is_changed = place.workbench.files() != before
                || outside
                    .iter()
                    .any(|path| place.workbench.content(path).as_deref() != Some("x\n"));
            // A spelling that means a file in the workspace after all changes nothing outside, and needs no question.
            let is_outside_changed = is_changed
                && outside
                    .iter()
                    .any(|path| place.workbench.content(path).as_deref() != Some("x\n"));
            assert!(is_seen || !is_outside_changed, "{form} of {path:?}");
            n_seen += usize::from(is_seen);
        }
    }
    // The spelling of a header may put a path back into the workspace, but not as a rule.
    assert!(
        n_seen * 10 > OUTSIDE.len() * 13 * 7,
        "only {n_seen} were seen to write outside"
    );
}

/// A value that begins like an option is a pattern, a path or a text, and nothing else.
#[tokio::test]
async fn x28_values_that_look_like_options_are_values() {
    let options = [
        "-x",
        "--pre=./run",
        "-f/etc/passwd",
        "--",
        "@/etc/passwd",
        "-e",
        "--no-ignore",
    ];
    for option in options {
        let workbench = MemoryWorkbench::new()
            .file(option, format!("one\nsays {option} here\n"))
            .file("other.txt", "nothing\n")
            .file("/etc/passwd", "root\n");
        let place = Place::new(workbench);
        let found = place
            .run("grep", json!({ "pattern": option }))
            .await
            .unwrap()
            .text;
        assert!(found.contains("says"), "grep {option}: {found}");
        assert!(!found.contains("root"), "grep {option}: {found}");
        let found = place
            .run("glob", json!({ "pattern": option }))
            .await
            .unwrap()
            .text;
        assert_eq!(found.lines().next(), Some(option), "glob");
        let read = place
            .run("read", json!({ "path": option }))
            .await
            .unwrap()
            .text;
        assert!(read.contains("says"), "read {option}: {read}");
        let listed = place.run("list", json!({ "path": option })).await;
        assert!(
            matches!(listed, Err(ToolError::Reply(text)) if text.contains("is a file")),
            "list {option}"
        );
        // No tool but the shell starts a program at all.
        assert_eq!(place.workbench.commands(), []);
    }
}
