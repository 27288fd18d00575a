//! The server: namespaces on an Engine.IO server.

mod acks;
mod admission;
mod broadcast;
mod builder;
mod deadlines;
mod dispatch;
mod emitter;
mod handle;
mod handler;
mod link;
mod live;
mod membership;
mod namespace;
mod namespaces;
mod occupants;
mod place;
mod policy;
mod remote;
mod room;
mod rooms;
mod scope;
mod socket;
mod task;
mod turns;

pub use acks::{AckSink, AckStream, Answers, SocketAnswer, gather_answers};
pub use broadcast::Broadcast;
pub use builder::ServerBuilder;
pub use emitter::Emitter;
pub use handle::{NamespaceHandle, ServerEmitError};
pub use handler::{Caller, Next};
pub(crate) use live::LiveNamespace;
pub use namespace::Namespace;
pub use namespaces::NamespaceRequest;
pub use policy::LimitExceeded;
pub use remote::{Fetched, HandshakeInfo, RemoteSocket, ServerAnswers, SocketInfo};
pub use room::{IntoRooms, Room};
pub use rooms::{RoomEvent, Target};
pub use scope::EventRun;
pub use socket::{Once, OnceError, Socket, WeakSocket};

use crate::{encoded::EncodeError, event::EventName};
use dispatch::Dispatcher;
use link::Request;
use live::Common;
use namespaces::Namespaces;
use rand::{Rng, seq::SliceRandom};
use serde::Serialize;
use std::{collections::HashSet, fmt, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, ToSocketAddrs},
    time::{Instant, sleep_until, timeout_at},
};

/// A Socket.IO server. A clone is another handle of the same server.
#[derive(Clone)]
pub struct Server {
    engine: engineio::Server,
    shared: Arc<Shared>,
}

/// What all connections of a server share.
struct Shared {
    namespaces: Arc<Namespaces>,
    common: Arc<Common>,
    connect_timeout: Duration,
}

impl Server {
    /// Starts the description of a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Serves the connections of `listener`, and returns when a [`shutdown`](Self::shutdown) or
    /// [`drain`](Self::drain) has ended: a program may end with it, and begin the shutdown elsewhere.
    ///
    /// # Errors
    ///
    /// The listener fails for good.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        self.engine.serve(listener).await
    }

    /// Binds `address` and serves it; see [`serve`](Self::serve).
    ///
    /// # Errors
    ///
    /// The address cannot be bound, or the listener fails for good.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        self.engine.listen(address).await
    }

    /// Serves one byte stream, such as a TLS connection that has been accepted elsewhere; see
    /// [`engineio::Server::serve_stream`].
    pub async fn serve_stream<S>(&self, stream: S, remote: Option<SocketAddr>, secure: bool)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.engine.serve_stream(stream, remote, secure).await;
    }

    /// Closes all connections and waits for them, their handlers included; the error counts those cut at
    /// `deadline`.
    ///
    /// Clients see the transport close and are free to reconnect elsewhere, all at once: see
    /// [`drain`](Self::drain).
    ///
    /// # Errors
    ///
    /// How many connections had not ended in time.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), usize> {
        let ended = self.engine.shutdown(deadline).await;
        self.close_adapters().await;
        ended
    }

    /// Shuts down so gently that clients do not all return at the same moment: accepts no more, and closes the
    /// connections one by one in random order, at random moments within `over`, each when its handlers have
    /// ended and their acknowledgements are sent. Then does a [`shutdown`](Self::shutdown), at the latest at
    /// `deadline`, which counts from the call.
    ///
    /// A connection whose turn has come takes no more events: they are refused.
    ///
    /// # Errors
    ///
    /// How many connections had not ended in time.
    pub async fn drain(&self, over: Duration, deadline: Duration) -> Result<(), usize> {
        let start = Instant::now();
        // A year is never, for what is shutting down.
        let year = Duration::from_secs(86_400 * 365);
        let (over, end) = (over.min(year), start + deadline.min(year));
        self.engine.stop_accepting();
        // All sockets of a client share its link.
        let mut seen = HashSet::new();
        let mut links: Vec<_> = self
            .namespaces()
            .iter()
            .flat_map(NamespaceHandle::sockets)
            .map(|socket| socket.link().clone())
            .filter(|link| seen.insert(link.connection.sid().clone()))
            .collect();
        // Those without a socket have nothing to finish, and nothing to come back to.
        for connection in self.engine.connections().iter().filter(|other| !seen.contains(other.sid())) {
            connection.close_gently(engineio::CloseReason::ServerShutdown);
        }
        links.shuffle(&mut rand::rng());
        let step = over / u32::try_from(links.len()).unwrap_or(u32::MAX).max(1);
        let mut next = start;
        for link in links {
            let jitter = step.mul_f64(rand::rng().random());
            sleep_until((next + jitter).min(end)).await;
            link.request(Request::Drain);
            next += step;
        }
        // What does not end in time is cut.
        timeout_at(end, self.engine.all_ended()).await.ok();
        self.shutdown(end.saturating_duration_since(Instant::now())).await
    }

    async fn close_adapters(&self) {
        for live in self.shared.namespaces.all() {
            live.adapter.close().await;
        }
    }

    /// The namespace that was registered as `path`, or whose pattern `path` fits.
    ///
    /// # Panics
    ///
    /// If there is none; see [`namespace`](Self::namespace) for paths that come from outside. `/` always
    /// exists.
    pub fn of(&self, path: &str) -> NamespaceHandle {
        let live = self.shared.namespaces.find_or_make(path);
        live.map_or_else(|| panic!("namespace {path:?} is not registered"), NamespaceHandle)
    }

    /// The namespace at `path`, if there is one by now.
    pub fn namespace(&self, path: &str) -> Option<NamespaceHandle> {
        self.shared.namespaces.find(path).map(NamespaceHandle)
    }

    /// All namespaces that there are by now.
    pub fn namespaces(&self) -> Vec<NamespaceHandle> {
        self.shared.namespaces.all().into_iter().map(NamespaceHandle).collect()
    }

    /// The Engine.IO server below.
    pub fn engine(&self) -> &engineio::Server {
        &self.engine
    }

    /// Queues an event for everyone in `/`; see [`Broadcast::emit`].
    ///
    /// # Errors
    ///
    /// The data cannot be encoded.
    pub fn emit<D: Serialize + ?Sized>(&self, event: impl EventName<D>, data: &D) -> Result<(), EncodeError> {
        self.of("/").emit(event, data)
    }

    /// Addresses the sockets of `/` in a room, or in any of several.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.of("/").to(rooms)
    }

    /// Addresses everyone in `/` but the sockets in a room, or in any of several.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.of("/").except(rooms)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("namespaces", &self.shared.namespaces).finish_non_exhaustive()
    }
}

/// The Engine.IO application that makes a connection speak Socket.IO.
struct Application(Arc<Shared>);

impl engineio::Application for Application {
    type Handler = Dispatcher;

    fn accept(&self, connection: engineio::Connection) -> Dispatcher {
        Dispatcher::new(Arc::clone(&self.0), connection)
    }
}
