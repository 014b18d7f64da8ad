//! What was learned, as it lies in memory: reflexes by name, with their components, and by the questions that they know.

use crate::builtin;
use crate::case::Case;
use crate::encode::encode;
use crate::reflex::{Reflex, Rule};
use crate::wording::{Key, keys};
use crate::words::{Role, Token};
use crate::written::{self, ended_otherwise};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use titan_protocol::{Computation, ReflexCode, ReflexHost, ReflexProgram, ReflexStep};

/// All that was learned, and where a question finds it.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) reflexes: BTreeMap<String, Entry>,
    index: HashMap<Key, Vec<String>>,
    /// The components that models wrote, by their hashes.
    pub(crate) codes: HashMap<String, Bytes>,
    pub(crate) cases: VecDeque<Case>,
    /// Whether the cases of earlier engines were read.
    pub(crate) has_cases: bool,
}

/// A reflex with its component.
pub(crate) struct Entry {
    pub(crate) reflex: Reflex,
    pub(crate) program: Arc<Program>,
}

/// A reflex's components, made ready when they are first needed.
pub(crate) struct Program {
    rule: Rule,
    /// The component that a model wrote; empty where there is none.
    code: Bytes,
    host: Arc<dyn ReflexHost>,
    ready: Mutex<Option<Ready>>,
}

/// What is ready of a reflex.
#[derive(Clone)]
struct Ready {
    plan: Arc<dyn ReflexProgram>,
    code: Option<Arc<dyn Computation>>,
}

impl Program {
    pub(crate) fn new(rule: &Rule, code: Bytes, host: &Arc<dyn ReflexHost>) -> Self {
        Self {
            rule: rule.clone(),
            code,
            host: host.clone(),
            ready: Mutex::default(),
        }
    }

    /// Makes it ready, if it is not.
    ///
    /// # Errors
    /// When a component can't be loaded; the text says why.
    pub(crate) fn prepare(&self) -> Result<(), String> {
        self.ready().map(drop)
    }

    fn ready(&self) -> Result<Ready, String> {
        let mut ready = self.ready.lock();
        if let Some(ready) = &*ready {
            return Ok(ready.clone());
        }
        let component = encode(&self.rule.plan()).map_err(|error| error.to_string())?;
        let made = Ready {
            plan: self.host.prepare(&component)?,
            code: match self.rule {
                Rule::Written(_) => Some(self.host.computation(&self.code)?),
                Rule::Plan(_) | Rule::Answer { .. } => None,
            },
        };
        *ready = Some(made.clone());
        Ok(made)
    }

    /// The next step, with the values that were computed for it.
    ///
    /// # Errors
    /// When a component can't be loaded or breaks off.
    pub(crate) fn step(
        &self,
        values: &[String],
        outcomes: &[String],
    ) -> Result<(ReflexStep, Vec<String>), String> {
        let otherwise = match &self.rule {
            Rule::Plan(plan) => ended_otherwise(plan, outcomes),
            Rule::Written(written) => ended_otherwise(&written.plan, outcomes),
            Rule::Answer { .. } => None,
        };
        if let Some(why) = otherwise {
            return Ok((ReflexStep::Decline(why), Vec::new()));
        }
        let ready = self.ready()?;
        match (&self.rule, &ready.code) {
            (Rule::Written(rule), Some(code)) => {
                written::step(rule, ready.plan.as_ref(), code.as_ref(), values, outcomes)
            }
            _ => Ok((ready.plan.next(values, outcomes)?, Vec::new())),
        }
    }

    /// Deletes what the host kept of it. What can't be deleted is told to whoever runs the engine.
    pub(crate) fn forget(&self) {
        let plan = encode(&self.rule.plan()).map_err(|error| error.to_string());
        let forgotten = plan.and_then(|component| self.host.forget(&component));
        let code = match self.code.is_empty() {
            true => Ok(()),
            false => self.host.forget(&self.code),
        };
        if let Err(error) = forgotten.and(code) {
            tracing::warn!(%error, "what was compiled of a reflex can't be deleted");
        }
    }
}

/// A reflex with the values that were asked about.
pub(crate) struct Bound {
    pub(crate) program: Arc<Program>,
    pub(crate) values: Vec<String>,
}

impl ReflexCode for Bound {
    fn next(&self, outcomes: &[String]) -> Result<ReflexStep, String> {
        let (step, _) = self.program.step(&self.values, outcomes)?;
        Ok(step)
    }
}

impl State {
    pub(crate) fn insert(&mut self, reflex: Reflex, host: &Arc<dyn ReflexHost>) {
        self.remove(&reflex.name);
        for wording in &reflex.wordings {
            self.index
                .entry(wording.key())
                .or_default()
                .push(reflex.name.clone());
        }
        let code = reflex.rule.code();
        let code = code.and_then(|hash| self.codes.get(&hash).cloned());
        let program = Program::new(&reflex.rule, code.unwrap_or_default(), host);
        let entry = Entry {
            program: Arc::new(program),
            reflex,
        };
        self.reflexes.insert(entry.reflex.name.clone(), entry);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let Some(entry) = self.reflexes.remove(name) else {
            return;
        };
        for wording in &entry.reflex.wordings {
            if let Some(names) = self.index.get_mut(&wording.key()) {
                names.retain(|it| it != name);
            }
        }
    }

    /// A name made of what is asked that nothing has yet.
    pub(crate) fn name_for(&self, tokens: &[Token]) -> String {
        const WORDS_MAX: usize = 3;
        let words = tokens
            .iter()
            .filter(|token| !token.is_value() && token.role == Role::Content);
        let words: Vec<String> = words
            .map(|token| match token.text.to_lowercase() {
                text if text.starts_with(&token.meaning) => text,
                _ => token.meaning.clone(),
            })
            .map(|word| {
                word.chars()
                    .filter(char::is_ascii_alphanumeric)
                    .collect::<String>()
            })
            .filter(|word| !word.is_empty())
            .take(WORDS_MAX)
            .collect();
        let base = match words.is_empty() {
            true => "question".to_owned(),
            false => words.join("_"),
        };
        let is_free = |name: &String| !self.reflexes.contains_key(name) && !builtin::is_name(name);
        let numbered = (2..).map(|n: u32| format!("{base}_{n}"));
        std::iter::once(base.clone())
            .chain(numbered)
            .find(is_free)
            .unwrap_or(base)
    }

    /// Every reflex that knows this question, with the values that it asks about.
    pub(crate) fn knowing<'a>(
        &'a self,
        asked: &'a str,
        tokens: &'a [Token],
    ) -> impl Iterator<Item = (&'a Entry, Vec<String>)> {
        let mut seen = HashSet::new();
        let names = keys(tokens)
            .into_iter()
            .filter_map(|key| self.index.get(&key))
            .flatten();
        names
            .filter(move |name| seen.insert(name.as_str()))
            .filter_map(|name| {
                let entry = self.reflexes.get(name)?;
                Some((entry, entry.reflex.values(asked, tokens)?))
            })
    }
}
