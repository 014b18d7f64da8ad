//! What clients see on each wire, byte for byte where it matters.

use super::*;
use crate::gate::Gate;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn connect(server: &ScriptServer) -> TcpStream {
    let address = server.base_url().trim_start_matches("http://").to_owned();
    TcpStream::connect(address).await.unwrap()
}

async fn write_request(client: &mut TcpStream, path: &str, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nX-Key: k\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
}

/// Reads to the end of a chunked body and gives the body without the framing.
async fn read_stream(client: &mut TcpStream) -> String {
    let mut raw = Vec::new();
    while !raw.ends_with(b"\r\n0\r\n\r\n") {
        assert!(client.read_buf(&mut raw).await.unwrap() > 0, "cut off");
    }
    unchunk(&raw)
}

fn unchunk(raw: &[u8]) -> String {
    let head_end = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let mut rest = &raw[head_end..];
    let mut body = Vec::new();
    while let Some(line_end) = rest.windows(2).position(|w| w == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line_end]).unwrap(), 16);
        let start = line_end + 2;
        let end = start + length.unwrap();
        body.extend_from_slice(&rest[start..end]);
        rest = &rest[end + 2..];
    }
    String::from_utf8(body).unwrap()
}

async fn ask(server: &ScriptServer, body: &Value) -> String {
    let mut client = connect(server).await;
    write_request(&mut client, server.state.wire.path(), body).await;
    read_stream(&mut client).await
}

