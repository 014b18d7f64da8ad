//! One process owns a home; all others attach to it.

use crate::Place;
use std::os::unix::fs::PermissionsExt;
use titan_testkit::gate::Gate;
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

fn place_with(server: &ScriptServer) -> Place {
    let place = Place::new();
    let config = format!(
        "[models]\nchat = \"scripted/m\"\n[[providers]]\nname = \"scripted\"\nkind = \"compatible\"\nbase_url = \"{}/v1\"\n",
        server.base_url()
    );
    place.write("home/config.toml", &config);
    place
}

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
