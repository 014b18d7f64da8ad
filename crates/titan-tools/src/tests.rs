//! The tools as a pipeline sees them: a call and some files in, effects, output and files out.

use crate::{Ports, builtin};
use async_trait::async_trait;
use expect_test::{Expect, expect};
use futures::{FutureExt, StreamExt, stream};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use titan_protocol::{
    BlobId, Blobs, CallId, Embedder, Exit, ModelError, PlanItem, SessionId, Step, Taint, Tool,
    ToolCall, ToolContext, ToolError, ToolOutput, ToolSignals, TurnId, UnixMillis,
};
use titan_testkit::egress::{Reply, ScriptedEgress};
use titan_testkit::gate::Gate;
use titan_testkit::storage::MemoryStore;
use titan_testkit::transcript::effect_text;
use titan_testkit::workbench::{MemoryWorkbench, Process};
use tokio_util::sync::CancellationToken;

fn clock() -> UnixMillis {
    1_700_000_000_000
}

/// Everything that a call may reach, in memory.
struct Place {
    workbench: MemoryWorkbench,
    egress: Arc<ScriptedEgress>,
    store: Arc<MemoryStore>,
    embedder: Option<Arc<dyn Embedder>>,
    signals: Arc<Signals>,
    cancel: CancellationToken,
}

impl Place {
    fn new(workbench: MemoryWorkbench) -> Self {
        Self {
            workbench,
            egress: Arc::new(ScriptedEgress::new()),
            store: MemoryStore::new(),
            embedder: None,
            signals: Arc::default(),
            cancel: CancellationToken::new(),
        }
    }

    fn tool(&self, name: &str) -> Arc<dyn Tool> {
        let ports = Ports {
            search: self.store.clone(),
            blobs: self.store.clone(),
            embedder: self.embedder.clone(),
            clock,
        };
        builtin(ports)
            .into_iter()
            .find(|tool| tool.spec().name == name)
            .expect("a tool of this name")
    }

    fn context(&self) -> ToolContext {
        ToolContext {
            session: SessionId::from_u128(1),
            turn: TurnId::from_u128(2),
            workbench: Arc::new(self.workbench.clone()),
            egress: self.egress.clone(),
            signals: self.signals.clone(),
            cancel: self.cancel.clone(),
        }
    }

    async fn run(&self, name: &str, arguments: Value) -> Result<ToolOutput, ToolError> {
        let steps = stream::iter([step(name, arguments)]).boxed();
        self.tool(name).run(self.context(), steps).await
    }

    /// Effects, then the output, as text.
    async fn call(&self, name: &str, arguments: Value) -> String {
        let tool = self.tool(name);
        let step = step(name, arguments.clone());
        match tool.effects(&step, &self.workbench).await {
            Err(error) => format!("effects refused: {error}"),
            Ok(effects) => {
                let effects: Vec<String> = effects.iter().map(effect_text).collect();
                let output = outcome_text(self.run(name, arguments).await);
                format!("effects: {}\n{output}", effects.join(", "))
            }
        }
    }
}

