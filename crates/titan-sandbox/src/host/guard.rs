//! Files in a workspace that say what others run or believe: git's hooks and settings, instruction files.
//!
//! Programs must not change them, for what stands there is run later by the person, outside of any confinement, or
//! read by a model as instructions. Where mounts can be made, those that exist are read-only. What did not exist can't
//! be mounted without making it, so it is looked for when all of the program's processes have ended, and set aside
//! under another name: nothing is lost, and nothing takes effect. So is whatever stands in the place of a mount that was
//! moved away with what it lies in. Should the engine end before, the program's warden does it. Where no mounts can be
//! made, what exists is copied before and put back after. What the engine itself wrote meanwhile is left alone.
//!
//! A repository's settings may be changed by a step that was allowed to. Even then only lines stay that make git run
//! nothing: the person who says yes to `git remote add` has not seen what else the script writes there.

use super::confine::is_real_folder;
use super::notes::{Left, Notes};
use super::repository;
use super::scratch::Scratch;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    copies: Option<Scratch>,
    notes: Arc<Notes>,
    /// Whether all processes have ended and nobody has looked yet.
    is_due: bool,
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
    Fixed(Identity),
    /// Settings that may change; their text.
    LetThrough(String),
    /// `None` for the copy of what is too large to be copied.
    There {
        marks: Marks,
        copy: Option<PathBuf>,
    },
}

/// Device and number of a file or folder.
type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    let found = path.symlink_metadata().ok()?;
    Some((found.dev(), found.ino()))
}

/// Changes whenever something is changed; the time of the last change can't be set by programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    is_folder: bool,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Mark {
    /// `None` where nothing is.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = path.symlink_metadata().ok()?;
        Some(Self {
            is_folder: found.is_dir(),
            inode: found.ino(),
            bytes: found.size(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// Everything at and below a path.
type Marks = BTreeMap<PathBuf, Mark>;

/// The paths that are guarded while one program runs.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    /// Nobody may change them.
    pub(super) closed: Vec<PathBuf>,
    /// Settings that this step may change, within bounds.
    pub(super) let_through: Vec<PathBuf>,
}

impl Guarded {
    /// Those of a workspace, of the repositories `below` its root, and of those that the step may write elsewhere.
    pub(super) fn new(root: &Path, below: &[PathBuf], writes: &[PathBuf]) -> Self {
        let mut all: Vec<PathBuf> = INSTRUCTIONS.iter().map(|name| root.join(name)).collect();
        let git = root.join(".git");
        match git.symlink_metadata() {
            Ok(found) if found.is_dir() => all.extend(repository::run_by_git(&git)),
            // A worktree's or a submodule's: it says where the repository is.
            Ok(_) => all.push(git),
            Err(_absent) => {}
        }
        all.extend_from_slice(below);
        for written in writes.iter().filter(|path| !path.starts_with(root)) {
            let both = [written.clone(), written.join(".git")];
            let repositories = both.iter().filter(|folder| repository::is_one(folder));
            all.extend(repositories.flat_map(|folder| repository::run_by_git(folder)));
        }
        let is_let = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name == "config") && writes.contains(path)
        };
        let (let_through, closed) = all.into_iter().partition(is_let);
        Self {
            closed,
            let_through,
        }
    }
}

impl Guard {
    /// Notes how the guarded paths are. Without mounts, copies those that are there.
    ///
    /// # Errors
    /// When a copy can't be made.
    pub(super) fn before(root: &Path, guarded: Guarded, has_mounts: bool) -> io::Result<Self> {
        let all = guarded.closed.iter().chain(&guarded.let_through);
        let mut guard = Self {
            notes: Notes::open(all.cloned().collect()),
            is_due: false,
            root: root.to_owned(),
            had_repository: root.join(".git").symlink_metadata().is_ok(),
            had_head: root.join("HEAD").exists(),
            watched: Vec::new(),
            copies: None,
        };
        for path in guarded.let_through {
            let before = Before::LetThrough(fs::read_to_string(&path).unwrap_or_default());
            guard.watched.push(Watched { path, before });
        }
        for path in guarded.closed {
            let before = match path.symlink_metadata() {
                Err(_absent) => Before::Absent,
                Ok(found) if has_mounts && !found.is_symlink() => {
                    Before::Fixed((found.dev(), found.ino()))
                }
                Ok(_) => guard.copy(&path)?,
            };
            guard.watched.push(Watched { path, before });
        }
        Ok(guard)
    }

