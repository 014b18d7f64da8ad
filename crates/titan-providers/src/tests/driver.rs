//! The driver: what it sends, when it sends again, and what dropping does.

use crate::config::{ProviderConfig, ProviderKind, endpoint};
use crate::http::{HttpConfig, HttpProvider};
use crate::retry::RetryPolicy;
use crate::test_support::render;
use crate::wire::{ModelOptions, Wire};
use expect_test::{Expect, expect};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{
    Egress, EgressError, EgressPurpose, Message, ModelEvent, ModelRequest, Provider, Task,
};
use titan_testkit::egress::{Reply, ScriptedEgress};
use titan_testkit::gate::Gate;
use tokio::time::Instant;

const HELLO: &str = concat!(
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
);

pub(super) fn provider(wire: Wire, egress: &ScriptedEgress, attempts_max: u32) -> HttpProvider {
    let kind = match wire {
        Wire::Anthropic => ProviderKind::Anthropic,
        Wire::OpenAiChat => ProviderKind::OpenAiChat,
        Wire::OpenAiResponses => ProviderKind::OpenAiResponses,
        Wire::Ollama => ProviderKind::Ollama,
    };
    let config = ProviderConfig {
        secret: Some("acme-key".to_owned()),
        extra_headers: vec![("x-title".to_owned(), "titan".to_owned())],
        ..ProviderConfig::new("acme", kind, "m1")
    };
    let egress: Arc<dyn Egress> = Arc::new(egress.clone());
    HttpProvider::new(HttpConfig {
        name: "acme".to_owned(),
        wire,
        endpoint: endpoint(&egress, &config),
        options: ModelOptions {
            model: "m1".to_owned(),
            ..ModelOptions::default()
        },
        retry: RetryPolicy {
            attempts_max,
            failures_max: 3,
            ..RetryPolicy::default()
        },
        native_tools: None,
        is_local: false,
    })
}

fn request() -> ModelRequest {
    ModelRequest::new(Task::Chat, "", vec![Message::user("hi")])
}

async fn check(egress: &ScriptedEgress, expected: Expect) {
    let provider = provider(Wire::OpenAiChat, egress, 3);
    expected.assert_eq(&render(provider.stream(request())).await);
}

