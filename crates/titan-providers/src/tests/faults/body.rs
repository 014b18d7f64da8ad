//! What a healthy server sends, as records that a trial can spoil, and what it means.

use crate::wire::Wire;
use serde_json::{Map, Value};
use titan_protocol::{StopReason, Usage};
use titan_testkit::server::{self, Reply};

/// What a model answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Tool,
    Parallel,
}

pub(super) const KINDS: [Kind; 3] = [Kind::Text, Kind::Tool, Kind::Parallel];

/// What a reply means.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Truth {
    pub(super) text: String,
    /// Names and arguments.
    pub(super) calls: Vec<(String, String)>,
    pub(super) stop: StopReason,
}

/// One column of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) wire: Wire,
    pub(super) kind: Kind,
}

pub(super) const ANSWER: &str = "The answer – 42 🦀 – is \"known\".";
pub(super) const LOOK: &str = "Let me look. ";
pub(super) const READ: &str = r#"{"path":"a.toml","n":[1,{"b":null}]}"#;
pub(super) const LIST: &str = r#"{"path":"ß \"b\"","all":true}"#;

impl Case {
    pub(super) fn theirs(self) -> server::Wire {
        match self.wire {
            Wire::Anthropic => server::Wire::Anthropic,
            Wire::OpenAiChat => server::Wire::Chat,
            Wire::OpenAiResponses => server::Wire::Responses,
            Wire::Ollama => server::Wire::Ollama,
        }
    }

    pub(super) fn reply(self) -> Reply {
        let reply = match self.kind {
            Kind::Text => Reply::text(ANSWER),
            Kind::Tool => Reply::text(LOOK).and_call("read", READ, &[3, 1, 9]),
            Kind::Parallel => {
                Reply::text(LOOK)
                    .and_call("read", READ, &[7])
                    .and_call("list", LIST, &[4, 11])
            }
        };
        reply.usage(Usage {
            input_tokens: 100,
            output_tokens: 20,
            ..Usage::default()
        })
    }

    pub(super) fn truth(self) -> Truth {
        let call = |name: &str, arguments: &str| (name.to_owned(), arguments.to_owned());
        let (text, calls) = match self.kind {
            Kind::Text => (ANSWER, vec![]),
            Kind::Tool => (LOOK, vec![call("read", READ)]),
            Kind::Parallel => (LOOK, vec![call("read", READ), call("list", LIST)]),
        };
        Truth {
            text: text.to_owned(),
            stop: if calls.is_empty() {
                StopReason::End
            } else {
                StopReason::ToolCalls
            },
            calls,
        }
    }

    /// The same words, with other calls in the place of its own.
    pub(super) fn reply_calling(self, name: &str, arguments: &str) -> (Reply, Truth) {
        let n_calls = self.truth().calls.len();
        let mut truth = self.truth();
        let mut reply = Reply::text(&truth.text);
        for _ in 0..n_calls.min(1) {
            reply = reply.and_call(name, arguments, &[5.max(arguments.len() / 32)]);
        }
        truth.calls = vec![(name.to_owned(), arguments.to_owned()); n_calls.min(1)];
        (reply, truth)
    }

    pub(super) fn body(self) -> Vec<u8> {
        self.theirs().body(&self.reply())
    }

    pub(super) fn records(self) -> Vec<Record> {
        self.records_of(&self.reply())
    }

    pub(super) fn records_of(self, reply: &Reply) -> Vec<Record> {
        let body = String::from_utf8(self.theirs().body(reply)).expect("JSON is UTF-8");
        match self.wire {
            Wire::Ollama => body.lines().map(|line| Record::read("", line)).collect(),
            _ => body
                .split_terminator("\n\n")
                .map(|record| match record.split_once('\n') {
                    Some((event, data)) => Record::read(after_colon(event), after_colon(data)),
                    None => Record::read("", after_colon(record)),
                })
                .collect(),
        }
    }

    pub(super) fn write(self, records: &[Record]) -> Vec<u8> {
        self.write_with(records, "\n")
    }

    pub(super) fn write_with(self, records: &[Record], end: &str) -> Vec<u8> {
        let mut body = String::new();
        for Record { event, data } in records {
            if self.wire == Wire::Ollama {
                body += &format!("{data}{end}");
                continue;
            }
            if !event.is_empty() {
                body += &format!("event: {event}{end}");
            }
            body += &format!("data: {data}{end}{end}");
        }
        body.into_bytes()
    }

