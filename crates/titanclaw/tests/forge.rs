//! The built program writes tools for itself: over a real wire, with the compiler of this machine, confined as it is for
//! everybody.

use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use titan_testkit::server::{Reply, Request, Script, ScriptServer, Wire};

const SHOUT: &str = "fn run(input: Value) -> Result<String> {\n    Ok(json::text(&input, \"text\")?.to_uppercase())\n}\n";

/// What a model writes to have a text shouted.
fn shout(name: &str, source: &str, text: &str) -> Value {
    json!({
        "name": name,
        "description": "Says a text in capital letters.",
        "source": source,
        "input_schema": {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": false
        },
        "examples": [{"input": {"text": "a"}, "output": "A"}],
        "input": {"text": text}
    })
}

/// A home with a toolchain that is ready, a folder to work in, and a model.
struct Place {
    folder: TempDir,
    server: ScriptServer,
}

struct Answered {
    out: String,
    said: String,
    is_ok: bool,
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_titanclaw"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn folder(path: &Path) {
    std::fs::create_dir_all(path).expect("a folder");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).expect("it is ours");
}

/// What was prepared once for all test runs; `None`, and the test is skipped, where there is no compiler for it.
fn prepared() -> Option<PathBuf> {
    let cache = PathBuf::from(std::env::var_os("HOME")?).join(".cache/titanclaw");
    let jit = cache.join("jit");
    folder(&jit);
    // Tests are processes of their own, and one of them prepares.
    let lock = File::create(cache.join("jit.lock")).expect("a lock");
    lock.lock().expect("it is locked");
    let place = tempfile::tempdir().expect("a folder");
    configure(&place.path().join("home"), &jit, "");
    let prepared = run(&place, &["toolchain", "prepare"], "");
    let said = String::from_utf8_lossy(&prepared.stderr).into_owned();
    if said.contains("No compiler") {
        titan_testkit::skip("program:rust-wasm", said.trim());
        return None;
    }
    assert!(prepared.status.success(), "{said}");
    Some(jit)
}

fn configure(home: &Path, jit: &Path, more: &str) {
    folder(home);
    let text = format!("[jit]\nfolder = {:?}\n{more}", jit.display().to_string());
    let file = home.join("config.toml");
    std::fs::write(&file, text).expect("a config");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("it is ours");
}

fn run(place: &TempDir, arguments: &[&str], server: &str) -> Output {
    let work = place.path().join("work");
    folder(&work);
    program()
        .env("HOME", place.path())
        .env("TITANCLAW_HOME", place.path().join("home"))
        .env("OPENAI_API_KEY", "scripted")
        .env("OPENAI_BASE_URL", server)
        .env("TITANCLAW_MODEL", "compatible/scripted")
        .current_dir(work)
        .args(arguments)
        .output()
        .expect("it starts")
}

impl Place {
    fn new(jit: &Path, model: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = ScriptServer::start(Wire::Chat, Script::choose(model)).expect("a server");
        configure(
            &folder.path().join("home"),
            jit,
            "[reflexes]\npromotion = \"never\"\n",
        );
        Self { folder, server }
    }

    fn run(&self, arguments: &[&str]) -> Answered {
        let output = run(
            &self.folder,
            arguments,
            &format!("{}/v1", self.server.base_url()),
        );
        Answered {
            out: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
            is_ok: output.status.success(),
        }
    }

    fn ask(&self, text: &str) -> Answered {
        self.run(&["ask", text])
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Every file of the home, but for the store, where the turns are.
    fn files(&self) -> Vec<String> {
        let mut files = walk(&self.home());
        files.retain(|file| !file.contains("titanclaw.db") && !file.contains("/logs/"));
        files.sort();
        files
    }
}

fn walk(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("it is a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(walk(&path)),
            path => files.push(path.display().to_string()),
        }
    }
    files
}

/// Jobs' folders in memory of processes that are gone.
fn orphans() -> Vec<String> {
    let entries = std::fs::read_dir("/dev/shm")
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_left = |name: &String| {
        let process = name
            .strip_prefix("titanclaw-tool-")
            .and_then(|name| name.split_once('-'));
        process.is_some_and(|(process, _)| !Path::new("/proc").join(process).exists())
    };
    names.filter(is_left).collect()
}

