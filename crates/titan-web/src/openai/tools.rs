//! Completions with tools of the one who asks. A model is asked as it is: nothing of the engine's own is in the request,
//! and no tool runs here. Calls are given back, and their results come with the next request. No journal knows of it;
//! what it costs counts towards the ceilings.

use super::{Asked, Completion, Message, Spoken, at_odds, data, tokens};
use crate::refusal::Refusal;
use crate::turn::{self, GO_ON};
use crate::{Gateway, events, models};
use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use titan_protocol::{
    CallId, Content as Part, Image, ImageBytes, Message as Entry, ModelError, ModelEvent,
    ModelRequest, Role, StopReason, Taint, Task, ToolCall, ToolChoice, ToolSpec, TurnId, Usage,
};

const TOOLS_MAX: usize = 128;
const OUTPUT_TOKENS_MAX: f64 = 1_048_576.0;

/// A tool on offer.
#[derive(Deserialize)]
pub(super) struct Tool {
    r#type: String,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

/// Whether tools may, must or must not be called.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Choice {
    Word(Word),
    One(One),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    Auto,
    None,
    Required,
}

/// One tool that has to be called.
#[derive(Deserialize)]
pub(super) struct One {
    r#type: String,
    function: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// A call that the model made before.
#[derive(Deserialize)]
pub(super) struct Call {
    id: String,
    r#type: String,
    function: Called,
}

#[derive(Deserialize)]
struct Called {
    name: String,
    arguments: String,
}

/// Asks a model, and gives its answer or its calls.
pub(super) async fn complete(gateway: &Gateway, asked: Asked) -> Result<Response, Refusal> {
    let provider = gateway.ports.models.as_ref().ok_or_else(|| {
        let text = "Tools of a request are passed on only by the process that owns the engine. Add a section [gateway] to config.toml and start the engine again.";
        Refusal::unsupported("tools", text)
    })?;
    let permit = turn::permit(gateway)?;
    let named = models::named(gateway, asked.model.as_deref()).await?;
    let (is_streamed, wants_usage) = (asked.stream.unwrap_or(false), asked.wants_usage());
    let id = TurnId::new();
    let mut reply = Reply {
        completion: Completion::new(id, asked.model.as_deref()),
        id,
        named: named.clone(),
        wants_usage,
        text: String::new(),
        calls: Vec::new(),
        usage: Usage::default(),
    };
    let request = ModelRequest {
        model: named,
        ..request(asked)?
    };
    let mut events = provider().stream(request);
    if is_streamed {
        let opening = reply.completion.opening();
        let told = events.flat_map(move |event| {
            let _held = &permit;
            stream::iter(reply.tell(event))
        });
        let pieces = stream::iter([opening]).chain(told).map(Ok::<_, Infallible>);
        return Ok(events::event_stream(Body::from_stream(pieces)));
    }
    while let Some(event) = events.next().await {
        let event = event.map_err(|error| reply.failed(error))?;
        if let Some(stop) = reply.take(event) {
            return Ok(reply.whole(stop));
        }
    }
    Err(Refusal::broken())
}

fn request(asked: Asked) -> Result<ModelRequest, Refusal> {
    let mut tools = offered(asked.tools.unwrap_or_default());
    let tool_choice = match asked.tool_choice {
        None | Some(Choice::Word(Word::Auto)) => ToolChoice::Auto,
        Some(Choice::Word(Word::None)) => ToolChoice::None,
        Some(Choice::Word(Word::Required)) => ToolChoice::Required,
        Some(Choice::One(one)) => {
            tools.retain(|tool| tool.name == one.function.name);
            ToolChoice::Required
        }
    };
    if tools.is_empty() {
        return Err(at_odds(
            "No tool of the request has the name in `tool_choice`.",
        ));
    }
    let (system, messages) = thread(asked.messages)?;
    let mut request = ModelRequest::new(Task::Chat, system, messages);
    request.tools = tools.into();
    request.tool_choice = tool_choice;
    #[allow(clippy::cast_possible_truncation, reason = "0 to 2 is in its range")]
    let temperature = asked.temperature.map(|it| it as f32);
    request.temperature = temperature;
    let tokens_max = asked.max_completion_tokens.or(asked.max_tokens);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, and 1 to 2^20"
    )]
    let tokens_max = tokens_max.map(|it| it as u32);
    request.output_tokens_max = tokens_max.unwrap_or(request.output_tokens_max);
    Ok(request)
}

/// The tools; of those with one name the first.
fn offered(tools: Vec<Tool>) -> Vec<ToolSpec> {
    let mut specs: Vec<ToolSpec> = Vec::new();
    for function in tools.into_iter().filter_map(|tool| tool.function) {
        if specs.iter().all(|other| other.name != function.name) {
            specs.push(function.spec());
        }
    }
    specs
}

