//! What the person set, parsed once.
//!
//! [`RawConfig`] is what the file says; [`Config`] is what is meant, with every default in place. The table in
//! [`keys`] is the one list of settings. Nothing past this module sees TOML or the environment.

pub(crate) mod choose;
pub(crate) mod edit;
pub(crate) mod env;
pub(crate) mod home;
pub(crate) mod keys;
pub(crate) mod settings;
pub(crate) mod trust;

use crate::cli::ColorChoice;
use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The config file as it is written. Every field may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    models: RawModels,
    providers: Vec<RawProvider>,
    routes: RawRoutes,
    limits: RawLimits,
    local: RawLocal,
    policy: RawPolicy,
    memory: RawMemory,
    reflexes: RawReflexes,
    jit: RawJit,
    display: RawDisplay,
    gateway: Option<RawGateway>,
    store: RawStore,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawModels {
    chat: Option<String>,
    output_tokens: Option<u32>,
    thinking_tokens: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawProvider {
    name: String,
    kind: ProviderKind,
    base_url: Option<String>,
    model: Option<String>,
    secret: Option<String>,
    context_tokens: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawRoutes {
    chat: Option<Vec<String>>,
    code: Option<Vec<String>>,
    utility: Option<Vec<String>>,
    embed: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawLimits {
    model_calls_per_turn: Option<u32>,
    turn_seconds: Option<u64>,
    approval_seconds: Option<u64>,
    reads_along: Option<bool>,
    usd_per_turn: Option<f64>,
    usd_per_session: Option<f64>,
    usd_per_day: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawLocal {
    model: Option<String>,
    threads: Option<usize>,
    context_tokens: Option<u32>,
    idle_seconds: Option<u64>,
    models: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawPolicy {
    read: Option<Rule>,
    read_outside: Option<Rule>,
    write: Option<Rule>,
    write_outside: Option<Rule>,
    run_reading: Option<Rule>,
    run: Option<Rule>,
    network: Option<Rule>,
    remember: Option<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawMemory {
    unasked: Option<bool>,
    conversations: Option<bool>,
    pages: Option<bool>,
    enriched_daily: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawReflexes {
    promotion: Option<Promotion>,
    agreements: Option<u32>,
    sample: Option<u32>,
    written_daily: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawJit {
    rustc: Option<PathBuf>,
    folder: Option<PathBuf>,
}

/// Who says that a reflex may answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Promotion {
    Never,
    #[default]
    Owner,
    Proved,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawDisplay {
    thinking: Option<bool>,
    color: Option<ColorChoice>,
    theme: Option<Theme>,
}

/// What a terminal's background is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Theme {
    #[default]
    Dark,
    Light,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawGateway {
    port: Option<u16>,
    address: Option<String>,
    expose: Option<bool>,
    hosts: Option<Vec<String>>,
    workspace: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawStore {
    url: Option<String>,
    password_env: Option<String>,
    authorities: Option<PathBuf>,
}

/// The API that a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProviderKind {
    Anthropic,
    OpenAi,
    Responses,
    #[default]
    Compatible,
    Ollama,
}

/// What policy says of one kind of effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rule {
    Allow,
    Ask,
    Deny,
}

/// What the person means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) models: Models,
    pub(crate) providers: Vec<Provider>,
    pub(crate) routes: Routes,
    pub(crate) limits: Limits,
    pub(crate) local: Local,
    pub(crate) policy: Policy,
    pub(crate) memory: Memory,
    pub(crate) reflexes: Reflexes,
    pub(crate) jit: Jit,
    pub(crate) display: Display,
    /// `None`: `titanclaw web` alone opens one.
    pub(crate) gateway: Option<Gateway>,
    pub(crate) store: StoreAddress,
}

/// `[models]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Models {
    /// As `provider/model` or `local`; `None`: found by itself.
    pub(crate) chat: Option<String>,
    pub(crate) output_tokens_max: u32,
    pub(crate) thinking_tokens_max: Option<u32>,
}

/// A `[[providers]]` entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) kind: ProviderKind,
    pub(crate) base_url: Option<String>,
    /// Used when none is named.
    pub(crate) model: Option<String>,
    /// The sealed secret that holds its key.
    pub(crate) secret: String,
    pub(crate) context_tokens_max: Option<u32>,
}

/// `[routes]`: models by task, first choice first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Routes {
    pub(crate) chat: Vec<String>,
    pub(crate) code: Vec<String>,
    pub(crate) utility: Vec<String>,
    pub(crate) embed: Vec<String>,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) model_calls_per_turn_max: u32,
    pub(crate) turn_wall_clock_max: Duration,
    pub(crate) approval_wait_max: Duration,
    /// Whether the utility model is asked about programs that run for long.
    pub(crate) reads_along: bool,
    pub(crate) turn_usd_micros_max: u64,
    pub(crate) session_usd_micros_max: u64,
    pub(crate) day_usd_micros_max: u64,
}

/// `[local]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Local {
    /// The name in the catalogue; `None`: its default.
    pub(crate) model: Option<String>,
    /// `None`: by what is idle.
    pub(crate) threads: Option<usize>,
    pub(crate) context_tokens_max: u32,
    /// `None`: the model stays in memory.
    pub(crate) idle_max: Option<Duration>,
    /// Where model files are; `None`: the cache.
    pub(crate) models: Option<PathBuf>,
}

/// `[policy]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) read: Rule,
    pub(crate) read_outside: Rule,
    pub(crate) write: Rule,
    pub(crate) write_outside: Rule,
    pub(crate) run_reading: Rule,
    pub(crate) run: Rule,
    pub(crate) network: Rule,
    pub(crate) remember: Rule,
}

