//! What a server truthfully can do.
//!
//! A compatible server may take `tools` and silently drop them, and few say how long a thread they read. This asks:
//! first what a server says of itself, then, where that is not enough, a request of one token with and without
//! tools. If the prompt did not grow by the tools, they were dropped.

use crate::anthropic::VERSION;
use crate::config::{ProviderConfig, ProviderKind, endpoint};
use crate::failure::{Failure, Vendor};
use crate::http::Endpoint;
use crate::wire::Wire;
use futures::future::{join_all, join5};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Egress, ModelError, ModelInfo};
use url::Url;

/// How long a server on loopback may take to say what it is.
const LOOPBACK_WAIT_MAX: Duration = Duration::from_millis(150);
/// How long a server may take for the request of one token: a model may have to be loaded first.
const TOKEN_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a configured server may take to say what it is.
const IDENTIFY_WAIT_MAX: Duration = Duration::from_secs(3);
const NOT_SAID: &str = "the server does not say";
/// The most models that are looked at one by one.
const MODELS_MAX: usize = 32;
/// The usual ports on loopback.
const LOOPBACK_PORTS: [u16; 4] = [11434, 8000, 8080, 1234];

/// What kind of server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Ollama.
    Ollama,
    /// vLLM.
    Vllm,
    /// llama.cpp's server.
    LlamaCpp,
    /// LM Studio.
    LmStudio,
    /// Another one that is compatible with OpenAI's.
    Other,
}

impl ServerKind {
    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ollama => "Ollama",
            Self::Vllm => "vLLM",
            Self::LlamaCpp => "llama.cpp",
            Self::LmStudio => "LM Studio",
            Self::Other => "an OpenAI-compatible server",
        }
    }

    /// The provider's name when nobody chose one.
    fn slug(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::LlamaCpp => "llamacpp",
            Self::LmStudio => "lmstudio",
            Self::Other => "compatible",
        }
    }

    /// Whether it holds an answer to a JSON schema.
    fn constrained_output(self) -> Option<bool> {
        match self {
            Self::Other => None,
            _ => Some(true),
        }
    }
}

/// What a server is and has.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What kind it is.
    pub kind: ServerKind,
    /// Its version, if it says one.
    pub version: Option<String>,
    /// Its models, with what is known of each: first what is loaded or calls tools, where the server says so.
    pub models: Vec<ModelInfo>,
    /// How it is known whether tools are native, in one line.
    pub tools_reason: String,
}

/// A server found on loopback.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// A configuration that uses it.
    pub config: ProviderConfig,
    /// What it is and has.
    pub probe: Probe,
    /// What was found where, in one line.
    pub reason: String,
}

/// Asks a configured server all that can be known. May load a model; takes up to a minute then.
///
/// # Errors
/// When it can't be reached, refuses the key or has no list of models.
pub async fn probe(egress: Arc<dyn Egress>, config: &ProviderConfig) -> Result<Probe, ModelError> {
    let endpoint = endpoint(&egress, config);
    let vendor = vendor(config);
    let Some(wire) = config.kind.wire() else {
        return Err(ModelError::NoModel {
            detail: format!(
                "{} is the model inside this program, not a server.",
                config.name
            ),
        });
    };
    let is_unknown = matches!(wire, Wire::OpenAiChat | Wire::Ollama);
    let identified = if is_unknown {
        identify(&endpoint, &vendor, IDENTIFY_WAIT_MAX).await
    } else {
        None
    };
    let mut probe = match identified {
        Some(probe) => probe,
        None => Probe {
            kind: ServerKind::Other,
            version: None,
            models: list_models(&endpoint, &vendor, wire).await?,
            tools_reason: NOT_SAID.to_owned(),
        },
    };
    let asked = probe.models.iter_mut().find(|it| it.model == config.model);
    if let Some(info) = asked
        && info.native_tools.is_none()
        && config.kind == ProviderKind::OpenAiChat
    {
        let (native, reason) = compare_prompts(&endpoint, &vendor).await;
        info.native_tools = native;
        probe.tools_reason = reason;
    }
    Ok(probe)
}

