//! Events: their names, with or without the type of their data, and what passes by those who see all of them.

use crate::{
    args::{Arguments, DecodeError},
    connection::IncomingEvent,
    encoded::{EncodeError, Encoded},
    packet::{Content, PacketError},
    parser::Format,
};
use bytes::Bytes;
use bytestring::ByteString;
use compact_str::CompactString;
use serde::{Serialize, de::DeserializeOwned};
use std::{cell::OnceCell, fmt, marker::PhantomData};

/// The name of an event and the type of its data, as one constant for both ends.
///
/// ```
/// use socketio::Event;
///
/// const SUM: Event<(i64, i64)> = Event::new("sum");
/// assert_eq!(SUM.name(), "sum");
/// ```
pub struct Event<D: ?Sized> {
    name: &'static str,
    data: PhantomData<fn(&D)>,
}

impl<D: ?Sized> Event<D> {
    /// Names an event that carries `D`.
    pub const fn new(name: &'static str) -> Self {
        Self { name, data: PhantomData }
    }

    /// The name on the wire.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<D: ?Sized> Clone for Event<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: ?Sized> Copy for Event<D> {}

impl<D: ?Sized> fmt::Debug for Event<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.name).finish()
    }
}

/// What can name an event that carries `D`: an [`Event<D>`], which fixes the type, or a string, which accepts
/// any.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot name an event",
    label = "an event is named by a `&str` or an `Event<D>`",
    note = "of a `String`, pass `name.as_str()`"
)]
pub trait EventName<D: ?Sized>: Copy {
    /// The name on the wire.
    fn name(&self) -> &str;
}

impl<D: ?Sized> EventName<D> for Event<D> {
    fn name(&self) -> &str {
        self.name
    }
}

impl<D: ?Sized> EventName<D> for &str {
    fn name(&self) -> &str {
        self
    }
}

impl IncomingEvent {
    /// An event that has been somewhere else meanwhile, on another server for example: `json` is what
    /// [`Arguments::json`] gave.
    ///
    /// # Errors
    ///
    /// It is no event.
    pub fn from_json(json: impl Into<ByteString>, attachments: Vec<Bytes>) -> Result<Self, PacketError> {
        match Content::event(None, json, attachments)? {
            Content::Event { id, name, arguments } => Ok(Self { id, name, arguments }),
            _ => Err(PacketError::Payload),
        }
    }

    /// Reads the data as `D`; see [`Arguments::decode`].
    ///
    /// # Errors
    ///
    /// The data is not a `D`.
    pub fn decode<D: DeserializeOwned>(&self) -> Result<D, DecodeError> {
        self.arguments.decode()
    }

    /// The same event under another name, for middleware that sends it to another handler. The data stays.
    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The same event with other data, for middleware that changes it.
    ///
    /// # Errors
    ///
    /// The data is no JSON.
    pub fn with_data<D: Serialize + ?Sized>(self, data: &D) -> Result<Self, EncodeError> {
        let arguments = Arguments::encode(Some(&self.name), data, None)?;
        Ok(Self { arguments, ..self })
    }
}

/// An event on its way to a client, as [`Namespace::on_any_outgoing`](crate::Namespace::on_any_outgoing) sees
/// it. It is not taken apart before somebody asks.
pub struct OutgoingEvent<'a> {
    format: &'a Format,
    packet: &'a Encoded,
    content: OnceCell<Option<(CompactString, Arguments)>>,
}

impl<'a> OutgoingEvent<'a> {
    pub(crate) fn new(format: &'a Format, packet: &'a Encoded) -> Self {
        Self { format, packet, content: OnceCell::new() }
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.content().map_or("", |(name, _)| name)
    }

    /// Reads the data as `D`; see [`Arguments::decode`].
    ///
    /// # Errors
    ///
    /// The data is not a `D`.
    pub fn decode<D: DeserializeOwned>(&self) -> Result<D, DecodeError> {
        match self.content() {
            Some((_, arguments)) => arguments.decode(),
            None => Arguments::new("[]".into(), 0, 1).decode(),
        }
    }

    /// `None` if the parser cannot read what it wrote.
    fn content(&self) -> Option<&(CompactString, Arguments)> {
        let read = || match self.format.decode(self.packet)?.content {
            Content::Event { name, arguments, .. } => Some((name, arguments)),
            _ => None,
        };
        self.content.get_or_init(read).as_ref()
    }
}

impl fmt::Debug for OutgoingEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingEvent").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// Whether the protocol keeps `name` for itself, so that no event may have it.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener"
    )
}
