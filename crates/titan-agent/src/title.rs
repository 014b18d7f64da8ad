//! Gives a session its title: one short call of the utility model, after the first turn.

use crate::utility::{self, Said};
use std::sync::Arc;
use titan_protocol::{Event, Provider};

/// Bytes of what was said and answered that the model is shown.
const SHOWN_BYTES_MAX: usize = 600;
/// The longest title, in characters.
const TITLE_CHARS_MAX: usize = 80;
const OUTPUT_TOKENS_MAX: u32 = 32;

const SYSTEM: &str = "Name the subject of a conversation in two to six words, in its language. Answer with these words only.";

/// What happened while a title was asked for, the title last; nothing when the model gave none. A title is no reason
/// to trouble anybody: a failure is logged and the session keeps its first words as its name.
pub(crate) async fn title(
    provider: Arc<dyn Provider>,
    asked: String,
    answered: String,
) -> Vec<Event> {
    let text = format!(
        "Question: {}\n\nAnswer: {}",
        beginning(&asked),
        beginning(&answered)
    );
    match utility::ask(provider.as_ref(), SYSTEM, text, OUTPUT_TOKENS_MAX).await {
        Ok(Said { text, mut events }) => {
            events.extend(clean(&text).map(|title| Event::SessionTitled { title }));
            events
        }
        Err(error) => {
            tracing::info!(%error, "no title for a session");
            Vec::new()
        }
    }
}

fn beginning(text: &str) -> &str {
    let mut end = text.len().min(SHOWN_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The first line without the quotes, marks and full stop that models like to add.
fn clean(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.strip_prefix("Title:").unwrap_or(line);
    let line = line.trim_matches(|c: char| c.is_whitespace() || "\"'`*#.“”".contains(c));
    let title: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(TITLE_CHARS_MAX)
        .collect();
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_bare_words() {
        assert_eq!(
            clean("\n**\"Fixing the build.\"**\nmore").as_deref(),
            Some("Fixing the build")
        );
        assert_eq!(clean("Title: Ein Bau").as_deref(), Some("Ein Bau"));
        assert_eq!(clean(" \"\" \n"), None);
    }
}
