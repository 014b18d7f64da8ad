//! The pipeline itself. See [`Pipeline::run`], and [`Pipeline::open`] for calls that run while they are being written.

mod order;
mod signals;
mod within;
mod written;

use crate::approvals::Approvals;
use crate::bound;
use crate::fingerprint::{Fingerprint, fingerprint};
use crate::policy::{Policy, Question};
use crate::provenance::Provenance;
use crate::redact::Redactor;
use crate::registry::Registry;
use crate::validator::Finding;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use order::Held;
use parking_lot::Mutex;
use signals::{OUTPUT_PIECES_MAX, Reader, Signals, Waited, show};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};
use titan_protocol::{
    Approved, Blobs, BoxStream, CallId, Change, Decision, Effect, Egress, Event, Grant, GrantScope,
    Origin, Records, SessionId, Step, Stopped, StorageError, Taint, Tool, ToolCall, ToolContext,
    ToolError, ToolOutput, TurnId, UnixMillis, Verdict, Workbench,
};
use tokio::sync::{RwLock, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use within::Within;
pub use written::Writing;

/// The table of exact grants, by fingerprint.
const GRANTS_TABLE: &str = "grants";

/// What one call may use. Every field is a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an output that a model is shown; head and tail stay.
    pub output_bytes_max: usize,
    /// Bytes of an output that are kept at all.
    pub whole_bytes_max: usize,
    /// How long one call may run, waiting for people left out.
    pub wall_clock_max: Duration,
    /// How long an approval request waits before it counts as denied.
    pub approval_wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            output_bytes_max: 16 << 10,
            whole_bytes_max: 4 << 20,
            wall_clock_max: Duration::from_secs(600),
            approval_wait_max: Duration::from_secs(600),
        }
    }
}

/// The storage and the clock of a pipeline.
#[derive(Clone)]
pub struct Ports {
    /// Where whole outputs go.
    pub blobs: Arc<dyn Blobs>,
    /// Where exact grants are kept.
    pub records: Arc<dyn Records>,
    /// Milliseconds since the Unix epoch.
    pub now: fn() -> UnixMillis,
}

/// Where events go: the session's journal.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Appends an event. Waits when the journal is behind.
    ///
    /// # Errors
    /// When it can't be stored; the call then ends.
    async fn emit(&self, event: Event) -> Result<(), StorageError>;

    /// Returns when all that was emitted before would survive a power cut. A step that changes something runs only then,
    /// so that nothing is done of which the journal knows nothing.
    ///
    /// # Errors
    /// When it can't be stored; the call then does not run.
    async fn make_durable(&self) -> Result<(), StorageError>;

    /// Puts a tool's question to the person. `None` when nobody answers.
    async fn ask(&self, question: &str, choices: &[String]) -> Option<String>;
}

/// Somebody who can be asked whether a call that has run for a while is still worth waiting for.
#[async_trait]
pub trait Opinion: Send + Sync {
    /// What speaks against going on, as a sentence without its full stop; `None` when nothing does, or nobody knows.
    /// `call` is what runs, as far as it is known, and `output` the end of what it has put out, at most 4 KiB; both
    /// redacted. The future is dropped when the call ends first.
    async fn against(&self, call: &str, output: &str) -> Option<String>;
}

/// What the calls of one turn share.
pub struct Scope {
    session: SessionId,
    turn: TurnId,
    workbench: Arc<dyn Workbench>,
    egress: Arc<dyn Egress>,
    events: Arc<dyn EventSink>,
    cancel: CancellationToken,
    is_attended: bool,
    heard: Arc<Mutex<Provenance>>,
    grants: Arc<Mutex<Vec<Grant>>>,
    started: Mutex<HashSet<CallId>>,
    /// Calls that only look share it; a call that changes something has it alone.
    order: Arc<RwLock<()>>,
    /// Ends when the call that was made last lets the next one go on.
    last: Mutex<Option<oneshot::Receiver<()>>>,
    opinion: Option<Arc<dyn Opinion>>,
}

/// A call's place among the calls of its turn. Dropping it lets the next call go on.
struct Ticket {
    before: Option<oneshot::Receiver<()>>,
    _done: oneshot::Sender<()>,
}

impl Ticket {
    /// Waits until all calls before this one have let it go on.
    async fn turn(&mut self) {
        if let Some(before) = self.before.take() {
            // Nothing is ever sent; the sender's end is the signal.
            let _ = before.await;
        }
    }
}

