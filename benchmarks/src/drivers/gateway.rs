//! The gateway: what it adds to the engine, and whether it answers while much is being said.

use super::block_on;
use crate::Setup;
use crate::control::{self, Records};
use crate::daemon::{Answers, Daemon, Home};
use crate::gateway::{Gateway, Socket, free_port, is_ready};
use crate::process::{self, milliseconds};
use crate::report::Row;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use titan_protocol::{Event, Op, Record, SessionId, TurnId, TurnOutcome};
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};
use tokio::task::JoinSet;

const WARM_UP_ROUNDS: usize = 5;
const ROUNDS: usize = 60;
/// Between two turns, so that what is stored after one is not measured in the next.
const PAUSE: Duration = Duration::from_millis(5);
const STARTS: usize = 20;
/// How often a driver that waits for the gateway looks again.
const LOOK_EVERY: Duration = Duration::from_micros(200);
const READY_WAIT_MAX: Duration = Duration::from_secs(30);
const QUESTION: &str = "How big is note.txt?";

/// From the request until the first piece of the answer, less the time that the model's server had it, over three ways
/// in turn: the control socket, a chat completion that streams, an op on a WebSocket that follows. `engine` is the
/// first; `http` and `ws` are what the other two take beyond its middle. The connection is there before.
pub(super) fn gateway_ttft(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let server = ScriptServer::start(Wire::Chat, Script::always(Reply::tokens(20)))?;
        let (daemon, gateway) = start(setup, &server, Wire::Chat).await?;
        let records = control::follow(&daemon.socket(), None, 0).await?;
        let mut ways = Ways::new(&daemon, &server, gateway, records).await?;
        let (mut engine, mut http, mut ws) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..WARM_UP_ROUNDS + ROUNDS {
            let waits = [
                ways.over_control().await?,
                ways.over_http().await?,
                ways.over_socket().await?,
            ];
            if round >= WARM_UP_ROUNDS {
                engine.push(waits[0]);
                http.push(waits[1]);
                ws.push(waits[2]);
            }
        }
        let middle = middle(&engine);
        let beyond = |waits: Vec<f64>| waits.iter().map(|wait| wait - middle).collect();
        let row = |metric, samples| Row::new("gateway_ttft", metric, "ms", samples);
        Ok(vec![
            row("engine", engine),
            row("http_beyond_engine", beyond(http)).goal(1.5, None),
            row("ws_beyond_engine", beyond(ws)).goal(1.5, None),
        ])
    })
}

