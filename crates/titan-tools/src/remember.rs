//! `remember`: a note for later sessions.

use crate::call::{self, WholeCall};
use crate::notes::{Note, Notes};
use crate::output;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use titan_protocol::{
    Effect, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, UnixMillis, Workbench,
};

/// The longest note, in characters.
const NOTE_CHARS_MAX: usize = 4_000;
/// Tags of one note.
const TAGS_MAX: usize = 8;
/// The longest tag, in characters.
const TAG_CHARS_MAX: usize = 40;

pub(crate) struct Remember {
    pub(crate) notes: Notes,
    pub(crate) clock: fn() -> UnixMillis,
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
        let text = arguments.text.trim().to_owned();
        if text.is_empty() || text.chars().count() > NOTE_CHARS_MAX {
            return Err(ToolError::Reply(format!(
                "a note has 1 to {NOTE_CHARS_MAX} characters"
            )));
        }
        let note = Note {
            text,
            tags: arguments.tags,
            session: context.session,
            turn: context.turn,
            at: (self.clock)(),
        };
        self.notes
            .store(note)
            .await
            .map_err(|error| ToolError::Reply(format!("the note was not kept: {error}")))?;
        Ok(output::text("noted".to_owned(), Taint::NONE))
    }
}
