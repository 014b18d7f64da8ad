//! Models: what is asked of one, what streams back, and what it costs.

use crate::{BoxStream, Message, ToolSpec};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// The kind of work a model call is for; routing chooses the model by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A conversation with a person.
    Chat,
    /// Work on code.
    Code,
    /// Titles, summaries, tags, extraction. Goes to the local model unless configured otherwise.
    Utility,
    /// Vectors for search. Goes to the local model unless configured otherwise.
    Embed,
}

/// A request to a model. Provider-neutral; each codec encodes it for its vendor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// What the call is for.
    pub task: Task,
    /// The model to use, as the provider names it; `None` lets the route decide.
    pub model: Option<String>,
    /// The fixed part of the prompt. Cacheable: equal from call to call within a session.
    pub system: String,
    /// The thread, oldest first. Every tool call in it is answered by a result before the next assistant message.
    pub messages: Vec<Message>,
    /// The tools on offer, in a stable order. Shared: a request is copied several times on its way, the tools never.
    pub tools: Arc<[ToolSpec]>,
    /// Whether tools may, must or must not be called.
    pub tool_choice: ToolChoice,
    /// Upper bound of tokens to write, thinking included.
    pub output_tokens_max: u32,
    /// Sampling temperature, 0.0 to 2.0; `None` is the model's default.
    pub temperature: Option<f32>,
    /// Tokens that the model may think before it answers; `None` is no thinking where that can be chosen.
    pub thinking_tokens_max: Option<u32>,
    /// A JSON schema that the answer's text must satisfy. Enforced by constrained decoding where the engine can,
    /// asked for otherwise.
    pub answer_schema: Option<Value>,
}

impl ModelRequest {
    /// A request without tools, thinking or schema.
    pub fn new(task: Task, system: impl Into<String>, messages: Vec<Message>) -> Self {
        Self {
            task,
            model: None,
            system: system.into(),
            messages,
            tools: Arc::default(),
            tool_choice: ToolChoice::Auto,
            output_tokens_max: 4096,
            temperature: None,
            thinking_tokens_max: None,
            answer_schema: None,
        }
    }
}

/// Whether the model may call tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No call; the model answers in text.
    None,
    /// At least one call.
    Required,
}

/// What streams back from a model, the moment it is on the wire.
///
/// Indices name the calls of one reply: a delta belongs to the call that began with its index, and calls may
/// interleave. A call is complete only with its `ToolCallEnd`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ModelEvent {
    /// Which model answers. Comes first, and again when a fallback takes over; nothing was said before it.
    Route {
        /// The provider's configured name.
        provider: String,
        /// The model's name at that provider.
        model: String,
        /// Why this one, in words for a person; `None` for the first choice.
        reason: Option<String>,
    },
    /// Images of the request are not shown to the model, which reads a sentence in their place. Comes after the route.
    ImagesHidden {
        /// Why, in words that follow "because".
        why: String,
    },
    /// The next piece of the answer.
    TextDelta {
        /// The piece.
        text: String,
    },
    /// The next piece of the thinking.
    ThinkingDelta {
        /// The piece.
        text: String,
    },
    /// The vendor's seal on the thinking so far.
    ThinkingSignature {
        /// Opaque; sent back unchanged.
        signature: String,
    },
    /// A tool call begins.
    ToolCallBegin {
        /// Which call of this reply.
        index: u32,
        /// The tool's name.
        name: String,
    },
    /// The next piece of a call's arguments, raw JSON text.
    ToolCallDelta {
        /// Which call.
        index: u32,
        /// The piece.
        json: String,
    },
    /// A call is complete.
    ToolCallEnd {
        /// Which call.
        index: u32,
    },
    /// Tokens used so far by this call; the last one counts.
    Usage(Usage),
    /// The reply is complete. Always the last event of a stream that did not fail.
    Done {
        /// Why the model stopped.
        stop: StopReason,
    },
}

impl ModelEvent {
    /// Whether it is a part of what the model says: after one, the request is not sent again.
    pub fn is_content(&self) -> bool {
        !matches!(
            self,
            Self::Route { .. } | Self::ImagesHidden { .. } | Self::Usage(_)
        )
    }
}

/// Why a model stopped writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It had said all.
    End,
    /// It waits for the results of its calls.
    ToolCalls,
    /// It reached the token limit; what was being written is cut.
    Length,
    /// The vendor refused or filtered.
    Refused,
}

/// Tokens and money of one or more model calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, cached ones left out.
    pub input_tokens: u64,
    /// Tokens read from the vendor's or the engine's cache.
    pub cache_read_tokens: u64,
    /// Tokens written to the vendor's cache.
    pub cache_write_tokens: u64,
    /// Tokens written, thinking included.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar; 0 for local models. `None` when the price is not known.
    pub cost_usd_micros: Option<u64>,
}

