//! Where git repositories lie: in a workspace, above it, below it, and beside it when it is a worktree.

use super::confine::is_real_folder;
use super::path;
use std::fs;
use std::path::{Path, PathBuf};

/// What git runs, or what tells it what to run.
const RUN_BY_GIT: [&str; 4] = ["commondir", "config", "config.worktree", "hooks"];

/// Submodules and worktrees of one repository that are guarded.
const INNER_MAX: usize = 64;

/// Repositories below a workspace's root that are guarded.
const BELOW_MAX: usize = 64;

/// Folders that are looked into for them, and how deep.
const FOLDERS_MAX: usize = 4_000;
const DEPTH_MAX: usize = 8;

/// Folders that are not looked into: they hold thousands, and nobody works in them.
const PASSED_OVER: [&str; 5] = [".git", "node_modules", "target", ".venv", "__pycache__"];

/// The longest `.git` file that is read, in bytes.
const LINK_BYTES_MAX: u64 = 4096;

/// What programs may not change in a repository's own folder, its submodules' and its worktrees' included. Makes the
/// folder for hooks where there is none, so that it can be closed.
pub(super) fn run_by_git(git: &Path) -> Vec<PathBuf> {
    if git.join("HEAD").exists() {
        // A repository that can't be written needs no closed folder.
        let _ = fs::create_dir(git.join("hooks"));
    }
    let worktrees = folders_in(&git.join("worktrees"));
    let inner = submodules(git).into_iter().chain(worktrees);
    let all = inner.chain([git.to_owned()]);
    all.flat_map(|folder| RUN_BY_GIT.map(|name| folder.join(name)))
        .collect()
}

/// The folders of a repository's submodules, and of theirs. A name may hold slashes, so they may lie deep. Bounded.
pub(super) fn submodules(git: &Path) -> Vec<PathBuf> {
    let mut pending = vec![(git.join("modules"), 0)];
    let mut found = Vec::new();
    let mut n_folders = 0;
    while let Some((folder, depth)) = pending.pop() {
        n_folders += 1;
        if n_folders > FOLDERS_MAX || found.len() >= INNER_MAX {
            break;
        }
        if depth >= DEPTH_MAX {
            continue;
        }
        for inner in folders_in(&folder) {
            if inner.join("HEAD").symlink_metadata().is_ok() {
                pending.push((inner.join("modules"), depth + 1));
                found.push(inner);
            } else {
                pending.push((inner, depth + 1));
            }
        }
    }
    found
}

/// The folders in a folder, bounded.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.take(INNER_MAX).map(|entry| entry.path());
    paths.filter(|path| is_real_folder(path)).collect()
}

/// Whether a folder holds a repository's files.
pub(super) fn is_one(folder: &Path) -> bool {
    ["HEAD", "objects", "refs"]
        .iter()
        .all(|name| folder.join(name).exists())
}

/// What programs may not change in the repositories below a workspace's root: vendored ones, submodules. A bounded walk,
/// links not followed; what is beyond the bounds is not guarded.
pub(super) fn below(root: &Path) -> Vec<PathBuf> {
    let mut pending = std::collections::VecDeque::from([(root.to_owned(), 0)]);
    let (mut n_folders, mut n_found) = (0, 0);
    let mut guarded = Vec::new();
    while let Some((folder, depth)) = pending.pop_front() {
        n_folders += 1;
        if n_folders > FOLDERS_MAX || n_found >= BELOW_MAX {
            break;
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if name == ".git" && depth > 0 {
                n_found += 1;
                match kind.is_dir() {
                    true => {
                        let inner = submodules(&entry.path()).into_iter();
                        let all = inner.chain([entry.path()]);
                        guarded.extend(
                            all.flat_map(|folder| RUN_BY_GIT.map(|name| folder.join(name))),
                        );
                    }
                    false => guarded.push(entry.path()),
                }
            }
            let is_passed_over = PASSED_OVER.iter().any(|passed| name == *passed);
            if kind.is_dir() && !is_passed_over && depth < DEPTH_MAX {
                pending.push_back((entry.path(), depth + 1));
            }
        }
    }
    guarded
}

