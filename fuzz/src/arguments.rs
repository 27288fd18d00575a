use std::{collections::BTreeMap, fmt::Debug};

use bytes::Bytes;
use engineio::Message;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use socketio::{
    Arguments,
    decoder::Decoder,
    packet::{Content, EncodeError, Encoded, MAX_ATTACHMENTS},
};

/// A JSON array and, each behind a NUL, its attachments: whatever type its arguments are read as, what can be read can be
/// sent and read again.
pub fn arguments(data: &[u8]) {
    let mut pieces = data.split(|&byte| byte == 0);
    let json = String::from_utf8_lossy(pieces.next().unwrap_or_default()).into_owned();
    let attachments: Vec<Bytes> = pieces.map(Bytes::copy_from_slice).collect();
    if attachments.len() > MAX_ATTACHMENTS {
        return;
    }
    let Ok(Content::Event { arguments, .. }) = Content::event(None, json, attachments) else { return };
    assert!(arguments.decode::<()>().is_ok(), "surplus arguments are ignored: {}", arguments.json());
    check::<i8>(&arguments);
    check::<(u16, i64)>(&arguments);
    check::<u128>(&arguments);
    check::<f64>(&arguments);
    check::<(Option<char>, Option<bool>, Option<String>)>(&arguments);
    check::<Vec<Option<i32>>>(&arguments);
    check::<[u8; 2]>(&arguments);
    check::<Unit>(&arguments);
    check::<Newtype>(&arguments);
    check::<(Shape, Option<Shape>)>(&arguments);
    check::<Adjacent>(&arguments);
    check::<Parcel>(&arguments);
    check::<(Bytes, Option<Vec<Bytes>>)>(&arguments);
    check::<BTreeMap<String, Vec<Bytes>>>(&arguments);
    check::<(Value, Option<Value>)>(&arguments);
    // It has no equality; that it is read at all is what there is to see.
    drop(arguments.decode::<(Box<RawValue>, Option<Box<RawValue>>)>());
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Unit;

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Newtype((u8, Bytes));

#[derive(Debug, Deserialize, PartialEq, Serialize)]
enum Shape {
    File { name: String, data: Bytes },
    Many(Vec<Bytes>),
    Pair(Bytes, u8),
    Point,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    File(Bytes),
    Point { x: i8 },
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Parcel {
    a: Option<i64>,
    #[serde(default)]
    b: Vec<Bytes>,
}

fn check<D: Debug + DeserializeOwned + PartialEq + Serialize>(arguments: &Arguments) {
    let Ok(data) = arguments.decode::<D>() else { return };
    let encoded = match Encoded::event("/", None, "e", &data) {
        // Strings may be read as byte buffers, and many of those are more than a packet takes.
        Err(EncodeError::TooManyAttachments(_)) => return,
        encoded => encoded.expect("what was received can be sent"),
    };
    let messages: Vec<Message> = encoded.messages().map(|outgoing| outgoing.message().clone()).collect();
    let [Message::Text(text), attachments @ ..] = &messages[..] else { panic!("text first") };
    if text.matches("_placeholder").count() > attachments.len() {
        // Data that looks like a placeholder: the protocol has no way to say that it is none.
        return;
    }
    let mut decoder = Decoder::default();
    let again =
        messages.into_iter().find_map(|message| decoder.handle_message(message).expect("our own packet"));
    match again.map(|packet| packet.content) {
        Some(Content::Event { arguments, .. }) => {
            assert_eq!(arguments.decode::<D>().expect("the same type"), data);
        }
        other => panic!("an event, not {other:?}"),
    }
}
