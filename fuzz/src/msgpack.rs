use bytes::Bytes;
use engineio::Message;
use socketio::{MsgPackParser, Parser, packet::Content};

/// How much longer the text of a packet may be than its message: an empty byte buffer takes 2 bytes, and its
/// placeholder up to 40.
const MOST_TEXT: usize = 20;

/// A message of a client: what decodes encodes to something that decodes equally, and takes no more memory than
/// the message justifies.
pub fn msgpack(data: &[u8]) {
    let decode = |message| MsgPackParser.decoder().handle_message(message);
    let Ok(packet) = decode(Message::from(data.to_vec())) else { return };
    let packet = packet.expect("each message is a packet");
    assert!(packet.namespace.starts_with('/'));
    if let Content::Event { arguments, .. } | Content::Ack { arguments, .. } = &packet.content {
        assert!(arguments.decode::<()>().is_ok(), "surplus arguments are ignored: {}", arguments.json());
        assert!(arguments.json().len() <= data.len() * MOST_TEXT);
        assert!(arguments.attachments().iter().map(Bytes::len).sum::<usize>() <= data.len());
    }
    let messages = MsgPackParser.encode(&packet).expect("what was received can be sent");
    let [message] = &messages[..] else { panic!("one message, not {messages:?}") };
    assert_eq!(decode(message.clone()).expect("our own message"), Some(packet));
}