impl Function {
    fn spec(self) -> ToolSpec {
        let parameters = self.parameters.map(Value::Object);
        let nothing = || json!({ "type": "object", "properties": {} });
        ToolSpec {
            name: self.name,
            description: self.description.unwrap_or_default(),
            input_schema: parameters.unwrap_or_else(nothing),
        }
    }
}

/// Looks at what a request says of tools, whether or not it brings any.
///
/// # Errors
/// When a part of it is none that is described.
pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let tools = asked.tools.as_deref().unwrap_or_default();
    let is_tool = |tool: &Tool| {
        let function = tool.function.as_ref();
        tool.r#type == "function" && function.is_some_and(|it| is_name(&it.name))
    };
    if tools.len() > TOOLS_MAX || !tools.iter().all(is_tool) {
        let text =
            "`tools` are at most 128 functions, their names of 1 to 64 letters, digits, _ and -.";
        return Err(Refusal::unsupported("tools", text));
    }
    if let Some(Choice::One(one)) = &asked.tool_choice
        && !(one.r#type == "function" && is_name(&one.function.name))
    {
        return Err(Refusal::unsupported("tool_choice", "That is no tool."));
    }
    let mut calls = asked
        .messages
        .iter()
        .flat_map(|it| it.tool_calls.iter().flatten());
    let is_call = |call: &Call| {
        call.r#type == "function" && is_name(&call.id) && is_name(&call.function.name)
    };
    if !calls.all(is_call) {
        let text = "A call has an id and a name of 1 to 64 letters, digits, _ and -.";
        return Err(Refusal::unsupported("tool_calls", text));
    }
    let is_count = |it: &f64| it.fract() == 0.0 && (1.0..=OUTPUT_TOKENS_MAX).contains(it);
    let counts = [asked.max_tokens, asked.max_completion_tokens];
    if !counts.iter().flatten().all(is_count) {
        let text = "No model writes so many tokens.";
        return Err(Refusal::unsupported("max_tokens", text));
    }
    match asked.temperature.is_none_or(|it| (0.0..=2.0).contains(&it)) {
        true => Ok(()),
        false => Err(Refusal::unsupported("temperature", "It is from 0 to 2.")),
    }
}

/// Whether a name, or the id of a call, is one for every vendor.
fn is_name(text: &str) -> bool {
    let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(is_plain)
}

/// What the system says, and the thread: every call is answered before somebody speaks again.
fn thread(messages: Vec<Message>) -> Result<(String, Vec<Entry>), Refusal> {
    let mut system: Vec<String> = Vec::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut open: Vec<CallId> = Vec::new();
    for message in messages {
        let role = message.role.as_str();
        let spoken = message.content.map(|content| content.spoken(role));
        let Spoken { text, images } = spoken.transpose()?.unwrap_or_default();
        if role != "tool" && !open.is_empty() {
            return Err(at_odds("A call has no result before the next message."));
        }
        match role {
            "system" | "developer" => system.push(text),
            "assistant" => {
                let calls = calls(message.tool_calls.unwrap_or_default())?;
                open.extend(calls.iter().map(|call| call.id.clone()));
                say(
                    &mut entries,
                    Role::Assistant,
                    said(text).chain(calls.into_iter().map(Part::ToolCall)),
                );
            }
            "tool" => {
                let call = CallId::from(message.tool_call_id.unwrap_or_default().as_str());
                let answered = open.iter().position(|it| *it == call);
                open.remove(answered.ok_or_else(|| at_odds("A result answers no open call."))?);
                say(&mut entries, Role::User, [result(call, text)]);
            }
            "user" | "function" => {
                let images = images.into_iter().filter_map(shown);
                say(&mut entries, Role::User, said(text).chain(images));
            }
            _ => return Err(Refusal::unsupported("role", super::NO_ROLE)),
        }
    }
    if !open.is_empty() {
        return Err(at_odds("A call has no result."));
    }
    if entries
        .last()
        .is_none_or(|last| last.role == Role::Assistant)
    {
        entries.push(Entry::user(GO_ON));
    }
    Ok((system.join("\n\n"), entries))
}

/// Adds to the last entry if the same one speaks, and nothing where nothing is said.
fn say(entries: &mut Vec<Entry>, role: Role, said: impl IntoIterator<Item = Part>) {
    let content: Vec<Part> = said.into_iter().collect();
    match entries.last_mut().filter(|last| last.role == role) {
        Some(last) => last.content.extend(content),
        None if content.is_empty() => {}
        None => entries.push(Entry { role, content }),
    }
}

fn said(text: String) -> impl Iterator<Item = Part> {
    (!text.trim().is_empty())
        .then_some(Part::Text { text })
        .into_iter()
}

