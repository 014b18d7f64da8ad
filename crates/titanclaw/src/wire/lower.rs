//! Config as each crate wants it. Pure but for the environment that is handed in.

use super::models::Setting;
use crate::cli::Context;
use crate::config::choose::{self, ANTHROPIC_MODEL, Choice, LOCAL, OPENAI_MODEL};
use crate::config::env::Env;
use crate::config::{Config, Provider, ProviderKind, Rule};
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use titan_agent::{PromptSize, TurnLimits};
use titan_memory::Keeps;
use titan_protocol::Task;
use titan_providers::{Ceilings, ProviderConfig, ProvidersConfig, RetryPolicy};
use titan_sandbox::{EgressConfig, ProxyConfig};
use url::Url;

/// Tools that a small local model is offered; more would cost it seconds and confuse it.
const SMALL_TOOLS: [&str; 6] = ["shell", "read", "write", "edit", "list", "grep"];
/// What a small model is shown of an output: about 1,000 tokens, which two cores read in ten seconds.
const SMALL_OUTPUT_BYTES_MAX: usize = 3 << 10;
/// What a hosted model reads and writes together, where nobody says.
const HOSTED_CONTEXT_TOKENS: u32 = 200_000;
/// What Ollama is made to use, where nobody says: its own default is too little for tools, and a model's whole window
/// may need more memory than there is.
const OLLAMA_CONTEXT_TOKENS: u32 = 16_384;
/// What a model server reads and writes together, where nobody says.
const SERVER_CONTEXT_TOKENS: u32 = 32_768;

pub(super) fn egress(config: &Config, env: &Env, is_offline: bool) -> anyhow::Result<EgressConfig> {
    let urls = config
        .providers
        .iter()
        .filter_map(|provider| provider.base_url.as_deref());
    let urls = urls.chain(env.openai_base_url.as_deref());
    let hosts = urls.filter_map(|url| Some(Url::parse(url).ok()?.host_str()?.to_owned()));
    let proxy = env.https_proxy.as_deref().map(|proxy| {
        let url = Url::parse(proxy).with_context(|| {
            format!(
                "HTTPS_PROXY is {proxy:?}, which is no address; write it like http://proxy:3128"
            )
        })?;
        anyhow::Ok(ProxyConfig {
            url,
            except: env.no_proxy.clone().unwrap_or_default(),
        })
    });
    Ok(EgressConfig {
        offline: is_offline,
        provider_hosts: hosts.collect(),
        trusted_hosts: Vec::new(),
        allowed_hosts: Vec::new(),
        denied_hosts: Vec::new(),
        proxy: proxy.transpose()?,
    })
}

pub(super) fn keeps(config: &Config) -> Keeps {
    Keeps {
        conversations: config.memory.conversations,
        pages: config.memory.pages,
    }
}

pub(super) fn rules(config: &Config) -> titan_exec::Rules {
    let rule = |rule| match rule {
        Rule::Allow => titan_exec::Rule::Allow,
        Rule::Ask => titan_exec::Rule::Ask,
        Rule::Deny => titan_exec::Rule::Deny,
    };
    let policy = &config.policy;
    titan_exec::Rules {
        read: rule(policy.read),
        read_outside: rule(policy.read_outside),
        write: rule(policy.write),
        write_outside: rule(policy.write_outside),
        run_reading: rule(policy.run_reading),
        run: rule(policy.run),
        network: rule(policy.network),
        remember: rule(policy.remember),
        ..titan_exec::Rules::default()
    }
}

pub(super) fn exec_limits(config: &Config, setting: Option<&Setting>) -> titan_exec::Limits {
    let limits = titan_exec::Limits::default();
    titan_exec::Limits {
        output_bytes_max: match setting.is_some_and(Setting::is_local) {
            true => SMALL_OUTPUT_BYTES_MAX,
            false => limits.output_bytes_max,
        },
        approval_wait_max: config.limits.approval_wait_max,
        ..limits
    }
}

