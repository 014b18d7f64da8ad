//! The tools that are components: kept in the home, offered beside the built-in ones, and run by hand.

use super::forge::Forge;
use super::{now, secrets, workbenches};
use crate::cli::Context;
use crate::config::env::inherited;
use crate::daemon::{SocketClient, is_served};
use anyhow::{Context as _, anyhow, bail};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use titan_forge::FORGE_TOOL;
use titan_protocol::{
    CallId, Draft, Egress, Event, Origin, SessionId, StorageError, Taint, ToolCall, TurnId,
};
use titan_sandbox::GuardedEgress;
use titan_store::StoreConfig;
use titan_wasm::{
    Change, Component, ComponentTool, Config, Shelf, ShelfError, Slots, WasmHost, load_kept,
};
use tokio_util::sync::CancellationToken;

/// A component on the shelf, and whether it can be offered.
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) component: anyhow::Result<Component>,
}

/// How a call by hand ended.
pub(crate) struct Called {
    pub(crate) text: String,
    pub(crate) is_error: bool,
}

/// Every component that is kept, in the order of their names. Each is made ready, which takes a moment where it was not
/// compiled before.
///
/// # Errors
/// When the shelf can't be read or no component can be run here.
pub(crate) fn kept(context: &Context) -> anyhow::Result<Vec<Kept>> {
    let shelf = shelf(context);
    let names = shelf.names()?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let host = host(context)?;
    let kept = |name: String| Kept {
        component: ready(&host, &shelf, &name),
        name,
    };
    Ok(names.into_iter().map(kept).collect())
}

/// The component of this name.
///
/// # Errors
/// When there is none, or it can't be offered.
pub(crate) fn find(context: &Context, name: &str) -> anyhow::Result<Component> {
    let shelf = shelf(context);
    // Before anything is set up for a name that is none.
    shelf.read(name)?;
    ready(&host(context)?, &shelf, name)
}

/// Makes a component ready that is not kept yet. `name` is what a command-line program is called, which does not say so.
///
/// # Errors
/// When it can't be offered.
pub(crate) fn examine(context: &Context, name: &str, bytes: &[u8]) -> anyhow::Result<Component> {
    context.home.prepare()?;
    let component = host(context)?.load_as(name, bytes)?;
    not_built_in(&component.spec().name)?;
    Ok(component)
}

/// Keeps a component under the name that it gives itself; `replaces`: in the place of one of that name, if there is one.
///
/// # Errors
/// When its name is taken or it can't be written.
pub(crate) fn add(
    context: &Context,
    bytes: &[u8],
    name: &str,
    replaces: bool,
) -> anyhow::Result<()> {
    let shelf = shelf(context);
    match replaces && shelf.names()?.iter().any(|kept| kept == name) {
        true => shelf.replace(name, bytes)?,
        false => shelf.add(name, bytes)?,
    }
    Ok(())
}

/// Keeps a tool that was written here.
///
/// # Errors
/// When its name is taken or it can't be written.
pub(crate) fn keep(context: &Context, draft: &Draft, component: &[u8]) -> anyhow::Result<()> {
    not_built_in(&draft.spec.name)?;
    Ok(shelf(context).keep(draft, component)?)
}

/// What a tool was written as; `None` for one that was added by hand.
///
/// # Errors
/// When it can't be read.
pub(crate) fn draft(context: &Context, name: &str) -> anyhow::Result<Option<Draft>> {
    Ok(shelf(context).draft(name)?)
}

/// A component as it is kept.
///
/// # Errors
/// When there is none of this name, or it can't be read.
pub(crate) fn bytes(context: &Context, name: &str) -> anyhow::Result<Vec<u8>> {
    Ok(shelf(context).read(name)?)
}

/// Takes the version before back.
///
/// # Errors
/// When there is none, or it can't be offered any more.
pub(crate) fn roll_back(context: &Context, name: &str) -> anyhow::Result<()> {
    let shelf = shelf(context);
    load_kept(&host(context)?, name, &shelf.read_previous(name)?)?;
    Ok(shelf.roll_back(name)?)
}

/// Deletes a component and what was made of it.
///
/// # Errors
/// When there is none, or it can't be deleted.
pub(crate) fn remove(context: &Context, name: &str) -> anyhow::Result<()> {
    let shelf = shelf(context);
    // One that can't be read can still be deleted.
    for bytes in shelf.versions(name) {
        host(context)?.forget(&bytes)?;
    }
    Ok(shelf.remove(name)?)
}

/// The components that an engine offers, taken up, exchanged and let go while it runs.
pub(crate) struct Offered {
    slots: Slots,
    pipeline: Arc<titan_exec::Pipeline>,
    forge: Forge,
}

