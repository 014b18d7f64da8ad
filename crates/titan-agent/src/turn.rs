//! One turn as a state machine: inputs in, actions out, no runtime, clock or network.
//!
//! ```text
//!            Ask                 Done, calls still run            last call ended
//!   ready ────────▶ replying ───────────────────────▶ working ─────────────────────▶ ready
//!                       │ Done without calls, nothing unread
//!                       ▼
//!                     ended
//! ```
//!
//! Every bound of a turn is kept here. A turn that meets one is asked for a last answer without tools, so that the
//! person is never left without words.

use crate::arguments::{ARGUMENTS_BYTES_MAX, parse_arguments};
use crate::stitch::Stitch;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use titan_protocol::{
    CallId, Event, ModelError, ModelEvent, NoticeLevel, Origin, ReflexCall, ReflexStep, StopReason,
    Taint, ToolCall, TurnId, TurnOutcome, Usage,
};

/// What one turn may use. Every field is a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnLimits {
    /// Model calls, the last answer included.
    pub model_calls_max: u32,
    /// Wall clock, waiting for people included.
    pub wall_clock_max: Duration,
    /// Tokens written by the model over the whole turn.
    pub output_tokens_max: u64,
    /// Tool calls of one reply; further ones are refused.
    pub calls_per_reply_max: usize,
    /// The same call with the same result.
    pub repeats_max: u32,
    /// Calls that fail in a row.
    pub failures_max: u32,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            model_calls_max: 50,
            wall_clock_max: Duration::from_secs(3600),
            output_tokens_max: 200_000,
            calls_per_reply_max: 16,
            repeats_max: 4,
            failures_max: 8,
        }
    }
}

/// Replies that are cut, break or are empty are gone on with this often.
const CONTINUATIONS_MAX: u32 = 3;

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// The turn begins with the person's words.
    Begin,
    /// The turn is a call that the person makes.
    PersonCalls {
        tool: String,
        arguments: Map<String, Value>,
    },
    /// The turn begins with the person's words, and a reflex answers them.
    BeginByReflex,
    /// The reflex said what it does next.
    Reflex(ReflexStep),
    /// The model said something.
    Model(ModelEvent),
    /// The model's stream failed, or never began.
    ModelFailed(ModelError),
    /// A call ended.
    CallEnded {
        call: CallId,
        /// How, unless it was cut before anything of it ran.
        ended: Option<CallOutcome>,
    },
    /// What the model is still writing has become pointless, for this reason.
    Pointless(String),
    /// The person said something meanwhile.
    Steered,
    /// The person interrupts.
    Cancel,
    /// This much time has passed since the beginning.
    Elapsed(Duration),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallOutcome {
    pub(crate) is_error: bool,
    /// Hash of what the model will read.
    pub(crate) result: u64,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Ask the model, with or without tools on offer.
    Ask { with_tools: bool },
    /// Shorten the thread, then ask the model.
    CompactAndAsk { with_tools: bool },
    /// Ask the reflex what it does next.
    Consult,
    /// The reflex answers nothing more in this turn, for this reason.
    LeaveReflex { why: String },
    /// Tell what happened.
    Emit(Event),
    /// A call begins to arrive; its tool may get ready.
    Open { call: CallId, name: String },
    /// The next piece of its arguments.
    Write { call: CallId, json: String },
    /// It will never be whole. It still ends, in order or because nothing of it ran.
    Cut { call: CallId, why: String },
    /// Run a call, or what is left of it.
    Run(ToolCall, Origin),
    /// Drop the model's stream; nothing more is read from it.
    StopModel,
    /// Cancel the calls that run; each still ends.
    StopCalls,
    /// The turn is over.
    End(TurnOutcome),
}

/// A turn in progress.
#[derive(Debug)]
pub(crate) struct Turn {
    id: TurnId,
    limits: TurnLimits,
    /// All model calls together.
    pub(crate) usage: Usage,
    model_calls: u32,
    calls: u32,
    continuations: u32,
    failures: u32,
    has_compacted: bool,
    /// The person was told that images are not shown.
    has_told_of_images: bool,
    /// The last answer was asked for.
    asked_last: bool,
    unread: bool,
    reply: Reply,
    /// The words of the answer that broke off, and of what went on with it.
    said: String,
    /// Joins them with what comes now.
    stitch: Option<Stitch>,
    /// The calls that run, each with a hash of its name and arguments.
    running: HashMap<CallId, u64>,
    /// How often the same call gave the same result.
    repeats: HashMap<(u64, u64), u32>,
    ending: Option<Ending>,
    /// A reflex answers, not a model.
    is_reflex: bool,
    is_over: bool,
}

