//! Arguments of events and acknowledgements <-> values of Rust, by serde.
//!
//! | Rust | arguments |
//! |---|---|
//! | `()` | none |
//! | a tuple `(A, B)` or an array `[T; N]` | one for each element |
//! | anything else, tuple structs and `Vec` included | one |
//!
//! When arguments are read, surplus ones are ignored as JavaScript does, and a missing one is an error unless
//! it is an `Option`. Byte buffers (`bytes::Bytes`, and whatever calls serde's `serialize_bytes` and
//! `deserialize_byte_buf`) may be anywhere in the data; they travel as binary attachments of their own. Types
//! that serde has to buffer before it knows them (`untagged`, `flatten`, internally tagged enums) cannot hold
//! them: use an externally or adjacently tagged enum instead.

mod attachments;
mod read;
mod write;

pub(crate) use attachments::check_placeholders;
pub(crate) use write::write;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{borrow::Cow, fmt};

/// What an event or acknowledgement carries: JSON text, not decoded yet, and attachments.
#[derive(Clone)]
pub struct Arguments {
    text: ByteString,
    /// Where the array begins.
    start: usize,
    /// How many elements precede the arguments: 1 for the name of an event.
    skipped: usize,
    attachments: Vec<Bytes>,
}

impl Arguments {
    /// From `start` on, `text` must be an array that was checked, placeholders included.
    pub(crate) fn new(text: ByteString, start: usize, skipped: usize) -> Self {
        Self { text, start, skipped, attachments: Vec::new() }
    }

    /// The arguments that `data` makes, after `name`, if any, and with `last` as one more.
    pub(crate) fn encode<D: Serialize + ?Sized>(
        name: Option<&str>,
        data: &D,
        last: Option<&str>,
    ) -> serde_json::Result<Self> {
        let mut json = Vec::new();
        let attachments = write(&mut json, name, data, last)?;
        let json = String::from_utf8(json).expect("serde_json writes UTF-8");
        Ok(Self { text: json.into(), start: 0, skipped: usize::from(name.is_some()), attachments })
    }

    /// The same with a string as one argument more, if there is one.
    pub(crate) fn with_last(&self, last: Option<&str>) -> Cow<'_, Self> {
        let Some(last) = last else { return Cow::Borrowed(self) };
        let array = self.json().trim_end();
        let array = array.strip_suffix(']').expect("arguments are an array").trim_end();
        let separator = if array.ends_with('[') { "" } else { "," };
        let text = format!("{array}{separator}{}]", Value::from(last)).into();
        Cow::Owned(Self { text, start: 0, ..self.clone() })
    }

    pub(crate) fn attach(&mut self, attachments: Vec<Bytes>) {
        self.attachments = attachments;
    }

    /// The whole array as it arrived; for an event, its name is the first element.
    pub fn json(&self) -> &str {
        &self.text[self.start..]
    }

    /// The byte buffers that placeholders in the JSON stand for.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// Reads the arguments as `D`, in one pass over the text.
    ///
    /// Fails if an argument is missing or has another type, or is JSON that means nothing in Rust, such as
    /// `1e400`.
    pub fn decode<D: DeserializeOwned>(&self) -> Result<D, DecodeError> {
        let mut json = serde_json::Deserializer::from_str(self.json());
        let decoded = if self.attachments.is_empty() {
            read::arguments(&mut json, self.skipped)
        } else {
            read::arguments(attachments::Attached::new(&mut json, &self.attachments), self.skipped)
        };
        decoded.map_err(DecodeError)
    }
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Self) -> bool {
        (self.json(), self.skipped, &self.attachments) == (other.json(), other.skipped, &other.attachments)
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attachments = self.attachments.len();
        f.debug_struct("Arguments").field("json", &self.json()).field("attachments", &attachments).finish()
    }
}

/// Data of a peer that is not what a handler asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(#[from] pub(crate) serde_json::Error);

#[cfg(test)]
mod tests;
