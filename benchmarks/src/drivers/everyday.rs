//! Questions that a developer asks about a repository and its history, answered by the local model through the daemon,
//! with what the engine knows put beside them and without.

use super::block_on;
use crate::Setup;
use crate::control::{self, Records};
use crate::daemon::{Answers, Daemon, Home};
use crate::report::Row;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use titan_protocol::{Event, TurnId};

const DATA: &str = include_str!("../../data/everyday.json");
const TURN_WAIT_MAX: Duration = Duration::from_secs(600);

#[derive(Deserialize)]
struct Everyday {
    /// Of this repository, at which the questions are asked.
    commit: String,
    /// What the memory holds.
    notes: Vec<String>,
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    ask: String,
    /// A right answer says one of each.
    right: Vec<Vec<String>>,
}

impl Question {
    fn is_right(&self, answer: &str) -> bool {
        let answer = answer.to_lowercase();
        let says = |one: &String| answer.contains(&one.to_lowercase());
        self.right.iter().all(|some| some.iter().any(says))
    }
}

/// What a turn gave and took.
#[derive(Default)]
struct Turn {
    answer: String,
    tokens: u64,
    calls: u32,
    seconds: f64,
}

/// Of twenty questions how many are answered rightly, in percent, and the tokens, tool calls and seconds that each took:
/// `with` what is known unasked, and `without`, by the same model with the same tools. Each question begins a session.
pub(super) fn everyday(setup: &Setup) -> Result<Vec<Row>> {
    let everyday: Everyday = serde_json::from_str(DATA)?;
    let mut rows = Vec::new();
    for (is_told, metrics) in [
        (
            true,
            ["with_right", "with_tokens", "with_calls", "with_seconds"],
        ),
        (
            false,
            [
                "without_right",
                "without_tokens",
                "without_calls",
                "without_seconds",
            ],
        ),
    ] {
        let turns = block_on(ask_all(setup, &everyday, is_told))?;
        let n_right = everyday
            .questions
            .iter()
            .zip(&turns)
            .filter(|(question, turn)| question.is_right(&turn.answer))
            .count();
        let row = |metric, unit, samples| Row::new("everyday", metric, unit, samples);
        #[allow(clippy::cast_precision_loss, reason = "counts are small")]
        let (percent, tokens) = (
            100.0 * n_right as f64 / turns.len() as f64,
            turns.iter().map(|turn| turn.tokens as f64).collect(),
        );
        rows.extend([
            row(metrics[0], "%", vec![percent]),
            row(metrics[1], "tokens", tokens),
            row(
                metrics[2],
                "calls",
                turns.iter().map(|it| f64::from(it.calls)).collect(),
            ),
            row(metrics[3], "s", turns.iter().map(|it| it.seconds).collect()),
        ]);
    }
    Ok(rows)
}

async fn ask_all(setup: &Setup, everyday: &Everyday, is_told: bool) -> Result<Vec<Turn>> {
    let home = Home::fresh()?;
    clone(&setup.workspace, &home.workspace(), &everyday.commit)?;
    let run = |words: &[&str]| {
        let output = home
            .command(&setup.binary, Answers::Nobody)
            .args(words)
            .output()?;
        ensure!(
            output.status.success(),
            "titanclaw {} failed: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        anyhow::Ok(())
    };
    let is_told_words = if is_told { "true" } else { "false" };
    run(&["config", "set", "memory.unasked", is_told_words])?;
    // Nobody is there to be asked.
    for effect in ["write", "write_outside", "read_outside", "run", "network"] {
        run(&["config", "set", &format!("policy.{effect}"), "deny"])?;
    }
    for note in &everyday.notes {
        run(&["memory", "add", note])?;
    }
    run(&["code", "index"])?;
    let daemon = Daemon::start(&setup.binary, home, Answers::LocalModel).await?;
    let mut turns = Vec::new();
    for question in &everyday.questions {
        let turn = ask(&daemon, &question.ask).await?;
        let mark = if question.is_right(&turn.answer) {
            "right"
        } else {
            "wrong"
        };
        let answer = turn.answer.split_whitespace().collect::<Vec<_>>().join(" ");
        // Whoever waits for this sees what it does, and can judge the judgement.
        eprintln!(
            "{mark}, told {is_told_words}: {}\n    {answer}",
            question.ask
        );
        turns.push(turn);
    }
    daemon.stop().await?;
    Ok(turns)
}

fn clone(repository: &Path, folder: &Path, commit: &str) -> Result<()> {
    std::fs::remove_dir_all(folder)?;
    let git = |words: &[&str]| {
        let output = Command::new("git")
            .args(words)
            .output()
            .context("running git")?;
        ensure!(
            output.status.success(),
            "git {} failed: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        anyhow::Ok(())
    };
    let folder = folder.to_string_lossy();
    git(&["clone", "--quiet", &repository.to_string_lossy(), &folder])?;
    git(&["-C", &folder, "checkout", "--quiet", commit])
}

async fn ask(daemon: &Daemon, text: &str) -> Result<Turn> {
    let mut records = control::follow(&daemon.socket(), None, 0).await?;
    let (id, op) = daemon.turn(text);
    let started = Instant::now();
    control::submit(&daemon.socket(), &op).await?;
    let turn = tokio::time::timeout(TURN_WAIT_MAX, whole(&mut records, id)).await;
    let mut turn = turn.with_context(|| format!("nobody answered in time: {text}"))??;
    turn.seconds = started.elapsed().as_secs_f64();
    Ok(turn)
}

async fn whole(records: &mut Records, id: TurnId) -> Result<Turn> {
    let mut turn = Turn::default();
    loop {
        let record = records.next().await?;
        if record.turn != Some(id) {
            continue;
        }
        match record.event {
            Event::TextDelta { text } => turn.answer.push_str(&text),
            // What was said before a call is no answer.
            Event::ToolCallReady { .. } => {
                turn.answer.clear();
                turn.calls += 1;
            }
            Event::ModelCallEnded { usage, .. } => {
                turn.tokens += usage.input_tokens + usage.cache_read_tokens + usage.output_tokens;
            }
            Event::ModelCallFailed { error } => bail!("{error}"),
            Event::TurnEnded { .. } => return Ok(turn),
            _ => {}
        }
    }
}
