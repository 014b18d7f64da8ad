//! Looks at what a session is surrounded by: its workspace's top folder and the instruction files.

use crate::prompt::{PromptSize, Surroundings};
use futures::StreamExt;
use std::path::Path;
use titan_protocol::{EntryKind, WalkOptions, Workbench};

/// Instruction files in a workspace, by name.
const INSTRUCTION_FILES: [&str; 1] = ["AGENTS.md"];
/// Names of the top folder that are shown.
const TOP_LEVEL_MAX: usize = 40;

/// Looks once, at the beginning of a turn. What can't be read is left out. `identity` are the person's own files.
pub(crate) async fn look(
    workbench: &dyn Workbench,
    size: PromptSize,
    identity: &[(String, String)],
    today: String,
) -> Surroundings {
    let mut instructions = identity.to_vec();
    for name in INSTRUCTION_FILES {
        let path = workbench.root().join(name);
        if let Ok(bytes) = workbench
            .read(&path, 0, size.instructions_bytes_max() as u64 + 1)
            .await
        {
            instructions.push((
                name.to_owned(),
                String::from_utf8_lossy(&bytes).into_owned(),
            ));
        }
    }
    Surroundings {
        workspace: workbench.root().to_owned(),
        top_level: top_level(workbench).await,
        today,
        instructions: within(instructions, size.instructions_bytes_max()),
    }
}

async fn top_level(workbench: &dyn Workbench) -> Vec<String> {
    let options = WalkOptions {
        depth_max: Some(1),
        include_folders: true,
        include_ignored: false,
    };
    let root = workbench.root().to_owned();
    let mut entries = workbench.walk(&root, options).take(TOP_LEVEL_MAX + 1);
    let mut names = Vec::new();
    while let Some(entry) = entries.next().await {
        let Ok(entry) = entry else { continue };
        let name = file_name(&entry.path);
        match entry.kind {
            _ if entry.path == root => {}
            EntryKind::Folder => names.push(format!("{name}/")),
            EntryKind::File | EntryKind::Other => names.push(name),
        }
    }
    if names.len() > TOP_LEVEL_MAX {
        names.truncate(TOP_LEVEL_MAX);
        names.push("…".to_owned());
    }
    names
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Cuts the files so that all together fit, and says so in the text that is cut.
fn within(files: Vec<(String, String)>, bytes_max: usize) -> Vec<(String, String)> {
    let mut left = bytes_max;
    files
        .into_iter()
        .map(|(name, mut content)| {
            if content.len() > left {
                let mut end = left;
                while !content.is_char_boundary(end) {
                    end -= 1;
                }
                content.truncate(end);
                content.push_str(&format!("\n[cut here; read {name} for the rest]"));
                left = 0;
            } else {
                left -= content.len();
            }
            (name, content)
        })
        .collect()
}
