//! Finds the model that answers, and lists what there is.

use super::local::{self, LocalModel};
use super::{lower, network, no_model};
use crate::cli::Context;
use crate::config::choose::{self, Choice, Found, LOCAL};
use crate::config::{Config, Provider, ProviderKind};
use std::sync::Arc;
use titan_local::{LocalEmbedder, LocalProvider};
use titan_protocol::{Egress, ModelInfo};
use titan_providers::probe::{discover_loopback, probe};
use titan_providers::{ProviderConfig, Router};
use url::Url;

/// The model that answers, with all that is needed to reach it.
pub(super) struct Setting {
    pub(super) choice: Choice,
    providers: Vec<ProviderConfig>,
    local: Option<LocalModel>,
    context_tokens_max: u32,
}

impl Setting {
    pub(super) fn is_local(&self) -> bool {
        is_local(&self.choice.model)
    }

    /// The local model, if it is on this machine.
    pub(super) fn local(&self) -> Option<Arc<LocalProvider>> {
        self.local.as_ref().map(|local| local.provider.clone())
    }

    /// The model's name for people.
    pub(super) fn shown(&self) -> String {
        match &self.local {
            Some(local) if self.is_local() => format!("{} (local)", local.id),
            _ => self.choice.model.clone(),
        }
    }

    pub(super) fn context_tokens_max(&self) -> u32 {
        self.context_tokens_max
    }

    pub(super) fn router(
        &self,
        config: &Config,
        egress: &Arc<dyn Egress>,
        day_spent_usd_micros: u64,
    ) -> anyhow::Result<Router> {
        let lowered = lower::providers_config(
            config,
            &self.choice,
            self.providers.clone(),
            day_spent_usd_micros,
        );
        let ports = titan_providers::Ports {
            egress: egress.clone(),
            local: self
                .local
                .as_ref()
                .map(|local| local.provider.clone() as Arc<dyn titan_protocol::Provider>),
            embedder: Some(Arc::new(LocalEmbedder::new())),
        };
        Ok(titan_providers::open(lowered, ports)?)
    }
}

pub(super) fn is_local(model: &str) -> bool {
    model == LOCAL || model.starts_with("local/")
}

/// Finds the model that answers. The local one is downloaded where it is needed and missing.
///
/// # Errors
/// When the chosen model is not there or can't be had.
pub(super) async fn settle(
    context: &Context,
    config: &Config,
    asked: Option<&str>,
    egress: &Arc<dyn Egress>,
    keys: &[String],
) -> anyhow::Result<Setting> {
    let servers = servers(context, config, asked, egress).await;
    let found: Vec<Found> = servers.iter().map(|server| server.found.clone()).collect();
    let choice = choose::choose(asked, config, &context.env, &found, context.is_offline);
    let local = match choice.model.strip_prefix("local/") {
        Some(name) => Some(local::obtain(context, config, Some(name), egress).await?),
        None if is_local(&choice.model) => {
            Some(local::obtain(context, config, None, egress).await?)
        }
        None => local::if_here(context, config, None),
    };
    let mut providers = lower::providers(
        config,
        &context.env,
        &choice,
        local.as_ref().map(|local| local.id.as_str()),
        keys,
    )?;
    // What discovery knows of a server is more than its address.
    for server in servers {
        if let Some(known) = providers
            .iter_mut()
            .find(|provider| provider.name == server.config.name)
        {
            let model = std::mem::take(&mut known.model);
            let secret = known.secret.take();
            let context_tokens_max = server
                .config
                .context_tokens_max
                .or(known.context_tokens_max);
            *known = ProviderConfig {
                model,
                secret,
                context_tokens_max,
                ..server.config
            };
        }
    }
    let chosen = providers
        .iter()
        .find(|provider| choice.model.split('/').next() == Some(&provider.name));
    if context.is_offline && !is_local(&choice.model) && !chosen.is_some_and(is_on_loopback) {
        return Err(no_model(format!(
            "{} is beyond this machine, and nothing beyond it may be reached offline. Use the local model: --model local",
            choice.model
        )));
    }
    let context_tokens_max = match (&local, is_local(&choice.model)) {
        (Some(local), true) => local.context_tokens_max,
        _ => lower::context_tokens(chosen, None),
    };
    Ok(Setting {
        choice,
        providers,
        local,
        context_tokens_max,
    })
}

fn is_on_loopback(provider: &ProviderConfig) -> bool {
    match (&provider.base_url, provider.kind) {
        (Some(url), _) => choose::is_loopback(url.as_str()),
        (None, kind) => kind == titan_providers::ProviderKind::Ollama,
    }
}

/// A model server that answers.
pub(super) struct Server {
    pub(super) found: Found,
    config: ProviderConfig,
}

