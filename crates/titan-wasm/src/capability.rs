//! What a component may be given.

use crate::bindings::first::titanclaw::tool as first;
use crate::bindings::second::titanclaw::tool as second;
use crate::guest::Guest;
use crate::wasi;
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
    /// Values that stay from call to call.
    State,
    /// Requests to declared hosts, by the engine's egress.
    Http,
    /// Calls of declared tools, by the one pipeline.
    Tools,
    /// What programs of others are built for, WASI 0.2, without files, network and environment.
    Wasi,
}

impl Capability {
    /// All that there are.
    pub const ALL: [Self; 7] = [
        Self::Log,
        Self::Clock,
        Self::Random,
        Self::State,
        Self::Http,
        Self::Tools,
        Self::Wasi,
    ];

    /// The name by which components declare it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::State => "state",
            Self::Http => "http",
            Self::Tools => "tools",
            Self::Wasi => "wasi",
        }
    }

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The one that is imported by this name.
    pub(crate) fn imported(import: &str) -> Option<Self> {
        if wasi::is_import(import) {
            return Some(Self::Wasi);
        }
        let (name, version) = import.strip_prefix("titanclaw:tool/")?.split_once('@')?;
        let capability = Self::named(name)?;
        let is_there = match version {
            "0.1.0" => matches!(capability, Self::Log | Self::Clock | Self::Random),
            version => version == "0.2.0" && capability != Self::Wasi,
        };
        is_there.then_some(capability)
    }

    /// Whether what it gives comes from beyond the process.
    pub(crate) fn reaches_out(self) -> bool {
        matches!(self, Self::Http | Self::Tools)
    }

    /// Whether a call waits for what it gives.
    pub(crate) fn waits(self) -> bool {
        self.reaches_out() || self == Self::Wasi
    }

    /// Makes it importable, in every version that there is of it.
    pub(crate) fn link(self, linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        match self {
            Self::Log => {
                first::log::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)?;
                second::log::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
            }
            Self::Clock => {
                first::clock::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)?;
                second::clock::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
            }
            Self::Random => {
                first::random::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)?;
                second::random::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
            }
            Self::State => second::state::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest),
            Self::Http => second::http::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest),
            Self::Tools => second::tools::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest),
            Self::Wasi => wasi::link(linker),
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
