//! A scripted HTTP server on loopback that speaks each vendor's wire.
//!
//! One script says what the model answers, without any vendor's words; the same script is then served over Anthropic
//! Messages, OpenAI Chat Completions, OpenAI Responses or Ollama's own API, so that one conversation can be compared
//! over all four. Replies stream at a pace or wait at gates, and can fail in the ways that servers fail. It never
//! judges a request: a test reads what arrived from [`ScriptServer::exchanges`].
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use titan_testkit::server::{Reply, Script, ScriptServer, Wire};
//! let script = Script::replies([
//!     Reply::call("read", r#"{"path":"Cargo.toml"}"#),
//!     Reply::text("It is a workspace."),
//! ]);
//! let server = ScriptServer::start(Wire::Chat, script)?;
//! // … point a client at `server.base_url()` …
//! assert!(server.exchanges().is_empty());
//! # Ok(())
//! # }
//! ```

mod http;
mod request;
mod script;
mod wire;

pub use request::Request;
pub use script::{Model, Part, Reply, Script, Stamps, cut};
pub use wire::Wire;

use http::{RawRequest, Reader, Writer};
use parking_lot::Mutex;
use script::Fault;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use wire::Frame;

/// Connections that may wait to be accepted; a benchmark opens a thousand at once.
const BACKLOG: u32 = 4096;

/// A request for a reply, and what became of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What was asked.
    pub request: Arc<Request>,
    /// When the first delta had been handed to the system.
    pub first_delta_at: Option<Instant>,
    /// When the reply was over, and how.
    pub ended: Option<(Instant, Ending)>,
}

/// How a reply was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All was sent, an error's body included.
    Whole,
    /// The script broke it off.
    Cut,
    /// The client closed the connection first.
    HungUp,
}

/// The running server. Dropping it closes its port and all connections.
pub struct ScriptServer {
    base_url: String,
    state: Arc<State>,
    accepting: AbortHandle,
}

struct State {
    wire: Wire,
    script: Script,
    log: watch::Sender<Log>,
    queries: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Log {
    exchanges: Vec<Exchange>,
}

impl ScriptServer {
    /// Starts on a free loopback port, within the current tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(wire: Wire, script: Script) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let listener = socket.listen(BACKLOG)?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(State {
            wire,
            script,
            log: watch::Sender::new(Log::default()),
            queries: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state))).abort_handle();
        Ok(Self {
            base_url,
            state,
            accepting,
        })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end or the vendor's `/v1`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// All requests for replies so far in the order of their arrival, and what became of them.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.state.log.borrow().exchanges.clone()
    }

    /// All requests for replies so far.
    pub fn requests(&self) -> Vec<Arc<Request>> {
        let log = self.state.log.borrow();
        let requests = log.exchanges.iter().map(|e| Arc::clone(&e.request));
        requests.collect()
    }

    /// Other requests so far, as `GET /v1/models`: lists, probes, and paths where the vendor has nothing.
    pub fn queries(&self) -> Vec<String> {
        self.state.queries.lock().clone()
    }

    /// Waits until so many requests for replies have arrived in all.
    pub async fn arrived(&self, n_requests: usize) {
        self.log_shows(|log| log.exchanges.len() >= n_requests)
            .await;
    }

    /// Waits until so many replies are over in this way.
    pub async fn ended(&self, n_replies: usize, how: Ending) {
        self.log_shows(|log| {
            let endings = log.exchanges.iter().filter_map(|e| e.ended);
            endings.filter(|(_, ending)| *ending == how).count() >= n_replies
        })
        .await;
    }

    async fn log_shows(&self, condition: impl FnMut(&Log) -> bool) {
        // The sender lives as long as this server, so waiting cannot fail.
        let mut condition = condition;
        let mut log = self.state.log.subscribe();
        let _ = log.wait_for(|log| condition(log)).await;
    }
}

impl Drop for ScriptServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Owns all connections: when it is aborted, they end with it.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers one connection's requests, one after the other.
async fn serve(stream: TcpStream, state: Arc<State>) {
    // A delta must not wait for the one after it.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let mut reader = Reader::new(reader);
    let mut writer = Writer::new(writer);
    // An error here is a client that went away or does not speak HTTP; closing is all there is to do.
    while let Ok(Some(raw)) = reader.request().await {
        let path = raw.path.split('?').next().unwrap_or_default();
        let is_kept = if raw.method == "POST" && path == state.wire.path() {
            let request = record(&state, raw);
            converse(&state, &request, &mut reader, &mut writer).await
        } else {
            answer_query(&state, &raw, &mut writer).await
        };
        if !is_kept {
            return writer.end();
        }
    }
}

fn record(state: &State, raw: RawRequest) -> Arc<Request> {
    let arrived = Instant::now();
    let body = serde_json::from_slice(&raw.body).unwrap_or(Value::Null);
    let mut recorded = None;
    state.log.send_modify(|log| {
        let request = Arc::new(Request {
            index: log.exchanges.len(),
            wire: state.wire,
            method: raw.method,
            path: raw.path,
            headers: raw.headers,
            body,
            arrived,
        });
        log.exchanges.push(Exchange {
            request: Arc::clone(&request),
            first_delta_at: None,
            ended: None,
        });
        recorded = Some(request);
    });
    recorded.expect("send_modify runs its closure")
}

