//! What a step would do, who asked for it, and what policy says.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Who started a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The person, by hand.
    Person,
    /// A model, in answer to the person.
    Model,
    /// A reflex, in a model's place.
    Reflex,
    /// A tool, in the course of a call of its own. The call's identifier begins with that of the other, and a dot.
    Tool,
}

/// Where a text came from, when it did not come from the person or the engine itself. Only grows within a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Taint {
    /// Holds text that strangers may have written: web pages, mail, files fetched, other programs' output.
    pub untrusted: bool,
    /// Holds the person's own data: files of the workspace and beyond, notes, secrets' surroundings.
    pub private: bool,
}

impl Taint {
    /// Neither untrusted nor private.
    pub const NONE: Self = Self {
        untrusted: false,
        private: false,
    };
    /// The person's own data.
    pub const PRIVATE: Self = Self {
        untrusted: false,
        private: true,
    };
    /// Text from outside.
    pub const UNTRUSTED: Self = Self {
        untrusted: true,
        private: false,
    };
    /// Both at once: a file in the workspace may be private and written by a stranger.
    pub const BOTH: Self = Self {
        untrusted: true,
        private: true,
    };

    /// What holds for the two put together.
    pub fn union(self, other: Self) -> Self {
        Self {
            untrusted: self.untrusted || other.untrusted,
            private: self.private || other.private,
        }
    }
}

/// One thing that a step would do to the world. A tool states them from its parsed arguments, never from their text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Effect {
    /// Reads a file or folder.
    Read {
        /// Absolute, links resolved.
        path: PathBuf,
        /// Whether it lies in the workspace.
        in_workspace: bool,
    },
    /// Creates, changes or deletes a file or folder.
    Write {
        /// Absolute, links resolved.
        path: PathBuf,
        /// Whether it lies in the workspace.
        in_workspace: bool,
    },
    /// Runs a program.
    Run {
        /// The program as it would be started: a resolved path, or a shell builtin's name.
        program: String,
        /// Its arguments as far as they are known before it runs.
        arguments: Vec<String>,
        /// Whether the program and these arguments are known to only look: `ls`, `git status`, `cargo metadata`.
        reads_only: bool,
    },
    /// Sends something over the network, if only a request.
    Network {
        /// The host, lower case, without port.
        host: String,
        /// The port.
        port: u16,
    },
    /// Speaks to somebody else in the person's name.
    Message {
        /// To whom.
        recipient: String,
    },
    /// Uses a secret.
    Secret {
        /// The secret's name.
        name: String,
    },
    /// Spends money beyond model calls.
    Money {
        /// At most this much, in millionths of a US dollar.
        usd_micros: u64,
        /// To whom, as the service knows them: an account, a shop. Empty when nobody can say.
        #[serde(default)]
        recipient: String,
    },
    /// Writes into the engine's own notes, which later turns will read.
    Remember,
}

impl Effect {
    /// Whether it may leave the world another than it was, so that an undo has to put it back or say that it can't.
    /// Programs may, also those that are known to only look.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Read { .. } | Self::Secret { .. } => false,
            Self::Run { .. }
            | Self::Write { .. }
            | Self::Network { .. }
            | Self::Message { .. }
            | Self::Money { .. }
            | Self::Remember => true,
        }
    }
}

/// What policy says of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Verdict {
    /// The step may run.
    Allow {
        /// Why, in a few words: a rule or a grant.
        reason: String,
    },
    /// A person has to say.
    Ask {
        /// What it is about, in a sentence.
        reason: String,
        /// The effects that no rule or grant covers.
        effects: Vec<Effect>,
    },
    /// The step may not run.
    Deny {
        /// Why, for the model and the person.
        reason: String,
    },
}

/// What a person answers to an approval request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// This step, now.
    Once,
    /// This tool with effects of these kinds, for the rest of the session.
    Session,
    /// These very effects, with these arguments, in this directory and environment, whenever they come again.
    Exact,
    /// No.
    Deny,
}

/// A standing answer that a person gave earlier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The tool it was given for.
    pub tool: String,
    /// How far it goes.
    pub scope: GrantScope,
}

/// How far a [`Grant`] goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GrantScope {
    /// Effects of these kinds, for one session. For programs: the same program by resolved path.
    Session {
        /// Examples of the kinds; an effect is covered when it is of the same kind, at the same program, host,
        /// recipient or secret, or for files on the same side of the workspace's edge.
        effects: Vec<Effect>,
    },
    /// One step exactly: BLAKE3 over tool, arguments, directory, environment, and the program's path and content.
    Exact {
        /// The hash, in hex.
        fingerprint: String,
    },
}
