//! What goes over the control socket.

use super::FRAME_BYTES_MAX;
use futures::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use titan_protocol::{
    ClientError, CostLine, EngineStatus, ImageBytes, Job, MemoryDocument, MemoryDraft, MemoryGraph,
    MemoryHit, MemoryQuery, MemoryQuestion, ModelInfo, Op, OpenFile, Pack, Record, ReflexSummary,
    Seq, SessionId, SessionSummary, TurnChanges, TurnId, UnixMillis,
};
use tokio::net::UnixStream;
use tokio_util::codec::{Framed, LinesCodec};

/// A question, with the version of the program that asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) version: String,
    pub(super) ask: Ask,
}

/// What is asked.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    Submit(Op),
    Follow {
        session: Option<SessionId>,
        after: Seq,
    },
    Sessions {
        limit: usize,
    },
    Costs {
        since: UnixMillis,
    },
    Changes {
        session: SessionId,
        turn: Option<TurnId>,
    },
    Jobs,
    Image {
        session: SessionId,
        at: Seq,
        number: usize,
    },
    Reflexes,
    Models,
    Find(MemoryQuery),
    Recall(MemoryQuestion),
    /// A document of the memory, by its id.
    Document(String),
    Graph {
        name: String,
        limit: usize,
    },
    Keep(MemoryDraft),
    /// A document of the memory, by its id.
    Discard(String),
    /// A file is open: where, and who says so.
    Open(PathBuf, String),
    Close(PathBuf),
    OpenFiles,
    Pack(PathBuf),
    Status,
    /// Where the gateway is; `opens`: with a code for one browser.
    Gateway {
        opens: bool,
    },
    /// The tools that the person keeps have changed.
    Tools,
    Stop,
}

/// An answer; many of them to [`Ask::Follow`], one to all else.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    Done,
    Record(Record),
    Sessions(Vec<SessionSummary>),
    Costs(Vec<CostLine>),
    Changes(TurnChanges),
    Jobs(Vec<Job>),
    Image(ImageBytes),
    Reflexes(Vec<ReflexSummary>),
    Models(Vec<ModelInfo>),
    Found(Vec<MemoryDocument>),
    Recalled(Vec<MemoryHit>),
    /// `None`: there is none.
    Document(Option<MemoryDocument>),
    Graph(MemoryGraph),
    Kept(MemoryDocument),
    OpenFiles(Vec<OpenFile>),
    Pack(Pack),
    Status(EngineStatus),
    /// `None`: there is none.
    Gateway(Option<String>),
    /// What of them can't be offered, a line each.
    Tools(Vec<String>),
    Error(ClientError),
}

/// A connection as lines of JSON.
pub(super) struct Frames(Framed<UnixStream, LinesCodec>);

impl Frames {
    pub(super) fn new(stream: UnixStream) -> Self {
        let codec = LinesCodec::new_with_max_length(FRAME_BYTES_MAX);
        Self(Framed::new(stream, codec))
    }

    /// Sends a frame. Not cancel-safe: a frame may be cut.
    pub(super) async fn send(&mut self, frame: &impl Serialize) -> Result<(), ClientError> {
        self.feed(frame).await?;
        self.flush().await
    }

    /// Sends all that was fed.
    pub(super) async fn flush(&mut self) -> Result<(), ClientError> {
        let flushed = SinkExt::<String>::flush(&mut self.0).await;
        flushed.map_err(|error| gone(&error))
    }

    /// Leaves a frame to be sent together with those that follow. Not cancel-safe: a frame may be cut.
    pub(super) async fn feed(&mut self, frame: &impl Serialize) -> Result<(), ClientError> {
        let line = serde_json::to_string(frame).map_err(|e| ClientError::Refused(e.to_string()))?;
        if line.len() > FRAME_BYTES_MAX {
            let text = format!(
                "a message of {} bytes is larger than the control socket carries ({FRAME_BYTES_MAX})",
                line.len()
            );
            return Err(ClientError::Refused(text));
        }
        self.0.feed(line).await.map_err(|error| gone(&error))
    }

    /// The next frame; `None` when the other side closed. Cancel-safe.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        match self.0.next().await {
            None => Ok(None),
            Some(Err(error)) => Err(gone(&error)),
            Some(Ok(line)) => serde_json::from_str(&line).map(Some).map_err(|error| {
                ClientError::Refused(format!(
                    "a message on the control socket is not understood: {error}"
                ))
            }),
        }
    }
}

fn gone(error: &dyn std::fmt::Display) -> ClientError {
    ClientError::Disconnected(format!(
        "the engine that owns this home is gone ({error}). Run the command again to start another."
    ))
}
