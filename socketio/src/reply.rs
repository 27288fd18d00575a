//! What a handler returns, and what of it reaches the client.

use crate::packet::{AckId, EncodeError, Encoded};
use serde::Serialize;
use std::fmt;

/// The return value of an event handler.
///
/// | returned | a client that waits for an acknowledgement gets |
/// |---|---|
/// | `()` | nothing |
/// | `Ack(data)` | `data`, as [`args`](crate::args) describes |
/// | `Ok(reply)` | what `reply` says |
/// | `Err(error)` | one argument, `{"error": "the error's Display"}` |
///
/// The same `{"error": ..}` answers an event whose data does not decode into the handler's type. To a client
/// that does not wait for an acknowledgement nothing is sent.
pub trait Reply: Send + 'static {
    /// Encodes the acknowledgement by `ack`; `None` if there is to be none.
    fn encode(self, ack: Acknowledge<'_>) -> Option<Result<Encoded, EncodeError>>;
}

/// Where an acknowledgement goes.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledge<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) id: AckId,
}

impl Acknowledge<'_> {
    /// Encodes `data` as the acknowledgement.
    pub fn with<T: Serialize + ?Sized>(self, data: &T) -> Result<Encoded, EncodeError> {
        Encoded::ack(self.namespace, self.id, data)
    }

    /// Encodes the acknowledgement that tells of an error.
    pub fn error(self, error: &impl fmt::Display) -> Result<Encoded, EncodeError> {
        self.with(&ErrorReply { error: error.to_string() })
    }
}

#[derive(Serialize)]
struct ErrorReply {
    error: String,
}

/// An acknowledgement that carries `T`.
#[derive(Clone, Copy, Debug)]
pub struct Ack<T>(pub T);

impl Reply for () {
    fn encode(self, _: Acknowledge<'_>) -> Option<Result<Encoded, EncodeError>> {
        None
    }
}

impl<T: Serialize + Send + 'static> Reply for Ack<T> {
    fn encode(self, ack: Acknowledge<'_>) -> Option<Result<Encoded, EncodeError>> {
        Some(ack.with(&self.0))
    }
}

impl<R: Reply, E: fmt::Display + Send + 'static> Reply for Result<R, E> {
    fn encode(self, ack: Acknowledge<'_>) -> Option<Result<Encoded, EncodeError>> {
        match self {
            Ok(reply) => reply.encode(ack),
            Err(error) => Some(ack.error(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: impl Reply) -> Option<String> {
        let ack = Acknowledge { namespace: "/a", id: AckId::new(7).unwrap() };
        reply.encode(ack).map(|encoded| encoded.unwrap().text().to_string())
    }

    #[test]
    fn replies() {
        assert_eq!(text(()), None);
        assert_eq!(text(Ack(())).unwrap(), "3/a,7[]");
        assert_eq!(text(Ack((1, "two"))).unwrap(), r#"3/a,7[1,"two"]"#);
        assert_eq!(text(Ok::<_, String>(Ack(1))).unwrap(), "3/a,7[1]");
        assert_eq!(text(Ok::<_, String>(())), None);
        assert_eq!(text(Err::<Ack<()>, _>("full")).unwrap(), r#"3/a,7[{"error":"full"}]"#);
    }
}