impl Scope {
    /// The scope of a turn. `taint` is what the session holds already; `grants` is shared by the session's turns.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is a different thing that only the session knows"
    )]
    pub fn new(
        session: SessionId,
        turn: TurnId,
        workbench: Arc<dyn Workbench>,
        egress: Arc<dyn Egress>,
        events: Arc<dyn EventSink>,
        cancel: CancellationToken,
        is_attended: bool,
        taint: Taint,
        grants: Arc<Mutex<Vec<Grant>>>,
    ) -> Self {
        Self {
            session,
            turn,
            workbench,
            egress,
            events,
            cancel,
            is_attended,
            heard: Arc::new(Mutex::new(Provenance::new(taint))),
            grants,
            started: Mutex::default(),
            order: Arc::default(),
            last: Mutex::default(),
            opinion: None,
        }
    }

    /// Calls that run for long are stopped when `opinion` is against them.
    #[must_use]
    pub fn with_opinion(mut self, opinion: Arc<dyn Opinion>) -> Self {
        self.opinion = Some(opinion);
        self
    }

    /// The person says this in this turn: at its beginning, or while it runs. What a step does may be backed by it, and
    /// what they refused before may be asked about again.
    pub fn person_said(&self, text: &str) {
        self.heard.lock().person_said(text);
    }

    /// The model is shown something that others made and no call brought, as an image, whose words are not known here.
    /// `source` names it in questions.
    pub fn was_shown(&self, source: &str, text: &str) {
        self.heard.lock().read(source, text, Taint::BOTH, &[]);
    }

    /// # Errors
    /// `Fatal` when the call was started before.
    fn start(&self, call: &CallId) -> Result<(), ToolError> {
        match self.started.lock().insert(call.clone()) {
            true => Ok(()),
            false => Err(ToolError::Fatal(format!(
                "call {call} was started twice; it ran once"
            ))),
        }
    }

    /// The workbench whose programs may do this and no more.
    fn place_for(&self, effects: &[Effect]) -> Arc<dyn Workbench> {
        let workbench = &self.workbench;
        workbench
            .for_step(effects)
            .unwrap_or_else(|| workbench.clone())
    }

    fn ticket(&self) -> Ticket {
        let (done, next) = oneshot::channel();
        let before = self.last.lock().replace(next);
        Ticket {
            before,
            _done: done,
        }
    }
}

/// The one way from a call to its output.
pub struct Pipeline {
    registry: Registry,
    policy: Policy,
    limits: Limits,
    redactor: Redactor,
    approvals: Approvals,
    ports: Ports,
}

/// How a call ended, before it is bounded and recorded.
type Ended = Result<ToolOutput, ToolError>;

/// What is known of a call that runs, for its record.
struct Run {
    /// What it is, in the words that name it as a source.
    source: String,
    /// The sums that its tool stands for.
    recorded_sums: Vec<u64>,
    /// What an error text of it may hold.
    taint: Taint,
    /// The time that the tool itself took.
    elapsed: Duration,
}

impl Run {
    fn new(source: String) -> Self {
        Self {
            source,
            recorded_sums: Vec::new(),
            taint: Taint::NONE,
            elapsed: Duration::ZERO,
        }
    }

    /// What the model reads of it, unless the turn has to end.
    fn output(&self, ended: Ended) -> Ended {
        let failed = |text: String| ToolOutput {
            text,
            is_error: true,
            taint: self.taint,
        };
        match ended {
            Err(ToolError::Reply(text)) => Ok(failed(text)),
            Err(ToolError::Cancelled) => Ok(failed("Interrupted.".to_owned())),
            ended => ended,
        }
    }
}

/// A call that runs, with what it shares with the calls that it makes of other tools.
#[derive(Clone)]
struct Running {
    call: CallId,
    held: Held,
    waited: Waited,
    reader: Arc<Reader>,
    /// How many calls it is within.
    depth: u32,
    /// Calls that were made within the outermost one.
    made: Arc<AtomicU32>,
}

impl Running {
    fn new(call: CallId) -> Self {
        Self {
            call,
            held: Held::default(),
            waited: Waited::default(),
            reader: Arc::default(),
            depth: 0,
            made: Arc::default(),
        }
    }
}

