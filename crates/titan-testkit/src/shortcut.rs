//! A shortcut that knows what a test told it.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use titan_protocol::{
    Asked, ClientError, EndedTurn, Forget, Judgement, Projection, ReflexCode, ReflexStep,
    ReflexSummary, Shortcut, StorageError, Taken,
};

/// Answers the texts that it was given steps for, and remembers what was asked, judged and forgotten.
#[derive(Clone, Default)]
pub struct ScriptedShortcut {
    steps: HashMap<String, Vec<ReflexStep>>,
    /// Everything that was asked.
    pub asked: Arc<Mutex<Vec<Asked>>>,
    /// Every turn that has ended.
    pub ended: Arc<Mutex<Vec<EndedTurn>>>,
    /// Everything that was to be forgotten.
    pub forgotten: Arc<Mutex<Vec<Forget>>>,
}

impl ScriptedShortcut {
    /// Answers `text` with `steps`: one after each call that has ended.
    pub fn with(mut self, text: &str, steps: Vec<ReflexStep>) -> Self {
        self.steps.insert(text.to_owned(), steps);
        self
    }
}

/// Its steps in order. The calls of a step have to end before the next is asked for.
struct Steps(Vec<ReflexStep>);

impl ReflexCode for Steps {
    fn next(&self, outcomes: &[String]) -> Result<ReflexStep, String> {
        let mut ended = 0;
        for step in &self.0 {
            if ended == outcomes.len() {
                return Ok(match step {
                    ReflexStep::Answer(text) => ReflexStep::Answer(filled(text, outcomes)),
                    step => step.clone(),
                });
            }
            if let ReflexStep::Call(calls) = step {
                ended += calls.len();
            }
        }
        Err(format!("no step follows {} outcomes", outcomes.len()))
    }
}

/// `{0}` stands for the first outcome.
fn filled(text: &str, outcomes: &[String]) -> String {
    let mut text = text.to_owned();
    for (idx, outcome) in outcomes.iter().enumerate() {
        text = text.replace(&format!("{{{idx}}}"), outcome.trim());
    }
    text
}

#[async_trait]
impl Shortcut for ScriptedShortcut {
    fn consult(&self, asked: &Asked) -> Option<Taken> {
        self.asked.lock().push(asked.clone());
        let steps = self.steps.get(&asked.text)?;
        Some(Taken {
            name: "scripted".to_owned(),
            version: 1,
            because: "the test says so".to_owned(),
            code: Arc::new(Steps(steps.clone())),
        })
    }

    fn proposal(&self, _: &Asked) -> Option<String> {
        None
    }

    fn turn_ended(&self, ended: EndedTurn) {
        self.ended.lock().push(ended);
    }

    async fn reflexes(&self) -> Vec<ReflexSummary> {
        Vec::new()
    }

    async fn judge(&self, name: &str, _: Judgement) -> Result<(), ClientError> {
        Err(ClientError::Refused(format!("there is no reflex {name}")))
    }
}

#[async_trait]
impl Projection for ScriptedShortcut {
    async fn forget(&self, what: &Forget) -> Result<(), StorageError> {
        self.forgotten.lock().push(what.clone());
        Ok(())
    }
}
