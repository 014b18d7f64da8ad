//! Tools that run while the model is still writing their calls. The moments are stamped at both ends by whoever knows
//! them: by the server when it had sent a token, by the command itself when it ran.

use super::block_on;
use crate::Setup;
use crate::control::{self, Records};
use crate::daemon::{Answers, Daemon, Home};
use crate::process::{self, milliseconds};
use crate::report::Row;
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use titan_protocol::{Event, Op, Record, SessionId, TurnId, TurnOutcome};
use titan_testkit::server::{Reply, Script, ScriptServer, Stamps, Wire};
use tokio::task::JoinSet;

/// What a token is taken for.
const TOKEN_CHARS: usize = 4;
/// The command that stamps itself, in microseconds, without a program to start.
const STAMP: &str = "echo at $EPOCHREALTIME";
const TURN_WAIT_MAX: Duration = Duration::from_secs(120);

/// Scripts of 20 lines at 50 and at 500 tokens a second over the four wires. `end_to_output` is from the token that ends
/// the first statement until the statement runs, `begin_to_output` from the call's first token.
pub(super) fn tool_ttfb_stream(setup: &Setup) -> Result<Vec<Row>> {
    ttfb(setup, "tool_ttfb_stream", &[(20, 500.0, 15), (20, 50.0, 3)])
}

/// The same with 200 lines.
pub(super) fn tool_ttfb_long(setup: &Setup) -> Result<Vec<Row>> {
    ttfb(setup, "tool_ttfb_long", &[(200, 500.0, 5), (200, 50.0, 1)])
}

fn ttfb(setup: &Setup, bench: &'static str, cases: &[(usize, f64, usize)]) -> Result<Vec<Row>> {
    block_on(async {
        let mut rows = Vec::new();
        for wire in Wire::ALL {
            let (mut from_end, mut from_begin) = (Vec::new(), Vec::new());
            for (lines, rate, turns) in cases {
                let script = format!("{STAMP}\n").repeat(*lines);
                let mut place = Place::start(setup, wire, call(&script).per_second(*rate)).await?;
                // The first turn of a home surveys the workspace.
                for turn in 0..=*turns {
                    let ran = place.turn().await?;
                    ensure!(ran.stamps.len() == *lines, "a script ran in part: {ran:?}");
                    if turn > 0 {
                        let end = match wire {
                            Wire::Ollama => 0,
                            _ => ran.token(&script, first_line_end()),
                        };
                        from_end.push(ran.ms_from(end, 0)?);
                        from_begin.push(ran.ms_from(0, 0)?);
                    }
                }
                place.daemon.stop().await?;
            }
            let [end, begin] = names(wire);
            rows.push(Row::new(bench, end, "ms", from_end).goal(3.0, Some(100.0)));
            rows.push(Row::new(bench, begin, "ms", from_begin));
        }
        Ok(rows)
    })
}

/// A call that is one short command: from its last token until it runs.
pub(super) fn tool_ttfb_closed(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let mut place = Place::start(setup, Wire::Anthropic, call(STAMP).per_second(200.0)).await?;
        let mut waits = Vec::new();
        for turn in 0..30 {
            let ran = place.turn().await?;
            if turn > 0 {
                waits.push(ran.ms_from(ran.tokens.len() - 1, 0)?);
            }
        }
        place.daemon.stop().await?;
        let row = Row::new("tool_ttfb_closed", "end_to_output", "ms", waits);
        Ok(vec![row.goal(1.5, None)])
    })
}

/// Ten steps of 150 ms in 1.8 s of writing. Beside it the same steps in braces, which are one statement: written, then
/// run.
pub(super) fn overlap_e2e(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let steps = "sleep 0.15\n".repeat(10);
        let mut seconds = Vec::new();
        for script in [steps.clone(), format!("{{\n{steps}}}\n")] {
            let tokens = u32::try_from(n_tokens(&script))?;
            let reply = call(&script).per_second(f64::from(tokens) / 1.8);
            let mut place = Place::start(setup, Wire::Anthropic, reply).await?;
            let mut taken = Vec::new();
            for turn in 0..4 {
                let ran = place.turn().await?;
                if turn > 0 {
                    taken.push(ran.call_seconds);
                }
            }
            place.daemon.stop().await?;
            seconds.push(taken);
        }
        let ratios = seconds[0].iter().zip(&seconds[1]);
        let ratios = ratios.map(|(piped, whole)| whole / piped).collect();
        let row = |metric, unit, samples| Row::new("overlap_e2e", metric, unit, samples);
        Ok(vec![
            row("while_written", "s", seconds[0].clone()),
            row("written_then_run", "s", seconds[1].clone()),
            row("times_faster", "x", ratios).goal(1.6, None),
        ])
    })
}