/// Why the turn is to end as soon as it can.
#[derive(Clone, Debug)]
enum Ending {
    Interrupted,
    /// A limit was met; the model was asked for its last answer.
    Limited(String),
}

/// The reply that is being read.
#[derive(Debug, Default)]
struct Reply {
    is_open: bool,
    has_text: bool,
    has_calls: bool,
    /// Something came, be it a thought or the beginning of a call.
    has_begun: bool,
    stop: Option<StopReason>,
    usage: Usage,
    building: BTreeMap<u32, Building>,
    seen: HashSet<u32>,
    /// Calls that were cut and have not ended yet, each with what is told of it if nothing of it ran.
    cut: HashMap<CallId, Option<Fault>>,
    /// How the reply broke; what follows from it is decided when it is known what the cut calls did.
    failure: Option<ModelError>,
}

/// A call that came to its end and can't be run.
#[derive(Debug)]
struct Fault {
    name: String,
    told: String,
}

#[derive(Debug)]
struct Building {
    id: CallId,
    name: String,
    json: String,
}

impl Turn {
    pub(crate) fn new(id: TurnId, limits: TurnLimits) -> Self {
        Self {
            id,
            limits,
            usage: Usage::default(),
            model_calls: 0,
            calls: 0,
            continuations: 0,
            failures: 0,
            has_compacted: false,
            has_told_of_images: false,
            asked_last: false,
            unread: false,
            reply: Reply::default(),
            said: String::new(),
            stitch: None,
            running: HashMap::new(),
            repeats: HashMap::new(),
            ending: None,
            is_reflex: false,
            is_over: false,
        }
    }

    /// Takes in what happened and says what is to be done, in order.
    pub(crate) fn next(&mut self, input: Input) -> Vec<Action> {
        if self.is_over {
            return Vec::new();
        }
        let mut actions = Vec::new();
        match input {
            Input::Begin => self.ask(&mut actions),
            Input::PersonCalls { tool, arguments } => {
                self.person_calls(tool, arguments, &mut actions)
            }
            Input::BeginByReflex => {
                self.is_reflex = true;
                actions.push(Action::Consult);
            }
            Input::Reflex(step) => self.reflex(step, &mut actions),
            Input::Model(event) => self.model(event, &mut actions),
            Input::ModelFailed(error) => self.model_failed(error, &mut actions),
            Input::CallEnded { call, ended } => self.call_ended(&call, ended, &mut actions),
            Input::Pointless(why) => self.stop_writing(&why, &mut actions),
            Input::Steered => self.unread = true,
            Input::Cancel => self.stop(Ending::Interrupted, &mut actions),
            Input::Elapsed(elapsed) => self.elapsed(elapsed, &mut actions),
        }
        actions
    }

    /// There is no reply to wait for: when the call has ended, the turn has, unless the person has said more.
    fn person_calls(
        &mut self,
        tool: String,
        arguments: Map<String, Value>,
        actions: &mut Vec<Action>,
    ) {
        let call = ToolCall {
            id: CallId::new(self.id, 0),
            name: tool,
            arguments,
        };
        self.calls = 1;
        self.reply = Reply {
            has_text: true,
            stop: Some(StopReason::End),
            ..Reply::default()
        };
        self.running.insert(call.id.clone(), signature(&call));
        let ready = Event::ToolCallReady {
            call: call.clone(),
            origin: Origin::Person,
        };
        actions.extend([Action::Emit(ready), Action::Run(call, Origin::Person)]);
    }

