//! A journal, reflexes over it, a world of files, and a model that answers as a test tells it.

use super::workshop::{Codes, Workshop};
use crate::builtin::{About, Facts};
use crate::{Config, Ports, Reflexes};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use titan_protocol::{
    Asked, CallId, EndedTurn, Event, Journal, Origin, Records, ReflexHost, ReflexStep,
    ReflexSummary, SessionId, Shortcut, Taint, ToolCall, ToolSpec, TurnId, TurnOutcome, Usage,
};
use titan_testkit::storage::MemoryStore;
use titan_wasm::WasmHost;

/// What a model does: calls, and what it makes of what they gave.
pub(super) type Model = fn(&str) -> (Vec<(&'static str, Value)>, fn(&str, &[String]) -> String);

pub(super) struct Rig {
    pub(super) reflexes: Reflexes,
    pub(super) store: Arc<MemoryStore>,
    pub(super) workspace: PathBuf,
    pub(super) tools: Arc<[ToolSpec]>,
    pub(super) versions: Arc<BTreeMap<String, String>>,
    pub(super) files: HashMap<&'static str, &'static str>,
    /// What is in other files, which any program gives.
    pub(super) texts: HashMap<&'static str, String>,
    /// What code is written with.
    pub(super) workshop: Arc<Workshop>,
    /// Whether something was said in each session before.
    pub(super) is_first: bool,
    turns: u128,
    config: Config,
    _folder: tempfile::TempDir,
}

struct NoFacts;

impl Facts for NoFacts {
    fn tell(&self, about: About) -> Result<String, String> {
        Ok(format!("{about:?}"))
    }
}

pub(super) fn host(folder: &tempfile::TempDir) -> Arc<dyn ReflexHost> {
    let config =
        titan_wasm::Config::new(folder.path().join("artefacts"), folder.path().join("state"));
    Arc::new(WasmHost::open(config).expect("this machine runs components"))
}

pub(super) fn tool(name: &str, description: &str) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        input_schema: json!({"type": "object"}),
    }
}

async fn open(store: &Arc<MemoryStore>, workshop: &Arc<Workshop>, config: Config) -> Reflexes {
    let ports = Ports {
        journal: store.clone(),
        records: store.clone(),
        host: workshop.clone(),
        facts: Arc::new(NoFacts),
        writing: Some(workshop.writing()),
        now: || 1_000,
    };
    let reflexes = Reflexes::open(ports, config)
        .await
        .expect("memory can be read");
    let watching = reflexes.clone();
    tokio::spawn(async move { watching.watch().await });
    reflexes
}

/// Who answered, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Model(String),
    Reflex(String),
}

impl Rig {
    pub(super) async fn new(config: Config) -> Self {
        Self::with_codes(config, &[]).await
    }

