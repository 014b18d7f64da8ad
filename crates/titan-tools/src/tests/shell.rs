//! `shell`: what a script puts out, when it is seen, and how it ended.

use super::{Place, outcome_text};
use expect_test::expect;
use futures::FutureExt;
use serde_json::json;
use std::time::Duration;
use titan_protocol::{Exit, ToolError};
use titan_testkit::gate::Gate;
use titan_testkit::workbench::{MemoryWorkbench, Process};

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
    expect![[r#"[Command { program: "/usr/bin/sh", arguments: ["-c", "--", "x"], directory: None, environment: {}, wall_clock_max: 86400s, output_bytes_max: 4194304 }]"#]].assert_eq(&format!("{:?}", place.workbench.commands()));
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
async fn a_refused_write_is_explained_to_the_model_and_the_person() {
    let refused = Process::exits(1).stderr("sh: 1: cannot create /x: Read-only file system");
    let place = Place::new(MemoryWorkbench::new().shell([("make it", refused)]));
    let ran = place.run("shell", json!({"script": "make it"})).await;
    let text = ran.unwrap().text;
    assert!(text.contains("confinement refused a write"), "{text}");
    assert!(text.ends_with("]\n[exit status 1]"), "{text}");
    let shown = place.signals.output.lock().unwrap().concat();
    assert!(shown.contains("mkdir -p FOLDER"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_script_stands_still_while_it_is_being_written_or_asked_about() {
    let scripts = [
        ("one", Process::exits(0).stdout("one\n")),
        ("two", Process::exits(0).stdout("two\n")),
        ("hang", Process::exits(0).hangs()),
    ];
    let place = Place::new(MemoryWorkbench::new().shell(scripts));
    let script = |text: &str| json!({"script": format!("{text}\n"), "timeout_s": 7});
    let hour = Duration::from_secs(3_600);
    let ran = place
        .run_steps("shell", [script("one"), script("two")], hour)
        .await;
    assert_eq!(ran.unwrap().text, "one\ntwo\n");
    let ran = place
        .run_steps("shell", [script("one"), script("hang")], hour)
        .await;
    let text = ran.unwrap().text;
    assert!(
        text.ends_with("[ended after 7 s; give a longer timeout_s, or run less]"),
        "{text}"
    );
}