    fn copy(&mut self, path: &Path) -> io::Result<Before> {
        let folder = match &self.copies {
            Some(folder) => folder.path().to_owned(),
            None => self.copies.insert(Scratch::new()?).path().to_owned(),
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

    /// Once all processes have ended: from now on it is looked, even if this is only dropped.
    pub(super) fn fall_due(mut self) -> Self {
        self.is_due = true;
        self
    }

    /// Puts back what changed. Gives a line for each thing that was done. All processes have ended.
    pub(super) fn after(mut self) -> Vec<String> {
        self.look()
    }

    fn look(&mut self) -> Vec<String> {
        self.is_due = false;
        let notes = self.notes.clone();
        let left = notes.left();
        let mut told: Vec<String> = self
            .watched
            .iter()
            .filter_map(|watched| self.look_at(watched, &left))
            .collect();
        if !self.had_repository {
            told.extend(self.tame_repository());
        }
        if !self.had_head && repository::is_one(&self.root) {
            let head = self.root.join("HEAD");
            told.extend(self.tell(&head, set_aside(&self.root, &head)));
        }
        told
    }

    fn look_at(&self, Watched { path, before }: &Watched, left: &Left) -> Option<String> {
        if is_the_engines(path, before, left) {
            return None;
        }
        let done = match before {
            Before::Fixed(before) if identity(path) == Some(*before) => return None,
            Before::Fixed(_) => set_aside(&self.root, &in_its_place(&self.root, path)),
            Before::LetThrough(before) => {
                let done = tame_change(&self.root, path, before);
                return self.tell_of_settings(path, done);
            }
            Before::Absent => set_aside(&self.root, path),
            Before::There { marks: before, .. } if *before == marks(path) => return None,
            Before::There { copy, .. } => put_back(&self.root, path, copy.as_deref()),
        };
        self.tell(path, done)
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

    fn tell_of_settings(&self, path: &Path, done: io::Result<Option<PathBuf>>) -> Option<String> {
        let shown = path.strip_prefix(&self.root).unwrap_or(path).display();
        match done {
            Ok(None) => None,
            Ok(Some(aside)) => Some(format!(
                "{shown} was put back, for git would run what was written there (it is now in {}); change it yourself",
                aside.strip_prefix(&self.root).unwrap_or(&aside).display()
            )),
            Err(error) => Some(format!(
                "{shown} was changed and can't be put back: {error}; look at it"
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
        let modules = repository::submodules(&git);
        let mut told = Vec::new();
        for repository in modules.into_iter().chain([git]) {
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

impl Drop for Guard {
    /// A runtime that shuts down drops what it has not begun; what is due is done all the same.
    fn drop(&mut self) {
        if self.is_due {
            for line in self.look() {
                tracing::warn!("{line}");
            }
        }
    }
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
    let other = in_its_place(root, path);
    let aside = set_aside(root, &other)?.unwrap_or_else(|| path.to_owned());
    // What was around it may be gone too.
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut left = COPY_BYTES_MAX;
    copy_tree(copy, path, &mut left)?;
    Ok(Some(aside))
}

/// What stands where a guarded path was: itself, or what took the place of a folder on the way to it.
fn in_its_place(root: &Path, path: &Path) -> PathBuf {
    let inner: Vec<&Path> = path.ancestors().take_while(|part| *part != root).collect();
    let mut parts = inner.into_iter().rev();
    let other = parts.find(|part| !is_real_folder(part) && part.symlink_metadata().is_ok());
    other.unwrap_or(path).to_owned()
}

/// Whether a path was changed by the engine and by nobody else.
fn is_the_engines(path: &Path, before: &Before, left: &Left) -> bool {
    let mut below = left.range(path.to_owned()..);
    if !below
        .next()
        .is_some_and(|(noted, _)| noted.starts_with(path))
    {
        return false;
    }
    let nothing = Marks::new();
    let before = match before {
        Before::There { marks, .. } => marks,
        Before::Absent | Before::Fixed(_) | Before::LetThrough(_) => &nothing,
    };
    let now = marks(path);
    let is_left = |path: &PathBuf, mark: &Mark| left.get(path) == Some(&Some(*mark));
    let is_same = |path: &PathBuf, mark: &Mark| before.get(path) == Some(mark);
    // Folders change with what is in them.
    let mut files = now.iter().filter(|(_, mark)| !mark.is_folder);
    let mut gone = before
        .iter()
        .filter(|(path, mark)| !mark.is_folder && !now.contains_key(*path));
    now.len() < COPY_ENTRIES_MAX
        && files.all(|(path, mark)| is_left(path, mark) || is_same(path, mark))
        && gone.all(|(path, _)| left.get(path) == Some(&None))
}

/// Everything at and below a path, bounded.
fn marks(path: &Path) -> Marks {
    let mut marks = Marks::new();
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let Some(mark) = Mark::of(&path) else {
            continue;
        };
        if marks.len() >= COPY_ENTRIES_MAX {
            break;
        }
        if mark.is_folder {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            pending.extend(entries.map(|entry| entry.path()));
        }
        marks.insert(path, mark);
    }
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

/// Puts a repository's settings back if something was added to them that git would run. Lines that were there before
/// may stay, in their section.
fn tame_change(root: &Path, config: &Path, before: &str) -> io::Result<Option<PathBuf>> {
    let is_file = config
        .symlink_metadata()
        .is_ok_and(|found| found.is_file() && found.len() <= COPY_BYTES_MAX);
    let now = if is_file {
        String::from_utf8_lossy(&fs::read(config)?).into_owned()
    } else {
        String::new()
    };
    let known = other_lines(before);
    if is_file && other_lines(&now).iter().all(|line| known.contains(line)) {
        return Ok(None);
    }
    let aside = set_aside(root, config)?.unwrap_or_else(|| config.to_owned());
    fs::write(config, before)?;
    Ok(Some(aside))
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

/// A line of git's settings: the section that it stands in, itself, and whether it is known to be harmless. Each is
/// judged by the section before it, so nothing that is left out can change what another line means.
fn judged(text: &str) -> impl Iterator<Item = (String, &str, bool)> {
    let mut section = String::new();
    text.lines().map(move |line| {
        let trimmed = line.trim();
        let is_harmless = match section_of(trimmed) {
            Some(name) => {
                section = name;
                true
            }
            None => trimmed.is_empty() || is_harmless_line(&section, trimmed),
        };
        (section.clone(), line, is_harmless)
    })
}

/// The lines that are known to be harmless.
fn harmless_lines(text: &str) -> String {
    let kept = judged(text).filter(|(_, _, is_harmless)| *is_harmless);
    kept.map(|(_, line, _)| format!("{line}\n")).collect()
}

/// The other lines, each with its section.
fn other_lines(text: &str) -> Vec<(String, &str)> {
    let others = judged(text).filter(|(_, _, is_harmless)| !is_harmless);
    others
        .map(|(section, line, _)| (section, line.trim()))
        .collect()
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
    use tempfile::TempDir;

    #[test]
    fn settings_that_may_change_keep_what_makes_git_run_nothing() {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        let config = root.join(".git/config");
        let old = "[core]\n\tbare = false\n\tpager = less\n";
        let check = |added: &str, is_kept: bool| {
            fs::create_dir_all(root.join(".git")).unwrap();
            fs::write(&config, old).unwrap();
            let guarded = Guarded::new(root, &[], std::slice::from_ref(&config));
            assert_eq!(guarded.let_through, std::slice::from_ref(&config));
            let guard = Guard::before(root, guarded, true).unwrap();
            fs::write(&config, format!("{old}{added}")).unwrap();
            let told = guard.after();
            assert_eq!(told.is_empty(), is_kept, "{told:?}");
            let now = fs::read_to_string(&config).unwrap();
            assert_eq!(now == old, !is_kept, "{now}");
        };
        check(
            "[remote \"origin\"]\n\turl = https://example.org/x\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            true,
        );
        check(
            "[branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n",
            true,
        );
        check("\tfsmonitor = ./evil\n", false);
        check("[remote \"o\"]\n\turl = ext::sh -c evil\n", false);
        check("[alias]\n\tpager = less\n", false);
        check("[core]\n\tpager = less\n", true);
        check("[user]\n\tname = A \\\n", false);
    }

    #[test]
    fn s16_a_new_repositorys_settings_keep_nothing_that_git_would_run() {
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
    fn s16_what_appears_is_set_aside_and_what_changed_is_put_back() {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at(".git/hooks")).unwrap();
        fs::write(at(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(at(".git/config"), "[core]\n").unwrap();
        fs::write(at("CLAUDE.md"), "be kind").unwrap();
        let guard = Guard::before(root, Guarded::new(root, &[], &[]), false).unwrap();
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
        let guard = Guard::before(root, Guarded::new(root, &[], &[]), false).unwrap();
        assert!(guard.after().is_empty());
        assert_eq!(fs::read_dir(root).unwrap().count(), 1);
    }
}
