//! One short question to the utility model, beside the turn.

use futures::StreamExt;
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
    let mut request = ModelRequest::new(Task::Utility, system, vec![Message::user(text)]);
    request.output_tokens_max = output_tokens_max;
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
