//! OpenAI's Responses API: typed events over items.
//!
//! Nothing is kept at the vendor (`store: false`), so the model's reasoning comes sealed and goes back with the
//! thread, and each request carries the whole of it.

use crate::failure::{Failure, Vendor};
use crate::openai_chat::{is_reasoning_model, is_strict, tool_choice};
use crate::reply::Reply;
use crate::sse::Frame;
use crate::wire::{
    Decoder, Encoded, ModelOptions, data_url, effort, result_text, schema_request, unseal,
};
use serde_json::{Value, json};
use titan_protocol::{
    Content, Message, ModelError, ModelEvent, ModelRequest, Role, StopReason, Usage,
};

/// Marks a reasoning item, as JSON without its summary.
const SEAL: &str = "responses:";

pub(crate) fn encode(request: &ModelRequest, options: &ModelOptions) -> Encoded {
    let mut instructions = request.system.clone();
    if let Some(schema) = &request.answer_schema {
        instructions = format!("{instructions}\n\n{}", schema_request(schema));
    }
    let mut body = json!({
        "model": options.model,
        "input": request.messages.iter().flat_map(encode_message).collect::<Vec<_>>(),
        "stream": true,
        "store": false,
        "max_output_tokens": request.output_tokens_max,
    });
    if !instructions.trim().is_empty() {
        body["instructions"] = json!(instructions.trim());
    }
    if !request.tools.is_empty() {
        body["tools"] = request
            .tools
            .iter()
            .map(|tool| {
                json!({
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.input_schema,
                    "strict": false,
                })
            })
            .collect();
        body["tool_choice"] = tool_choice(&request.tool_choice);
    }
    if is_reasoning_model(&options.model) {
        body["include"] = json!(["reasoning.encrypted_content"]);
        if let Some(tokens) = request.thinking_tokens_max {
            body["reasoning"] = json!({"effort": effort(tokens), "summary": "auto"});
        }
    } else if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(schema) = &request.answer_schema {
        body["text"] = json!({"format": {
            "type": "json_schema",
            "name": "answer",
            "schema": schema,
            "strict": is_strict(schema),
        }});
    }
    Encoded {
        path: "responses",
        headers: Vec::new(),
        body,
    }
}

fn encode_message(message: &Message) -> Vec<Value> {
    let mut items: Vec<Value> = message
        .content
        .iter()
        .filter_map(|part| encode_part(message.role, part))
        .collect();
    // Results stand with their calls, before anything else that the person said.
    items.sort_by_key(|it| message.role == Role::User && it["type"] != "function_call_output");
    items
}

fn encode_part(role: Role, part: &Content) -> Option<Value> {
    match part {
        Content::Text { text } if text.is_empty() => None,
        Content::Text { text } => Some(match role {
            Role::User => json!({
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": text}],
            }),
            Role::Assistant => json!({
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": text}],
            }),
        }),
        Content::Image { image, base64 } => base64.as_ref().map(|base64| {
            json!({
                "type": "message",
                "role": "user",
                "content": [{"type": "input_image", "image_url": data_url(image, base64)}],
            })
        }),
        Content::Thinking { text, signature } => {
            let mut item: Value = serde_json::from_str(unseal(signature, SEAL)?).ok()?;
            item["type"] = json!("reasoning");
            item["summary"] = if text.is_empty() {
                json!([])
            } else {
                json!([{"type": "summary_text", "text": text}])
            };
            Some(item)
        }
        Content::ToolCall(call) => Some(json!({
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": Value::Object(call.arguments.clone()).to_string(),
        })),
        Content::ToolResult {
            call,
            text,
            is_error,
            ..
        } => Some(json!({
            "type": "function_call_output",
            "call_id": call,
            "output": result_text(text, *is_error),
        })),
    }
}

/// Reads a Responses stream.
pub(crate) struct ResponsesDecoder {
    reply: Reply,
    /// The function calls; at most as many as a reply may have.
    calls: Vec<Item>,
    /// The number of the last event. Proxies have sent an event twice.
    last_number: u64,
    was_refused: bool,
}

/// A function call among the output's items.
struct Item {
    place: u64,
    /// Empty when the server names none.
    id: String,
    call: usize,
}

impl ResponsesDecoder {
    pub(crate) fn new(vendor: Vendor) -> Self {
        Self {
            reply: Reply::new(vendor),
            calls: Vec::new(),
            last_number: 0,
            was_refused: false,
        }
    }

    fn event(&mut self, event: &Value) -> Result<(), Failure> {
        let number = event["sequence_number"].as_u64().unwrap_or(0);
        if number > 0 && std::mem::replace(&mut self.last_number, number) == number {
            return Ok(());
        }
        let delta = event["delta"].as_str().unwrap_or("");
        let taken = match event["type"].as_str().unwrap_or("") {
            "response.output_item.added" => self.item_added(event),
            "response.output_text.delta" => self.reply.text(delta),
            "response.refusal.delta" => {
                self.was_refused = true;
                self.reply.text(delta)
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.reply.thinking(delta)
            }
            "response.reasoning_summary_part.added" if event["summary_index"] != 0 => {
                self.reply.thinking("\n\n")
            }
            "response.function_call_arguments.delta" => {
                let call = self.call_of(event)?;
                match &event["delta"] {
                    Value::String(json) => self.reply.arguments(call, json),
                    Value::Null => Ok(()),
                    value => self.reply.arguments(call, &value.to_string()),
                }
            }
            "response.function_call_arguments.done" => {
                let call = self.call_of(event)?;
                self.whole_arguments(call, &event["arguments"])
            }
            "response.output_item.done" => self.item_done(event),
            "response.completed" => self.completed(&event["response"], StopReason::End),
            "response.incomplete" => {
                let response = &event["response"];
                let stop = match response["incomplete_details"]["reason"].as_str() {
                    Some("content_filter") => StopReason::Refused,
                    _ => StopReason::Length,
                };
                self.completed(response, stop)
            }
            "response.failed" => {
                return Err(self.reply.vendor.error_object(&event["response"]["error"]));
            }
            "error" => {
                let error = event.get("error").filter(|error| error.is_object());
                return Err(self.reply.vendor.error_object(error.unwrap_or(event)));
            }
            // Progress, whole repeats of what came in pieces, and kinds that later versions add.
            _ if event.get("type").is_some() => Ok(()),
            _ if event.get("error").is_some() => {
                return Err(self.reply.vendor.error_object(&event["error"]));
            }
            _ => Err(self.reply.vendor.malformed("an event without a type")),
        };
        Ok(taken?)
    }

