//! The two ports to the world: a [`Workbench`] for files and processes, an [`Egress`] for the network.

use crate::{BoxStream, Effect};
use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// What a place is whose programs reach nothing that is not named: for compilers, which are fed what a stranger wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// What they may read and run besides the place itself. What is not there is left out.
    pub reads: Vec<PathBuf>,
    /// Addresses that a process may take, in bytes.
    pub address_bytes_max: u64,
    /// Time on a processor that a process may take, in seconds.
    pub processor_seconds_max: u64,
}

/// A place with files and processes: the host, an overlay, a container.
///
/// Paths given as text are the model's: relative ones start at the root, `~` is the person's home, and links are
/// resolved before anything is decided about them.
#[async_trait]
pub trait Workbench: Send + Sync {
    /// The workspace, absolute, links resolved.
    fn root(&self) -> &Path;

    /// Where a path leads. The file itself need not exist; its parents' links are resolved.
    ///
    /// # Errors
    /// When a parent is not a folder, or the path can't be spelt.
    async fn resolve(&self, path: &str) -> Result<Resolved, WorkbenchError>;

    /// Where a program would be found on this place's `PATH`, or by its path.
    async fn which(&self, program: &str) -> Option<PathBuf>;

    /// The value that a variable has for all programs here. Programs get harmless ones only, so none is a secret.
    fn variable(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// What is at a resolved path; `None` when there is nothing.
    ///
    /// # Errors
    /// When it can't be looked at.
    async fn metadata(&self, path: &Path) -> Result<Option<Metadata>, WorkbenchError>;

    /// A file's bytes from `offset` on, at most `bytes_max`.
    ///
    /// # Errors
    /// When there is no such file, or it can't be read.
    async fn read(&self, path: &Path, offset: u64, bytes_max: u64)
    -> Result<Bytes, WorkbenchError>;

    /// Replaces a file's content as a whole: a reader sees the old or the new, never a part. Makes missing parents.
    ///
    /// # Errors
    /// When it can't be written; the old content then stands.
    async fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), WorkbenchError>;

    /// Deletes a file.
    ///
    /// # Errors
    /// When it is a folder or can't be deleted.
    async fn remove(&self, path: &Path) -> Result<(), WorkbenchError>;

    /// What is at a resolved path, whole, so that it can be put back. A link is not followed; content above
    /// `bytes_max` is not taken.
    ///
    /// # Errors
    /// When it can't be looked at.
    async fn capture(&self, path: &Path, bytes_max: u64) -> Result<Captured, WorkbenchError>;

    /// Makes a resolved path what it was when it was captured, whatever file or link is there now. Makes missing
    /// parents. Each path has its old state or the new, never a part.
    ///
    /// # Errors
    /// When a folder that is not empty is in the way, or it can't be written; what is there then stands.
    async fn restore(&self, path: &Path, state: &Captured) -> Result<(), WorkbenchError>;

    /// All files and links of the workspace that no `.gitignore` or its kin names, hidden ones too, but for git's own
    /// records, in a stable order and without reading them. At most `files_max`; then it is not whole.
    ///
    /// # Errors
    /// When the workspace can't be read.
    async fn survey(&self, files_max: usize) -> Result<Survey, WorkbenchError>;

    /// The files below a folder in a stable order, as `.gitignore` and its kin say unless `options` ask for all.
    /// Links are not followed.
    fn walk(&self, folder: &Path, options: WalkOptions)
    -> BoxStream<Result<Entry, WorkbenchError>>;

    /// Starts a program with the place's clean environment and gives its output as it comes. Dropping the stream
    /// ends the program and all that it started. Standard input is empty.
    ///
    /// With a `script`, the program is a shell, and the argument that is [`SCRIPT`] becomes the path of a file where it
    /// reads it: each piece is there when the stream gave it, and the end when the stream ended. What the shell starts
    /// does not read from it. A shell that is gone leaves the rest of it unread.
    fn start(
        &self,
        command: Command,
        script: Option<BoxStream<Bytes>>,
    ) -> BoxStream<Result<ProcessEvent, WorkbenchError>>;

    /// Starts a program that has no script.
    fn run(&self, command: Command) -> BoxStream<Result<ProcessEvent, WorkbenchError>> {
        self.start(command, None)
    }

    /// The same place for one step that policy allowed: its programs may do what these effects say and no more.
    /// `None` where the place makes no difference.
    fn for_step(&self, effects: &[Effect]) -> Option<Arc<dyn Workbench>> {
        let _ = effects;
        None
    }

    /// Whether a program that was started here may do these effects, as far as the place makes a difference.
    fn admits(&self, effects: &[Effect]) -> bool {
        let _ = effects;
        true
    }
}

/// Stands among the arguments of a shell for the path of its script. See [`Workbench::start`].
pub const SCRIPT: &str = "<script>";

/// A path after its links were resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Absolute, no links, no `..`.
    pub path: PathBuf,
    /// Whether it lies in the workspace, and in no place of keys and tokens there.
    pub in_workspace: bool,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Folder, file or something else.
    pub kind: EntryKind,
    /// Size in bytes.
    pub bytes: u64,
}

/// What kind of thing is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, device, socket or pipe.
    Other,
}

