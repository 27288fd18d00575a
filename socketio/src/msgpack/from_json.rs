//! JSON text and attachments -> msgpack.

use bytes::Bytes;
use rmp::encode as write;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// Up to here, 2^53, every integer is a 64 bit float as well.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends the value that `json` is, with `attachments` where their placeholders are.
pub(super) fn append(out: &mut Vec<u8>, json: &str, attachments: &[Bytes]) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_str(json);
    FromJson { out, attachments }.deserialize(&mut json)?;
    json.end()
}

/// Writes while it reads: the header of a container goes before it once its size is known.
struct FromJson<'a> {
    out: &'a mut Vec<u8>,
    attachments: &'a [Bytes],
}

/// What was written, as far as it matters to the object around.
enum Seen {
    Index(u64),
    Num,
    Other,
    Placeholder,
    True,
}

impl FromJson<'_> {
    /// Keeps the place of a header, of the size that nearly all have.
    fn begin(&mut self) -> usize {
        self.out.push(0);
        self.out.len() - 1
    }

    fn attachment(&self, index: u64) -> Option<Bytes> {
        self.attachments.get(usize::try_from(index).ok()?).cloned()
    }
}

impl<'de> DeserializeSeed<'de> for &mut FromJson<'_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut FromJson<'_> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Seen, E> {
        write::write_nil(self.out).map_err(E::custom)?;
        Ok(Seen::Other)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Seen, E> {
        write::write_bool(self.out, value).map_err(E::custom)?;
        Ok(if value { Seen::True } else { Seen::Other })
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Seen, E> {
        write::write_uint(self.out, value).map_err(E::custom)?;
        Ok(Seen::Index(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Seen, E> {
        write::write_sint(self.out, value).map_err(E::custom)?;
        Ok(Seen::Other)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Seen, E> {
        // To JavaScript `1.0` is an integer.
        if value.fract() == 0.0 && value.abs() <= MAX_EXACT {
            return self.visit_i64(value as i64);
        }
        write::write_f64(self.out, value).map_err(E::custom)?;
        Ok(Seen::Other)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Seen, E> {
        length::<E>(value.len())?;
        write::write_str(self.out, value).map_err(E::custom)?;
        Ok(match value {
            "_placeholder" => Seen::Placeholder,
            "num" => Seen::Num,
            _ => Seen::Other,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Seen, A::Error> {
        let start = self.begin();
        let mut elements = 0;
        while array.next_element_seed(&mut *self)?.is_some() {
            elements += 1;
        }
        let mut header = Vec::new();
        write::write_array_len(&mut header, length(elements)?).map_err(A::Error::custom)?;
        self.out.splice(start..=start, header);
        Ok(Seen::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen, A::Error> {
        let start = self.begin();
        let (mut entries, mut marked, mut index) = (0, false, None);
        while let Some(key) = object.next_key_seed(&mut *self)? {
            let value = object.next_value_seed(&mut *self)?;
            match (key, value) {
                (Seen::Placeholder, value) => marked = matches!(value, Seen::True),
                (Seen::Num, Seen::Index(value)) => index = Some(value),
                (Seen::Num, _) => index = None,
                _ => {}
            }
            entries += 1;
        }
        if marked {
            let attachment = index.and_then(|index| self.attachment(index));
            let attachment = attachment.ok_or_else(|| A::Error::custom("placeholder names no attachment"))?;
            self.out.truncate(start);
            length::<A::Error>(attachment.len())?;
            write::write_bin(self.out, &attachment).map_err(A::Error::custom)?;
        } else {
            let mut header = Vec::new();
            write::write_map_len(&mut header, length(entries)?).map_err(A::Error::custom)?;
            self.out.splice(start..=start, header);
        }
        Ok(Seen::Other)
    }
}

/// A size that msgpack can tell.
fn length<E: Error>(length: usize) -> Result<u32, E> {
    u32::try_from(length).map_err(|_| E::custom("more than 4 GiB in one value"))
}
