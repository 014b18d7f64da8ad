//! What this crate's tests share.

use async_trait::async_trait;
use futures::StreamExt;
use std::fmt::Write;
use std::sync::Arc;
use titan_protocol::{
    ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, Provider, StopReason,
};
use titan_testkit::model::ScriptedModel;

/// A model that replies once, as written.
pub(crate) fn scripted(script: &str) -> Arc<dyn Provider> {
    Arc::new(ScriptedModel::new([script]))
}

/// A provider under another name, that says the model it was asked for.
pub(crate) struct Named {
    name: String,
    inner: Arc<dyn Provider>,
}

impl Named {
    pub(crate) fn new(name: &str, inner: Arc<dyn Provider>) -> Self {
        Self {
            name: name.to_owned(),
            inner,
        }
    }
}

#[async_trait]
impl Provider for Named {
    fn name(&self) -> &str {
        &self.name
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        let provider = self.name.clone();
        let model = request.model.clone().unwrap_or_default();
        self.inner
            .stream(request)
            .map(move |item| match item {
                Ok(ModelEvent::Route { reason, .. }) => Ok(ModelEvent::Route {
                    provider: provider.clone(),
                    model: model.clone(),
                    reason,
                }),
                other => other,
            })
            .boxed()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        self.inner.models().await
    }
}

/// A stream as text, one item a line.
pub(crate) async fn render(stream: ModelStream) -> String {
    let items: Vec<_> = stream.collect().await;
    render_items(&items)
}

/// Items as text, one a line.
pub(crate) fn render_items(items: &[Result<ModelEvent, ModelError>]) -> String {
    let mut text = String::new();
    for item in items {
        let line = match item {
            Ok(event) => render_event(event),
            Err(error) => format!("error {error}"),
        };
        writeln!(text, "{line}").unwrap();
    }
    text
}

fn render_event(event: &ModelEvent) -> String {
    match event {
        ModelEvent::Route {
            provider,
            model,
            reason,
        } => match reason {
            Some(reason) => format!("route {provider}/{model} because {reason}"),
            None => format!("route {provider}/{model}"),
        },
        ModelEvent::TextDelta { text } => format!("text {text:?}"),
        ModelEvent::ImagesHidden { why } => format!("images hidden because {why}"),
        ModelEvent::ThinkingDelta { text } => format!("thinking {text:?}"),
        ModelEvent::ThinkingSignature { signature } => format!("seal {signature}"),
        ModelEvent::ToolCallBegin { index, name } => format!("begin {index} {name}"),
        ModelEvent::ToolCallDelta { index, json } => format!("delta {index} {json}"),
        ModelEvent::ToolCallEnd { index } => format!("end {index}"),
        ModelEvent::Usage(usage) => {
            let cost = match usage.cost_usd_micros {
                Some(cost) => format!(" cost {cost}"),
                None => String::new(),
            };
            format!(
                "usage {} {} {} {}{cost}",
                usage.input_tokens,
                usage.cache_read_tokens,
                usage.cache_write_tokens,
                usage.output_tokens
            )
        }
        ModelEvent::Done { stop } => format!(
            "done {}",
            match stop {
                StopReason::End => "end",
                StopReason::ToolCalls => "tool_calls",
                StopReason::Length => "length",
                StopReason::Refused => "refused",
            }
        ),
    }
}
