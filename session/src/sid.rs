//! The id of a session: whoever knows it and a signature over it *is* that browser.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngCore as _;

/// Names a session in its store. A secret: `Debug` shows nothing of it.
///
/// ```
/// let sid = session::Sid::generate();
/// assert_eq!(sid.as_str().len(), 32);
/// assert_eq!(format!("{sid:?}"), "Sid(..)");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid(Arc<str>);

impl Sid {
    /// Makes a new id from 192 random bits, in the form of `uid-safe`: 32 characters of base64url.
    pub fn generate() -> Self {
        let mut bytes = [0; RANDOM_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self::from_random(bytes)
    }

    /// Returns the id as it stands in the cookie and, behind a prefix, in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_random(bytes: [u8; RANDOM_BYTES]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }
}

/// Takes an id that is known to be genuine: from a verified cookie, or from a list that a store made.
impl From<&str> for Sid {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sid(..)")
    }
}

/// As `express-session`: too many to guess, and the length that other tools expect.
const RANDOM_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_base64url() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/uid.json")).unwrap();
        assert_eq!(vector["bytes_hex"], "fb".repeat(RANDOM_BYTES));
        assert_eq!(vector["expect"], Sid::from_random([0xfb; RANDOM_BYTES]).as_str());
        for sample in vector["samples"].as_array().unwrap() {
            assert_eq!(sample.as_str().unwrap().len(), Sid::generate().as_str().len());
        }
    }

    #[test]
    fn generated_ids_differ() {
        assert_ne!(Sid::generate(), Sid::generate());
    }
}
