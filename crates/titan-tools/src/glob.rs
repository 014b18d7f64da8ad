//! `glob`: files whose path matches a pattern.

use crate::call::{self, WholeCall};
use crate::files::{self, ENTRIES_MAX, PATH_CHARS_MAX};
use crate::output::{self, reply};
use async_trait::async_trait;
use futures::StreamExt;
use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use serde_json::json;
use std::path::Path;
use titan_protocol::{
    Effect, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, WalkOptions, Workbench,
};

/// Files that are named.
const SHOWN_MAX: usize = 1_000;
/// The longest pattern, in characters.
pub(crate) const PATTERN_CHARS_MAX: usize = 1_000;

pub(crate) struct Glob;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    pattern: String,
    path: Option<String>,
}

impl Arguments {
    fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(".")
    }
}

#[async_trait]
impl WholeCall for Glob {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "glob",
            include_str!("glob.md"),
            json!({
                "type": "object",
                "properties": {
                    "pattern": {"type": "string", "minLength": 1, "maxLength": PATTERN_CHARS_MAX, "description": "Such as **/*.rs"},
                    "path": {"type": "string", "minLength": 1, "maxLength": PATH_CHARS_MAX, "description": "Folder; the workspace if left out"}
                },
                "required": ["pattern"],
                "additionalProperties": false
            }),
        )
    }

    fn starts_early(&self) -> bool {
        true
    }

    fn example(&self) -> &'static str {
        r#"{"pattern": "**/Cargo.toml"}"#
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
        let matcher = Pattern::new(&arguments.pattern)?;
        let folder = files::resolve(workbench, arguments.path()).await?.path;
        let mut entries = workbench
            .walk(&folder, WalkOptions::default())
            .take(ENTRIES_MAX);
        let mut lines = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(reply)?;
            if !matcher.is_match(&folder, &entry.path) {
                continue;
            }
            if lines.len() == SHOWN_MAX {
                lines.push(format!("[the first {SHOWN_MAX}; narrow the pattern]"));
                break;
            }
            lines.push(files::shown(workbench, &entry.path));
        }
        if lines.is_empty() {
            lines.push("[no file matches; hidden and ignored files are left out]".to_owned());
        }
        Ok(output::text(lines.join("\n"), Taint::BOTH))
    }
}

/// A pattern over paths below a folder. Without a slash it is matched against the file's name, at any depth.
pub(crate) struct Pattern(GlobMatcher);

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Result<Self, ToolError> {
        let relative = pattern.strip_prefix("./").unwrap_or(pattern);
        let anywhere = if relative.contains('/') {
            relative.to_owned()
        } else {
            format!("**/{relative}")
        };
        GlobBuilder::new(&anywhere)
            .literal_separator(true)
            .build()
            .map(|glob| Self(glob.compile_matcher()))
            .map_err(|error| ToolError::Reply(format!("the pattern makes no sense: {error}")))
    }

    pub(crate) fn is_match(&self, folder: &Path, path: &Path) -> bool {
        self.0.is_match(path.strip_prefix(folder).unwrap_or(path))
    }
}