/// An image, which was looked at before.
fn shown(bytes: ImageBytes) -> Option<Part> {
    let image = Image::read(&bytes.0).ok()?;
    let base64 = Some(bytes.to_base64().into());
    Some(Part::Image { image, base64 })
}

fn result(call: CallId, text: String) -> Part {
    Part::ToolResult {
        call,
        text,
        is_error: false,
        taint: Taint::BOTH,
    }
}

fn calls(calls: Vec<Call>) -> Result<Vec<ToolCall>, Refusal> {
    let mut made: Vec<ToolCall> = Vec::new();
    for Call { id, function, .. } in calls {
        if made.iter().any(|it| it.id.as_str() == id) {
            return Err(at_odds("Two calls have one id."));
        }
        // What a model wrote is shown to it again; where that was no object, it reads its own mistake.
        let written = serde_json::from_str(&function.arguments);
        let as_it_is = |_| Map::from_iter([("arguments".to_owned(), function.arguments.into())]);
        made.push(ToolCall {
            id: CallId::from(id.as_str()),
            name: function.name,
            arguments: written.unwrap_or_else(as_it_is),
        });
    }
    Ok(made)
}

/// A model's reply while it comes.
struct Reply {
    completion: Completion,
    id: TurnId,
    /// The model that the request names.
    named: Option<String>,
    wants_usage: bool,
    text: String,
    calls: Vec<Writing>,
    usage: Usage,
}

/// A call that is being written.
struct Writing {
    index: u32,
    name: String,
    arguments: String,
}

impl Reply {
    /// Takes an event in; gives why the reply ended, if it did.
    fn take(&mut self, event: ModelEvent) -> Option<StopReason> {
        match event {
            ModelEvent::TextDelta { text } => self.text.push_str(&text),
            ModelEvent::ToolCallBegin { index, name } => self.calls.push(Writing {
                index,
                name,
                arguments: String::new(),
            }),
            ModelEvent::ToolCallDelta { index, json } => {
                let mut calls = self.calls.iter_mut();
                if let Some(call) = calls.find(|call| call.index == index) {
                    call.arguments.push_str(&json);
                }
            }
            ModelEvent::Usage(usage) => self.usage = usage,
            ModelEvent::Done { stop } => return Some(stop),
            _ => {}
        }
        None
    }

    /// What is streamed for an event.
    fn tell(&mut self, event: Result<ModelEvent, ModelError>) -> Vec<String> {
        let event = match event {
            Ok(event) => event,
            Err(error) => return vec![data(&self.failed(error).json())],
        };
        let chunk = match &event {
            ModelEvent::TextDelta { text } => Some(json!({ "content": text })),
            ModelEvent::ToolCallDelta { index, json } => self.place(*index).map(
                |place| json!({ "tool_calls": [{ "index": place, "function": { "arguments": json } }] }),
            ),
            ModelEvent::ToolCallBegin { name, .. } => {
                let place = self.calls.len();
                let mut call = self.call(place, name, "");
                call["index"] = place.into();
                Some(json!({ "tool_calls": [call] }))
            }
            _ => None,
        };
        let chunk = chunk.map(|delta| self.completion.chunk(delta));
        match self.take(event) {
            None => chunk.into_iter().collect(),
            Some(stop) => {
                let usage = self.wants_usage.then(|| tokens(&self.usage));
                self.completion.ending(self.finish(stop), usage)
            }
        }
    }

    /// Why the model gave no answer.
    fn failed(&self, error: ModelError) -> Refusal {
        match (error, &self.named) {
            (ModelError::NoModel { .. }, Some(name)) => models::missing(name),
            (error, _) => Refusal::new(StatusCode::BAD_GATEWAY, "model_failed", error.to_string()),
        }
    }

    fn place(&self, index: u32) -> Option<usize> {
        self.calls.iter().position(|call| call.index == index)
    }

    fn call(&self, place: usize, name: &str, arguments: &str) -> Value {
        let id = CallId::new(self.id, u32::try_from(place).unwrap_or(u32::MAX));
        json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
    }

    fn whole(&self, stop: StopReason) -> Response {
        let calls: Vec<Value> = (self.calls.iter().enumerate())
            .map(|(place, call)| self.call(place, &call.name, &call.arguments))
            .collect();
        let text = (!self.text.is_empty() || calls.is_empty()).then_some(&self.text);
        let mut message = json!({ "role": "assistant", "content": text, "refusal": null });
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        let finish = self.finish(stop);
        Json(self.completion.object(message, finish, &self.usage)).into_response()
    }

    fn finish(&self, stop: StopReason) -> &'static str {
        match stop {
            StopReason::Length => "length",
            StopReason::Refused => "content_filter",
            StopReason::End | StopReason::ToolCalls => match self.calls.is_empty() {
                true => "stop",
                false => "tool_calls",
            },
        }
    }
}
