//! Placeholders, `{"_placeholder":true,"num":0}`, and the byte buffers that they stand for.

use crate::packet::PacketError;
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor},
};
use std::{cell::RefCell, fmt};

/// Checks that every placeholder in `json`, however deep, names one of `count` attachments and none twice.
///
/// An attachment that could be named a thousand times would let a client multiply what it sends.
pub(crate) fn check_placeholders(json: &str, count: usize) -> Result<(), PacketError> {
    let search = || {
        let named = RefCell::new(vec![false; count]);
        Search(&named).deserialize(&mut serde_json::Deserializer::from_str(json)).is_ok()
    };
    if are_usual_placeholders(json, count) || search() { Ok(()) } else { Err(PacketError::Placeholder) }
}

/// Whether all placeholders are spelled as every known client spells them, and number the attachments in order: seen
/// faster than by a parser. Without a backslash, no string can look like one.
fn are_usual_placeholders(json: &str, count: usize) -> bool {
    if memchr::memchr(b'\\', json.as_bytes()).is_some() {
        return false;
    }
    // Underscores are rare enough for each to be looked at, which a search for the whole word does not pay for.
    let bytes = json.as_bytes();
    let mut keys = memchr::memchr_iter(b'_', bytes)
        .filter(|&at| bytes[..at].ends_with(b"\"") && bytes[at..].starts_with(b"_placeholder\""));
    let all = keys.by_ref().take(count).enumerate().all(|(number, at)| {
        let placeholder = at.checked_sub(2).and_then(|start| bytes.get(start..));
        placeholder.and_then(usual_placeholder) == Some(number)
    });
    all && keys.next().is_none()
}

/// The number in the placeholder that `json` begins with, if it is spelled as usual.
fn usual_placeholder(json: &[u8]) -> Option<usize> {
    let rest = json.strip_prefix(PLACEHOLDER.as_bytes())?;
    let number = &rest[..memchr::memchr(b'}', rest)?];
    // As it is written by all: without leading zeros, or anything else before it.
    let digits = match number {
        [b'0'] => number,
        [b'1'..=b'9', ..] if number.len() <= 9 => number,
        _ => return None,
    };
    digits
        .iter()
        .try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + usize::from(digit - b'0')))
}

/// The attachment that the placeholder at the beginning of `json` stands for, if that is spelled as usual: found faster
/// than by a parser.
pub(super) fn usual_attachment<'a>(json: &str, attachments: &'a [Bytes]) -> Option<&'a Bytes> {
    attachments.get(usual_placeholder(json.as_bytes())?)
}

/// How a placeholder begins, before the number.
pub(super) const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":"#;

/// Looks through a value for placeholders, noting which attachments they name.
#[derive(Clone, Copy)]
struct Search<'a>(&'a RefCell<Vec<bool>>);

