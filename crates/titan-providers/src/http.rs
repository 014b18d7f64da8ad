//! One vendor behind an egress: sends what a codec wrote, feeds it what comes back, and tries again while nothing
//! was said.
//!
//! There is no HTTP client here. Dropping a stream drops the response's body, and with it the connection.

use crate::failure::{Failure, Refusal, Vendor, one_line, page_title, retry_after};
use crate::retry::{Breaker, Permit, RetryPolicy};
use crate::sse::{FRAME_BYTES_MAX, Frame, Framer};
use crate::wire::{Decoder, Encoded, ModelOptions, Wire};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future, stream};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{
    BoxStream, Credential, Egress, EgressError, EgressPurpose, HttpMethod, HttpRequest,
    HttpResponse, ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, Provider,
};
use tokio::time::Instant;
use url::Url;

/// The longest body that is read whole, in bytes: lists of models, embeddings, error messages.
pub(crate) const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// As many pieces are taken of a body after the reply's end.
const DRAINED_PIECES_MAX: usize = 4;
/// As much of an error's body is read.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// The status is told without its body when that takes longer.
const ERROR_BODY_MAX: Duration = Duration::from_secs(5);
/// So much may come of a body without any event in it: pings, comments, a frame that is not whole.
pub(crate) const FILLER_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// After so many times the longest silence, signs of life alone are taken for silence.
const FILLER_IDLE_FACTOR: u32 = 4;

/// A server and how to reach it.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) egress: Arc<dyn Egress>,
    /// Ends without a slash.
    pub(crate) base_url: Url,
    pub(crate) credential: Option<Credential>,
    /// Headers of the configuration.
    pub(crate) headers: Vec<(String, String)>,
    /// The longest wait for the head, and between two pieces of a body.
    pub(crate) idle_max: Duration,
}

