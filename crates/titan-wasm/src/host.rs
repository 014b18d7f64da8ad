//! Where components are made ready and run.

use crate::artefacts::Artefacts;
use crate::bindings::{first, second};
use crate::capability::Capability;
use crate::command;
use crate::component::{About, Component, Entry, Rooms, store};
use crate::engine;
use crate::guest::{Guest, Limits};
use crate::measure::measure;
use crate::spec::{self, Spec};
use crate::state::State;
use crate::ticker::Ticker;
use crate::trouble::{CallError, clip};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{self, InstancePre, Linker};
use wasmtime::{Engine, UpdateDeadline};

/// Calls of tools that compute at once; more wait for their turn.
const COMPUTING_MAX: usize = 64;
/// Calls that may wait for hosts and tools at once, where nothing else is said.
const WAITING_MAX: u32 = 500;

/// How a host is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where compiled components are kept: a folder that is the person's own and closed to others. Made if it is missing.
    pub artefacts: PathBuf,
    /// Where components keep their values: those of each in a folder `NAME.state`. Made when it is needed.
    pub state: PathBuf,
    /// What each call may use.
    pub limits: Limits,
    /// What components get if they declare it.
    pub granted: Vec<Capability>,
    /// Calls that may wait for hosts and tools at once, at most 10,000; more wait for their turn.
    pub waiting_max: u32,
}

impl Config {
    /// Everything that there is is granted, and the usual limits hold.
    pub fn new(artefacts: PathBuf, state: PathBuf) -> Self {
        Self {
            artefacts,
            state,
            limits: Limits::default(),
            granted: Capability::ALL.to_vec(),
            waiting_max: WAITING_MAX,
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
    #[error(
        "the component wants {0:?}, which no component gets; there are log, clock, random, state, http, tools and wasi"
    )]
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
    /// It is a program that does not say what it is called.
    #[error("the component is a command-line program, which has to be given a name")]
    Nameless,
    /// It is not of the world `reflex`.
    #[error("the component is no reflex: {0}")]
    NoReflex(String),
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
    state: PathBuf,
    ticker: Arc<Ticker>,
    rooms: Rooms,
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
        let (hot, waiting) =
            engine::hot(config.waiting_max).map_err(|error| broken(format!("{error:#}")))?;
        let jit = engine::jit().map_err(|error| broken(format!("{error:#}")))?;
        let ticker = Ticker::start([&hot, &jit]).map_err(|error| broken(error.to_string()))?;
        let limits = Limits {
            memory_bytes_max: config.limits.memory_bytes_max.min(engine::MEMORY_BYTES_MAX),
            ..config.limits
        };
        Ok(Self {
            artefacts: Arc::new(Artefacts::open(config.artefacts)?),
            state: config.state,
            hot,
            jit,
            ticker: Arc::new(ticker),
            rooms: Rooms {
                computing: Arc::new(Semaphore::new(COMPUTING_MAX)),
                waiting: Arc::new(Semaphore::new(waiting)),
            },
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
        self.linked(bytes, None, &self.compiled(bytes)?, &self.granted)
    }

    /// The same for a component that may be a command-line program for WASI 0.2: that is called as is said here, and
    /// described by what it prints when it is asked for `--help`. A tool says itself what it is called.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_as(&self, name: &str, bytes: &[u8]) -> Result<Component, LoadError> {
        measure(bytes)?;
        self.linked(bytes, Some(name), &self.compiled(bytes)?, &self.granted)
    }

