//! Packets as msgpack: one packet, one binary message.
//!
//! ```text
//! message   {type: 0 to 4, data?, id?, nsp, ...}     a map, keys in any order
//! in        data -> JSON text and attachments (`to_json`) -> Content, checked like the default parser's
//! out       JSON text and attachments -> data (`from_json`)
//! ```

mod date;
mod error;
mod from_json;
mod reader;
mod to_json;

use crate::{
    packet::{AckId, Content, EncodeError, Packet, PacketError},
    parser::{Parser, ParserDecoder},
};
use bytes::Bytes;
use bytestring::ByteString;
use engineio::Message;
use reader::{Head, Reader};
use rmp::encode as write;
use std::error::Error;
use to_json::Value;

pub use error::MsgPackError;

/// The format of the npm package `socket.io-msgpack-parser`: each packet is one binary message of
/// [MessagePack](https://msgpack.org), byte buffers included.
///
/// Clients must be made with that parser. In exchange, byte buffers need no messages of their own and are as
/// many as a message holds, and numbers and buffers take fewer bytes.
///
/// ```
/// use socketio::{
///     MsgPackParser, Parser, ParserDecoder,
///     packet::{Content, Packet},
/// };
///
/// let photo = Content::event(None, r#"["photo",{"_placeholder":true,"num":0}]"#, vec![vec![0xff, 0xd8].into()])?;
/// let packet = Packet { namespace: "/".into(), content: photo };
/// let [message] = MsgPackParser.encode(&packet)?.try_into().unwrap();
/// assert_eq!(**message.as_bytes(), *b"\x83\xa4type\x02\xa4data\x92\xa5photo\xc4\x02\xff\xd8\xa3nsp\xa1/");
/// assert_eq!(MsgPackParser.decoder().handle_message(message)?, Some(packet));
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
/// ```
///
/// # What arrives
///
/// Handlers see what they would see with the default parser, which is what `JSON.stringify` makes of a value:
///
/// | JavaScript | msgpack | here |
/// |---|---|---|
/// | `null` | nil | `null` |
/// | `undefined` | extension 0 of 1 byte | `null`; no entry if it is a value of an object |
/// | `true`, `false` | boolean | the same |
/// | number, `bigint` of other encoders | integer | integer, exact up to 64 bits |
/// | number | float | number, an integer if it has no fraction |
/// | `NaN`, `Infinity` | float | `null` |
/// | string | string, which must be UTF-8 | the same |
/// | `Buffer`; in browsers `ArrayBuffer`, typed array | binary | byte buffer |
/// | `ArrayBuffer`, typed array in Node.js | extension 0 of variable length | byte buffer |
/// | `Date` | extension 0 of 8 bytes, or timestamp (extension -1) | string, `"2024-01-02T03:04:05.678Z"` |
/// | array | array | array |
/// | object | map whose keys are strings or integers | object |
///
/// Byte buffers share the memory of the message. Refused are other extensions and keys, more than
/// [`MAX_DEPTH`](crate::packet::MAX_DEPTH) arrays and maps in one another (the packet is the first of them),
/// maps with `_placeholder: true`, which mark byte buffers in a [packet](Packet), and byte buffers in the
/// payload of a request to join.
///
/// # What is sent
///
/// Numbers without a fraction are sent as integers, others as 64 bit floats. Byte buffers are binary. The data
/// must not be nested deeper than what is received, nor contain objects with `"_placeholder": true` of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct MsgPackParser;

impl Parser for MsgPackParser {
    fn encode(&self, packet: &Packet) -> Result<Vec<Message>, EncodeError> {
        Ok(vec![encode(packet)?.into()])
    }

    fn decoder(&self) -> Box<dyn ParserDecoder> {
        Box::new(*self)
    }
}

impl ParserDecoder for MsgPackParser {
    fn handle_message(&mut self, message: Message) -> Result<Option<Packet>, Box<dyn Error + Send + Sync>> {
        match message {
            Message::Binary(bytes) => Ok(Some(decode(bytes)?)),
            Message::Text(_) => Err(MsgPackError::Text.into()),
        }
    }
}

