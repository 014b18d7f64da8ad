//! The rows of the fault table: what each does to a healthy reply, and what must come of it.

use super::body::{Case, Field, Kind, LOOK, Record, Truth};
use super::egress::{Piece, Served};
use super::{Class, Trial};
use crate::wire::Wire;
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use titan_protocol::{EgressError, StopReason};
use titan_testkit::server::{Part, Reply};

use Class::{
    Interrupted, Limited, Malformed, NoModel, Rejected, TooLong, Unauthorized, Unavailable,
};

/// A fault: its trials for each case.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) trials: fn(Case) -> Vec<Trial>,
}

macro_rules! rows {
    ($($name:ident),* $(,)?) => {
        &[$(Row { name: stringify!($name), trials: $name }),*]
    };
}

/// The table.
pub(super) const ROWS: &[Row] = rows![
    nothing_wrong,
    // The bytes.
    cut_at_every_byte,
    split_at_every_byte,
    line_ends,
    byte_order_mark,
    comments_between,
    invalid_utf8_in_text,
    invalid_utf8_in_arguments,
    compressed_garbage,
    wrong_content_type,
    json_content_type,
    nothing_in_the_body,
    no_content,
    whole_in_one_json,
    // The order and number of what is sent.
    no_end_marker,
    end_marker_twice,
    two_same_reasons,
    two_different_reasons,
    more_after_the_end,
    repeated_piece,
    repeated_call,
    repeated_call_without_id,
    interleaved_calls,
    // The fields.
    id_missing,
    id_reused,
    id_of_a_wrong_type,
    index_missing,
    index_reused,
    index_reversed,
    index_absurd,
    name_missing,
    name_empty,
    name_of_a_wrong_type,
    name_unknown,
    arguments_as_an_object,
    arguments_as_text,
    arguments_of_a_wrong_type,
    arguments_empty,
    arguments_never_closed,
    arguments_closed_too_often,
    arguments_with_a_key_twice,
    arguments_very_deep,
    length_in_the_middle,
    length_without_a_sign,
    filtered_in_the_middle,
    unknown_reason,
    reason_of_a_wrong_type,
    usage_absurd,
    not_json_first,
    not_json_later,
    json_of_another_kind,
    // Time.
    a_minute_of_silence,
    silence_for_ever,
    no_head,
    one_byte_each_ten_seconds,
    pings_for_ever,
    // Size.
    line_of_100_megabytes,
    text_without_end,
    arguments_without_end,
    calls_without_end,
    comments_without_end,
    json_without_end,
    error_body_without_end,
    error_body_that_drips,
    page_without_end,
    headers_gigantic,
    // Refusals.
    error_first,
    error_later,
    error_with_a_huge_text,
    error_with_a_hostile_text,
    ok_with_an_error_body,
    page_in_place_of_an_answer,
    page_with_502,
    redirected,
    refused_400,
    refused_401,
    refused_402,
    refused_403,
    refused_404,
    refused_404_model,
    refused_408,
    refused_409,
    refused_413,
    refused_422,
    refused_429,
    refused_500,
    refused_502,
    refused_503,
    refused_504,
    refused_529,
    retry_after_seconds,
    retry_after_a_date,
    retry_after_absurd,
    retry_after_past_or_negative,
    retry_after_nonsense,
    // The way.
    connection_refused,
    name_not_found,
    tls_failed,
    forbidden_by_a_rule,
    reset_before_the_head,
    reset_in_the_middle,
    kept_connection_was_closed,
    passes_at_the_third_try,
];

fn whole(served: Served, case: Case) -> Vec<Trial> {
    vec![Trial::of("", served, case).whole()]
}

fn sent(case: Case, records: &[Record]) -> Served {
    served(case, case.write(records))
}

fn served(case: Case, body: impl Into<Bytes>) -> Served {
    Served::body(body).header("content-type", case.theirs().stream_type())
}

fn healthy(case: Case) -> Served {
    served(case, case.body())
}

/// The healthy body up to the middle of what is said, and from there on.
fn halves(case: Case) -> (Vec<u8>, Vec<u8>) {
    let records = case.records();
    let deltas: Vec<usize> = (0..records.len())
        .filter(|at| case.is_delta(&records[*at]))
        .collect();
    let middle = deltas[deltas.len() / 2] + 1;
    (
        case.write(&records[..middle]),
        case.write(&records[middle..]),
    )
}

fn nothing_wrong(case: Case) -> Vec<Trial> {
    whole(healthy(case), case)
}

fn cut_at_every_byte(case: Case) -> Vec<Trial> {
    let body = case.body();
    let cut = |at: usize| {
        let start = Bytes::copy_from_slice(&body[..at]);
        let (what, served) = if at.is_multiple_of(2) {
            (format!("reset at {at}"), served(case, start).then(reset()))
        } else {
            (format!("closed at {at}"), served(case, start))
        };
        let trial = Trial::of(what, served, case).either(&[Unavailable, Interrupted]);
        // The chain does the same at each byte; a few of them show it.
        if at % 64 < 2 { trial } else { trial.alone() }
    };
    (0..body.len()).map(cut).collect()
}

fn split_at_every_byte(case: Case) -> Vec<Trial> {
    let pieces = case
        .body()
        .into_iter()
        .map(|byte| Piece::Bytes(vec![byte].into()));
    let mut served = served(case, Bytes::new());
    served.body = pieces.collect();
    whole(served, case)
}

fn line_ends(case: Case) -> Vec<Trial> {
    ["\r\n", "\r"]
        .iter()
        .filter(|end| case.wire != Wire::Ollama || **end == "\r\n")
        .map(|end| {
            let body = case.write_with(&case.records(), end);
            Trial::of(format!("{end:?}"), served(case, body), case).whole()
        })
        .collect()
}

fn byte_order_mark(case: Case) -> Vec<Trial> {
    let mut body = b"\xef\xbb\xbf".to_vec();
    body.extend(case.body());
    whole(served(case, body), case)
}

