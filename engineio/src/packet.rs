//! One packet: what travels in a WebSocket frame or as one piece of a polling payload.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use bytestring::ByteString;

use crate::Message;

/// One Engine.IO packet (protocol revision 4).
///
/// As text it is a type digit and data: `4hello`. Binary data is a binary frame of its own on a WebSocket, and
/// `b` with base64 where only text can travel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet {
    /// `1`: the connection ends.
    Close,
    /// `4`, or binary: data of the application.
    Message(Message),
    /// `6`: nothing; releases a pending poll.
    Noop,
    /// `0`: the first packet, with the JSON of an [`OpenPacket`](crate::open::OpenPacket).
    Open(ByteString),
    /// `2`: are you there?
    Ping,
    /// `3`: I am.
    Pong,
    /// `2probe`: does this WebSocket work?
    ProbePing,
    /// `3probe`: it does.
    ProbePong,
    /// `5`: from now on everything travels on the WebSocket.
    Upgrade,
}

/// A packet on its way out: whole, or the text of a message that lies somewhere else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PacketCow<'a> {
    /// Any packet.
    Packet(Packet),
    /// A message of this text.
    Text(&'a str),
}

impl PacketCow<'_> {
    /// The packet; a text that is only borrowed is copied.
    pub fn into_owned(self) -> Packet {
        match self {
            Self::Packet(packet) => packet,
            Self::Text(text) => Packet::Message(Message::Text(text.into())),
        }
    }

    /// Appends the packet as text, binary data as base64.
    pub fn encode_text(&self, out: &mut Vec<u8>) {
        match self {
            Self::Packet(packet) => packet.encode_text(out),
            Self::Text(text) => {
                out.reserve(1 + text.len());
                out.push(b'4');
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

impl From<Packet> for PacketCow<'_> {
    fn from(packet: Packet) -> Self {
        Self::Packet(packet)
    }
}

/// What is wrong with a packet. The peer misbehaved.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PacketError {
    /// Base64 after `b` that is not canonical (RFC 4648 section 4, padded).
    #[error("invalid base64 in a binary packet")]
    Base64,
    /// No type digit at all.
    #[error("empty packet")]
    Empty,
    /// A first character other than `0` to `6` and `b`.
    #[error("unknown packet type")]
    UnknownType,
    /// Text that is not UTF-8.
    #[error("invalid UTF-8 in a text packet")]
    Utf8,
}

impl PacketError {
    /// The error in words, for [`CloseReason::ParseError`](crate::CloseReason::ParseError).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base64 => "invalid base64 in a binary packet",
            Self::Empty => "empty packet",
            Self::UnknownType => "unknown packet type",
            Self::Utf8 => "invalid UTF-8 in a text packet",
        }
    }
}

impl Packet {
    /// Decodes one piece of a polling payload. Text of a message is shared with `text`.
    ///
    /// # Errors
    /// See [`PacketError`].
    pub fn decode_text(text: &ByteString) -> Result<Self, PacketError> {
        Self::decode_with(text, |data| text.slice_ref(data))
    }

    /// Decodes a text frame. What is borrowed is copied without the type digit, which is cheaper than to share a copy
    /// that has it; what is owned is shared.
    ///
    /// # Errors
    /// See [`PacketError`].
    pub fn decode_frame(text: Cow<'_, str>) -> Result<Self, PacketError> {
        match text {
            Cow::Borrowed(text) => Self::decode_with(text, |data| data.into()),
            Cow::Owned(text) => Self::decode_text(&text.into()),
        }
    }

    fn decode_with(text: &str, keep: impl FnOnce(&str) -> ByteString) -> Result<Self, PacketError> {
        let Some(&first) = text.as_bytes().first() else {
            return Err(PacketError::Empty);
        };
        Ok(match first {
            b'0' => Self::Open(keep(&text[1..])),
            b'1' => Self::Close,
            b'2' if &text[1..] == PROBE => Self::ProbePing,
            b'2' => Self::Ping,
            b'3' if &text[1..] == PROBE => Self::ProbePong,
            b'3' => Self::Pong,
            b'4' => Self::Message(Message::Text(keep(&text[1..]))),
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            b'b' => {
                let bytes = STANDARD.decode(&text[1..]).map_err(|_| PacketError::Base64)?;
                Self::Message(Message::Binary(bytes.into()))
            }
            _ => return Err(PacketError::UnknownType),
        })
    }