fn encode(packet: &Packet) -> Result<Vec<u8>, EncodeError> {
    let (kind, id, data, attachments) = match &packet.content {
        Content::Connect { payload } => (0, None, payload.as_deref(), &[][..]),
        Content::Disconnect => (1, None, None, &[][..]),
        Content::Event { id, arguments, .. } => (2, *id, Some(arguments.json()), arguments.attachments()),
        Content::Ack { id, arguments } => (3, Some(*id), Some(arguments.json()), arguments.attachments()),
        Content::ConnectError { payload } => (4, None, Some(&**payload), &[][..]),
    };
    let failed = |error: write::ValueWriteError| EncodeError::Parser(error.into());
    let bytes = attachments.iter().map(Bytes::len).sum::<usize>() + data.map_or(0, str::len);
    let mut out = Vec::with_capacity(bytes + packet.namespace.len() + 32);
    let entries = 2 + u32::from(data.is_some()) + u32::from(id.is_some());
    write::write_map_len(&mut out, entries).map_err(failed)?;
    write::write_str(&mut out, "type").map_err(failed)?;
    write::write_uint(&mut out, kind).map_err(failed)?;
    if let Some(data) = data {
        write::write_str(&mut out, "data").map_err(failed)?;
        from_json::append(&mut out, data, attachments)?;
    }
    if let Some(id) = id {
        write::write_str(&mut out, "id").map_err(failed)?;
        write::write_uint(&mut out, id.value()).map_err(failed)?;
    }
    write::write_str(&mut out, "nsp").map_err(failed)?;
    write::write_str(&mut out, &packet.namespace).map_err(failed)?;
    Ok(out)
}

fn decode(message: Bytes) -> Result<Packet, MsgPackError> {
    let mut reader = Reader::new(message);
    let Head::Map(entries) = reader.head()? else { return Err(MsgPackError::NotMap) };
    let (mut kind, mut data, mut id, mut namespace) = (None, None, None, None);
    for _ in 0..entries {
        let at = reader.position();
        let Head::String(length) = reader.head()? else { return Err(MsgPackError::Key(at)) };
        let field = match &*reader.take(length)? {
            b"type" => &mut kind,
            b"data" => &mut data,
            b"id" => &mut id,
            b"nsp" => &mut namespace,
            _ => &mut None,
        };
        if field.is_some() {
            return Err(MsgPackError::Duplicate(at));
        }
        *field = to_json::value(&mut reader)?;
    }
    let end = reader.position();
    if !reader.is_at_end() {
        return Err(MsgPackError::TrailingBytes(end));
    }

    let position = |field: &Option<Value>| field.as_ref().map_or(end, |value| value.position);
    let namespace =
        namespace_of(namespace.as_ref()).ok_or_else(|| MsgPackError::Namespace(position(&namespace)))?;
    let ack_id = ack_id_of(id.as_ref()).ok_or_else(|| MsgPackError::AckId(position(&id)))?;
    let content = match (kind.as_ref().map(|kind| kind.json.as_str()), data) {
        (Some("0" | "4"), Some(data)) if !data.attachments.is_empty() => {
            return Err(MsgPackError::Attachments(data.position));
        }
        (Some("0"), data) => Content::connect(data.map(|data| data.json.into())),
        (Some("1"), None) => Ok(Content::Disconnect),
        (Some("2"), Some(data)) => Content::event(ack_id, data.json, data.attachments),
        (Some("3"), Some(data)) => match ack_id {
            Some(id) => Content::ack(id, data.json, data.attachments),
            None => Err(PacketError::MissingAckId),
        },
        (Some("4"), Some(data)) => Content::connect_error(data.json),
        (Some("1" | "2" | "3" | "4"), _) => Err(PacketError::Payload),
        _ => return Err(MsgPackError::Type(position(&kind))),
    };
    Ok(Packet { namespace, content: content? })
}

fn namespace_of(value: Option<&Value>) -> Option<ByteString> {
    let namespace: String = serde_json::from_str(&value?.json).ok()?;
    namespace.starts_with('/').then(|| namespace.into())
}

/// The id, if it is missing or valid. Like everything in JSON, `NaN` is null.
fn ack_id_of(value: Option<&Value>) -> Option<Option<AckId>> {
    match value.map(|value| value.json.as_str()) {
        None | Some("null") => Some(None),
        Some(digits) => digits.parse().ok().and_then(AckId::new).map(Some),
    }
}

#[cfg(test)]
mod tests;
