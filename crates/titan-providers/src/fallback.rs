//! A chain of models: the next answers when one cannot, as long as nothing was said.

use async_trait::async_trait;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use titan_protocol::{ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, Provider};

/// A model in a chain.
#[derive(Clone)]
pub struct Link {
    /// Who answers.
    pub provider: Arc<dyn Provider>,
    /// The model, as the provider names it. It is put into the request.
    pub model: String,
}

/// Asks the first of a chain, and each next one when the one before fails in a way that another may not, and has said
/// nothing yet. An error that is the thread's or the budget's, and any after content came, goes to the caller.
///
/// A stream begins with [`ModelEvent::Route`] for the first choice; each later one names why it took over.
#[derive(Clone)]
pub struct Fallback {
    name: String,
    links: Vec<Link>,
    broken_off: BrokenOff,
}

/// The models that broke off in the middle of an answer, and how. Who goes on with such an answer asks the others
/// first. Clones are the same; one lives as long as one turn.
#[derive(Clone, Default)]
pub(crate) struct BrokenOff {
    /// Provider, model, and why the next one is asked. At most one entry for each link of the chains in use.
    links: Arc<Mutex<BTreeMap<(String, String), String>>>,
}

impl BrokenOff {
    fn note(&self, link: &Link, error: &ModelError) {
        let key = (link.provider.name().to_owned(), link.model.clone());
        self.links.lock().insert(key, why(error));
    }

    /// The links in the order in which they are asked, and why when that is not the first choice's.
    fn order(&self, links: &[Link]) -> (VecDeque<Link>, Option<String>) {
        let broken = self.links.lock();
        let how = |link: &Link| {
            let key = (link.provider.name().to_owned(), link.model.clone());
            broken.get(&key).cloned()
        };
        let reason = links.first().and_then(how);
        let (last, first): (Vec<_>, Vec<_>) =
            links.iter().cloned().partition(|it| how(it).is_some());
        if first.is_empty() {
            return (last.into(), None);
        }
        (first.into_iter().chain(last).collect(), reason)
    }
}

impl Fallback {
    /// A chain under a name for people. An empty one answers with [`ModelError::NoModel`].
    pub fn new(name: impl Into<String>, links: Vec<Link>) -> Self {
        Self {
            name: name.into(),
            links,
            broken_off: BrokenOff::default(),
        }
    }

    /// The same chain, with a memory that others share.
    pub(crate) fn remembering(self, broken_off: BrokenOff) -> Self {
        Self { broken_off, ..self }
    }
}

