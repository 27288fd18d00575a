//! Signs and verifies cookie values as `cookie-signature` does: `s:` + sid + `.` + HMAC-SHA256 in base64.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::Sid;

/// The keys of an application: the first one signs, all of them verify. `Debug` shows only how many there are.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    pub(crate) fn push(&mut self, key: Vec<u8>) {
        self.0.push(key);
    }

    /// Tells whether there is a key, and none that anybody could guess by leaving it empty.
    pub(crate) fn are_usable(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|key| !key.is_empty())
    }

    /// Returns the value of the session cookie before percent-encoding.
    pub(crate) fn sign(&self, sid: &Sid) -> String {
        format!("{PREFIX}{}", signed(&self.0[0], sid.as_str()))
    }

    /// Returns the sid in the decoded value of a session cookie if one of the keys has signed it.
    pub(crate) fn verify(&self, value: &str) -> Option<Sid> {
        let claimed = value.strip_prefix(PREFIX)?;
        // A sid of `genid` may contain dots; base64 does not.
        let (sid, _) = claimed.rsplit_once('.')?;
        let genuine = |key: &Vec<u8>| bool::from(signed(key, sid).as_bytes().ct_eq(claimed.as_bytes()));
        (!sid.is_empty() && self.0.iter().any(genuine)).then(|| Sid::from(sid))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secrets({})", self.0.len())
    }
}

/// Compared as a whole and as text, so that every other spelling of the same MAC is rejected.
fn signed(key: &[u8], sid: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(sid.as_bytes());
    format!("{sid}.{}", STANDARD_NO_PAD.encode(mac.finalize().into_bytes()))
}

const PREFIX: &str = "s:";

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{CookieState, cookie};

    fn vectors(text: &str) -> Vec<Value> {
        serde_json::from_str(text).unwrap()
    }

    fn key(vector: &Value) -> Vec<u8> {
        match vector["secret_hex"].as_str() {
            Some(hex) => (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect(),
            None => vector["secret"].as_str().unwrap().into(),
        }
    }

    #[test]
    fn signs_as_express_does() {
        let vectors = vectors(include_str!("../tests/vectors/sign.json"));
        assert_eq!(vectors.len(), 13);
        for vector in &vectors {
            let sid = Sid::from(vector["sid"].as_str().unwrap());
            let secrets = Secrets(vec![key(vector)]);
            assert_eq!(vector["signed"], secrets.sign(&sid), "{vector}");
            assert_eq!(vector["wire"], cookie::encode(&secrets.sign(&sid)), "{vector}");
            let header = CookieState::default().set_cookie("connect.sid", &secrets.sign(&sid)).unwrap();
            let expected =
                vector.get("set_cookie_default").map_or(&*header, |expected| expected.as_str().unwrap());
            assert_eq!(header, expected, "{vector}");
            assert_eq!(secrets.verify(&secrets.sign(&sid)), Some(sid), "{vector}");
        }
    }

    #[test]
    fn reads_cookie_headers_as_express_does() {
        let vectors = vectors(include_str!("../tests/vectors/cookie_header.json"));
        assert_eq!(vectors.len(), 34);
        for vector in &vectors {
            let keys = match &vector["secret"] {
                Value::Array(keys) => keys.iter().map(|key| key.as_str().unwrap().into()).collect(),
                key => vec![key.as_str().unwrap().into()],
            };
            let secrets = Secrets(keys);
            let header = vector["header"].as_str().unwrap_or_default();
            let sid = cookie::find(header, "connect.sid").and_then(|value| secrets.verify(&value));
            assert_eq!(vector["looked_up"].as_str(), sid.as_ref().map(Sid::as_str), "{vector}");
        }
    }

    #[test]
    fn debug_shows_how_many_keys_there_are() {
        assert_eq!(format!("{:?}", Secrets(vec![b"keyboard cat".into()])), "Secrets(1)");
    }
}