/// `[memory]`: what is told and kept unasked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    /// Whether a model is shown what is known before it asks.
    pub(crate) unasked: bool,
    pub(crate) conversations: bool,
    pub(crate) pages: bool,
    /// How often in a day the local model is asked to add to what is known.
    pub(crate) enriched_daily_max: u32,
}

/// `[reflexes]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reflexes {
    pub(crate) promotion: Promotion,
    pub(crate) agreements_min: u32,
    /// Of so many questions that a reflex would answer the model is asked one; 0: of none.
    pub(crate) sample_every: u32,
    /// How often in a day a model is asked for code.
    pub(crate) written_daily_max: u32,
}

/// `[jit]`: how tools that the engine writes are compiled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Jit {
    /// `None`: found by itself.
    pub(crate) rustc: Option<PathBuf>,
    /// `None`: in the home.
    pub(crate) folder: Option<PathBuf>,
}

/// `[display]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Display {
    pub(crate) thinking: bool,
    pub(crate) color: ColorChoice,
    pub(crate) theme: Theme,
}

/// `[gateway]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gateway {
    pub(crate) port: u16,
    /// An IP address; it is read where it is used.
    pub(crate) address: String,
    /// Whether other machines may reach it.
    pub(crate) is_exposed: bool,
    pub(crate) hosts: Vec<String>,
    /// `None`: the folder of `titanclaw web`, or one in the cache.
    pub(crate) workspace: Option<PathBuf>,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoreAddress {
    /// `None`: in the home.
    pub(crate) url: Option<String>,
    /// The variable that holds the password.
    pub(crate) password_env: Option<String>,
    /// `None`: those that the system trusts.
    pub(crate) authorities: Option<PathBuf>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self::from(RawGateway::default())
    }
}

