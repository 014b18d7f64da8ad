//! Whole turns against a scripted server.

use crate::{Place, place_with};
use serde_json::{Value, json};
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

fn server(replies: impl IntoIterator<Item = Reply>) -> ScriptServer {
    let replies: Vec<Reply> = replies.into_iter().collect();
    ScriptServer::start(Wire::Chat, Script::replies(replies)).expect("a server on loopback")
}

fn read(path: &str) -> Reply {
    Reply::call("read", &json!({ "path": path }).to_string())
}

fn shell(script: &str) -> Reply {
    Reply::call("shell", &json!({ "script": script }).to_string())
}

async fn run(place: &Place, arguments: &[&str]) -> crate::Done {
    run_with(place, arguments, "").await
}

/// Runs the program beside the server.
async fn run_with(place: &Place, arguments: &[&str], input: &str) -> crate::Done {
    tokio::task::block_in_place(|| place.run_with(arguments, input))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_to_standard_output_and_all_else_to_standard_error() {
    let server = server([read("notes.txt"), Reply::text("It says **hello**.")]);
    let place = place_with(&server);
    place.write("work/notes.txt", "hello from the file\n");
    let done = run(&place, &["ask", "What", "is in notes.txt?"]).await;
    assert_eq!(
        (done.exit, done.out.as_str()),
        (Some(0), "It says **hello**.\n"),
        "{done:?}"
    );
    assert!(
        done.err.contains("scripted/m answers: the config says so"),
        "{done:?}"
    );
    assert!(done.err.contains("✓ read notes.txt"), "{done:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    let sent = format!("{:?}", requests[1]);
    assert!(
        sent.contains("hello from the file"),
        "the tool's output reached the model: {sent}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_prints_the_answer_alone() {
    let server = server([Reply::text("yes")]);
    let place = place_with(&server);
    let done = run(&place, &["ask", "--quiet", "well?"]).await;
    assert_eq!(
        (done.exit, done.out.as_str(), done.err.as_str()),
        (Some(0), "yes\n", "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_piped_in_is_added_as_a_block() {
    let server = server([Reply::text("two lines")]);
    let place = place_with(&server);
    let done = run_with(&place, &["ask", "-q", "How many lines?"], "one\ntwo\n").await;
    assert_eq!(done.exit, Some(0), "{done:?}");
    let sent = format!("{:?}", server.requests()[0]);
    assert!(
        sent.contains("How many lines?") && sent.contains("```\\\\none\\\\ntwo")
            || sent.contains("```\\none\\ntwo"),
        "{sent}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_piped_in_alone_is_material_unless_it_is_one_line() {
    for (piped, is_material) in [("pay Bob\npay Ann\n", true), ("who is Bob?\n", false)] {
        let server = server([Reply::text("hm")]);
        let place = place_with(&server);
        let done = run_with(&place, &["ask", "-q"], piped).await;
        assert_eq!(done.exit, Some(0), "{done:?}");
        let sent = format!("{:?}", server.requests()[0]);
        assert!(sent.contains("Bob"), "{sent}");
        let is_block = sent.contains("Answer what is in this block.");
        assert_eq!(is_block, is_material, "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_prints_one_record_a_line() {
    let server = server([Reply::text("hello there")]);
    let place = place_with(&server);
    let done = run(&place, &["ask", "--json", "hi"]).await;
    assert_eq!(done.exit, Some(0), "{done:?}");
    let records: Vec<Value> = done
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let events: Vec<&str> = records
        .iter()
        .filter_map(|record| record["event"]["event"].as_str())
        .collect();
    assert_eq!(events.first(), Some(&"session_started"));
    assert_eq!(events.last(), Some(&"turn_ended"));
    let text: String = records
        .iter()
        .filter_map(|record| {
            record["event"]["text"]
                .as_str()
                .filter(|_| record["event"]["event"] == "text_delta")
        })
        .collect();
    assert_eq!(text, "hello there");
    let seqs: Vec<u64> = records
        .iter()
        .filter_map(|record| record["seq"].as_u64())
        .collect();
    assert!(seqs.is_sorted() && seqs.len() == records.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_approve_is_denied_and_said_by_the_exit_code() {
    let server = server([shell("touch made"), Reply::text("I could not.")]);
    let place = place_with(&server);
    let done = run(&place, &["ask", "make it"]).await;
    assert_eq!(
        (done.exit, done.out.as_str()),
        (Some(5), "I could not.\n"),
        "{done:?}"
    );
    assert!(!place.workspace().join("made").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_answer_allows_its_kind_and_no_other() {
    let server = server([
        shell("touch made"),
        Reply::text("done"),
        shell("touch more"),
        Reply::text("no"),
    ]);
    let place = place_with(&server);
    let done = run(&place, &["ask", "--allow", "run,write", "make it"]).await;
    assert_eq!(
        (done.exit, done.out.as_str()),
        (Some(0), "done\n"),
        "{done:?}"
    );
    assert!(place.workspace().join("made").exists());
    let done = run(&place, &["ask", "--allow", "network", "make more"]).await;
    assert_eq!(done.exit, Some(5), "{done:?}");
    assert!(!place.workspace().join("more").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_reached_ends_with_3() {
    let place = Place::new();
    let config = "[models]\nchat = \"gone/m\"\n[[providers]]\nname = \"gone\"\nbase_url = \"http://127.0.0.1:9/v1\"\n";
    place.write("home/config.toml", config);
    for arguments in [
        &["ask", "hi"][..],
        &["ask", "--quiet", "hi"],
        &["ask", "--json", "hi"],
    ] {
        let done = run(&place, arguments).await;
        assert_eq!(done.exit, Some(3), "{done:?}");
        assert!(done.err.contains("gone"), "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m19_offline_reaches_nothing_beyond_this_machine() {
    let place = Place::new().with("ANTHROPIC_API_KEY", "sk-never-sent");
    let done = run(
        &place,
        &[
            "ask",
            "--offline",
            "--model",
            "anthropic/claude-sonnet-4-6",
            "hi",
        ],
    )
    .await;
    assert_eq!(done.exit, Some(3), "{done:?}");
    assert!(done.err.contains("--model local"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_is_listed_shown_exported_and_forgotten() {
    let server = server([Reply::text("first answer"), Reply::text("second answer")]);
    let place = place_with(&server);
    assert_eq!(
        run(&place, &["ask", "-q", "first question"]).await.exit,
        Some(0)
    );
    let done = run(&place, &["ask", "-q", "--continue", "second question"]).await;
    assert_eq!(done.out, "second answer\n", "{done:?}");
    let sent = format!("{:?}", server.requests()[1]);
    assert!(
        sent.contains("first answer"),
        "the session was resumed: {sent}"
    );
    let listed = run(&place, &["sessions", "list", "--json"]).await;
    let sessions: Vec<Value> = listed
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(sessions.len(), 1, "{listed:?}");
    assert_eq!(sessions[0]["turns"], 2);
    assert_eq!(sessions[0]["is_running"], false);
    let id = sessions[0]["session"].as_str().expect("an id");
    let shown = run(&place, &["sessions", "show", &id[id.len() - 8..]]).await;
    assert!(
        shown.out.contains("› first question") && shown.out.contains("second answer"),
        "{shown:?}"
    );
    let exported = run(&place, &["sessions", "export", id]).await;
    assert!(
        exported
            .out
            .contains("> second question\n\nsecond answer\n"),
        "{exported:?}"
    );
    let costs = run(&place, &["cost", "--json"]).await;
    assert_eq!(costs.out.lines().count(), 1, "{costs:?}");
    let kept = run(&place, &["sessions", "forget", id]).await;
    assert_eq!(kept.exit, Some(1), "deleting needs a yes: {kept:?}");
    assert_eq!(
        run(&place, &["sessions", "forget", id, "--yes"]).await.exit,
        Some(0)
    );
    let listed = run(&place, &["sessions", "list"]).await;
    assert_eq!(listed.out, "", "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_cannot_steer_the_terminal() {
    let server = server([Reply::text("a\u{1b}[2Jb\u{1b}]0;t\u{7}c")]);
    let place = place_with(&server);
    let done = run(&place, &["ask", "-q", "hi"]).await;
    assert!(!done.out.contains(['\u{1b}', '\u{7}']), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_environment_names_answers() {
    let server = server([Reply::text("here")]);
    let place = Place::new()
        .with("OPENAI_BASE_URL", server.base_url())
        .with("OPENAI_API_KEY", "sk-for-this-server");
    let done = run(&place, &["ask", "hi"]).await;
    assert_eq!(
        (done.exit, done.out.as_str()),
        (Some(0), "here\n"),
        "{done:?}"
    );
    assert!(done.err.contains("OPENAI_BASE_URL names"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_gone_on_with_from_an_earlier_turn_and_both_stay() {
    let server = server([
        Reply::text("one"),
        Reply::text("two"),
        Reply::text("another two"),
    ]);
    let place = place_with(&server);
    run(&place, &["ask", "-q", "first"]).await;
    run(&place, &["ask", "-q", "-c", "second"]).await;
    let branched = run(&place, &["sessions", "branch", "first", "1"]).await;
    let into = branched.out.trim();
    assert_eq!(into.len(), 36, "{branched:?}");
    let done = run(&place, &["ask", "-q", "--session", into, "another way"]).await;
    assert_eq!(done.out, "another two\n", "{done:?}");
    let sent = format!("{:?}", server.requests()[2]);
    assert!(sent.contains("one") && !sent.contains("second"), "{sent}");
    let shown = run(&place, &["sessions", "show", into]).await.out;
    assert!(shown.contains("a branch begins here"), "{shown}");
    assert!(
        shown.contains("another two") && !shown.contains("second"),
        "{shown}"
    );
    let listed = run(&place, &["sessions", "list"]).await.out;
    assert!(
        listed.contains("↳ ") && listed.contains("another way"),
        "{listed}"
    );
    let refused = run(&place, &["sessions", "branch", into, "7"]).await;
    assert!(
        refused.err.contains("There is no turn \"7\""),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_given_with_the_question_and_what_is_none_is_refused() {
    let server = server([Reply::text("A cat.")]);
    let place = place_with(&server);
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08\0\0\0\x06";
    std::fs::write(place.workspace().join("cat.jpg"), png).expect("it is written");
    place.write("work/notes.png", "no image");
    let done = run(&place, &["ask", "--image", "cat.jpg", "what is it?"]).await;
    assert_eq!(
        (done.exit, done.out.as_str()),
        (Some(0), "A cat.\n"),
        "{done:?}"
    );
    assert!(done.err.contains("PNG, 8 × 6"), "{done:?}");
    let sent = format!("{:?}", server.requests()[0]);
    assert!(sent.contains("data:image/png;base64,iVBORw0KGgo"), "{sent}");
    let refused = run(&place, &["ask", "--image", "notes.png", "what is it?"]).await;
    assert!(
        refused.err.contains("notes.png is not taken: it is no PNG"),
        "{refused:?}"
    );
    assert_eq!(server.requests().len(), 1);
}
