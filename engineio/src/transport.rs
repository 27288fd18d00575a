//! The ways by which packets travel.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A way by which packets travel.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// GET requests that wait for packets, and POST requests that bring them.
    Polling,
    /// One packet for each WebSocket message.
    WebSocket,
}

impl Transport {
    /// The name in query strings and `upgrades`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
