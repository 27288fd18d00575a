//! The body of a polling request or response: packets as text, separated by 0x1E.

use bytes::Bytes;
use bytestring::ByteString;

use crate::packet::{Packet, PacketCow, PacketError};

/// Separates the packets of a payload.
pub const SEPARATOR: u8 = 0x1e;

/// Decodes a payload packet by packet; the packets before a bad one are still good.
///
/// An empty body is one empty packet, and so an error, as with the official server.
///
/// ```
/// use engineio::{packet::Packet, payload};
///
/// let packets: Result<Vec<_>, _> = payload::decode("4hi\u{1e}3".into()).collect();
/// assert_eq!(packets, Ok(vec![Packet::Message("hi".into()), Packet::Pong]));
/// ```
pub fn decode(body: Bytes) -> Decode {
    Decode { rest: Some(body) }
}

/// Packets of a payload, in order. Ends after the first error.
#[derive(Debug)]
pub struct Decode {
    rest: Option<Bytes>,
}

impl Iterator for Decode {
    type Item = Result<Packet, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest.take()?;
        let piece = match memchr::memchr(SEPARATOR, &rest) {
            Some(at) => {
                let piece = rest.split_to(at);
                self.rest = Some(rest.slice(1..));
                piece
            }
            None => rest,
        };
        let packet = ByteString::try_from(piece)
            .map_err(|_| PacketError::Utf8)
            .and_then(|text| Packet::decode_text(&text));
        if packet.is_err() {
            self.rest = None;
        }
        Some(packet)
    }
}

/// Appends a packet to a payload.
pub fn push(payload: &mut Vec<u8>, packet: &Packet) {
    separate(payload);
    packet.encode_text(payload);
}

/// Appends a packet that may be borrowed.
pub(crate) fn push_cow(payload: &mut Vec<u8>, packet: &PacketCow<'_>) {
    separate(payload);
    packet.encode_text(payload);
}

fn separate(payload: &mut Vec<u8>) {
    if !payload.is_empty() {
        payload.push(SEPARATOR);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Message;

    #[test]
    fn good_packets_before_a_bad_one_are_delivered() {
        type Decoded = Vec<Result<Packet, PacketError>>;
        let message = |text: &'static str| Ok(Packet::Message(text.into()));
        let cases: [(&[u8], Decoded); 8] = [
            (b"", vec![Err(PacketError::Empty)]),
            (b"4a", vec![message("a")]),
            (b"4a\x1e4b", vec![message("a"), message("b")]),
            (b"4a\x1e", vec![message("a"), Err(PacketError::Empty)]),
            (b"\x1e4a", vec![Err(PacketError::Empty)]),
            (b"4a\x1eX\x1e4b", vec![message("a"), Err(PacketError::UnknownType)]),
            (b"4a\x1e4\xff\x1e4b", vec![message("a"), Err(PacketError::Utf8)]),
            (b"bAAE=\x1e2", vec![Ok(Packet::Message(vec![0, 1].into())), Ok(Packet::Ping)]),
        ];
        for (body, packets) in cases {
            assert_eq!(decode(Bytes::from_static(body)).collect::<Decoded>(), packets, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn payloads_round_trip(texts in prop::collection::vec("[^\u{1e}]*", 1..5), bytes: Vec<u8>) {
            let packets: Vec<_> = texts.into_iter().map(Message::from).chain([bytes.into()])
                .map(Packet::Message).collect();
            let mut body = Vec::new();
            packets.iter().for_each(|packet| push(&mut body, packet));
            let decoded: Result<Vec<_>, _> = decode(body.into()).collect();
            prop_assert_eq!(decoded, Ok(packets));
        }

        #[test]
        fn any_body_is_read_without_panic(body: Vec<u8>) {
            prop_assert!(decode(body.into()).count() >= 1);
        }
    }
}
