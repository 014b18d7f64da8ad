//! Servers that fail, through the built binary: the next model carries the turn on, nothing is said or done twice, and
//! where there is no next one the person reads one line with the cause and what to do. Each fault over each wire and
//! kind of reply is in the table of `titan-providers`; here the real connections and the whole turn are.

use futures::StreamExt;
use std::path::Path;
use std::process::Stdio;
use titan_protocol::{Event, Record, TurnOutcome};
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

/// What the spare says when a turn begins with it.
const SPARE: &str = "The spare answers.";
/// What the first model says until it breaks off, and what the spare says who is to go on.
const WHOLE: &str = "One two three four five six seven eight nine ten eleven twelve.";

/// One server's failure.
struct Fault {
    name: &'static str,
    reply: fn(Wire) -> Reply,
    /// The server is not even there, or is spoken to in the wrong way.
    way: Way,
    /// Words of the one line that a person reads.
    says: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Up,
    Down,
    Tls,
}

const fn fault(
    name: &'static str,
    reply: fn(Wire) -> Reply,
    says: &'static [&'static str],
) -> Fault {
    Fault {
        name,
        reply,
        way: Way::Up,
        says,
    }
}

/// At least one of each class of error, and each way in which a connection fails.
const FAULTS: &[Fault] = &[
    fault(
        "unauthorized",
        |_| Reply::status(401, "bad key"),
        &["acme refused the key: bad key", "titanclaw onboard"],
    ),
    fault(
        "limited",
        |_| Reply::status(429, "slow down").header("retry-after", "3600"),
        &["acme is limiting requests: slow down", "Wait a moment"],
    ),
    fault(
        "rejected",
        |_| Reply::status(400, "no such field"),
        &["acme refused the request: no such field", "--model"],
    ),
    fault(
        "no_model",
        |_| Reply::status(404, "model scripted not found"),
        &["acme has no model", "titanclaw models list"],
    ),
    fault(
        "unavailable",
        |_| Reply::status(503, "out to lunch"),
        &["acme cannot be reached: out to lunch", "network is up"],
    ),
    fault(
        "page",
        |_| {
            Reply::raw(
                "text/html",
                "<html><head><title>Log in</title></head></html>",
            )
        },
        &["Log in", "is the base address right", "titanclaw doctor"],
    ),
    fault(
        "page_502",
        |_| {
            Reply::raw_status(
                502,
                "text/html",
                "<html><head><title>Bad Gateway</title></head></html>",
            )
        },
        &["HTTP 502", "Bad Gateway"],
    ),
    fault(
        "redirect",
        |_| {
            Reply::raw_status(307, "text/plain", "")
                .header("location", "http://127.0.0.1:1/elsewhere")
        },
        &["sends on to http://127.0.0.1:1/elsewhere"],
    ),
    fault(
        "garbage",
        |wire| Reply::raw(wire.stream_type(), "data: {\"half\n\n{\n"),
        &["not understood"],
    ),
    fault(
        "not_http",
        |_| Reply::not_http("SSH-2.0-OpenSSH_9.9\r\n"),
        &["acme cannot be reached"],
    ),
    fault(
        "hangs_up",
        |_| Reply::not_http(""),
        &["acme cannot be reached"],
    ),
    fault("reset", |_| Reply::text("").reset_after(0), &["acme"]),
    fault(
        "gigantic_header",
        |_| Reply::text(WHOLE).header("x-trace", &"x".repeat(1 << 20)),
        &["acme cannot be reached"],
    ),
    fault(
        "broken_gzip",
        |wire| Reply::raw(wire.stream_type(), vec![7; 4096]).header("content-encoding", "gzip"),
        &["acme"],
    ),
    fault(
        "line_without_end",
        |_| Reply::endless(vec![b'x'; 1 << 16]),
        &["does not end"],
    ),
    fault(
        "error_without_end",
        |_| Reply::raw_status(400, "text/plain", vec![b'x'; 16 << 20]),
        &["HTTP 400"],
    ),
    Fault {
        name: "refused",
        reply: |_| Reply::text(""),
        way: Way::Down,
        says: &["acme cannot be reached", "refused"],
    },
    Fault {
        name: "tls",
        reply: |_| Reply::text(""),
        way: Way::Tls,
        says: &["acme cannot be reached"],
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_is_one_clear_line_and_a_spare_model_answers_in_its_place() {
    let cells = FAULTS.iter().enumerate().flat_map(|(nth, fault)| {
        // Each wire has its share; all of them are in the table of the providers.
        let wire = Wire::ALL[nth % Wire::ALL.len()];
        [(fault, wire, false), (fault, wire, true)]
    });
    let asked = cells.map(async |(fault, wire, has_spare)| {
        let outcome = match has_spare {
            false => ask_alone(fault, wire).await,
            true => ask_chain(fault, wire).await,
        };
        outcome.map_err(|why| format!("{} over {wire:?}: {why}", fault.name))
    });
    let outcomes: Vec<_> = futures::stream::iter(asked)
        .buffer_unordered(8)
        .collect()
        .await;
    let failed: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    println!(
        "faults through the binary: {} cells, {} failed",
        2 * FAULTS.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

async fn ask_alone(fault: &Fault, wire: Wire) -> Result<(), String> {
    let server = ScriptServer::start(wire, Script::always((fault.reply)(wire))).expect("a port");
    let home = home(&[("acme", wire, &address(fault, &server))]);
    let asked = ask(home.path()).await;
    let Some(TurnOutcome::Failed { error }) = asked.outcome() else {
        return Err(format!("the turn did not fail: {:?}", asked.records));
    };
    let missing = fault.says.iter().find(|words| !error.contains(**words));
    let is_line = !error.contains(char::is_control) && error.chars().count() < 900;
    match missing {
        Some(words) => Err(format!("{words:?} is not said: {error}")),
        None if !is_line => Err(format!("no clean line: {error:?}")),
        None => Ok(()),
    }
}

async fn ask_chain(fault: &Fault, wire: Wire) -> Result<(), String> {
    let server = ScriptServer::start(wire, Script::always((fault.reply)(wire))).expect("a port");
    let spare =
        ScriptServer::start(Wire::Chat, Script::always(Reply::text(SPARE))).expect("a port");
    let home = home(&[
        ("acme", wire, &address(fault, &server)),
        ("spare", Wire::Chat, spare.base_url()),
    ]);
    let asked = ask(home.path()).await;
    if asked.outcome() != Some(&TurnOutcome::Completed) || asked.text() != SPARE {
        return Err(format!(
            "the spare did not answer: {:?} {}",
            asked.records, asked.stderr
        ));
    }
    match asked.reasons().as_slice() {
        [reason] if reason.contains("acme") => Ok(()),
        reasons => Err(format!("the change is not told once: {reasons:?}")),
    }
}

/// Where the faulty server is said to be.
fn address(fault: &Fault, server: &ScriptServer) -> String {
    match fault.way {
        Way::Up => server.base_url().to_owned(),
        Way::Tls => server.base_url().replace("http:", "https:"),
        Way::Down => {
            let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            format!("http://{}", port.local_addr().expect("it is bound"))
        }
    }
}

/// How many bytes of the body go out before it breaks in the middle of what is said.
fn middle(wire: Wire, reply: &Reply, after: &str) -> usize {
    let body = wire.body(reply);
    let at = body
        .windows(after.len())
        .position(|it| it == after.as_bytes());
    let at = at.expect("it is said") + after.len();
    let ends = body[at..]
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("its line ends");
    // The empty line ends an event.
    at + ends + if wire == Wire::Ollama { 1 } else { 2 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_is_gone_on_with_by_the_spare_and_nothing_is_said_twice() {
    // The spare begins again, goes on from the last words, or goes on just there.
    let goes_on = [
        WHOLE,
        "three four five six seven eight nine ten eleven twelve.",
        "seven eight nine ten eleven twelve.",
    ];
    for wire in Wire::ALL {
        for words in goes_on {
            let reply = Reply::text(WHOLE);
            let cut = middle(wire, &reply, "six ");
            let server =
                ScriptServer::start(wire, Script::always(reply.reset_after(cut))).expect("a port");
            let spare = ScriptServer::start(Wire::Chat, Script::always(Reply::text(words)))
                .expect("a port");
            let home = home(&[
                ("acme", wire, server.base_url()),
                ("spare", Wire::Chat, spare.base_url()),
            ]);
            let asked = ask(home.path()).await;
            assert_eq!(
                asked.outcome(),
                Some(&TurnOutcome::Completed),
                "{wire:?} {}",
                asked.stderr
            );
            assert_eq!(asked.text(), WHOLE, "{wire:?} {words}");
            assert_eq!(
                (server.requests().len(), spare.requests().len()),
                (1, 1),
                "{wire:?}"
            );
            let n_told = asked
                .events()
                .filter(|it| matches!(it, Event::ModelCallFailed { .. }))
                .count();
            assert_eq!(n_told, 1, "the break is told once");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x21_x22_a_call_that_breaks_off_never_runs_and_one_that_came_whole_runs_once() {
    for wire in Wire::ALL {
        let home_dir = tempfile::tempdir().expect("a folder");
        let arguments = r#"{"path":"."}"#;
        let reply = Reply::default().and_call("list", arguments, &[]).and_call(
            "glob",
            r#"{"pattern":"*"}"#,
            &[4],
        );
        // In the middle of the second call, whatever the wire sends of it in one piece.
        let cut =
            middle(wire, &reply, "glob").saturating_sub(if wire == Wire::Ollama { 9 } else { 0 });
        let server =
            ScriptServer::start(wire, Script::always(reply.cut_after(cut))).expect("a port");
        let spare =
            ScriptServer::start(Wire::Chat, Script::always(Reply::text(SPARE))).expect("a port");
        let home = home(&[
            ("acme", wire, server.base_url()),
            ("spare", Wire::Chat, spare.base_url()),
        ]);
        let asked = ask_in(home.path(), home_dir.path()).await;
        assert_eq!(
            asked.outcome(),
            Some(&TurnOutcome::Completed),
            "{wire:?} {:?}",
            asked.records
        );
        assert_eq!(asked.text(), SPARE, "{wire:?}");
        let ran: Vec<&str> = asked
            .events()
            .filter_map(|event| match event {
                Event::ToolCallReady { call, .. } => Some(call.name.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(ran, ["list"], "{wire:?}");
        assert_eq!(
            (server.requests().len(), spare.requests().len()),
            (1, 1),
            "{wire:?}"
        );
    }
}

/// A reply that breaks before anything of it can be shown is asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_call_or_a_thought_that_breaks_off_is_asked_for_again() {
    for (wire, reply, after) in [
        (
            Wire::Anthropic,
            Reply::call("list", r#"{"path":"."}"#),
            r#"{\"path"#,
        ),
        (
            Wire::Chat,
            Reply::call("list", r#"{"path":"."}"#),
            r#"{\"path"#,
        ),
        (
            Wire::Responses,
            Reply::call("list", r#"{"path":"."}"#),
            r#"{\"path"#,
        ),
        (
            Wire::Ollama,
            Reply::default().and_thinking("hm well yes"),
            "well",
        ),
    ] {
        let cut = middle(wire, &reply.clone().and_text("x"), after);
        let server =
            ScriptServer::start(wire, Script::always(reply.and_text("x").reset_after(cut)))
                .expect("a port");
        let spare =
            ScriptServer::start(Wire::Chat, Script::always(Reply::text(SPARE))).expect("a port");
        let home = home(&[
            ("acme", wire, server.base_url()),
            ("spare", Wire::Chat, spare.base_url()),
        ]);
        let asked = ask(home.path()).await;
        assert_eq!(
            asked.outcome(),
            Some(&TurnOutcome::Completed),
            "{wire:?} {:?}",
            asked.records
        );
        assert_eq!(asked.text(), SPARE, "{wire:?}");
    }
}

/// What came of a question.
struct Asked {
    records: Vec<Record>,
    stderr: String,
}

impl Asked {
    fn events(&self) -> impl Iterator<Item = &Event> {
        self.records.iter().map(|record| &record.event)
    }

    fn outcome(&self) -> Option<&TurnOutcome> {
        self.events().find_map(|event| match event {
            Event::TurnEnded { outcome, .. } => Some(outcome),
            _ => None,
        })
    }

    fn text(&self) -> String {
        let text = self.events().filter_map(|event| match event {
            Event::TextDelta { text } => Some(text.as_str()),
            _ => None,
        });
        text.collect()
    }

    fn reasons(&self) -> Vec<&str> {
        let reasons = self.events().filter_map(|event| match event {
            Event::ModelCallStarted { reason, .. } => reason.as_deref(),
            _ => None,
        });
        reasons.collect()
    }
}

async fn ask(home: &Path) -> Asked {
    let workspace = tempfile::tempdir().expect("a folder");
    ask_in(home, workspace.path()).await
}

async fn ask_in(home: &Path, workspace: &Path) -> Asked {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_titanclaw"))
        .args(["--offline", "--home"])
        .arg(home)
        .args(["ask", "--json", "--workspace"])
        .arg(workspace)
        .arg("Count to twelve.")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the binary runs");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    Asked {
        records: text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is a record"))
            .collect(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A home that nobody else can look into, with these providers in this order.
fn home(providers: &[(&str, Wire, &str)]) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir()
        .expect("a folder");
    let names: Vec<String> = providers
        .iter()
        .map(|it| format!("\"{}/scripted\"", it.0))
        .collect();
    let mut config = format!(
        "[models]\nchat = {}\n\n[routes]\nchat = [{}]\n",
        names[0],
        names[1..].join(", ")
    );
    for (name, wire, base_url) in providers {
        let (kind, path) = match wire {
            Wire::Anthropic => ("anthropic", ""),
            Wire::Chat => ("compatible", "/v1"),
            Wire::Responses => ("responses", "/v1"),
            Wire::Ollama => ("ollama", ""),
        };
        config += &format!(
            "\n[[providers]]\nname = \"{name}\"\nkind = \"{kind}\"\nbase_url = \"{base_url}{path}\"\n\
             model = \"scripted\"\ncontext_tokens = 32768\n"
        );
    }
    std::fs::write(home.path().join("config.toml"), config).expect("the home can be written");
    home
}
