//! What happens in one namespace, and who is there.

use super::{
    broadcast::Broadcast,
    rooms::{Room, Rooms, Target},
    socket::Socket,
};
use crate::{
    connection::IncomingEvent,
    error::{DisconnectReason, EventError, EventFailure, Refusal},
    event::{EventName, is_reserved},
    packet::{AckId, EncodeError, Encoded},
    reply::{Acknowledge, Reply},
};
use futures_util::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

/// What happens in a namespace: who may join, and what handles its events.
///
/// Given to [`ServerBuilder::namespace`](crate::ServerBuilder::namespace) and shared from then on by all its
/// sockets, so that no event can arrive before its handler is there.
#[derive(Default)]
pub struct Namespace {
    pub(super) middleware: Vec<Middleware>,
    pub(super) on_connect: Option<ConnectHandler>,
    pub(super) on_disconnect: Option<DisconnectHandler>,
    pub(super) on_error: Option<ErrorHook>,
    pub(super) handlers: HashMap<Box<str>, EventHandler>,
}

type Middleware = Box<dyn Fn(Socket) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync>;
type ConnectHandler = Box<dyn Fn(Socket) -> BoxFuture<'static, ()> + Send + Sync>;
type DisconnectHandler = Box<dyn Fn(Socket, DisconnectReason) -> BoxFuture<'static, ()> + Send + Sync>;
type ErrorHook = Box<dyn Fn(&Socket, &EventError) + Send + Sync>;
/// Runs to the acknowledgement that is to be sent, if any.
type EventHandler = Box<dyn Fn(Socket, IncomingEvent) -> BoxFuture<'static, Option<Encoded>> + Send + Sync>;

impl Namespace {
    /// A namespace that everyone may join and where nothing happens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides, before the client is told that it has joined, whether it may; several run in order of
    /// registration.
    ///
    /// The socket may be given state and join rooms. Broadcasts reach it only once it is connected.
    #[must_use]
    pub fn middleware<F, Fut>(mut self, middleware: F) -> Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.middleware.push(Box::new(move |socket| Box::pin(middleware(socket))));
        self
    }

    /// Handles a socket that has just been connected. What it does before it first waits comes before any
    /// event.
    ///
    /// # Panics
    ///
    /// If there is one already.
    #[must_use]
    pub fn on_connect<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let earlier = self.on_connect.replace(Box::new(move |socket| Box::pin(handler(socket))));
        assert!(earlier.is_none(), "a namespace has one connect handler");
        self
    }

    /// Handles a socket that has been disconnected, by whichever side; it has left its rooms already.
    ///
    /// # Panics
    ///
    /// If there is one already.
    #[must_use]
    pub fn on_disconnect<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let boxed: DisconnectHandler = Box::new(move |socket, reason| Box::pin(handler(socket, reason)));
        assert!(self.on_disconnect.replace(boxed).is_none(), "a namespace has one disconnect handler");
        self
    }

    /// Handles an event; the return value is the acknowledgement, see [`Reply`].
    ///
    /// The arguments are decoded into `D` as [`args`](crate::args) describes. If that fails, the handler does
    /// not run: the failure is traced, passed to [`on_error`](Self::on_error), and told to a client that
    /// waits for an acknowledgement.
    ///
    /// # Panics
    ///
    /// If the event has a handler already, or a name that the protocol keeps for itself.
    #[must_use]
    pub fn on<D, R, F, Fut>(mut self, event: impl EventName<D>, handler: F) -> Self
    where
        D: DeserializeOwned + Send + 'static,
        R: Reply,
        F: Fn(Socket, D) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        let name = event.name();
        assert!(!is_reserved(name), "no client can send an event called {name:?}");
        let handler = Arc::new(handler);
        let boxed: EventHandler = Box::new(move |socket, event| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let IncomingEvent { id, name, arguments } = event;
                let decoded = arguments.decode();
                drop(arguments);
                match (decoded, id) {
                    (Ok(data), None) => {
                        handler(socket, data).await;
                        None
                    }
                    (Ok(data), Some(id)) => {
                        let reply = handler(socket.clone(), data).await;
                        acknowledge(&socket, id, &name, |ack| reply.encode(ack))
                    }
                    (Err(error), id) => undecoded(&socket, id, &name, EventFailure::Decode(error)),
                }
            })
        });
        assert!(self.handlers.insert(name.into(), boxed).is_none(), "event {name:?} has a handler already");
        self
    }

    /// Hears of events whose data did not decode and of replies that could not be encoded.
    ///
    /// # Panics
    ///
    /// If there is one already.
    #[must_use]
    pub fn on_error(mut self, hook: impl Fn(&Socket, &EventError) + Send + Sync + 'static) -> Self {
        assert!(self.on_error.replace(Box::new(hook)).is_none(), "a namespace has one error hook");
        self
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("events", &self.handlers.keys()).finish_non_exhaustive()
    }
}