fn step(name: &str, arguments: Value) -> Step {
    let arguments = match arguments {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    Step {
        index: 0,
        call: ToolCall {
            id: CallId::from("c1"),
            name: name.to_owned(),
            arguments,
        },
    }
}

fn outcome_text(outcome: Result<ToolOutput, ToolError>) -> String {
    match outcome {
        Ok(output) => {
            let taint = match output.taint {
                Taint::NONE => "none",
                Taint::PRIVATE => "private",
                Taint::UNTRUSTED => "untrusted",
                Taint::BOTH => "both",
            };
            let error = if output.is_error { ", an error" } else { "" };
            format!("output ({taint}{error}):\n{}", output.text)
        }
        Err(ToolError::Reply(text)) => format!("reply: {text}"),
        Err(other) => format!("ended: {other:?}"),
    }
}

/// A call in a place with files, and what came of it.
async fn check_tool(files: &[(&str, &str)], name: &str, arguments: Value, expected: Expect) {
    let workbench = files
        .iter()
        .fold(MemoryWorkbench::new(), |place, (path, content)| {
            place.file(path, (*content).to_owned())
        });
    let place = Place::new(workbench);
    let mut text = place.call(name, arguments).await;
    for (path, before) in files {
        match place.workbench.content(path) {
            Some(after) if after != *before => text.push_str(&format!("\n//- {path}\n{after}")),
            Some(_) => {}
            None => text.push_str(&format!("\n//- {path} is gone")),
        }
    }
    for path in place.workbench.files() {
        if !files.iter().any(|(known, _)| *known == path) {
            let content = place.workbench.content(&path).unwrap_or_default();
            text.push_str(&format!("\n//- {path} (new)\n{content}"));
        }
    }
    expected.assert_eq(&text);
}

#[derive(Default)]
struct Signals {
    output: Mutex<Vec<String>>,
    plan: Mutex<Vec<PlanItem>>,
    answer: Mutex<Option<String>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl ToolSignals for Signals {
    async fn output(&self, text: &str) {
        self.output.lock().unwrap().push(text.to_owned());
    }

    async fn plan(&self, items: Vec<PlanItem>) {
        *self.plan.lock().unwrap() = items;
    }

    async fn ask(&self, question: &str, choices: &[String]) -> Option<String> {
        let asked = format!("{question} {choices:?}");
        self.asked.lock().unwrap().push(asked);
        self.answer.lock().unwrap().clone()
    }
}

#[test]
fn every_tool_tells_a_small_model_enough_in_its_first_line() {
    let place = Place::new(MemoryWorkbench::new());
    let names = [
        "shell",
        "read",
        "write",
        "edit",
        "apply_patch",
        "list",
        "glob",
        "grep",
        "fetch",
        "todo",
        "ask_user",
        "remember",
        "recall",
    ];
    let mut lines = Vec::new();
    for name in names {
        let spec = place.tool(name).spec().clone();
        let first = spec.description.lines().next().unwrap_or_default();
        assert!(first.len() <= 90 && first.ends_with('.'), "{name}: {first}");
        assert_eq!(
            spec.input_schema["additionalProperties"],
            json!(false),
            "{name}"
        );
        lines.push(format!("{name}: {first}"));
    }
    expect![[r#"
        shell: Run a bash script in the workspace and read what it prints.
        read: Read a text file; long ones in pieces by offset_line and lines.
        write: Write a whole file: makes it, or replaces all of its content.
        edit: Replace a text in a file: old must be in it exactly, and only once.
        apply_patch: Change several places or files at once, all or nothing, by a patch.
        list: List the files and folders in a folder, two levels deep unless depth says more.
        glob: Find files by a pattern of their path, such as **/*.rs.
        grep: Search file contents by a regular expression; gives path:line:text.
        fetch: Read a web page or file from an https address as text.
        todo: Show the person your plan, whole, each time that it changes.
        ask_user: Ask the person a question and wait for the answer.
        remember: Keep a note for later sessions: a fact, a preference, a decision.
        recall: Search the notes of earlier sessions by words."#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_answered_with_the_field_and_an_example() {
    check_tool(&[], "read", json!({"file": "x"}), expect![[r#"effects refused: the arguments of read make no sense: unknown field `file`, expected one of `path`, `offset_line`, `lines`. An example: {"path": "src/main.rs", "offset_line": 1, "lines": 200}"#]]).await;
    check_tool(&[], "edit", json!({"path": "x"}), expect![[r#"effects refused: the arguments of edit make no sense: missing field `old`. An example: {"path": "src/main.rs", "old": "let x = 1;", "new": "let x = 2;"}"#]]).await;
    check_tool(&[], "todo", json!({"items": [{"text": "a", "status": "started"}]}), expect![[r#"effects refused: the arguments of todo make no sense: unknown variant `started`, expected one of `pending`, `in_progress`, `done`. An example: {"items": [{"text": "Read the failing test", "status": "done"}, {"text": "Mend it", "status": "in_progress"}]}"#]]).await;
}

#[tokio::test]
async fn a_denied_step_reaches_no_executor() {
    let place = Place::new(MemoryWorkbench::new().shell([("rm x", Process::exits(0))]));
    for (name, arguments) in [
        ("shell", json!({"script": "rm x"})),
        ("write", json!({"path": "x", "content": "y"})),
        ("fetch", json!({"url": "https://example.org"})),
        ("remember", json!({"text": "x"})),
    ] {
        let denied = place
            .tool(name)
            .run(place.context(), stream::empty().boxed())
            .await;
        assert!(
            matches!(denied, Err(ToolError::Reply(_))),
            "{name} {arguments}"
        );
    }
    assert_eq!(place.workbench.commands(), []);
    assert_eq!(place.workbench.files(), Vec::<String>::new());
    assert_eq!(place.egress.requests().len(), 0);
}

#[tokio::test]
async fn shell_streams_both_outputs_in_the_order_of_arrival() {
    let process = Process::exits(3)
        .stdout("one\n")
        .stderr("two\n")
        .stdout(vec![0xe2, 0x82])
        .stdout(vec![0xac]);
    let place = Place::new(MemoryWorkbench::new().shell([("x", process)]));
    expect![[r#"
        effects: run x
        output (both):
        one
        two
        €
        [exit status 3]"#]]
    .assert_eq(&place.call("shell", json!({"script": "x"})).await);
    expect![[r#"["one\n", "two\n", "€"]"#]]
        .assert_eq(&format!("{:?}", place.signals.output.lock().unwrap()));
    expect![[r#"[Command { program: "/usr/bin/sh", arguments: ["-c", "--", "x"], directory: None, environment: {}, wall_clock_max: 120s, output_bytes_max: 4194304 }]"#]].assert_eq(&format!("{:?}", place.workbench.commands()));
}

#[tokio::test]
async fn shell_output_is_seen_while_the_script_still_runs() {
    let gate = Gate::new();
    let process = Process::exits(0)
        .stdout("early\n")
        .hold(&gate)
        .stdout("late\n");
    let place = Place::new(MemoryWorkbench::new().shell([("x", process)]));
    let mut running = std::pin::pin!(place.run("shell", json!({"script": "x"})));
    tokio::select! {
        _ = &mut running => panic!("it ended behind a closed gate"),
        () = gate.reached() => {}
    }
    assert_eq!(*place.signals.output.lock().unwrap(), ["early\n"]);
    gate.open();
    assert_eq!(running.await.unwrap().text, "early\nlate\n");
}

#[tokio::test]
async fn cancelling_ends_the_script() {
    let place = Place::new(MemoryWorkbench::new().shell([("x", Process::exits(0).hangs())]));
    let mut running = Box::pin(place.run("shell", json!({"script": "x"})));
    assert!((&mut running).now_or_never().is_none());
    place.cancel.cancel();
    assert!(matches!(running.await, Err(ToolError::Cancelled)));
    assert_eq!(place.workbench.running(), 0);
}

#[tokio::test]
async fn shell_says_how_a_script_ended() {
    let scripts = [
        ("quiet", Process::exits(0)),
        ("killed", Process::ends(Exit::Signal(9)).stdout("x")),
        ("slow", Process::ends(Exit::TimedOut)),
        ("loud", Process::ends(Exit::OutputExceeded)),
    ];
    let place = Place::new(MemoryWorkbench::new().shell(scripts));
    let mut lines = Vec::new();
    for script in ["quiet", "killed", "slow", "loud"] {
        lines.push(outcome_text(
            place
                .run("shell", json!({"script": script, "timeout_s": 7}))
                .await,
        ));
    }
    expect![[r#"
        output (both):
        [no output]
        output (both):
        x
        [ended by signal 9]
        output (both, an error):
        [ended after 7 s; give a longer timeout_s, or run less]
        output (both, an error):
        [ended after 4194304 bytes of output; filter it, or write it to a file]"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn read_gives_lines_and_says_where_to_read_on() {
    let file = [("a.txt", "1\n2\n3\n4")];
    check_tool(
        &file,
        "read",
        json!({"path": "a.txt"}),
        expect![[r#"
        effects: read /workspace/a.txt
        output (both):
        1
        2
        3
        4"#]],
    )
    .await;
    check_tool(
        &file,
        "read",
        json!({"path": "a.txt", "offset_line": 2, "lines": 2}),
        expect![[r#"
        effects: read /workspace/a.txt
        output (both):
        2
        3
        [lines 2 to 3; read on with offset_line 4]"#]],
    )
    .await;
    check_tool(
        &file,
        "read",
        json!({"path": "./a.txt", "offset_line": 3}),
        expect![[r#"
        effects: read /workspace/a.txt
        output (both):
        3
        4
        [lines 3 to 4; this is the end]"#]],
    )
    .await;
    check_tool(
        &file,
        "read",
        json!({"path": "a.txt", "offset_line": 9}),
        expect![[r#"
        effects: read /workspace/a.txt
        output (both):
        [there are only 4 lines]"#]],
    )
    .await;
    check_tool(
        &[("e", "")],
        "read",
        json!({"path": "e"}),
        expect![[r#"
        effects: read /workspace/e
        output (both):
        [the file is empty]"#]],
    )
    .await;
}

#[tokio::test]
async fn read_refuses_what_is_no_text() {
    let place = Place::new(
        MemoryWorkbench::new()
            .file("a.bin", vec![1, 0, 2])
            .file("a.png", b"\x89PNG\r\n\x1a\n....".to_vec())
            .folder("sub"),
    );
    let mut lines = Vec::new();
    for path in ["a.bin", "a.png", "sub", "none", "~/x", "output:12"] {
        lines.push(place.call("read", json!({"path": path})).await);
    }
    expect![[r#"
        effects: read /workspace/a.bin
        reply: a.bin is not text (3 bytes); look at it with a program, such as `file` or `strings`, through shell
        effects: read /workspace/a.png
        reply: a.png is a PNG picture (12 bytes); pictures can't be read yet
        effects: read /workspace/sub
        reply: sub is a folder; see what is in it with list
        effects: read /workspace/none
        reply: none does not exist; find it with glob or list
        effects: read /home/person/x outside
        reply: /home/person/x does not exist; find it with glob or list
        effects refused: "12" is not the 64 hex digits of a stored output"#]].assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn a_stored_output_is_read_by_its_name() {
    let place = Place::new(MemoryWorkbench::new());
    let id = place.store.put("one\ntwo\nthree\n".into()).await.unwrap();
    let path = format!("output:{id}");
    expect![[r#"
        effects: 
        output (both):
        two
        [lines 2 to 2; read on with offset_line 3]"#]]
    .assert_eq(
        &place
            .call("read", json!({"path": path, "offset_line": 2, "lines": 1}))
            .await,
    );
    let missing = format!("output:{}", BlobId::of(b"never stored"));
    expect![[r#"
        effects: 
        reply: there is no stored output:73eeaafe30cc7642298ef6c4a904f7f3eb05c59052266654f4705c355fd94f52; run the call again"#]].assert_eq(&place.call("read", json!({"path": missing})).await);
}

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

#[tokio::test]
async fn list_glob_and_grep_find_what_is_there() {
    let files = [
        ("Cargo.toml", "[package]\n"),
        ("src/main.rs", "fn main() {\n    run();\n}\n"),
        ("src/deep/er/lib.rs", "// main\n"),
        (".gitignore", "target\n"),
        ("target/x.rs", "main"),
        ("bin", "main\0"),
    ];
    check_tool(
        &files,
        "list",
        json!({}),
        expect![[r#"
        effects: read /workspace
        output (both):
        Cargo.toml
        bin
        src/
        src/deep/
        src/main.rs"#]],
    )
    .await;
    check_tool(
        &files,
        "list",
        json!({"path": "src", "depth": 1}),
        expect![[r#"
        effects: read /workspace/src
        output (both):
        src/deep/
        src/main.rs"#]],
    )
    .await;
    check_tool(
        &files,
        "list",
        json!({"path": "Cargo.toml"}),
        expect![[r#"
        effects: read /workspace/Cargo.toml
        reply: Cargo.toml is a file; read it with read"#]],
    )
    .await;
    check_tool(
        &files,
        "glob",
        json!({"pattern": "*.rs"}),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/deep/er/lib.rs
        src/main.rs"#]],
    )
    .await;
    check_tool(
        &files,
        "glob",
        json!({"pattern": "src/*.rs"}),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/main.rs"#]],
    )
    .await;
    check_tool(&files, "glob", json!({"pattern": "a[", "path": "src"}), expect![[r#"
        effects: read /workspace/src
        reply: the pattern makes no sense: error parsing glob '**/a[': unclosed character class; missing ']'"#]]).await;
    check_tool(
        &files,
        "grep",
        json!({"pattern": "MAIN", "ignore_case": true}),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/deep/er/lib.rs:1:// main
        src/main.rs:1:fn main() {"#]],
    )
    .await;
    check_tool(
        &files,
        "grep",
        json!({"pattern": "run", "path": "src/main.rs", "context": 1}),
        expect![[r#"
        effects: read /workspace/src/main.rs
        output (both):
        src/main.rs-1-fn main() {
        src/main.rs:2:    run();
        src/main.rs-3-}"#]],
    )
    .await;
    check_tool(
        &files,
        "grep",
        json!({"pattern": "main", "glob": "*.rs", "files_only": true}),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/deep/er/lib.rs
        src/main.rs"#]],
    )
    .await;
    check_tool(
        &files,
        "grep",
        json!({"pattern": "run("}),
        expect![[r#"
        effects: read /workspace
        reply: the pattern is not a regular expression: regex parse error:
            (?:run()
            ^
        error: unclosed group. To find characters such as ( or [ as they are, put \ before them"#]],
    )
    .await;
}

#[tokio::test]
async fn fetch_reads_pages_as_text_from_strangers() {
    let place = Place::new(MemoryWorkbench::new());
    let page = Reply::ok("<title>T</title><p>Hello <a href='/x'>there</a></p>")
        .header("content-type", "text/html; charset=utf-8");
    place.egress.push(page);
    expect![[r#"
        effects: network example.org:443
        output (untrusted):
        [https://example.org/a]
        title: T

        Hello there <https://example.org/x>"#]]
    .assert_eq(&place.call("fetch", json!({"url": "Example.org/a"})).await);
    place.egress.push(
        Reply::status(404)
            .header("content-type", "application/json")
            .chunk("{\"a\": 1}"),
    );
    expect![[r#"
        effects: network localhost:8080
        output (untrusted, an error):
        [status 404]
        [http://localhost:8080/]
        {"a": 1}"#]]
    .assert_eq(
        &place
            .call("fetch", json!({"url": "http://localhost:8080/"}))
            .await,
    );
    place
        .egress
        .push(Reply::ok(vec![0, 1, 2]).header("content-type", "image/png"));
    expect![[r#"
        effects: network example.org:443
        reply: https://example.org/a.png is image/png, 3 bytes; fetch reads text only"#]]
    .assert_eq(
        &place
            .call("fetch", json!({"url": "https://example.org/a.png"}))
            .await,
    );
    expect!["effects refused: fetch knows http and https only, not file; files are read with read"]
        .assert_eq(
            &place
                .call("fetch", json!({"url": "file:///etc/passwd"}))
                .await,
        );
    expect!["effects refused: an address with a name or password in it is not fetched"].assert_eq(
        &place
            .call("fetch", json!({"url": "https://me:secret@example.org/"}))
            .await,
    );
    assert_eq!(place.egress.requests().len(), 3);
}

#[tokio::test]
async fn a_page_without_end_is_cut_and_its_connection_closed() {
    let place = Place::new(MemoryWorkbench::new());
    place.egress.push(
        Reply::ok("")
            .header("content-type", "text/plain")
            .chunks_of(64 * 1024, vec![b'a'; 5 * 1024 * 1024]),
    );
    let output = place
        .run("fetch", json!({"url": "https://example.org"}))
        .await
        .unwrap();
    assert!(output.text.ends_with("[cut after 2097152 bytes]"));
    assert_eq!(place.egress.bodies_dropped(), 1);
}

#[tokio::test]
async fn the_plan_is_shown_and_the_person_is_asked() {
    let place = Place::new(MemoryWorkbench::new());
    let items =
        json!({"items": [{"text": "a", "status": "done"}, {"text": "b", "status": "in_progress"}]});
    expect![[r#"
        effects: 
        output (none):
        the plan has 2 items, 1 to do"#]]
    .assert_eq(&place.call("todo", items).await);
    assert_eq!(place.signals.plan.lock().unwrap().len(), 2);
    expect![[r#"
        effects: 
        output (none):
        [nobody answered; go on with what is most likely wanted, and say what you assumed]"#]]
    .assert_eq(
        &place
            .call(
                "ask_user",
                json!({"question": "Which?", "choices": ["a", "b"]}),
            )
            .await,
    );
    *place.signals.answer.lock().unwrap() = Some("b".to_owned());
    expect![[r#"
        effects: 
        output (none):
        b"#]]
    .assert_eq(&place.call("ask_user", json!({"question": "Which?"})).await);
    assert_eq!(
        *place.signals.asked.lock().unwrap(),
        ["Which? [\"a\", \"b\"]", "Which? []"]
    );
}

#[tokio::test]
async fn what_was_remembered_is_recalled_once() {
    let place = Place::new(MemoryWorkbench::new());
    expect![[r#"
        effects: remember
        output (none):
        noted"#]]
    .assert_eq(
        &place
            .call(
                "remember",
                json!({"text": "The person likes tea.", "tags": ["taste"]}),
            )
            .await,
    );
    place
        .run(
            "remember",
            json!({"text": "The person likes tea.", "tags": ["taste"]}),
        )
        .await
        .unwrap();
    place
        .run("remember", json!({"text": "The build needs clang."}))
        .await
        .unwrap();
    expect![[r#"
        effects: 
        output (private):
        - The person likes tea. [taste]"#]]
    .assert_eq(&place.call("recall", json!({"query": "tea"})).await);
    expect![[r#"
        effects: 
        output (private):
        [no note matches]"#]]
    .assert_eq(&place.call("recall", json!({"query": "coffee"})).await);
    expect![[r#"
        effects: 
        output (private):
        - The build needs clang.
        - The person likes tea. [taste]"#]]
    .assert_eq(&place.call("recall", json!({"query": "", "limit": 5})).await);
}

/// Knows drinks from builds, and nothing else.
struct Drinks(&'static str, usize);

#[async_trait]
impl Embedder for Drinks {
    fn space(&self) -> &str {
        self.0
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let vector = |text: &String| {
            let drink = ["tea", "coffee"].iter().any(|word| text.contains(word));
            let mut vector = vec![0.0; self.1];
            vector[usize::from(drink)] = 1.0;
            vector
        };
        Ok(texts.iter().map(vector).collect())
    }
}

#[tokio::test]
async fn notes_are_found_by_meaning_where_an_embedder_is_and_survive_its_change() {
    let mut place = Place::new(MemoryWorkbench::new());
    place.embedder = Some(Arc::new(Drinks("small", 2)));
    for text in ["The person likes tea.", "The build needs clang."] {
        place.run("remember", json!({"text": text})).await.unwrap();
    }
    let found = place
        .run("recall", json!({"query": "coffee", "limit": 1}))
        .await
        .unwrap();
    assert_eq!(found.text, "- The person likes tea.");
    place.embedder = Some(Arc::new(Drinks("large", 3)));
    place
        .run("remember", json!({"text": "The office has coffee."}))
        .await
        .unwrap();
    let found = place
        .run("recall", json!({"query": "tea", "limit": 1}))
        .await
        .unwrap();
    assert_eq!(found.text, "- The person likes tea.");
}
