//! How subscribers see what any engine appended: each record once, in the journal's order.
//!
//! Positions have no gaps, so one number says all: up to where subscribers have been told. What this engine appended is
//! told at once if it is next; what lies before it, another engine's, is read first. A connection of its own listens for
//! the others; whenever it is made anew, and whenever it hears something, what is not told yet is read from the journal.

use super::pool::{Pool, Tries, explain};
use super::{ENGINES, journal};
use crate::subscribe::{Hub, Subscription};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Record, Seq, SessionId, StorageError};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_postgres::{AsyncMessage, Client, Error};

/// Where engines tell each other the last position.
pub(super) const CHANNEL: &str = "titanclaw_journal";
/// Records that are read at one time.
const READ_MAX: usize = 1_024;
/// The longest pause between tries to listen again is that of `Tries`; it is tried for as long as the store is open.
const ALWAYS: Duration = Duration::from_secs(86_400);
/// How long an engine that opens the database alone may take until it lets others in.
const JOIN_MAX: &str = "60s";

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

/// The connection that listens. It also holds the lock by which engines know of each other.
pub(super) struct Ear {
    client: Client,
    heard: watch::Receiver<()>,
    _moving: JoinSet<()>,
}

impl Ear {
    /// The first one of an engine. Tells whether no other engine uses the database; if so, others that open it wait until
    /// this one [shares](Ear::share).
    pub(super) async fn open(pool: &Pool) -> Result<(Self, bool), StorageError> {
        let ear = Self::connect(pool).await?;
        let explain = |error| explain(pool.server(), &error);
        let alone = "SELECT pg_try_advisory_lock($1)";
        let row = ear.client.query_one(alone, &[&ENGINES]).await;
        let is_alone: bool = row.and_then(|row| row.try_get(0)).map_err(explain)?;
        if !is_alone {
            ear.join().await.map_err(explain)?;
        }
        Ok((ear, is_alone))
    }

    async fn connect(pool: &Pool) -> Result<Self, StorageError> {
        let explain = |error| explain(pool.server(), &error);
        let (client, mut messages) = pool.server().connect().await.map_err(explain)?;
        let (hear, heard) = watch::channel(());
        let mut moving = JoinSet::new();
        moving.spawn(async move {
            // The stream also moves the connection; it ends with it.
            while let Some(Ok(message)) = messages.next().await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    hear.send_replace(());
                }
            }
        });
        let listen = client.batch_execute(&format!("LISTEN {CHANNEL}")).await;
        listen.map_err(explain)?;
        Ok(Self {
            client,
            heard,
            _moving: moving,
        })
    }

    /// Counts as an engine beside others, as soon as the one that opened the database alone lets others in.
    async fn join(&self) -> Result<(), Error> {
        let join =
            format!("SET lock_timeout = '{JOIN_MAX}'; SELECT pg_advisory_lock_shared({ENGINES})");
        self.client.batch_execute(&join).await
    }

    /// Lets others in where this engine was alone.
    async fn share(&self) -> Result<(), Error> {
        let share =
            format!("SELECT pg_advisory_lock_shared({ENGINES}), pg_advisory_unlock({ENGINES})");
        self.client.batch_execute(&share).await
    }
}

/// Listens for what others append, for as long as the store is open. `shares` says when others are let in.
pub(super) async fn listen(
    pool: Arc<Pool>,
    follower: Arc<Follower>,
    first: Ear,
    mut shares: watch::Receiver<bool>,
) {
    let mut tries = Tries::begin(ALWAYS);
    let mut ear = Some(first);
    loop {
        let listened = async {
            let mut ear = match ear.take() {
                Some(first) => first,
                None => {
                    let ear = Ear::connect(&pool).await?;
                    let joined = ear.join().await;
                    joined.map_err(|error| explain(pool.server(), &error))?;
                    ear
                }
            };
            tries = Tries::begin(ALWAYS);
            follow(&pool, &follower, &mut ear, &mut shares).await
        };
        match listened.await {
            Ok(()) => tracing::info!(server = %pool.server(), "the connection that listens ended"),
            Err(error) => tracing::warn!(%error, "what other engines append can't be listened for"),
        }
        tries.wait().await;
    }
}

/// Ends with the connection.
async fn follow(
    pool: &Pool,
    follower: &Follower,
    ear: &mut Ear,
    shares: &mut watch::Receiver<bool>,
) -> Result<(), StorageError> {
    loop {
        // First what was appended while nobody listened.
        follower.look(pool).await?;
        tokio::select! {
            heard = ear.heard.changed() => if heard.is_err() {
                return Ok(());
            },
            // Ends once, with a store that is dropped, and this with it.
            Ok(()) = shares.changed() => {
                ear.share().await.map_err(|error| explain(pool.server(), &error))?;
            }
        }
    }
}
