//! A reflex: what it answers, what it does, and what speaks for it.

use crate::agree::squeezed;
use crate::case::Case;
use crate::learned::State;
use crate::plan::{Piece, Plan, Template};
use crate::prove::{Verdict, clip};
use crate::wording::Wording;
use crate::words::{Token, is_timeless};
use crate::written::{Forms, Written, are_known, learn_forms};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use titan_protocol::{
    Asked, ReflexState, ReflexSummary, ReflexWriting, SessionId, TurnId, UnixMillis,
};

/// Lines of a proof that are kept.
const PROOF_LINES_MAX: usize = 40;

/// What is kept of a reflex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reflex {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) state: ReflexState,
    pub(crate) because: String,
    /// Where it holds; everywhere when `None`.
    pub(crate) workspace: Option<PathBuf>,
    pub(crate) wordings: Vec<Wording>,
    pub(crate) rule: Rule,
    /// The tools that it calls, with the hashes of what they were when it was built.
    pub(crate) tools: BTreeMap<String, String>,
    pub(crate) built_from: Vec<Origin>,
    pub(crate) built_at: UnixMillis,
    pub(crate) agreements: u32,
    pub(crate) hits: u32,
    pub(crate) declined: u32,
    /// Questions that it would have answered and that the model was asked all the same.
    pub(crate) sampled: u32,
    /// Whether it ended because a tool changed, so that it may be learned anew.
    pub(crate) is_outdated: bool,
    /// What the turns took that it was built from, on average.
    pub(crate) model_ms: u64,
    pub(crate) saved_ms: u64,
    pub(crate) proof: Vec<ProofLine>,
    /// The forms of what was asked about in turns that it agreed with, where it computes.
    #[serde(default)]
    pub(crate) forms: Forms,
}

/// What a reflex does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    Plan(Plan),
    /// A plan with values in its answer that code computes.
    Written(Written),
    /// An answer that depends on its question alone.
    Answer {
        text: String,
        /// Who gave it.
        model: String,
        /// Whether the question says all that is needed, beyond doubt.
        is_puzzle: bool,
    },
}

impl Rule {
    pub(crate) fn plan(&self) -> Plan {
        match self {
            Self::Plan(plan) => plan.clone(),
            Self::Written(written) => written.plan.clone(),
            Self::Answer { text, .. } => Plan {
                steps: Vec::new(),
                answer: Template(vec![Piece::Text(text.clone())]),
            },
        }
    }

    /// The hash of the component that a model wrote, if there is one.
    pub(crate) fn code(&self) -> Option<String> {
        match self {
            Self::Written(written) => Some(written.component.clone()),
            Self::Plan(_) | Self::Answer { .. } => None,
        }
    }

    /// Whether it answers from its question alone.
    fn is_closed(&self) -> bool {
        match self {
            Self::Plan(_) => false,
            Self::Written(written) => written.plan.steps.is_empty(),
            Self::Answer { .. } => true,
        }
    }
}

/// A turn that a reflex was built from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) session: SessionId,
    pub(crate) turn: TurnId,
    pub(crate) asked: String,
    pub(crate) at: UnixMillis,
}

impl Origin {
    pub(crate) fn of(case: &Case) -> Self {
        Self {
            session: case.session,
            turn: case.turn,
            asked: case.asked.clone(),
            at: case.at,
        }
    }
}

/// How a reflex fared on a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProofLine {
    session: SessionId,
    turn: TurnId,
    text: String,
}

impl Reflex {
    pub(crate) fn new(
        name: String,
        rule: Rule,
        wordings: Vec<Wording>,
        built_from: &[&Case],
        because: &str,
    ) -> Self {
        let n = u64::try_from(built_from.len()).unwrap_or(1).max(1);
        let first = built_from.first().map(|case| case.workspace.clone());
        let is_one_place = built_from
            .iter()
            .all(|case| Some(&case.workspace) == first.as_ref());
        Self {
            name,
            version: 1,
            state: ReflexState::Shadow,
            because: because.to_owned(),
            workspace: first.filter(|_| is_one_place),
            wordings,
            rule,
            tools: BTreeMap::new(),
            built_from: built_from.iter().map(|case| Origin::of(case)).collect(),
            built_at: 0,
            agreements: 0,
            hits: 0,
            declined: 0,
            sampled: 0,
            is_outdated: false,
            model_ms: built_from.iter().map(|case| case.elapsed_ms).sum::<u64>() / n,
            saved_ms: 0,
            proof: Vec::new(),
            forms: Forms::new(),
        }
    }

    /// The values that a question asks about, if it is this reflex's. An answer is only kept for the same words, each of
    /// which may turn it round.
    pub(crate) fn values(&self, asked: &str, tokens: &[Token]) -> Option<Vec<String>> {
        match self.rule {
            Rule::Written(_) if self.rule.is_closed() && !is_timeless(asked) => None,
            Rule::Plan(_) | Rule::Written(_) => self
                .wordings
                .iter()
                .find_map(|wording| wording.values(tokens)),
            Rule::Answer { .. } => {
                let own = self.built_from.first()?;
                (squeezed(&own.asked) == squeezed(asked)).then(Vec::new)
            }
        }
    }

    /// Whether it was learned where this is asked, or holds everywhere.
    pub(crate) fn is_of(&self, asked: &Asked) -> bool {
        self.workspace
            .as_ref()
            .is_none_or(|workspace| *workspace == asked.workspace)
    }

    /// Whether it may answer this.
    pub(crate) fn holds(&self, asked: &Asked, now: UnixMillis, answer_age_max_ms: u64) -> bool {
        let is_fresh = match self.rule {
            Rule::Plan(_) => true,
            Rule::Written(_) => asked.is_first || !self.rule.is_closed(),
            Rule::Answer { .. } => {
                asked.is_first && now.saturating_sub(self.built_at) <= answer_age_max_ms
            }
        };
        self.state == ReflexState::Promoted && self.is_of(asked) && is_fresh
    }

