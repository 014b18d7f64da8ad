//! The local model: obtained once, opened when asked for.

use super::no_model;
use crate::cli::{Context, tell};
use crate::config::Config;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use titan_local::{
    CatalogueModel, DEFAULT_MODEL, Fetched, LocalConfig, LocalProvider, MODELS, Progress, Source,
};
use titan_protocol::Egress;
use titan_tui::render;

/// Where there is no terminal, progress is told in steps of this size.
const PERCENT_PER_LINE: u64 = 10;

/// The local model, ready to be asked. Nothing is in memory before the first request.
pub(super) struct LocalModel {
    /// Its name in the catalogue, or the path of its file.
    pub(super) id: String,
    pub(super) provider: Arc<LocalProvider>,
    pub(super) context_tokens_max: u32,
}

/// A model of the catalogue.
pub(crate) struct CatalogueEntry {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) bytes: u64,
    /// The file, if it is on this machine.
    pub(crate) path: Option<PathBuf>,
    pub(crate) is_default: bool,
}

/// The local models that are known by name, the default first.
pub(crate) fn catalogue(context: &Context, config: &Config) -> Vec<CatalogueEntry> {
    let folder = models_dir(context, config);
    let chosen = config.local.model.as_deref().unwrap_or(DEFAULT_MODEL);
    MODELS
        .iter()
        .map(|model| CatalogueEntry {
            name: model.id,
            about: model.summary,
            bytes: model.bytes,
            path: titan_local::find_on_machine(model, &folder),
            is_default: model.id == chosen,
        })
        .collect()
}

/// Whether a catalogue model's file is what it should be, byte for byte.
///
/// # Errors
/// When it can't be read.
pub(crate) async fn is_whole(name: &str, path: &Path) -> anyhow::Result<bool> {
    match titan_local::find(name) {
        Some(model) => Ok(titan_local::verify(model, path).await?),
        None => Ok(true),
    }
}

/// Brings a model onto this machine and says where it came from.
///
/// # Errors
/// When it is not known, or no source gives it.
pub(super) async fn pull(
    context: &Context,
    config: &Config,
    name: Option<&str>,
    egress: &Arc<dyn Egress>,
) -> anyhow::Result<String> {
    let id = id(config, name);
    let Some(model) = titan_local::find(&id) else {
        let names: Vec<&str> = MODELS.iter().map(|model| model.id).collect();
        return Err(no_model(format!(
            "no local model is called {id:?}. There are: {}",
            names.join(", ")
        )));
    };
    let fetched = fetch(context, config, model, egress).await?;
    Ok(format!(
        "local/{} is here, from {}: {}",
        model.id,
        fetched.source,
        fetched.path.display()
    ))
}

/// The local model of this name, or the configured one; downloaded where it is not on this machine.
///
/// # Errors
/// When it is not known, or no source gives it.
pub(super) async fn obtain(
    context: &Context,
    config: &Config,
    name: Option<&str>,
    egress: &Arc<dyn Egress>,
) -> anyhow::Result<LocalModel> {
    if let Some(here) = if_here(context, config, name) {
        return Ok(here);
    }
    let id = id(config, name);
    let Some(model) = titan_local::find(&id) else {
        return Err(no_model(format!(
            "{id:?} is neither a known local model nor a file. `titanclaw models list` names the known ones"
        )));
    };
    let fetched = fetch(context, config, model, egress).await?;
    context.say(&format!(
        "the local model came from {} and was checked: {}",
        fetched.source,
        fetched.path.display()
    ));
    Ok(open(context, config, id))
}

/// The local model, if it is on this machine.
pub(super) fn if_here(
    context: &Context,
    config: &Config,
    name: Option<&str>,
) -> Option<LocalModel> {
    let id = id(config, name);
    let here = titan_local::locate(&id, &models_dir(context, config)).is_ok();
    here.then(|| open(context, config, id))
}

fn open(context: &Context, config: &Config, id: String) -> LocalModel {
    let context_tokens_max = config.local.context_tokens_max;
    let provider = LocalProvider::open(LocalConfig {
        model: id.clone(),
        threads: config.local.threads,
        context_tokens_max: context_tokens_max as usize,
        idle_unload: config.local.idle_max.unwrap_or(Duration::MAX),
        prefix_cache_dir: Some(context.home.path().join("prefixes")),
        ..LocalConfig::new(models_dir(context, config))
    });
    LocalModel {
        id,
        provider: Arc::new(provider),
        context_tokens_max,
    }
}

fn id(config: &Config, name: Option<&str>) -> String {
    name.or(config.local.model.as_deref())
        .unwrap_or(DEFAULT_MODEL)
        .to_owned()
}

/// Where models are kept: one place for all homes, since they are large and the same.
fn models_dir(context: &Context, config: &Config) -> PathBuf {
    let cache = || Some(context.env.cache.as_ref()?.join("titanclaw/models"));
    config
        .local
        .models
        .clone()
        .or_else(cache)
        .unwrap_or_else(|| context.home.path().join("models"))
}

async fn fetch(
    context: &Context,
    config: &Config,
    model: &CatalogueModel,
    egress: &Arc<dyn Egress>,
) -> anyhow::Result<Fetched> {
    let egress = (!context.is_offline).then(|| egress.clone());
    let mut shown = ShownProgress::new(context.is_quiet, model);
    let folder = models_dir(context, config);
    let fetched =
        titan_local::pull(model, &folder, egress, &mut |progress| shown.tell(progress)).await;
    shown.end();
    fetched.map_err(|error| no_model(error.to_string()))
}

/// A download as it goes: a bar on a terminal, a line now and then elsewhere, nothing with `--quiet`.
struct ShownProgress {
    bar: ProgressBar,
    is_quiet: bool,
    has_terminal: bool,
    name: &'static str,
    told: Option<(Source, u64)>,
}

impl ShownProgress {
    fn new(is_quiet: bool, model: &CatalogueModel) -> Self {
        let has_terminal = io::stderr().is_terminal();
        let target = match is_quiet || !has_terminal {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(model.bytes), target);
        let style = ProgressStyle::with_template(
            "{msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            is_quiet,
            has_terminal,
            name: model.id,
            told: None,
        }
    }

    fn tell(&mut self, progress: Progress) {
        self.bar
            .set_message(format!("{} from {}", self.name, progress.source));
        self.bar.set_length(progress.bytes_total);
        self.bar.set_position(progress.bytes_done);
        let step = progress.bytes_done * 100 / progress.bytes_total.max(1) / PERCENT_PER_LINE;
        if !self.has_terminal && !self.is_quiet && self.told != Some((progress.source, step)) {
            self.told = Some((progress.source, step));
            tell(&format!(
                "{} from {}: {} of {}",
                self.name,
                progress.source,
                render::bytes(progress.bytes_done),
                render::bytes(progress.bytes_total)
            ));
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
