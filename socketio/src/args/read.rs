//! Arguments to Rust: gathers tuples and tells which argument is missing.

use super::attachments::{Attached, usual_attachment};
use crate::json;
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, SeqAccess, Visitor},
};
use serde_json::{Error, Result};

/// Reads a `D` from the elements of an array that was checked; `json` begins behind its bracket or an element, and
/// `string` is the first element if that is known to be a string which stands for itself.
pub(super) fn arguments<'de, D: Deserialize<'de>>(
    json: &'de str,
    string: Option<&'de str>,
    attachments: &[Bytes],
) -> Result<D> {
    D::deserialize(Arguments { elements: Elements { json, unread: false }, string, attachments, read: 0 })
}

/// The elements of an array, found one by one.
struct Elements<'de> {
    /// From the last element on, or from what follows it.
    json: &'de str,
    /// Whether that is an element. Where it ends is looked for only if there is to be another.
    unread: bool,
}

impl<'de> Elements<'de> {
    /// The next element, with all that follows it.
    fn next(&mut self) -> Option<&'de str> {
        if self.unread {
            self.json = &self.json[json::value_end(self.json)..];
        }
        let rest = json::trim_start(self.json);
        self.json = json::trim_start(rest.strip_prefix(',').unwrap_or(rest));
        self.unread = !self.json.starts_with(']');
        self.unread.then_some(self.json)
    }
}

/// Only the outermost value is deserialised from this; it decides what takes an argument.
struct Arguments<'a, 'de> {
    elements: Elements<'de>,
    string: Option<&'de str>,
    attachments: &'a [Bytes],
    read: usize,
}

impl<'a, 'de> Arguments<'a, 'de> {
    // Inlined, as are others on the way of an event: what is moved through memory right after it was written waits for it.
    #[inline(always)]
    fn next(&mut self) -> Argument<'a, 'de> {
        self.read += 1;
        let (json, string) = (self.elements.next(), self.string.take());
        Argument { json, string, attachments: self.attachments, position: self.read }
    }
}

/// The arguments of a tuple.
impl<'de> SeqAccess<'de> for Arguments<'_, 'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        seed.deserialize(self.next()).map(Some)
    }
}

/// One argument, or its absence, with which those are content who can do without.
struct Argument<'a, 'de> {
    /// What follows the argument may follow.
    json: Option<&'de str>,
    /// The argument, if it is known to be a string which stands for itself.
    string: Option<&'de str>,
    attachments: &'a [Bytes],
    position: usize,
}

#[cold]
fn missing(position: usize) -> Error {
    Error::custom(format_args!("argument {position} is missing"))
}

#[cold]
fn mistaken(position: usize, error: &Error) -> Error {
    Error::custom(format_args!("{error} of argument {position}"))
}

macro_rules! argument {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value> {
            let Some(json) = self.json else { return Err(missing(self.position)) };
            let mut json = serde_json::Deserializer::from_str(json);
            let read = Attached::new(&mut json, self.attachments).$method($($name,)* visitor);
            read.map_err(|error| mistaken(self.position, &error))
        }
    )*};
}

macro_rules! string {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match self.string.or_else(|| self.json.and_then(json::plain_string)) {
                Some(text) => visitor.visit_borrowed_str(text),
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Argument<'_, 'de> {
    type Error = Error;

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.json {
            None => visitor.visit_none(),
            Some(json) if json.starts_with("null") => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    string! { deserialize_str deserialize_string }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let Some(json) = self.json else { return Err(missing(self.position)) };
        if let Some(attachment) = usual_attachment(json, self.attachments) {
            return visitor.visit_byte_buf(attachment.to_vec());
        }
        let mut json = serde_json::Deserializer::from_str(json);
        let read = Attached::new(&mut json, self.attachments).deserialize_byte_buf(visitor);
        read.map_err(|error| mistaken(self.position, &error))
    }

    argument! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_bytes();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }
}

macro_rules! one_argument {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, $($name: $type,)* visitor: V) -> Result<V::Value> {
            self.next().$method($($name,)* visitor)
        }
    )*};
}

/// A single argument need not be looked for in the text.
macro_rules! one_string {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
            match self.string {
                Some(text) => visitor.visit_borrowed_str(text),
                None => self.next().$method(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Arguments<'_, 'de> {
    type Error = Error;

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self)
    }

    one_string! { deserialize_str deserialize_string }

    one_argument! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }
}
