//! Undo and differences with real files, a real shell and a real store.

use crate::{Done, Place, place_with};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

/// The longest wait for a program's first change.
const CHANGE_WAIT_MAX: Duration = Duration::from_secs(20);

fn server(replies: impl IntoIterator<Item = Reply>) -> ScriptServer {
    let replies: Vec<Reply> = replies.into_iter().collect();
    ScriptServer::start(Wire::Chat, Script::replies(replies)).expect("a server on loopback")
}

fn write(path: &str, content: &str) -> Reply {
    Reply::call(
        "write",
        &json!({"path": path, "content": content}).to_string(),
    )
}

fn shell(script: &str) -> Reply {
    Reply::call("shell", &json!({ "script": script }).to_string())
}

async fn run(place: &Place, arguments: &[&str]) -> Done {
    tokio::task::block_in_place(|| place.run(arguments))
}

async fn work(place: &Place) -> Done {
    let done = run(place, &["ask", "-q", "--allow", "run,write", "work"]).await;
    assert_eq!(done.exit, Some(0), "{done:?}");
    done
}

/// The one session of the place.
async fn session(place: &Place) -> String {
    let listed = run(place, &["sessions", "list", "--json"]).await;
    let session: serde_json::Value = serde_json::from_str(listed.out.trim()).expect("one session");
    session["session"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_turn_did_to_files_is_shown_and_undone_and_done_again() {
    let script =
        "printf 'changed\\n' > a.txt && rm run.sh && ln -s a.txt link && mkdir d && echo x > d/new";
    let server = server([
        write("notes.md", "new\n"),
        shell(script),
        Reply::text("done"),
    ]);
    let place = place_with(&server);
    let at = |name: &str| place.workspace().join(name);
    place.write("work/a.txt", "as it was\n");
    place.write("work/run.sh", "#!/bin/sh\n");
    place.write("work/notes.md", "old\n");
    fs::set_permissions(at("run.sh"), fs::Permissions::from_mode(0o751)).expect("its mode");
    work(&place).await;
    assert!(!at("run.sh").exists() && at("link").is_symlink());
    let id = session(&place).await;
    let shown = run(&place, &["sessions", "diff", &id]).await;
    assert_eq!(shown.exit, Some(0), "{shown:?}");
    for part in [
        "changed a.txt\n@@ -1 +1 @@\n-as it was\n+changed\n",
        "made d/new\n@@ -0,0 +1 @@\n+x\n",
        "made link\n",
        "changed notes.md\n@@ -1 +1 @@\n-old\n+new\n",
        "deleted run.sh\n",
    ] {
        assert!(shown.out.contains(part), "{part:?} in {}", shown.out);
    }
    let undone = run(&place, &["sessions", "undo", &id, "1"]).await;
    assert_eq!(undone.exit, Some(0), "{undone:?}");
    for part in [
        "✓ a.txt: put back\n",
        "✓ d/new: removed again\n",
        "✓ link: removed again\n",
        "✓ notes.md: put back\n",
        "✓ run.sh: put back\n",
        "not undone, since no undo can take it back:\n",
    ] {
        assert!(undone.out.contains(part), "{part:?} in {}", undone.out);
    }
    assert_eq!(
        fs::read_to_string(at("a.txt")).expect("a.txt"),
        "as it was\n"
    );
    assert_eq!(
        fs::read_to_string(at("notes.md")).expect("notes.md"),
        "old\n"
    );
    assert!(!at("link").is_symlink() && !at("d/new").exists());
    let mode = fs::metadata(at("run.sh"))
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o751);
    let name = undone
        .out
        .lines()
        .find_map(|line| line.strip_prefix("this undo can be undone by its name: "));
    let again = run(&place, &["sessions", "undo", &id, name.expect("its name")]).await;
    assert_eq!(again.exit, Some(0), "{again:?}");
    assert_eq!(fs::read_to_string(at("a.txt")).expect("a.txt"), "changed\n");
    assert_eq!(
        fs::read_link(at("link")).expect("a link").to_str(),
        Some("a.txt")
    );
    assert!(!at("run.sh").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_leaves_what_the_person_changed_since_and_says_so() {
    let server = server([
        write("a.txt", "the model's\n"),
        write("b.txt", "b\n"),
        Reply::text("done"),
    ]);
    let place = place_with(&server);
    place.write("work/a.txt", "as it was\n");
    work(&place).await;
    place.write("work/a.txt", "the person's\n");
    let id = session(&place).await;
    let undone = run(&place, &["sessions", "undo", &id]).await;
    assert_eq!(undone.exit, Some(1), "{undone:?}");
    assert!(
        undone
            .out
            .contains("! a.txt: left alone, it was changed since\n✓ b.txt: removed again\n"),
        "{undone:?}"
    );
    assert!(
        undone.err.contains("not every file could be put back"),
        "{undone:?}"
    );
    let text = || fs::read_to_string(place.workspace().join("a.txt")).expect("a.txt");
    assert_eq!(text(), "the person's\n");
    let forced = run(&place, &["sessions", "undo", &id, "1", "--force"]).await;
    assert_eq!(forced.exit, Some(0), "{forced:?}");
    assert_eq!(text(), "as it was\n");
    let nothing = run(&place, &["sessions", "undo", &id]).await;
    assert_eq!(nothing.exit, Some(1), "{nothing:?}");
    assert!(nothing.err.contains("not put back already"), "{nothing:?}");
    let unknown = run(&place, &["sessions", "diff", &id, "7"]).await;
    assert!(
        unknown.err.contains("There is no turn \"7\""),
        "{unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_ignores_is_not_undone_and_that_is_said() {
    let server = server([shell("echo 2 > out.o; echo 2 > a.txt"), Reply::text("done")]);
    let place = place_with(&server);
    for (path, text) in [
        ("work/.gitignore", "*.o\n"),
        ("work/out.o", "1\n"),
        ("work/a.txt", "1\n"),
    ] {
        place.write(path, text);
    }
    work(&place).await;
    let id = session(&place).await;
    let undone = run(&place, &["sessions", "undo", &id]).await;
    assert!(
        undone.out.contains("✓ a.txt: put back")
            && undone.out.contains("what was done to")
            && undone.out.contains("out.o"),
        "{undone:?}"
    );
    let text = |name: &str| fs::read_to_string(place.workspace().join(name)).expect("it is there");
    assert_eq!(
        (text("a.txt").as_str(), text("out.o").as_str()),
        ("1\n", "2\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_changed_before_the_engine_was_killed_is_undone() {
    let server = server([shell("echo 2 > a.txt; sleep 600"), Reply::text("unused")]);
    let place = place_with(&server);
    place.write("work/a.txt", "1\n");
    let text = || fs::read_to_string(place.workspace().join("a.txt")).expect("a.txt");
    let asked = ["ask", "-q", "--allow", "run,write", "work"];
    let mut engine = place.command(&asked).spawn().expect("the program starts");
    let until = Instant::now() + CHANGE_WAIT_MAX;
    while text() != "2\n" {
        assert!(Instant::now() < until, "the program changes nothing");
        tokio::task::yield_now().await;
    }
    engine.kill().expect("it runs");
    engine.wait().expect("it ends");
    let id = session(&place).await;
    let undone = run(&place, &["sessions", "undo", &id]).await;
    assert_eq!(undone.exit, Some(0), "{undone:?}");
    assert!(undone.out.contains("✓ a.txt: put back"), "{undone:?}");
    assert_eq!(text(), "1\n");
}
