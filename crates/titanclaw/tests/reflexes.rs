//! The built program learns from what it is asked, and answers without the model: over a real wire, with real tools, real
//! components and commands as people type them.

use serde_json::json;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use titan_testkit::server::{Reply, Request, Script, ScriptServer, Wire};

/// A home and a folder with files.
struct Place {
    folder: TempDir,
    server: ScriptServer,
}

struct Answered {
    out: String,
    said: String,
    is_ok: bool,
}

/// Reads what it is asked about with a shell, and says what it found in one of two ways.
fn model(request: &Request) -> Reply {
    let asked = request.last_user_text();
    let file = asked
        .split([' ', '?', '\n'])
        .rfind(|word| word.ends_with(".txt"))
        .unwrap_or("none.txt")
        .to_owned();
    match request.tool_results().last() {
        _ if asked.contains("sheep") => Reply::text("9 sheep are left."),
        None => Reply::call(
            "shell",
            &json!({ "script": format!("wc -l {file}") }).to_string(),
        ),
        Some(found) => {
            // What tools give stands between two marks.
            let line = found.lines().find(|line| line.ends_with(&file));
            let lines = line
                .and_then(|line| line.split_whitespace().next())
                .unwrap_or("no")
                .to_owned();
            match file.len() % 2 {
                0 => Reply::text(&format!("{file} has {lines} lines.")),
                _ => Reply::text(&format!("There are {lines} lines in {file}.")),
            }
        }
    }
}