/// With 1,000 turns streaming, five tokens a second each: how soon the gateway says that it lives, on a connection of
/// its own each time, and how soon a turn has ended, as its followers see it, that was interrupted over the gateway.
pub(super) fn liveness_under_load(setup: &Setup) -> Result<Vec<Row>> {
    const TURNS: u32 = 1_000;
    block_on(async {
        let script = Script::always(Reply::tokens(300).per_second(5.0));
        let server = ScriptServer::start(Wire::Anthropic, script)?;
        let (daemon, gateway) = start(setup, &server, Wire::Anthropic).await?;
        process::raise_open_files_limit()?;
        let turns: Vec<_> = (0..TURNS).map(|_| daemon.turn("Count.")).collect();
        hand_in(&gateway, &turns).await?;
        let mut health = Vec::new();
        for _ in 0..200 {
            let asked = Instant::now();
            gateway.ask("GET", "/api/health", "").await?;
            health.push(milliseconds(asked.elapsed()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let running = control::status(&daemon.socket()).await?.turns_running;
        ensure!(running == TURNS, "only {running} turns were running");
        let mut cancel = Vec::new();
        for (turn, op) in turns.iter().take(20) {
            if let Op::UserTurn { session, .. } = op {
                cancel.push(milliseconds(interrupt(&gateway, *session, *turn).await?));
            }
        }
        let row = |metric, samples| {
            Row::new("liveness_under_load", metric, "ms", samples).goal(50.0, None)
        };
        Ok(vec![row("health", health), row("interrupt", cancel)])
    })
}

/// From the start of a daemon with a gateway until the gateway says that the engine answers, in a home that was used
/// before.
pub(super) fn gateway_ready(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let server = ScriptServer::start(Wire::Chat, Script::always(Reply::text("Yes.")))?;
        let mut home = Home::fresh()?;
        let port = free_port()?;
        home.configure(&server, Wire::Chat)?;
        home.add_gateway(port)?;
        let mut waits = Vec::new();
        for start in 0..=STARTS {
            let daemon = Daemon::start(&setup.binary, home, Answers::Configured).await?;
            let ready_after = until_ready(&daemon, port).await?;
            if start > 0 {
                waits.push(milliseconds(ready_after));
            }
            home = daemon.stop().await?;
        }
        let row = Row::new("gateway_ready", "start_to_ready", "ms", waits);
        Ok(vec![row.goal(100.0, None)])
    })
}

/// The page's files together, each as gzip makes it.
pub(super) fn ui_bundle(setup: &Setup) -> Result<Vec<Row>> {
    let folder = setup.workspace.join("crates/titan-web/assets");
    let mut n_bytes = 0;
    for file in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let mut gzip = Command::new("gzip");
        gzip.args(["-9", "-n", "-c"]).arg(file?.path());
        let output = gzip.stdin(Stdio::null()).output().context("running gzip")?;
        ensure!(output.status.success(), "gzip failed");
        n_bytes += output.stdout.len();
    }
    #[allow(clippy::cast_precision_loss, reason = "a page is far below 2^52 bytes")]
    let kilobytes = n_bytes as f64 / 1_000.0;
    let row = Row::new("ui_bundle", "gzip", "KB", vec![kilobytes]);
    Ok(vec![row.goal(250.0, Some(250.0))])
}

async fn start(setup: &Setup, server: &ScriptServer, wire: Wire) -> Result<(Daemon, Gateway)> {
    let home = Home::fresh()?;
    let port = free_port()?;
    home.configure(server, wire)?;
    home.add_gateway(port)?;
    let daemon = Daemon::start(&setup.binary, home, Answers::Configured).await?;
    until_ready(&daemon, port).await?;
    let gateway = Gateway::of(&daemon.home(), port)?;
    Ok((daemon, gateway))
}

