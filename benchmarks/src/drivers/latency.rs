//! What the engine adds to the time that a model takes, measured on a warm daemon with one turn at a time.

use super::block_on;
use crate::Setup;
use crate::control::{self, Records};
use crate::daemon::{Answers, Daemon, Home};
use crate::process::milliseconds;
use crate::report::Row;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};
use titan_protocol::{Event, TurnId, TurnOutcome};
use titan_testkit::server::{Exchange, Reply, Script, ScriptServer, Wire};

const WARM_UP_TURNS: usize = 10;
const TURNS: usize = 100;
/// Between two turns, so that what is stored after one is not measured in the next.
const PAUSE: Duration = Duration::from_millis(5);

/// From handing in what the person said until the first piece of the answer arrives at the caller, less the time
/// that the server had the request before it sent that piece.
pub(super) fn ttft_overhead(setup: &Setup) -> Result<Vec<Row>> {
    let turns = measure_turns(setup, Script::always(Reply::tokens(20)))?;
    let overheads = turns.iter().map(Turn::overhead_ms).collect::<Result<_>>()?;
    let row = Row::new("ttft_overhead", "send_to_first_delta", "ms", overheads);
    Ok(vec![row.goal(1.5, Some(15.0))])
}

/// From handing in what the person said until the engine has accepted it, which means that it would survive a
/// restart.
pub(super) fn persist_turn(setup: &Setup) -> Result<Vec<Row>> {
    let turns = measure_turns(setup, Script::always(Reply::tokens(1)))?;
    let waits = turns
        .iter()
        .map(|turn| milliseconds(turn.accepted - turn.sent));
    Ok(vec![Row::new(
        "persist_turn",
        "send_to_accepted",
        "ms",
        waits.collect(),
    )])
}

/// From the last byte of a reply that calls a tool until the next request, with the tool's result in it, is on the
/// wire. The tool reads a file of one line, so this is an upper bound of what the engine itself takes.
pub(super) fn tool_to_llm(setup: &Setup) -> Result<Vec<Row>> {
    let script = Script::choose(|request| {
        if request.tool_names().is_empty() || !request.tool_results().is_empty() {
            Reply::text("It is small.")
        } else {
            Reply::call("read", r#"{"path":"note.txt"}"#)
        }
    });
    let turns = measure_turns(setup, script)?;
    let gaps = turns.iter().map(Turn::tool_gap_ms).collect::<Result<_>>()?;
    let row = Row::new("tool_to_llm", "reply_to_next_request", "ms", gaps);
    Ok(vec![row.goal(1.0, None)])
}

/// One turn, as seen from both its ends.
struct Turn {
    sent: Instant,
    accepted: Instant,
    first_delta: Option<Instant>,
    exchanges: Vec<Exchange>,
}

impl Turn {
    fn overhead_ms(&self) -> Result<f64> {
        let first_delta = self.first_delta.context("a turn had no answer")?;
        let exchange = self.exchanges.first().context("a turn asked no model")?;
        let said = exchange.first_delta_at.context("the server said nothing")?;
        let at_server = said - exchange.request.arrived;
        Ok(milliseconds(
            (first_delta - self.sent).saturating_sub(at_server),
        ))
    }

    fn tool_gap_ms(&self) -> Result<f64> {
        let mut with_tools = self
            .exchanges
            .iter()
            .filter(|exchange| !exchange.request.tool_names().is_empty());
        let (first, second) = (with_tools.next(), with_tools.next());
        let (ended, _) = first
            .and_then(|exchange| exchange.ended)
            .context("no call")?;
        let second = second.context("the tool's result reached no model")?;
        Ok(milliseconds(
            second.request.arrived.saturating_duration_since(ended),
        ))
    }
}

fn measure_turns(setup: &Setup, script: Script) -> Result<Vec<Turn>> {
    block_on(async {
        let server = ScriptServer::start(Wire::Chat, script)?;
        let daemon = Daemon::start(&setup.binary, Home::fresh()?, Answers::Script(&server)).await?;
        let mut records = control::follow(&daemon.socket(), None, 0).await?;
        let mut turns = Vec::new();
        for n in 0..WARM_UP_TURNS + TURNS {
            let turn = measure_turn(&daemon, &mut records, &server).await?;
            tokio::time::sleep(PAUSE).await;
            if n >= WARM_UP_TURNS {
                turns.push(turn);
            }
        }
        daemon.stop().await?;
        Ok(turns)
    })
}

async fn measure_turn(
    daemon: &Daemon,
    records: &mut Records,
    server: &ScriptServer,
) -> Result<Turn> {
    let n_before = server.exchanges().len();
    let (id, op) = daemon.turn("How big is note.txt?");
    let socket = daemon.socket();
    let sent = Instant::now();
    let accepting = async {
        control::submit(&socket, &op).await?;
        Ok(Instant::now())
    };
    let (accepted, first_delta) = tokio::try_join!(accepting, follow_turn(records, id))?;
    Ok(Turn {
        sent,
        accepted,
        first_delta,
        exchanges: server.exchanges().split_off(n_before),
    })
}

/// Reads until the turn has ended; gives the moment of its first piece of answer.
pub(super) async fn follow_turn(records: &mut Records, id: TurnId) -> Result<Option<Instant>> {
    let mut first_delta = None;
    loop {
        let record = records.next().await?;
        if record.turn != Some(id) {
            continue;
        }
        match record.event {
            Event::TextDelta { .. } => {
                first_delta.get_or_insert_with(Instant::now);
            }
            Event::TurnEnded {
                outcome: TurnOutcome::Completed,
                ..
            } => return Ok(first_delta),
            Event::TurnEnded { outcome, .. } => bail!("a turn ended as {outcome:?}"),
            _ => {}
        }
    }
}
