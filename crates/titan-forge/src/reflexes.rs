//! What was learned, and what may be done with it: candidates run in shadow beside the model, are promoted, answer, and are
//! demoted with the first answer that differs.

use crate::agree::is_value;
use crate::builtin::{self, Facts};
use crate::case::{ByReflex, Case};
use crate::learned::{Bound, Entry, Program, State};
use crate::prove::{Verdict, replay};
use crate::reflex::{Reflex, Rule};
use crate::watch::Inbox;
use crate::words::{Token, is_timeless, tokens};
use crate::write::{CODES_TABLE, Wishes, Writing};
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
/// Those of them in which nothing was called.
const CLOSED_CASES_MAX: usize = 50;
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
    /// How often in a day (UTC) a model is asked for code. 0 is never.
    pub written_daily_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            promotion: Promotion::Owner,
            agreements_min: 2,
            sample_every: 20,
            written_daily_max: 3,
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
    /// What code is written with, where any is.
    pub writing: Option<Writing>,
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
    pub(crate) config: Config,
    pub(crate) state: RwLock<State>,
    /// The hashes of the tools that were asked about last.
    tools: Mutex<Option<Hashed>>,
    pub(crate) inbox: Inbox,
    pub(crate) wishes: Wishes,
    /// Reflexes whose tools have changed, to be demoted when somebody may write.
    outdated: Mutex<HashSet<String>>,
    /// Reflexes that the person was told of.
    told: Mutex<HashSet<String>>,
    /// Held by whoever changes a reflex from what it was, so that no change is lost.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl Reflexes {
    /// Opens what was learned in a home, with what comes with the program.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn open(ports: Ports, config: Config) -> Result<Self, StorageError> {
        let mut state = State::default();
        let codes = ports.records.scan(CODES_TABLE, "", "", SCAN_MAX).await?;
        let codes = codes.into_iter().map(|(hash, stored)| (hash, stored.value));
        state.codes = codes.collect();
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
                wishes: Wishes::default(),
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
        let has_plan = is_known || self.learn(&case, &tokens).await?;
        // What called nothing has no plan, but what is asked in it may be computed.
        let is_closed = case.calls.is_empty();
        if is_closed && !may_be_computed(&case, &tokens) {
            return Ok(());
        }
        self.keep(case.clone()).await?;
        if !has_plan {
            self.wish(&case, &tokens);
        }
        Ok(())
    }

    /// Keeps a case, and lets go of the oldest when there are as many as there may be.
    async fn keep(&self, case: Case) -> Result<(), StorageError> {
        let value =
            serde_json::to_vec(&case).map_err(|error| StorageError::Failed(error.to_string()))?;
        let mut changes = vec![change(CASES_TABLE, &case_key(&case), Some(value))];
        {
            let mut state = self.shared.state.write();
            let is_closed = case.calls.is_empty();
            state.cases.push_back(case);
            let closed = state.cases.iter().filter(|case| case.calls.is_empty());
            let oldest = match is_closed && closed.count() > CLOSED_CASES_MAX {
                true => state.cases.iter().position(|case| case.calls.is_empty()),
                false => (state.cases.len() > CASES_MAX).then_some(0),
            };
            let oldest = oldest.and_then(|at| state.cases.remove(at));
            changes.extend(oldest.map(|case| change(CASES_TABLE, &case_key(&case), None)));
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
        let mut is_known = false;
        for (mut reflex, program, values) in known {
            if !reflex.is_comparable(case) {
                is_known |= !reflex.is_outdated;
                continue;
            }
            let verdict = replay(program.as_ref(), &values, case);
            reflex.add_proof(&verdict, case);
            reflex.sampled += u32::from(reflex.state == ReflexState::Promoted);
            // What two turns had in common by chance says nothing, and stands in nothing's way.
            if reflex.is_guess() && matches!(verdict, Verdict::Differs(_)) {
                self.delete(&reflex.name).await?;
                continue;
            }
            is_known |= !reflex.is_outdated;
            match verdict {
                Verdict::Agrees => {
                    reflex.agreements += 1;
                    reflex.agreed_on(&values);
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
    pub(crate) async fn store(&self, reflex: Reflex) -> Result<(), StorageError> {
        let value =
            serde_json::to_vec(&reflex).map_err(|error| StorageError::Failed(error.to_string()))?;
        let mut changes = vec![change(REFLEXES_TABLE, &reflex.name, Some(value))];
        // The code of the version before goes with it.
        let before = self
            .find(&reflex.name)
            .and_then(|before| before.rule.code());
        let stale = before.filter(|hash| reflex.rule.code().as_ref() != Some(hash));
        changes.extend(stale.iter().map(|hash| change(CODES_TABLE, hash, None)));
        self.shared.ports.records.commit(changes).await?;
        let mut state = self.shared.state.write();
        if let Some(hash) = stale {
            state.codes.remove(&hash);
        }
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

    /// Deletes a reflex, with its code and what was compiled of it.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), StorageError> {
        let mut changes = vec![change(REFLEXES_TABLE, name, None)];
        let code = self.find(name).and_then(|reflex| reflex.rule.code());
        changes.extend(code.iter().map(|hash| change(CODES_TABLE, hash, None)));
        self.shared.ports.records.commit(changes).await?;
        if let Some(program) = self.program(name) {
            program.forget();
        }
        let mut state = self.shared.state.write();
        state.remove(name);
        if let Some(hash) = code {
            state.codes.remove(&hash);
        }
        Ok(())
    }

    /// Lets go of the reflex that was built longest ago and never answered, when there are as many as there may be.
    pub(crate) async fn make_room(&self) -> Result<(), StorageError> {
        let oldest = {
            let state = self.shared.state.read();
            let is_full = state.reflexes.len() >= REFLEXES_MAX;
            let unused = state.reflexes.values().map(|entry| &entry.reflex);
            let oldest = unused.min_by_key(|reflex| reflex.worth());
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
        let mut knowing: Vec<_> = state
            .knowing(&asked.text, tokens)
            .filter(|(entry, values)| {
                entry.reflex.holds(asked, now, ANSWER_AGE_MAX_MS)
                    && entry.reflex.is_proved_for(values)
            })
            .collect();
        // What is computed is better known than what was said once.
        if knowing.len() > 1 {
            knowing.retain(|(entry, _)| !matches!(entry.reflex.rule, Rule::Answer { .. }));
        }
        let (Entry { reflex, program }, values) = knowing.pop()?;
        if !knowing.is_empty() {
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
                    .map_or(Ok(()), |program| program.prepare())
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
        self.shared.wishes.forget(what);
        let tries = self.forgotten_tries(*session).await?;
        self.shared.ports.records.commit(tries).await?;
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

pub(crate) fn change(table: &str, key: &str, value: Option<Vec<u8>>) -> Change {
    Change {
        table: table.to_owned(),
        key: key.to_owned(),
        value: value.map(Into::into),
        expected_version: None,
    }
}

/// Whether a turn that called nothing may be one of several that are computed alike: it says all that is needed, and has
/// values.
fn may_be_computed(case: &Case, tokens: &[Token]) -> bool {
    case.is_first && is_timeless(&case.asked) && tokens.iter().any(is_value)
}

/// Cases stand in the order of their turns.
fn case_key(case: &Case) -> String {
    format!("{:020}", case.seq)
}

/// Whether a turn is among what is to be forgotten. Of single events it is not known which of its turn's they are.
pub(crate) fn is_of(what: &Forget, session: SessionId, turn: titan_protocol::TurnId) -> bool {
    match what {
        Forget::Session { session: it } | Forget::Events { session: it, .. } => *it == session,
        Forget::Turn {
            session: it,
            turn: of,
        } => *it == session && *of == turn,
    }
}
