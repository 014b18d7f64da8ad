//! Identifiers. Ids that order things are UUIDv7 (time-ordered); ids that authorise are UUIDv4 (122 random bits).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $make:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id. Reads the system's randomness (and, for time-ordered ids, its clock).
            #[allow(clippy::new_without_default, reason = "two defaults would not be equal")]
            pub fn new() -> Self {
                Self(Uuid::$make())
            }

            /// An id made from a number, for tests that compare whole values.
            pub const fn from_u128(value: u128) -> Self {
                Self(Uuid::from_u128(value))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// One conversation. Minted by the surface that starts it; time-ordered.
    SessionId, now_v7
);
uuid_id!(
    /// One request of a person and all that answers it. Minted by the surface, so that sending the same turn
    /// twice starts it once; time-ordered.
    TurnId, now_v7
);
uuid_id!(
    /// One pending approval. Unguessable, used once.
    ApprovalId, new_v4
);
uuid_id!(
    /// One question that a tool put to the person.
    QuestionId, new_v4
);

/// One tool call. The engine mints it from the turn and a counter, so a call is named the same on every replay and
/// a model cannot choose or repeat it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(String);

impl CallId {
    /// The `n`th call of a turn. Fits every vendor's rule for call ids: at most 64 of `[a-zA-Z0-9_-]`.
    pub fn new(turn: TurnId, n: u32) -> Self {
        Self(format!("{}-{n}", turn.0.simple()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for CallId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({})", self.0)
    }
}

/// The BLAKE3 hash of a blob's bytes, in hex. Tools name a stored output to the model as `output:HASH`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobId(String);

impl BlobId {
    /// The id that these bytes have.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }

    /// The hash in hex, 64 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not a blob id.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the 64 hex digits of a stored output")]
pub struct BlobIdError(String);

impl FromStr for BlobId {
    type Err = BlobIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed =
            text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(BlobIdError(text.to_owned()))
        }
    }
}

/// Position in the journal. Strictly increasing over one home; 0 is before the first event.
pub type Seq = u64;

/// Milliseconds since the Unix epoch, UTC.
pub type UnixMillis = u64;