/// The model servers that the choice has to know of: the one that the environment names, or those on loopback.
async fn servers(
    context: &Context,
    config: &Config,
    asked: Option<&str>,
    egress: &Arc<dyn Egress>,
) -> Vec<Server> {
    let env = &context.env;
    if asked
        .or(env.model.as_deref())
        .or(config.models.chat.as_deref())
        .is_some()
    {
        return Vec::new();
    }
    match env.openai_base_url.as_deref() {
        Some(url) if choose::has_base_url(env, context.is_offline) => {
            named_server(url, egress).await.into_iter().collect()
        }
        _ if choose::needs_discovery(asked, config, env, context.is_offline) => {
            on_loopback(egress).await
        }
        _ => Vec::new(),
    }
}

/// The server that the environment names, as it says itself what it has. No model is named to it before that.
async fn named_server(url: &str, egress: &Arc<dyn Egress>) -> Option<Server> {
    let unnamed = ProviderConfig {
        base_url: Some(Url::parse(url).ok()?),
        secret: Some(choose::OPENAI_SECRET.to_owned()),
        ..ProviderConfig::new(
            choose::COMPATIBLE,
            titan_providers::ProviderKind::OpenAiChat,
            "",
        )
    };
    let models = match probe(egress.clone(), &unnamed).await {
        Ok(probe) => probe.models,
        Err(error) => {
            tracing::warn!(%error, url, "OPENAI_BASE_URL does not answer");
            return None;
        }
    };
    let first = models.first()?;
    let config = ProviderConfig {
        model: first.model.clone(),
        context_tokens_max: first.context_tokens_max,
        native_tools: first.native_tools,
        ..unnamed
    };
    Some(Server {
        found: found(&config, &models),
        config,
    })
}

async fn on_loopback(egress: &Arc<dyn Egress>) -> Vec<Server> {
    discover_loopback(egress.clone())
        .await
        .into_iter()
        .map(|server| Server {
            found: found(&server.config, &server.probe.models),
            config: server.config,
        })
        .collect()
}

fn found(config: &ProviderConfig, models: &[ModelInfo]) -> Found {
    use titan_providers::ProviderKind as Kind;
    Found {
        name: config.name.clone(),
        kind: match config.kind {
            Kind::Ollama => ProviderKind::Ollama,
            _ => ProviderKind::Compatible,
        },
        base_url: config
            .base_url
            .as_ref()
            .map_or_else(String::new, Url::to_string),
        models: models.iter().map(|model| model.model.clone()).collect(),
    }
}

/// The model servers on loopback, for guided set-up and check-ups.
///
/// # Errors
/// When the config can't be lowered.
pub(crate) async fn look_around(context: &Context, config: &Config) -> anyhow::Result<Vec<Found>> {
    let (egress, _) = network(context, config).await?;
    Ok(on_loopback(&egress)
        .await
        .into_iter()
        .map(|server| server.found)
        .collect())
}

/// A provider with its models, or why they are not known.
pub(crate) struct Listed {
    pub(crate) provider: String,
    pub(crate) models: Result<Vec<ModelInfo>, String>,
    /// The model of it that is used where none is named, if one is.
    usual: Option<String>,
    /// Tokens that a server is asked to make room for, where it does what it is asked.
    asked_tokens: Option<u32>,
}

impl Listed {
    /// What to do where the model in use has a smaller window than it is asked for.
    pub(crate) fn too_wide(&self, config: &Config) -> Option<String> {
        let chosen = config.models.chat.as_deref();
        let chosen = chosen.and_then(|name| name.strip_prefix(&format!("{}/", self.provider)));
        let models = self.models.as_deref().ok()?;
        let used = chosen
            .or(self.usual.as_deref())
            .map_or(models.first(), |name| {
                models.iter().find(|model| is_called(model, name))
            })?;
        too_wide(used, self.asked_tokens?)
    }
}

/// Ollama's names end with a tag, and `:latest` may be left out.
fn is_called(model: &ModelInfo, name: &str) -> bool {
    model.model == name || model.model.strip_suffix(":latest") == Some(name)
}

/// A server that is asked for more than the model's window gives less without a word, and the beginning of a long
/// thread would be gone.
fn too_wide(model: &ModelInfo, asked: u32) -> Option<String> {
    let window = model.context_tokens_max.filter(|window| *window < asked)?;
    let ModelInfo {
        provider, model, ..
    } = model;
    Some(format!(
        "{provider}/{model} reads and writes {window} tokens together, but {asked} are asked for, so the beginning of a long conversation would be cut off without a word. Set context_tokens = {window} in the [[providers]] entry with name = \"{provider}\" and kind = \"ollama\""
    ))
}

/// The models of all providers that are configured or found.
///
/// # Errors
/// When the config can't be lowered.
pub(crate) async fn list_models(context: &Context, config: &Config) -> anyhow::Result<Vec<Listed>> {
    let (egress, keys) = network(context, config).await?;
    let mut wanted: Vec<Provider> = config.providers.clone();
    for name in ["anthropic/", "openai/", "compatible/"] {
        let implied = choose::implied_provider(name, config, &context.env);
        wanted.extend(implied.filter(|provider| provider.secret.starts_with("env:")));
    }
    let mut listed = Vec::new();
    for provider in wanted {
        let models = models_of(&provider, &keys, &egress).await;
        listed.push(Listed {
            asked_tokens: asked_tokens(&provider),
            provider: provider.name,
            models,
            usual: provider.model,
        });
    }
    for server in on_loopback(&egress).await {
        if !listed
            .iter()
            .any(|known| known.provider == server.config.name)
        {
            let unlisted = choose::unlisted(&server.found);
            listed.push(Listed {
                asked_tokens: asked_tokens(&unlisted),
                models: models_at(server.config.clone(), &egress).await,
                usual: None,
                provider: server.config.name,
            });
        }
    }
    Ok(listed)
}