impl Usage {
    /// The sum of two. A cost that is not known stays unknown only if both are.
    pub fn plus(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cache_read_tokens: self
                .cache_read_tokens
                .saturating_add(other.cache_read_tokens),
            cache_write_tokens: self
                .cache_write_tokens
                .saturating_add(other.cache_write_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost_usd_micros: match (self.cost_usd_micros, other.cost_usd_micros) {
                (None, None) => None,
                (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
            },
        }
    }
}

/// Why a model call failed. The text is for a person: cause first, then the next step.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ModelError {
    /// The key was refused (401, 403).
    #[error(
        "{provider} refused the key: {detail}. Set another with `titanclaw onboard`, or choose a model with `titanclaw models use`."
    )]
    Unauthorized {
        /// The provider's configured name.
        provider: String,
        /// What the vendor said.
        detail: String,
    },
    /// Too many requests, or no credit (429).
    #[error("{provider} is limiting requests: {detail}")]
    Limited {
        /// The provider's configured name.
        provider: String,
        /// What the vendor said.
        detail: String,
        /// How long it asks to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The request itself was refused (400, 404, 413, 422); trying again will not help.
    #[error("{provider} refused the request: {detail}")]
    Rejected {
        /// The provider's configured name.
        provider: String,
        /// What the vendor said.
        detail: String,
    },
    /// The thread is longer than the model reads.
    #[error("the conversation is longer than {model} can read: {detail}")]
    TooLong {
        /// The model.
        model: String,
        /// What the vendor said.
        detail: String,
    },
    /// No connection, a reset, a time-out, a 5xx (an overloaded vendor's 529 too): trying again may help.
    #[error("{provider} cannot be reached: {detail}")]
    Unavailable {
        /// The provider's configured name.
        provider: String,
        /// What happened.
        detail: String,
    },
    /// The stream ended or broke after it had begun.
    #[error("{provider} stopped in the middle of its answer: {detail}")]
    Interrupted {
        /// The provider's configured name.
        provider: String,
        /// What happened.
        detail: String,
    },
    /// The vendor sent what its wire format does not allow.
    #[error("{provider} sent something that is not understood: {detail}")]
    Malformed {
        /// The provider's configured name.
        provider: String,
        /// What was wrong, bounded.
        detail: String,
    },
    /// A spending ceiling would be passed.
    #[error("{detail}")]
    Budget {
        /// Which ceiling, its value, and how to raise it.
        detail: String,
    },
    /// No model is set up, or it is not there.
    #[error("{detail}")]
    NoModel {
        /// What is missing and how to get it.
        detail: String,
    },
}

impl ModelError {
    /// Whether the same request may succeed later, at the same or another provider.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Limited { .. } | Self::Unavailable { .. } | Self::Interrupted { .. }
        )
    }

    /// What a person can do about it, where the text does not say so itself.
    pub fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::Limited { .. } => {
                "Wait a moment and ask again, or choose another model with --model."
            }
            Self::Rejected { .. } => "Say it in other words, or choose another model with --model.",
            Self::TooLong { .. } => {
                "Begin a new session, or choose a model that reads more with --model."
            }
            Self::Unavailable { .. } => {
                "See whether it runs and the network is up and ask again, or choose another model with --model."
            }
            Self::Interrupted { .. } => "Ask again, or choose another model with --model.",
            Self::Malformed { .. } => {
                "Check its address with `titanclaw doctor`, or choose another model with --model."
            }
            Self::Unauthorized { .. } | Self::Budget { .. } | Self::NoModel { .. } => return None,
        })
    }
}

/// The stream of one reply. Ends after `Done` or after the first error.
pub type ModelStream = BoxStream<Result<ModelEvent, ModelError>>;

/// A source of model replies: one vendor, the local engine, or a router over several.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The configured name, for people and events.
    fn name(&self) -> &str;

    /// Asks for a reply. Does nothing until the stream is polled; dropping the stream cancels the call and, for the
    /// local engine, stops the work within 100 ms.
    fn stream(&self, request: ModelRequest) -> ModelStream;

    /// The models that it offers, with what it can truthfully say of each.
    ///
    /// # Errors
    /// When it can't be reached or refuses the key.
    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError>;
}

/// What is known of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The provider's configured name.
    pub provider: String,
    /// The model's name at that provider.
    pub model: String,
    /// Tokens it reads and writes together, if known.
    pub context_tokens_max: Option<u32>,
    /// Whether the server itself turns tool specs into structured calls; `None` when it was not probed.
    pub native_tools: Option<bool>,
    /// Whether the server can hold the output to a JSON schema; `None` when it was not probed.
    pub constrained_output: Option<bool>,
    /// Whether it is on this machine, ready to use without a download.
    pub is_local: bool,
    /// Price, if known.
    pub price: Option<Price>,
}

/// A model's price in millionths of a US dollar per million tokens, which is picodollars per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Tokens read from the cache.
    pub cache_read: u64,
    /// Tokens written to the cache.
    pub cache_write: u64,
}

impl Price {
    /// What these tokens cost, in millionths of a US dollar, rounded up.
    pub fn cost_usd_micros(&self, usage: &Usage) -> u64 {
        let pico = u128::from(usage.input_tokens) * u128::from(self.input)
            + u128::from(usage.output_tokens) * u128::from(self.output)
            + u128::from(usage.cache_read_tokens) * u128::from(self.cache_read)
            + u128::from(usage.cache_write_tokens) * u128::from(self.cache_write);
        u64::try_from(pico.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// Turns texts into vectors.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Names the vector space; vectors of different spaces are never compared.
    fn space(&self) -> &str;

    /// One unit vector per text, all of one length.
    ///
    /// # Errors
    /// When the model is missing or can't be reached.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError>;
}