enum Decided {
    ByPolicy,
    /// For the step of this name.
    ByPerson(Fingerprint),
}

impl Pipeline {
    /// A pipeline over these tools and rules.
    pub fn new(
        registry: Registry,
        policy: Policy,
        limits: Limits,
        redactor: Redactor,
        ports: Ports,
    ) -> Self {
        Self {
            registry,
            policy,
            limits,
            redactor,
            approvals: Approvals::default(),
            ports,
        }
    }

    /// The tools on offer.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The approval requests that wait.
    pub fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    /// Runs one call and tells everything that happens to it as events, the last of which is `ToolCallEnded`. Whatever
    /// goes wrong in the call is part of its output, for the model to read.
    ///
    /// Calls take their places in the order in which this function is called, before the future is first polled: each
    /// is judged after all before it that change something have ended, and runs alone if it changes something itself.
    /// Dropping the future ends the call and all that it started, without an end event.
    ///
    /// # Errors
    /// `Fatal` when the journal can't be written or the tool says so; the turn has to end.
    pub fn run(
        self: &Arc<Self>,
        scope: &Arc<Scope>,
        origin: Origin,
        call: ToolCall,
    ) -> impl Future<Output = Result<(), ToolError>> + Send + use<> {
        let (this, scope, ticket) = (self.clone(), scope.clone(), scope.ticket());
        async move { this.run_in_turn(&scope, origin, call, ticket).await }
    }

    async fn run_in_turn(
        self: &Arc<Self>,
        scope: &Arc<Scope>,
        origin: Origin,
        call: ToolCall,
        ticket: Ticket,
    ) -> Result<(), ToolError> {
        let id = call.id.clone();
        scope.start(&id)?;
        let mut run = Run::new(self.source_of(&call));
        let ended = self.ended(scope, origin, call, ticket, &mut run).await;
        let output = run.output(ended)?;
        self.record(scope, id, output, run).await
    }

    fn source_of(&self, call: &ToolCall) -> String {
        self.redactor.redact(&source(call)).into_owned()
    }

    /// Looks up, checks, waits for its place, decides and runs.
    async fn ended(
        self: &Arc<Self>,
        scope: &Arc<Scope>,
        origin: Origin,
        call: ToolCall,
        mut ticket: Ticket,
        run: &mut Run,
    ) -> Ended {
        let tool = self
            .registry
            .find(&call.name, &call.arguments)
            .map_err(ToolError::Reply)?;
        unless_cancelled(scope, async {
            ticket.turn().await;
            Ok(())
        })
        .await?;
        let step = Step::whole(call);
        let effects = self.approve(scope, origin, tool.as_ref(), &step).await?;
        self.record_effects(scope, &effects, run).await?;
        let running = Running::new(step.call.id.clone());
        running.held.take(scope, &effects).await?;
        if !running.held.is_alone().await {
            drop(ticket);
        }
        self.run_step(scope, tool.as_ref(), step, effects, &running, run)
            .await
    }

    /// Runs a call that is one step, now that it may.
    async fn run_step(
        self: &Arc<Self>,
        scope: &Arc<Scope>,
        tool: &dyn Tool,
        step: Step,
        effects: Vec<Effect>,
        running: &Running,
        run: &mut Run,
    ) -> Ended {
        let workbench = scope.place_for(&effects);
        let approved = Approved {
            step,
            effects,
            workbench: workbench.clone(),
        };
        let steps = futures::stream::once(std::future::ready(approved)).boxed();
        let (started, waited) = (Instant::now(), running.waited.get());
        let ended = self.execute(scope, tool, workbench, steps, running).await;
        let waited = running.waited.get().saturating_sub(waited);
        run.elapsed = started.elapsed().saturating_sub(waited);
        if let Ok(output) = &ended {
            run.recorded_sums = tool.recorded_sums(output);
        }
        ended
    }

    /// What a step would do, once it may.
    async fn approve(
        &self,
        scope: &Scope,
        origin: Origin,
        tool: &dyn Tool,
        step: &Step,
    ) -> Result<Vec<Effect>, ToolError> {
        let workbench = scope.workbench.as_ref();
        let effects = unless_cancelled(scope, tool.effects(step, workbench)).await?;
        if let Decided::ByPerson(seen) = self.decide(scope, origin, step, &effects).await? {
            let now = unless_cancelled(scope, tool.effects(step, workbench)).await?;
            if now != effects || !is_still(&seen, scope, step, &effects).await? {
                let changed =
                    "Not run: what it would do changed while the person decided. Look again first.";
                return Err(ToolError::Reply(changed.to_owned()));
            }
        }
        Ok(effects)
    }

