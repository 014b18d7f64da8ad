//! A place to work that lives in memory, and the suite that it and every real place must pass.
//!
//! [`MemoryWorkbench`] keeps files in a map and runs programs from a script. It knows links, hidden files and the
//! simplest lines of a `.gitignore` in its root (`name`, `name/`, `*.ext`), and nothing of permissions or time stamps.

use crate::gate::Gate;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use titan_protocol::{
    BoxStream, Captured, Command, Entry, EntryKind, Exit, Metadata, ProcessEvent, Resolved, Stamp,
    Survey, Surveyed, WalkOptions, Workbench, WorkbenchError,
};
use tokio::time::Instant;

const ROOT: &str = "/workspace";
const HOME: &str = "/home/person";
const PROGRAMS: &str = "/usr/bin";
const LINKS_MAX: usize = 40;
/// The permission bits of every file.
const MODE: u32 = 0o644;

type Script = Arc<dyn Fn(&Command) -> Process + Send + Sync>;

/// A [`Workbench`] in memory, rooted at `/workspace`, with the home `/home/person`. Clones are the same place.
#[derive(Clone)]
pub struct MemoryWorkbench {
    root: PathBuf,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    files: BTreeMap<PathBuf, Bytes>,
    folders: BTreeSet<PathBuf>,
    links: BTreeMap<PathBuf, PathBuf>,
    programs: BTreeMap<String, Script>,
    commands: Vec<Command>,
    running: usize,
}