async fn until_ready(daemon: &Daemon, port: u16) -> Result<Duration> {
    while !is_ready(port).await {
        let waited = daemon.started.elapsed();
        ensure!(waited < READY_WAIT_MAX, "the gateway was not ready in time");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(daemon.started.elapsed())
}

/// Hands all turns in over the gateway.
async fn hand_in(gateway: &Gateway, turns: &[(TurnId, Op)]) -> Result<()> {
    let mut sending = JoinSet::new();
    let room = Arc::new(tokio::sync::Semaphore::new(64));
    for (_, op) in turns {
        let (gateway, room) = (gateway.clone(), room.clone());
        let body = serde_json::to_string(op)?;
        sending.spawn(async move {
            let _place = room.acquire().await?;
            gateway.ask("POST", "/api/ops", &body).await
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(())
}

/// From asking that a turn ends until one who follows its session over the gateway has its end.
async fn interrupt(gateway: &Gateway, session: SessionId, turn: TurnId) -> Result<Duration> {
    let path = format!("/api/events?session={session}");
    let mut events = gateway.connect().await?.ask("GET", &path, "").await?;
    let asked = Instant::now();
    let op = serde_json::to_string(&Op::Interrupt { session })?;
    gateway.ask("POST", "/api/ops", &op).await?;
    loop {
        let data = events.data().await?.context("the events ended")?;
        let record: Record = serde_json::from_str(&data)?;
        if let (Some(ended), Event::TurnEnded { outcome, .. }) = (record.turn, &record.event)
            && ended == turn
        {
            let is_interrupted = *outcome == TurnOutcome::Interrupted;
            ensure!(is_interrupted, "a turn had ended before: {outcome:?}");
            return Ok(asked.elapsed());
        }
    }
}

/// The three ways to the same engine.
struct Ways<'a> {
    daemon: &'a Daemon,
    server: &'a ScriptServer,
    gateway: Gateway,
    records: Records,
    socket: Socket,
}

impl<'a> Ways<'a> {
    async fn new(
        daemon: &'a Daemon,
        server: &'a ScriptServer,
        gateway: Gateway,
        records: Records,
    ) -> Result<Self> {
        let mut socket = gateway.socket().await?;
        socket.say(&json!({"type": "follow"})).await?;
        Ok(Self {
            daemon,
            server,
            gateway,
            records,
            socket,
        })
    }

    async fn over_control(&mut self) -> Result<f64> {
        let n_before = self.server.exchanges().len();
        let (turn, op) = self.daemon.turn(QUESTION);
        let socket = self.daemon.socket();
        let sent = Instant::now();
        let (_, wait) = tokio::try_join!(control::submit(&socket, &op), async {
            loop {
                let record = self.records.next().await?;
                let is_text = matches!(record.event, Event::TextDelta { .. });
                if is_text && record.turn == Some(turn) {
                    return Ok(sent.elapsed());
                }
            }
        })?;
        self.settle(n_before, wait).await
    }

    async fn over_http(&mut self) -> Result<f64> {
        let n_before = self.server.exchanges().len();
        let asked = json!({"model": "titanclaw", "stream": true, "messages": [{"role": "user", "content": QUESTION}]});
        let connection = self.gateway.connect().await?;
        let sent = Instant::now();
        let path = "/v1/chat/completions";
        let mut events = connection.ask("POST", path, &asked.to_string()).await?;
        let wait = loop {
            let data = events.data().await?.context("the answer ended")?;
            let chunk: Value = serde_json::from_str(&data)?;
            let text = chunk["choices"][0]["delta"]["content"].as_str();
            if text.is_some_and(|text| !text.is_empty()) {
                break sent.elapsed();
            }
        };
        while events.data().await?.is_some() {}
        self.settle(n_before, wait).await
    }

    async fn over_socket(&mut self) -> Result<f64> {
        let n_before = self.server.exchanges().len();
        let (turn, op) = self.daemon.turn(QUESTION);
        let asked = json!({"type": "op", "id": 1, "op": op});
        self.read_along().await?;
        let sent = Instant::now();
        self.socket.say(&asked).await?;
        let turn = serde_json::to_value(turn)?;
        let wait = loop {
            let told = self.socket.hear().await?;
            let record = &told["record"];
            if record["event"]["event"] == "text_delta" && record["turn"] == turn {
                break sent.elapsed();
            }
        };
        self.settle(n_before, wait).await
    }

    /// Reads what the other ways left on the WebSocket: an answer to a `ping` comes after no record of theirs only by
    /// chance, so it reads until nothing comes for a moment.
    async fn read_along(&mut self) -> Result<()> {
        while let Ok(told) = tokio::time::timeout(PAUSE, self.socket.hear()).await {
            told?;
        }
        Ok(())
    }

    /// Waits until the turn has ended, so that the next finds the daemon at rest, and takes off what the model's server had
    /// the request for.
    async fn settle(&mut self, n_before: usize, wait: Duration) -> Result<f64> {
        loop {
            let record = self.records.next().await?;
            if matches!(record.event, Event::TurnEnded { .. }) {
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
        let exchanges = self.server.exchanges();
        let exchange = exchanges.get(n_before).context("a turn asked no model")?;
        let said = exchange.first_delta_at.context("the server said nothing")?;
        Ok(milliseconds(
            wait.saturating_sub(said - exchange.request.arrived),
        ))
    }
}

/// The value in the middle.
fn middle(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