    fn item_added(&mut self, event: &Value) -> Result<(), ModelError> {
        let item = &event["item"];
        if item["type"] != "function_call" {
            return Ok(());
        }
        let place = place(event);
        if self.known(event).is_some() {
            return Err(self
                .reply
                .vendor
                .malformed(format!("output item {place} began twice")));
        }
        for known in &self.calls {
            self.reply.end_if_closed(known.call);
        }
        let id = item["call_id"].as_str().unwrap_or("");
        let call = self.reply.begin(id, item["name"].as_str().unwrap_or(""))?;
        self.calls.push(Item {
            place,
            id: item_id(event).to_owned(),
            call,
        });
        self.reply
            .arguments(call, item["arguments"].as_str().unwrap_or(""))
    }

    /// The call that an event is about: by the item's id where there is one, else by its place.
    fn known(&self, event: &Value) -> Option<usize> {
        let (id, place) = (item_id(event), place(event));
        let is_it = |item: &&Item| match (id, item.id.as_str()) {
            ("", _) | (_, "") => item.place == place,
            (asked, known) => asked == known,
        };
        self.calls.iter().rfind(is_it).map(|item| item.call)
    }

    fn call_of(&self, event: &Value) -> Result<usize, ModelError> {
        self.known(event).ok_or_else(|| {
            self.reply.vendor.malformed(format!(
                "arguments for output item {}, which is no call",
                place(event)
            ))
        })
    }

    /// The arguments repeated whole; some servers send them only so. Not the end of the call: a cut one has it too.
    fn whole_arguments(&mut self, call: usize, arguments: &Value) -> Result<(), ModelError> {
        let whole = match arguments {
            Value::String(json) => json.clone(),
            Value::Object(_) => arguments.to_string(),
            _ => String::new(),
        };
        if self.reply.is_bare(call) {
            self.reply.arguments(call, &whole)?;
        } else if !whole.is_empty() && !is_same_json(self.reply.arguments_so_far(call), &whole) {
            return Err(self
                .reply
                .vendor
                .malformed("arguments that differ from their own pieces"));
        }
        self.reply.end_if_closed(call);
        Ok(())
    }

    fn item_done(&mut self, event: &Value) -> Result<(), ModelError> {
        let item = &event["item"];
        match item["type"].as_str().unwrap_or("") {
            "function_call" => {
                let call = self.call_of(event)?;
                self.whole_arguments(call, &item["arguments"])?;
                if item["status"] == "completed" {
                    self.reply.end_whole(call)?;
                }
                Ok(())
            }
            "reasoning" if item["encrypted_content"].is_string() => {
                let sealed = json!({
                    "id": item["id"],
                    "encrypted_content": item["encrypted_content"],
                });
                self.reply.seal(format!("{SEAL}{sealed}"))
            }
            _ => Ok(()),
        }
    }

    fn completed(&mut self, response: &Value, stop: StopReason) -> Result<(), ModelError> {
        if let Some(usage) = read_usage(&response["usage"]) {
            self.reply.usage(usage);
        }
        let stop = if self.was_refused && stop == StopReason::End {
            StopReason::Refused
        } else {
            stop
        };
        self.reply.stop(stop)?;
        self.reply.done()
    }
}

impl Decoder for ResponsesDecoder {
    fn decode(&mut self, frame: &Frame) -> Result<Vec<ModelEvent>, Failure> {
        let data = frame.data.trim();
        if data.is_empty() || data == "[DONE]" {
            return Ok(Vec::new());
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|error| self.reply.vendor.malformed(error.to_string()))?;
        self.event(&event)?;
        Ok(self.reply.take())
    }

    fn finish(&mut self) -> Result<Vec<ModelEvent>, ModelError> {
        self.reply.finish()
    }
}

fn place(event: &Value) -> u64 {
    event["output_index"].as_u64().unwrap_or(0)
}

fn item_id(event: &Value) -> &str {
    let id = event["item_id"].as_str().or(event["item"]["id"].as_str());
    id.unwrap_or("")
}

fn is_same_json(a: &str, b: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    a == b || value(a).is_some_and(|a| value(b) == Some(a))
}

fn read_usage(usage: &Value) -> Option<Usage> {
    let read = usage["input_tokens"].as_u64()?;
    let cached = usage["input_tokens_details"]["cached_tokens"]
        .as_u64()
        .unwrap_or(0);
    Some(Usage {
        input_tokens: read.saturating_sub(cached),
        cache_read_tokens: cached,
        cache_write_tokens: 0,
        output_tokens: usage["output_tokens"].as_u64().unwrap_or(0),
        cost_usd_micros: None,
    })
}
