//! Programs: started in one place, followed by one task, ended as a whole tree.
//!
//! The task that follows a program owns it. Dropping the output stream tells the task; the task ends the tree and
//! reaps the program, so no thread waits and no zombie stays.

use super::Shared;
use super::confine::{Entry, Hold, Leave};
use super::guard::{Guard, Guarded};
use super::tree::{Census, Tree};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use titan_protocol::{BoxStream, Command, Exit, ProcessEvent, SCRIPT, WorkbenchError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// Pieces of output that a program runs ahead of its reader; the program then waits.
const OUTPUT_AHEAD_MAX: usize = 16;

/// The largest piece of output.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// How long a program that is to end may tidy up (remove its lock files) before it is killed.
const TIDY_MAX: Duration = Duration::from_millis(40);

/// How long processes that a program left behind may go on writing after it ended.
const AFTERMATH_MAX: Duration = Duration::from_millis(100);

/// How long a killed program may take to be gone before the runtime is left to reap it.
const REAP_MAX: Duration = Duration::from_secs(2);

/// How long an engine that closes waits for its programs to be gone and for what they left to be looked at.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// The variable that marks all processes of one run, however far they went from the program that started them.
pub(super) const MARKER: &str = "TITAN_PROCESS";

/// The variable that says where `cargo` builds.
const TARGET: &str = "CARGO_TARGET_DIR";

type Event = Result<ProcessEvent, WorkbenchError>;
type Events = mpsc::Sender<Event>;

/// A script that is still being written.
type Script = BoxStream<Bytes>;

/// Starts a program and gives what it does. See [`titan_protocol::Workbench::start`].
pub(super) fn run(
    command: Command,
    script: Option<Script>,
    shared: Arc<Shared>,
    leave: Arc<Leave>,
) -> BoxStream<Event> {
    let (events, reader) = mpsc::channel(OUTPUT_AHEAD_MAX);
    let counted = Counted::begin();
    let dropped = CancellationToken::new();
    let on_drop = dropped.clone().drop_guard();
    tokio::spawn(async move {
        let _counted = counted;
        if let Err(error) = conduct(command, script, shared, leave, &events, dropped).await {
            // A reader that is gone needs no error.
            let _ = events.send(Err(error)).await;
        }
    });
    let with_guard = (ReceiverStream::new(reader), on_drop);
    futures::stream::unfold(with_guard, |(mut reader, on_drop)| async move {
        let event = reader.next().await?;
        Some((event, (reader, on_drop)))
    })
    .boxed()
}

/// Programs of this process that are followed.
static FOLLOWED: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Stands for one of them while it lives.
struct Counted;

impl Counted {
    fn begin() -> Self {
        FOLLOWED.send_modify(|n| *n += 1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        FOLLOWED.send_modify(|n| *n -= 1);
    }
}

/// See [`super::HostWorkbench::programs_ended`].
pub(super) async fn all_ended() -> bool {
    let mut followed = FOLLOWED.subscribe();
    let none = followed.wait_for(|n| *n == 0);
    tokio::time::timeout(CLOSE_MAX, none).await.is_ok()
}

/// A program from its start to its end.
async fn conduct(
    command: Command,
    script: Option<Script>,
    shared: Arc<Shared>,
    leave: Arc<Leave>,
    events: &Events,
    dropped: CancellationToken,
) -> Result<(), WorkbenchError> {
    let deadline = Instant::now() + command.wall_clock_max;
    let output_bytes_max = command.output_bytes_max;
    let marker = Tree::fresh_marker();
    let (feed, unread) = match script {
        Some(script) => {
            let (feed, unread) = Feed::new(script, &command)?;
            (Some(feed), Some(unread))
        }
        None => (None, None),
    };
    let start = {
        let marker = marker.clone();
        move || Launch::prepare(command, unread, &shared, &marker)?.launch(&shared, &leave)
    };
    let Started { child, hold, guard } = super::blocking(start).await?;
    let mut running = Running::new(child, hold, marker);
    let followed = {
        let following = running.follow(events, output_bytes_max, deadline, &dropped);
        let feeding = async {
            if let Some(feed) = feed {
                feed.write().await;
            }
            std::future::pending().await
        };
        tokio::select! {
            followed = following => followed,
            () = feeding => Ok(None),
        }
    };
    running.finish().await;
    tell_what_was_put_back(guard.fall_due(), events).await;
    running.hold.let_go();
    if let Some(exit) = followed? {
        // A reader that is gone needs no exit.
        let _ = events.send(Ok(ProcessEvent::Exited(exit))).await;
    }
    Ok(())
}

/// Looks at the guarded files now that all processes have ended. What was done about them is part of the output.
async fn tell_what_was_put_back(guard: Guard, events: &Events) {
    let looked = super::blocking(move || Ok(guard.after())).await;
    let told = looked.unwrap_or_else(|error| vec![error.to_string()]);
    for line in told {
        tracing::warn!("{line}");
        let piece = Bytes::from(format!("[titanclaw: {line}]\n"));
        // A reader that is gone needs no report; it stands in the log.
        let _ = events.send(Ok(ProcessEvent::Stderr(piece))).await;
    }
}

/// A shell's script, on its way to the shell.
struct Feed {
    script: Script,
    pipe: pipe::Sender,
    /// What comes before it: the shell has its own way to the script by then, and what it starts gets none.
    opening: Option<String>,
}

impl Feed {
    /// The way of a script, and the end that the shell reads.
    fn new(script: Script, command: &Command) -> Result<(Self, OwnedFd), WorkbenchError> {
        let no_pipe = |error: std::io::Error| {
            WorkbenchError::Failed(format!("the script can't be handed over: {error}"))
        };
        let (pipe, unread) = pipe::pipe().map_err(no_pipe)?;
        let unread = unread.into_blocking_fd().map_err(no_pipe)?;
        // Other shells know no descriptors of more than one digit here.
        let is_bash = Path::new(&command.program).ends_with("bash");
        let opening = is_bash.then(|| format!("exec {}<&-; ", unread.as_raw_fd()));
        let feed = Self {
            script,
            pipe,
            opening,
        };
        Ok((feed, unread))
    }

    /// Writes the script as it comes, until its end or until nobody reads it any more.
    async fn write(mut self) {
        while let Some(piece) = self.script.next().await {
            if piece.is_empty() {
                continue;
            }
            let piece = match self.opening.take() {
                Some(opening) => [opening.as_bytes(), &piece].concat().into(),
                None => piece,
            };
            if let Err(error) = self.pipe.write_all(&piece).await {
                tracing::debug!(%error, "a shell ended before its script");
                return;
            }
        }
    }
}

/// All that is needed to start a program, checked.
struct Launch {
    program: PathBuf,
    name: String,
    arguments: Vec<String>,
    directory: PathBuf,
    environment: BTreeMap<String, String>,
    script: Option<OwnedFd>,
}

impl Launch {
    fn prepare(
        command: Command,
        script: Option<OwnedFd>,
        shared: &Shared,
        marker: &str,
    ) -> Result<Self, WorkbenchError> {
        let Shared {
            places,
            environment,
            ..
        } = shared;
        let directory = command.directory.unwrap_or_else(|| places.root.clone());
        let directory = super::path::follow(&directory)?;
        places.check(&directory)?;
        if !directory.is_dir() {
            return Err(super::file::not_found(&directory));
        }
        let program = environment
            .which(&command.program, &directory)
            .ok_or_else(|| WorkbenchError::NotFound {
                path: command.program.clone(),
            })?;
        let mut environment = environment.with(&command.environment)?;
        environment.insert(MARKER.to_owned(), marker.to_owned());
        environment.insert("PWD".to_owned(), directory.display().to_string());
        let mut arguments = command.arguments;
        if let Some(script) = &script {
            let path = format!("/dev/fd/{}", script.as_raw_fd());
            let places = arguments.iter_mut().filter(|argument| *argument == SCRIPT);
            places.for_each(|argument| argument.clone_from(&path));
        }
        Ok(Self {
            program,
            name: command.program,
            arguments,
            directory,
            environment,
            script,
        })
    }

    /// Starts the program. All programs start here, and none starts without its confinement.
    fn launch(mut self, shared: &Shared, leave: &Leave) -> Result<Started, WorkbenchError> {
        let root = &shared.places.root;
        let below = shared.below().iter().filter(|path| !leave.removes(path));
        let below: Vec<PathBuf> = below.cloned().collect();
        let guarded = Guarded::new(root, &below, &leave.writes);
        let ready = shared
            .bounds
            .fence(&shared.places, leave, &self.directory, &guarded.closed)?;
        let guard = Guard::before(root, guarded, ready.has_mounts)
            .map_err(|error| super::file::failed(root, &format!("can't be guarded: {error}")))?;
        let scratch = ready.scratch.display().to_string();
        self.environment.insert("TMPDIR".to_owned(), scratch);
        let target = self
            .environment
            .get(TARGET)
            .map(|target| self.directory.join(target));
        if target.is_some_and(|target| !target.starts_with(root) && !leave.covers(&target)) {
            // Where it can't be written, `cargo` builds in the workspace.
            self.environment.remove(TARGET);
        }
        let mut command = self.command();
        let entry = Entry::prepare(&mut command, ready)?;
        match tokio::process::Command::from(command).spawn() {
            Ok(child) => Ok(Started {
                child,
                hold: entry.hold(),
                guard,
            }),
            Err(error) => Err(entry
                .refusal(&error)
                .unwrap_or_else(|| explain_start(&self.program, &error))),
        }
    }

    fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command
            .arg0(&self.name)
            .args(&self.arguments)
            .current_dir(&self.directory)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(script) = &self.script {
            let script = script.as_raw_fd();
            let keep = move || {
                // SAFETY: a system call on a number; `self` keeps it open until the program has started.
                match unsafe { libc::fcntl(script, libc::F_SETFD, 0) } {
                    -1 => Err(std::io::Error::last_os_error()),
                    _ => Ok(()),
                }
            };
            // SAFETY: it makes one system call and takes no memory and no lock.
            unsafe { command.pre_exec(keep) };
        }
        command
    }
}

/// A program that runs.
struct Started {
    child: Child,
    hold: Hold,
    guard: Guard,
}

fn explain_start(program: &Path, error: &std::io::Error) -> WorkbenchError {
    let shown = program.display();
    match error.kind() {
        ErrorKind::NotFound => WorkbenchError::Failed(format!(
            "{shown} exists, but the interpreter it asks for does not"
        )),
        ErrorKind::PermissionDenied => {
            WorkbenchError::Denied(format!("{shown} may not be run by this account"))
        }
        ErrorKind::ArgumentListTooLong => WorkbenchError::Failed(format!(
            "the arguments for {shown} are too long for the system; put them in a file"
        )),
        _ => WorkbenchError::Failed(format!("{shown} can't be started: {error}")),
    }
}

struct Running {
    child: Child,
    tree: Tree,
    hold: Hold,
}

/// Why following a program came to an end.
enum Ending {
    Exited(ExitStatus),
    Limit(Exit),
    Dropped,
    Lost(std::io::Error),
}

impl Running {
    fn new(child: Child, hold: Hold, marker: String) -> Self {
        let tree = Tree::of(child.id(), marker, hold.is_contained);
        Self { child, tree, hold }
    }

    /// Makes sure that nothing of the tree is left.
    async fn finish(&mut self) {
        self.hold.end();
        self.tree.end(Census::default()).await;
    }

    /// Passes output on until the program ends or has to. `None` when the reader is gone. When this returns, the
    /// program itself is reaped.
    async fn follow(
        &mut self,
        events: &Events,
        output_bytes_max: u64,
        deadline: Instant,
        dropped: &CancellationToken,
    ) -> Result<Option<Exit>, WorkbenchError> {
        let output = Output {
            stdout: self.child.stdout.take(),
            stderr: self.child.stderr.take(),
            bytes_left: output_bytes_max,
        };
        let ending = tokio::select! {
            biased;
            () = dropped.cancelled() => Ending::Dropped,
            () = tokio::time::sleep_until(deadline) => Ending::Limit(Exit::TimedOut),
            ending = attend(&mut self.child, &self.tree, output, events) => ending,
        };
        let exit = match ending {
            Ending::Exited(status) => return Ok(Some(exit_of(status))),
            Ending::Limit(exit) => Ok(Some(exit)),
            Ending::Dropped => Ok(None),
            Ending::Lost(error) => Err(WorkbenchError::Failed(format!(
                "how the program ended can't be learnt: {error}"
            ))),
        };
        self.end().await;
        exit
    }

    /// Ends the whole tree: a moment to tidy up for those in the group, then death for everybody.
    async fn end(&mut self) {
        let known = self.tree.census().await;
        if self.child.id().is_some() {
            self.tree.ask_to_end();
            // Whether it goes by itself or not, what is left is killed next.
            let _ = tokio::time::timeout(TIDY_MAX, self.child.wait()).await;
        }
        self.hold.end();
        self.tree.end(known).await;
        match tokio::time::timeout(REAP_MAX, self.child.wait()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a killed program can't be reaped"),
            Err(_) => tracing::warn!("a killed program is not gone yet"),
        }
    }
}

/// Follows a program to its own end, or to the end of its output allowance.
async fn attend(child: &mut Child, tree: &Tree, output: Output, events: &Events) -> Ending {
    let mut passing = std::pin::pin!(output.pass_on(events));
    let mut is_passed = false;
    let status = loop {
        tokio::select! {
            passed = &mut passing, if !is_passed => match passed {
                Passed::All => is_passed = true,
                Passed::Exceeded => return Ending::Limit(Exit::OutputExceeded),
                Passed::ReaderGone => return Ending::Dropped,
            },
            status = child.wait() => break status,
        }
    };
    let status = match status {
        Ok(status) if is_passed => return Ending::Exited(status),
        Ok(status) => status,
        Err(error) => return Ending::Lost(error),
    };
    // Output may still be in the pipes, or come from processes that were left behind. Those end soon, and with them
    // the output.
    let aftermath = async {
        tokio::time::sleep(AFTERMATH_MAX).await;
        tree.end(Census::default()).await;
        std::future::pending::<()>().await;
    };
    let passed = tokio::select! {
        passed = passing => passed,
        () = aftermath => Passed::All,
    };
    match passed {
        Passed::All => Ending::Exited(status),
        Passed::Exceeded => Ending::Limit(Exit::OutputExceeded),
        Passed::ReaderGone => Ending::Dropped,
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Status(code),
        (None, Some(signal)) => Exit::Signal(signal),
        // Neither can't be for a program that ended.
        (None, None) => Exit::Status(-1),
    }
}

struct Output {
    stdout: Option<tokio::process::ChildStdout>,
    stderr: Option<tokio::process::ChildStderr>,
    bytes_left: u64,
}

enum Passed {
    All,
    Exceeded,
    ReaderGone,
}

impl Output {
    /// Passes both streams on as they come, until both are closed.
    async fn pass_on(mut self, events: &Events) -> Passed {
        let (mut out, mut err) = (BytesMut::new(), BytesMut::new());
        while self.stdout.is_some() || self.stderr.is_some() {
            let event = tokio::select! {
                piece = read_piece(&mut self.stdout, &mut out) => piece.map(ProcessEvent::Stdout),
                piece = read_piece(&mut self.stderr, &mut err) => piece.map(ProcessEvent::Stderr),
            };
            let Some(event) = event else {
                continue;
            };
            let (event, is_exceeded) = self.bounded(event);
            if let Some(event) = event
                && events.send(Ok(event)).await.is_err()
            {
                return Passed::ReaderGone;
            }
            if is_exceeded {
                return Passed::Exceeded;
            }
        }
        Passed::All
    }

    /// The part of the output that is still allowed, and whether there was more.
    fn bounded(&mut self, event: ProcessEvent) -> (Option<ProcessEvent>, bool) {
        let cut = |bytes: &Bytes, bytes_left: &mut u64| {
            let allowed = usize::try_from(*bytes_left).unwrap_or(usize::MAX);
            let kept = bytes.slice(..bytes.len().min(allowed));
            *bytes_left -= kept.len() as u64;
            kept
        };
        let (length, kept, event) = match event {
            ProcessEvent::Stdout(bytes) => {
                let kept = cut(&bytes, &mut self.bytes_left);
                (bytes.len(), kept.len(), ProcessEvent::Stdout(kept))
            }
            ProcessEvent::Stderr(bytes) => {
                let kept = cut(&bytes, &mut self.bytes_left);
                (bytes.len(), kept.len(), ProcessEvent::Stderr(kept))
            }
            exited @ ProcessEvent::Exited(_) => return (Some(exited), false),
        };
        ((kept > 0).then_some(event), kept < length)
    }
}

/// The next piece of a pipe; `None`, and the pipe gone, at its end. Never ends for a pipe that is gone. Safe to drop:
/// bytes are taken from the pipe only when the future is ready.
async fn read_piece(
    pipe: &mut Option<impl AsyncRead + Unpin>,
    buffer: &mut BytesMut,
) -> Option<Bytes> {
    let Some(open) = pipe else {
        return std::future::pending().await;
    };
    buffer.reserve(PIECE_BYTES_MAX);
    let mut limited = bytes::BufMut::limit(&mut *buffer, PIECE_BYTES_MAX);
    match open.read_buf(&mut limited).await {
        Ok(n) if n > 0 => Some(buffer.split().freeze()),
        ended => {
            if let Err(error) = ended {
                tracing::warn!(%error, "a program's output can't be read");
            }
            *pipe = None;
            None
        }
    }
}
