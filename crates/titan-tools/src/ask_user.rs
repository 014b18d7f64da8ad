//! `ask_user`: a question to the person.

use crate::call::{self, WholeCall};
use crate::output;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use titan_protocol::{Effect, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, Workbench};

/// The longest question, in characters.
const QUESTION_CHARS_MAX: usize = 2_000;
/// Answers that may be suggested.
const CHOICES_MAX: usize = 9;
/// The longest suggestion, in characters.
const CHOICE_CHARS_MAX: usize = 200;

pub(crate) struct AskUser;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    question: String,
    #[serde(default)]
    choices: Vec<String>,
}

#[async_trait]
impl WholeCall for AskUser {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "ask_user",
            include_str!("ask_user.md"),
            json!({
                "type": "object",
                "properties": {
                    "question": {"type": "string", "minLength": 1, "maxLength": QUESTION_CHARS_MAX},
                    "choices": {
                        "type": "array",
                        "maxItems": CHOICES_MAX,
                        "items": {"type": "string", "minLength": 1, "maxLength": CHOICE_CHARS_MAX}
                    }
                },
                "required": ["question"],
                "additionalProperties": false
            }),
        )
    }

    fn example(&self) -> &'static str {
        r#"{"question": "Which database shall I use?", "choices": ["SQLite", "PostgreSQL"]}"#
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
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let answer = context
            .signals
            .ask(&arguments.question, &arguments.choices)
            .await;
        let text = answer.unwrap_or_else(|| {
            "[nobody answered; go on with what is most likely wanted, and say what you assumed]"
                .to_owned()
        });
        Ok(output::text(text, Taint::NONE))
    }
}
