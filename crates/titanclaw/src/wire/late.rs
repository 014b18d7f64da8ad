//! Models that are set after the engine is open, because what was spent today is known only then. Where no model was
//! asked for they are never set.

use async_trait::async_trait;
use futures::StreamExt;
use std::sync::{Arc, OnceLock};
use titan_protocol::{
    ModelError, ModelInfo, ModelRequest, ModelStream, Provider, SessionId, TurnId,
};
use titan_providers::{Router, SpendScope};

#[derive(Default)]
pub(super) struct LateRouter(OnceLock<Router>);

impl LateRouter {
    /// Sets it. A second time changes nothing.
    pub(super) fn set(&self, router: Router) {
        self.0.get_or_init(|| router);
    }

    /// The models, paid for by a turn.
    pub(super) fn scoped(
        &self,
        session: SessionId,
        turn: TurnId,
        session_spent_usd_micros: u64,
    ) -> Arc<dyn Provider> {
        match self.0.get() {
            Some(router) => router.scoped(SpendScope {
                session,
                turn,
                session_spent_usd_micros,
            }),
            None => Arc::new(NoModel),
        }
    }
}

/// What an engine has that only looks at what is stored.
struct NoModel;

impl NoModel {
    fn error(&self) -> ModelError {
        ModelError::NoModel {
            detail: "this engine was started without a model, to look at what is stored. Ask again when it has ended.".to_owned(),
        }
    }
}

#[async_trait]
impl Provider for NoModel {
    fn name(&self) -> &str {
        "none"
    }

    fn stream(&self, _request: ModelRequest) -> ModelStream {
        futures::stream::iter([Err(self.error())]).boxed()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        Err(self.error())
    }
}
