//! What an answer without a model takes: on a daemon from question to whole answer, and in this process what the router
//! and the making of a component take.

use super::block_on;
use super::latency::follow_turn;
use crate::Setup;
use crate::control;
use crate::daemon::{Answers, Daemon, Home};
use crate::process::milliseconds;
use crate::report::Row;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use titan_forge::{About, Config, Facts, Ports, Promotion, Reflexes};
use titan_protocol::{
    Asked, CallId, EndedTurn, Event, Journal, Origin, ReflexHost, SessionId, Shortcut, Taint,
    Taken, ToolCall, ToolSpec, TurnId, TurnOutcome, Usage,
};
use titan_testkit::server::{Reply, Request, Script, ScriptServer, Wire};
use titan_testkit::storage::MemoryStore;
use titan_wasm::WasmHost;

const TURNS: usize = 200;
const KNOWN: usize = 10_000;
const ASKED: usize = 20_000;
const PLANS: usize = 100;
/// After a turn, so that what it teaches is learned before the next.
const PAUSE: Duration = Duration::from_millis(50);
const TEACHING: [&str; 4] = ["a.txt", "b.txt", "c.txt", "d.txt"];

/// A request that called a tool and was answered by a model, asked again with other values: from handing it in until the
/// whole answer is with the caller, the tool's run included. No request reaches the model.
pub(super) fn reflex_hit(setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let reads = |name: &str| Reply::call("read", &json!({ "path": name }).to_string());
        let runs = |name: &str| {
            let script = format!("cat {name}");
            Reply::call("shell", &json!({ "script": script }).to_string())
        };
        let (read, run) = (answered(setup, reads).await?, answered(setup, runs).await?);
        Ok(vec![
            Row::new("reflex_hit", "send_to_answer", "ms", read).goal(2.0, Some(100.0)),
            Row::new("reflex_hit", "with_a_program", "ms", run).goal(100.0, Some(100.0)),
        ])
    })
}

/// What each question took that a reflex answered, after a model had read its files by this call.
async fn answered(
    setup: &Setup,
    call: impl Fn(&str) -> Reply + Send + Sync + 'static,
) -> Result<Vec<f64>> {
    let model = move |request: &Request| reads_out(request, &call);
    let server = ScriptServer::start(Wire::Chat, Script::choose(model))?;
    let home = Home::fresh()?;
    home.configure(&server, Wire::Chat)?;
    home.add("\n[reflexes]\npromotion = \"proved\"\nsample = 0\n")?;
    for name in TEACHING {
        let words = format!("{} words\n", name.len() + usize::from(name.as_bytes()[0]));
        std::fs::write(home.workspace().join(name), words)?;
    }
    let daemon = Daemon::start(&setup.binary, home, Answers::Configured).await?;
    let mut records = control::follow(&daemon.socket(), None, 0).await?;
    for name in TEACHING {
        ask(&daemon, &mut records, &format!("What does {name} say?")).await?;
        tokio::time::sleep(PAUSE).await;
    }
    let n_taught = server.exchanges().len();
    let mut answers = Vec::new();
    for n in 0..TURNS {
        let name = TEACHING[n % TEACHING.len()];
        answers.push(ask(&daemon, &mut records, &format!("What does {name} say?")).await?);
    }
    let n_asked = server.exchanges().len() - n_taught;
    ensure!(n_asked == 0, "the model was asked {n_asked} times");
    daemon.stop().await?;
    Ok(answers)
}

/// Reads the file that is asked about, and says what it says.
fn reads_out(request: &Request, call: impl Fn(&str) -> Reply) -> Reply {
    let asked = request.last_user_text();
    let name = asked
        .split_whitespace()
        .rfind(|word| word.ends_with(".txt"))
        .unwrap_or_default();
    match request.tool_results().last() {
        None => call(name),
        Some(found) => {
            // What tools give stands between two marks.
            let words = found.lines().find(|line| line.ends_with("words"));
            Reply::text(&format!("{name} says: {}", words.unwrap_or_default()))
        }
    }
}

async fn ask(daemon: &Daemon, records: &mut control::Records, text: &str) -> Result<f64> {
    let (id, op) = daemon.turn(text);
    let sent = Instant::now();
    control::submit(&daemon.socket(), &op).await?;
    follow_turn(records, id)
        .await?
        .context("a turn had no answer")?;
    Ok(milliseconds(sent.elapsed()))
}

/// Whether one of 10,000 reflexes knows a question: half of the questions are known, half are like a known one.
pub(super) fn reflex_route(_setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let taught = Taught::new().await?;
        for n in 0..KNOWN {
            taught.answered(n, &riddle(n)).await?;
        }
        let mut took = Vec::new();
        for n in 0..ASKED {
            let is_known = n % 2 == 0;
            let mut asked = taught.asked(&riddle(n % KNOWN));
            if !is_known {
                asked.text.push_str(" And why?");
            }
            let started = Instant::now();
            let taken = taught.reflexes.consult(&asked);
            took.push(started.elapsed().as_secs_f64() * 1e6);
            ensure!(taken.is_some() == is_known, "{:?}", asked.text);
        }
        Ok(vec![
            Row::new("reflex_route", "consult_10k", "us", took).goal(1_000.0, Some(1_000.0)),
        ])
    })
}

