//! Scripts that come to need more leave than the shell that runs them was started with: a real shell, really confined.

use crate::Place;
use serde_json::json;
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

/// What a model is told of a script in a workspace with the folder `sub`, where everything is allowed.
async fn told(place: &Place, script: &str) -> String {
    let call = Reply::call("shell", &json!({ "script": script }).to_string());
    let script = Script::replies([call, Reply::text("Well.")]);
    let server = ScriptServer::start(Wire::Chat, script).expect("a server");
    let config = format!(
        "[models]\nchat = \"scripted/m\"\n[policy]\nrun = \"allow\"\nwrite = \"allow\"\nwrite_outside = \"allow\"\n\
         [[providers]]\nname = \"scripted\"\nkind = \"compatible\"\nbase_url = \"{}/v1\"\n",
        server.base_url()
    );
    place.write("home/config.toml", &config);
    place.write("work/sub/file", "in sub\n");
    let done = tokio::task::block_in_place(|| place.run(&["ask", "go"]));
    assert_eq!(done.exit, Some(0), "{done:?}");
    let request = &server.requests()[1];
    request.tool_results().concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_has_only_looked_goes_on_where_it_was_with_more_leave() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let outside = elsewhere.path().join("outside");
    let shown = outside.display();
    let script = format!(
        "cd sub\nx=kept\ncat file\nmkdir -p {shown}\npwd > {shown}/where\necho \"$x $LINENO\"\ncat nothing\n"
    );
    let told = told(&place, &script).await;
    assert_eq!(
        told.matches("in sub").count(),
        1,
        "it looked twice and was heard once: {told}"
    );
    assert!(told.contains("kept 6\n"), "{told}");
    assert!(
        told.contains("line 7") || told.contains("nothing: No such file"),
        "{told}"
    );
    let written = std::fs::read_to_string(outside.join("where"));
    let written = written.unwrap_or_else(|error| panic!("{error}: {told}"));
    assert!(written.ends_with("/work/sub\n"), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_has_changed_something_ends_where_it_needs_more_leave_and_repeats_nothing() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let outside = elsewhere.path().join("outside");
    let script = format!(
        "echo once >> made\nmkdir -p {}\necho after >> made\n",
        outside.display()
    );
    let told = told(&place, &script).await;
    assert!(told.contains("the rest was not run"), "{told}");
    assert!(!outside.exists(), "{told}");
    let made = std::fs::read_to_string(place.workspace().join("made"));
    assert_eq!(made.expect("the file"), "once\n", "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_exits_before_it_needs_more_leave_gets_none() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let outside = elsewhere.path().join("outside");
    let script = format!("cat sub/file\nexit 4\nmkdir -p {}\n", outside.display());
    let told = told(&place, &script).await;
    assert!(
        told.contains("in sub") && told.contains("[exit status 4]"),
        "{told}"
    );
    assert!(!outside.exists(), "{told}");
}
