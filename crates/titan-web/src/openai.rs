//! OpenAI's chat completions, models and embeddings, for programs that speak nothing else.
//!
//! A completion is a turn of the engine with the engine's own tools (`turn`). One that brings tools of its own asks a
//! model for the one who asks, and no tool runs (`tools`).

mod tools;

use crate::models::{self, OWN_MODEL};
use crate::refusal::Refusal;
use crate::turn::{ApiTurn, End, Piece, Said};
use crate::{Gateway, api, events};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine};
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use titan_protocol::{Image, ImageBytes, TurnId, Usage};

/// A whole conversation, with the images that may be given at once.
pub(crate) const REQUEST_BYTES_MAX: usize = 16 << 20;
const TEXTS_MAX: usize = 2048;
const NO_ROLE: &str = "Nobody has that role.";

#[derive(Deserialize)]
struct Asked {
    messages: Vec<Message>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    n: Option<f64>,
    #[serde(default)]
    tools: Option<Vec<tools::Tool>>,
    #[serde(default)]
    tool_choice: Option<tools::Choice>,
    #[serde(default)]
    max_tokens: Option<f64>,
    #[serde(default)]
    max_completion_tokens: Option<f64>,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    response_format: Option<ResponseFormat>,
}

#[derive(Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct ResponseFormat {
    r#type: String,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    tool_calls: Option<Vec<tools::Call>>,
    #[serde(default)]
    tool_call_id: Option<String>,
}

/// What a message says, in either of its two spellings.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
pub(crate) struct Part {
    r#type: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    image_url: Option<ImageUrl>,
}

/// An image in either of its two spellings.
#[derive(Deserialize)]
#[serde(untagged)]
enum ImageUrl {
    Bare(String),
    Within { url: String },
}

/// What somebody says and shows.
#[derive(Default)]
pub(crate) struct Spoken {
    pub(crate) text: String,
    pub(crate) images: Vec<ImageBytes>,
}

impl Content {
    /// Its text and, where a user says it, its images.
    ///
    /// # Errors
    /// When a part is something else.
    pub(crate) fn spoken(self, role: &str) -> Result<Spoken, Refusal> {
        let parts = match self {
            Self::Text(text) => {
                let images = Vec::new();
                return Ok(Spoken { text, images });
            }
            Self::Parts(parts) => parts,
        };
        let mut spoken = Spoken::default();
        for part in parts {
            match (part.r#type.as_str(), part.text, part.image_url) {
                ("text" | "input_text" | "output_text", Some(text), _) => {
                    spoken.text.push_str(&text);
                }
                ("image_url" | "input_image", _, Some(url)) if role == "user" => {
                    spoken.images.push(url.image()?);
                }
                ("image_url" | "input_image", _, Some(_)) => {
                    return Err(at_odds("Only a user gives images."));
                }
                _ => {
                    let text = "Only parts of text and images are understood here.";
                    return Err(Refusal::unsupported("content", text));
                }
            }
        }
        Ok(spoken)
    }
}

impl ImageUrl {
    /// The image that is in it. Nothing is fetched for somebody else.
    fn image(self) -> Result<ImageBytes, Refusal> {
        let (Self::Bare(url) | Self::Within { url }) = self;
        let data = url
            .strip_prefix("data:image/")
            .and_then(|rest| rest.split_once(";base64,"));
        let Some((_, base64)) = data else {
            let text = "An image is given as a data: URL with base64; no address is fetched.";
            return Err(Refusal::unsupported("content", text));
        };
        let image =
            ImageBytes::from_base64(base64).map_err(|_| at_odds("An image is not in base64."))?;
        match Image::read(&image.0) {
            Ok(_) => Ok(image),
            Err(error) => {
                let text = format!("An image is not taken: {error}.");
                let kind = "invalid_request_error";
                Err(Refusal::new(StatusCode::CONFLICT, kind, text))
            }
        }
    }
}

/// The parts of a request do not go together.
pub(crate) fn at_odds(text: &'static str) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, "invalid_request_error", text)
}

/// Tools of the one who asks are not run here.
///
/// # Errors
/// When there are any.
pub(crate) fn no_tools(tools: &Option<Vec<Value>>) -> Result<(), Refusal> {
    match tools.as_ref().is_none_or(Vec::is_empty) {
        true => Ok(()),
        false => Err(Refusal::unsupported(
            "tools",
            "Tools of a request are passed on by /v1/chat/completions alone; here the engine uses its own.",
        )),
    }
}

