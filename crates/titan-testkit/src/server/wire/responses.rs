//! OpenAI Responses.

use super::{Body, Encode, named_event};
use crate::server::Request;
use serde_json::{Value, json};
use titan_protocol::{StopReason, Usage};

pub(super) struct Encoder {
    reply: usize,
    model: String,
    sequence: usize,
    output: Vec<Value>,
}

impl Encoder {
    pub(super) fn new(request: &Request) -> Self {
        Self {
            reply: request.index,
            model: request.model().to_owned(),
            sequence: 0,
            output: Vec::new(),
        }
    }

    fn event(&mut self, kind: &str, fields: &Value) -> String {
        let mut data = json!({"type": kind, "sequence_number": self.sequence});
        self.sequence += 1;
        if let (Some(data), Some(fields)) = (data.as_object_mut(), fields.as_object()) {
            data.extend(fields.clone());
        }
        named_event(&data)
    }

    fn response(&self, status: &str, usage: Option<Value>, reason: Option<&str>) -> Value {
        json!({"response": {
            "id": format!("resp_{:08}", self.reply),
            "object": "response",
            "created_at": 1_767_225_600,
            "status": status,
            "error": null,
            "incomplete_details": reason.map(|reason| json!({"reason": reason})),
            "model": self.model,
            "output": self.output,
            "usage": usage,
        }})
    }

    fn item_id(&self, prefix: &str) -> String {
        format!("{prefix}_{:08}_{}", self.reply, self.output.len())
    }

    fn begin(&mut self, item: &Value, body: &mut Body) {
        let fields = json!({"output_index": self.output.len(), "item": item});
        let event = self.event("response.output_item.added", &fields);
        body.opening(&event);
    }

    fn end(&mut self, item: Value, body: &mut Body) {
        let fields = json!({"output_index": self.output.len(), "item": item});
        let event = self.event("response.output_item.done", &fields);
        body.closing(&event);
        self.output.push(item);
    }

    /// The envelope of one text within an item: opening, deltas, closing with the whole.
    fn spoken(&mut self, words: &Spoken, item: &str, pieces: &[String], body: &mut Body) {
        let place = |extra: Value| {
            let mut fields =
                json!({"item_id": item, "output_index": self.output.len(), (words.index): 0});
            if let (Some(fields), Some(extra)) = (fields.as_object_mut(), extra.as_object()) {
                fields.extend(extra.clone());
            }
            fields
        };
        let whole = pieces.concat();
        let added = place(json!({"part": (words.part)("")}));
        let deltas: Vec<Value> = pieces.iter().map(|p| place(json!({"delta": p}))).collect();
        let done = place(json!({"text": whole}));
        let part_done = place(json!({"part": (words.part)(&whole)}));
        let event = self.event(words.part_added, &added);
        body.opening(&event);
        for delta in &deltas {
            let event = self.event(words.delta, delta);
            body.delta(&event);
        }
        let event = self.event(words.done, &done);
        body.closing(&event);
        let event = self.event(words.part_done, &part_done);
        body.closing(&event);
    }
}

/// The names that one kind of text goes by.
struct Spoken {
    index: &'static str,
    part: fn(&str) -> Value,
    part_added: &'static str,
    delta: &'static str,
    done: &'static str,
    part_done: &'static str,
}

const ANSWER: Spoken = Spoken {
    index: "content_index",
    part: |text| json!({"type": "output_text", "text": text, "annotations": []}),
    part_added: "response.content_part.added",
    delta: "response.output_text.delta",
    done: "response.output_text.done",
    part_done: "response.content_part.done",
};

const SUMMARY: Spoken = Spoken {
    index: "summary_index",
    part: |text| json!({"type": "summary_text", "text": text}),
    part_added: "response.reasoning_summary_part.added",
    delta: "response.reasoning_summary_text.delta",
    done: "response.reasoning_summary_text.done",
    part_done: "response.reasoning_summary_part.done",
};

impl Encode for Encoder {
    fn open(&mut self, _usage: &Usage, body: &mut Body) {
        let response = self.response("in_progress", None, None);
        for kind in ["response.created", "response.in_progress"] {
            let event = self.event(kind, &response);
            body.opening(&event);
        }
    }

    fn text(&mut self, pieces: &[String], body: &mut Body) {
        let id = self.item_id("msg");
        let item = |status: &str, content: Value| {
            json!({
                "id": id, "type": "message", "status": status, "role": "assistant", "content": content,
            })
        };
        self.begin(&item("in_progress", json!([])), body);
        self.spoken(&ANSWER, &id, pieces, body);
        let content = json!([(ANSWER.part)(&pieces.concat())]);
        self.end(item("completed", content), body);
    }

    fn thinking(&mut self, pieces: &[String], signature: Option<&str>, body: &mut Body) {
        let id = self.item_id("rs");
        self.begin(&json!({"id": id, "type": "reasoning", "summary": []}), body);
        self.spoken(&SUMMARY, &id, pieces, body);
        let summary = json!([(SUMMARY.part)(&pieces.concat())]);
        self.end(
            json!({
                "id": id, "type": "reasoning", "summary": summary, "encrypted_content": signature,
            }),
            body,
        );
    }

    fn call(&mut self, name: &str, arguments: &[String], body: &mut Body) {
        let id = self.item_id("fc");
        let call_id = self.item_id("call");
        let item = |status: &str, arguments: &str| {
            json!({
                "id": id, "type": "function_call", "status": status,
                "arguments": arguments, "call_id": call_id, "name": name,
            })
        };
        let whole = arguments.concat();
        let output_index = self.output.len();
        self.begin(&item("in_progress", ""), body);
        for json in arguments {
            let fields = json!({"item_id": id, "output_index": output_index, "delta": json});
            let event = self.event("response.function_call_arguments.delta", &fields);
            body.delta(&event);
        }
        let fields = json!({"item_id": id, "output_index": output_index, "arguments": whole});
        let event = self.event("response.function_call_arguments.done", &fields);
        body.closing(&event);
        self.end(item("completed", &whole), body);
    }

    fn error(&mut self, message: &str, body: &mut Body) {
        let mut response = self.response("failed", None, None);
        response["response"]["error"] = json!({"code": "server_error", "message": message});
        let event = self.event("response.failed", &response);
        body.opening(&event);
    }

    fn close(&mut self, stop: StopReason, usage: &Usage, body: &mut Body) {
        let (kind, status, reason) = match stop {
            StopReason::End | StopReason::ToolCalls => ("response.completed", "completed", None),
            StopReason::Length => (
                "response.incomplete",
                "incomplete",
                Some("max_output_tokens"),
            ),
            StopReason::Refused => ("response.incomplete", "incomplete", Some("content_filter")),
        };
        let read = usage.input_tokens + usage.cache_read_tokens;
        let usage = json!({
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": usage.cache_read_tokens},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + usage.output_tokens,
        });
        let response = self.response(status, Some(usage), reason);
        let event = self.event(kind, &response);
        body.opening(&event);
    }
}
