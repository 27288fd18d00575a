use crate::packet::{MAX_DEPTH, PacketError};

/// Why a message is no packet in msgpack; numbers are bytes of the message.
///
/// A connection that sends such a message is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MsgPackError {
    /// The id is not an integer from 0 to 2^53 - 1.
    #[error("ack id at byte {0} is not an integer from 0 to 2^53 - 1")]
    AckId(usize),
    /// A request to join, or its refusal, carries byte buffers.
    #[error("payload at byte {0} has byte buffers, which this type of packet cannot carry")]
    Attachments(usize),
    /// The packet has two values of the same name.
    #[error("packet has the key at byte {0} twice")]
    Duplicate(usize),
    /// The message ends within a value.
    #[error("message ends within the value at byte {0}")]
    Incomplete(usize),
    /// A key of the packet is no string, or one in its data neither string nor integer.
    #[error("key of a wrong type at byte {0}")]
    Key(usize),
    /// The namespace is missing, or not a string that begins with `/`.
    #[error("namespace missing or ill-formed at byte {0}")]
    Namespace(usize),
    /// The message is no map.
    #[error("packet is not a map")]
    NotMap,
    /// The parts do not make a packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A map says of itself that it is a placeholder; byte buffers have to be where they belong.
    #[error("map with a placeholder's mark at byte {0}")]
    Placeholder(usize),
    /// A text message.
    #[error("text where a binary message was expected")]
    Text,
    /// Arrays and maps nested deeper than [`MAX_DEPTH`], the packet included.
    #[error("nested deeper than {MAX_DEPTH} at byte {0}")]
    TooDeep(usize),
    /// The message goes on after the packet.
    #[error("packet ends before byte {0}, where the message goes on")]
    TrailingBytes(usize),
    /// The type is missing or not an integer from 0 to 4.
    #[error("packet type missing or unknown at byte {0}")]
    Type(usize),
    /// An unknown extension, an ill-formed timestamp, or the byte that is no marker.
    #[error("value of an unknown type at byte {0}")]
    UnknownValue(usize),
    /// A string is not UTF-8.
    #[error("string at byte {0} is not UTF-8")]
    Utf8(usize),
}
