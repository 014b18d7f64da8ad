//! `titanclaw presence` with an engine in the background, and without one.

use crate::Place;
use crate::history::git;
use std::time::{Duration, Instant};
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

fn with_file(place: &Place) {
    git(place, &["init", "-q", "."]);
    place.write("work/lib.py", "def first():\n    return 1\n");
    git(place, &["add", "."]);
    git(place, &["commit", "-q", "-m", "Fix the first (#7)"]);
}

#[test]
fn a_pack_is_made_at_any_time_and_open_files_need_an_engine() {
    let place = Place::new();
    with_file(&place);
    let pack = place.run(&["presence", "pack", "lib.py", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&pack.out).expect("JSON");
    let kinds: Vec<&str> = told["parts"]
        .as_array()
        .expect("parts")
        .iter()
        .filter_map(|part| part["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["outline", "history", "bugs"], "{pack:?}");
    assert_eq!(told["parts"][0]["lines"][0]["source"], "lib.py:1");
    for arguments in [&["presence", "open", "lib.py"][..], &["presence", "list"]] {
        let told = place.fails(arguments);
        assert!(told.contains("titanclaw daemon start"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_is_told_to_the_engine_that_runs_and_its_pack_gets_ready() {
    let script = Script::replies([Reply::text("unused")]);
    let server = ScriptServer::start(Wire::Chat, script).expect("a server");
    let place = Place::new();
    with_file(&place);
    let config = format!(
        "[models]\nchat = \"scripted/m\"\n[[providers]]\nname = \"scripted\"\nkind = \"compatible\"\nbase_url = \"{}/v1\"\n",
        server.base_url()
    );
    place.write("home/config.toml", &config);
    tokio::task::block_in_place(|| {
        assert_eq!(place.run(&["daemon", "start"]).exit, Some(0));
        let opened = place.run(&["presence", "open", "lib.py", "--by", "vscode"]);
        assert_eq!(opened.exit, Some(0), "{opened:?}");
        let began = Instant::now();
        let listed = loop {
            let listed = place.run(&["presence", "list", "--json"]);
            let file: serde_json::Value = serde_json::from_str(&listed.out).expect("JSON");
            if file["is_ready"] == true || began.elapsed() > Duration::from_secs(60) {
                break file;
            }
        };
        assert_eq!(
            (&listed["by"], &listed["is_ready"]),
            (&"vscode".into(), &true.into())
        );
        let pack = place.run(&["presence", "pack", "lib.py"]);
        assert!(pack.out.contains("Ann: Fix the first (#7)"), "{pack:?}");
        let told = place.fails(&["presence", "open", "../home/config.toml"]);
        assert!(told.contains("config.toml"), "{told}");
        assert_eq!(place.run(&["presence", "close", "lib.py"]).exit, Some(0));
        assert_eq!(place.run(&["presence", "list"]).out, "");
        assert_eq!(place.run(&["daemon", "stop"]).exit, Some(0));
    });
}