impl Asked {
    fn has_tools(&self) -> bool {
        self.tools.as_ref().is_some_and(|tools| !tools.is_empty())
    }

    fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.is_some_and(|options| options.include_usage)
    }

    fn check(&self) -> Result<(), Refusal> {
        tools::check(self)?;
        if self.n.is_some_and(|n| n != 1.0) {
            return Err(Refusal::unsupported("n", "There is one answer."));
        }
        let format = self.response_format.as_ref();
        if format.is_some_and(|format| format.r#type != "text") {
            return Err(Refusal::unsupported(
                "response_format",
                "The answer is text.",
            ));
        }
        Ok(())
    }
}

pub(crate) async fn complete(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Refusal> {
    let asked: Asked = api::body(&gateway, request, REQUEST_BYTES_MAX).await?;
    asked.check()?;
    if asked.has_tools() {
        return tools::complete(&gateway, asked).await;
    }
    let wants_usage = asked.wants_usage();
    let said: Result<Vec<Said>, Refusal> = asked.messages.into_iter().map(said).collect();
    let turn = ApiTurn::begin(&gateway, said?, asked.model.as_deref()).await?;
    let completion = Completion::new(turn.turn(), asked.model.as_deref());
    if !asked.stream.unwrap_or(false) {
        return completion.whole(turn).await;
    }
    Ok(stream_of(Streamed {
        turn,
        ready: VecDeque::from([completion.opening()]),
        told: Box::new(move |piece| completion.tell(piece, wants_usage)),
        has_ended: false,
    }))
}

fn said(message: Message) -> Result<Said, Refusal> {
    let roles = [
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "function",
    ];
    if !roles.contains(&message.role.as_str()) {
        return Err(Refusal::unsupported("role", NO_ROLE));
    }
    let role = message.role;
    let spoken = message.content.map(|content| content.spoken(&role));
    let Spoken { text, images } = spoken.transpose()?.unwrap_or_default();
    Ok(Said { role, text, images })
}

/// All of a turn's text, and its tokens.
///
/// # Errors
/// When the turn failed.
pub(crate) async fn whole(turn: &mut ApiTurn) -> Result<(String, bool, Usage), Refusal> {
    let mut text = String::new();
    loop {
        match turn.next().await {
            Piece::Text(piece) => text.push_str(&piece),
            Piece::Ended(End::Answered { is_cut, usage }) => return Ok((text, is_cut, usage)),
            Piece::Ended(End::Failed(refusal)) => return Err(refusal),
        }
    }
}

struct Completion {
    id: String,
    created: u64,
    model: String,
}

impl Completion {
    fn new(turn: TurnId, model: Option<&str>) -> Self {
        Self {
            id: format!("chatcmpl-{}", turn.to_string().replace('-', "")),
            created: unix_seconds(),
            model: model.unwrap_or(OWN_MODEL).to_owned(),
        }
    }

    async fn whole(&self, mut turn: ApiTurn) -> Result<Response, Refusal> {
        let (text, is_cut, usage) = whole(&mut turn).await?;
        let message = json!({ "role": "assistant", "content": text, "refusal": null });
        Ok(Json(self.object(message, finish(is_cut), &usage)).into_response())
    }

    fn object(&self, message: Value, finish: &str, usage: &Usage) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": message,
                "logprobs": null,
                "finish_reason": finish,
            }],
            "usage": tokens(usage),
        })
    }

    /// What is sent for a piece.
    fn tell(&self, piece: Piece, wants_usage: bool) -> Vec<String> {
        match piece {
            Piece::Text(text) => vec![self.chunk(json!({ "content": text }))],
            Piece::Ended(End::Failed(refusal)) => vec![data(&refusal.json())],
            Piece::Ended(End::Answered { is_cut, usage }) => {
                self.ending(finish(is_cut), wants_usage.then(|| tokens(&usage)))
            }
        }
    }

    fn opening(&self) -> String {
        self.chunk(json!({ "role": "assistant", "content": "" }))
    }

    /// The last pieces of an answer.
    fn ending(&self, finish: &str, usage: Option<Value>) -> Vec<String> {
        let choice = json!({ "index": 0, "delta": {}, "logprobs": null, "finish_reason": finish });
        let last = self.frame(json!([choice]), None);
        let usage = usage.map(|usage| self.frame(json!([]), Some(usage)));
        let done = "data: [DONE]\n\n".to_owned();
        [Some(last), usage, Some(done)]
            .into_iter()
            .flatten()
            .collect()
    }

    fn chunk(&self, delta: Value) -> String {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null });
        self.frame(json!([choice]), None)
    }

    fn frame(&self, choices: Value, usage: Option<Value>) -> String {
        data(&json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "usage": usage,
        }))
    }
}