/// Lists, probes and wrong paths. Returns whether the connection stays open.
async fn answer_query(state: &State, raw: &RawRequest, writer: &mut Writer) -> bool {
    state
        .queries
        .lock()
        .push(format!("{} {}", raw.method, raw.path));
    let path = raw.path.split('?').next().unwrap_or_default();
    let body = serde_json::from_slice(&raw.body).unwrap_or(Value::Null);
    let answer = state
        .wire
        .query(&raw.method, path, &body, &state.script.models);
    let (status, answer) = match answer {
        Some(answer) => (200, answer),
        None => (404, state.wire.error_body(404, "not found")),
    };
    let text = answer.to_string();
    let body = if raw.method == "HEAD" { "" } else { &text };
    let sent = writer.whole(status, &[], "application/json", body.as_bytes());
    sent.await.is_ok()
}

/// Sends the reply that the script has for a request. Returns whether the connection stays open.
async fn converse(
    state: &State,
    request: &Request,
    reader: &mut Reader,
    writer: &mut Writer,
) -> bool {
    let reply = (state.script.choose)(request);
    let ending = tokio::select! {
        ending = send(state, request, &reply, writer) => ending.unwrap_or(Ending::HungUp),
        () = reader.closed() => Ending::HungUp,
    };
    state.log.send_modify(|log| {
        log.exchanges[request.index].ended = Some((Instant::now(), ending));
    });
    ending == Ending::Whole
}

async fn send(
    state: &State,
    request: &Request,
    reply: &Reply,
    writer: &mut Writer,
) -> io::Result<Ending> {
    match &reply.fault {
        Some(Fault::NoHead) => std::future::pending().await,
        Some(Fault::Status { status, message }) => {
            let body = state.wire.error_body(*status, message).to_string();
            let sent = writer.whole(*status, &reply.headers, "application/json", body.as_bytes());
            sent.await.map(|()| Ending::Whole)
        }
        Some(Fault::Raw {
            status,
            content_type,
            body,
        }) => {
            let sent = writer.whole(*status, &reply.headers, content_type, body);
            sent.await.map(|()| Ending::Whole)
        }
        Some(Fault::Reset { after_bytes }) => {
            stream(state, request, reply, *after_bytes, writer).await?;
            writer.reset()?;
            Ok(Ending::Cut)
        }
        Some(Fault::NotHttp { bytes }) => {
            writer.verbatim(bytes).await?;
            Ok(Ending::Cut)
        }
        Some(Fault::Endless { piece }) => {
            writer.open_stream(&reply.headers, state.wire.stream_type());
            loop {
                writer.chunk(piece).await?;
            }
        }
        Some(Fault::Cut { after_bytes }) => {
            stream(state, request, reply, *after_bytes, writer).await?;
            Ok(Ending::Cut)
        }
        Some(Fault::Silence { after_bytes }) => {
            stream(state, request, reply, *after_bytes, writer).await?;
            std::future::pending().await
        }
        None => {
            stream(state, request, reply, usize::MAX, writer).await?;
            writer.close_stream().await?;
            Ok(Ending::Whole)
        }
    }
}

/// Streams the body up to `bytes_max`, each delta at its due time.
async fn stream(
    state: &State,
    request: &Request,
    reply: &Reply,
    bytes_max: usize,
    writer: &mut Writer,
) -> io::Result<()> {
    let frames = state.wire.encode(reply, request);
    let mut schedule = Schedule::new(reply.tokens_per_second);
    let mut bytes_left = bytes_max;
    let mut has_spoken = false;
    writer.open_stream(&reply.headers, state.wire.stream_type());
    for frame in &frames {
        let (bytes, is_delta) = match frame {
            Frame::Gate(gate) => {
                writer.flush().await?;
                gate.pass().await;
                continue;
            }
            Frame::Bytes { bytes, is_delta } => (bytes, *is_delta),
        };
        if is_delta {
            schedule.next_due().await;
        }
        let bytes = &bytes[..bytes.len().min(bytes_left)];
        bytes_left -= bytes.len();
        for piece in bytes.chunks(reply.piece_bytes.unwrap_or(usize::MAX)) {
            writer.chunk(piece).await?;
        }
        if let (true, Some(stamps)) = (is_delta, &reply.stamps) {
            writer.flush().await?;
            stamps.stamp();
        }
        if is_delta && !has_spoken {
            has_spoken = true;
            mark_first_delta(state, request);
        }
        if bytes_left == 0 {
            break;
        }
    }
    writer.flush().await
}

fn mark_first_delta(state: &State, request: &Request) {
    state.log.send_modify(|log| {
        log.exchanges[request.index].first_delta_at = Some(Instant::now());
    });
}

/// Due times of deltas, reckoned from the start so that a late one does not delay the rest.
struct Schedule {
    started: tokio::time::Instant,
    tokens_per_second: Option<f64>,
    n_due: u32,
}

impl Schedule {
    fn new(tokens_per_second: Option<f64>) -> Self {
        Self {
            started: tokio::time::Instant::now(),
            tokens_per_second,
            n_due: 0,
        }
    }

    async fn next_due(&mut self) {
        let Some(rate) = self.tokens_per_second else {
            return;
        };
        let due = self.started + Duration::from_secs_f64(f64::from(self.n_due) / rate);
        self.n_due += 1;
        if self.n_due > 1 {
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests;
