//! What applications exchange: the payload of a `message` packet.

use bytes::Bytes;
use bytestring::ByteString;

/// The payload of one `message` packet.
///
/// A clone shares the data, so sending one message to many connections costs a reference count each.
///
/// ```
/// use engineio::Message;
///
/// let Message::Text(text) = Message::from("hello") else { unreachable!() };
/// assert_eq!(text, "hello");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// Bytes that are not text. On a transport without binary they travel as base64.
    Binary(Bytes),
    /// Text, always valid UTF-8.
    Text(ByteString),
}

impl Message {
    /// Bytes of the payload, as text or binary.
    pub fn as_bytes(&self) -> &Bytes {
        match self {
            Self::Binary(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }

    /// Whether the payload has no bytes at all, which is allowed.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Length of the payload in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<ByteString> for Message {
    fn from(text: ByteString) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&'static str> for Message {
    fn from(text: &'static str) -> Self {
        Self::Text(ByteString::from_static(text))
    }
}

/// A message on its way out, with what the sender wants of the transport.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub(crate) message: Message,
    pub(crate) compress: bool,
}

impl Outgoing {
    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Asks the transport not to compress this message, as for data that is compressed already.
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.compress = false;
        self
    }
}

impl<M: Into<Message>> From<M> for Outgoing {
    fn from(message: M) -> Self {
        Self { message: message.into(), compress: true }
    }
}
