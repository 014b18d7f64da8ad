//! Files in a workspace that say what others run or believe: git's hooks and settings, instruction files.
//!
//! Programs must not change them, for what stands there is run later by the person, outside of any confinement, or
//! read by a model as instructions. Where mounts can be made, those that exist are read-only. What did not exist can't
//! be mounted without making it, so it is looked for when all of the program's processes have ended, and set aside
//! under another name: nothing is lost, and nothing takes effect. Should the engine be killed before, the program's
//! warden does it. Where no mounts can be made, what exists is copied before and put back after.

use super::confine::is_real_folder;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Read as instructions, or as settings, by this engine or others.
const INSTRUCTIONS: [&str; 13] = [
    ".claude",
    ".codex",
    ".cursor",
    ".cursorrules",
    ".gemini",
    ".github/copilot-instructions.md",
    ".mcp.json",
    ".titanclaw",
    "AGENTS.md",
    "AGENTS.override.md",
    "CLAUDE.local.md",
    "CLAUDE.md",
    "GEMINI.md",
];

/// In a repository: run by git, or telling it what to run.
const GIT: [&str; 4] = ["commondir", "config", "config.worktree", "hooks"];

/// Submodules whose settings are guarded.
const SUBMODULES_MAX: usize = 64;

/// What is added to the name of something that was set aside.
pub(super) const ASIDE: &str = "set-aside";

/// Names that are tried for something set aside.
const ASIDE_MAX: u32 = 1_000;

/// The most that is copied of one guarded path where it can't be mounted.
const COPY_ENTRIES_MAX: usize = 2_000;
const COPY_BYTES_MAX: u64 = 16 << 20;

/// Keys of a new repository's settings that make git run nothing.
const HARMLESS_KEYS: [&str; 27] = [
    "branch.autosetupmerge",
    "branch.autosetuprebase",
    "branch.*.merge",
    "branch.*.rebase",
    "branch.*.remote",
    "commit.gpgsign",
    "core.autocrlf",
    "core.bare",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.logallrefupdates",
    "core.precomposeunicode",
    "core.repositoryformatversion",
    "core.symlinks",
    "extensions.objectformat",
    "extensions.refstorage",
    "init.defaultbranch",
    "pull.rebase",
    "push.default",
    "remote.*.fetch",
    "remote.*.url",
    "submodule.*.active",
    "submodule.*.url",
    "submodule.active",
    "user.email",
    "user.name",
];

/// The guarded paths of a workspace, and how they were before a program ran.
#[derive(Debug)]
pub(super) struct Guard {
    root: PathBuf,
    had_repository: bool,
    had_head: bool,
    watched: Vec<Watched>,
    copies: Option<TempDir>,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    before: Before,
}

#[derive(Debug)]
enum Before {
    Absent,
    /// Mounted read-only while the program runs.
    Fixed,
    /// `None` for the copy of what is too large to be copied.
    There {
        marks: Vec<Mark>,
        copy: Option<PathBuf>,
    },
}

/// Changes whenever something is changed; the time of the last change can't be set by programs.
#[derive(Debug, PartialEq, Eq)]
struct Mark(PathBuf, u64, u64, i64, i64);

/// The paths that are guarded in a workspace. Makes git's folder for hooks where a repository has none, so that it can
/// be closed.
pub(super) fn guarded(root: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = INSTRUCTIONS.iter().map(|name| root.join(name)).collect();
    let git = root.join(".git");
    if !is_real_folder(&git) {
        return paths;
    }
    if git.join("HEAD").exists() {
        // A repository that can't be written needs no closed folder.
        let _ = fs::create_dir(git.join("hooks"));
    }
    let modules = fs::read_dir(git.join("modules"))
        .into_iter()
        .flatten()
        .flatten();
    let modules = modules.take(SUBMODULES_MAX).map(|entry| entry.path());
    let modules = modules.filter(|path| is_real_folder(path));
    for repository in modules.chain([git]) {
        paths.extend(GIT.iter().map(|name| repository.join(name)));
    }
    paths
}

