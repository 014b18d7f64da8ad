//! Chooses the models for a request and pays for them.

use crate::fallback::{BrokenOff, Fallback, Link};
use crate::meter::{Ledger, Metered, SpendScope};
use crate::prices::Prices;
use async_trait::async_trait;
use futures::future::join_all;
use futures::{StreamExt, future, stream};
use std::collections::BTreeMap;
use std::sync::Arc;
use titan_protocol::{Embedder, ModelError, ModelInfo, ModelRequest, ModelStream, Provider, Task};

/// All configured models as one provider: routes by task, falls back along each route, prices every call and keeps
/// the ceilings.
///
/// A request that names a model, as `provider/model`, `provider` or `model`, gets that one and no other: what a
/// person chose is not replaced silently. Clones are the same router.
#[derive(Clone)]
pub struct Router {
    core: Arc<Core>,
    scope: Option<SpendScope>,
    /// Of the turn that this router was made for.
    broken_off: Option<BrokenOff>,
}

pub(crate) struct Core {
    pub(crate) entries: Vec<Entry>,
    pub(crate) routes: BTreeMap<Task, Vec<Choice>>,
    pub(crate) prices: Prices,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) embedder: Option<Arc<dyn Embedder>>,
}

/// A configured provider.
pub(crate) struct Entry {
    pub(crate) provider: Arc<dyn Provider>,
    /// Used when none is named.
    pub(crate) model: String,
    /// It runs on the person's own machines.
    pub(crate) is_own_machine: bool,
}

impl Entry {
    /// The model that it is configured with, of which nothing else is known.
    fn configured(&self, is_reached: bool) -> ModelInfo {
        ModelInfo {
            provider: self.provider.name().to_owned(),
            model: self.model.clone(),
            context_tokens_max: None,
            native_tools: None,
            constrained_output: None,
            is_local: is_reached && self.is_own_machine,
            price: None,
        }
    }
}

/// A model of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Position among the entries.
    pub(crate) entry: usize,
    pub(crate) model: String,
}

impl Core {
    /// The model that a person names; a bare model goes to the provider configured with it, else to `default`.
    pub(crate) fn resolve(&self, named: &str, default: Option<usize>) -> Option<Choice> {
        resolve(&self.entries, named, default)
    }
}

/// See [`Core::resolve`].
pub(crate) fn resolve(entries: &[Entry], named: &str, default: Option<usize>) -> Option<Choice> {
    let by_name = |name: &str| entries.iter().position(|it| it.provider.name() == name);
    if let Some((provider, model)) = named.split_once('/')
        && let Some(entry) = by_name(provider)
        && !model.is_empty()
    {
        let model = model.to_owned();
        return Some(Choice { entry, model });
    }
    if let Some(entry) = by_name(named) {
        let model = entries[entry].model.clone();
        return Some(Choice { entry, model });
    }
    let model = named.to_owned();
    let entry = entries
        .iter()
        .position(|it| it.model == named)
        .or(default)?;
    Some(Choice { entry, model })
}

impl Router {
    pub(crate) fn new(core: Core) -> Self {
        Self {
            core: Arc::new(core),
            scope: None,
            broken_off: None,
        }
    }

    /// The same models, paid for by one turn. Hold one for a turn and give it to all that works for it; the turn's and
    /// the session's ceilings then hold for the sum. Without a scope only the day's ceiling counts.
    ///
    /// A model that breaks off in the middle of an answer is asked last for the rest of the turn.
    pub fn scoped(&self, scope: SpendScope) -> Arc<dyn Provider> {
        Arc::new(Self {
            core: Arc::clone(&self.core),
            scope: Some(scope),
            broken_off: Some(BrokenOff::default()),
        })
    }

    /// The models of a task's route as `provider/model`, first choice first; empty when none is set up.
    pub fn route(&self, task: Task) -> Vec<String> {
        let choices = self.core.routes.get(&task).into_iter().flatten();
        choices
            .map(|choice| {
                let name = self.core.entries[choice.entry].provider.name();
                format!("{name}/{}", choice.model)
            })
            .collect()
    }

    /// What turns texts into vectors, if anything does.
    pub fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.core.embedder.clone()
    }

    fn choices(&self, request: &ModelRequest) -> Result<Vec<Choice>, ModelError> {
        let route = self
            .core
            .routes
            .get(&request.task)
            .map_or(&[][..], Vec::as_slice);
        let Some(named) = &request.model else {
            return Ok(route.to_vec());
        };
        let default = route.first().map(|choice| choice.entry);
        match self.core.resolve(named, default) {
            Some(choice) => Ok(vec![choice]),
            None => Err(ModelError::NoModel {
                detail: format!(
                    "There is no model {named}. `titanclaw models list` shows what is there."
                ),
            }),
        }
    }

    /// The models that the providers list. All are asked at once; those that cannot be reached are left out.
    ///
    /// # Errors
    /// When none can be reached.
    pub async fn listed(&self) -> Result<Vec<ModelInfo>, ModelError> {
        let entries = &self.core.entries;
        let answers = join_all(entries.iter().map(|entry| entry.provider.models())).await;
        let mut all = Vec::new();
        let mut first_error = None;
        for (entry, answer) in entries.iter().zip(answers) {
            match answer {
                Ok(models) => all.extend(models.into_iter().map(|it| self.priced(it, entry))),
                Err(error) => {
                    tracing::warn!(%error, "a provider's models are not known");
                    first_error = first_error.or(Some(error));
                }
            }
        }
        match first_error {
            Some(error) if all.is_empty() => Err(error),
            _ => Ok(all),
        }
    }

    fn priced(&self, info: ModelInfo, entry: &Entry) -> ModelInfo {
        let prices = &self.core.prices;
        ModelInfo {
            price: prices.of(&info.provider, &info.model, entry.is_own_machine),
            ..info
        }
    }

    fn link(&self, choice: Choice) -> Link {
        let entry = &self.core.entries[choice.entry];
        Link {
            provider: Arc::new(Metered::priced(
                Arc::clone(&entry.provider),
                choice.model.clone(),
                entry.is_own_machine,
                &self.core.prices,
                Arc::clone(&self.core.ledger),
                self.scope,
            )),
            model: choice.model,
        }
    }
}

#[async_trait]
impl Provider for Router {
    fn name(&self) -> &str {
        "router"
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        match self.choices(&request) {
            Ok(choices) => {
                let links = choices.into_iter().map(|it| self.link(it)).collect();
                Fallback::new(task_name(request.task), links)
                    .remembering(self.broken_off.clone().unwrap_or_default())
                    .stream(request)
            }
            Err(error) => stream::once(future::ready(Err(error))).boxed(),
        }
    }

    /// What a request may name: the models that the servers list, and the one that each is configured with, which its
    /// own list may know by another name. One that can't be reached is listed with that alone, unless none can.
    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        let mut all = self.listed().await?;
        for entry in &self.core.entries {
            let name = entry.provider.name();
            let mut own = all.iter().filter(|info| info.provider == name);
            let is_reached = own.clone().next().is_some();
            if own.all(|info| info.model != entry.model) {
                let configured = entry.configured(is_reached);
                all.push(self.priced(configured, entry));
            }
        }
        Ok(all)
    }
}

fn task_name(task: Task) -> &'static str {
    match task {
        Task::Chat => "chat",
        Task::Code => "code",
        Task::Utility => "utility",
        Task::Embed => "embed",
    }
}
