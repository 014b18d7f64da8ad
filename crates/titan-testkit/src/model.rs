//! A scripted model, written as text, that can be held at a gate.
//!
//! A script is a list of replies. Each line of a reply is one thing that streams back:
//!
//! ```text
//! hello                          a piece of text, with its newline
//! think: it is about crates      a piece of thinking
//! call read {"path":"a.rs"}      a whole tool call; its arguments stream in pieces of 7 bytes
//! begin shell {"script":"ls      a call whose arguments are cut here: it never ends, unless the next two say so
//! more: \nmake"}                 goes on with the arguments of the call that began last
//! whole:                         ends it
//! gate a                         waits until the test opens this gate
//! usage 100 20                   tokens read and written
//! stop length                    ends the reply: end, tool_calls, length, refused
//! fail unavailable no route      ends it with an error: unavailable, interrupted, limited, too_long, unauthorized
//! ```
//!
//! A reply that does not say how it stops ends with `tool_calls` if it made one, else with `end`.

use crate::gate::Gate;
use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use titan_protocol::{
    ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, Provider, StopReason, Usage,
};

/// Tool arguments stream in pieces of this many bytes.
const ARGUMENT_PIECE_BYTES: usize = 7;

/// A provider that replies from a script, one reply for each request, and remembers the requests.
#[derive(Clone)]
pub struct ScriptedModel {
    replies: Arc<Mutex<VecDeque<String>>>,
    requests: Arc<Mutex<Vec<ModelRequest>>>,
    gates: Arc<Mutex<HashMap<String, Gate>>>,
}

impl ScriptedModel {
    /// A model with these replies.
    pub fn new(replies: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            replies: Arc::new(Mutex::new(replies.into_iter().map(Into::into).collect())),
            requests: Arc::default(),
            gates: Arc::default(),
        }
    }

    /// The gate of this name, in whichever reply it stands.
    pub fn gate(&self, name: &str) -> Gate {
        self.gates
            .lock()
            .entry(name.to_owned())
            .or_default()
            .clone()
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.requests.lock().clone()
    }
}

#[async_trait]
impl Provider for ScriptedModel {
    fn name(&self) -> &str {
        "script"
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        let this = self.clone();
        futures::stream::once(async move {
            this.requests.lock().push(request);
            let reply = this.replies.lock().pop_front();
            let steps = reply.map_or_else(exhausted, |reply| parse(&reply));
            futures::stream::iter(steps).filter_map(move |step| {
                let this = this.clone();
                async move {
                    match step {
                        Scripted::Event(event) => Some(Ok(event)),
                        Scripted::Error(error) => Some(Err(error)),
                        Scripted::Gate(name) => {
                            this.gate(&name).pass().await;
                            None
                        }
                    }
                }
            })
        })
        .flatten()
        .boxed()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        Ok(Vec::new())
    }
}

enum Scripted {
    Event(ModelEvent),
    Error(ModelError),
    Gate(String),
}

fn exhausted() -> Vec<Scripted> {
    let detail = "the script has no more replies".to_owned();
    vec![Scripted::Error(ModelError::NoModel { detail })]
}

fn parse(reply: &str) -> Vec<Scripted> {
    let route = ModelEvent::Route {
        provider: "script".to_owned(),
        model: "scripted".to_owned(),
        reason: None,
    };
    let mut steps = vec![Scripted::Event(route)];
    let mut calls = 0;
    let mut is_over = false;
    for line in reply.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "gate" => steps.push(Scripted::Gate(rest.to_owned())),
            "think:" => steps.push(Scripted::Event(ModelEvent::ThinkingDelta {
                text: format!("{rest}\n"),
            })),
            "call" | "begin" => {
                steps.extend(
                    call(calls, rest, word == "call")
                        .into_iter()
                        .map(Scripted::Event),
                );
                calls += 1;
            }
            "more:" => steps.extend(pieces(calls - 1, rest).into_iter().map(Scripted::Event)),
            "whole:" => {
                let index = calls - 1;
                steps.push(Scripted::Event(ModelEvent::ToolCallEnd { index }));
            }
            "hidden" => {
                let why = rest.to_owned();
                steps.push(Scripted::Event(ModelEvent::ImagesHidden { why }));
            }
            "usage" => steps.push(Scripted::Event(ModelEvent::Usage(usage(rest)))),
            "stop" => {
                steps.push(Scripted::Event(ModelEvent::Done { stop: stop(rest) }));
                is_over = true;
            }
            "fail" => {
                steps.push(Scripted::Error(failure(rest)));
                is_over = true;
            }
            _ => steps.push(Scripted::Event(ModelEvent::TextDelta {
                text: format!("{line}\n"),
            })),
        }
    }
    if !is_over {
        let stop = if calls > 0 {
            StopReason::ToolCalls
        } else {
            StopReason::End
        };
        steps.push(Scripted::Event(ModelEvent::Done { stop }));
    }
    steps
}

fn call(index: u32, line: &str, ends: bool) -> Vec<ModelEvent> {
    let (name, arguments) = line.split_once(' ').unwrap_or((line, "{}"));
    let mut events = vec![ModelEvent::ToolCallBegin {
        index,
        name: name.to_owned(),
    }];
    events.extend(pieces(index, arguments));
    if ends {
        events.push(ModelEvent::ToolCallEnd { index });
    }
    events
}

fn pieces(index: u32, arguments: &str) -> Vec<ModelEvent> {
    let mut events = Vec::new();
    let chunks = arguments.as_bytes().chunks(ARGUMENT_PIECE_BYTES);
    let mut from = 0;
    let mut upto = 0;
    for bytes in chunks.map(<[u8]>::len) {
        upto += bytes;
        if arguments.is_char_boundary(upto) {
            events.push(ModelEvent::ToolCallDelta {
                index,
                json: arguments[from..upto].to_owned(),
            });
            from = upto;
        }
    }
    events
}

fn usage(text: &str) -> Usage {
    let mut numbers = text
        .split(' ')
        .map(|number| number.parse().expect("usage is two numbers"));
    Usage {
        input_tokens: numbers.next().unwrap_or(0),
        output_tokens: numbers.next().unwrap_or(0),
        ..Usage::default()
    }
}

fn stop(text: &str) -> StopReason {
    match text {
        "end" => StopReason::End,
        "tool_calls" => StopReason::ToolCalls,
        "length" => StopReason::Length,
        "refused" => StopReason::Refused,
        other => panic!("{other:?} is no way to stop"),
    }
}

fn failure(text: &str) -> ModelError {
    let (kind, detail) = text.split_once(' ').unwrap_or((text, "scripted"));
    let (provider, detail) = ("script".to_owned(), detail.to_owned());
    match kind {
        "unavailable" => ModelError::Unavailable { provider, detail },
        "interrupted" => ModelError::Interrupted { provider, detail },
        "limited" => ModelError::Limited {
            provider,
            detail,
            retry_after_ms: None,
        },
        "too_long" => ModelError::TooLong {
            model: "scripted".to_owned(),
            detail,
        },
        "rejected" => ModelError::Rejected { provider, detail },
        "unauthorized" => ModelError::Unauthorized { provider, detail },
        other => panic!("{other:?} is no way to fail"),
    }
}
