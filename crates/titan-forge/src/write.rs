//! Has a model write the code of what it computes again and again, in the background: after turns that ended, once for each
//! kind of turn, a few times a day. The code is proved before anything is kept of it; from there on it is a reflex like any
//! other.

use crate::author::{self, Author, Commission, Wrong};
use crate::case::Case;
use crate::cluster::{self, Cluster, SHOWN};
use crate::learned::Program;
use crate::prove::{Verdict, replay, taken_for_it};
use crate::reflex::{Reflex, Rule};
use crate::reflexes::{Reflexes, change, is_of};
use crate::words::{Token, tokens};
use crate::written::{Forms, Written, learn_forms};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use titan_protocol::{
    Care, Change, Forget, MakeError, ReflexHost, SessionId, StorageError, ToolMaker, UnixMillis,
};
use tokio::sync::Notify;

/// Versions of one piece of code that may go wrong.
const ROUNDS_MAX: u32 = 3;
/// Kinds of turns that wait for their code.
const WAITING_MAX: usize = 4;
/// Kinds of turns that are known to have been tried.
const TRIES_MAX: usize = 500;
/// Reflexes with code that are kept.
const WRITTEN_MAX: usize = 50;
/// Turns of no kind that code has to do with, on which it is tried all the same where it knows them.
const OTHERS_MAX: usize = 20;
const DAY_MS: u64 = 86_400_000;
/// What was tried, by what is asked.
const TRIES_TABLE: &str = "reflex_tries";
/// Components, by their hashes.
pub(crate) const CODES_TABLE: &str = "reflex_codes";

/// What code is written with.
#[derive(Clone)]
pub struct Writing {
    /// Asks a model to write it.
    pub author: Arc<dyn Author>,
    /// Compiles it.
    pub maker: Arc<dyn ToolMaker>,
}

/// Kinds of turns that wait for their code.
#[derive(Default)]
pub(crate) struct Wishes {
    waiting: Mutex<VecDeque<Cluster>>,
    news: Notify,
    /// Whether it was told already that nothing can be written here.
    is_told: AtomicBool,
}

impl Wishes {
    fn put(&self, cluster: Cluster) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|other| other.key != cluster.key);
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(cluster);
        self.news.notify_one();
    }

    /// Lets go of what was made of something that is forgotten.
    pub(crate) fn forget(&self, what: &Forget) {
        let is_meant = |case: &Case| is_of(what, case.session, case.turn);
        let mut waiting = self.waiting.lock();
        waiting.retain(|cluster| !cluster.members.iter().any(|it| is_meant(&it.case)));
    }

    fn take(&self) -> Option<Cluster> {
        self.waiting.lock().pop_front()
    }
}

/// That code was asked for. It quotes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Try {
    /// How many turns there were of the kind; it is tried again when there are twice as many.
    size: usize,
    at: UnixMillis,
    /// How often, on that day.
    times: u32,
    sessions: Vec<SessionId>,
}

/// How it ended that code was asked for.
enum Ended {
    Wrote(Box<(Written, Bytes)>),
    /// No model was asked, so that it may be tried again.
    Unasked(String),
    Failed(String),
}

impl Reflexes {
    /// Has code written for what is computed again and again, when a turn has ended that shows it. Runs until it is dropped,
    /// which ends the model's call and the compiler; what was asked for is not asked for again by the next engine.
    pub async fn write(&self) {
        loop {
            self.write_waiting().await;
            self.shared.wishes.news.notified().await;
        }
    }

    /// Sees to all that waits.
    pub(crate) async fn write_waiting(&self) {
        let Some(writing) = &self.shared.ports.writing else {
            return;
        };
        while let Some(cluster) = self.shared.wishes.take() {
            if let Err(error) = self.write_one(writing, cluster).await {
                tracing::warn!(%error, "no code was written for a reflex");
            }
        }
    }

    /// Wishes for code where a turn that has ended shows that something is computed.
    pub(crate) fn wish(&self, case: &Case, asked: &[Token]) {
        if self.shared.ports.writing.is_none() || self.shared.config.written_daily_max == 0 {
            return;
        }
        let found = {
            let state = self.shared.state.read();
            cluster::find(state.cases.iter().rev(), case, asked)
        };
        if let Some(cluster) = found {
            self.shared.wishes.put(cluster);
        }
    }

