//! Ollama's own API: JSON lines, and calls that arrive whole.

use super::{Body, Encode};
use crate::server::{Model, Request};
use serde_json::{Value, json};
use titan_protocol::{StopReason, Usage};

const CREATED_AT: &str = "2026-01-01T00:00:00.000000Z";

pub(super) struct Encoder {
    reply: usize,
    model: String,
    n_calls: usize,
    has_failed: bool,
}

impl Encoder {
    pub(super) fn new(request: &Request) -> Self {
        Self {
            reply: request.index,
            model: request.model().to_owned(),
            n_calls: 0,
            has_failed: false,
        }
    }

    fn line(&self, field: &str, value: Value) -> String {
        let mut message = json!({"role": "assistant", "content": ""});
        message[field] = value;
        let line = json!({
            "model": self.model, "created_at": CREATED_AT, "message": message, "done": false,
        });
        format!("{line}\n")
    }
}

impl Encode for Encoder {
    fn open(&mut self, _usage: &Usage, _body: &mut Body) {}

    fn text(&mut self, pieces: &[String], body: &mut Body) {
        for text in pieces {
            body.delta(&self.line("content", json!(text)));
        }
    }

    fn thinking(&mut self, pieces: &[String], _signature: Option<&str>, body: &mut Body) {
        for text in pieces {
            body.delta(&self.line("thinking", json!(text)));
        }
    }

    fn call(&mut self, name: &str, arguments: &[String], body: &mut Body) {
        let index = self.n_calls;
        self.n_calls += 1;
        // Ollama parses what the model wrote, so it can only send objects.
        let whole = arguments.concat();
        let Ok(Value::Object(arguments)) = serde_json::from_str(&whole) else {
            return self.error(&format!("error parsing tool call: raw='{whole}'"), body);
        };
        let call = json!({
            "id": format!("call_{:08}_{index}", self.reply),
            "function": {"index": index, "name": name, "arguments": arguments},
        });
        body.delta(&self.line("tool_calls", json!([call])));
    }

    fn error(&mut self, message: &str, body: &mut Body) {
        self.has_failed = true;
        body.opening(&format!("{}\n", json!({"error": message})));
    }

    fn close(&mut self, stop: StopReason, usage: &Usage, body: &mut Body) {
        if self.has_failed {
            return;
        }
        let reason = match stop {
            StopReason::Length => "length",
            _ => "stop",
        };
        let line = json!({
            "model": self.model,
            "created_at": CREATED_AT,
            "message": {"role": "assistant", "content": ""},
            "done": true,
            "done_reason": reason,
            "total_duration": 3_000_000_u64,
            "load_duration": 1_000_000_u64,
            "prompt_eval_count": usage.input_tokens + usage.cache_read_tokens,
            "prompt_eval_duration": 1_000_000_u64,
            "eval_count": usage.output_tokens,
            "eval_duration": 1_000_000_u64,
        });
        body.opening(&format!("{line}\n"));
    }
}

fn details() -> Value {
    json!({
        "parent_model": "", "format": "gguf", "family": "qwen2", "families": ["qwen2"],
        "parameter_size": "1.5B", "quantization_level": "Q4_K_M",
    })
}

pub(super) fn tags(models: &[Model]) -> Value {
    let models: Vec<Value> = models
        .iter()
        .map(|model| {
            json!({
                "name": model.name,
                "model": model.name,
                "modified_at": CREATED_AT,
                "size": 1_117_320_768_u64,
                "digest": "0".repeat(64),
                "details": details(),
            })
        })
        .collect();
    json!({"models": models})
}

/// What is known of one model; `None` when there is none of this name.
pub(super) fn show(body: &Value, models: &[Model]) -> Option<Value> {
    let name = body["model"].as_str().or(body["name"].as_str())?;
    let model = models.iter().find(|model| model.name == name)?;
    let capabilities = if model.calls_tools {
        json!(["completion", "tools"])
    } else {
        json!(["completion"])
    };
    Some(json!({
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": details(),
        "model_info": {
            "general.architecture": "qwen2",
            "qwen2.context_length": model.context_tokens_max,
        },
        "capabilities": capabilities,
        "modified_at": CREATED_AT,
    }))
}
