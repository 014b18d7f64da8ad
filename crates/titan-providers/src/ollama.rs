//! Ollama's own API: JSON lines, whole tool calls, a real context length.
//!
//! Its OpenAI-compatible endpoint cannot set the context length and then silently drops the beginning of a long
//! thread; this one can.

use crate::failure::{Failure, Vendor};
use crate::openai_chat::encode_tools;
use crate::reply::Reply;
use crate::sse::Frame;
use crate::wire::{
    Decoder, Encoded, ModelOptions, grammar_schema, result_text, schema_request, tool_of,
};
use serde_json::{Value, json};
use std::sync::Arc;
use titan_protocol::{
    Content, Message, ModelError, ModelEvent, ModelRequest, Role, StopReason, ToolChoice, Usage,
};

/// The context length when none is configured. The server's own default of 4,096 is too short for tools.
pub(crate) const CONTEXT_TOKENS_DEFAULT: u32 = 16_384;

pub(crate) fn encode(request: &ModelRequest, options: &ModelOptions) -> Encoded {
    let context = options.context_tokens_max.unwrap_or(CONTEXT_TOKENS_DEFAULT);
    let mut body = json!({
        "model": options.model,
        "messages": encode_messages(request),
        "stream": true,
        "think": request.thinking_tokens_max.is_some(),
        "options": {"num_ctx": context, "num_predict": request.output_tokens_max},
    });
    if let Some(temperature) = request.temperature {
        body["options"]["temperature"] = json!(temperature);
    }
    // The wire has no tool choice: none is said by offering none.
    if !request.tools.is_empty() && request.tool_choice != ToolChoice::None {
        body["tools"] = encode_tools(&request.tools);
    }
    if let Some(schema) = &request.answer_schema {
        body["format"] = grammar_schema(schema);
    }
    Encoded {
        path: "api/chat",
        headers: Vec::new(),
        body,
    }
}

fn encode_messages(request: &ModelRequest) -> Value {
    let mut out = Vec::new();
    let mut system = request.system.clone();
    if let Some(schema) = &request.answer_schema {
        system = format!("{system}\n\n{}", schema_request(schema));
    }
    if !system.trim().is_empty() {
        out.push(json!({"role": "system", "content": system.trim()}));
    }
    for message in &request.messages {
        match message.role {
            Role::User => encode_user(&request.messages, message, &mut out),
            Role::Assistant => out.extend(encode_assistant(message)),
        }
    }
    Value::Array(out)
}

fn encode_user(thread: &[Message], message: &Message, out: &mut Vec<Value>) {
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
                "content": result_text(text, *is_error),
                "tool_name": tool_of(thread, call),
            }));
        }
    }
    let text = message.text();
    let images: Vec<&Arc<str>> = message.content.iter().filter_map(base64_of).collect();
    if text.is_empty() && images.is_empty() {
        return;
    }
    let mut said = json!({"role": "user", "content": text});
    if !images.is_empty() {
        said["images"] = json!(images);
    }
    out.push(said);
}

fn base64_of(part: &Content) -> Option<&Arc<str>> {
    match part {
        Content::Image { base64, .. } => base64.as_ref(),
        _ => None,
    }
}

fn encode_assistant(message: &Message) -> Option<Value> {
    let calls: Vec<Value> = message
        .content
        .iter()
        .filter_map(|part| match part {
            Content::ToolCall(call) => {
                Some(json!({"function": {"name": call.name, "arguments": call.arguments}}))
            }
            _ => None,
        })
        .collect();
    let text = message.text();
    if text.is_empty() && calls.is_empty() {
        return None;
    }
    let mut encoded = json!({"role": "assistant", "content": text});
    if !calls.is_empty() {
        encoded["tool_calls"] = Value::Array(calls);
    }
    Some(encoded)
}

/// Reads a stream of `/api/chat`.
pub(crate) struct OllamaDecoder {
    reply: Reply,
}

impl OllamaDecoder {
    pub(crate) fn new(vendor: Vendor) -> Self {
        Self {
            reply: Reply::with_thought_tags(vendor),
        }
    }

    fn line(&mut self, line: &Value) -> Result<(), Failure> {
        if let Some(error) = line.get("error").filter(|error| !error.is_null()) {
            return Err(self.reply.vendor.error_object(error));
        }
        let message = &line["message"];
        if message.is_null() && line["done"].is_null() {
            return Err(self
                .reply
                .vendor
                .malformed(format!("not a line of a chat: {line}"))
                .into());
        }
        self.reply
            .thinking(message["thinking"].as_str().unwrap_or(""))?;
        self.reply.text(message["content"].as_str().unwrap_or(""))?;
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            self.tool_call(call)?;
        }
        if line["done"] == true {
            self.done(line)?;
        }
        Ok(())
    }

    fn tool_call(&mut self, call: &Value) -> Result<(), ModelError> {
        let function = &call["function"];
        let id = call["id"].as_str().unwrap_or("");
        let idx = self
            .reply
            .begin(id, function["name"].as_str().unwrap_or(""))?;
        match &function["arguments"] {
            Value::Null => {}
            Value::String(json) => self.reply.arguments(idx, json)?,
            value => self.reply.arguments(idx, &value.to_string())?,
        }
        self.reply.end_whole(idx)
    }

    fn done(&mut self, line: &Value) -> Result<(), ModelError> {
        if line["prompt_eval_count"].is_u64() || line["eval_count"].is_u64() {
            self.reply.usage(Usage {
                input_tokens: line["prompt_eval_count"].as_u64().unwrap_or(0),
                output_tokens: line["eval_count"].as_u64().unwrap_or(0),
                ..Usage::default()
            });
        }
        self.reply.stop(match line["done_reason"].as_str() {
            Some("length") => StopReason::Length,
            _ => StopReason::End,
        })?;
        self.reply.done()
    }
}

impl Decoder for OllamaDecoder {
    fn decode(&mut self, frame: &Frame) -> Result<Vec<ModelEvent>, Failure> {
        let line: Value = serde_json::from_str(&frame.data)
            .map_err(|error| self.reply.vendor.malformed(error.to_string()))?;
        self.line(&line)?;
        Ok(self.reply.take())
    }

    fn finish(&mut self) -> Result<Vec<ModelEvent>, ModelError> {
        self.reply.finish()
    }
}