impl Offered {
    pub(super) fn new(
        context: &Context,
        pipeline: Arc<titan_exec::Pipeline>,
        forge: Forge,
    ) -> Arc<Self> {
        let slots = Slots::new(config(context), shelf(context));
        let offered = Arc::new(Self {
            slots,
            pipeline,
            forge,
        });
        offered.forge.offers_with(&offered);
        offered
    }

    /// Looks at the shelf again. What can't be offered is told and left out; what was offered under its name before stays.
    /// Blocks.
    pub(crate) fn look(self: &Arc<Self>) -> Vec<String> {
        let registry = self.pipeline.registry();
        let mut told = Vec::new();
        match self.forge.is_ready() {
            true => {
                let offered = registry.publish(self.forge.tool.clone());
                told.extend(offered.err().map(|error| error.to_string()));
            }
            false => registry.withdraw(FORGE_TOOL),
        }
        told.extend(self.look_and(|component| self.watched(component)));
        told
    }

    /// Keeps a tool that was written, and offers it from now on. Blocks.
    ///
    /// # Errors
    /// Why it is not kept.
    pub(super) fn keep(self: &Arc<Self>, draft: &Draft, component: &[u8]) -> Result<(), String> {
        let name = &draft.spec.name;
        not_built_in(name).map_err(|error| error.to_string())?;
        let kept = self.slots.shelf().keep(draft, component);
        kept.map_err(|error| error.to_string())?;
        let told = self.look();
        match told.into_iter().find(|line| line.contains(name.as_str())) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    /// `newer` makes a tool of what takes another's place.
    fn look_and(&self, newer: impl Fn(Component) -> ComponentTool) -> Vec<String> {
        match self.slots.look() {
            Ok(changes) => changes
                .into_iter()
                .filter_map(|change| self.take_up(change, &newer))
                .collect(),
            Err(error) => vec![format!("no component is offered: {error}")],
        }
    }

    /// Does what a change asks for, and says what can't be done.
    fn take_up(
        &self,
        change: Change,
        newer: impl Fn(Component) -> ComponentTool,
    ) -> Option<String> {
        let (name, refused) = match change {
            Change::Ready { component, .. } if is_own(&component.spec().name) => {
                let name = component.spec().name.clone();
                let why = not_built_in(&name).err().map(|error| error.to_string());
                (name, why)
            }
            Change::Ready {
                component,
                is_newer,
            } => {
                let name = component.spec().name.clone();
                // What the engine wrote is watched whenever it comes; what a person added, when it takes another's place.
                let is_watched = is_newer || self.is_written(&name);
                let tool = match is_watched {
                    true => newer(component),
                    false => ComponentTool::new(component),
                };
                let published = self.pipeline.registry().publish(Arc::new(tool));
                (name, published.err().map(|error| error.to_string()))
            }
            Change::Refused { name, why } => (name, Some(why.to_string())),
            Change::Gone(name) => {
                self.pipeline.registry().withdraw(&name);
                (name, None)
            }
        };
        let why = refused?;
        tracing::warn!(name, why, "a component is not offered");
        Some(format!("the component {name} is not offered: {why}"))
    }

    fn is_written(&self, name: &str) -> bool {
        self.slots
            .shelf()
            .draft(name)
            .is_ok_and(|draft| draft.is_some())
    }

    /// From promotion to demotion: what broke off goes, and the version before it comes back if there is one.
    fn demote(&self, name: &str) -> Result<(), ShelfError> {
        match self.is_written(name) {
            true => self.slots.shelf().demote(name),
            false => self.slots.shelf().roll_back(name),
        }
    }

    /// A new version, until it has shown that it works: if it breaks off, the one before is taken back.
    fn watched(self: &Arc<Self>, component: Component) -> ComponentTool {
        let (offered, name) = (Arc::downgrade(self), component.spec().name.clone());
        ComponentTool::watched(component, move || take_back(&offered, &name))
    }
}

fn take_back(offered: &Weak<Offered>, name: &str) {
    let Some(offered) = offered.upgrade() else {
        return;
    };
    let name = name.to_owned();
    tokio::task::spawn_blocking(move || match offered.demote(&name) {
        Ok(()) => {
            tracing::warn!(name, "a component that is new broke off and was taken back");
            // It was in use before, and there is nothing to take back in its stead.
            offered.look_and(ComponentTool::new);
        }
        Err(error) => {
            tracing::error!(name, %error, "a component that broke off can't be taken back")
        }
    });
}

/// Has an engine that owns the home look at the components again; `None` where none runs.
///
/// # Errors
/// When it does not answer, or is of another version.
pub(crate) async fn tell_engine(context: &Context) -> anyhow::Result<Option<Vec<String>>> {
    let socket = context.home.socket();
    match is_served(&socket).await {
        true => Ok(Some(SocketClient::new(&socket).tools().await?)),
        false => Ok(None),
    }
}

/// Runs a component as a turn would, by the one pipeline, for the person alone: nothing of it is stored.
///
/// # Errors
/// When it can't be offered or there is no place to run it.
pub(crate) async fn call(
    context: &Context,
    name: &str,
    arguments: Map<String, Value>,
) -> anyhow::Result<Called> {
    call_of(context, find(context, name)?, arguments).await
}

/// As [`call`], of a component that need not be kept.
///
/// # Errors
/// When there is no place to run it.
pub(crate) async fn call_of(
    context: &Context,
    component: Component,
    arguments: Map<String, Value>,
) -> anyhow::Result<Called> {
    let name = component.spec().name.clone();
    let folder = tempfile::tempdir().context("no folder can be made for the call")?;
    let store = titan_store::open(&StoreConfig::new(folder.path().join("home"))).await?;
    let keys = secrets::Keys::new(&context.env, None);
    let registry = titan_exec::Registry::new(titan_tools::builtin(titan_tools::Ports {
        memory: Arc::new(super::memory_of(&store, titan_memory::Keeps::default())),
        code: Arc::new(super::code(context)),
        history: Arc::new(titan_codegraph::GitHistory),
        journal: store.journal(),
        blobs: store.blobs(),
    }))?;
    registry.publish(Arc::new(ComponentTool::new(component)))?;
    let pipeline = Arc::new(titan_exec::Pipeline::new(
        registry,
        titan_exec::Policy::new(super::rules(context.config()?)),
        super::lower::exec_limits(context.config()?, None),
        keys.redactor().await?,
        titan_exec::Ports {
            blobs: store.blobs(),
            records: store.records(),
            now,
        },
    ));
    let heard = Arc::new(Heard::default());
    let here = std::env::current_dir().context("the current folder can't be found")?;
    let scope = Arc::new(scope(context, &here, keys, heard.clone())?);
    let call = ToolCall {
        id: CallId::from("by-hand"),
        name,
        arguments,
    };
    pipeline.run(&scope, Origin::Person, call).await?;
    heard.called()
}

fn scope(
    context: &Context,
    root: &Path,
    keys: secrets::Keys,
    heard: Arc<Heard>,
) -> anyhow::Result<titan_exec::Scope> {
    let lowered = super::lower::egress(context.config()?, &context.env, context.is_offline)?;
    let egress: Arc<dyn Egress> = Arc::new(GuardedEgress::open(lowered, Arc::new(keys))?);
    let workbench = workbenches(context, inherited())(root)?;
    Ok(titan_exec::Scope::new(
        SessionId::new(),
        TurnId::new(),
        workbench,
        egress,
        heard,
        CancellationToken::new(),
        false,
        Taint::NONE,
        Arc::default(),
    ))
}

/// Hears how a call ended. There is no journal: a component leaves nothing behind.
#[derive(Default)]
struct Heard(Mutex<Option<Called>>);

impl Heard {
    fn called(&self) -> anyhow::Result<Called> {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        ended.ok_or_else(|| anyhow!("the call has no end"))
    }
}

#[async_trait]
impl titan_exec::EventSink for Heard {
    async fn emit(&self, event: Event) -> Result<(), StorageError> {
        // The last one is its own: those of calls within it have ended before.
        if let Event::ToolCallEnded { text, is_error, .. } = event {
            let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *heard = Some(Called { text, is_error });
        }
        Ok(())
    }

