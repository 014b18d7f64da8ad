//! What was learned, and what may be done with it: candidates run in shadow beside the model, are promoted, answer, and are
//! demoted with the first answer that differs.

use crate::builtin::{self, Facts};
use crate::case::{ByReflex, Case};
use crate::learned::{Bound, Entry, Program, State};
use crate::mine::{Filled, plan};
use crate::prove::{Verdict, replay, taken_for_it};
use crate::reflex::{Origin, Reflex, Rule};
use crate::watch::Inbox;
use crate::wording::{Wording, align};
use crate::words::{Token, is_puzzle, is_timeless, tokens};
use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use titan_protocol::{
    Asked, Change, ClientError, EndedTurn, Forget, Journal, Judgement, Projection, Records,
    ReflexHost, ReflexState, ReflexSummary, SessionId, Shortcut, StorageError, Taken, ToolSpec,
    UnixMillis,
};

/// Reflexes that are kept, answers among them.
const REFLEXES_MAX: usize = 10_000;
/// Turns from which plans are found.
const CASES_MAX: usize = 500;
/// Ways to ask for one thing.
const WORDINGS_MAX: usize = 8;
/// The longest question, in bytes: reflexes are for what is asked in passing.
const ASKED_BYTES_MAX: usize = 4096;
/// An answer that was kept is asked for anew after this long.
const ANSWER_AGE_MAX_MS: u64 = 30 * 86_400_000;
/// Why a reflex ended whose answer was not the model's. Its proof says which.
const OTHERWISE: &str = "the model answered otherwise";
const REFLEXES_TABLE: &str = "reflexes";
/// Turns from which plans are found, by their position in the journal.
const CASES_TABLE: &str = "reflex_cases";
const SCAN_MAX: usize = 1000;

/// How reflexes are promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// Nothing is learned, and nothing but what comes with the program answers.
    Never,
    /// What was proved is proposed, and its owner says.
    Owner,
    /// What was proved answers.
    Proved,
}

/// How reflexes are learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How they are promoted.
    pub promotion: Promotion,
    /// Recorded turns besides those that it was built from whose outcome a plan has to give.
    pub agreements_min: u32,
    /// Of so many questions that a reflex would answer the model is asked one, so that a reflex that has become wrong is
    /// found. 0 is never.
    pub sample_every: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            promotion: Promotion::Owner,
            agreements_min: 2,
            sample_every: 20,
        }
    }
}

/// What reflexes are made with.
#[derive(Clone)]
pub struct Ports {
    /// Where turns are read, and proposals are told.
    pub journal: Arc<dyn Journal>,
    /// Where reflexes are kept.
    pub records: Arc<dyn Records>,
    /// Runs their components.
    pub host: Arc<dyn ReflexHost>,
    /// What reflexes that come with the program tell.
    pub facts: Arc<dyn Facts>,
    /// Milliseconds since the Unix epoch.
    pub now: fn() -> UnixMillis,
}

/// All reflexes of a home. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Reflexes {
    pub(crate) shared: Arc<Shared>,
}

/// Hashes of tools by name.
type Hashes = Arc<HashMap<String, String>>;

/// The tools of a question, and their hashes.
struct Hashed {
    tools: Arc<[ToolSpec]>,
    versions: Arc<BTreeMap<String, String>>,
    hashes: Hashes,
}

pub(crate) struct Shared {
    pub(crate) ports: Ports,
    config: Config,
    state: RwLock<State>,
    /// The hashes of the tools that were asked about last.
    tools: Mutex<Option<Hashed>>,
    pub(crate) inbox: Inbox,
    /// Reflexes whose tools have changed, to be demoted when somebody may write.
    outdated: Mutex<HashSet<String>>,
    /// Reflexes that the person was told of.
    told: Mutex<HashSet<String>>,
    /// Held by whoever changes a reflex from what it was, so that no change is lost.
    changing: tokio::sync::Mutex<()>,
}

