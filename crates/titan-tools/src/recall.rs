//! `recall`: notes of earlier sessions.

use crate::call::{self, WholeCall};
use crate::notes::Notes;
use crate::output;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use titan_protocol::{Effect, Hit, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, Workbench};

/// Notes that one call gives unless it says otherwise.
const LIMIT_DEFAULT: usize = 8;
/// The most notes that one call gives.
const LIMIT_MAX: usize = 50;
/// The longest question, in characters.
const QUERY_CHARS_MAX: usize = 1_000;

pub(crate) struct Recall {
    pub(crate) notes: Notes,
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
                    "query": {"type": "string", "maxLength": QUERY_CHARS_MAX, "description": "Words to look for; empty for the newest"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}
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
        let limit = arguments.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
        let question = arguments.query.trim();
        let found = if question.is_empty() {
            self.notes.newest(limit).await
        } else {
            self.notes.recall(question, limit).await
        };
        let hits = found
            .map_err(|error| ToolError::Reply(format!("the notes can't be searched: {error}")))?;
        let lines: Vec<String> = hits.iter().map(line).collect();
        let text = if lines.is_empty() {
            "[no note matches]".to_owned()
        } else {
            lines.join("\n")
        };
        Ok(output::text(text, Taint::PRIVATE))
    }
}

fn line(hit: &Hit) -> String {
    let tags = hit
        .document
        .attributes
        .get("tags")
        .map_or("", String::as_str);
    let text = hit.document.text.replace('\n', "\n  ");
    if tags.is_empty() {
        format!("- {text}")
    } else {
        format!("- {text} [{tags}]")
    }
}
