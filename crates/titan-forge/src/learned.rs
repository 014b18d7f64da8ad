//! What was learned, as it lies in memory: reflexes by name, with their components, and by the questions that they know.

use crate::builtin;
use crate::case::Case;
use crate::encode::encode;
use crate::plan::remark;
use crate::reflex::{Reflex, Rule};
use crate::wording::{Key, keys};
use crate::words::{Role, Token};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use titan_protocol::{ReflexCode, ReflexHost, ReflexProgram, ReflexStep};

/// All that was learned, and where a question finds it.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) reflexes: BTreeMap<String, Entry>,
    index: HashMap<Key, Vec<String>>,
    pub(crate) cases: VecDeque<Case>,
    /// Whether the cases of earlier engines were read.
    pub(crate) has_cases: bool,
}

/// A reflex with its component.
pub(crate) struct Entry {
    pub(crate) reflex: Reflex,
    pub(crate) program: Arc<Program>,
}

/// A reflex's component, made ready when it is first needed.
pub(crate) struct Program {
    rule: Rule,
    host: Arc<dyn ReflexHost>,
    ready: Mutex<Option<Arc<dyn ReflexProgram>>>,
}

impl Program {
    pub(crate) fn of(reflex: &Reflex, host: &Arc<dyn ReflexHost>) -> Self {
        Self {
            rule: reflex.rule.clone(),
            host: host.clone(),
            ready: Mutex::default(),
        }
    }

    /// The component, compiled.
    pub(crate) fn ready(&self) -> Result<Arc<dyn ReflexProgram>, String> {
        let mut ready = self.ready.lock();
        if let Some(program) = &*ready {
            return Ok(program.clone());
        }
        let component = encode(&self.rule.plan()).map_err(|error| error.to_string())?;
        let program = self.host.prepare(&component)?;
        *ready = Some(program.clone());
        Ok(program)
    }
}

impl ReflexProgram for Program {
    fn next(&self, values: &[String], outcomes: &[String]) -> Result<ReflexStep, String> {
        if let Rule::Plan(plan) = &self.rule {
            let mut given = plan.steps.iter().zip(outcomes);
            // What a program printed when it failed may hold a number too.
            if let Some((step, _)) = given.find(|(step, outcome)| remark(outcome) != step.remark) {
                let why = format!("{} ended otherwise than before", step.tool);
                return Ok(ReflexStep::Decline(why));
            }
        }
        self.ready()?.next(values, outcomes)
    }
}

/// A reflex with the values that were asked about.
pub(crate) struct Bound {
    pub(crate) program: Arc<Program>,
    pub(crate) values: Vec<String>,
}

impl ReflexCode for Bound {
    fn next(&self, outcomes: &[String]) -> Result<ReflexStep, String> {
        self.program.next(&self.values, outcomes)
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
        let entry = Entry {
            program: Arc::new(Program::of(&reflex, host)),
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
