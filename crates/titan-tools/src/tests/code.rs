//! `symbol`, `callers`, `callees`, `impact` and `map`: what a model is shown of the workspace's code.

use super::Place;
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use titan_protocol::{
    CodeFound, CodeImpact, CodeReached, CodeSymbol, CodeUse, CodeUseKind, CodeUses,
};
use titan_testkit::code::ToldCode;
use titan_testkit::workbench::MemoryWorkbench;

fn symbol(name: &str, path: &str, line: u32) -> CodeSymbol {
    CodeSymbol {
        name: name.to_owned(),
        kind: "function".to_owned(),
        path: path.to_owned(),
        line,
        end_line: line + 4,
        signature: format!("fn {name}()"),
        doc: String::new(),
        is_test: name.starts_with("test"),
    }
}

fn told() -> ToldCode {
    let close = CodeSymbol {
        doc: "Ends it.".to_owned(),
        ..symbol("Session.close", "src/session.rs", 40)
    };
    let used = |kind, name: &str, confidence| CodeUse {
        kind,
        symbol: symbol(name, "src/main.rs", 1),
        path: "src/main.rs".to_owned(),
        line: 7,
        confidence,
    };
    ToldCode {
        symbols: vec![close.clone(), symbol("close", "src/file.rs", 2)],
        uses: CodeUses {
            of: vec![close.clone()],
            uses: vec![
                used(CodeUseKind::Calls, "run", 95),
                used(CodeUseKind::Names, "test_run", 40),
            ],
            left_out: 0,
            unsettled: 0,
        },
        impact: CodeImpact {
            of: vec![close],
            reached: vec![
                CodeReached {
                    symbol: symbol("run", "src/main.rs", 1),
                    distance: 1,
                    over: "Session.close".to_owned(),
                    confidence: 95,
                },
                CodeReached {
                    symbol: symbol("test_run", "src/main.rs", 9),
                    distance: 2,
                    over: "run".to_owned(),
                    confidence: 40,
                },
            ],
            files: 1,
            left_out: 0,
            unsettled: 0,
        },
        map: "src/session.rs\n   40  fn close()\n".to_owned(),
        ..ToldCode::none()
    }
}

async fn check(code: &ToldCode, name: &str, arguments: Value, expected: Expect) {
    let mut place = Place::new(MemoryWorkbench::new());
    place.code = code.clone();
    expected.assert_eq(&place.call(name, arguments).await);
}

#[tokio::test]
async fn code_is_told_a_place_a_line_and_marked_as_a_file_is() {
    let code = told();
    let close = || json!({"name": "Session.close"});
    check(
        &code,
        "symbol",
        close(),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/session.rs:40-44 function Session.close: fn Session.close() -- Ends it.
        src/file.rs:2-6 function close: fn close()"#]],
    )
    .await;
    check(
        &code,
        "callers",
        close(),
        expect![[r#"
        effects: read /workspace
        output (both):
        of src/session.rs:40 function Session.close
        src/main.rs:7 run calls it
        src/main.rs:7 test_run names it (test), by its name alone"#]],
    )
    .await;
    check(
        &code,
        "callees",
        close(),
        expect![[r#"
        effects: read /workspace
        output (both):
        of src/session.rs:40 function Session.close
        src/main.rs:7 calls run (src/main.rs:1)
        src/main.rs:7 names test_run (src/main.rs:1), by its name alone"#]],
    )
    .await;
    check(
        &code,
        "impact",
        close(),
        expect![[r#"
        effects: read /workspace
        output (both):
        of src/session.rs:40 function Session.close
        src/main.rs:1 run uses Session.close, 1 away
        src/main.rs:9 test_run (test) uses run, 2 away, by its name alone"#]],
    )
    .await;
    check(
        &code,
        "map",
        json!({}),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/session.rs
           40  fn close()
    "#]],
    )
    .await;
    check(
        &code,
        "map",
        json!({"about": "rate limiting"}),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/session.rs
           40  fn close()
        [about rate limiting]
    "#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_left_out_and_what_is_not_there_is_said() {
    let limited = json!({"name": "close", "limit": 1});
    let callers = expect![[r#"
        effects: read /workspace
        output (both):
        of src/session.rs:40 function Session.close
        src/main.rs:7 run calls it
        [1 more; ask for more by limit]"#]];
    check(&told(), "callers", limited.clone(), callers).await;
    let impact = expect![[r#"
        effects: read /workspace
        output (both):
        of src/session.rs:40 function Session.close
        src/main.rs:1 run uses Session.close, 1 away
        [1 more; ask for more by limit]"#]];
    check(&told(), "impact", limited.clone(), impact).await;
    let mut changing = told();
    changing.uses.unsettled = 2;
    let callers = expect![[r#"
        effects: read /workspace
        output (both):
        of src/session.rs:40 function Session.close
        src/main.rs:7 run calls it
        [1 more; ask for more by limit]
        [2 changed files are still being worked out: what is called from there is told, what others make of it may be missing]"#]];
    check(&changing, "callers", limited, callers).await;
    for name in ["symbol", "callers", "impact"] {
        let nothing = json!({"name": "nothing"});
        let expected = expect![[r#"
            effects: read /workspace
            output (both):
            [nothing is called so]"#]];
        check(&ToldCode::none(), name, nothing, expected).await;
    }
    let expected = expect![[r#"
        effects: read /workspace
        output (both):
        [no code of a language that is known]"#]];
    check(&ToldCode::none(), "map", json!({}), expected).await;
}

#[test]
fn files_that_were_found_are_told_with_what_they_are_about_and_what_fits() {
    let file = CodeFound {
        path: "src/limits.rs".to_owned(),
        summary: "Keeps to rate limits.".to_owned(),
        tags: vec!["rate limit".to_owned(), "queue".to_owned()],
        symbols: vec![symbol("limit", "src/limits.rs", 7)],
        ..CodeFound::default()
    };
    let bare = CodeFound {
        path: "src/a.rs".to_owned(),
        ..CodeFound::default()
    };
    expect![[r#"
        src/limits.rs -- Keeps to rate limits. [rate limit, queue]
            7  fn limit()
        src/a.rs"#]]
    .assert_eq(&crate::code_found(&[file, bare]));
    assert_eq!(crate::code_found(&[]), "[no file is about that]");
}
