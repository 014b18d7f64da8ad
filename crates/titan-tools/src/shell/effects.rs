//! Resolves what a script was found to do into effects: paths through links, programs through `PATH`.

use super::analysis::{Claim, Place};
use super::outside;
use futures::StreamExt;
use std::path::Path;
use titan_protocol::{Effect, EntryKind, Resolved, WalkOptions, Workbench};

/// Entries that are looked at for links below one folder; a bigger one counts as reaching anywhere.
const ENTRIES_MAX: usize = 10_000;

/// Effects of the claims, each once, in order. What can't be resolved counts as the file system's root.
pub(super) async fn resolve(claims: &[Claim], workbench: &dyn Workbench) -> Vec<Effect> {
    let mut effects = Vec::new();
    for claim in claims {
        for effect in resolve_claim(claim, workbench).await {
            if !effects.contains(&effect) {
                effects.push(effect);
            }
        }
    }
    effects
}

async fn resolve_claim(claim: &Claim, workbench: &dyn Workbench) -> Vec<Effect> {
    match claim {
        Claim::Read(place) => resolve_place(place, workbench)
            .await
            .into_iter()
            .map(|Resolved { path, in_workspace }| Effect::Read { path, in_workspace })
            .collect(),
        Claim::Write(place) => resolve_place(place, workbench)
            .await
            .into_iter()
            .map(|Resolved { path, in_workspace }| Effect::Write { path, in_workspace })
            .collect(),
        Claim::Network { host, port } => vec![Effect::Network {
            host: host.clone(),
            port: *port,
        }],
        Claim::Fill(place) => resolve_place(place, workbench)
            .await
            .into_iter()
            .map(|found| outside::fills(&found.path, workbench))
            .collect(),
        Claim::Cache(cache) => {
            let folder = outside::cache(cache, workbench).await;
            folder
                .map(|folder| outside::fills(&folder, workbench))
                .into_iter()
                .collect()
        }
        Claim::CargoTarget(folder) => cargo_target(folder, workbench).await.into_iter().collect(),
        Claim::GitSettings(folder) => git_settings(folder, workbench).await.into_iter().collect(),
        Claim::Repository(folder) => repository(folder, workbench).await.into_iter().collect(),
        Claim::Run {
            program,
            is_builtin,
            arguments,
            reads_only,
        } => {
            let (program, is_trusted) = if *is_builtin {
                (program.clone(), true)
            } else {
                resolve_program(program, workbench).await
            };
            vec![Effect::Run {
                program,
                arguments: arguments.clone(),
                reads_only: *reads_only && is_trusted,
            }]
        }
    }
}

/// Only what lies elsewhere: the folder of a workspace's own is its own.
async fn cargo_target(folder: &str, workbench: &dyn Workbench) -> Option<Effect> {
    let folder = resolve_path(folder, workbench).await;
    let target = outside::cargo_target(&folder.path, workbench).await?;
    let is_elsewhere = !target.starts_with(workbench.root());
    is_elsewhere.then(|| outside::fills(&target, workbench))
}

/// A repository's settings are no part of the workspace that a yes to its files would reach: git runs what they say.
async fn git_settings(folder: &str, workbench: &dyn Workbench) -> Option<Effect> {
    let folder = resolve_path(folder, workbench).await;
    let repository = outside::repository(&folder.path, workbench).await?;
    Some(Effect::Write {
        path: repository.join("config"),
        in_workspace: false,
    })
}

/// Only what lies elsewhere: the workspace is a worktree, or a folder of a larger repository.
async fn repository(folder: &str, workbench: &dyn Workbench) -> Option<Effect> {
    let folder = resolve_path(folder, workbench).await;
    let repository = outside::repository(&folder.path, workbench).await?;
    let is_elsewhere = !repository.starts_with(workbench.root());
    is_elsewhere.then(|| outside::fills(&repository, workbench))
}

fn anywhere() -> Resolved {
    Resolved {
        path: Path::new("/").to_owned(),
        in_workspace: false,
    }
}

async fn resolve_place(place: &Place, workbench: &dyn Workbench) -> Vec<Resolved> {
    match place {
        Place::At(path) => vec![resolve_path(path, workbench).await],
        Place::Below { folder, depth_max } => {
            let folder = resolve_path(folder, workbench).await;
            if !folder.in_workspace {
                return vec![folder];
            }
            let mut places = links_below(&folder.path, *depth_max, workbench).await;
            places.insert(0, folder);
            places
        }
        Place::Anywhere => vec![anywhere()],
    }
}

async fn resolve_path(path: &str, workbench: &dyn Workbench) -> Resolved {
    match workbench.resolve(path).await {
        Ok(resolved) => resolved,
        Err(_unresolvable) => anywhere(),
    }
}

/// Where links below a folder lead, those that stay in the workspace left out.
async fn links_below(
    folder: &Path,
    depth_max: Option<usize>,
    workbench: &dyn Workbench,
) -> Vec<Resolved> {
    let options = WalkOptions {
        depth_max,
        include_ignored: true,
        include_folders: true,
    };
    let mut entries = workbench.walk(folder, options);
    let mut seen = 0;
    let mut outside = Vec::new();
    while let Some(entry) = entries.next().await {
        seen += 1;
        if seen > ENTRIES_MAX {
            return vec![anywhere()];
        }
        let Ok(entry) = entry else { continue };
        if entry.kind == EntryKind::Other {
            let target = resolve_path(&entry.path.to_string_lossy(), workbench).await;
            if !target.in_workspace {
                outside.push(target);
            }
        }
    }
    outside
}

/// The program's path, and whether it is one that the system keeps: one in the workspace may be anybody's.
async fn resolve_program(program: &str, workbench: &dyn Workbench) -> (String, bool) {
    let Some(path) = workbench.which(program).await else {
        return (program.to_owned(), false);
    };
    let spelt = path.to_string_lossy().into_owned();
    let resolved = resolve_path(&spelt, workbench).await;
    let is_trusted = !resolved.in_workspace && !path.starts_with(workbench.root());
    (spelt, is_trusted)
}