impl Default for MemoryWorkbench {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryWorkbench {
    /// An empty workspace without programs.
    pub fn new() -> Self {
        let mut shared = Shared::default();
        for folder in [ROOT, HOME, PROGRAMS] {
            shared.make_folders(Path::new(folder));
        }
        Self {
            root: PathBuf::from(ROOT),
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Adds a file; a relative path starts at the root.
    pub fn file(self, path: &str, content: impl Into<Bytes>) -> Self {
        let path = self.root.join(path);
        self.shared.lock().insert(path, content.into());
        self
    }

    /// Adds an empty folder; a relative path starts at the root.
    pub fn folder(self, path: &str) -> Self {
        let path = self.root.join(path);
        self.shared.lock().make_folders(&path);
        self
    }

    /// Adds a link; its target is relative to its own folder, or absolute.
    pub fn link(self, path: &str, target: &str) -> Self {
        let path = self.root.join(path);
        let mut shared = self.shared.lock();
        shared.make_folders(path.parent().unwrap_or(Path::new("/")));
        shared.links.insert(path, PathBuf::from(target));
        drop(shared);
        self
    }

    /// Adds a program, found as `/usr/bin/NAME`. The closure sees the command and says what the process does.
    pub fn program(
        self,
        name: &str,
        script: impl Fn(&Command) -> Process + Send + Sync + 'static,
    ) -> Self {
        self.shared
            .lock()
            .programs
            .insert(name.to_owned(), Arc::new(script));
        self
    }

    /// Adds a `sh` that answers `sh -c SCRIPT`, or each piece of a script that it is given bit by bit, by this table; a
    /// script that is not in it ends with status 127.
    pub fn shell<const N: usize>(self, scripts: [(&str, Process); N]) -> Self {
        let scripts: BTreeMap<String, Process> = scripts
            .into_iter()
            .map(|(script, process)| (script.to_owned(), process))
            .collect();
        self.program("sh", move |command| {
            let script = command.arguments.last().cloned().unwrap_or_default();
            let unknown = || Process::exits(127).stderr(format!("not in the script: {script}\n"));
            scripts.get(&script).cloned().unwrap_or_else(unknown)
        })
    }

    /// A file's content as text; `None` when there is no such file. A relative path starts at the root.
    pub fn content(&self, path: &str) -> Option<String> {
        let path = self.root.join(path);
        let shared = self.shared.lock();
        let bytes = shared.files.get(&path)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// All files, in order: those in the workspace relative to it, others absolute.
    pub fn files(&self) -> Vec<String> {
        let shared = self.shared.lock();
        let shown = |path: &PathBuf| {
            let path = path.strip_prefix(&self.root).unwrap_or(path);
            path.display().to_string()
        };
        shared.files.keys().map(shown).collect()
    }

    /// The commands that were run, in order.
    pub fn commands(&self) -> Vec<Command> {
        self.shared.lock().commands.clone()
    }

    /// How many processes run now: started, neither at their end nor dropped.
    pub fn running(&self) -> usize {
        self.shared.lock().running
    }
}

impl Shared {
    fn make_folders(&mut self, path: &Path) {
        for folder in path.ancestors() {
            self.folders.insert(folder.to_owned());
        }
    }

    fn insert(&mut self, path: PathBuf, content: Bytes) {
        self.make_folders(path.parent().unwrap_or(Path::new("/")));
        self.files.insert(path, content);
    }

    fn metadata(&self, path: &Path) -> Option<Metadata> {
        let (kind, bytes) = if let Some(content) = self.files.get(path) {
            (EntryKind::File, content.len() as u64)
        } else if self.folders.contains(path) {
            (EntryKind::Folder, 0)
        } else if self.links.contains_key(path) {
            (EntryKind::Other, 0)
        } else {
            return None;
        };
        Some(Metadata { kind, bytes })
    }

    /// Follows every link, the last one too; what does not exist is taken as it is spelt.
    fn resolve(&self, path: &Path) -> Result<PathBuf, WorkbenchError> {
        let mut links = 0;
        let mut pending: VecDeque<PathBuf> = split(path);
        let mut resolved = PathBuf::from("/");
        while let Some(part) = pending.pop_front() {
            if part.as_os_str() == ".." {
                resolved.pop();
                continue;
            }
            if self.files.contains_key(&resolved) {
                return Err(failed(format!("{} is not a folder", resolved.display())));
            }
            let next = resolved.join(&part);
            let Some(target) = self.links.get(&next) else {
                resolved = next;
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(failed(format!("{} has too many links", path.display())));
            }
            if target.is_absolute() {
                resolved = PathBuf::from("/");
            }
            for part in split(target).into_iter().rev() {
                pending.push_front(part);
            }
        }
        Ok(resolved)
    }

    fn is_ignored(&self, root: &Path, path: &Path) -> bool {
        let rules = self.files.get(&root.join(".gitignore"));
        let rules = rules.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let inner = path.strip_prefix(root).unwrap_or(path);
        inner.iter().any(|part| {
            let part = part.to_string_lossy();
            let matches = |rule: &str| match rule.strip_prefix('*') {
                Some(suffix) => part.ends_with(suffix),
                None => part == rule.trim_end_matches('/'),
            };
            part.starts_with('.') || rules.iter().flat_map(|text| text.lines()).any(matches)
        })
    }

    fn walk(&self, root: &Path, folder: &Path, options: WalkOptions) -> Vec<Entry> {
        let mut paths: Vec<&PathBuf> = self.files.keys().chain(self.links.keys()).collect();
        if options.include_folders {
            paths.extend(&self.folders);
        }
        paths.retain(|path| {
            let Ok(inner) = path.strip_prefix(folder) else {
                return false;
            };
            let depth = inner.iter().count();
            let is_near = options.depth_max.is_none_or(|max| depth <= max);
            depth > 0 && is_near && (options.include_ignored || !self.is_ignored(root, path))
        });
        paths.sort();
        let entry = |path: &PathBuf| {
            self.metadata(path).map(|found| Entry {
                path: path.clone(),
                kind: found.kind,
                bytes: found.bytes,
            })
        };
        paths.into_iter().filter_map(entry).collect()
    }

    fn program(&self, program: &str) -> Option<(PathBuf, Script)> {
        let name = program
            .strip_prefix(PROGRAMS)
            .map_or(program, |name| name.trim_start_matches('/'));
        let script = self.programs.get(name)?.clone();
        Some((Path::new(PROGRAMS).join(name), script))
    }
}

/// Stands for the time stamp, which this place does not keep: tells contents apart.
fn mark(content: Option<&Bytes>, target: Option<&PathBuf>) -> i64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (content, target).hash(&mut hasher);
    (hasher.finish() >> 1).cast_signed()
}

/// The parts of a path: names and `..`.
fn split(path: &Path) -> VecDeque<PathBuf> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

fn failed(text: String) -> WorkbenchError {
    WorkbenchError::Failed(text)
}

fn not_found(path: &Path) -> WorkbenchError {
    WorkbenchError::NotFound {
        path: path.display().to_string(),
    }
}

#[async_trait]
impl Workbench for MemoryWorkbench {
    fn root(&self) -> &Path {
        &self.root
    }

    async fn resolve(&self, path: &str) -> Result<Resolved, WorkbenchError> {
        if path.is_empty() || path.contains('\0') {
            return Err(failed(format!("{path:?} is not a path")));
        }
        let spelt = match path.strip_prefix('~') {
            Some(inner) if inner.is_empty() || inner.starts_with('/') => {
                PathBuf::from(format!("{HOME}{inner}"))
            }
            _ => self.root.join(path),
        };
        let path = self.shared.lock().resolve(&spelt)?;
        let in_workspace = path.starts_with(&self.root);
        Ok(Resolved { path, in_workspace })
    }

    async fn which(&self, program: &str) -> Option<PathBuf> {
        self.shared.lock().program(program).map(|(path, _)| path)
    }

    async fn metadata(&self, path: &Path) -> Result<Option<Metadata>, WorkbenchError> {
        Ok(self.shared.lock().metadata(path))
    }

    async fn read(
        &self,
        path: &Path,
        offset: u64,
        bytes_max: u64,
    ) -> Result<Bytes, WorkbenchError> {
        let shared = self.shared.lock();
        let Some(content) = shared.files.get(path) else {
            return Err(match shared.metadata(path) {
                Some(_) => failed(format!("{} is not a file", path.display())),
                None => not_found(path),
            });
        };
        let clamp = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(content.len());
        Ok(content.slice(clamp(offset)..clamp(offset.saturating_add(bytes_max))))
    }

    async fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), WorkbenchError> {
        let mut shared = self.shared.lock();
        if shared.folders.contains(path) {
            return Err(failed(format!("{} is a folder", path.display())));
        }
        if let Some(file) = path
            .ancestors()
            .skip(1)
            .find(|p| shared.files.contains_key(*p))
        {
            return Err(failed(format!("{} is not a folder", file.display())));
        }
        shared.insert(path.to_owned(), Bytes::copy_from_slice(bytes));
        Ok(())
    }

    async fn remove(&self, path: &Path) -> Result<(), WorkbenchError> {
        let mut shared = self.shared.lock();
        if shared.files.remove(path).is_some() || shared.links.remove(path).is_some() {
            return Ok(());
        }
        Err(match shared.metadata(path) {
            Some(_) => failed(format!("{} is a folder", path.display())),
            None => not_found(path),
        })
    }

    async fn capture(&self, path: &Path, bytes_max: u64) -> Result<Captured, WorkbenchError> {
        let shared = self.shared.lock();
        if let Some(target) = shared.links.get(path) {
            let target = target.clone();
            return Ok(Captured::Link { target });
        }
        let unheld = |bytes, why: String| Captured::Unheld { bytes, why };
        Ok(
            match (shared.files.get(path), shared.folders.contains(path)) {
                (None, false) => Captured::Absent,
                (None, true) => unheld(0, "a folder".to_owned()),
                (Some(content), _) if content.len() as u64 > bytes_max => {
                    let why = format!("larger than {} MiB", bytes_max >> 20);
                    unheld(content.len() as u64, why)
                }
                (Some(content), _) => Captured::File {
                    content: content.clone(),
                    mode: Some(MODE),
                },
            },
        )
    }

    async fn restore(&self, path: &Path, state: &Captured) -> Result<(), WorkbenchError> {
        let mut shared = self.shared.lock();
        if shared.folders.contains(path) {
            if shared.files.keys().any(|file| file.starts_with(path)) {
                return Err(failed(format!("{} is a folder", path.display())));
            }
            shared.folders.remove(path);
        }
        if let Captured::Unheld { why, .. } = state {
            return Err(failed(format!("{} was {why}", path.display())));
        }
        shared.files.remove(path);
        shared.links.remove(path);
        match state {
            Captured::File { content, .. } => shared.insert(path.to_owned(), content.clone()),
            Captured::Link { target } => {
                shared.make_folders(path.parent().unwrap_or(Path::new("/")));
                shared.links.insert(path.to_owned(), target.clone());
            }
            Captured::Absent | Captured::Unheld { .. } => {}
        }
        Ok(())
    }

    async fn survey(&self, files_max: usize) -> Result<Survey, WorkbenchError> {
        let shared = self.shared.lock();
        let found = shared.walk(&self.root, &self.root, WalkOptions::default());
        let stamp = |path: &Path| Stamp {
            bytes: shared.metadata(path).map_or(0, |found| found.bytes),
            inode: 0,
            mode: MODE,
            modified_ns: mark(shared.files.get(path), shared.links.get(path)),
            changed_ns: 0,
        };
        Ok(Survey {
            is_whole: found.len() <= files_max,
            files: found
                .into_iter()
                .take(files_max)
                .map(|entry| Surveyed {
                    stamp: stamp(&entry.path),
                    path: entry.path,
                })
                .collect(),
        })
    }

    fn walk(
        &self,
        folder: &Path,
        options: WalkOptions,
    ) -> BoxStream<Result<Entry, WorkbenchError>> {
        let shared = self.shared.lock();
        let items = match shared.metadata(folder).map(|found| found.kind) {
            Some(EntryKind::Folder) => {
                let entries = shared.walk(&self.root, folder, options);
                entries.into_iter().map(Ok).collect()
            }
            Some(_) => vec![Err(failed(format!("{} is not a folder", folder.display())))],
            None => vec![Err(not_found(folder))],
        };
        futures::stream::iter(items).boxed()
    }

    fn start(
        &self,
        command: Command,
        script: Option<BoxStream<Bytes>>,
    ) -> BoxStream<Result<ProcessEvent, WorkbenchError>> {
        let found = self.shared.lock().program(&command.program);
        let Some((_, program)) = found else {
            self.shared.lock().commands.push(command.clone());
            let error = WorkbenchError::NotFound {
                path: command.program,
            };
            return futures::stream::iter([Err(error)]).boxed();
        };
        let deadline = Instant::now() + command.wall_clock_max;
        self.shared.lock().running += 1;
        let mut running = Running {
            process: Process::exits(0),
            program,
            command,
            deadline,
            is_over: false,
            shared: self.shared.clone(),
            script,
        };
        if running.script.is_none() {
            running.begin(running.command.clone());
        }
        futures::stream::unfold(running, |mut running| async move {
            running.next().await.map(|event| (Ok(event), running))
        })
        .boxed()
    }
}

/// What a scripted process does, in order, and how it ends.
#[derive(Clone, Debug)]
pub struct Process {
    acts: VecDeque<Act>,
    exit: Exit,
}

#[derive(Clone, Debug)]
enum Act {
    Say(ProcessEvent),
    Hold(Gate),
    Hang,
}

impl Process {
    /// Ends with this status.
    pub fn exits(status: i32) -> Self {
        Self::ends(Exit::Status(status))
    }

