//! Messages of one connection -> packets, complete with their attachments.

use crate::packet::{Content, MAX_ATTACHMENTS, Packet, PacketError};
use bytes::Bytes;
use engineio::Message;

/// Puts packets together from the messages of one connection, whatever namespaces they belong to.
///
/// What it holds at a time is bounded by [`MAX_ATTACHMENTS`] messages. After an error it is of no further
/// use.
///
/// ```
/// use socketio::{decoder::Decoder, packet::Content};
///
/// let mut decoder = Decoder::default();
/// assert_eq!(decoder.handle_message(r#"51-["photo",{"_placeholder":true,"num":0}]"#.into()), Ok(None));
/// let packet = decoder.handle_message(vec![0xff, 0xd8].into()).unwrap().unwrap();
/// assert!(matches!(packet.content, Content::Event { name, .. } if name == "photo"));
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

/// A packet whose attachments have not all arrived.
#[derive(Debug)]
struct Partial {
    packet: Packet,
    attachments: Vec<Bytes>,
    expected: usize,
}

/// Why a message does not fit; the connection is to be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecoderError {
    /// Binary message that no packet announced.
    #[error("binary message that no packet announced")]
    UnexpectedBinary,
    /// Text while attachments are due.
    #[error("text where an attachment was announced")]
    UnexpectedText,
    /// Text that is no packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
}

impl Decoder {
    /// Takes the next message; returns the packet that it completes, if any.
    pub fn handle_message(&mut self, message: Message) -> Result<Option<Packet>, DecoderError> {
        match (message, self.partial.take()) {
            (Message::Text(text), None) => {
                let (packet, expected) = Packet::parse(&text)?;
                if expected == 0 {
                    return Ok(Some(packet));
                }
                debug_assert!(expected <= MAX_ATTACHMENTS);
                let attachments = Vec::with_capacity(expected);
                self.partial = Some(Box::new(Partial { packet, attachments, expected }));
                Ok(None)
            }
            (Message::Binary(bytes), Some(mut partial)) => {
                partial.attachments.push(bytes);
                if partial.attachments.len() < partial.expected {
                    self.partial = Some(partial);
                    return Ok(None);
                }
                let Partial { mut packet, attachments, .. } = *partial;
                if let Content::Event { arguments, .. } | Content::Ack { arguments, .. } = &mut packet.content
                {
                    arguments.attach(attachments);
                }
                Ok(Some(packet))
            }
            (Message::Text(_), Some(_)) => Err(DecoderError::UnexpectedText),
            (Message::Binary(_), None) => Err(DecoderError::UnexpectedBinary),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_follow_their_packet() {
        let mut decoder = Decoder::default();
        let header = r#"52-/chat,3["a",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]"#;
        assert_eq!(decoder.handle_message(header.into()), Ok(None));
        assert_eq!(decoder.handle_message(vec![1].into()), Ok(None));
        let packet = decoder.handle_message(vec![2].into()).unwrap().unwrap();
        let Content::Event { arguments, .. } = packet.content else { panic!("an event") };
        assert_eq!(arguments.decode::<(Bytes, (Bytes,))>().unwrap(), (vec![2].into(), (vec![1].into(),)));
        assert!(decoder.handle_message(r#"2["next"]"#.into()).unwrap().is_some());
    }

    #[test]
    fn a_binary_packet_without_attachments_is_plain() {
        let mut decoder = Decoder::default();
        for text in [r#"50-["a",1]"#, r#"2["b"]"#, "60-7[1]"] {
            assert!(decoder.handle_message(text.into()).unwrap().is_some(), "{text}");
        }
    }

    #[test]
    fn order_is_strict() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.handle_message(vec![1].into()), Err(DecoderError::UnexpectedBinary));
        assert_eq!(decoder.handle_message(r#"51-["a"]"#.into()), Ok(None));
        assert_eq!(decoder.handle_message(r#"2["b"]"#.into()), Err(DecoderError::UnexpectedText));
        assert_eq!(decoder.handle_message("7".into()), Err(PacketError::Type.into()));
    }
}
