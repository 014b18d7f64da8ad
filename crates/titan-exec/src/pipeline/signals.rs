//! What a running call tells the person, and the time that it waits for them.

use super::{EventSink, Opinion};
use crate::provenance::Provenance;
use crate::redact::{RedactStream, Redactor};
use crate::validator::{Finding, Validator};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};
use titan_protocol::{CallId, Event, PlanItem, Step, StorageError, Surface, ToolSignals};
use tokio::sync::{Notify, mpsc};

/// Pieces of output that wait to be shown; the tool waits when there are more.
pub(super) const OUTPUT_PIECES_MAX: usize = 64;

/// Output that comes faster than it is shown is shown in events of about this many bytes; the tool waits when there is
/// more.
const OUTPUT_EVENT_BYTES_MAX: usize = 64 << 10;

/// The least time between two events with output of one call: 30 in a second are as many as anybody sees.
const OUTPUT_INTERVAL: Duration = Duration::from_millis(33);

/// Passes output on as events while the tool runs, redacted: the first piece at once, those that follow it closely
/// joined. Ends when all senders are gone.
pub(super) async fn show(
    events: &dyn EventSink,
    call: CallId,
    mut redactor: RedactStream,
    mut pieces: mpsc::Receiver<String>,
) -> Result<(), StorageError> {
    let mut quiet_until = tokio::time::Instant::now();
    while let Some(mut joined) = pieces.recv().await {
        while joined.len() < OUTPUT_EVENT_BYTES_MAX
            && let Ok(Some(next)) = tokio::time::timeout_at(quiet_until, pieces.recv()).await
        {
            joined.push_str(&next);
        }
        if !pieces.is_closed() {
            tokio::time::sleep_until(quiet_until).await;
        }
        tell(events, &call, redactor.push(&joined)).await?;
        quiet_until = tokio::time::Instant::now() + OUTPUT_INTERVAL;
    }
    tell(events, &call, redactor.finish()).await
}

async fn tell(events: &dyn EventSink, call: &CallId, text: String) -> Result<(), StorageError> {
    if text.is_empty() {
        return Ok(());
    }
    let call = call.clone();
    events.emit(Event::ToolOutputDelta { call, text }).await
}

/// A call's way to the person.
pub(super) struct Signals {
    pub(super) events: Arc<dyn EventSink>,
    pub(super) heard: Arc<Mutex<Provenance>>,
    pub(super) pieces: mpsc::Sender<String>,
    pub(super) waited: Waited,
    pub(super) reader: Arc<Reader>,
}

/// Who reads along what a call puts out.
#[derive(Default)]
pub(super) struct Reader {
    validator: Mutex<Validator>,
    /// What runs, as far as it has begun.
    call: Mutex<String>,
    has_read: Notify,
}

/// A program that said nothing for so long after a question waits for its answer.
const QUESTION_WAIT: Duration = Duration::from_secs(5);

/// After this long an opinion is asked for, if there is one, and again each time that the call has run for twice as long.
const OPINION_WAIT: Duration = Duration::from_secs(15);
/// Opinions that are asked for of one call; the last one after two minutes.
const OPINIONS_MAX: u32 = 4;
/// Bytes of what a call runs that are kept for who is asked about it.
const CALL_BYTES_MAX: usize = 2 << 10;

impl Reader {
    fn push(&self, text: &str) {
        self.validator.lock().push(text);
        self.has_read.notify_one();
    }

    /// Something failed in a way that whatever builds on it fails too.
    pub(super) fn failure(&self) -> Option<Finding> {
        self.validator.lock().failure().cloned()
    }

    /// The end of what was put out.
    pub(super) fn tail(&self) -> String {
        self.validator.lock().tail()
    }

    /// A step begins.
    pub(super) fn begins(&self, tool: &str, step: &Step) {
        let mut call = self.call.lock();
        if call.is_empty() {
            call.push_str(tool);
        }
        let texts = step
            .call
            .arguments
            .values()
            .filter_map(|value| value.as_str());
        for text in texts {
            call.push('\n');
            let room = CALL_BYTES_MAX.saturating_sub(call.len());
            call.extend(text.chars().take(room));
        }
    }

