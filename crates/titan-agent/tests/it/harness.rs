//! Runs scripts through an engine. See [`check_turn`].

use crate::rest::Disk;
use expect_test::Expect;
use futures::StreamExt;
use std::collections::VecDeque;
use std::sync::Arc;
use titan_agent::{Config, Engine, Parts, PromptSize, TrustOf, TurnLimits};
use titan_exec::{Limits, Pipeline, Policy, Ports, Redactor, Registry, Rules};
use titan_protocol::{
    Client, Decision, Event, Journal, ModelRequest, Op, Provider, Record, Records, SessionId,
    TurnId, TurnOptions, Workbench,
};
use titan_testkit::code::ToldCode;
use titan_testkit::egress::ScriptedEgress;
use titan_testkit::gate::Gate;
use titan_testkit::history::ToldHistory;
use titan_testkit::memory::ListedMemory;
use titan_testkit::model::ScriptedModel;
use titan_testkit::packs::ReadyPacks;
use titan_testkit::shortcut::ScriptedShortcut;
use titan_testkit::storage::MemoryStore;
use titan_testkit::transcript::Transcript;
use titan_testkit::workbench::MemoryWorkbench;

pub(crate) const SESSION: SessionId = SessionId::from_u128(1);

/// An engine over fakes.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) model: ScriptedModel,
    pub(crate) workbench: MemoryWorkbench,
    pub(crate) store: Arc<MemoryStore>,
    turns: u128,
}

/// What differs from rig to rig.
pub(crate) struct Setup {
    pub(crate) replies: Vec<String>,
    pub(crate) workbench: MemoryWorkbench,
    pub(crate) rules: Rules,
    pub(crate) turn_limits: TurnLimits,
    pub(crate) limits: Limits,
    pub(crate) context_tokens_max: u32,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) are_titled: bool,
    pub(crate) reads_along: bool,
    pub(crate) tells_unasked: bool,
    /// Stands before `store` for the journal and the records.
    pub(crate) disk: Option<Arc<Disk>>,
    /// Whether instruction files are trusted.
    pub(crate) trust_of: TrustOf,
    /// Knows questions that need no model.
    pub(crate) shortcut: ScriptedShortcut,
    /// What is ready about open files.
    pub(crate) packs: ReadyPacks,
    pub(crate) prompt_size: PromptSize,
}

impl Setup {
    pub(crate) fn new(replies: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            replies: replies.into_iter().map(Into::into).collect(),
            workbench: MemoryWorkbench::new()
                .file("a.txt", "alpha\n")
                .file("b.txt", "beta\n"),
            rules: Rules::default(),
            turn_limits: TurnLimits::default(),
            limits: Limits::default(),
            context_tokens_max: 100_000,
            store: MemoryStore::new(),
            are_titled: false,
            reads_along: false,
            tells_unasked: true,
            disk: None,
            trust_of: Arc::new(|_| None),
            shortcut: ScriptedShortcut::default(),
            packs: ReadyPacks::none(),
            prompt_size: PromptSize::Small,
        }
    }

    pub(crate) async fn open(self) -> Rig {
        let Self {
            replies,
            workbench,
            rules,
            turn_limits,
            limits,
            context_tokens_max,
            store,
            are_titled,
            reads_along,
            tells_unasked,
            disk,
            trust_of,
            shortcut,
            packs,
            prompt_size,
        } = self;
        let model = ScriptedModel::new(replies);
        let tools = titan_tools::builtin(titan_tools::Ports {
            memory: Arc::new(ListedMemory::new()),
            code: Arc::new(ToldCode::none()),
            history: Arc::new(ToldHistory::none()),
            journal: store.clone(),
            blobs: store.clone(),
        });
        let ports = Ports {
            blobs: store.clone(),
            records: store.clone(),
            now: || 0,
        };
        let registry = Registry::new(tools).expect("the tools are well-formed");
        let pipeline = Pipeline::new(
            registry,
            Policy::new(rules),
            limits,
            Redactor::default(),
            ports,
        );
        let place = workbench.clone();
        let chat = model.clone();
        let journal: Arc<dyn Journal> = match &disk {
            Some(disk) => disk.clone(),
            None => store.clone(),
        };
        let records: Arc<dyn Records> = match &disk {
            Some(disk) => disk.clone(),
            None => store.clone(),
        };
        let parts = Parts {
            journal,
            records,
            blobs: store.clone(),
            provider_for: Arc::new(move |_, _, _| Arc::new(chat.clone()) as Arc<dyn Provider>),
            pipeline: Arc::new(pipeline),
            projections: vec![Arc::new(shortcut.clone())],
            shortcut: Arc::new(shortcut),
            egress: Arc::new(ScriptedEgress::new()),
            open_workbench: Arc::new(move |_| Ok(Arc::new(place.clone()) as Arc<dyn Workbench>)),
            now: || 0,
            at_rest: || {},
            packs: Arc::new(packs),
            trust_of,
        };
        let config = Config {
            turn_limits,
            prompt_size,
            tools: None,
            context_tokens_max,
            output_tokens_max: 1000,
            thinking_tokens_max: None,
            identity: Vec::new(),
            are_titled,
            reads_along,
            tells_unasked,
            is_alone: true,
            home: "/home/person/.titanclaw".into(),
            version: "0".to_owned(),
            model: "scripted".to_owned(),
            is_offline: true,
        };
        let engine = Engine::open(parts, config)
            .await
            .expect("an empty store opens");
        Rig {
            engine,
            model,
            workbench,
            store,
            turns: 0,
        }
    }
}

