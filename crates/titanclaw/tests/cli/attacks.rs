//! What a hostile workspace tries on the built program.

use crate::{Place, place_with};
use serde_json::json;
use std::path::{Path, PathBuf};
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

fn server(replies: Vec<Reply>) -> ScriptServer {
    ScriptServer::start(Wire::Chat, Script::replies(replies)).expect("a server on loopback")
}

/// Every file below a folder, as text.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            found.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn x10_a_dot_env_in_the_workspace_sets_nothing() {
    let server = server(vec![Reply::text("mine")]);
    let place = place_with(&server);
    let hostile = "OPENAI_API_KEY=sk-evil\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\nANTHROPIC_API_KEY=sk-evil\n\
                   TITANCLAW_HOME=/tmp/evil\nTITANCLAW_MODEL=evil/m\nTITANCLAW_OFFLINE=1\nPATH=.\nHTTPS_PROXY=http://127.0.0.1:9\n";
    for name in [
        ".env",
        ".env.local",
        ".envrc",
        "config.toml",
        ".titanclaw/config.toml",
        ".titanclaw.toml",
    ] {
        let text = match name.ends_with("toml") {
            true => "[models]\nchat = \"evil/m\"\n[policy]\nrun = \"allow\"\n",
            false => hostile,
        };
        place.write(&format!("work/{name}"), text);
    }
    let done = tokio::task::block_in_place(|| place.run(&["ask", "--quiet", "who?"]));
    assert_eq!(
        (done.exit, done.out.as_str()),
        (Some(0), "mine\n"),
        "{done:?}"
    );
    let rule = tokio::task::block_in_place(|| place.run(&["config", "get", "policy.run"]));
    assert_eq!(rule.out, "ask\n");
    assert!(place.home().join("config.toml").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_key_that_a_program_prints_is_in_no_prompt_file_log_or_export() {
    let token = format!("{}_Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi", "ghp");
    let own = "correct-horse-battery-staple-7";
    let reversed: String = own.chars().rev().collect();
    // The script says each of them in two halves; only what it prints holds them whole.
    let halves = |text: &str| format!("{}''{}", &text[..9], &text[9..]);
    let (a, b, c) = (halves(&token), halves(own), halves(&reversed));
    let script = format!("echo a {a} b {b} c {c}");
    let print = Reply::call("shell", &json!({ "script": script }).to_string());
    let server = server(vec![print, Reply::text("done")]);
    let place = place_with(&server)
        .with("OPENAI_API_KEY", own)
        .with("TITANCLAW_LOG", "trace");
    let run = |arguments: &[&str]| tokio::task::block_in_place(|| place.run(arguments));
    let done = run(&["ask", "--json", "print it"]);
    assert_eq!(done.exit, Some(0), "{done:?}");
    let prompts = format!("{:?}", server.requests());
    assert!(
        prompts.contains("a [secret GitHub token] b [secret "),
        "{prompts}"
    );
    let listed = run(&["sessions", "list", "--json"]);
    let session: serde_json::Value = serde_json::from_str(listed.out.trim()).expect("JSON");
    let id = session["session"].as_str().expect("an id");
    let exported = run(&["sessions", "export", "--format", "json", id]);
    let shown = run(&["sessions", "show", id]);
    assert_eq!(
        (exported.exit, shown.exit),
        (Some(0), Some(0)),
        "{exported:?} {shown:?}"
    );
    let mut texts = vec![
        (PathBuf::from("a prompt"), prompts),
        ("the output".into(), format!("{done:?}")),
        ("an export".into(), format!("{exported:?}{shown:?}")),
    ];
    texts.extend(files(&place.home()));
    for secret in [token.as_str(), own, reversed.as_str()] {
        for (place, text) in &texts {
            assert!(
                !text.contains(secret),
                "{secret} is in {}: {text}",
                place.display()
            );
        }
    }
}

#[test]
fn g32_doctor_closes_what_is_open_and_brings_back_the_last_good_config() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path, mode: Option<u32>| {
        if let Some(mode) = mode {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
        }
        std::fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    let place = Place::new();
    assert_eq!(
        place.run(&["config", "set", "policy.run", "deny"]).exit,
        Some(0)
    );
    assert_eq!(
        place
            .run(&["config", "set", "limits.turn_seconds", "60"])
            .exit,
        Some(0)
    );
    let config = place.home().join("config.toml");
    let good = "[policy]\nrun = \"deny\"\n";
    std::fs::write(&config, "[policy]\nrun = \"maybe\"\n").expect("the file");
    let socket = place.home().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
    mode(&place.home(), Some(0o755));
    mode(&config, Some(0o644));
    let seen = place.run(&["doctor", "--offline"]);
    assert_eq!(seen.exit, Some(1), "{seen:?}");
    for told in [
        "chmod 700",
        "`policy.run` is \"maybe\"",
        "doctor --fix",
        "open to other users: ",
    ] {
        assert!(seen.out.contains(told), "{told}: {}", seen.out);
    }
    assert!(socket.exists(), "looking changes nothing");
    let mended = place.run(&["doctor", "--offline", "--fix"]);
    assert_eq!(mended.exit, Some(0), "{mended:?}");
    assert_eq!(std::fs::read_to_string(&config).expect("the file"), good);
    let broken = std::fs::read_to_string(place.home().join("config.toml.broken"));
    assert_eq!(
        broken.expect("it is set aside"),
        "[policy]\nrun = \"maybe\"\n"
    );
    assert_eq!(
        (mode(&place.home(), None), mode(&config, None)),
        (0o700, 0o600)
    );
    assert!(!socket.exists());
    let again = place.run(&["doctor", "--offline", "--fix"]);
    assert!(!again.out.contains("mended"), "{again:?}");
}
