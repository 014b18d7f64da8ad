//! The built program writes tools for itself: over a real wire, with the compiler of this machine, confined as it is for
//! everybody.

use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
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
    let before = std::fs::read_dir("/dev/shm")
        .map(Iterator::count)
        .unwrap_or_default();
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
    let after = std::fs::read_dir("/dev/shm")
        .map(Iterator::count)
        .unwrap_or_default();
    assert!(after <= before, "a job's folder is left");
}
