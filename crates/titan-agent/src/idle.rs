//! What happens when nothing happens: idle sessions leave memory, and a quiet engine says so.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// A session that nothing happens in is put away after this long; it comes back from the journal.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// So many idle sessions are kept; beyond, the one that was idle longest is put away at once.
const IDLE_SESSIONS_MAX: usize = 16;

/// The engine is quiet when no turn has run for so long.
const QUIET_AFTER: Duration = Duration::from_secs(1);

/// The sessions that are idle now.
#[derive(Clone, Default)]
pub(crate) struct Idle {
    /// Those that were idle longest come first.
    places: Arc<Mutex<VecDeque<Arc<Notify>>>>,
}

/// One idle session. It is idle until this is dropped.
pub(crate) struct Place {
    idle: Idle,
    taken: Arc<Notify>,
}

impl Idle {
    /// Counts a session as idle. If there are too many, the one that was idle longest has to go.
    pub(crate) fn enter(&self) -> Place {
        let taken = Arc::new(Notify::new());
        let mut places = self.places.lock();
        places.push_back(Arc::clone(&taken));
        if places.len() > IDLE_SESSIONS_MAX
            && let Some(longest) = places.pop_front()
        {
            longest.notify_one();
        }
        Place {
            idle: self.clone(),
            taken,
        }
    }
}

impl Place {
    /// Returns when the session has been idle for long enough, or another needs its room.
    pub(crate) async fn is_up(&self) {
        // Either way it goes; the wait has no other outcome.
        let _elapsed = tokio::time::timeout(IDLE_MAX, self.taken.notified()).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.idle.places.lock();
        places.retain(|other| !Arc::ptr_eq(other, &self.taken));
    }
}

/// Knows when the last turn has ended, and calls somebody a moment later.
pub(crate) struct Calm {
    shared: Arc<Turns>,
}

struct Turns {
    running: watch::Sender<usize>,
    begun: AtomicU64,
    /// Somebody waits for the quiet.
    is_awaited: AtomicBool,
    at_rest: fn(),
}

/// A turn that runs. Dropping it ends it.
pub(crate) struct RunningTurn {
    turns: Arc<Turns>,
}

impl Calm {
    pub(crate) fn new(at_rest: fn()) -> Self {
        Self {
            shared: Arc::new(Turns {
                running: watch::Sender::new(0),
                begun: AtomicU64::new(0),
                is_awaited: AtomicBool::new(false),
                at_rest,
            }),
        }
    }

    /// How many turns run, now and from now on.
    pub(crate) fn turns(&self) -> watch::Receiver<usize> {
        self.shared.running.subscribe()
    }

    pub(crate) fn enter(&self) -> RunningTurn {
        self.shared.running.send_modify(|running| *running += 1);
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        RunningTurn {
            turns: Arc::clone(&self.shared),
        }
    }
}

impl Drop for RunningTurn {
    fn drop(&mut self) {
        let mut was_last = false;
        self.turns.running.send_modify(|running| {
            *running -= 1;
            was_last = *running == 0;
        });
        // Outside a runtime there is no engine left to rest.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if was_last && !self.turns.is_awaited.swap(true, Ordering::SeqCst) {
            runtime.spawn(rest(Arc::clone(&self.turns)));
        }
    }
}

/// Waits until no turn has run for a moment. There is no timer after that.
async fn rest(turns: Arc<Turns>) {
    loop {
        let begun = turns.begun.load(Ordering::SeqCst);
        tokio::time::sleep(QUIET_AFTER).await;
        let is_quiet = *turns.running.borrow() == 0;
        if is_quiet && turns.begun.load(Ordering::SeqCst) == begun {
            break;
        }
    }
    turns.is_awaited.store(false, Ordering::SeqCst);
    (turns.at_rest)();
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::atomic::AtomicUsize;

    fn has_to_go(place: &Place) -> bool {
        place.is_up().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_idle_longest_makes_room() {
        let idle = Idle::default();
        let mut places: Vec<Place> = (0..IDLE_SESSIONS_MAX).map(|_| idle.enter()).collect();
        // The first one works again and then is the last one that became idle.
        drop(places.remove(0));
        places.push(idle.enter());
        assert!(!places.iter().any(has_to_go));
        let another = idle.enter();
        assert!(has_to_go(&places[0]));
        assert!(!places[1..].iter().any(has_to_go) && !has_to_go(&another));
        drop((places, another));
        assert!(idle.places.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_session_goes_by_itself_in_time() {
        let place = Idle::default().enter();
        tokio::time::timeout(IDLE_MAX + Duration::from_secs(1), place.is_up())
            .await
            .expect("its time was up");
    }

    #[tokio::test(start_paused = true)]
    async fn the_engine_rests_once_after_the_last_of_many_turns() {
        static RESTS: AtomicUsize = AtomicUsize::new(0);
        let rests = || RESTS.load(Ordering::SeqCst);
        let calm = Calm::new(|| {
            RESTS.fetch_add(1, Ordering::SeqCst);
        });
        let (first, second) = (calm.enter(), calm.enter());
        drop(first);
        tokio::time::sleep(QUIET_AFTER * 2).await;
        assert_eq!(rests(), 0, "one still runs");
        drop(second);
        tokio::time::sleep(QUIET_AFTER / 2).await;
        drop(calm.enter());
        tokio::time::sleep(QUIET_AFTER * 3 / 4).await;
        assert_eq!(rests(), 0, "one began within the moment");
        tokio::time::sleep(QUIET_AFTER * 2).await;
        assert_eq!(rests(), 1);
    }
}