    /// Ends in this way.
    pub fn ends(exit: Exit) -> Self {
        Self {
            acts: VecDeque::new(),
            exit,
        }
    }

    /// Writes to standard output.
    pub fn stdout(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Act::Say(ProcessEvent::Stdout(bytes.into())))
    }

    /// Writes to standard error.
    pub fn stderr(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Act::Say(ProcessEvent::Stderr(bytes.into())))
    }

    /// Waits here until the gate opens.
    pub fn hold(self, gate: &Gate) -> Self {
        self.then(Act::Hold(gate.clone()))
    }

    /// Never goes on from here: ends by its time limit or by being dropped.
    pub fn hangs(self) -> Self {
        self.then(Act::Hang)
    }

    fn then(mut self, act: Act) -> Self {
        self.acts.push_back(act);
        self
    }
}

struct Running {
    process: Process,
    program: Script,
    command: Command,
    deadline: Instant,
    is_over: bool,
    shared: Arc<Mutex<Shared>>,
    /// The rest of a shell's script, each piece of which is a process.
    script: Option<BoxStream<Bytes>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Running {
    async fn next(&mut self) -> Option<ProcessEvent> {
        if self.is_over {
            return None;
        }
        loop {
            match self.process.acts.pop_front() {
                Some(Act::Say(event)) => return Some(self.bounded(event)),
                Some(Act::Hold(gate)) => {
                    if tokio::time::timeout_at(self.deadline, gate.pass())
                        .await
                        .is_err()
                    {
                        return Some(self.exit(Exit::TimedOut));
                    }
                }
                Some(Act::Hang) => {
                    tokio::time::sleep_until(self.deadline).await;
                    return Some(self.exit(Exit::TimedOut));
                }
                None if !matches!(self.process.exit, Exit::Status(_)) => {
                    return Some(self.exit(self.process.exit));
                }
                None => match self.next_piece().await {
                    Ok(Some(piece)) => self.begin(Command {
                        arguments: vec!["-c".to_owned(), "--".to_owned(), piece],
                        ..self.command.clone()
                    }),
                    Ok(None) => return Some(self.exit(self.process.exit)),
                    Err(_) => return Some(self.exit(Exit::TimedOut)),
                },
            }
        }
    }

    async fn next_piece(&mut self) -> Result<Option<String>, tokio::time::error::Elapsed> {
        let Some(script) = &mut self.script else {
            return Ok(None);
        };
        let piece = tokio::time::timeout_at(self.deadline, script.next()).await?;
        Ok(piece.map(|piece| String::from_utf8_lossy(&piece).trim_end().to_owned()))
    }

    fn begin(&mut self, command: Command) {
        self.process = (self.program)(&command);
        self.shared.lock().commands.push(command);
    }

    /// Cuts output at the limit; what comes after it is the end of the process.
    fn bounded(&mut self, event: ProcessEvent) -> ProcessEvent {
        let (ProcessEvent::Stdout(bytes) | ProcessEvent::Stderr(bytes)) = &event else {
            return event;
        };
        let length = bytes.len() as u64;
        if length <= self.command.output_bytes_max {
            self.command.output_bytes_max -= length;
            return event;
        }
        if self.command.output_bytes_max == 0 {
            return self.exit(Exit::OutputExceeded);
        }
        let kept =
            bytes.slice(..usize::try_from(self.command.output_bytes_max).unwrap_or(usize::MAX));
        let cut = match &event {
            ProcessEvent::Stdout(_) => ProcessEvent::Stdout(kept),
            _ => ProcessEvent::Stderr(kept),
        };
        self.command.output_bytes_max = 0;
        self.process.acts.clear();
        self.process.exit = Exit::OutputExceeded;
        cut
    }

    fn exit(&mut self, exit: Exit) -> ProcessEvent {
        self.finish();
        ProcessEvent::Exited(exit)
    }

    fn finish(&mut self) {
        if !self.is_over {
            self.is_over = true;
            self.shared.lock().running -= 1;
        }
    }
}

#[allow(clippy::unwrap_used, reason = "a suite fails by panicking")]
/// What every place to work must do. Call it with an empty, writable workspace and a `sh` (on real places, any POSIX
/// shell; in memory, [`contract_shell`]).
pub mod contract {
    use super::{EntryKind, Process};
    use bytes::Bytes;
    use futures::StreamExt;
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::time::Duration;
    use titan_protocol::{
        Captured, Command, Exit, Metadata, ProcessEvent, SCRIPT, WalkOptions, Workbench,
        WorkbenchError,
    };

