//! How subscribers see what any engine appended: each record once, in the journal's order.
//!
//! Positions have no gaps, so one number says all: up to where subscribers have been told. What this engine appended is
//! told at once if it is next; what lies before it, another engine's, is read first. A connection of its own listens for
//! the others; whenever it is made anew, and whenever it hears something, what is not told yet is read from the journal.

use super::pool::{Pool, Tries};
use super::{ENGINES, journal};
use crate::subscribe::{Hub, Subscription};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Record, Seq, SessionId, StorageError};
use tokio::sync::{Mutex, watch};
use tokio_postgres::AsyncMessage;

/// Where engines tell each other the last position.
pub(super) const CHANNEL: &str = "titanclaw_journal";
/// Records that are read at one time.
const READ_MAX: usize = 1_024;
/// The longest pause between tries to listen again is that of `Tries`; it is tried for as long as the store is open.
const ALWAYS: Duration = Duration::from_secs(86_400);

/// All subscribers of one engine, and how far they have been told.
pub(super) struct Follower {
    hub: Arc<Hub>,
    told: Mutex<Seq>,
}

impl Follower {
    pub(super) fn new(last_seq: Seq) -> Self {
        Self {
            hub: Arc::default(),
            told: Mutex::new(last_seq),
        }
    }

    pub(super) fn subscribe(&self, session: Option<SessionId>) -> Subscription {
        self.hub.subscribe(session)
    }

    pub(super) fn close(&self) {
        self.hub.close();
    }

    /// Tells of what this engine appended, after all that stands before it.
    pub(super) async fn appended(&self, pool: &Pool, batches: &[Arc<[Record]>]) {
        let mut told = self.told.lock().await;
        for batch in batches {
            let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
                continue;
            };
            if last.seq <= *told {
                continue;
            }
            if first.seq > *told + 1
                && let Err(error) = self.catch_up(pool, &mut told, first.seq - 1).await
            {
                // The append is done and is answered. Subscribers read on by themselves.
                tracing::warn!(%error, "what other engines appended can't be read");
                self.hub.lag();
                *told = first.seq - 1;
            }
            // A look that broke off may have told of its first records.
            let n_told = (*told + 1 - first.seq) as usize;
            match n_told {
                0 => self.hub.publish(first.session, batch),
                _ => self.hub.publish(first.session, &batch[n_told..].into()),
            }
            *told = last.seq;
        }
    }

    /// Tells of all that stands in the journal by now.
    async fn look(&self, pool: &Pool) -> Result<(), StorageError> {
        let mut told = self.told.lock().await;
        self.catch_up(pool, &mut told, Seq::MAX).await
    }

    async fn catch_up(&self, pool: &Pool, told: &mut Seq, to: Seq) -> Result<(), StorageError> {
        while *told < to {
            let n_wanted = usize::try_from(to - *told).unwrap_or(READ_MAX);
            let records = journal::read(pool, None, *told, n_wanted.min(READ_MAX)).await?;
            let Some(last) = records.last() else {
                return Ok(());
            };
            *told = last.seq;
            for of_one_session in records.chunk_by(|a, b| a.session == b.session) {
                self.hub
                    .publish(of_one_session[0].session, &of_one_session.into());
            }
        }
        Ok(())
    }
}

/// Listens for what others append, for as long as the store is open.
pub(super) async fn listen(pool: Arc<Pool>, follower: Arc<Follower>) {
    let mut tries = Tries::begin(ALWAYS);
    loop {
        match listen_once(&pool, &follower, &mut tries).await {
            Ok(()) => tracing::info!(server = %pool.server(), "the connection that listens ended"),
            Err(error) => tracing::warn!(%error, "what other engines append can't be listened for"),
        }
        tries.wait().await;
    }
}

async fn listen_once(
    pool: &Pool,
    follower: &Follower,
    tries: &mut Tries,
) -> Result<(), StorageError> {
    let explain = |error| super::pool::explain(pool.server(), &error);
    let (client, mut messages) = pool.server().connect().await.map_err(explain)?;
    let (heard, mut wake) = watch::channel(());
    let hear = async move {
        use futures::StreamExt;
        // The stream also moves the connection; it ends with it.
        while let Some(Ok(message)) = messages.next().await {
            if matches!(message, AsyncMessage::Notification(_)) {
                heard.send_replace(());
            }
        }
    };
    let look = async {
        client
            .batch_execute(&format!(
                "LISTEN {CHANNEL}; SELECT pg_advisory_lock_shared({ENGINES})"
            ))
            .await
            .map_err(explain)?;
        *tries = Tries::begin(ALWAYS);
        // First what was appended while nobody listened.
        loop {
            follower.look(pool).await?;
            if wake.changed().await.is_err() {
                return Ok(());
            }
        }
    };
    tokio::select! {
        () = hear => Ok(()),
        looked = look => looked,
    }
}