/// Scripts of forty statements that fail at an early one, at fifty tokens a second: what the model did not write any
/// more because it was stopped, as a share of the script's tokens, and the seconds that this would have taken.
pub(super) fn validator_saves(setup: &Setup) -> Result<Vec<Row>> {
    const RATE: f64 = 50.0;
    // A program of which nobody knows what it does, so that what comes after counts as building on it. It fails when it
    // is given something to say.
    const CHECK: &str = "#!/bin/sh\n[ $# = 0 ] && exit\necho \"$*\"\nexit 1\n";
    let works = "./check\n";
    let fails = |says: &str| format!("./check {says}\n");
    let rest = works.repeat(40);
    let scripts = [
        ("set_e", format!("set -e\n{}{rest}", fails("no"))),
        (
            "build_fails",
            format!("{}{rest}", fails("error: could not compile it")),
        ),
        (
            "tests_fail",
            format!("{}{rest}", fails("test result: FAILED. 1 failed")),
        ),
        ("no_such_program", format!("no-such-program\n{rest}")),
        ("exit", format!("{works}exit 1\n{rest}")),
        // Nothing fails, so nothing is saved.
        ("nothing_fails", rest.clone()),
    ];
    block_on(async {
        let (mut rows, mut seconds) = (Vec::new(), Vec::new());
        for (name, script) in scripts {
            let reply = call(&script).per_second(RATE);
            let mut place = Place::start(setup, Wire::Chat, reply).await?;
            place.daemon.put_program("check", CHECK)?;
            let ran = place.turn().await?;
            place.daemon.stop().await?;
            let all = u32::try_from(n_tokens(&script))?;
            let unwritten = all.saturating_sub(u32::try_from(ran.tokens.len())?);
            let share = f64::from(unwritten) * 100.0 / f64::from(all);
            rows.push(Row::new("validator_saves", name, "%", vec![share]));
            seconds.push(f64::from(unwritten) / RATE);
        }
        rows.push(Row::new("validator_saves", "time", "s", seconds));
        Ok(rows)
    })
}

/// Three calls in one reply: from the token that ends each until it runs, while the others are still being written.
pub(super) fn block_eager(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let arguments = json!({ "script": STAMP }).to_string();
        let sizes = [TOKEN_CHARS];
        let reply = (0..3).fold(Reply::default(), |reply, _| {
            reply.and_call("shell", &arguments, &sizes)
        });
        let mut place = Place::start(setup, Wire::Anthropic, reply.per_second(100.0)).await?;
        let mut waits = Vec::new();
        for turn in 0..10 {
            let ran = place.turn().await?;
            ensure!(
                ran.stamps.len() == 3,
                "three calls ran {} times",
                ran.stamps.len()
            );
            for call in (0..3).filter(|_| turn > 0) {
                let last = ran.tokens.len() / 3 * (call + 1) - 1;
                waits.push(ran.ms_from(last, call)?);
            }
        }
        place.daemon.stop().await?;
        Ok(vec![Row::new("block_eager", "end_to_output", "ms", waits)])
    })
}

/// From a token at the server until a follower of the daemon has its delta, with one stream and with a hundred.
pub(super) fn delta_relay(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let mut rows = Vec::new();
        for (n_streams, metric) in [(1, "one_stream"), (100, "hundred_streams")] {
            let waits = relay(setup, n_streams).await?;
            rows.push(Row::new("delta_relay", metric, "ms", waits));
        }
        Ok(rows)
    })
}