    /// Runs the whole suite. Needs a runtime with time; paused time will do for a place that lives in memory.
    ///
    /// # Panics
    /// When the place breaks the contract.
    pub async fn workbench_contract(workbench: &dyn Workbench) {
        paths_resolve(workbench).await;
        files_are_written_read_and_removed(workbench).await;
        what_was_captured_is_restored(workbench).await;
        walks_are_ordered_and_respect_ignore_files(workbench).await;
        programs_stream_output_and_end_with_a_status(workbench).await;
        programs_see_a_clean_environment_and_no_input(workbench).await;
        limits_end_programs(workbench).await;
        a_script_runs_as_it_comes(workbench).await;
    }

    const TALK: &str = "printf out; printf err >&2; exit 3";
    const INPUT: &str = "cat; printf end";
    const VARIABLES: &str = "printf %s \"$GREETING-$ANTHROPIC_API_KEY-$LD_PRELOAD-$TERM\"";
    const FLOOD: &str = "while :; do printf 0123456789; done";
    const EXACT: &str = "printf 0123456789";
    const HANG: &str = "printf begun; sleep 600";
    const WHERE: &str = "pwd -P";

    /// What the suite's scripts do, for [`super::MemoryWorkbench::program`] under the name `sh`.
    pub fn contract_shell(command: &Command) -> Process {
        let greeting = command.environment.get("GREETING");
        let greeting = greeting.map(String::as_str).unwrap_or_default();
        let directory = command.directory.clone();
        let directory = directory.unwrap_or_else(|| PathBuf::from(super::ROOT));
        match command.arguments.last().map(String::as_str) {
            Some(TALK) => Process::exits(3).stdout("out").stderr("err"),
            Some(INPUT) => Process::exits(0).stdout("end"),
            Some(VARIABLES) => Process::exits(0).stdout(format!("{greeting}---dumb")),
            Some(FLOOD) => Process::exits(0).stdout("0123456789".repeat(1_000)),
            Some(EXACT) => Process::exits(0).stdout("0123456789"),
            Some(HANG) => Process::exits(0).stdout("begun").hangs(),
            Some(WHERE) => Process::exits(0).stdout(format!("{}\n", directory.display())),
            other => Process::exits(127).stderr(format!("not in the contract: {other:?}")),
        }
    }