/// Looks for servers at the usual ports of this machine, all at once. Nothing is loaded and nothing generated. Returns
/// within half a second, at once where nothing listens.
pub async fn discover_loopback(egress: Arc<dyn Egress>) -> Vec<Found> {
    let found = LOOPBACK_PORTS.map(|port| look_at(&egress, port));
    join_all(found).await.into_iter().flatten().collect()
}

async fn look_at(egress: &Arc<dyn Egress>, port: u16) -> Option<Found> {
    let base_url: Url = format!("http://127.0.0.1:{port}").parse().ok()?;
    let mut config = ProviderConfig::new("", ProviderKind::OpenAiChat, "");
    config.base_url = Some(base_url.clone());
    let endpoint = endpoint(egress, &config);
    let probe = identify(&endpoint, &vendor(&config), LOOPBACK_WAIT_MAX).await?;
    let first = probe.models.first()?;
    config.name = probe.kind.slug().to_owned();
    config.model.clone_from(&first.model);
    config.context_tokens_max = first.context_tokens_max;
    config.native_tools = first.native_tools;
    if probe.kind == ServerKind::Ollama {
        config.kind = ProviderKind::Ollama;
        // A model's own maximum may need more memory than there is; the codec's default is safe.
        config.context_tokens_max = None;
    }
    let others = match probe.models.len() - 1 {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let reason = format!(
        "{} answers on port {port} with {}{others}",
        probe.kind.label(),
        first.model
    );
    Some(Found {
        config,
        probe,
        reason,
    })
}

fn vendor(config: &ProviderConfig) -> Vendor {
    Vendor {
        provider: config.name.clone(),
        model: config.model.clone(),
    }
}

/// The server's own words about itself. Paths are below its root, not below `/v1`.
async fn identify(endpoint: &Endpoint, vendor: &Vendor, wait_max: Duration) -> Option<Probe> {
    let root = Endpoint {
        base_url: root_of(&endpoint.base_url),
        idle_max: wait_max,
        ..endpoint.clone()
    };
    let get = |path: &'static str| ask(&root, vendor, path, None, wait_max);
    let (ollama, props, studio, listed, version) = join5(
        get("api/version"),
        get("props"),
        get("api/v0/models"),
        get("v1/models"),
        get("version"),
    )
    .await;
    let version_of = |value: &Option<Value>| {
        let text = value.as_ref()?["version"].as_str()?;
        Some(text.to_owned())
    };
    if let Some(version) = version_of(&ollama) {
        return Some(ollama_probe(&root, vendor, version, wait_max).await);
    }
    if let Some(props) = props.filter(|it| it["default_generation_settings"].is_object()) {
        return Some(llama_cpp_probe(vendor, &props, listed.as_ref()));
    }
    if let Some(studio) = studio.filter(|it| it["data"].is_array()) {
        return Some(lm_studio_probe(vendor, &studio));
    }
    let listed = listed?;
    let version = version_of(&version);
    let is_vllm = listed["data"][0]["owned_by"] == "vllm" || version.is_some();
    let kind = if is_vllm {
        ServerKind::Vllm
    } else {
        ServerKind::Other
    };
    Some(Probe {
        kind,
        version,
        models: entries(&listed)
            .map(|model| ModelInfo {
                context_tokens_max: tokens(&model["max_model_len"])
                    .or_else(|| tokens(&model["context_length"])),
                ..info(vendor, model["id"].as_str().unwrap_or(""), kind)
            })
            .collect(),
        tools_reason: NOT_SAID.to_owned(),
    })
}

async fn ollama_probe(
    root: &Endpoint,
    vendor: &Vendor,
    version: String,
    wait_max: Duration,
) -> Probe {
    let listed = ask(root, vendor, "api/tags", None, wait_max).await;
    let names = listed
        .as_ref()
        .and_then(|it| it["models"].as_array())
        .into_iter()
        .flatten()
        .filter_map(|it| it["name"].as_str());
    let shown = names.take(MODELS_MAX).map(|name| async move {
        let body = json!({"model": name});
        let shown = ask(root, vendor, "api/show", Some(&body), wait_max).await;
        ollama_info(vendor, name, &shown.unwrap_or_default())
    });
    let mut models: Vec<ModelInfo> = join_all(shown).await.into_iter().flatten().collect();
    // The first is what a person gets who chose none.
    models.sort_by_key(|it| it.native_tools != Some(true));
    Probe {
        kind: ServerKind::Ollama,
        version: Some(version),
        models,
        tools_reason: "as the model's capabilities say".to_owned(),
    }
}

/// What is known of a model; `None` for one that only makes vectors.
fn ollama_info(vendor: &Vendor, name: &str, shown: &Value) -> Option<ModelInfo> {
    let capabilities = shown["capabilities"].as_array();
    let can = |ability: &str| capabilities.map(|all| all.iter().any(|it| it == ability));
    if can("completion") == Some(false) {
        return None;
    }
    let context = shown["model_info"]
        .as_object()
        .into_iter()
        .flatten()
        .find(|(key, _)| key.ends_with(".context_length"))
        .and_then(|(_, value)| tokens(value));
    Some(ModelInfo {
        context_tokens_max: context,
        native_tools: can("tools"),
        ..info(vendor, name, ServerKind::Ollama)
    })
}

fn llama_cpp_probe(vendor: &Vendor, props: &Value, listed: Option<&Value>) -> Probe {
    let native = template_takes_tools(props);
    let context =
        tokens(&props["default_generation_settings"]["n_ctx"]).or_else(|| tokens(&props["n_ctx"]));
    // A model that was given as a file has its path for a name, which the server does not compare.
    let file = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    let mut names: Vec<String> = listed
        .into_iter()
        .flat_map(entries)
        .filter_map(|it| it["id"].as_str().map(file))
        .collect();
    if names.is_empty() {
        names.push(file(props["model_path"].as_str().unwrap_or("")));
    }
    Probe {
        kind: ServerKind::LlamaCpp,
        version: props["build_info"].as_str().map(str::to_owned),
        models: names
            .iter()
            .map(|name| ModelInfo {
                context_tokens_max: context,
                native_tools: native,
                ..info(vendor, name, ServerKind::LlamaCpp)
            })
            .collect(),
        tools_reason: match native {
            Some(true) => "the chat template takes tools".to_owned(),
            Some(false) => {
                "the chat template takes no tools, so the server would drop them silently"
                    .to_owned()
            }
            None => NOT_SAID.to_owned(),
        },
    }
}

/// Whether a llama.cpp server's chat template has a place for tools. Where it has none they are dropped silently.
fn template_takes_tools(props: &Value) -> Option<bool> {
    let caps = &props["chat_template_caps"];
    let takes = caps["supports_tools"].as_bool()?;
    Some(takes && caps["supports_tool_calls"] != false)
}

/// Whether a server near by is known to drop tools silently. One short question; silence is no.
pub(crate) async fn drops_tools(endpoint: &Endpoint, vendor: &Vendor) -> bool {
    let root = Endpoint {
        base_url: root_of(&endpoint.base_url),
        idle_max: LOOPBACK_WAIT_MAX,
        ..endpoint.clone()
    };
    let props = ask(&root, vendor, "props", None, LOOPBACK_WAIT_MAX).await;
    props.as_ref().and_then(template_takes_tools) == Some(false)
}

fn lm_studio_probe(vendor: &Vendor, listed: &Value) -> Probe {
    let mut models: Vec<&Value> = entries(listed)
        .filter(|it| it["type"] != "embeddings")
        .collect();
    models.sort_by_key(|it| it["state"] != "loaded");
    let models = models.into_iter().map(|model| {
        let capabilities = model["capabilities"].as_array();
        ModelInfo {
            context_tokens_max: tokens(&model["loaded_context_length"])
                .or_else(|| tokens(&model["max_context_length"])),
            native_tools: capabilities.map(|all| all.iter().any(|it| it == "tool_use")),
            ..info(
                vendor,
                model["id"].as_str().unwrap_or(""),
                ServerKind::LmStudio,
            )
        }
    });
    Probe {
        kind: ServerKind::LmStudio,
        version: None,
        models: models.collect(),
        tools_reason: "as the model's capabilities say".to_owned(),
    }
}

/// Sends a request of one token with and without tools and compares the prompts' lengths.
async fn compare_prompts(endpoint: &Endpoint, vendor: &Vendor) -> (Option<bool>, String) {
    let plain = json!({
        "model": vendor.model,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 1,
    });
    let mut with_tools = plain.clone();
    with_tools["tools"] = json!([{"type": "function", "function": {
        "name": "get_weather_forecast",
        "description": "Gives the weather forecast for a place on a day, with temperature, wind and rain.",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}, "day": {"type": "string"}},
            "required": ["place"],
            "additionalProperties": false,
        },
    }}]);
    let measure = async |body: &Value| {
        let asked = endpoint.json(vendor, "chat/completions", &[], Some(body));
        match tokio::time::timeout(TOKEN_WAIT_MAX, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::from(vendor.unavailable("no answer to one token"))),
        }
    };
    let without = match measure(&plain).await {
        Ok(answer) => answer["usage"]["prompt_tokens"].as_u64(),
        Err(failure) => return (None, failure.error.to_string()),
    };
    let with = match measure(&with_tools).await {
        Ok(answer) => answer["usage"]["prompt_tokens"].as_u64(),
        Err(Failure {
            error: ModelError::Rejected { detail, .. },
            ..
        }) => return (Some(false), format!("the server refuses tools: {detail}")),
        Err(failure) => return (None, failure.error.to_string()),
    };
    match (without, with) {
        (Some(without), Some(with)) if with > without => (
            Some(true),
            format!("a prompt grew from {without} to {with} tokens by a tool"),
        ),
        (Some(without), Some(_)) => (
            Some(false),
            format!(
                "a prompt stayed at {without} tokens with a tool: the server drops it silently"
            ),
        ),
        _ => (None, "the server does not count prompt tokens".to_owned()),
    }
}