pub(super) fn engine(
    context: &Context,
    config: &Config,
    setting: Option<&Setting>,
    lasts: bool,
) -> titan_agent::Config {
    let is_small = setting.is_some_and(Setting::is_local);
    let (size, tools) = match is_small {
        true => (
            PromptSize::Small,
            Some(SMALL_TOOLS.map(str::to_owned).to_vec()),
        ),
        false => (PromptSize::Full, None),
    };
    let context_tokens_max = setting.map_or(HOSTED_CONTEXT_TOKENS, Setting::context_tokens_max);
    titan_agent::Config {
        turn_limits: TurnLimits {
            model_calls_max: config.limits.model_calls_per_turn_max,
            wall_clock_max: config.limits.turn_wall_clock_max,
            ..TurnLimits::default()
        },
        prompt_size: size,
        tools,
        context_tokens_max,
        // A small model that goes astray should not do so for minutes.
        output_tokens_max: config
            .models
            .output_tokens_max
            .min(context_tokens_max / if is_small { 8 } else { 4 }),
        thinking_tokens_max: config.models.thinking_tokens_max,
        // A small model would keep the next question waiting for the sake of a title.
        are_titled: lasts && !is_small,
        reads_along: config.limits.reads_along,
        identity: Vec::new(),
        is_alone: true,
        home: context.home.path().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        model: setting.map_or_else(
            || "none, since only what is stored is looked at".to_owned(),
            |setting| format!("{}: {}", setting.shown(), setting.choice.why),
        ),
        is_offline: context.is_offline,
    }
}

/// Every provider that the choice, the routes and the config name, the chosen one first. `keys` are the secrets that
/// are there.
pub(super) fn providers(
    config: &Config,
    env: &Env,
    choice: &Choice,
    local: Option<&str>,
    keys: &[String],
) -> anyhow::Result<Vec<ProviderConfig>> {
    let named: Vec<&str> = std::iter::once(choice.model.as_str())
        .chain(routes(config).flat_map(|(_, names)| names.iter().map(String::as_str)))
        .collect();
    let implied = named
        .iter()
        .filter_map(|model| choose::implied_provider(model, config, env));
    let all = choice
        .provider
        .iter()
        .chain(&config.providers)
        .cloned()
        .chain(implied);
    let mut providers: Vec<ProviderConfig> = Vec::new();
    for provider in all {
        let is_known = providers.iter().any(|known| known.name == provider.name);
        if !is_known && is_usable(&provider, &named) {
            providers.push(provider_config(&provider, &named, keys)?);
        }
    }
    if let Some(model) = local {
        providers.push(ProviderConfig::new(
            LOCAL,
            titan_providers::ProviderKind::Local,
            model,
        ));
    }
    let is_known = |model: &str| {
        let name = model.split('/').next().unwrap_or(model);
        providers
            .iter()
            .any(|provider| provider.name == name || provider.model == model)
    };
    match named.into_iter().find(|model| !is_known(model)) {
        None => Ok(providers),
        Some(LOCAL) => bail!(
            "a route names the local model, which is not on this machine. Get it: titanclaw models pull"
        ),
        Some(model) => bail!(
            "the model {model} names no known provider. Write provider/model, with anthropic, openai, ollama, local or the name of a [[providers]] entry"
        ),
    }
}

/// Whether a provider has a model, or must have one. A server whose model is named with each use is left out where
/// another model is asked for.
fn is_usable(provider: &Provider, named: &[&str]) -> bool {
    let is_named = named
        .iter()
        .any(|model| model.split('/').next() == Some(&provider.name));
    let has_usual = !matches!(
        provider.kind,
        ProviderKind::Compatible | ProviderKind::Ollama
    );
    is_named || has_usual || provider.model.is_some()
}

