//! The tools that are components: kept in the home, offered beside the built-in ones, and run by hand.

use super::{now, secrets, workbenches};
use crate::cli::Context;
use crate::config::env::inherited;
use anyhow::{Context as _, anyhow, bail};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use titan_protocol::{
    CallId, Egress, Event, Origin, SessionId, StorageError, Taint, Tool, ToolCall, TurnId,
};
use titan_sandbox::GuardedEgress;
use titan_store::StoreConfig;
use titan_wasm::{Component, ComponentTool, Config, Shelf, WasmHost};
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

/// Keeps a component under the name that it gives itself.
///
/// # Errors
/// When it can't be offered, or its name is taken.
pub(crate) fn add(context: &Context, bytes: &[u8]) -> anyhow::Result<Component> {
    context.home.prepare()?;
    let component = host(context)?.load(bytes)?;
    let name = &component.spec().name;
    not_built_in(name)?;
    shelf(context).add(name, bytes)?;
    Ok(component)
}

/// Deletes a component and what was made of it.
///
/// # Errors
/// When there is none, or it can't be deleted.
pub(crate) fn remove(context: &Context, name: &str) -> anyhow::Result<()> {
    let shelf = shelf(context);
    // One that can't be read can still be deleted.
    if let Ok(bytes) = shelf.read(name) {
        host(context)?.forget(&bytes)?;
    }
    Ok(shelf.remove(name)?)
}

/// The components that the engine offers. One that can't be offered is told and left out.
pub(super) fn offered(context: &Context) -> Vec<Arc<dyn Tool>> {
    let kept = match kept(context) {
        Ok(kept) => kept,
        Err(error) => {
            context.say(&format!("no component is offered: {error:#}"));
            return Vec::new();
        }
    };
    let mut tools: Vec<Arc<dyn Tool>> = Vec::new();
    for kept in kept {
        match kept.component {
            Ok(component) => tools.push(Arc::new(ComponentTool::new(component))),
            Err(error) => context.say(&format!(
                "the component {} is not offered: {error:#}",
                kept.name
            )),
        }
    }
    tools
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
    let component = find(context, name)?;
    let folder = tempfile::tempdir().context("no folder can be made for the call")?;
    let store = titan_store::open(&StoreConfig::new(folder.path().join("home"))).await?;
    let keys = secrets::Keys::new(&context.env, None);
    let pipeline = Arc::new(titan_exec::Pipeline::new(
        titan_exec::Registry::new(vec![Arc::new(ComponentTool::new(component))])?,
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
    let scope = Arc::new(scope(context, folder.path(), keys, heard.clone())?);
    let call = ToolCall {
        id: CallId::from("by-hand"),
        name: name.to_owned(),
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

fn host(context: &Context) -> anyhow::Result<WasmHost> {
    Ok(WasmHost::open(Config::new(context.home.artefacts()))?)
}

/// # Errors
/// When the file can't be read, or what is in it can't be offered under the file's name.
fn ready(host: &WasmHost, shelf: &Shelf, name: &str) -> anyhow::Result<Component> {
    let component = host.load(&shelf.read(name)?)?;
    let own = &component.spec().name;
    if own != name {
        bail!("the file is called {name}.wasm, but the component calls itself {own}");
    }
    not_built_in(name)?;
    Ok(component)
}

fn not_built_in(name: &str) -> anyhow::Result<()> {
    match titan_tools::NAMES.contains(&name) {
        true => bail!("{name} is the name of a built-in tool, which no component may take"),
        false => Ok(()),
    }
}