/// The models that a provider lists.
pub(crate) async fn list_models(
    endpoint: &Endpoint,
    vendor: &Vendor,
    wire: Wire,
) -> Result<Vec<ModelInfo>, ModelError> {
    let (path, headers) = match wire {
        Wire::Ollama => ("api/tags", vec![]),
        Wire::Anthropic => (
            "v1/models?limit=1000",
            vec![("anthropic-version", VERSION.to_owned())],
        ),
        Wire::OpenAiChat | Wire::OpenAiResponses => ("models", vec![]),
    };
    let listed = endpoint
        .json(vendor, path, &headers, None)
        .await
        .map_err(|failure| failure.error)?;
    if wire == Wire::Ollama {
        let version = String::new();
        let probe = ollama_probe(endpoint, vendor, version, endpoint.idle_max).await;
        return Ok(probe.models);
    }
    let is_native = matches!(wire, Wire::Anthropic | Wire::OpenAiResponses);
    Ok(entries(&listed)
        .map(|model| ModelInfo {
            context_tokens_max: tokens(&model["context_length"])
                .or_else(|| tokens(&model["max_model_len"])),
            native_tools: is_native.then_some(true),
            ..info(
                vendor,
                model["id"].as_str().unwrap_or(""),
                ServerKind::Other,
            )
        })
        .collect())
}