impl Guard {
    /// Notes how the guarded paths are. Without mounts, copies those that are there.
    ///
    /// # Errors
    /// When a copy can't be made.
    pub(super) fn before(root: &Path, paths: Vec<PathBuf>, has_mounts: bool) -> io::Result<Self> {
        let mut guard = Self {
            root: root.to_owned(),
            had_repository: root.join(".git").symlink_metadata().is_ok(),
            had_head: root.join("HEAD").exists(),
            watched: Vec::new(),
            copies: None,
        };
        for path in paths {
            let before = match path.symlink_metadata() {
                Err(_absent) => Before::Absent,
                Ok(found) if has_mounts && !found.is_symlink() => Before::Fixed,
                Ok(_) => guard.copy(&path)?,
            };
            guard.watched.push(Watched { path, before });
        }
        Ok(guard)
    }

    fn copy(&mut self, path: &Path) -> io::Result<Before> {
        let folder = match &self.copies {
            Some(folder) => folder.path().to_owned(),
            None => self
                .copies
                .insert(TempDir::with_prefix("titanclaw-guard-")?)
                .path()
                .to_owned(),
        };
        let marks = marks(path);
        let copy = folder.join(self.watched.len().to_string());
        let mut left = COPY_BYTES_MAX;
        let is_whole = marks.len() < COPY_ENTRIES_MAX && copy_tree(path, &copy, &mut left)?;
        Ok(Before::There {
            marks,
            copy: is_whole.then_some(copy),
        })
    }

    /// Puts back what changed. Gives a line for each thing that was done. All processes have ended.
    pub(super) fn after(self) -> Vec<String> {
        let mut told = Vec::new();
        for watched in &self.watched {
            let done = match &watched.before {
                Before::Fixed => continue,
                Before::Absent => set_aside(&self.root, &watched.path),
                Before::There { marks: before, .. } if *before == marks(&watched.path) => continue,
                Before::There { copy, .. } => put_back(&self.root, &watched.path, copy.as_deref()),
            };
            told.extend(self.tell(&watched.path, done));
        }
        if !self.had_repository {
            told.extend(self.tame_repository());
        }
        if !self.had_head && is_bare(&self.root) {
            let head = self.root.join("HEAD");
            told.extend(self.tell(&head, set_aside(&self.root, &head)));
        }
        told
    }

    fn tell(&self, path: &Path, done: io::Result<Option<PathBuf>>) -> Option<String> {
        let shown = path.strip_prefix(&self.root).unwrap_or(path).display();
        match done {
            Ok(None) => None,
            Ok(Some(aside)) if aside == path => Some(format!(
                "{shown} may not be deleted by programs: it was put back"
            )),
            Ok(Some(aside)) => {
                let aside = aside.strip_prefix(&self.root).unwrap_or(&aside).display();
                Some(format!(
                    "{shown} may not be changed by programs: what was written is now in {aside}"
                ))
            }
            Err(error) => Some(format!(
                "{shown} may not be changed by programs, but it was and can't be put back: {error}; look at it"
            )),
        }
    }

    /// A new repository keeps what it needs, and nothing that git would run.
    fn tame_repository(&self) -> Vec<String> {
        let git = self.root.join(".git");
        if git.symlink_metadata().is_err() {
            return Vec::new();
        }
        if !is_real_folder(&git) {
            return self
                .tell(&git, set_aside(&self.root, &git))
                .into_iter()
                .collect();
        }
        let modules = fs::read_dir(git.join("modules"))
            .into_iter()
            .flatten()
            .flatten();
        let modules = modules.take(SUBMODULES_MAX).map(|entry| entry.path());
        let modules = modules.filter(|path| is_real_folder(path));
        let mut told = Vec::new();
        for repository in modules.chain([git]) {
            for name in ["commondir", "config.worktree"] {
                let path = repository.join(name);
                told.extend(self.tell(&path, set_aside(&self.root, &path)));
            }
            let hooks = repository.join("hooks");
            if !holds_only_samples(&hooks) {
                told.extend(self.tell(&hooks, set_aside(&self.root, &hooks)));
            }
            let config = repository.join("config");
            told.extend(self.tell(&config, tame_config(&self.root, &config)));
        }
        told
    }
}

