//! `titanclaw daemon start|stop|status|run`.

use super::{Context, Exit, engine_runtime, light_runtime, status};
use crate::daemon::{SocketClient, is_served};
use crate::wire::{self, Need};
use anyhow::{Context as _, bail};
use std::fs::File;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};
use titan_protocol::Client;
use tokio::signal::unix::{SignalKind, signal};

/// The longest wait for an engine to be ready or to end.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often the wait looks again.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// What is read of a failed engine's last words.
const WORDS_BYTES_MAX: usize = 4 * 1024;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Start an engine in the background
    Start,
    /// End the engine; turns that run are stopped and kept
    Stop,
    /// Show the engine that runs now
    Status(status::Arguments),
    /// Run an engine in the foreground
    Run {
        /// Leave the terminal that it was started from
        #[arg(long, hide = true)]
        detached: bool,
    },
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    match arguments.command {
        Command::Start => start(context),
        Command::Stop => light_runtime()?.block_on(stop(context)),
        Command::Status(arguments) => status::run(context, &arguments),
        Command::Run { detached } => serve(context, detached),
    }
}

fn start(context: &Context) -> anyhow::Result<Exit> {
    let socket = context.home.socket();
    let runtime = engine_runtime()?;
    if runtime.block_on(is_served(&socket)) {
        context.say("an engine runs already");
        return Ok(Exit::Completed);
    }
    context.home.prepare()?;
    if let Some(text) = wire::too_few(wire::open_files_max()) {
        context.say(&text);
    }
    // A download shows its progress here, where somebody looks on.
    runtime.block_on(wire::prepare_model(context))?;
    let words = context.home.logs().join("daemon.err");
    let mut engine = spawn(context, &words)?;
    let started = Instant::now();
    while !runtime.block_on(is_served(&socket)) {
        if let Some(status) = engine.try_wait()? {
            bail!(
                "the engine ended at once ({status}): {}",
                last_words(&words)
            );
        }
        if started.elapsed() > WAIT_MAX {
            engine.kill()?;
            bail!(
                "the engine was not ready after {} s and was ended. `titanclaw logs` may say why",
                WAIT_MAX.as_secs()
            );
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    let status = runtime.block_on(SocketClient::new(&socket).status())?;
    context.say(&format!(
        "the engine runs (process {}) with {}",
        status.pid, status.model
    ));
    if let Some(recovered) = &status.recovered {
        context.say(recovered);
    }
    Ok(Exit::Completed)
}

fn spawn(context: &Context, words: &std::path::Path) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("this program's own file can't be found")?;
    let words =
        File::create(words).with_context(|| format!("{} can't be written", words.display()))?;
    let mut process = Process::new(program);
    process
        .args(["daemon", "run", "--detached", "--home"])
        .arg(context.home.path());
    if context.is_offline {
        process.arg("--offline");
    }
    process
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(words)
        .spawn()
        .context("the engine's process can't be started")
}

fn last_words(path: &std::path::Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let kept = text
        .char_indices()
        .rev()
        .take(WORDS_BYTES_MAX)
        .last()
        .map_or(0, |(idx, _)| idx);
    let words = text[kept..].trim().trim_start_matches("titanclaw: ");
    if words.is_empty() {
        "it said nothing; see `titanclaw logs`".to_owned()
    } else {
        words.to_owned()
    }
}

async fn stop(context: &Context) -> anyhow::Result<Exit> {
    let socket = context.home.socket();
    if !is_served(&socket).await {
        context.say("no engine runs");
        return Ok(Exit::Completed);
    }
    let client = SocketClient::new(&socket);
    let pid = client.status().await?.pid;
    client.stop().await?;
    let started = Instant::now();
    while is_alive(pid) {
        if started.elapsed() > WAIT_MAX {
            bail!(
                "the engine (process {pid}) has not ended after {} s. End it: kill {pid}",
                WAIT_MAX.as_secs()
            );
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    context.say("the engine has ended");
    Ok(Exit::Completed)
}

fn is_alive(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
        && !is_zombie(pid)
}

/// A process that has ended and whose parent has not looked.
fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z'))
    })
}

fn serve(context: &Context, is_detached: bool) -> anyhow::Result<Exit> {
    if is_detached {
        rustix::process::setsid().context("the terminal can't be left")?;
    }
    let files_max = wire::raise_open_files();
    if let Some(text) = wire::too_few(files_max) {
        context.say(&text);
    }
    engine_runtime()?.block_on(async {
        // Before the engine, so that a port that is taken is said while somebody listens.
        let opened = match &context.config()?.gateway {
            Some(settings) => Some(wire::open_gateway(context, settings, None).await?),
            None => None,
        };
        let owned = wire::own(
            context,
            Need::Model {
                asked: None,
                lasts: true,
            },
        )
        .await?;
        let gateway = opened.map(|opened| opened.serve(owned.behind()));
        let gateway = gateway.transpose()?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        context.say(&format!("ready at {}", context.home.socket().display()));
        if let Some(gateway) = &gateway {
            context.say(&format!(
                "the page is at {}; `titanclaw web` opens it",
                gateway.page()
            ));
        }
        tokio::select! {
            () = owned.stopped() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if let Some(gateway) = gateway {
            gateway.close().await;
        }
        owned.close().await?;
        Ok(Exit::Completed)
    })
}