pub(super) fn provider_config(
    provider: &Provider,
    named: &[&str],
    keys: &[String],
) -> anyhow::Result<ProviderConfig> {
    use titan_providers::ProviderKind as Kind;
    let (kind, usual) = match provider.kind {
        ProviderKind::Anthropic => (Kind::Anthropic, Some(ANTHROPIC_MODEL)),
        ProviderKind::OpenAi => (Kind::OpenAiChat, Some(OPENAI_MODEL)),
        ProviderKind::Responses => (Kind::OpenAiResponses, Some(OPENAI_MODEL)),
        ProviderKind::Compatible => (Kind::OpenAiChat, None),
        ProviderKind::Ollama => (Kind::Ollama, None),
    };
    let used = named
        .iter()
        .find_map(|model| model.strip_prefix(&format!("{}/", provider.name)));
    let Some(model) = provider.model.as_deref().or(used).or(usual) else {
        bail!(
            "the provider {} has no model. Name one: `model = \"…\"` in its [[providers]] entry",
            provider.name
        );
    };
    let base_url = provider
        .base_url
        .as_deref()
        .map(|url| {
            Url::parse(url)
                .with_context(|| format!("{url:?}, the address of {}, is none", provider.name))
        })
        .transpose()?;
    Ok(ProviderConfig {
        base_url,
        secret: keys
            .contains(&provider.secret)
            .then(|| provider.secret.clone()),
        context_tokens_max: context_tokens_asked(provider),
        ..ProviderConfig::new(&provider.name, kind, model)
    })
}

/// What a provider's models are made to read and write together, where somebody says so. Ollama is always told: one
/// that cut a thread where nobody expects it would do so without a word.
pub(super) fn context_tokens_asked(provider: &Provider) -> Option<u32> {
    let usual = (provider.kind == ProviderKind::Ollama).then_some(OLLAMA_CONTEXT_TOKENS);
    provider.context_tokens_max.or(usual)
}

/// What is configured of each task, where something is.
fn routes(config: &Config) -> impl Iterator<Item = (Task, &Vec<String>)> {
    let routes = &config.routes;
    [
        (Task::Chat, &routes.chat),
        (Task::Code, &routes.code),
        (Task::Utility, &routes.utility),
        (Task::Embed, &routes.embed),
    ]
    .into_iter()
}

pub(super) fn providers_config(
    config: &Config,
    choice: &Choice,
    providers: Vec<ProviderConfig>,
    day_spent_usd_micros: u64,
) -> ProvidersConfig {
    let chosen: BTreeMap<Task, Vec<String>> = routes(config)
        .map(|(task, names)| match task {
            Task::Chat => (
                task,
                std::iter::once(&choice.model)
                    .chain(names)
                    .cloned()
                    .collect(),
            ),
            _ => (task, names.clone()),
        })
        .filter(|(_, names): &(Task, Vec<String>)| !names.is_empty())
        .collect();
    ProvidersConfig {
        providers,
        routes: chosen,
        retry: RetryPolicy::default(),
        ceilings: Ceilings {
            turn_usd_micros: Some(config.limits.turn_usd_micros_max),
            session_usd_micros: Some(config.limits.session_usd_micros_max),
            day_usd_micros: Some(config.limits.day_usd_micros_max),
        },
        day_spent_usd_micros,
        prices: BTreeMap::new(),
    }
}