/// A question that no other is like but for a word and a number.
fn riddle(n: usize) -> String {
    const ANIMALS: [&str; 10] = [
        "sheep", "goats", "horses", "geese", "hens", "pigs", "dogs", "cats", "mules", "bees",
    ];
    const PLACES: [&str; 10] = [
        "barn", "field", "stable", "pond", "garden", "wood", "valley", "hill", "meadow", "lane",
    ];
    let (animal, place) = (ANIMALS[n % 10], PLACES[n / 10 % 10]);
    format!(
        "A farmer has {} {animal} in the {place} and all but {} walk off. How many stay?",
        n + 20,
        n % 17
    )
}

/// From a plan as data to the first step of its component: encoded, compiled, linked and run, nothing of it kept before.
pub(super) fn plan_compile(_setup: &Setup) -> Result<Vec<Row>> {
    block_on(async {
        let mut took = Vec::new();
        for n in 0..PLANS {
            let taught = Taught::new().await?;
            for (turn, name) in TEACHING.into_iter().enumerate() {
                taught.called(turn, name, n).await?;
            }
            let asked = taught.asked(&format!("What does {} say?", TEACHING[0]));
            let Taken { code, .. } = taught
                .reflexes
                .consult(&asked)
                .context("nothing was learned")?;
            let outcomes = [format!("{}: {n}\n", TEACHING[0])];
            // The proof has compiled it; a home that knows the plan alone has not.
            let fresh = taught.again().await?;
            let Taken { code: anew, .. } =
                fresh.reflexes.consult(&asked).context("nothing was kept")?;
            let started = Instant::now();
            let step = anew.next(&outcomes);
            took.push(milliseconds(started.elapsed()));
            ensure!(step == code.next(&outcomes), "{step:?}");
        }
        Ok(vec![
            Row::new("plan_compile", "plan_to_first_step", "ms", took).goal(5.0, None),
        ])
    })
}

/// Reflexes in memory over the engine's own component host.
struct Taught {
    reflexes: Reflexes,
    store: Arc<MemoryStore>,
    tools: Arc<[ToolSpec]>,
    _folder: tempfile::TempDir,
}

struct NoFacts;

impl Facts for NoFacts {
    fn tell(&self, _: About) -> Result<String, String> {
        Err("nobody asks".to_owned())
    }
}

impl Taught {
    async fn new() -> Result<Self> {
        Self::over(MemoryStore::new()).await
    }

    /// The same home, where nothing was compiled.
    async fn again(&self) -> Result<Self> {
        Self::over(self.store.clone()).await
    }

    async fn over(store: Arc<MemoryStore>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let host: Arc<dyn ReflexHost> = Arc::new(WasmHost::open(titan_wasm::Config::new(
            folder.path().join("artefacts"),
            folder.path().join("state"),
        ))?);
        let ports = Ports {
            journal: store.clone(),
            records: store.clone(),
            host,
            facts: Arc::new(NoFacts),
            writing: None,
            now: || 0,
        };
        let config = Config {
            promotion: Promotion::Proved,
            sample_every: 0,
            ..Config::default()
        };
        let reflexes = Reflexes::open(ports, config).await?;
        let watched = reflexes.clone();
        tokio::spawn(async move { watched.watch().await });
        let tool = ToolSpec {
            name: "shell".to_owned(),
            description: "runs".to_owned(),
            input_schema: json!({"type": "object"}),
        };
        Ok(Self {
            reflexes,
            store,
            tools: [tool].into(),
            _folder: folder,
        })
    }

    fn asked(&self, text: &str) -> Asked {
        Asked {
            workspace: "/w".into(),
            text: text.to_owned(),
            is_first: true,
            tools: self.tools.clone(),
            versions: Arc::default(),
        }
    }

    /// A turn that a model answered from its question alone.
    async fn answered(&self, n: usize, text: &str) -> Result<()> {
        self.tell(n, text, Vec::new(), format!("{n} stay.")).await
    }

    /// A turn that called a tool.
    async fn called(&self, turn: usize, name: &str, n: usize) -> Result<()> {
        let id = CallId::from(format!("c{turn}").as_str());
        let script = json!({ "script": format!("cat {name} | head -n {n}") });
        let call = ToolCall {
            id: id.clone(),
            name: "shell".to_owned(),
            arguments: script.as_object().cloned().unwrap_or_default(),
        };
        let ended = Event::ToolCallEnded {
            call: id,
            text: format!("{name}: {n}\n"),
            is_error: false,
            taint: Taint::NONE,
            whole: None,
            elapsed_ms: 1,
        };
        let ready = Event::ToolCallReady {
            call,
            origin: Origin::Model,
        };
        let text = format!("What does {name} say?");
        self.tell(
            turn,
            &text,
            vec![ready, ended],
            format!("{name} says: {name}: {n}"),
        )
        .await
    }

    async fn tell(&self, n: usize, text: &str, calls: Vec<Event>, answer: String) -> Result<()> {
        // What has changed about tools is seen when somebody asks.
        self.reflexes.consult(&self.asked(text));
        let (session, turn) = (SessionId::new(), TurnId::new());
        let started = Event::TurnStarted {
            text: text.to_owned(),
        };
        let said = Event::TextDelta { text: answer };
        let ended = Event::TurnEnded {
            outcome: TurnOutcome::Completed,
            usage: Usage::default(),
            elapsed_ms: 1,
        };
        let told = std::iter::once(started)
            .chain(calls)
            .chain([said, ended])
            .collect();
        let records = self.store.append(session, Some(turn), told).await?;
        let first = records.first().context("it was appended")?;
        self.reflexes.turn_ended(EndedTurn {
            session,
            turn,
            after: first.seq - 1,
            workspace: "/w".into(),
            is_first: true,
        });
        self.reflexes.settle().await;
        ensure!(n < KNOWN);
        Ok(())
    }
}
