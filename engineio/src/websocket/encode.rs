//! What goes before each payload that a server sends, RFC 6455 section 5.2: it never masks.

use std::ops::Deref;

use bytes::Bytes;

use super::frame::{FIN, LENGTH_16, LENGTH_64, MAX_SHORT, Opcode};

/// Bytes of the header of a payload of at most 125.
pub(crate) const SHORTEST_HEADER: usize = 2;

/// Bytes of the longest header: two, and a 64-bit length.
pub(crate) const LONGEST_HEADER: usize = 10;

/// The bytes before the payload of one frame.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; LONGEST_HEADER],
    length: u8,
}

impl Header {
    /// Appends the bytes to `out`: as many as there may be, which are no call, and then shortens it.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.len();
        out.extend_from_slice(&self.bytes);
        out.truncate(end);
    }
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Encodes the header of an unfragmented, unmasked frame with a payload of `length` bytes, in the shortest form.
///
/// The length of a control frame must be at most 125.
pub fn encode_header(opcode: Opcode, length: usize) -> Header {
    debug_assert!(!opcode.is_control() || length <= usize::from(MAX_SHORT), "section 5.5");
    let mut bytes = [0; LONGEST_HEADER];
    bytes[0] = FIN | opcode as u8;
    let encoded = if let Some(shortest) = encode_shortest_header(opcode, length) {
        bytes[..SHORTEST_HEADER].copy_from_slice(&shortest);
        2
    } else if let Ok(length) = u16::try_from(length) {
        bytes[1] = LENGTH_16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        4
    } else {
        bytes[1] = LENGTH_64;
        bytes[2..].copy_from_slice(&(length as u64).to_be_bytes());
        10
    };
    Header { bytes, length: encoded }
}

/// The same, if the payload is short enough for the shortest.
pub(crate) fn encode_shortest_header(opcode: Opcode, length: usize) -> Option<[u8; SHORTEST_HEADER]> {
    (length <= usize::from(MAX_SHORT)).then_some([FIN | opcode as u8, length as u8])
}

/// Encodes a whole close frame, without a reason; with no code it is `88 00`, which the peer reports as 1005.
pub fn encode_close(code: Option<u16>) -> Bytes {
    match code.map(u16::to_be_bytes) {
        None => Bytes::from_static(&[FIN | Opcode::Close as u8, 0]),
        Some([high, low]) => Bytes::copy_from_slice(&[FIN | Opcode::Close as u8, 2, high, low]),
    }
}
