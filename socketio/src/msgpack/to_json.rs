//! msgpack -> JSON text as `JSON.stringify` would write it, and attachments.

use super::{
    MsgPackError, date,
    reader::{Head, Reader},
};
use crate::packet::MAX_DEPTH;
use bytes::Bytes;
use serde::Serialize;

/// A value of a packet.
pub(super) struct Value {
    pub(super) position: usize,
    pub(super) json: String,
    pub(super) attachments: Vec<Bytes>,
}

/// Reads the next value of the packet; none if it is undefined.
pub(super) fn value(reader: &mut Reader) -> Result<Option<Value>, MsgPackError> {
    let position = reader.position();
    let mut to_json = ToJson { reader, json: Vec::new(), attachments: Vec::new() };
    if to_json.value(1)? == Seen::Undefined {
        return Ok(None);
    }
    let ToJson { json, attachments, .. } = to_json;
    let json = String::from_utf8(json).expect("serde_json writes UTF-8");
    Ok(Some(Value { position, json, attachments }))
}

/// What it holds grows with what has been read, never with what a length announces: it takes a byte of input
/// to make an element of a container.
struct ToJson<'a> {
    reader: &'a mut Reader,
    json: Vec<u8>,
    attachments: Vec<Bytes>,
}

/// What was read, as far as it matters to the container around.
#[derive(PartialEq)]
enum Seen {
    Other,
    True,
    Undefined,
}

impl ToJson<'_> {
    /// Transcodes the next value, which is inside of `depth` containers.
    fn value(&mut self, depth: u32) -> Result<Seen, MsgPackError> {
        match self.reader.head()? {
            Head::Array(length) => self.array(length, self.inside(depth)?)?,
            Head::Binary(length) => self.attachment(length)?,
            Head::Boolean(value) => {
                self.write(&value);
                return Ok(if value { Seen::True } else { Seen::Other });
            }
            Head::Extension { kind: 0, length: 1, fixed: true } => {
                let [_] = self.reader.array()?;
                self.write(&());
                return Ok(Seen::Undefined);
            }
            Head::Extension { kind: 0, length: 8, fixed: true } => {
                let milliseconds = i64::from_be_bytes(self.reader.array()?);
                self.write(&date::iso8601(milliseconds));
            }
            Head::Extension { kind: 0, length, fixed: false } => self.attachment(length)?,
            Head::Extension { kind: -1, length, .. } => self.timestamp(length)?,
            Head::Extension { .. } => return Err(MsgPackError::UnknownValue(self.reader.start())),
            // What has no fraction looks like an integer, whatever its size, and there is no negative zero.
            Head::Float(value) if value.fract() == 0.0 && value.abs() < 1e21 => self.write(&(value as i128)),
            Head::Float(value) => self.write(&value),
            Head::Map(length) => self.map(length, self.inside(depth)?)?,
            Head::Nil => self.write(&()),
            Head::Signed(value) => self.write(&value),
            Head::String(length) => self.string(length)?,
            Head::Unsigned(value) => self.write(&value),
        }
        Ok(Seen::Other)
    }

    /// The depth of what is in the container whose head was read last.
    fn inside(&self, depth: u32) -> Result<u32, MsgPackError> {
        if depth == MAX_DEPTH { Err(MsgPackError::TooDeep(self.reader.start())) } else { Ok(depth + 1) }
    }

    fn array(&mut self, length: u32, depth: u32) -> Result<(), MsgPackError> {
        self.json.push(b'[');
        for index in 0..length {
            if index > 0 {
                self.json.push(b',');
            }
            self.value(depth)?;
        }
        self.json.push(b']');
        Ok(())
    }

    fn map(&mut self, length: u32, depth: u32) -> Result<(), MsgPackError> {
        self.json.push(b'{');
        let first = self.json.len();
        for _ in 0..length {
            let entry = self.json.len();
            if entry > first {
                self.json.push(b',');
            }
            let key = self.json.len();
            let position = self.reader.position();
            self.key()?;
            let marks = self.json[key..] == *br#""_placeholder""#;
            self.json.push(b':');
            match self.value(depth)? {
                Seen::True if marks => return Err(MsgPackError::Placeholder(position)),
                Seen::Undefined => self.json.truncate(entry),
                _ => {}
            }
        }
        self.json.push(b'}');
        Ok(())
    }

    fn key(&mut self) -> Result<(), MsgPackError> {
        match self.reader.head()? {
            Head::String(length) => self.string(length)?,
            Head::Signed(value) => self.write(&value.to_string()),
            Head::Unsigned(value) => self.write(&value.to_string()),
            _ => return Err(MsgPackError::Key(self.reader.start())),
        }
        Ok(())
    }

    fn string(&mut self, length: u32) -> Result<(), MsgPackError> {
        let bytes = self.reader.take(length)?;
        let text = str::from_utf8(&bytes).map_err(|_| MsgPackError::Utf8(self.reader.start()))?;
        self.write(text);
        Ok(())
    }

    fn attachment(&mut self, length: u32) -> Result<(), MsgPackError> {
        let bytes = self.reader.take(length)?;
        self.json.extend_from_slice(br#"{"_placeholder":true,"num":"#);
        self.write(&self.attachments.len());
        self.json.push(b'}');
        self.attachments.push(bytes);
        Ok(())
    }

    /// Seconds and nanoseconds, in one of three sizes.
    fn timestamp(&mut self, length: u32) -> Result<(), MsgPackError> {
        let (seconds, nanoseconds) = match length {
            4 => (i64::from(u32::from_be_bytes(self.reader.array()?)), 0),
            8 => {
                let both = u64::from_be_bytes(self.reader.array()?);
                ((both & ((1 << 34) - 1)) as i64, both >> 34)
            }
            12 => {
                let nanoseconds = u32::from_be_bytes(self.reader.array()?);
                (i64::from_be_bytes(self.reader.array()?), nanoseconds.into())
            }
            _ => return Err(MsgPackError::UnknownValue(self.reader.start())),
        };
        if nanoseconds >= 1_000_000_000 {
            return Err(MsgPackError::UnknownValue(self.reader.start()));
        }
        let milliseconds = seconds.saturating_mul(1000).saturating_add_unsigned(nanoseconds / 1_000_000);
        self.write(&date::iso8601(milliseconds));
        Ok(())
    }

    fn write<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.json, value).expect("memory takes every scalar");
    }
}
