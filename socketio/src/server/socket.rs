//! The handle of one socket.

use super::{
    broadcast::Broadcast,
    emitter::Emitter,
    handle::NamespaceHandle,
    link::{Link, Request},
    live::LiveNamespace,
    membership::Membership,
    room::{IntoRooms, Room},
    rooms::Target,
};
use crate::{
    args::DecodeError,
    error::{AckError, SendError},
    event::EventName,
    limits::Limit,
};
use http::Extensions;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, MutexGuard, Weak},
    time::Duration,
};
use tokio::sync::oneshot;

/// A socket that others keep alive; see [`Socket::downgrade`].
#[derive(Clone)]
pub struct WeakSocket(Weak<Membership>);

impl WeakSocket {
    /// The socket, unless nobody has it any more, its client least of all.
    pub fn upgrade(&self) -> Option<Socket> {
        self.0.upgrade().map(Socket)
    }
}

impl fmt::Debug for WeakSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WeakSocket").field(&self.upgrade()).finish()
    }
}

/// A client's membership of one namespace. A clone is another handle of the same socket.
///
/// It may be kept and used anywhere; once the socket is disconnected, sending fails and joining rooms does
/// nothing.
#[derive(Clone)]
pub struct Socket(pub(super) Arc<Membership>);

impl Socket {
    /// The public id: 20 characters, different for each namespace and connection, and not the secret of the
    /// connection.
    pub fn id(&self) -> &str {
        self.0.id.as_str()
    }

    /// The path of the namespace.
    pub fn namespace(&self) -> &str {
        &self.live().path
    }

    /// The namespace, with all its sockets.
    pub fn namespace_handle(&self) -> NamespaceHandle {
        NamespaceHandle(Arc::clone(self.live()))
    }

    /// The request that opened the connection, and what handshake hooks attached to it.
    pub fn handshake(&self) -> &engineio::Handshake {
        self.connection().handshake()
    }

    /// The Engine.IO connection, which the client's sockets in other namespaces share.
    pub fn connection(&self) -> &engineio::Connection {
        &self.0.link.connection
    }