impl Endpoint {
    /// Sends a request to a path below the base address.
    pub(crate) async fn send(
        &self,
        path: &str,
        headers: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<HttpResponse, EgressError> {
        let mut url = self.base_url.clone();
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let base = self.base_url.path().trim_end_matches('/');
        url.set_path(&format!("{base}/{path}"));
        url.set_query(query.or(self.base_url.query()));
        // Compression would hold deltas back.
        let mut all = vec![("accept-encoding".to_owned(), "identity".to_owned())];
        if body.is_some() {
            all.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let own = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        all.extend(own);
        all.extend(self.headers.iter().cloned());
        let request = HttpRequest {
            method: match body {
                Some(_) => HttpMethod::Post,
                None => HttpMethod::Get,
            },
            url,
            headers: all,
            body: body.map_or_else(Bytes::new, encode),
            credential: self.credential.clone(),
            purpose: EgressPurpose::Provider,
            redirects_max: 0,
            idle_max: self.idle_max,
        };
        self.egress.send(request).await
    }

    /// Asks for a JSON value.
    pub(crate) async fn json(
        &self,
        vendor: &Vendor,
        path: &str,
        headers: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let response = self
            .send(path, headers, body)
            .await
            .map_err(|error| vendor.egress(&error))?;
        let response = accepted(vendor, response).await?;
        let bytes = read(response.body, BODY_BYTES_MAX)
            .await
            .map_err(|error| vendor.egress(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| vendor.malformed(error.to_string()).into())
    }
}

/// A JSON value as text. Writing to memory can't fail, and the keys are strings.
fn encode(body: &Value) -> Bytes {
    serde_json::to_vec(body)
        .expect("a JSON value is written to memory")
        .into()
}

/// The response, if its status is a success.
async fn accepted(vendor: &Vendor, response: HttpResponse) -> Result<HttpResponse, Failure> {
    if (200..300).contains(&response.status) {
        return Ok(response);
    }
    let status = response.status;
    if let (300..400, Some(place)) = (status, response.header("location")) {
        return Err(vendor.moved(status, place).into());
    }
    let wait = retry_after(|name| response.header(name), jiff::Timestamp::now());
    // The status says enough if the body breaks off.
    let body = read_error(response.body).await;
    Err(vendor.refused(&Refusal {
        status,
        retry_after: wait,
        body: &body,
    }))
}

/// As much of an error's body as comes soon.
async fn read_error(body: BoxStream<Result<Bytes, EgressError>>) -> Vec<u8> {
    let read = read(body, ERROR_BYTES_MAX);
    match tokio::time::timeout(ERROR_BODY_MAX, read).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// A body up to `bytes_max`; what is beyond is left out.
async fn read(
    mut body: BoxStream<Result<Bytes, EgressError>>,
    bytes_max: usize,
) -> Result<Vec<u8>, EgressError> {
    let mut all = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        let room = bytes_max - all.len();
        all.extend_from_slice(&piece[..piece.len().min(room)]);
        if all.len() == bytes_max {
            break;
        }
    }
    Ok(all)
}

/// One vendor, or one compatible server.
pub(crate) struct HttpProvider {
    core: Arc<Core>,
}

struct Core {
    name: String,
    wire: Wire,
    endpoint: Endpoint,
    options: ModelOptions,
    retry: RetryPolicy,
    breaker: Breaker,
    native_tools: Option<bool>,
    is_local: bool,
}

/// What [`HttpProvider::new`] needs.
pub(crate) struct HttpConfig {
    pub(crate) name: String,
    pub(crate) wire: Wire,
    pub(crate) endpoint: Endpoint,
    pub(crate) options: ModelOptions,
    pub(crate) retry: RetryPolicy,
    /// What is known of the server's tool calling, for the list of models.
    pub(crate) native_tools: Option<bool>,
    /// Whether the server is on this machine.
    pub(crate) is_local: bool,
}

impl HttpProvider {
    pub(crate) fn new(config: HttpConfig) -> Self {
        Self {
            core: Arc::new(Core {
                breaker: Breaker::new(&config.retry),
                name: config.name,
                wire: config.wire,
                endpoint: config.endpoint,
                options: config.options,
                retry: config.retry,
                native_tools: config.native_tools,
                is_local: config.is_local,
            }),
        }
    }
}

#[async_trait]
impl Provider for HttpProvider {
    fn name(&self) -> &str {
        &self.core.name
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        let core = Arc::clone(&self.core);
        let mut options = core.options.clone();
        if let Some(model) = &request.model {
            options.model.clone_from(model);
        }
        let vendor = Vendor {
            provider: core.name.clone(),
            model: options.model.clone(),
        };
        let route = ModelEvent::Route {
            provider: core.name.clone(),
            model: options.model.clone(),
            reason: None,
        };
        let reading = Reading {
            core,
            vendor,
            request,
            options,
            attempts: 0,
            answer: None,
            queue: VecDeque::new(),
            failure: None,
            has_spoken: false,
            is_over: false,
        };
        stream::once(future::ready(Ok(route)))
            .chain(stream::unfold(reading, |mut reading| async move {
                reading.next().await.map(|item| (item, reading))
            }))
            .boxed()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        let core = &self.core;
        let vendor = Vendor {
            provider: core.name.clone(),
            model: core.options.model.clone(),
        };
        let listed = crate::probe::list_models(&core.endpoint, &vendor, core.wire).await?;
        let listed = listed.into_iter().map(|mut info| {
            info.native_tools = info.native_tools.or(core.native_tools);
            info.is_local = core.is_local;
            info
        });
        Ok(listed.collect())
    }
}

/// One reply on its way.
struct Reading {
    core: Arc<Core>,
    vendor: Vendor,
    request: ModelRequest,
    options: ModelOptions,
    attempts: u32,
    answer: Option<Answer>,
    queue: VecDeque<ModelEvent>,
    /// What ended the answer; told after the events that came before it.
    failure: Option<Failure>,
    /// Content went out, so the request is not sent again.
    has_spoken: bool,
    is_over: bool,
}

/// The response that is being read.
struct Answer {
    body: BoxStream<Result<Bytes, EgressError>>,
    framer: Framer,
    decoder: Box<dyn Decoder>,
    permit: Option<Permit>,
    /// The body is one JSON value, not a stream.
    is_whole: bool,
    /// Bytes since the last event, and when that was.
    filler_bytes: usize,
    spoke_at: Instant,
}

impl Answer {
    /// Notes bytes that held no event. True when they are too many, or it has been too long.
    fn is_filler_too_much(&mut self, n_bytes: usize, idle_max: Duration) -> bool {
        self.filler_bytes += n_bytes;
        self.filler_bytes > FILLER_BYTES_MAX
            || self.spoke_at.elapsed() > idle_max * FILLER_IDLE_FACTOR
    }

    /// Takes the rest of a body that is already here. A connection whose body was read to its end is used again.
    fn drain(&mut self) {
        for _ in 0..DRAINED_PIECES_MAX {
            match self.body.next().now_or_never() {
                Some(Some(Ok(_))) => {}
                _ => return,
            }
        }
    }
}

impl Reading {
    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                self.note(&event);
                return Some(Ok(event));
            }
            if self.is_over {
                return None;
            }
            if let Some(failure) = self.failure.take() {
                match self.give_up_or_wait(failure).await {
                    Some(error) => return Some(Err(error)),
                    None => continue,
                }
            }
            let step = match &mut self.answer {
                None => self.open().await,
                Some(_) => self.read_on().await,
            };
            self.failure = step.err();
        }
    }

