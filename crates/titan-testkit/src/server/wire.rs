//! Turns a [`Reply`] into the bytes that a vendor would send, delta by delta.

mod anthropic;
mod chat;
mod ollama;
mod responses;

use super::{Model, Part, Reply, Request};
use crate::gate::Gate;
use serde_json::{Value, json};
use titan_protocol::{StopReason, Usage};

/// A vendor's wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// Anthropic Messages: `/v1/messages`, named events.
    Anthropic,
    /// OpenAI Chat Completions: `/v1/chat/completions`, unnamed events, `[DONE]`.
    Chat,
    /// OpenAI Responses: `/v1/responses`, named events with items.
    Responses,
    /// Ollama's own: `/api/chat`, JSON lines, calls whole.
    Ollama,
}

impl Wire {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Anthropic, Self::Chat, Self::Responses, Self::Ollama];

    /// The path that replies are asked for at, below [`super::ScriptServer::base_url`].
    pub fn path(self) -> &'static str {
        match self {
            Self::Anthropic => "/v1/messages",
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Ollama => "/api/chat",
        }
    }

    /// The very bytes of the body that answers a first request with this reply, gates left out.
    pub fn body(self, reply: &Reply) -> Vec<u8> {
        let frames = self.encode(reply, &Request::first(self));
        let bytes = frames.into_iter().filter_map(|frame| match frame {
            Frame::Bytes { bytes, .. } => Some(bytes),
            Frame::Gate(_) => None,
        });
        bytes.flatten().collect()
    }

    /// The body that the vendor sends with this HTTP error.
    pub fn refusal(self, status: u16, message: &str) -> Vec<u8> {
        self.error_body(status, message).to_string().into_bytes()
    }

    /// The content type of a streamed reply.
    pub fn stream_type(self) -> &'static str {
        match self {
            Self::Ollama => "application/x-ndjson",
            _ => "text/event-stream; charset=utf-8",
        }
    }

    /// The body that the vendor sends with an HTTP error.
    pub(super) fn error_body(self, status: u16, message: &str) -> Value {
        match self {
            Self::Anthropic => json!({
                "type": "error",
                "error": {"type": anthropic::error_type(status), "message": message},
                "request_id": "req_scripted",
            }),
            Self::Chat | Self::Responses => json!({"error": {
                "message": message,
                "type": chat::error_type(status),
                "param": null,
                "code": null,
            }}),
            Self::Ollama => json!({"error": message}),
        }
    }

    /// The answer to a `GET` or `POST` that is not for a reply; `None` when the vendor has nothing there.
    pub(super) fn query(
        self,
        method: &str,
        path: &str,
        body: &Value,
        models: &[Model],
    ) -> Option<Value> {
        match (self, method, path) {
            (Self::Anthropic, "GET", "/v1/models") => Some(anthropic::models(models)),
            (_, "GET", "/v1/models") => Some(chat::models(models)),
            (Self::Ollama, "GET", "/api/version") => Some(json!({"version": "0.12.6"})),
            (Self::Ollama, "GET", "/api/tags") => Some(ollama::tags(models)),
            (Self::Ollama, "POST", "/api/show") => ollama::show(body, models),
            _ => None,
        }
    }

    /// The whole body of a reply, in the order in which it is written.
    pub(super) fn encode(self, reply: &Reply, request: &Request) -> Vec<Frame> {
        let mut body = Body::default();
        match self {
            Self::Anthropic => play(&mut anthropic::Encoder::new(request), reply, &mut body),
            Self::Chat => play(&mut chat::Encoder::new(request), reply, &mut body),
            Self::Responses => play(&mut responses::Encoder::new(request), reply, &mut body),
            Self::Ollama => play(&mut ollama::Encoder::new(request), reply, &mut body),
        }
        body.finish()
    }
}

/// What is written, or waited for, as one.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Bytes { bytes: Vec<u8>, is_delta: bool },
    Gate(Gate),
}

/// One vendor's way to say the parts of a reply.
trait Encode {
    fn open(&mut self, usage: &Usage, body: &mut Body);
    fn text(&mut self, pieces: &[String], body: &mut Body);
    fn thinking(&mut self, pieces: &[String], signature: Option<&str>, body: &mut Body);
    fn call(&mut self, name: &str, arguments: &[String], body: &mut Body);
    fn error(&mut self, message: &str, body: &mut Body);
    fn close(&mut self, stop: StopReason, usage: &Usage, body: &mut Body);
}

fn play(encoder: &mut impl Encode, reply: &Reply, body: &mut Body) {
    encoder.open(&reply.usage, body);
    for part in &reply.parts {
        match part {
            Part::Text(pieces) => encoder.text(pieces, body),
            Part::Thinking { pieces, signature } => {
                encoder.thinking(pieces, signature.as_deref(), body);
            }
            Part::Call { name, arguments } => encoder.call(name, arguments, body),
            Part::Gate(gate) => body.gate(gate),
            Part::Error(message) => return encoder.error(message, body),
        }
    }
    encoder.close(reply.stop_reason(), &reply.usage, body);
}

/// The body as it grows. An opening goes out with the delta after it, a closing with the delta before it.
#[derive(Default)]
struct Body {
    frames: Vec<Frame>,
    pending: Vec<u8>,
}

impl Body {
    fn opening(&mut self, text: &str) {
        self.pending.extend_from_slice(text.as_bytes());
    }

    fn delta(&mut self, text: &str) {
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.extend_from_slice(text.as_bytes());
        self.frames.push(Frame::Bytes {
            bytes,
            is_delta: true,
        });
    }

    fn closing(&mut self, text: &str) {
        match self.frames.last_mut() {
            Some(Frame::Bytes { bytes, .. }) if self.pending.is_empty() => {
                bytes.extend_from_slice(text.as_bytes());
            }
            _ => self.pending.extend_from_slice(text.as_bytes()),
        }
    }

    fn gate(&mut self, gate: &Gate) {
        self.flush();
        self.frames.push(Frame::Gate(gate.clone()));
    }

    fn finish(mut self) -> Vec<Frame> {
        self.flush();
        self.frames
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.frames.push(Frame::Bytes {
                bytes: std::mem::take(&mut self.pending),
                is_delta: false,
            });
        }
    }
}

fn named_event(data: &Value) -> String {
    format!(
        "event: {}\ndata: {data}\n\n",
        data["type"].as_str().unwrap_or("message")
    )
}