fn info(vendor: &Vendor, model: &str, kind: ServerKind) -> ModelInfo {
    ModelInfo {
        provider: vendor.provider.clone(),
        model: model.to_owned(),
        context_tokens_max: None,
        native_tools: None,
        constrained_output: kind.constrained_output(),
        is_local: kind != ServerKind::Other,
        price: None,
    }
}

fn entries(listed: &Value) -> impl Iterator<Item = &Value> {
    let models = listed["data"].as_array().into_iter().flatten();
    models.filter(|it| it["id"].is_string())
}

fn tokens(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok().filter(|n| *n > 0)
}

/// A JSON answer in time, or nothing.
async fn ask(
    endpoint: &Endpoint,
    vendor: &Vendor,
    path: &str,
    body: Option<&Value>,
    wait_max: Duration,
) -> Option<Value> {
    let asked = endpoint.json(vendor, path, &[], body);
    tokio::time::timeout(wait_max, asked).await.ok()?.ok()
}

fn root_of(base_url: &Url) -> Url {
    let mut root = base_url.clone();
    let path = base_url.path().trim_end_matches('/');
    root.set_path(path.strip_suffix("/v1").unwrap_or(path));
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use titan_protocol::{EgressError, HttpRequest};
    use titan_testkit::egress::{Reply, ScriptedEgress};
    use titan_testkit::gate::Gate;

    /// A machine where these addresses answer and nothing else does.
    fn machine(pages: &'static [(&'static str, &'static str)]) -> Arc<dyn Egress> {
        Arc::new(ScriptedEgress::answering(move |request: &HttpRequest| {
            let address = request.url.as_str().trim_start_matches("http://127.0.0.1:");
            let port = address.split('/').next().unwrap_or("");
            let is_known = pages.iter().any(|(page, _)| page.starts_with(port));
            match pages.iter().find(|(page, _)| *page == address) {
                Some((_, body)) => Reply::ok(*body).header("content-type", "application/json"),
                None if is_known => Reply::status(404),
                None => Reply::error(EgressError::Unreachable("refused".to_owned())),
            }
        }))
    }

    async fn discover(pages: &'static [(&'static str, &'static str)]) -> Vec<Found> {
        discover_loopback(machine(pages)).await
    }

    #[tokio::test]
    async fn nothing_is_found_where_nothing_listens() {
        assert_eq!(discover(&[]).await, []);
    }

    #[tokio::test]
    async fn ollama_is_known_by_its_version_and_its_models_by_their_capabilities() {
        let found = discover(&[
            ("11434/api/version", r#"{"version":"0.12.6"}"#),
            (
                "11434/api/tags",
                r#"{"models":[{"name":"qwen3:4b"},{"name":"qwen3:8b"}]}"#,
            ),
            (
                "11434/api/show",
                r#"{"capabilities":["completion","tools"],"model_info":{"qwen3.context_length":40960}}"#,
            ),
        ])
        .await;
        assert_eq!(found.len(), 1);
        let it = &found[0];
        assert_eq!(
            it.reason,
            "Ollama answers on port 11434 with qwen3:4b and 1 more"
        );
        assert_eq!(it.config.kind, ProviderKind::Ollama);
        assert_eq!(it.config.native_tools, Some(true));
        assert_eq!(it.probe.models[0].context_tokens_max, Some(40960));
    }

    #[tokio::test]
    async fn of_ollamas_models_those_that_call_tools_come_first_and_vectors_not_at_all() {
        let egress = ScriptedEgress::answering(|request: &HttpRequest| {
            let body = String::from_utf8_lossy(&request.body);
            match request.url.path() {
                "/api/version" => Reply::ok(r#"{"version":"0.12.6"}"#),
                "/api/tags" => Reply::ok(
                    r#"{"models":[{"name":"vectors"},{"name":"talks"},{"name":"calls"}]}"#,
                ),
                "/api/show" if body.contains("vectors") => {
                    Reply::ok(r#"{"capabilities":["embedding"]}"#)
                }
                "/api/show" if body.contains("talks") => {
                    Reply::ok(r#"{"capabilities":["completion"]}"#)
                }
                "/api/show" => Reply::ok(r#"{"capabilities":["completion","tools"]}"#),
                _ => Reply::status(404),
            }
        });
        let config = ProviderConfig::new("ollama", ProviderKind::Ollama, "talks");
        let probe = probe(Arc::new(egress), &config).await.unwrap();
        let models: Vec<_> = probe
            .models
            .iter()
            .map(|it| (it.model.as_str(), it.native_tools))
            .collect();
        assert_eq!(models, [("calls", Some(true)), ("talks", Some(false))]);
    }

    #[tokio::test]
    async fn a_llama_cpp_server_whose_template_takes_no_tools_is_found_out() {
        let found = discover(&[
            (
                "8080/props",
                r#"{"default_generation_settings":{"n_ctx":4096},"model_path":"/m/smollm2.gguf","build_info":"b11434",
                   "chat_template_caps":{"supports_tools":false,"supports_tool_calls":false}}"#,
            ),
            (
                "8080/v1/models",
                r#"{"data":[{"id":"/home/a/models/smollm2.gguf","owned_by":"llamacpp"}]}"#,
            ),
        ])
        .await;
        let it = &found[0];
        assert_eq!(it.config.native_tools, Some(false));
        assert_eq!(it.config.context_tokens_max, Some(4096));
        assert_eq!(
            it.probe.tools_reason,
            "the chat template takes no tools, so the server would drop them silently"
        );
        assert_eq!(
            it.reason,
            "llama.cpp answers on port 8080 with smollm2.gguf"
        );
    }

    #[tokio::test]
    async fn vllm_and_lm_studio_are_told_apart() {
        let found = discover(&[
            (
                "8000/v1/models",
                r#"{"data":[{"id":"Qwen/Qwen3-8B","owned_by":"vllm","max_model_len":32768}]}"#,
            ),
            ("8000/version", r#"{"version":"0.11.0"}"#),
            (
                "1234/api/v0/models",
                r#"{"data":[{"id":"idle","state":"not-loaded","max_context_length":9},
                   {"id":"ready","state":"loaded","capabilities":["tool_use"],"loaded_context_length":8192},
                   {"id":"vectors","type":"embeddings","state":"loaded"}]}"#,
            ),
        ])
        .await;
        let lines: Vec<_> = found.iter().map(|it| it.reason.as_str()).collect();
        assert_eq!(
            lines,
            [
                "vLLM answers on port 8000 with Qwen/Qwen3-8B",
                "LM Studio answers on port 1234 with ready and 1 more"
            ]
        );
        assert_eq!(found[0].config.context_tokens_max, Some(32768));
        assert_eq!(found[1].config.native_tools, Some(true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_never_answers_is_left_after_150_ms() {
        let gate = Gate::new();
        let egress = ScriptedEgress::answering(move |_| Reply::status(200).hold_head(&gate));
        let begun = tokio::time::Instant::now();
        assert_eq!(discover_loopback(Arc::new(egress)).await, []);
        assert_eq!(begun.elapsed(), LOOPBACK_WAIT_MAX);
    }

    async fn tools_of(count_with: &str) -> (Option<bool>, String) {
        let pages = format!(r#"{{"usage":{{"prompt_tokens":{count_with}}}}}"#);
        let egress = ScriptedEgress::answering(move |request: &HttpRequest| {
            let body = String::from_utf8_lossy(&request.body);
            match request.url.path() {
                "/v1/models" => Reply::ok(r#"{"data":[{"id":"m","owned_by":"me"}]}"#),
                "/v1/chat/completions" if body.contains("\"tools\"") => Reply::ok(pages.clone()),
                "/v1/chat/completions" => Reply::ok(r#"{"usage":{"prompt_tokens":32}}"#),
                _ => Reply::status(404),
            }
        });
        let mut config = ProviderConfig::new("mine", ProviderKind::OpenAiChat, "m");
        config.base_url = Some("http://10.0.0.2:9000/v1".parse().unwrap());
        let probe = probe(Arc::new(egress), &config).await.unwrap();
        (probe.models[0].native_tools, probe.tools_reason)
    }

    #[tokio::test]
    async fn tools_that_are_dropped_silently_are_found_by_the_prompts_length() {
        assert_eq!(
            tools_of("32").await,
            (
                Some(false),
                "a prompt stayed at 32 tokens with a tool: the server drops it silently".to_owned()
            )
        );
        assert_eq!(
            tools_of("131").await,
            (
                Some(true),
                "a prompt grew from 32 to 131 tokens by a tool".to_owned()
            )
        );
        assert_eq!(
            tools_of("null").await,
            (None, "the server does not count prompt tokens".to_owned())
        );
    }
}
