//! A small team of threads that shares one loop at a time.
//!
//! A forward pass hands out some two hundred loops per token, each a fraction of a millisecond long, so members wait
//! by spinning a little before they sleep. Each has a span of units of its own and takes them in order, so that memory
//! is read in long runs; who has none left takes from the end of another's: on a busy machine the caller does the work
//! of a member that is not scheduled, and nobody waits for it. Not a general thread pool: one loop at a time, started
//! by the one thread that owns the [`Pool`].

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a member spins for the next loop before it sleeps.
const SPIN_MAX: Duration = Duration::from_micros(60);

/// Turns of the spin loop between two looks at the clock.
const SPINS_PER_LOOK: u32 = 32;

/// The most threads that a pool has; more than any machine's cores are of no use to a small model.
pub(crate) const THREADS_MAX: usize = 64;

/// The gate's bit that says that members may enter; the bits below count those inside.
const OPEN: u32 = 1 << 31;

type Body = dyn Fn(usize) + Sync;

/// The team. `Send`, not `Sync`: its loops are started by one thread at a time.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    members: Vec<JoinHandle<()>>,
    one_owner: PhantomData<Cell<()>>,
}

struct Shared {
    gate: AtomicU32,
    /// Counts the loops.
    round: AtomicU32,
    /// The caller's span and each member's.
    spans: Vec<Span>,
    stop: AtomicBool,
    panicked: AtomicBool,
    asleep: Vec<AtomicBool>,
    body: UnsafeCell<*const Body>,
}

// SAFETY: `body` is written only by the owner while the gate is closed and empty, and read only by members that
// entered through the open gate, whose compare-and-swap synchronises with the opening store.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `body` is only followed inside the gate, while the owner's borrow lives.
unsafe impl Send for Shared {}

impl Pool {
    /// A team of `threads` in all, the caller included; at least 1, at most [`THREADS_MAX`].
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let others = threads.clamp(1, THREADS_MAX) - 1;
        let nothing: &'static Body = &|_| {};
        let shared = Arc::new(Shared {
            gate: AtomicU32::new(0),
            round: AtomicU32::new(0),
            spans: (0..=others).map(|_| Span::default()).collect(),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            asleep: (0..others).map(|_| AtomicBool::new(false)).collect(),
            body: UnsafeCell::new(nothing),
        });
        let mut pool = Self {
            shared,
            members: Vec::with_capacity(others),
            one_owner: PhantomData,
        };
        for index in 0..others {
            let shared = Arc::clone(&pool.shared);
            let member = std::thread::Builder::new()
                .name(format!("model-{}", index + 1))
                .spawn(move || shared.serve(index))?;
            pool.members.push(member);
        }
        Ok(pool)
    }

    /// Threads in all.
    pub(crate) fn threads(&self) -> usize {
        self.members.len() + 1
    }

    /// Calls `body` once for each unit in `0..units`, in any order and on any member, and returns when all are done.
    ///
    /// # Panics
    /// When `body` does.
    pub(crate) fn run(&self, units: usize, body: &(dyn Fn(usize) + Sync)) {
        if self.members.is_empty() || units < 2 {
            (0..units).for_each(body);
            return;
        }
        let shared = &*self.shared;
        // SAFETY: the gate is closed and empty, so nobody reads the body; the lifetime is erased, and this function
        // does not return (nor unwind, see `Closing`) before the gate is closed and empty again.
        unsafe {
            *shared.body.get() =
                std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const Body>(body);
        }
        let count = shared.spans.len();
        for (i, span) in shared.spans.iter().enumerate() {
            span.set(units * i / count, units * (i + 1) / count);
        }
        shared.gate.store(OPEN, Ordering::Release);
        shared.round.fetch_add(1, Ordering::SeqCst);
        let closing = Closing(shared);
        self.wake(units - 1);
        shared.take_units(body, 0);
        drop(closing);
        assert!(
            !shared.panicked.load(Ordering::Relaxed),
            "a model thread panicked"
        );
    }

    fn wake(&self, at_most: usize) {
        for (member, asleep) in self.members.iter().zip(&self.shared.asleep).take(at_most) {
            if asleep.load(Ordering::SeqCst) {
                member.thread().unpark();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for member in self.members.drain(..) {
            member.thread().unpark();
            // A member that panicked was reported by `run`; there is nothing left to say.
            drop(member.join());
        }
    }
}

/// Units that are left of a member's share: the first in the upper half, where the last ends in the lower. On a cache
/// line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Span(AtomicU64);

impl Span {
    fn set(&self, from: usize, to: usize) {
        self.0
            .store((from as u64) << 32 | to as u64, Ordering::Relaxed);
    }

    fn take_first(&self) -> Option<usize> {
        self.take(|from, to| (from, (from + 1) << 32 | to))
    }

    fn take_last(&self) -> Option<usize> {
        self.take(|from, to| (to - 1, from << 32 | (to - 1)))
    }

    fn take(&self, one: impl Fn(u64, u64) -> (u64, u64)) -> Option<usize> {
        let split = |span: u64| {
            let (from, to) = (span >> 32, span & u64::from(u32::MAX));
            (from < to).then(|| one(from, to))
        };
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |span| {
                split(span).map(|(_, left)| left)
            })
            .ok()
            .and_then(split)
            .map(|(unit, _)| unit as usize)
    }
}