impl From<RawGateway> for Gateway {
    fn from(raw: RawGateway) -> Self {
        Self {
            port: raw.port.unwrap_or(7717),
            address: filled(raw.address).unwrap_or_else(|| "127.0.0.1".to_owned()),
            is_exposed: raw.expose.unwrap_or(false),
            hosts: raw.hosts.unwrap_or_default(),
            workspace: raw.workspace.filter(|path| !path.as_os_str().is_empty()),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::from(RawConfig::default())
    }
}

impl From<RawConfig> for Config {
    fn from(raw: RawConfig) -> Self {
        Self {
            models: Models {
                chat: filled(raw.models.chat),
                output_tokens_max: raw.models.output_tokens.unwrap_or(4096),
                thinking_tokens_max: raw.models.thinking_tokens.filter(|tokens| *tokens > 0),
            },
            providers: raw.providers.into_iter().map(Provider::from).collect(),
            routes: Routes {
                chat: raw.routes.chat.unwrap_or_default(),
                code: raw.routes.code.unwrap_or_default(),
                utility: raw.routes.utility.unwrap_or_default(),
                embed: raw.routes.embed.unwrap_or_default(),
            },
            limits: Limits {
                model_calls_per_turn_max: raw.limits.model_calls_per_turn.unwrap_or(50),
                turn_wall_clock_max: Duration::from_secs(raw.limits.turn_seconds.unwrap_or(3600)),
                approval_wait_max: Duration::from_secs(raw.limits.approval_seconds.unwrap_or(300)),
                reads_along: raw.limits.reads_along.unwrap_or(false),
                turn_usd_micros_max: usd_micros(raw.limits.usd_per_turn.unwrap_or(2.0)),
                session_usd_micros_max: usd_micros(raw.limits.usd_per_session.unwrap_or(10.0)),
                day_usd_micros_max: usd_micros(raw.limits.usd_per_day.unwrap_or(20.0)),
            },
            local: Local {
                model: filled(raw.local.model),
                threads: raw.local.threads.filter(|threads| *threads > 0),
                context_tokens_max: raw.local.context_tokens.unwrap_or(8192),
                idle_max: match raw.local.idle_seconds.unwrap_or(300) {
                    0 => None,
                    seconds => Some(Duration::from_secs(seconds)),
                },
                models: raw.local.models.filter(|path| !path.as_os_str().is_empty()),
            },
            policy: Policy {
                read: raw.policy.read.unwrap_or(Rule::Allow),
                read_outside: raw.policy.read_outside.unwrap_or(Rule::Ask),
                write: raw.policy.write.unwrap_or(Rule::Ask),
                write_outside: raw.policy.write_outside.unwrap_or(Rule::Ask),
                run_reading: raw.policy.run_reading.unwrap_or(Rule::Allow),
                run: raw.policy.run.unwrap_or(Rule::Ask),
                network: raw.policy.network.unwrap_or(Rule::Ask),
                remember: raw.policy.remember.unwrap_or(Rule::Allow),
            },
            memory: Memory {
                unasked: raw.memory.unasked.unwrap_or(true),
                conversations: raw.memory.conversations.unwrap_or(true),
                pages: raw.memory.pages.unwrap_or(true),
                enriched_daily_max: raw.memory.enriched_daily.unwrap_or(100),
            },
            reflexes: Reflexes {
                promotion: raw.reflexes.promotion.unwrap_or_default(),
                agreements_min: raw.reflexes.agreements.unwrap_or(2),
                sample_every: raw.reflexes.sample.unwrap_or(20),
                written_daily_max: raw.reflexes.written_daily.unwrap_or(3),
            },
            jit: Jit {
                rustc: raw.jit.rustc.filter(|path| !path.as_os_str().is_empty()),
                folder: raw.jit.folder.filter(|path| !path.as_os_str().is_empty()),
            },
            display: Display {
                thinking: raw.display.thinking.unwrap_or(false),
                color: raw.display.color.unwrap_or(ColorChoice::Auto),
                theme: raw.display.theme.unwrap_or_default(),
            },
            gateway: raw.gateway.map(Gateway::from),
            store: StoreAddress {
                url: filled(raw.store.url),
                password_env: filled(raw.store.password_env),
                authorities: raw
                    .store
                    .authorities
                    .filter(|path| !path.as_os_str().is_empty()),
            },
        }
    }
}

impl From<RawProvider> for Provider {
    fn from(raw: RawProvider) -> Self {
        Self {
            secret: filled(raw.secret).unwrap_or_else(|| raw.name.clone()),
            name: raw.name,
            kind: raw.kind,
            base_url: filled(raw.base_url),
            model: filled(raw.model),
            context_tokens_max: raw.context_tokens,
        }
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

fn usd_micros(usd: f64) -> u64 {
    (usd * 1e6).round() as u64
}

/// A config with what is odd about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// One sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Reads the config file; a file that is not there is an empty one.
///
/// # Errors
/// When it can't be read, is no TOML, or a value is not allowed; the text names the setting and what is allowed.
pub(crate) fn load(path: &Path) -> anyhow::Result<Loaded> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(error).with_context(|| format!("{} can't be read", path.display()));
        }
    };
    parse(&text).with_context(|| format!("{} can't be used", path.display()))
}

