//! What goes wrong, and whose fault it is.

use crate::{args::DecodeError, encoded::EncodeError, limits::Limit};
use engineio::CloseReason;
use serde::Serialize;
use serde_json::Value;
use std::{any::Any, fmt};

/// Why an event was not queued for one client.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The socket or its connection has ended.
    #[error("socket is disconnected")]
    Disconnected,
    /// Not sendable on any connection.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The client takes messages more slowly than they are sent; the bound is
    /// `engineio::Config::max_outbox_bytes`.
    #[error("outbox is full")]
    Full,
}

impl From<engineio::SendError> for SendError {
    fn from(error: engineio::SendError) -> Self {
        match error {
            engineio::SendError::Full => Self::Full,
            engineio::SendError::Closed => Self::Disconnected,
        }
    }
}

/// Why there is no answer to an event.
#[derive(Debug, thiserror::Error)]
pub enum AckError {
    /// The answer is not of the type asked for.
    #[error("answer: {0}")]
    Decode(#[from] DecodeError),
    /// The socket or its connection ended first.
    #[error("socket is disconnected")]
    Disconnected,
    /// The event cannot be sent at all.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// As many answers are waited for as [`Limits::pending_acks`](crate::Limits::pending_acks) allows.
    #[error("too many answers are waited for")]
    TooManyPending,
}

/// An event that did not come to what its handler is for.
///
/// A client that waits for an acknowledgement is told by `{"error": ..}`; see [`Reply`](crate::Reply).
#[derive(Debug, thiserror::Error)]
#[error("event {event:?}: {failure}")]
pub struct EventError {
    pub(crate) event: String,
    pub(crate) failure: EventFailure,
}

impl EventError {
    /// Name of the event.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// What failed.
    pub fn failure(&self) -> &EventFailure {
        &self.failure
    }
}

/// Which part of an event's handling failed.
#[derive(Debug, thiserror::Error)]
pub enum EventFailure {
    /// The client's data is not what the handler takes, which therefore did not run.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The handler returned this error, and the client does not wait for an acknowledgement.
    #[error("{0}")]
    Handler(String),
    /// The handler panicked; with its message.
    #[error("panic: {0}")]
    Panic(String),
    /// The handler's reply cannot be encoded.
    #[error("reply: {0}")]
    Reply(#[from] EncodeError),
}

impl EventFailure {
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let message = panic.downcast_ref::<&str>().copied();
        let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::Panic(message.unwrap_or("of unknown type").to_owned())
    }

    /// A panic is nobody's business but the program's.
    pub(crate) fn told_to_client(&self) -> String {
        match self {
            Self::Panic(_) => "internal server error".to_owned(),
            other => other.to_string(),
        }
    }
}

/// A middleware's refusal to let a client join, sent as `CONNECT_ERROR`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refusal {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl Refusal {
    /// Refuses with a message, which the client finds in `error.message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// Adds what the client finds in `error.data`.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = Some(data.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// Lets a middleware use `?` on [`Socket::auth`](crate::Socket::auth).
impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::new(error.to_string())
    }
}

/// Why a socket ended; `Display` gives the words of the protocol.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DisconnectReason {
    /// The client left the namespace.
    ClientNamespaceDisconnect,
    /// The server closed the connection: a packet was ill-formed or against the rules.
    ForcedClose,
    /// The client was over a limit, and the policy is to close its connection.
    LimitExceeded(Limit),
    /// The client sent what is no Engine.IO.
    ParseError,
    /// The client did not answer a ping.
    PingTimeout,
    /// The server ended the membership or the connection by a call.
    ServerNamespaceDisconnect,
    /// The server is shutting down.
    ServerShuttingDown,
    /// The client took a broadcast too slowly.
    SlowConsumer,
    /// The connection was closed from the other end.
    TransportClose,
    /// The connection broke, or the client misused the transport; with detail.
    TransportError(&'static str),
}

impl DisconnectReason {
    /// Whether a client that ended so may [recover](crate::Recovery) its socket: neither side meant to leave.
    pub fn is_recoverable(&self) -> bool {
        match self {
            Self::ForcedClose
            | Self::PingTimeout
            | Self::ServerShuttingDown
            | Self::SlowConsumer
            | Self::TransportClose
            | Self::TransportError(_) => true,
            Self::ClientNamespaceDisconnect
            | Self::LimitExceeded(_)
            | Self::ParseError
            | Self::ServerNamespaceDisconnect => false,
        }
    }

    /// The words that the protocol has for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ForcedClose => "forced close",
            Self::LimitExceeded(_) => "limit exceeded",
            Self::ParseError => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::SlowConsumer => "slow consumer",
            Self::TransportClose => "transport close",
            Self::TransportError(_) => "transport error",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::ForcedClose => Self::ForcedClose,
            CloseReason::ParseError(_) => Self::ParseError,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::ServerShutdown => Self::ServerShuttingDown,
            CloseReason::SlowConsumer => Self::SlowConsumer,
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::TransportError(detail) => Self::TransportError(detail),
        }
    }
}
