//! What the engine reports. Every event is in the journal; screens, costs and threads are projections of it.

use crate::{
    ApprovalId, BlobId, CallId, CanvasAction, Decision, Effect, Image, ModelError, Origin,
    QuestionId, Seq, SessionId, StopReason, Surface, Taint, ToolCall, TurnId, UnixMillis, Usage,
    Verdict,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An event with its place in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the journal.
    pub seq: Seq,
    /// When, by the engine's clock.
    pub at: UnixMillis,
    /// The session that it belongs to.
    pub session: SessionId,
    /// The turn that it belongs to, if any.
    pub turn: Option<TurnId>,
    /// What happened.
    pub event: Event,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A session began.
    SessionStarted {
        /// Its workspace, absolute.
        workspace: PathBuf,
    },
    /// A session began as a branch: what others said up to a turn is its past too. Their records stay where they are, so
    /// that what is forgotten there is gone here.
    SessionBranched {
        /// Its workspace, absolute.
        workspace: PathBuf,
        /// What it shares, oldest first; the last is of the session that it came from.
        past: Vec<SharedPast>,
    },
    /// A session was given a title.
    SessionTitled {
        /// The title.
        title: String,
    },
    /// A turn began.
    TurnStarted {
        /// What the person said.
        text: String,
    },
    /// The person said something while a turn ran; the model reads it at its next call.
    Steered {
        /// What was said.
        text: String,
        /// The turn that it was sent as, so that the same words sent twice count once.
        turn: TurnId,
    },
    /// The person gave images with what they said last: with what began the turn, or steered it. Their content is a
    /// stranger's, as a file's is.
    ImagesGiven {
        /// What they are, in order.
        images: Vec<Image>,
    },
    /// The engine told the model something between two of its calls: a limit, a cut answer, a repetition.
    Instructed {
        /// What the model was told.
        text: String,
    },
    /// The prompt for a model call was put together.
    ContextAssembled {
        /// Estimated tokens of all that is sent.
        tokens_estimated: u32,
        /// Messages sent.
        messages: u32,
        /// Names of the instruction files that were read into it.
        instructions: Vec<String>,
        /// What is shown besides the thread: files of the workspace that are no instructions of the person's.
        #[serde(default)]
        taint: Taint,
    },
    /// A model call began, or a fallback took it over.
    ModelCallStarted {
        /// The provider's configured name.
        provider: String,
        /// The model.
        model: String,
        /// Why this one, when it is not the first choice.
        reason: Option<String>,
    },
    /// A reflex answers in the model's place.
    ShortcutTaken {
        /// Its name.
        name: String,
        /// Its version.
        version: u32,
        /// Why it may, in a sentence.
        because: String,
    },
    /// The calls of a reflex have ended and it goes on.
    ShortcutResumed,
    /// A reflex left the turn to the model.
    ShortcutDeclined {
        /// Its name.
        name: String,
        /// Why, in words that follow "because".
        why: String,
    },
    /// The next piece of the answer.
    TextDelta {
        /// The piece.
        text: String,
    },
    /// The next piece of the model's thinking.
    ThinkingDelta {
        /// The piece.
        text: String,
    },
    /// The vendor's seal on the thinking, to be sent back.
    ThinkingSealed {
        /// Opaque.
        signature: String,
    },
    /// A tool call began to arrive.
    ToolCallStarted {
        /// The call.
        call: CallId,
        /// The tool's name as the model wrote it.
        name: String,
    },
    /// The next piece of a call's arguments, raw JSON text.
    ToolArgumentsDelta {
        /// The call.
        call: CallId,
        /// The piece.
        json: String,
    },
    /// A call arrived whole.
    ToolCallReady {
        /// The call.
        call: ToolCall,
        /// Who started it.
        origin: Origin,
    },
    /// Policy judged a step.
    StepDecided {
        /// The call.
        call: CallId,
        /// The step's position in the call.
        step: u32,
        /// What was decided.
        verdict: Verdict,
        /// The effects that leave the world another than it was, unless it is denied.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lasting: Vec<Effect>,
    },
    /// A person has to decide.
    ApprovalRequested {
        /// Names the request; answered by [`crate::Op::Decide`].
        approval: ApprovalId,
        /// The call that waits, whole.
        call: ToolCall,
        /// What no rule or grant covers.
        effects: Vec<Effect>,
        /// What it is about, in a sentence.
        reason: String,
        /// When it will count as denied.
        expires_at: UnixMillis,
    },
    /// An approval request was answered, or ran out.
    ApprovalDecided {
        /// Which.
        approval: ApprovalId,
        /// The answer.
        decision: Decision,
        /// Who answered: `person`, `timeout`, `unattended`, `cancelled`, `restart`.
        by: String,
    },
    /// The next piece of a running call's output.
    ToolOutputDelta {
        /// The call.
        call: CallId,
        /// The piece, redacted.
        text: String,
    },
    /// The validator, who reads along, found that it is no use to go on.
    ValidatorFinding {
        /// The call whose output it read.
        call: CallId,
        /// Its rule.
        rule: String,
        /// What it saw, in words that follow "because".
        text: String,
        /// What was stopped.
        stopped: Stopped,
    },
    /// A call ended.
    ToolCallEnded {
        /// The call.
        call: CallId,
        /// What the model reads, bounded.
        text: String,
        /// Whether it failed.
        is_error: bool,
        /// Where the text came from.
        taint: Taint,
        /// The whole output, when the text above is a part of it.
        whole: Option<BlobId>,
        /// How long it ran, in milliseconds, waiting for people left out.
        elapsed_ms: u64,
    },
    /// The agent's plan, whole.
    PlanUpdated {
        /// Its items in order.
        items: Vec<PlanItem>,
    },
    /// The agent drew a surface of the canvas; it takes the place of the one of the same name.
    CanvasDrawn {
        /// The surface, whole.
        surface: Surface,
    },
    /// The agent took a surface away.
    CanvasRemoved {
        /// The surface's name.
        name: String,
    },
    /// The person pressed a button on a surface. What the model reads of it is the text of the turn that this begins,
    /// or that it steers.
    CanvasActed {
        /// What they did.
        act: CanvasAction,
    },
    /// A tool asks the person.
    QuestionAsked {
        /// Names the question; answered by [`crate::Op::Answer`].
        question: QuestionId,
        /// The question.
        text: String,
        /// Suggested answers; empty for free text.
        choices: Vec<String>,
    },
    /// A question was answered.
    QuestionAnswered {
        /// Which.
        question: QuestionId,
        /// The answer; `None` when nobody answered.
        text: Option<String>,
    },
    /// A model call ended well.
    ModelCallEnded {
        /// Tokens and cost.
        usage: Usage,
        /// Why the model stopped.
        stop: StopReason,
    },
    /// A model call failed. The turn may go on with what was said before.
    ModelCallFailed {
        /// Why.
        error: ModelError,
    },
    /// Something that the person should know.
    Notice {
        /// How much it matters.
        level: NoticeLevel,
        /// In plain words.
        text: String,
    },
    /// What the model is shown of this session was shortened.
    Compacted {
        /// What stands for the part that was left out.
        summary: String,
        /// The model is shown the events after this position word for word.
        kept_after: Seq,
        /// Estimated tokens before.
        tokens_before: u32,
        /// Estimated tokens after.
        tokens_after: u32,
    },
    /// A turn ended.
    TurnEnded {
        /// How.
        outcome: TurnOutcome,
        /// All its model calls together.
        usage: Usage,
        /// How long it took, in milliseconds.
        elapsed_ms: u64,
    },
    /// A tool is about to change a file, or a program has changed it. Before a tool or an undo touches anything, this
    /// is on the disk. The old content is kept as a blob at a path's first change in a turn.
    FileChanged {
        /// Absolute.
        path: PathBuf,
        /// What was there.
        before: FileState,
        /// What is there afterwards.
        after: FileState,
    },
    /// The person has what a turn changed put back. The changes of an undo are told as those of a turn are.
    UndoStarted {
        /// The turn, or the undo, that is undone.
        of: TurnId,
        /// Whether files are put back that somebody changed since.
        is_forced: bool,
    },
    /// An undo is through. One that was started and did not get here is finished by asking for it again.
    UndoEnded {
        /// The turn, or the undo, that was undone.
        of: TurnId,
        /// What became of each file.
        files: Vec<UndoneFile>,
        /// What can't be put back, in words: requests, messages, what programs did elsewhere.
        beyond: Vec<String>,
    },
    /// Content was deleted. Stands in the place of what it replaces.
    Forgotten,
}