    async fn path(workbench: &dyn Workbench, text: &str) -> PathBuf {
        workbench.resolve(text).await.expect(text).path
    }

    async fn paths_resolve(workbench: &dyn Workbench) {
        let root = workbench.root().to_owned();
        workbench.write(&root.join("d/f"), b"x").await.unwrap();
        let cases = [
            ("missing", root.join("missing"), true),
            ("./d/f", root.join("d/f"), true),
            ("d/../d/new/leaf", root.join("d/new/leaf"), true),
            (".", root.clone(), true),
            ("missing/../..", root.parent().unwrap().to_owned(), false),
            ("/", PathBuf::from("/"), false),
            ("/../../titan-none", PathBuf::from("/titan-none"), false),
        ];
        for (text, expected, in_workspace) in cases {
            let resolved = workbench.resolve(text).await.expect(text);
            assert_eq!(
                (resolved.path, resolved.in_workspace),
                (expected, in_workspace),
                "{text}"
            );
        }
        let home = workbench.resolve("~/titan-none").await.unwrap().path;
        assert!(home.is_absolute() && home.ends_with("titan-none") && !home.starts_with(&root));
        for text in ["", "a\0b", "d/f/below-a-file"] {
            assert!(workbench.resolve(text).await.is_err(), "{text:?}");
        }
        let sibling = format!("{}-sibling/x", root.display());
        assert!(!workbench.resolve(&sibling).await.unwrap().in_workspace);
        workbench.remove(&root.join("d/f")).await.unwrap();
    }

