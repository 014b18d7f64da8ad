//! How long it takes until something happens after Enter.

use super::block_on;
use crate::Setup;
use crate::daemon::{Answers, Daemon, Home};
use crate::process::{self, milliseconds};
use crate::report::Row;
use anyhow::{Context, Result};
use std::process::Stdio;
use std::time::Instant;
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

const COLD_STARTS: usize = 50;
const ONE_SHOTS: usize = 20;
const DAEMON_STARTS: usize = 20;

/// A process that only says something about itself, from start to end. The file cache is warm.
pub(super) fn cli_cold_start(setup: &Setup) -> Result<Vec<Row>> {
    let home = Home::fresh()?;
    let mut rows = Vec::new();
    for (flag, [wall, cpu, rss]) in [
        ("--version", ["version_wall", "version_cpu", "version_rss"]),
        ("--help", ["help_wall", "help_cpu", "help_rss"]),
    ] {
        let mut command = home.command(&setup.binary, Answers::Nobody);
        command.arg(flag);
        process::run(&mut command)?;
        let costs: Vec<_> = (0..COLD_STARTS)
            .map(|_| process::run(&mut command))
            .collect::<Result<_>>()?;
        let of = |f: fn(&process::Cost) -> f64| costs.iter().map(f).collect::<Vec<f64>>();
        let walls = of(|cost| milliseconds(cost.wall));
        let cpus = of(|cost| milliseconds(cost.cpu));
        let rsses = of(|cost| process::megabytes(cost.resident_bytes_max));
        rows.push(Row::new("cli_cold_start", wall, "ms", walls).goal(20.0, Some(20.0)));
        rows.push(Row::new("cli_cold_start", cpu, "ms", cpus).goal(5.0, Some(20.0)));
        rows.push(Row::new("cli_cold_start", rss, "MB", rsses).goal(12.0, None));
    }
    Ok(rows)
}

/// `ask`, from the start of the process until its request is on the wire, without a daemon: in a home that was used
/// before, and in one that has to be made first.
pub(super) fn one_shot(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let server = ScriptServer::start(Wire::Chat, Script::always(Reply::text("Yes.")))?;
        let used = Home::fresh()?;
        ask_once(setup, &used, &server)?;
        let mut in_used = Vec::new();
        let mut in_fresh = Vec::new();
        for _ in 0..ONE_SHOTS {
            in_used.push(ask_once(setup, &used, &server)?);
            in_fresh.push(ask_once(setup, &Home::fresh()?, &server)?);
        }
        let row = |metric, samples| Row::new("one_shot", metric, "ms", samples);
        Ok(vec![
            row("start_to_request", in_used).goal(15.0, Some(100.0)),
            row("fresh_home", in_fresh).goal(15.0, Some(100.0)),
        ])
    })
}

fn ask_once(setup: &Setup, home: &Home, server: &ScriptServer) -> Result<f64> {
    let n_before = server.exchanges().len();
    let started = Instant::now();
    let output = home
        .command(&setup.binary, Answers::Script(server))
        .args(["ask", "Is it so?"])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`ask` failed: {said}");
    let requests = server.requests();
    let first = requests.get(n_before);
    let first = first.with_context(|| format!("`ask` asked no model: {said}"))?;
    Ok(milliseconds(first.arrived - started))
}

/// From the start of the process until it answers on its control socket, in a home that was used before.
pub(super) fn daemon_ready(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let server = ScriptServer::start(Wire::Chat, Script::always(Reply::text("Yes.")))?;
        let first = Daemon::start(&setup.binary, Home::fresh()?, Answers::Script(&server)).await?;
        let mut home = first.stop().await?;
        let mut waits = Vec::new();
        for _ in 0..DAEMON_STARTS {
            let daemon = Daemon::start(&setup.binary, home, Answers::Script(&server)).await?;
            waits.push(milliseconds(daemon.ready_after));
            home = daemon.stop().await?;
        }
        let row = Row::new("daemon_ready", "start_to_answer", "ms", waits);
        Ok(vec![row.goal(60.0, None)])
    })
}
