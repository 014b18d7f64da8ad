//! What a daemon costs while nothing happens.

use super::block_on;
use crate::Setup;
use crate::daemon::{Answers, Daemon, Home};
use crate::process;
use crate::report::Row;
use anyhow::Result;
use std::time::Duration;
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

const SETTLE: Duration = Duration::from_secs(10);
const WATCH: Duration = Duration::from_secs(10);

/// Memory ten seconds after the daemon was ready, and processor time over the ten seconds after that. No model is
/// loaded and nobody is connected.
pub(super) fn idle_footprint(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let server = ScriptServer::start(Wire::Chat, Script::always(Reply::text("Yes.")))?;
        let daemon = Daemon::start(&setup.binary, Home::fresh()?, Answers::Script(&server)).await?;
        tokio::time::sleep(SETTLE).await;
        let resident = process::megabytes(process::resident_bytes(daemon.pid)?);
        let before = process::cpu(daemon.pid)?;
        tokio::time::sleep(WATCH).await;
        let used = process::cpu(daemon.pid)?.saturating_sub(before);
        daemon.stop().await?;
        let percent = 100.0 * used.as_secs_f64() / WATCH.as_secs_f64();
        Ok(vec![
            Row::new("idle_footprint", "rss", "MB", vec![resident]).goal(25.0, None),
            Row::new("idle_footprint", "cpu", "%", vec![percent]).goal(0.1, None),
        ])
    })
}