/// What the chosen model reads and writes together, where its provider's config does not say.
pub(super) fn context_tokens(provider: Option<&ProviderConfig>, probed: Option<u32>) -> u32 {
    use titan_providers::ProviderKind as Kind;
    let usual = match provider.map(|provider| provider.kind) {
        Some(Kind::Anthropic | Kind::OpenAiResponses) => HOSTED_CONTEXT_TOKENS,
        Some(Kind::OpenAiChat) if provider.is_some_and(|provider| provider.base_url.is_none()) => {
            HOSTED_CONTEXT_TOKENS
        }
        _ => SERVER_CONTEXT_TOKENS,
    };
    provider
        .and_then(|provider| provider.context_tokens_max)
        .or(probed)
        .unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(model: &str) -> Choice {
        Choice {
            model: model.to_owned(),
            why: String::new(),
            provider: None,
        }
    }

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        crate::config::load(&path).unwrap().config
    }

    /// `name:model:secret` of each provider, in order.
    fn check(text: &str, model: &str, keys: &[&str], expected: &[&str]) {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let choice = choice(model);
        let lowered = providers(
            &config(text),
            &Env::default(),
            &choice,
            Some("small"),
            &keys,
        )
        .unwrap();
        let shown: Vec<String> = lowered
            .iter()
            .map(|it| {
                let secret = it.secret.as_deref().unwrap_or("-");
                format!("{}:{}:{secret}", it.name, it.model)
            })
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn every_model_that_is_named_gets_its_provider() {
        check("", "local", &[], &["local:small:-"]);
        check(
            "",
            "anthropic/claude-x",
            &["anthropic"],
            &["anthropic:claude-x:anthropic", "local:small:-"],
        );
        check(
            "[routes]\nchat = [\"openai/gpt-x\", \"local\"]\n[[providers]]\nname = \"work\"\nmodel = \"m\"\nbase_url = \"http://127.0.0.1:1/v1\"",
            "work/other",
            &["work"],
            &["work:m:work", "openai:gpt-x:-", "local:small:-"],
        );
    }

    #[test]
    fn a_server_without_a_model_of_its_own_is_in_nobodys_way() {
        let entry = "[[providers]]\nname = \"work\"\nbase_url = \"http://127.0.0.1:1/v1\"";
        check(entry, "local", &[], &["local:small:-"]);
        check(entry, "work/m", &[], &["work:m:-", "local:small:-"]);
    }

    #[test]
    fn ollama_is_told_as_many_tokens_as_the_engine_counts_on() {
        let lowered = |text: &str| {
            let choice = choice("ollama/m");
            let lowered = providers(&config(text), &Env::default(), &choice, None, &[]).unwrap();
            let told = lowered[0].context_tokens_max;
            (told, context_tokens(lowered.first(), None))
        };
        assert_eq!(
            lowered(""),
            (Some(OLLAMA_CONTEXT_TOKENS), OLLAMA_CONTEXT_TOKENS)
        );
        let entry = "[[providers]]\nname = \"ollama\"\nkind = \"ollama\"\ncontext_tokens = 4096";
        assert_eq!(lowered(entry), (Some(4096), 4096));
    }

    #[test]
    fn a_model_without_a_provider_is_said_with_the_names_that_are_known() {
        let lowered = |text: &str, model: &str, local| {
            providers(&config(text), &Env::default(), &choice(model), local, &[])
                .unwrap_err()
                .to_string()
        };
        assert!(
            lowered("", "nobody/m", Some("small")).contains("anthropic, openai, ollama, local")
        );
        let route = "[routes]\nutility = [\"local\"]";
        assert!(lowered(route, "openai/m", None).contains("titanclaw models pull"));
        let nameless = "[routes]\nchat = [\"work\"]\n[[providers]]\nname = \"work\"\nbase_url = \"http://127.0.0.1:1\"";
        assert!(lowered(nameless, "local", Some("small")).contains("`model = "));
    }

    #[test]
    fn the_chosen_model_comes_first_on_its_route() {
        let config = config("[routes]\nchat = [\"local\"]\n[limits]\nusd_per_day = 0.5");
        let lowered = providers_config(&config, &choice("openai/m"), Vec::new(), 7);
        let expected =
            BTreeMap::from([(Task::Chat, vec!["openai/m".to_owned(), "local".to_owned()])]);
        assert_eq!(lowered.routes, expected);
        assert_eq!(lowered.ceilings.day_usd_micros, Some(500_000));
        assert_eq!(lowered.day_spent_usd_micros, 7);
    }
}