fn comments_between(case: Case) -> Vec<Trial> {
    let comment = match case.wire {
        Wire::Ollama => "\n  \n",
        _ => ": keep-alive\n\nid: 7\nretry: 10\n\n",
    };
    let mut body = comment.as_bytes().to_vec();
    for record in case.records() {
        body.extend(case.write(&[record]));
        body.extend(comment.as_bytes());
    }
    whole(served(case, body), case)
}

/// A byte that is no UTF-8 after the first `after`.
fn spoiled(case: Case, after: &str) -> Vec<u8> {
    let mut body = case.body();
    let at = body
        .windows(after.len())
        .position(|window| window == after.as_bytes())
        .expect("the body has it");
    body.insert(at + after.len(), 0xff);
    body
}

fn invalid_utf8_in_text(case: Case) -> Vec<Trial> {
    let word = if case.kind == Kind::Text {
        "answer"
    } else {
        "look"
    };
    let mut truth = case.truth();
    truth.text = truth.text.replace(word, &format!("{word}\u{fffd}"));
    let served = served(case, spoiled(case, word));
    let trial = Trial::of("", served, case).either(&[Interrupted, Malformed]);
    vec![trial.meaning(truth)]
}

fn invalid_utf8_in_arguments(case: Case) -> Vec<Trial> {
    if case.kind == Kind::Text {
        return nothing_wrong(case);
    }
    // A short piece that stands in the arguments alone.
    let (reply, _) = case.reply_calling("read", r#"{"path":"qqqqq.toml"}"#);
    let mut body = case.theirs().body(&reply);
    let at = body
        .windows(2)
        .position(|window| window == b"qq")
        .expect("it is there");
    body.insert(at + 1, 0xff);
    vec![Trial::of("", served(case, body), case).fails(&[Malformed])]
}

fn compressed_garbage(case: Case) -> Vec<Trial> {
    let gzip: Vec<u8> = [0x1f, 0x8b, 8, 0]
        .into_iter()
        .chain((0..=255).cycle().take(4000))
        .collect();
    let refused = served(case, Bytes::new()).then(Piece::Break(EgressError::Broken(
        "the body is not gzip".to_owned(),
    )));
    let undone = served(case, gzip).header("content-encoding", "gzip");
    vec![
        Trial::of("told", refused, case)
            .fails(&[Unavailable])
            .asks(3),
        Trial::of("as bytes", undone, case).fails(&[Malformed, Interrupted]),
    ]
}

fn wrong_content_type(case: Case) -> Vec<Trial> {
    [
        "text/plain",
        "application/octet-stream",
        "",
        "text/event-stream",
        "x/y; charset=utf-16",
    ]
    .map(|kind| {
        let served = Served::body(case.body()).header("content-type", kind);
        Trial::of(kind, served, case).whole()
    })
    .into()
}

fn json_content_type(case: Case) -> Vec<Trial> {
    let served = Served::body(case.body()).header("content-type", "application/json");
    vec![Trial::of("", served, case).either(&[Malformed])]
}

fn nothing_in_the_body(case: Case) -> Vec<Trial> {
    ["", "\n\n", " \r\n"]
        .map(|body| {
            let trial = Trial::of(format!("{body:?}"), served(case, body), case);
            trial.fails(&[Interrupted, Unavailable]).asks(3)
        })
        .into()
}

fn no_content(case: Case) -> Vec<Trial> {
    let trial = Trial::of("204", Served::status(204), case);
    vec![trial.fails(&[Interrupted, Unavailable]).asks(3)]
}

/// A server that does not stream.
fn whole_in_one_json(case: Case) -> Vec<Trial> {
    let mut truth = case.truth();
    let calls: Vec<Value> = truth
        .calls
        .iter()
        .enumerate()
        .map(|(at, (name, arguments))| {
            json!({"id": format!("c{at}"), "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    let body = match case.wire {
        Wire::OpenAiChat => json!({"object": "chat.completion", "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": truth.text, "tool_calls": calls},
        }]}),
        // The others are always asked to stream and do; what else they send is not taken for an answer.
        _ => {
            truth = case.truth();
            json!({"id": "x", "status": "done"})
        }
    };
    let served = Served::body(body.to_string()).header("content-type", "application/json");
    let trial = Trial::of("", served, case).meaning(truth);
    vec![match case.wire {
        Wire::OpenAiChat => trial.whole(),
        _ => trial.fails(&[Malformed, Interrupted]),
    }]
}

fn no_end_marker(case: Case) -> Vec<Trial> {
    let mut records = case.records();
    records.pop();
    let trial = Trial::of("", sent(case, &records), case);
    vec![match case.wire {
        Wire::OpenAiChat => trial.whole(),
        _ => trial.fails(&[Interrupted]),
    }]
}

fn end_marker_twice(case: Case) -> Vec<Trial> {
    let mut records = case.records();
    records.extend(records.last().cloned());
    whole(sent(case, &records), case)
}

/// Where the wire says why it stopped.
fn reason_at(case: Case, records: &[Record]) -> usize {
    let is_reason = |record: &Record| match case.wire {
        Wire::Anthropic => record.event == "message_delta",
        Wire::OpenAiChat => record.data.contains(r#""finish_reason":""#),
        Wire::OpenAiResponses => record.event == "response.completed",
        Wire::Ollama => record.data.contains("done_reason"),
    };
    records
        .iter()
        .position(is_reason)
        .expect("there is a reason")
}

fn set_reason(case: Case, record: &mut Record, reason: Value) {
    record.edit(|value| match case.wire {
        Wire::Anthropic => value["delta"]["stop_reason"] = reason,
        Wire::OpenAiChat => value["choices"][0]["finish_reason"] = reason,
        Wire::OpenAiResponses => value["response"]["status"] = reason,
        Wire::Ollama => value["done_reason"] = reason,
    });
}

fn two_same_reasons(case: Case) -> Vec<Trial> {
    let mut records = case.records();
    let at = reason_at(case, &records);
    records.insert(at, records[at].clone());
    whole(sent(case, &records), case)
}

fn two_different_reasons(case: Case) -> Vec<Trial> {
    let mut records = case.records();
    let at = reason_at(case, &records);
    let mut other = records[at].clone();
    let reason = if case.wire == Wire::Anthropic {
        "max_tokens"
    } else {
        "length"
    };
    set_reason(case, &mut other, json!(reason));
    records.insert(at + 1, other);
    vec![Trial::of("", sent(case, &records), case).either(&[Malformed])]
}

fn more_after_the_end(case: Case) -> Vec<Trial> {
    let records = case.records();
    let mut after_reason = records.clone();
    let mut after_end = records.clone();
    let delta = records
        .iter()
        .find(|it| case.is_delta(it))
        .cloned()
        .expect("it says something");
    let at = reason_at(case, &records) + 1;
    after_reason.insert(at, delta.clone());
    after_end.push(delta);
    vec![
        Trial::of("after the reason", sent(case, &after_reason), case).either(&[Malformed]),
        Trial::of("after the end", sent(case, &after_end), case).whole(),
    ]
}

/// Only where events are numbered can a piece that came twice be told from one that was said twice.
fn repeated_piece(case: Case) -> Vec<Trial> {
    let records = case.records();
    let deltas = (0..records.len()).filter(|at| case.is_delta(&records[*at]));
    deltas
        .map(|at| {
            let mut doubled = records.clone();
            doubled.insert(at, records[at].clone());
            let trial = Trial::of(format!("record {at}"), sent(case, &doubled), case);
            match case.wire {
                Wire::OpenAiResponses => trial.whole(),
                _ => trial.either(&[Malformed]).may_stutter(),
            }
        })
        .collect()
}

/// The records of the last call, from its beginning to its end.
fn last_call(case: Case, records: &[Record]) -> std::ops::Range<usize> {
    match records.iter().rposition(|record| record.begins_call(case)) {
        Some(start) => start..reason_at(case, records),
        None => 0..0,
    }
}

fn repeated_call(case: Case) -> Vec<Trial> {
    let mut records = case.records();
    let call = last_call(case, &records);
    if call.is_empty() {
        return nothing_wrong(case);
    }
    let again = records[call.clone()].to_vec();
    records.splice(call.end..call.end, again);
    vec![Trial::of("", sent(case, &records), case).either(&[Malformed])]
}

fn repeated_call_without_id(case: Case) -> Vec<Trial> {
    let mut records = case.changed(case.records(), Field::Id, |call, key| {
        call.remove(key);
    });
    let call = last_call(case, &records);
    if call.is_empty() {
        return nothing_wrong(case);
    }
    let again = records[call.clone()].to_vec();
    records.splice(call.end..call.end, again);
    vec![Trial::of("", sent(case, &records), case).either(&[Malformed])]
}

/// The pieces of parallel calls in turns.
fn interleaved_calls(case: Case) -> Vec<Trial> {
    let records = case.records();
    if case.kind != Kind::Parallel || case.wire == Wire::Ollama {
        return nothing_wrong(case);
    }
    let second = last_call(case, &records);
    let first = last_call_before(case, &records, second.start);
    let (mut a, mut b) = (
        records[first.clone()].iter(),
        records[second.clone()].iter(),
    );
    let mut mixed = records[..first.start].to_vec();
    loop {
        let (one, other) = (a.next(), b.next());
        if one.is_none() && other.is_none() {
            break;
        }
        mixed.extend(one.cloned());
        mixed.extend(other.cloned());
    }
    mixed.extend_from_slice(&records[second.end..]);
    whole(sent(case, &mixed), case)
}

fn last_call_before(case: Case, records: &[Record], end: usize) -> std::ops::Range<usize> {
    let mut shorter = records[..end].to_vec();
    shorter.extend_from_slice(&records[reason_at(case, records)..]);
    last_call(case, &shorter).start..end
}

fn id_missing(case: Case) -> Vec<Trial> {
    let records = case.changed(case.records(), Field::Id, |call, key| {
        call.remove(key);
    });
    whole(sent(case, &records), case)
}

fn id_reused(case: Case) -> Vec<Trial> {
    let records = case.changed(case.records(), Field::Id, |call, key| {
        call.insert(key.to_owned(), json!("same"));
    });
    let trial = Trial::of("", sent(case, &records), case);
    vec![match case.kind {
        Kind::Parallel => trial.fails(&[Malformed]),
        _ => trial.whole(),
    }]
}

fn id_of_a_wrong_type(case: Case) -> Vec<Trial> {
    [json!(7), json!(null), json!({"a": 1}), json!("")]
        .map(|id| {
            let records = case.changed(case.records(), Field::Id, |call, key| {
                call.insert(key.to_owned(), id.clone());
            });
            Trial::of(id.to_string(), sent(case, &records), case).either(&[Malformed])
        })
        .into()
}

fn with_index(case: Case, index: impl Fn(u64) -> Option<Value>) -> Served {
    let records = case.changed(case.records(), Field::Index, |call, key| {
        let was = call[key].as_u64().unwrap_or(0);
        match index(was) {
            Some(value) => call.insert(key.to_owned(), value),
            None => call.remove(key),
        };
    });
    sent(case, &records)
}

fn index_missing(case: Case) -> Vec<Trial> {
    vec![Trial::of("", with_index(case, |_| None), case).whole()]
}

fn index_reused(case: Case) -> Vec<Trial> {
    vec![Trial::of("", with_index(case, |_| Some(json!(0))), case).whole()]
}

fn index_reversed(case: Case) -> Vec<Trial> {
    let served = with_index(case, |was| Some(json!(9 - was.min(9))));
    whole(served, case)
}

fn index_absurd(case: Case) -> Vec<Trial> {
    [
        json!(-1),
        json!("0"),
        json!(1e30),
        json!(u64::MAX),
        json!([]),
    ]
    .map(|index| {
        let served = with_index(case, |_| Some(index.clone()));
        Trial::of(index.to_string(), served, case).either(&[Malformed])
    })
    .into()
}

fn with_name(case: Case, name: Option<Value>) -> Trial {
    let records = case.changed(case.records(), Field::Name, |call, key| {
        match &name {
            Some(name) => call.insert(key.to_owned(), name.clone()),
            None => call.remove(key),
        };
    });
    let what = name.map(|name| name.to_string()).unwrap_or_default();
    let trial = Trial::of(what, sent(case, &records), case);
    match case.kind {
        Kind::Text => trial.whole(),
        _ => trial.fails(&[Malformed]),
    }
}

fn name_missing(case: Case) -> Vec<Trial> {
    vec![with_name(case, None)]
}

fn name_empty(case: Case) -> Vec<Trial> {
    vec![with_name(case, Some(json!("")))]
}

fn name_of_a_wrong_type(case: Case) -> Vec<Trial> {
    [
        json!(7),
        json!(null),
        json!(["read"]),
        json!({"name": "read"}),
    ]
    .map(|name| with_name(case, Some(name)))
    .into()
}

/// Not for this crate to judge: it is passed on as it is, and nothing is taken for another tool.
fn name_unknown(case: Case) -> Vec<Trial> {
    let (reply, truth) = case.reply_calling("no_such_tool", "{}");
    let body = case.theirs().body(&reply);
    vec![
        Trial::of("", served(case, body), case)
            .meaning(truth)
            .whole(),
    ]
}

/// Each call's arguments in one piece, of any type, said once.
fn with_arguments(case: Case, arguments: impl Fn(&str) -> Value) -> Served {
    let calls = case.truth().calls;
    let mut n_begun = 0;
    let mut records = case.records();
    let mut said = std::collections::BTreeSet::new();
    records.retain_mut(|record| {
        n_begun += usize::from(record.begins_call(case));
        let Some((_, whole)) = n_begun.checked_sub(1).and_then(|at| calls.get(at)) else {
            return true;
        };
        let is_piece = case.is_delta(record) && !record.begins_call(case);
        let is_first = !is_piece || said.insert(n_begun);
        let changed = case.changed(vec![record.clone()], Field::Arguments, |call, key| {
            call.insert(key.to_owned(), arguments(whole));
        });
        // A beginning holds no arguments yet on the wires that have pieces.
        if !record.begins_call(case) || case.wire == Wire::Ollama {
            *record = changed[0].clone();
        }
        is_first
    });
    sent(case, &records)
}

fn arguments_as_an_object(case: Case) -> Vec<Trial> {
    let served = with_arguments(case, |whole| serde_json::from_str(whole).expect("JSON"));
    whole(served, case)
}

fn arguments_as_text(case: Case) -> Vec<Trial> {
    whole(with_arguments(case, |whole| json!(whole)), case)
}

fn arguments_of_a_wrong_type(case: Case) -> Vec<Trial> {
    [
        json!(7),
        json!(true),
        json!([1, 2]),
        json!("half {"),
        json!("\"words\""),
        json!("7"),
    ]
    .map(|arguments| {
        let text = match &arguments {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut truth = case.truth();
        for call in &mut truth.calls {
            call.1.clone_from(&text);
        }
        let served = with_arguments(case, |_| arguments.clone());
        let trial = Trial::of(text, served, case).meaning(truth);
        match case.kind {
            Kind::Text => trial.whole(),
            // Whether they are an object is judged where they are parsed.
            _ => trial.either(&[Malformed]),
        }
    })
    .into()
}

fn arguments_empty(case: Case) -> Vec<Trial> {
    let (reply, mut truth) = case.reply_calling("read", "");
    let (braces, _) = case.reply_calling("read", "{}");
    for call in &mut truth.calls {
        call.1 = "{}".to_owned();
    }
    // Ollama has no way to leave them out: they are an object there.
    let reply = if case.wire == Wire::Ollama {
        braces
    } else {
        reply
    };
    let body = case.theirs().body(&reply);
    vec![
        Trial::of("", served(case, body), case)
            .meaning(truth)
            .whole(),
    ]
}

fn calling(case: Case, arguments: &str) -> (Trial, bool) {
    let (reply, truth) = case.reply_calling("read", arguments);
    let has_call = !truth.calls.is_empty();
    let body = case.theirs().body(&reply);
    (
        Trial::of("", served(case, body), case).meaning(truth),
        has_call,
    )
}

fn arguments_never_closed(case: Case) -> Vec<Trial> {
    let mut trials = Vec::new();
    for arguments in [
        "{",
        r#"{"path":"Car"#,
        r#"{"path":"Cargo.toml""#,
        r#"{"a":[{"b":1}"#,
    ] {
        let (trial, has_call) = calling(case, arguments);
        trials.push(match has_call {
            true => trial.fails(&[Malformed, Interrupted]).no_calls(),
            false => trial.whole(),
        });
    }
    trials
}

fn arguments_closed_too_often(case: Case) -> Vec<Trial> {
    let mut trials = Vec::new();
    for arguments in [r#"{"a":1}}"#, r#"{"a":1}{"a":2}"#, r#"{"a":1]"#] {
        let (trial, has_call) = calling(case, arguments);
        trials.push(match has_call {
            // What is closed and is no JSON is told the model by who parses it; it never runs.
            true => trial.either(&[Malformed, Interrupted]),
            false => trial.whole(),
        });
    }
    trials
}

fn arguments_with_a_key_twice(case: Case) -> Vec<Trial> {
    let (trial, has_call) = calling(case, r#"{"path":"a","path":"b"}"#);
    vec![match (has_call, case.wire) {
        // Ollama itself parses the arguments and sends one of the two.
        (true, Wire::Ollama) => trial.either(&[Malformed]).calls_as(&[r#"{"path":"b"}"#]),
        _ => trial.whole(),
    }]
}

fn arguments_very_deep(case: Case) -> Vec<Trial> {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let (trial, has_call) = calling(case, &deep);
    vec![match has_call {
        true => trial.either(&[Malformed, Interrupted]),
        false => trial.whole(),
    }]
}

/// The reply's last call in the middle of its arguments, or its text in the middle.
fn half_a_reply(case: Case, stop: StopReason) -> (Reply, Truth) {
    let mut truth = case.truth();
    truth.stop = stop;
    truth.calls.truncate(truth.calls.len().saturating_sub(1));
    let mut reply = Reply::text(&truth.text);
    for (name, arguments) in &truth.calls {
        reply = reply.and_call(name, arguments, &[6]);
    }
    if case.kind != Kind::Text && case.wire != Wire::Ollama {
        reply = reply.and_call("read", r#"{"path":"Cargo.to"#, &[4]);
    }
    (reply.stop(stop), truth)
}

fn length_in_the_middle(case: Case) -> Vec<Trial> {
    let (reply, truth) = half_a_reply(case, StopReason::Length);
    let mut records = case.records_of(&reply);
    // The items are told to be incomplete when they are.
    for record in &mut records {
        record.edit(|value| {
            if value["item"]["arguments"] == r#"{"path":"Cargo.to"# {
                value["item"]["status"] = json!("incomplete");
            }
        });
    }
    vec![
        Trial::of("", sent(case, &records), case)
            .meaning(truth)
            .whole(),
    ]
}

/// A call that is cut while the vendor says that all is well.
fn length_without_a_sign(case: Case) -> Vec<Trial> {
    let (reply, truth) = half_a_reply(case, StopReason::ToolCalls);
    let body = case.theirs().body(&reply);
    let mut trial = Trial::of("", served(case, body), case).meaning(truth.clone());
    if case.kind == Kind::Text || (case.wire == Wire::Ollama && truth.calls.is_empty()) {
        trial = trial.stops(StopReason::End).whole();
    } else if case.wire == Wire::Ollama {
        trial = trial.whole();
    } else {
        trial = trial.fails(&[Malformed]);
    }
    vec![trial]
}

fn filtered_in_the_middle(case: Case) -> Vec<Trial> {
    let (reply, truth) = half_a_reply(case, StopReason::Refused);
    let mut records = case.records_of(&reply);
    for record in &mut records {
        record.edit(|value| {
            if value["item"]["arguments"] == r#"{"path":"Cargo.to"# {
                value["item"]["status"] = json!("incomplete");
            }
        });
    }
    let trial = Trial::of("", sent(case, &records), case).meaning(truth.clone());
    vec![match case.wire {
        // Ollama has no word for it.
        Wire::Ollama if truth.calls.is_empty() => trial.stops(StopReason::End).whole(),
        Wire::Ollama => trial.stops(StopReason::ToolCalls).whole(),
        _ => trial.whole(),
    }]
}

fn with_reason(case: Case, reason: Value) -> Trial {
    let mut records = case.records();
    let at = reason_at(case, &records);
    set_reason(case, &mut records[at], reason.clone());
    Trial::of(reason.to_string(), sent(case, &records), case)
}

fn unknown_reason(case: Case) -> Vec<Trial> {
    vec![with_reason(case, json!("banana")).whole()]
}

fn reason_of_a_wrong_type(case: Case) -> Vec<Trial> {
    [json!(7), json!(null), json!({}), json!("")]
        .map(|reason| with_reason(case, reason).either(&[Malformed, Interrupted]))
        .into()
}

fn usage_absurd(case: Case) -> Vec<Trial> {
    let absurd = [
        json!(-5),
        json!(u64::MAX),
        json!(1e300),
        json!("many"),
        json!(null),
        json!([1]),
    ];
    absurd
        .map(|count| {
            let mut records = case.records();
            for record in &mut records {
                record.edit(|value| spoil_counts(value, &count));
            }
            Trial::of(count.to_string(), sent(case, &records), case).whole()
        })
        .into()
}

fn spoil_counts(value: &mut Value, count: &Value) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                if key.ends_with("_tokens") || key.ends_with("eval_count") {
                    *inner = count.clone();
                } else {
                    spoil_counts(inner, count);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| spoil_counts(item, count)),
        _ => {}
    }
}

fn not_json_first(case: Case) -> Vec<Trial> {
    let mut records = case.records();
    records.insert(0, Record::raw("{\"half\": "));
    vec![Trial::of("", sent(case, &records), case).fails(&[Malformed])]
}

fn not_json_later(case: Case) -> Vec<Trial> {
    let (mut body, rest) = halves(case);
    body.extend(case.write(&[Record::raw("}{ garbage \u{1b}[31m \u{202e}")]));
    body.extend(rest);
    vec![Trial::of("", served(case, body), case).fails(&[Malformed])]
}

fn json_of_another_kind(case: Case) -> Vec<Trial> {
    [
        "null",
        "[]",
        "7",
        "\"words\"",
        "{}",
        "{\"type\":7}",
        "{\"choices\":7}",
        "{\"message\":[]}",
    ]
    .map(|data| {
        let (mut body, rest) = halves(case);
        body.extend(case.write(&[Record::raw(data)]));
        body.extend(rest);
        Trial::of(data, served(case, body), case).either(&[Malformed, Unavailable, Interrupted])
    })
    .into()
}

fn waiting(case: Case, pause: Duration) -> Served {
    let (first, rest) = halves(case);
    served(case, first)
        .then(Piece::Wait(pause))
        .then(Piece::Bytes(rest.into()))
}

fn a_minute_of_silence(case: Case) -> Vec<Trial> {
    whole(waiting(case, Duration::from_secs(60)), case)
}

fn silence_for_ever(case: Case) -> Vec<Trial> {
    let served = waiting(case, Duration::from_secs(1 << 20));
    vec![
        Trial::of("", served, case)
            .fails(&[Interrupted])
            .within(Duration::from_secs(301)),
    ]
}

fn no_head(case: Case) -> Vec<Trial> {
    let trial = Trial::of("", Served::silent(), case).fails(&[Unavailable]);
    vec![trial.asks(3).within(Duration::from_secs(960))]
}

fn one_byte_each_ten_seconds(case: Case) -> Vec<Trial> {
    let mut served = served(case, Bytes::new());
    served.body = case
        .body()
        .into_iter()
        .flat_map(|byte| {
            [
                Piece::Wait(Duration::from_secs(10)),
                Piece::Bytes(vec![byte].into()),
            ]
        })
        .collect();
    let trial = Trial::of("", served, case).either(&[Unavailable, Interrupted]);
    vec![trial.within(Duration::from_secs(24 * 3600))]
}

fn ping(case: Case) -> &'static str {
    match case.wire {
        Wire::Ollama => "\n",
        Wire::Anthropic => "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        _ => ": ping\n\n",
    }
}

fn pings_for_ever(case: Case) -> Vec<Trial> {
    let ping = Piece::Endless(ping(case).into(), Duration::from_secs(10));
    let first = served(case, Bytes::new()).then(ping.clone());
    let later = served(case, halves(case).0).then(ping);
    let within = Duration::from_secs(3 * 3600);
    vec![
        Trial::of("first", first, case)
            .fails(&[Unavailable])
            .asks(3)
            .within(within),
        Trial::of("later", later, case)
            .fails(&[Interrupted])
            .within(within),
    ]
}

fn endless(piece: impl Into<Bytes>) -> Piece {
    Piece::Endless(piece.into(), Duration::ZERO)
}

fn line_of_100_megabytes(case: Case) -> Vec<Trial> {
    let line = served(case, format!("data: {{\"a\":\"{}", "x".repeat(9)))
        .then(endless(vec![b'x'; 1 << 16]));
    let lines =
        served(case, Bytes::new()).then(endless(format!("data: {}\n", "x".repeat(1 << 16))));
    vec![
        Trial::of("one line", line, case).fails(&[Malformed]),
        Trial::of("one event", lines, case).fails(&[Malformed]),
    ]
}

/// The record that the middle of a reply is made of, with its content as long as this.
fn long_piece(case: Case, is_call: bool, len: usize) -> (Vec<Record>, Record) {
    let long = "a".repeat(len);
    let reply = if is_call {
        Reply::default().and_call("read", &format!("\"{long}"), &[])
    } else {
        Reply::default().and(Part::Text(vec![long]))
    };
    let mut records = case.records_of(&reply);
    let at = records
        .iter()
        .position(|it| case.is_delta(it) && it.data.len() > len);
    let at = at.expect("the piece is there");
    let piece = records[at].clone();
    records.truncate(at);
    (records, piece)
}

fn text_without_end(case: Case) -> Vec<Trial> {
    let (start, piece) = long_piece(case, false, 1 << 18);
    let served = sent(case, &start).then(endless(case.write(&[piece])));
    vec![
        Trial::of("", served, case)
            .fails(&[Malformed])
            .may_say_anything()
            .alone(),
    ]
}

fn arguments_without_end(case: Case) -> Vec<Trial> {
    if case.wire == Wire::Ollama {
        // Calls are whole there, and a line has an end.
        return calls_without_end(case);
    }
    let (start, piece) = long_piece(case, true, 1 << 18);
    let nameless = case.changed(start.clone(), Field::Name, |call, key| {
        call.remove(key);
    });
    [("", start), ("without a name", nameless)]
        .map(|(what, start)| {
            let served = sent(case, &start).then(endless(case.write(std::slice::from_ref(&piece))));
            Trial::of(what, served, case)
                .fails(&[Malformed])
                .may_say_anything()
                .alone()
        })
        .into()
}

fn calls_without_end(case: Case) -> Vec<Trial> {
    let mut reply = Reply::text(LOOK);
    for n in 0..300 {
        reply = reply.and_call("read", &format!("{{\"n\":{n}}}"), &[]);
    }
    let mut truth = case.truth();
    truth.text = LOOK.to_owned();
    truth.calls = (0..300)
        .map(|n| ("read".to_owned(), format!("{{\"n\":{n}}}")))
        .collect();
    let body = case.theirs().body(&reply);
    vec![
        Trial::of("", served(case, body), case)
            .meaning(truth)
            .fails(&[Malformed]),
    ]
}

fn comments_without_end(case: Case) -> Vec<Trial> {
    // Long lines, or the test would mostly count line ends.
    let filler = match case.wire {
        Wire::Ollama => format!("{}\n", " ".repeat(1 << 18)),
        Wire::Anthropic => format!(
            "data: {{\"type\":\"ping\",\"pad\":\"{}\"}}\n\n",
            "x".repeat(1 << 18)
        ),
        _ => format!(": {}\n\n", "x".repeat(1 << 18)),
    };
    let first = served(case, Bytes::new()).then(endless(filler.clone()));
    let later = served(case, halves(case).0).then(endless(filler));
    vec![
        Trial::of("first", first, case).fails(&[Malformed]),
        Trial::of("later", later, case).fails(&[Malformed]).alone(),
    ]
}

fn json_without_end(case: Case) -> Vec<Trial> {
    let served = Served::status(200)
        .header("content-type", "application/json")
        .then(endless(vec![b'['; 1 << 16]));
    vec![Trial::of("", served, case).fails(&[Malformed])]
}

fn error_body_without_end(case: Case) -> Vec<Trial> {
    let served = Served::status(500).then(endless(vec![b'x'; 1 << 14]));
    vec![Trial::of("", served, case).fails(&[Unavailable]).asks(3)]
}

fn error_body_that_drips(case: Case) -> Vec<Trial> {
    let drip = Piece::Endless("x".into(), Duration::from_secs(10));
    let served = Served::status(400).then(drip.clone());
    let page = Served::status(200)
        .header("content-type", "text/html")
        .then(drip.clone());
    let json = Served::status(200)
        .header("content-type", "application/json")
        .then(drip);
    let within = Duration::from_secs(60);
    vec![
        Trial::of("400", served, case)
            .fails(&[Rejected])
            .within(within),
        Trial::of("page", page, case)
            .fails(&[Malformed])
            .within(within),
        Trial::of("json", json, case)
            .fails(&[Malformed, Unavailable])
            .within(Duration::from_secs(3 * 3600)),
    ]
}

fn page_without_end(case: Case) -> Vec<Trial> {
    let served = Served::status(200)
        .header("content-type", "text/html; charset=utf-8")
        .then(endless("<p>".repeat(4096)));
    vec![Trial::of("", served, case).fails(&[Malformed])]
}

/// What the HTTP client lets through is passed over; see the binary's tests for what it does not.
fn headers_gigantic(case: Case) -> Vec<Trial> {
    let served = healthy(case).header("x-trace", "x".repeat(1 << 20));
    whole(served, case)
}

fn error_records(case: Case, kind: &str, message: &str) -> Vec<u8> {
    let reply = Reply::default().and(Part::Error(message.to_owned()));
    let mut records = case.records_of(&reply);
    for record in &mut records {
        record.edit(|value| {
            for error in ["/error", "/response/error"] {
                if let Some(Value::Object(error)) = value.pointer_mut(error) {
                    for key in ["type", "code"] {
                        if error.contains_key(key) {
                            error.insert(key.to_owned(), json!(kind));
                        }
                    }
                }
            }
        });
    }
    case.write(&records)
}

fn error_first(case: Case) -> Vec<Trial> {
    let expected: [(&str, Class, usize); 4] = [
        ("server_error", Unavailable, 3),
        ("rate_limit_exceeded", Limited, 3),
        ("insufficient_quota", Limited, 1),
        ("invalid_request_error", Rejected, 1),
    ];
    let trials = expected.iter().map(|(kind, class, asks)| {
        let trial = Trial::of(
            *kind,
            served(case, error_records(case, kind, "overloaded")),
            case,
        );
        match case.wire {
            // Its errors have no kind.
            Wire::Ollama => trial.fails(&[Unavailable]).asks(3),
            _ => trial.fails_as(*class).asks(*asks),
        }
    });
    trials.collect()
}

fn error_later(case: Case) -> Vec<Trial> {
    ["server_error", "rate_limit_exceeded"]
        .map(|kind| {
            let (mut body, _) = halves(case);
            let opening = case.records_of(&Reply::default().and(Part::Error("x".to_owned())));
            let error = error_records(case, kind, "it broke");
            // The opening was already sent; only the error follows.
            let skipped = case.write(&opening[..opening.len() - 1]).len();
            body.extend(&error[skipped..]);
            let trial = Trial::of(kind, served(case, body), case);
            trial.fails(&[Interrupted, Limited])
        })
        .into()
}

fn error_with_a_huge_text(case: Case) -> Vec<Trial> {
    let text = "blah ".repeat(200_000);
    let status = Served::status(400).then(Piece::Bytes(case.theirs().refusal(400, &text).into()));
    let body = error_records(case, "invalid_request_error", &text);
    vec![
        Trial::of("status", status, case).fails(&[Rejected]),
        Trial::of("event", served(case, body), case)
            .fails(&[Rejected, Unavailable])
            .any_asks(),
    ]
}

fn error_with_a_hostile_text(case: Case) -> Vec<Trial> {
    let text =
        "no\r\n\u{1b}]0;title\u{7} \u{202e}evil\u{200b}\u{e0041} sk-abcdefghijklmnopqrstuvwxyz\0";
    let status = Served::status(400).then(Piece::Bytes(case.theirs().refusal(400, text).into()));
    let body = error_records(case, "invalid_request_error", text);
    vec![
        Trial::of("status", status, case).fails(&[Rejected]),
        Trial::of("event", served(case, body), case)
            .fails(&[Rejected, Unavailable])
            .any_asks(),
    ]
}

fn ok_with_an_error_body(case: Case) -> Vec<Trial> {
    [(401, Unauthorized), (429, Limited), (500, Unavailable)]
        .map(|(status, class)| {
            let body = case.theirs().refusal(status, "not now");
            let served = Served::body(body).header("content-type", "application/json");
            let trial = Trial::of(status.to_string(), served, case);
            match case.wire {
                Wire::Ollama => trial.fails(&[Unavailable]).any_asks(),
                _ => trial.fails_as(class).any_asks(),
            }
        })
        .into()
}

fn page(title: &str) -> String {
    format!("<!doctype html><html><head><title>{title}</title></head><body>no</body></html>")
}

fn page_in_place_of_an_answer(case: Case) -> Vec<Trial> {
    let served = Served::body(page("Log in")).header("content-type", "text/html");
    vec![
        Trial::of("", served, case)
            .fails(&[Malformed])
            .says("Log in"),
    ]
}

fn page_with_502(case: Case) -> Vec<Trial> {
    let mut served = Served::body(page("502 Bad Gateway")).header("content-type", "text/html");
    served.head = super::egress::Head::Status(502);
    vec![
        Trial::of("", served, case)
            .fails(&[Unavailable])
            .asks(3)
            .says("502 Bad Gateway"),
    ]
}

fn redirected(case: Case) -> Vec<Trial> {
    [301, 302, 307, 308]
        .map(|status| {
            let served = Served::status(status).header("location", "https://elsewhere.test/v1");
            Trial::of(status.to_string(), served, case)
                .fails(&[Rejected])
                .says("elsewhere.test")
        })
        .into()
}

fn refusing(case: Case, status: u16) -> Trial {
    let body = case.theirs().refusal(status, "not now, please");
    let served = Served::status(status).then(Piece::Bytes(body.into()));
    Trial::of("", served, case).says("not now, please")
}

macro_rules! refused {
    ($($row:ident: $status:literal $class:ident $asks:literal),* $(,)?) => {
        $(fn $row(case: Case) -> Vec<Trial> {
            vec![refusing(case, $status).fails(&[$class]).asks($asks)]
        })*
    };
}

refused![
    refused_400: 400 Rejected 1,
    refused_401: 401 Unauthorized 1,
    refused_402: 402 Limited 1,
    refused_403: 403 Unauthorized 1,
    refused_404: 404 Rejected 1,
    refused_408: 408 Unavailable 3,
    refused_409: 409 Rejected 1,
    refused_413: 413 TooLong 1,
    refused_422: 422 Rejected 1,
    refused_429: 429 Limited 3,
    refused_500: 500 Unavailable 3,
    refused_502: 502 Unavailable 3,
    refused_503: 503 Unavailable 3,
    refused_504: 504 Unavailable 3,
    refused_529: 529 Unavailable 3,
];

fn refused_404_model(case: Case) -> Vec<Trial> {
    let body = case.theirs().refusal(404, "model m1 not found");
    let served = Served::status(404).then(Piece::Bytes(body.into()));
    vec![Trial::of("", served, case).fails(&[NoModel])]
}

fn limited(case: Case, status: u16, wait: &str) -> Trial {
    let body = case.theirs().refusal(status, "slow down");
    let served = Served::status(status)
        .header("retry-after", wait)
        .then(Piece::Bytes(body.into()));
    Trial::of(format!("{status} {wait}"), served, case).fails(&[Limited, Unavailable])
}

fn retry_after_seconds(case: Case) -> Vec<Trial> {
    let exact = |status, seconds: u64| {
        let waited = Duration::from_secs(2 * seconds);
        limited(case, status, &seconds.to_string())
            .asks(3)
            .takes(waited, waited)
    };
    let again = Trial::script(
        "then well",
        vec![limited(case, 429, "3").first(), healthy(case)],
        case,
    );
    vec![
        exact(429, 7),
        exact(503, 2),
        again
            .whole()
            .asks(2)
            .takes(Duration::from_secs(3), Duration::from_secs(3)),
    ]
}

fn retry_after_a_date(case: Case) -> Vec<Trial> {
    let at = jiff::Timestamp::now() + Duration::from_secs(10);
    let date = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let trial = limited(case, 429, &date).asks(3);
    vec![trial.takes(Duration::from_secs(14), Duration::from_secs(20))]
}

/// Nobody is kept waiting for an hour: the call fails at once and says for how long.
fn retry_after_absurd(case: Case) -> Vec<Trial> {
    [
        "21",
        "99999999999",
        "1e300",
        "inf",
        "Tue, 31 Dec 2999 23:59:59 GMT",
    ]
    .map(|wait| {
        let trial = limited(case, 429, wait).asks(1);
        trial.takes(Duration::ZERO, Duration::ZERO)
    })
    .into()
}

/// Asked to come at once, clients still spread.
fn retry_after_past_or_negative(case: Case) -> Vec<Trial> {
    ["0", "-5", "-1e300", "Tue, 21 Oct 2025 07:28:00 GMT"]
        .map(|wait| {
            let trial = limited(case, 429, wait).asks(3);
            trial.takes(Duration::from_nanos(1), Duration::from_millis(1500))
        })
        .into()
}

fn retry_after_nonsense(case: Case) -> Vec<Trial> {
    ["soon", "NaN", "", "7 apples", "\u{fffd}"]
        .map(|wait| {
            let trial = limited(case, 429, wait).asks(3);
            trial.takes(Duration::from_nanos(1), Duration::from_millis(1500))
        })
        .into()
}

fn unreachable(case: Case, text: &str) -> Vec<Trial> {
    let served = Served::fails(EgressError::Unreachable(text.to_owned()));
    let trial = Trial::of("", served, case).fails(&[Unavailable]).says(text);
    vec![
        trial
            .asks(3)
            .takes(Duration::from_nanos(1), Duration::from_millis(1500)),
    ]
}

fn connection_refused(case: Case) -> Vec<Trial> {
    unreachable(case, "acme.test:443 can't be reached: Connection refused")
}

fn name_not_found(case: Case) -> Vec<Trial> {
    unreachable(case, "acme.test:443 can't be reached: no such name")
}

fn tls_failed(case: Case) -> Vec<Trial> {
    unreachable(case, "acme.test:443 can't be reached: invalid certificate")
}

fn forbidden_by_a_rule(case: Case) -> Vec<Trial> {
    let served = Served::fails(EgressError::Denied(
        "offline: acme.test is not here".to_owned(),
    ));
    vec![
        Trial::of("", served, case)
            .fails(&[Unavailable])
            .asks(1)
            .says("offline"),
    ]
}

fn reset() -> Piece {
    Piece::Break(EgressError::Broken("connection reset".to_owned()))
}

fn reset_before_the_head(case: Case) -> Vec<Trial> {
    unreachable(case, "acme.test:443 can't be reached: connection reset")
}

fn reset_in_the_middle(case: Case) -> Vec<Trial> {
    let served = served(case, halves(case).0).then(reset());
    vec![Trial::of("", served, case).fails(&[Interrupted]).asks(1)]
}

/// The server closes a kept connection just as the request is sent.
fn kept_connection_was_closed(case: Case) -> Vec<Trial> {
    let closed = EgressError::Unreachable("connection closed before message completed".to_owned());
    let script = vec![Served::fails(closed), healthy(case)];
    vec![Trial::script("", script, case).whole().asks(2)]
}

fn passes_at_the_third_try(case: Case) -> Vec<Trial> {
    let script = vec![
        Served::status(503),
        served(case, "").then(reset()),
        healthy(case),
    ];
    vec![Trial::script("", script, case).whole().asks(3)]
}
