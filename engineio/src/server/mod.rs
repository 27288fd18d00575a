//! The server: what moves bytes between sockets and the pure modules.

mod admission;
mod allocator;
mod builder;
mod connection;
mod direct;
mod driver;
mod endpoint;
mod events;
mod exchange;
mod handler;
mod registry;
mod stage;
mod stream;
mod turn;
mod websocket;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, ToSocketAddrs, lookup_host},
    sync::Notify,
};

pub use builder::{ConnectionError, IsSecure, RemoteAddr, ServerBuilder};
pub use connection::Connection;
pub use events::{Event, Events, handler_fn};
pub use handler::{Application, Handler};

use crate::{CloseReason, connection::Close, websocket::Limits};
use admission::{Admission, Permit};
use builder::Options;
use registry::Registry;
use stage::{Life, Stage};
use stream::Stream;

/// An Engine.IO server. A clone is another handle to the same server.
///
/// It speaks on what it is given: a listener, an address, or single streams; all of them serve the same
/// connections. Everything runs on the tokio runtime of the caller.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    options: Options,
    prefix: String,
    frame_limits: Limits,
    registry: Registry,
    admission: Admission,
    life: Life,
    /// Drivers.
    connections: Tasks,
    /// WebSockets that are being closed.
    closings: Tasks,
    /// Streams that speak HTTP.
    exchanges: Tasks,
}

impl Server {
    /// Starts the making of a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    pub(crate) fn new(options: Options) -> Self {
        allocator::expect_messages_of(options.config.max_payload);
        Self {
            inner: Arc::new(Inner {
                prefix: options.config.prefix(),
                frame_limits: options.config.frame_limits(),
                options,
                registry: Registry::default(),
                admission: Admission::default(),
                life: Life::default(),
                connections: Tasks::default(),
                closings: Tasks::default(),
                exchanges: Tasks::default(),
            }),
        }
    }

    /// Listens on an address and serves until a [`shutdown`](Self::shutdown) has ended.
    ///
    /// # Errors
    /// The address cannot be bound, or see [`serve`](Self::serve).
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
        for address in lookup_host(address).await? {
            match bind(address) {
                Ok(listener) => return self.serve(listener).await,
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Serves what a listener accepts, and returns when a [`shutdown`](Self::shutdown) has ended. So a program may end
    /// with it, and begin the shutdown elsewhere.
    ///
    /// # Errors
    /// The listener fails for good. Running out of file descriptors or memory is waited out, and a connection that
    /// is gone before it was accepted is nothing.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let life = &self.inner.life;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = life.reached(Stage::Draining) => break,
            };
            match accepted {
                Ok((stream, address)) => {
                    let Some(permit) = self.inner.admit(Some(address)) else {
                        continue;
                    };
                    // Packets are small, and each write is a batch already.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "no TCP_NODELAY");
                    }
                    let server = self.inner.clone();
                    tokio::spawn(exchange::serve(server, Stream::Tcp(stream), Some(address), false, permit));
                }
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, "cannot accept a connection for now");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        drop(listener);
        life.reached(Stage::Ended).await;
        Ok(())
    }

    /// Serves one stream of bytes, such as a TLS session or a pipe, until its HTTP exchanges end or it becomes a
    /// WebSocket. `secure` says whether the peer's bytes are encrypted.
    pub async fn serve_stream(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        remote_addr: Option<SocketAddr>,
        secure: bool,
    ) {
        if let Some(permit) = self.inner.admit(remote_addr) {
            exchange::serve(self.inner.clone(), Stream::Other(Box::new(stream)), remote_addr, secure, permit)
                .await;
        }
    }

    /// How many connections are open.
    pub fn connection_count(&self) -> usize {
        self.inner.registry.len()
    }

    /// All open connections, in no order.
    pub fn connections(&self) -> Vec<Connection> {
        self.inner.registry.all()
    }

    /// The open connection with an id.
    pub fn connection(&self, sid: &str) -> Option<Connection> {
        self.inner.registry.find(sid)
    }

    /// Stops accepting and refuses new connections, for good; the open ones stay. The beginning of a
    /// [`shutdown`](Self::shutdown) that closes them one after another before it.
    pub fn stop_accepting(&self) {
        self.inner.life.advance(Stage::Draining);
    }

    /// Waits until no connection is open and all their handlers have ended.
    pub async fn all_ended(&self) {
        self.inner.connections.ended().await;
        self.inner.closings.ended().await;
    }

    /// Ends everything in good order: stops accepting, refuses new connections, lets the open ones take what is
    /// queued for them, closes them, and returns when all have ended or `deadline` has passed.
    ///
    /// # Errors
    /// The number of connections that had not ended by the deadline, or whose handlers had not. They have been
    /// closed at once, and their handlers told.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), usize> {
        self.stop_accepting();
        for connection in self.connections() {
            connection.close_as(Close::AfterFlush, CloseReason::ServerShutdown);
        }
        let flushed = tokio::time::timeout(deadline.saturating_sub(LAST_WORDS), async {
            self.all_ended().await;
            // Only now, as polling clients fetch their last packets on streams that are open already.
            self.inner.life.advance(Stage::Down);
            self.inner.exchanges.ended().await;
        });
        if flushed.await.is_ok() {
            self.inner.life.advance(Stage::Ended);
            return Ok(());
        }
        self.inner.life.advance(Stage::Down);
        let late = self.inner.connections.count.load(Ordering::Acquire);
        for connection in self.connections() {
            connection.close_as(Close::Now, CloseReason::ServerShutdown);
        }
        // Handlers that do not end even now are left behind.
        let _ = tokio::time::timeout(LAST_WORDS, self.all_ended()).await;
        self.inner.life.advance(Stage::Ended);
        Err(late)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("connections", &self.connection_count()).finish_non_exhaustive()
    }
}