fn acknowledge(
    socket: &Socket,
    id: AckId,
    name: &str,
    encode: impl FnOnce(Acknowledge<'_>) -> Option<Result<Encoded, EncodeError>>,
) -> Option<Encoded> {
    match encode(Acknowledge { namespace: socket.namespace(), id })? {
        Ok(packet) => Some(packet),
        Err(error) => undecoded(socket, Some(id), name, EventFailure::Reply(error)),
    }
}

/// Reports a failure and makes the acknowledgement that tells the client.
fn undecoded(socket: &Socket, id: Option<AckId>, name: &str, failure: EventFailure) -> Option<Encoded> {
    let error = EventError { event: name.to_owned(), failure };
    socket.report(&error);
    Acknowledge { namespace: socket.namespace(), id: id? }.error(&error.failure).ok()
}

/// A namespace of a running server.
pub(super) struct LiveNamespace {
    pub(super) path: Arc<str>,
    pub(super) blueprint: Namespace,
    rooms: RwLock<Rooms<Socket>>,
    ack_ids: AtomicU64,
}

impl LiveNamespace {
    pub(super) fn new(path: &str, blueprint: Namespace) -> Self {
        Self { path: path.into(), blueprint, rooms: RwLock::default(), ack_ids: AtomicU64::new(0) }
    }

    // Nothing panics while it holds the lock, so that what it guards is whole.
    pub(super) fn rooms(&self) -> RwLockReadGuard<'_, Rooms<Socket>> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rooms_mut(&self) -> RwLockWriteGuard<'_, Rooms<Socket>> {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids are counted per namespace, so that one packet can ask many sockets.
    pub(super) fn next_ack_id(&self) -> AckId {
        let id = self.ack_ids.fetch_add(1, Ordering::Relaxed);
        AckId::new(id).expect("285 years at a million a second")
    }
}

/// A namespace of a running server, from outside: all its sockets.
#[derive(Clone)]
pub struct NamespaceHandle(pub(super) Arc<LiveNamespace>);

impl NamespaceHandle {
    /// The path.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Queues an event for everyone; see [`Broadcast::emit`].
    pub fn emit<D: Serialize + ?Sized>(&self, event: impl EventName<D>, data: &D) -> Result<(), EncodeError> {
        self.everyone().emit(event, data)
    }

    /// Addresses the sockets in `room`.
    pub fn to(&self, room: impl Into<Room>) -> Broadcast {
        self.everyone().to(room)
    }

    /// Addresses everyone but the sockets in `room`.
    pub fn except(&self, room: impl Into<Room>) -> Broadcast {
        self.everyone().except(room)
    }

    /// The socket with this id.
    pub fn socket(&self, id: &str) -> Option<Socket> {
        self.0.rooms().socket(id).filter(|socket| socket.is_connected()).cloned()
    }

    /// All sockets, as they are now.
    pub fn sockets(&self) -> Vec<Socket> {
        self.everyone().sockets()
    }

    fn everyone(&self) -> Broadcast {
        Broadcast::new(Arc::clone(&self.0), Target::default())
    }
}

impl fmt::Debug for NamespaceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamespaceHandle").field(&self.path()).finish()
    }
}
