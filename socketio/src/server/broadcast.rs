//! Events for many, and what else is done to many.

use super::{
    acks::{AckStream, gather_answers},
    live::LiveNamespace,
    remote::Fetched,
    room::{IntoRooms, Room},
    rooms::Target,
    socket::Socket,
};
use crate::{
    adapter::{Change, Emission, Encode, Flags},
    encoded::EncodeError,
    event::EventName,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc, time::Duration};

/// Sockets of one namespace, chosen by rooms, on all servers of a cluster; nothing is done before one of the
/// last methods.
///
/// Without [`to`](Self::to) it means everyone. The id of a socket is a room that it is alone in.
///
/// ```
/// # fn check(socket: socketio::Socket) -> Result<(), socketio::EncodeError> {
/// // Everyone in either room, each once, but neither the socket itself nor those who are muted.
/// socket.to(["news", "sports"]).except("muted").emit("score", &(3, 1))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a broadcast does nothing until it is told what"]
pub struct Broadcast {
    namespace: Arc<LiveNamespace>,
    target: Target,
    flags: Flags,
}

impl Broadcast {
    pub(super) fn new(namespace: Arc<LiveNamespace>, target: Target) -> Self {
        Self { namespace, target, flags: Flags::default() }
    }

    /// Adds the sockets in a room, or in any of several; one that is in several of them receives once.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.target.rooms.extend(rooms.into_rooms());
        self
    }

    /// Leaves out the sockets in a room, or in any of several.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.target.except.extend(rooms.into_rooms());
        self
    }

    /// Means the sockets of this server only.
    pub fn local(mut self) -> Self {
        self.flags.local = true;
        self
    }

    /// Sends only to those who can take it at once: for what is worthless later.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether transports may compress the event; `true` by default.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = compress;
        self
    }

    /// Queues an event for each of the sockets; encoded once.
    ///
    /// A connection whose outbox is full is closed as
    /// [`SlowConsumer`](crate::DisconnectReason::SlowConsumer): it would miss the event, and nobody could
    /// tell it.
    ///
    /// # Errors
    ///
    /// The data cannot be encoded; nobody has been sent anything.
    pub fn emit<D: Serialize + ?Sized>(&self, event: impl EventName<D>, data: &D) -> Result<(), EncodeError> {
        self.with_emission(event.name(), data, |emission| self.namespace.broadcast(emission))
    }

    /// Queues an event for each of the sockets and gathers their answers as they come; each is decoded as
    /// [`args`](crate::args) describes.
    ///
    /// Each socket yields one item, an error for those that have not answered within `timeout` or have
    /// disconnected.
    ///
    /// ```
    /// # async fn check(io: socketio::Server) -> Result<(), socketio::EncodeError> {
    /// use std::time::Duration;
    ///
    /// let asked = io.to("jury").emit_with_ack::<u8, _>("vote", "song 7", Duration::from_secs(10))?;
    /// let votes = asked.collect().await;
    /// println!("{:?}, {} have not voted", votes.answers, votes.missing.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn emit_with_ack<R: DeserializeOwned, D: Serialize + ?Sized>(
        &self,
        event: impl EventName<D>,
        data: &D,
        timeout: Duration,
    ) -> Result<AckStream<R>, EncodeError> {
        let (sink, stream) = gather_answers(timeout);
        self.with_emission(event.name(), data, |emission| {
            let Self { namespace, .. } = self;
            namespace.show_outgoing(emission);
            namespace.adapter.broadcast_with_ack(&namespace.local, emission, sink, timeout)
        })?;
        Ok(stream)
    }

    /// The connected sockets of this server, as they are now.
    pub fn sockets(&self) -> Vec<Socket> {
        self.namespace.sockets(&self.target)
    }

    /// The sockets of all servers.
    pub async fn fetch_sockets(&self) -> Fetched {
        let Self { namespace, target, flags } = self;
        let mut fetched = namespace.adapter.fetch_sockets(&namespace.local, target, *flags).await;
        fetched.attach(namespace);
        fetched
    }

    /// Makes the sockets join a room, or several.
    pub fn join(&self, rooms: impl IntoRooms) {
        self.change(&Change::Join(collect(rooms)));
    }

    /// Makes the sockets leave a room, or several.
    pub fn leave(&self, rooms: impl IntoRooms) {
        self.change(&Change::Leave(collect(rooms)));
    }

    /// Disconnects the sockets; their connections, and their clients' sockets in other namespaces, stay.
    pub fn disconnect(&self) {
        self.change(&Change::Disconnect { close: false });
    }

    /// Disconnects the sockets and closes their connections.
    pub fn disconnect_connections(&self) {
        self.change(&Change::Disconnect { close: true });
    }

    fn change(&self, change: &Change) {
        let Self { namespace, target, flags } = self;
        namespace.adapter.change_sockets(&namespace.local, target, *flags, change);
    }

    fn with_emission<D: Serialize + ?Sized, R>(
        &self,
        name: &str,
        data: &D,
        send: impl FnOnce(&Emission<'_>) -> R,
    ) -> R {
        let Self { namespace, target, flags } = self;
        let encode: &Encode<'_> =
            &|id, offset| namespace.common.format.event(&namespace.path, id, name, data, offset);
        send(&Emission { target, flags: *flags, encode })
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, target, flags } = self;
        f.debug_struct("Broadcast")
            .field("namespace", &namespace.path)
            .field("target", target)
            .field("flags", flags)
            .finish()
    }
}

fn collect(rooms: impl IntoRooms) -> Vec<Room> {
    rooms.into_rooms().collect()
}
