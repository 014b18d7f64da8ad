//! Anthropic's Messages API.
//!
//! Three things differ from what one would guess. A tool call cut by the token limit gets its `content_block_stop`
//! like a whole one, so a block's stop ends a call only when its arguments are closed. Thoughts are sealed and must
//! come back unchanged, before the calls that followed them. And the cache keeps what lies before a marker, so the
//! markers sit on the fixed part and on the last two of the person's messages.

use crate::failure::{Failure, Vendor};
use crate::reply::Reply;
use crate::sse::Frame;
use crate::wire::{Decoder, Encoded, ModelOptions, effort, schema_request, unseal};
use serde_json::{Value, json};
use titan_protocol::{
    Content, Message, ModelError, ModelEvent, ModelRequest, Role, StopReason, ToolChoice,
};

/// The version of the API that is spoken.
pub(crate) const VERSION: &str = "2023-06-01";
/// Sends tool arguments as they are written, not key by key.
const FINE_GRAINED: &str = "fine-grained-tool-streaming-2025-05-14";
/// The smallest thinking budget that is accepted.
const THINKING_TOKENS_MIN: u32 = 1024;
/// Blocks that are open at once.
const BLOCKS_MAX: usize = 256;
/// Marks a thought's seal as this vendor's.
const SEAL: &str = "anthropic:";
/// Marks a thought that the vendor keeps to itself.
const REDACTED: &str = "anthropic-redacted:";

/// The model of this generation and later chooses by itself how long to think.
const ADAPTIVE_SINCE: (u32, u32) = (4, 6);
/// The model of this generation and later refuses a temperature.
const UNTEMPERED_SINCE: (u32, u32) = (4, 7);

pub(crate) fn encode(request: &ModelRequest, options: &ModelOptions) -> Encoded {
    let messages = &request.messages;
    let generation = generation(&options.model);
    let thinking = thinking(request, generation);
    let mut body = json!({
        "model": options.model,
        "max_tokens": request.output_tokens_max,
        "stream": true,
    });
    let mut system = Vec::new();
    if !request.system.trim().is_empty() {
        system.push(marked(json!({"type": "text", "text": request.system})));
    }
    if let Some(schema) = &request.answer_schema {
        system.push(json!({"type": "text", "text": schema_request(schema)}));
    }
    if !system.is_empty() {
        body["system"] = Value::Array(system);
    }
    if !request.tools.is_empty() {
        let last = request.tools.len() - 1;
        body["tools"] = request
            .tools
            .iter()
            .enumerate()
            .map(|(idx, tool)| {
                let spec = json!({
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.input_schema,
                });
                if idx == last { marked(spec) } else { spec }
            })
            .collect();
        body["tool_choice"] = match request.tool_choice {
            ToolChoice::None => json!({"type": "none"}),
            // A model that thinks may not be forced to call.
            ToolChoice::Required if thinking.is_none() => json!({"type": "any"}),
            ToolChoice::Required | ToolChoice::Auto => json!({"type": "auto"}),
        };
    }
    body["messages"] = encode_messages(messages);
    match thinking {
        Some(Thinking::Adaptive(words)) => {
            body["thinking"] = json!({"type": "adaptive"});
            body["output_config"] = json!({"effort": words});
        }
        Some(Thinking::Budget(tokens)) => {
            body["thinking"] = json!({"type": "enabled", "budget_tokens": tokens});
        }
        None => {
            let takes_temperature = generation.is_none_or(|it| it < UNTEMPERED_SINCE);
            if let Some(temperature) = request.temperature.filter(|_| takes_temperature) {
                body["temperature"] = json!(temperature.clamp(0.0, 1.0));
            }
        }
    }
    let mut headers = vec![("anthropic-version", VERSION.to_owned())];
    if options.fine_grained_tools && !request.tools.is_empty() {
        headers.push(("anthropic-beta", FINE_GRAINED.to_owned()));
    }
    Encoded {
        path: "v1/messages",
        headers,
        body,
    }
}