    /// What a reflex does is bounded as a model's replies are: by calls at once, calls in a turn and time.
    fn reflex(&mut self, step: ReflexStep, actions: &mut Vec<Action>) {
        match step {
            _ if !self.is_reflex || self.ending.is_some() => {}
            ReflexStep::Answer(text) => {
                self.reply.has_text = true;
                actions.push(Action::Emit(Event::TextDelta { text }));
                self.finish(TurnOutcome::Completed, actions);
            }
            ReflexStep::Decline(why) => self.leave_reflex(&why, actions),
            ReflexStep::Call(calls) if !self.may_reflex_call(calls.len()) => {
                self.leave_reflex("it called more than a turn may", actions);
            }
            ReflexStep::Call(calls) => {
                self.reply = Reply {
                    has_calls: true,
                    stop: Some(StopReason::ToolCalls),
                    ..Reply::default()
                };
                for call in calls {
                    self.reflex_calls(call, actions);
                }
            }
        }
    }

    fn may_reflex_call(&self, n: usize) -> bool {
        let most = self.limits.calls_per_reply_max;
        (1..=most).contains(&n) && self.calls < self.limits.model_calls_max
    }

    fn reflex_calls(&mut self, call: ReflexCall, actions: &mut Vec<Action>) {
        let call = ToolCall {
            id: CallId::new(self.id, self.calls),
            name: call.tool,
            arguments: call.arguments,
        };
        self.calls += 1;
        self.running.insert(call.id.clone(), signature(&call));
        let ready = Event::ToolCallReady {
            call: call.clone(),
            origin: Origin::Reflex,
        };
        actions.extend([Action::Emit(ready), Action::Run(call, Origin::Reflex)]);
    }

    /// The model goes on from what was done so far.
    fn leave_reflex(&mut self, why: &str, actions: &mut Vec<Action>) {
        self.is_reflex = false;
        actions.push(Action::LeaveReflex {
            why: why.to_owned(),
        });
        self.ask(actions);
    }

    /// The calls of a reflex have ended.
    fn settle_reflex(&mut self, actions: &mut Vec<Action>) {
        if self.failures > 0 {
            self.leave_reflex("a call failed", actions);
        } else if self.unread {
            self.leave_reflex("the person said more", actions);
        } else {
            actions.push(Action::Consult);
        }
    }

    fn ask(&mut self, actions: &mut Vec<Action>) {
        self.begin_reply();
        actions.push(Action::Ask {
            with_tools: self.ending.is_none(),
        });
    }

    fn begin_reply(&mut self) {
        self.model_calls += 1;
        self.unread = false;
        self.reply = Reply {
            is_open: true,
            ..Reply::default()
        };
    }

    fn model(&mut self, event: ModelEvent, actions: &mut Vec<Action>) {
        if !self.reply.is_open {
            return;
        }
        self.reply.has_begun |= event.is_content();
        match event {
            ModelEvent::Route {
                provider,
                model,
                reason,
            } => {
                actions.push(Action::Emit(Event::ModelCallStarted {
                    provider,
                    model,
                    reason,
                }));
            }
            ModelEvent::ImagesHidden { why } => {
                // Once a turn: each of its model calls shows the images again.
                if !std::mem::replace(&mut self.has_told_of_images, true) {
                    let text = format!(
                        "The model was not shown the images, because {why}. It was told that they were given."
                    );
                    let level = NoticeLevel::Warning;
                    actions.push(Action::Emit(Event::Notice { level, text }));
                }
            }
            ModelEvent::TextDelta { text } => {
                self.reply.has_text |= !text.trim().is_empty();
                let text = match &mut self.stitch {
                    Some(stitch) => stitch.push(&text),
                    None => text,
                };
                self.say(text, actions);
            }
            ModelEvent::ThinkingDelta { text } => {
                actions.push(Action::Emit(Event::ThinkingDelta { text }))
            }
            ModelEvent::ThinkingSignature { signature } => {
                actions.push(Action::Emit(Event::ThinkingSealed { signature }));
            }
            ModelEvent::ToolCallBegin { index, name } => self.call_begins(index, name, actions),
            ModelEvent::ToolCallDelta { index, json } => self.call_grows(index, json, actions),
            ModelEvent::ToolCallEnd { index } => self.call_is_whole(index, actions),
            ModelEvent::Usage(usage) => self.reply.usage = usage,
            ModelEvent::Done { stop } => {
                self.end_stitch(actions);
                self.said.clear();
                self.usage = self.usage.plus(self.reply.usage);
                self.has_compacted = false;
                self.reply.is_open = false;
                self.reply.stop = Some(stop);
                actions.push(Action::Emit(Event::ModelCallEnded {
                    usage: self.reply.usage,
                    stop,
                }));
                self.cut_what_is_written("the answer reached its token limit", actions);
                self.settle(actions);
            }
        }
    }

