//! The journal as server-sent events.
//!
//! A stream is made of what its reader takes: a record is read from the engine only when the one before it went out.

use crate::gate::Peer;
use crate::places::Place;
use crate::refusal::Refusal;
use crate::{Gateway, api};
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde::Deserialize;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use titan_protocol::{ClientError, Record, Seq, SessionId};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Interval;

/// Records that go out together when they come faster than they are taken.
pub(crate) const BURST_MAX: usize = 32;
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    session: Option<SessionId>,
    after: Option<Seq>,
}

pub(crate) async fn follow(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let from: From = api::query(&uri)?;
    let after = match headers.get(LAST_EVENT) {
        Some(last) => Some(position(last)?),
        None => from.after,
    };
    let after = after.unwrap_or(0);
    if after > api::COUNT_MAX {
        return Err(Refusal::unsupported("after", "`after` is too large."));
    }
    let pass = Pass::new(&gateway, &peer)?;
    let client = Arc::clone(&gateway.ports.client);
    let following = Following {
        records: client
            .follow(from.session, after)
            .ready_chunks(BURST_MAX)
            .boxed(),
        beat: beat(&gateway),
        pass,
        gateway,
    };
    // Said at once, so that the reader knows that it is heard.
    let hello = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"retry: 1000\n\n"))]);
    let rest = stream::unfold(Some(following), |following| async {
        let (piece, following) = following?.next().await?;
        Some((Ok(piece), following))
    });
    Ok(event_stream(Body::from_stream(hello.chain(rest))))
}

/// An answer that streams events. The connection ends with it.
pub(crate) fn event_stream(body: Body) -> Response {
    let kind = HeaderValue::from_static("text/event-stream");
    let close = HeaderValue::from_static("close");
    let headers = [(header::CONTENT_TYPE, kind), (header::CONNECTION, close)];
    (headers, body).into_response()
}

/// Ticks when a quiet stream needs a sign of life.
pub(crate) fn beat(gateway: &Gateway) -> Interval {
    let beat = gateway.config.limits.beat;
    let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + beat, beat);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    beat
}

fn position(header: &HeaderValue) -> Result<Seq, Refusal> {
    let text = header.to_str().ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Refusal::malformed("`Last-Event-ID` is no position."))
}

/// Leave to hold a stream open: a place, and a token that still counts.
pub(crate) struct Pass {
    generation: watch::Receiver<u64>,
    stop: tokio_util::sync::CancellationToken,
    /// Kept for as long as the stream is.
    _permit: OwnedSemaphorePermit,
    _place: Arc<Place>,
}

impl Pass {
    pub(crate) fn new(gateway: &Arc<Gateway>, peer: &Peer) -> Result<Self, Refusal> {
        let permit = Arc::clone(&gateway.streams).try_acquire_owned();
        let permit =
            permit.map_err(|_| Refusal::busy("As many streams as there may be are open."))?;
        Ok(Self {
            generation: gateway.access.generation(),
            stop: gateway.stop.clone(),
            _permit: permit,
            _place: Arc::clone(&peer.place),
        })
    }

    /// Returns when the stream has to end: the token counts no longer, or the gateway closes. Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        tokio::select! {
            _ = self.generation.changed() => {}
            () = self.stop.cancelled() => {}
        }
    }
}

struct Following {
    records: BoxStream<'static, Vec<Result<Record, ClientError>>>,
    beat: Interval,
    pass: Pass,
    gateway: Arc<Gateway>,
}

impl Following {
    /// The next piece, and what goes on after it.
    async fn next(mut self) -> Option<(Bytes, Option<Self>)> {
        let burst = tokio::select! {
            biased;
            () = self.pass.ended() => return None,
            burst = self.records.next() => burst?,
            _ = self.beat.tick() => return Some((Bytes::from_static(b":\n\n"), Some(self))),
        };
        self.gateway.metrics.told(burst.len());
        let mut text = String::new();
        for record in burst {
            match record.map_err(Refusal::from).and_then(|it| event(&it)) {
                Ok(event) => text.push_str(&event),
                Err(refusal) => {
                    let _ = write!(text, "event: ended\ndata: {}\n\n", refusal.json());
                    return Some((text.into(), None));
                }
            }
        }
        Some((text.into(), Some(self)))
    }
}

/// A record as an event. JSON has no line breaks of its own.
fn event(record: &Record) -> Result<String, Refusal> {
    let json = serde_json::to_string(record).map_err(|_| Refusal::broken())?;
    Ok(format!("id: {}\ndata: {json}\n\n", record.seq))
}
