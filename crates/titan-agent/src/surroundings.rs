//! Looks at what a session is surrounded by: its workspace's top folder and the instruction files.

use crate::prompt::{PromptSize, Surroundings};
use crate::trust::{INSTRUCTION_BYTES_MAX, INSTRUCTION_FILES, Material, TrustOf, WorkspaceFiles};
use futures::StreamExt;
use std::path::Path;
use titan_protocol::{EntryKind, WalkOptions, Workbench};

/// Names of the top folder that are shown.
const TOP_LEVEL_MAX: usize = 40;

/// Looks once, at the beginning of a turn. What can't be read is left out. `identity` are the person's own files. What is
/// known is looked up when a model is to be asked.
pub(crate) async fn look(
    workbench: &dyn Workbench,
    size: PromptSize,
    identity: &[(String, String)],
    today: String,
    trust_of: &TrustOf,
) -> Surroundings {
    let (files, top_level) = tokio::join!(files(workbench, trust_of), top_level(workbench));
    let WorkspaceFiles { trusted, material } = files;
    let mut left = size.instructions_bytes_max();
    let instructions = within([identity, &trusted].concat(), &mut left);
    Surroundings {
        workspace: workbench.root().to_owned(),
        top_level,
        today,
        known: String::new(),
        instructions,
        material: material
            .into_iter()
            .map(|it| Material {
                content: cut(it.content, &it.name, &mut left),
                ..it
            })
            .collect(),
    }
}

async fn files(workbench: &dyn Workbench, trust_of: &TrustOf) -> WorkspaceFiles {
    let mut files = WorkspaceFiles::default();
    for name in INSTRUCTION_FILES {
        let path = workbench.root().join(name);
        if let Ok(bytes) = workbench.read(&path, 0, INSTRUCTION_BYTES_MAX).await {
            files.add(name, &bytes, trust_of);
        }
    }
    files
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

/// Cuts the files so that all together fit into what is left.
fn within(files: Vec<(String, String)>, left: &mut usize) -> Vec<(String, String)> {
    files
        .into_iter()
        .map(|(name, content)| {
            let content = cut(content, &name, left);
            (name, content)
        })
        .collect()
}

/// Cuts a file's content to what is left, and says so in the text that is cut.
fn cut(mut content: String, name: &str, left: &mut usize) -> String {
    if content.len() > *left {
        content.truncate(content.floor_char_boundary(*left));
        content.push_str(&format!("\n[cut here; read {name} for the rest]"));
        *left = 0;
    } else {
        *left -= content.len();
    }
    content
}
