//! Calls that run while they are being written.
//!
//! A call's arguments arrive piece by piece. Its tool's segmenter cuts them into steps, and each is judged before it
//! reaches the tool. Steps that policy allows by itself go ahead at once. The first that is not ends the haste: it and
//! all after it are judged as one step when the call is whole, so that a person is asked no more often than about a
//! call that arrived whole, and sees all of it. What was cut off never runs.

use super::{Ended, Pipeline, Run, Running, Scope, Ticket, fatal, lasting, unless_cancelled};
use crate::validator::Finding;
use futures::StreamExt;
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use titan_protocol::{
    Approved, ArgumentPiece, CallId, Cut, Effect, Event, Origin, Segmenter, Step, Stopped, Tool,
    ToolCall, ToolError, ToolOutput, Verdict,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// Steps that wait for their tool.
const STEPS_AHEAD_MAX: usize = 16;

/// A call that is being written. One that is dropped before it was whole is cut.
pub struct Writing {
    fed: mpsc::UnboundedSender<Fed>,
    pointless: watch::Receiver<Option<String>>,
}

/// What happens to a call while it is written.
enum Fed {
    Piece(ArgumentPiece),
    Whole(Map<String, Value>),
    Cut(String),
}

impl Writing {
    /// The next piece of the arguments has arrived.
    pub fn push(&self, piece: ArgumentPiece) {
        // A call that has ended takes in nothing more.
        let _ = self.fed.send(Fed::Piece(piece));
    }

    /// Returns when there is no use in writing on, with the reason; never when there is. Safe to drop.
    pub fn pointless(&self) -> impl Future<Output = String> + Send + use<> {
        let mut pointless = self.pointless.clone();
        async move {
            let told = pointless.wait_for(Option::is_some).await;
            let why = told.ok().and_then(|why| why.clone());
            match why {
                Some(why) => why,
                // The call has ended, and nobody knows better.
                None => std::future::pending().await,
            }
        }
    }

    /// The call is whole, with these arguments. `ToolCallReady` has been told.
    pub fn whole(self, arguments: Map<String, Value>) {
        let _ = self.fed.send(Fed::Whole(arguments));
    }

    /// The call will never be whole, for this reason.
    pub fn cut(self, why: String) {
        let _ = self.fed.send(Fed::Cut(why));
    }
}

/// A call on its way from its writing to its steps.
struct Arriving<'s> {
    scope: &'s Arc<Scope>,
    origin: Origin,
    name: String,
    tool: Arc<dyn Tool>,
    segmenter: Box<dyn Segmenter>,
    fed: mpsc::UnboundedReceiver<Fed>,
    /// Where approved steps go; its end is the end of the steps.
    approved: Option<mpsc::Sender<Approved>>,
    /// Its clock stands still while it is being written.
    running: Running,
    run: Run,
    /// Whether all that was let go ahead only looks, so that what it puts out tells of no failure of its own.
    only_looked: bool,
    /// Tells the writer that there is no use in writing on.
    pointless: watch::Sender<Option<String>>,
    /// How the tool ended, if it did so by itself.
    how_ended: Arc<OnceLock<String>>,
    /// Steps that were let go ahead.
    n_released: u32,
    /// When the first was.
    released_at: Option<Instant>,
    /// How long a person was waited for since then.
    asked: Duration,
}

/// How the writing of a call came to its end.
enum Written {
    /// Whole, with the verdict on what was left by then.
    Whole(ToolCall, Result<(), ToolError>),
    /// Cut, for this reason.
    Cut(String),
}