fn call(arguments: &Value) -> Reply {
    Reply::call("forge_tool", &arguments.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn s25_a_tool_is_written_run_and_gone() {
    let Some(jit) = prepared() else { return };
    let place = Place::new(&jit, |request| match request.tool_results().as_slice() {
        [] => call(&shout("shout", SHOUT, "hello")),
        [given] if given.contains("HELLO") => Reply::call("shout", r#"{"text":"again"}"#),
        [.., last] => Reply::text(&format!("It said: {last}")),
    });
    let before = orphans();
    place.run(&["tools", "list"]);
    let answered = place.ask("Shout hello");
    assert!(answered.is_ok, "{}", answered.said);
    // It was there for one call: the model that calls it by its name hears that there is none.
    assert!(
        answered.out.contains("There is no tool called \"shout\""),
        "{} {}",
        answered.out,
        answered.said
    );
    assert_eq!(place.run(&["tools", "list", "--json"]).out, "[]");
    let left: Vec<String> = place
        .files()
        .into_iter()
        .filter(|file| !file.ends_with("config.toml") && !file.ends_with("/artefacts/key"))
        .filter(|file| {
            file.contains("/tools/") || file.contains("/artefacts/") || file.contains("shout")
        })
        .collect();
    assert_eq!(left, Vec::<String>::new());
    let left: Vec<String> = orphans()
        .into_iter()
        .filter(|one| !before.contains(one))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "a job's folder is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_does_not_compile_comes_back_with_its_lines_three_times_and_no_more() {
    let Some(jit) = prepared() else { return };
    let broken = SHOUT.replace("to_uppercase", "to_upper_case");
    let place = Place::new(&jit, move |request| match request.tool_results().len() {
        n @ 0..4 => call(&shout(&format!("shout{n}"), &broken, "hello")),
        _ => Reply::text(&request.tool_results().join("\n~~~\n")),
    });
    let answered = place.ask("Shout hello");
    let results: Vec<&str> = answered.out.split("~~~").collect();
    assert_eq!(results.len(), 4, "{} {}", answered.out, answered.said);
    for (result, left) in results
        .iter()
        .zip(["2 more times", "1 more times", "answer without one"])
    {
        assert!(
            result.contains("tool.rs:2:36") && result.contains("to_upper_case"),
            "{result}"
        );
        assert!(result.contains(left), "{result}");
    }
    assert!(
        results[3].contains("3 tools went wrong in this turn already"),
        "{}",
        results[3]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_example_that_goes_wrong_is_told_and_the_tool_does_not_run() {
    let Some(jit) = prepared() else { return };
    let quiet = SHOUT.replace("to_uppercase", "to_lowercase");
    let place = Place::new(&jit, move |request| {
        match request.tool_results().as_slice() {
            [] => call(&shout("shout", &quiet, "HELLO")),
            [result, ..] => Reply::text(result),
        }
    });
    let out = place.ask("Shout hello").out;
    assert!(
        out.contains("An example went wrong") && out.contains("instead of:\nA"),
        "{out}"
    );
    assert!(!out.contains("hello"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn m8_a_tool_that_is_written_takes_no_name_of_the_engines_own() {
    let Some(jit) = prepared() else { return };
    let place = Place::new(&jit, |request| match request.tool_results().as_slice() {
        [] => call(&shout("read", SHOUT, "hello")),
        [_] => call(&shout("forge_tool", SHOUT, "hello")),
        results => Reply::text(&results.join("\n")),
    });
    let out = place.ask("Shout hello").out;
    assert!(out.contains("read is the name of a built-in tool"), "{out}");
    assert!(
        out.contains("forge_tool is the name of a built-in tool"),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_kept_is_there_in_the_same_turn_and_after_a_restart_and_can_be_tried_and_taken_along()
 {
    let Some(jit) = prepared() else { return };
    let place = Place::new(&jit, |request| {
        let is_again = request.last_user_text().contains("again");
        match request.tool_results().as_slice() {
            [] if is_again => Reply::call("shout", r#"{"text":"once more"}"#),
            [] => {
                let mut arguments = shout("shout", SHOUT, "hello");
                arguments["keep"] = true.into();
                call(&arguments)
            }
            [_] if !is_again => Reply::call("shout", r#"{"text":"by its name"}"#),
            results => Reply::text(&results.join("\n")),
        }
    });
    let first = place.ask("Shout hello, and keep that tool");
    assert!(
        first.out.contains("The tool is kept"),
        "{} {}",
        first.out,
        first.said
    );
    assert!(
        first.out.contains("BY ITS NAME"),
        "without a restart: {}",
        first.out
    );
    // Each command is a process of its own, so this one starts anew.
    let again = place.ask("Shout again");
    assert!(
        again.out.contains("ONCE MORE"),
        "{} {}",
        again.out,
        again.said
    );
    let tested = place.run(&["tools", "test", "shout"]);
    assert!(
        tested.is_ok && tested.out == "1 of 1 examples passed",
        "{} {}",
        tested.out,
        tested.said
    );
    let shown = place.run(&["tools", "show", "shout"]).out;
    assert!(shown.contains("to_uppercase"), "with its source: {shown}");
    let out = place.folder.path().join("out");
    let exported = place.run(&["tools", "export", "shout", &out.display().to_string()]);
    assert!(exported.is_ok, "{}", exported.said);
    assert_eq!(
        std::fs::read_to_string(out.join("shout.rs")).unwrap(),
        SHOUT
    );
    assert!(out.join("shout.wasm").is_file() && out.join("shout.json").is_file());
    assert!(
        !place
            .run(&["tools", "export", "shout", &out.display().to_string()])
            .is_ok,
        "nothing is overwritten"
    );
    // A component stands by itself: what it says of itself is in it.
    assert!(place.run(&["tools", "remove", "shout"]).is_ok);
    let added = place.run(&[
        "tools",
        "add",
        &out.join("shout.wasm").display().to_string(),
    ]);
    assert!(added.is_ok, "{}", added.said);
    let shown = place.run(&["tools", "show", "shout"]).out;
    assert!(
        shown.contains("Says a text in capital letters.") && shown.contains("gets: log"),
        "{shown}"
    );
    // What a person added is not replaced by what is written.
    let kept = place.ask("Shout hello, and keep that tool");
    assert!(
        kept.out.contains("is not kept") && kept.out.contains("added by hand"),
        "{}",
        kept.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_written_again_is_kept_and_one_that_is_gone_can_be_kept_later() {
    let Some(jit) = prepared() else { return };
    let place = Place::new(&jit, |request| {
        let n = request.tool_results().len();
        let is_twice = request.last_user_text().contains("twice");
        match n {
            0 => call(&shout("shout", SHOUT, "hello")),
            // The same, however it is set.
            1 if is_twice => call(&shout("cry", &SHOUT.replace('\n', "\n\n"), "hello")),
            _ => Reply::text(&request.tool_results().join("\n")),
        }
    });
    assert!(!place.ask("Shout").out.contains("is kept"));
    let none = place.run(&["tools", "keep", "nothing"]);
    assert!(
        !none.is_ok && none.said.contains("no tool called \"nothing\" was written"),
        "{}",
        none.said
    );
    let kept = place.run(&["tools", "keep", "shout"]);
    assert!(
        kept.is_ok && kept.said.contains("shout is kept"),
        "{}",
        kept.said
    );
    assert_eq!(
        place.run(&["tools", "run", "shout", r#"{"text":"x"}"#]).out,
        "X"
    );
    assert!(place.run(&["tools", "remove", "shout"]).is_ok);
    let twice = place.ask("Shout twice");
    assert!(
        twice.out.contains("call it by its name, cry"),
        "{} {}",
        twice.out,
        twice.said
    );
    assert_eq!(
        place.run(&["tools", "run", "cry", r#"{"text":"y"}"#]).out,
        "Y"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn m7_a_kept_tool_that_breaks_off_is_demoted() {
    let Some(jit) = prepared() else { return };
    let fragile = "fn run(input: Value) -> Result<String> {\n    let text = json::text(&input, \"text\")?;\n    if text == \"break\" { panic!(\"it can't\") }\n    Ok(text.to_uppercase())\n}\n";
    let place = Place::new(&jit, move |request| match request.tool_results().len() {
        0 => {
            let mut arguments = shout("fragile", fragile, "hello");
            arguments["keep"] = true.into();
            call(&arguments)
        }
        1 => Reply::call("fragile", r#"{"text":"break"}"#),
        n if n < 40 && !request.tool_results()[n - 1].contains("There is no tool") => {
            Reply::call("fragile", r#"{"text":"and now"}"#)
        }
        _ => Reply::text(&request.tool_results().join("\n")),
    });
    let answered = place.ask("Shout");
    assert!(
        answered.out.contains("panicked at tool.rs:3:"),
        "{} {}",
        answered.out,
        answered.said
    );
    assert!(
        answered.out.contains("There is no tool called \"fragile\""),
        "{}",
        answered.out
    );
    assert_eq!(place.run(&["tools", "list", "--json"]).out, "[]");
    assert!(
        place.run(&["tools", "remove", "fragile"]).is_ok,
        "what is left of it can be removed"
    );
    assert!(
        !place.files().iter().any(|file| file.contains("fragile")),
        "{:?}",
        place.files()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_compiler_everything_else_works_and_no_model_is_offered_the_tool() {
    let folder = tempfile::tempdir().expect("a folder");
    let jit = folder.path().join("jit");
    let place = Place::new(&jit, |request| {
        let is_offered = request.tool_names().iter().any(|name| name == "forge_tool");
        Reply::text(if is_offered { "offered" } else { "not offered" })
    });
    let more = format!(
        "rustc = {:?}\n",
        folder.path().join("rustc").display().to_string()
    );
    configure(&place.home(), &jit, &more);
    let answered = place.ask("Shout hello");
    assert_eq!(answered.out, "not offered", "{}", answered.said);
    let status = place.run(&["toolchain", "status"]);
    assert!(
        !status.is_ok && status.said.contains("No compiler from Rust to WebAssembly"),
        "{}",
        status.said
    );
    let prepared = place.run(&["toolchain", "prepare"]);
    assert!(
        !prepared.is_ok && prepared.said.contains("titanclaw toolchain prepare"),
        "{}",
        prepared.said
    );
    assert!(!place.run(&["toolchain", "doctor"]).is_ok);
    let doctor = place.run(&["doctor"]);
    assert!(
        doctor.out.contains("no tools are written here"),
        "{}",
        doctor.out
    );
}

const VOWELS: &str = "fn run(input: Value) -> Result<String> {\n    let text = json::text(&input, \"text\")?;\n    \
    Ok(text.chars().filter(|c| \"aeiou\".contains(*c)).count().to_string())\n}\n";

/// The line of what a tool gave that is a file's own, or a number by itself.
fn gist(given: &str) -> String {
    let line = given
        .lines()
        .find(|line| line.starts_with("text: ") || line.trim().parse::<u32>().is_ok());
    line.unwrap_or_default().trim().to_owned()
}

/// Writes and keeps a tool that counts vowels, and uses it for every file that is asked about.
fn counts_vowels(request: &Request) -> Reply {
    let asked = request.last_user_text();
    let file = asked
        .split([' ', '?', '\n'])
        .rfind(|word| word.ends_with(".txt"))
        .unwrap_or("none.txt")
        .to_owned();
    match request.tool_results().as_slice() {
        [] if asked.contains("keep") => {
            let mut arguments = shout("vowels", VOWELS, "aha");
            arguments["description"] = "Counts the vowels of a text.".into();
            arguments["examples"] = json!([{"input": {"text": "abe"}, "output": "2"}]);
            arguments["keep"] = true.into();
            call(&arguments)
        }
        [_] if asked.contains("keep") => Reply::text("It is kept."),
        [] => Reply::call(
            "shell",
            &json!({"script": format!("cat {file}")}).to_string(),
        ),
        [text] => Reply::call("vowels", &json!({"text": gist(text)}).to_string()),
        [.., n] => Reply::text(&format!("{file} has {} vowels.", gist(n))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reflex_computes_with_a_tool_that_was_written_and_ends_with_it() {
    let Some(jit) = prepared() else { return };
    let place = Place::new(&jit, counts_vowels);
    configure(
        &place.home(),
        &jit,
        "[reflexes]\npromotion = \"proved\"\nsample = 0\n",
    );
    let work = place.folder.path().join("work");
    folder(&work);
    let write = |name: &str, text: &str| {
        std::fs::write(work.join(name), format!("text: {text}\n")).expect("written");
    };
    let kept = place.ask("Write a tool that counts vowels, and keep it");
    assert_eq!(kept.out, "It is kept.", "{}", kept.said);
    for (name, text) in [
        ("a.txt", "b"),
        ("bb.txt", "aha"),
        ("c.txt", "oo ooo"),
        ("dd.txt", "x"),
    ] {
        write(name, text);
        let answered = place.ask(&format!("How many vowels does {name} have?"));
        assert!(answered.is_ok, "{}", answered.said);
    }
    write("e.txt", "queue");
    let n_taught = place.server.exchanges().len();
    let answered = place.ask("How many vowels has e.txt?");
    assert_eq!(
        place.server.exchanges().len(),
        n_taught,
        "{}",
        answered.said
    );
    // The four of the word, and the one of what stands before it.
    assert_eq!(answered.out, "e.txt has 5 vowels.");

    // Another component under its name is another tool, even if it says the same of itself.
    let shelf = place.folder.path().join("out");
    assert!(
        place
            .run(&["tools", "export", "vowels", &shelf.display().to_string()])
            .is_ok
    );
    assert!(place.run(&["tools", "remove", "vowels"]).is_ok);
    let mut other = std::fs::read(shelf.join("vowels.wasm")).expect("it was exported");
    // A custom section of one byte that says nothing.
    other.extend([0, 3, 1, b'x', 0]);
    std::fs::write(shelf.join("vowels.wasm"), other).expect("written");
    let added = place.run(&[
        "tools",
        "add",
        &shelf.join("vowels.wasm").display().to_string(),
    ]);
    assert!(added.is_ok, "{}", added.said);
    place.ask("How many vowels has e.txt?");
    assert!(
        place.server.exchanges().len() > n_taught,
        "the model is asked"
    );
}

/// What the model says when it is asked for the code of what it computes.
const COUNTS: &str = r#"This counts them:
```rust
fn run(input: Value) -> Result<String> {
    let text = input["outcomes"][0].as_str().ok_or("there is no outcome")?;
    let lines = text.lines().filter(|line| line.contains("TODO"));
    Ok(lines.count().to_string())
}
```
"#;

fn is_asked_for_code(request: &Request) -> bool {
    request
        .system()
        .contains("You write one small function in Rust")
}

/// Reads the file that is asked about, and counts for itself.
fn counts_todos(request: &Request) -> Reply {
    if is_asked_for_code(request) {
        // The first version does not compile.
        return match request.last_user_text().contains("It is wrong") {
            true => Reply::text(COUNTS),
            false => Reply::text(&COUNTS.replace("to_string", "to_strings")),
        };
    }
    let asked = request.last_user_text();
    let file = asked
        .split([' ', '?', '\n'])
        .rfind(|word| word.ends_with(".txt"))
        .unwrap_or("none.txt")
        .to_owned();
    match request.tool_results().as_slice() {
        [] => Reply::call(
            "shell",
            &json!({"script": format!("cat {file}")}).to_string(),
        ),
        [.., text] => {
            let n = text.lines().filter(|line| line.contains("TODO")).count();
            match file.len() % 2 {
                0 => Reply::text(&format!("In {file} there are **{n}** TODO lines.")),
                _ => Reply::text(&format!("{n} lines of {file} say TODO.")),
            }
        }
    }
}

/// Whoever waits longer for what is learned waits for what does not come.
const LEARNED_MAX: Duration = Duration::from_secs(120);

/// An engine in the background, which ends with its test.
struct Background<'a>(&'a Place);

impl<'a> Background<'a> {
    fn start(place: &'a Place) -> Self {
        let started = place.run(&["daemon", "start"]);
        assert!(started.is_ok, "{}", started.said);
        Self(place)
    }

    /// Waits until what was learned is in this state.
    fn learned(&self, state: &str) -> Value {
        let until = Instant::now() + LEARNED_MAX;
        while Instant::now() < until {
            let listed = self.0.run(&["reflexes", "list", "--json"]).out;
            let reflexes = listed
                .lines()
                .map(|line| serde_json::from_str(line).expect("JSON"));
            let mut learned = reflexes.filter(|reflex: &Value| reflex["is_built_in"] == false);
            match learned.next() {
                Some(reflex) if reflex["state"] == state => return reflex,
                _ => std::thread::yield_now(),
            }
        }
        let logs = self.0.run(&["logs"]);
        panic!(
            "nothing that was learned is {state}: {} {}",
            logs.out, logs.said
        );
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        self.0.run(&["daemon", "stop"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_computes_again_and_again_is_written_compiled_proved_and_answered_without_it()
{
    let Some(jit) = prepared() else { return };
    let place = Place::new(&jit, counts_todos);
    configure(
        &place.home(),
        &jit,
        "[reflexes]\npromotion = \"proved\"\nsample = 0\n",
    );
    let work = place.folder.path().join("work");
    folder(&work);
    let write = |name: &str, n: usize| {
        let text = "x TODO y\n".repeat(n) + "done\ndone\n";
        std::fs::write(work.join(name), text).expect("written");
    };
    let background = Background::start(&place);
    let ask = |name: &str, n: usize| {
        write(name, n);
        let answered = place.ask(&format!("How many lines of {name} say TODO?"));
        assert!(answered.is_ok, "{}", answered.said);
        answered
    };
    for (name, n) in [("a.txt", 2), ("bb.txt", 3), ("c.txt", 5)] {
        ask(name, n);
    }
    // It is written, does not compile, is mended, compiled and proved.
    let written = background.learned("shadow");
    assert_eq!(written["agreements"], 0, "{written}");
    assert_eq!(written["written"]["by"], "compatible/scripted", "{written}");
    for (name, n) in [("dd.txt", 1), ("e.txt", 4)] {
        ask(name, n);
    }
    let name = background.learned("promoted")["name"]
        .as_str()
        .expect("a name")
        .to_owned();

    let n_asked = place.server.exchanges().len();
    write("f.txt", 1);
    write("f.txt", 17);
    let answered = place.ask("Please tell me how many lines of f.txt say TODO");
    assert!(
        answered.out.contains("17") && answered.out.contains("f.txt"),
        "{}",
        answered.out
    );
    let said: Vec<&str> = answered.said.split_whitespace().collect();
    let said = said.join(" ");
    assert!(
        said.contains("code that compatible/scripted wrote gives 5 recorded answers"),
        "{said}"
    );
    assert_eq!(place.server.exchanges().len(), n_asked, "{}", answered.said);
    let near = place.ask("How many lines of f.txt say TODO, and is that much?");
    assert!(
        near.is_ok && place.server.exchanges().len() > n_asked,
        "{}",
        near.said
    );

    let shown = place.run(&["reflexes", "show", &name]).out;
    assert!(
        shown
            .contains("\n      let lines = text.lines().filter(|line| line.contains(\"TODO\"));\n"),
        "{shown}"
    );
    assert!(
        shown.contains("code by   compatible/scripted") && shown.contains("cat {0}"),
        "{shown}"
    );
    let why = place.run(&["reflexes", "why", &name]).out;
    for (what, file) in [
        ("shown", "a.txt"),
        ("shown", "bb.txt"),
        ("held out", "c.txt"),
    ] {
        let is_said = |line: &str| line.starts_with(what) && line.contains(file);
        assert!(why.lines().any(is_said), "{what} {file}: {why}");
    }
    assert!(
        why.contains("proof       agrees: How many lines of c.txt say TODO?"),
        "{why}"
    );

    // What it cost is told with all else.
    let requests = place.server.requests();
    let n_for_code = requests
        .iter()
        .filter(|request| is_asked_for_code(request))
        .count();
    assert_eq!(n_for_code, 2);
    let costs = place.run(&["cost", "--json"]).out;
    let calls = costs
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let calls: u64 = calls.filter_map(|line| line["calls"].as_u64()).sum();
    assert_eq!(calls, requests.len() as u64, "{costs}");
}
