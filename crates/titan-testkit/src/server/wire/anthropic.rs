//! Anthropic Messages.

use super::{Body, Encode, named_event};
use crate::server::{Model, Request};
use serde_json::{Value, json};
use titan_protocol::{StopReason, Usage};

pub(super) struct Encoder {
    reply: usize,
    model: String,
    n_blocks: usize,
}

impl Encoder {
    pub(super) fn new(request: &Request) -> Self {
        Self {
            reply: request.index,
            model: request.model().to_owned(),
            n_blocks: 0,
        }
    }

    fn block(&mut self, content_block: &Value, deltas: &[Value], body: &mut Body) {
        let index = self.n_blocks;
        self.n_blocks += 1;
        body.opening(&named_event(&json!({
            "type": "content_block_start", "index": index, "content_block": content_block,
        })));
        for delta in deltas {
            body.delta(&named_event(&json!({
                "type": "content_block_delta", "index": index, "delta": delta,
            })));
        }
        body.closing(&named_event(
            &json!({"type": "content_block_stop", "index": index}),
        ));
    }
}

impl Encode for Encoder {
    fn open(&mut self, usage: &Usage, body: &mut Body) {
        body.opening(&named_event(&json!({"type": "message_start", "message": {
            "id": format!("msg_{:08}", self.reply),
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": {
                "input_tokens": usage.input_tokens,
                "cache_creation_input_tokens": usage.cache_write_tokens,
                "cache_read_input_tokens": usage.cache_read_tokens,
                "output_tokens": 1,
            },
        }})));
        body.opening(&named_event(&json!({"type": "ping"})));
    }

    fn text(&mut self, pieces: &[String], body: &mut Body) {
        let deltas: Vec<Value> = pieces
            .iter()
            .map(|text| json!({"type": "text_delta", "text": text}))
            .collect();
        self.block(&json!({"type": "text", "text": ""}), &deltas, body);
    }

    fn thinking(&mut self, pieces: &[String], signature: Option<&str>, body: &mut Body) {
        let thoughts = pieces
            .iter()
            .map(|text| json!({"type": "thinking_delta", "thinking": text}));
        let seal = signature.map(|seal| json!({"type": "signature_delta", "signature": seal}));
        let deltas: Vec<Value> = thoughts.chain(seal).collect();
        let block = json!({"type": "thinking", "thinking": "", "signature": ""});
        self.block(&block, &deltas, body);
    }

    fn call(&mut self, name: &str, arguments: &[String], body: &mut Body) {
        let id = format!("toolu_{:08}_{}", self.reply, self.n_blocks);
        // The vendor sends an empty piece first.
        let deltas: Vec<Value> = std::iter::once("")
            .chain(arguments.iter().map(String::as_str))
            .map(|json| json!({"type": "input_json_delta", "partial_json": json}))
            .collect();
        let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
        self.block(&block, &deltas, body);
    }

    fn error(&mut self, message: &str, body: &mut Body) {
        body.opening(&named_event(&json!({
            "type": "error", "error": {"type": "overloaded_error", "message": message},
        })));
    }

    fn close(&mut self, stop: StopReason, usage: &Usage, body: &mut Body) {
        let reason = match stop {
            StopReason::End => "end_turn",
            StopReason::ToolCalls => "tool_use",
            StopReason::Length => "max_tokens",
            StopReason::Refused => "refusal",
        };
        body.opening(&named_event(&json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": {"output_tokens": usage.output_tokens},
        })));
        body.opening(&named_event(&json!({"type": "message_stop"})));
    }
}

pub(super) fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

pub(super) fn models(models: &[Model]) -> Value {
    let data: Vec<Value> = models
        .iter()
        .map(|model| {
            json!({
                "type": "model",
                "id": model.name,
                "display_name": model.name,
                "created_at": "2026-01-01T00:00:00Z",
            })
        })
        .collect();
    let id_of = |model: Option<&Model>| model.map(|model| model.name.clone());
    json!({
        "data": data,
        "has_more": false,
        "first_id": id_of(models.first()),
        "last_id": id_of(models.last()),
    })
}