fn is_bare(root: &Path) -> bool {
    ["HEAD", "objects", "refs"]
        .iter()
        .all(|name| root.join(name).exists())
}

fn holds_only_samples(hooks: &Path) -> bool {
    match hooks.symlink_metadata() {
        Err(_absent) => true,
        Ok(found) if !found.is_dir() => false,
        Ok(_) => fs::read_dir(hooks)
            .into_iter()
            .flatten()
            .flatten()
            .all(|entry| entry.path().extension().is_some_and(|end| end == "sample")),
    }
}

/// Renames what is at a path, or the link that leads there: what lies beyond it is not ours. `None` if nothing is.
fn set_aside(root: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let inner: Vec<&Path> = path.ancestors().take_while(|part| *part != root).collect();
    let link = inner.iter().rev().find(|part| part.is_symlink());
    let path = link.copied().unwrap_or(path);
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for n in 0..ASIDE_MAX {
        let number = if n == 0 {
            String::new()
        } else {
            format!("-{n}")
        };
        let aside = path.with_file_name(format!("{name}.{ASIDE}{number}"));
        if aside.symlink_metadata().is_err() {
            fs::rename(path, &aside)?;
            return Ok(Some(aside));
        }
    }
    Err(io::Error::other(
        "too many things are set aside there already",
    ))
}

fn put_back(root: &Path, path: &Path, copy: Option<&Path>) -> io::Result<Option<PathBuf>> {
    let copy = copy.ok_or_else(|| io::Error::other("it is too large to be kept a copy of"))?;
    let aside = set_aside(root, path)?.unwrap_or_else(|| path.to_owned());
    let mut left = COPY_BYTES_MAX;
    copy_tree(copy, path, &mut left)?;
    Ok(Some(aside))
}

/// Everything at and below a path, bounded.
fn marks(path: &Path) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(found) = path.symlink_metadata() else {
            continue;
        };
        if marks.len() >= COPY_ENTRIES_MAX {
            break;
        }
        if found.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            pending.extend(entries.map(|entry| entry.path()));
        }
        let (seconds, nanoseconds) = (found.ctime(), found.ctime_nsec());
        marks.push(Mark(path, found.ino(), found.size(), seconds, nanoseconds));
    }
    marks.sort_by(|a, b| a.0.cmp(&b.0));
    marks
}

/// Copies files, folders and links. `false` if that would be too much.
fn copy_tree(from: &Path, to: &Path, left: &mut u64) -> io::Result<bool> {
    let found = from.symlink_metadata()?;
    if found.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
        return Ok(true);
    }
    if found.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            if !copy_tree(&entry.path(), &to.join(entry.file_name()), left)? {
                return Ok(false);
            }
        }
        fs::set_permissions(to, found.permissions())?;
        return Ok(true);
    }
    if !found.is_file() || found.len() > *left {
        return Ok(false);
    }
    *left -= found.len();
    fs::copy(from, to)?;
    Ok(true)
}

/// Leaves only what is known to be harmless in the settings of a new repository; the whole of it is set aside.
fn tame_config(root: &Path, config: &Path) -> io::Result<Option<PathBuf>> {
    let found = match config.symlink_metadata() {
        Err(_absent) => return Ok(None),
        Ok(found) => found,
    };
    if !found.is_file() || found.len() > COPY_BYTES_MAX {
        return set_aside(root, config);
    }
    let text = String::from_utf8_lossy(&fs::read(config)?).into_owned();
    let tamed = harmless_lines(&text);
    if tamed == text {
        return Ok(None);
    }
    let aside = set_aside(root, config)?;
    fs::write(config, tamed)?;
    Ok(aside)
}

