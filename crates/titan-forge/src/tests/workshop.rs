//! A model that writes code as a test tells it, a compiler that knows that code, and a host that runs it.

use crate::{Author, Authored, Commission, Writing};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::Arc;
use titan_protocol::{
    Approved, BoxStream, Care, Computation, Draft, Effect, Made, MakeError, ReflexHost,
    ReflexProgram, Step, Tool, ToolContext, ToolError, ToolMaker, ToolOutput, ToolSpec, Workbench,
};

/// What code does, from the values and the outcomes.
pub(super) type Code = fn(&[String], &[String]) -> Result<String, String>;

/// Code by a word that stands in its source.
pub(super) type Codes = &'static [(&'static str, Code)];

/// What is written with, and what became of it.
pub(super) struct Workshop {
    codes: Codes,
    host: Arc<dyn ReflexHost>,
    /// What the model answers, in order; an error is no answer.
    pub(super) answers: Mutex<VecDeque<Result<String, String>>>,
    /// What it was asked.
    pub(super) asked: Mutex<Vec<Commission>>,
    pub(super) missing: Mutex<Option<String>>,
    /// Components that were made, those that are forgotten left out.
    pub(super) kept: Mutex<Vec<Vec<u8>>>,
}

/// A source with a word in it.
pub(super) fn source(word: &str) -> String {
    format!("fn run(input: Value) -> Result<String> {{\n    {word}(input)\n}}\n")
}

impl Workshop {
    pub(super) fn new(host: Arc<dyn ReflexHost>, codes: Codes) -> Arc<Self> {
        Arc::new(Self {
            codes,
            host,
            answers: Mutex::default(),
            asked: Mutex::default(),
            missing: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// The model answers with a source that has this word in it.
    pub(super) fn will_write(&self, word: &str) {
        let answer = format!("Here it is:\n```rust\n{}```\n", source(word));
        self.answers.lock().push_back(Ok(answer));
    }

    pub(super) fn writing(self: &Arc<Self>) -> Writing {
        Writing {
            author: self.clone(),
            maker: self.clone(),
        }
    }
}

#[async_trait]
impl Author for Workshop {
    fn missing(&self) -> Option<String> {
        self.missing.lock().clone()
    }

    async fn write(&self, commission: Commission) -> Result<Authored, String> {
        self.asked.lock().push(commission);
        let answer = self.answers.lock().pop_front();
        let text = answer.unwrap_or_else(|| Err("nobody answers".to_owned()))?;
        Ok(Authored {
            text,
            model: "p/writer".to_owned(),
        })
    }
}

#[async_trait]
impl ToolMaker for Workshop {
    fn guide(&self) -> &str {
        "The page about code."
    }

    fn fits(&self, _: &ToolSpec, _: &Map<String, Value>) -> Result<(), String> {
        Ok(())
    }

    async fn make(&self, draft: &Draft, care: Care) -> Result<Made, MakeError> {
        assert_eq!(
            (draft.capabilities.as_slice(), care),
            (&[][..], Care::Kept),
            "it gets nothing"
        );
        if draft.source.contains("broken") {
            return Err(MakeError::Wrong(
                "tool.rs:2:5: there is no `broken`".to_owned(),
            ));
        }
        Ok(Made {
            tool: Arc::new(Unused(draft.spec.clone())),
            component: draft.source.clone().into_bytes(),
        })
    }
}

impl ReflexHost for Workshop {
    fn prepare(&self, component: &[u8]) -> Result<Arc<dyn ReflexProgram>, String> {
        self.host.prepare(component)
    }

    fn computation(&self, component: &[u8]) -> Result<Arc<dyn Computation>, String> {
        let source = String::from_utf8_lossy(component);
        let code = self.codes.iter().find(|(word, _)| source.contains(word));
        let (_, code) = code.ok_or_else(|| format!("there is no such code: {source:?}"))?;
        let mut kept = self.kept.lock();
        if !kept.iter().any(|one| one == component) {
            kept.push(component.to_owned());
        }
        Ok(Arc::new(Running(*code)))
    }

    fn forget(&self, component: &[u8]) -> Result<(), String> {
        self.kept.lock().retain(|one| one != component);
        Ok(())
    }
}

struct Running(Code);

impl Computation for Running {
    fn compute(&self, input: &str) -> Result<String, String> {
        let input: Value = serde_json::from_str(input).expect("it is JSON");
        let texts = |key: &str| -> Vec<String> {
            serde_json::from_value(input[key].clone()).expect("texts")
        };
        (self.0)(&texts("values"), &texts("outcomes"))
    }
}

/// A tool that nobody calls.
struct Unused(ToolSpec);

#[async_trait]
impl Tool for Unused {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn effects(&self, _: &Step, _: &dyn Workbench) -> Result<Vec<Effect>, ToolError> {
        Ok(Vec::new())
    }

    async fn run(&self, _: ToolContext, _: BoxStream<Approved>) -> Result<ToolOutput, ToolError> {
        Err(ToolError::Cancelled)
    }
}