    /// Decodes what the client authenticated with when it joined; an empty object if it sent nothing.
    ///
    /// # Errors
    ///
    /// It is not a `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        Ok(serde_json::from_str(self.0.auth.as_deref().unwrap_or("{}"))?)
    }

    /// Keeps `value` with the socket, in place of an earlier one of the same type, which is returned.
    pub fn set<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        self.extensions().insert(value)
    }

    /// A clone of the value of this type that [`set`](Self::set) keeps.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.extensions().get().cloned()
    }

    /// Whether the client has joined and neither side has ended it.
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Whether the socket was connected before, lost its connection, and has been recovered, with its id,
    /// rooms, data, and the events that it missed; see [`Recovery`](crate::Recovery).
    pub fn is_recovered(&self) -> bool {
        self.0.recovered
    }

    /// How many acknowledgements of this client are being waited for.
    pub fn pending_acks(&self) -> usize {
        self.0.pending_acks()
    }

    /// Joins a room, or several; no effect if the socket is disconnected.
    ///
    /// Beyond [`Limits::rooms`](crate::Limits::rooms) it is not done and
    /// [`on_limit`](crate::ServerBuilder::on_limit) is told.
    pub fn join(&self, rooms: impl IntoRooms) {
        let (id, limit) = (self.0.id, self.live().common.policy.limits.rooms);
        let rooms: Vec<Room> = rooms.into_rooms().collect();
        let joined = self
            .live()
            .change_rooms(|joined| rooms.into_iter().try_for_each(|room| joined.join(id, room, limit)));
        if joined.is_err() {
            self.exceeded(Limit::Rooms);
        }
    }

    /// Leaves a room, or several.
    pub fn leave(&self, rooms: impl IntoRooms) {
        let rooms: Vec<Room> = rooms.into_rooms().collect();
        self.live().change_rooms(|joined| rooms.iter().for_each(|room| joined.leave(self.0.id, room)));
    }

    /// The rooms joined, without the one that is named as the id.
    pub fn rooms(&self) -> Vec<Room> {
        self.live().rooms().of(self.0.id)
    }

    /// Whether the socket has joined a room.
    pub fn is_in(&self, room: &str) -> bool {
        self.live().rooms().contains(self.0.id, room)
    }

    /// Queues an event for this client; fails at once if the outbox is full.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub fn emit<D: Serialize + ?Sized>(&self, event: impl EventName<D>, data: &D) -> Result<(), SendError> {
        Emitter::new(self).emit(event, data)
    }

    /// Queues an event for this client as soon as the outbox has room for it; never fails with
    /// [`SendError::Full`].
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub async fn emit_wait<D: Serialize + ?Sized>(
        &self,
        event: impl EventName<D>,
        data: &D,
    ) -> Result<(), SendError> {
        Emitter::new(self).emit_wait(event, data).await
    }

    /// Sends an event and waits for the client's answer.
    ///
    /// `timeout` counts from the call and includes waiting for room in the outbox. The answer's arguments are
    /// decoded as [`args`](crate::args) describes.
    ///
    /// ```
    /// use socketio::{AckError, Socket};
    /// use std::time::Duration;
    ///
    /// async fn confirm(socket: &Socket) -> Result<bool, AckError> {
    ///     socket.emit_with_ack("really?", "delete all", Duration::from_secs(30)).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    pub async fn emit_with_ack<R: DeserializeOwned, D: Serialize + ?Sized>(
        &self,
        event: impl EventName<D>,
        data: &D,
        timeout: Duration,
    ) -> Result<R, AckError> {
        Emitter::new(self).emit_with_ack(event, data, timeout).await
    }

    /// Sends only if the client can take it at once, for what is worthless later.
    pub fn volatile(&self) -> Emitter<'_> {
        Emitter::new(self).volatile()
    }

    /// Chooses whether the transport may compress what is sent.
    pub fn compress(&self, compress: bool) -> Emitter<'_> {
        Emitter::new(self).compress(compress)
    }

    /// Waits for the next event of a name, beside its handlers. It counts from this call, so that nothing is
    /// missed before the future is first polled; dropping that ends it.
    ///
    /// ```
    /// use socketio::{Once, Socket, SendError};
    ///
    /// async fn ask_in_words(socket: Socket) -> Result<String, Box<dyn std::error::Error>> {
    ///     let reply: Once<String> = socket.once("reply");
    ///     socket.emit("question", "who are you?")?;
    ///     Ok(reply.await?)
    /// }
    /// ```
    pub fn once<D: DeserializeOwned>(&self, event: impl EventName<D>) -> Once<D> {
        Once { event: self.0.wait_for_event(event.name()), data: PhantomData }
    }

    /// Addresses the sockets in a room, or in any of several, but not this one.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().to(rooms)
    }

    /// Addresses everyone in the namespace but this socket and those in a room, or in any of several.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().except(rooms)
    }

    /// Addresses everyone in the namespace but this socket.
    pub fn broadcast(&self) -> Broadcast {
        Broadcast::new(Arc::clone(self.live()), Target::default()).except(self.id())
    }

    /// Ends this membership; the connection, and the client's sockets in other namespaces, stay.
    ///
    /// No effect while middleware decides about the socket, nor once it is disconnected.
    pub fn disconnect(&self) {
        self.end_by_server();
    }

    /// Ends all memberships of the client and then the connection, when what is queued has been sent.
    pub fn disconnect_connection(&self) {
        self.link().request(Request::Close);
    }

    /// A handle that does not keep the socket in memory: for tables that outlive it, and for what the connection itself
    /// holds, which would never be freed else.
    pub fn downgrade(&self) -> WeakSocket {
        WeakSocket(Arc::downgrade(&self.0))
    }

    pub(crate) fn live(&self) -> &Arc<LiveNamespace> {
        &self.0.namespace
    }

    pub(super) fn link(&self) -> &Link {
        &self.0.link
    }

    pub(super) fn extensions(&self) -> MutexGuard<'_, Extensions> {
        self.0.extensions()
    }

    /// What the socket shows to whoever fetches it.
    pub(super) fn shown(&self) -> Option<serde_json::Value> {
        let show = self.live().blueprint.shown?;
        show(&self.extensions())
    }

    /// The client, or the program for it, has crossed a limit.
    pub(super) fn exceeded(&self, limit: Limit) {
        self.live().common.policy.judge(limit, self.link(), Some(self));
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.0.id).field("namespace", &self.namespace()).finish()
    }
}

/// The next event of a name; see [`Socket::once`].
#[must_use = "the event passes by unless this is awaited"]
pub struct Once<D> {
    event: oneshot::Receiver<crate::IncomingEvent>,
    data: PhantomData<fn() -> D>,
}

impl<D: DeserializeOwned> Future for Once<D> {
    type Output = Result<D, OnceError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.event)
            .poll(cx)
            .map(|event| Ok(event.map_err(|_| OnceError::Disconnected)?.decode()?))
    }
}

impl<D> fmt::Debug for Once<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

/// Why an event that was waited for did not come.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// Its data is not of the type asked for.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The socket ended first.
    #[error("socket is disconnected")]
    Disconnected,
}
