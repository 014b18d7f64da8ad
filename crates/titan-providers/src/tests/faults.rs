//! The fault table: each row spoils the replies of a server in one way, over each wire and each kind of reply, and
//! the same properties are asked of every cell.
//!
//! - What is told is a beginning of what the server said, whole only when the server said it whole.
//! - A call ends only when the server completed it, with its arguments, and never twice.
//! - There is one end: [`ModelEvent::Done`] or an error of the expected class, in one clean bounded line.
//! - The same request is sent again as often as it should be, unchanged, with the waits that it should have.
//! - No more is read than the named maxima, and no wait is longer than its bound.
//! - In a chain the next model takes over when nothing was said, and goes on when something was; nothing is told
//!   twice.

mod body;
mod egress;
mod rows;

use crate::config::{Ports, ProviderConfig, ProviderKind, ProvidersConfig, open};
use crate::http::FILLER_BYTES_MAX;
use crate::meter::SpendScope;
use crate::reply::REPLY_BYTES_MAX;
use crate::retry::RetryPolicy;
use crate::router::Router;
use crate::sse::FRAME_BYTES_MAX;
use crate::test_support::render_items;
use crate::wire::Wire;
use body::{Case, KINDS, Kind, Truth};
use egress::{FAULTY_HOST, FaultyEgress, Seen, Served};
use futures::StreamExt;
use rows::{ROWS, Row};
use serde_json::Value;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{
    Message, ModelError, ModelEvent, ModelRequest, Provider, SessionId, StopReason, Task, ToolSpec,
    TurnId,
};
use titan_testkit::server::{self, Reply};
use tokio::time::Instant;

type Item = Result<ModelEvent, ModelError>;

/// Rows of the table; a row that is lost is noticed.
const N_ROWS: usize = 103;
/// The longest line that a person is told of an error, in characters.
const LINE_CHARS_MAX: usize = 640;
/// What the spare model says.
const SPARE: &str = "The spare goes on.";
/// So much memory may the whole table take at its peak, replies kept for comparison included, in kilobytes.
const MEMORY_KB_MAX: u64 = 192 * 1024;
/// In virtual time; who takes longer waits for something that never comes.
const HANGS_AFTER: Duration = Duration::from_secs(48 * 3600);
const ATTEMPTS_MAX: usize = 3;

/// The kinds of [`ModelError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Unauthorized,
    Limited,
    Rejected,
    TooLong,
    Unavailable,
    Interrupted,
    Malformed,
    NoModel,
}

impl Class {
    fn of(error: &ModelError) -> Option<Self> {
        Some(match error {
            ModelError::Unauthorized { .. } => Self::Unauthorized,
            ModelError::Limited { .. } => Self::Limited,
            ModelError::Rejected { .. } => Self::Rejected,
            ModelError::TooLong { .. } => Self::TooLong,
            ModelError::Unavailable { .. } => Self::Unavailable,
            ModelError::Interrupted { .. } => Self::Interrupted,
            ModelError::Malformed { .. } => Self::Malformed,
            ModelError::NoModel { .. } => Self::NoModel,
            ModelError::Budget { .. } => return None,
        })
    }
}

/// How a trial may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// All that is true is told.
    Whole,
    /// One of the expected errors.
    Fails,
    /// Either.
    Either,
}

/// How often the server must have been asked.
#[derive(Clone, Copy, Debug)]
enum Asks {
    /// Once, or until patience ends when nothing was said and it may pass.
    AsTheErrorSays,
    Times(usize),
    Any,
}

/// One way to spoil a reply, and what must come of it.
struct Trial {
    what: String,
    script: Vec<Served>,
    truth: Truth,
    ends: Ends,
    classes: Vec<Class>,
    asks: Asks,
    /// The least and the most time of all waits.
    takes: Option<(Duration, Duration)>,
    within: Duration,
    says: Option<String>,
    /// Not tried in a chain.
    is_alone: bool,
    /// Text may be told twice, because the server says it so.
    may_stutter: bool,
    /// Neither text nor open calls are compared.
    is_free: bool,
}

impl Trial {
    fn of(what: impl Into<String>, served: Served, case: Case) -> Self {
        Self::script(what, vec![served], case)
    }

    /// These answers in turn, the last one for ever.
    fn script(what: impl Into<String>, script: Vec<Served>, case: Case) -> Self {
        Self {
            what: what.into(),
            script,
            truth: case.truth(),
            ends: Ends::Whole,
            classes: Vec::new(),
            asks: Asks::AsTheErrorSays,
            takes: None,
            within: Duration::from_secs(61),
            says: None,
            is_alone: false,
            may_stutter: false,
            is_free: false,
        }
    }