impl Inner {
    fn admit(&self, address: Option<SocketAddr>) -> Option<Permit> {
        self.admission.admit(address.map(|address| address.ip()), &self.options.config)
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.life.stage() > Stage::Serving
    }
}

/// Counts the tasks that a shutdown waits for.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    count: AtomicUsize,
    none: Notify,
}

impl Tasks {
    async fn ended(&self) {
        loop {
            let none = self.none.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

/// Counts a task from its making to its drop.
pub(crate) struct TaskGuard {
    server: Arc<Inner>,
    tasks: fn(&Inner) -> &Tasks,
}

impl TaskGuard {
    pub(crate) fn connection(server: &Arc<Inner>) -> Self {
        Self::new(server, |server| &server.connections)
    }

    pub(crate) fn closing(server: &Arc<Inner>) -> Self {
        Self::new(server, |server| &server.closings)
    }

    pub(crate) fn exchange(server: &Arc<Inner>) -> Self {
        Self::new(server, |server| &server.exchanges)
    }

    fn new(server: &Arc<Inner>, tasks: fn(&Inner) -> &Tasks) -> Self {
        tasks(server).count.fetch_add(1, Ordering::Relaxed);
        Self { server: Arc::clone(server), tasks }
    }

    pub(crate) fn server(&self) -> &Arc<Inner> {
        &self.server
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        let tasks = (self.tasks)(&self.server);
        if tasks.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            tasks.none.notify_waiters();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether accepting works again after a while.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    // EMFILE and ENFILE have no kind of their own in the standard library.
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
        || error.kind() == io::ErrorKind::OutOfMemory
        || matches!(error.raw_os_error(), Some(23 | 24 | 105))
}

/// Connections that the kernel completes before they are accepted: a crowd that reconnects at once is not turned away.
const BACKLOG: u32 = 4096;

/// Pause after a failure to accept, so that a machine without descriptors is not kept busy by failing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// For handlers to be told that their connections were cut, before the deadline of a shutdown.
const LAST_WORDS: Duration = Duration::from_millis(100);