    /// Takes note of what a step is about to do. If it leaves something behind, that it may is on the disk.
    async fn record_effects(
        &self,
        scope: &Scope,
        effects: &[Effect],
        run: &mut Run,
    ) -> Result<(), ToolError> {
        effects
            .iter()
            .for_each(|effect| scope.heard.lock().done(effect));
        run.taint = effects
            .iter()
            .map(reply_taint)
            .fold(run.taint, Taint::union);
        if effects.iter().any(reaches_out) {
            scope.events.make_durable().await.map_err(fatal)?;
        }
        Ok(())
    }

    /// The verdict on one step. `Ok` lets it run.
    async fn decide(
        &self,
        scope: &Scope,
        origin: Origin,
        step: &Step,
        effects: &[Effect],
    ) -> Result<Decided, ToolError> {
        let mut grants = scope.grants.lock().clone();
        let mut print = Fingerprint::default();
        let mut verdict = self.judge(scope, origin, step, effects, &grants, &print.hash);
        // Only a step that must be asked about is named exactly: that reads whole programs.
        if let Verdict::Ask { .. } = verdict {
            print = unless_cancelled(scope, async {
                Ok(fingerprint(step, effects, scope.workbench.as_ref()).await)
            })
            .await?;
            if self
                .ports
                .records
                .get(GRANTS_TABLE, &print.hash)
                .await
                .map_err(fatal)?
                .is_some()
            {
                let scope = GrantScope::Exact {
                    fingerprint: print.hash.clone(),
                };
                grants.push(Grant {
                    tool: step.call.name.clone(),
                    scope,
                });
            }
            verdict = self.judge(scope, origin, step, effects, &grants, &print.hash);
        }
        if matches!(verdict, Verdict::Ask { .. }) && scope.heard.lock().has_refused(&print.hash) {
            let reason = "the person said no to exactly this already".to_owned();
            verdict = Verdict::Deny { reason };
        }
        let decided = Event::StepDecided {
            call: step.call.id.clone(),
            step: step.index,
            verdict: verdict.clone(),
            lasting: lasting(effects, &verdict),
        };
        scope.events.emit(decided).await.map_err(fatal)?;
        match verdict {
            Verdict::Allow { .. } => Ok(Decided::ByPolicy),
            Verdict::Deny { reason } => Err(ToolError::Reply(format!("Not run: {reason}."))),
            Verdict::Ask { reason, effects } => {
                let decision = self.ask(scope, step, reason, effects.clone()).await?;
                self.apply(scope, step, decision, effects, print.hash.clone())
                    .await?;
                Ok(Decided::ByPerson(print))
            }
        }
    }

    fn judge(
        &self,
        scope: &Scope,
        origin: Origin,
        step: &Step,
        effects: &[Effect],
        grants: &[Grant],
        fingerprint: &str,
    ) -> Verdict {
        self.policy.judge(&Question {
            tool: &step.call.name,
            origin,
            effects,
            arguments: &step.call.arguments,
            heard: &scope.heard.lock(),
            grants,
            fingerprint,
        })
    }

    /// Puts the step to the person and waits for the answer, the end of the wait, or the end of the turn.
    async fn ask(
        &self,
        scope: &Scope,
        step: &Step,
        reason: String,
        effects: Vec<Effect>,
    ) -> Result<Decision, ToolError> {
        let Some(mut pending) = self.approvals.open() else {
            return Err(ToolError::Reply(
                "Not run: too many approvals wait already.".to_owned(),
            ));
        };
        let approval = pending.id;
        let wait = self.limits.approval_wait_max;
        let expires_at = (self.ports.now)() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let requested = Event::ApprovalRequested {
            approval,
            call: step.call.clone(),
            effects,
            reason,
            expires_at,
        };
        scope.events.emit(requested).await.map_err(fatal)?;
        let (decision, by) = if scope.is_attended {
            tokio::select! {
                biased;
                () = scope.cancel.cancelled() => (Decision::Deny, "cancelled"),
                answer = &mut pending.answer => (answer.unwrap_or(Decision::Deny), "person"),
                () = tokio::time::sleep(wait) => (Decision::Deny, "timeout"),
            }
        } else {
            (Decision::Deny, "unattended")
        };
        drop(pending);
        let decided = Event::ApprovalDecided {
            approval,
            decision,
            by: by.to_owned(),
        };
        scope.events.emit(decided).await.map_err(fatal)?;
        match by {
            "cancelled" => Err(ToolError::Cancelled),
            "timeout" => Err(ToolError::Reply(
                "Not run: nobody answered the approval request in time.".to_owned(),
            )),
            "unattended" => Err(ToolError::Reply(
                "Not run: it needs an approval and nobody is there to give it.".to_owned(),
            )),
            _ => Ok(decision),
        }
    }

