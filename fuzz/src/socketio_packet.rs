use std::collections::BTreeMap;

use bytes::Bytes;
use engineio::Message;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use socketio::{
    Arguments,
    connection::{Connection, Incoming},
    decoder::Decoder,
    packet::{Content, EncodeError, Encoded, MAX_ATTACHMENTS, Packet},
};

/// The messages of one connection, separated by NUL, those that begin with 0x01 binary: whatever becomes a packet
/// survives another trip.
pub fn socketio_packet(data: &[u8]) {
    let (mut decoder, mut connection) = (Decoder::default(), Connection::default());
    for piece in data.split(|&byte| byte == 0) {
        let message = match piece {
            [1, bytes @ ..] => Message::from(bytes.to_vec()),
            text => Message::from(String::from_utf8_lossy(text).into_owned()),
        };
        match decoder.handle_message(message) {
            Ok(None) => {}
            Ok(Some(packet)) => {
                check_packet(&packet);
                enter(&mut connection, packet);
            }
            Err(_) => return,
        }
    }
}

fn check_packet(packet: &Packet) {
    assert!(packet.namespace.starts_with('/'));
    if let Content::Event { arguments, .. } | Content::Ack { arguments, .. } = &packet.content {
        assert!(arguments.attachments().len() <= MAX_ATTACHMENTS);
        assert!(arguments.decode::<()>().is_ok(), "surplus arguments are ignored: {}", arguments.json());
        check_round_trip::<(Option<Data>, Option<Data>)>(packet, arguments);
        check_round_trip::<(Option<Bytes>, Option<Data>)>(packet, arguments);
        check_round_trip::<(Option<Data>, Vec<Bytes>)>(packet, arguments);
    }
}

/// Data that is the same however often it is read and written, as numbers with fractions are not.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Data {
    Boolean(bool),
    Integer(i64),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

fn check_round_trip<D>(packet: &Packet, arguments: &Arguments)
where
    D: DeserializeOwned + PartialEq + Serialize + std::fmt::Debug,
{
    let Ok(data) = arguments.decode::<D>() else { return };
    let namespace = &packet.namespace;
    let encoded = match &packet.content {
        Content::Event { id, name, .. } => Encoded::event(namespace, *id, name, &data),
        Content::Ack { id, .. } => Encoded::ack(namespace, *id, &data),
        _ => return,
    };
    let encoded = match encoded {
        // Strings may be read as byte buffers, and many of those are more than a packet takes.
        Err(EncodeError::TooManyAttachments(_)) => return,
        encoded => encoded.expect("what was received can be sent"),
    };
    let attachments = encoded.messages().count() - 1;
    let first = encoded.messages().next().map(|first| first.message().clone());
    let Some(Message::Text(text)) = first else { panic!("text first") };
    if text.matches("_placeholder").count() > attachments {
        // Data that looks like a placeholder: the protocol has no way to say that it is none.
        return;
    }
    let mut decoder = Decoder::default();
    let messages = encoded.messages().map(|outgoing| outgoing.message().clone());
    let again = messages.filter_map(|message| decoder.handle_message(message).expect("our own packet"));
    let again: Vec<Packet> = again.collect();
    let [again] = &again[..] else { panic!("one packet, not {again:?}") };
    assert_eq!(again.namespace, *namespace);
    match (&again.content, &packet.content) {
        (
            Content::Event { id, name, arguments },
            Content::Event { id: expected_id, name: expected_name, .. },
        ) => {
            assert_eq!((id, name), (expected_id, expected_name));
            assert_eq!(arguments.decode::<D>().expect("the same type"), data);
        }
        (Content::Ack { id, arguments }, Content::Ack { id: expected_id, .. }) => {
            assert_eq!(id, expected_id);
            assert_eq!(arguments.decode::<D>().expect("the same type"), data);
        }
        (again, _) => panic!("another kind of packet: {again:?}"),
    }
}

/// Everyone may join, so that packets meet namespaces that are joined and such that are not.
fn enter(connection: &mut Connection<()>, packet: Packet) {
    let content = packet.content.clone();
    match connection.handle_packet(packet) {
        Ok(Incoming::Connect { namespace, .. }) => connection.admit((*namespace).into(), ()),
        Ok(Incoming::Event((), event)) => {
            assert!(matches!(content, Content::Event { id, .. } if id == event.ack_id()));
        }
        Ok(Incoming::Ack((), id, _)) => {
            assert!(matches!(content, Content::Ack { id: sent, .. } if id == sent));
        }
        Ok(Incoming::Disconnect(()) | Incoming::Nothing) => assert_eq!(content, Content::Disconnect),
        Err(_) => {}
    }
}
