//! `remember`: a note for later sessions.

use crate::call::{self, WholeCall};
use crate::output;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use titan_protocol::{
    Effect, Memory, MemoryDraft, MemoryOrigin, NOTE_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX, Taint,
    ToolContext, ToolError, ToolOutput, ToolSpec, Workbench,
};

pub(crate) struct Remember {
    pub(crate) memory: Arc<dyn Memory>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    text: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[async_trait]
impl WholeCall for Remember {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "remember",
            include_str!("remember.md"),
            json!({
                "type": "object",
                "properties": {
                    "text": {"type": "string", "minLength": 1, "maxLength": NOTE_CHARS_MAX, "description": "One fact, understandable on its own"},
                    "tags": {
                        "type": "array",
                        "maxItems": TAGS_MAX,
                        "items": {"type": "string", "minLength": 1, "maxLength": TAG_CHARS_MAX}
                    }
                },
                "required": ["text"],
                "additionalProperties": false
            }),
        )
    }

    fn example(&self) -> &'static str {
        r#"{"text": "The person prefers short answers.", "tags": ["preference"]}"#
    }

    async fn effects(
        &self,
        _arguments: Arguments,
        _workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        Ok(vec![Effect::Remember])
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let draft = MemoryDraft {
            text: arguments.text,
            tags: arguments.tags,
            origin: MemoryOrigin::Turn {
                session: context.session,
                turn: context.turn,
            },
            ..MemoryDraft::default()
        };
        self.memory
            .keep(draft)
            .await
            .map_err(|error| ToolError::Reply(format!("the note was not kept: {error}")))?;
        Ok(output::text("noted".to_owned(), Taint::NONE))
    }
}
