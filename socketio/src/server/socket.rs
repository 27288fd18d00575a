//! The handle of one socket.

use super::{
    broadcast::Broadcast,
    link::{Link, Request},
    namespace::LiveNamespace,
    rooms::{Room, SocketId, Target},
};
use crate::{
    args::{Arguments, DecodeError},
    connection::Acks,
    error::{AckError, EventError, SendError},
    event::EventName,
    packet::{AckId, Encoded},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::sync::oneshot;

/// A client's membership of one namespace. A clone is another handle of the same socket.
///
/// It may be kept and used anywhere; once the socket is disconnected, sending fails and joining rooms does
/// nothing.
#[derive(Clone)]
pub struct Socket(Arc<Shared>);

/// As small as can be: most of a million of these are idle.
struct Shared {
    namespace: Arc<LiveNamespace>,
    link: Arc<Link>,
    id: SocketId,
    status: AtomicU8,
    auth: Option<Box<str>>,
    acks: Mutex<Acks<oneshot::Sender<Arguments>>>,
    extensions: Mutex<http::Extensions>,
}

/// ```text
/// Connecting --open--> Connected --end--> Ended
///      `------------ abandon ---------------^
/// ```
#[derive(Clone, Copy, Debug)]
enum Status {
    Connecting,
    Connected,
    Ended,
}

impl Socket {
    /// Makes a socket that is not connected yet, but may join rooms already.
    pub(super) fn new(namespace: Arc<LiveNamespace>, link: Arc<Link>, auth: Option<&str>) -> Self {
        let socket = Self(Arc::new(Shared {
            namespace,
            link,
            id: SocketId::random(),
            status: AtomicU8::new(Status::Connecting as u8),
            auth: auth.map(Into::into),
            acks: Mutex::default(),
            extensions: Mutex::default(),
        }));
        socket.live().rooms_mut().insert(socket.0.id, socket.clone());
        socket
    }

    /// The public id: 20 characters, different for each namespace and connection, and not the secret of the
    /// connection.
    pub fn id(&self) -> &str {
        self.0.id.as_str()
    }

    /// The path of the namespace.
    pub fn namespace(&self) -> &str {
        &self.live().path
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
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        Ok(serde_json::from_str(self.0.auth.as_deref().unwrap_or("{}"))?)
    }

    /// Keeps `value` with the socket, in place of an earlier one of the same type, which is returned.
    pub fn set<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        lock(&self.0.extensions).insert(value)
    }

    /// A clone of the value of this type that [`set`](Self::set) keeps.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        lock(&self.0.extensions).get().cloned()
    }

    /// Whether the client has joined and neither side has ended it.
    pub fn is_connected(&self) -> bool {
        self.is(Status::Connected)
    }

    /// How many acknowledgements of this client are being waited for.
    pub fn pending_acks(&self) -> usize {
        lock(&self.0.acks).waiting()
    }

    /// Joins a room; no effect if the socket is disconnected.
    pub fn join(&self, room: impl Into<Room>) {
        self.live().rooms_mut().join(self.0.id, room.into());
    }

    /// Leaves a room.
    pub fn leave(&self, room: impl Into<Room>) {
        self.live().rooms_mut().leave(self.0.id, &room.into());
    }

    /// The rooms joined, without the one that is named as the id.
    pub fn rooms(&self) -> Vec<Room> {
        self.live().rooms().of(self.0.id)
    }

    /// Queues an event for this client; fails at once if the outbox is full.
    pub fn emit<D: Serialize + ?Sized>(&self, event: impl EventName<D>, data: &D) -> Result<(), SendError> {
        let packet = self.encode(None, &event, data)?;
        Ok(self.connection().try_send_all(packet.messages())?)
    }

    /// Queues an event for this client as soon as the outbox has room for it; never fails with
    /// [`SendError::Full`].
    pub async fn emit_wait<D: Serialize + ?Sized>(
        &self,
        event: impl EventName<D>,
        data: &D,
    ) -> Result<(), SendError> {
        let packet = self.encode(None, &event, data)?;
        Ok(self.connection().send_all(packet.messages()).await?)
    }

    /// Sends an event and waits for the client's answer.
    ///
    /// `timeout` counts from the call and includes waiting for room in the outbox. The answer's arguments are
    /// decoded as [`args`](crate::args) describes.
    pub async fn emit_with_ack<R: DeserializeOwned, D: Serialize + ?Sized>(
        &self,
        event: impl EventName<D>,
        data: &D,
        timeout: Duration,
    ) -> Result<R, AckError> {
        let id = self.live().next_ack_id();
        let packet = self.encode(Some(id), &event, data).map_err(|error| match error {
            SendError::Encode(error) => AckError::Encode(error),
            SendError::Disconnected | SendError::Full => AckError::Disconnected,
        })?;
        let (answer, answered) = oneshot::channel();
        let _waiting = self.wait_for(id, answer)?;
        let exchange = async {
            self.connection().send_all(packet.messages()).await.map_err(|_| AckError::Disconnected)?;
            answered.await.map_err(|_| AckError::Disconnected)
        };
        let arguments = tokio::time::timeout(timeout, exchange).await.map_err(|_| AckError::Timeout)??;
        Ok(arguments.decode()?)
    }

    /// Addresses the sockets in `room` but this one.
    pub fn to(&self, room: impl Into<Room>) -> Broadcast {
        self.broadcast().to(room)
    }

    /// Addresses everyone in the namespace but this socket and those in `room`.
    pub fn except(&self, room: impl Into<Room>) -> Broadcast {
        self.broadcast().except(room)
    }

    /// Addresses everyone in the namespace but this socket.
    pub fn broadcast(&self) -> Broadcast {
        Broadcast::new(Arc::clone(self.live()), Target::default()).except(self.id())
    }

    /// Ends this membership; the connection, and the client's sockets in other namespaces, stay.
    ///
    /// No effect while middleware decides about the socket, nor once it is disconnected.
    pub fn disconnect(&self) {
        if self.end() {
            // Before the client is told, as it may join again once it knows.
            self.0.link.request(Request::NoticeDisconnected);
            self.0.link.send_control(&Encoded::disconnect(self.namespace()));
        }
    }

    /// Ends all memberships of the client and then the connection, when what is queued has been sent.
    pub fn disconnect_connection(&self) {
        self.0.link.request(Request::Close);
    }

    pub(super) fn live(&self) -> &Arc<LiveNamespace> {
        &self.0.namespace
    }

    /// The client has been told that it has joined.
    pub(super) fn open(&self) {
        self.0.status.store(Status::Connected as u8, Ordering::Release);
    }

    /// Takes a connected socket out of its namespace; false if somebody else has done so before.
    pub(super) fn end(&self) -> bool {
        let (connected, ended) = (Status::Connected as u8, Status::Ended as u8);
        let won =
            self.0.status.compare_exchange(connected, ended, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if won {
            self.abandon();
        }
        won
    }

    /// Takes a socket out of its namespace, connected or not.
    pub(super) fn abandon(&self) {
        self.0.status.store(Status::Ended as u8, Ordering::Release);
        self.live().rooms_mut().remove(self.0.id);
        lock(&self.0.acks).clear();
    }

    /// Passes an answer to who waits for it; nobody may.
    pub(super) fn acknowledge(&self, id: AckId, arguments: Arguments) {
        let waiting = lock(&self.0.acks).remove(id);
        if let Some(waiting) = waiting {
            // Gone if it has just timed out.
            waiting.send(arguments).ok();
        }
    }

    /// Queues a packet that is shared with others, or closes a connection that does not take them fast
    /// enough.
    pub(super) fn deliver(&self, packet: &Encoded) {
        if !self.is_connected() {
            return;
        }
        if let Err(engineio::SendError::Full) = self.connection().try_send_all(packet.messages()) {
            self.connection().close_with(engineio::CloseReason::SlowConsumer);
        }
    }

    pub(super) fn report(&self, error: &EventError) {
        tracing::warn!(namespace = self.namespace(), socket = self.id(), %error, "event not handled");
        if let Some(hook) = &self.live().blueprint.on_error {
            hook(self, error);
        }
    }

    fn is(&self, status: Status) -> bool {
        self.0.status.load(Ordering::Acquire) == status as u8
    }

    fn encode<D: Serialize + ?Sized>(
        &self,
        id: Option<AckId>,
        event: &impl EventName<D>,
        data: &D,
    ) -> Result<Encoded, SendError> {
        if self.is(Status::Ended) {
            return Err(SendError::Disconnected);
        }
        Ok(Encoded::event(self.namespace(), id, event.name(), data)?)
    }

    fn wait_for(&self, id: AckId, answer: oneshot::Sender<Arguments>) -> Result<Waiting<'_>, AckError> {
        let mut acks = lock(&self.0.acks);
        // Checked under the lock: whoever ends the socket clears the acks afterwards.
        if self.is(Status::Ended) {
            return Err(AckError::Disconnected);
        }
        acks.insert(id, answer);
        Ok(Waiting { socket: self, id })
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.0.id).field("namespace", &self.namespace()).finish()
    }
}

/// Forgets an acknowledgement that is not waited for any more: answered, timed out or given up.
struct Waiting<'a> {
    socket: &'a Socket,
    id: AckId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.socket.0.acks).remove(self.id);
    }
}

/// Nothing panics while it holds one of these locks, so that what they guard is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the reference counts, the entry in the namespace and what the dispatcher keeps it is below 500
    /// bytes.
    #[test]
    fn an_idle_socket_is_small() {
        assert!(size_of::<Shared>() <= 120, "{}", size_of::<Shared>());
        assert!(size_of::<Link>() <= 48, "{}", size_of::<Link>());
    }
}
