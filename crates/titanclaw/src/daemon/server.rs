//! The owner's side of the control socket.

use super::frame::{Ask, Frames, Reply, Request};
use super::{CONNECTIONS_MAX, FRAME_BYTES_MAX};
use anyhow::Context as _;
use futures::StreamExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Client, ClientError};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A connection that asks nothing for this long is closed.
const QUESTION_WAIT_MAX: Duration = Duration::from_secs(10);
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
    pub(crate) fn serve(self, client: Arc<dyn Client>) -> Serving {
        let stop = CancellationToken::new();
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let task = tokio::spawn(accept(
            self.listener,
            client,
            stop.clone(),
            Arc::clone(&room),
        ));
        Serving {
            stop,
            room,
            task,
            path: self.path,
        }
    }
}

/// A control socket that is being served.
pub(crate) struct Serving {
    stop: CancellationToken,
    room: Arc<Semaphore>,
    task: tokio::task::JoinHandle<()>,
    path: PathBuf,
}

impl Serving {
    /// Returns when a caller asked the engine to stop.
    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Connections that are being answered now.
    pub(crate) fn connections(&self) -> usize {
        CONNECTIONS_MAX - self.room.available_permits()
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
    client: Arc<dyn Client>,
    stop: CancellationToken,
    room: Arc<Semaphore>,
) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "control connection not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (client, stop, room) = (Arc::clone(&client), stop.clone(), Arc::clone(&room));
        connections.spawn(async move {
            let permit = tokio::time::timeout(ROOM_WAIT_MAX, room.acquire()).await;
            let is_full = !matches!(permit, Ok(Ok(_)));
            let ended = stop.clone();
            tokio::select! {
                () = ended.cancelled() => {}
                result = answer(stream, client, stop, is_full) => if let Err(error) = result {
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
    client: Arc<dyn Client>,
    stop: CancellationToken,
    is_full: bool,
) -> Result<(), ClientError> {
    let peer = stream.peer_cred().map(|credentials| credentials.uid());
    let mut frames = Frames::new(stream);
    let own = rustix::process::getuid().as_raw();
    if !matches!(peer, Ok(uid) if uid == own) {
        tracing::warn!(?peer, "control connection of another user refused");
        return refuse(&mut frames, "this engine belongs to another user").await;
    }
    if is_full {
        let text = format!(
            "the engine already answers {CONNECTIONS_MAX} connections; close one and try again"
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
        Ask::Submit(op) => one(&mut frames, client.submit(op).await, |()| Reply::Done).await,
        Ask::Sessions { limit } => {
            one(&mut frames, client.sessions(limit).await, Reply::Sessions).await
        }
        Ask::Costs { since } => one(&mut frames, client.costs(since).await, Reply::Costs).await,
        Ask::Follow { session, after } => {
            let mut records = client.follow(session, after);
            loop {
                tokio::select! {
                    record = records.next() => match record {
                        Some(record) => one(&mut frames, record, Reply::Record).await?,
                        None => return Ok(()),
                    },
                    // The caller says nothing more: whatever comes now is the end of the connection.
                    _ = frames.receive::<Request>() => return Ok(()),
                }
            }
        }
    }
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