impl Arriving<'_> {
    fn call(&self, arguments: Map<String, Value>) -> ToolCall {
        ToolCall {
            id: self.running.call.clone(),
            name: self.name.clone(),
            arguments,
        }
    }

    fn is_pointless(&self) -> bool {
        self.pointless.borrow().is_some()
    }

    /// What makes all further steps pointless: the tool has ended by itself, as a script does that exits. One that could
    /// not get ready has its say when the call is whole.
    fn ending(&self) -> Option<Finding> {
        let how = self.how_ended.get().filter(|_| self.n_released > 0)?;
        Some(Finding {
            rule: "ended",
            what: format!("it had ended before this was written: {how}"),
        })
    }

    /// The failure that makes a step pointless which does more than look: whoever looks may want to know of it.
    fn failure_under(&self, effects: &[Effect]) -> Option<Finding> {
        let builds_on_it = !self.only_looked && effects.iter().any(super::changes_something);
        builds_on_it
            .then(|| self.running.reader.failure())
            .flatten()
    }

    fn tool_has_ended(&self) -> bool {
        self.approved.as_ref().is_none_or(mpsc::Sender::is_closed)
    }

    fn step(&self, cut: Cut) -> Step {
        Step {
            index: self.n_released,
            call: self.call(cut.arguments),
            before: cut.before,
            known: cut.known,
        }
    }
}

impl Pipeline {
    /// Begins a call that is still being written; `None` when its tool takes calls whole only. The future tells
    /// everything that happens to the call as events, the last of which is `ToolCallEnded`; a call that is cut before
    /// any of it ran leaves no event. A call that is cut later is told by `ToolCallReady` with the part that ran.
    ///
    /// Its place among the calls of the turn, what its output says and what dropping the future does are as with
    /// [`Pipeline::run`].
    ///
    /// # Errors
    /// The future fails with `Fatal` when the journal can't be written or the tool says so; the turn has to end.
    pub fn open(
        self: &Arc<Self>,
        scope: &Arc<Scope>,
        origin: Origin,
        id: CallId,
        name: &str,
    ) -> Option<(
        Writing,
        impl Future<Output = Result<(), ToolError>> + Send + use<>,
    )> {
        let tool = self.registry.get(name)?;
        let segmenter = tool.segmenter()?;
        let (sender, fed) = mpsc::unbounded_channel();
        let (pointless, is_pointless) = watch::channel(None);
        let (this, scope, ticket) = (self.clone(), scope.clone(), scope.ticket());
        let name = name.to_owned();
        let running = async move {
            let run = Run::new(name.clone());
            let (approved, steps) = mpsc::channel(STEPS_AHEAD_MAX);
            let arriving = Arriving {
                scope: &scope,
                origin,
                name,
                tool,
                segmenter,
                fed,
                approved: Some(approved),
                running: Running::new(id),
                run,
                only_looked: true,
                pointless,
                how_ended: Arc::default(),
                n_released: 0,
                released_at: None,
                asked: Duration::ZERO,
            };
            this.run_as_written(arriving, steps, ticket).await
        };
        let writing = Writing {
            fed: sender,
            pointless: is_pointless,
        };
        Some((writing, running))
    }

    async fn run_as_written(
        self: &Arc<Self>,
        mut arriving: Arriving<'_>,
        steps: mpsc::Receiver<Approved>,
        mut ticket: Ticket,
    ) -> Result<(), ToolError> {
        let (scope, tool) = (arriving.scope, arriving.tool.clone());
        let call = arriving.running.clone();
        scope.start(&call.call)?;
        ticket.turn().await;
        let how_ended = arriving.how_ended.clone();
        let steps = ReceiverStream::new(steps).boxed();
        let place = scope.place_for(&[]);
        let running = self.execute(scope, tool.as_ref(), place, steps, &call);
        let mut running = std::pin::pin!(running);
        let mut early = None;
        let written = {
            let mut judging = std::pin::pin!(self.judge_as_written(&mut arriving));
            loop {
                tokio::select! {
                    biased;
                    written = &mut judging => break written?,
                    ended = &mut running, if early.is_none() => {
                        // Judging asks for it only once the tool is gone.
                        let _ = how_ended.set(how(&ended));
                        early = Some(ended);
                    }
                }
            }
        };
        arriving.approved = None;
        if !arriving.running.held.is_alone().await {
            drop(ticket);
        }
        let ended = match early {
            // It could not even get ready, and says why.
            Some(ended) if matches!(written, Written::Whole(_, Ok(()))) => ended,
            // Nothing reached the tool; what it has got ready is dropped with it.
            _ if arriving.n_released == 0 => return self.record_unstarted(arriving, written).await,
            Some(ended) => ended,
            None => running.await,
        };
        self.record_written(arriving, written, ended).await
    }

