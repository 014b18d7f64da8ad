//! Accepts connections and holds each to its time and place.

use crate::gate::Peer;
use crate::places::Place;
use crate::{Access, Config, Gateway, Ports, routes};
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// A request's head, and what of an answer is made before it is sent.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;
/// How often the token's file is looked at while nobody asks for anything.
const TOKEN_LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How long answers may take to end when the gateway closes.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Why a gateway can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// It would be reached from other machines, and nobody said that it may.
    #[error(
        "the gateway would listen at {0}, where other machines reach it, and nothing is encrypted. If that is meant, set gateway.expose = true and its names in gateway.hosts"
    )]
    Exposed(SocketAddr),
    /// The address can't be had.
    #[error(
        "the gateway can't listen at {address} ({source}). Choose another port: titanclaw web --port NUMBER"
    )]
    Taken {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A gateway that has its address and waits to be served.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    access: Arc<Access>,
    config: Config,
}

impl Door {
    /// Takes the address; port 0 is any that is free.
    ///
    /// # Errors
    /// When it can be reached from other machines though the config does not say that it may, or can't be had.
    pub async fn open(
        address: SocketAddr,
        access: Arc<Access>,
        config: Config,
    ) -> Result<Self, DoorError> {
        if !address.ip().is_loopback() && !config.is_exposed {
            return Err(DoorError::Exposed(address));
        }
        let taken = |source| DoorError::Taken { address, source };
        let listener = TcpListener::bind(address).await.map_err(taken)?;
        Ok(Self {
            address: listener.local_addr().map_err(taken)?,
            listener,
            access,
            config,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An address that opens its page in one browser of this machine, once and within [`crate::CODE_LIFE`].
    pub fn link(&self) -> impl Fn() -> String + Send + Sync + use<> {
        let (access, page) = (Arc::clone(&self.access), self.page());
        move || format!("{page}login?code={}", access.code())
    }

    /// The page's address as a browser of this machine reaches it.
    pub fn page(&self) -> String {
        let port = self.address.port();
        match self.address.ip() {
            ip if ip.is_unspecified() => format!("http://127.0.0.1:{port}/"),
            _ => format!("http://{}/", self.address),
        }
    }

    /// Answers until `stop` is cancelled; then streams end, and other answers get two seconds.
    ///
    /// Dropping the future closes all connections at once.
    pub async fn serve(self, ports: Ports, stop: CancellationToken) {
        let Self {
            listener,
            address,
            access,
            config,
        } = self;
        let gateway = Gateway::new(ports, access, config, address, stop);
        serve(listener, &Arc::new(gateway)).await;
    }
}

async fn serve(listener: TcpListener, gateway: &Arc<Gateway>) {
    let app = routes::router(gateway);
    let mut connections = JoinSet::new();
    let mut look = tokio::time::interval(TOKEN_LOOK_INTERVAL);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = gateway.stop.cancelled() => break,
            _ = look.tick() => gateway.access.refresh(),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(place) = gateway.places.enter() else { continue };
                    let app = app.clone();
                    connections.spawn(answer(Arc::clone(gateway), app, stream, peer, place));
                }
                Err(error) => {
                    tracing::warn!(%error, "connection to the gateway not accepted");
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    let rest = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(CLOSE_WAIT_MAX, rest).await.is_err() {
        tracing::warn!("connections to the gateway were cut off");
    }
}

async fn answer(
    gateway: Arc<Gateway>,
    app: Router,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small pieces may be held back");
    }
    let place = Arc::new(place);
    let peer = Peer {
        address: peer.ip(),
        place: Arc::clone(&place),
    };
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        app.clone().oneshot(request)
    });
    let limits = gateway.config.limits;
    let io = TokioIo::new(Unstalled::new(stream, Arc::clone(&gateway)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_wait_max)
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(io, service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.left() => return,
        () = gateway.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection to the gateway ended");
    }
}

/// A connection that ends when its reader takes nothing for too long.
struct Unstalled {
    stream: TcpStream,
    gateway: Arc<Gateway>,
    /// Runs while nothing is taken.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Unstalled {
    fn new(stream: TcpStream, gateway: Arc<Gateway>) -> Self {
        Self {
            stream,
            gateway,
            patience: None,
        }
    }

    /// What a write came to, unless patience is at its end.
    fn settle(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        let stall_max = self.gateway.config.limits.stall_max;
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(sleep(stall_max)));
        ready!(patience.as_mut().poll(context));
        self.gateway.metrics.stalled();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Unstalled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Unstalled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.settle(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.settle(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
