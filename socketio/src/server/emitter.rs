//! Events for one socket.

use super::{acks::AckWaiter, rooms::Target, socket::Socket};
use crate::{
    adapter::{Emission, Encode, Flags},
    args,
    encoded::{Lent, WriteArguments},
    error::{AckError, SendError},
    event::{EventName, OutgoingEvent},
    packet::{AckId, Encoded},
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::sync::oneshot;

/// How events are sent to one socket; nothing is sent before one of the last methods.
///
/// ```
/// # fn check(socket: socketio::Socket) -> Result<(), socketio::SendError> {
/// socket.volatile().compress(false).emit("position", &(12.5, 48.1))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is sent until `emit`"]
pub struct Emitter<'a> {
    socket: &'a Socket,
    flags: Flags,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(socket: &'a Socket) -> Self {
        Self { socket, flags: Flags::default() }
    }

    /// Sends only if the client can take it at once, for what is worthless later. What it cannot take is
    /// dropped, and that is no error.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether the transport may compress the event; `true` by default.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = compress;
        self
    }

    /// Queues an event; fails at once if the outbox is full.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub fn emit<D: Serialize + ?Sized>(self, event: impl EventName<D>, data: &D) -> Result<(), SendError> {
        self.try_emit(event.name(), data)
    }

    /// Queues an event as soon as the outbox has room for it; never fails with [`SendError::Full`].
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub async fn emit_wait<D: Serialize + ?Sized>(
        self,
        event: impl EventName<D>,
        data: &D,
    ) -> Result<(), SendError> {
        loop {
            match self.try_emit(event.name(), data) {
                Err(SendError::Full) => self.socket.connection().ready().await?,
                settled => return settled,
            }
        }
    }

    /// Sends an event and waits for the client's answer; see [`Socket::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    pub async fn emit_with_ack<R: DeserializeOwned, D: Serialize + ?Sized>(
        self,
        event: impl EventName<D>,
        data: &D,
        timeout: Duration,
    ) -> Result<R, AckError> {
        let id = self.socket.live().next_ack_id();
        let packet = self.encode(Some(id), event.name(), data, None).map_err(|error| match error {
            SendError::Encode(error) => AckError::Encode(error),
            SendError::Disconnected | SendError::Full => AckError::Disconnected,
        })?;
        let (answer, answered) = oneshot::channel();
        self.socket.wait_for(id, AckWaiter::One(answer)).map_err(|(error, _)| error)?;
        let _waiting = Waiting { socket: self.socket, id };
        self.show(&packet);
        let exchange = async {
            let connection = self.socket.connection();
            connection.send_all(packet.into_messages()).await.map_err(|_| AckError::Disconnected)?;
            answered.await.map_err(|_| AckError::Disconnected)
        };
        let arguments = tokio::time::timeout(timeout, exchange).await.map_err(|_| AckError::Timeout)??;
        Ok(arguments.decode()?)
    }

    fn try_emit<D: Serialize + ?Sized>(self, name: &str, data: &D) -> Result<(), SendError> {
        let live = self.socket.live();
        if live.recovers && !self.flags.volatile {
            return self.emit_recoverable(name, data);
        }
        if self.socket.is_ended() {
            return Err(SendError::Disconnected);
        }
        let format = &live.common.format;
        let is_plain = self.flags == Flags::default() && live.blueprint.on_any_outgoing.is_empty();
        match format.max_attachments().filter(|_| is_plain) {
            Some(most) => self.emit_plain(most, name, &|text, attachments| {
                args::write(text, attachments, Some(name), data, None)
            }),
            None => Ok(self.send(format.event(&live.path, None, name, data, None)?)?),
        }
    }

    /// Sends an event that nobody but its receiver sees, with so many attachments at most.
    fn emit_plain(self, most: usize, name: &str, write: &WriteArguments<'_>) -> Result<(), SendError> {
        let (connection, namespace) = (self.socket.connection(), self.socket.namespace());
        match Encoded::send_in_turn(most, connection, namespace, name, write) {
            Some(Ok(())) => Ok(()),
            Some(Err(unsent)) => Ok(self.send((*unsent)?)?),
            None => Encoded::lend_event(most, namespace, name, write, |packet| Ok(self.send_lent(packet)?)),
        }
    }

    fn send_lent(self, packet: Lent<'_>) -> Result<(), engineio::SendError> {
        match packet.small_text() {
            Some(text) => self.socket.connection().try_send_copy(text),
            None => self.send(packet.into_owned()),
        }
    }

    fn send(self, packet: Encoded) -> Result<(), engineio::SendError> {
        let connection = self.socket.connection();
        let packet = self.flagged(packet);
        self.show(&packet);
        if self.flags.volatile {
            connection.send_volatile_all(packet.into_messages());
            return Ok(());
        }
        match packet.into_message() {
            Ok(message) => connection.try_send(message),
            Err(packet) => connection.try_send_all(packet.into_messages()),
        }
    }

    fn emit_recoverable<D: Serialize + ?Sized>(self, name: &str, data: &D) -> Result<(), SendError> {
        let live = self.socket.live();
        let target = Target { rooms: vec![self.socket.id().into()], except: Vec::new() };
        if !live.blueprint.on_any_outgoing.is_empty() {
            self.show(&self.encode(None, name, data, None)?);
        }
        if self.socket.is_ended() {
            return Err(SendError::Disconnected);
        }
        let encode: &Encode<'_> = &|id, offset| live.common.format.event(&live.path, id, name, data, offset);
        let emission = Emission { target: &target, flags: self.flags, encode };
        live.adapter.emit(&live.local, self.socket, &emission)
    }

    fn encode<D: Serialize + ?Sized>(
        self,
        id: Option<AckId>,
        name: &str,
        data: &D,
        offset: Option<&str>,
    ) -> Result<Encoded, SendError> {
        if self.socket.is_ended() {
            return Err(SendError::Disconnected);
        }
        let live = self.socket.live();
        Ok(self.flagged(live.common.format.event(&live.path, id, name, data, offset)?))
    }

    fn flagged(self, packet: Encoded) -> Encoded {
        if self.flags.compress { packet } else { packet.uncompressed() }
    }

    /// Shows the event to the hooks.
    fn show(self, packet: &Encoded) {
        let live = self.socket.live();
        if !live.blueprint.on_any_outgoing.is_empty() {
            let event = OutgoingEvent::new(&live.common.format, packet);
            live.blueprint.on_any_outgoing.iter().for_each(|hook| hook(self.socket, &event));
        }
    }
}

/// Forgets an acknowledgement that is not waited for any more: answered, timed out or given up.
struct Waiting<'a> {
    socket: &'a Socket,
    id: AckId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        drop(self.socket.take_waiter(self.id));
    }
}