    fn say(&mut self, text: String, actions: &mut Vec<Action>) {
        if text.is_empty() {
            return;
        }
        self.said.push_str(&text);
        actions.push(Action::Emit(Event::TextDelta { text }));
    }

    /// What was held back as a repetition turned out to be none.
    fn end_stitch(&mut self, actions: &mut Vec<Action>) {
        if let Some(stitch) = self.stitch.take() {
            self.say(stitch.finish(), actions);
        }
    }

    fn call_begins(&mut self, index: u32, name: String, actions: &mut Vec<Action>) {
        if !self.reply.seen.insert(index) {
            return self.misread(format!("it began call {index} twice"), actions);
        }
        self.end_stitch(actions);
        let id = CallId::new(self.id, self.calls);
        self.calls += 1;
        actions.push(Action::Emit(Event::ToolCallStarted {
            call: id.clone(),
            name: name.clone(),
        }));
        if self.may_call() {
            actions.push(Action::Open {
                call: id.clone(),
                name: name.clone(),
            });
        }
        self.reply.building.insert(
            index,
            Building {
                id,
                name,
                json: String::new(),
            },
        );
    }

    fn call_grows(&mut self, index: u32, json: String, actions: &mut Vec<Action>) {
        let misread = match self.reply.building.get_mut(&index) {
            None => format!("it went on with call {index}, which is not open"),
            Some(building) if building.json.len() + json.len() > ARGUMENTS_BYTES_MAX => {
                format!(
                    "the arguments of {} passed {ARGUMENTS_BYTES_MAX} bytes",
                    building.name
                )
            }
            Some(building) => {
                building.json.push_str(&json);
                let call = building.id.clone();
                actions.push(Action::Emit(Event::ToolArgumentsDelta {
                    call: call.clone(),
                    json: json.clone(),
                }));
                return actions.push(Action::Write { call, json });
            }
        };
        self.misread(misread, actions);
    }

    /// A call arrived whole: it runs at once, or its fault is its result.
    fn call_is_whole(&mut self, index: u32, actions: &mut Vec<Action>) {
        let Some(Building { id, name, json }) = self.reply.building.remove(&index) else {
            return self.misread(format!("it ended call {index}, which is not open"), actions);
        };
        self.reply.has_calls = true;
        let arguments = match parse_arguments(&json) {
            _ if self.ending.is_some() => Err("no tool can be called any more".to_owned()),
            _ if !self.may_call() => {
                let most = self.limits.calls_per_reply_max;
                Err(format!(
                    "one reply may make at most {most} calls; make this one in the next"
                ))
            }
            arguments => arguments,
        };
        match arguments {
            Ok(arguments) => {
                let call = ToolCall {
                    id: id.clone(),
                    name,
                    arguments,
                };
                let ready = Event::ToolCallReady {
                    call: call.clone(),
                    origin: Origin::Model,
                };
                self.running.insert(id, signature(&call));
                actions.extend([Action::Emit(ready), Action::Run(call, Origin::Model)]);
            }
            Err(told) => {
                let fault = Fault {
                    name,
                    told: told.clone(),
                };
                self.cut(id, Some(fault), told, actions);
            }
        }
    }

    /// Whether the call that began last may run.
    fn may_call(&self) -> bool {
        self.ending.is_none() && self.reply.seen.len() <= self.limits.calls_per_reply_max
    }

    fn cut(&mut self, call: CallId, fault: Option<Fault>, why: String, actions: &mut Vec<Action>) {
        self.running.insert(call.clone(), 0);
        self.reply.cut.insert(call.clone(), fault);
        actions.push(Action::Cut { call, why });
    }

    /// No more comes of the calls that are being written.
    fn cut_what_is_written(&mut self, why: &str, actions: &mut Vec<Action>) {
        for building in std::mem::take(&mut self.reply.building).into_values() {
            self.cut(building.id, None, why.to_owned(), actions);
        }
    }