    fn note(&mut self, event: &ModelEvent) {
        if !event.is_content() {
            return;
        }
        self.has_spoken = true;
        let permit = self.answer.as_mut().and_then(|answer| answer.permit.take());
        if let Some(permit) = permit {
            permit.succeeded();
        }
        if matches!(event, ModelEvent::Done { .. }) {
            self.is_over = true;
            self.queue.clear();
            if let Some(answer) = &mut self.answer {
                answer.drain();
            }
            self.answer = None;
        }
    }

    /// The error to end with, or `None` after a wait when the request is to be sent again.
    async fn give_up_or_wait(&mut self, failure: Failure) -> Option<ModelError> {
        let permit = self.answer.take().and_then(|answer| answer.permit);
        if let Some(permit) = permit {
            if failure.error.is_transient() {
                permit.failed();
            } else {
                permit.succeeded();
            }
        }
        let wait = self
            .core
            .retry
            .wait(&failure, self.attempts, rand::random::<f64>());
        if let Some(wait) = wait.filter(|_| !self.has_spoken) {
            tracing::debug!(
                provider = self.vendor.provider,
                attempts = self.attempts,
                wait_ms = wait.as_millis() as u64,
                error = %failure.error,
                "asking again"
            );
            tokio::time::sleep(wait).await;
            return None;
        }
        self.is_over = true;
        Some(match failure.error {
            ModelError::Unavailable { provider, detail } if self.has_spoken => {
                ModelError::Interrupted { provider, detail }
            }
            error => error,
        })
    }

    async fn open(&mut self) -> Result<(), Failure> {
        let permit = self.core.breaker.permit().map_err(|wait| Failure {
            error: self.vendor.unavailable(format!(
                "it failed several times in a row and is left alone for {} s more",
                wait.as_secs().max(1)
            )),
            retry_after: None,
            may_retry: false,
        })?;
        self.attempts += 1;
        let encoded = self.core.wire.encode(&self.request, &self.options);
        match connect(&self.core, &self.vendor, encoded).await {
            Ok(mut answer) => {
                answer.permit = Some(permit);
                self.answer = Some(answer);
                Ok(())
            }
            Err(failure) => {
                if failure.may_retry {
                    permit.failed();
                }
                Err(failure)
            }
        }
    }

    async fn read_on(&mut self) -> Result<(), Failure> {
        let Some(answer) = &mut self.answer else {
            return Ok(());
        };
        if answer.is_whole {
            let body = std::mem::replace(&mut answer.body, stream::empty().boxed());
            answer.is_whole = false;
            let longest = self.core.endpoint.idle_max * FILLER_IDLE_FACTOR;
            let frame = read_whole(&self.vendor, body, longest).await?;
            return self.decode(&frame);
        }
        let (n_bytes, frames) = match answer.body.next().await {
            Some(Ok(bytes)) => (bytes.len(), answer.framer.push(&bytes)),
            Some(Err(error)) => return Err(self.vendor.egress(&error)),
            None => return self.finish(),
        };
        let frames = frames.map_err(|_| self.vendor.malformed("a line that does not end"))?;
        for frame in frames {
            self.decode(&frame)?;
        }
        self.note_progress(n_bytes)
    }

