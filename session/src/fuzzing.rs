//! What the fuzz targets reach of the inside; no part of the API.

use std::borrow::Cow;

use crate::{Sid, cookie, signature::Secrets};

/// The decoded value of the first cookie of this name.
pub fn find_cookie<'a>(header: &'a str, name: &str) -> Option<Cow<'a, str>> {
    cookie::find(header, name)
}

/// A cookie value, percent-encoded.
pub fn encode_cookie(value: &str) -> String {
    cookie::encode(value)
}

/// The value of a session cookie that the first key signs.
pub fn sign(keys: &[&[u8]], sid: &Sid) -> String {
    secrets(keys).sign(sid)
}

/// The id in the value of a session cookie if one of the keys has signed it.
pub fn verify(keys: &[&[u8]], value: &str) -> Option<Sid> {
    secrets(keys).verify(value)
}

fn secrets(keys: &[&[u8]]) -> Secrets {
    let mut secrets = Secrets::default();
    keys.iter().for_each(|key| secrets.push(key.to_vec()));
    secrets
}