    /// Keeps what the person answered, for as long as they said.
    async fn apply(
        &self,
        scope: &Scope,
        step: &Step,
        decision: Decision,
        effects: Vec<Effect>,
        fingerprint: String,
    ) -> Result<(), ToolError> {
        match decision {
            Decision::Deny => {
                scope.heard.lock().person_refused(fingerprint);
                let no = "Not run: the person said no. Do not try it again in another way; go on without it, or ask.";
                Err(ToolError::Reply(no.to_owned()))
            }
            Decision::Once => Ok(()),
            Decision::Session => {
                let grant = Grant {
                    tool: step.call.name.clone(),
                    scope: GrantScope::Session { effects },
                };
                scope.grants.lock().push(grant);
                Ok(())
            }
            Decision::Exact => {
                let change = Change {
                    table: GRANTS_TABLE.to_owned(),
                    key: fingerprint,
                    // The fingerprint says it all; nothing of the call is kept, so that it can be forgotten.
                    value: Some(Bytes::new()),
                    expected_version: None,
                };
                self.ports.records.commit(vec![change]).await.map_err(fatal)
            }
        }
    }

    /// Tells what the validator found and what was stopped for it.
    async fn tell(
        &self,
        scope: &Scope,
        call: &CallId,
        finding: &Finding,
        stopped: Stopped,
    ) -> Result<(), ToolError> {
        let found = Event::ValidatorFinding {
            call: call.clone(),
            rule: finding.rule.to_owned(),
            text: self.redactor.redact(&finding.what).into_owned(),
            stopped,
        };
        scope.events.emit(found).await.map_err(fatal)
    }

    /// Runs a call's steps as they are approved, under the clock and the turn's cancellation.
    async fn execute(
        self: &Arc<Self>,
        scope: &Arc<Scope>,
        tool: &dyn Tool,
        workbench: Arc<dyn Workbench>,
        steps: BoxStream<Approved>,
        running: &Running,
    ) -> Ended {
        let Running {
            call,
            waited,
            reader,
            ..
        } = running;
        let (shown, pieces) = mpsc::channel(OUTPUT_PIECES_MAX);
        let (name, read_by) = (tool.spec().name.clone(), reader.clone());
        let steps = steps
            .inspect(move |approved| read_by.begins(&name, &approved.step))
            .boxed();
        let context = ToolContext {
            session: scope.session,
            turn: scope.turn,
            workbench,
            egress: scope.egress.clone(),
            signals: Arc::new(Signals {
                events: scope.events.clone(),
                heard: scope.heard.clone(),
                pieces: shown,
                waited: waited.clone(),
                reader: reader.clone(),
            }),
            calls: Arc::new(Within {
                pipeline: self.clone(),
                scope: scope.clone(),
                running: running.clone(),
            }),
            cancel: scope.cancel.child_token(),
        };
        let redactor = self.redactor.stream();
        let shower = show(scope.events.as_ref(), call.clone(), redactor, pieces);
        let limit = self.limits.wall_clock_max;
        let ending = async {
            tokio::select! {
                biased;
                () = scope.cancel.cancelled() => Err(ToolError::Cancelled),
                ended = tool.run(context, steps) => ended,
                finding = reader.hopeless(scope.opinion.as_deref(), &self.redactor) => {
                    self.tell(scope, call, &finding, Stopped::Call).await?;
                    let Finding { what, .. } = finding;
                    Err(ToolError::Reply(format!("{}\n[Stopped, because {what}.]", reader.tail().trim_end())))
                }
                () = waited.limit(limit) => {
                    let most = limit.as_secs();
                    Err(ToolError::Reply(format!("Stopped: it ran longer than {most} s, the most one call may.")))
                }
            }
        };
        let (ended, shown) = tokio::join!(ending, shower);
        shown.map_err(fatal)?;
        ended
    }

