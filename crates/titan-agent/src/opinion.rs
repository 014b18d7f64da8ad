//! What the utility model thinks of a program that has run for a while. It has no tools, spends from the turn's own
//! budget, and can do no more than have the program stopped.

use crate::log::Log;
use crate::utility::{self, Said};
use async_trait::async_trait;
use std::sync::Arc;
use titan_exec::Opinion;
use titan_protocol::Provider;

/// Characters of a reason that are passed on.
const REASON_CHARS_MAX: usize = 200;
const OUTPUT_TOKENS_MAX: u32 = 64;

const SYSTEM: &str = include_str!("opinion.md");

/// Asks the utility model.
pub(crate) struct UtilityOpinion {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) log: Arc<Log>,
}

#[async_trait]
impl Opinion for UtilityOpinion {
    async fn against(&self, call: &str, output: &str) -> Option<String> {
        let text =
            format!("The program:\n{call}\n\nWhat it has put out so far, its end:\n{output}");
        let asked = utility::ask(self.provider.as_ref(), SYSTEM, text, OUTPUT_TOKENS_MAX);
        let Said { text, events } = match asked.await {
            Ok(said) => said,
            Err(error) => {
                tracing::info!(%error, "no opinion of a program that runs");
                return None;
            }
        };
        // It is no part of the turn's thread, as a title is not.
        if let Err(error) = self.log.append(None, events).await {
            tracing::error!(%error, "the cost of an opinion could not be stored");
        }
        reason(&text)
    }
}

/// What speaks against going on. Whatever is not clearly a stop is none.
fn reason(answer: &str) -> Option<String> {
    let line = answer
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())?;
    let reason = line.strip_prefix("STOP:")?.trim().trim_end_matches('.');
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    (!reason.is_empty()).then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_stop_with_a_reason_is_one() {
        let stop = reason("\nSTOP: every try fails alike.\nmore");
        assert_eq!(stop.as_deref(), Some("every try fails alike"));
        for answer in [
            "",
            "WAIT",
            "STOP",
            "STOP: ",
            "I would STOP: it fails",
            "stop: it fails",
        ] {
            assert_eq!(reason(answer), None, "{answer:?}");
        }
    }
}