    async fn write_one(&self, writing: &Writing, cluster: Cluster) -> Result<(), StorageError> {
        if let Some(missing) = writing.author.missing() {
            if !self.shared.wishes.is_told.swap(true, Ordering::Relaxed) {
                tracing::info!(%missing, "a question could be computed without a model, but no code is written");
            }
            return Ok(());
        }
        let Some(times) = self.begin_try(&cluster).await? else {
            return Ok(());
        };
        match self.rounds(writing, &cluster).await {
            Ended::Wrote(made) => self.take_up(cluster, *made).await,
            Ended::Unasked(why) => {
                tracing::info!(%why, "no code was written for a reflex; it is tried again");
                self.store_try(&cluster, 0, times).await
            }
            Ended::Failed(why) => {
                tracing::info!(%why, "no code was written for a reflex");
                Ok(())
            }
        }
    }

    /// Begins a try, if there may be one: a day has so many, and what failed is only tried again when twice as much is known.
    /// It is written down before anything is asked. How often this was tried today, this time included.
    async fn begin_try(&self, cluster: &Cluster) -> Result<Option<u32>, StorageError> {
        let tries = self.tries().await?;
        let today = self.today();
        let of_today = tries.iter().filter(|(_, it)| it.at / DAY_MS == today);
        let n_today: u32 = of_today.map(|(_, it)| it.times).sum();
        let before = tries.iter().find(|(key, _)| *key == cluster.key);
        if before.is_some_and(|(_, it)| cluster.size < 2 * it.size) {
            return Ok(None);
        }
        if n_today >= self.shared.config.written_daily_max {
            tracing::info!("no more code is written for reflexes today (reflexes.written_daily)");
            return Ok(None);
        }
        let oldest = tries.iter().min_by_key(|(_, it)| it.at);
        if let Some((oldest, _)) = oldest.filter(|_| tries.len() >= TRIES_MAX) {
            let gone = change(TRIES_TABLE, oldest, None);
            self.shared.ports.records.commit(vec![gone]).await?;
        }
        let before = before.filter(|(_, it)| it.at / DAY_MS == today);
        let times = before.map_or(0, |(_, it)| it.times) + 1;
        self.store_try(cluster, cluster.size, times).await?;
        Ok(Some(times))
    }

    fn today(&self) -> u64 {
        (self.shared.ports.now)() / DAY_MS
    }

    async fn tries(&self) -> Result<Vec<(String, Try)>, StorageError> {
        let records = &self.shared.ports.records;
        let found = records.scan(TRIES_TABLE, "", "", TRIES_MAX).await?;
        let tries = found
            .into_iter()
            .filter_map(|(key, stored)| Some((key, serde_json::from_slice(&stored.value).ok()?)));
        Ok(tries.collect())
    }

    async fn store_try(
        &self,
        cluster: &Cluster,
        size: usize,
        times: u32,
    ) -> Result<(), StorageError> {
        let sessions = cluster.members.iter().map(|it| it.case.session);
        let tried = Try {
            size,
            at: (self.shared.ports.now)(),
            times,
            sessions: sessions.collect(),
        };
        let value =
            serde_json::to_vec(&tried).map_err(|error| StorageError::Failed(error.to_string()))?;
        let change = change(TRIES_TABLE, &cluster.key, Some(value));
        self.shared.ports.records.commit(vec![change]).await
    }

    /// What deletes the tries that a session had a part in.
    pub(crate) async fn forgotten_tries(
        &self,
        session: SessionId,
    ) -> Result<Vec<Change>, StorageError> {
        let tries = self.tries().await?;
        let gone = tries
            .iter()
            .filter(|(_, it)| it.sessions.contains(&session));
        Ok(gone
            .map(|(key, _)| change(TRIES_TABLE, key, None))
            .collect())
    }

