//! Tools that are components: added, shown, run by hand and by a model, and removed.

use crate::{Place, place_with};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use titan_testkit::component::{Guest, run};
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

impl Place {
    fn component(&self, guest: &Guest) -> String {
        let path = self.folder.path().join(format!("{}.wasm", guest.name));
        std::fs::write(&path, guest.bytes()).expect("the component");
        path.to_str().expect("a path").to_owned()
    }

    fn added(&self, guest: &Guest) {
        let done = self.run(&["tools", "add", &self.component(guest)]);
        assert_eq!(done.exit, Some(0), "{done:?}");
    }

    fn mode(&self, path: &str) -> u32 {
        let found = std::fs::metadata(self.home().join(path)).expect("it is there");
        found.permissions().mode() & 0o777
    }
}

#[test]
fn a_component_is_added_listed_shown_run_and_removed() {
    let place = Place::new();
    place.added(&Guest::adder().with(&["log"]));
    assert_eq!(
        (
            place.mode("tools"),
            place.mode("tools/add.wasm"),
            place.mode("artefacts")
        ),
        (0o700, 0o600, 0o700)
    );
    let listed = place.run(&["tools", "list"]);
    assert!(
        listed.out.contains("add")
            && listed.out.contains("log")
            && listed.out.contains("Adds two whole numbers"),
        "{listed:?}"
    );
    let json = place.run(&["tools", "list", "--json"]).out;
    assert!(json.contains(r#""capabilities":["log"]"#), "{json}");
    let shown = place.run(&["tools", "show", "add"]);
    assert!(
        shown.out.contains("gets: log") && shown.out.contains("\"minimum\": 0"),
        "{shown:?}"
    );
    let run = place.run(&["tools", "run", "add", r#"{"a": 40, "b": 2}"#]);
    assert_eq!((run.exit, run.out.as_str()), (Some(0), "42\n"), "{run:?}");
    assert_eq!(place.run(&["tools", "remove", "add"]).exit, Some(0));
    let left = std::fs::read_dir(place.home().join("artefacts")).expect("the folder");
    let left: Vec<_> = left
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["key"]);
    assert!(
        place
            .fails(&["tools", "show", "add"])
            .contains("there is no component called \"add\"")
    );
    assert!(
        place
            .run(&["tools", "list"])
            .err
            .contains("no component is kept")
    );
}

#[test]
fn a_call_by_hand_goes_the_way_of_every_call() {
    let place = Place::new();
    place.added(&Guest::adder());
    for (arguments, told) in [
        ("[1, 2]", "must be a JSON object"),
        (r#"{"a": 1}"#, "do not fit"),
        (r#"{"a": 1, "b": 2, "c": 3}"#, "do not fit"),
        (r#"{"a": 1, "b": -2}"#, "do not fit"),
    ] {
        let done = place.run(&["tools", "run", "add", arguments]);
        assert!(done.exit == Some(1) && done.err.contains(told), "{done:?}");
    }
    place.added(&Guest::new("broken", &run("unreachable")));
    let told = place.fails(&["tools", "run", "broken", "{}"]);
    assert!(
        told.contains("the component broke off: wasm `unreachable` instruction executed, in run"),
        "{told}"
    );
}

#[test]
fn m8_no_component_takes_the_name_of_a_built_in_tool_or_of_another_component() {
    let place = Place::new();
    for name in ["shell", "read", "fetch", "recall"] {
        let file = place.component(&Guest {
            name: name.to_owned(),
            ..Guest::adder()
        });
        let told = place.fails(&["tools", "add", &file]);
        assert!(told.contains("is the name of a built-in tool"), "{told}");
    }
    place.added(&Guest::adder());
    let other = Guest {
        name: "add".to_owned(),
        ..Guest::echo()
    };
    let told = place.fails(&["tools", "add", &place.component(&other)]);
    assert!(
        told.contains("there is a component called \"add\" already"),
        "{told}"
    );
    // Somebody who writes the file by hand gets no further.
    std::fs::copy(
        place.home().join("tools/add.wasm"),
        place.home().join("tools/shell.wasm"),
    )
    .expect("a copy");
    let listed = place.run(&["tools", "list"]);
    assert!(
        listed.out.contains("the component calls itself add"),
        "{listed:?}"
    );
}

#[test]
fn what_is_no_component_is_not_kept() {
    let place = Place::new();
    place.write("text.wasm", "hello");
    place.write("empty.wasm", "");
    for (file, told) in [
        ("../text.wasm", "this is no WebAssembly component"),
        ("../empty.wasm", "this is no WebAssembly component"),
        ("../absent.wasm", "it is not a file"),
        ("/dev/zero", "it is not a file"),
    ] {
        let said = place.fails(&["tools", "add", file]);
        assert!(said.contains(told), "{said}");
    }
    for name in ["../text", "nothing", ""] {
        for command in ["show", "remove"] {
            assert!(
                place
                    .fails(&["tools", command, name])
                    .contains("there is no component called")
            );
        }
    }
    assert!(!place.home().join("tools").exists());
}

fn server(replies: impl IntoIterator<Item = Reply>) -> ScriptServer {
    let replies: Vec<Reply> = replies.into_iter().collect();
    ScriptServer::start(Wire::Chat, Script::replies(replies)).expect("a server on loopback")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_calls_a_component_and_reads_what_it_gave() {
    let server = server([
        Reply::call("add", &json!({ "a": 19, "b": 23 }).to_string()),
        Reply::text("It is 42."),
    ]);
    let place = place_with(&server);
    let done = tokio::task::block_in_place(|| {
        place.added(&Guest::adder());
        place.run(&["ask", "what is 19 and 23?"])
    });
    assert_eq!(
        (done.exit, done.out.as_str()),
        (Some(0), "It is 42.\n"),
        "{done:?}"
    );
    let requests = server.requests();
    assert!(format!("{:?}", requests[0]).contains("Adds two whole numbers"));
    assert!(format!("{:?}", requests[1]).contains("42"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_what_a_component_prints_is_redacted_and_bounded_before_a_model_reads_it() {
    let key = "sk-ant-api03-AAAAbbbbCCCCddddEEEEffffGGGGhhhhIIIIjjjjKKKKllllMMMMnnnnOOOOppppQQQQrrrrSSSStttt-UUUUvvAA";
    let code = format!(
        "(data (i32.const 20000) \"{key}\") {}",
        run(&format!("(local $n i32) (call $write (i32.const 20000) (i32.const {len}))
            (loop $on (i32.store8 (i32.add (i32.const 30000) (local.get $n)) (i32.const 97))
              (local.set $n (i32.add (local.get $n) (i32.const 1))) (br_if $on (i32.lt_u (local.get $n) (i32.const 30000))))
            (call $wrong (i32.const 20000) (i32.const 40000))", len = key.len()))
    );
    let leaky = Guest::new("leaky", &code).with(&["log"]);
    let server = server([Reply::call("leaky", "{}"), Reply::text("Done.")]);
    let place = place_with(&server);
    let done = tokio::task::block_in_place(|| {
        place.added(&leaky);
        place.run(&["ask", "go"])
    });
    assert_eq!(done.exit, Some(0), "{done:?}");
    let sent = format!("{:?}", server.requests()[1]);
    assert!(sent.contains("It logged"), "{sent}");
    assert!(
        !sent.contains("AAAAbbbbCCCC") && !done.err.contains("AAAAbbbbCCCC"),
        "{sent}"
    );
    assert!(sent.matches("aaaaaaaaaa").count() < 2_500, "it was bounded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_was_damaged_keeps_no_engine_from_starting() {
    let server = server([Reply::text("Hello.")]);
    let place = place_with(&server);
    let done = tokio::task::block_in_place(|| {
        place.added(&Guest::adder());
        std::fs::write(place.home().join("tools/add.wasm"), "damaged").expect("the file");
        place.run(&["ask", "hello"])
    });
    assert_eq!(
        (done.exit, done.out.as_str()),
        (Some(0), "Hello.\n"),
        "{done:?}"
    );
    assert!(
        done.err
            .contains("the component add is not offered: this is no WebAssembly component"),
        "{done:?}"
    );
}

/// A command-line program that somebody built for WASI 0.2.
const PROGRAM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../titan-wasm/test_data/program.wasm"
);

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_others_built_is_a_tool_and_sees_nothing_of_this_machine() {
    let script = Script::choose(|request| match request.tool_results().last() {
        Some(given) => Reply::text(given),
        None => Reply::call("program", r#"{"args":["upper"],"stdin":"loud"}"#),
    });
    let server = ScriptServer::start(Wire::Chat, script).expect("a server on loopback");
    let place = place_with(&server);
    tokio::task::block_in_place(|| {
        let added = place.run(&["tools", "add", PROGRAM]);
        assert!(
            added
                .err
                .contains("program is kept and gets wasi (no files, no network)"),
            "{added:?}"
        );
        let shown = place.run(&["tools", "show", "program"]).out;
        assert!(
            shown.contains("upper    standard input in capital letters"),
            "{shown}"
        );
        let asked = place.run(&["ask", "say it louder"]);
        assert!(asked.out.contains("LOUD"), "{asked:?}");
        let read = r#"{"args":["read","/etc/passwd"]}"#;
        let by_hand = place.run(&["tools", "run", "program", read]);
        assert!(by_hand.out.starts_with("Err("), "{by_hand:?}");
        let odd = place.run(&["tools", "run", "program", r#"{"args":["frobnicate"]}"#]);
        assert!(
            odd.exit != Some(0)
                && odd.err.contains("[the program failed]")
                && odd.err.contains("usage: program"),
            "{odd:?}"
        );
    });
}

/// A model that calls the tool `version` where it is offered, and says what that gave.
fn server_that_asks_the_version() -> ScriptServer {
    let script = Script::choose(|request| {
        let is_offered = request.tool_names().iter().any(|name| name == "version");
        match request.tool_results().last() {
            Some(given) => Reply::text(given),
            None if is_offered => Reply::call("version", "{}"),
            None => Reply::text("not offered"),
        }
    });
    ScriptServer::start(Wire::Chat, script).expect("a server on loopback")
}

fn version(text: &str) -> Guest {
    let code = format!(
        "(data (i32.const 20000) \"{text}\") {}",
        run(&format!(
            "(call $ok (i32.const 20000) (i32.const {}))",
            text.len()
        ))
    );
    Guest::new("version", &code)
}

impl Place {
    /// Asks until the answer holds this; what is taken back is so in a moment.
    fn hears(&self, expected: &str) {
        let hears = |_| self.run(&["ask", "which?"]).out.contains(expected);
        assert!((0..20).any(hears), "{expected}");
    }

    fn says(&self, expected: &str) {
        let done = self.run(&["ask", "which?"]);
        assert!(done.out.contains(expected), "{expected}: {done:?}");
    }

    fn replaced(&self, guest: &Guest) {
        let done = self.run(&["tools", "add", "--replace", &self.component(guest)]);
        assert!(
            done.exit == Some(0) && done.err.contains("has taken it up"),
            "{done:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m7_a_component_comes_changes_is_taken_back_and_goes_while_the_engine_runs() {
    let server = server_that_asks_the_version();
    let place = place_with(&server);
    tokio::task::block_in_place(|| {
        assert_eq!(place.run(&["daemon", "start"]).exit, Some(0));
        place.says("not offered");
        place.added(&version("version 1"));
        place.says("version 1");
        place.replaced(&version("version 2"));
        place.says("version 2");
        let back = place.run(&["tools", "rollback", "version"]);
        assert!(back.err.contains("has taken it up"), "{back:?}");
        place.says("version 1");
        // What does not work where it is tried is not kept.
        let broken = Guest::new("version", &run("unreachable"));
        let file = place.component(&broken);
        let told = place.fails(&["tools", "add", "--replace", "--probe", "{}", &file]);
        assert!(
            told.contains("it is not kept") && told.contains("unreachable"),
            "{told}"
        );
        place.says("version 1");
        // What is not tried, and breaks off when it is called, is taken back.
        place.replaced(&broken);
        place.hears("version 1");
        let kept = std::fs::read(place.home().join("tools/version.wasm")).expect("the file");
        assert_eq!(kept, version("version 1").bytes());
        assert_eq!(place.run(&["tools", "remove", "version"]).exit, Some(0));
        place.says("not offered");
        assert_eq!(place.run(&["daemon", "stop"]).exit, Some(0));
    });
}

#[test]
fn a_component_that_asks_others_says_whom_when_it_is_added() {
    let place = Place::new();
    let asking = Guest::echo().with_host("api.example.com").with_tool("read");
    let added = place.run(&["tools", "add", &place.component(&asking)]);
    assert!(
        added
            .err
            .contains("echo is kept and gets http (api.example.com), tools (read)"),
        "{added:?}"
    );
    assert!(
        place
            .fails(&["tools", "rollback", "echo"])
            .contains("no version of \"echo\" before this one is kept")
    );
}

/// Reads a file through the tool that it declared, or tries to change one through another.
fn reader(tool: &str, arguments: &str) -> Guest {
    let escaped = arguments.replace('"', "\\22");
    let code = format!(
        "(data (i32.const 20000) \"{tool}\") (data (i32.const 21000) \"{escaped}\") {}",
        run(&format!(
            "(call $tool_call (i32.const 20000) (i32.const {}) (i32.const 21000) (i32.const {}) (i32.const 300))
             (if (result i32) (i32.load8_u (i32.const 300))
               (then (call $wrong (i32.load (i32.const 304)) (i32.load (i32.const 308))))
               (else (call $ok (i32.load (i32.const 304)) (i32.load (i32.const 308)))))",
            tool.len(),
            arguments.len()
        ))
    );
    Guest::new("reader", &code).with_tool(tool)
}

#[test]
fn s3_a_component_calls_tools_by_the_one_way_and_by_hand_gets_no_more_leave() {
    let place = Place::new();
    place.write("work/note.txt", "hello from a file");
    place.added(&reader("read", r#"{"path":"note.txt"}"#));
    let read = place.run(&["tools", "run", "reader", "{}"]);
    assert!(
        read.exit == Some(0) && read.out.contains("hello from a file"),
        "{read:?}"
    );
    let write = reader("write", r#"{"path":"new.txt","content":"x"}"#);
    let file = place.component(&write);
    assert_eq!(
        place.run(&["tools", "add", "--replace", &file]).exit,
        Some(0)
    );
    let done = place.run(&["tools", "run", "reader", "{}"]);
    assert!(
        done.exit == Some(1) && done.err.contains("it needs an approval"),
        "{done:?}"
    );
    assert!(!place.workspace().join("new.txt").exists());
}