    async fn files_are_written_read_and_removed(workbench: &dyn Workbench) {
        let file = path(workbench, "deep/er/file.txt").await;
        workbench.write(&file, b"first").await.unwrap();
        workbench.write(&file, b"0123456789").await.unwrap();
        for (offset, bytes_max, expected) in [
            (0, u64::MAX, "0123456789"),
            (3, 4, "3456"),
            (8, 100, "89"),
            (100, 100, ""),
            (0, 0, ""),
        ] {
            let bytes = workbench.read(&file, offset, bytes_max).await.unwrap();
            assert_eq!(bytes, expected, "from {offset}, at most {bytes_max}");
        }
        let file_metadata = Metadata {
            kind: EntryKind::File,
            bytes: 10,
        };
        assert_eq!(
            workbench.metadata(&file).await.unwrap(),
            Some(file_metadata)
        );
        let folder = path(workbench, "deep").await;
        let found = workbench.metadata(&folder).await.unwrap();
        assert_eq!(found.map(|found| found.kind), Some(EntryKind::Folder));
        assert!(workbench.read(&folder, 0, 10).await.is_err());
        assert!(workbench.write(&folder, b"x").await.is_err());
        assert!(workbench.write(&file.join("below"), b"x").await.is_err());
        assert!(workbench.remove(&folder).await.is_err());
        workbench.remove(&file).await.unwrap();
        assert_eq!(workbench.metadata(&file).await.unwrap(), None);
        for gone in [
            workbench.read(&file, 0, 1).await.map(drop),
            workbench.remove(&file).await,
        ] {
            assert!(matches!(gone, Err(WorkbenchError::NotFound { .. })));
        }
    }

    async fn surveyed(workbench: &dyn Workbench) -> Vec<(PathBuf, titan_protocol::Stamp)> {
        let survey = workbench.survey(1000).await.unwrap();
        assert!(survey.is_whole);
        let files = survey.files.into_iter();
        files.map(|file| (file.path, file.stamp)).collect()
    }

    async fn what_was_captured_is_restored(workbench: &dyn Workbench) {
        let capture = async |path: &Path| workbench.capture(path, 100).await.unwrap();
        let file = path(workbench, "kept/file").await;
        let link = workbench.root().join("kept/link");
        assert_eq!(capture(&file).await, Captured::Absent);
        workbench.write(&file, b"old").await.unwrap();
        let old = capture(&file).await;
        assert!(matches!(&old, Captured::File { content, mode: Some(_) } if content == "old"));
        let before = surveyed(workbench).await;
        assert!(before.iter().any(|(path, _)| *path == file));
        assert_eq!(surveyed(workbench).await, before);
        workbench.write(&file, b"new, and longer").await.unwrap();
        assert_ne!(surveyed(workbench).await, before);
        let target = Captured::Link {
            target: "file".into(),
        };
        workbench.restore(&link, &target).await.unwrap();
        assert_eq!(capture(&link).await, target);
        assert!(
            surveyed(workbench)
                .await
                .iter()
                .any(|(path, _)| *path == link)
        );
        // A link is replaced, not written through.
        workbench.restore(&link, &old).await.unwrap();
        assert_eq!(capture(&link).await, old);
        assert_ne!(capture(&file).await, old);
        for state in [&old, &Captured::Absent, &Captured::Absent, &old] {
            workbench.restore(&file, state).await.unwrap();
            assert_eq!(capture(&file).await, *state);
        }
        let folder = workbench.root().join("kept");
        assert!(matches!(capture(&folder).await, Captured::Unheld { .. }));
        assert!(workbench.restore(&folder, &old).await.is_err());
        let large = workbench.capture(&file, 2).await.unwrap();
        assert!(
            matches!(large, Captured::Unheld { bytes: 3, .. }),
            "{large:?}"
        );
        assert!(!workbench.survey(1).await.unwrap().is_whole);
        for path in [&file, &link] {
            workbench.restore(path, &Captured::Absent).await.unwrap();
        }
    }

