//! `history`: what is asked of a repository, and what a model is shown of it.

use super::Place;
use expect_test::expect;
use serde_json::json;
use titan_protocol::{Commit, FileHistory, Issue, Owner, WrittenLines};
use titan_testkit::history::ToldHistory;
use titan_testkit::workbench::{MemoryWorkbench, Process};

fn history() -> FileHistory {
    let begun = Commit {
        hash: "b".repeat(40),
        author: "Ann".into(),
        mail: "ann@t.test".into(),
        at: 1_767_323_045_000,
        subject: "Begin".into(),
        path: "old.rs".into(),
        reverted_by: Some("a".repeat(40)),
        ..Commit::default()
    };
    let mended = Commit {
        hash: "a".repeat(40),
        author: "Bob".into(),
        subject: "Fix the end".into(),
        why: "It was lost.\n\nNow it is not.".into(),
        trailers: vec![("Reviewed-by".into(), "Ann".into())],
        issues: vec![
            Issue {
                name: "#2".into(),
                closes: true,
            },
            Issue {
                name: "JIRA-3".into(),
                closes: false,
            },
        ],
        mends: true,
        reverts: vec!["b".repeat(40)],
        renamed_from: Some("old.rs".into()),
        ..begun.clone()
    };
    let mended = Commit {
        reverted_by: None,
        ..mended
    };
    FileHistory {
        owners: vec![Owner {
            author: "Ann".into(),
            mail: "ann@t.test".into(),
            lines: 5,
            at: 1_767_323_045_000,
        }],
        lines: vec![
            WrittenLines {
                first: 1,
                last: 2,
                commit: Some(begun.clone()),
            },
            WrittenLines {
                first: 3,
                last: 3,
                commit: None,
            },
        ],
        commits: vec![mended, begun],
        is_whole: false,
        gaps: vec!["something is not known".into()],
    }
}

#[tokio::test]
async fn a_history_is_told_with_its_reasons_and_marked_as_strangers_words() {
    let workbench = MemoryWorkbench::new().program("git", |_| Process::exits(0));
    let mut place = Place::new(workbench);
    place.history = ToldHistory::none().file("/workspace/new.rs", history());
    expect![[r#"
        effects: read /workspace/new.rs, run /usr/bin/git log -- new.rs (reads only)
        output (both):
        lines by: Ann 5 (last 2026-01-02)
        2026-01-02 aaaaaaaaaa Bob: Fix the end [mends, closes #2, names JIRA-3, renamed from old.rs, takes back bbbbbbbbbb]
          It was lost.

          Now it is not.
          Reviewed-by: Ann
        2026-01-02 bbbbbbbbbb Ann: Begin [taken back by aaaaaaaaaa]
        [there are older commits]
        [something is not known]"#]]
    .assert_eq(&place.call("history", json!({"path": "new.rs"})).await);
    let lines = place
        .run(
            "history",
            json!({"path": "new.rs", "from_line": 1, "to_line": 3}),
        )
        .await;
    expect![[r#"
        lines 1-2: 2026-01-02 bbbbbbbbbb Ann: Begin [taken back by aaaaaaaaaa]
        line 3: in no commit yet
        [something is not known]"#]]
    .assert_eq(&lines.unwrap().text);
}

#[tokio::test]
async fn where_there_is_no_repository_the_model_hears_so() {
    let place = Place::new(MemoryWorkbench::new());
    expect![[r#"
        effects: read /workspace/x, run git log -- x (reads only)
        reply: /workspace/x is in no git repository"#]]
    .assert_eq(&place.call("history", json!({"path": "x"})).await);
}