/// The `data:` payloads of an event stream, or the lines of a line stream.
fn payloads(body: &str) -> Vec<Value> {
    body.lines()
        .map(|line| line.strip_prefix("data: ").unwrap_or(line))
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The answer's text as each wire says it.
fn text_of(wire: Wire, payloads: &[Value]) -> String {
    let said = |payload: &Value| {
        let text = match wire {
            Wire::Anthropic => &payload["delta"]["text"],
            Wire::Chat => &payload["choices"][0]["delta"]["content"],
            Wire::Responses if payload["type"] == "response.output_text.delta" => &payload["delta"],
            Wire::Responses => &Value::Null,
            Wire::Ollama => &payload["message"]["content"],
        };
        text.as_str().unwrap_or_default().to_owned()
    };
    payloads.iter().map(said).collect()
}

/// The first call's arguments as each wire says them.
fn arguments_of(wire: Wire, payloads: &[Value]) -> Value {
    let said = |payload: &Value| {
        let piece = match wire {
            Wire::Anthropic => &payload["delta"]["partial_json"],
            Wire::Chat => &payload["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"],
            Wire::Responses if payload["type"] == "response.function_call_arguments.delta" => {
                &payload["delta"]
            }
            Wire::Responses => &Value::Null,
            Wire::Ollama => &payload["message"]["tool_calls"][0]["function"]["arguments"],
        };
        match piece {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            object => object.to_string(),
        }
    };
    let text: String = payloads.iter().map(said).collect();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn one_script_says_the_same_on_every_wire() {
    for wire in Wire::ALL {
        let reply = Reply::default()
            .and_thinking("hm, ")
            .and_text("Grüße, 世界 and all.")
            .and_call("read", r#"{"path":"a b"}"#, &[1, 3]);
        let server = ScriptServer::start(wire, Script::always(reply)).unwrap();
        let body = ask(&server, &json!({"model": "m", "stream": true})).await;
        let payloads = payloads(&body);
        assert_eq!(text_of(wire, &payloads), "Grüße, 世界 and all.", "{wire:?}");
        assert_eq!(
            arguments_of(wire, &payloads),
            json!({"path": "a b"}),
            "{wire:?}"
        );
    }
}

#[tokio::test]
async fn a_body_cut_into_single_bytes_is_the_same_body() {
    for wire in Wire::ALL {
        let reply = Reply::text("Grüße, 世界");
        let whole = ScriptServer::start(wire, Script::always(reply.clone())).unwrap();
        let torn = ScriptServer::start(wire, Script::always(reply.in_pieces_of(1))).unwrap();
        let request = json!({"model": "m"});
        assert_eq!(ask(&whole, &request).await, ask(&torn, &request).await);
    }
}

#[tokio::test]
async fn anthropic_events_come_in_the_documented_order() {
    let reply = Reply::text("a b").stop(titan_protocol::StopReason::Length);
    let server = ScriptServer::start(Wire::Anthropic, Script::always(reply)).unwrap();
    let body = ask(&server, &json!({"model": "m"})).await;
    let names: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    let expected = [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, expected);
    assert!(body.contains(r#""stop_reason":"max_tokens""#), "{body}");
}

#[tokio::test]
async fn chat_reports_usage_only_when_asked() {
    let server = ScriptServer::start(Wire::Chat, Script::always(Reply::tokens(2))).unwrap();
    let plain = ask(&server, &json!({"model": "m"})).await;
    let asked = json!({"model": "m", "stream_options": {"include_usage": true}});
    let counted = ask(&server, &asked).await;
    assert!(!plain.contains("completion_tokens"), "{plain}");
    assert!(counted.contains(r#""completion_tokens":2"#), "{counted}");
    assert!(counted.ends_with("data: [DONE]\n\n"), "{counted}");
}

#[tokio::test]
async fn ollama_cannot_send_arguments_that_are_no_object() {
    let reply = Reply::call("read", r#"{"path":"#);
    let server = ScriptServer::start(Wire::Ollama, Script::always(reply)).unwrap();
    let body = ask(&server, &json!({"model": "m"})).await;
    assert_eq!(payloads(&body).len(), 1, "{body}");
    assert!(body.contains("error parsing tool call"), "{body}");
}

#[tokio::test]
async fn nothing_passes_a_closed_gate() {
    let gate = Gate::new();
    let reply = Reply::text("before").and_gate(&gate).and_text("after");
    let server = ScriptServer::start(Wire::Ollama, Script::always(reply)).unwrap();
    let mut client = connect(&server).await;
    write_request(&mut client, "/api/chat", &json!({"model": "m"})).await;
    let mut raw = Vec::new();
    while !String::from_utf8_lossy(&raw).contains("before") {
        client.read_buf(&mut raw).await.unwrap();
    }
    assert!(server.exchanges()[0].ended.is_none());
    gate.open();
    server.ended(1, Ending::Whole).await;
    client.shutdown().await.unwrap();
    client.read_to_end(&mut raw).await.unwrap();
    assert!(String::from_utf8_lossy(&raw).contains("after"));
}

#[tokio::test]
async fn a_client_that_hangs_up_is_noticed_while_the_server_is_silent() {
    for reply in [Reply::silence(), Reply::text("a b c").silent_after(10)] {
        let server = ScriptServer::start(Wire::Chat, Script::always(reply)).unwrap();
        let mut client = connect(&server).await;
        write_request(&mut client, "/v1/chat/completions", &json!({})).await;
        server.arrived(1).await;
        drop(client);
        server.ended(1, Ending::HungUp).await;
    }
}

#[tokio::test]
async fn a_cut_reply_has_no_proper_end() {
    let reply = Reply::text("a b c").cut_after(10);
    let server = ScriptServer::start(Wire::Chat, Script::always(reply)).unwrap();
    let mut client = connect(&server).await;
    write_request(&mut client, "/v1/chat/completions", &json!({})).await;
    let mut raw = Vec::new();
    client.read_to_end(&mut raw).await.unwrap();
    let text = String::from_utf8(raw).unwrap();
    assert!(text.ends_with("a\r\ndata: {\"id\r\n"), "{text}");
    assert_eq!(server.exchanges()[0].ended.unwrap().1, Ending::Cut);
}

#[tokio::test]
async fn errors_wear_the_vendors_body_and_the_connection_lives_on() {
    let script = Script::replies([
        Reply::status(529, "busy").header("retry-after", "2"),
        Reply::text("now"),
    ]);
    let server = ScriptServer::start(Wire::Anthropic, script).unwrap();
    let mut client = connect(&server).await;
    write_request(&mut client, "/v1/messages", &json!({})).await;
    let mut raw = Vec::new();
    while !raw.ends_with(b"}") {
        client.read_buf(&mut raw).await.unwrap();
    }
    let text = String::from_utf8(raw).unwrap();
    assert!(text.starts_with("HTTP/1.1 529 Overloaded\r\nretry-after: 2\r\n"));
    assert!(text.contains(r#""type":"overloaded_error","message":"busy""#));
    write_request(&mut client, "/v1/messages", &json!({})).await;
    assert!(read_stream(&mut client).await.contains("now"));
}

#[tokio::test]
async fn a_script_reads_the_thread_alike_on_every_wire() {
    let bodies = [
        (
            Wire::Anthropic,
            json!({"system": [{"type": "text", "text": "be brief"}], "tools": [{"name": "read"}],
                "messages": [{"role": "user", "content": "hi"},
                {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "42"}]}]}]}),
        ),
        (
            Wire::Chat,
            json!({"tools": [{"type": "function", "function": {"name": "read"}}],
                "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"},
                {"role": "tool", "content": "42"}]}),
        ),
        (
            Wire::Responses,
            json!({"instructions": "be brief", "tools": [{"type": "function", "name": "read"}],
                "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                {"type": "function_call_output", "output": "42"}]}),
        ),
        (
            Wire::Ollama,
            json!({"tools": [{"type": "function", "function": {"name": "read"}}],
                "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"},
                {"role": "tool", "content": "42"}]}),
        ),
    ];
    for (wire, body) in bodies {
        let script = Script::always(Reply::text("ok"));
        let server = ScriptServer::start(wire, script).unwrap();
        ask(&server, &body).await;
        let request = &server.requests()[0];
        assert_eq!(request.system(), "be brief", "{wire:?}");
        assert_eq!(request.last_user_text(), "hi", "{wire:?}");
        assert_eq!(request.tool_results(), ["42"], "{wire:?}");
        assert_eq!(request.tool_names(), ["read"], "{wire:?}");
        assert_eq!(request.header("x-key"), Some("k"));
    }
}

#[tokio::test]
async fn lists_and_probes_are_answered_only_where_the_vendor_does() {
    let found = [
        (Wire::Anthropic, "GET", "/v1/models", "display_name"),
        (Wire::Chat, "GET", "/v1/models", "owned_by"),
        (Wire::Chat, "GET", "/api/version", "not found"),
        (Wire::Ollama, "GET", "/api/version", "version"),
        (Wire::Ollama, "GET", "/api/tags", "quantization_level"),
        (Wire::Ollama, "POST", "/api/show", "capabilities"),
        (Wire::Chat, "POST", "/api/chat", "not found"),
    ];
    for (wire, method, path, expected) in found {
        let server = ScriptServer::start(wire, Script::always(Reply::default())).unwrap();
        let mut client = connect(&server).await;
        let body = r#"{"model":"scripted"}"#;
        let request = format!(
            "{method} {path} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        while !raw.ends_with(b"}") {
            client.read_buf(&mut raw).await.unwrap();
        }
        let text = String::from_utf8(raw).unwrap();
        assert!(text.contains(expected), "{wire:?} {path}: {text}");
        assert_eq!(server.queries(), [format!("{method} {path}")]);
    }
}

#[tokio::test]
async fn deltas_come_at_their_due_time() {
    tokio::time::pause();
    let mut schedule = Schedule::new(Some(50.0));
    let started = tokio::time::Instant::now();
    for n in 0..20_u32 {
        schedule.next_due().await;
        // The timer rounds up to its next millisecond; that must not add up.
        let late_ms = started.elapsed().as_millis() - u128::from(n) * 20;
        assert!(late_ms <= 1, "delta {n} came {late_ms} ms late");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_run_side_by_side() {
    const STREAMS: usize = 1_000;
    let gate = Gate::new();
    let reply = Reply::text("a ").and_gate(&gate).and_text("b");
    let server = Arc::new(ScriptServer::start(Wire::Chat, Script::always(reply)).unwrap());
    let mut clients = JoinSet::new();
    for _ in 0..STREAMS {
        let server = Arc::clone(&server);
        clients.spawn(async move { ask(&server, &json!({"model": "m"})).await });
    }
    server.arrived(STREAMS).await;
    gate.open();
    let bodies = clients.join_all().await;
    assert!(bodies.iter().all(|body| body.ends_with("[DONE]\n\n")));
    server.ended(STREAMS, Ending::Whole).await;
}

#[test]
fn a_text_is_cut_into_the_given_sizes_over_and_over() {
    assert_eq!(cut("añbcdef", &[1, 3]), ["a", "ñbc", "d", "ef"]);
    assert_eq!(cut("abc", &[]), ["abc"]);
    assert!(cut("", &[1]).is_empty());
}

#[tokio::test]
async fn a_server_can_speak_another_protocol_or_reset_or_never_end() {
    let replies = [
        Reply::not_http("SSH-2.0\r\n"),
        Reply::text("never mind").reset_after(0),
        Reply::endless("x".repeat(100)),
        Reply::raw_status(502, "text/html", "<html>"),
    ];
    let server = ScriptServer::start(Wire::Chat, Script::replies(replies)).unwrap();
    let mut first = Vec::new();
    let mut client = connect(&server).await;
    write_request(&mut client, Wire::Chat.path(), &json!({})).await;
    client.read_to_end(&mut first).await.unwrap();
    assert_eq!(first, b"SSH-2.0\r\n");

    let mut client = connect(&server).await;
    write_request(&mut client, Wire::Chat.path(), &json!({})).await;
    let reset = client.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);

    let mut client = connect(&server).await;
    write_request(&mut client, Wire::Chat.path(), &json!({})).await;
    let mut much = vec![0; 100_000];
    client.read_exact(&mut much).await.unwrap();
    drop(client);
    server.ended(1, Ending::HungUp).await;

    let mut client = connect(&server).await;
    write_request(&mut client, Wire::Chat.path(), &json!({})).await;
    let mut head = vec![0; 24];
    client.read_exact(&mut head).await.unwrap();
    assert!(head.starts_with(b"HTTP/1.1 502 "));
}

#[test]
fn a_body_can_be_had_without_a_connection() {
    for wire in Wire::ALL {
        let body = String::from_utf8(wire.body(&Reply::text("hello"))).unwrap();
        assert_eq!(text_of(wire, &payloads(&body)), "hello", "{wire:?}");
        let refusal: Value = serde_json::from_slice(&wire.refusal(429, "slow")).unwrap();
        assert!(refusal.to_string().contains("slow"), "{wire:?}");
    }
}
