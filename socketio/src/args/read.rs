//! Arguments to Rust: gathers tuples and tells which argument is missing.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, SeqAccess, Visitor},
    forward_to_deserialize_any,
};
use std::{fmt, marker::PhantomData};

/// Reads a `D` from the elements of an array, past the first `skipped`.
pub(super) fn arguments<'de, D, T>(array: T, skipped: usize) -> Result<D, T::Error>
where
    D: Deserialize<'de>,
    T: Deserializer<'de>,
{
    array.deserialize_seq(Array { skipped, data: PhantomData })
}

struct Array<D> {
    skipped: usize,
    data: PhantomData<D>,
}

impl<'de, D: Deserialize<'de>> Visitor<'de> for Array<D> {
    type Value = D;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<D, A::Error> {
        for _ in 0..self.skipped {
            array.next_element::<IgnoredAny>()?;
        }
        let data = D::deserialize(Arguments { array: &mut array, read: 0 })?;
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(data)
    }
}

/// Only the outermost value is deserialised from this; it decides what takes an argument.
struct Arguments<'a, A> {
    array: &'a mut A,
    read: usize,
}

impl<'de, A: SeqAccess<'de>> Arguments<'_, A> {
    fn argument<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        // A seed is consumed by the attempt, so that one for the missing element must be made from the same.
        let mut seed = Some(seed);
        let found = self.array.next_element_seed(Lend(&mut seed))?;
        self.read += 1;
        match (found, seed) {
            (Some(value), _) => Ok(value),
            (None, Some(seed)) => seed.deserialize(Missing { position: self.read, error: PhantomData }),
            (None, None) => Err(A::Error::custom("array ended within an element")),
        }
    }
}

/// Passes a seed on when there is an element for it.
struct Lend<'a, S>(&'a mut Option<S>);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Lend<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.take().expect("an element is read once").deserialize(deserializer)
    }
}

/// The arguments of a tuple.
impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Arguments<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.argument(seed).map(Some)
    }
}

/// What stands in for an argument that was not sent: nothing, for those who can do without.
struct Missing<E> {
    position: usize,
    error: PhantomData<E>,
}

impl<'de, E: Error> Deserializer<'de> for Missing<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::custom(format_args!("argument {} is missing", self.position)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Reads one argument by the method that the type asks for.
macro_rules! one_argument {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, $($name: $type,)* visitor: V) -> Result<V::Value, A::Error> {
            struct One<V> { visitor: V, $($name: $type),* }
            impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for One<V> {
                type Value = V::Value;
                fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
                    deserializer.$method($(self.$name,)* self.visitor)
                }
            }
            self.argument(One { visitor, $($name),* })
        }
    )*};
}

impl<'de, A: SeqAccess<'de>> Deserializer<'de> for Arguments<'_, A> {
    type Error = A::Error;

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_unit()
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_seq(self)
    }

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
        deserialize_str();
        deserialize_string();
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