    async fn make_durable(&self) -> Result<(), StorageError> {
        Ok(())
    }

    async fn ask(&self, _question: &str, _choices: &[String]) -> Option<String> {
        None
    }
}

fn shelf(context: &Context) -> Shelf {
    Shelf::new(context.home.tools())
}

pub(super) fn config(context: &Context) -> Config {
    Config::new(context.home.artefacts(), context.home.tools())
}

pub(super) fn host(context: &Context) -> anyhow::Result<WasmHost> {
    Ok(WasmHost::open(config(context))?)
}

/// # Errors
/// When the file can't be read, or what is in it can't be offered under the file's name.
fn ready(host: &WasmHost, shelf: &Shelf, name: &str) -> anyhow::Result<Component> {
    let component = load_kept(host, name, &shelf.read(name)?)?;
    not_built_in(name)?;
    Ok(component)
}

/// The names that no component may take.
pub(super) fn own_names() -> impl Iterator<Item = &'static str> {
    titan_tools::NAMES.into_iter().chain([FORGE_TOOL])
}

fn is_own(name: &str) -> bool {
    own_names().any(|own| own == name)
}

fn not_built_in(name: &str) -> anyhow::Result<()> {
    match is_own(name) {
        true => bail!("{name} is the name of a built-in tool, which no component may take"),
        false => Ok(()),
    }
}
