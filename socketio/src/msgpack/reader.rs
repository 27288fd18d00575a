//! Bytes -> what the markers of msgpack announce.

use super::MsgPackError;
use bytes::Bytes;
use rmp::Marker;

/// Reads a message once, front to back.
pub(super) struct Reader {
    message: Bytes,
    at: usize,
    /// Where the value began whose head was read last.
    start: usize,
}

/// A scalar, or the size of what follows: bytes, or elements and entries that nobody has seen yet.
pub(super) enum Head {
    Array(u32),
    Binary(u32),
    Boolean(bool),
    /// JavaScript gives extensions of a fixed size another meaning.
    Extension {
        kind: i8,
        length: u32,
        fixed: bool,
    },
    Float(f64),
    Map(u32),
    Nil,
    Signed(i64),
    String(u32),
    Unsigned(u64),
}

impl Reader {
    pub(super) fn new(message: Bytes) -> Self {
        Self { message, at: 0, start: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn start(&self) -> usize {
        self.start
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.message.len()
    }

    pub(super) fn head(&mut self) -> Result<Head, MsgPackError> {
        self.start = self.at;
        let [marker] = self.array()?;
        Ok(match Marker::from_u8(marker) {
            Marker::Null => Head::Nil,
            Marker::False => Head::Boolean(false),
            Marker::True => Head::Boolean(true),
            Marker::FixPos(value) => Head::Unsigned(value.into()),
            Marker::U8 => Head::Unsigned(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Head::Unsigned(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Head::Unsigned(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Head::Unsigned(u64::from_be_bytes(self.array()?)),
            Marker::FixNeg(value) => Head::Signed(value.into()),
            Marker::I8 => Head::Signed(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Head::Signed(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Head::Signed(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Head::Signed(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Head::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Head::Float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => Head::String(length.into()),
            Marker::Str8 => Head::String(self.length8()?),
            Marker::Str16 => Head::String(self.length16()?),
            Marker::Str32 => Head::String(self.length32()?),
            Marker::Bin8 => Head::Binary(self.length8()?),
            Marker::Bin16 => Head::Binary(self.length16()?),
            Marker::Bin32 => Head::Binary(self.length32()?),
            Marker::FixArray(length) => Head::Array(length.into()),
            Marker::Array16 => Head::Array(self.length16()?),
            Marker::Array32 => Head::Array(self.length32()?),
            Marker::FixMap(length) => Head::Map(length.into()),
            Marker::Map16 => Head::Map(self.length16()?),
            Marker::Map32 => Head::Map(self.length32()?),
            Marker::FixExt1 => self.extension(1, true)?,
            Marker::FixExt2 => self.extension(2, true)?,
            Marker::FixExt4 => self.extension(4, true)?,
            Marker::FixExt8 => self.extension(8, true)?,
            Marker::FixExt16 => self.extension(16, true)?,
            Marker::Ext8 => {
                let length = self.length8()?;
                self.extension(length, false)?
            }
            Marker::Ext16 => {
                let length = self.length16()?;
                self.extension(length, false)?
            }
            Marker::Ext32 => {
                let length = self.length32()?;
                self.extension(length, false)?
            }
            Marker::Reserved => return Err(MsgPackError::UnknownValue(self.start)),
        })
    }

    /// The next `length` bytes, as a slice of the message.
    pub(super) fn take(&mut self, length: u32) -> Result<Bytes, MsgPackError> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let end = end.filter(|&end| end <= self.message.len()).ok_or(MsgPackError::Incomplete(self.start))?;
        let taken = self.message.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], MsgPackError> {
        let array = self.message[self.at..].first_chunk().ok_or(MsgPackError::Incomplete(self.start))?;
        self.at += N;
        Ok(*array)
    }

    fn length8(&mut self) -> Result<u32, MsgPackError> {
        Ok(u8::from_be_bytes(self.array()?).into())
    }

    fn length16(&mut self) -> Result<u32, MsgPackError> {
        Ok(u16::from_be_bytes(self.array()?).into())
    }

    fn length32(&mut self) -> Result<u32, MsgPackError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn extension(&mut self, length: u32, fixed: bool) -> Result<Head, MsgPackError> {
        Ok(Head::Extension { kind: i8::from_be_bytes(self.array()?), length, fixed })
    }
}
