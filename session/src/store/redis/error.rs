//! What went wrong between here and Redis, in words that hold no key, value or password.

use std::{error::Error as _, fmt, io, time::Duration};

use redis::{ErrorKind, RedisError};

use crate::StoreError;

/// Why a command has no result.
///
/// Errors of the client library are not passed on: Redis quotes the arguments of a command that it does not know, and
/// the library quotes answers that it did not expect.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no connection; nothing was sent.
    #[error("cannot connect to Redis: {0}")]
    Unreachable(Reason),
    /// The connection broke before the answer came.
    #[error("the connection to Redis was lost: {0}")]
    Lost(Reason),
    /// No answer in time.
    #[error("Redis has not answered within {0:?}")]
    Silent(Duration),
    /// Redis has answered with an error.
    #[error("Redis refused: {0}")]
    Refused(Reason),
    /// It was sent again after the connection was lost, and meanwhile somebody else has written.
    #[error("the connection to Redis was lost, and the session was changed meanwhile")]
    Overtaken,
    /// The answer is none that this command has.
    #[error("Redis gave an answer of another kind")]
    Odd,
}

/// The code of an error such as `READONLY`, or the kind of an I/O error.
#[derive(Clone, Debug)]
pub(super) struct Reason(String);

impl Failure {
    /// What an error means while connecting.
    pub(super) fn connecting(error: &RedisError) -> Self {
        Self::refusal(error).unwrap_or_else(|| Self::Unreachable(Reason::of(error)))
    }

    /// What an error means once a command may have been sent.
    pub(super) fn sending(error: &RedisError) -> Self {
        Self::refusal(error).unwrap_or_else(|| Self::Lost(Reason::of(error)))
    }

    /// Connecting took longer than it may.
    pub(super) fn connecting_took(timeout: Duration) -> Self {
        Self::Unreachable(Reason(format!("not within {timeout:?}")))
    }

    /// The runtime is ending, and with it the task that was to connect.
    pub(super) fn ending() -> Self {
        Self::Unreachable(Reason("the runtime is ending".to_owned()))
    }

    /// Whether Redis has answered with the error of this code.
    pub(super) fn is_refusal(&self, code: &str) -> bool {
        matches!(self, Self::Refused(reason) if reason.0 == code)
    }

    fn refusal(error: &RedisError) -> Option<Self> {
        let reason = match error.kind() {
            ErrorKind::AuthenticationFailed => "authentication failed",
            _ => error.code()?,
        };
        Some(Self::Refused(Reason(reason.to_owned())))
    }
}

impl Reason {
    fn of(error: &RedisError) -> Self {
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        Self(io.map_or_else(|| error.category().to_owned(), |error| error.kind().to_string()))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(_) => Self::Refused(failure.into()),
            _ => Self::Unavailable(failure.into()),
        }
    }
}
