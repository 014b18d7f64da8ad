//! What one call of a component has used and may use.

use crate::bindings::first::titanclaw::tool as first;
use crate::bindings::second::titanclaw::tool as second;
use crate::bindings::second::titanclaw::tool::http::Response;
use crate::reach::Reach;
use crate::state::State;
use crate::trouble::Halt;
use crate::wasi::{Given, Wasi};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime::ResourceLimiter;

/// Bytes of lines that a call may log; what is more is left out.
pub(crate) const LOG_BYTES_MAX: usize = 8 << 10;
/// Entries of all tables of a call together.
const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Core instances of a call; what the usual toolchains build has three.
const INSTANCES_MAX: usize = 32;

/// What one call may use. Every field is a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it may run, waits for what it asked of others left out. Looked at every 2 ms.
    pub wall_clock_max: Duration,
    /// Bytes of all its memories together, at most 64 MiB.
    pub memory_bytes_max: usize,
    /// Bytes of what it gives back.
    pub output_bytes_max: usize,
    /// Calls of functions of the host.
    pub host_calls_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_clock_max: Duration::from_secs(10),
            memory_bytes_max: 64 << 20,
            output_bytes_max: 1 << 20,
            host_calls_max: 10_000,
        }
    }
}

/// The host's side of one call.
pub(crate) struct Guest {
    limits: Limits,
    state: Option<State>,
    /// `None` where nothing that it may import reaches out.
    reach: Option<Reach>,
    /// Made when it is first asked for: few components do.
    wasi: Option<Box<Wasi>>,
    until: Instant,
    is_stopped: Arc<AtomicBool>,
    memory_bytes: usize,
    table_elements: usize,
    host_calls: u32,
    log: String,
    /// The first limit that it met and may not have told of itself: refused memory is only a number to a guest.
    pub(crate) halted: Option<Halt>,
}

impl Guest {
    pub(crate) fn new(
        limits: Limits,
        state: Option<State>,
        reach: Option<Reach>,
        is_stopped: Arc<AtomicBool>,
    ) -> Self {
        Self {
            limits,
            state,
            reach,
            wasi: None,
            until: Instant::now() + limits.wall_clock_max,
            is_stopped,
            memory_bytes: 0,
            table_elements: 0,
            host_calls: 0,
            log: String::new(),
            halted: None,
        }
    }

    /// Why it may not go on, if it may not.
    pub(crate) fn over(&self) -> Option<Halt> {
        if self.is_stopped.load(Ordering::Relaxed) {
            return Some(Halt::Stopped);
        }
        let after = self.limits.wall_clock_max;
        (Instant::now() >= self.until).then_some(Halt::Time { after })
    }

    /// What it logged, and the way out that it had.
    pub(crate) fn into_parts(self) -> (String, Option<Reach>) {
        let printed = self.wasi.map(|wasi| wasi.log()).unwrap_or_default();
        (self.log + &printed, self.reach)
    }

    /// Gives it what it sees of a machine, before it runs.
    pub(crate) fn with_wasi(mut self, wasi: Wasi) -> Self {
        self.wasi = Some(Box::new(wasi));
        self
    }

    /// What it sees of a machine.
    pub(crate) fn wasi(&mut self) -> &mut Wasi {
        let limits = self.limits;
        let empty = || Box::new(Wasi::new("", Given::default(), limits));
        self.wasi.get_or_insert_with(empty)
    }

    fn host_call(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        let max = self.limits.host_calls_max;
        match self.host_calls <= max {
            true => Ok(()),
            false => Err(wasmtime::Error::new(Halt::HostCalls { max })),
        }
    }

    fn refuse(&mut self, halt: Halt) -> wasmtime::Result<bool> {
        self.halted.get_or_insert(halt);
        Ok(false)
    }
}

impl Guest {
    fn line(&mut self, line: &str) -> wasmtime::Result<()> {
        self.host_call()?;
        if self.log.len() + line.len() < LOG_BYTES_MAX {
            self.log.push_str(line.trim_end());
            self.log.push('\n');
        }
        Ok(())
    }

    fn now(&mut self) -> wasmtime::Result<u64> {
        self.host_call()?;
        let elapsed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    fn random(&mut self) -> wasmtime::Result<u64> {
        self.host_call()?;
        Ok(rand::random())
    }

    /// Its values. A component that has none has not linked.
    fn state(&mut self) -> wasmtime::Result<&State> {
        self.host_call()?;
        let state = self.state.as_ref();
        state.ok_or_else(|| wasmtime::Error::msg("no values are kept here"))
    }

    /// What it is about to ask of others is not counted as time that it runs, and waits at most as long as they do.
    async fn outside<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut Reach) -> Result<T, String>,
    ) -> wasmtime::Result<Result<T, String>> {
        self.host_call()?;
        let Some(reach) = &mut self.reach else {
            return Err(wasmtime::Error::msg("nothing is reached from here"));
        };
        let asked = Instant::now();
        let answer = ask(reach).await;
        self.until += asked.elapsed();
        Ok(answer)
    }
}

impl first::log::Host for Guest {
    fn write(&mut self, line: String) -> wasmtime::Result<()> {
        self.line(&line)
    }
}

impl first::clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Self::now(self)
    }
}

impl first::random::Host for Guest {
    fn next(&mut self) -> wasmtime::Result<u64> {
        self.random()
    }
}

impl second::log::Host for Guest {
    fn write(&mut self, line: String) -> wasmtime::Result<()> {
        self.line(&line)
    }
}

impl second::clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Self::now(self)
    }
}

impl second::random::Host for Guest {
    fn next(&mut self) -> wasmtime::Result<u64> {
        self.random()
    }
}

impl second::state::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.state()?.get(&key))
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), String>> {
        Ok(self.state()?.set(&key, &value))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), String>> {
        Ok(self.state()?.delete(&key))
    }

    fn keys(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.state()?.keys())
    }
}

impl second::http::Host for Guest {
    async fn get(&mut self, url: String) -> wasmtime::Result<Result<Response, String>> {
        self.outside(async |reach| reach.get(&url).await).await
    }

    async fn post(
        &mut self,
        url: String,
        content_type: String,
        body: Vec<u8>,
    ) -> wasmtime::Result<Result<Response, String>> {
        self.outside(async |reach| reach.post(&url, content_type, body).await)
            .await
    }
}

impl second::tools::Host for Guest {
    async fn call(
        &mut self,
        name: String,
        arguments: String,
    ) -> wasmtime::Result<Result<String, String>> {
        self.outside(async |reach| reach.call(&name, &arguments).await)
            .await
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let max = self.limits.memory_bytes_max;
        let bytes = self.memory_bytes.saturating_add(desired - current);
        if bytes > max {
            return self.refuse(Halt::Memory { max });
        }
        self.memory_bytes = bytes;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let max = TABLE_ELEMENTS_MAX;
        let elements = self.table_elements.saturating_add(desired - current);
        if elements > max {
            return self.refuse(Halt::Table { max });
        }
        self.table_elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }
}