    fn first(self) -> Served {
        self.script
            .into_iter()
            .next()
            .expect("a trial has an answer")
    }

    fn whole(mut self) -> Self {
        self.ends = Ends::Whole;
        self
    }

    fn fails(mut self, classes: &[Class]) -> Self {
        self.ends = Ends::Fails;
        self.classes = classes.to_vec();
        self
    }

    fn fails_as(self, class: Class) -> Self {
        self.fails(&[class])
    }

    fn either(mut self, classes: &[Class]) -> Self {
        self.ends = Ends::Either;
        self.classes = classes.to_vec();
        self
    }

    fn asks(mut self, times: usize) -> Self {
        self.asks = Asks::Times(times);
        self
    }

    fn any_asks(mut self) -> Self {
        self.asks = Asks::Any;
        self
    }

    fn takes(mut self, least: Duration, most: Duration) -> Self {
        self.takes = Some((least, most));
        self
    }

    fn within(mut self, longest: Duration) -> Self {
        self.within = longest;
        self
    }

    fn says(mut self, words: &str) -> Self {
        self.says = Some(words.to_owned());
        self
    }

    fn meaning(mut self, truth: Truth) -> Self {
        self.truth = truth;
        self
    }

    fn stops(mut self, stop: StopReason) -> Self {
        self.truth.stop = stop;
        self
    }

    fn no_calls(mut self) -> Self {
        self.truth.calls.clear();
        self
    }

    fn calls_as(mut self, arguments: &[&str]) -> Self {
        for (call, arguments) in self.truth.calls.iter_mut().zip(arguments) {
            (*arguments).clone_into(&mut call.1);
        }
        self
    }

    fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }

    fn may_stutter(mut self) -> Self {
        self.may_stutter = true;
        self
    }

    fn may_say_anything(mut self) -> Self {
        self.is_free = true;
        self
    }
}

/// A property that does not hold, in words.
type Verdict = Result<(), String>;

fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// What came of asking once.
struct Run {
    items: Vec<Item>,
    faulty: Seen,
    spare: Seen,
    elapsed: Duration,
}

impl Run {
    fn error(&self) -> Option<&ModelError> {
        self.items.last().and_then(|item| item.as_ref().err())
    }

    fn text(&self) -> String {
        let text = self.items.iter().flatten().filter_map(|event| match event {
            ModelEvent::TextDelta { text } => Some(text.as_str()),
            _ => None,
        });
        text.collect()
    }

    fn has_spoken(&self) -> bool {
        let mut events = self.items.iter().flatten();
        events.any(|it| !matches!(it, ModelEvent::Route { .. } | ModelEvent::Usage(_)))
    }
}

fn request(case: Case) -> ModelRequest {
    let tool = |name: &str| ToolSpec {
        name: name.to_owned(),
        description: "Looks.".to_owned(),
        input_schema: serde_json::json!({"type": "object"}),
    };
    ModelRequest {
        tools: match case.kind {
            Kind::Text => Arc::default(),
            _ => [tool("read"), tool("list")].into(),
        },
        ..ModelRequest::new(Task::Chat, "You help.", vec![Message::user("hi")])
    }
}

/// The first model plays the script, the second one is well.
fn router(case: Case, egress: &FaultyEgress) -> Router {
    let kind = match case.wire {
        Wire::Anthropic => ProviderKind::Anthropic,
        Wire::OpenAiChat => ProviderKind::OpenAiChat,
        Wire::OpenAiResponses => ProviderKind::OpenAiResponses,
        Wire::Ollama => ProviderKind::Ollama,
    };
    let provider = |name: &str, kind, host: &str| ProviderConfig {
        base_url: Some(format!("https://{host}").parse().expect("an address")),
        native_tools: Some(true),
        ..ProviderConfig::new(name, kind, "m1")
    };
    let config = ProvidersConfig {
        providers: vec![
            provider("acme", kind, FAULTY_HOST),
            provider("spare", ProviderKind::OpenAiChat, "spare.test"),
        ],
        retry: RetryPolicy {
            attempts_max: ATTEMPTS_MAX as u32,
            // Each trial meets a provider that nothing is held against.
            failures_max: u32::MAX,
            ..RetryPolicy::default()
        },
        ..ProvidersConfig::default()
    };
    let ports = Ports {
        egress: Arc::new(egress.clone()),
        local: None,
        embedder: None,
    };
    open(config, ports).expect("a good configuration")
}

