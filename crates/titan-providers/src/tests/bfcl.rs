//! Foreign calls: each accepted answer of the function calling leaderboard, re-encoded as the deltas of each wire and
//! cut anywhere, must come out as it went in.

use super::{WIRES, decode};
use crate::wire::Wire;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use titan_protocol::{ModelError, ModelEvent};

/// The data's folder: beside the workspace, or where this variable says.
const FOLDER_VARIABLE: &str = "TITAN_SHARED_DATA";
/// Bodies are cut after every so many bytes; 1 is every byte alone.
const PIECES: [usize; 4] = [1, 2, 7, 64];

fn data_folder() -> Result<PathBuf, String> {
    let folder = match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    }
    .join("bfcl/possible_answer");
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(format!(
            "{} is not there; set {FOLDER_VARIABLE}",
            folder.display()
        ))
    }
}

/// A name with its arguments.
type Call = (String, Map<String, Value>);

/// The calls of a file: of each argument's accepted values the first.
fn read_calls(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        for call in line["ground_truth"].as_array().unwrap() {
            for (name, arguments) in call.as_object().unwrap() {
                let accepted = arguments.as_object().unwrap().iter();
                let arguments = accepted.map(|(key, values)| (key.clone(), values[0].clone()));
                calls.push((name.clone(), arguments.collect()));
            }
        }
    }
    calls
}

fn event(body: &mut String, value: &Value) {
    write!(
        body,
        "event: {}\ndata: {value}\n\n",
        value["type"].as_str().unwrap()
    )
    .unwrap();
}

/// A reply that makes these calls, its arguments cut after every `piece` characters.
fn encode(wire: Wire, calls: &[Call], piece: usize) -> String {
    let mut body = String::new();
    match wire {
        Wire::Anthropic => encode_anthropic(&mut body, calls, piece),
        Wire::OpenAiChat => encode_chat(&mut body, calls, piece),
        Wire::OpenAiResponses => encode_responses(&mut body, calls, piece),
        Wire::Ollama => encode_ollama(&mut body, calls),
    }
    body
}

fn cut(arguments: &Map<String, Value>, piece: usize) -> Vec<String> {
    let text: Vec<char> = json!(arguments).to_string().chars().collect();
    text.chunks(piece).map(|it| it.iter().collect()).collect()
}

fn encode_anthropic(body: &mut String, calls: &[Call], piece: usize) {
    event(
        body,
        &json!({"type": "message_start", "message": {"usage": {"input_tokens": 1}}}),
    );
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let block =
            json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": name, "input": {}});
        event(
            body,
            &json!({"type": "content_block_start", "index": index, "content_block": block}),
        );
        for json in cut(arguments, piece) {
            let delta = json!({"type": "input_json_delta", "partial_json": json});
            event(
                body,
                &json!({"type": "content_block_delta", "index": index, "delta": delta}),
            );
        }
        event(body, &json!({"type": "content_block_stop", "index": index}));
    }
    event(
        body,
        &json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
    );
    event(body, &json!({"type": "message_stop"}));
}

/// The calls' deltas take turns, as parallel calls may.
fn encode_chat(body: &mut String, calls: &[Call], piece: usize) {
    let mut chunk = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        writeln!(body, "data: {}\n", json!({"choices": [choice]})).unwrap();
    };
    let pieces: Vec<Vec<String>> = calls.iter().map(|(_, it)| cut(it, piece)).collect();
    for (index, (name, _)) in calls.iter().enumerate() {
        let function = json!({"name": name, "arguments": ""});
        let call = json!({"index": index, "id": format!("call_{index}"), "type": "function", "function": function});
        chunk(json!({"tool_calls": [call]}), Value::Null);
    }
    for at in 0..pieces.iter().map(Vec::len).max().unwrap_or(0) {
        for (index, pieces) in pieces.iter().enumerate() {
            if let Some(json) = pieces.get(at) {
                let call = json!({"index": index, "function": {"arguments": json}});
                chunk(json!({"tool_calls": [call]}), Value::Null);
            }
        }
    }
    chunk(json!({}), json!("tool_calls"));
    body.push_str("data: [DONE]\n\n");
}

