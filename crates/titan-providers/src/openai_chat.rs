//! OpenAI's Chat Completions, and the many servers that are compatible with it more or less.
//!
//! Where servers differ the decoder takes what is clear and refuses what is not: a call may be named by its index, by
//! its id or by nothing but its place; arguments may come as text or as an object; but two calls never share an id
//! and nothing is added to a call that is whole.

use crate::failure::{Failure, Vendor};
use crate::reply::{CALLS_MAX, Reply};
use crate::sse::Frame;
use crate::wire::{
    Decoder, Encoded, ModelOptions, data_url, effort, grammar_schema, result_text, schema_request,
    unseal,
};
use serde_json::{Value, json};
use titan_protocol::{
    Content, Message, ModelError, ModelEvent, ModelRequest, Role, StopReason, ToolChoice, ToolSpec,
    Usage,
};

/// Marks a thought with the field that it came in; the same turn sends it back there.
const SEAL: &str = "chat:";
/// Where servers put thoughts. The first that is there counts; some send both.
const THOUGHT_FIELDS: [&str; 2] = ["reasoning_content", "reasoning"];

pub(crate) fn encode(request: &ModelRequest, options: &ModelOptions) -> Encoded {
    let mut body = json!({
        "model": options.model,
        "messages": encode_messages(request, options.is_openai),
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let limit = if options.is_openai {
        "max_completion_tokens"
    } else {
        "max_tokens"
    };
    body[limit] = json!(request.output_tokens_max);
    if !request.tools.is_empty() {
        body["tools"] = encode_tools(&request.tools);
        body["tool_choice"] = tool_choice(&request.tool_choice);
    }
    let reasons = options.is_openai && is_reasoning_model(&options.model);
    if let Some(temperature) = request.temperature.filter(|_| !reasons) {
        body["temperature"] = json!(temperature);
    }
    if let Some(tokens) = request.thinking_tokens_max.filter(|_| reasons) {
        body["reasoning_effort"] = json!(effort(tokens));
    }
    if let Some(schema) = &request.answer_schema {
        body["response_format"] = json!({
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": grammar_schema(schema),
                "strict": is_strict(schema),
            },
        });
    }
    Encoded {
        path: "chat/completions",
        headers: Vec::new(),
        body,
    }
}

pub(crate) fn encode_tools(tools: &[ToolSpec]) -> Value {
    tools
        .iter()
        .map(|tool| {
            json!({
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": grammar_schema(&tool.input_schema),
                },
            })
        })
        .collect()
}

pub(crate) fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
    }
}

/// The models of OpenAI that think, take an effort and refuse a temperature.
pub(crate) fn is_reasoning_model(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    ["o1", "o3", "o4", "gpt-5", "gpt-6"]
        .iter()
        .any(|family| name.starts_with(family))
        && !name.contains("chat")
}