/// The lines of git's settings that are known to be harmless. Each is judged by the section that stands before it in
/// the result, so nothing that is left out can change what a kept line means.
fn harmless_lines(text: &str) -> String {
    let mut section = String::new();
    let mut kept = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        let is_kept = match section_of(trimmed) {
            Some(name) => {
                section = name;
                true
            }
            None => trimmed.is_empty() || is_harmless_line(&section, trimmed),
        };
        if is_kept {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// `[name]` or `[name "of what"]`, alone on its line: `name` or `name.*`.
fn section_of(line: &str) -> Option<String> {
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    match inner.split_once(' ') {
        None => is_word(inner).then(|| inner.to_ascii_lowercase()),
        Some((name, of)) => {
            let of = of.strip_prefix('"')?.strip_suffix('"')?;
            let is_plain = is_word(name) && !of.contains(['"', '\\', ']', '[']);
            is_plain.then(|| format!("{}.*", name.to_ascii_lowercase()))
        }
    }
}

fn is_harmless_line(section: &str, line: &str) -> bool {
    let (key, value) = match line.split_once('=') {
        Some((key, value)) => (key.trim(), value.trim()),
        None => (line, ""),
    };
    let name = format!("{section}.{}", key.to_ascii_lowercase());
    let is_address = name.ends_with(".url");
    HARMLESS_KEYS.contains(&name.as_str())
        && !value.contains(['\\', '"', '`', '$'])
        // `ext::` and its kin run a program.
        && !(is_address && (value.contains("::") || value.starts_with('-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_repositorys_settings_keep_nothing_that_git_would_run() {
        let written = "[core]\n\tbare = false\n\thooksPath = evil\n\tfsmonitor=./x\n[core] pager = x\n\
                       [remote \"origin\"]\n\turl = https://example.org/x.git\n\turl = ext::sh -c x\n\
                       \tfetch = +refs/heads/*:refs/remotes/origin/*\n[alias]\n\tx = !sh\n\
                       [user]\n\tname = A \\\n[core]\n\tsshCommand = x\n\tname = B\n[user]\n\temail = a@b\n\
                       [include]\n\tpath = evil\n";
        let kept = "[core]\n\tbare = false\n\
                    [remote \"origin\"]\n\turl = https://example.org/x.git\n\
                    \tfetch = +refs/heads/*:refs/remotes/origin/*\n[alias]\n\
                    [user]\n[core]\n[user]\n\temail = a@b\n[include]\n";
        assert_eq!(harmless_lines(written), kept);
        assert_eq!(harmless_lines(kept), kept);
    }

    #[test]
    fn what_appears_is_set_aside_and_what_changed_is_put_back() {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at(".git/hooks")).unwrap();
        fs::write(at(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(at(".git/config"), "[core]\n").unwrap();
        fs::write(at("CLAUDE.md"), "be kind").unwrap();
        let guard = Guard::before(root, guarded(root), false).unwrap();
        fs::write(at(".git/hooks/pre-commit"), "evil").unwrap();
        fs::write(at(".git/config"), "[core]\nhooksPath=x\n").unwrap();
        fs::remove_file(at("CLAUDE.md")).unwrap();
        fs::write(at("AGENTS.md"), "obey").unwrap();
        fs::write(at("fine"), "").unwrap();
        let told = guard.after();
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(fs::read_to_string(at(".git/config")).unwrap(), "[core]\n");
        assert_eq!(fs::read_to_string(at("CLAUDE.md")).unwrap(), "be kind");
        assert!(!at("AGENTS.md").exists() && !at(".git/hooks/pre-commit").exists());
        assert_eq!(
            fs::read_to_string(at("AGENTS.md.set-aside")).unwrap(),
            "obey"
        );
        assert!(at("fine").exists());
    }

    #[test]
    fn what_nobody_touched_is_left_alone() {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        fs::write(root.join("AGENTS.md"), "x").unwrap();
        let guard = Guard::before(root, guarded(root), false).unwrap();
        assert!(guard.after().is_empty());
        assert_eq!(fs::read_dir(root).unwrap().count(), 1);
    }
}