    /// One in which this code can be written.
    pub(super) async fn with_codes(config: Config, codes: Codes) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = MemoryStore::new();
        let workshop = Workshop::new(host(&folder), codes);
        Self {
            reflexes: open(&store, &workshop, config).await,
            store,
            workshop,
            texts: HashMap::new(),
            is_first: true,
            workspace: "/work".into(),
            tools: [tool("shell", "runs"), tool("read", "reads")].into(),
            versions: Arc::default(),
            files: HashMap::from([
                ("README.md", "90"),
                ("Makefile", "12"),
                ("Cargo.toml", "64"),
                ("src/main.rs", "340"),
                ("src/LIB.rs", "9"),
                ("notes.txt", "7"),
            ]),
            turns: 0,
            config,
            _folder: folder,
        }
    }

    /// The same home with another engine.
    pub(super) async fn reopen(&mut self) {
        self.reflexes = open(&self.store, &self.workshop, self.config).await;
    }

    fn asked(&self, text: &str) -> Asked {
        Asked {
            workspace: self.workspace.clone(),
            text: text.to_owned(),
            is_first: self.is_first,
            tools: self.tools.clone(),
            versions: self.versions.clone(),
        }
    }

    /// What the person is told beside the model's answer.
    pub(super) fn proposal(&self, text: &str) -> Option<String> {
        self.reflexes.proposal(&self.asked(text))
    }

    /// One turn in a session of its own.
    pub(super) async fn ask(&mut self, text: &str, model: Model) -> Answered {
        let asked = self.asked(text);
        self.turns += 1;
        let mut told = vec![Event::TurnStarted {
            text: text.to_owned(),
        }];
        let answered = match self.reflexes.consult(&asked) {
            Some(taken) => {
                told.push(Event::ShortcutTaken {
                    name: taken.name.clone(),
                    version: taken.version,
                    because: taken.because.clone(),
                });
                let mut outcomes = Vec::new();
                loop {
                    match taken.code.next(&outcomes).expect("it does not break off") {
                        ReflexStep::Call(calls) => {
                            for call in calls {
                                let outcome = self.call(&mut told, &call.tool, &call.arguments);
                                outcomes.push(outcome);
                            }
                        }
                        ReflexStep::Answer(answer) => break Answered::Reflex(answer),
                        ReflexStep::Decline(why) => {
                            told.push(Event::ShortcutDeclined {
                                name: taken.name.clone(),
                                why,
                            });
                            break self.by_model(&mut told, text, model);
                        }
                    }
                }
            }
            None => self.by_model(&mut told, text, model),
        };
        let (Answered::Model(answer) | Answered::Reflex(answer)) = &answered;
        told.push(Event::TextDelta {
            text: answer.clone(),
        });
        told.push(Event::TurnEnded {
            outcome: TurnOutcome::Completed,
            usage: Usage::default(),
            elapsed_ms: 5_000,
        });
        self.tell(told).await;
        answered
    }

    fn by_model(&self, told: &mut Vec<Event>, text: &str, model: Model) -> Answered {
        told.push(Event::ModelCallStarted {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            reason: None,
        });
        let (calls, answer) = model(text);
        let mut outcomes = Vec::new();
        for (name, arguments) in calls {
            let Value::Object(arguments) = arguments else {
                panic!("arguments are an object")
            };
            outcomes.push(self.call(told, name, &arguments));
        }
        Answered::Model(answer(text, &outcomes))
    }

    fn call(&self, told: &mut Vec<Event>, name: &str, arguments: &Map<String, Value>) -> String {
        let id = CallId::from(format!("c{}-{}", self.turns, told.len()).as_str());
        let outcome = self.run(arguments);
        let call = ToolCall {
            id: id.clone(),
            name: name.to_owned(),
            arguments: arguments.clone(),
        };
        told.push(Event::ToolCallReady {
            call,
            origin: Origin::Model,
        });
        told.push(Event::ToolCallEnded {
            call: id,
            text: outcome.clone(),
            is_error: false,
            taint: Taint::NONE,
            whole: None,
            elapsed_ms: 1,
        });
        outcome
    }

    /// `wc -l FILE` and `cat FILE`.
    fn run(&self, arguments: &Map<String, Value>) -> String {
        let script = arguments["script"].as_str().expect("a script");
        let (program, file) = script.rsplit_once(' ').expect("a program and a file");
        if let Some(text) = self.texts.get(file) {
            return text.clone();
        }
        let Some(lines) = self.files.get(file) else {
            return format!("{program}: {file}: error 2, no such file\n[exit status 1]");
        };
        match program {
            "wc -l" => format!("{lines} {file}\n"),
            _ => format!(
                "# {file}\nname = \"{}\"\nlines = {lines}\n",
                file.to_lowercase()
            ),
        }
    }

    async fn tell(&mut self, told: Vec<Event>) {
        let (session, turn) = (
            SessionId::from_u128(self.turns),
            TurnId::from_u128(self.turns),
        );
        let after = self
            .store
            .read(None, 0, usize::MAX)
            .await
            .expect("read")
            .last()
            .map_or(0, |it| it.seq);
        let began = Event::SessionStarted {
            workspace: self.workspace.clone(),
        };
        let told = std::iter::once(began).chain(told).collect();
        self.store
            .append(session, Some(turn), told)
            .await
            .expect("appended");
        self.reflexes.turn_ended(EndedTurn {
            session,
            turn,
            after,
            workspace: self.workspace.clone(),
            is_first: self.is_first,
        });
        self.reflexes.settle().await;
        self.reflexes.write_waiting().await;
    }

    /// The one reflex that was learned.
    pub(super) async fn learned(&self) -> ReflexSummary {
        let learned: Vec<ReflexSummary> = self
            .reflexes
            .reflexes()
            .await
            .into_iter()
            .filter(|it| !it.is_built_in)
            .collect();
        assert_eq!(learned.len(), 1, "{learned:#?}");
        learned.into_iter().next().expect("there is one")
    }

    /// The one reflex with code in it.
    pub(super) async fn written(&self) -> ReflexSummary {
        let all = self.reflexes.reflexes().await;
        let mut written = all.into_iter().filter(|it| it.written.is_some());
        let one = written.next().expect("there is one");
        assert_eq!(written.count(), 0);
        one
    }

    /// The keys of a table.
    pub(super) async fn kept(&self, table: &str) -> Vec<String> {
        let found = self.store.scan(table, "", "", usize::MAX).await;
        let found = found.expect("memory can be read");
        found.into_iter().map(|(key, _)| key).collect()
    }

    pub(super) async fn n_learned(&self) -> usize {
        self.reflexes
            .reflexes()
            .await
            .iter()
            .filter(|it| !it.is_built_in)
            .count()
    }

    pub(super) fn last_session(&self) -> SessionId {
        SessionId::from_u128(self.turns)
    }
}