async fn run(provider: &dyn Provider, egress: &FaultyEgress, request: ModelRequest) -> Run {
    let began = Instant::now();
    let reading = provider.stream(request).collect();
    let items = tokio::time::timeout(HANGS_AFTER, reading).await;
    Run {
        items: items.unwrap_or_default(),
        faulty: std::mem::take(&mut *egress.seen_faulty.lock()),
        spare: std::mem::take(&mut *egress.seen_spare.lock()),
        elapsed: began.elapsed(),
    }
}

/// Where the trials of a cell are played.
struct Stage {
    case: Case,
    egress: FaultyEgress,
    router: Router,
}

impl Stage {
    fn new(case: Case) -> Self {
        let spare = server::Wire::Chat.body(&Reply::text(SPARE));
        let egress = FaultyEgress::new(Served::body(spare));
        Self {
            case,
            router: router(case, &egress),
            egress,
        }
    }

    /// What a new turn asks.
    fn turn(&self) -> Arc<dyn Provider> {
        self.router.scoped(SpendScope {
            session: SessionId::from_u128(1),
            turn: TurnId::from_u128(1),
            session_spent_usd_micros: 0,
        })
    }
}

/// Plays a trial alone and in a chain and judges both.
async fn play(stage: &Stage, trial: &Trial) -> Verdict {
    let (case, egress) = (stage.case, &stage.egress);
    let named = ModelRequest {
        model: Some("acme".to_owned()),
        ..request(case)
    };
    egress.play(&trial.script);
    let alone = run(&*stage.turn(), egress, named).await;
    judge(trial, &alone).map_err(|why| format!("{why}\n{}", shown(&alone)))?;
    if trial.is_alone {
        return Ok(());
    }
    egress.play(&trial.script);
    let chain = stage.turn();
    let first = run(&*chain, egress, request(case)).await;
    judge_chain(&alone, &first).map_err(|why| format!("in a chain: {why}\n{}", shown(&first)))?;
    if alone.has_spoken() && first.error().is_some() {
        let mut again = request(case);
        again.messages.push(Message::assistant(first.text()));
        again.messages.push(Message::user("Go on."));
        let second = run(&*chain, egress, again).await;
        judge_going_on(&second).map_err(|why| format!("going on: {why}\n{}", shown(&second)))?;
    }
    Ok(())
}

fn shown(run: &Run) -> String {
    let all = render_items(&run.items);
    let end = all.char_indices().nth(1500).map_or(all.len(), |(at, _)| at);
    format!(
        "asked {} times, {} bytes, {:?}\n{}",
        run.faulty.requests.len(),
        run.faulty.bytes,
        run.elapsed,
        &all[..end]
    )
}

fn judge(trial: &Trial, run: &Run) -> Verdict {
    has_one_end(run)?;
    is_well_formed(run)?;
    ends_as_expected(trial, run)?;
    tells_the_truth(trial, run)?;
    calls_are_true(trial, run)?;
    error_is_clear(trial, run)?;
    asks_as_it_should(trial, run)?;
    stays_within_bounds(trial, run)
}

fn has_one_end(run: &Run) -> Verdict {
    must(!run.items.is_empty(), || "it hangs".to_owned())?;
    let is_end = |item: &Item| matches!(item, Err(_) | Ok(ModelEvent::Done { .. }));
    let n_ends = run.items.iter().filter(|it| is_end(it)).count();
    let is_last = run.items.last().is_some_and(is_end);
    must(n_ends == 1 && is_last, || {
        format!("{n_ends} ends, or more after the end")
    })?;
    let is_route = |item: &Item| matches!(item, Ok(ModelEvent::Route { .. }));
    let n_routes = run.items.iter().filter(|it| is_route(it)).count();
    must(n_routes == 1 && is_route(&run.items[0]), || {
        "it does not begin with its one route".to_owned()
    })
}

/// Calls begin before they go on, and end once.
fn is_well_formed(run: &Run) -> Verdict {
    let mut calls: BTreeMap<u32, bool> = BTreeMap::new();
    for event in run.items.iter().flatten() {
        let is_fine = match event {
            ModelEvent::ToolCallBegin { index, .. } => calls.insert(*index, true).is_none(),
            ModelEvent::ToolCallDelta { index, .. } => calls.get(index) == Some(&true),
            ModelEvent::ToolCallEnd { index } => calls.insert(*index, false) == Some(true),
            _ => true,
        };
        must(is_fine, || format!("out of order: {event:?}"))?;
    }
    Ok(())
}

