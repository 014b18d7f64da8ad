//! Streams as vendors send them, and what they mean: `test_data/WIRE/NAME.sse` and `NAME.expected`.

use super::{WIRES, decode, is_done};
use crate::test_support::render;
use crate::wire::Wire;
use expect_test::expect_file;
use std::path::{Path, PathBuf};
use titan_protocol::{Message, ModelError, ModelEvent, ModelRequest, Provider, Task};
use titan_testkit::egress::{Reply, ScriptedEgress};

fn folder(wire: Wire) -> &'static str {
    match wire {
        Wire::Anthropic => "anthropic",
        Wire::OpenAiChat => "openai_chat",
        Wire::OpenAiResponses => "openai_responses",
        Wire::Ollama => "ollama",
    }
}

fn fixtures(wire: Wire) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("test_data")
        .join(folder(wire));
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it != "expected"))
        .collect();
    files.sort();
    assert!(files.len() > 5, "the fixtures of {wire:?} are missing");
    files
}

async fn check(wire: Wire) {
    for path in fixtures(wire) {
        let body = std::fs::read(&path).unwrap();
        for piece_bytes in [usize::MAX, 7, 1] {
            let egress = ScriptedEgress::new();
            egress.push(Reply::status(200).chunks_of(piece_bytes.min(body.len()), &body));
            let provider = super::driver::provider(wire, &egress, 1);
            let request = ModelRequest::new(Task::Chat, "", vec![Message::user("hi")]);
            let text = render(provider.stream(request)).await;
            expect_file![path.with_extension("expected")].assert_eq(&text);
        }
    }
}

#[tokio::test]
async fn anthropic_streams_mean_what_they_say() {
    check(Wire::Anthropic).await;
}

#[tokio::test]
async fn chat_completions_streams_mean_what_they_say() {
    check(Wire::OpenAiChat).await;
}

#[tokio::test]
async fn responses_streams_mean_what_they_say() {
    check(Wire::OpenAiResponses).await;
}

#[tokio::test]
async fn ollama_streams_mean_what_they_say() {
    check(Wire::Ollama).await;
}

/// Where a body is cut: around each end of a line, and all over.
fn cuts(body: &[u8]) -> impl Iterator<Item = usize> {
    let is_near_line_end = |at: usize| {
        let around = at.saturating_sub(2)..(at + 2).min(body.len());
        body[around].contains(&b'\n')
    };
    (0..body.len()).filter(move |at| at % 23 == 0 || is_near_line_end(*at))
}

/// A cut may cost the count of tokens or an error that came later, but no content, and no call ends that is not
/// whole.
#[test]
fn x21_a_stream_cut_anywhere_is_never_taken_for_whole() {
    for wire in WIRES {
        for path in fixtures(wire) {
            let body = std::fs::read(&path).unwrap();
            let whole = decode(wire, &[&body]);
            for cut in cuts(&body) {
                let items = decode(wire, &[&body[..cut]]);
                let is_fine = if items.iter().any(is_done) {
                    whole.iter().any(Result::is_err) || content(&items) == content(&whole)
                } else {
                    matches!(items.last(), Some(Err(_)))
                };
                assert!(is_fine, "{path:?} cut at {cut}: {items:?}");
                for (name, json) in super::bfcl::ended_calls(&items) {
                    let arguments: Result<serde_json::Value, _> = serde_json::from_str(&json);
                    let is_whole = arguments.is_ok_and(|it| it.is_object());
                    assert!(is_whole, "{path:?} cut at {cut}: {name} {json}");
                }
            }
        }
    }
}

fn content(items: &[Result<ModelEvent, ModelError>]) -> Vec<&ModelEvent> {
    let events = items.iter().flatten();
    events
        .filter(|it| !matches!(it, ModelEvent::Usage(_)))
        .collect()
}
