//! A call that runs while it is written, with its stream cut, its turn stopped and its engine killed at bytes all over it.
//! Effects are lines in a file.

use crate::kills::count;
use crate::place::{Place, submit, wait_for};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use titan_protocol::{Op, SessionId, TurnId, TurnOptions};
use titan_testkit::server::{Reply, Request};

/// Between two bytes at which a stream is cut, and how many without the variable.
const CUT_STEP_VARIABLE: &str = "TITAN_CUT_STEP";
const CUT_STEP: usize = 5;
/// Between two bytes at which an engine is killed, which takes a start of the next.
const KILL_STEP: usize = 97;
/// Between two bytes at which a turn is stopped.
const STOP_STEP: usize = 11;
/// After a stop nothing of the call may live longer.
const ORPHAN_MAX: Duration = Duration::from_millis(200);
/// Turns that run at a time.
const CLIENTS: usize = 4;

/// Two statements that leave a line each, and what comes between them.
fn script(n: usize, between: &str) -> String {
    format!("echo {n} a >> lines\n{between}echo {n} b >> lines\n")
}

fn call(n: usize, between: &str) -> Reply {
    let arguments = json!({ "script": script(n, between) }).to_string();
    Reply::call("shell", &arguments)
}

/// The number that the person said, as long as nothing came of it; none in a request for a title.
fn number(request: &Request) -> Option<usize> {
    let is_first = !request.tool_names().is_empty() && request.tool_results().is_empty();
    let said = request.last_user_text();
    let (_, number) = said.rsplit_once('#')?;
    number.parse().ok().filter(|_| is_first)
}

fn say(n: usize, work: &Path) -> Op {
    Op::UserTurn {
        session: SessionId::new(),
        turn: TurnId::new(),
        text: format!("#{n}"),
        images: Vec::new(),
        options: TurnOptions {
            workspace: Some(work.to_owned()),
            ..TurnOptions::default()
        },
    }
}

/// The bytes of a reply with such a call.
fn reply_bytes(between: &str) -> usize {
    // Every piece of eight characters comes in an envelope of the wire; what is cut later is not cut at all.
    let arguments = json!({ "script": script(1_000, between) }).to_string();
    700 + arguments.len().div_ceil(8) * 260
}

/// Which lines each turn has left, in order.
fn lines(work: &Path) -> BTreeMap<usize, String> {
    let text = std::fs::read_to_string(work.join("lines")).unwrap_or_default();
    let mut lines: BTreeMap<usize, String> = BTreeMap::new();
    for line in text.lines() {
        let (n, which) = line.split_once(' ').expect("a number and a letter");
        lines
            .entry(n.parse().expect("a number"))
            .or_default()
            .push_str(which);
    }
    lines
}

