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

use crate::{json, text};
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
    /// Where the arguments begin: behind the bracket, or the name of an event.
    first: usize,
    attachments: Vec<Bytes>,
}

/// The same, of somebody else.
#[derive(Debug)]
pub(crate) struct ArgumentsRef<'a> {
    json: &'a str,
    first: usize,
    /// The first argument, if it is known to be a string which stands for itself.
    string: Option<&'a str>,
    attachments: &'a [Bytes],
}

impl<'a> ArgumentsRef<'a> {
    /// `json` must be an array that was checked; its arguments begin at `first`.
    pub(crate) fn new(
        json: &'a str,
        first: usize,
        string: Option<&'a str>,
        attachments: &'a [Bytes],
    ) -> Self {
        Self { json, first, string, attachments }
    }

    pub(crate) fn decode<D: DeserializeOwned>(&self) -> Result<D, DecodeError> {
        read::arguments(&self.json[self.first..], self.string, self.attachments).map_err(DecodeError)
    }

    pub(crate) fn to_owned(&self) -> Arguments {
        let Self { json, first, attachments, .. } = *self;
        Arguments { text: json.into(), start: 0, first, attachments: attachments.to_vec() }
    }
}

impl Arguments {
    /// From `start` on, `text` must be an array that was checked, placeholders included; its arguments begin at
    /// `first`.
    pub(crate) fn new(text: ByteString, start: usize, first: usize) -> Self {
        Self { text, start, first, attachments: Vec::new() }
    }

    /// The arguments that `data` makes, after `name`, if any, and with `last` as one more.
    pub(crate) fn encode<D: Serialize + ?Sized>(
        name: Option<&str>,
        data: &D,
        last: Option<&str>,
    ) -> serde_json::Result<Self> {
        let mut json = Vec::new();
        let mut attachments = Vec::new();
        write(&mut json, &mut attachments, name, data, last)?;
        let json = text::into_string(json);
        let first = 1 + name.map_or(0, |_| json::value_end(&json[1..]));
        Ok(Self { text: json.into(), start: 0, first, attachments })
    }

    /// The same with a string as one argument more, if there is one.
    pub(crate) fn with_last(&self, last: Option<&str>) -> Cow<'_, Self> {
        let Some(last) = last else { return Cow::Borrowed(self) };
        let array = self.json().trim_end();
        let array = array.strip_suffix(']').expect("arguments are an array").trim_end();
        let separator = if array.ends_with('[') { "" } else { "," };
        let text = format!("{array}{separator}{}]", Value::from(last)).into();
        let first = self.first - self.start;
        Cow::Owned(Self { text, start: 0, first, attachments: self.attachments.clone() })
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
        self.borrowed().decode()
    }

    pub(crate) fn borrowed(&self) -> ArgumentsRef<'_> {
        ArgumentsRef::new(self.json(), self.first - self.start, None, &self.attachments)
    }
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Self) -> bool {
        let parts = |arguments: &'_ Self| arguments.first - arguments.start;
        (self.json(), parts(self), &self.attachments) == (other.json(), parts(other), &other.attachments)
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
