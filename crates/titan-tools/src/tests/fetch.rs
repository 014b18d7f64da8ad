//! `fetch`: pages as text from strangers.

use super::Place;
use expect_test::expect;
use serde_json::json;
use titan_testkit::egress::Reply;
use titan_testkit::workbench::MemoryWorkbench;

#[tokio::test]
async fn fetch_reads_pages_as_text_from_strangers() {
    let place = Place::new(MemoryWorkbench::new());
    let page = Reply::ok("<title>T</title><p>Hello <a href='/x'>there</a></p>")
        .header("content-type", "text/html; charset=utf-8");
    place.egress.push(page);
    expect![[r#"
        effects: network example.org:443
        output (untrusted):
        [https://example.org/a]
        title: T

        Hello there <https://example.org/x>"#]]
    .assert_eq(&place.call("fetch", json!({"url": "Example.org/a"})).await);
    place.egress.push(
        Reply::status(404)
            .header("content-type", "application/json")
            .chunk("{\"a\": 1}"),
    );
    expect![[r#"
        effects: network localhost:8080
        output (untrusted, an error):
        [status 404]
        [http://localhost:8080/]
        {"a": 1}"#]]
    .assert_eq(
        &place
            .call("fetch", json!({"url": "http://localhost:8080/"}))
            .await,
    );
    place
        .egress
        .push(Reply::ok(vec![0, 1, 2]).header("content-type", "image/png"));
    expect![[r#"
        effects: network example.org:443
        reply: https://example.org/a.png is image/png, 3 bytes; fetch reads text only"#]]
    .assert_eq(
        &place
            .call("fetch", json!({"url": "https://example.org/a.png"}))
            .await,
    );
    expect!["effects refused: fetch knows http and https only, not file; files are read with read"]
        .assert_eq(
            &place
                .call("fetch", json!({"url": "file:///etc/passwd"}))
                .await,
        );
    expect!["effects refused: an address with a name or password in it is not fetched"].assert_eq(
        &place
            .call("fetch", json!({"url": "https://me:secret@example.org/"}))
            .await,
    );
    assert_eq!(place.egress.requests().len(), 3);
}

#[tokio::test]
async fn a_page_without_end_is_cut_and_its_connection_closed() {
    let place = Place::new(MemoryWorkbench::new());
    place.egress.push(
        Reply::ok("")
            .header("content-type", "text/plain")
            .chunks_of(64 * 1024, vec![b'a'; 5 * 1024 * 1024]),
    );
    let output = place
        .run("fetch", json!({"url": "https://example.org"}))
        .await
        .unwrap();
    assert!(output.text.ends_with("[cut after 2097152 bytes]"));
    assert_eq!(place.egress.bodies_dropped(), 1);
}
