//! Events for many.

use super::{
    namespace::LiveNamespace,
    rooms::{Room, Target},
    socket::Socket,
};
use crate::{
    event::EventName,
    packet::{EncodeError, Encoded},
};
use serde::Serialize;
use std::sync::Arc;

/// Sockets of one namespace, chosen by rooms; nothing is sent before [`emit`](Self::emit).
///
/// Without [`to`](Self::to) it means everyone. The id of a socket is a room that it is alone in.
#[derive(Clone)]
#[must_use = "a broadcast does nothing until `emit`"]
pub struct Broadcast {
    namespace: Arc<LiveNamespace>,
    target: Target,
}

impl Broadcast {
    pub(super) fn new(namespace: Arc<LiveNamespace>, target: Target) -> Self {
        Self { namespace, target }
    }

    /// Adds the sockets in `room`; one that is in several rooms receives once.
    pub fn to(mut self, room: impl Into<Room>) -> Self {
        self.target.rooms.push(room.into());
        self
    }

    /// Leaves out the sockets in `room`.
    pub fn except(mut self, room: impl Into<Room>) -> Self {
        self.target.except.push(room.into());
        self
    }

    /// Queues an event for each of the sockets; encoded once.
    ///
    /// A connection whose outbox is full is closed as
    /// [`SlowConsumer`](crate::DisconnectReason::SlowConsumer): it would miss the event, and nobody could
    /// tell it.
    pub fn emit<D: Serialize + ?Sized>(&self, event: impl EventName<D>, data: &D) -> Result<(), EncodeError> {
        let packet = Encoded::event(&self.namespace.path, None, event.name(), data)?;
        for socket in self.selected() {
            socket.deliver(&packet);
        }
        Ok(())
    }

    /// The sockets as they are now.
    pub fn sockets(&self) -> Vec<Socket> {
        let mut sockets = self.selected();
        sockets.retain(Socket::is_connected);
        sockets
    }

    /// A snapshot, so that the lock is not held while sending.
    fn selected(&self) -> Vec<Socket> {
        self.namespace.rooms().select(&self.target)
    }
}
