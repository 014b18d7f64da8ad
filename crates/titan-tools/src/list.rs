//! `list`: what is in a folder.

use crate::call::{self, WholeCall};
use crate::files::{self, PATH_CHARS_MAX};
use crate::output::{self, reply};
use crate::packages;
use async_trait::async_trait;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;
use std::path::Path;
use titan_protocol::{
    Effect, Entry, EntryKind, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, WalkOptions,
    Workbench,
};

/// Levels that are shown unless the call says otherwise.
const DEPTH_DEFAULT: usize = 2;
/// The most levels.
const DEPTH_MAX: usize = 16;
/// Entries that are shown.
const SHOWN_MAX: usize = 1_000;
/// Folders whose package's description is told.
const DESCRIBED_MAX: usize = 100;

pub(crate) struct List;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    path: Option<String>,
    depth: Option<usize>,
}

impl Arguments {
    fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(".")
    }
}

#[async_trait]
impl WholeCall for List {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "list",
            include_str!("list.md"),
            json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "minLength": 1, "maxLength": PATH_CHARS_MAX, "description": "Folder; the workspace if left out"},
                    "depth": {"type": "integer", "minimum": 1, "maximum": DEPTH_MAX, "description": "Levels, 2 if left out"}
                },
                "additionalProperties": false
            }),
        )
    }

    fn example(&self) -> &'static str {
        r#"{"path": "src", "depth": 2}"#
    }

    async fn effects(
        &self,
        arguments: Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        Ok(vec![files::read_effect(workbench, arguments.path()).await?])
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let workbench = context.workbench.as_ref();
        let folder = files::resolve(workbench, arguments.path()).await?.path;
        let name = files::shown(workbench, &folder);
        match workbench.metadata(&folder).await.map_err(reply)? {
            Some(metadata) if metadata.kind == EntryKind::Folder => {}
            Some(_) => {
                return Err(ToolError::Reply(format!(
                    "{name} is a file; read it with read"
                )));
            }
            None => return Err(ToolError::Reply(format!("{name} does not exist"))),
        }
        let depth = arguments.depth.unwrap_or(DEPTH_DEFAULT).clamp(1, DEPTH_MAX);
        let options = WalkOptions {
            // Packages are told one level deeper than the rest.
            depth_max: Some(depth + 1),
            include_ignored: false,
            include_folders: true,
        };
        let mut entries = workbench.walk(&folder, options);
        let mut lines = Vec::new();
        let mut described = 0;
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(reply)?;
            let description = match entry.kind {
                EntryKind::Folder if described < DESCRIBED_MAX => {
                    packages::description(workbench, &entry.path).await
                }
                _ => None,
            };
            described += usize::from(description.is_some());
            if description.is_none() && level(&folder, &entry) > depth {
                continue;
            }
            if lines.len() == SHOWN_MAX {
                lines.push(format!(
                    "[the first {SHOWN_MAX}; list a folder below, or use glob]"
                ));
                break;
            }
            lines.push(line(workbench, &entry, description));
        }
        if lines.is_empty() {
            lines.push(format!("[{name} is empty, or all in it is ignored]"));
        }
        Ok(output::text(lines.join("\n"), Taint::BOTH))
    }
}

/// How far below the folder an entry is: 1 for what is directly in it.
fn level(folder: &Path, entry: &Entry) -> usize {
    entry
        .path
        .strip_prefix(folder)
        .map_or(1, |below| below.components().count())
}

fn line(workbench: &dyn Workbench, entry: &Entry, description: Option<String>) -> String {
    let name = files::shown(workbench, &entry.path);
    match (entry.kind, description) {
        (EntryKind::Folder, Some(description)) => format!("{name}/ - {description}"),
        (EntryKind::Folder, None) => format!("{name}/"),
        (EntryKind::File | EntryKind::Other, _) => name,
    }
}
