//! `write`: a whole file, made or replaced.

use crate::call::{self, WholeCall};
use crate::files::{self, FILE_BYTES_MAX, PATH_CHARS_MAX};
use crate::output::{self, reply};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use titan_protocol::{
    Effect, EntryKind, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, Workbench,
};

pub(crate) struct Write;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    path: String,
    content: String,
}

#[async_trait]
impl WholeCall for Write {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "write",
            include_str!("write.md"),
            json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "minLength": 1, "maxLength": PATH_CHARS_MAX},
                    "content": {"type": "string", "maxLength": FILE_BYTES_MAX, "description": "The whole new content"}
                },
                "required": ["path", "content"],
                "additionalProperties": false
            }),
        )
    }

    fn example(&self) -> &'static str {
        r#"{"path": "notes.md", "content": "One line.\n"}"#
    }

    async fn effects(
        &self,
        arguments: Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        Ok(vec![files::write_effect(workbench, &arguments.path).await?])
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let workbench = context.workbench.as_ref();
        let path = files::resolve(workbench, &arguments.path).await?.path;
        let name = files::shown(workbench, &path);
        let before = workbench.metadata(&path).await.map_err(reply)?;
        let verb = match before.map(|metadata| metadata.kind) {
            Some(EntryKind::Folder | EntryKind::Other) => {
                return Err(ToolError::Reply(format!(
                    "{name} is not a file; nothing was written"
                )));
            }
            Some(EntryKind::File) => "replaced",
            None => "made",
        };
        let content = arguments.content.as_bytes();
        workbench.write(&path, content).await.map_err(reply)?;
        let lines = arguments.content.lines().count();
        Ok(output::text(
            format!("{verb} {name}: {lines} lines, {} bytes", content.len()),
            Taint::NONE,
        ))
    }
}
