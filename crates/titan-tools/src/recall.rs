//! `recall`: what is remembered from earlier sessions.

use crate::call::{self, WholeCall};
use crate::output;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use titan_protocol::{
    Effect, HITS_MAX, Memory, MemoryDocument, MemoryKind, MemoryOrigin, MemoryQuery,
    MemoryQuestion, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, UnixMillis, Workbench,
};

/// Passages that one call gives unless it says otherwise.
const LIMIT_DEFAULT: usize = 8;
/// The longest question, in characters.
const QUERY_CHARS_MAX: usize = 1_000;

pub(crate) struct Recall {
    pub(crate) memory: Arc<dyn Memory>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    query: String,
    limit: Option<usize>,
}

#[async_trait]
impl WholeCall for Recall {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "recall",
            include_str!("recall.md"),
            json!({
                "type": "object",
                "properties": {
                    "query": {"type": "string", "maxLength": QUERY_CHARS_MAX, "description": "Words to look for; empty for the newest notes"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": HITS_MAX}
                },
                "required": ["query"],
                "additionalProperties": false
            }),
        )
    }

    fn starts_early(&self) -> bool {
        true
    }

    fn example(&self) -> &'static str {
        r#"{"query": "how the person likes answers"}"#
    }

    async fn effects(
        &self,
        _arguments: Arguments,
        _workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        Ok(Vec::new())
    }

    async fn run(
        &self,
        _context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let limit = arguments.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, HITS_MAX);
        let question = arguments.query.trim();
        let found = if question.is_empty() {
            let newest = MemoryQuery {
                kind: Some(MemoryKind::Note),
                limit,
                ..MemoryQuery::default()
            };
            self.memory.find(newest).await
        } else {
            let question = MemoryQuestion {
                text: question.to_owned(),
                limit,
                with_history: false,
            };
            let hits = self.memory.recall(question).await;
            hits.map(|hits| hits.into_iter().map(|hit| hit.document).collect())
        };
        let found = found
            .map_err(|error| ToolError::Reply(format!("the memory can't be searched: {error}")))?;
        let lines: Vec<String> = found.iter().map(line).collect();
        let text = if lines.is_empty() {
            "[nothing is known of that]".to_owned()
        } else {
            lines.join("\n")
        };
        let is_foreign = |document: &MemoryDocument| document.origin == MemoryOrigin::Untrusted;
        let taint = Taint {
            untrusted: found.iter().any(is_foreign),
            ..Taint::PRIVATE
        };
        Ok(output::text(text, taint))
    }
}

/// A passage on lines of its own: what it is called, what it says, its tags, and where it was read. What strangers wrote
/// says so.
fn line(document: &MemoryDocument) -> String {
    let mut line = "- ".to_owned();
    if !document.title.is_empty() {
        line.push_str(&document.title);
        line.push_str(": ");
    }
    line.push_str(&document.text.replace('\n', "\n  "));
    if !document.tags.is_empty() {
        line.push_str(&format!(" [{}]", document.tags.join(",")));
    }
    match (&document.origin, &document.source) {
        (MemoryOrigin::Untrusted, Some(source)) => {
            let read = day(document.changed_at.unwrap_or(document.at));
            line.push_str(&format!(
                " (written by others, read from {source} on {read})"
            ));
        }
        (MemoryOrigin::Untrusted, None) => line.push_str(" (written by others)"),
        (_, Some(source)) => line.push_str(&format!(" (from {source})")),
        (_, None) => {}
    }
    line
}

/// The day of a moment, in UTC.
fn day(at: UnixMillis) -> String {
    let at = i64::try_from(at)
        .ok()
        .and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.unwrap_or(jiff::Timestamp::MAX)
        .strftime("%Y-%m-%d")
        .to_string()
}
