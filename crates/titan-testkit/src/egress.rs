//! A network that a test writes: [`ScriptedEgress`] answers from a script and remembers what it was asked.
//!
//! It applies no rule of the real egress (addresses, credentials, offline); those are tested where they are written.

use crate::gate::Gate;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use titan_protocol::{BoxStream, Egress, EgressError, HttpRequest, HttpResponse};

type Responder = Box<dyn Fn(&HttpRequest) -> Reply + Send + Sync>;

/// An [`Egress`] that answers requests from a queue, then by a closure, and else with an error. Clones are the same.
#[derive(Clone, Default)]
pub struct ScriptedEgress {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<HttpRequest>>,
    queue: Mutex<VecDeque<Reply>>,
    responder: Mutex<Option<Responder>>,
    bodies_dropped: Mutex<usize>,
}

impl ScriptedEgress {
    /// Answers nothing yet: every request is an error.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers all requests by this closure.
    pub fn answering(reply: impl Fn(&HttpRequest) -> Reply + Send + Sync + 'static) -> Self {
        let egress = Self::default();
        *egress.shared.responder.lock() = Some(Box::new(reply));
        egress
    }

    /// Answers the next request that is not yet spoken for with this.
    pub fn push(&self, reply: Reply) -> &Self {
        self.shared.queue.lock().push_back(reply);
        self
    }

    /// The requests so far, in order.
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.shared.requests.lock().clone()
    }

    /// How many bodies were dropped before their end, as a cancelled call does.
    pub fn bodies_dropped(&self) -> usize {
        *self.shared.bodies_dropped.lock()
    }

    fn reply_to(&self, request: &HttpRequest) -> Reply {
        if let Some(reply) = self.shared.queue.lock().pop_front() {
            return reply;
        }
        match &*self.shared.responder.lock() {
            Some(responder) => responder(request),
            None => Reply::error(EgressError::Unreachable(format!(
                "the script has no answer to {}",
                request.url
            ))),
        }
    }
}

#[async_trait]
impl Egress for ScriptedEgress {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, EgressError> {
        self.shared.requests.lock().push(request.clone());
        let reply = self.reply_to(&request);
        if let Some(gate) = &reply.head_gate {
            gate.pass().await;
        }
        let status = reply.head?;
        Ok(HttpResponse {
            status,
            headers: reply.headers,
            url: reply.url.unwrap_or(request.url),
            body: body_stream(reply.body, self.shared.clone()),
        })
    }
}

/// One scripted answer.
pub struct Reply {
    head: Result<u16, EgressError>,
    head_gate: Option<Gate>,
    headers: Vec<(String, String)>,
    url: Option<url::Url>,
    body: VecDeque<Piece>,
}

enum Piece {
    Bytes(Bytes),
    Hold(Gate),
    Error(EgressError),
}

impl Reply {
    /// A response with this status and an empty body.
    pub fn status(status: u16) -> Self {
        Self {
            head: Ok(status),
            head_gate: None,
            headers: Vec::new(),
            url: None,
            body: VecDeque::new(),
        }
    }

    /// Status 200 with this body in one piece.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::status(200).chunk(body)
    }

    /// Nothing comes back.
    pub fn error(error: EgressError) -> Self {
        Self {
            head: Err(error),
            ..Self::status(0)
        }
    }

    /// Adds a header; give the name in lower case.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The address that the response came from in the end, when redirects were followed.
    pub fn at(mut self, url: url::Url) -> Self {
        self.url = Some(url);
        self
    }

    /// Adds a piece of the body.
    pub fn chunk(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body.push_back(Piece::Bytes(bytes.into()));
        self
    }

    /// Adds pieces of the body: this text cut after every `bytes_each` bytes.
    pub fn chunks_of(mut self, bytes_each: usize, body: impl AsRef<[u8]>) -> Self {
        for piece in body.as_ref().chunks(bytes_each) {
            self = self.chunk(Bytes::copy_from_slice(piece));
        }
        self
    }

    /// Holds the body here until the gate opens.
    pub fn hold(mut self, gate: &Gate) -> Self {
        self.body.push_back(Piece::Hold(gate.clone()));
        self
    }

    /// Holds the head until the gate opens.
    pub fn hold_head(mut self, gate: &Gate) -> Self {
        self.head_gate = Some(gate.clone());
        self
    }

    /// Breaks the body here.
    pub fn breaks(mut self, error: EgressError) -> Self {
        self.body.push_back(Piece::Error(error));
        self
    }
}

/// A body on its way; counts itself when it is dropped before its end.
struct Body {
    pieces: VecDeque<Piece>,
    is_finished: bool,
    shared: Arc<Shared>,
}

impl Drop for Body {
    fn drop(&mut self) {
        if !self.is_finished {
            *self.shared.bodies_dropped.lock() += 1;
        }
    }
}

impl Body {
    async fn next(&mut self) -> Option<Result<Bytes, EgressError>> {
        loop {
            match self.pieces.pop_front() {
                Some(Piece::Bytes(bytes)) => {
                    self.is_finished = self.pieces.is_empty();
                    return Some(Ok(bytes));
                }
                Some(Piece::Hold(gate)) => gate.pass().await,
                Some(Piece::Error(error)) => {
                    self.pieces.clear();
                    self.is_finished = true;
                    return Some(Err(error));
                }
                None => {
                    self.is_finished = true;
                    return None;
                }
            }
        }
    }
}

fn body_stream(
    pieces: VecDeque<Piece>,
    shared: Arc<Shared>,
) -> BoxStream<Result<Bytes, EgressError>> {
    let body = Body {
        is_finished: pieces.is_empty(),
        pieces,
        shared,
    };
    futures::stream::unfold(body, |mut body| async move {
        body.next().await.map(|item| (item, body))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use titan_protocol::{EgressPurpose, HttpMethod};

    fn get(url: &str) -> HttpRequest {
        HttpRequest {
            method: HttpMethod::Get,
            url: url.parse().unwrap(),
            headers: Vec::new(),
            body: Bytes::new(),
            credential: None,
            purpose: EgressPurpose::Tool,
            redirects_max: 0,
            idle_max: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn answers_come_in_order_and_requests_are_kept() {
        let egress = ScriptedEgress::answering(|request| Reply::ok(request.url.to_string()));
        egress.push(Reply::status(503).header("retry-after", "2"));
        let first = egress.send(get("http://a.test/")).await.unwrap();
        let second = egress.send(get("http://b.test/")).await.unwrap();
        let body: Vec<_> = second.body.map(Result::unwrap).collect().await;
        assert_eq!(
            (first.status, first.header("retry-after"), body),
            (503, Some("2"), vec![Bytes::from("http://b.test/")])
        );
        assert_eq!(egress.requests().len(), 2);
    }

    #[tokio::test]
    async fn a_gate_holds_the_body_and_a_dropped_body_is_counted() {
        let gate = Gate::new();
        let egress = ScriptedEgress::new();
        egress.push(Reply::ok("one").hold(&gate).chunk("two"));
        let mut body = egress.send(get("http://a.test/")).await.unwrap().body;
        assert_eq!(body.next().await.unwrap().unwrap(), "one");
        assert!(futures::poll!(body.next()).is_pending());
        drop(body);
        assert_eq!(egress.bodies_dropped(), 1);
    }

    #[tokio::test]
    async fn an_unscripted_request_is_an_error() {
        let error = ScriptedEgress::new().send(get("http://a.test/")).await;
        assert!(matches!(error, Err(EgressError::Unreachable(_))));
    }
}