fn ends_as_expected(trial: &Trial, run: &Run) -> Verdict {
    let Some(error) = run.error() else {
        must(trial.ends != Ends::Fails, || {
            format!("it is whole, not {:?}", trial.classes)
        })?;
        let stop = run.items.iter().flatten().find_map(|it| match it {
            ModelEvent::Done { stop } => Some(*stop),
            _ => None,
        });
        let is_fine = stop == Some(trial.truth.stop) || trial.ends == Ends::Either;
        return must(is_fine, || {
            format!("it stops with {stop:?}, not {:?}", trial.truth.stop)
        });
    };
    must(trial.ends != Ends::Whole, || "it fails".to_owned())?;
    let class = Class::of(error);
    let is_expected = class.is_some_and(|class| trial.classes.contains(&class));
    must(is_expected, || {
        format!("it fails with {class:?}, not {:?}", trial.classes)
    })
}

fn tells_the_truth(trial: &Trial, run: &Run) -> Verdict {
    if trial.is_free || trial.may_stutter {
        return Ok(());
    }
    let (told, truth) = (run.text(), &trial.truth.text);
    match run.error() {
        None => must(told == *truth, || format!("told {told:?}, said {truth:?}")),
        Some(_) => must(truth.starts_with(&told), || {
            format!("told {told:?} of {truth:?}")
        }),
    }
}

fn calls_are_true(trial: &Trial, run: &Run) -> Verdict {
    let mut left = trial.truth.calls.clone();
    let ended = super::bfcl::ended_calls(&run.items);
    for (name, arguments) in &ended {
        let same = |call: &(String, String)| call.0 == *name && same_json(&call.1, arguments);
        match left.iter().position(same) {
            Some(at) => drop(left.remove(at)),
            // What does not parse is told the model and never runs.
            None if trial.may_stutter && serde_json::from_str::<Value>(arguments).is_err() => {}
            None if trial.may_stutter && !left.is_empty() => drop(left.remove(0)),
            None => return Err(format!("it made a call of {name} {arguments}")),
        }
    }
    let is_whole = run.error().is_none() && trial.ends == Ends::Whole;
    must(!is_whole || left.is_empty(), || {
        format!("calls are missing: {left:?}")
    })
}

fn same_json(a: &str, b: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    a == b || value(a).is_some_and(|a| value(b) == Some(a))
}

fn error_is_clear(trial: &Trial, run: &Run) -> Verdict {
    let Some(error) = run.error() else {
        return Ok(());
    };
    let line = error.to_string();
    let is_dirty = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
            || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    must(!line.contains(is_dirty), || {
        format!("a line with control characters: {line:?}")
    })?;
    let length = line.chars().count();
    must(length <= LINE_CHARS_MAX, || {
        format!("a line of {length} characters")
    })?;
    let names = line.contains("acme") || line.contains("m1");
    must(names, || format!("who failed is not said: {line}"))?;
    must(!line.contains("sk-abcdef"), || {
        "it repeats a key".to_owned()
    })?;
    let says = trial.says.as_deref().unwrap_or("");
    must(line.contains(says), || {
        format!("it does not say {says:?}: {line}")
    })
}

fn asks_as_it_should(trial: &Trial, run: &Run) -> Verdict {
    let asked = run.faulty.requests.len();
    let may_pass = run.error().is_some_and(ModelError::is_transient) && !run.has_spoken();
    let expected = match trial.asks {
        Asks::Times(times) => times,
        Asks::AsTheErrorSays if may_pass => ATTEMPTS_MAX,
        Asks::AsTheErrorSays => 1,
        Asks::Any => asked.min(ATTEMPTS_MAX),
    };
    must(asked == expected, || {
        format!("asked {asked} times, not {expected}")
    })?;
    let first = &run.faulty.requests[0];
    let is_same = |other: &titan_protocol::HttpRequest| {
        (&other.url, &other.body, &other.headers) == (&first.url, &first.body, &first.headers)
    };
    must(run.faulty.requests.iter().all(is_same), || {
        "it asks for another thing".to_owned()
    })?;
    let Some((least, most)) = trial.takes else {
        return Ok(());
    };
    // Virtual time moves in milliseconds.
    let most = most + Duration::from_millis(5);
    let is_fine = (least..=most).contains(&run.elapsed);
    must(is_fine, || {
        format!("it takes {:?}, not {least:?} to {most:?}", run.elapsed)
    })
}