    /// A text as it is kept: redacted, and of bounded length.
    fn kept(&self, text: &str) -> String {
        let mut text = self.redactor.redact(text).into_owned();
        let max = self.limits.whole_bytes_max;
        if text.len() > max {
            text.truncate(text.floor_char_boundary(max));
            text.push_str("\n[the output was longer than is kept; the rest is lost]\n");
        }
        text
    }

    /// Bounds, redacts and marks an output, and tells it as the call's end.
    async fn record(
        &self,
        scope: &Scope,
        call: CallId,
        output: ToolOutput,
        run: Run,
    ) -> Result<(), ToolError> {
        let taint = output.taint;
        let text = self.kept(&output.text);
        let (text, whole) = match bound::cut(&text, self.limits.output_bytes_max) {
            None => (text, None),
            Some(cut) => {
                let whole = self
                    .ports
                    .blobs
                    .put(Bytes::from(text.clone().into_bytes()))
                    .await
                    .map_err(fatal)?;
                (bound::render(&cut, text.len(), &whole), Some(whole))
            }
        };
        let sums = &run.recorded_sums;
        scope.heard.lock().read(&run.source, &text, taint, sums);
        let ended = Event::ToolCallEnded {
            call,
            text,
            is_error: output.is_error,
            taint,
            whole,
            elapsed_ms: u64::try_from(run.elapsed.as_millis()).unwrap_or(u64::MAX),
        };
        scope.events.emit(ended).await.map_err(fatal)
    }
}

/// Whether a step is still what the person saw. What could not be read then can't be compared.
async fn is_still(
    seen: &Fingerprint,
    scope: &Scope,
    step: &Step,
    effects: &[Effect],
) -> Result<bool, ToolError> {
    if !seen.is_whole {
        return Ok(true);
    }
    let now = async { Ok(fingerprint(step, effects, scope.workbench.as_ref()).await) };
    Ok(unless_cancelled(scope, now).await? == *seen)
}

/// A call as a source of text: its tool, and the first thing that it was given.
fn source(call: &ToolCall) -> String {
    match call.arguments.values().find_map(|value| value.as_str()) {
        Some(given) => format!("{} {given}", call.name),
        None => call.name.clone(),
    }
}

/// Whether an effect may leave something behind, here or elsewhere.
fn reaches_out(effect: &Effect) -> bool {
    changes_something(effect) || matches!(effect, Effect::Network { .. })
}

/// Whether an effect may change what another call sees.
fn changes_something(effect: &Effect) -> bool {
    !matches!(
        effect,
        Effect::Read { .. }
            | Effect::Run {
                reads_only: true,
                ..
            }
            | Effect::Network { .. }
    )
}

/// What a step that is not denied would leave behind. Programs are named without their arguments, which may hold secrets.
fn lasting(effects: &[Effect], verdict: &Verdict) -> Vec<Effect> {
    match verdict {
        Verdict::Deny { .. } => Vec::new(),
        Verdict::Allow { .. } | Verdict::Ask { .. } => {
            let lasting = effects.iter().filter(|effect| effect.is_lasting());
            lasting.cloned().map(without_arguments).collect()
        }
    }
}

fn without_arguments(mut effect: Effect) -> Effect {
    if let Effect::Run { arguments, .. } = &mut effect {
        arguments.clear();
    }
    effect
}

/// What the error text of a step with this effect may hold.
fn reply_taint(effect: &Effect) -> Taint {
    match effect {
        Effect::Network { .. } => Taint::UNTRUSTED,
        Effect::Run { .. } | Effect::Read { .. } | Effect::Write { .. } => Taint::BOTH,
        Effect::Message { .. }
        | Effect::Secret { .. }
        | Effect::Money { .. }
        | Effect::Remember => Taint::NONE,
    }
}

/// The future's result, unless the turn is cancelled first.
async fn unless_cancelled<T>(
    scope: &Scope,
    future: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, ToolError> {
    tokio::select! {
        biased;
        () = scope.cancel.cancelled() => Err(ToolError::Cancelled),
        result = future => result,
    }
}

fn fatal(error: StorageError) -> ToolError {
    ToolError::Fatal(error.to_string())
}
