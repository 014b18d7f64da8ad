//! `todo`: the agent's plan, shown to the person.

use crate::call::{self, WholeCall};
use crate::output;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use titan_protocol::{
    Effect, PlanItem, PlanStatus, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, Workbench,
};

/// Items of one plan.
const ITEMS_MAX: usize = 50;
/// The longest item, in characters.
const ITEM_CHARS_MAX: usize = 500;

pub(crate) struct Todo;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    items: Vec<PlanItem>,
}

#[async_trait]
impl WholeCall for Todo {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "todo",
            include_str!("todo.md"),
            json!({
                "type": "object",
                "properties": {
                    "items": {
                        "type": "array",
                        "maxItems": ITEMS_MAX,
                        "items": {
                            "type": "object",
                            "properties": {
                                "text": {"type": "string", "minLength": 1, "maxLength": ITEM_CHARS_MAX},
                                "status": {"type": "string", "enum": ["pending", "in_progress", "done"]}
                            },
                            "required": ["text", "status"],
                            "additionalProperties": false
                        }
                    }
                },
                "required": ["items"],
                "additionalProperties": false
            }),
        )
    }

    fn example(&self) -> &'static str {
        r#"{"items": [{"text": "Read the failing test", "status": "done"}, {"text": "Mend it", "status": "in_progress"}]}"#
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
        let items = arguments.items;
        if items.len() > ITEMS_MAX {
            return Err(ToolError::Reply(format!(
                "a plan has at most {ITEMS_MAX} items"
            )));
        }
        let open = items
            .iter()
            .filter(|item| item.status != PlanStatus::Done)
            .count();
        let text = format!("the plan has {} items, {open} to do", items.len());
        context.signals.plan(items).await;
        Ok(output::text(text, Taint::NONE))
    }
}