    /// A stream that only keeps itself alive is given up like one that is silent.
    fn note_progress(&mut self, n_bytes: usize) -> Result<(), Failure> {
        let has_events = !self.queue.is_empty();
        let Some(answer) = &mut self.answer else {
            return Ok(());
        };
        if has_events {
            answer.filler_bytes = 0;
            answer.spoke_at = Instant::now();
            return Ok(());
        }
        if !answer.is_filler_too_much(n_bytes, self.core.endpoint.idle_max) {
            return Ok(());
        }
        if answer.filler_bytes > FILLER_BYTES_MAX {
            let detail = format!("{FILLER_BYTES_MAX} bytes with nothing in them");
            return Err(self.vendor.malformed(detail).into());
        }
        let silence = answer.spoke_at.elapsed().as_secs();
        let detail = format!("for {silence} s only signs of life came");
        Err(self.vendor.unavailable(detail).into())
    }

    fn decode(&mut self, frame: &Frame) -> Result<(), Failure> {
        if let Some(answer) = &mut self.answer {
            let events = answer.decoder.decode(frame)?;
            let holds_arguments = |event: &ModelEvent| {
                matches!(
                    event,
                    ModelEvent::ToolCallBegin { .. } | ModelEvent::ToolCallDelta { .. }
                )
            };
            // A replaced character is a blemish in text and another order in a call.
            if frame.is_lossy && events.iter().any(holds_arguments) {
                return Err(self
                    .vendor
                    .malformed("a tool call that is not UTF-8")
                    .into());
            }
            self.queue.extend(events);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let Some(answer) = &mut self.answer else {
            return Ok(());
        };
        if let Ok(Some(frame)) = answer.framer.finish() {
            // Cut short it is no JSON, which is then no news: the decoder says that the answer broke off.
            match answer.decoder.decode(&frame) {
                Ok(events) => self.queue.extend(events),
                Err(failure) if matches!(failure.error, ModelError::Malformed { .. }) => {
                    let error = failure.error;
                    tracing::debug!(last = one_line(&frame.data), %error, "an answer broke off");
                    return Err(self
                        .vendor
                        .interrupted("the connection closed in the middle of a message")
                        .into());
                }
                Err(failure) => return Err(failure),
            }
        }
        let events = answer.decoder.finish()?;
        self.queue.extend(events);
        Ok(())
    }
}

/// A body that is one value, in the time and size that a stream's silence may have.
async fn read_whole(
    vendor: &Vendor,
    body: BoxStream<Result<Bytes, EgressError>>,
    longest: Duration,
) -> Result<Frame, Failure> {
    let bytes = tokio::time::timeout(longest, read(body, FRAME_BYTES_MAX))
        .await
        .map_err(|_| Failure::from(vendor.unavailable("its answer does not end")))?
        .map_err(|error| vendor.egress(&error))?;
    if bytes.len() == FRAME_BYTES_MAX {
        return Err(vendor.malformed("an answer that does not end").into());
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Frame {
        event: String::new(),
        is_lossy: matches!(text, Cow::Owned(_)),
        data: text.into_owned(),
    })
}

async fn connect(core: &Core, vendor: &Vendor, encoded: Encoded) -> Result<Answer, Failure> {
    let response = core
        .endpoint
        .send(encoded.path, &encoded.headers, Some(&encoded.body))
        .await
        .map_err(|error| vendor.egress(&error))?;
    let response = accepted(vendor, response).await?;
    let content_type = response.header("content-type").unwrap_or("").to_owned();
    if content_type.starts_with("text/html") {
        let page = read_error(response.body).await;
        let title = page_title(&String::from_utf8_lossy(&page)).unwrap_or_default();
        let detail =
            format!("a web page ({title}) instead of an answer; is the base address right?");
        return Err(vendor.malformed(detail).into());
    }
    Ok(Answer {
        body: response.body.fuse().boxed(),
        framer: Framer::new(core.wire.framing()),
        decoder: core.wire.decoder(vendor.clone()),
        permit: None,
        is_whole: core.wire != Wire::Ollama && content_type.starts_with("application/json"),
        filler_bytes: 0,
        spoke_at: Instant::now(),
    })
}
