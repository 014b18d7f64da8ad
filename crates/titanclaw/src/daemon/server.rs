//! The owner's side of the control socket.

use super::frame::{Ask, Frames, Reply, Request};
use super::{CONNECTIONS_MAX, Doors, FRAME_BYTES_MAX, Look};
use anyhow::Context as _;
use futures::StreamExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Client, ClientError, Memory, Presence, Record};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A connection that asks nothing for this long is closed.
const QUESTION_WAIT_MAX: Duration = Duration::from_secs(10);
/// Records that are sent together when they come faster than they are read.
const BURST_MAX: usize = 64;
/// Files that an engine needs besides its connections: the store, the log, the runtime, the pipes of a tool.
const FILES_RESERVED: u64 = 32;
/// Connections that are accepted beyond those that have room, to be told so; the rest waits outside.
const UNSERVED_MAX: usize = 4;
/// After this long without room for another connection, the caller is told.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(1);

/// A bound control socket. Only the owner of the home's lock may bind it, so a file that is there already is left
/// over from an owner that died.
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds the socket with rights for this user alone.
    ///
    /// # Errors
    /// When the path is too long for a socket or the file can't be made.
    pub(crate) fn bind(path: &Path) -> anyhow::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| {
                    format!("the old control socket {} can't be removed", path.display())
                });
            }
            _ => {}
        }
        // The home is closed to others (0700), so nobody can connect before the mode is set.
        let listener = UnixListener::bind(path).with_context(|| {
            format!(
                "the control socket {} can't be made; a shorter --home may help",
                path.display()
            )
        })?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .with_context(|| format!("the mode of {} can't be set", path.display()))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Answers callers until stopped.
    pub(crate) fn serve(
        self,
        client: Arc<dyn Client>,
        memory: Arc<dyn Memory>,
        presence: Arc<dyn Presence>,
        look: Look,
    ) -> Serving {
        let stop = CancellationToken::new();
        let connections_max = connections_max();
        let room = Arc::new(Semaphore::new(connections_max));
        let doors = Doors::default();
        let engine = Served {
            client,
            look,
            memory,
            presence,
            doors: doors.clone(),
            stop: stop.clone(),
        };
        let accepting = accept(self.listener, engine, Arc::clone(&room), connections_max);
        let task = tokio::spawn(accepting);
        Serving {
            doors,
            stop,
            room,
            connections_max,
            task,
            path: self.path,
        }
    }
}

/// Connections that there is room for: fewer where few files may be open, since each may run a turn, and a turn holds
/// a connection to its model. Without that an engine would run out of files in the middle of its work.
fn connections_max() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = files.unwrap_or(u64::MAX);
    let room = files.saturating_sub(FILES_RESERVED) / 2;
    usize::try_from(room)
        .unwrap_or(usize::MAX)
        .clamp(UNSERVED_MAX, CONNECTIONS_MAX)
}

/// What callers are answered from.
#[derive(Clone)]
struct Served {
    client: Arc<dyn Client>,
    look: Look,
    memory: Arc<dyn Memory>,
    presence: Arc<dyn Presence>,
    doors: Doors,
    stop: CancellationToken,
}

/// A control socket that is being served.
pub(crate) struct Serving {
    doors: Doors,
    stop: CancellationToken,
    room: Arc<Semaphore>,
    connections_max: usize,
    task: tokio::task::JoinHandle<()>,
    path: PathBuf,
}

impl Serving {
    /// Returns when a caller asked the engine to stop.
    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Where callers are told that the gateway is.
    pub(crate) fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Connections that are being answered now.
    pub(crate) fn connections(&self) -> usize {
        self.connections_max - self.room.available_permits()
    }

    /// Removes the socket and ends all connections.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "control socket not removed");
        }
        if let Err(error) = self.task.await {
            tracing::error!(%error, "control socket failed");
        }
    }
}

async fn accept(
    listener: UnixListener,
    engine: Served,
    room: Arc<Semaphore>,
    connections_max: usize,
) {
    let mut connections = JoinSet::new();
    loop {
        let has_place = connections.len() < connections_max + UNSERVED_MAX;
        let stream = tokio::select! {
            () = engine.stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if has_place => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "control connection not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (engine, room) = (engine.clone(), Arc::clone(&room));
        connections.spawn(async move {
            let permit = tokio::time::timeout(ROOM_WAIT_MAX, room.acquire()).await;
            let is_full = !matches!(permit, Ok(Ok(_)));
            let full = is_full.then_some(connections_max);
            let ended = engine.stop.clone();
            tokio::select! {
                () = ended.cancelled() => {}
                result = answer(stream, engine, full) => if let Err(error) = result {
                    tracing::debug!(%error, "control connection ended");
                }
            }
        });
    }
    // Those who asked to stop still get their answer.
    let rest = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(1), rest)
        .await
        .is_err()
    {
        tracing::warn!("control connections were cut off");
    }
}