/// Closes the gate and waits until nobody is inside, also when the owner's own share panics.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.gate.fetch_and(!OPEN, Ordering::AcqRel) & !OPEN;
        let mut spins = 0_u32;
        while inside > 0 {
            spins += 1;
            if spins.is_multiple_of(1024) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
            inside = self.0.gate.load(Ordering::Acquire);
        }
    }
}

/// Leaves the gate, also when the body panics.
struct Inside<'a>(&'a Shared);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked.store(true, Ordering::Relaxed);
        }
        self.0.gate.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    /// Takes the units of this member's span, then what is left of the others'.
    fn take_units(&self, body: &(dyn Fn(usize) + Sync), member: usize) {
        while let Some(unit) = self.spans[member].take_first() {
            body(unit);
        }
        for span in &self.spans {
            while let Some(unit) = span.take_last() {
                body(unit);
            }
        }
    }

    fn serve(&self, index: usize) {
        let mut seen = 0;
        while self.wait(index, seen) {
            // A round that is over already is one to be glad of.
            seen = self.round.load(Ordering::SeqCst);
            if let Some(inside) = self.enter() {
                seen = self.round.load(Ordering::SeqCst);
                // SAFETY: inside the open gate the body is not written and its borrow is alive.
                let body = unsafe { &**self.body.get() };
                self.take_units(body, index + 1);
                drop(inside);
            }
        }
    }

    fn enter(&self) -> Option<Inside<'_>> {
        self.gate
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |gate| {
                (gate & OPEN != 0).then_some(gate + 1)
            })
            .ok()
            .map(|_| Inside(self))
    }

    /// Returns when there is a round that was not seen yet: spins first, then sleeps. Whether to go on.
    fn wait(&self, index: usize, seen: u32) -> bool {
        let is_new = || self.round.load(Ordering::SeqCst) != seen;
        let start = Instant::now();
        while start.elapsed() < SPIN_MAX {
            for _ in 0..SPINS_PER_LOOK {
                if is_new() {
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        let asleep = &self.asleep[index];
        asleep.store(true, Ordering::SeqCst);
        // The owner begins the round before it looks who sleeps: one of the two sees the other.
        while !is_new() && !self.stop.load(Ordering::SeqCst) {
            std::thread::park();
        }
        asleep.store(false, Ordering::SeqCst);
        !self.stop.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn every_unit_runs_exactly_once() {
        let pool = Pool::new(4).unwrap();
        for units in [0, 1, 2, 3, 100, 1000] {
            let counts: Vec<AtomicUsize> = (0..units).map(|_| AtomicUsize::new(0)).collect();
            for _ in 0..50 {
                pool.run(units, &|unit| {
                    counts[unit].fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 50));
        }
    }

    #[test]
    fn a_panic_in_the_body_reaches_the_caller_and_leaves_the_pool_empty() {
        let pool = Pool::new(2).unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.run(8, &|_| panic!("as planned"));
        }));
        assert!(caught.is_err());
        assert_eq!(pool.shared.gate.load(Ordering::Acquire), 0);
    }
}