fn asked_tokens(provider: &Provider) -> Option<u32> {
    let is_asked = provider.kind == ProviderKind::Ollama;
    lower::context_tokens_asked(provider).filter(|_| is_asked)
}

async fn models_of(
    provider: &Provider,
    keys: &[String],
    egress: &Arc<dyn Egress>,
) -> Result<Vec<ModelInfo>, String> {
    let any = format!("{}/any", provider.name);
    let lowered =
        lower::provider_config(provider, &[&any], keys).map_err(|error| format!("{error:#}"))?;
    models_at(lowered, egress).await
}

async fn models_at(
    provider: ProviderConfig,
    egress: &Arc<dyn Egress>,
) -> Result<Vec<ModelInfo>, String> {
    let config = titan_providers::ProvidersConfig {
        providers: vec![provider],
        ..titan_providers::ProvidersConfig::default()
    };
    let ports = titan_providers::Ports {
        egress: egress.clone(),
        local: None,
        embedder: None,
    };
    let router = titan_providers::open(config, ports).map_err(|error| error.to_string())?;
    router.listed().await.map_err(|error| error.to_string())
}

/// A model, opened without an engine.
pub(crate) struct Opened {
    /// As `provider/model`.
    pub(crate) model: String,
    /// The local model itself, where it is the one.
    pub(crate) local: Option<Arc<LocalProvider>>,
    pub(crate) provider: Arc<dyn titan_protocol::Provider>,
    /// What to do where its window is smaller than what it is asked for.
    pub(crate) too_wide: Option<String>,
}

/// Opens the model that is asked for, or the one that would answer.
///
/// # Errors
/// When it is not there or can't be had.
pub(crate) async fn open_model(
    context: &Context,
    config: &Config,
    asked: Option<&str>,
) -> anyhow::Result<Opened> {
    let (egress, keys) = network(context, config).await?;
    let setting = settle(context, config, asked, &egress, &keys).await?;
    Ok(Opened {
        too_wide: window_of(&setting, &egress).await,
        local: setting
            .local
            .as_ref()
            .filter(|_| setting.is_local())
            .map(|local| local.provider.clone()),
        provider: Arc::new(setting.router(config, &egress, 0)?),
        model: setting.choice.model,
    })
}

/// Asks an Ollama server for the window of the model that was chosen.
async fn window_of(setting: &Setting, egress: &Arc<dyn Egress>) -> Option<String> {
    let (provider, model) = setting.choice.model.split_once('/')?;
    let config = setting
        .providers
        .iter()
        .find(|it| it.name == provider && it.kind == titan_providers::ProviderKind::Ollama)?;
    let models = models_at(config.clone(), egress).await.ok()?;
    let info = models.iter().find(|info| is_called(info, model))?;
    too_wide(info, config.context_tokens_max?)
}

/// Brings a local model onto this machine and says where it came from.
///
/// # Errors
/// When it is not known, or no source gives it.
pub(crate) async fn pull(
    context: &Context,
    config: &Config,
    name: Option<&str>,
) -> anyhow::Result<String> {
    let (egress, _) = network(context, config).await?;
    local::pull(context, config, name, &egress).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(model: &str, window: Option<u32>) -> Listed {
        let info = ModelInfo {
            provider: "ollama".into(),
            model: model.into(),
            context_tokens_max: window,
            native_tools: None,
            constrained_output: None,
            is_local: true,
            price: None,
        };
        Listed {
            provider: "ollama".into(),
            models: Ok(vec![info]),
            usual: None,
            asked_tokens: Some(16_384),
        }
    }

    #[test]
    fn a_window_smaller_than_what_is_asked_for_is_told_with_the_key_to_change() {
        let mut config = Config::default();
        let told = listed("small:latest", Some(4_096)).too_wide(&config);
        let told = told.expect("a warning");
        assert!(
            told.contains("4096")
                && told.contains("16384")
                && told.contains("context_tokens = 4096"),
            "{told}"
        );
        assert_eq!(listed("large", Some(16_384)).too_wide(&config), None);
        assert_eq!(listed("unknown", None).too_wide(&config), None);
        config.models.chat = Some("ollama/small".into());
        assert!(
            listed("small:latest", Some(4_096))
                .too_wide(&config)
                .is_some()
        );
        config.models.chat = Some("ollama/another".into());
        assert_eq!(listed("small", Some(4_096)).too_wide(&config), None);
    }
}
