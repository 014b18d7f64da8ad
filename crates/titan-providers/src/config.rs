//! What is configured, and how it becomes a [`Router`].
//!
//! Plain values: who reads files and the environment lowers them to these. Everything that can be wrong about them is
//! found here, at the start, and said with the name of the setting.

use crate::embed::HttpEmbedder;
use crate::failure::Vendor;
use crate::http::{Endpoint, HttpConfig, HttpProvider};
use crate::images::{Images, Sight};
use crate::meter::{Ceilings, Ledger};
use crate::prices::Prices;
use crate::retry::RetryPolicy;
use crate::router::{Choice, Core, Entry, Router, resolve};
use crate::text_tools::{Doubt, Mode, TextTools};
use crate::wire::{ModelOptions, Wire};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Credential, Egress, Embedder, Price, Provider, Task};
use url::{Host, Url};

/// The longest wait for an answer's head, and between two of its pieces. Long, because a model may think or a local
/// server read for minutes before the first word.
pub const IDLE_MAX_DEFAULT: Duration = Duration::from_secs(300);

/// All that is configured of models.
#[derive(Clone, Debug, Default)]
pub struct ProvidersConfig {
    /// The providers; without routes, a conversation asks them in this order.
    pub providers: Vec<ProviderConfig>,
    /// Chains of `provider/model`, `provider` or `model` by task. A missing task gets its default: `Chat` all
    /// providers, `Code` what `Chat` has, `Utility` the local model first and then what `Chat` has, `Embed` the local
    /// embedder. Of `Embed`'s chain only the first counts: vectors of two models cannot be compared.
    pub routes: BTreeMap<Task, Vec<String>>,
    /// When to ask again.
    pub retry: RetryPolicy,
    /// What may be spent.
    pub ceilings: Ceilings,
    /// What today has cost before the start, in millionths of a US dollar.
    pub day_spent_usd_micros: u64,
    /// Prices by `provider/model` or `model`, before the built-in ones.
    pub prices: BTreeMap<String, Price>,
}

/// A provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderConfig {
    /// Its name for people and routes; without a slash.
    pub name: String,
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// Its address as its own documentation gives it; `None` is the vendor's. A compatible server's may leave out
    /// `/v1`.
    pub base_url: Option<Url>,
    /// The model that is used when none is named.
    pub model: String,
    /// The name of the secret that holds its key; `None` for servers without keys.
    pub secret: Option<String>,
    /// Tokens that the model reads and writes together. Ollama is made to use so many.
    pub context_tokens_max: Option<u32>,
    /// Headers for every request. Secrets do not belong here.
    pub extra_headers: Vec<(String, String)>,
    /// Ask for tool arguments unbuffered (Anthropic).
    pub fine_grained_tools: bool,
    /// Whether the server itself turns tools into calls; `None` to find out as it answers.
    pub native_tools: Option<bool>,
    /// The longest wait for an answer's head, and between two of its pieces.
    pub idle_max: Duration,
}

impl ProviderConfig {
    /// A provider at its vendor's own address, without a key.
    pub fn new(name: impl Into<String>, kind: ProviderKind, model: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind,
            base_url: None,
            model: model.into(),
            secret: None,
            context_tokens_max: None,
            extra_headers: Vec::new(),
            fine_grained_tools: true,
            native_tools: None,
            idle_max: IDLE_MAX_DEFAULT,
        }
    }
}

/// How a provider is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI's Chat Completions, and all servers compatible with it.
    OpenAiChat,
    /// OpenAI's Responses API.
    OpenAiResponses,
    /// Ollama's own API.
    Ollama,
    /// The model inside this program.
    Local,
}

impl ProviderKind {
    pub(crate) fn wire(self) -> Option<Wire> {
        match self {
            Self::Anthropic => Some(Wire::Anthropic),
            Self::OpenAiChat => Some(Wire::OpenAiChat),
            Self::OpenAiResponses => Some(Wire::OpenAiResponses),
            Self::Ollama => Some(Wire::Ollama),
            Self::Local => None,
        }
    }

    fn default_url(self) -> &'static str {
        match self {
            Self::Anthropic => "https://api.anthropic.com",
            Self::OpenAiChat | Self::OpenAiResponses => "https://api.openai.com/v1",
            Self::Ollama | Self::Local => "http://127.0.0.1:11434",
        }
    }
}