/// What was at a path, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Captured {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// Its content.
        content: Bytes,
        /// Its permission bits; `None` takes those that a new file gets.
        mode: Option<u32>,
    },
    /// A symbolic link.
    Link {
        /// Where it leads, as it is spelt.
        target: PathBuf,
    },
    /// What can't be held: a folder, a device, too much.
    Unheld {
        /// Size in bytes.
        bytes: u64,
        /// What it is, as in "it is …".
        why: String,
    },
}

/// The files of a workspace as they were at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Files and links, by path.
    pub files: Vec<Surveyed>,
    /// Whether these are all.
    pub is_whole: bool,
}

/// A file or link of a survey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Absolute.
    pub path: PathBuf,
    /// What tells whether it is still the same.
    pub stamp: Stamp,
}

/// What tells two states of a file apart without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Size in bytes.
    pub bytes: u64,
    /// The file's number in its file system.
    pub inode: u64,
    /// Its kind and permission bits.
    pub mode: u32,
    /// When its content last changed, in nanoseconds since the Unix epoch.
    pub modified_ns: i64,
    /// When anything of it last changed, in nanoseconds since the Unix epoch. No program can set it.
    pub changed_ns: i64,
}

/// How to walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkOptions {
    /// Folders below the first; 1 gives its direct children, `None` all.
    pub depth_max: Option<usize>,
    /// Also what is hidden or ignored.
    pub include_ignored: bool,
    /// Also folders, not only files.
    pub include_folders: bool,
}

/// Something found on a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Absolute.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Size in bytes.
    pub bytes: u64,
}

/// A program to run. No shell is involved unless the program is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program's path or name.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where it runs; the workspace when `None`.
    pub directory: Option<PathBuf>,
    /// Variables besides the place's own clean set.
    pub environment: BTreeMap<String, String>,
    /// It is ended after this long.
    pub wall_clock_max: Duration,
    /// It is ended when it has put out this much.
    pub output_bytes_max: u64,
}

/// What a running program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// Bytes on standard output.
    Stdout(Bytes),
    /// Bytes on standard error.
    Stderr(Bytes),
    /// It ended. Always the last event.
    Exited(Exit),
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It ran too long and was ended.
    TimedOut,
    /// It put out too much and was ended.
    OutputExceeded,
}

/// Why a workbench could not do it. The text is for the model and the person alike.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WorkbenchError {
    /// There is no such file, folder or program.
    #[error("{path} does not exist")]
    NotFound {
        /// What was looked for.
        path: String,
    },
    /// The place does not allow it.
    #[error("{0}")]
    Denied(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

/// The one way to the network. Guards, credentials, the offline rule and the audit hold here.
#[async_trait]
pub trait Egress: Send + Sync {
    /// Sends a request and returns when the response's head is in. The body streams; dropping it closes the
    /// connection.
    ///
    /// # Errors
    /// See [`EgressError`]. An HTTP error status is a response, not an error.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, EgressError>;
}

/// A request that leaves the machine.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// `GET`, `POST`, `HEAD`.
    pub method: HttpMethod,
    /// Where to. `http` only to loopback, unless the host is configured.
    pub url: Url,
    /// Headers, secrets left out.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// A secret that the egress adds, for the exact host it was stored for.
    pub credential: Option<Credential>,
    /// Who sends, which decides which hosts are allowed.
    pub purpose: EgressPurpose,
    /// Redirects that are followed, each checked like the first address.
    pub redirects_max: u8,
    /// The longest wait for the head, and between two pieces of the body.
    pub idle_max: Duration,
}

/// HTTP methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    /// Read.
    Get,
    /// Read the head only.
    Head,
    /// Send.
    Post,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressPurpose {
    /// A model provider that the person configured: its host may be on loopback or a private network.
    Provider,
    /// A tool, with an address that a model chose: public addresses only.
    Tool,
    /// The download of a model.
    Download,
}

/// How a secret goes into a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The secret's name.
    pub secret: String,
    /// The header that carries it.
    pub header: String,
    /// What stands before it: `Bearer `, or nothing.
    pub prefix: String,
}

/// The answer to a request.
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The address after redirects.
    pub url: Url,
    /// The body, decompressed.
    pub body: BoxStream<Result<Bytes, EgressError>>,
}

impl HttpResponse {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Why nothing came back.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EgressError {
    /// A rule forbids it; the text says which.
    #[error("{0}")]
    Denied(String),
    /// No connection: name not found, refused, TLS, reset before the head.
    #[error("{0}")]
    Unreachable(String),
    /// Nothing came for too long.
    #[error("nothing came from {host} for {} s", .after.as_secs())]
    TimedOut {
        /// The host.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke in the body.
    #[error("{0}")]
    Broken(String),
}

/// Where secrets are looked up, by name.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// The secret and the host that it may go to; `None` when there is none of this name.
    async fn reveal(&self, name: &str) -> Option<Secret>;
}

/// A secret with the one host that it is for.
#[derive(Clone)]
pub struct Secret {
    /// The secret itself. Not in any `Debug` output.
    pub value: SecretString,
    /// The host that it may be sent to; `None` for any, which only a person's own configuration can say.
    pub host: Option<String>,
}