    /// The provider broke its own rules: what was said stands, the rest of the stream is not read.
    fn misread(&mut self, detail: String, actions: &mut Vec<Action>) {
        actions.push(Action::StopModel);
        self.model_failed(
            ModelError::Malformed {
                provider: "the model's reply".to_owned(),
                detail,
            },
            actions,
        );
    }

    fn model_failed(&mut self, error: ModelError, actions: &mut Vec<Action>) {
        if !self.reply.is_open {
            return;
        }
        self.usage = self.usage.plus(self.reply.usage);
        self.reply.is_open = false;
        actions.push(Action::Emit(Event::ModelCallFailed {
            error: error.clone(),
        }));
        self.cut_what_is_written("the connection to the model broke", actions);
        self.reply.failure = Some(error);
        self.settle(actions);
    }

    /// Goes on after a reply that broke, or ends the turn.
    fn mend(&mut self, error: ModelError, actions: &mut Vec<Action>) {
        let has_said = self.reply.has_text || self.reply.has_calls;
        match error {
            ModelError::Budget { detail } => {
                self.finish(TurnOutcome::Limited { limit: detail }, actions)
            }
            ModelError::TooLong { .. } if !has_said && !self.has_compacted => {
                self.has_compacted = true;
                self.begin_reply();
                actions.push(Action::CompactAndAsk {
                    with_tools: self.ending.is_none(),
                });
            }
            // Neither thoughts nor the beginning of a call are an answer to go on with: it is asked for again.
            error if !has_said && self.reply.has_begun && self.may_continue() => {
                tracing::warn!(%error, "a reply broke before it said anything and is asked for again");
                self.ask_within_limits(actions);
            }
            error if has_said && self.may_continue() => {
                self.stitch = (!self.said.is_empty()).then(|| Stitch::new(&self.said));
                let told = "The connection broke while you were answering. What you said and called so far stands above \
                            and was done; go on from there and repeat nothing.";
                actions.push(instructed(told));
                self.unread = true;
                // Its calls may still run; the answer goes on when they have ended.
                self.reply.stop = Some(StopReason::ToolCalls);
                tracing::warn!(%error, "a reply broke and is gone on with");
                self.settle(actions);
            }
            error => {
                if let Some(Ending::Limited(limit)) = self.ending.clone() {
                    return self.finish(TurnOutcome::Limited { limit }, actions);
                }
                actions.push(Action::StopCalls);
                let error = match error.next_step() {
                    Some(step) => format!("{}. {step}", error.to_string().trim_end_matches('.')),
                    None => error.to_string(),
                };
                self.finish(TurnOutcome::Failed { error }, actions);
            }
        }
    }

    fn call_ended(&mut self, call: &CallId, ended: Option<CallOutcome>, actions: &mut Vec<Action>) {
        let Some(signature) = self.running.remove(call) else {
            return;
        };
        let cut = self.reply.cut.remove(call);
        match (ended, cut) {
            (Some(CallOutcome { is_error, result }), cut) => {
                self.reply.has_calls |= cut.is_some();
                self.failures = if is_error { self.failures + 1 } else { 0 };
                *self.repeats.entry((signature, result)).or_default() += 1;
            }
            (None, Some(Some(fault))) => self.tell_fault(call, fault, actions),
            (None, _) => {}
        }
        self.settle(actions);
    }

    fn tell_fault(&mut self, call: &CallId, fault: Fault, actions: &mut Vec<Action>) {
        self.failures += 1;
        let ready = Event::ToolCallReady {
            call: ToolCall {
                id: call.clone(),
                name: fault.name,
                arguments: Map::new(),
            },
            origin: Origin::Model,
        };
        let ended = Event::ToolCallEnded {
            call: call.clone(),
            text: format!("Not run: {}.", fault.told),
            is_error: true,
            taint: Taint::NONE,
            whole: None,
            elapsed_ms: 0,
        };
        actions.extend([Action::Emit(ready), Action::Emit(ended)]);
    }

