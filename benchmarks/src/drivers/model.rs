//! The local model as a user meets it: through the daemon, with the product's own prompt and tools.
//!
//! The file must be in the cache already (`titanclaw models pull`). With `TITAN_LLAMA_BENCH`, the path of llama.cpp's
//! `llama-bench`, and `TITAN_LLAMA_MODEL`, the same model's file, its figures stand beside ours and become the goals.
//! `TITAN_BENCH_MODEL` names another model than the default, such as `local/NAME`.

use super::block_on;
use crate::Setup;
use crate::control::{self, Records};
use crate::daemon::{Answers, Daemon, Home};
use crate::process::{self, megabytes};
use crate::report::Row;
use anyhow::{Context, Result, bail, ensure};
use std::process::Command;
use std::time::{Duration, Instant};
use titan_protocol::{Event, TurnId, Usage};

/// A request of about twenty tokens, as often as this.
const SHORT_TURNS: usize = 5;
/// Daemons that are started one after another in a home that knows the prefix already.
const FRESH_STARTS: usize = 3;
const SHORT: &str = "Do not use a tool. In one short sentence: what is a journal in a database?";
/// A request that is answered at length.
const LONG_ANSWER: &str = "Do not use a tool. Explain in six sentences what a hash table is.";
const LONG_ANSWERS: usize = 3;
/// Lines of a text that has to be read first; about nine hundred tokens.
const LONG_LINES: usize = 60;
const LONG_REQUESTS: usize = 3;
/// An answer of fewer tokens says nothing about their rate.
const ANSWER_TOKENS_MIN: u64 = 16;
/// What follows an answer, such as a title for the session, is waited for this long.
const QUIET: Duration = Duration::from_secs(3);
const TURN_WAIT_MAX: Duration = Duration::from_secs(300);
/// The length of llama-bench's prompt and answer.
const LLAMA_PROMPT_TOKENS: &str = "512";
const LLAMA_ANSWER_TOKENS: &str = "64";
/// How much of llama.cpp's rate we want for reading and for writing, and how much of its memory we may take.
const PREFILL_SHARE: f64 = 0.9;
const DECODE_SHARE: f64 = 1.0;
const MEMORY_SHARE: f64 = 1.3;

/// Time to the first piece of an answer with the fixed prompt's prefix known, from disk and from memory, rates of reading and writing in tokens
/// a second, and the most memory that the daemon held. For rates a goal is the least, not the most.
pub(super) fn local_model(setup: &Setup) -> Result<Vec<Row>> {
    let ours = block_on(measure(setup))?;
    let theirs = llama_bench()?;
    let row = |metric, unit, samples| Row::new("local_model", metric, unit, samples);
    let mut rows = vec![
        row("ttft_fresh_process", "s", ours.fresh_first_piece_seconds).goal(0.5, None),
        row("ttft_warm_prefix", "s", ours.first_piece_seconds).goal(0.5, None),
    ];
    let mut prefill = row("prefill", "tok/s", ours.prefill_rates);
    let mut decode = row("decode", "tok/s", ours.decode_rates);
    let mut memory = row("rss_peak", "MB", vec![ours.megabytes_max]);
    if let Some(theirs) = theirs {
        prefill = prefill.goal(PREFILL_SHARE * theirs.prefill_rate, None);
        decode = decode.goal(DECODE_SHARE * theirs.decode_rate, None);
        memory = memory.goal(MEMORY_SHARE * theirs.megabytes_max, None);
        rows.push(row("llama_prefill", "tok/s", vec![theirs.prefill_rate]));
        rows.push(row("llama_decode", "tok/s", vec![theirs.decode_rate]));
        rows.push(row("llama_rss_peak", "MB", vec![theirs.megabytes_max]));
    }
    rows.extend([prefill, decode, memory]);
    Ok(rows)
}

struct Ours {
    fresh_first_piece_seconds: Vec<f64>,
    first_piece_seconds: Vec<f64>,
    prefill_rates: Vec<f64>,
    decode_rates: Vec<f64>,
    megabytes_max: f64,
}

async fn measure(setup: &Setup) -> Result<Ours> {
    // The first daemon leaves the prefix on disk for the next ones, which is what everyday use is like.
    let mut daemon = Daemon::start(&setup.binary, Home::fresh()?, Answers::LocalModel).await?;
    ask(&daemon, SHORT).await?;
    let mut fresh = Vec::new();
    for _ in 0..FRESH_STARTS {
        let home = daemon.stop().await?;
        daemon = Daemon::start(&setup.binary, home, Answers::LocalModel).await?;
        fresh.push(ask(&daemon, SHORT).await?);
    }
    let short = ask_often(&daemon, SHORT, SHORT_TURNS).await?;
    let answers = ask_often(&daemon, LONG_ANSWER, LONG_ANSWERS).await?;
    let requests = ask_often(&daemon, &long_request(), LONG_REQUESTS).await?;
    let megabytes_max = megabytes(process::resident_bytes_max(daemon.pid)?);
    daemon.stop().await?;
    let decode_rates: Vec<f64> = answers.iter().filter_map(Call::decode_rate).collect();
    ensure!(
        !decode_rates.is_empty(),
        "no answer was long enough to tell a rate"
    );
    Ok(Ours {
        fresh_first_piece_seconds: fresh.iter().map(Call::first_piece_seconds).collect(),
        first_piece_seconds: short.iter().map(Call::first_piece_seconds).collect(),
        prefill_rates: requests.iter().map(Call::prefill_rate).collect(),
        decode_rates,
        megabytes_max,
    })
}