    /// A call of which nothing ran.
    async fn record_unstarted(
        &self,
        arriving: Arriving<'_>,
        written: Written,
    ) -> Result<(), ToolError> {
        let Written::Whole(call, verdict) = written else {
            return Ok(());
        };
        let nothing = ToolError::Reply("There is nothing in it to run.".to_owned());
        let mut run = arriving.run;
        run.source = self.source_of(&call);
        let output = run.output(verdict.and(Err(nothing)))?;
        self.record(arriving.scope, arriving.running.call, output, run)
            .await
    }

    /// A call that ran, in full or in part.
    async fn record_written(
        &self,
        mut arriving: Arriving<'_>,
        written: Written,
        ended: Ended,
    ) -> Result<(), ToolError> {
        if let Some(released_at) = arriving.released_at {
            arriving.run.elapsed = released_at.elapsed().saturating_sub(arriving.asked);
        }
        if let Ok(output) = &ended {
            arriving.run.recorded_sums = arriving.tool.recorded_sums(output);
        }
        let output = arriving.run.output(ended)?;
        let (call, output) = match written {
            Written::Whole(call, Ok(()) | Err(ToolError::Cancelled)) => (call, output),
            Written::Whole(_, Err(error @ ToolError::Fatal(_))) => return Err(error),
            Written::Whole(call, Err(ToolError::Reply(reason))) => {
                let told = format!("[What came before ran. The rest did not. {reason}]");
                (call, with_note(output, &told))
            }
            Written::Cut(why) => {
                let call = arriving.call(arriving.segmenter.released());
                let ready = Event::ToolCallReady {
                    call: call.clone(),
                    origin: arriving.origin,
                };
                arriving.scope.events.emit(ready).await.map_err(fatal)?;
                let told = format!(
                    "[This call was cut while it was being written: {why}. What stands in it ran; nothing after it \
                     did. Go on from there and repeat nothing.]"
                );
                (call, with_note(output, &told))
            }
        };
        arriving.run.source = self.source_of(&call);
        self.record(arriving.scope, arriving.running.call, output, arriving.run)
            .await
    }

    /// Lets the steps of a call go ahead as they come, until it is whole or cut.
    async fn judge_as_written(&self, arriving: &mut Arriving<'_>) -> Result<Written, ToolError> {
        let mut waits_for_all = false;
        loop {
            let waited = arriving.running.waited.clone();
            let fed = async { Ok(waited.wait(arriving.fed.recv()).await) };
            match unless_cancelled(arriving.scope, fed).await {
                Ok(Some(Fed::Piece(piece))) => arriving.segmenter.push(&piece),
                Ok(Some(Fed::Whole(arguments))) => {
                    let call = arriving.call(arguments);
                    let verdict = self.judge_rest(arriving, &call).await;
                    return Ok(Written::Whole(call, verdict));
                }
                Ok(Some(Fed::Cut(why))) => return Ok(Written::Cut(why)),
                Ok(None) | Err(ToolError::Cancelled) => {
                    return Ok(Written::Cut("the turn was stopped".to_owned()));
                }
                Err(error) => return Err(error),
            }
            while !waits_for_all
                && !arriving.is_pointless()
                && let Some(cut) = arriving.segmenter.next()
            {
                let step = arriving.step(cut);
                if let Some(ending) = arriving.ending() {
                    self.tell_pointless(arriving, ending).await?;
                    break;
                }
                match self.allow_at_once(arriving, &step).await? {
                    Some(_) if arriving.tool_has_ended() => waits_for_all = true,
                    Some((effects, verdict)) => match arriving.failure_under(&effects) {
                        Some(failure) => self.tell_pointless(arriving, failure).await?,
                        None => {
                            self.tell_allowed(arriving, &step, &effects, verdict)
                                .await?;
                            self.release(arriving, step, effects).await?;
                        }
                    },
                    None => waits_for_all = true,
                }
            }
        }
    }

