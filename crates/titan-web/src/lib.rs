//! The gateway: the engine over HTTP, server-sent events and WebSocket, for browsers and programs of this machine.
//!
//! It knows [`Client`], `Op` and `Event`, and nothing of how an engine does its work; requests that bring tools of their
//! own it passes to a [`Provider`], and what is not of a session lies behind the ports [`Memory`], [`Presence`],
//! [`Settings`] and [`Logs`]. A [`Door`] takes an address and is served until it is told to stop. Whoever speaks to it is a stranger until they show the token ([`Access`]) or a
//! cookie made from it, from this machine too; `gate` holds what is asked of every request.
//!
//! Everything is bounded: connections, streams, turns asked for over `/v1`, sizes of requests, and the time that each
//! part of them may take. Followers are not copied to: each reads the journal at its own pace, so that one that has
//! stopped reading costs what one record and the buffers of its socket cost, until its time is up.

mod access;
mod api;
mod assets;
mod events;
mod gate;
mod images;
mod logs;
mod memory;
mod metrics;
mod models;
mod openai;
mod openapi;
mod places;
mod presence;
mod refusal;
mod responses;
mod routes;
mod serve;
mod settings;
mod socket;
mod turn;

pub use access::{Access, AccessError, CODE_LIFE, renew};
pub use serve::{Door, DoorError};

use metrics::Metrics;
use models::Models;
use places::Places;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Client, Embedder, Logs, Memory, Presence, Provider, Settings};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What the gateway reaches.
#[derive(Clone)]
pub struct Ports {
    /// The engine.
    pub client: Arc<dyn Client>,
    /// Makes the vectors of `/v1/embeddings`.
    pub embedder: Arc<dyn Embedder>,
    /// Models for one request that brings tools of its own, which are not the engine's; `None` where the engine is in
    /// another process.
    pub models: Option<ModelsForOne>,
    /// What the engine keeps over sessions.
    pub memory: Arc<dyn Memory>,
    /// Which files are open, and what is known about them.
    pub presence: Arc<dyn Presence>,
    /// The settings of the home.
    pub settings: Arc<dyn Settings>,
    /// What was logged.
    pub logs: Arc<dyn Logs>,
}

/// Gives the models for one request, with what they may spend on it.
pub type ModelsForOne = Arc<dyn Fn() -> Arc<dyn Provider> + Send + Sync>;

/// How a gateway is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names besides `localhost`, `127.0.0.1` and `[::1]` by which it may be called, with a port where it is not the
    /// one that it listens at. An address that it listens at beyond loopback has to be among them.
    pub hosts: Vec<String>,
    /// Whether it may listen where other machines reach it. The traffic is not encrypted.
    pub is_exposed: bool,
    /// The folder for turns that name none: those of `/v1`, and what a page begins. Absolute.
    pub workspace: PathBuf,
    /// Its bounds.
    pub limits: Limits,
}

/// The bounds of a gateway. All have a sensible default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections held at once. Beyond them the oldest one that never showed a token has to go.
    pub connections_max: usize,
    /// Streams of events held at once, over server-sent events and WebSocket together.
    pub streams_max: usize,
    /// Turns of `/v1` that run at once.
    pub turns_max: usize,
    /// How long a request's head may take, and how long an idle connection is kept.
    pub head_wait_max: Duration,
    /// How long a request's body may take.
    pub body_wait_max: Duration,
    /// How long a reader may take nothing at all of what it is sent.
    pub stall_max: Duration,
    /// How often a quiet stream is given a sign of life.
    pub beat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            streams_max: 512,
            turns_max: 16,
            head_wait_max: Duration::from_secs(15),
            body_wait_max: Duration::from_secs(20),
            stall_max: Duration::from_secs(30),
            beat: Duration::from_secs(15),
        }
    }
}

/// What every request is answered from.
struct Gateway {
    ports: Ports,
    access: Arc<Access>,
    config: Config,
    address: SocketAddr,
    /// `Host` headers that name this gateway, in lower case.
    hosts: Vec<String>,
    metrics: Metrics,
    models: Models,
    places: Arc<Places>,
    streams: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Gateway {
    fn new(
        ports: Ports,
        access: Arc<Access>,
        config: Config,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> Self {
        let limits = config.limits;
        Self {
            hosts: gate::hosts(&config.hosts, address.port()),
            ports,
            access,
            config,
            address,
            metrics: Metrics::default(),
            models: Models::default(),
            places: Arc::new(Places::new(limits.connections_max)),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            turns: Arc::new(Semaphore::new(limits.turns_max)),
            stop,
        }
    }
}
