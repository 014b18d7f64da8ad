//! Tools that the engine writes for itself: the compiler of this machine, confined, and the shelf that kept ones come to.

use super::tools::{self, Offered};
use crate::cli::Context;
use crate::config::Config;
use crate::config::env::inherited;
use anyhow::{Context as _, bail};
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use titan_forge::ForgeTool;
use titan_protocol::{Care, Draft, ToolKeeper, ToolMaker};
use titan_sandbox::{Confinement, open_closed};
use titan_wasm::{Candidate, Maker, Progress, Ready, Toolchain, WasmHost};

/// The toolchain that the config and this machine name.
///
/// # Errors
/// When the config can't be read.
pub(crate) fn toolchain(context: &Context) -> anyhow::Result<Toolchain> {
    let config = context.config()?;
    Ok(described(context, config))
}

pub(super) fn described(context: &Context, config: &Config) -> Toolchain {
    let environment = inherited();
    let folder = |name: &str| environment.get(name).map(PathBuf::from);
    let rustup = folder("RUSTUP_HOME").or_else(|| Some(folder("HOME")?.join(".rustup")));
    let path = environment
        .get("PATH")
        .map(String::as_str)
        .unwrap_or_default();
    Toolchain {
        folder: config
            .jit
            .folder
            .clone()
            .unwrap_or_else(|| context.home.jit()),
        named: config
            .jit
            .rustc
            .clone()
            .or_else(|| context.env.rustc.clone()),
        rustup: rustup.into_iter().collect(),
        programs: std::env::split_paths(path)
            .filter(|folder| folder.is_absolute())
            .collect(),
        open: Arc::new(open_closed),
    }
}

/// What there is of a toolchain.
pub(crate) struct Found {
    pub(crate) toolchain: Toolchain,
    /// What was prepared, if it still holds.
    pub(crate) ready: Option<Ready>,
    pub(crate) candidates: Vec<Candidate>,
}

/// Looks for compilers.
///
/// # Errors
/// When the config can't be read.
pub(crate) async fn find(context: &Context) -> anyhow::Result<Found> {
    let toolchain = toolchain(context)?;
    Ok(Found {
        ready: toolchain.ready(),
        candidates: toolchain.find().await,
        toolchain,
    })
}

/// Makes the toolchain ready, once.
///
/// # Errors
/// When there is none, or it does not work.
pub(crate) async fn prepare(
    context: &Context,
    progress: impl FnMut(Progress),
) -> anyhow::Result<Ready> {
    context.home.prepare()?;
    let host = tools::host(context)?;
    Ok(toolchain(context)?.prepare(&host, progress).await?)
}

/// Has a toolchain that is ready show that it works.
///
/// # Errors
/// When none is ready, or it does not.
pub(crate) async fn prove(context: &Context) -> anyhow::Result<Ready> {
    let toolchain = toolchain(context)?;
    let Some(ready) = toolchain.ready() else {
        bail!("{}", toolchain.missing(&toolchain.find().await));
    };
    let proved = toolchain.prove(&ready, &tools::host(context)?).await;
    proved.map_err(anyhow::Error::msg).with_context(|| {
        format!(
            "{} was prepared but makes no tool now",
            ready.rustc.display()
        )
    })?;
    Ok(ready)
}

/// Makes a tool that is to be kept.
///
/// # Errors
/// When nothing can be compiled here, or it does not compile.
pub(crate) async fn make(context: &Context, draft: &Draft) -> anyhow::Result<Vec<u8>> {
    context.home.prepare()?;
    let host = tools::host(context)?;
    let maker = Maker::new(toolchain(context)?, Arc::new(move || Ok(host.clone())));
    Ok(maker.make(draft, Care::Kept).await?.component)
}

/// What writes tools, and where those that are kept come to.
pub(super) struct Forge {
    toolchain: Toolchain,
    pub(super) tool: Arc<ForgeTool>,
    keeper: Arc<Keeper>,
}

impl Forge {
    /// Nothing is looked for and no host is opened before a tool is written.
    pub(super) fn new(context: &Context, config: &Config) -> Self {
        let toolchain = described(context, config);
        let host: OnceLock<Result<WasmHost, String>> = OnceLock::new();
        let settings = tools::config(context);
        let open = move || {
            let open = || WasmHost::open(settings.clone()).map_err(|error| error.to_string());
            host.get_or_init(open).clone()
        };
        let maker = Arc::new(Maker::new(toolchain.clone(), Arc::new(open)));
        let keeper = Arc::new(Keeper::default());
        let taken: Vec<&str> = tools::own_names().collect();
        let tool = Arc::new(ForgeTool::new(maker, keeper.clone(), &taken));
        Self {
            toolchain,
            tool,
            keeper,
        }
    }

    /// Whether a tool that is written now could be made, where a compiler that is fed what a model wrote is confined.
    pub(super) fn is_ready(&self) -> bool {
        Confinement::of_this_machine().is_sound() && self.toolchain.ready().is_some()
    }

    /// Says where tools that are kept are offered.
    pub(super) fn offers_with(&self, offered: &Arc<Offered>) {
        // It is told once, by whoever made both.
        let _ = self.keeper.0.set(Arc::downgrade(offered));
    }
}

/// Keeps tools on the shelf and offers them.
#[derive(Default)]
struct Keeper(OnceLock<Weak<Offered>>);

#[async_trait]
impl ToolKeeper for Keeper {
    async fn keep(&self, draft: &Draft, component: &[u8]) -> Result<(), String> {
        let offered = self.0.get().and_then(Weak::upgrade);
        let offered = offered.ok_or_else(|| "the engine is just starting or ending".to_owned())?;
        let (draft, component) = (draft.clone(), component.to_owned());
        let kept = tokio::task::spawn_blocking(move || offered.keep(&draft, &component)).await;
        kept.map_err(|error| error.to_string())?
    }
}