    /// Asks for code until it gives what it should in the turns that its writer saw.
    async fn rounds(&self, writing: &Writing, cluster: &Cluster) -> Ended {
        let mut wrong: Option<Wrong> = None;
        for round in 0..ROUNDS_MAX {
            let Some(last) = self.last_known(cluster) else {
                return Ended::Failed("what it would be written from was forgotten".to_owned());
            };
            let commission = Commission {
                session: last.session,
                turn: last.turn,
                system: author::system(writing.maker.guide()),
                text: author::text(cluster, wrong.as_ref()),
            };
            let authored = match writing.author.write(commission).await {
                Ok(authored) => authored,
                Err(why) if round == 0 => return Ended::Unasked(why),
                Err(why) => return Ended::Failed(why),
            };
            let Some(source) = author::source(&authored.text) else {
                wrong = Some(Wrong {
                    source: String::new(),
                    why: "there was no short file with fn run in it".to_owned(),
                });
                continue;
            };
            let draft = author::draft(cluster, &source);
            let made = writing.maker.make(&draft, Care::Kept);
            let component = match made.await {
                Ok(made) => Bytes::from(made.component),
                Err(MakeError::Wrong(why)) => {
                    wrong = Some(Wrong { source, why });
                    continue;
                }
                Err(MakeError::Missing(why) | MakeError::Failed(why)) => return Ended::Failed(why),
            };
            let written = Written {
                plan: cluster.plan.clone(),
                source: source.clone(),
                component: blake3::hash(&component).to_hex().to_string(),
                by: authored.model,
                kinds: cluster.kinds.clone(),
                shown: SHOWN,
            };
            match self.tried(&written, &component, cluster).await {
                Ok(()) => return Ended::Wrote(Box::new((written, component))),
                Err(why) => {
                    self.program_of(&written, &component).forget();
                    wrong = Some(Wrong { source, why });
                }
            }
        }
        let why = wrong.map_or_else(String::new, |wrong| wrong.why);
        Ended::Failed(format!(
            "{ROUNDS_MAX} versions went wrong; of the last: {why}"
        ))
    }

