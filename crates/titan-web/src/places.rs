//! Room for connections. When it is full, whoever waits longest without having shown a token makes room.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The connections that there are, in the order in which they came.
pub(crate) struct Places {
    places_max: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    next: u64,
    places: BTreeMap<u64, Entry>,
}

struct Entry {
    leave: CancellationToken,
    is_known: bool,
}

/// One connection's place, free again when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    id: u64,
    leave: CancellationToken,
}

impl Places {
    pub(crate) fn new(places_max: usize) -> Self {
        Self {
            places_max,
            held: Mutex::default(),
        }
    }

    /// A place, for which a stranger may have to go; `None` when all are held by those who showed a token.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut held = self.held.lock();
        if held.places.len() >= self.places_max {
            let stranger = held.places.iter().find(|(_, entry)| !entry.is_known);
            let id = *stranger?.0;
            if let Some(entry) = held.places.remove(&id) {
                entry.leave.cancel();
            }
        }
        let id = held.next;
        held.next += 1;
        let leave = CancellationToken::new();
        let entry = Entry {
            leave: leave.clone(),
            is_known: false,
        };
        held.places.insert(id, entry);
        Some(Place {
            places: Arc::clone(self),
            id,
            leave,
        })
    }

    /// Connections that are held now.
    pub(crate) fn held(&self) -> usize {
        self.held.lock().places.len()
    }
}

impl Place {
    /// Somebody on this connection showed a token.
    pub(crate) fn know(&self) {
        if let Some(entry) = self.places.held.lock().places.get_mut(&self.id) {
            entry.is_known = true;
        }
    }

    /// Returns when the place is needed by another.
    pub(crate) async fn left(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held.lock().places.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g21_strangers_make_room_and_those_who_are_known_stay() {
        let places = Arc::new(Places::new(2));
        let first = places.enter().unwrap();
        let second = places.enter().unwrap();
        first.know();
        let third = places.enter().unwrap();
        assert!(second.leave.is_cancelled() && !first.leave.is_cancelled());
        drop(second);
        assert_eq!(places.held(), 2);
        third.know();
        assert!(places.enter().is_none());
        drop(first);
        assert!(places.enter().is_some());
    }
}