/// Whether a schema is of the kind that OpenAI can enforce: every object closed, every property required.
pub(crate) fn is_strict(schema: &Value) -> bool {
    let own = match schema.get("properties").and_then(Value::as_object) {
        None => schema.get("type").and_then(Value::as_str) != Some("object"),
        Some(properties) => {
            let required = schema.get("required").and_then(Value::as_array);
            schema.get("additionalProperties") == Some(&Value::Bool(false))
                && properties
                    .keys()
                    .all(|key| required.is_some_and(|names| names.iter().any(|it| it == key)))
        }
    };
    own && match schema {
        Value::Object(fields) => fields.values().all(is_strict),
        Value::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

fn encode_messages(request: &ModelRequest, is_openai: bool) -> Value {
    let mut out = Vec::new();
    let mut system = request.system.clone();
    if let Some(schema) = &request.answer_schema {
        // Named in words too: a model that is only held to a schema writes valid JSON that says nothing.
        system = format!("{system}\n\n{}", schema_request(schema));
    }
    if !system.trim().is_empty() {
        out.push(json!({"role": "system", "content": system.trim()}));
    }
    // Thoughts of earlier turns are not wanted; those of this turn are, by the servers that sent them. OpenAI's own
    // sends none and refuses the field.
    let turn = request
        .messages
        .iter()
        .rposition(|it| it.role == Role::User && !it.text().is_empty());
    for (idx, message) in request.messages.iter().enumerate() {
        let is_this_turn = turn.is_none_or(|turn| idx > turn);
        match message.role {
            Role::User => encode_user(message, &mut out),
            Role::Assistant => out.extend(encode_assistant(message, is_this_turn && !is_openai)),
        }
    }
    Value::Array(out)
}

fn encode_user(message: &Message, out: &mut Vec<Value>) {
    for part in &message.content {
        if let Content::ToolResult {
            call,
            text,
            is_error,
            ..
        } = part
        {
            out.push(json!({
                "role": "tool",
                "tool_call_id": call,
                "content": result_text(text, *is_error),
            }));
        }
    }
    let parts: Vec<Value> = message.content.iter().filter_map(encode_said).collect();
    let has_images = parts.iter().any(|part| part["type"] == "image_url");
    let text = message.text();
    if has_images {
        out.push(json!({"role": "user", "content": parts}));
    } else if !text.is_empty() {
        // Many compatible servers know nothing but text here.
        out.push(json!({"role": "user", "content": text}));
    }
}

fn encode_said(part: &Content) -> Option<Value> {
    match part {
        Content::Text { text } if !text.is_empty() => Some(json!({"type": "text", "text": text})),
        Content::Image {
            image,
            base64: Some(base64),
        } => Some(json!({"type": "image_url", "image_url": {"url": data_url(image, base64)}})),
        _ => None,
    }
}

fn encode_assistant(message: &Message, with_thoughts: bool) -> Option<Value> {
    let calls: Vec<Value> = message
        .content
        .iter()
        .filter_map(|part| match part {
            Content::ToolCall(call) => Some(json!({
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": Value::Object(call.arguments.clone()).to_string(),
                },
            })),
            _ => None,
        })
        .collect();
    let text = message.text();
    if text.is_empty() && calls.is_empty() {
        return None;
    }
    let mut encoded = json!({"role": "assistant"});
    encoded["content"] = if text.is_empty() {
        Value::Null
    } else {
        json!(text)
    };
    for part in &message.content {
        if let Content::Thinking { text, signature } = part
            && with_thoughts
            && let Some(field) = unseal(signature, SEAL)
            && THOUGHT_FIELDS.contains(&field)
        {
            encoded[field] = json!(text);
        }
    }
    if !calls.is_empty() {
        encoded["tool_calls"] = Value::Array(calls);
    }
    Some(encoded)
}

/// Reads a Chat Completions stream.
pub(crate) struct ChatDecoder {
    reply: Reply,
    /// The calls as the wire names them, in the order of the reply.
    calls: Vec<WireCall>,
    /// The field of the thoughts that are being read.
    thought_field: Option<&'static str>,
    was_refused: bool,
}

#[derive(Default)]
struct WireCall {
    index: Option<u64>,
    id: String,
    /// The place in the reply, once the name is known.
    call: Option<usize>,
    /// Arguments that came before the name.
    early: String,
}

impl ChatDecoder {
    pub(crate) fn new(vendor: Vendor) -> Self {
        Self {
            reply: Reply::with_thought_tags(vendor),
            calls: Vec::new(),
            thought_field: None,
            was_refused: false,
        }
    }

    fn chunk(&mut self, chunk: &Value) -> Result<(), Failure> {
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return Err(self.reply.vendor.error_object(error));
        }
        let choice = &chunk["choices"][0];
        if !choice.is_null() {
            self.choice(choice)?;
        } else if chunk.get("choices").is_none() && chunk.get("usage").is_none() {
            self.must_be_idle(chunk)?;
        }
        if let Some(usage) = read_usage(&chunk["usage"]) {
            self.reply.usage(usage);
        }
        Ok(())
    }

    /// A frame without content: fine when it says that it is a chunk, an error when it looks like one.
    fn must_be_idle(&self, value: &Value) -> Result<(), Failure> {
        let object = value["object"].as_str().unwrap_or("");
        if object.starts_with("chat.completion") {
            return Ok(());
        }
        if object == "error" || value.get("message").is_some() || value.get("detail").is_some() {
            return Err(self.reply.vendor.error_object(value));
        }
        Err(self
            .reply
            .vendor
            .malformed(format!("not a chunk: {value}"))
            .into())
    }

    fn choice(&mut self, choice: &Value) -> Result<(), ModelError> {
        // A server that ignores `stream` answers with one whole message.
        let delta = choice.get("delta").unwrap_or(&choice["message"]);
        let thought = THOUGHT_FIELDS
            .iter()
            .find_map(|field| Some((*field, delta[*field].as_str().filter(|it| !it.is_empty())?)));
        if let Some((field, text)) = thought {
            self.thought_field = Some(field);
            self.reply.thinking(text)?;
        }
        self.content(&delta["content"])?;
        if let Some(refusal) = delta["refusal"].as_str().filter(|it| !it.is_empty()) {
            self.was_refused = true;
            self.seal_thought()?;
            self.reply.text(refusal)?;
        }
        for (place, call) in delta["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            self.seal_thought()?;
            self.tool_call(place, call)?;
        }
        match choice["finish_reason"].as_str() {
            None | Some("") => Ok(()),
            Some("error") => Err(self
                .reply
                .vendor
                .unavailable("the server says that generating failed")),
            Some(reason) => {
                self.seal_thought()?;
                self.stop(reason)
            }
        }
    }

    fn content(&mut self, content: &Value) -> Result<(), ModelError> {
        match content {
            Value::String(text) if !text.is_empty() => {
                self.seal_thought()?;
                self.reply.text(text)
            }
            Value::Array(parts) => {
                for part in parts {
                    for thought in part["thinking"].as_array().into_iter().flatten() {
                        self.reply
                            .thinking(thought["text"].as_str().unwrap_or(""))?;
                    }
                    self.reply.text(part["text"].as_str().unwrap_or(""))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn seal_thought(&mut self) -> Result<(), ModelError> {
        match self.thought_field.take() {
            Some(field) => self.reply.seal(format!("{SEAL}{field}")),
            None => Ok(()),
        }
    }

    fn tool_call(&mut self, place: usize, delta: &Value) -> Result<(), ModelError> {
        let function = &delta["function"];
        let id = delta["id"].as_str().unwrap_or("");
        let name = function["name"].as_str().unwrap_or("");
        let index = delta["index"].as_u64();
        let known = self.known(index, id, name)?;
        let is_new = known.is_none();
        let at = match known {
            Some(at) => at,
            None => {
                if self.calls.len() == CALLS_MAX {
                    return Err(self
                        .reply
                        .vendor
                        .malformed(format!("more than {CALLS_MAX} tool calls in one reply")));
                }
                self.settle_before_next();
                self.calls.push(WireCall {
                    index,
                    id: id.to_owned(),
                    ..WireCall::default()
                });
                self.calls.len() - 1
            }
        };
        if is_new && name.is_empty() && id.is_empty() {
            return Err(self
                .reply
                .vendor
                .malformed(format!("tool call {place} begins without id and name")));
        }
        if self.calls[at].id.is_empty() {
            id.clone_into(&mut self.calls[at].id);
        }
        if !name.is_empty() {
            self.name(at, name)?;
        }
        match &function["arguments"] {
            Value::Null => Ok(()),
            Value::String(json) => self.arguments(at, json),
            value => self.arguments(at, &value.to_string()),
        }
    }

    /// The call that a delta goes on with; `None` when it begins another.
    fn known(&self, index: Option<u64>, id: &str, name: &str) -> Result<Option<usize>, ModelError> {
        let last_with_index = || self.calls.iter().rposition(|call| call.index == index);
        if !id.is_empty() {
            if let Some(at) = self.calls.iter().position(|call| call.id == id) {
                let is_other = index.is_some() && self.calls[at].index != index;
                if is_other || (!name.is_empty() && self.is_closed(at)) {
                    return Err(self
                        .reply
                        .vendor
                        .malformed(format!("two tool calls with the id {id}")));
                }
                return Ok(Some(at));
            }
            // An id that comes after the name belongs to the call that has none yet.
            return Ok(index
                .and_then(|_| last_with_index())
                .filter(|at| self.calls[*at].id.is_empty() && name.is_empty()));
        }
        let at = match index {
            Some(_) => last_with_index(),
            None => self.calls.len().checked_sub(1),
        };
        // A name after whole arguments begins another call, though the index is the same.
        Ok(at.filter(|at| name.is_empty() || !self.is_closed(*at)))
    }

    fn is_closed(&self, at: usize) -> bool {
        self.calls[at]
            .call
            .is_some_and(|call| self.reply.is_closed(call))
    }

    /// The next call begins, so those whose arguments are closed are complete.
    fn settle_before_next(&mut self) {
        for call in self.calls.iter().filter_map(|it| it.call) {
            self.reply.end_if_closed(call);
        }
    }

    fn name(&mut self, at: usize, name: &str) -> Result<(), ModelError> {
        if let Some(call) = self.calls[at].call {
            if self.reply.name(call) == name {
                return Ok(());
            }
            return Err(self.reply.vendor.malformed(format!(
                "one tool call with two names, {} and {name}",
                self.reply.name(call)
            )));
        }
        let call = self.reply.begin(&self.calls[at].id, name)?;
        self.calls[at].call = Some(call);
        let early = std::mem::take(&mut self.calls[at].early);
        self.reply.arguments(call, &early)
    }

    fn arguments(&mut self, at: usize, json: &str) -> Result<(), ModelError> {
        match self.calls[at].call {
            Some(call) => self.reply.arguments(call, json),
            None => {
                self.reply.keep(json)?;
                self.calls[at].early.push_str(json);
                Ok(())
            }
        }
    }

    fn stop(&mut self, reason: &str) -> Result<(), ModelError> {
        let stop = match reason {
            "length" => StopReason::Length,
            "content_filter" => StopReason::Refused,
            _ if self.was_refused => StopReason::Refused,
            "tool_calls" | "function_call" => StopReason::ToolCalls,
            _ => StopReason::End,
        };
        if stop != StopReason::Length && self.calls.iter().any(|call| call.call.is_none()) {
            return Err(self.reply.vendor.malformed("a tool call without a name"));
        }
        self.reply.stop(stop)
    }
}

impl Decoder for ChatDecoder {
    fn decode(&mut self, frame: &Frame) -> Result<Vec<ModelEvent>, Failure> {
        let data = frame.data.trim();
        if data == "[DONE]" {
            self.reply.done()?;
            return Ok(self.reply.take());
        }
        if data.is_empty() {
            return Ok(Vec::new());
        }
        let chunk: Value = serde_json::from_str(data)
            .map_err(|error| self.reply.vendor.malformed(error.to_string()))?;
        if frame.event == "error" && chunk.get("error").is_none() {
            return Err(self.reply.vendor.error_object(&chunk));
        }
        self.chunk(&chunk)?;
        Ok(self.reply.take())
    }

    fn finish(&mut self) -> Result<Vec<ModelEvent>, ModelError> {
        // The reason to stop is the end of the reply; some servers leave the marker after it out.
        if self.reply.has_stopped() {
            self.reply.done()?;
        }
        self.reply.finish()
    }
}

fn read_usage(usage: &Value) -> Option<Usage> {
    let read = usage["prompt_tokens"].as_u64()?;
    let cached = usage["prompt_tokens_details"]["cached_tokens"]
        .as_u64()
        .or_else(|| usage["prompt_cache_hit_tokens"].as_u64())
        .unwrap_or(0);
    Some(Usage {
        input_tokens: read.saturating_sub(cached),
        cache_read_tokens: cached,
        cache_write_tokens: 0,
        output_tokens: usage["completion_tokens"].as_u64().unwrap_or(0),
        cost_usd_micros: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_strict_when_every_object_is_closed_and_complete() {
        let closed = json!({"type": "object", "properties": {"a": {"type": "string"}},
            "required": ["a"], "additionalProperties": false});
        assert!(is_strict(&closed));
        assert!(is_strict(&json!({"type": "array", "items": closed})));
        for loose in [
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false}),
            json!({"anyOf": [{"type": "object", "properties": {}}]}),
        ] {
            assert!(!is_strict(&loose), "{loose}");
        }
    }
}
