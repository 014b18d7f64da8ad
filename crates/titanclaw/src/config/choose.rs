//! Which model answers, and why. Pure: what was found on the machine is handed in.
//!
//! In order: what the person says for this command, in the environment or in the config; a key in the environment;
//! a model server on loopback; the local model.

use super::env::Env;
use super::{Config, Provider, ProviderKind};

/// The local model's name in routes.
pub(crate) const LOCAL: &str = "local";
/// What a key alone stands for; `titanclaw models use` chooses another.
pub(crate) const ANTHROPIC_MODEL: &str = "claude-sonnet-4-6";
pub(crate) const OPENAI_MODEL: &str = "gpt-5-mini";
/// The name that a server behind `OPENAI_BASE_URL` gets.
pub(crate) const COMPATIBLE: &str = "compatible";
/// Secrets that the environment holds, by these names.
pub(crate) const ANTHROPIC_SECRET: &str = "env:ANTHROPIC_API_KEY";
pub(crate) const OPENAI_SECRET: &str = "env:OPENAI_API_KEY";

/// A model server that was found listening.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    /// Such as `ollama`.
    pub(crate) name: String,
    pub(crate) kind: ProviderKind,
    pub(crate) base_url: String,
    /// Its chat models, the one to prefer first.
    pub(crate) models: Vec<String>,
}

/// The model that answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    /// As `provider/model`, or `local`, or `local/NAME`.
    pub(crate) model: String,
    /// Why this one, in words that follow the model's name.
    pub(crate) why: String,
    /// A provider that the config does not list.
    pub(crate) provider: Option<Provider>,
}

/// Whether somebody has to look for model servers on loopback before [`choose`] can tell.
pub(crate) fn needs_discovery(
    asked: Option<&str>,
    config: &Config,
    env: &Env,
    is_offline: bool,
) -> bool {
    said(asked, config, env).is_none()
        && from_key(env, None, is_offline).is_none()
        && !has_base_url(env, is_offline)
}

/// Whether the server at `OPENAI_BASE_URL` decides, so that its models are to be listed.
pub(crate) fn has_base_url(env: &Env, is_offline: bool) -> bool {
    env.openai_base_url
        .as_deref()
        .is_some_and(|url| !is_offline || is_loopback(url))
}

/// Decides. `found`: servers on loopback; for `OPENAI_BASE_URL` that server alone.
pub(crate) fn choose(
    asked: Option<&str>,
    config: &Config,
    env: &Env,
    found: &[Found],
    is_offline: bool,
) -> Choice {
    if let Some((model, why)) = said(asked, config, env) {
        return Choice {
            provider: implied_provider(&model, config, env),
            model,
            why: why.to_owned(),
        };
    }
    if let Some(choice) = from_key(env, found.first(), is_offline) {
        return choice;
    }
    let server = found
        .iter()
        .find_map(|server| Some((server, server.models.first()?)));
    match server {
        Some((server, model)) => Choice {
            model: format!("{}/{model}", server.name),
            why: format!("found {} at {}", server.name, server.base_url),
            provider: Some(unlisted(server)),
        },
        None => Choice {
            model: LOCAL.to_owned(),
            why: if is_offline {
                "runs on this machine, offline".to_owned()
            } else {
                "runs on this machine, since no key and no model server were found".to_owned()
            },
            provider: None,
        },
    }
}

/// The provider that a `provider/model` names without the config listing it: the vendors need no entry.
pub(crate) fn implied_provider(model: &str, config: &Config, env: &Env) -> Option<Provider> {
    let (name, _) = model.split_once('/')?;
    if config
        .providers
        .iter()
        .any(|provider| provider.name == name)
    {
        return None;
    }
    let secret = |found: bool, env_name: &str| {
        if found {
            env_name.to_owned()
        } else {
            name.to_owned()
        }
    };
    match name {
        "anthropic" => {
            let secret = secret(env.anthropic_key.is_some(), ANTHROPIC_SECRET);
            Some(provider(name, ProviderKind::Anthropic, None, &secret))
        }
        "openai" => {
            let secret = secret(env.openai_key.is_some(), OPENAI_SECRET);
            Some(provider(name, ProviderKind::OpenAi, None, &secret))
        }
        COMPATIBLE => {
            let url = env.openai_base_url.as_deref()?;
            let secret = secret(env.openai_key.is_some(), OPENAI_SECRET);
            Some(provider(name, ProviderKind::Compatible, Some(url), &secret))
        }
        "ollama" => {
            let host = env.ollama_host.as_deref().unwrap_or("127.0.0.1:11434");
            let url = if host.contains("://") {
                host.to_owned()
            } else {
                format!("http://{host}")
            };
            Some(provider(name, ProviderKind::Ollama, Some(&url), name))
        }
        _ => None,
    }
}

/// A server that was found, as a provider that the config does not list.
pub(crate) fn unlisted(server: &Found) -> Provider {
    provider(
        &server.name,
        server.kind,
        Some(&server.base_url),
        &server.name,
    )
}

fn said(asked: Option<&str>, config: &Config, env: &Env) -> Option<(String, &'static str)> {
    let asked = asked.map(|model| (model.to_owned(), "asked for with --model"));
    asked
        .or_else(|| Some((env.model.clone()?, "TITANCLAW_MODEL says so")))
        .or_else(|| Some((config.models.chat.clone()?, "the config says so")))
}