impl Reflexes {
    /// Opens what was learned in a home, with what comes with the program.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn open(ports: Ports, config: Config) -> Result<Self, StorageError> {
        let mut state = State::default();
        let mut after = String::new();
        loop {
            let found = ports
                .records
                .scan(REFLEXES_TABLE, "", &after, SCAN_MAX)
                .await?;
            let Some((last, _)) = found.last() else { break };
            after.clone_from(last);
            for (name, stored) in found {
                match serde_json::from_slice::<Reflex>(&stored.value) {
                    Ok(reflex) => state.insert(reflex, &ports.host),
                    Err(error) => {
                        tracing::warn!(%name, %error, "a reflex can't be read and is left out")
                    }
                }
            }
        }
        Ok(Self {
            shared: Arc::new(Shared {
                ports,
                config,
                state: RwLock::new(state),
                tools: Mutex::default(),
                inbox: Inbox::default(),
                outdated: Mutex::default(),
                told: Mutex::default(),
                changing: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// Takes in a turn that has ended: reflexes that know it are compared with it, and it may be what makes another.
    pub(crate) async fn observe(&self, mut case: Case) -> Result<(), StorageError> {
        let _changing = self.shared.changing.lock().await;
        self.demote_outdated().await?;
        if self.shared.config.promotion == Promotion::Never {
            return Ok(());
        }
        let Some(tokens) = tokens(&case.asked).filter(|_| case.asked.len() <= ASKED_BYTES_MAX)
        else {
            return Ok(());
        };
        let Some(tools) = self.hashes_of(&case) else {
            return Ok(());
        };
        case.tools = tools;
        self.read_cases().await?;
        let is_known = self.compare(&case, &tokens).await?;
        if !is_known {
            self.learn(&case, &tokens).await?;
        }
        // What called nothing has no plan.
        match case.calls.is_empty() {
            true => Ok(()),
            false => self.keep(case).await,
        }
    }

    /// Keeps a case, and lets go of the oldest when there are as many as there may be.
    async fn keep(&self, case: Case) -> Result<(), StorageError> {
        let value =
            serde_json::to_vec(&case).map_err(|error| StorageError::Failed(error.to_string()))?;
        let mut changes = vec![change(CASES_TABLE, &case_key(&case), Some(value))];
        {
            let mut state = self.shared.state.write();
            state.cases.push_back(case);
            if state.cases.len() > CASES_MAX {
                changes.extend(
                    state
                        .cases
                        .pop_front()
                        .map(|oldest| change(CASES_TABLE, &case_key(&oldest), None)),
                );
            }
        }
        self.shared.ports.records.commit(changes).await
    }

    /// Reads the cases of earlier engines, once, when the first turn has ended: nothing waits for them before.
    async fn read_cases(&self) -> Result<(), StorageError> {
        if self.shared.state.read().has_cases {
            return Ok(());
        }
        let found = self
            .shared
            .ports
            .records
            .scan(CASES_TABLE, "", "", CASES_MAX)
            .await?;
        let cases = found
            .iter()
            .filter_map(|(_, stored)| serde_json::from_slice(&stored.value).ok());
        let mut state = self.shared.state.write();
        state.cases = cases.collect();
        state.has_cases = true;
        Ok(())
    }

    /// Counts a turn that a reflex answered or gave back.
    pub(crate) async fn answered(&self, by: &ByReflex) -> Result<(), StorageError> {
        let _changing = self.shared.changing.lock().await;
        let Some(mut reflex) = self.find(&by.name) else {
            return Ok(());
        };
        if by.has_declined {
            reflex.declined += 1;
        } else {
            reflex.hits += 1;
            reflex.saved_ms += reflex.model_ms.saturating_sub(by.elapsed_ms);
        }
        self.store(reflex).await
    }

    /// Runs every reflex that knows this turn beside it. Whether any does that is not to be learned anew.
    async fn compare(&self, case: &Case, tokens: &[Token]) -> Result<bool, StorageError> {
        let known: Vec<(Reflex, Arc<Program>, Vec<String>)> = {
            let state = self.shared.state.read();
            let known = state.knowing(&case.asked, tokens);
            known
                .map(|(entry, values)| (entry.reflex.clone(), entry.program.clone(), values))
                .collect()
        };
        let is_known = known.iter().any(|(reflex, ..)| !reflex.is_outdated);
        for (mut reflex, program, values) in known {
            if !reflex.is_comparable(case) {
                continue;
            }
            let verdict = replay(program.as_ref(), &values, case);
            reflex.add_proof(&verdict, case);
            reflex.sampled += u32::from(reflex.state == ReflexState::Promoted);
            match verdict {
                Verdict::Agrees => {
                    reflex.agreements += 1;
                    reflex.widen(&case.workspace);
                }
                Verdict::Differs(_) => reflex.demote(OTHERWISE),
                Verdict::Unknown(_) => {}
            }
            self.promote_if_proved(&mut reflex);
            self.store(reflex).await?;
        }
        Ok(is_known)
    }

    /// Makes a reflex of a turn and another that it has a plan in common with, or of one that depends on its question alone.
    async fn learn(&self, case: &Case, tokens: &[Token]) -> Result<(), StorageError> {
        let found = match case.calls.is_empty() {
            true => self.answer(case, tokens),
            false => self
                .worded_anew(case, tokens)
                .or_else(|| self.plan(case, tokens)),
        };
        let Some(mut reflex) = found else {
            return Ok(());
        };
        self.promote_if_proved(&mut reflex);
        self.make_room().await?;
        self.store(reflex).await
    }

    /// The answer of a turn that called nothing, where it can hold for longer.
    fn answer(&self, case: &Case, tokens: &[Token]) -> Option<Reflex> {
        let is_fit = case.is_first && is_timeless(&case.asked);
        let wording = Wording::of(tokens, &[]).filter(|_| is_fit)?;
        let rule = Rule::Answer {
            text: case.answer.clone(),
            model: case.model.clone(),
            is_puzzle: is_puzzle(tokens),
        };
        let because = "an answer without any tool, to a question that names no time, nothing of yours and nothing said before";
        let mut reflex = Reflex::new(
            self.shared.state.read().name_for(tokens),
            rule,
            vec![wording],
            &[case],
            because,
        );
        reflex.built_at = (self.shared.ports.now)();
        Some(reflex)
    }

    /// The plan that a turn has in common with an earlier one.
    fn plan(&self, case: &Case, tokens: &[Token]) -> Option<Reflex> {
        let state = self.shared.state.read();
        state
            .cases
            .iter()
            .rev()
            .find_map(|earlier| self.common(earlier, case, tokens, &state))
    }

    fn common(
        &self,
        earlier: &Case,
        case: &Case,
        tokens_of_case: &[Token],
        state: &State,
    ) -> Option<Reflex> {
        let called = |case: &Case| -> Vec<String> {
            case.calls.iter().map(|call| call.tool.clone()).collect()
        };
        let is_alike = called(earlier) == called(case) && earlier.tools == case.tools;
        let tokens_before = tokens(&earlier.asked).filter(|_| is_alike)?;
        let (slots_a, slots_b) = align(tokens_of_case, &tokens_before)?;
        let value = |tokens: &[Token], at: usize| tokens[at].text.clone();
        let values_a: Vec<String> = slots_a
            .iter()
            .map(|slot| value(tokens_of_case, slot.at))
            .collect();
        let values_b: Vec<String> = slots_b
            .iter()
            .map(|slot| value(&tokens_before, slot.at))
            .collect();
        let (a, b) = (
            Filled {
                case,
                slots: &values_a,
            },
            Filled {
                case: earlier,
                slots: &values_b,
            },
        );
        let plan = plan(a, b).or_else(|| plan(b, a))?;
        let mut wordings = vec![
            Wording::of(tokens_of_case, &slots_a)?,
            Wording::of(&tokens_before, &slots_b)?,
        ];
        wordings.dedup_by(|a, b| a.values(&tokens_before) == b.values(&tokens_before));
        let because = "the same calls answered the same question before";
        let mut reflex = Reflex::new(
            state.name_for(tokens_of_case),
            Rule::Plan(plan),
            wordings,
            &[earlier, case],
            because,
        );
        reflex.tools.clone_from(&case.tools);
        reflex.built_at = (self.shared.ports.now)();
        // What ended with its tool goes on as another version.
        let outdated = state.knowing(&case.asked, tokens_of_case);
        let mut outdated = outdated.filter(|(entry, _)| entry.reflex.is_outdated);
        if let Some((entry, _)) = outdated.next() {
            reflex.name.clone_from(&entry.reflex.name);
            reflex.version = entry.reflex.version + 1;
        }
        self.is_proved_on(&mut reflex, [earlier, case], state)
            .then_some(reflex)
    }

    /// Whether a reflex gives again what it was built from, takes nothing near it for it, and says the same as the model in
    /// every other turn that is known.
    fn is_proved_on(&self, reflex: &mut Reflex, built_from: [&Case; 2], state: &State) -> bool {
        let program = Program::of(reflex, &self.shared.ports.host);
        let verdict = |case: &Case| {
            let values = reflex.values(&case.asked, &tokens(&case.asked)?)?;
            Some(replay(&program, &values, case))
        };
        if built_from
            .iter()
            .any(|case| verdict(case) != Some(Verdict::Agrees))
        {
            return false;
        }
        if built_from
            .iter()
            .any(|case| taken_for_it(&reflex.wordings, &case.asked).is_some())
        {
            return false;
        }
        let others = state
            .cases
            .iter()
            .filter(|case| !built_from.iter().any(|it| it.turn == case.turn));
        let verdicts: Vec<(&Case, Verdict)> = others
            .filter(|case| reflex.is_comparable(case))
            .filter_map(|case| Some((case, verdict(case)?)))
            .collect();
        for (case, verdict) in &verdicts {
            reflex.add_proof(verdict, case);
            reflex.agreements += u32::from(*verdict == Verdict::Agrees);
        }
        !verdicts
            .iter()
            .any(|(_, verdict)| matches!(verdict, Verdict::Differs(_)))
    }

    /// A known reflex with the words of this turn, which did what it would have done.
    fn worded_anew(&self, case: &Case, tokens: &[Token]) -> Option<Reflex> {
        let state = self.shared.state.read();
        let mut entries = state.reflexes.values().filter(|entry| {
            let steps = entry.reflex.rule.plan().steps;
            entry.reflex.wordings.len() < WORDINGS_MAX
                && entry.reflex.is_comparable(case)
                && steps.len() == case.calls.len()
                && steps
                    .iter()
                    .zip(&case.calls)
                    .all(|(step, call)| step.tool == call.tool)
        });
        entries.find_map(|entry| {
            let first = entry.reflex.wordings.first()?;
            let (slots, values) = first.slots_of(tokens)?;
            let is_same = replay(entry.program.as_ref(), &values, case) == Verdict::Agrees;
            let wording = Wording::of(tokens, &slots).filter(|_| is_same)?;
            let mut reflex = entry.reflex.clone();
            reflex.wordings.push(wording);
            reflex.built_from.push(Origin::of(case));
            taken_for_it(&reflex.wordings, &case.asked)
                .is_none()
                .then_some(reflex)
        })
    }

    /// Promotes what was proved, where that is the policy; else proposes it.
    fn promote_if_proved(&self, reflex: &mut Reflex) {
        if reflex.state != ReflexState::Shadow {
            return;
        }
        let is_policy = self.shared.config.promotion == Promotion::Proved;
        let is_puzzle = matches!(
            reflex.rule,
            Rule::Answer {
                is_puzzle: true,
                ..
            }
        );
        let least = match reflex.rule {
            Rule::Plan(_) => self.shared.config.agreements_min,
            // A second answer of the same model proves nothing of a puzzle that the first did not.
            Rule::Answer { .. } if is_policy && is_puzzle => 0,
            Rule::Answer { .. } => 1,
        };
        if reflex.agreements < least {
            return;
        }
        // Whether any other answer depends on its question alone is for a person to say.
        if is_policy && (is_puzzle || matches!(reflex.rule, Rule::Plan(_))) {
            reflex.promote("it was proved, and the config says that this is enough");
        } else {
            reflex.state = ReflexState::Proposed;
        }
    }

    async fn demote_outdated(&self) -> Result<(), StorageError> {
        let outdated: Vec<String> = self.shared.outdated.lock().drain().collect();
        for name in outdated {
            if let Some(mut reflex) = self.find(&name) {
                reflex.demote("a tool that it calls has changed");
                reflex.is_outdated = true;
                self.store(reflex).await?;
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<Reflex> {
        Some(self.shared.state.read().reflexes.get(name)?.reflex.clone())
    }

    /// Keeps a reflex as it is now.
    async fn store(&self, reflex: Reflex) -> Result<(), StorageError> {
        let value =
            serde_json::to_vec(&reflex).map_err(|error| StorageError::Failed(error.to_string()))?;
        let change = change(REFLEXES_TABLE, &reflex.name, Some(value));
        self.shared.ports.records.commit(vec![change]).await?;
        let mut state = self.shared.state.write();
        match state.reflexes.get_mut(&reflex.name) {
            // Its component stays as it is.
            Some(entry)
                if entry.reflex.rule == reflex.rule && entry.reflex.wordings == reflex.wordings =>
            {
                entry.reflex = reflex
            }
            _ => state.insert(reflex, &self.shared.ports.host),
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.shared
            .ports
            .records
            .commit(vec![change(REFLEXES_TABLE, name, None)])
            .await?;
        self.shared.state.write().remove(name);
        Ok(())
    }

    /// Lets go of the reflex that was built longest ago and never answered, when there are as many as there may be.
    async fn make_room(&self) -> Result<(), StorageError> {
        let oldest = {
            let state = self.shared.state.read();
            let is_full = state.reflexes.len() >= REFLEXES_MAX;
            let unused = state.reflexes.values().map(|entry| &entry.reflex);
            let oldest = unused.min_by_key(|reflex| {
                (
                    reflex.state == ReflexState::Promoted,
                    reflex.hits,
                    reflex.built_at,
                )
            });
            oldest.filter(|_| is_full).map(|reflex| reflex.name.clone())
        };
        match oldest {
            Some(name) => self.delete(&name).await,
            None => Ok(()),
        }
    }

    /// What the tools of a turn are. `None` while that is not known.
    fn hashes_of(&self, case: &Case) -> Option<BTreeMap<String, String>> {
        let tools = self.shared.tools.lock();
        let hashes = &tools.as_ref()?.hashes;
        let hash = |tool: &String| Some((tool.clone(), hashes.get(tool)?.clone()));
        case.calls.iter().map(|call| hash(&call.tool)).collect()
    }

    /// The hashes of tools by name, kept for as long as the same tools are on offer.
    fn hashes(&self, asked: &Asked) -> Hashes {
        let mut kept = self.shared.tools.lock();
        if let Some(hashed) = &*kept
            && Arc::ptr_eq(&hashed.tools, &asked.tools)
            && Arc::ptr_eq(&hashed.versions, &asked.versions)
        {
            return hashed.hashes.clone();
        }
        let hash = |spec: &ToolSpec| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&serde_json::to_vec(spec).unwrap_or_default());
            hasher.update(
                asked
                    .versions
                    .get(&spec.name)
                    .map_or("", String::as_str)
                    .as_bytes(),
            );
            hasher.finalize().to_hex().to_string()
        };
        let hashed = asked
            .tools
            .iter()
            .map(|spec| (spec.name.clone(), hash(spec)));
        let hashes: Hashes = Arc::new(hashed.collect());
        *kept = Some(Hashed {
            tools: asked.tools.clone(),
            versions: asked.versions.clone(),
            hashes: hashes.clone(),
        });
        hashes
    }

    /// The one promoted reflex that knows this, if there is exactly one and nothing about it has changed.
    fn learned(&self, asked: &Asked, tokens: &[Token]) -> Option<Taken> {
        let hashes = self.hashes(asked);
        let now = (self.shared.ports.now)();
        let state = self.shared.state.read();
        let mut knowing = state
            .knowing(&asked.text, tokens)
            .filter(|(entry, _)| entry.reflex.holds(asked, now, ANSWER_AGE_MAX_MS));
        let (Entry { reflex, program }, values) = knowing.next()?;
        if knowing.next().is_some() {
            return None;
        }
        for (tool, hash) in &reflex.tools {
            // One that is not on offer to this model may be the next time.
            if hashes.get(tool)? != hash {
                self.shared.outdated.lock().insert(reflex.name.clone());
                return None;
            }
        }
        if reflex.is_sample_due(self.shared.config.sample_every) {
            return None;
        }
        Some(Taken {
            name: reflex.name.clone(),
            version: reflex.version,
            because: reflex.because_it_answers(),
            code: Arc::new(Bound {
                program: program.clone(),
                values,
            }),
        })
    }
}

#[async_trait]
impl Shortcut for Reflexes {
    fn proposal(&self, asked: &Asked) -> Option<String> {
        if asked.text.len() > ASKED_BYTES_MAX {
            return None;
        }
        let tokens = tokens(&asked.text)?;
        let state = self.shared.state.read();
        let mut knowing = state.knowing(&asked.text, &tokens);
        let (entry, _) = knowing.find(|(entry, _)| {
            entry.reflex.state == ReflexState::Proposed && entry.reflex.is_of(asked)
        })?;
        let name = &entry.reflex.name;
        self.shared.told.lock().insert(name.clone()).then(|| {
            format!(
                "this could be answered without a model from now on: titanclaw reflexes show {name}, then promote {name}"
            )
        })
    }

    fn turn_ended(&self, ended: EndedTurn) {
        self.shared.inbox.put(ended);
    }

    fn consult(&self, asked: &Asked) -> Option<Taken> {
        if asked.text.len() > ASKED_BYTES_MAX {
            return None;
        }
        if let Some(everyday) = builtin::find(&asked.text, asked.is_first) {
            return Some(everyday.taken(self.shared.ports.facts.clone()));
        }
        self.learned(asked, &tokens(&asked.text)?)
    }

    async fn reflexes(&self) -> Vec<ReflexSummary> {
        let state = self.shared.state.read();
        let learned = state.reflexes.values().map(|entry| entry.reflex.summary());
        builtin::summaries().chain(learned).collect()
    }

    async fn judge(&self, name: &str, judgement: Judgement) -> Result<(), ClientError> {
        if builtin::is_name(name) {
            return Err(ClientError::Refused(format!(
                "{name} comes with the program and can't be changed"
            )));
        }
        let _changing = self.shared.changing.lock().await;
        let Some(mut reflex) = self.find(name) else {
            let text = format!("There is no reflex {name:?}. titanclaw reflexes list names all.");
            return Err(ClientError::Refused(text));
        };
        match judgement {
            Judgement::Promote => {
                let program = self.program(name);
                program
                    .map_or(Ok(()), |program| program.ready().map(drop))
                    .map_err(ClientError::Refused)?;
                reflex.promote("its owner promoted it");
            }
            Judgement::Demote => reflex.demote("its owner said so"),
            Judgement::Prove => {
                self.read_cases().await?;
                self.prove(&mut reflex);
            }
        }
        Ok(self.store(reflex).await?)
    }
}

#[async_trait]
impl Projection for Reflexes {
    async fn forget(&self, what: &Forget) -> Result<(), StorageError> {
        let (Forget::Session { session }
        | Forget::Turn { session, .. }
        | Forget::Events { session, .. }) = what;
        self.shared.inbox.forget(*session);
        let _changing = self.shared.changing.lock().await;
        self.read_cases().await?;
        self.forget_cases(what).await?;
        let reflexes: Vec<Reflex> = {
            let state = self.shared.state.read();
            state
                .reflexes
                .values()
                .map(|entry| entry.reflex.clone())
                .collect()
        };
        for mut reflex in reflexes {
            if reflex
                .built_from
                .iter()
                .any(|it| is_of(what, it.session, it.turn))
            {
                self.delete(&reflex.name).await?;
            } else if reflex.forget_proof(|session, turn| is_of(what, session, turn)) {
                self.store(reflex).await?;
            }
        }
        Ok(())
    }
}

impl Reflexes {
    async fn forget_cases(&self, what: &Forget) -> Result<(), StorageError> {
        let is_meant = |case: &Case| is_of(what, case.session, case.turn);
        let gone: Vec<Change> = {
            let state = self.shared.state.read();
            let gone = state.cases.iter().filter(|case| is_meant(case));
            gone.map(|case| change(CASES_TABLE, &case_key(case), None))
                .collect()
        };
        self.shared.ports.records.commit(gone).await?;
        self.shared
            .state
            .write()
            .cases
            .retain(|case| !is_meant(case));
        Ok(())
    }

    fn program(&self, name: &str) -> Option<Arc<Program>> {
        Some(self.shared.state.read().reflexes.get(name)?.program.clone())
    }

    /// Runs a reflex on every turn that is known.
    fn prove(&self, reflex: &mut Reflex) {
        let Some(program) = self.program(&reflex.name) else {
            return;
        };
        reflex.proof.clear();
        reflex.agreements = 0;
        let state = self.shared.state.read();
        for case in &state.cases {
            if !reflex.is_comparable(case) {
                continue;
            }
            let values = tokens(&case.asked).and_then(|tokens| reflex.values(&case.asked, &tokens));
            let Some(values) = values else { continue };
            let verdict = replay(program.as_ref(), &values, case);
            reflex.add_proof(&verdict, case);
            let is_held_out = !reflex.built_from.iter().any(|it| it.turn == case.turn);
            match verdict {
                Verdict::Agrees => reflex.agreements += u32::from(is_held_out),
                Verdict::Differs(_) => return reflex.demote(OTHERWISE),
                Verdict::Unknown(_) => {}
            }
        }
    }
}

fn change(table: &str, key: &str, value: Option<Vec<u8>>) -> Change {
    Change {
        table: table.to_owned(),
        key: key.to_owned(),
        value: value.map(Into::into),
        expected_version: None,
    }
}

/// Cases stand in the order of their turns.
fn case_key(case: &Case) -> String {
    format!("{:020}", case.seq)
}

/// Whether a turn is among what is to be forgotten. Of single events it is not known which of its turn's they are.
fn is_of(what: &Forget, session: SessionId, turn: titan_protocol::TurnId) -> bool {
    match what {
        Forget::Session { session: it } | Forget::Events { session: it, .. } => *it == session,
        Forget::Turn {
            session: it,
            turn: of,
        } => *it == session && *of == turn,
    }
}