/// Records of another session that a branch shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPast {
    /// Whose they are.
    pub session: SessionId,
    /// The position of the last one: the end of a turn.
    pub until: Seq,
}

/// What the validator stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// The call: it would not have come to an end by itself.
    Call,
    /// The model: what it was still writing had become pointless.
    Model,
}

/// What is at a path, told by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FileState {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// The hash of its content.
        content: BlobId,
        /// Its permission bits, as far as they are known.
        mode: Option<u32>,
    },
    /// A symbolic link.
    Link {
        /// Where it leads, as it is spelt.
        target: PathBuf,
    },
    /// Something whose content is not kept, so that it can't be put back.
    NotKept {
        /// What it is, as in "it is …".
        why: String,
    },
}

impl FileState {
    /// Whether both are the same content at a path. Permission bits don't count; what is not kept is like nothing.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { content: a, .. }, Self::File { content: b, .. }) => a == b,
            (Self::NotKept { .. }, _) => false,
            (a, b) => a == b,
        }
    }

    /// The hash of the content, if it is a file's.
    pub fn content(&self) -> Option<&BlobId> {
        match self {
            Self::File { content, .. } => Some(content),
            Self::Absent | Self::Link { .. } | Self::NotKept { .. } => None,
        }
    }
}

/// What an undo did about one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoneFile {
    /// Absolute.
    pub path: PathBuf,
    /// What was done.
    pub outcome: UndoOutcome,
}

/// What became of a file that was to be put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UndoOutcome {
    /// It is as it was.
    Restored,
    /// It was made by the turn and is gone again.
    Removed,
    /// It was so already.
    Already,
    /// It was left alone, since somebody changed it after the turn; force puts it back all the same.
    Refused {
        /// Why.
        why: String,
    },
    /// It can't be put back.
    Impossible {
        /// Why.
        why: String,
    },
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeLevel {
    /// Good to know.
    Info,
    /// Something did not go as it should; the work goes on.
    Warning,
    /// Something failed.
    Error,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The model had said all.
    Completed,
    /// The person interrupted.
    Interrupted,
    /// A limit ended it; an answer was written all the same.
    Limited {
        /// Which limit and its value.
        limit: String,
    },
    /// It failed.
    Failed {
        /// Cause and next step.
        error: String,
    },
}

/// One line of the agent's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanItem {
    /// What is to be done.
    pub text: String,
    /// How far it is.
    pub status: PlanStatus,
}

/// How far a plan's item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// Not begun.
    Pending,
    /// Being done.
    InProgress,
    /// Done.
    Done,
}