    async fn walked(workbench: &dyn Workbench, folder: &str, options: WalkOptions) -> Vec<String> {
        let folder = path(workbench, folder).await;
        let root = workbench.root().to_owned();
        let entries: Vec<_> = workbench.walk(&folder, options).collect().await;
        let shown = |entry: Result<titan_protocol::Entry, _>| {
            let entry = entry.unwrap();
            let mark = if entry.kind == EntryKind::Folder {
                "/"
            } else {
                ""
            };
            let inner = entry.path.strip_prefix(&root).unwrap();
            format!("{}{mark}", inner.display())
        };
        entries.into_iter().map(shown).collect()
    }

    async fn walks_are_ordered_and_respect_ignore_files(workbench: &dyn Workbench) {
        let files = [
            ("w/b.txt", ""),
            ("w/a/z.rs", "12345"),
            ("w/a.txt", ""),
            ("w/a/k.log", ""),
            ("w/.hidden", ""),
            ("w/target/built", ""),
            (".gitignore", "*.log\ntarget/\n"),
        ];
        for (file, content) in files {
            let file = path(workbench, file).await;
            workbench.write(&file, content.as_bytes()).await.unwrap();
        }
        let all = WalkOptions {
            include_ignored: true,
            ..WalkOptions::default()
        };
        let shallow = WalkOptions {
            depth_max: Some(1),
            include_folders: true,
            ..WalkOptions::default()
        };
        let default = walked(workbench, "w", WalkOptions::default()).await;
        assert_eq!(default, ["w/a/z.rs", "w/a.txt", "w/b.txt"]);
        assert_eq!(
            walked(workbench, "w", all).await,
            [
                "w/.hidden",
                "w/a/k.log",
                "w/a/z.rs",
                "w/a.txt",
                "w/b.txt",
                "w/target/built"
            ]
        );
        let near = walked(workbench, "w", shallow).await;
        assert_eq!(near, ["w/a/", "w/a.txt", "w/b.txt"]);
        for bad in ["w/a.txt", "w/none"] {
            let bad = path(workbench, bad).await;
            let mut walk = workbench.walk(&bad, WalkOptions::default());
            assert!(matches!(walk.next().await, Some(Err(_))));
            assert!(walk.next().await.is_none());
        }
    }

    fn shell(script: &str) -> Command {
        Command {
            program: "sh".to_owned(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            directory: None,
            environment: BTreeMap::new(),
            wall_clock_max: Duration::from_secs(60),
            output_bytes_max: 1_000_000,
        }
    }

    struct Ran {
        stdout: String,
        stderr: String,
        exit: Exit,
    }

    async fn run(workbench: &dyn Workbench, command: Command) -> Ran {
        let events: Vec<_> = workbench.run(command).collect().await;
        let mut events: Vec<_> = events.into_iter().map(Result::unwrap).collect();
        let Some(ProcessEvent::Exited(exit)) = events.pop() else {
            panic!("the last event must say how the program ended");
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                ProcessEvent::Stdout(bytes) => stdout.push(bytes),
                ProcessEvent::Stderr(bytes) => stderr.push(bytes),
                ProcessEvent::Exited(_) => panic!("a program ends once"),
            }
        }
        let text = |pieces: Vec<Bytes>| String::from_utf8(pieces.concat()).unwrap();
        Ran {
            stdout: text(stdout),
            stderr: text(stderr),
            exit,
        }
    }

    async fn programs_stream_output_and_end_with_a_status(workbench: &dyn Workbench) {
        let ran = run(workbench, shell(TALK)).await;
        let parts = (ran.stdout.as_str(), ran.stderr.as_str(), ran.exit);
        assert_eq!(parts, ("out", "err", Exit::Status(3)));
        assert!(
            workbench
                .which("sh")
                .await
                .is_some_and(|path| path.is_absolute())
        );
        assert_eq!(workbench.which("titan-no-such-program").await, None);
        let missing = Command {
            program: "titan-no-such-program".to_owned(),
            ..shell("")
        };
        let events: Vec<_> = workbench.run(missing).collect().await;
        assert!(matches!(events[..], [Err(WorkbenchError::NotFound { .. })]));
        let there = Command {
            directory: Some(workbench.root().join("w")),
            ..shell(WHERE)
        };
        let expected = format!("{}\n", workbench.root().join("w").display());
        assert_eq!(run(workbench, there).await.stdout, expected);
        let here = run(workbench, shell(WHERE)).await.stdout;
        assert_eq!(here, format!("{}\n", workbench.root().display()));
    }

    async fn programs_see_a_clean_environment_and_no_input(workbench: &dyn Workbench) {
        assert_eq!(run(workbench, shell(INPUT)).await.stdout, "end");
        let greeting = Command {
            environment: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
            ..shell(VARIABLES)
        };
        assert_eq!(run(workbench, greeting).await.stdout, "hello---dumb");
    }

