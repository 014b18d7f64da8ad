//! The program `git`, run so that nothing a repository says is run with it.
//!
//! A repository's settings may name programs: for pagers, hooks, signatures, other diffs, text of binary files, watching
//! files, filters, and for fetching what is missing. Each is switched off here, and only commands are used that need none.
//! Files of the work tree are never given to git: reading one would run its filter.

use super::message::clean_line;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use titan_protocol::{
    Command, EntryKind, Exit, HistoryError, ProcessEvent, Workbench, WorkbenchError,
};

/// What git says when something is wrong, in bytes.
const COMPLAINT_BYTES_MAX: usize = 8 << 10;

/// Set by `env`, for a caller of a workbench may set no variable of git's.
const VARIABLES: [&str; 7] = [
    "LC_ALL=C",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_ATTR_NOSYSTEM=1",
    "GIT_OPTIONAL_LOCKS=0",
    // Objects that a partial clone lacks stay away, also where git is too old for the first.
    "GIT_NO_LAZY_FETCH=1",
    "GIT_ALLOW_PROTOCOL=none",
    "GIT_PAGER=cat",
];

/// Before the command. What is said here goes before what a repository says.
const OPTIONS: [&str; 18] = [
    "--no-pager",
    "--literal-pathspecs",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "log.showSignature=false",
    "-c",
    "log.showRoot=true",
    "-c",
    "log.follow=false",
    "-c",
    "i18n.logOutputEncoding=UTF-8",
    "-c",
    "diff.ignoreSubmodules=all",
    "-c",
    "safe.bareRepository=explicit",
];

/// A file as git is asked about it.
pub(super) struct Git<'a> {
    workbench: &'a dyn Workbench,
    env: String,
    git: String,
    /// The folder that git runs in: the closest one of the file's that there is.
    directory: PathBuf,
    /// The file, seen from there.
    pub(super) name: String,
}

/// How long git may take, and how much it may say.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) wall_clock_max: Duration,
    pub(super) output_bytes_max: u64,
}

/// What git said.
pub(super) struct Said {
    pub(super) output: Vec<u8>,
    /// What was said on standard error, cleaned, in one line.
    pub(super) complaint: String,
    pub(super) exit: Exit,
}

impl Said {
    /// Whether it was broken off by a bound, so that its output is a beginning.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self.exit, Exit::TimedOut | Exit::OutputExceeded)
    }

    pub(super) fn is_well(&self) -> bool {
        self.exit == Exit::Status(0)
    }
}

impl<'a> Git<'a> {
    /// # Errors
    /// `NoGit`, or when the file's name can't be given to a program.
    pub(super) async fn of(
        workbench: &'a dyn Workbench,
        path: &Path,
    ) -> Result<Self, HistoryError> {
        let found = |program: &'static str| async move {
            let path = workbench.which(program).await?;
            path.to_str().map(str::to_owned)
        };
        let (Some(git), Some(env)) = (found("git").await, found("env").await) else {
            return Err(HistoryError::NoGit);
        };
        let directory = closest_folder(workbench, path).await?;
        let name = path
            .strip_prefix(&directory)
            .ok()
            .and_then(Path::to_str)
            .filter(|name| !name.is_empty());
        let Some(name) = name.map(str::to_owned) else {
            let path = clean_line(&path.to_string_lossy());
            return Err(HistoryError::Failed(format!(
                "{path} can't be given to git: it is a folder, or its name is not UTF-8"
            )));
        };
        Ok(Self {
            workbench,
            env,
            git,
            directory,
            name,
        })
    }

    /// Runs a command of git's. Dropping the future ends it.
    pub(super) async fn run(&self, arguments: &[&str], bound: Bound) -> Result<Said, HistoryError> {
        let program = [self.git.as_str()];
        let words = VARIABLES
            .iter()
            .chain(&program)
            .chain(&OPTIONS)
            .chain(arguments);
        let command = Command {
            program: self.env.clone(),
            arguments: words.map(|word| (*word).to_owned()).collect(),
            directory: Some(self.directory.clone()),
            environment: BTreeMap::new(),
            wall_clock_max: bound.wall_clock_max,
            output_bytes_max: bound.output_bytes_max,
        };
        let mut events = self.workbench.run(command);
        let mut output = Vec::new();
        let mut complaint = Vec::new();
        let mut exit = None;
        while let Some(event) = events.next().await {
            match event.map_err(failed)? {
                ProcessEvent::Stdout(bytes) => output.extend_from_slice(&bytes),
                ProcessEvent::Stderr(bytes) => {
                    let room = COMPLAINT_BYTES_MAX.saturating_sub(complaint.len());
                    complaint.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
                ProcessEvent::Exited(ended) => exit = Some(ended),
            }
        }
        let exit = exit.ok_or_else(|| HistoryError::Failed("git ended without a word".into()))?;
        Ok(Said {
            output,
            complaint: clean_line(String::from_utf8_lossy(&complaint).trim()),
            exit,
        })
    }
}

pub(super) fn failed(error: WorkbenchError) -> HistoryError {
    HistoryError::Failed(clean_line(&error.to_string()))
}

/// The closest folder above a path that there is; a file that was deleted may have lost its own.
async fn closest_folder(workbench: &dyn Workbench, path: &Path) -> Result<PathBuf, HistoryError> {
    for folder in path.ancestors().skip(1) {
        let found = workbench.metadata(folder).await.map_err(failed)?;
        if found.is_some_and(|found| found.kind == EntryKind::Folder) {
            return Ok(folder.to_owned());
        }
    }
    Err(HistoryError::NoRepository {
        path: clean_line(&path.to_string_lossy()),
    })
}