    /// Ends the reply where it is. What was said and called stands, and the model is asked again when the calls have ended.
    fn stop_writing(&mut self, why: &str, actions: &mut Vec<Action>) {
        if !self.reply.is_open {
            return;
        }
        self.reply.is_open = false;
        self.reply.stop = Some(StopReason::ToolCalls);
        self.usage = self.usage.plus(self.reply.usage);
        self.end_stitch(actions);
        self.said.clear();
        let ended = Event::ModelCallEnded {
            usage: self.reply.usage,
            stop: StopReason::ToolCalls,
        };
        actions.extend([Action::StopModel, Action::Emit(ended)]);
        self.cut_what_is_written(why, actions);
        self.settle(actions);
    }

    /// Whether the turn takes in nothing more that is said.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    fn elapsed(&mut self, elapsed: Duration, actions: &mut Vec<Action>) {
        let limit = self.limits.wall_clock_max;
        if elapsed < limit {
            return;
        }
        // The last answer gets a tenth more; then the turn ends without it.
        if self.ending.is_some() && elapsed < limit + limit / 10 {
            return;
        }
        let limit = format!(
            "it took longer than {} s, the most one turn may",
            limit.as_secs()
        );
        if self.ending.is_some() {
            actions.extend([Action::StopModel, Action::StopCalls]);
            return self.finish(TurnOutcome::Limited { limit }, actions);
        }
        self.stop(Ending::Limited(limit), actions);
    }

    /// Ends the turn as soon as the calls that run have been stopped.
    fn stop(&mut self, ending: Ending, actions: &mut Vec<Action>) {
        if self.reply.is_open {
            self.reply.is_open = false;
            self.usage = self.usage.plus(self.reply.usage);
            actions.push(Action::StopModel);
        }
        let why = match &ending {
            Ending::Interrupted => "the person interrupted",
            Ending::Limited(_) => "the turn has to end",
        };
        self.cut_what_is_written(why, actions);
        if !self.running.is_empty() {
            actions.push(Action::StopCalls);
        }
        if let Ending::Limited(limit) = &ending {
            actions.push(instructed(&last_words(limit)));
        }
        // The last answer is another one: nothing of what was held back belongs to it.
        self.reply.failure = None;
        self.stitch = None;
        self.said.clear();
        self.ending = Some(ending);
        self.reply.stop = Some(StopReason::ToolCalls);
        self.reply.has_calls = true;
        self.settle(actions);
    }

    /// Goes on once the reply is complete and its calls have ended.
    fn settle(&mut self, actions: &mut Vec<Action>) {
        if self.reply.cut.is_empty()
            && let Some(error) = self.reply.failure.take()
        {
            return self.mend(error, actions);
        }
        let Some(stop) = self.reply.stop else { return };
        if !self.running.is_empty() {
            return;
        }
        match self.ending.clone() {
            Some(Ending::Interrupted) => return self.finish(TurnOutcome::Interrupted, actions),
            // A model has the last word.
            Some(Ending::Limited(limit)) if self.is_reflex => {
                self.asked_last = true;
                return self.leave_reflex(&limit, actions);
            }
            Some(Ending::Limited(limit)) if !self.reply.has_calls => {
                return self.finish(TurnOutcome::Limited { limit }, actions);
            }
            Some(Ending::Limited(limit)) if self.asked_last => {
                return self.finish(TurnOutcome::Limited { limit }, actions);
            }
            Some(Ending::Limited(_)) => {
                self.asked_last = true;
                return self.ask(actions);
            }
            None => {}
        }
        if self.is_reflex {
            return self.settle_reflex(actions);
        }
        if self.reply.has_calls || self.unread {
            return self.ask_within_limits(actions);
        }
        match stop {
            StopReason::Length => self.go_on(
                CUT,
                "the model's answer was cut by its token limit again and again",
                actions,
            ),
            StopReason::Refused => {
                let error = "The model refused to answer. Say it in other words, or choose another model with --model.";
                self.finish(
                    TurnOutcome::Failed {
                        error: error.to_owned(),
                    },
                    actions,
                );
            }
            StopReason::End | StopReason::ToolCalls if !self.reply.has_text => {
                self.go_on(EMPTY, "the model gave no answer", actions);
            }
            StopReason::End | StopReason::ToolCalls => self.finish(TurnOutcome::Completed, actions),
        }
    }

    /// Asks again after a reply that was cut or empty, a bounded number of times.
    fn go_on(&mut self, told: &str, failure: &str, actions: &mut Vec<Action>) {
        if !self.may_continue() {
            let error =
                format!("{failure}. Ask for less at once, or choose another model with --model.");
            return self.finish(TurnOutcome::Failed { error }, actions);
        }
        actions.push(instructed(told));
        self.ask_within_limits(actions);
    }

    fn may_continue(&mut self) -> bool {
        self.continuations += 1;
        self.continuations <= CONTINUATIONS_MAX
    }

    fn ask_within_limits(&mut self, actions: &mut Vec<Action>) {
        match self.limit_reached() {
            Some(limit) => self.stop(Ending::Limited(limit), actions),
            None => {
                if let Some(hint) = self.hint() {
                    actions.push(instructed(&hint));
                }
                self.ask(actions);
            }
        }
    }

    fn limit_reached(&self) -> Option<String> {
        let limits = &self.limits;
        let most_repeats = self.repeats.values().copied().max().unwrap_or(0);
        if self.model_calls + 1 >= limits.model_calls_max {
            return Some(format!(
                "it made {} model calls, the most one turn may",
                limits.model_calls_max
            ));
        }
        if self.usage.output_tokens >= limits.output_tokens_max {
            return Some(format!(
                "it wrote {} tokens, the most one turn may",
                limits.output_tokens_max
            ));
        }
        if most_repeats >= limits.repeats_max {
            return Some(format!(
                "it made the same call {most_repeats} times with the same result"
            ));
        }
        if self.failures >= limits.failures_max {
            return Some(format!("{} calls in a row failed", self.failures));
        }
        None
    }

    /// What the model is told before a repetition becomes a limit.
    fn hint(&self) -> Option<String> {
        let most = self.repeats.values().copied().max().unwrap_or(0);
        (most > 1 && most + 1 == self.limits.repeats_max).then(|| {
            format!("You made the same call {most} times and it gave the same result. Use what you have, or do something else.")
        })
    }

    fn finish(&mut self, outcome: TurnOutcome, actions: &mut Vec<Action>) {
        if let TurnOutcome::Limited { limit } = &outcome
            && !self.reply.has_text
        {
            let text =
                format!("I stopped here because {limit}. What was done so far stands above.");
            actions.push(Action::Emit(Event::TextDelta { text }));
        }
        if let TurnOutcome::Limited { limit } = &outcome {
            let text = format!("The turn was ended: {limit}.");
            actions.push(Action::Emit(Event::Notice {
                level: NoticeLevel::Warning,
                text,
            }));
        }
        self.is_over = true;
        actions.push(Action::End(outcome));
    }
}

