//! Rust to arguments: spreads tuples and takes byte buffers out.

use super::attachments::PLACEHOLDER;
use crate::{json::is_plain, text::push_quoted};
use bytes::Bytes;
use serde::{
    Serialize, Serializer,
    ser::{self, Impossible},
};
use serde_json::ser::Formatter;
use std::{fmt, io, mem};

/// Appends the array of `name`, if any, the arguments that `data` makes, and `last`, if any, to `text`, and the byte
/// buffers in it to `attachments`.
pub(crate) fn write<D: Serialize + ?Sized>(
    text: &mut Vec<u8>,
    attachments: &mut Vec<Bytes>,
    name: Option<&str>,
    data: &D,
    last: Option<&str>,
) -> serde_json::Result<()> {
    let mut array = Array { text, attachments, is_empty: true };
    if let Some(name) = name {
        array.push_str(name)?;
    }
    match data.serialize(Spread(&mut array)) {
        Err(NotSpread::OneArgument) => array.push(data)?,
        Err(NotSpread::Failed(error)) => return Err(error),
        Ok(()) => {}
    }
    if let Some(last) = last {
        array.push_str(last)?;
    }
    if array.is_empty {
        array.text.push(b'[');
    }
    array.text.push(b']');
    Ok(())
}

/// A JSON array that is being written, and the byte buffers that were found in its elements.
struct Array<'a> {
    text: &'a mut Vec<u8>,
    attachments: &'a mut Vec<Bytes>,
    is_empty: bool,
}

impl Array<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> serde_json::Result<()> {
        self.text.push(opening(&mut self.is_empty));
        let formatter = Placeholders(self.attachments);
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut *self.text, formatter))
    }

    /// Adds a string. Text that needs no escapes is copied at once, where `serde_json` looks at every byte.
    #[inline]
    fn push_str(&mut self, value: &str) -> serde_json::Result<()> {
        if !is_plain(value.as_bytes()) {
            return self.push(value);
        }
        push_quoted(self.text, opening(&mut self.is_empty), value);
        Ok(())
    }
}

/// What stands before the next element: the bracket, and then commas.
fn opening(is_empty: &mut bool) -> u8 {
    if mem::take(is_empty) { b'[' } else { b',' }
}

/// Writes JSON as usual, but a placeholder for each byte buffer.
struct Placeholders<'a>(&'a mut Vec<Bytes>);

impl Formatter for Placeholders<'_> {
    fn write_byte_array<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: &[u8]) -> io::Result<()> {
        writer.write_all(PLACEHOLDER.as_bytes())?;
        writer.write_all(itoa::Buffer::new().format(self.0.len()).as_bytes())?;
        writer.write_all(b"}")?;
        self.0.push(Bytes::copy_from_slice(value));
        Ok(())
    }
}

/// Adds the elements of a tuple to an array, and turns everything else down before anything is written.
struct Spread<'a, 'b>(&'a mut Array<'b>);

#[derive(Debug)]
enum NotSpread {
    Failed(serde_json::Error),
    OneArgument,
}

impl fmt::Display for NotSpread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::OneArgument => f.write_str("one argument"),
        }
    }
}

impl std::error::Error for NotSpread {}

impl ser::Error for NotSpread {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Failed(ser::Error::custom(message))
    }
}

impl ser::SerializeTuple for Spread<'_, '_> {
    type Ok = ();
    type Error = NotSpread;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotSpread> {
        self.0.push(value).map_err(NotSpread::Failed)
    }

    fn end(self) -> Result<(), NotSpread> {
        Ok(())
    }
}

macro_rules! one_argument {
    ($($method:ident($($type:ty),*) -> $output:ty;)*) => {
        $(fn $method(self, $(_: $type),*) -> Result<$output, NotSpread> {
            Err(NotSpread::OneArgument)
        })*
    };
}

impl Serializer for Spread<'_, '_> {
    type Ok = ();
    type Error = NotSpread;
    type SerializeSeq = Impossible<(), NotSpread>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), NotSpread>;
    type SerializeTupleVariant = Impossible<(), NotSpread>;
    type SerializeMap = Impossible<(), NotSpread>;
    type SerializeStruct = Impossible<(), NotSpread>;
    type SerializeStructVariant = Impossible<(), NotSpread>;

    fn serialize_tuple(self, _: usize) -> Result<Self, NotSpread> {
        Ok(self)
    }

    fn serialize_unit(self) -> Result<(), NotSpread> {
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), NotSpread> {
        self.0.push_str(value).map_err(NotSpread::Failed)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), NotSpread> {
        Err(NotSpread::OneArgument)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), NotSpread> {
        Err(NotSpread::OneArgument)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), NotSpread> {
        Err(NotSpread::OneArgument)
    }

    one_argument! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_i128(i128) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_u128(u128) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }
}