impl Rig {
    /// Counts turns that an earlier rig made, so that ids do not repeat.
    pub(crate) fn skip_turns(&mut self, n: u128) {
        self.turns += n;
    }

    /// Says something and returns at once.
    pub(crate) async fn say(&mut self, text: &str) {
        self.turns += 1;
        let op = Op::UserTurn {
            session: SESSION,
            turn: TurnId::from_u128(self.turns),
            text: text.to_owned(),
            images: Vec::new(),
            options: TurnOptions {
                workspace: Some(self.workbench.root().to_owned()),
                model: None,
                is_attended: true,
                without_reflexes: false,
            },
        };
        self.engine.submit(op).await.expect("it is accepted");
    }

    /// Reads events after `after` until one satisfies `is_last`; approvals are answered from `decisions`.
    pub(crate) async fn read(
        &self,
        after: u64,
        decisions: &[Decision],
        is_last: impl Fn(&Event) -> bool,
    ) -> Vec<Record> {
        let mut decisions: VecDeque<Decision> = decisions.iter().copied().collect();
        let mut records = Vec::new();
        let mut events = self.engine.follow(Some(SESSION), after);
        while let Some(record) = events.next().await {
            let record = record.expect("the journal can be read");
            if let Event::ApprovalRequested { approval, .. } = &record.event
                && let Some(decision) = decisions.pop_front()
            {
                let op = Op::Decide {
                    approval: *approval,
                    decision,
                };
                self.engine.submit(op).await.expect("the approval waits");
            }
            let done = is_last(&record.event);
            records.push(record);
            if done {
                break;
            }
        }
        records
    }

    /// Says something and returns what happened until the turn's end.
    pub(crate) async fn turn(&mut self, text: &str, decisions: &[Decision]) -> Vec<Record> {
        let after = self.last().await;
        self.say(text).await;
        self.read(after, decisions, is_end).await
    }

    /// The position of the last record.
    pub(crate) async fn last(&self) -> u64 {
        let records = titan_protocol::Journal::read(&*self.store, None, 0, usize::MAX).await;
        records
            .expect("memory can be read")
            .last()
            .map_or(0, |record| record.seq)
    }

    /// Hands in a command that must be accepted.
    pub(crate) async fn submit(&self, op: Op) {
        self.engine.submit(op).await.expect("it is accepted");
    }

    pub(crate) fn gate(&self, name: &str) -> Gate {
        self.model.gate(name)
    }

    pub(crate) fn requests(&self) -> Vec<ModelRequest> {
        self.model.requests()
    }
}

pub(crate) fn is_end(event: &Event) -> bool {
    matches!(event, Event::TurnEnded { .. })
}

pub(crate) fn transcript(records: &[Record]) -> String {
    Transcript::of(records.iter().map(|record| &record.event))
}

/// Runs one turn: the person's words, then the model's replies, separated by `//- user` and `//- model` lines; an
/// approval is answered by the next of `decisions`. Compares the transcript.
pub(crate) async fn check_turn(script: &str, decisions: &[Decision], expected: Expect) {
    let mut user = String::new();
    let mut replies: Vec<String> = Vec::new();
    let mut is_user = true;
    for line in script.trim_start().lines() {
        match line {
            "//- user" => is_user = true,
            "//- model" => {
                is_user = false;
                replies.push(String::new());
            }
            line => {
                let text = if is_user {
                    &mut user
                } else {
                    replies.last_mut().expect("a model's reply")
                };
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    let mut rig = Setup::new(replies).open().await;
    let records = rig.turn(user.trim_end(), decisions).await;
    expected.assert_eq(&transcript(&records));
}
