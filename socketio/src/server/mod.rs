//! The server: namespaces on an Engine.IO server.

mod broadcast;
mod dispatch;
mod link;
mod namespace;
mod rooms;
mod socket;
mod task;

pub use broadcast::Broadcast;
pub use namespace::{Namespace, NamespaceHandle};
pub use rooms::Room;
pub use socket::Socket;

use crate::{event::EventName, packet::EncodeError};
use bytes::Bytes;
use dispatch::Dispatcher;
use namespace::LiveNamespace;
use serde::Serialize;
use std::{collections::HashMap, fmt, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, ToSocketAddrs},
};

/// A Socket.IO server. A clone is another handle of the same server.
#[derive(Clone)]
pub struct Server {
    engine: engineio::Server,
    shared: Arc<Shared>,
}

/// What all connections of a server share.
struct Shared {
    namespaces: HashMap<Arc<str>, Arc<LiveNamespace>>,
    connect_timeout: Duration,
    max_parked: usize,
}

impl Server {
    /// Starts the description of a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Serves the connections of `listener` until [`shutdown`](Self::shutdown).
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        self.engine.serve(listener).await
    }

    /// Binds `address` and serves it until [`shutdown`](Self::shutdown).
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
    /// Clients see the transport close and are free to reconnect elsewhere.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), usize> {
        self.engine.shutdown(deadline).await
    }

    /// The namespace that was registered as `path`.
    ///
    /// # Panics
    ///
    /// If there is none; see [`namespace`](Self::namespace) for paths that come from outside. `/` always
    /// exists.
    pub fn of(&self, path: &str) -> NamespaceHandle {
        self.namespace(path).unwrap_or_else(|| panic!("namespace {path:?} is not registered"))
    }

    /// The namespace that was registered as `path`, if any.
    pub fn namespace(&self, path: &str) -> Option<NamespaceHandle> {
        self.shared.namespaces.get(path).map(|live| NamespaceHandle(Arc::clone(live)))
    }

    /// The Engine.IO server below.
    pub fn engine(&self) -> &engineio::Server {
        &self.engine
    }

    /// Queues an event for everyone in `/`; see [`Broadcast::emit`].
    pub fn emit<D: Serialize + ?Sized>(&self, event: impl EventName<D>, data: &D) -> Result<(), EncodeError> {
        self.of("/").emit(event, data)
    }

    /// Addresses the sockets of `/` in `room`.
    pub fn to(&self, room: impl Into<Room>) -> Broadcast {
        self.of("/").to(room)
    }

    /// Addresses everyone in `/` but the sockets in `room`.
    pub fn except(&self, room: impl Into<Room>) -> Broadcast {
        self.of("/").except(room)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("namespaces", &self.shared.namespaces.keys()).finish_non_exhaustive()
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

/// Describes a server; see [`Server::builder`].
pub struct ServerBuilder {
    engine: engineio::ServerBuilder,
    config: engineio::Config,
    path: String,
    namespaces: HashMap<Arc<str>, Arc<LiveNamespace>>,
    connect_timeout: Duration,
    max_parked: usize,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            engine: engineio::Server::builder(),
            config: engineio::Config::default(),
            path: "/socket.io/".to_owned(),
            namespaces: HashMap::new(),
            connect_timeout: Duration::from_secs(45),
            max_parked: 1024,
        }
    }
}

impl ServerBuilder {
    /// Configures the Engine.IO server. Its path is not used, see [`path`](Self::path).
    #[must_use]
    pub fn engine(mut self, config: engineio::Config) -> Self {
        self.config = config;
        self
    }

    /// Where clients connect; `/socket.io/` by default, as they expect it.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Adds a hook that sees, and may refuse, every request that opens a connection; several run in order.
    #[must_use]
    pub fn handshake(mut self, hook: impl engineio::HandshakeHook) -> Self {
        self.engine = self.engine.handshake(hook);
        self
    }

    /// Answers requests for other paths; 404 by default.
    #[must_use]
    pub fn fallback<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn(http::Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = http::Response<Bytes>> + Send + 'static,
    {
        self.engine = self.engine.fallback(answer);
        self
    }

    /// Adds a namespace. Without one for `/`, that is there but empty; others that are not added cannot be
    /// joined.
    ///
    /// # Panics
    ///
    /// If `path` does not start with `/`, contains a comma, or is registered already.
    #[must_use]
    pub fn namespace(mut self, path: &str, namespace: Namespace) -> Self {
        assert!(path.starts_with('/') && !path.contains(','), "{path:?} cannot be a namespace");
        let live = Arc::new(LiveNamespace::new(path, namespace));
        let earlier = self.namespaces.insert(Arc::clone(&live.path), live);
        assert!(earlier.is_none(), "namespace {path:?} is registered already");
        self
    }

    /// How long a client may take to join its first namespace before the connection is closed; 45 s by
    /// default, as the official server.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How many handlers of one connection may wait at a time; 1,024 by default. While so many do, nothing is
    /// read from the client, not even answers that they may be waiting for.
    #[must_use]
    pub fn max_parked(mut self, handlers: usize) -> Self {
        self.max_parked = handlers;
        self
    }

    /// Finishes the server. It serves nothing until told what, by [`Server::listen`] or one of its like.
    pub fn build(self) -> Server {
        let complete =
            if self.namespaces.contains_key("/") { self } else { self.namespace("/", Namespace::new()) };
        let Self { engine, config, path, namespaces, connect_timeout, max_parked } = complete;
        let shared = Arc::new(Shared { namespaces, connect_timeout, max_parked });
        let engine = engine.config(config.path(path)).build(Application(Arc::clone(&shared)));
        Server { engine, shared }
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("namespaces", &self.namespaces.keys()).finish_non_exhaustive()
    }
}
