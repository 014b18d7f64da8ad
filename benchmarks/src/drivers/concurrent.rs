//! A thousand turns at once.

use super::block_on;
use crate::Setup;
use crate::control;
use crate::daemon::{Answers, Daemon, Home};
use crate::process::{self, megabytes, milliseconds};
use crate::report::Row;
use anyhow::Result;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use titan_protocol::{Event, Op, TurnId, TurnOutcome};
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const TURNS: usize = 1_000;
const TOKENS: usize = 20;
const TOKENS_PER_SECOND: f64 = 50.0;
/// Connections that hand in turns at a time; the control socket serves 128.
const SUBMITTERS: usize = 64;
/// A turn that has not ended by then counts as failed.
const TURN_WAIT_MAX: Duration = Duration::from_secs(60);
/// What the daemon has to give its memory back.
const CALM_DOWN: Duration = Duration::from_secs(10);

/// A thousand sessions, each with one turn of twenty tokens at fifty a second, all handed in at the same moment.
/// Every turn's time counts from that moment until its end is seen, so waiting in line is part of it. At best it is
/// 0.38 s.
pub(super) fn turns_concurrent(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let reply = Reply::tokens(TOKENS).per_second(TOKENS_PER_SECOND);
        let server = ScriptServer::start(Wire::Chat, Script::always(reply))?;
        let daemon = Daemon::start(&setup.binary, Home::fresh()?, Answers::Script(&server)).await?;
        // Only now, so that the daemon has the limit that a user's daemon has.
        process::raise_open_files_limit()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let idle = process::resident_bytes(daemon.pid)?;
        let run = run_turns(&daemon).await?;
        let peak = process::resident_bytes_max(daemon.pid)?;
        tokio::time::sleep(CALM_DOWN).await;
        let after = process::resident_bytes(daemon.pid)?;
        daemon.stop().await?;
        let left_over = (megabytes(after) - megabytes(idle)).max(0.0);
        let row = |metric, unit, samples| Row::new("turns_concurrent", metric, unit, samples);
        Ok(vec![
            row("turn", "s", run.seconds).goal(1.2, None),
            row("failed", "turns", vec![run.n_failed]).goal(0.0, Some(0.0)),
            row(
                "daemon_cpu_per_turn",
                "ms",
                vec![run.daemon_cpu_ms_per_turn],
            ),
            row(
                "driver_cpu_per_turn",
                "ms",
                vec![run.driver_cpu_ms_per_turn],
            ),
            row("rss_peak", "MB", vec![megabytes(peak)]).goal(150.0, None),
            row("rss_left_over", "MB", vec![left_over]).goal(20.0, None),
        ])
    })
}

struct Run {
    /// Of the turns that were completed.
    seconds: Vec<f64>,
    n_failed: f64,
    daemon_cpu_ms_per_turn: f64,
    driver_cpu_ms_per_turn: f64,
}

async fn run_turns(daemon: &Daemon) -> Result<Run> {
    let turns: Vec<(TurnId, Op)> = (0..TURNS)
        .map(|_| daemon.turn("Count to twenty."))
        .collect();
    let mut waiting: HashSet<TurnId> = turns.iter().map(|(id, _)| *id).collect();
    let mut records = control::follow(&daemon.socket(), None, 0).await?;
    let own_pid = std::process::id();
    let before = (process::cpu(daemon.pid)?, process::cpu(own_pid)?);
    let started = Instant::now();
    let mut submitting = submit_all(daemon.socket(), turns);
    let mut seconds = Vec::new();
    let followed = tokio::time::timeout(TURN_WAIT_MAX, async {
        while !waiting.is_empty() {
            let record = records.next().await?;
            let Event::TurnEnded { outcome, .. } = record.event else {
                continue;
            };
            let is_ours = record.turn.is_some_and(|turn| waiting.remove(&turn));
            if is_ours && outcome == TurnOutcome::Completed {
                seconds.push(started.elapsed().as_secs_f64());
            }
        }
        anyhow::Ok(())
    });
    match followed.await {
        Ok(followed) => followed?,
        // Turns that are still out when time is up are failed turns, not a failed measurement.
        Err(_) => submitting.abort_all(),
    }
    while let Some(submitted) = submitting.join_next().await {
        if let Ok(Err(error)) = submitted {
            eprintln!("turns_concurrent: {error:#}");
        }
    }
    let daemon_cpu = process::cpu(daemon.pid)?.saturating_sub(before.0);
    let driver_cpu = process::cpu(own_pid)?.saturating_sub(before.1);
    #[allow(clippy::cast_precision_loss, reason = "a thousand is exact")]
    let (n_turns, n_failed) = (TURNS as f64, (TURNS - seconds.len()) as f64);
    anyhow::ensure!(!seconds.is_empty(), "no turn was completed");
    Ok(Run {
        seconds,
        n_failed,
        daemon_cpu_ms_per_turn: milliseconds(daemon_cpu) / n_turns,
        driver_cpu_ms_per_turn: milliseconds(driver_cpu) / n_turns,
    })
}

fn submit_all(socket: PathBuf, turns: Vec<(TurnId, Op)>) -> JoinSet<Result<()>> {
    let room = Arc::new(Semaphore::new(SUBMITTERS));
    let mut submitting = JoinSet::new();
    for (_, op) in turns {
        let (room, socket) = (Arc::clone(&room), socket.clone());
        submitting.spawn(async move {
            let _permit = room.acquire().await?;
            control::submit(&socket, &op).await
        });
    }
    submitting
}
