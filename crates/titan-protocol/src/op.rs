//! What a surface asks of the engine.

use crate::{
    ApprovalId, CanvasAction, Decision, ImageBytes, Judgement, QuestionId, Seq, SessionId, TurnId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// A command to the engine. Accepted at once; what comes of it is told by events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// The person says something. Starts a turn, or steers the one that runs in this session at its next model
    /// call. The same turn id sent twice is accepted once.
    UserTurn {
        /// The session; it begins with its first turn.
        session: SessionId,
        /// The turn, minted by the surface.
        turn: TurnId,
        /// What was said.
        text: String,
        /// Images that are given with it: at most [`crate::IMAGES_MAX`], of at most [`crate::IMAGES_BYTES_MAX`] together.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<ImageBytes>,
        /// How the turn is to run.
        options: TurnOptions,
    },
    /// The person calls a tool by hand, as a turn of its own without a model. The model reads of it in later turns.
    /// Refused while a turn runs.
    UserCall {
        /// The session; it may begin with this.
        session: SessionId,
        /// The turn, minted by the surface.
        turn: TurnId,
        /// What the person typed.
        text: String,
        /// The tool.
        tool: String,
        /// Its arguments.
        arguments: Map<String, Value>,
        /// How the turn is to run.
        options: TurnOptions,
    },
    /// The person pressed a button on a surface of the canvas. Starts a turn, or steers the one that runs, as words
    /// do, but counts as the person's own words nowhere: what a form holds and says was made by the agent. It approves
    /// and answers nothing.
    Act {
        /// The session.
        session: SessionId,
        /// The turn, minted by the surface's face.
        turn: TurnId,
        /// What they did.
        act: CanvasAction,
        /// How the turn is to run.
        options: TurnOptions,
    },
    /// Stops the turn that runs; what was said stays.
    Interrupt {
        /// The session.
        session: SessionId,
    },
    /// Answers an approval request.
    Decide {
        /// Which one.
        approval: ApprovalId,
        /// The answer.
        decision: Decision,
    },
    /// Answers a tool's question.
    Answer {
        /// Which one.
        question: QuestionId,
        /// The answer.
        text: String,
    },
    /// Shortens what the model is shown of a session; the log keeps all.
    Compact {
        /// The session.
        session: SessionId,
    },
    /// Deletes content for good: from the journal, notes and blobs that nothing else names.
    Forget {
        /// What.
        what: Forget,
    },
    /// Puts the files that a turn changed back as they were before it. Refused while a turn runs. What came of it is
    /// told by [`crate::Event::UndoEnded`], which is stored when this is accepted.
    Undo {
        /// The session.
        session: SessionId,
        /// The undo, minted by the surface: the same one sent twice is done once. It can be undone by this id.
        undo: TurnId,
        /// The turn or the undo to be undone; the last turn that changed files and is not undone when `None`.
        of: Option<TurnId>,
        /// Whether files that somebody changed since are put back too.
        is_forced: bool,
    },
    /// Begins a session that goes on after an earlier turn of another and shares what was said until then. Files stay as
    /// they are. Refused while that turn runs. The same branch asked for twice begins once.
    Branch {
        /// The session with the turn; a branch has those of its past too.
        session: SessionId,
        /// The last turn that is shared.
        after: TurnId,
        /// The branch, minted by the surface.
        into: SessionId,
    },
    /// Gives a session a title.
    Rename {
        /// The session.
        session: SessionId,
        /// The title, at most 200 characters.
        title: String,
    },
    /// Does with a reflex what its owner says.
    JudgeReflex {
        /// The reflex's name.
        name: String,
        /// What is said of it.
        judgement: Judgement,
    },
}

/// How a turn is to run. Every field has a sensible default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnOptions {
    /// The workspace, absolute. Fixed by a session's first turn.
    pub workspace: Option<PathBuf>,
    /// The model for this turn, as `provider/model` or `model`.
    pub model: Option<String>,
    /// Whether somebody is there to approve and answer. If not, what must be asked is denied.
    pub is_attended: bool,
    /// Whether a model answers, whatever reflex might.
    pub without_reflexes: bool,
}

/// What to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Forget {
    /// A whole session.
    Session {
        /// Which.
        session: SessionId,
    },
    /// One turn: what was said, done and put out in it.
    Turn {
        /// The session.
        session: SessionId,
        /// Which turn.
        turn: TurnId,
    },
    /// Single events.
    Events {
        /// The session.
        session: SessionId,
        /// Their positions.
        seqs: Vec<Seq>,
    },
}