fn signature(call: &ToolCall) -> u64 {
    let arguments = Value::Object(call.arguments.clone()).to_string();
    let mut hasher = DefaultHasher::new();
    (&call.name, arguments).hash(&mut hasher);
    hasher.finish()
}

const CUT: &str = "Your answer was cut by the token limit. Go on exactly where it stopped, and repeat nothing. A call that was \
                   cut was not run: make it smaller.";
const EMPTY: &str = "Your answer was empty. Answer the person in words, or call a tool.";

fn last_words(limit: &str) -> String {
    format!(
        "This turn has to end: {limit}. No tool can be called any more. Tell the person now what was found and done, and \
         what is left."
    )
}

fn instructed(text: &str) -> Action {
    Action::Emit(Event::Instructed {
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(actions: &[Action]) -> Vec<&str> {
        actions
            .iter()
            .filter_map(|action| match action {
                Action::Emit(Event::TextDelta { text }) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn words_held_back_as_a_repetition_are_not_glued_to_the_last_answer() {
        let limits = TurnLimits::default();
        let mut turn = Turn::new(TurnId::from_u128(1), limits);
        let says = |text: &str| Input::Model(ModelEvent::TextDelta { text: text.into() });
        let broke = ModelError::Interrupted {
            provider: "m".into(),
            detail: "reset".into(),
        };
        turn.next(Input::Begin);
        turn.next(says("So the answer is"));
        turn.next(Input::ModelFailed(broke));
        assert_eq!(texts(&turn.next(says("the an"))), [""; 0], "it is held");
        turn.next(Input::Elapsed(limits.wall_clock_max));
        assert!(turn.is_ending());
        let last = turn.next(says("I ran out of time."));
        assert_eq!(texts(&last), ["I ran out of time."]);
    }
}
