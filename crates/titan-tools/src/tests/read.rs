//! `read`: lines of files, and of stored outputs.

use super::{Place, SESSION, check_tool};
use expect_test::expect;
use serde_json::json;
use titan_protocol::{BlobId, Blobs, CallId, Event, Journal, SessionId, Taint};
use titan_testkit::workbench::MemoryWorkbench;

#[tokio::test]
async fn read_gives_lines_and_says_where_to_read_on() {
    let file = [("a.txt", "1\n2\n3\n4")];
    check_tool(
        &file,
        "read",
        json!({"path": "a.txt"}),
        expect![[r#"
            effects: read /workspace/a.txt
            output (both):
            1
            2
            3
            4
            [4 lines in all]"#]],
    )
    .await;
    check_tool(
        &file,
        "read",
        json!({"path": "a.txt", "offset_line": 2, "lines": 2}),
        expect![[r#"
        effects: read /workspace/a.txt
        output (both):
        2
        3
        [lines 2 to 3; read on with offset_line 4]"#]],
    )
    .await;
    check_tool(
        &file,
        "read",
        json!({"path": "./a.txt", "offset_line": 3}),
        expect![[r#"
        effects: read /workspace/a.txt
        output (both):
        3
        4
        [lines 3 to 4; this is the end]"#]],
    )
    .await;
    check_tool(
        &file,
        "read",
        json!({"path": "a.txt", "offset_line": 9}),
        expect![[r#"
        effects: read /workspace/a.txt
        output (both):
        [there are only 4 lines]"#]],
    )
    .await;
    check_tool(
        &[("e", "")],
        "read",
        json!({"path": "e"}),
        expect![[r#"
        effects: read /workspace/e
        output (both):
        [the file is empty]"#]],
    )
    .await;
}

#[tokio::test]
async fn read_refuses_what_is_no_text() {
    let place = Place::new(
        MemoryWorkbench::new()
            .file("a.bin", vec![1, 0, 2])
            .file("a.png", b"\x89PNG\r\n\x1a\n....".to_vec())
            .folder("sub"),
    );
    let mut lines = Vec::new();
    for path in ["a.bin", "a.png", "sub", "none", "~/x", "output:12"] {
        lines.push(place.call("read", json!({"path": path})).await);
    }
    expect![[r#"
        effects: read /workspace/a.bin
        reply: a.bin is not text (3 bytes); look at it with a program, such as `file` or `strings`, through shell
        effects: read /workspace/a.png
        reply: a.png is a PNG picture (12 bytes); pictures can't be read yet
        effects: read /workspace/sub
        reply: sub is a folder; see what is in it with list
        effects: read /workspace/none
        reply: none does not exist; find it with glob or list
        effects: read /home/person/x outside
        reply: /home/person/x does not exist; find it with glob or list
        effects refused: "12" is not the 64 hex digits of a stored output"#]].assert_eq(&lines.join("\n"));
}

/// Stores an output and writes into the session's journal that one of its calls put it out.
async fn put_out(place: &Place, session: SessionId, text: &str) -> BlobId {
    let whole = place.store.put(text.to_owned().into()).await.unwrap();
    let ended = Event::ToolCallEnded {
        call: CallId::from("c0"),
        text: "a part".to_owned(),
        is_error: false,
        taint: Taint::BOTH,
        whole: Some(whole.clone()),
        elapsed_ms: 1,
    };
    place
        .store
        .append(session, None, vec![ended])
        .await
        .unwrap();
    whole
}

#[tokio::test]
async fn a_stored_output_is_read_by_its_name() {
    let place = Place::new(MemoryWorkbench::new());
    let id = put_out(&place, SESSION, "one\ntwo\nthree\n").await;
    let path = format!("output:{id}");
    expect![[r#"
        effects: 
        output (both):
        two
        [lines 2 to 2; read on with offset_line 3]"#]]
    .assert_eq(
        &place
            .call("read", json!({"path": path, "offset_line": 2, "lines": 1}))
            .await,
    );
    let missing = format!("output:{}", BlobId::of(b"never stored"));
    expect![[r#"
        effects: 
        reply: no call of this session put out output:73eeaafe30cc7642298ef6c4a904f7f3eb05c59052266654f4705c355fd94f52; run the call again"#]].assert_eq(&place.call("read", json!({"path": missing})).await);
}

#[tokio::test]
async fn a_session_reads_no_output_of_another() {
    let place = Place::new(MemoryWorkbench::new());
    let other = SessionId::from_u128(7);
    let theirs = put_out(&place, other, "the other session's secret").await;
    let path = format!("output:{theirs}");
    // To speak of it is not to have put it out.
    let said = Event::TextDelta { text: path.clone() };
    place.store.append(SESSION, None, vec![said]).await.unwrap();
    let refused = place.call("read", json!({"path": path})).await;
    assert!(
        refused.contains("no call of this session") && !refused.contains("secret"),
        "{refused}"
    );
    put_out(&place, SESSION, "the other session's secret").await;
    let read = place.call("read", json!({"path": path})).await;
    assert!(read.contains("secret"), "{read}");
}

#[tokio::test]
async fn an_output_is_found_far_back_in_a_long_session() {
    let place = Place::new(MemoryWorkbench::new());
    let id = put_out(&place, SESSION, "early").await;
    let talk = (0..3_000).map(|_| Event::TextDelta { text: "x".into() });
    place
        .store
        .append(SESSION, None, talk.collect())
        .await
        .unwrap();
    let late = put_out(&place, SESSION, "late").await;
    for (id, text) in [(id, "early"), (late, "late")] {
        let read = place
            .call("read", json!({"path": format!("output:{id}")}))
            .await;
        assert!(read.contains(text), "{read}");
    }
}