#[async_trait]
impl Provider for Fallback {
    fn name(&self) -> &str {
        &self.name
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        let (links, reason) = self.broken_off.order(&self.links);
        let walk = Walk {
            chain: self.name.clone(),
            links,
            broken_off: self.broken_off.clone(),
            request,
            current: None,
            reason,
            held: VecDeque::new(),
            is_over: false,
        };
        stream::unfold(walk, |mut walk| async move {
            walk.next().await.map(|item| (item, walk))
        })
        .boxed()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        let mut all = Vec::new();
        let mut first_error = None;
        for link in &self.links {
            match link.provider.models().await {
                Ok(models) => all.extend(models),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        all.dedup();
        match first_error {
            Some(error) if all.is_empty() => Err(error),
            _ => Ok(all),
        }
    }
}

/// Whether another model may answer instead.
fn passes_on(error: &ModelError) -> bool {
    error.is_transient()
        || matches!(
            error,
            ModelError::Unauthorized { .. }
                | ModelError::NoModel { .. }
                | ModelError::Rejected { .. }
                | ModelError::Malformed { .. }
        )
}

/// Why the next one is asked, in one line; what to do about it is for who reads the last error.
fn why(error: &ModelError) -> String {
    match error {
        ModelError::Unauthorized { provider, .. } => format!("{provider} refused the key"),
        other => other.to_string(),
    }
}

/// One reply on its way down the chain.
struct Walk {
    chain: String,
    /// Those not asked yet.
    links: VecDeque<Link>,
    broken_off: BrokenOff,
    request: ModelRequest,
    current: Option<Asked>,
    /// Why the current one was asked, when it is not the first.
    reason: Option<String>,
    /// Items to hand out before the stream is polled again.
    held: VecDeque<Result<ModelEvent, ModelError>>,
    is_over: bool,
}

struct Asked {
    stream: ModelStream,
    link: Link,
    /// Its route was told.
    is_routed: bool,
    has_spoken: bool,
}

impl Walk {
    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        loop {
            if let Some(item) = self.held.pop_front() {
                return Some(item);
            }
            if self.is_over {
                return None;
            }
            let Some(asked) = &mut self.current else {
                self.ask_next();
                continue;
            };
            match asked.stream.next().await {
                None => {
                    self.current = None;
                    self.is_over = true;
                }
                Some(item) => self.pass(item),
            }
        }
    }

    fn ask_next(&mut self) {
        let Some(link) = self.links.pop_front() else {
            self.is_over = true;
            self.held.push_back(Err(ModelError::NoModel {
                detail: format!(
                    "No model is set up for {}. Run `titanclaw onboard`.",
                    self.chain
                ),
            }));
            return;
        };
        let request = ModelRequest {
            model: Some(link.model.clone()),
            ..self.request.clone()
        };
        self.current = Some(Asked {
            stream: link.provider.stream(request),
            link,
            is_routed: false,
            has_spoken: false,
        });
    }

    fn pass(&mut self, item: Result<ModelEvent, ModelError>) {
        let Some(asked) = &mut self.current else {
            return;
        };
        if !asked.is_routed {
            asked.is_routed = true;
            let reason = self.reason.clone();
            if let Ok(ModelEvent::Route {
                provider, model, ..
            }) = item
            {
                self.held.push_back(Ok(ModelEvent::Route {
                    provider,
                    model,
                    reason,
                }));
                return;
            }
            self.held.push_back(Ok(ModelEvent::Route {
                provider: asked.link.provider.name().to_owned(),
                model: asked.link.model.clone(),
                reason,
            }));
        }
        match item {
            Ok(event) => {
                asked.has_spoken |= event.is_content();
                self.is_over |= matches!(event, ModelEvent::Done { .. });
                self.held.push_back(Ok(event));
            }
            Err(error) => {
                let goes_on = !asked.has_spoken && passes_on(&error) && !self.links.is_empty();
                if goes_on {
                    self.reason = Some(why(&error));
                } else {
                    if asked.has_spoken {
                        self.broken_off.note(&asked.link, &error);
                    }
                    self.is_over = true;
                    self.held.push_back(Err(error));
                }
                self.current = None;
            }
        }
        if self.is_over {
            self.current = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{Named, render, scripted};
    use expect_test::{Expect, expect};
    use titan_protocol::{Message, Task};

    async fn check(scripts: &[(&str, &str)], expected: Expect) {
        let links = scripts
            .iter()
            .map(|(name, script)| Link {
                provider: Arc::new(Named::new(name, scripted(script))),
                model: "m".to_owned(),
            })
            .collect();
        let chain = Fallback::new("chat", links);
        let request = ModelRequest::new(Task::Chat, "", vec![Message::user("hi")]);
        expected.assert_eq(&render(chain.stream(request)).await);
    }

    #[tokio::test]
    async fn the_first_answers_when_it_can() {
        check(
            &[("a", "hello"), ("b", "never")],
            expect![[r#"
                route a/m
                text "hello\n"
                done end
            "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn the_next_takes_over_and_says_why() {
        check(
            &[
                ("a", "fail unavailable no route to host"),
                ("b", "fail unauthorized expired"),
                ("c", "usage 5 1\nhello"),
            ],
            expect![[r#"
                route a/m
                route b/m because script cannot be reached: no route to host
                route c/m because script refused the key
                usage 5 0 0 1
                text "hello\n"
                done end
            "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn an_error_after_content_goes_to_the_caller() {
        check(
            &[("a", "hel\nfail interrupted reset"), ("b", "never")],
            expect![[r#"
                route a/m
                text "hel\n"
                error script stopped in the middle of its answer: reset
            "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn an_error_that_another_model_cannot_mend_goes_to_the_caller() {
        check(
            &[("a", "fail too_long 9 of 8"), ("b", "never")],
            expect![[r#"
                route a/m
                error the conversation is longer than scripted can read: 9 of 8
            "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn the_last_ones_error_is_told() {
        check(
            &[("a", "fail unavailable x"), ("b", "fail limited y")],
            expect![[r#"
                route a/m
                route b/m because script cannot be reached: x
                error script is limiting requests: y
            "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn an_empty_chain_says_what_to_do() {
        check(
            &[],
            expect![[r#"
                error No model is set up for chat. Run `titanclaw onboard`.
            "#]],
        )
        .await;
    }
}
