//! Messages of one connection -> packets, complete with their attachments.

use crate::packet::{MAX_ATTACHMENTS, Outline, Packet, PacketError};
use bytes::Bytes;
use engineio::Message;

/// Puts packets together from the messages of one connection, whatever namespaces they belong to.
///
/// What it holds at a time is bounded by [`DecoderLimits`]. After an error it is of no further use.
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
    limits: DecoderLimits,
    partial: Option<Box<Partial>>,
}

/// What a [`Decoder`] puts up with.
#[derive(Clone, Copy, Debug)]
pub struct DecoderLimits {
    /// Most attachments of one packet; [`MAX_ATTACHMENTS`] by default.
    pub max_attachments: usize,
    /// Most bytes of the attachments of one packet; 10 MB by default, which is as many attachments of as many
    /// bytes as the official server takes.
    pub max_attachment_bytes: usize,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { max_attachments: MAX_ATTACHMENTS, max_attachment_bytes: 10_000_000 }
    }
}

/// A packet whose attachments have not all arrived.
#[derive(Debug)]
struct Partial {
    packet: Packet,
    attachments: Vec<Bytes>,
    expected: usize,
    bytes: usize,
}

/// Why a message does not fit; the connection is to be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecoderError {
    /// The attachments of a packet are larger than [`DecoderLimits::max_attachment_bytes`].
    #[error("attachments of one packet larger than {0} bytes")]
    AttachmentsTooLarge(usize),
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
    /// Makes a decoder with limits of one's own.
    pub fn new(limits: DecoderLimits) -> Self {
        Self { limits, partial: None }
    }

    /// Looks at the next message if it is the text of an event, to which no attachments belong: the rule, for which
    /// nothing is copied. For any other, `None`: it is to be [handled](Self::handle_message) then.
    #[inline(always)]
    pub(crate) fn outline_event(&self, text: &str) -> Option<Result<Outline, PacketError>> {
        let is_event = text.starts_with('2') && self.partial.is_none();
        is_event.then(|| Outline::parse(text, self.limits.max_attachments))
    }

    /// Takes the next message; returns the packet that it completes, if any.
    pub fn handle_message(&mut self, message: Message) -> Result<Option<Packet>, DecoderError> {
        match (message, self.partial.take()) {
            (Message::Text(text), None) => {
                let (packet, expected) = Packet::parse_owned(text, self.limits.max_attachments)?;
                if expected == 0 {
                    return Ok(Some(packet));
                }
                // So many may have been announced by who sends none.
                let attachments = Vec::with_capacity(expected.min(MAX_ATTACHMENTS));
                let partial = Partial { packet, attachments, expected, bytes: 0 };
                self.partial = Some(Box::new(partial));
                Ok(None)
            }
            (Message::Binary(bytes), Some(mut partial)) => {
                partial.bytes += bytes.len();
                if partial.bytes > self.limits.max_attachment_bytes {
                    return Err(DecoderError::AttachmentsTooLarge(self.limits.max_attachment_bytes));
                }
                partial.attachments.push(bytes);
                if partial.attachments.len() < partial.expected {
                    self.partial = Some(partial);
                    return Ok(None);
                }
                let Partial { mut packet, attachments, .. } = *partial;
                packet.content.attach(attachments);
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
    use crate::packet::Content;

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
    fn attachments_are_bounded() {
        let limits = DecoderLimits { max_attachments: 11, max_attachment_bytes: 5 };
        let mut decoder = Decoder::new(limits);
        assert_eq!(decoder.handle_message(r#"511-["a"]"#.into()), Ok(None));
        assert_eq!(decoder.handle_message(vec![0; 5].into()), Ok(None));
        assert_eq!(decoder.handle_message(vec![0].into()), Err(DecoderError::AttachmentsTooLarge(5)));
        let mut decoder = Decoder::new(limits);
        let error = decoder.handle_message(r#"512-["a"]"#.into());
        assert_eq!(error, Err(PacketError::TooManyAttachments(11).into()));
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
