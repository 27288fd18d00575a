//! The sockets of one namespace that are connected to this server.

use super::{Change, Emission, Encode, Flags};
use crate::{
    connection::IncomingEvent,
    encoded::{EncodeError, Encoded},
    server::{AckSink, LiveNamespace, NamespaceHandle, Room, Socket, Target},
};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::{
    fmt,
    sync::{Arc, Weak},
};

/// The sockets of one namespace that are connected to this server, for its [`Adapter`](super::Adapter).
///
/// It does not keep the namespace alive: an adapter may hold it in its tasks. When the namespace has gone,
/// nothing is done.
#[derive(Clone)]
pub struct Local {
    path: Arc<str>,
    live: Weak<LiveNamespace>,
}

impl Local {
    pub(crate) fn new(path: Arc<str>, live: Weak<LiveNamespace>) -> Self {
        Self { path, live }
    }

    /// The path of the namespace.
    pub fn namespace(&self) -> &str {
        &self.path
    }

    /// Queues a packet for the sockets that are meant. A connection that is full is closed as
    /// [`SlowConsumer`](crate::DisconnectReason::SlowConsumer), unless the packet is volatile.
    pub fn deliver(&self, packet: &Encoded, target: &Target, flags: Flags) {
        if let Some(live) = self.live.upgrade() {
            live.deliver(packet, target, flags);
        }
    }

    /// Sends an event to the sockets that are meant, which answer into `answers`.
    ///
    /// # Errors
    ///
    /// It cannot be encoded.
    pub fn ask(&self, emission: &Emission<'_>, answers: &AckSink) -> Result<(), EncodeError> {
        match self.live.upgrade() {
            Some(live) => live.ask(emission, answers),
            None => Ok(()),
        }
    }

    /// An event in the form in which servers exchange it: its name, and its data not encoded for any client.
    ///
    /// # Errors
    ///
    /// It cannot be encoded.
    pub fn event(&self, emission: &Emission<'_>) -> Result<IncomingEvent, EncodeError> {
        let event = self.live.upgrade().map(|live| live.event(emission)).transpose()?;
        event.ok_or_else(|| EncodeError::Parser("the namespace is gone".into()))
    }

    /// Calls `send` with the emission of an event that another server has sent.
    pub fn with_emission<R>(
        &self,
        event: &IncomingEvent,
        target: &Target,
        flags: Flags,
        send: impl FnOnce(&Emission<'_>) -> R,
    ) -> Option<R> {
        let live = self.live.upgrade()?;
        let encode: &Encode<'_> =
            &|id, offset| live.common.format.event_of(&self.path, id, &event.arguments, offset);
        let emission = Emission { target, flags, encode };
        live.show_outgoing(&emission);
        Some(send(&emission))
    }

    /// The sockets that are meant and connected.
    pub fn sockets(&self, target: &Target) -> Vec<Socket> {
        self.live.upgrade().map(|live| live.sockets(target)).unwrap_or_default()
    }

    /// All rooms that have sockets.
    pub fn rooms(&self) -> Vec<Room> {
        self.live.upgrade().map(|live| live.rooms().all()).unwrap_or_default()
    }

    /// Changes the sockets that are meant.
    pub fn change_sockets(&self, target: &Target, change: &Change) {
        for socket in self.sockets(target) {
            match change {
                Change::Disconnect { close: true } => socket.disconnect_connection(),
                Change::Disconnect { close: false } => socket.disconnect(),
                Change::Join(rooms) => socket.join(&rooms[..]),
                Change::Leave(rooms) => socket.leave(&rooms[..]),
            }
        }
    }

    /// Runs the handler of an event that another server has sent; `None` if there is none.
    pub fn handle_server_event(
        &self,
        event: IncomingEvent,
    ) -> Option<BoxFuture<'static, Result<Value, serde_json::Error>>> {
        let live = self.live.upgrade()?;
        let handler = live.blueprint.server_handlers.get(event.name())?;
        Some(handler(NamespaceHandle(Arc::clone(&live)), event))
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Local").field(&self.path).finish()
    }
}