    /// Each piece runs before the next is there, none of it is input for what it starts, and its end ends the shell.
    async fn a_script_runs_as_it_comes(workbench: &dyn Workbench) {
        let (script, pieces) = tokio::sync::mpsc::unbounded_channel();
        let pieces = futures::stream::unfold(pieces, |mut pieces| async move {
            Some((pieces.recv().await?, pieces))
        });
        let command = Command {
            arguments: vec![SCRIPT.to_owned()],
            ..shell("")
        };
        let mut events = workbench.start(command, Some(pieces.boxed()));
        let mut said = String::new();
        for (piece, expected) in [(INPUT, "end"), (EXACT, "end0123456789")] {
            script.send(Bytes::from(format!("{piece}\n"))).unwrap();
            while said.len() < expected.len() {
                let Some(Ok(ProcessEvent::Stdout(bytes))) = events.next().await else {
                    panic!("the shell ended early: {said}");
                };
                said.push_str(std::str::from_utf8(&bytes).unwrap());
            }
            assert_eq!(said, expected);
        }
        drop(script);
        let last = events.next().await.unwrap().unwrap();
        assert_eq!(last, ProcessEvent::Exited(Exit::Status(0)));
    }

    async fn limits_end_programs(workbench: &dyn Workbench) {
        let flood = Command {
            output_bytes_max: 105,
            ..shell(FLOOD)
        };
        let ran = run(workbench, flood).await;
        assert_eq!((ran.stdout.len(), ran.exit), (105, Exit::OutputExceeded));
        let exact = Command {
            output_bytes_max: 10,
            ..shell(EXACT)
        };
        let ran = run(workbench, exact).await;
        assert_eq!((ran.stdout.len(), ran.exit), (10, Exit::Status(0)));
        let hang = Command {
            wall_clock_max: Duration::from_millis(300),
            ..shell(HANG)
        };
        let ran = run(workbench, hang).await;
        let parts = (ran.stdout.as_str(), ran.exit);
        assert_eq!(parts, ("begun", Exit::TimedOut));
    }
}

pub use contract::{contract_shell, workbench_contract};

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn command(program: &str) -> Command {
        Command {
            program: program.to_owned(),
            arguments: Vec::new(),
            directory: None,
            environment: BTreeMap::new(),
            wall_clock_max: Duration::from_secs(10),
            output_bytes_max: 1_000,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_place_in_memory_keeps_the_contract() {
        let workbench = MemoryWorkbench::new().program("sh", contract_shell);
        workbench_contract(&workbench).await;
        assert_eq!(workbench.running(), 0);
    }

    #[tokio::test]
    async fn a_link_that_leads_out_is_not_in_the_workspace() {
        let workbench = MemoryWorkbench::new()
            .link("out", "../etc")
            .link("loop", "loop");
        let resolved = workbench.resolve("out/passwd").await.unwrap();
        assert_eq!(resolved.path, Path::new("/etc/passwd"));
        assert!(!resolved.in_workspace);
        assert!(workbench.resolve("loop").await.is_err());
    }

    #[tokio::test]
    async fn a_gate_holds_a_process_and_dropping_it_ends_it() {
        let gate = Gate::new();
        let script = Process::exits(0).stdout("one").hold(&gate).stdout("two");
        let workbench = MemoryWorkbench::new().program("work", move |_| script.clone());
        let mut events = workbench.run(command("work"));
        let first = events.next().await.unwrap().unwrap();
        assert_eq!(first, ProcessEvent::Stdout("one".into()));
        assert!(futures::poll!(events.next()).is_pending());
        assert_eq!(workbench.running(), 1);
        drop(events);
        assert_eq!(workbench.running(), 0);
        assert_eq!(workbench.commands(), [command("work")]);
    }

    #[tokio::test]
    async fn a_shell_answers_by_its_table() {
        let workbench = MemoryWorkbench::new().shell([("make", Process::exits(2).stderr("no"))]);
        let with = |script: &str| Command {
            arguments: vec!["-c".into(), script.into()],
            ..command("sh")
        };
        let made: Vec<_> = workbench
            .run(with("make"))
            .map(Result::unwrap)
            .collect()
            .await;
        let expected = [
            ProcessEvent::Stderr("no".into()),
            ProcessEvent::Exited(Exit::Status(2)),
        ];
        assert_eq!(made, expected);
        let other: Vec<_> = workbench.run(with("other")).collect().await;
        assert!(matches!(
            other.last(),
            Some(Ok(ProcessEvent::Exited(Exit::Status(127))))
        ));
    }
}
