//! OpenAI Chat Completions, with the `reasoning_content` that compatible servers add.

use super::{Body, Encode};
use crate::server::{Model, Request};
use serde_json::{Value, json};
use titan_protocol::{StopReason, Usage};

pub(super) struct Encoder {
    reply: usize,
    model: String,
    reports_usage: bool,
    n_calls: usize,
}

impl Encoder {
    pub(super) fn new(request: &Request) -> Self {
        Self {
            reply: request.index,
            model: request.model().to_owned(),
            reports_usage: request.body["stream_options"]["include_usage"] == true,
            n_calls: 0,
        }
    }

    fn chunk(&self, choices: Value, usage: Option<Value>) -> String {
        let mut chunk = json!({
            "id": format!("chatcmpl-{:08}", self.reply),
            "object": "chat.completion.chunk",
            "created": 1_767_225_600,
            "model": self.model,
            "system_fingerprint": "fp_scripted",
            "choices": choices,
        });
        // With usage asked for, every chunk has the field, and only the last has a value in it.
        if self.reports_usage {
            chunk["usage"] = usage.unwrap_or(Value::Null);
        }
        format!("data: {chunk}\n\n")
    }

    fn delta(&self, delta: Value) -> String {
        self.finishing(delta, Value::Null)
    }

    fn finishing(&self, delta: Value, reason: Value) -> String {
        self.chunk(
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]),
            None,
        )
    }
}

impl Encode for Encoder {
    fn open(&mut self, _usage: &Usage, body: &mut Body) {
        body.opening(&self.delta(json!({"role": "assistant", "content": "", "refusal": null})));
    }

    fn text(&mut self, pieces: &[String], body: &mut Body) {
        for text in pieces {
            body.delta(&self.delta(json!({"content": text})));
        }
    }

    fn thinking(&mut self, pieces: &[String], _signature: Option<&str>, body: &mut Body) {
        for text in pieces {
            body.delta(&self.delta(json!({"reasoning_content": text})));
        }
    }

    fn call(&mut self, name: &str, arguments: &[String], body: &mut Body) {
        let index = self.n_calls;
        self.n_calls += 1;
        body.opening(&self.delta(json!({"tool_calls": [{
            "index": index,
            "id": format!("call_{:08}_{index}", self.reply),
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }]})));
        for json in arguments {
            body.delta(&self.delta(json!({"tool_calls": [
                {"index": index, "function": {"arguments": json}},
            ]})));
        }
    }

    fn error(&mut self, message: &str, body: &mut Body) {
        let error = json!({"error": {"message": message, "type": "server_error", "code": null}});
        body.opening(&format!("data: {error}\n\n"));
    }

    fn close(&mut self, stop: StopReason, usage: &Usage, body: &mut Body) {
        let reason = match stop {
            StopReason::End => "stop",
            StopReason::ToolCalls => "tool_calls",
            StopReason::Length => "length",
            StopReason::Refused => "content_filter",
        };
        body.opening(&self.finishing(json!({}), json!(reason)));
        if self.reports_usage {
            let read = usage.input_tokens + usage.cache_read_tokens;
            let usage = json!({
                "prompt_tokens": read,
                "completion_tokens": usage.output_tokens,
                "total_tokens": read + usage.output_tokens,
                "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
                "completion_tokens_details": {"reasoning_tokens": 0},
            });
            body.opening(&self.chunk(json!([]), Some(usage)));
        }
        body.opening("data: [DONE]\n\n");
    }
}

pub(super) fn error_type(status: u16) -> &'static str {
    match status {
        401 | 403 => "authentication_error",
        429 => "rate_limit_exceeded",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

pub(super) fn models(models: &[Model]) -> Value {
    let data: Vec<Value> = models
        .iter()
        .map(|model| {
            json!({
                "id": model.name,
                "object": "model",
                "created": 1_767_225_600,
                "owned_by": "script",
            })
        })
        .collect();
    json!({"object": "list", "data": data})
}
