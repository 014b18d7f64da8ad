//! Who wants to see records as they are appended. Each subscriber has a bounded queue of its own; the journal never
//! waits for one.

use futures::Stream;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use titan_protocol::{Delivery, Record, Seq, SessionId};

/// Records that wait for one subscriber; what comes beyond is left to the journal.
const WAITING_RECORDS_MAX: usize = 1_024;

/// All subscribers of a store.
#[derive(Default)]
pub(crate) struct Hub {
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    to_all: Vec<Arc<Mailbox>>,
    to_session: HashMap<SessionId, Vec<Arc<Mailbox>>>,
    is_closed: bool,
}

#[derive(Default)]
struct Mailbox(Mutex<Letters>);

#[derive(Default)]
struct Letters {
    /// A batch, and the first of its records that was not delivered.
    batches: VecDeque<(Arc<[Record]>, usize)>,
    n_records: usize,
    /// Something did not fit. Until the subscriber has been told, nothing more is taken.
    is_lagging: bool,
    delivered: Seq,
    waker: Option<Waker>,
    is_closed: bool,
}

impl Hub {
    /// Shows a batch to those who want its session.
    pub(crate) fn publish(&self, session: SessionId, records: &Arc<[Record]>) {
        let listeners = self.listeners.lock();
        let of_session = listeners.to_session.get(&session).into_iter().flatten();
        for mailbox in listeners.to_all.iter().chain(of_session) {
            mailbox.put(records);
        }
    }

    /// Something is not shown to anybody; all are told to read it in the journal.
    pub(crate) fn lag(&self) {
        let listeners = self.listeners.lock();
        let of_sessions = listeners.to_session.values().flatten();
        for mailbox in listeners.to_all.iter().chain(of_sessions) {
            let mut letters = mailbox.0.lock();
            letters.is_lagging = true;
            letters.wake();
        }
    }

    /// What is published from now on.
    pub(crate) fn subscribe(self: &Arc<Self>, session: Option<SessionId>) -> Subscription {
        let mailbox = Arc::new(Mailbox::default());
        let mut listeners = self.listeners.lock();
        if listeners.is_closed {
            mailbox.close();
        } else if let Some(session) = session {
            let of_session = listeners.to_session.entry(session).or_default();
            of_session.push(Arc::clone(&mailbox));
        } else {
            listeners.to_all.push(Arc::clone(&mailbox));
        }
        Subscription {
            hub: Arc::clone(self),
            session,
            mailbox,
        }
    }

    /// Ends all subscriptions, after what waits in them.
    pub(crate) fn close(&self) {
        let mut listeners = self.listeners.lock();
        listeners.is_closed = true;
        let of_sessions = listeners.to_session.values().flatten();
        listeners
            .to_all
            .iter()
            .chain(of_sessions)
            .for_each(|mailbox| mailbox.close());
    }

    fn leave(&self, session: Option<SessionId>, mailbox: &Arc<Mailbox>) {
        let mut listeners = self.listeners.lock();
        let stays = |other: &Arc<Mailbox>| !Arc::ptr_eq(other, mailbox);
        let Some(session) = session else {
            listeners.to_all.retain(stays);
            return;
        };
        if let Some(of_session) = listeners.to_session.get_mut(&session) {
            of_session.retain(stays);
            if of_session.is_empty() {
                listeners.to_session.remove(&session);
            }
        }
    }
}

impl Mailbox {
    fn put(&self, records: &Arc<[Record]>) {
        let mut letters = self.0.lock();
        if letters.is_lagging || letters.n_records + records.len() > WAITING_RECORDS_MAX {
            letters.is_lagging = true;
        } else {
            letters.n_records += records.len();
            letters.batches.push_back((Arc::clone(records), 0));
        }
        letters.wake();
    }

    fn close(&self) {
        let mut letters = self.0.lock();
        letters.is_closed = true;
        letters.wake();
    }
}

impl Letters {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn next(&mut self) -> Option<Delivery> {
        let Some((records, next)) = self.batches.front_mut() else {
            let after = self.delivered;
            return std::mem::take(&mut self.is_lagging).then_some(Delivery::Lagged { after });
        };
        let record = records[*next].clone();
        *next += 1;
        if *next == records.len() {
            self.batches.pop_front();
        }
        self.n_records -= 1;
        self.delivered = record.seq;
        Some(Delivery::Record(record))
    }
}

/// A subscriber's end. Dropping it ends the subscription.
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    session: Option<SessionId>,
    mailbox: Arc<Mailbox>,
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut letters = self.mailbox.0.lock();
        match letters.next() {
            Some(delivery) => Poll::Ready(Some(delivery)),
            None if letters.is_closed => Poll::Ready(None),
            None => {
                letters.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(self.session, &self.mailbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};
    use titan_protocol::Event;

    fn batch(session: SessionId, seqs: std::ops::Range<Seq>) -> Arc<[Record]> {
        let record = |seq| Record {
            seq,
            at: 0,
            session,
            turn: None,
            event: Event::Forgotten,
        };
        seqs.map(record).collect()
    }

    fn now(subscription: &mut Subscription) -> Option<Option<Seq>> {
        subscription.next().now_or_never().map(|delivery| {
            delivery.map(|delivery| match delivery {
                Delivery::Record(record) => record.seq,
                Delivery::Lagged { after } => 1_000_000 + after,
            })
        })
    }

    #[test]
    fn a_full_queue_tells_of_the_lag_once_it_is_read_out_and_then_goes_on() {
        let hub = Arc::new(Hub::default());
        let session = SessionId::from_u128(1);
        let mut subscription = hub.subscribe(Some(session));
        hub.publish(session, &batch(session, 1..1_025));
        hub.publish(session, &batch(session, 1_025..1_027));
        for seq in 1..=1_024 {
            assert_eq!(now(&mut subscription), Some(Some(seq)));
        }
        assert_eq!(
            now(&mut subscription),
            Some(Some(1_001_024)),
            "lagged after 1,024"
        );
        assert_eq!(now(&mut subscription), None, "what was missed is not kept");
        hub.publish(session, &batch(session, 1_027..1_028));
        assert_eq!(now(&mut subscription), Some(Some(1_027)));
        hub.close();
        assert_eq!(
            now(&mut subscription),
            Some(None),
            "a closed hub ends the stream"
        );
    }

    #[test]
    fn what_could_not_be_shown_is_told_as_a_lag_to_all() {
        let hub = Arc::new(Hub::default());
        let session = SessionId::from_u128(1);
        let mut subscriptions = [hub.subscribe(Some(session)), hub.subscribe(None)];
        hub.publish(session, &batch(session, 1..3));
        hub.lag();
        hub.publish(session, &batch(session, 9..10));
        for subscription in &mut subscriptions {
            assert_eq!(now(subscription), Some(Some(1)));
            assert_eq!(now(subscription), Some(Some(2)));
            assert_eq!(now(subscription), Some(Some(1_000_002)), "lagged after 2");
            assert_eq!(now(subscription), None);
        }
    }

    #[test]
    fn a_dropped_subscription_leaves_nothing_behind() {
        let hub = Arc::new(Hub::default());
        let session = SessionId::from_u128(1);
        drop((hub.subscribe(Some(session)), hub.subscribe(None)));
        let listeners = hub.listeners.lock();
        assert!(listeners.to_all.is_empty() && listeners.to_session.is_empty());
    }
}
