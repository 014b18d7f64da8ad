//! One process owns a home; all others attach to it.

use crate::{Place, place_with};
use std::os::unix::fs::PermissionsExt;
use titan_testkit::gate::Gate;
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_in_the_background_is_started_used_and_stopped() {
    let script = Script::replies([Reply::text("from the engine")]);
    let server = ScriptServer::start(Wire::Chat, script).expect("a server");
    let place = place_with(&server);
    tokio::task::block_in_place(|| {
        let started = place.run(&["daemon", "start"]);
        assert_eq!(started.exit, Some(0), "{started:?}");
        assert!(
            started.err.contains("scripted/m: the config says so"),
            "{started:?}"
        );
        let socket = std::fs::metadata(place.home().join("control.sock")).expect("the socket");
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
        let again = place.run(&["daemon", "start"]);
        assert!(again.err.contains("runs already"), "{again:?}");

        let answered = place.run(&["ask", "hi"]);
        assert_eq!(answered.out, "from the engine\n", "{answered:?}");
        let status = place.run(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
        assert_eq!(status["is_running"], true);
        assert_eq!(place.run(&["sessions", "list"]).out.lines().count(), 2);
        let logs = place.run(&["logs"]);
        assert!(logs.out.contains("started"), "{logs:?}");

        let stopped = place.run(&["daemon", "stop"]);
        assert_eq!(stopped.exit, Some(0), "{stopped:?}");
        assert!(!place.home().join("control.sock").exists());
        assert_eq!(place.run(&["sessions", "list"]).out.lines().count(), 2);
        assert!(
            place
                .run(&["daemon", "stop"])
                .err
                .contains("no engine runs")
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_terminal_attaches_to_the_first() {
    let gate = Gate::new();
    let script = Script::replies([Reply::text("one ").and_gate(&gate).and_text("two")]);
    let server = ScriptServer::start(Wire::Chat, script).expect("a server");
    let place = place_with(&server);
    let first = place
        .command(&["ask", "-q", "wait"])
        .spawn()
        .expect("the program starts");
    server.arrived(1).await;
    let status = tokio::task::block_in_place(|| place.run(&["status", "--json"]));
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
    assert_eq!(status["engine"]["pid"], first.id());
    assert_eq!(status["engine"]["turns_running"], 1);
    gate.open();
    let output =
        tokio::task::block_in_place(|| first.wait_with_output()).expect("the program ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one two\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_stops_the_turn_and_keeps_what_was_said() {
    let gate = Gate::new();
    let script = Script::replies([Reply::text("so far ").and_gate(&gate).and_text("never")]);
    let server = ScriptServer::start(Wire::Chat, script).expect("a server");
    let place = place_with(&server);
    let first = place
        .command(&["ask", "wait"])
        .spawn()
        .expect("the program starts");
    server.arrived(1).await;
    let pid = rustix::process::Pid::from_child(&first);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let output =
        tokio::task::block_in_place(|| first.wait_with_output()).expect("the program ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let sessions = tokio::task::block_in_place(|| place.run(&["sessions", "list", "--json"]));
    let session: serde_json::Value =
        serde_json::from_str(sessions.out.trim()).expect("one session");
    assert_eq!(session["is_running"], false);
}

/// Twice as many callers as such an engine has files for: each gets its answer or a line that says why not, and what
/// was accepted is in the journal.
#[tokio::test(flavor = "multi_thread")]
async fn with_64_open_files_an_engine_answers_or_says_why_not() {
    const CALLERS: usize = 48;
    // Each turn may ask for a title too.
    let replies = (0..2 * CALLERS).map(|_| Reply::text("Well."));
    let server = ScriptServer::start(Wire::Chat, Script::replies(replies)).expect("a server");
    let place = place_with(&server);
    tokio::task::block_in_place(|| {
        let mut limited = std::process::Command::new("sh");
        let started = limited
            .args(["-c", "ulimit -n 64 && exec \"$0\" daemon start"])
            .arg(env!("CARGO_BIN_EXE_titanclaw"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TITANCLAW_HOME", place.home())
            .output()
            .expect("the program starts");
        let told = String::from_utf8_lossy(&started.stderr);
        assert!(started.status.success(), "{told}");
        assert!(
            told.contains("at most 64 files") && told.contains("ulimit -n"),
            "{told}"
        );

        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                place
                    .command(&["-q", "ask", "hi"])
                    .spawn()
                    .expect("the program starts")
            })
            .collect();
        let mut n_answered = 0;
        for caller in callers {
            let done = crate::done(caller.wait_with_output().expect("the program ends"));
            match done.exit {
                Some(0) => {
                    assert_eq!((done.out.as_str(), done.err.as_str()), ("Well.\n", ""));
                    n_answered += 1;
                }
                _ => assert!(done.err.contains("as many as it has room for"), "{done:?}"),
            }
        }
        assert!(n_answered >= 8, "only {n_answered} were answered");
        let sessions = place.run(&["sessions", "list", "--json", "-n", "1000"]);
        let n_kept = sessions.out.lines().count();
        assert!(n_kept >= n_answered, "{n_kept} of {n_answered} are kept");
        let logs = place.run(&["logs", "-n", "100000"]);
        assert!(!logs.out.contains("panic"), "{logs:?}");
        assert_eq!(place.run(&["daemon", "stop"]).exit, Some(0));
    });
}

/// A limit of the engine that runs: what it is, and what it could be.
fn limit_of_engine(place: &Place, name: &str) -> Vec<String> {
    let status = place.run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", status["engine"]["pid"]));
    let limits = limits.expect("its limits");
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    let fields = line.expect("a line").split_whitespace();
    fields.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_crashing_engine_leaves_no_core_dump_with_its_keys() {
    let server = ScriptServer::start(Wire::Chat, Script::replies([])).expect("a server");
    let place = place_with(&server);
    tokio::task::block_in_place(|| {
        assert_eq!(place.run(&["daemon", "start"]).exit, Some(0));
        let core = limit_of_engine(&place, "Max core file size");
        assert_eq!(core[..2], ["0", "0"], "{core:?}");
        assert_eq!(place.run(&["daemon", "stop"]).exit, Some(0));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_takes_all_the_open_files_that_it_may_have() {
    let server = ScriptServer::start(Wire::Chat, Script::replies([])).expect("a server");
    let place = place_with(&server);
    tokio::task::block_in_place(|| {
        let mut limited = std::process::Command::new("sh");
        let started = limited
            .args(["-c", "ulimit -Sn 300 && exec \"$0\" daemon start"])
            .arg(env!("CARGO_BIN_EXE_titanclaw"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TITANCLAW_HOME", place.home())
            .output()
            .expect("the program starts");
        assert!(started.status.success(), "{started:?}");
        let files = limit_of_engine(&place, "Max open files");
        assert_eq!(files[0], files[1], "{files:?}");
        assert_eq!(place.run(&["daemon", "stop"]).exit, Some(0));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_asked_for_while_an_engine_runs() {
    let server = ScriptServer::start(Wire::Chat, Script::replies([])).expect("a server");
    let place = place_with(&server);
    tokio::task::block_in_place(|| {
        assert_eq!(place.run(&["daemon", "start"]).exit, Some(0));
        let arguments = ["onboard", "--model", "anthropic/x", "--key", "--yes"];
        let refused = place.run_with(&arguments, "");
        assert_eq!(refused.exit, Some(1), "{refused:?}");
        assert!(
            refused.err.contains("titanclaw daemon stop") && !refused.err.contains("The key for"),
            "{refused:?}"
        );
        assert_eq!(place.run(&["daemon", "stop"]).exit, Some(0));
        let sealed = place.run_with(&arguments, "sk-a-key\n");
        assert_eq!(sealed.exit, Some(0), "{sealed:?}");
    });
}
