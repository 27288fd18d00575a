//! Why a connection ended, and why something could not be sent.

use std::fmt;

/// Why a connection ended. `Display` and [`as_str`](Self::as_str) give the words of the official server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseReason {
    /// The application closed it.
    ForcedClose,
    /// The peer sent something that is no packet.
    ParseError(&'static str),
    /// The peer did not answer a ping in time.
    PingTimeout,
    /// The server is shutting down.
    ServerShutdown,
    /// The peer takes less than it is sent, and its outbox is full.
    SlowConsumer,
    /// The peer closed it, or the network did.
    TransportClose,
    /// The transport failed, or the peer broke a rule of it.
    TransportError(&'static str),
}

impl CloseReason {
    /// The reason in the protocol's words.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ForcedClose => "forced close",
            Self::ParseError(_) => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::ServerShutdown => "server shutting down",
            Self::SlowConsumer => "slow consumer",
            Self::TransportClose => "transport close",
            Self::TransportError(_) => "transport error",
        }
    }

    /// What exactly went wrong, where there is more to say.
    pub fn detail(&self) -> Option<&'static str> {
        match self {
            Self::ParseError(detail) | Self::TransportError(detail) => Some(detail),
            _ => None,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        self.detail().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

/// Why a message was not taken for sending. It was not queued, not even in part.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SendError {
    /// The connection is closing or closed.
    #[error("the connection is closed")]
    Closed,
    /// The outbox holds as many bytes as [`Config::max_outbox_bytes`](crate::Config::max_outbox_bytes) allows:
    /// the peer takes less than it is sent. Wait with `send`, drop the message, or close the connection.
    #[error("the outbox is full: the peer takes less than it is sent")]
    Full,
}
