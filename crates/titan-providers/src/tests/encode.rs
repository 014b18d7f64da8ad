//! What goes over each wire for one and the same request.

use super::WIRES;
use crate::wire::{ModelOptions, Wire};
use expect_test::expect_file;
use serde_json::json;
use titan_protocol::{
    BlobId, CallId, Content, Image, ImageKind, Message, ModelRequest, Role, Taint, Task, ToolCall,
    ToolChoice, ToolSpec,
};

fn tool(name: &str) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: format!("The {name} tool."),
        input_schema: json!({
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
            "additionalProperties": false,
        }),
    }
}

fn thought(text: &str, signature: Option<&str>) -> Content {
    Content::Thinking {
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
    }
}

fn text(text: &str) -> Content {
    Content::Text {
        text: text.to_owned(),
    }
}

fn call(id: &str, path: &str) -> Content {
    Content::ToolCall(ToolCall {
        id: CallId::from(id),
        name: "read".to_owned(),
        arguments: [("path".to_owned(), json!(path))].into_iter().collect(),
    })
}

fn result(id: &str, text: &str, is_error: bool) -> Content {
    Content::ToolResult {
        call: CallId::from(id),
        text: text.to_owned(),
        is_error,
        taint: Taint::NONE,
    }
}

/// A thread with everything in it: sealed thoughts of all wires, parallel calls, a failure, a word in between.
fn full() -> ModelRequest {
    let seals = [
        thought("hm", Some("anthropic:SIGNED")),
        thought("", Some("anthropic-redacted:SECRET")),
        thought("hm", Some("chat:reasoning_content")),
        thought(
            "hm",
            Some(r#"responses:{"id":"rs_1","encrypted_content":"SEALED"}"#),
        ),
        thought("unsealed", None),
    ];
    let mut reply = seals.to_vec();
    reply.extend([text("I look."), call("c1", "a"), call("c2", "b")]);
    ModelRequest {
        tools: [tool("list"), tool("read")].into(),
        temperature: Some(0.5),
        thinking_tokens_max: Some(2048),
        ..ModelRequest::new(
            Task::Chat,
            "You help.",
            vec![
                Message::user("before"),
                Message::assistant("yes"),
                Message::user("show a and b"),
                Message {
                    role: Role::Assistant,
                    content: reply,
                },
                Message {
                    role: Role::User,
                    content: vec![
                        text("and quickly"),
                        result("c1", "content of a", false),
                        result("c2", "no such file", true),
                    ],
                },
            ],
        )
    }
}

fn check(name: &str, request: &ModelRequest, model: impl Fn(Wire) -> &'static str) {
    for wire in WIRES {
        let options = ModelOptions {
            model: model(wire).to_owned(),
            context_tokens_max: Some(8192),
            fine_grained_tools: true,
            is_openai: true,
        };
        let encoded = wire.encode(request, &options);
        let headers: String = encoded
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        let body = serde_json::to_string_pretty(&encoded.body).unwrap();
        let path = format!(
            "{}/test_data/encode/{name}.{wire:?}.txt",
            env!("CARGO_MANIFEST_DIR")
        );
        expect_file![path].assert_eq(&format!("POST {}\n{headers}{body}\n", encoded.path));
    }
}

fn usual(wire: Wire) -> &'static str {
    match wire {
        Wire::Anthropic => "claude-sonnet-4-5",
        Wire::OpenAiChat | Wire::OpenAiResponses => "gpt-5",
        Wire::Ollama => "qwen3:4b",
    }
}

fn image(kind: ImageKind, base64: Option<&str>) -> Content {
    let image = Image {
        blob: BlobId::of(b"it"),
        kind,
        width: 8,
        height: 6,
        bytes: 2,
    };
    Content::Image {
        image,
        base64: base64.map(Into::into),
    }
}

#[test]
fn images_stand_where_they_were_given() {
    let user = |content| Message {
        role: Role::User,
        content,
    };
    let request = ModelRequest::new(
        Task::Chat,
        "You help.",
        vec![
            user(vec![
                text("which is the cat?"),
                image(ImageKind::Png, Some("UE5H")),
                image(ImageKind::Jpeg, Some("SlBFRw==")),
                image(ImageKind::Gif, None),
            ]),
            Message {
                role: Role::Assistant,
                content: vec![call("c1", "a")],
            },
            user(vec![
                text("and this?"),
                image(ImageKind::Webp, Some("V2ViUA==")),
                result("c1", "content of a", false),
            ]),
        ],
    );
    check("images", &request, usual);
}