enum Thinking {
    Adaptive(&'static str),
    Budget(u32),
}

fn thinking(request: &ModelRequest, generation: Option<(u32, u32)>) -> Option<Thinking> {
    let tokens = request.thinking_tokens_max?;
    if calls_unthought(&request.messages) {
        return None;
    }
    if generation.is_some_and(|it| it >= ADAPTIVE_SINCE) {
        return Some(Thinking::Adaptive(effort(tokens)));
    }
    let tokens = tokens.min(request.output_tokens_max.saturating_sub(1));
    (tokens >= THINKING_TOKENS_MIN).then_some(Thinking::Budget(tokens))
}

/// Whether the turn goes on from calls whose thoughts are not this vendor's: it then refuses to think.
fn calls_unthought(messages: &[Message]) -> bool {
    let answers = messages.last().is_some_and(|last| {
        last.role == Role::User
            && last
                .content
                .iter()
                .any(|part| matches!(part, Content::ToolResult { .. }))
    });
    let last_reply = messages.iter().rfind(|it| it.role == Role::Assistant);
    answers
        && !last_reply.is_some_and(|reply| {
            reply.content.iter().any(|part| {
                matches!(part, Content::Thinking { signature, .. }
                    if unseal(signature, SEAL).is_some() || unseal(signature, REDACTED).is_some())
            })
        })
}

/// The generation in a name like `claude-opus-4-6` or `claude-sonnet-4-5-20250929`.
fn generation(model: &str) -> Option<(u32, u32)> {
    let name = model.rsplit('/').next()?.replace('.', "-");
    let mut parts = name.strip_prefix("claude-")?.split('-');
    let number = |part: &str| part.parse::<u32>().ok().filter(|n| *n < 1000);
    let major = parts.by_ref().find_map(number)?;
    Some((major, parts.next().and_then(number).unwrap_or(0)))
}

fn marked(mut block: Value) -> Value {
    block["cache_control"] = json!({"type": "ephemeral"});
    block
}

fn encode_messages(messages: &[Message]) -> Value {
    let mut encoded: Vec<(Role, Vec<Value>)> = messages
        .iter()
        .map(|message| (message.role, encode_content(message)))
        .filter(|(_, blocks)| !blocks.is_empty())
        .collect();
    // A thread that ends with the assistant is one to go on writing; it may not end with space.
    if let Some((Role::Assistant, blocks)) = encoded.last_mut()
        && let Some(text) = blocks.last().and_then(|it| it["text"].as_str())
    {
        let trimmed = text.trim_end().to_owned();
        if let Some(block) = blocks.last_mut() {
            block["text"] = json!(trimmed);
        }
    }
    let last_of_user = encoded
        .iter_mut()
        .rev()
        .filter(|(role, _)| *role == Role::User)
        .take(2);
    for (_, blocks) in last_of_user {
        if let Some(block) = blocks.last_mut() {
            *block = marked(block.take());
        }
    }
    encoded
        .into_iter()
        .map(|(role, content)| {
            let role = match role {
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            json!({"role": role, "content": content})
        })
        .collect()
}

fn encode_content(message: &Message) -> Vec<Value> {
    let mut blocks: Vec<Value> = message.content.iter().filter_map(encode_part).collect();
    // Results must stand before anything else that the person said.
    blocks.sort_by_key(|block| message.role == Role::User && block["type"] != "tool_result");
    blocks
}

fn encode_part(part: &Content) -> Option<Value> {
    match part {
        Content::Text { text } if text.trim().is_empty() => None,
        Content::Text { text } => Some(json!({"type": "text", "text": text})),
        Content::Image { image, base64 } => base64.as_ref().map(|data| {
            json!({
                "type": "image",
                "source": {"type": "base64", "media_type": image.kind.media_type(), "data": data},
            })
        }),
        Content::Thinking { text, signature } => {
            if let Some(data) = unseal(signature, REDACTED) {
                return Some(json!({"type": "redacted_thinking", "data": data}));
            }
            let signature = unseal(signature, SEAL)?;
            Some(json!({"type": "thinking", "thinking": text, "signature": signature}))
        }
        Content::ToolCall(call) => Some(json!({
            "type": "tool_use",
            "id": call.id,
            "name": call.name,
            "input": call.arguments,
        })),
        Content::ToolResult {
            call,
            text,
            is_error,
            ..
        } => {
            let mut block = json!({"type": "tool_result", "tool_use_id": call});
            if !text.is_empty() {
                block["content"] = json!(text);
            }
            if *is_error {
                block["is_error"] = json!(true);
            }
            Some(block)
        }
    }
}

/// Reads a Messages stream.
pub(crate) struct MessagesDecoder {
    reply: Reply,
    /// The blocks that are open, by their index on the wire.
    blocks: Vec<(u64, Block)>,
    /// The last call, if its block stopped without arguments: it has none, or was cut before the first.
    bare: Option<usize>,
}

enum Block {
    Text,
    Thinking { signature: String },
    Call { call: usize, whole_input: Value },
    Other,
}

impl MessagesDecoder {
    pub(crate) fn new(vendor: Vendor) -> Self {
        Self {
            reply: Reply::new(vendor),
            blocks: Vec::new(),
            bare: None,
        }
    }

    fn event(&mut self, event: &Value) -> Result<(), Failure> {
        let taken = match event["type"].as_str().unwrap_or("") {
            "message_start" => {
                self.usage(&event["message"]["usage"]);
                Ok(())
            }
            "content_block_start" => self.start(index(event), &event["content_block"]),
            "content_block_delta" => self.delta(index(event), &event["delta"]),
            "content_block_stop" => self.stop_block(index(event)),
            "message_delta" => {
                self.usage(&event["usage"]);
                match event["delta"]["stop_reason"].as_str() {
                    Some(reason) => self.reply.stop(stop_reason(reason)),
                    None => Ok(()),
                }
            }
            "message_stop" => self.reply.done(),
            "error" => return Err(self.reply.vendor.error_object(&event["error"])),
            // Pings, and events that later versions add.
            _ if event.get("type").is_some() => Ok(()),
            _ if event.get("error").is_some() => {
                return Err(self.reply.vendor.error_object(&event["error"]));
            }
            _ => Err(self.reply.vendor.malformed("an event without a type")),
        };
        Ok(taken?)
    }

    fn start(&mut self, index: u64, block: &Value) -> Result<(), ModelError> {
        if self.blocks.iter().any(|(open, _)| *open == index) {
            return Err(self
                .reply
                .vendor
                .malformed(format!("content block {index} began twice")));
        }
        if self.blocks.len() == BLOCKS_MAX {
            return Err(self
                .reply
                .vendor
                .malformed(format!("more than {BLOCKS_MAX} content blocks at once")));
        }
        // What is followed by something was not cut.
        if let Some(call) = self.bare.take() {
            self.reply.end_whole(call)?;
        }
        let block = match block["type"].as_str().unwrap_or("") {
            "text" => {
                self.reply.text(block["text"].as_str().unwrap_or(""))?;
                Block::Text
            }
            "thinking" => {
                self.reply
                    .thinking(block["thinking"].as_str().unwrap_or(""))?;
                let signature = block["signature"].as_str().unwrap_or("").to_owned();
                Block::Thinking { signature }
            }
            "redacted_thinking" => {
                let data = block["data"].as_str().unwrap_or("");
                self.reply.seal(format!("{REDACTED}{data}"))?;
                Block::Other
            }
            "tool_use" => {
                let id = block["id"].as_str().unwrap_or("");
                let name = block["name"].as_str().unwrap_or("");
                Block::Call {
                    call: self.reply.begin(id, name)?,
                    whole_input: block["input"].clone(),
                }
            }
            _ => Block::Other,
        };
        self.blocks.push((index, block));
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: &Value) -> Result<(), ModelError> {
        let Some((_, block)) = self.blocks.iter_mut().find(|(open, _)| *open == index) else {
            return Err(self.reply.vendor.malformed(format!(
                "a piece of content block {index}, which is not open"
            )));
        };
        match (block, delta["type"].as_str().unwrap_or("")) {
            (Block::Text, "text_delta") => self.reply.text(delta["text"].as_str().unwrap_or("")),
            (Block::Thinking { .. }, "thinking_delta") => self
                .reply
                .thinking(delta["thinking"].as_str().unwrap_or("")),
            (Block::Thinking { signature }, "signature_delta") => {
                let piece = delta["signature"].as_str().unwrap_or("");
                signature.push_str(piece);
                self.reply.keep(piece)
            }
            (Block::Call { call, .. }, "input_json_delta") => match &delta["partial_json"] {
                Value::String(json) => self.reply.arguments(*call, json),
                Value::Null => Ok(()),
                value => self.reply.arguments(*call, &value.to_string()),
            },
            (_, "text_delta" | "thinking_delta" | "signature_delta" | "input_json_delta") => {
                Err(self.reply.vendor.malformed(format!(
                    "content block {index} holds another kind of content than its piece"
                )))
            }
            // Citations, and kinds that later versions add.
            _ => Ok(()),
        }
    }

    fn stop_block(&mut self, index: u64) -> Result<(), ModelError> {
        let Some(at) = self.blocks.iter().position(|(open, _)| *open == index) else {
            return Err(self
                .reply
                .vendor
                .malformed(format!("content block {index} ended, which is not open")));
        };
        match self.blocks.remove(at).1 {
            Block::Thinking { signature } if !signature.is_empty() => {
                self.reply.seal(format!("{SEAL}{signature}"))
            }
            Block::Call { call, whole_input } => {
                let has_whole = whole_input.as_object().is_some_and(|it| !it.is_empty());
                if self.reply.is_bare(call) && has_whole {
                    self.reply.arguments(call, &whole_input.to_string())?;
                }
                self.bare = self.reply.is_bare(call).then_some(call);
                self.reply.end_if_closed(call);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Counts are running totals; a later event repeats some of them and adds others.
    fn usage(&mut self, usage: &Value) {
        if !usage.is_object() {
            return;
        }
        let mut total = self.reply.usage_so_far();
        for (name, field) in [
            ("input_tokens", &mut total.input_tokens),
            ("cache_read_input_tokens", &mut total.cache_read_tokens),
            ("cache_creation_input_tokens", &mut total.cache_write_tokens),
            ("output_tokens", &mut total.output_tokens),
        ] {
            if let Some(count) = usage[name].as_u64() {
                *field = count;
            }
        }
        self.reply.usage(total);
    }
}

impl Decoder for MessagesDecoder {
    fn decode(&mut self, frame: &Frame) -> Result<Vec<ModelEvent>, Failure> {
        let event: Value = serde_json::from_str(&frame.data)
            .map_err(|error| self.reply.vendor.malformed(error.to_string()))?;
        self.event(&event)?;
        Ok(self.reply.take())
    }

    fn finish(&mut self) -> Result<Vec<ModelEvent>, ModelError> {
        self.reply.finish()
    }
}

fn index(event: &Value) -> u64 {
    event["index"].as_u64().unwrap_or(0)
}

fn stop_reason(reason: &str) -> StopReason {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
        "tool_use" => StopReason::ToolCalls,
        "refusal" => StopReason::Refused,
        _ => StopReason::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_generation_is_in_its_name() {
        for (model, expected) in [
            ("claude-opus-4-6", Some((4, 6))),
            ("claude-sonnet-4-5-20250929", Some((4, 5))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("anthropic/claude-opus-4.7", Some((4, 7))),
            ("claude-3-5-haiku-latest", Some((3, 5))),
            ("claude-opus-5", Some((5, 0))),
            ("other", None),
        ] {
            assert_eq!(generation(model), expected, "{model}");
        }
    }
}