    /// Whether it was proved on values like these.
    pub(crate) fn is_proved_for(&self, values: &[String]) -> bool {
        !matches!(self.rule, Rule::Written(_)) || are_known(&self.forms, values)
    }

    /// It agreed with a turn that was about these values.
    pub(crate) fn agreed_on(&mut self, values: &[String]) {
        if matches!(self.rule, Rule::Written(_)) {
            learn_forms(&mut self.forms, values);
        }
    }

    /// What ended with its tool goes on as another version.
    pub(crate) fn go_on_from(&mut self, state: &State, asked: &str, tokens: &[Token]) {
        let outdated = state.knowing(asked, tokens);
        let mut outdated = outdated.filter(|(entry, _)| entry.reflex.is_outdated);
        if let Some((entry, _)) = outdated.next() {
            self.name.clone_from(&entry.reflex.name);
            self.version = entry.reflex.version + 1;
        }
    }

    /// What is kept rather than another, where there is no room for both: what answers, and that often or lately.
    pub(crate) fn worth(&self) -> (bool, u32, UnixMillis) {
        (
            self.state == ReflexState::Promoted,
            self.hits,
            self.built_at,
        )
    }

    /// Whether it was only guessed from two turns so far: no other turn speaks for it.
    pub(crate) fn is_guess(&self) -> bool {
        matches!(self.rule, Rule::Plan(_))
            && self.state == ReflexState::Shadow
            && self.agreements == 0
    }

    /// Whether a turn says something about it: an answer holds for the model that gave it.
    pub(crate) fn is_comparable(&self, case: &Case) -> bool {
        self.state != ReflexState::Demoted
            && match &self.rule {
                Rule::Plan(_) => self.tools == case.tools,
                Rule::Written(_) => {
                    self.tools == case.tools && (case.is_first || !self.rule.is_closed())
                }
                Rule::Answer { model, .. } => case.is_first && *model == case.model,
            }
    }

    pub(crate) fn promote(&mut self, because: &str) {
        self.state = ReflexState::Promoted;
        because.clone_into(&mut self.because);
    }

    pub(crate) fn demote(&mut self, because: &str) {
        self.state = ReflexState::Demoted;
        because.clone_into(&mut self.because);
    }

    /// What held in two workspaces is bound to none.
    pub(crate) fn widen(&mut self, workspace: &Path) {
        if !matches!(self.rule, Rule::Answer { .. })
            && self
                .workspace
                .as_deref()
                .is_some_and(|own| own != workspace)
        {
            self.workspace = None;
        }
    }

    pub(crate) fn add_proof(&mut self, verdict: &Verdict, case: &Case) {
        let asked = clip(&case.asked);
        self.proof.push(ProofLine {
            session: case.session,
            turn: case.turn,
            text: match verdict {
                Verdict::Agrees => format!("agrees: {asked}"),
                Verdict::Differs(why) => format!("differs: {asked}: {why}"),
                Verdict::Unknown(why) => format!("not known: {asked}: {why}"),
            },
        });
        if self.proof.len() > PROOF_LINES_MAX {
            self.proof.remove(0);
        }
    }

    /// Deletes what its proof quotes of turns. Whether it quoted any.
    pub(crate) fn forget_proof(&mut self, is_meant: impl Fn(SessionId, TurnId) -> bool) -> bool {
        let n = self.proof.len();
        self.proof.retain(|line| !is_meant(line.session, line.turn));
        self.proof.len() < n
    }

    /// Whether the model is to be asked this time, to see whether the reflex still holds.
    pub(crate) fn is_sample_due(&self, every: u32) -> bool {
        let n = self.hits + self.declined + self.sampled;
        every > 0 && (n + 1).is_multiple_of(every)
    }

    /// What the person is told when it answers.
    pub(crate) fn because_it_answers(&self) -> String {
        let n = self.built_from.len() + self.agreements as usize;
        let calls = self.tools.keys().cloned().collect::<Vec<_>>().join(", ");
        match &self.rule {
            Rule::Plan(_) => {
                format!("{n} recorded answers were made in the same way, with {calls}")
            }
            Rule::Written(Written { by, .. }) if calls.is_empty() => {
                format!("code that {by} wrote gives {n} recorded answers")
            }
            Rule::Written(Written { by, .. }) => {
                format!("code that {by} wrote gives {n} recorded answers, with {calls}")
            }
            Rule::Answer { model, .. } => format!("{model} answered these very words before"),
        }
    }

    pub(crate) fn summary(&self) -> ReflexSummary {
        ReflexSummary {
            name: self.name.clone(),
            version: self.version,
            state: self.state,
            because: self.because.clone(),
            is_built_in: false,
            workspace: self.workspace.clone(),
            wordings: self
                .wordings
                .iter()
                .map(|wording| wording.shown.clone())
                .collect(),
            steps: self.rule.plan().lines(),
            written: match &self.rule {
                Rule::Written(written) => Some(ReflexWriting {
                    by: written.by.clone(),
                    source: written.source.clone(),
                    shown: written.shown,
                }),
                Rule::Plan(_) | Rule::Answer { .. } => None,
            },
            built_from: self
                .built_from
                .iter()
                .map(|it| (it.asked.clone(), it.at))
                .collect(),
            agreements: self.agreements,
            hits: self.hits,
            declined: self.declined,
            proof: self.proof.iter().map(|line| line.text.clone()).collect(),
            sessions: self.built_from.iter().map(|it| it.session).collect(),
            saved_ms: self.saved_ms,
        }
    }
}
