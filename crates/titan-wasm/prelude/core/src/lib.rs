//! What generated tools are written against: concrete functions, compiled ahead, so that a tool itself compiles in a moment.
//! All names here are in a tool's scope. `api.md` is what its writer reads.
//!
//! Functions are concrete and never inlined, since what is generic or inlined is compiled again with every tool; what can't
//! be concrete is instantiated in [`inst`].

mod error;
#[cfg(target_arch = "wasm32")]
pub mod glue;
#[cfg(any(target_arch = "wasm32", test))]
mod heap;
#[cfg(target_arch = "wasm32")]
pub mod host;
pub mod inst;

pub mod csv;
pub mod json;
pub mod stats;
pub mod text;
pub mod time;

pub use error::{Error, Result, fail};
pub use regex_lite as regex;
pub use regex_lite::Regex;
pub use serde_json::{self, Map, Value, json};
pub use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
pub use std::fmt::Write as _;