/// The number that the person said, behind what the engine says of the workspace.
fn stream_of(said: &str) -> usize {
    let number = said.rsplit_once('#').map(|(_, number)| number.trim());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

async fn relay(setup: &Setup, n_streams: usize) -> Result<Vec<f64>> {
    let stamps: Vec<Stamps> = (0..n_streams).map(|_| Stamps::default()).collect();
    let by_stream = stamps.clone();
    let script = Script::choose(move |request| {
        let stream = stream_of(&request.last_user_text());
        Reply::tokens(100)
            .per_second(50.0)
            .stamped(&by_stream[stream])
    });
    let server = ScriptServer::start(Wire::Anthropic, script)?;
    let home = Home::fresh()?;
    home.configure(&server, Wire::Anthropic)?;
    let daemon = Daemon::start(&setup.binary, home, Answers::Configured).await?;
    let mut records = control::follow(&daemon.socket(), None, 0).await?;
    let mut turns: Vec<TurnId> = Vec::new();
    for stream in 0..n_streams {
        let (turn, op) = daemon.turn(&format!("#{stream}"));
        turns.push(turn);
        control::submit(&daemon.socket(), &op).await?;
    }
    let mut arrived: Vec<Vec<(usize, SystemTime)>> = vec![Vec::new(); n_streams];
    let mut open = n_streams;
    while open > 0 {
        let record = records.next().await?;
        let now = SystemTime::now();
        let Some(stream) = turns.iter().position(|turn| Some(*turn) == record.turn) else {
            continue;
        };
        match record.event {
            // Deltas that came together count as many times as they had words.
            Event::TextDelta { text } => arrived[stream].push((text.matches(' ').count(), now)),
            Event::TurnEnded { .. } => open -= 1,
            _ => {}
        }
    }
    daemon.stop().await?;
    let mut waits = Vec::new();
    for (stamps, arrived) in stamps.iter().zip(arrived) {
        let moments = arrived
            .iter()
            .flat_map(|(n, at)| std::iter::repeat_n(*at, *n));
        let pairs = stamps.all().into_iter().zip(moments);
        waits.extend(pairs.map(|(sent, at)| ms_between(sent, at)));
    }
    ensure!(!waits.is_empty(), "nothing was relayed");
    Ok(waits)
}

/// With a thousand turns streaming: how soon the daemon says how it is, and how soon an interrupted turn has ended.
pub(super) fn liveness_streaming(setup: &Setup) -> Result<Vec<Row>> {
    const TURNS: usize = 1_000;
    block_on(async {
        let script = Script::always(Reply::tokens(300).per_second(5.0));
        let server = ScriptServer::start(Wire::Anthropic, script)?;
        let home = Home::fresh()?;
        home.configure(&server, Wire::Anthropic)?;
        let daemon = Daemon::start(&setup.binary, home, Answers::Configured).await?;
        process::raise_open_files_limit()?;
        let turns: Vec<(TurnId, Op)> = (0..TURNS).map(|_| daemon.turn("Count.")).collect();
        let mut sending = JoinSet::new();
        let room = Arc::new(tokio::sync::Semaphore::new(64));
        let sessions: Vec<(SessionId, TurnId)> = turns
            .iter()
            .filter_map(|(turn, op)| match op {
                Op::UserTurn { session, .. } => Some((*session, *turn)),
                _ => None,
            })
            .collect();
        for (_, op) in turns {
            let (socket, room) = (daemon.socket(), room.clone());
            sending.spawn(async move {
                let _place = room.acquire().await?;
                control::submit(&socket, &op).await
            });
        }
        while let Some(sent) = sending.join_next().await {
            sent??;
        }
        let mut health = Vec::new();
        for _ in 0..50 {
            let asked = Instant::now();
            control::status(&daemon.socket()).await?;
            health.push(milliseconds(asked.elapsed()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut cancel = Vec::new();
        for (session, turn) in sessions.into_iter().take(20) {
            let mut records = control::follow(&daemon.socket(), Some(session), 0).await?;
            let asked = Instant::now();
            control::submit(&daemon.socket(), &Op::Interrupt { session }).await?;
            let ended = until_end(&mut records, turn).await?;
            ensure!(
                matches!(
                    &ended.event,
                    Event::TurnEnded {
                        outcome: TurnOutcome::Interrupted,
                        ..
                    }
                ),
                "a turn had ended before it was interrupted: {ended:?}"
            );
            cancel.push(milliseconds(asked.elapsed()));
        }
        let row = |metric, samples| {
            Row::new("liveness_streaming", metric, "ms", samples).goal(50.0, None)
        };
        Ok(vec![row("health", health), row("cancel", cancel)])
    })
}

async fn until_end(records: &mut Records, turn: TurnId) -> Result<Record> {
    loop {
        let record = records.next().await?;
        if record.turn == Some(turn) && matches!(record.event, Event::TurnEnded { .. }) {
            return Ok(record);
        }
    }
}

fn call(script: &str) -> Reply {
    let arguments = json!({ "script": script }).to_string();
    Reply::default().and_call("shell", &arguments, &[TOKEN_CHARS])
}

fn n_tokens(script: &str) -> usize {
    let arguments = json!({ "script": script }).to_string();
    arguments.chars().count().div_ceil(TOKEN_CHARS)
}

/// Which token of the arguments holds the end of the first line.
fn first_line_end() -> usize {
    let before = json!({ "script": format!("{STAMP}\n") }).to_string();
    // Without the quote and the bracket at the end.
    (before.chars().count() - 2).div_ceil(TOKEN_CHARS) - 1
}

fn names(wire: Wire) -> [&'static str; 2] {
    match wire {
        Wire::Anthropic => ["anthropic_end", "anthropic_begin"],
        Wire::Chat => ["chat_end", "chat_begin"],
        Wire::Responses => ["responses_end", "responses_begin"],
        Wire::Ollama => ["ollama_end", "ollama_begin"],
    }
}

/// A daemon whose model makes one reply with calls, over and over.
struct Place {
    daemon: Daemon,
    records: Records,
    /// Stamps of the last such reply.
    stamps: Arc<Mutex<Stamps>>,
    _server: ScriptServer,
}

/// What one turn did.
#[derive(Debug)]
struct Ran {
    /// When each token was sent.
    tokens: Vec<SystemTime>,
    /// When each command ran.
    stamps: Vec<SystemTime>,
    /// From the first token of the call until it had ended.
    call_seconds: f64,
}

impl Ran {
    /// The position of a token of the arguments; some wires begin with one that is empty.
    fn token(&self, script: &str, token: usize) -> usize {
        token + self.tokens.len().saturating_sub(n_tokens(script))
    }

    fn ms_from(&self, token: usize, command: usize) -> Result<f64> {
        let sent = self.tokens.get(token).context("a token was not sent")?;
        let ran = self.stamps.get(command).context("a command did not run")?;
        Ok(ms_between(*sent, *ran))
    }
}

/// Negative when the second comes first, which a stamp in microseconds can.
fn ms_between(from: SystemTime, to: SystemTime) -> f64 {
    match to.duration_since(from) {
        Ok(later) => milliseconds(later),
        Err(earlier) => -milliseconds(earlier.duration()),
    }
}

impl Place {
    async fn start(setup: &Setup, wire: Wire, reply: Reply) -> Result<Self> {
        let stamps = Arc::new(Mutex::new(Stamps::default()));
        let last = stamps.clone();
        let script = Script::choose(move |request| {
            if request.tool_names().is_empty() || !request.tool_results().is_empty() {
                return Reply::text("It ran.");
            }
            let fresh = Stamps::default();
            if let Ok(mut last) = last.lock() {
                *last = fresh.clone();
            }
            reply.clone().stamped(&fresh)
        });
        let server = ScriptServer::start(wire, script)?;
        let home = Home::fresh()?;
        home.configure(&server, wire)?;
        let daemon = Daemon::start(&setup.binary, home, Answers::Configured).await?;
        let records = control::follow(&daemon.socket(), None, 0).await?;
        Ok(Self {
            daemon,
            records,
            stamps,
            _server: server,
        })
    }

    async fn turn(&mut self) -> Result<Ran> {
        let records = &mut self.records;
        let (turn, op) = self.daemon.turn("Run it.");
        control::submit(&self.daemon.socket(), &op).await?;
        let (mut output, mut called_at, mut call_seconds) = (String::new(), None, 0.0);
        let followed = tokio::time::timeout(TURN_WAIT_MAX, async {
            loop {
                let record = records.next().await?;
                if record.turn != Some(turn) {
                    continue;
                }
                match record.event {
                    Event::ToolCallStarted { .. } => {
                        called_at.get_or_insert_with(Instant::now);
                    }
                    Event::ToolOutputDelta { text, .. } => output.push_str(&text),
                    Event::ToolCallEnded { .. } => {
                        let since = called_at.map(|at| at.elapsed().as_secs_f64());
                        call_seconds = since.unwrap_or_default();
                    }
                    Event::TurnEnded {
                        outcome: TurnOutcome::Completed,
                        ..
                    } => return anyhow::Ok(()),
                    Event::TurnEnded { outcome, .. } => bail!("a turn ended as {outcome:?}"),
                    _ => {}
                }
            }
        });
        followed.await??;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let tokens = self.stamps.lock().map(|stamps| stamps.all());
        Ok(Ran {
            tokens: tokens.unwrap_or_default(),
            stamps: output.lines().filter_map(stamp).collect(),
            call_seconds,
        })
    }
}

/// The moment in a line that a command has stamped.
fn stamp(line: &str) -> Option<SystemTime> {
    let (seconds, micros) = line.strip_prefix("at ")?.split_once(['.', ','])?;
    let since =
        Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros.parse().ok()?);
    Some(SystemTime::UNIX_EPOCH + since)
}