#[test]
fn a_thread_with_everything_in_it() {
    check("full", &full(), usual);
}

#[test]
fn a_plain_question_is_short() {
    let request = ModelRequest {
        temperature: Some(0.0),
        ..ModelRequest::new(Task::Utility, "", vec![Message::user("hi")])
    };
    check("plain", &request, |wire| match wire {
        Wire::OpenAiChat | Wire::OpenAiResponses => "gpt-4.1",
        other => usual(other),
    });
}

#[test]
fn an_answer_held_to_a_schema() {
    let request = ModelRequest {
        answer_schema: Some(json!({
            "type": "object",
            "properties": {"title": {"type": "string"}},
            "required": ["title"],
            "additionalProperties": false,
        })),
        tool_choice: ToolChoice::None,
        tools: [tool("read")].into(),
        ..ModelRequest::new(Task::Utility, "Name it.", vec![Message::user("a story")])
    };
    check("schema", &request, usual);
}

#[test]
fn a_new_model_thinks_as_it_likes_and_takes_no_temperature() {
    let options = ModelOptions {
        model: "claude-opus-4-7".to_owned(),
        ..ModelOptions::default()
    };
    let body = Wire::Anthropic.encode(&full(), &options).body;
    assert_eq!(body["thinking"], json!({"type": "adaptive"}));
    assert_eq!(body["output_config"], json!({"effort": "low"}));
    let calm = ModelRequest {
        thinking_tokens_max: None,
        ..full()
    };
    let body = Wire::Anthropic.encode(&calm, &options).body;
    assert!(body.get("temperature").is_none() && body.get("thinking").is_none());
}

#[test]
fn a_turn_taken_over_from_another_vendor_goes_on_without_thinking() {
    let mut request = full();
    request.messages[3]
        .content
        .retain(|part| !matches!(part, Content::Thinking { .. }));
    let options = ModelOptions {
        model: "claude-sonnet-4-5".to_owned(),
        ..ModelOptions::default()
    };
    let body = Wire::Anthropic.encode(&request, &options).body;
    assert!(body.get("thinking").is_none());
}

#[test]
fn a_compatible_server_gets_the_field_names_that_all_know() {
    let options = ModelOptions {
        model: "gpt-5".to_owned(),
        ..ModelOptions::default()
    };
    let body = Wire::OpenAiChat.encode(&full(), &options).body;
    assert_eq!(body["max_tokens"], json!(4096));
    assert_eq!(body["temperature"], json!(0.5));
    assert!(body.get("max_completion_tokens").is_none() && body.get("reasoning_effort").is_none());
}

#[test]
fn a_server_that_makes_grammars_of_schemas_gets_no_bound_that_is_too_long_for_one() {
    let schema = json!({
        "type": "object",
        "properties": {
            "script": {"type": "string", "minLength": 1, "maxLength": 100_000},
            "tags": {"type": "array", "maxItems": 8, "items": {"type": "string", "maxLength": 40}},
            "maxLength": {"type": "integer", "maximum": 3_600},
        },
    });
    let kept = json!({
        "type": "object",
        "properties": {
            "script": {"type": "string", "minLength": 1},
            "tags": {"type": "array", "maxItems": 8, "items": {"type": "string", "maxLength": 40}},
            "maxLength": {"type": "integer", "maximum": 3_600},
        },
    });
    let long = ToolSpec {
        input_schema: schema.clone(),
        ..tool("shell")
    };
    let request = ModelRequest {
        tools: [long].into(),
        answer_schema: Some(schema),
        ..ModelRequest::new(Task::Chat, "", vec![Message::user("hi")])
    };
    for (wire, answer) in [
        (Wire::OpenAiChat, "/response_format/json_schema/schema"),
        (Wire::Ollama, "/format"),
    ] {
        let body = wire.encode(&request, &ModelOptions::default()).body;
        assert_eq!(body["tools"][0]["function"]["parameters"], kept, "{wire:?}");
        assert_eq!(body.pointer(answer), Some(&kept), "{wire:?}");
    }
}