fn encode_responses(body: &mut String, calls: &[Call], piece: usize) {
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let item = |arguments: &str, status: &str| {
            json!({"type": "function_call", "id": format!("fc_{index}"), "call_id": format!("call_{index}"),
                "name": name, "arguments": arguments, "status": status})
        };
        let whole = json!(arguments).to_string();
        event(
            body,
            &json!({"type": "response.output_item.added", "output_index": index, "item": item("", "in_progress")}),
        );
        for json in cut(arguments, piece) {
            event(
                body,
                &json!({"type": "response.function_call_arguments.delta", "output_index": index, "delta": json}),
            );
        }
        event(
            body,
            &json!({"type": "response.function_call_arguments.done", "output_index": index, "arguments": whole}),
        );
        event(
            body,
            &json!({"type": "response.output_item.done", "output_index": index, "item": item(&whole, "completed")}),
        );
    }
    event(
        body,
        &json!({"type": "response.completed", "response": {"status": "completed"}}),
    );
}

fn encode_ollama(body: &mut String, calls: &[Call]) {
    for (name, arguments) in calls {
        let call = json!({"function": {"name": name, "arguments": arguments}});
        let message = json!({"role": "assistant", "content": "", "tool_calls": [call]});
        writeln!(body, "{}", json!({"message": message, "done": false})).unwrap();
    }
    let end = json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop"});
    writeln!(body, "{end}").unwrap();
}

/// The calls that ended: name and arguments, put together from their pieces.
pub(super) fn ended_calls(items: &[Result<ModelEvent, ModelError>]) -> Vec<(String, String)> {
    let mut open: BTreeMap<u32, (String, String)> = BTreeMap::new();
    let mut ended = BTreeMap::new();
    for event in items.iter().flatten() {
        match event {
            ModelEvent::ToolCallBegin { index, name } => {
                let earlier = open.insert(*index, (name.clone(), String::new()));
                assert!(earlier.is_none(), "call {index} began twice");
            }
            ModelEvent::ToolCallDelta { index, json } => {
                open.get_mut(index).expect("a delta of an open call").1 += json;
            }
            ModelEvent::ToolCallEnd { index } => {
                let call = open.remove(index).expect("an open call ends");
                ended.insert(*index, call);
            }
            _ => {}
        }
    }
    ended.into_values().collect()
}

fn check(wire: Wire, calls: &[Call], arguments_piece: usize, body_piece: usize) {
    let body = encode(wire, calls, arguments_piece);
    let pieces: Vec<&[u8]> = body.as_bytes().chunks(body_piece).collect();
    let items = decode(wire, &pieces);
    let rebuilt: Vec<Call> = ended_calls(&items)
        .into_iter()
        .map(|(name, json)| (name, serde_json::from_str(&json).unwrap()))
        .collect();
    assert_eq!(rebuilt, calls, "{wire:?} {arguments_piece} {body_piece}");
    assert!(items.last().is_some_and(super::is_done), "{wire:?}");
}

/// Checks the calls of a file, one by one and three in parallel.
fn check_file(file: &str, n_calls: usize) {
    let folder = match data_folder() {
        Ok(folder) => folder,
        Err(why) => return titan_testkit::skip("data:bfcl", why),
    };
    let calls = read_calls(&std::fs::read_to_string(folder.join(file)).unwrap());
    assert_eq!(calls.len(), n_calls, "{file}");
    for wire in WIRES {
        for (at, call) in calls.iter().enumerate() {
            // Each call is cut in its own way, byte for byte among them.
            let body_piece = PIECES[at % PIECES.len()];
            check(wire, std::slice::from_ref(call), 1 + at % 9, body_piece);
        }
        for parallel in calls.chunks(3) {
            check(wire, parallel, 13, 11);
        }
    }
}

#[test]
fn every_simple_call_survives_every_wire_cut_anywhere() {
    check_file("BFCL_v4_simple_python.json", 400);
}

#[test]
fn every_chosen_call_survives_every_wire_cut_anywhere() {
    check_file("BFCL_v4_multiple.json", 200);
}

#[test]
fn one_call_survives_a_cut_at_each_byte() {
    let arguments = json!({"text": "a \"ß\" \\ 🦀 {[,:]}\u{2028}\r\n", "n": -1.5e3, "deep": [{"a": [null, true]}]});
    let call = ("mixed".to_owned(), arguments.as_object().unwrap().clone());
    for wire in WIRES {
        let body = encode(wire, std::slice::from_ref(&call), 9);
        let whole = decode(wire, &[body.as_bytes()]);
        for at in 0..=body.len() {
            let (first, second) = body.as_bytes().split_at(at);
            assert_eq!(
                decode(wire, &[first, second]),
                whole,
                "{wire:?} cut at {at}"
            );
        }
    }
}
