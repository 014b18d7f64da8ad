//! OpenAI's responses, with messages alone: the same turn as a chat completion in another dress.

use crate::models::OWN_MODEL;
use crate::openai::{
    Content, REQUEST_BYTES_MAX, Spoken, Streamed, no_tools, stream_of, unix_seconds, whole,
};
use crate::refusal::Refusal;
use crate::turn::{ApiTurn, End, Piece, Said};
use crate::{Gateway, api};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use titan_protocol::Usage;

#[derive(Deserialize)]
struct Asked {
    input: Input,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    previous_response_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Items(Vec<Item>),
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    r#type: Option<String>,
    role: String,
    content: Content,
}

impl Asked {
    fn check(&self) -> Result<(), Refusal> {
        no_tools(&self.tools)?;
        match self.previous_response_id {
            None => Ok(()),
            Some(_) => Err(Refusal::unsupported(
                "previous_response_id",
                "Answers are not gone on with; send what was said before.",
            )),
        }
    }

    fn said(self) -> Result<Vec<Said>, Refusal> {
        let alone = |role: &str, text| Said {
            role: role.to_owned(),
            text,
            images: Vec::new(),
        };
        let instructions = self.instructions.map(|text| alone("system", text));
        let input = match self.input {
            Input::Text(text) if text.is_empty() => {
                Err(Refusal::unsupported("input", "Nothing was said."))
            }
            Input::Text(text) => Ok(vec![alone("user", text)]),
            Input::Items(items) if items.is_empty() => {
                Err(Refusal::unsupported("input", "Nothing was said."))
            }
            Input::Items(items) => items.into_iter().map(Item::said).collect(),
        };
        Ok(instructions.into_iter().chain(input?).collect())
    }
}

impl Item {
    fn said(self) -> Result<Said, Refusal> {
        let roles = ["system", "developer", "user", "assistant"];
        let is_message = self.r#type.is_none_or(|kind| kind == "message");
        if !is_message || !roles.contains(&self.role.as_str()) {
            return Err(Refusal::unsupported(
                "input",
                "Only messages are understood here.",
            ));
        }
        let Spoken { text, images } = self.content.spoken(&self.role)?;
        let role = self.role;
        Ok(Said { role, text, images })
    }
}

pub(crate) async fn respond(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Refusal> {
    let asked: Asked = api::body(&gateway, request, REQUEST_BYTES_MAX).await?;
    asked.check()?;
    let is_streamed = asked.stream.unwrap_or(false);
    let model = asked.model.clone();
    let mut turn = ApiTurn::begin(&gateway, asked.said()?, model.as_deref()).await?;
    let mut reply = Reply {
        id: turn.id(),
        created: unix_seconds(),
        model: model.unwrap_or_else(|| OWN_MODEL.to_owned()),
        text: String::new(),
        n_sent: 0,
    };
    if !is_streamed {
        let (text, is_cut, usage) = whole(&mut turn).await?;
        reply.text = text;
        return Ok(Json(reply.ended(is_cut, &usage)).into_response());
    }
    Ok(stream_of(Streamed {
        turn,
        ready: VecDeque::from(reply.opening()),
        told: Box::new(move |piece| reply.tell(piece)),
        has_ended: false,
    }))
}

/// A response while it is being made.
struct Reply {
    id: String,
    created: u64,
    model: String,
    text: String,
    /// Events sent so far; each has its number.
    n_sent: u64,
}

impl Reply {
    fn opening(&mut self) -> Vec<String> {
        let begun = self.object("in_progress", json!([]), Value::Null);
        let item = json!({ "id": self.item(), "type": "message", "status": "in_progress", "role": "assistant", "content": [] });
        let part = part("");
        vec![
            self.event("response.created", json!({ "response": begun })),
            self.event("response.in_progress", json!({ "response": begun })),
            self.event(
                "response.output_item.added",
                json!({ "output_index": 0, "item": item }),
            ),
            self.part_event("response.content_part.added", "part", part),
        ]
    }

    fn tell(&mut self, piece: Piece) -> Vec<String> {
        match piece {
            Piece::Text(text) => {
                self.text.push_str(&text);
                vec![self.part_event("response.output_text.delta", "delta", text.into())]
            }
            Piece::Ended(End::Failed(refusal)) => {
                let mut failed = self.object("failed", json!([]), Value::Null);
                failed["error"] = json!({ "code": "server_error", "message": refusal.json()["error"]["message"] });
                vec![self.event("response.failed", json!({ "response": failed }))]
            }
            Piece::Ended(End::Answered { is_cut, usage }) => {
                let text = self.text.clone();
                let item = self.message(is_cut);
                let (name, response) = match is_cut {
                    true => ("response.incomplete", self.ended(true, &usage)),
                    false => ("response.completed", self.ended(false, &usage)),
                };
                vec![
                    self.part_event("response.output_text.done", "text", text.as_str().into()),
                    self.part_event("response.content_part.done", "part", part(&text)),
                    self.event(
                        "response.output_item.done",
                        json!({ "output_index": 0, "item": item }),
                    ),
                    self.event(name, json!({ "response": response })),
                ]
            }
        }
    }

    fn item(&self) -> String {
        format!("msg_{}", self.id)
    }

    fn message(&self, is_cut: bool) -> Value {
        json!({
            "id": self.item(),
            "type": "message",
            "status": status(is_cut),
            "role": "assistant",
            "content": [part(&self.text)],
        })
    }

    fn ended(&self, is_cut: bool, usage: &Usage) -> Value {
        let mut response =
            self.object(status(is_cut), json!([self.message(is_cut)]), tokens(usage));
        if is_cut {
            response["incomplete_details"] = json!({ "reason": "max_output_tokens" });
        }
        response
    }

    fn object(&self, status: &str, output: Value, usage: Value) -> Value {
        json!({
            "id": format!("resp_{}", self.id),
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": null,
            "incomplete_details": null,
            "instructions": null,
            "model": self.model,
            "output": output,
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "store": false,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        })
    }

    fn part_event(&mut self, name: &str, field: &str, value: Value) -> String {
        let fields =
            json!({ "item_id": self.item(), "output_index": 0, "content_index": 0, field: value });
        self.event(name, fields)
    }

    fn event(&mut self, name: &str, mut fields: Value) -> String {
        fields["type"] = name.into();
        fields["sequence_number"] = self.n_sent.into();
        self.n_sent += 1;
        format!("event: {name}\ndata: {fields}\n\n")
    }
}

fn status(is_cut: bool) -> &'static str {
    match is_cut {
        true => "incomplete",
        false => "completed",
    }
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

fn tokens(usage: &Usage) -> Value {
    let read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
    json!({
        "input_tokens": read,
        "input_tokens_details": { "cached_tokens": usage.cache_read_tokens },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": read + usage.output_tokens,
    })
}
