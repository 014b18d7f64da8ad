//! Which models a request may name.
//!
//! Servers are asked for their models, which takes its time, so the answer is kept for a while. A name that is not among
//! them is refused as OpenAI does, unless its vendor may know it by another one than it lists: that one is asked.

use crate::Gateway;
use crate::refusal::Refusal;
use axum::http::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use titan_protocol::ModelInfo;

/// The model's name that leaves the choice to the engine.
pub(crate) const OWN_MODEL: &str = "titanclaw";

/// How long a list is good.
const LIST_LIFE: Duration = Duration::from_secs(60);
/// How long a list is good for a name that is not in it.
const MISS_LIFE: Duration = Duration::from_secs(5);
/// How long servers are waited for.
const LIST_WAIT_MAX: Duration = Duration::from_secs(5);

/// What there was when it was last asked for.
#[derive(Default)]
pub(crate) struct Models(tokio::sync::Mutex<Option<(Instant, Arc<[ModelInfo]>)>>);

impl Models {
    /// The models, no older than `life`; `None` where they can't be had in time. Whoever asks meanwhile waits for the
    /// same answer.
    async fn list(&self, gateway: &Gateway, life: Duration) -> Option<Arc<[ModelInfo]>> {
        let mut kept = self.0.lock().await;
        if let Some((at, models)) = &*kept
            && at.elapsed() < life
        {
            return Some(Arc::clone(models));
        }
        let asked = tokio::time::timeout(LIST_WAIT_MAX, gateway.ports.client.models()).await;
        let models: Arc<[ModelInfo]> = match asked {
            Ok(Ok(models)) => models.into(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the models are not known");
                return None;
            }
            Err(_) => {
                tracing::warn!("the models were not told in time");
                return None;
            }
        };
        *kept = Some((Instant::now(), Arc::clone(&models)));
        Some(models)
    }
}

/// The models that a request may name, as `provider/model`, with their providers. Empty where they can't be had.
pub(crate) async fn listed(gateway: &Gateway) -> Vec<(String, String)> {
    let models = gateway.models.list(gateway, LIST_LIFE).await;
    let models = models.iter().flat_map(|it| it.iter());
    let mut named: Vec<(String, String)> = models
        .map(|model| (whole(model), model.provider.clone()))
        .collect();
    named.sort();
    named.dedup();
    named
}

/// The model that a request names, as the engine knows it; `None` leaves the choice to the engine.
///
/// # Errors
/// 400 when it is no name, 404 when there is no such model.
pub(crate) async fn named(
    gateway: &Gateway,
    name: Option<&str>,
) -> Result<Option<String>, Refusal> {
    let Some(name) = name.filter(|name| *name != OWN_MODEL) else {
        return Ok(None);
    };
    if name.is_empty() || name.len() > 200 {
        return Err(Refusal::unsupported("model", "That is no model's name."));
    }
    for life in [LIST_LIFE, MISS_LIFE] {
        let Some(models) = gateway.models.list(gateway, life).await else {
            // Nobody can tell whether it is there but the one who is asked for an answer.
            return Ok(Some(name.to_owned()));
        };
        if let Some(found) = find(&models, name) {
            return Ok(Some(found));
        }
    }
    Err(missing(name))
}

/// There is no such model, in OpenAI's words.
pub(crate) fn missing(name: &str) -> Refusal {
    let name: String = name.chars().take(200).collect();
    let text = format!(
        "The model `{name}` does not exist. /v1/models lists those that do, and `{OWN_MODEL}` leaves the choice to the engine."
    );
    Refusal::unsupported("model", text).with(StatusCode::NOT_FOUND, "model_not_found")
}

fn whole(model: &ModelInfo) -> String {
    format!("{}/{}", model.provider, model.model)
}

/// The model that a name means: one that is listed, or one that its vendor may know. A provider's name alone means the
/// model that it is configured with.
fn find(models: &[ModelInfo], name: &str) -> Option<String> {
    let is_listed = |model: &&ModelInfo| whole(model) == name;
    let is_bare = |model: &&ModelInfo| model.model == name;
    let listed = models.iter().find(is_listed);
    if let Some(model) = listed.or_else(|| models.iter().find(is_bare)) {
        return Some(whole(model));
    }
    let provider = name.split_once('/').map_or(name, |(provider, _)| provider);
    let mut own = models.iter().filter(|model| model.provider == provider);
    let is_alone = provider == name && own.clone().next().is_some();
    // Vendors know models by more names than they list; a server on this machine has those that it lists.
    let may_know = own.any(|model| !model.is_local || whole(model).starts_with(name));
    (is_alone || may_know).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(provider: &str, model: &str, is_local: bool) -> ModelInfo {
        ModelInfo {
            provider: provider.into(),
            model: model.into(),
            context_tokens_max: None,
            native_tools: None,
            constrained_output: None,
            is_local,
            price: None,
        }
    }

    #[test]
    fn a_name_means_one_model_or_none() {
        let models = [
            model("hosted", "large-2026", false),
            model("house", "qwen:latest", true),
            model("house", "a/b", true),
        ];
        for (name, meant) in [
            ("hosted/large-2026", Some("hosted/large-2026")),
            ("large-2026", Some("hosted/large-2026")),
            ("a/b", Some("house/a/b")),
            ("house", Some("house")),
            ("house/qwen", Some("house/qwen")),
            ("hosted/large", Some("hosted/large")),
            ("hosted/unlisted", Some("hosted/unlisted")),
            ("house/unlisted", None),
            ("unlisted", None),
            ("other/large-2026", None),
            ("hous", None),
        ] {
            assert_eq!(find(&models, name).as_deref(), meant, "{name}");
        }
    }
}
