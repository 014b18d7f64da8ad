//! The model inside this program, under its configured name.

use async_trait::async_trait;
use futures::StreamExt;
use std::sync::Arc;
use titan_protocol::{ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, Provider};

/// Gives the local model the name that routes and events know it by.
pub(crate) struct Local {
    name: String,
    /// The one of its models that runs.
    model: String,
    inner: Arc<dyn Provider>,
}

impl Local {
    pub(crate) fn new(name: String, model: String, inner: Arc<dyn Provider>) -> Self {
        Self { name, model, inner }
    }
}

#[async_trait]
impl Provider for Local {
    fn name(&self) -> &str {
        &self.name
    }

    fn stream(&self, mut request: ModelRequest) -> ModelStream {
        // An unnamed model is the one that is there.
        request.model = request.model.filter(|model| !model.is_empty());
        let name = self.name.clone();
        self.inner
            .stream(request)
            .map(move |item| {
                item.map(|event| match event {
                    ModelEvent::Route { model, reason, .. } => ModelEvent::Route {
                        provider: name.clone(),
                        model,
                        reason,
                    },
                    other => other,
                })
            })
            .boxed()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        let models = self.inner.models().await?.into_iter();
        let named = models
            .filter(|info| info.model == self.model)
            .map(|info| ModelInfo {
                provider: self.name.clone(),
                ..info
            });
        Ok(named.collect())
    }
}