/// What the router reaches the world through.
#[derive(Clone)]
pub struct Ports {
    /// The network.
    pub egress: Arc<dyn Egress>,
    /// The model inside this program, if there is one.
    pub local: Option<Arc<dyn Provider>>,
    /// The embedder inside this program, if there is one.
    pub embedder: Option<Arc<dyn Embedder>>,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// A name is missing, has a slash, or is there twice.
    #[error("the provider name {name:?} {why}; give each provider its own short name")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A provider without a model.
    #[error("the provider {name} has no model; name one with `model`")]
    Model {
        /// The provider.
        name: String,
    },
    /// An address that no request can be sent to.
    #[error("the address {url} of the provider {name} is not http or https with a host")]
    Address {
        /// The provider.
        name: String,
        /// Its address.
        url: String,
    },
    /// The local model is configured, but this build or machine has none.
    #[error(
        "the provider {name} is the local model, which is not there; `titanclaw models pull` gets it"
    )]
    NoLocal {
        /// The provider.
        name: String,
    },
    /// A route to something that is not configured.
    #[error("the route for {task:?} names {named}, which no provider is configured for")]
    Route {
        /// The task.
        task: Task,
        /// What it names.
        named: String,
    },
}

/// Makes the router. Sends nothing and starts nothing.
///
/// # Errors
/// See [`OpenError`]: each names the setting that is wrong.
pub fn open(config: ProvidersConfig, ports: Ports) -> Result<Router, OpenError> {
    let mut entries = Vec::new();
    for provider in &config.providers {
        check_name(provider, &entries)?;
        entries.push(open_provider(provider, &config.retry, &ports)?);
    }
    let local = config
        .providers
        .iter()
        .position(|it| it.kind == ProviderKind::Local);
    let routes = routes(&config.routes, &entries, local)?;
    let embedder = open_embedder(&config, &entries, &ports)?;
    Ok(Router::new(Core {
        entries,
        routes,
        prices: Prices::new(config.prices),
        ledger: Arc::new(Ledger::open(config.ceilings, config.day_spent_usd_micros)),
        embedder,
    }))
}

fn check_name(config: &ProviderConfig, earlier: &[Entry]) -> Result<(), OpenError> {
    let why = if config.name.is_empty() {
        "is empty"
    } else if config.name.contains('/') {
        "has a slash"
    } else if earlier.iter().any(|it| it.provider.name() == config.name) {
        "is there twice"
    } else {
        return Ok(());
    };
    Err(OpenError::Name {
        name: config.name.clone(),
        why,
    })
}

fn open_provider(
    config: &ProviderConfig,
    retry: &RetryPolicy,
    ports: &Ports,
) -> Result<Entry, OpenError> {
    let Some(wire) = config.kind.wire() else {
        let local = ports.local.clone().ok_or_else(|| OpenError::NoLocal {
            name: config.name.clone(),
        })?;
        let local = Arc::new(crate::local::Local::new(
            config.name.clone(),
            config.model.clone(),
            local,
        ));
        return Ok(Entry {
            provider: Arc::new(Images::new(local, config.model.clone(), Sight::None)),
            model: config.model.clone(),
            is_own_machine: true,
        });
    };
    let url = base_url(config);
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(OpenError::Address {
            name: config.name.clone(),
            url: url.to_string(),
        });
    }
    if config.model.is_empty() {
        return Err(OpenError::Model {
            name: config.name.clone(),
        });
    }
    let is_openai = is_openai(&url);
    let is_own_machine = is_own_machine(&url);
    let provider = HttpProvider::new(HttpConfig {
        name: config.name.clone(),
        wire,
        endpoint: endpoint(&ports.egress, config),
        options: ModelOptions {
            model: config.model.clone(),
            context_tokens_max: config.context_tokens_max,
            fine_grained_tools: config.fine_grained_tools,
            is_openai,
        },
        retry: *retry,
        native_tools: config.native_tools,
        is_local: is_own_machine,
    });
    let provider = with_text_tools(Arc::new(provider), config, ports);
    let sight = match config.kind {
        ProviderKind::Ollama => Sight::Told(Box::new(endpoint(&ports.egress, config))),
        _ => Sight::Unknown,
    };
    Ok(Entry {
        provider: Arc::new(Images::new(provider, config.model.clone(), sight)),
        model: config.model.clone(),
        is_own_machine,
    })
}

/// The vendors' own servers make calls; of others that is known or found out.
fn with_text_tools(
    provider: Arc<dyn Provider>,
    config: &ProviderConfig,
    ports: &Ports,
) -> Arc<dyn Provider> {
    let url = base_url(config);
    let is_compatible = match config.kind {
        ProviderKind::OpenAiChat => !is_openai(&url),
        ProviderKind::Ollama => true,
        _ => false,
    };
    match config.native_tools {
        Some(false) => Arc::new(TextTools::new(provider, Mode::Text, None)),
        known if is_compatible => {
            // Ollama refuses tools aloud; a server far away is not asked questions that it need not know.
            let is_doubtful =
                known.is_none() && config.kind == ProviderKind::OpenAiChat && is_own_machine(&url);
            let doubt = is_doubtful.then(|| Doubt {
                endpoint: endpoint(&ports.egress, config),
                vendor: Vendor {
                    provider: config.name.clone(),
                    model: config.model.clone(),
                },
            });
            Arc::new(TextTools::new(provider, Mode::Watch, doubt))
        }
        _ => provider,
    }
}

