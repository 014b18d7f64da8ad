//! Ten everyday requests about a real repository (this one), through the built binary, over each of the four wires: the
//! transcripts are equal.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use titan_protocol::{CallId, Event, Record, TurnOutcome};
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};
use titan_testkit::transcript::Transcript;

/// A question, the calls of each reply before the last, and the last.
type Request = (
    &'static str,
    &'static [&'static [(&'static str, &'static str)]],
    &'static str,
);

/// What is asked, which calls the model makes in which replies, and what it says at the end.
const REQUESTS: [Request; 10] = [
    (
        "Which crates are here?",
        &[&[("list", r#"{"path":"crates"}"#)]],
        "Ten and a binary.",
    ),
    (
        "What licence is it under?",
        &[&[("read", r#"{"path":"LICENSE-MIT","lines":3}"#)]],
        "MIT or Apache 2.0.",
    ),
    (
        "Where is the turn's loop?",
        &[&[(
            "grep",
            r#"{"pattern":"fn settle","path":"crates/titan-agent"}"#,
        )]],
        "In turn.rs.",
    ),
    (
        "Compare the two files.",
        &[&[
            ("read", r#"{"path":"rust-toolchain.toml"}"#),
            ("read", r#"{"path":".gitignore"}"#),
        ]],
        "One is there.",
    ),
    (
        "Find the tests of the pipeline and read their beginning.",
        &[
            &[("glob", r#"{"pattern":"crates/titan-exec/tests/*.rs"}"#)],
            &[(
                "read",
                r#"{"path":"crates/titan-exec/tests/pipeline.rs","lines":2}"#,
            )],
        ],
        "They test it with a tool of their own.",
    ),
    (
        "How many lines has the changelog?",
        &[&[("shell", r#"{"script":"wc -l < CHANGELOG.md"}"#)]],
        "A few.",
    ),
    (
        "Delete everything.",
        &[&[("shell", r#"{"script":"rm -rf crates"}"#)]],
        "Nobody allowed it, so I did not.",
    ),
    (
        "Plan the work.",
        &[&[(
            "todo",
            r#"{"items":[{"text":"look","status":"in_progress"}]}"#,
        )]],
        "Planned.",
    ),
    (
        "Make up a tool.",
        &[&[("invent", r#"{"a":1}"#)]],
        "There is none.",
    ),
    (
        "Just say \"hé 🦀\".",
        &[],
        "hé 🦀 \"quoted\" \\ and\n\na second paragraph",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_everyday_requests_give_equal_transcripts_over_four_wires() {
    let mut expected: Vec<String> = Vec::new();
    for wire in Wire::ALL {
        let home = home();
        let mut transcripts = Vec::new();
        for (question, rounds, answer) in REQUESTS {
            let server = ScriptServer::start(wire, Script::replies(replies(rounds, answer)))
                .expect("a port");
            write_config(home.path(), wire, server.base_url());
            transcripts.push(transcript(&ask(home.path(), question).await));
            assert_eq!(
                server.requests().len(),
                rounds.len() + 1,
                "{wire:?}: {question}"
            );
        }
        if expected.is_empty() {
            assert!(
                transcripts[0].contains("titan-protocol"),
                "the folder was really listed: {}",
                transcripts[0]
            );
            assert!(
                transcripts[6].contains("nobody is there to give it"),
                "{}",
                transcripts[6]
            );
            assert!(
                repository().join("crates").exists(),
                "and nothing was deleted"
            );
            expected = transcripts;
        } else {
            for (expected, found) in expected.iter().zip(&transcripts) {
                assert_eq!(expected, found, "{wire:?}");
            }
        }
    }
}

fn replies(rounds: &[&[(&str, &str)]], answer: &str) -> Vec<Reply> {
    let call = |reply: Reply, (name, arguments): &(&str, &str)| {
        reply.and_call(name, arguments, &[3, 1, 5])
    };
    let round = |calls: &&[(&str, &str)]| calls.iter().fold(Reply::text("Let me look. "), call);
    rounds
        .iter()
        .map(round)
        .chain([Reply::text(answer)])
        .collect()
}

fn write_config(home: &Path, wire: Wire, base_url: &str) {
    let (kind, path) = match wire {
        Wire::Anthropic => ("anthropic", ""),
        Wire::Chat => ("compatible", "/v1"),
        Wire::Responses => ("responses", "/v1"),
        Wire::Ollama => ("ollama", ""),
    };
    let config = format!(
        "[models]\nchat = \"script/scripted\"\n\n[[providers]]\nname = \"script\"\nkind = \"{kind}\"\n\
         base_url = \"{base_url}{path}\"\nmodel = \"scripted\"\ncontext_tokens = 32768\n"
    );
    std::fs::write(home.join("config.toml"), config).expect("the home can be written");
}

async fn ask(home: &Path, question: &str) -> Vec<Record> {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_titanclaw"))
        .args(["--offline", "--home"])
        .arg(home)
        .args(["ask", "--json", "--workspace"])
        .arg(repository())
        .arg(question)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the binary runs");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let records: Vec<Record> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is a record"))
        .collect();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        matches!(
            records.last().map(|record| &record.event),
            Some(Event::TurnEnded {
                outcome: TurnOutcome::Completed,
                ..
            })
        ),
        "{question}: {text}{stderr}"
    );
    records
}

/// The events as text. A call runs while the model still writes and beside other calls, so within a round what calls
/// do is put after what the model said, call by call; nothing else may differ.
fn transcript(records: &[Record]) -> String {
    let mut rounds: Vec<Vec<(Option<CallId>, &Event)>> = vec![Vec::new()];
    let mut running = None;
    for record in records {
        let event = &record.event;
        if matches!(
            event,
            Event::ModelCallStarted { .. } | Event::TurnEnded { .. }
        ) {
            rounds.push(Vec::new());
        }
        let call = match event {
            Event::StepDecided { call, .. }
            | Event::ToolOutputDelta { call, .. }
            | Event::ToolCallEnded { call, .. } => Some(call.clone()),
            Event::ApprovalRequested { call, .. } => Some(call.id.clone()),
            // These do not name their call; it was judged just before.
            Event::PlanUpdated { .. }
            | Event::CanvasDrawn { .. }
            | Event::ApprovalDecided { .. } => running.clone(),
            _ => None,
        };
        running = call.clone().or(running);
        rounds
            .last_mut()
            .expect("there is a round")
            .push((call, event));
    }
    for round in &mut rounds {
        round.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    Transcript::of(rounds.into_iter().flatten().map(|(_, event)| event))
}

/// A home that nobody else can look into.
fn home() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new()
        .permissions(mode)
        .tempdir()
        .expect("a folder")
}

fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository is there")
}
