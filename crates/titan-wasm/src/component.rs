//! A component that is ready to be called.

use crate::capability::Capability;
use crate::guest::{Guest, Limits};
use crate::reach::{Declared, Host, Reach};
use crate::state::State;
use crate::ticker::Ticker;
use crate::trouble::{CallError, Halt};
use crate::wasi::{Given, Wasi};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use titan_protocol::{Taint, ToolContext, ToolError, ToolSpec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{ComponentExportIndex, InstancePre};
use wasmtime::{Store, UpdateDeadline};

/// What is given and given back. The two versions of the world agree on it.
type Run<'a> = wasmtime::component::TypedFunc<(&'a str,), (Result<String, String>,)>;

/// How a command-line program ends: with nothing said, or with nothing said about what went wrong.
type Command = wasmtime::component::TypedFunc<(), (Result<(), ()>,)>;

/// What is called.
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    /// `run` of the world `tool`.
    Tool(ComponentExportIndex),
    /// `run` of a command-line program for WASI 0.2.
    Command(ComponentExportIndex),
}

/// A component that is ready. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    ready: InstancePre<Guest>,
    entry: Entry,
    about: Arc<About>,
    limits: Limits,
    ticker: Arc<Ticker>,
    rooms: Rooms,
}

/// How many calls may be under way at once.
#[derive(Clone)]
pub(crate) struct Rooms {
    /// Of those that only compute, a thread each.
    pub(crate) computing: Arc<Semaphore>,
    /// Of those that wait for others, a stack each.
    pub(crate) waiting: Arc<Semaphore>,
}

/// What a component is and may, as it was found when it was loaded.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) spec: ToolSpec,
    /// The hash of its bytes.
    pub(crate) version: String,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) declared: Arc<Declared>,
    /// Where its values are, if it keeps any.
    pub(crate) state: Option<State>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// What the component gave back: its output, or what it says went wrong; or why it gave nothing.
    pub result: Result<Result<String, String>, CallError>,
    /// What it logged, a line each; at most 8 KiB.
    pub log: String,
}

impl Component {
    pub(crate) fn new(
        ready: InstancePre<Guest>,
        entry: Entry,
        about: About,
        limits: Limits,
        ticker: Arc<Ticker>,
        rooms: Rooms,
    ) -> Self {
        Self {
            ready,
            entry,
            about: Arc::new(about),
            limits,
            ticker,
            rooms,
        }
    }

    /// The same component, which may use so much.
    pub(crate) fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What it is, whatever it says of itself.
    pub(crate) fn version(&self) -> &str {
        &self.about.version
    }

    /// What it says it is.
    pub fn spec(&self) -> &ToolSpec {
        &self.about.spec
    }

    /// The same component, of which more is told.
    pub(crate) fn with_more_told(mut self, text: &str) -> Self {
        Arc::make_mut(&mut self.about).spec.description += text;
        self
    }

    /// What it declared and got.
    pub fn capabilities(&self) -> &[Capability] {
        &self.about.capabilities
    }

    /// The hosts that it declared.
    pub fn hosts(&self) -> &[Host] {
        &self.about.declared.hosts
    }

    /// The tools that it declared.
    pub fn tools(&self) -> &[String] {
        &self.about.declared.tools
    }

    /// The folder of what it keeps from call to call, if it keeps anything.
    pub(crate) fn kept(&self) -> Option<&Path> {
        self.about.state.as_ref().map(State::folder)
    }

    /// Whether calls of it ask others.
    pub(crate) fn reaches_out(&self) -> bool {
        self.about.capabilities.iter().any(|one| one.reaches_out())
    }

    /// Whether calls of it wait for something, so that they can only be made with [`Component::call_out`].
    pub(crate) fn waits(&self) -> bool {
        self.about.capabilities.iter().any(|one| one.waits())
    }

    /// Runs it once, in an instance of its own, with a JSON object. Blocks until it is done, at a limit, or at most a few
    /// milliseconds after `is_stopped` was set by somebody. One that declares `http`, `tools` or `wasi` runs only as a tool,
    /// and breaks off here.
    pub fn call(&self, arguments: &str, is_stopped: &Arc<AtomicBool>) -> Finished {
        let outside = || Finished {
            result: Err(CallError::Outside),
            log: String::new(),
        };
        let Entry::Tool(run) = self.entry else {
            return outside();
        };
        if self.waits() {
            return outside();
        }
        let _running = self.ticker.run();
        let mut store = self.store(None, None, is_stopped.clone());
        store.epoch_deadline_callback(|context| match context.data().over() {
            Some(halt) => Err(wasmtime::Error::new(halt)),
            None => Ok(UpdateDeadline::Continue(1)),
        });
        let given = self
            .ready
            .instantiate(&mut store)
            .and_then(|instance| instance.get_typed_func(&mut store, run))
            .and_then(|run: Run| run.call(&mut store, (arguments,)))
            .map(|(given,)| given);
        self.finished(given, store).0
    }