fn stays_within_bounds(trial: &Trial, run: &Run) -> Verdict {
    let (bytes, most) = (
        run.faulty.bytes,
        FRAME_BYTES_MAX + REPLY_BYTES_MAX + FILLER_BYTES_MAX,
    );
    must(bytes <= most, || format!("it reads {bytes} bytes"))?;
    must(run.elapsed <= trial.within, || {
        format!("it takes {:?}", run.elapsed)
    })
}

/// The chain tells what the faulty one told, or what the spare one says, never both.
fn judge_chain(alone: &Run, chain: &Run) -> Verdict {
    let passes_on = match alone.error() {
        None => false,
        Some(error) => !alone.has_spoken() && !matches!(error, ModelError::TooLong { .. }),
    };
    if !passes_on {
        must(chain.spare.requests.is_empty(), || {
            "the spare was asked".to_owned()
        })?;
        let same = chain.text() == alone.text();
        let classes = (chain.error().map(Class::of), alone.error().map(Class::of));
        return must(same && classes.0 == classes.1, || {
            "it differs from the one alone".to_owned()
        });
    }
    must(chain.error().is_none(), || {
        "the spare did not answer".to_owned()
    })?;
    must(chain.text() == SPARE, || format!("told {:?}", chain.text()))?;
    let reasons: Vec<&String> = chain.items.iter().flatten().filter_map(reason).collect();
    let is_told = reasons.len() == 1 && reasons[0].contains("acme");
    must(is_told, || format!("the change is not told: {reasons:?}"))
}

fn reason(event: &ModelEvent) -> Option<&String> {
    match event {
        ModelEvent::Route { reason, .. } => reason.as_ref(),
        _ => None,
    }
}

/// A turn that goes on after a break asks another model than the one that broke off.
fn judge_going_on(run: &Run) -> Verdict {
    must(run.faulty.requests.is_empty(), || {
        "the one that broke off is asked first".to_owned()
    })?;
    must(run.error().is_none() && run.text() == SPARE, || {
        "the spare did not go on".to_owned()
    })?;
    let is_told = run.items.iter().flatten().any(|it| reason(it).is_some());
    must(is_told, || "the change is not told".to_owned())
}

/// One cell: all trials of a row for a case; the first that fails is told.
fn check_cell(row: &Row, case: Case) -> (usize, Verdict) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let mut n_trials = 0;
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let stage = Stage::new(case);
        for trial in (row.trials)(case) {
            n_trials += 1;
            let played = runtime.block_on(play(&stage, &trial));
            played.map_err(|why| format!("{}: {why}", trial.what))?;
        }
        must(n_trials > 0, || "no trial".to_owned())
    }));
    (
        n_trials,
        played.unwrap_or_else(|_| Err("it panics".to_owned())),
    )
}

/// The most memory that the process has had, in kilobytes; 0 where the system does not tell.
fn memory_peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|it| it.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

#[test]
fn x21_x22_every_fault_over_every_wire_keeps_every_property() {
    let cases = super::WIRES
        .iter()
        .flat_map(|wire| KINDS.map(|kind| Case { wire: *wire, kind }));
    let cells: Vec<(&Row, Case)> = cases
        .flat_map(|case| ROWS.iter().map(move |row| (row, case)))
        .collect();
    let n_threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(4);
    let memory_before = memory_peak_kb();
    let work = |nth: usize| {
        let mine = cells.iter().skip(nth).step_by(n_threads);
        mine.map(|(row, case)| (*row, *case, check_cell(row, *case)))
            .collect::<Vec<_>>()
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads)
            .map(|nth| scope.spawn(move || work(nth)))
            .collect();
        threads
            .into_iter()
            .flat_map(|it| it.join().expect("cells do not panic"))
            .collect()
    });
    let memory_kb = memory_peak_kb() - memory_before;
    let mut n_failed = 0;
    let mut n_trials = 0;
    for (row, case, (trials, verdict)) in &results {
        n_trials += trials;
        if let Err(why) = verdict {
            n_failed += 1;
            println!(
                "FAILED {} {:?} {:?} {why}\n",
                row.name, case.wire, case.kind
            );
        }
    }
    println!(
        "faults: {} cells, {n_failed} failed ({n_trials} trials, {memory_kb} kB at the peak)",
        results.len()
    );
    assert_eq!(
        results.len(),
        N_ROWS * super::WIRES.len() * KINDS.len(),
        "a row is missing"
    );
    assert_eq!(n_failed, 0);
    assert!(memory_kb <= MEMORY_KB_MAX, "{memory_kb} kB were taken");
}