/// What [`Search`] saw, as far as it matters to the object around.
enum Seen {
    Index(u64),
    Other,
    True,
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with placeholders of its own attachments")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Seen, E> {
        Ok(if value { Seen::True } else { Seen::Other })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Seen, E> {
        Ok(Seen::Index(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Seen, A::Error> {
        while array.next_element_seed(self)?.is_some() {}
        Ok(Seen::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen, A::Error> {
        let (mut marked, mut index) = (false, None);
        while let Some(key) = object.next_key()? {
            match (key, object.next_value_seed(self)?) {
                (Key::Placeholder, value) => marked = matches!(value, Seen::True),
                (Key::Num, Seen::Index(value)) => index = usize::try_from(value).ok(),
                (Key::Num, _) => index = None,
                (Key::Other, _) => {}
            }
        }
        if marked {
            let mut named = self.0.borrow_mut();
            let attachment = index.and_then(|index| named.get_mut(index));
            match attachment {
                Some(named) if !*named => *named = true,
                _ => return Err(A::Error::custom("illegal attachment")),
            }
        }
        Ok(Seen::Other)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Key {
    #[serde(rename = "_placeholder")]
    Placeholder,
    #[serde(rename = "num")]
    Num,
    #[serde(other)]
    Other,
}

/// A placeholder that has been checked on arrival.
#[derive(Deserialize)]
struct Placeholder {
    #[serde(rename = "_placeholder")]
    _marked: bool,
    num: usize,
}

/// Any of serde's accesses, with byte buffers taken from the attachments instead of the text.
pub(super) struct Attached<'a, T> {
    inner: T,
    attachments: &'a [Bytes],
}

impl<'a, T> Attached<'a, T> {
    pub(super) fn new(inner: T, attachments: &'a [Bytes]) -> Self {
        Self { inner, attachments }
    }

    fn with<U>(&self, inner: U) -> Attached<'a, U> {
        Attached { inner, attachments: self.attachments }
    }
}

impl<'a, 'de, T: Deserializer<'de>> Attached<'a, T> {
    fn attachment(self) -> Result<&'a Bytes, T::Error> {
        let Placeholder { num, .. } = Placeholder::deserialize(self.inner)?;
        self.attachments.get(num).ok_or_else(|| T::Error::custom("placeholder names no attachment"))
    }
}

macro_rules! forward_deserializer {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, T::Error> {
            let visitor = self.with(visitor);
            self.inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, T: Deserializer<'de>> Deserializer<'de> for Attached<'_, T> {
    type Error = T::Error;

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, T::Error> {
        visitor.visit_bytes(self.attachment()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, T::Error> {
        visitor.visit_byte_buf(self.attachment()?.to_vec())
    }

    forward_deserializer! {
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
        deserialize_str();
        deserialize_string();
        deserialize_option();
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

macro_rules! forward_visitor {
    ($($method:ident($($type:ty)?);)*) => {$(
        forward_visitor!(@ $method $($type)?);
    )*};
    (@ $method:ident) => {
        fn $method<E: Error>(self) -> Result<Self::Value, E> {
            self.inner.$method()
        }
    };
    (@ $method:ident $type:ty) => {
        fn $method<E: Error>(self, value: $type) -> Result<Self::Value, E> {
            self.inner.$method(value)
        }
    };
}

impl<'de, T: Visitor<'de>> Visitor<'de> for Attached<'_, T> {
    type Value = T::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<T::Value, D::Error> {
        let value = self.with(value);
        self.inner.visit_some(value)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<T::Value, D::Error> {
        let value = self.with(value);
        self.inner.visit_newtype_struct(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<T::Value, A::Error> {
        let array = self.with(array);
        self.inner.visit_seq(array)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T::Value, A::Error> {
        let object = self.with(object);
        self.inner.visit_map(object)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<T::Value, A::Error> {
        let variant = self.with(variant);
        self.inner.visit_enum(variant)
    }

    forward_visitor! {
        visit_bool(bool);
        visit_i64(i64);
        visit_i128(i128);
        visit_u64(u64);
        visit_u128(u128);
        visit_f64(f64);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_none();
        visit_unit();
    }
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Attached<'_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        let deserializer = self.with(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, T: SeqAccess<'de>> SeqAccess<'de> for Attached<'_, T> {
    type Error = T::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, T::Error> {
        let seed = self.with(seed);
        self.inner.next_element_seed(seed)
    }
}

impl<'de, T: MapAccess<'de>> MapAccess<'de> for Attached<'_, T> {
    type Error = T::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, T::Error> {
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, T::Error> {
        let seed = self.with(seed);
        self.inner.next_value_seed(seed)
    }
}

impl<'a, 'de, T: EnumAccess<'de>> EnumAccess<'de> for Attached<'a, T> {
    type Error = T::Error;
    type Variant = Attached<'a, T::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), T::Error> {
        let (name, content) = self.inner.variant_seed(seed)?;
        Ok((name, Attached::new(content, self.attachments)))
    }
}

impl<'de, T: VariantAccess<'de>> VariantAccess<'de> for Attached<'_, T> {
    type Error = T::Error;

    fn unit_variant(self) -> Result<(), T::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, T::Error> {
        let seed = self.with(seed);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, T::Error> {
        let visitor = self.with(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, T::Error> {
        let visitor = self.with(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_placeholders_are_seen_at_once() {
        for (json, count, usual) in [
            (r#"["a",{"_placeholder":true,"num":0}]"#, 1, true),
            (r#"["a",{"b":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]}]"#, 2, true),
            (r#"["a"]"#, 1, true),
            (r#"["a",{"_placeholder":true,"num":0}]"#, 0, false),
            (r#"["a",{"_placeholder":true,"num":1}]"#, 2, false),
            (r#"["a",{"_placeholder":true,"num":0,"x":1}]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":00}]"#, 1, false),
            (r#"["a",{"num":0,"_placeholder":true}]"#, 1, false),
            (r#"["a",{ "_placeholder":true,"num":0}]"#, 1, false),
            (r#"["a\\",{"_placeholder":true,"num":0}]"#, 1, false),
        ] {
            assert_eq!(are_usual_placeholders(json, count), usual, "{json}");
        }
    }

    #[test]
    fn numbers_of_usual_placeholders() {
        for (number, expected) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("", None),
            ("00", None),
            ("01", None),
            ("-1", None),
            ("1.0", None),
            ("1e1", None),
            ("1 ", None),
            (" 1", None),
            ("1000000000000", None),
        ] {
            for behind in ["", "]", ",1]"] {
                let json = format!(r#"{{"_placeholder":true,"num":{number}}}{behind}"#);
                assert_eq!(usual_placeholder(json.as_bytes()), expected, "{json}");
            }
        }
        assert_eq!(usual_placeholder(br#"{"_placeholder":true,"num":0"#), None);
    }

    proptest! {
        #[test]
        fn what_is_seen_at_once_is_found_by_a_search_too(
            pieces in prop::collection::vec(prop::sample::select(vec![
                r#"{"_placeholder":true,"num":0}"#, r#"{"_placeholder":true,"num":1}"#, r#""_placeholder""#,
                r#"{"_placeholder":true,"num":10}"#, r#"{"a":{"_placeholder":true,"num":1}}"#, r#"{"num":0}"#,
                r#"{"_placeholder":true,"num":0,"a":1}"#, r#"{"_placeholder":true}"#, r#""{""#, r#"[{}]"#,
            ]), 0..4),
            count in 0..3_usize,
        ) {
            let json = format!("[{}]", pieces.join(","));
            let named = RefCell::new(vec![false; count]);
            let found = Search(&named).deserialize(&mut serde_json::Deserializer::from_str(&json)).is_ok();
            prop_assert!(found || !are_usual_placeholders(&json, count), "{}", json);
            prop_assert_eq!(found, check_placeholders(&json, count).is_ok(), "{}", json);
        }
    }
}