    /// Decodes a binary frame, which is always a message.
    pub fn decode_binary(bytes: Bytes) -> Self {
        Self::Message(Message::Binary(bytes))
    }

    /// Appends the packet as text, binary data as base64.
    pub fn encode_text(&self, out: &mut Vec<u8>) {
        match self {
            Self::Message(Message::Binary(bytes)) => {
                let at = out.len() + 1;
                let length = base64::encoded_len(bytes.len(), true).expect("a message fits into memory");
                out.push(b'b');
                out.resize(at + length, 0);
                STANDARD.encode_slice(bytes, &mut out[at..]).expect("the length was computed");
            }
            other => {
                let (head, data) = other.text_parts();
                out.reserve(head.len() + data.len());
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(data);
            }
        }
    }

    /// The packet as text in two parts, so that the data need not be copied: type (and probe), data.
    ///
    /// # Panics
    /// For a binary message, which is not text.
    pub(crate) fn text_parts(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Close => ("1", &[]),
            Self::Message(Message::Text(text)) => ("4", text.as_bytes()),
            Self::Message(Message::Binary(_)) => unreachable!("binary data has no text form of its own"),
            Self::Noop => ("6", &[]),
            Self::Open(json) => ("0", json.as_bytes()),
            Self::Ping => ("2", &[]),
            Self::Pong => ("3", &[]),
            Self::ProbePing => ("2probe", &[]),
            Self::ProbePong => ("3probe", &[]),
            Self::Upgrade => ("5", &[]),
        }
    }
}

const PROBE: &str = "probe";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> Result<Packet, PacketError> {
        Packet::decode_text(&ByteString::from(text))
    }

    #[test]
    fn every_type_has_its_digit() {
        let cases = [
            ("0{}", Packet::Open("{}".into())),
            ("1", Packet::Close),
            ("2", Packet::Ping),
            ("2probe", Packet::ProbePing),
            ("3", Packet::Pong),
            ("3probe", Packet::ProbePong),
            ("4", Packet::Message("".into())),
            ("4hello €", Packet::Message("hello €".into())),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
            ("b", Packet::Message(Bytes::new().into())),
            ("bAQIDBA==", Packet::Message(vec![1, 2, 3, 4].into())),
        ];
        for (text, packet) in cases {
            assert_eq!(decode(text), Ok(packet.clone()), "{text}");
            let mut out = Vec::new();
            packet.encode_text(&mut out);
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn data_of_heartbeats_is_ignored() {
        assert_eq!(decode("2x"), Ok(Packet::Ping));
        assert_eq!(decode("3x"), Ok(Packet::Pong));
    }

    #[test]
    fn misbehaviour_is_named() {
        let cases = [
            ("", PacketError::Empty),
            ("7", PacketError::UnknownType),
            ("x4", PacketError::UnknownType),
            (" 4", PacketError::UnknownType),
            ("é", PacketError::UnknownType),
            ("bAQIDBA", PacketError::Base64),
            ("bAQIDBA=", PacketError::Base64),
            ("b_-_-", PacketError::Base64),
            ("bAQID BA==", PacketError::Base64),
            ("bAQIDBB==", PacketError::Base64),
        ];
        for (text, error) in cases {
            assert_eq!(decode(text), Err(error), "{text:?}");
            assert_eq!(error.to_string(), error.as_str());
        }
    }

    proptest! {
        #[test]
        fn messages_survive_the_text_form(bytes: Vec<u8>, text: String) {
            for message in [Message::from(bytes), Message::from(text)] {
                let mut out = Vec::new();
                Packet::Message(message.clone()).encode_text(&mut out);
                let out = ByteString::try_from(out).unwrap();
                prop_assert_eq!(Packet::decode_text(&out), Ok(Packet::Message(message)));
            }
        }
    }
}