/// Does something with every number below `end`, some at a time.
fn each(end: usize, step: usize, clients: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(step, Ordering::Relaxed);
                    if n >= end {
                        return;
                    }
                    work(n);
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn x21_x22_a_call_whose_stream_is_cut_anywhere_runs_no_statement_in_part_or_twice() {
    let end = reply_bytes("");
    let step = count(CUT_STEP_VARIABLE, CUT_STEP);
    // Each stream breaks once; a server that breaks all of them is soon left alone.
    let broken = Mutex::new(BTreeSet::new());
    let place = Place::answering(move |request| match number(request) {
        Some(n) if broken.lock().expect("no panic").insert(n) => call(n, "").cut_after(n),
        _ => Reply::text("Well."),
    });
    tokio::task::block_in_place(|| {
        let (engine, ..) = place.start();
        each(end, step, CLIENTS, |n| {
            let op = say(n, &place.work);
            submit(engine.socket(), &op)
                .expect("it answers")
                .expect("it accepts");
            wait_for(engine.socket(), &op, "turn_ended").expect("the turn ends");
        });
    });
    let lines = lines(&place.work);
    let count = |left: &str| lines.values().filter(|found| *found == left).count();
    println!(
        "every {step} of {end} bytes: {} ran in full, {} in part, none twice",
        count("ab"),
        count("a")
    );
    assert_eq!(count("ab") + count("a"), lines.len(), "{lines:?}");
    assert!(count("a") > 20 && count("ab") > 20, "{lines:?}");
}

/// Whether a program with this argument lives.
fn lives(argument: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.map(|entry| std::fs::read(entry.path().join("cmdline")));
    lines.flatten().any(|line| {
        let mut words = line.split(|byte| *byte == 0);
        words.any(|word| word == argument.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn x23_a_turn_stopped_anywhere_in_a_call_leaves_no_program_and_no_second_half() {
    let between = "sleep 7531.9\n";
    let end = reply_bytes(between);
    let place = Place::answering(move |request| match number(request) {
        Some(n) => call(n, between).silent_after(n),
        None => Reply::text("Well."),
    });
    let mut slowest = Duration::ZERO;
    let mut n_ran = 0;
    tokio::task::block_in_place(|| {
        let (engine, ..) = place.start();
        let patience = patience(&place, engine.socket(), end);
        for n in (0..end).step_by(STOP_STEP) {
            let op = say(n, &place.work);
            let Op::UserTurn { session, .. } = &op else {
                unreachable!("a turn")
            };
            submit(engine.socket(), &op)
                .expect("it answers")
                .expect("it accepts");
            let has_begun = || lines(&place.work).contains_key(&n);
            let said = Instant::now();
            while !has_begun() && said.elapsed() < wait_max(n, end, patience) {
                std::thread::sleep(Duration::from_millis(2));
            }
            n_ran += usize::from(has_begun());
            let stop = Op::Interrupt { session: *session };
            let stopped = Instant::now();
            submit(engine.socket(), &stop)
                .expect("it answers")
                .expect("it accepts");
            while lives("7531.9") {
                assert!(
                    stopped.elapsed() < Duration::from_secs(5),
                    "a program lives on"
                );
                std::thread::sleep(Duration::from_millis(1));
            }
            slowest = slowest.max(stopped.elapsed());
            wait_for(engine.socket(), &op, "turn_ended").expect("the turn ends");
        }
    });
    let lines = lines(&place.work);
    println!(
        "{n_ran} stopped calls had begun; the last program was gone after {} ms",
        slowest.as_millis()
    );
    assert!(lines.values().all(|left| left == "a"), "{lines:?}");
    assert!(n_ran > 10, "hardly anything ran: {lines:?}");
    assert!(slowest < ORPHAN_MAX, "a program lived for {slowest:?}");
}

/// The first half of a reply holds no whole statement: of such a call nothing is to be waited for, but that nothing comes.
fn wait_max(n: usize, end: usize, patience: Duration) -> Duration {
    match n < end / 2 {
        true => Duration::from_millis(40),
        false => patience,
    }
}

/// How long a call is waited for that may not begin at all: several times what one takes that does, on this machine and
/// with what else runs on it.
fn patience(place: &Place, socket: &Path, n: usize) -> Duration {
    const WAIT_MAX: Duration = Duration::from_secs(10);
    let op = say(n, &place.work);
    let Op::UserTurn { session, .. } = &op else {
        unreachable!("a turn")
    };
    let said = Instant::now();
    submit(socket, &op)
        .expect("it answers")
        .expect("it accepts");
    while !lines(&place.work).contains_key(&n) {
        assert!(said.elapsed() < WAIT_MAX, "a whole call does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = said.elapsed();
    let stop = Op::Interrupt { session: *session };
    submit(socket, &stop)
        .expect("it answers")
        .expect("it accepts");
    wait_for(socket, &op, "turn_ended").expect("the turn ends");
    (2 * took).max(Duration::from_millis(40))
}

#[tokio::test(flavor = "multi_thread")]
async fn x22_x23_an_engine_killed_anywhere_in_a_call_repeats_nothing_and_leaves_no_program() {
    let between = "sleep 7532.9\n";
    let end = reply_bytes(between);
    let place = Place::answering(move |request| match number(request) {
        Some(n) => call(n, between).silent_after(n),
        None => Reply::text("Well."),
    });
    tokio::task::block_in_place(|| {
        let (engine, ..) = place.start();
        let patience = patience(&place, engine.socket(), end);
        engine.kill();
        for n in (0..end).step_by(KILL_STEP) {
            let (engine, ..) = place.start();
            let op = say(n, &place.work);
            submit(engine.socket(), &op)
                .expect("it answers")
                .expect("it accepts");
            let said = Instant::now();
            while !lines(&place.work).contains_key(&n)
                && said.elapsed() < wait_max(n, end, patience)
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            engine.kill();
            let killed = Instant::now();
            while lives("7532.9") {
                assert!(
                    killed.elapsed() < Duration::from_secs(5),
                    "a program lives on"
                );
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let (engine, ..) = place.start();
        assert!(engine.status().is_ok());
    });
    let lines = lines(&place.work);
    println!(
        "{} of {} killed calls had begun",
        lines.len(),
        end / KILL_STEP
    );
    assert!(lines.values().all(|left| left == "a"), "{lines:?}");
    assert!(lines.len() > 5, "hardly anything ran: {lines:?}");
}
