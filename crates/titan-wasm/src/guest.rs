//! What one call of a component has used and may use.

use crate::bindings::titanclaw::tool::{clock, log, random};
use crate::trouble::Halt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime::ResourceLimiter;

/// Bytes of lines that a call may log; what is more is left out.
const LOG_BYTES_MAX: usize = 8 << 10;
/// Entries of all tables of a call together.
const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Core instances of a call; what the usual toolchains build has three.
const INSTANCES_MAX: usize = 32;

/// What one call may use. Every field is a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it may run. Looked at every 2 ms.
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
    pub(crate) fn new(limits: Limits, is_stopped: Arc<AtomicBool>) -> Self {
        Self {
            limits,
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

    pub(crate) fn into_log(self) -> String {
        self.log
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

impl log::Host for Guest {
    fn write(&mut self, line: String) -> wasmtime::Result<()> {
        self.host_call()?;
        if self.log.len() + line.len() < LOG_BYTES_MAX {
            self.log.push_str(line.trim_end());
            self.log.push('\n');
        }
        Ok(())
    }
}

impl clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.host_call()?;
        let elapsed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}

impl random::Host for Guest {
    fn next(&mut self) -> wasmtime::Result<u64> {
        self.host_call()?;
        Ok(rand::random())
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
