//! Requests that no client of ours sends: kept in `fuzz/corpus/gateway_chat` and `fuzz/corpus/gateway_op`.

use super::{Asked, said};
use crate::api;
use crate::turn::{Said, words};

/// Of a conversation, what came before stays in its block, whatever it holds.
#[test]
fn fuzz_gateway_chat() {
    titan_testkit::fuzz::check("gateway_chat", |bytes| {
        let Ok(asked) = serde_json::from_slice::<Asked>(bytes) else {
            return;
        };
        let said: Result<Vec<Said>, _> = asked.messages.into_iter().map(said).collect();
        let Ok(said) = said else { return };
        let n_said = said.len();
        let Ok(text) = words(said, false) else {
            assert_eq!(n_said, 0, "who says something is answered");
            return;
        };
        let Some(block) = text.strip_prefix("What was said before:\n\n") else {
            return assert!(n_said == 1, "{text}");
        };
        let Some((fence, rest)) = block.split_once("text\n") else {
            return;
        };
        if fence.len() < 3 || fence.bytes().any(|byte| byte != b'`') {
            // The person's own words began so.
            return assert_eq!(n_said, 1, "{text}");
        }
        let Some((inside, _)) = rest.split_once(fence) else {
            return assert_eq!(n_said, 1, "{text}");
        };
        assert!(
            inside.ends_with('\n'),
            "the block is closed on a line of its own: {text}"
        );
    });
}

/// A command is refused, or is read as what reads the same when it is sent on.
#[test]
fn fuzz_gateway_op() {
    titan_testkit::fuzz::check("gateway_op", |bytes| {
        let Ok(value) = serde_json::from_slice(bytes) else {
            return;
        };
        if let Ok(op) = api::op(value) {
            let sent = serde_json::to_value(&op).expect("it can be sent");
            assert_eq!(api::op(sent).as_ref(), Ok(&op));
        }
    });
}