/// Reads a config's text.
fn parse(text: &str) -> anyhow::Result<Loaded> {
    let document = edit::document(text)?;
    let (errors, warnings): (Vec<_>, Vec<_>) = keys::check(&document)
        .into_iter()
        .partition(|finding| finding.is_error);
    if !errors.is_empty() {
        let texts: Vec<String> = errors.into_iter().map(|finding| finding.text).collect();
        bail!(
            "{}. Mend it with `titanclaw config set KEY VALUE` or an editor",
            texts.join("; ")
        );
    }
    let raw: RawConfig = toml::from_str(text)?;
    Ok(Loaded {
        config: Config::from(raw),
        warnings: warnings.into_iter().map(|finding| finding.text).collect(),
    })
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_settings_and_the_types_agree() {
        // A document of all defaults means the same as an empty one, and every setting is really read.
        let defaults: String = keys::KEYS
            .iter()
            .filter(|key| !key.default.is_empty())
            .map(|key| format!("{} = {}\n", key.path, key.default))
            .collect();
        let loaded = parse(&defaults).unwrap();
        assert_eq!(loaded.config, Config::default());
        assert_eq!(loaded.warnings, Vec::<String>::new());
        for key in keys::KEYS {
            let value = match key.kind {
                keys::Kind::Text => "\"other\"".to_owned(),
                keys::Kind::Address => "\"::1\"".to_owned(),
                keys::Kind::Flag => (key.default != "true").to_string(),
                keys::Kind::Count { max, .. } => max.to_string(),
                keys::Kind::Number { max, .. } => max.to_string(),
                keys::Kind::Choice(choices) => format!("{:?}", choices[choices.len() - 1]),
                keys::Kind::Names => "[\"other\"]".to_owned(),
            };
            let loaded = parse(&format!("{} = {value}", key.path)).unwrap();
            assert_ne!(loaded.config, Config::default(), "{} is not read", key.path);
        }
    }

    #[test]
    fn an_unknown_key_is_a_warning_that_names_the_closest() {
        let cases = [
            (
                "[limits]\nturn_second = 5",
                "there is no setting `limits.turn_second`; did you mean `limits.turn_seconds`?",
            ),
            (
                "[model]\nchat = \"x\"",
                "there is no setting `model`; did you mean `models`?",
            ),
            (
                "[[providers]]\nname = \"a\"\nbase_ur = \"x\"",
                "there is no setting `providers.base_ur`; did you mean `providers.base_url`?",
            ),
            (
                "zzz = 1",
                "there is no setting `zzz`; `titanclaw config show --all` lists them",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap().warnings, [expected]);
        }
    }

    #[test]
    fn a_value_that_is_not_allowed_is_an_error_that_says_what_is() {
        let cases = [
            (
                "[limits]\nturn_seconds = 0",
                "`limits.turn_seconds` is 0, but must be a whole number from 5 to 86400",
            ),
            (
                "[policy]\nrun = \"maybe\"",
                "`policy.run` is \"maybe\", but must be one of allow, ask, deny",
            ),
            (
                "[routes]\nchat = \"x\"",
                "`routes.chat` is \"x\", but must be a list of texts",
            ),
            (
                "[display]\nthinking = 1",
                "`display.thinking` is 1, but must be true or false",
            ),
            ("models = 1", "`models` must be a section: [models]"),
            ("[[providers]]\nkind = \"ollama\"", "needs a `name`"),
            (
                "[[providers]]\nname = \"a\"\nbase_url = \"x\"",
                "is no address",
            ),
            (
                "[gateway]\naddress = \"localhost\"",
                "`gateway.address` is \"localhost\", but must be an IP address, such as \"127.0.0.1\"",
            ),
            ("[models\n", "line 1"),
        ];
        for (text, expected) in cases {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_is_written_becomes_what_is_meant() {
        let text = "
            [models]
            chat = \"work/m\"
            thinking_tokens = 0
            [local]
            idle_seconds = 0
            [[providers]]
            name = \"work\"
            kind = \"openai\"
        ";
        let config = parse(text).unwrap().config;
        assert_eq!(config.models.chat.as_deref(), Some("work/m"));
        assert_eq!(config.models.thinking_tokens_max, None);
        assert_eq!(config.local.idle_max, None);
        let provider = Provider {
            name: "work".into(),
            kind: ProviderKind::OpenAi,
            base_url: None,
            model: None,
            secret: "work".into(),
            context_tokens_max: None,
        };
        assert_eq!(config.providers, [provider]);
    }
}