    /// Runs it once, in an instance of its own, where it may ask those that it declared. It lets others run every few
    /// milliseconds. A command-line program is given the words `args` and the text `stdin` of its arguments. Dropping the
    /// future ends it.
    ///
    /// # Errors
    /// What a tool that it called could not mend.
    pub(crate) async fn call_out(
        &self,
        arguments: &str,
        context: &ToolContext,
    ) -> Result<(Finished, Taint), ToolError> {
        let _place = place(&self.rooms.waiting).await?;
        let reach = Reach::new(self.about.declared.clone(), context);
        let (finished, reach) = self.waiting(arguments, Some(reach)).await;
        let heard = reach.map_or(Ok(Taint::NONE), Reach::end)?;
        Ok((finished, heard))
    }

    /// The same where there is nobody to ask.
    pub(crate) async fn call_alone(&self, arguments: &str) -> Finished {
        self.waiting(arguments, None).await.0
    }

    async fn waiting(&self, arguments: &str, reach: Option<Reach>) -> (Finished, Option<Reach>) {
        let _running = self.ticker.run();
        let mut store = self.store(reach, self.wasi(arguments), Arc::default());
        store.epoch_deadline_callback(|context| match context.data().over() {
            Some(halt) => Err(wasmtime::Error::new(halt)),
            None => Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(tokio::task::yield_now()),
            )),
        });
        let given = self.ask(&mut store, arguments).await;
        self.finished(given, store)
    }

    /// Waits for a thread to run it on, once.
    ///
    /// # Errors
    /// Never while it lives.
    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit, ToolError> {
        place(&self.rooms.computing).await
    }

    async fn ask(
        &self,
        store: &mut Store<Guest>,
        arguments: &str,
    ) -> wasmtime::Result<Result<String, String>> {
        let after = self.limits.wall_clock_max;
        match self.about.capabilities.contains(&Capability::Wasi) {
            // It can wait for a moment of its own choice, in which nobody looks at the clock.
            true => tokio::time::timeout(after, self.enter(store, arguments))
                .await
                .unwrap_or_else(|_| Err(wasmtime::Error::new(Halt::Time { after }))),
            false => self.enter(store, arguments).await,
        }
    }

    async fn enter(
        &self,
        store: &mut Store<Guest>,
        arguments: &str,
    ) -> wasmtime::Result<Result<String, String>> {
        let instance = self.ready.instantiate_async(&mut *store).await?;
        match self.entry {
            Entry::Tool(run) => {
                let run: Run = instance.get_typed_func(&mut *store, run)?;
                let (given,) = run.call_async(store, (arguments,)).await?;
                Ok(given)
            }
            Entry::Command(run) => {
                let run: Command = instance.get_typed_func(&mut *store, run)?;
                let ended = run.call_async(&mut *store, ()).await;
                store.data_mut().wasi().ended(ended)
            }
        }
    }

    /// What it sees of a machine, where it sees any.
    fn wasi(&self, arguments: &str) -> Option<Wasi> {
        let sees = self.about.capabilities.contains(&Capability::Wasi);
        sees.then(|| {
            let given = match self.entry {
                Entry::Command(_) => serde_json::from_str(arguments).unwrap_or_default(),
                Entry::Tool(_) => Given::default(),
            };
            Wasi::new(&self.about.spec.name, given, self.limits)
        })
    }

    fn finished(
        &self,
        given: wasmtime::Result<Result<String, String>>,
        store: Store<Guest>,
    ) -> (Finished, Option<Reach>) {
        let result = match given {
            Ok(given) => self.bounded(given),
            Err(error) => Err(CallError::of(&error, store.data())),
        };
        let (log, reach) = store.into_data().into_parts();
        (Finished { result, log }, reach)
    }

    fn bounded(&self, given: Result<String, String>) -> Result<Result<String, String>, CallError> {
        let max = self.limits.output_bytes_max;
        match given.as_ref().unwrap_or_else(|wrong| wrong).len() <= max {
            true => Ok(given),
            false => Err(CallError::Output { max }),
        }
    }

    fn store(
        &self,
        reach: Option<Reach>,
        wasi: Option<Wasi>,
        is_stopped: Arc<AtomicBool>,
    ) -> Store<Guest> {
        let state = self.about.state.clone();
        let mut guest = Guest::new(self.limits, state, reach, is_stopped);
        if let Some(wasi) = wasi {
            guest = guest.with_wasi(wasi);
        }
        store(self.ready.engine(), self.limits, guest)
    }
}

async fn place(room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ToolError> {
    let place = room.clone().acquire_owned().await;
    place.map_err(|error| ToolError::Fatal(error.to_string()))
}

/// A place for one call.
pub(crate) fn store(engine: &wasmtime::Engine, limits: Limits, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| guest);
    // What a component hands over may name the same bytes many times.
    store.set_hostcall_fuel(limits.memory_bytes_max);
    store.set_epoch_deadline(1);
    store
}
