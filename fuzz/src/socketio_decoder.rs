use engineio::Message;
use socketio::{
    decoder::{Decoder, DecoderLimits},
    packet::Content,
};

const LIMITS: DecoderLimits = DecoderLimits { max_attachments: 3, max_attachment_bytes: 16 };

/// The messages of one connection, separated by NUL, those that begin with 0x01 binary: what becomes a packet is
/// within the limits, and made of just the messages since the last.
pub fn socketio_decoder(data: &[u8]) {
    let mut decoder = Decoder::new(LIMITS);
    let mut buffers = Vec::new();
    for piece in data.split(|&byte| byte == 0) {
        let message = match piece {
            [1, bytes @ ..] => {
                buffers.push(bytes.to_vec());
                Message::from(bytes.to_vec())
            }
            text => Message::from(String::from_utf8_lossy(text).into_owned()),
        };
        let Ok(decoded) = decoder.handle_message(message) else { return };
        assert!(buffers.len() <= LIMITS.max_attachments, "more attachments are held than allowed");
        let held: usize = buffers.iter().map(Vec::len).sum();
        assert!(held <= LIMITS.max_attachment_bytes, "{held} bytes of attachments are held");
        let Some(packet) = decoded else { continue };
        match &packet.content {
            Content::Event { arguments, .. } | Content::Ack { arguments, .. } => {
                assert_eq!(arguments.attachments(), &buffers[..], "each attachment once, in order");
            }
            _ => assert!(buffers.is_empty(), "only events and acknowledgements have attachments"),
        }
        buffers.clear();
    }
}
