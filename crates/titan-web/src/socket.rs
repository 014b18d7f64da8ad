//! The WebSocket: the journal of several sessions at once, and commands.

use crate::events::{BURST_MAX, Pass, beat};
use crate::gate::Peer;
use crate::refusal::Refusal;
use crate::{Gateway, api};
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::response::Response;
use futures::stream::{BoxStream, SelectAll};
use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use titan_protocol::{Client, ClientError, Record, Seq, SessionId};
use tokio_tungstenite::tungstenite::Error as WireError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_util::sync::CancellationToken;

/// One message of the other side.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What may wait to be written; a record is well below it.
const UNSENT_BYTES_MAX: usize = 16 << 20;
/// Sessions that one socket follows at once.
const FOLLOWED_MAX: usize = 16;
/// Signs of life that may stay without an answer.
const SILENT_BEATS_MAX: u32 = 3;

/// What the other side says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    /// Tell me what happens in this session, or in all. Again: from another position.
    Follow {
        #[serde(default)]
        session: Option<SessionId>,
        #[serde(default)]
        after: Seq,
    },
    Unfollow {
        #[serde(default)]
        session: Option<SessionId>,
    },
    Op {
        /// Comes back with the answer.
        id: Value,
        op: Value,
    },
    Ping,
}

/// What it is told.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told {
    Record {
        record: Record,
    },
    Accepted {
        id: Value,
    },
    Refused {
        id: Value,
        #[serde(flatten)]
        error: Value,
    },
    /// Nothing more comes of this session.
    Ended {
        session: Option<SessionId>,
        #[serde(flatten)]
        error: Value,
    },
    Pong,
}

pub(crate) async fn open(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|_| {
        Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "Here is a WebSocket and nothing else.",
        )
    })?;
    let mut pass = Pass::new(&gateway, &peer)?;
    Ok(upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .max_write_buffer_size(UNSENT_BYTES_MAX)
        .on_upgrade(async move |socket| {
            let talk = Talk::new(gateway, socket);
            tokio::select! {
                // Dropped with all that waits to be sent.
                () = pass.ended() => {}
                ended = talk.run() => if let Err(error) = ended {
                    tracing::debug!(%error, "WebSocket ended");
                }
            }
        }))
}

type Burst = (Option<SessionId>, Vec<Result<Record, ClientError>>);

struct Talk {
    gateway: Arc<Gateway>,
    socket: WebSocket,
    records: SelectAll<BoxStream<'static, Burst>>,
    followed: HashMap<Option<SessionId>, CancellationToken>,
    silent_beats: u32,
}

impl Talk {
    fn new(gateway: Arc<Gateway>, socket: WebSocket) -> Self {
        Self {
            gateway,
            socket,
            records: SelectAll::new(),
            followed: HashMap::new(),
            silent_beats: 0,
        }
    }

    async fn run(mut self) -> Result<(), axum::Error> {
        let mut beat = beat(&self.gateway);
        loop {
            tokio::select! {
                said = self.socket.next() => match said {
                    None => return Ok(()),
                    // The answer to it is made already, and waits to be sent.
                    Some(Ok(Message::Close(_))) => return self.socket.flush().await,
                    Some(Ok(said)) => {
                        self.silent_beats = 0;
                        self.hear(said).await?;
                    }
                    Some(Err(error)) => return self.fail(error).await,
                },
                Some((session, burst)) = self.records.next() => self.pass_on(session, burst).await?,
                _ = beat.tick() => {
                    if self.silent_beats == SILENT_BEATS_MAX {
                        return Ok(());
                    }
                    self.silent_beats += 1;
                    self.socket.send(Message::Ping(bytes::Bytes::new())).await?;
                }
            }
        }
    }

    /// Ends a connection on which something came that RFC 6455 forbids, and says what it was.
    async fn fail(mut self, error: axum::Error) -> Result<(), axum::Error> {
        let wire = error.into_inner();
        tracing::debug!(error = %wire, "WebSocket failed");
        match wire.downcast_ref().and_then(code_of) {
            Some(code) => {
                let frame = CloseFrame {
                    code,
                    reason: "".into(),
                };
                self.socket.send(Message::Close(Some(frame))).await
            }
            None => Ok(()),
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), axum::Error> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                let refusal = Refusal::malformed("Messages are texts.");
                let told = refused(Value::Null, &refusal);
                return self.socket.send(message_of(&told)).await;
            }
            _ => return Ok(()),
        };
        let told = match serde_json::from_str(&text) {
            Ok(Said::Follow { session, after }) => self.follow(session, after),
            Ok(Said::Unfollow { session }) => {
                self.unfollow(session);
                None
            }
            Ok(Said::Op { id, op }) => {
                let client = Arc::clone(&self.gateway.ports.client);
                Some(submit(client, id, op).await)
            }
            Ok(Said::Ping) => Some(Told::Pong),
            Err(error) => Some(refused(
                Value::Null,
                &Refusal::malformed(format!("The message is not understood: {error}.")),
            )),
        };
        match told {
            Some(told) => self.socket.send(message_of(&told)).await,
            None => Ok(()),
        }
    }

    fn follow(&mut self, session: Option<SessionId>, after: Seq) -> Option<Told> {
        self.unfollow(session);
        if self.followed.len() == FOLLOWED_MAX {
            let refusal = Refusal::busy("One socket follows at most 16 sessions.");
            return Some(Told::Ended {
                session,
                error: refusal.json(),
            });
        }
        let left = CancellationToken::new();
        self.followed.insert(session, left.clone());
        let records = self.gateway.ports.client.follow(session, after);
        let bursts = records
            .ready_chunks(BURST_MAX)
            .take_until(left.cancelled_owned())
            .map(move |burst| (session, burst));
        self.records.push(bursts.boxed());
        None
    }

    fn unfollow(&mut self, session: Option<SessionId>) {
        if let Some(left) = self.followed.remove(&session) {
            left.cancel();
        }
    }

    async fn pass_on(
        &mut self,
        session: Option<SessionId>,
        burst: Vec<Result<Record, ClientError>>,
    ) -> Result<(), axum::Error> {
        self.gateway.metrics.told(burst.len());
        for record in burst {
            let told = match record {
                Ok(record) => Told::Record { record },
                Err(error) => {
                    self.unfollow(session);
                    let error = Refusal::from(error).json();
                    Told::Ended { session, error }
                }
            };
            self.socket.feed(message_of(&told)).await?;
        }
        self.socket.flush().await
    }
}

/// Why a connection is closed after this error; `None` where nobody is there to be told.
fn code_of(error: &WireError) -> Option<u16> {
    match error {
        WireError::Utf8(_) => Some(close_code::INVALID),
        WireError::Capacity(_) => Some(close_code::SIZE),
        WireError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        WireError::Protocol(_) => Some(close_code::PROTOCOL),
        _ => None,
    }
}

async fn submit(client: Arc<dyn Client>, id: Value, op: Value) -> Told {
    let done = async { Ok(client.submit(api::op(op)?).await?) };
    match done.await {
        Ok(()) => Told::Accepted { id },
        Err(refusal) => refused(id, &refusal),
    }
}

fn refused(id: Value, refusal: &Refusal) -> Told {
    Told::Refused {
        id,
        error: refusal.json(),
    }
}

fn message_of(told: &Told) -> Message {
    // All of it is made of values that JSON has.
    Message::Text(serde_json::to_string(told).unwrap_or_default().into())
}