impl Place {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = ScriptServer::start(Wire::Chat, Script::choose(model)).expect("a server");
        let home = folder.path().join("home");
        std::fs::create_dir(&home).expect("a home");
        std::fs::create_dir(folder.path().join("work")).expect("a workspace");
        let file = home.join("config.toml");
        std::fs::write(&file, config).expect("a config");
        let place = Self { folder, server };
        for path in [&home, &file] {
            let mode = if path == &home { 0o700 } else { 0o600 };
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(path, permissions).expect("it is ours");
        }
        for (name, lines) in [
            ("a.txt", 1),
            ("bb.txt", 2),
            ("c.txt", 3),
            ("dd.txt", 4),
            ("e.txt", 5),
        ] {
            place.write(name, lines);
        }
        place
    }

    fn work(&self) -> std::path::PathBuf {
        self.folder.path().join("work")
    }

    fn write(&self, name: &str, lines: usize) {
        std::fs::write(self.work().join(name), "line\n".repeat(lines)).expect("written");
    }

    fn run(&self, arguments: &[&str]) -> Answered {
        let output = Command::new(env!("CARGO_BIN_EXE_titanclaw"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("TITANCLAW_HOME", self.folder.path().join("home"))
            .env("OPENAI_API_KEY", "scripted")
            .env("OPENAI_BASE_URL", format!("{}/v1", self.server.base_url()))
            .env("TITANCLAW_MODEL", "compatible/scripted")
            .current_dir(self.work())
            .args(arguments)
            .output()
            .expect("it starts");
        Answered {
            out: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
            is_ok: output.status.success(),
        }
    }

    fn ask(&self, text: &str) -> Answered {
        self.run(&["ask", text])
    }

    fn requests(&self) -> usize {
        self.server.exchanges().len()
    }

    fn teach(&self) {
        for name in ["a.txt", "bb.txt", "c.txt", "dd.txt"] {
            let answered = self.ask(&format!("How many lines does {name} have?"));
            assert!(answered.is_ok, "{}", answered.said);
        }
    }
}

const PROVED: &str = "[reflexes]\npromotion = \"proved\"\nsample = 0\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_again_in_other_words_is_answered_from_the_file_as_it_is_now_and_no_model_is_asked()
 {
    let place = Place::new(PROVED);
    place.teach();
    let n_taught = place.requests();
    place.write("e.txt", 42);
    let answered = place.ask("Please tell me the number of lines in e.txt");
    assert_eq!(place.requests(), n_taught, "{}", answered.said);
    assert!(
        answered.out.contains("42") && answered.out.contains("e.txt"),
        "{:?}",
        answered.out
    );
    assert!(
        answered.said.contains("no model is asked"),
        "the person is told: {}",
        answered.said
    );
    // What a program says of a file that is gone is no answer.
    let n_before = place.requests();
    place.ask("How many lines does gone.txt have?");
    assert!(place.requests() > n_before);
    // A near miss is the model's.
    place.ask("How many lines does e.txt have, and is that much?");
    assert!(place.requests() > n_before + 1);
    let stats = place.run(&["reflexes", "stats"]).out;
    assert!(
        stats.contains("1 answer") && stats.contains("answered    1 turn"),
        "{stats}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reflex_is_proposed_and_its_owner_promotes_and_ends_it() {
    let place = Place::new("[reflexes]\nsample = 0\n");
    place.teach();
    let listed = place.run(&["reflexes", "list", "--json"]).out;
    let learned: Vec<serde_json::Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|reflex: &serde_json::Value| reflex["is_built_in"] == false)
        .collect();
    assert_eq!(learned.len(), 1, "{listed}");
    let name = learned[0]["name"].as_str().expect("a name");
    assert_eq!(learned[0]["state"], "proposed");
    let n_before = place.requests();
    let asked = place.ask("How many lines does e.txt have?");
    assert!(
        place.requests() > n_before,
        "it answers nothing before that"
    );
    assert!(
        asked.said.contains(&format!("promote {name}")),
        "{}",
        asked.said
    );
    let shown = place.run(&["reflexes", "show", name]).out;
    assert!(shown.contains("wc -l {0}"), "{shown}");
    let why = place.run(&["reflexes", "why", name]).out;
    assert!(
        why.contains("How many lines does") && why.contains("agrees"),
        "{why}"
    );
    assert!(
        place
            .run(&["reflexes", "prove", name])
            .out
            .contains("agrees")
    );
    assert!(place.run(&["reflexes", "promote", name]).is_ok);
    let n_before = place.requests();
    let answered = place.ask("How many lines does e.txt have?");
    assert!(answered.out.contains('5'), "{}", answered.out);
    assert_eq!(place.requests(), n_before);
    assert!(place.run(&["reflexes", "demote", name]).is_ok);
    place.ask("How many lines does e.txt have?");
    assert!(place.requests() > n_before);
    let wrong = place.run(&["reflexes", "promote", "nothing_such"]);
    assert!(
        !wrong.is_ok && wrong.said.contains("titanclaw reflexes list"),
        "{}",
        wrong.said
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_puzzle_that_was_solved_is_not_thought_about_again() {
    let place = Place::new(PROVED);
    let puzzle = "A farmer has 17 sheep and all but 9 die. How many sheep are left?";
    assert_eq!(place.ask(puzzle).out, "9 sheep are left.");
    let n_before = place.requests();
    assert_eq!(place.ask(puzzle).out, "9 sheep are left.");
    assert_eq!(place.requests(), n_before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_is_bound_to_its_home_and_a_damaged_one_is_left_out() {
    let place = Place::new(PROVED);
    place.teach();
    let artefacts: Vec<_> = walk(&place.folder.path().join("home"));
    assert!(!artefacts.is_empty());
    // Whoever can write there but not read the key brings no code in: it is compiled anew.
    let compiled = artefacts
        .iter()
        .filter(|file| file.to_string_lossy().contains("artefacts") && !file.ends_with("key"));
    for file in compiled {
        std::fs::write(file, b"not what was compiled").expect("written");
    }
    let n_before = place.requests();
    let answered = place.ask("How many lines does e.txt have?");
    assert!(
        answered.out.contains('5'),
        "{} {}",
        answered.out,
        answered.said
    );
    assert_eq!(place.requests(), n_before);
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("it is a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(walk(&path)),
            path => files.push(path),
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_answers_what_it_is_asked_about_itself() {
    let place = Place::new("");
    place.ask("How many lines does a.txt have?");
    let n_before = place.requests();
    let sessions = place.ask("List my sessions, please");
    assert!(
        sessions.out.contains("How many lines does a.txt have?"),
        "{}",
        sessions.out
    );
    assert!(
        place
            .ask("What did you cost today?")
            .out
            .contains("scripted")
    );
    assert!(
        place
            .ask("Which model are you using?")
            .out
            .contains("compatible/scripted")
    );
    assert!(place.ask("help").out.contains("titanclaw models"));
    assert_eq!(place.requests(), n_before);
}