/// How a configured server is reached.
pub(crate) fn endpoint(egress: &Arc<dyn Egress>, config: &ProviderConfig) -> Endpoint {
    let credential = config.secret.as_ref().map(|secret| {
        let (header, prefix) = match config.kind {
            ProviderKind::Anthropic => ("x-api-key", ""),
            _ => ("authorization", "Bearer "),
        };
        Credential {
            secret: secret.clone(),
            header: header.to_owned(),
            prefix: prefix.to_owned(),
        }
    });
    Endpoint {
        egress: Arc::clone(egress),
        base_url: base_url(config),
        credential,
        headers: config.extra_headers.clone(),
        idle_max: config.idle_max,
    }
}

/// The address that paths are put below. The wires of OpenAI's kind live below `/v1` unless another path is given;
/// the others name their whole paths themselves.
fn base_url(config: &ProviderConfig) -> Url {
    let mut url = match &config.base_url {
        Some(url) => url.clone(),
        None => Url::parse(config.kind.default_url()).expect("the built-in addresses are valid"),
    };
    let path = url.path().trim_end_matches('/').to_owned();
    let path = match config.kind {
        ProviderKind::OpenAiChat | ProviderKind::OpenAiResponses if path.is_empty() => "/v1",
        ProviderKind::OpenAiChat | ProviderKind::OpenAiResponses => &path,
        _ => path.strip_suffix("/v1").unwrap_or(&path),
    };
    let path = path.to_owned();
    if !url.cannot_be_a_base() {
        url.set_path(&path);
    }
    url
}

fn is_openai(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("");
    host == "api.openai.com"
        || host.ends_with(".api.openai.com")
        || host.ends_with(".openai.azure.com")
}

/// Whether a server is on this machine or in the private network around it.
fn is_own_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Some(Host::Domain(name)) => {
            name == "localhost" || name.ends_with(".localhost") || name.ends_with(".local")
        }
        None => false,
    }
}

fn routes(
    configured: &BTreeMap<Task, Vec<String>>,
    entries: &[Entry],
    local: Option<usize>,
) -> Result<BTreeMap<Task, Vec<Choice>>, OpenError> {
    let chain = |task: Task| -> Result<Option<Vec<Choice>>, OpenError> {
        let Some(names) = configured.get(&task).filter(|names| !names.is_empty()) else {
            return Ok(None);
        };
        let choices = names.iter().map(|named| {
            resolve(entries, named, None).ok_or_else(|| OpenError::Route {
                task,
                named: named.clone(),
            })
        });
        choices.collect::<Result<_, _>>().map(Some)
    };
    let all = || -> Vec<Choice> {
        (0..entries.len())
            .map(|it| default_choice(entries, it))
            .collect()
    };
    let chat = chain(Task::Chat)?.unwrap_or_else(all);
    let code = chain(Task::Code)?.unwrap_or_else(|| chat.clone());
    let utility = chain(Task::Utility)?.unwrap_or_else(|| {
        let local = local.map(|it| default_choice(entries, it));
        let others = chat.iter().filter(|it| Some(*it) != local.as_ref());
        local.iter().chain(others).cloned().collect()
    });
    Ok(BTreeMap::from([
        (Task::Chat, chat),
        (Task::Code, code),
        (Task::Utility, utility),
    ]))
}

fn default_choice(entries: &[Entry], entry: usize) -> Choice {
    Choice {
        entry,
        model: entries[entry].model.clone(),
    }
}

fn open_embedder(
    config: &ProvidersConfig,
    entries: &[Entry],
    ports: &Ports,
) -> Result<Option<Arc<dyn Embedder>>, OpenError> {
    let Some(named) = config.routes.get(&Task::Embed).and_then(|it| it.first()) else {
        return Ok(ports.embedder.clone());
    };
    let refused = || OpenError::Route {
        task: Task::Embed,
        named: named.clone(),
    };
    let choice = resolve(entries, named, None).ok_or_else(refused)?;
    let provider = &config.providers[choice.entry];
    let is_ollama = match provider.kind {
        ProviderKind::Ollama => true,
        ProviderKind::OpenAiChat | ProviderKind::OpenAiResponses => false,
        ProviderKind::Local => return ports.embedder.clone().map(Some).ok_or_else(refused),
        // The vendor has no embeddings.
        ProviderKind::Anthropic => return Err(refused()),
    };
    Ok(Some(Arc::new(HttpEmbedder {
        endpoint: endpoint(&ports.egress, provider),
        space: format!("{}/{}", provider.name, choice.model),
        vendor: Vendor {
            provider: provider.name.clone(),
            model: choice.model,
        },
        retry: config.retry,
        is_ollama,
    })))
}