    /// Tells the writer, and the person, that there is no use in writing on.
    async fn tell_pointless(
        &self,
        arriving: &Arriving<'_>,
        finding: Finding,
    ) -> Result<(), ToolError> {
        let told = self.tell(
            arriving.scope,
            &arriving.running.call,
            &finding,
            Stopped::Model,
        );
        told.await?;
        arriving.pointless.send_replace(Some(finding.what));
        Ok(())
    }

    /// What a step would do, if policy allows that without asking anybody.
    async fn allow_at_once(
        &self,
        arriving: &Arriving<'_>,
        step: &Step,
    ) -> Result<Option<(Vec<Effect>, Verdict)>, ToolError> {
        let scope = arriving.scope;
        let judged = arriving.tool.effects(step, scope.workbench.as_ref());
        let effects = match unless_cancelled(scope, judged).await {
            Ok(effects) => effects,
            // It is told when the call is whole.
            Err(ToolError::Reply(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let grants = scope.grants.lock().clone();
        let verdict = self.judge(scope, arriving.origin, step, &effects, &grants, "");
        let is_allowed = matches!(verdict, Verdict::Allow { .. });
        Ok(is_allowed.then_some((effects, verdict)))
    }

    async fn tell_allowed(
        &self,
        arriving: &Arriving<'_>,
        step: &Step,
        effects: &[Effect],
        verdict: Verdict,
    ) -> Result<(), ToolError> {
        let decided = Event::StepDecided {
            call: step.call.id.clone(),
            step: step.index,
            lasting: lasting(effects, &verdict),
            verdict,
        };
        arriving.scope.events.emit(decided).await.map_err(fatal)
    }

    /// Judges what is left of a call that is whole now, and lets it go ahead.
    async fn judge_rest(
        &self,
        arriving: &mut Arriving<'_>,
        call: &ToolCall,
    ) -> Result<(), ToolError> {
        let fits = self.registry.find(&call.name, &call.arguments);
        fits.map_err(ToolError::Reply)?;
        let Some(cut) = arriving.segmenter.rest(&call.arguments)? else {
            return Ok(());
        };
        if arriving.tool_has_ended() {
            // As a script does that exits: what comes after is not run, so nobody is asked about it.
            return Ok(());
        }
        let step = arriving.step(cut);
        let asked_at = Instant::now();
        let tool = arriving.tool.as_ref();
        let approving = self.approve(arriving.scope, arriving.origin, tool, &step);
        let effects = arriving.running.waited.wait(approving).await;
        arriving.asked += asked_at.elapsed();
        self.release(arriving, step, effects?).await
    }

    async fn release(
        &self,
        arriving: &mut Arriving<'_>,
        step: Step,
        effects: Vec<Effect>,
    ) -> Result<(), ToolError> {
        let scope = arriving.scope;
        self.record_effects(scope, &effects, &mut arriving.run)
            .await?;
        arriving.running.held.take(scope, &effects).await?;
        arriving.n_released += 1;
        arriving.only_looked &= !effects.iter().any(super::changes_something);
        arriving.released_at.get_or_insert_with(Instant::now);
        arriving.segmenter.release();
        let workbench = scope.place_for(&effects);
        let approval = Approved {
            step,
            effects,
            workbench,
        };
        if let Some(approved) = &arriving.approved {
            // A tool that has ended takes no more steps.
            let _ = approved.send(approval).await;
        }
        Ok(())
    }
}

fn how(ended: &Ended) -> String {
    match ended {
        Ok(output) => output.text.lines().last().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    }
}

fn with_note(mut output: ToolOutput, note: &str) -> ToolOutput {
    if !output.text.is_empty() && !output.text.ends_with('\n') {
        output.text.push('\n');
    }
    output.text.push_str(note);
    ToolOutput {
        is_error: true,
        ..output
    }
}