    /// Makes a component ready that is run a single time: as [`WasmHost::load`], but compiled in a fraction of the time,
    /// runs more slowly, and nothing of it is kept, so that it gets no `state`. Blocks: 10 to 70 ms.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_once(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        measure(bytes)?;
        let mut granted = self.granted.clone();
        granted.retain(|one| *one != Capability::State);
        self.linked(bytes, None, &compile(&self.jit, bytes)?, &granted)
    }

    /// Deletes what was kept of a component.
    ///
    /// # Errors
    /// When it is there and can't be deleted.
    pub fn forget(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.artefacts.remove(&self.hot, bytes)
    }

    fn linked(
        &self,
        bytes: &[u8],
        name: Option<&str>,
        compiled: &component::Component,
        granted: &[Capability],
    ) -> Result<Component, LoadError> {
        let imported = imported(compiled)?;
        let command = command::entry(compiled);
        let described = match (command, name) {
            (None, _) => self.describe(compiled)?,
            (Some(_), None) => return Err(LoadError::Nameless),
            (Some(_), Some(name)) => command::spec(name),
        };
        let (spec, capabilities, declared) = spec::check(described)?;
        admit(&imported, &capabilities, granted)?;
        let linker = linker(compiled.engine(), &capabilities)?;
        let keeps = capabilities.contains(&Capability::State);
        let folder = self.state.join(format!("{}.state", spec.name));
        let about = About {
            version: blake3::hash(bytes).to_hex().to_string(),
            spec,
            capabilities,
            declared: Arc::new(declared),
            state: keeps.then(|| State::new(folder)),
        };
        let component = Component::new(
            linker.instantiate_pre(compiled).map_err(no_tool)?,
            match command {
                Some(run) => Entry::Command(run),
                None => Entry::Tool(export(compiled, "run")?),
            },
            about,
            self.limits,
            self.ticker.clone(),
            self.rooms.clone(),
        );
        match command {
            Some(_) => command::with_help(component),
            None => Ok(component),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.hot
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn ticker(&self) -> Arc<Ticker> {
        self.ticker.clone()
    }

    pub(crate) fn compiled(&self, bytes: &[u8]) -> Result<component::Component, LoadError> {
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
    fn describe(&self, compiled: &component::Component) -> Result<Spec, LoadError> {
        let mut linker: Linker<Guest> = Linker::new(compiled.engine());
        linker
            .define_unknown_imports_as_traps(compiled)
            .map_err(no_tool)?;
        let linked = linker.instantiate_pre(compiled).map_err(no_tool)?;
        let _running = self.ticker.run();
        let guest = Guest::new(self.limits, None, None, Arc::default());
        let mut store = store(compiled.engine(), self.limits, guest);
        store.epoch_deadline_callback(|context| match context.data().over() {
            Some(halt) => Err(wasmtime::Error::new(halt)),
            None => Ok(UpdateDeadline::Continue(1)),
        });
        let described = match names_hosts(compiled) {
            true => ask_second(linked, &mut store),
            false => ask_first(linked, &mut store),
        };
        described?.map_err(|error| LoadError::Describe(CallError::of(&error, store.data())))
    }
}

/// Says what it is, in one version of the world; the outer error is that it is of none.
type Described = Result<wasmtime::Result<Spec>, LoadError>;

fn ask_first(linked: InstancePre<Guest>, store: &mut wasmtime::Store<Guest>) -> Described {
    let ready = first::ToolPre::new(linked).map_err(no_tool)?;
    let tool = ready.instantiate(&mut *store);
    Ok(tool.and_then(|tool| Ok(tool.call_describe(store)?.into())))
}

fn ask_second(linked: InstancePre<Guest>, store: &mut wasmtime::Store<Guest>) -> Described {
    let ready = second::ToolPre::new(linked).map_err(no_tool)?;
    let tool = ready.instantiate(&mut *store);
    Ok(tool.and_then(|tool| tool.call_describe(store)))
}

/// Whether what it says of itself is in the words of version 0.2.0, which has hosts in it.
fn names_hosts(compiled: &component::Component) -> bool {
    let Some((ComponentItem::ComponentFunc(describe), _)) = compiled.get_export(None, "describe")
    else {
        return false;
    };
    let has_hosts = |given: component::types::Type| match given {
        component::types::Type::Record(record) => record.fields().any(|one| one.name == "hosts"),
        _ => false,
    };
    describe.results().any(has_hosts)
}

fn export(
    compiled: &component::Component,
    name: &str,
) -> Result<component::ComponentExportIndex, LoadError> {
    let export = compiled.get_export_index(None, name);
    export.ok_or_else(|| LoadError::NoTool(format!("it has no function {name}")))
}

/// # Errors
/// When it imports what it did not declare, or declared what it does not get.
fn admit(
    imported: &[Capability],
    declared: &[Capability],
    granted: &[Capability],
) -> Result<(), LoadError> {
    if let Some(one) = imported.iter().find(|one| !declared.contains(one)) {
        return Err(LoadError::Undeclared(*one));
    }
    match declared.iter().find(|one| !granted.contains(one)) {
        Some(one) => Err(LoadError::NotGranted(*one)),
        None => Ok(()),
    }
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<component::Component, LoadError> {
    component::Component::from_binary(engine, bytes)
        .map_err(|error| LoadError::Malformed(clip(&error.root_cause().to_string())))
}

fn imported(compiled: &component::Component) -> Result<Vec<Capability>, LoadError> {
    let kind = compiled.component_type();
    kind.imports(compiled.engine())
        .filter(|(_, import)| !matches!(import.ty, ComponentItem::Type(_)))
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