fn from_key(env: &Env, served: Option<&Found>, is_offline: bool) -> Option<Choice> {
    if let Some(url) = env
        .openai_base_url
        .as_deref()
        .filter(|url| !is_offline || is_loopback(url))
    {
        let model = served?.models.first()?;
        let secret = if env.openai_key.is_some() {
            OPENAI_SECRET
        } else {
            COMPATIBLE
        };
        return Some(Choice {
            model: format!("{COMPATIBLE}/{model}"),
            why: format!("OPENAI_BASE_URL names {url}"),
            provider: Some(provider(
                COMPATIBLE,
                ProviderKind::Compatible,
                Some(url),
                secret,
            )),
        });
    }
    if is_offline {
        return None;
    }
    if env.anthropic_key.is_some() {
        return Some(Choice {
            model: format!("anthropic/{ANTHROPIC_MODEL}"),
            why: "ANTHROPIC_API_KEY is set".to_owned(),
            provider: Some(provider(
                "anthropic",
                ProviderKind::Anthropic,
                None,
                ANTHROPIC_SECRET,
            )),
        });
    }
    env.openai_key.as_ref()?;
    Some(Choice {
        model: format!("openai/{OPENAI_MODEL}"),
        why: "OPENAI_API_KEY is set".to_owned(),
        provider: Some(provider(
            "openai",
            ProviderKind::OpenAi,
            None,
            OPENAI_SECRET,
        )),
    })
}

fn provider(name: &str, kind: ProviderKind, base_url: Option<&str>, secret: &str) -> Provider {
    Provider {
        name: name.to_owned(),
        kind,
        base_url: base_url.map(str::to_owned),
        model: None,
        secret: secret.to_owned(),
        context_tokens_max: None,
    }
}

/// Whether an address is on this machine.
pub(crate) fn is_loopback(address: &str) -> bool {
    let Ok(url) = url::Url::parse(address) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(names: &[&str]) -> Env {
        Env::from(|name| {
            let value = match name {
                "OPENAI_BASE_URL" => "http://10.0.0.1:8000/v1",
                "TITANCLAW_MODEL" => "work/m",
                _ => "key",
            };
            names.contains(&name).then(|| value.to_owned())
        })
    }

    fn found(name: &str, kind: ProviderKind, models: &[&str]) -> Found {
        Found {
            name: name.into(),
            kind,
            base_url: "http://127.0.0.1:11434".into(),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
        }
    }

    #[test]
    fn the_first_source_that_has_a_model_decides() {
        let mut config = Config::default();
        let ollama = [
            found("vllm", ProviderKind::Compatible, &[]),
            found("ollama", ProviderKind::Ollama, &["qwen", "llama"]),
        ];
        let served = [found("served", ProviderKind::Compatible, &["big"])];
        let both = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"];
        let all = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "TITANCLAW_MODEL"];
        type Case<'a> = (Option<&'a str>, &'a [&'a str], &'a [Found], bool, &'a str);
        let cases: &[Case<'_>] = &[
            (
                Some("local"),
                &all,
                &ollama,
                false,
                "local, asked for with --model",
            ),
            (
                None,
                &all,
                &ollama,
                false,
                "work/m, TITANCLAW_MODEL says so",
            ),
            (
                None,
                &both,
                &ollama,
                false,
                "anthropic/claude-sonnet-4-6, ANTHROPIC_API_KEY is set",
            ),
            (
                None,
                &["OPENAI_API_KEY"],
                &ollama,
                false,
                "openai/gpt-5-mini, OPENAI_API_KEY is set",
            ),
            (
                None,
                &["OPENAI_BASE_URL"],
                &served,
                false,
                "compatible/big, OPENAI_BASE_URL names http://10.0.0.1:8000/v1",
            ),
            (
                None,
                &both,
                &ollama,
                true,
                "ollama/qwen, found ollama at http://127.0.0.1:11434",
            ),
            (
                None,
                &["OPENAI_BASE_URL"],
                &[],
                true,
                "local, runs on this machine, offline",
            ),
            (
                None,
                &[],
                &ollama,
                false,
                "ollama/qwen, found ollama at http://127.0.0.1:11434",
            ),
            (
                None,
                &[],
                &[],
                false,
                "local, runs on this machine, since no key and no model server were found",
            ),
        ];
        for (asked, names, found, is_offline, expected) in cases {
            let choice = choose(*asked, &config, &env(names), found, *is_offline);
            assert_eq!(format!("{}, {}", choice.model, choice.why), *expected);
        }
        config.models.chat = Some("anthropic/claude-opus-4-7".into());
        let choice = choose(None, &config, &env(&["OPENAI_API_KEY"]), &[], false);
        assert_eq!(choice.why, "the config says so");
        assert_eq!(
            choice.provider.map(|provider| provider.secret),
            Some("anthropic".into())
        );
    }

    #[test]
    fn loopback_is_searched_only_when_nothing_else_decides() {
        let config = Config::default();
        assert!(needs_discovery(None, &config, &env(&[]), false));
        assert!(needs_discovery(
            None,
            &config,
            &env(&["OPENAI_API_KEY"]),
            true
        ));
        assert!(!needs_discovery(
            None,
            &config,
            &env(&["OPENAI_API_KEY"]),
            false
        ));
        assert!(!needs_discovery(
            None,
            &config,
            &env(&["OPENAI_BASE_URL"]),
            false
        ));
        assert!(!needs_discovery(Some("local"), &config, &env(&[]), false));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for url in [
            "http://127.0.0.1:1",
            "http://[::1]/v1",
            "http://localhost:8000",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://127.0.0.1.evil.com",
            "http://10.0.0.1",
            "nonsense",
            "http://localhost.evil",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