#[tokio::test]
async fn each_wire_has_its_address_and_its_way_to_carry_the_key() {
    let mut lines = String::new();
    for wire in super::WIRES {
        let egress = ScriptedEgress::new();
        render(provider(wire, &egress, 1).stream(request())).await;
        let sent = &egress.requests()[0];
        let key = sent.credential.clone().unwrap();
        assert_eq!(sent.purpose, EgressPurpose::Provider);
        assert_eq!(sent.redirects_max, 0);
        assert!(sent.headers.iter().any(|(name, _)| name == "x-title"));
        lines += &format!(
            "{} {}: {}<{}>\n",
            sent.url, key.header, key.prefix, key.secret
        );
    }
    expect![[r#"
        https://api.anthropic.com/v1/messages x-api-key: <acme-key>
        https://api.openai.com/v1/chat/completions authorization: Bearer <acme-key>
        https://api.openai.com/v1/responses authorization: Bearer <acme-key>
        http://127.0.0.1:11434/api/chat authorization: Bearer <acme-key>
    "#]]
    .assert_eq(&lines);
}

#[tokio::test]
async fn nothing_is_sent_before_the_stream_is_polled() {
    let egress = ScriptedEgress::new();
    drop(provider(Wire::OpenAiChat, &egress, 1).stream(request()));
    assert_eq!(egress.requests().len(), 0);
}

#[tokio::test]
async fn a_delta_is_told_while_the_next_is_still_being_written() {
    let gate = Gate::new();
    let egress = ScriptedEgress::new();
    let (first, rest) = HELLO.split_at(HELLO.find("\n\n").unwrap() + 2);
    egress.push(Reply::ok(first).hold(&gate).chunk(rest));
    let mut stream = provider(Wire::OpenAiChat, &egress, 1).stream(request());
    stream.next().await;
    assert_eq!(
        stream.next().await,
        Some(Ok(ModelEvent::TextDelta {
            text: "hello".to_owned()
        }))
    );
    assert!(futures::poll!(stream.next()).is_pending());
    assert_eq!(egress.bodies_dropped(), 0);
    drop(stream);
    assert_eq!(
        egress.bodies_dropped(),
        1,
        "dropping the stream closes the body"
    );
}

#[tokio::test]
async fn a_body_that_goes_on_after_the_reply_is_closed() {
    let egress = ScriptedEgress::new();
    egress.push(Reply::ok(HELLO).hold(&Gate::new()));
    check(
        &egress,
        expect![[r#"
            route acme/m1
            text "hello"
            done end
        "#]],
    )
    .await;
    assert_eq!(egress.bodies_dropped(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_until_it_does() {
    let egress = ScriptedEgress::new();
    egress
        .push(Reply::error(EgressError::Unreachable("reset".to_owned())))
        .push(Reply::status(503))
        .push(Reply::ok(HELLO));
    check(
        &egress,
        expect![[r#"
            route acme/m1
            text "hello"
            done end
        "#]],
    )
    .await;
    assert_eq!(egress.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_says_when_is_waited_for_just_so_long() {
    let egress = ScriptedEgress::new();
    egress
        .push(Reply::status(429).header("retry-after", "7"))
        .push(Reply::ok(HELLO));
    let begun = Instant::now();
    check(
        &egress,
        expect![[r#"
            route acme/m1
            text "hello"
            done end
        "#]],
    )
    .await;
    assert_eq!(begun.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_wants_too_long_a_wait_is_not_waited_for() {
    let egress = ScriptedEgress::new();
    egress.push(Reply::status(429).header("retry-after", "600"));
    let begun = Instant::now();
    check(
        &egress,
        expect![[r#"
            route acme/m1
            error acme is limiting requests: HTTP 429 without a message
        "#]],
    )
    .await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn what_cannot_pass_is_not_tried_again() {
    for reply in [
        Reply::status(400),
        Reply::status(401),
        Reply::error(EgressError::Denied("offline".to_owned())),
        Reply::ok("<html><title>Log in</title>").header("content-type", "text/html"),
    ] {
        let egress = ScriptedEgress::new();
        egress.push(reply);
        render(provider(Wire::OpenAiChat, &egress, 3).stream(request())).await;
        assert_eq!(egress.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_web_page_is_no_answer() {
    let egress = ScriptedEgress::new();
    egress.push(Reply::ok("<html><title>Log in</title>").header("content-type", "text/html"));
    check(
        &egress,
        expect![[r#"
            route acme/m1
            error acme sent something that is not understood: a web page (Log in) instead of an answer; is the base address right?
        "#]],
    )
    .await;
}

#[tokio::test]
async fn nothing_is_sent_again_after_content() {
    let egress = ScriptedEgress::new();
    let first = &HELLO[..HELLO.find("\n\n").unwrap() + 2];
    egress
        .push(Reply::ok(first).breaks(EgressError::Broken("connection reset".to_owned())))
        .push(Reply::ok(HELLO));
    check(
        &egress,
        expect![[r#"
            route acme/m1
            text "hello"
            error acme stopped in the middle of its answer: connection reset
        "#]],
    )
    .await;
    assert_eq!(egress.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_content_is_asked_for_again() {
    let egress = ScriptedEgress::new();
    egress
        .push(Reply::ok(": ping\n\n"))
        .push(Reply::ok(
            "data: {\"error\":{\"code\":502,\"message\":\"upstream\"}}\n\n",
        ))
        .push(Reply::ok(HELLO));
    check(
        &egress,
        expect![[r#"
            route acme/m1
            text "hello"
            done end
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_read_whole() {
    let egress = ScriptedEgress::new();
    let body = concat!(
        "{\n \"object\": \"chat.completion\",\n \"choices\": [{\"index\": 0,\n",
        " \"message\": {\"role\": \"assistant\", \"content\": \"hello\"}, \"finish_reason\": \"stop\"}]\n}\n"
    );
    egress.push(
        Reply::status(200)
            .header("content-type", "application/json; charset=utf-8")
            .chunks_of(5, body),
    );
    check(
        &egress,
        expect![[r#"
            route acme/m1
            text "hello"
            done end
        "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_keeps_failing_is_left_alone_for_a_while() {
    let egress = ScriptedEgress::answering(|_| Reply::status(500));
    let provider = provider(Wire::OpenAiChat, &egress, 3);
    render(provider.stream(request())).await;
    assert_eq!(egress.requests().len(), 3);
    expect![[r#"
        route acme/m1
        error acme cannot be reached: it failed several times in a row and is left alone for 30 s more
    "#]]
    .assert_eq(&render(provider.stream(request())).await);
    assert_eq!(egress.requests().len(), 3, "nothing was sent");

    tokio::time::advance(Duration::from_secs(30)).await;
    egress.push(Reply::ok(HELLO));
    expect![[r#"
        route acme/m1
        text "hello"
        done end
    "#]]
    .assert_eq(&render(provider.stream(request())).await);
}

#[tokio::test]
async fn models_are_listed_with_what_is_known() {
    let egress = ScriptedEgress::answering(|request| match request.url.path() {
        "/v1/models" => Reply::ok(r#"{"data":[{"id":"m1","context_length":8192},{"id":"m2"}]}"#),
        _ => Reply::status(404),
    });
    for wire in [Wire::Anthropic, Wire::OpenAiChat, Wire::OpenAiResponses] {
        let models = provider(wire, &egress, 1).models().await.unwrap();
        assert_eq!(models.len(), 2, "{wire:?}");
        assert_eq!(models[0].context_tokens_max, Some(8192));
        assert_eq!(models[0].provider, "acme");
    }
}
