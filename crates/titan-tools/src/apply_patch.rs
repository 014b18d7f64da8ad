//! `apply_patch`: several files changed together, or none.

#[cfg(test)]
mod fuzz;
mod patch;

use crate::call::{self, WholeCall};
use crate::files::{self, FILE_BYTES_MAX};
use crate::output::{self, reply};
use async_trait::async_trait;
use patch::{Change, ChangeKind};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use titan_protocol::{Effect, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, Workbench};

pub(crate) struct ApplyPatch;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    patch: String,
}

#[async_trait]
impl WholeCall for ApplyPatch {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "apply_patch",
            include_str!("apply_patch.md"),
            json!({
                "type": "object",
                "properties": {
                    "patch": {"type": "string", "minLength": 1, "maxLength": FILE_BYTES_MAX}
                },
                "required": ["patch"],
                "additionalProperties": false
            }),
        )
    }

    fn example(&self) -> &'static str {
        r#"{"patch": "*** Begin Patch\n*** Update File: src/main.rs\n@@\n-let x = 1;\n+let x = 2;\n*** End Patch"}"#
    }

    async fn effects(
        &self,
        arguments: Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        let changes = parsed(&arguments.patch)?;
        let mut effects = Vec::new();
        for change in &changes {
            if !matches!(change.kind, ChangeKind::Add { .. }) {
                effects.push(files::read_effect(workbench, &change.path).await?);
            }
            effects.push(files::write_effect(workbench, &change.path).await?);
            if let ChangeKind::Update {
                move_to: Some(to), ..
            } = &change.kind
            {
                effects.push(files::write_effect(workbench, to).await?);
            }
        }
        Ok(effects)
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let workbench = context.workbench.as_ref();
        let changes = parsed(&arguments.patch)?;
        let mut plan = Plan::default();
        for change in &changes {
            plan.add(workbench, change).await?;
        }
        plan.carry_out(workbench).await?;
        Ok(output::text(plan.summary.join("\n"), Taint::NONE))
    }
}

fn parsed(patch: &str) -> Result<Vec<Change>, ToolError> {
    patch::parse(patch).map_err(|why| ToolError::Reply(format!("nothing was changed: {why}")))
}

/// What is to be written and removed, worked out before anything is touched.
#[derive(Default)]
struct Plan {
    /// Each file once, with its content before and after; `None` where there is no file.
    writes: Vec<(PathBuf, Option<String>, Option<String>)>,
    touched: BTreeSet<PathBuf>,
    summary: Vec<String>,
}

impl Plan {
    async fn add(&mut self, workbench: &dyn Workbench, change: &Change) -> Result<(), ToolError> {
        let path = files::resolve(workbench, &change.path).await?.path;
        let name = files::shown(workbench, &path);
        self.claim(&path, &name)?;
        match &change.kind {
            ChangeKind::Add { content } => {
                must_be_free(workbench, &path, &name).await?;
                self.summary.push(format!("made {name}"));
                self.writes.push((path, None, Some(content.clone())));
            }
            ChangeKind::Delete => {
                let before = files::text_to_change(workbench, &path).await?;
                self.summary.push(format!("deleted {name}"));
                self.writes.push((path, Some(before), None));
            }
            ChangeKind::Update { move_to, hunks } => {
                let before = files::text_to_change(workbench, &path).await?;
                let after = patch::apply(&before, hunks).map_err(|why| {
                    ToolError::Reply(format!("nothing was changed: {name}: {why}"))
                })?;
                let Some(to) = move_to else {
                    self.summary.push(format!("changed {name}"));
                    self.writes.push((path, Some(before), Some(after)));
                    return Ok(());
                };
                let target = files::resolve(workbench, to).await?.path;
                let target_name = files::shown(workbench, &target);
                self.claim(&target, &target_name)?;
                must_be_free(workbench, &target, &target_name).await?;
                self.summary.push(format!("moved {name} to {target_name}"));
                self.writes.push((target, None, Some(after)));
                self.writes.push((path, Some(before), None));
            }
        }
        Ok(())
    }

    fn claim(&mut self, path: &std::path::Path, name: &str) -> Result<(), ToolError> {
        if self.touched.insert(path.to_owned()) {
            return Ok(());
        }
        Err(ToolError::Reply(format!(
            "nothing was changed: {name} is in the patch twice; put all its hunks together"
        )))
    }

    /// Writes all, or puts back what was written when one fails.
    async fn carry_out(&self, workbench: &dyn Workbench) -> Result<(), ToolError> {
        for (done, (path, _, after)) in self.writes.iter().enumerate() {
            if let Err(error) = put(workbench, path, after.as_deref()).await {
                let why = self.put_back(workbench, done, path).await;
                return Err(ToolError::Reply(format!("{error}; {why}")));
            }
        }
        Ok(())
    }

    async fn put_back(
        &self,
        workbench: &dyn Workbench,
        done: usize,
        failed: &std::path::Path,
    ) -> String {
        let mut left = Vec::new();
        for (path, before, _) in &self.writes[..done] {
            if put(workbench, path, before.as_deref()).await.is_err() {
                left.push(files::shown(workbench, path));
            }
        }
        let name = files::shown(workbench, failed);
        if left.is_empty() {
            format!("{name} could not be written, so nothing was changed")
        } else {
            format!(
                "{name} could not be written, and {} stay changed",
                left.join(", ")
            )
        }
    }
}

async fn put(
    workbench: &dyn Workbench,
    path: &std::path::Path,
    content: Option<&str>,
) -> Result<(), titan_protocol::WorkbenchError> {
    match content {
        Some(content) => workbench.write(path, content.as_bytes()).await,
        None => workbench.remove(path).await,
    }
}

async fn must_be_free(
    workbench: &dyn Workbench,
    path: &std::path::Path,
    name: &str,
) -> Result<(), ToolError> {
    match workbench.metadata(path).await.map_err(reply)? {
        None => Ok(()),
        Some(_) => Err(ToolError::Reply(format!(
            "nothing was changed: {name} is already there; update it instead"
        ))),
    }
}