/// A text that differs in every line, so that nothing of it was read before.
fn long_request() -> String {
    let lines: String = (0..LONG_LINES)
        .map(|n| {
            format!(
                "Item {n} weighs {} grams and costs {} cents.\n",
                n * 37,
                n * 91
            )
        })
        .collect();
    format!("Do not use a tool. Which item is the heaviest? Answer with its number.\n{lines}")
}

/// One call of the model.
struct Call {
    started: Instant,
    first_piece: Instant,
    ended: Instant,
    usage: Usage,
}

#[allow(clippy::cast_precision_loss, reason = "token counts are small")]
impl Call {
    fn first_piece_seconds(&self) -> f64 {
        (self.first_piece - self.started).as_secs_f64()
    }

    fn prefill_rate(&self) -> f64 {
        self.usage.input_tokens as f64 / self.first_piece_seconds()
    }

    fn decode_rate(&self) -> Option<f64> {
        let tokens = self.usage.output_tokens;
        let seconds = (self.ended - self.first_piece).as_secs_f64();
        (tokens >= ANSWER_TOKENS_MIN).then(|| (tokens - 1) as f64 / seconds)
    }
}

async fn ask_often(daemon: &Daemon, text: &str, n_times: usize) -> Result<Vec<Call>> {
    let mut calls = Vec::new();
    for n in 0..n_times {
        // A number in front keeps the engine from knowing the rest of the request already.
        calls.push(ask(daemon, &format!("({n}) {text}")).await?);
    }
    Ok(calls)
}

/// A new session with one request; gives the first call of its turn, and returns when the model rests again.
async fn ask(daemon: &Daemon, text: &str) -> Result<Call> {
    let mut records = control::follow(&daemon.socket(), None, 0).await?;
    let (id, op) = daemon.turn(text);
    control::submit(&daemon.socket(), &op).await?;
    let call = tokio::time::timeout(TURN_WAIT_MAX, first_call(&mut records, id)).await;
    let call = call.context("the local model did not answer in time")??;
    while let Ok(record) = tokio::time::timeout(QUIET, records.next()).await {
        record?;
    }
    Ok(call)
}

async fn first_call(records: &mut Records, id: TurnId) -> Result<Call> {
    let mut started = None;
    let mut first_piece = None;
    loop {
        let record = records.next().await?;
        if record.turn != Some(id) {
            continue;
        }
        match record.event {
            Event::ModelCallStarted { .. } => started = Some(Instant::now()),
            Event::TextDelta { .. }
            | Event::ThinkingDelta { .. }
            | Event::ToolCallStarted { .. } => {
                first_piece.get_or_insert_with(Instant::now);
            }
            Event::ModelCallEnded { usage, .. } => {
                return Ok(Call {
                    started: started.context("a call ended that had not begun")?,
                    first_piece: first_piece.context("the local model said nothing")?,
                    ended: Instant::now(),
                    usage,
                });
            }
            Event::ModelCallFailed { error } => bail!("{error}"),
            Event::TurnEnded { outcome, .. } => bail!("the turn ended as {outcome:?}"),
            _ => {}
        }
    }
}

struct Theirs {
    prefill_rate: f64,
    decode_rate: f64,
    megabytes_max: f64,
}

/// llama.cpp's own benchmark on as many threads as there are processors; `None` when it was not named.
fn llama_bench() -> Result<Option<Theirs>> {
    let variables = ["TITAN_LLAMA_BENCH", "TITAN_LLAMA_MODEL"].map(std::env::var_os);
    let [Some(program), Some(model)] = variables else {
        return Ok(None);
    };
    let threads = std::thread::available_parallelism()?.to_string();
    let mut command = Command::new(program);
    command.arg("-m").arg(model);
    command.args(["-t", &threads, "-o", "json"]);
    command.args(["-p", LLAMA_PROMPT_TOKENS, "-n", LLAMA_ANSWER_TOKENS]);
    let output = command.output().context("running llama-bench")?;
    ensure!(
        output.status.success(),
        "llama-bench failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Once more for its memory, which only the accounts of a process that is waited for tell.
    let cost = process::run(&mut command)?;
    let (prefill_rate, decode_rate) = llama_rates(&output.stdout)?;
    Ok(Some(Theirs {
        prefill_rate,
        decode_rate,
        megabytes_max: megabytes(cost.resident_bytes_max),
    }))
}

/// The rates of the entry that only reads and of the one that only writes.
fn llama_rates(output: &[u8]) -> Result<(f64, f64)> {
    let entries: Vec<serde_json::Value> =
        serde_json::from_slice(output).context("reading llama-bench's output")?;
    let rate = |still: &str| {
        let entry = entries.iter().find(|entry| entry[still] == 0);
        let rate = entry.and_then(|entry| entry["avg_ts"].as_f64());
        rate.context("llama-bench's output has no such rate")
    };
    Ok((rate("n_gen")?, rate("n_prompt")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_leave_out_what_was_known_already() {
        let started = Instant::now();
        let call = Call {
            started,
            first_piece: started + Duration::from_secs(2),
            ended: started + Duration::from_secs(4),
            usage: Usage {
                input_tokens: 100,
                cache_read_tokens: 470,
                output_tokens: 21,
                ..Usage::default()
            },
        };
        assert!((call.prefill_rate() - 50.0).abs() < 1e-9);
        assert!((call.decode_rate().unwrap() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn llama_bench_is_read_by_what_each_entry_does() {
        let output = br#"[{"n_prompt":512,"n_gen":0,"avg_ts":87.5},{"n_prompt":0,"n_gen":64,"avg_ts":13.5}]"#;
        assert_eq!(llama_rates(output).unwrap(), (87.5, 13.5));
        assert!(llama_rates(b"[]").is_err());
    }
}