fn finish(is_cut: bool) -> &'static str {
    match is_cut {
        true => "length",
        false => "stop",
    }
}

fn tokens(usage: &Usage) -> Value {
    let read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
    json!({
        "prompt_tokens": read,
        "completion_tokens": usage.output_tokens,
        "total_tokens": read + usage.output_tokens,
        "prompt_tokens_details": { "cached_tokens": usage.cache_read_tokens },
    })
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// A turn as it is told to one reader.
pub(crate) struct Streamed {
    pub(crate) turn: ApiTurn,
    /// What is to be sent before the next piece.
    pub(crate) ready: VecDeque<String>,
    /// What is sent for a piece.
    pub(crate) told: Box<dyn FnMut(Piece) -> Vec<String> + Send>,
    pub(crate) has_ended: bool,
}

/// A turn as an answer that streams. When its reader leaves, the turn is interrupted.
pub(crate) fn stream_of(streamed: Streamed) -> Response {
    let pieces = stream::unfold(streamed, |mut streamed| async {
        while streamed.ready.is_empty() {
            if streamed.has_ended {
                return None;
            }
            let piece = streamed.turn.next().await;
            streamed.has_ended = matches!(piece, Piece::Ended(_));
            streamed.ready.extend((streamed.told)(piece));
        }
        let piece = streamed.ready.pop_front()?;
        Some((Ok::<_, Infallible>(piece), streamed))
    });
    events::event_stream(Body::from_stream(pieces))
}

/// Lists the engine's own choice first, then all that can be named.
pub(crate) async fn list(State(gateway): State<Arc<Gateway>>) -> Result<Json<Value>, Refusal> {
    Ok(Json(
        json!({ "object": "list", "data": all_models(&gateway).await? }),
    ))
}

/// One of those that are listed.
pub(crate) async fn model(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let all = all_models(&gateway).await?;
    let found = all.into_iter().find(|model| model["id"] == *id);
    found.map(Json).ok_or_else(|| models::missing(&id))
}

async fn all_models(gateway: &Gateway) -> Result<Vec<Value>, Refusal> {
    let created = gateway.ports.client.status().await?.started_at / 1000;
    let model = |(id, owner): (String, String)| json!({ "id": id, "object": "model", "created": created, "owned_by": owner });
    let own = (OWN_MODEL.to_owned(), OWN_MODEL.to_owned());
    let named = models::listed(gateway).await;
    Ok(std::iter::once(own).chain(named).map(model).collect())
}

#[derive(Deserialize)]
struct ToEmbed {
    input: Texts,
    #[serde(default)]
    encoding_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

pub(crate) async fn embed(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let asked: ToEmbed = api::body(&gateway, request, REQUEST_BYTES_MAX).await?;
    let spell: fn(&Vec<f32>) -> Value = match asked.encoding_format.as_deref() {
        None | Some("float") => |vector| json!(vector),
        Some("base64") => |vector| in_base64(vector).into(),
        Some(_) => {
            let text = "Vectors are given as `float` or `base64`.";
            return Err(Refusal::unsupported("encoding_format", text));
        }
    };
    let texts = match asked.input {
        Texts::One(text) => vec![text],
        Texts::Many(texts) => texts,
    };
    if texts.is_empty() || texts.len() > TEXTS_MAX || texts.iter().any(String::is_empty) {
        return Err(Refusal::unsupported(
            "input",
            "`input` is a text or 1 to 2048 of them, none empty.",
        ));
    }
    let embedder = &gateway.ports.embedder;
    let vectors = embedder.embed(&texts).await.map_err(|error| {
        tracing::error!(%error, "no vectors were made");
        Refusal::new(
            StatusCode::BAD_GATEWAY,
            "embedding_failed",
            "No vectors were made.",
        )
    })?;
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(idx, vector)| json!({ "object": "embedding", "index": idx, "embedding": spell(vector) }))
        .collect();
    // Its tokens are words and pieces of words, which it does not tell; four bytes each is close.
    let tokens: usize = texts.iter().map(|text| text.len().div_ceil(4)).sum();
    Ok(Json(json!({
        "object": "list",
        "data": data,
        "model": embedder.space(),
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })))
}

/// A vector as OpenAI's own clients ask for it: its bytes, the lowest first.
fn in_base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|it| it.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod fuzz;
