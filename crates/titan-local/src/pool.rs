//! A small team of threads that shares one loop at a time.
//!
//! A forward pass hands out some two hundred loops per token, each a fraction of a millisecond long, so members wait
//! by spinning a little before they sleep. Units are taken from a counter, never assigned: on a busy machine the
//! caller does the work of a member that is not scheduled, and nobody waits for it. Not a general thread pool: one
//! loop at a time, started by the one thread that owns the [`Pool`].

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
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
    next: AtomicUsize,
    units: AtomicUsize,
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
            next: AtomicUsize::new(0),
            units: AtomicUsize::new(0),
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
        shared.units.store(units, Ordering::Relaxed);
        shared.next.store(0, Ordering::Relaxed);
        shared.gate.store(OPEN, Ordering::SeqCst);
        let closing = Closing(shared);
        self.wake(units - 1);
        shared.take_units(body, units);
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
    fn take_units(&self, body: &(dyn Fn(usize) + Sync), units: usize) {
        loop {
            let unit = self.next.fetch_add(1, Ordering::Relaxed);
            if unit >= units {
                return;
            }
            body(unit);
        }
    }

    fn serve(&self, index: usize) {
        while !self.stop.load(Ordering::SeqCst) {
            match self.enter() {
                Some(inside) => {
                    // SAFETY: inside the open gate the body is not written and its borrow is alive.
                    let body = unsafe { &**self.body.get() };
                    self.take_units(body, self.units.load(Ordering::Relaxed));
                    drop(inside);
                    self.wait(index);
                }
                None => self.wait(index),
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

    /// Returns when there may be units to take: spins first, then sleeps.
    fn wait(&self, index: usize) {
        let start = Instant::now();
        while start.elapsed() < SPIN_MAX {
            for _ in 0..SPINS_PER_LOOK {
                if self.has_units() {
                    return;
                }
                std::hint::spin_loop();
            }
        }
        let asleep = &self.asleep[index];
        asleep.store(true, Ordering::SeqCst);
        // The owner opens the gate before it looks who sleeps: one of the two sees the other.
        while !self.has_units() && !self.stop.load(Ordering::SeqCst) {
            std::thread::park();
        }
        asleep.store(false, Ordering::SeqCst);
    }

    fn has_units(&self) -> bool {
        self.gate.load(Ordering::SeqCst) & OPEN != 0
            && self.next.load(Ordering::Relaxed) < self.units.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
