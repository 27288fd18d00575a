//! The first packet of a connection: its id and the limits that hold for it.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytestring::ByteString;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::Transport;

/// The id of a connection. Whoever knows it can speak as the client, so it is a secret: `Debug` shows only the
/// beginning.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Sid(Arc<str>);

impl Sid {
    /// Makes an id of 20 characters from 120 random bits of a CSPRNG.
    pub fn random() -> Self {
        let mut text = [0; 20];
        let bytes: [u8; 15] = rand::rng().random();
        URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).expect("15 bytes make 20 characters");
        Self(str::from_utf8(&text).expect("base64 is ASCII").into())
    }

    /// Takes an id of the application's own making. Clients send it in a query string, so it is best made of
    /// letters, digits, `-` and `_`; other nodes and load balancers expect 20 characters.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Sid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({}…)", self.0.chars().take(4).collect::<String>())
    }
}

/// What the `open` packet says, in the order in which it is written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenPacket<'a> {
    /// Id of the connection.
    pub sid: &'a str,
    /// Transports that the client may upgrade to.
    pub upgrades: Vec<Transport>,
    /// Milliseconds between two pings.
    pub ping_interval: u64,
    /// Milliseconds within which a ping is answered.
    pub ping_timeout: u64,
    /// Most bytes of a payload or message that the server takes.
    pub max_payload: usize,
}

impl OpenPacket<'_> {
    /// The JSON that follows the `0`.
    pub fn to_json(&self) -> ByteString {
        serde_json::to_string(self).expect("plain data is always JSON").into()
    }
}

/// A duration as the protocol counts it: in milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_that_of_the_official_server() {
        let packet = OpenPacket {
            sid: "k_KbvfAKk9gL2myJAAAF",
            upgrades: vec![Transport::WebSocket],
            ping_interval: 25_000,
            ping_timeout: 20_000,
            max_payload: 1_000_000,
        };
        let json = packet.to_json();
        assert_eq!(
            json,
            r#"{"sid":"k_KbvfAKk9gL2myJAAAF","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        );
        assert_eq!(serde_json::from_str::<OpenPacket<'_>>(&json).unwrap(), packet);
    }

    #[test]
    fn ids_are_long_unlike_and_kept_out_of_logs() {
        let (a, b) = (Sid::random(), Sid::random());
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), 20);
        assert!(a.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert!(!format!("{a:?}").contains(&a.as_str()[4..]));
    }
}
