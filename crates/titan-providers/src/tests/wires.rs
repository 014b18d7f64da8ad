//! One script over all four wires, by an encoder that others wrote, through a real connection.

use super::WIRES;
use crate::config::{Ports, ProviderConfig, ProviderKind, ProvidersConfig, open};
use crate::test_support::render_items;
use crate::wire::Wire;
use async_trait::async_trait;
use bytes::Bytes;
use expect_test::{Expect, expect};
use futures::{StreamExt, stream};
use std::sync::Arc;
use titan_protocol::{
    Egress, EgressError, HttpMethod, HttpRequest, HttpResponse, Message, ModelError, ModelEvent,
    ModelRequest, Provider, Task, ToolSpec,
};
use titan_testkit::server::{self, Reply, Script, ScriptServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Item = Result<ModelEvent, ModelError>;

/// Just enough HTTP/1.1 for a server on loopback; a body is read whole.
struct Loopback;

#[async_trait]
impl Egress for Loopback {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, EgressError> {
        let answer = exchange(&request)
            .await
            .map_err(|error| EgressError::Unreachable(error.to_string()))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let is_chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
        let pieces = if is_chunked {
            chunks(body)
        } else {
            vec![Bytes::copy_from_slice(body.as_bytes())]
        };
        Ok(HttpResponse {
            status: status.parse().unwrap(),
            headers,
            url: request.url,
            body: stream::iter(pieces.into_iter().map(Ok)).boxed(),
        })
    }
}

async fn exchange(request: &HttpRequest) -> std::io::Result<String> {
    let address = (request.url.host_str().unwrap(), request.url.port().unwrap());
    let mut connection = TcpStream::connect(address).await?;
    let method = match request.method {
        HttpMethod::Post => "POST",
        _ => "GET",
    };
    let mut head = format!("{method} {} HTTP/1.1\r\n", request.url.path());
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!(
        "host: loopback\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        request.body.len()
    );
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(&request.body).await?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&answer) {
        match connection.read(&mut buffer).await? {
            0 => break,
            n => answer.extend_from_slice(&buffer[..n]),
        }
    }
    Ok(String::from_utf8(answer).unwrap())
}

/// The last chunk is in, or as much as the head announces.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_lowercase();
    match head.split_once("content-length: ") {
        Some((_, rest)) => {
            let length = rest.lines().next().and_then(|it| it.trim().parse().ok());
            body.len() >= length.unwrap_or(0)
        }
        None => body.ends_with("0\r\n\r\n"),
    }
}

fn chunks(mut body: &str) -> Vec<Bytes> {
    let mut all = Vec::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            break;
        }
        all.push(Bytes::copy_from_slice(&rest.as_bytes()[..length]));
        body = &rest[length + 2..];
    }
    all
}

async fn check(reply: impl Fn() -> Reply, expected: Expect) {
    for wire in WIRES {
        let (kind, theirs) = match wire {
            Wire::Anthropic => (ProviderKind::Anthropic, server::Wire::Anthropic),
            Wire::OpenAiChat => (ProviderKind::OpenAiChat, server::Wire::Chat),
            Wire::OpenAiResponses => (ProviderKind::OpenAiResponses, server::Wire::Responses),
            Wire::Ollama => (ProviderKind::Ollama, server::Wire::Ollama),
        };
        let server = ScriptServer::start(theirs, Script::replies([reply()])).unwrap();
        let config = ProvidersConfig {
            providers: vec![ProviderConfig {
                base_url: Some(server.base_url().parse().unwrap()),
                native_tools: Some(true),
                ..ProviderConfig::new("acme", kind, "m1")
            }],
            ..ProvidersConfig::default()
        };
        let ports = Ports {
            egress: Arc::new(Loopback),
            local: None,
            embedder: None,
        };
        let request = ModelRequest {
            tools: [ToolSpec {
                name: "read".to_owned(),
                description: "Reads a file.".to_owned(),
                input_schema: serde_json::json!({"type": "object"}),
            }]
            .into(),
            ..ModelRequest::new(Task::Chat, "", vec![Message::user("hi")])
        };
        let router = open(config, ports).unwrap();
        let items = router.stream(request).collect().await;
        expected.assert_eq(&joined(items));
    }
}

/// The transcript without what the wires may differ in: where pieces are cut, seals, and how often tokens are told.
fn joined(items: Vec<Item>) -> String {
    let mut kept: Vec<Item> = Vec::new();
    for item in items {
        match (kept.last_mut(), &item) {
            (_, Ok(ModelEvent::ThinkingSignature { .. } | ModelEvent::Usage(_))) => continue,
            (
                Some(Ok(ModelEvent::TextDelta { text })),
                Ok(ModelEvent::TextDelta { text: more }),
            )
            | (
                Some(Ok(ModelEvent::ThinkingDelta { text })),
                Ok(ModelEvent::ThinkingDelta { text: more }),
            ) => text.push_str(more),
            (
                Some(Ok(ModelEvent::ToolCallDelta { index, json })),
                Ok(ModelEvent::ToolCallDelta {
                    index: also,
                    json: more,
                }),
            ) if index == also => json.push_str(more),
            _ => kept.push(item),
        }
    }
    render_items(&kept)
}

#[tokio::test]
async fn text_is_the_same_over_all_wires() {
    check(
        || Reply::text("It is a workspace – of nine crates."),
        expect![[r#"
            route acme/m1
            text "It is a workspace – of nine crates."
            done end
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_call_is_the_same_over_all_wires() {
    check(
        || Reply::call("read", r#"{"path":"Cargo.toml"}"#),
        expect![[r#"
            route acme/m1
            begin 0 read
            delta 0 {"path":"Cargo.toml"}
            end 0
            done tool_calls
        "#]],
    )
    .await;
}

#[tokio::test]
async fn words_and_parallel_calls_are_the_same_over_all_wires() {
    check(
        || {
            Reply::text("I look at both.")
                .and_call("read", r#"{"path":"a","deep":[1,{"b":null}]}"#, &[1, 4])
                .and_call("read", r#"{"path":"ß \"b\""}"#, &[3])
        },
        expect![[r#"
            route acme/m1
            text "I look at both."
            begin 0 read
            delta 0 {"path":"a","deep":[1,{"b":null}]}
            end 0
            begin 1 read
            delta 1 {"path":"ß \"b\""}
            end 1
            done tool_calls
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_refusal_is_the_same_over_all_wires() {
    check(
        || Reply::status(401, "bad key"),
        expect![[r#"
            route acme/m1
            error acme refused the key: bad key. Set another with `titanclaw onboard`, or choose a model with `titanclaw models use`.
        "#]],
    )
    .await;
}
