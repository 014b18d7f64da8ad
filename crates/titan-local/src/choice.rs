//! Whether a small model should answer or call a tool.
//!
//! Left to itself it announces calls that it never makes, or invents. So the tools and `answer` are put to it as names of
//! which one must come next, and their likelihoods decide; and a call that would only repeat the last one of this turn is no call.

use crate::prompt::spaced;
use serde_json::Value;
use titan_protocol::{Content, Message, ModelRequest, Role, ToolChoice};

/// What stands beside the tools as a choice; `prompt.md` tells it.
pub(crate) const ANSWER: &str = "answer";
/// How much likelier than an answer a tool must be, in logits, to be called. With the default model ten requests about
/// a workspace had 2.2 to 8.0, and seven of eight about other things had at most 2.0.
const CALL_MARGIN: f32 = 2.1;
/// The same when a result is there to answer from.
const CALL_AGAIN_MARGIN: f32 = 4.0;

/// Whether the model is free to answer or to call.
pub(crate) fn is_open(request: &ModelRequest) -> bool {
    let has_choice = !request.tools.is_empty() && request.answer_schema.is_none();
    has_choice && request.tool_choice == ToolChoice::Auto
}

/// How much likelier than an answer a tool must be for this request, in logits.
pub(crate) fn margin(request: &ModelRequest) -> f32 {
    let has_result = request.messages.last().is_some_and(|message| {
        let is_result = |part: &Content| {
            matches!(
                part,
                Content::ToolResult {
                    is_error: false,
                    ..
                }
            )
        };
        message.content.iter().any(is_result)
    });
    if has_result {
        CALL_AGAIN_MARGIN
    } else {
        CALL_MARGIN
    }
}

/// The call that was made last since the person spoke, as the model writes it. Earlier ones may be made again: a test
/// after a change, for example.
pub(crate) fn last_made(request: &ModelRequest) -> Option<String> {
    let messages = request.messages.iter().rev();
    let turn = messages.take_while(|message| !is_said(message));
    turn.flat_map(|message| message.content.iter().rev())
        .find_map(|part| match part {
            Content::ToolCall(call) => {
                let arguments = Value::Object(call.arguments.clone());
                Some(written(&call.name, &arguments))
            }
            _ => None,
        })
}

/// Whether this is the call that was made last.
pub(crate) fn is_repeated(call: &str, last: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(call) else {
        return false;
    };
    let name = value["name"].as_str().unwrap_or_default();
    written(name, &value["arguments"]) == last
}

/// A call as the prompt shows it and the grammar has it written.
pub(crate) fn written(name: &str, arguments: &Value) -> String {
    format!(
        "{{\"name\": \"{name}\", \"arguments\": {}}}",
        spaced(arguments)
    )
}

fn is_said(message: &Message) -> bool {
    let is_text = |part: &Content| matches!(part, Content::Text { .. });
    let is_result = |part: &Content| matches!(part, Content::ToolResult { .. });
    message.role == Role::User
        && message.content.iter().any(is_text)
        && !message.content.iter().any(is_result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use titan_protocol::{CallId, Taint, Task, ToolCall, ToolSpec, TurnId};

    fn call(path: &str) -> Message {
        Message {
            role: Role::Assistant,
            content: vec![Content::ToolCall(ToolCall {
                id: CallId::new(TurnId::from_u128(1), 0),
                name: "read".into(),
                arguments: json!({ "path": path }).as_object().unwrap().clone(),
            })],
        }
    }

    fn result(is_error: bool) -> Message {
        Message {
            role: Role::User,
            content: vec![Content::ToolResult {
                call: CallId::new(TurnId::from_u128(1), 0),
                text: "words".into(),
                is_error,
                taint: Taint::NONE,
            }],
        }
    }

    fn request(messages: Vec<Message>) -> ModelRequest {
        let mut request = ModelRequest::new(Task::Chat, "", messages);
        request.tools = vec![ToolSpec {
            name: "read".into(),
            description: "Reads.".into(),
            input_schema: json!({"type": "object"}),
        }]
        .into();
        request
    }

    #[test]
    fn only_the_last_call_of_this_turn_is_repeated() {
        let request = request(vec![
            Message::user("first"),
            call("old"),
            result(false),
            Message::user("second"),
            call("tested"),
            result(false),
            call("changed"),
            result(false),
        ]);
        let last = last_made(&request).unwrap();
        let is_repeated = |text: &str| is_repeated(text, &last);
        assert!(is_repeated(
            r#"{"name":"read","arguments":{"path":"changed"}}"#
        ));
        assert!(!is_repeated(
            r#"{"name": "read", "arguments": {"path": "tested"}}"#
        ));
        assert!(!is_repeated("no call at all"));
    }

    #[test]
    fn a_new_turn_has_no_last_call() {
        let messages = vec![
            Message::user("a"),
            call("old"),
            result(false),
            Message::user("b"),
        ];
        assert_eq!(last_made(&request(messages)), None);
    }

    #[test]
    fn a_result_to_answer_from_makes_another_call_dearer() {
        let margin = |last| margin(&request(vec![Message::user("a"), call("a"), last]));
        assert!(margin(result(false)) > margin(result(true)));
    }

    #[test]
    fn there_is_no_choice_without_tools_or_where_it_is_made_already() {
        let mut request = request(vec![Message::user("a")]);
        assert!(is_open(&request));
        request.tool_choice = ToolChoice::None;
        assert!(!is_open(&request));
        request.tool_choice = ToolChoice::Auto;
        request.tools = Vec::new().into();
        assert!(!is_open(&request));
    }
}
