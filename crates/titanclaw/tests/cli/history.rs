//! `titanclaw history` in a real repository.

use crate::Place;
use std::process::Command;

pub(crate) fn git(place: &Place, arguments: &[&str]) {
    let run = Command::new("git")
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@t.test"])
        .args(arguments)
        .current_dir(place.workspace())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
        .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
        .output()
        .expect("git starts");
    assert!(run.status.success(), "{run:?}");
}

#[test]
fn who_wrote_what_and_why_is_told_for_a_file_and_for_its_lines() {
    let place = Place::new();
    git(&place, &["init", "-q", "."]);
    place.write("work/f.txt", "one\ntwo\n");
    git(&place, &["add", "."]);
    git(
        &place,
        &["commit", "-q", "-m", "Begin (#1)\n\nSomebody has to."],
    );
    place.write("work/f.txt", "one\nmore\ntwo\n");

    let whole = place.run(&["history", "f.txt"]);
    assert_eq!(whole.exit, Some(0), "{whole:?}");
    let lines: Vec<&str> = whole.out.lines().collect();
    assert_eq!(lines[0], "lines by: Ann 2 (last 2026-01-02)");
    assert!(
        lines[1].ends_with("Ann: Begin (#1) [names #1]"),
        "{whole:?}"
    );
    assert_eq!(lines[2], "  Somebody has to.");

    let some = place.run(&["history", "f.txt:2-3"]);
    let lines: Vec<&str> = some.out.lines().collect();
    assert_eq!(lines[0], "line 2: in no commit yet", "{some:?}");
    assert!(lines[1].starts_with("line 3: 2026-01-02 "), "{some:?}");

    let beyond = place.run(&["history", "f.txt:99"]);
    assert!(
        beyond.err.contains("nothing is known of line 99 of f.txt")
            && beyond.out.starts_with("lines by: Ann 2"),
        "{beyond:?}"
    );
    let nothing = place.fails(&["history", "g.txt"]);
    assert!(
        nothing.contains("there is no file g.txt, and no commit has touched one of that name"),
        "{nothing}"
    );

    let json = place.run(&["history", "f.txt:3", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(told["lines"][0]["commit"]["subject"], "Begin (#1)");
    assert_eq!(told["is_whole"], true);
}

#[test]
fn a_file_in_no_repository_has_no_history_and_it_is_said() {
    let place = Place::new();
    place.write("work/f.txt", "one\n");
    let told = place.fails(&["history", "f.txt"]);
    assert!(told.contains("f.txt is in no git repository"), "{told}");
    let told = place.fails(&["history", "."]);
    assert!(told.contains("is a folder; name a file"), "{told}");
}