    /// Returns when the call can't come to an end by itself, with the reason. Safe to drop.
    pub(super) async fn hopeless(
        &self,
        opinion: Option<&dyn Opinion>,
        redactor: &Redactor,
    ) -> Finding {
        tokio::select! {
            biased;
            finding = self.found_by_rules() => finding,
            finding = self.found_by_opinion(opinion, redactor) => finding,
        }
    }

    async fn found_by_opinion(
        &self,
        opinion: Option<&dyn Opinion>,
        redactor: &Redactor,
    ) -> Finding {
        let Some(opinion) = opinion else {
            return pending().await;
        };
        let mut wait = OPINION_WAIT;
        for asked in 0..OPINIONS_MAX {
            tokio::time::sleep(wait).await;
            wait = OPINION_WAIT * 2_u32.pow(asked);
            let (call, output) = (self.call.lock().clone(), self.tail());
            if output.is_empty() {
                continue;
            }
            let (call, output) = (redactor.redact(&call), redactor.redact(&output));
            if let Some(reason) = opinion.against(&call, &output).await {
                return Finding {
                    rule: "opinion",
                    what: format!("a model that reads along says {reason:?}"),
                };
            }
        }
        pending().await
    }

    async fn found_by_rules(&self) -> Finding {
        loop {
            let (question, repetition) = {
                let validator = self.validator.lock();
                (validator.question(), validator.repetition())
            };
            if let Some(finding) = repetition {
                return finding;
            }
            let read = self.has_read.notified();
            match question {
                None => read.await,
                Some(finding) => {
                    if tokio::time::timeout(QUESTION_WAIT, read).await.is_err() {
                        return finding;
                    }
                }
            }
        }
    }
}

/// How long a call has waited for the person, which its own time does not count.
#[derive(Clone, Default)]
pub(super) struct Waited(Arc<Mutex<(Duration, u32)>>);

impl Waited {
    pub(super) fn get(&self) -> Duration {
        self.0.lock().0
    }

    /// Waits for the person, off the clock.
    pub(super) async fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        let started = Instant::now();
        self.0.lock().1 += 1;
        let answer = answer.await;
        let mut waited = self.0.lock();
        waited.0 += started.elapsed();
        waited.1 -= 1;
        answer
    }

    /// Returns when a call has run for `limit`, waits for the person left out.
    pub(super) async fn limit(&self, limit: Duration) {
        let mut counted = Duration::ZERO;
        let mut left = limit;
        loop {
            tokio::time::sleep(left).await;
            let (waited, waiting) = *self.0.lock();
            match waited - counted {
                Duration::ZERO if waiting == 0 => return,
                // Still waiting: look again when as much time again has gone by.
                Duration::ZERO => left = limit,
                more => left = more,
            }
            counted = waited;
        }
    }
}

impl Signals {
    async fn emit(&self, event: Event) {
        if let Err(error) = self.events.emit(event).await {
            tracing::error!(%error, "what a tool told could not be stored");
        }
    }
}

#[async_trait]
impl ToolSignals for Signals {
    async fn output(&self, text: &str) {
        self.reader.push(text);
        // The receiver lives as long as the call runs; after that nobody listens, and nothing is lost: the whole
        // output is the call's result.
        let _ = self.pieces.send(text.to_owned()).await;
    }

    async fn plan(&self, items: Vec<PlanItem>) {
        self.emit(Event::PlanUpdated { items }).await;
    }

    async fn draw(&self, surface: Surface) {
        self.emit(Event::CanvasDrawn { surface }).await;
    }

    async fn remove_surface(&self, name: &str) {
        let name = name.to_owned();
        self.emit(Event::CanvasRemoved { name }).await;
    }

    async fn ask(&self, question: &str, choices: &[String]) -> Option<String> {
        let answer = self.waited.wait(self.events.ask(question, choices)).await?;
        self.heard.lock().person_said(&answer);
        Some(answer)
    }
}
