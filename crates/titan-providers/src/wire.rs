//! What a codec is: a pure way to write a request and a pure state that reads the answer.

use crate::failure::{Failure, Vendor};
use crate::sse::{Frame, Framing};
use crate::{anthropic, ollama, openai_chat, openai_responses};
use serde_json::Value;
use titan_protocol::{Content, Image, Message, ModelError, ModelEvent, ModelRequest};

/// The wire formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Anthropic,
    OpenAiChat,
    OpenAiResponses,
    Ollama,
}

/// What a codec knows besides the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ModelOptions {
    /// The model, as the vendor names it.
    pub(crate) model: String,
    /// Tokens that the model reads and writes together.
    pub(crate) context_tokens_max: Option<u32>,
    /// Ask for tool arguments unbuffered.
    pub(crate) fine_grained_tools: bool,
    /// The server is OpenAI's own, which names and refuses other fields than compatible ones.
    pub(crate) is_openai: bool,
}

/// A request on the wire. Addresses and secrets are added by the driver.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Encoded {
    /// Below the provider's base address.
    pub(crate) path: &'static str,
    /// Headers that only this format needs.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: serde_json::Value,
}

/// Reads one answer. Pure: frames in, events out.
pub(crate) trait Decoder: Send {
    /// Takes the next frame. The events that it completes are in order; after an error the decoder is not used again.
    fn decode(&mut self, frame: &Frame) -> Result<Vec<ModelEvent>, Failure>;

    /// The body is over. An error unless the answer had come to its end.
    fn finish(&mut self) -> Result<Vec<ModelEvent>, ModelError>;
}

impl Wire {
    pub(crate) fn encode(self, request: &ModelRequest, options: &ModelOptions) -> Encoded {
        match self {
            Self::Anthropic => anthropic::encode(request, options),
            Self::OpenAiChat => openai_chat::encode(request, options),
            Self::OpenAiResponses => openai_responses::encode(request, options),
            Self::Ollama => ollama::encode(request, options),
        }
    }

    pub(crate) fn decoder(self, vendor: Vendor) -> Box<dyn Decoder> {
        match self {
            Self::Anthropic => Box::new(anthropic::MessagesDecoder::new(vendor)),
            Self::OpenAiChat => Box::new(openai_chat::ChatDecoder::new(vendor)),
            Self::OpenAiResponses => Box::new(openai_responses::ResponsesDecoder::new(vendor)),
            Self::Ollama => Box::new(ollama::OllamaDecoder::new(vendor)),
        }
    }

    pub(crate) fn framing(self) -> Framing {
        match self {
            Self::Ollama => Framing::Lines,
            _ => Framing::Sse,
        }
    }
}

/// What is asked of a model that is not held to a schema by its server.
pub(crate) fn schema_request(schema: &Value) -> String {
    format!(
        "Answer with one JSON value and nothing else, no code fence. It must satisfy this JSON schema:\n{schema}"
    )
}

/// The longest repetition that a schema keeps on the way to a server that makes a grammar of it. Two of them, one in the
/// other, stay below the 2,000 above which llama.cpp refuses the whole request.
const REPETITIONS_MAX: u64 = 40;

/// A schema as a server can hold a model to it: without the bounds that are too long for a grammar. Whoever reads the
/// answer checks them all the same.
pub(crate) fn grammar_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let is_kept = |key: &str, value: &Value| {
                let is_bound = matches!(key, "maxLength" | "maxItems" | "minLength" | "minItems");
                !is_bound || value.as_u64().is_none_or(|bound| bound <= REPETITIONS_MAX)
            };
            let kept = fields.iter().filter(|(key, value)| is_kept(key, value));
            kept.map(|(key, value)| (key.clone(), grammar_schema(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(grammar_schema).collect(),
        other => other.clone(),
    }
}

/// An image as most wires take it.
pub(crate) fn data_url(image: &Image, base64: &str) -> String {
    format!("data:{};base64,{base64}", image.kind.media_type())
}

/// The name of the tool that a result answers, which some wires want beside the result.
pub(crate) fn tool_of<'a>(messages: &'a [Message], call: &titan_protocol::CallId) -> &'a str {
    messages
        .iter()
        .flat_map(|message| &message.content)
        .find_map(|part| match part {
            Content::ToolCall(made) if made.id == *call => Some(made.name.as_str()),
            _ => None,
        })
        .unwrap_or("tool")
}

/// A tool's answer as text, for wires that have no flag for failure.
pub(crate) fn result_text(text: &str, is_error: bool) -> String {
    if is_error && !text.to_lowercase().starts_with("error") {
        format!("Error: {text}")
    } else {
        text.to_owned()
    }
}

/// The thoughts' seals of one wire. Another wire's seal means nothing to a vendor and is not sent to it.
pub(crate) fn unseal<'a>(signature: &'a Option<String>, tag: &str) -> Option<&'a str> {
    signature.as_deref()?.strip_prefix(tag)
}

/// How hard to think, for vendors that take words instead of tokens.
pub(crate) fn effort(thinking_tokens_max: u32) -> &'static str {
    match thinking_tokens_max {
        0..=4096 => "low",
        4097..=16384 => "medium",
        _ => "high",
    }
}
