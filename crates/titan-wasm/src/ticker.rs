//! Moves the engines' epochs on while calls run, so that they look at the clock. Between calls it sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::Engine;

/// How often a running call looks at the clock.
const TICK: Duration = Duration::from_millis(2);

/// A thread that ticks while there is a [`Running`]. Dropping it ends the thread.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    is_over: AtomicBool,
}

/// A call that runs.
pub(crate) struct Running<'a>(&'a Shared);

impl Ticker {
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(engines: [&Engine; 2]) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (engines, seen) = (engines.map(Clone::clone), shared.clone());
        let thread = std::thread::Builder::new()
            .name("wasm-clock".to_owned())
            .spawn(move || tick(&engines, &seen))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Ticks until what it gives is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        let is_first = self.shared.running.fetch_add(1, Ordering::AcqRel) == 0;
        if let Some(thread) = self.thread.as_ref().filter(|_| is_first) {
            thread.thread().unpark();
        }
        Running(&self.shared)
    }
}

fn tick(engines: &[Engine], shared: &Shared) {
    while !shared.is_over.load(Ordering::Acquire) {
        match shared.running.load(Ordering::Acquire) == 0 {
            // An unpark that came in between is remembered, so none is lost.
            true => std::thread::park(),
            false => {
                std::thread::sleep(TICK);
                engines.iter().for_each(Engine::increment_epoch);
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the clock of the components panicked");
            }
        }
    }
}
