//! The local model as a [`Provider`]: one thread of its own, one reply at a time, a bounded queue before it.
//!
//! Opening is cheap; the weights are mapped when the first request comes and let go when none came for a while.
//! Requests of a conversation go before background work. Dropping a reply's stream stops its work within a few
//! milliseconds, also while a prompt is read.

use crate::catalogue;
use crate::decoder::Cancelled;
use crate::error::LocalError;
use crate::generate::{Ended, Model};
use crate::measure::{self, Measurement};
use crate::{LocalConfig, PROVIDER};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use titan_protocol::{
    ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, Provider, Task,
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

/// Requests that wait; one more is turned away.
const QUEUE_MAX: usize = 32;
/// Events of a reply that wait for their reader.
const EVENTS_MAX: usize = 64;

/// Runs one small model in this process.
pub struct LocalProvider {
    shared: Arc<Shared>,
}

struct Shared {
    config: LocalConfig,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    has_worker: bool,
    is_closing: bool,
    is_loaded: bool,
}

struct Job {
    is_background: bool,
    work: Work,
}

enum Work {
    Reply(
        Box<ModelRequest>,
        mpsc::Sender<Result<ModelEvent, ModelError>>,
    ),
    Measure(oneshot::Sender<Result<Measurement, ModelError>>),
}

impl Work {
    fn fail(self, error: ModelError) {
        match self {
            // Nobody may be listening any more; then there is nobody to tell.
            Self::Reply(_, events) => drop(events.blocking_send(Err(error))),
            Self::Measure(answer) => drop(answer.send(Err(error))),
        }
    }
}

impl LocalProvider {
    /// A provider of the configured model. Opens no file and starts no thread yet.
    pub fn open(config: LocalConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
        }
    }

    /// Where the model's file is, if it is on this machine. The next step is in the error's text.
    ///
    /// # Errors
    /// When it is not there.
    pub fn model_path(&self) -> Result<PathBuf, ModelError> {
        self.shared.path()
    }

    /// Whether the weights are in memory now.
    pub fn is_loaded(&self) -> bool {
        self.shared.lock().is_loaded
    }

    /// Loads the model if needed and measures it: a few seconds of full work, queued like a background request.
    ///
    /// # Errors
    /// When the model is not there or can't be run. Dropping the future does not stop a measurement that has begun.
    pub async fn measure(&self) -> Result<Measurement, ModelError> {
        let (answer, measured) = oneshot::channel();
        self.shared.enqueue(Job {
            is_background: true,
            work: Work::Measure(answer),
        })?;
        measured.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for LocalProvider {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.changed.notify_all();
    }
}

#[async_trait]
impl Provider for LocalProvider {
    fn name(&self) -> &str {
        PROVIDER
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        let shared = Arc::clone(&self.shared);
        let start = async move {
            let (events, received) = mpsc::channel(EVENTS_MAX);
            let job = Job {
                is_background: request.task == Task::Utility,
                work: Work::Reply(Box::new(request), events),
            };
            match shared.enqueue(job) {
                Ok(()) => checked(ReceiverStream::new(received).boxed()),
                Err(error) => stream::iter([Err(error)]).boxed(),
            }
        };
        stream::once(start).flatten().boxed()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        Ok(catalogue::MODELS
            .iter()
            .map(|model| ModelInfo {
                provider: PROVIDER.into(),
                model: model.id.into(),
                context_tokens_max: Some(model.context_tokens),
                native_tools: Some(true),
                constrained_output: Some(true),
                is_local: catalogue::find_on_machine(model, &self.shared.config.models_dir)
                    .is_some(),
                price: None,
            })
            .collect())
    }
}

/// The stream with an error at its end if it ends before it is done.
fn checked(events: ModelStream) -> ModelStream {
    let ends = |event: &Result<ModelEvent, ModelError>| {
        matches!(event, Err(_) | Ok(ModelEvent::Done { .. }))
    };
    stream::unfold((events, false), move |(mut events, is_over)| async move {
        if is_over {
            return None;
        }
        let event = events.next().await.unwrap_or_else(|| Err(stopped()));
        let is_over = ends(&event);
        Some((event, (events, is_over)))
    })
    .boxed()
}

fn stopped() -> ModelError {
    ModelError::Interrupted {
        provider: PROVIDER.into(),
        detail: "the model's thread stopped; ask again to start it anew".into(),
    }
}

fn no_model(error: &LocalError) -> ModelError {
    ModelError::NoModel {
        detail: error.to_string(),
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it holds the queue's lock")
    }

    fn path(&self) -> Result<PathBuf, ModelError> {
        catalogue::locate(&self.config.model, &self.config.models_dir)
            .map_err(|error| no_model(&error))
    }

    fn enqueue(self: &Arc<Self>, job: Job) -> Result<(), ModelError> {
        let mut state = self.lock();
        if state.queue.len() >= QUEUE_MAX {
            return Err(ModelError::Limited {
                provider: PROVIDER.into(),
                detail: format!("{QUEUE_MAX} requests wait already"),
                retry_after_ms: Some(1_000),
            });
        }
        let at = match job.is_background {
            true => state.queue.len(),
            false => state
                .queue
                .partition_point(|waiting| !waiting.is_background),
        };
        state.queue.insert(at, job);
        if !state.has_worker {
            let shared = Arc::clone(self);
            std::thread::Builder::new()
                .name("model".into())
                .spawn(move || shared.work())
                .map_err(|error| no_model(&LocalError::System(error)))?;
            state.has_worker = true;
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The thread: takes jobs until the provider is closed.
    fn work(&self) {
        let mut model: Option<Model> = None;
        while let Some(job) = self.next(&mut model) {
            let outcome =
                std::panic::catch_unwind(AssertUnwindSafe(|| self.perform(&mut model, job)));
            if outcome.is_err() {
                tracing::error!("the local model panicked; it is loaded anew at the next request");
                model = None;
            }
            self.lock().is_loaded = model.is_some();
        }
    }

    /// Waits for a job; lets the model go when none comes for long. `None` when the provider is closed and no job is
    /// left.
    fn next(&self, model: &mut Option<Model>) -> Option<Job> {
        let mut state = self.lock();
        let idle_since = Instant::now();
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            // Streams may outlive the provider: what was asked is answered first.
            if state.is_closing {
                state.has_worker = false;
                return None;
            }
            let wait = match model {
                Some(_) => self.config.idle_unload.saturating_sub(idle_since.elapsed()),
                None => Duration::MAX,
            };
            if wait.is_zero() {
                state.is_loaded = false;
                drop(state);
                *model = None;
                give_memory_back();
                state = self.lock();
                continue;
            }
            state = match wait {
                Duration::MAX => self.changed.wait(state).ok()?,
                wait => self.changed.wait_timeout(state, wait).ok()?.0,
            };
        }
    }

    fn perform(&self, model: &mut Option<Model>, job: Job) {
        if let Work::Reply(_, events) = &job.work
            && events.is_closed()
        {
            return;
        }
        if model.is_none() {
            match self.load() {
                Ok(loaded) => *model = Some(loaded),
                Err(error) => return job.work.fail(error),
            }
        }
        let Some(model) = model else {
            return;
        };
        self.lock().is_loaded = true;
        match job.work {
            Work::Reply(request, events) => self.reply(model, &request, &events),
            Work::Measure(answer) => {
                // A receiver that is gone does not want to know.
                drop(answer.send(Ok(measure::run(model))));
            }
        }
    }

    fn load(&self) -> Result<Model, ModelError> {
        let path = self.path()?;
        let start = Instant::now();
        let model =
            Model::load(&path, &self.config.model, &self.config).map_err(|e| no_model(&e))?;
        tracing::info!(path = %path.display(), elapsed = ?start.elapsed(), "local model loaded");
        Ok(model)
    }

    fn reply(
        &self,
        model: &mut Model,
        request: &ModelRequest,
        events: &mpsc::Sender<Result<ModelEvent, ModelError>>,
    ) {
        let cancelled = || events.is_closed();
        let mut emit = |event| events.blocking_send(Ok(event)).map_err(|_gone| Cancelled);
        let route = ModelEvent::Route {
            provider: PROVIDER.into(),
            model: self.config.model.clone(),
            reason: None,
        };
        let outcome = emit(route)
            .map_err(Ended::from)
            .and_then(|()| model.reply(request, &cancelled, &mut emit));
        match outcome {
            Ok(()) => {}
            Err(Ended::Cancelled) => tracing::debug!("a local reply was called off"),
            // Nobody may be listening any more; then there is nobody to tell.
            Err(Ended::Failed(error)) => drop(events.blocking_send(Err(error))),
        }
    }
}

/// Asks the allocator to return what it holds free. The weights themselves go with their mapping.
fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointers and may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny;
    use titan_protocol::{Message, StopReason, Usage};

    fn provider(idle_unload: Duration) -> (tempfile::TempDir, LocalProvider) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = tiny::config(&tiny::write(folder.path(), "qwen2"));
        config.idle_unload = idle_unload;
        (folder, LocalProvider::open(config))
    }

    fn request(task: Task, tokens: u32) -> ModelRequest {
        let mut request = ModelRequest::new(task, "", vec![Message::user("hello")]);
        request.output_tokens_max = tokens;
        request.temperature = Some(1.8);
        request
    }

    async fn events(stream: ModelStream) -> Vec<Result<ModelEvent, ModelError>> {
        stream.collect().await
    }

    #[tokio::test]
    async fn nothing_is_loaded_before_the_first_request_is_polled() {
        let (_folder, provider) = provider(Duration::from_secs(60));
        let stream = provider.stream(request(Task::Chat, 4));
        assert!(!provider.is_loaded() && !provider.shared.lock().has_worker);
        let events = events(stream).await;
        assert!(matches!(events[0], Ok(ModelEvent::Route { .. })));
        assert!(matches!(events.last(), Some(Ok(ModelEvent::Done { .. }))));
        let usage = &events[events.len() - 2];
        assert!(matches!(
            usage,
            Ok(ModelEvent::Usage(Usage {
                cost_usd_micros: Some(0),
                ..
            }))
        ));
    }

    #[tokio::test]
    async fn an_idle_model_is_let_go_and_comes_back() {
        let (_folder, provider) = provider(Duration::from_millis(1));
        events(provider.stream(request(Task::Chat, 2))).await;
        while provider.is_loaded() {
            tokio::task::yield_now().await;
        }
        let again = events(provider.stream(request(Task::Chat, 2))).await;
        assert!(matches!(again.last(), Some(Ok(ModelEvent::Done { .. }))));
    }

    #[tokio::test]
    async fn a_missing_model_is_an_error_with_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = LocalConfig::new(folder.path());
        config.model = "no-such-model".into();
        let provider = LocalProvider::open(config);
        let events = events(provider.stream(request(Task::Chat, 2))).await;
        let [Err(ModelError::NoModel { detail })] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert!(detail.contains("titanclaw models"), "{detail}");
    }

    #[tokio::test]
    async fn conversations_go_before_background_work_and_the_queue_has_an_end() {
        let (_folder, provider) = provider(Duration::from_secs(60));
        // A worker that is claimed to exist takes nothing, so the queue can be looked at.
        provider.shared.lock().has_worker = true;
        let mut held = Vec::new();
        let mut enqueue = |task| {
            let (events, received) = mpsc::channel(1);
            held.push(received);
            provider.shared.enqueue(Job {
                is_background: task == Task::Utility,
                work: Work::Reply(Box::new(request(task, 1)), events),
            })
        };
        for task in [Task::Utility, Task::Chat, Task::Utility, Task::Code] {
            enqueue(task).unwrap();
        }
        let order: Vec<Task> = provider
            .shared
            .lock()
            .queue
            .iter()
            .map(|job| match &job.work {
                Work::Reply(request, _) => request.task,
                Work::Measure(_) => panic!("nobody measures"),
            })
            .collect();
        assert_eq!(
            order,
            [Task::Chat, Task::Code, Task::Utility, Task::Utility]
        );
        for _ in 4..QUEUE_MAX {
            enqueue(Task::Chat).unwrap();
        }
        assert!(matches!(
            enqueue(Task::Chat),
            Err(ModelError::Limited { .. })
        ));
    }

    #[tokio::test]
    async fn a_dropped_stream_frees_the_model_for_the_next() {
        let (_folder, provider) = provider(Duration::from_secs(60));
        let mut endless = provider.stream(request(Task::Chat, 1_000_000));
        while let Some(event) = endless.next().await {
            if matches!(event, Ok(ModelEvent::TextDelta { .. })) {
                break;
            }
        }
        drop(endless);
        let next = events(provider.stream(request(Task::Chat, 2))).await;
        let done = |stop| Some(Ok(ModelEvent::Done { stop }));
        let last = next.last().cloned();
        assert!(
            [done(StopReason::Length), done(StopReason::End)].contains(&last),
            "{last:?}"
        );
    }

    #[tokio::test]
    async fn a_model_can_be_measured() {
        let (_folder, provider) = provider(Duration::from_secs(60));
        let measured = provider.measure().await.unwrap();
        assert!(measured.read_tokens_per_second > 0.0 && measured.write_tokens_per_second > 0.0);
        assert_eq!(measured.threads, 2);
    }
}
