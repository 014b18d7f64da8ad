//! What a component may be given. None of it reaches beyond the call.

use crate::bindings::titanclaw::tool::{clock, log, random};
use crate::guest::Guest;
use std::fmt;
use wasmtime::component::{HasSelf, Linker};

/// Something that a component can import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Lines below the output of a call.
    Log,
    /// The time of day.
    Clock,
    /// Random numbers.
    Random,
}

impl Capability {
    /// All that there are.
    pub const ALL: [Self; 3] = [Self::Log, Self::Clock, Self::Random];

    /// The name by which components declare it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Clock => "clock",
            Self::Random => "random",
        }
    }

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The one that is imported by this name.
    pub(crate) fn imported(import: &str) -> Option<Self> {
        let rest = import.strip_prefix("titanclaw:tool/")?;
        Self::named(rest.strip_suffix("@0.1.0")?)
    }

    /// Makes it importable.
    pub(crate) fn link(self, linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        match self {
            Self::Log => log::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest),
            Self::Clock => clock::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest),
            Self::Random => random::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest),
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