/// The files of the repository that a workspace belongs to, where they lie outside of it. They may be looked at.
pub(super) fn outside(root: &Path) -> Option<PathBuf> {
    for folder in root.ancestors() {
        let git = folder.join(".git");
        if is_real_folder(&git) {
            return (folder != root).then_some(git);
        }
        if git.is_file() && !git.is_symlink() {
            return linked(folder, &git);
        }
    }
    None
}

/// Where a worktree's or a submodule's `.git` file leads. The other side has to know of it too: anybody can write such a
/// file, and it must open nothing that is not its own.
fn linked(folder: &Path, git: &Path) -> Option<PathBuf> {
    let named = line(git)?;
    let own = path::follow(&folder.join(named.strip_prefix("gitdir:")?.trim())).ok()?;
    let same =
        |path: PathBuf, wanted: &Path| path::follow(&path).is_ok_and(|found| found == wanted);
    if let (Some(back), Some(common)) = (line(&own.join("gitdir")), line(&own.join("commondir"))) {
        let common = path::follow(&own.join(common)).ok()?;
        let is_own = same(own.join(back), git) && own.starts_with(common.join("worktrees"));
        return (is_own && is_one(&common)).then_some(common);
    }
    let settings = fs::read_to_string(own.join("config")).ok()?;
    let mut named = settings
        .lines()
        .filter_map(|line| line.trim().strip_prefix("worktree = "));
    named
        .any(|back| same(own.join(back), folder))
        .then_some(own)
}

/// A file's only line.
fn line(file: &Path) -> Option<String> {
    let is_short = file
        .metadata()
        .is_ok_and(|found| found.is_file() && found.len() <= LINK_BYTES_MAX);
    let text = is_short.then(|| fs::read_to_string(file).ok())??;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn folder_with(files: &[(&str, &str)]) -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for (name, text) in files {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(
                root.join(name),
                text.replace("ROOT", &root.display().to_string()),
            )
            .unwrap();
        }
        (folder, root)
    }

    #[test]
    fn a_worktree_opens_its_repository_and_a_made_up_one_opens_nothing() {
        let (_folder, root) = folder_with(&[
            ("main/.git/HEAD", ""),
            ("main/.git/objects/x", ""),
            ("main/.git/refs/x", ""),
            ("main/.git/worktrees/w/gitdir", "ROOT/w/.git\n"),
            ("main/.git/worktrees/w/commondir", "../..\n"),
            ("w/.git", "gitdir: ROOT/main/.git/worktrees/w\n"),
            ("evil/.git", "gitdir: ROOT/main/.git/worktrees/w\n"),
            ("sub/.git", "gitdir: ../main/.git/modules/s\n"),
            (
                "main/.git/modules/s/config",
                "[core]\n\tworktree = ../../../../sub\n",
            ),
            ("main/deep/x", ""),
            ("plain/x", ""),
        ]);
        assert_eq!(outside(&root.join("w")), Some(root.join("main/.git")));
        assert_eq!(outside(&root.join("evil")), None);
        assert_eq!(
            outside(&root.join("sub")),
            Some(root.join("main/.git/modules/s"))
        );
        assert_eq!(
            outside(&root.join("main/deep")),
            Some(root.join("main/.git"))
        );
        assert_eq!(outside(&root.join("main")), None);
        assert_eq!(outside(&root.join("plain")), None);
    }

    #[test]
    fn repositories_below_are_found_within_bounds() {
        let (_folder, root) = folder_with(&[
            (".git/config", ""),
            ("vendor/a/.git/config", ""),
            ("vendor/b/.git", "gitdir: x"),
            ("node_modules/c/.git/config", ""),
        ]);
        let mut found = below(&root);
        found.sort();
        let mut wanted = RUN_BY_GIT
            .map(|name| root.join("vendor/a/.git").join(name))
            .to_vec();
        wanted.push(root.join("vendor/b/.git"));
        assert_eq!(found, wanted);
    }
}