    /// The newest turn of a kind, where all of them are still known.
    fn last_known<'a>(&self, cluster: &'a Cluster) -> Option<&'a Case> {
        let state = self.shared.state.read();
        let is_known = |case: &Case| state.cases.iter().any(|it| it.turn == case.turn);
        let mut members = cluster.members.iter().map(|it| &it.case);
        let all = members.clone().all(is_known);
        members.by_ref().filter(|_| all).max_by_key(|case| case.seq)
    }

    /// Runs code on the turns that its writer saw.
    async fn tried(
        &self,
        written: &Written,
        component: &Bytes,
        cluster: &Cluster,
    ) -> Result<(), String> {
        let program = self.program_of(written, component);
        let shown: Vec<_> = cluster.members.iter().take(SHOWN).cloned().collect();
        let tried = move || {
            for member in shown {
                match replay(&program, &member.values, &member.case) {
                    Verdict::Agrees => {}
                    Verdict::Differs(why) | Verdict::Unknown(why) => {
                        return Err(format!("for the question {:?}: {why}", member.case.asked));
                    }
                }
            }
            Ok(())
        };
        on_a_thread(tried).await?
    }

    fn program_of(&self, written: &Written, component: &Bytes) -> Program {
        let host: &Arc<dyn ReflexHost> = &self.shared.ports.host;
        Program::new(&Rule::Written(written.clone()), component.clone(), host)
    }

    /// Proves code on what its writer did not see, and keeps it as a reflex in shadow.
    async fn take_up(
        &self,
        cluster: Cluster,
        (written, component): (Written, Bytes),
    ) -> Result<(), StorageError> {
        let program = self.program_of(&written, &component);
        let hash = written.component.clone();
        let reflex = self.reflex_of(&cluster, written);
        let others = self.others(&cluster, &reflex);
        let proof = {
            let cluster = cluster.clone();
            move || {
                let proved = proved(reflex, &program, &cluster, &others);
                (proved, program)
            }
        };
        let proof = on_a_thread(proof).await;
        let (proved, program) = proof.map_err(StorageError::Failed)?;
        let _changing = self.shared.changing.lock().await;
        // Meanwhile somebody may have forgotten a turn, or a plan been found.
        let still = self.last_known(&cluster).is_some() && !self.is_taken(&cluster);
        let mut reflex = match proved {
            Ok(reflex) if still => reflex,
            Ok(_) => {
                program.forget();
                return Ok(());
            }
            Err(why) => {
                program.forget();
                tracing::info!(%why, "code that was written for a reflex is not kept");
                return Ok(());
            }
        };
        self.promote_if_proved(&mut reflex);
        self.make_room().await?;
        self.make_room_for_code(WRITTEN_MAX).await?;
        let kept = Change {
            value: Some(component.clone()),
            ..change(CODES_TABLE, &hash, None)
        };
        self.shared.ports.records.commit(vec![kept]).await?;
        self.shared.state.write().codes.insert(hash, component);
        self.store(reflex).await
    }

    /// The reflex that code makes, with nothing yet that speaks for it.
    fn reflex_of(&self, cluster: &Cluster, written: Written) -> Reflex {
        let built_from: Vec<&Case> = cluster
            .members
            .iter()
            .take(SHOWN + 1)
            .map(|member| &member.case)
            .collect();
        let asked = built_from.first().map_or("", |case| &case.asked);
        let tokens = tokens(asked).unwrap_or_default();
        let state = self.shared.state.read();
        let mut reflex = Reflex::new(
            state.name_for(&tokens),
            Rule::Written(written),
            cluster.wordings.clone(),
            &built_from,
            "code that a model wrote gives what models said, also where it was not written from it",
        );
        if let Some(first) = built_from.first() {
            reflex.tools.clone_from(&first.tools);
        }
        reflex.built_at = (self.shared.ports.now)();
        reflex.go_on_from(&state, asked, &tokens);
        reflex
    }

    /// Turns besides those of the cluster that the reflex knows.
    fn others(&self, cluster: &Cluster, reflex: &Reflex) -> Vec<(Case, Vec<String>)> {
        let state = self.shared.state.read();
        let others = state.cases.iter().rev().filter(|case| {
            let is_member = cluster.members.iter().any(|it| it.case.turn == case.turn);
            !is_member && reflex.is_comparable(case)
        });
        let known = others.filter_map(|case| {
            let values = reflex.values(&case.asked, &tokens(&case.asked)?)?;
            Some((case.clone(), values))
        });
        known.take(OTHERS_MAX).collect()
    }

    /// Whether something else answers this by now.
    fn is_taken(&self, cluster: &Cluster) -> bool {
        let state = self.shared.state.read();
        cluster.members.iter().any(|member| {
            let tokens = tokens(&member.case.asked).unwrap_or_default();
            let mut knowing = state.knowing(&member.case.asked, &tokens);
            knowing.any(|(entry, _)| {
                !entry.reflex.is_outdated && !matches!(entry.reflex.rule, Rule::Answer { .. })
            })
        })
    }

    /// Lets go of the reflex with code that is worth least, when there are as many as there may be.
    async fn make_room_for_code(&self, max: usize) -> Result<(), StorageError> {
        let least = {
            let state = self.shared.state.read();
            let reflexes = state.reflexes.values().map(|entry| &entry.reflex);
            let written = reflexes.filter(|it| matches!(it.rule, Rule::Written(_)));
            let is_full = written.clone().count() >= max;
            let least = written.min_by_key(|reflex| reflex.worth());
            least.filter(|_| is_full).map(|reflex| reflex.name.clone())
        };
        match least {
            Some(name) => self.delete(&name).await,
            None => Ok(()),
        }
    }
}

/// The reflex with its proof, where its code gives what the models said in every turn that its writer did not see.
///
/// # Errors
/// What speaks against it.
fn proved(
    mut reflex: Reflex,
    program: &Program,
    cluster: &Cluster,
    others: &[(Case, Vec<String>)],
) -> Result<Reflex, String> {
    let mut forms = Forms::new();
    for member in &cluster.members {
        if let Some(near) = taken_for_it(&reflex.wordings, &member.case.asked) {
            return Err(format!("it would answer {near:?} too"));
        }
        learn_forms(&mut forms, &member.values);
    }
    reflex.forms = forms;
    for (idx, member) in cluster.members.iter().enumerate().skip(SHOWN) {
        let verdict = replay(program, &member.values, &member.case);
        reflex.add_proof(&verdict, &member.case);
        match verdict {
            // The first of them says whether it is kept at all.
            Verdict::Agrees => reflex.agreements += u32::from(idx > SHOWN),
            Verdict::Differs(why) | Verdict::Unknown(why) => return Err(why),
        }
    }
    for (case, values) in others {
        let verdict = replay(program, values, case);
        reflex.add_proof(&verdict, case);
        match verdict {
            Verdict::Agrees => reflex.agreements += 1,
            Verdict::Differs(why) => return Err(why),
            Verdict::Unknown(_) => {}
        }
    }
    Ok(reflex)
}

/// Code that is not known yet may take a second, which is too long for a thread that others wait for.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| error.to_string())
}
