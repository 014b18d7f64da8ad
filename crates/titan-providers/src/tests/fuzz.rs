//! Bodies that no server should send, over every wire: kept in `fuzz/corpus/WIRE`.

use super::decode;
use crate::test_support::render_items;
use crate::wire::Wire;
use std::collections::BTreeSet;
use titan_protocol::{ModelError, ModelEvent, StopReason};

/// However a body is cut, it means the same; what is told is well-formed, and an error is its last item.
fn check(wire: Wire, body: &[u8]) {
    let whole = joined(decode(wire, &[body]));
    for piece_bytes in [1, 7] {
        let pieces: Vec<&[u8]> = body.chunks(piece_bytes).collect();
        let cut = joined(decode(wire, &pieces));
        assert_eq!(
            render_items(&cut),
            render_items(&whole),
            "in pieces of {piece_bytes}"
        );
    }
    is_well_formed(&whole);
}

/// Neighbouring deltas of one kind as one: where a server cuts is of no meaning.
fn joined(items: Vec<Result<ModelEvent, ModelError>>) -> Vec<Result<ModelEvent, ModelError>> {
    let mut out: Vec<Result<ModelEvent, ModelError>> = Vec::new();
    for item in items {
        match (out.last_mut(), &item) {
            (
                Some(Ok(ModelEvent::TextDelta { text })),
                Ok(ModelEvent::TextDelta { text: more }),
            )
            | (
                Some(Ok(ModelEvent::ThinkingDelta { text })),
                Ok(ModelEvent::ThinkingDelta { text: more }),
            ) => text.push_str(more),
            _ => out.push(item),
        }
    }
    out
}

fn is_well_formed(items: &[Result<ModelEvent, ModelError>]) {
    let (mut open, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for (at, item) in items.iter().enumerate() {
        let is_last = at + 1 == items.len();
        match item {
            Err(_) => assert!(is_last, "something follows an error"),
            Ok(ModelEvent::ToolCallBegin { index, .. }) => {
                assert!(
                    !ended.contains(index) && open.insert(*index),
                    "call {index} begins twice"
                );
            }
            Ok(ModelEvent::ToolCallDelta { index, .. }) => {
                assert!(
                    open.contains(index),
                    "call {index} goes on without a beginning"
                );
            }
            Ok(ModelEvent::ToolCallEnd { index }) => {
                assert!(
                    open.remove(index) && ended.insert(*index),
                    "call {index} ends twice"
                );
            }
            Ok(_) => {}
        }
    }
    let stops: Vec<StopReason> = items
        .iter()
        .filter_map(|item| match item {
            Ok(ModelEvent::Done { stop }) => Some(*stop),
            _ => None,
        })
        .collect();
    assert!(stops.len() <= 1, "it is done {} times", stops.len());
    // Only a limit cuts a call; it has no end then, and does not run.
    let may_be_open = stops.is_empty() || stops == [StopReason::Length];
    assert!(
        may_be_open || open.is_empty(),
        "done with a call that has no end"
    );
}

#[test]
fn fuzz_anthropic() {
    titan_testkit::fuzz::check("anthropic", |body| check(Wire::Anthropic, body));
}

#[test]
fn fuzz_openai_chat() {
    titan_testkit::fuzz::check("openai_chat", |body| check(Wire::OpenAiChat, body));
}

#[test]
fn fuzz_openai_responses() {
    titan_testkit::fuzz::check("openai_responses", |body| {
        check(Wire::OpenAiResponses, body)
    });
}

#[test]
fn fuzz_ollama() {
    titan_testkit::fuzz::check("ollama", |body| check(Wire::Ollama, body));
}
