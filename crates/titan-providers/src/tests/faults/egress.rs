//! A network on which each host does exactly what a trial says, in virtual time, and is watched while it does.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Egress, EgressError, HttpRequest, HttpResponse};

/// Nobody who reads within bounds takes more bytes than this; who does is stopped and the cell fails.
pub(super) const GUARD_BYTES: usize = 64 * 1024 * 1024;

/// One answer to one request.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) head: Head,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<Piece>,
}

/// How an answer begins.
#[derive(Clone, Debug)]
pub(super) enum Head {
    Status(u16),
    /// Nothing comes back.
    Fails(EgressError),
    /// Not even an error comes.
    Silent,
}

/// A part of a body.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Bytes(Bytes),
    Wait(Duration),
    Break(EgressError),
    /// These bytes for ever, with this pause between two.
    Endless(Bytes, Duration),
}

impl Served {
    pub(super) fn status(status: u16) -> Self {
        Self {
            head: Head::Status(status),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(super) fn body(bytes: impl Into<Bytes>) -> Self {
        Self::status(200).then(Piece::Bytes(bytes.into()))
    }

    pub(super) fn fails(error: EgressError) -> Self {
        Self {
            head: Head::Fails(error),
            ..Self::status(0)
        }
    }

    pub(super) fn silent() -> Self {
        Self {
            head: Head::Silent,
            ..Self::status(0)
        }
    }

    pub(super) fn then(mut self, piece: Piece) -> Self {
        self.body.push(piece);
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What was asked of one host and what was taken from it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: Vec<HttpRequest>,
    pub(super) bytes: usize,
}

/// The network. The first host plays a trial, all others answer well.
#[derive(Clone)]
pub(super) struct FaultyEgress {
    faulty: Arc<Mutex<VecDeque<Served>>>,
    spare: Served,
    pub(super) seen_faulty: Arc<Mutex<Seen>>,
    pub(super) seen_spare: Arc<Mutex<Seen>>,
}

pub(super) const FAULTY_HOST: &str = "acme.test";

impl FaultyEgress {
    /// See [`FaultyEgress::play`] for what the faulty host does: it answers in turn, and from then on with the last.
    pub(super) fn new(spare: Served) -> Self {
        Self {
            faulty: Arc::default(),
            spare,
            seen_faulty: Arc::default(),
            seen_spare: Arc::default(),
        }
    }

    /// From now on the faulty host answers with these.
    pub(super) fn play(&self, script: &[Served]) {
        *self.faulty.lock() = script.iter().cloned().collect();
    }

    fn next(&self) -> Served {
        let mut left = self.faulty.lock();
        if left.len() > 1 {
            return left.pop_front().expect("there are two");
        }
        left.front().cloned().expect("a trial has an answer")
    }
}

#[async_trait]
impl Egress for FaultyEgress {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, EgressError> {
        let is_faulty = request.url.host_str() == Some(FAULTY_HOST);
        let (served, seen) = if is_faulty {
            (self.next(), &self.seen_faulty)
        } else {
            (self.spare.clone(), &self.seen_spare)
        };
        seen.lock().requests.push(request.clone());
        let timed_out = EgressError::TimedOut {
            host: FAULTY_HOST.to_owned(),
            after: request.idle_max,
        };
        let status = match served.head {
            Head::Status(status) => status,
            Head::Fails(error) => return Err(error),
            Head::Silent => {
                tokio::time::sleep(request.idle_max).await;
                return Err(timed_out);
            }
        };
        let body = Body {
            left: served.body.into(),
            idle_max: request.idle_max,
            timed_out,
            seen: Arc::clone(seen),
        };
        let headers = served.headers.into_iter();
        Ok(HttpResponse {
            status,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            url: request.url,
            body: stream::unfold(body, |mut body| async move {
                body.next().await.map(|item| (item, body))
            })
            .boxed(),
        })
    }
}

struct Body {
    left: VecDeque<Piece>,
    idle_max: Duration,
    timed_out: EgressError,
    seen: Arc<Mutex<Seen>>,
}

impl Body {
    async fn next(&mut self) -> Option<Result<Bytes, EgressError>> {
        loop {
            let error = match self.left.front_mut()? {
                Piece::Wait(pause) if *pause > self.idle_max => {
                    tokio::time::sleep(self.idle_max).await;
                    self.timed_out.clone()
                }
                Piece::Wait(pause) => {
                    tokio::time::sleep(*pause).await;
                    self.left.pop_front();
                    continue;
                }
                Piece::Bytes(bytes) => {
                    let bytes = bytes.clone();
                    self.left.pop_front();
                    return Some(self.give(bytes));
                }
                Piece::Endless(bytes, pause) => {
                    let (bytes, pause) = (bytes.clone(), *pause);
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    return Some(self.give(bytes));
                }
                Piece::Break(error) => error.clone(),
            };
            self.left.clear();
            return Some(Err(error));
        }
    }

    fn give(&mut self, bytes: Bytes) -> Result<Bytes, EgressError> {
        let mut seen = self.seen.lock();
        seen.bytes += bytes.len();
        if seen.bytes > GUARD_BYTES {
            self.left.clear();
            return Err(EgressError::Broken("the reader knows no bound".to_owned()));
        }
        Ok(bytes)
    }
}
