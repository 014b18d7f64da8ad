//! One short question to a model, beside the turn: the utility model, unless it is for something else.

use futures::StreamExt;
use serde_json::Value;
use titan_protocol::{Event, Message, ModelError, ModelEvent, ModelRequest, Provider, Task, Usage};

/// What the utility model said, and what is to be told of the call: which model, and what it used.
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) events: Vec<Event>,
}

/// Asks it, without tools and without a thread. Dropping the future ends the call.
///
/// # Errors
/// As the provider says; a ceiling on spending is one of them.
pub(crate) async fn ask(
    provider: &dyn Provider,
    system: &str,
    text: String,
    output_tokens_max: u32,
) -> Result<Said, ModelError> {
    let aside = Aside {
        task: Task::Utility,
        system: system.to_owned(),
        text,
        answer_schema: None,
        output_tokens_max,
    };
    put(provider, aside).await
}

/// Something that a model is asked beside the turns of a session.
#[derive(Clone, Debug)]
pub struct Aside {
    /// What it is for; it says which model is asked.
    pub task: Task,
    /// The fixed part of the prompt.
    pub system: String,
    /// What is asked.
    pub text: String,
    /// A JSON schema that the answer must satisfy, if there is one.
    pub answer_schema: Option<Value>,
    /// Upper bound of tokens to write.
    pub output_tokens_max: u32,
}

/// What a model said to an [`Aside`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The text.
    pub text: String,
    /// The provider and the model that said it.
    pub model: String,
}

/// Asks what an aside asks. Dropping the future ends the call.
///
/// # Errors
/// As [`ask`].
pub(crate) async fn put(provider: &dyn Provider, aside: Aside) -> Result<Said, ModelError> {
    let messages = vec![Message::user(aside.text)];
    let mut request = ModelRequest::new(aside.task, aside.system, messages);
    request.answer_schema = aside.answer_schema;
    request.output_tokens_max = aside.output_tokens_max;
    let mut stream = provider.stream(request);
    let mut said = Said {
        text: String::new(),
        events: Vec::new(),
    };
    let mut usage = Usage::default();
    while let Some(event) = stream.next().await {
        match event? {
            ModelEvent::Route {
                provider,
                model,
                reason,
            } => said.events.push(Event::ModelCallStarted {
                provider,
                model,
                reason,
            }),
            ModelEvent::TextDelta { text } => said.text.push_str(&text),
            ModelEvent::Usage(sum) => usage = sum,
            ModelEvent::Done { stop } => said.events.push(Event::ModelCallEnded { usage, stop }),
            _ => {}
        }
    }
    Ok(said)
}

impl Said {
    /// The text, with who said it.
    pub(crate) fn heard(&self) -> Heard {
        let model = self.events.iter().rev().find_map(|event| match event {
            Event::ModelCallStarted {
                provider, model, ..
            } => Some(format!("{provider}/{model}")),
            _ => None,
        });
        Heard {
            text: self.text.clone(),
            model: model.unwrap_or_default(),
        }
    }
}