async fn answer(
    stream: UnixStream,
    engine: Served,
    full: Option<usize>,
) -> Result<(), ClientError> {
    let Served {
        client,
        look,
        memory,
        presence,
        doors,
        stop,
    } = engine;
    let peer = stream.peer_cred().map(|credentials| credentials.uid());
    let mut frames = Frames::new(stream);
    let own = rustix::process::getuid().as_raw();
    if !matches!(peer, Ok(uid) if uid == own) {
        tracing::warn!(?peer, "control connection of another user refused");
        return refuse(&mut frames, "this engine belongs to another user").await;
    }
    if let Some(connections_max) = full {
        let text = format!(
            "the engine already answers {connections_max} connections, as many as it has room for; close one, or try again in a moment"
        );
        return refuse(&mut frames, &text).await;
    }
    let request = match tokio::time::timeout(QUESTION_WAIT_MAX, frames.receive::<Request>()).await {
        Err(_) | Ok(Ok(None)) => return Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, limit = FRAME_BYTES_MAX, "control message refused");
            return frames.send(&Reply::Error(error)).await;
        }
        Ok(Ok(Some(request))) => request,
    };
    // Any version may ask how the engine is and stop it; else a restart after an update could not be done.
    let is_foreign = request.version != env!("CARGO_PKG_VERSION");
    match request.ask {
        Ask::Status => one(&mut frames, client.status().await, Reply::Status).await,
        Ask::Stop => {
            frames.send(&Reply::Done).await?;
            stop.cancel();
            Ok(())
        }
        _ if is_foreign => {
            let text = format!(
                "the running engine is version {}, this program is {}. Restart it: titanclaw daemon stop",
                env!("CARGO_PKG_VERSION"),
                request.version
            );
            refuse(&mut frames, &text).await
        }
        Ask::Gateway { opens } => {
            let address = match opens {
                true => doors.link(),
                false => doors.page(),
            };
            frames.send(&Reply::Gateway(address)).await
        }
        Ask::Tools => {
            let looked = tokio::task::spawn_blocking(move || look()).await;
            let looked = looked.map_err(|error| ClientError::Refused(error.to_string()));
            one(&mut frames, looked, Reply::Tools).await
        }
        Ask::Submit(op) => one(&mut frames, client.submit(op).await, |()| Reply::Done).await,
        Ask::Sessions { limit } => {
            one(&mut frames, client.sessions(limit).await, Reply::Sessions).await
        }
        Ask::Costs { since } => one(&mut frames, client.costs(since).await, Reply::Costs).await,
        Ask::Jobs => one(&mut frames, client.jobs().await, Reply::Jobs).await,
        Ask::Image {
            session,
            at,
            number,
        } => {
            let image = client.image(session, at, number).await;
            one(&mut frames, image, Reply::Image).await
        }
        Ask::Reflexes => one(&mut frames, client.reflexes().await, Reply::Reflexes).await,
        Ask::Changes { session, turn } => {
            let changes = client.changes(session, turn).await;
            one(&mut frames, changes, Reply::Changes).await
        }
        Ask::Models => one(&mut frames, client.models().await, Reply::Models).await,
        Ask::Recall(question) => {
            one(&mut frames, memory.recall(question).await, Reply::Recalled).await
        }
        Ask::Document(id) => one(&mut frames, memory.get(id).await, Reply::Document).await,
        Ask::Graph { name, limit } => {
            one(&mut frames, memory.graph(name, limit).await, Reply::Graph).await
        }
        Ask::Find(query) => one(&mut frames, memory.find(query).await, Reply::Found).await,
        Ask::Keep(draft) => one(&mut frames, memory.keep(draft).await, Reply::Kept).await,
        Ask::Discard(id) => one(&mut frames, memory.discard(id).await, |()| Reply::Done).await,
        Ask::Open(path, by) => {
            one(&mut frames, presence.open(path, by).await, |()| Reply::Done).await
        }
        Ask::Close(path) => one(&mut frames, presence.close(path).await, |()| Reply::Done).await,
        Ask::OpenFiles => one(&mut frames, presence.list().await, Reply::OpenFiles).await,
        Ask::Pack(path) => one(&mut frames, presence.pack(path).await, Reply::Pack).await,
        Ask::Follow { session, after } => {
            let mut records = client.follow(session, after).ready_chunks(BURST_MAX);
            loop {
                tokio::select! {
                    burst = records.next() => match burst {
                        Some(burst) => all(&mut frames, burst).await?,
                        None => return Ok(()),
                    },
                    // The caller says nothing more: whatever comes now is the end of the connection.
                    _ = frames.receive::<Request>() => return Ok(()),
                }
            }
        }
    }
}

/// Sends a burst of records together.
async fn all(
    frames: &mut Frames,
    records: Vec<Result<Record, ClientError>>,
) -> Result<(), ClientError> {
    for record in records {
        frames
            .feed(&record.map_or_else(Reply::Error, Reply::Record))
            .await?;
    }
    frames.flush().await
}

async fn one<T>(
    frames: &mut Frames,
    result: Result<T, ClientError>,
    reply: impl FnOnce(T) -> Reply,
) -> Result<(), ClientError> {
    frames.send(&result.map_or_else(Reply::Error, reply)).await
}

async fn refuse(frames: &mut Frames, text: &str) -> Result<(), ClientError> {
    frames
        .send(&Reply::Error(ClientError::Refused(text.to_owned())))
        .await
}