    /// The records with a field of each call changed wherever the wire says it.
    pub(super) fn changed(
        self,
        mut records: Vec<Record>,
        field: Field,
        mut change: impl FnMut(&mut Map<String, Value>, &'static str),
    ) -> Vec<Record> {
        for record in &mut records {
            record.edit(|value| {
                if let Some((object, key)) = place(self.wire, value, field) {
                    change(object, key);
                }
            });
        }
        records
    }

    /// Whether a record holds a piece of the answer or of a call.
    pub(super) fn is_delta(self, record: &Record) -> bool {
        let Ok(mut value) = serde_json::from_str::<Value>(&record.data) else {
            return false;
        };
        let kind = value["type"].as_str().unwrap_or("").to_owned();
        match self.wire {
            Wire::Anthropic => kind == "content_block_delta",
            Wire::OpenAiChat => {
                let delta = &value["choices"][0]["delta"];
                delta["content"].as_str().is_some_and(|it| !it.is_empty())
                    || delta["tool_calls"].is_array()
            }
            Wire::OpenAiResponses => kind.ends_with(".delta"),
            Wire::Ollama => {
                value["done"] == false && place(self.wire, &mut value, Field::Name).is_none()
            }
        }
    }
}

/// One event or line of a body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) event: String,
    pub(super) data: String,
}

impl Record {
    fn read(event: &str, data: &str) -> Self {
        Self {
            event: event.to_owned(),
            data: data.to_owned(),
        }
    }

    /// A record of this text in place of JSON.
    pub(super) fn raw(data: &str) -> Self {
        Self::read("", data)
    }

    /// Whether a call begins here.
    pub(super) fn begins_call(&self, case: Case) -> bool {
        let has = |text| self.data.contains(text);
        match case.wire {
            Wire::Anthropic => self.event == "content_block_start" && has("tool_use"),
            Wire::OpenAiChat => has("tool_calls") && has(r#""name":"#),
            Wire::OpenAiResponses => {
                self.event == "response.output_item.added" && has("function_call")
            }
            Wire::Ollama => has("tool_calls"),
        }
    }

    /// Changes the data, when it is JSON.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        if let Ok(mut value) = serde_json::from_str(&self.data) {
            change(&mut value);
            self.data = value.to_string();
        }
    }
}

fn after_colon(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, data)| data)
}

/// What a wire says about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Name,
    Index,
    Arguments,
}

/// Where a record of this wire has the field of a call.
fn place(
    wire: Wire,
    value: &mut Value,
    field: Field,
) -> Option<(&mut Map<String, Value>, &'static str)> {
    let kind = value["type"].as_str().unwrap_or("").to_owned();
    let (object, key) = match (wire, field) {
        (Wire::Anthropic, Field::Index) => (value, "index"),
        (Wire::Anthropic, Field::Arguments) => (value.get_mut("delta")?, "partial_json"),
        (Wire::Anthropic, _) => {
            let block = value.get_mut("content_block")?;
            if block["type"] != "tool_use" {
                return None;
            }
            (block, if field == Field::Id { "id" } else { "name" })
        }
        (Wire::OpenAiChat | Wire::Ollama, _) => {
            let message = match wire {
                Wire::Ollama => value.get_mut("message")?,
                _ => value.get_mut("choices")?.get_mut(0)?.get_mut("delta")?,
            };
            let call = message.get_mut("tool_calls")?.get_mut(0)?;
            match field {
                Field::Id => (call, "id"),
                Field::Index if wire == Wire::OpenAiChat => (call, "index"),
                Field::Index => (call.get_mut("function")?, "index"),
                Field::Name => (call.get_mut("function")?, "name"),
                Field::Arguments => (call.get_mut("function")?, "arguments"),
            }
        }
        (Wire::OpenAiResponses, Field::Index) => (value, "output_index"),
        (Wire::OpenAiResponses, Field::Arguments) => match kind.as_str() {
            "response.function_call_arguments.delta" => (value, "delta"),
            "response.function_call_arguments.done" => (value, "arguments"),
            _ => (value.get_mut("item")?, "arguments"),
        },
        (Wire::OpenAiResponses, Field::Id) => (value.get_mut("item")?, "call_id"),
        (Wire::OpenAiResponses, Field::Name) => (value.get_mut("item")?, "name"),
    };
    let object = object.as_object_mut()?;
    object.contains_key(key).then_some((object, key))
}
