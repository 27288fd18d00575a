//! How a namespace reaches its sockets: those of this server, and those of others in a cluster.

mod in_memory;
mod local;
mod log;

pub use crate::server::{AckSink, gather_answers};
pub use in_memory::{InMemory, Recovery};
pub use local::Local;

use crate::{
    connection::IncomingEvent,
    encoded::{EncodeError, Encoded},
    error::SendError,
    packet::AckId,
    server::{Fetched, Room, ServerAnswers, Socket, Target},
};
use futures_util::future::BoxFuture;
use http::Extensions;
use serde_json::Value;
use std::{fmt, time::Duration};

/// How the operations of a namespace reach all sockets that they mean; one adapter for each namespace.
///
/// What is provided reaches the sockets of this server, by [`Local`], and is all that a single server needs.
/// An adapter of a cluster does that too, and tells the other servers, whose adapters do it there.
///
/// Operations that nobody waits for do not wait themselves, so that emitting costs no task: what a remote
/// adapter has to send, it queues, in order, and sends in a task of its own. What has answers is a future. No
/// answer from a server in time is not an error: what the others said counts, and the result tells how many
/// are missing.
pub trait Adapter: Send + Sync + 'static {
    /// Sends an event to all sockets that are meant.
    ///
    /// # Errors
    ///
    /// It cannot be encoded; nothing has been sent.
    fn broadcast(&self, local: &Local, emission: &Emission<'_>) -> Result<(), EncodeError> {
        local.deliver(&emission.encode(None)?, emission.target, emission.flags);
        Ok(())
    }

    /// Sends an event to all sockets that are meant, and has their answers put into `answers`, of which each
    /// holder of a clone may still add some.
    ///
    /// # Errors
    ///
    /// As for [`broadcast`](Self::broadcast).
    fn broadcast_with_ack(
        &self,
        local: &Local,
        emission: &Emission<'_>,
        answers: AckSink,
        timeout: Duration,
    ) -> Result<(), EncodeError> {
        // Local sockets are given up by who holds the other end of `answers`.
        let _ = timeout;
        local.ask(emission, &answers)
    }

    /// Sends an event to one socket of this server that may be missed and recovered. Called only if
    /// [`recovers`](Self::recovers).
    ///
    /// # Errors
    ///
    /// As for [`Socket::emit`].
    fn emit(&self, local: &Local, socket: &Socket, emission: &Emission<'_>) -> Result<(), SendError> {
        let _ = local;
        socket.send(&emission.encode(None)?)
    }

    /// All sockets that are meant.
    fn fetch_sockets<'a>(
        &'a self,
        local: &'a Local,
        target: &'a Target,
        flags: Flags,
    ) -> BoxFuture<'a, Fetched> {
        let _ = flags;
        Box::pin(async move { Fetched::local(local.sockets(target)) })
    }

    /// Changes all sockets that are meant.
    fn change_sockets(&self, local: &Local, target: &Target, flags: Flags, change: &Change) {
        let _ = flags;
        local.change_sockets(target, change);
    }

    /// How many servers the cluster has, this one included.
    fn server_count(&self) -> BoxFuture<'_, usize> {
        Box::pin(std::future::ready(1))
    }

    /// Sends an event to all other servers.
    fn server_side_emit(&self, local: &Local, event: &IncomingEvent) {
        let _ = (local, event);
    }

    /// Sends an event to all other servers and gathers their answers.
    fn server_side_emit_with_ack<'a>(
        &'a self,
        local: &'a Local,
        event: IncomingEvent,
        timeout: Duration,
    ) -> BoxFuture<'a, ServerAnswers<Value>> {
        let _ = (local, event, timeout);
        Box::pin(std::future::ready(ServerAnswers::default()))
    }

    /// Whether sockets can be recovered: events then pass by [`emit`](Self::emit) and carry offsets.
    fn recovers(&self) -> bool {
        false
    }

    /// Keeps a socket that has lost its connection.
    fn save(&self, local: &Local, socket: SavedSocket) {
        let _ = (local, socket);
    }

    /// Takes the socket with the private id `pid` out of what is kept, if it is there and the packets that
    /// followed `offset` are too. It cannot be restored a second time.
    fn restore<'a>(
        &'a self,
        local: &'a Local,
        pid: &'a str,
        offset: &'a str,
    ) -> BoxFuture<'a, Option<SavedSocket>> {
        let _ = (local, pid, offset);
        Box::pin(std::future::ready(None))
    }

    /// Calls `open` once, with the packets for `socket` that followed `offset`; what is sent to it later is
    /// delivered after `open` has returned. `false`, and no call, if these packets are not kept any more.
    fn resume(
        &self,
        local: &Local,
        socket: &SavedSocket,
        offset: &str,
        open: &mut dyn FnMut(Vec<Encoded>),
    ) -> bool {
        let _ = (local, socket, offset, open);
        false
    }

    /// Ends the adapter's work; the namespace is gone.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// How an event is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flags {
    /// Transports may compress it.
    pub compress: bool,
    /// Only the sockets of this server are meant.
    pub local: bool,
    /// Clients that cannot take it at once do without it.
    pub volatile: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { compress: true, local: false, volatile: false }
    }
}

/// An event that is being sent, not encoded yet.
pub struct Emission<'a> {
    /// Who is to receive it.
    pub target: &'a Target,
    /// How it is sent.
    pub flags: Flags,
    pub(crate) encode: &'a Encode<'a>,
}

/// Encodes with an id, if there is one, and an offset as one argument more, if there is one.
pub(crate) type Encode<'a> = dyn Fn(Option<AckId>, Option<&str>) -> Result<Encoded, EncodeError> + 'a;

impl Emission<'_> {
    /// Encodes the event, with the `offset` by which a client can recover what follows.
    ///
    /// # Errors
    ///
    /// The data cannot be encoded.
    pub fn encode(&self, offset: Option<&str>) -> Result<Encoded, EncodeError> {
        self.encode_with_id(None, offset)
    }

    pub(crate) fn encode_with_id(
        &self,
        id: Option<AckId>,
        offset: Option<&str>,
    ) -> Result<Encoded, EncodeError> {
        let packet = (self.encode)(id, offset)?;
        Ok(if self.flags.compress { packet } else { packet.uncompressed() })
    }
}

impl fmt::Debug for Emission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, flags, .. } = self;
        f.debug_struct("Emission").field("target", target).field("flags", flags).finish_non_exhaustive()
    }
}

/// What is done to sockets, wherever they are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// They are disconnected, with their whole connection if `close`.
    Disconnect {
        /// Whether the connection is closed.
        close: bool,
    },
    /// They join rooms.
    Join(Vec<Room>),
    /// They leave rooms.
    Leave(Vec<Room>),
}

/// A socket that has lost its connection and may come back.
#[derive(Clone, Debug)]
pub struct SavedSocket {
    /// The public id, which it gets back.
    pub id: String,
    /// The private id, by which the client asks for it. A secret.
    pub pid: String,
    /// The rooms it was in.
    pub rooms: Vec<Room>,
    /// What [`Socket::set`] kept, for adapters that keep it in this process.
    pub extensions: Extensions,
    /// What it [shows](crate::Namespace::show), for adapters that keep it elsewhere.
    pub data: Option<Value>,
}
