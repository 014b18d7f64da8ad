//! Where components are made ready and run.

use crate::artefacts::Artefacts;
use crate::bindings::ToolPre;
use crate::capability::Capability;
use crate::component::Component;
use crate::engine;
use crate::guest::{Guest, Limits};
use crate::measure::measure;
use crate::spec;
use crate::ticker::Ticker;
use crate::trouble::{CallError, clip};
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::{self, Linker};

/// Calls that may wait for the host at once.
const WAITING_MAX: u32 = 500;

/// How a host is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where compiled components are kept: a folder that is the person's own and closed to others. Made if it is missing.
    pub artefacts: PathBuf,
    /// What each call may use.
    pub limits: Limits,
    /// What components get if they declare it.
    pub granted: Vec<Capability>,
}

impl Config {
    /// Everything that stays in the call is granted, and the usual limits hold.
    pub fn new(artefacts: PathBuf) -> Self {
        Self {
            artefacts,
            limits: Limits::default(),
            granted: Capability::ALL.to_vec(),
        }
    }
}

/// Why no host could be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of compiled components can't be used.
    #[error("the folder of compiled components {folder} can't be used: {why}")]
    Folder {
        /// Which.
        folder: String,
        /// What is wrong with it.
        why: String,
    },
    /// The machine can't run components.
    #[error("components can't be run on this machine: {0}")]
    Engine(String),
}

/// Why a component can't be offered. One sentence each, for whoever built or added it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The bytes are something else.
    #[error(
        "this is no WebAssembly component (a plain module has to be made one: wasm-tools component new)"
    )]
    NoComponent,
    /// It is larger than any tool needs to be.
    #[error("the component has {found} {what}; at most {max} are taken")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there are, or were when the count ended.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// It can't be read or compiled.
    #[error("the component is damaged or uses what is not supported: {0}")]
    Malformed(String),
    /// It wants something that no component gets.
    #[error("the component wants {0:?}, which no component gets; there are log, clock and random")]
    Import(String),
    /// It imports what it does not declare.
    #[error("the component imports {0} but does not declare it among its capabilities")]
    Undeclared(Capability),
    /// It needs what it was not granted.
    #[error("the component needs {0}, which was not granted")]
    NotGranted(Capability),
    /// It is not of the world `tool`.
    #[error("the component is no tool: {0}")]
    NoTool(String),
    /// It failed to say what it is.
    #[error("the component can't say what it is: {0}")]
    Describe(CallError),
    /// What it says of itself can't be offered.
    #[error("the component can't be offered: {0}")]
    Spec(String),
}

/// Makes components ready and runs them. Cheap to clone; the last clone, or the last component, ends it.
#[derive(Clone)]
pub struct WasmHost {
    hot: Engine,
    jit: Engine,
    artefacts: Arc<Artefacts>,
    ticker: Arc<Ticker>,
    limits: Limits,
    granted: Vec<Capability>,
}

impl WasmHost {
    /// Opens the runtime and the folder of compiled components. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let broken = |error: String| OpenError::Engine(error);
        let hot = engine::hot(WAITING_MAX).map_err(|error| broken(format!("{error:#}")))?;
        let jit = engine::jit().map_err(|error| broken(format!("{error:#}")))?;
        let ticker = Ticker::start([&hot, &jit]).map_err(|error| broken(error.to_string()))?;
        let limits = Limits {
            memory_bytes_max: config.limits.memory_bytes_max.min(engine::MEMORY_BYTES_MAX),
            ..config.limits
        };
        Ok(Self {
            artefacts: Arc::new(Artefacts::open(config.artefacts)?),
            hot,
            jit,
            ticker: Arc::new(ticker),
            limits,
            granted: config.granted,
        })
    }

    /// Measures, compiles and links a component, and asks it what it is, without any capability. Blocks: a
    /// component of a few hundred KiB takes a tenth of a second, one that was compiled before less than a millisecond.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        measure(bytes)?;
        self.linked(&self.compiled(bytes)?)
    }

    /// Makes a component ready that is run a single time: as [`WasmHost::load`], but compiled in a fraction of the time,
    /// runs more slowly, and nothing of it is kept. Blocks: 10 to 70 ms.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_once(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        measure(bytes)?;
        self.linked(&compile(&self.jit, bytes)?)
    }

    /// Deletes what was kept of a component.
    ///
    /// # Errors
    /// When it is there and can't be deleted.
    pub fn forget(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.artefacts.remove(&self.hot, bytes)
    }

    fn linked(&self, compiled: &component::Component) -> Result<Component, LoadError> {
        let imported = imported(compiled)?;
        let described = self.describe(compiled)?;
        let (spec, declared) = spec::check(described)?;
        self.admit(&imported, &declared)?;
        let linker = linker(compiled.engine(), &declared)?;
        let linked = linker.instantiate_pre(compiled).map_err(no_tool)?;
        let ready = ToolPre::new(linked).map_err(no_tool)?;
        Ok(Component::new(
            ready,
            spec,
            declared,
            self.limits,
            self.ticker.clone(),
        ))
    }

    fn compiled(&self, bytes: &[u8]) -> Result<component::Component, LoadError> {
        if let Some(kept) = self.artefacts.get(&self.hot, bytes) {
            return Ok(kept);
        }
        let compiled = compile(&self.hot, bytes)?;
        // What can't be kept is compiled again the next time.
        if let Err(error) = self.artefacts.put(&self.hot, bytes, &compiled) {
            tracing::warn!(%error, "a compiled component can't be kept");
        }
        Ok(compiled)
    }

    /// Runs `describe` where every import only breaks off.
    fn describe(
        &self,
        compiled: &component::Component,
    ) -> Result<crate::bindings::Spec, LoadError> {
        let mut linker: Linker<Guest> = Linker::new(compiled.engine());
        linker
            .define_unknown_imports_as_traps(compiled)
            .map_err(no_tool)?;
        let linked = linker.instantiate_pre(compiled).map_err(no_tool)?;
        let ready = ToolPre::new(linked).map_err(no_tool)?;
        crate::component::describe(&ready, self.limits, &self.ticker).map_err(LoadError::Describe)
    }

    fn admit(&self, imported: &[Capability], declared: &[Capability]) -> Result<(), LoadError> {
        if let Some(one) = imported.iter().find(|one| !declared.contains(one)) {
            return Err(LoadError::Undeclared(*one));
        }
        match declared.iter().find(|one| !self.granted.contains(one)) {
            Some(one) => Err(LoadError::NotGranted(*one)),
            None => Ok(()),
        }
    }
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<component::Component, LoadError> {
    component::Component::from_binary(engine, bytes)
        .map_err(|error| LoadError::Malformed(clip(&error.root_cause().to_string())))
}

fn imported(compiled: &component::Component) -> Result<Vec<Capability>, LoadError> {
    let kind = compiled.component_type();
    kind.imports(compiled.engine())
        .filter(|(_, import)| !matches!(import.ty, component::types::ComponentItem::Type(_)))
        .map(|(name, _)| Capability::imported(name).ok_or_else(|| LoadError::Import(clip(name))))
        .collect()
}

/// A linker with nothing but what was declared.
fn linker(engine: &Engine, declared: &[Capability]) -> Result<Linker<Guest>, LoadError> {
    let mut linker = Linker::new(engine);
    let mut declared = declared.to_vec();
    declared.sort();
    declared.dedup();
    for capability in declared {
        capability.link(&mut linker).map_err(no_tool)?;
    }
    Ok(linker)
}

fn no_tool(error: wasmtime::Error) -> LoadError {
    LoadError::NoTool(clip(&format!("{error:#}")))
}
