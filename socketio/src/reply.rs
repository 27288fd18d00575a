//! What a handler returns, and what of it reaches the client.

use crate::{
    encoded::{EncodeError, Encoded},
    error::EventFailure,
    packet::AckId,
    parser::Format,
};
use serde::Serialize;
use std::fmt;

/// The return value of an event handler, or of event middleware.
///
/// | returned | a client that waits for an acknowledgement gets |
/// |---|---|
/// | `()` | nothing |
/// | `Ack(data)` | `data`, as [`args`](crate::args) describes; a tuple is several values |
/// | `Ok(reply)` | what `reply` says |
/// | `Err(error)` | one argument, `{"error": "the error's Display"}` |
/// | [`Answer`] | what has been answered already |
///
/// The same `{"error": ..}` answers an event whose data does not decode into the handler's type, one that a
/// limit refuses, and one whose handler panics. To a client that does not wait for an acknowledgement nothing
/// is sent; an `Err` then goes to [`Namespace::on_error`](crate::Namespace::on_error), so that it is not lost.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the return value of an event handler",
    label = "an event handler returns `()`, `Ack(data)`, or a `Result` of them whose error is `Display`",
    note = "wrap data in `Ack` to acknowledge the event with it"
)]
pub trait Reply: Send + 'static {
    /// Makes the answer.
    fn answer(self, ack: Acknowledge<'_>) -> Answer;
}

/// Where an acknowledgement goes, if anybody waits for one.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledge<'a>(pub(crate) Option<Awaited<'a>>);

/// An acknowledgement that a client waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited<'a> {
    pub(crate) format: &'a Format,
    pub(crate) namespace: &'a str,
    pub(crate) id: AckId,
}

impl Acknowledge<'_> {
    /// Whether the client waits for an acknowledgement.
    pub fn is_awaited(self) -> bool {
        self.0.is_some()
    }

    /// Answers with `data`. If that cannot be encoded, the client is told of the error instead.
    pub fn with<T: Serialize + ?Sized>(self, data: &T) -> Answer {
        let Some(Awaited { format, namespace, id }) = self.0 else { return Answer::default() };
        match format.ack(namespace, id, data) {
            Ok(packet) => Answer::new(Answered { packet: Some(packet), failed: false, failure: None }),
            Err(error) => self.failed(EventFailure::Reply(error)),
        }
    }

    /// Answers that there was an error.
    pub fn error(self, error: &impl fmt::Display) -> Answer {
        let message = error.to_string();
        match self.error_packet(&message) {
            Some(Ok(packet)) => Answer::new(Answered { packet: Some(packet), failed: true, failure: None }),
            Some(Err(error)) => self.failed(EventFailure::Reply(error)),
            None => self.failed(EventFailure::Handler(message)),
        }
    }

    /// Answers that there was an error that is the program's, not the client's: the error hook hears of it, even if the
    /// client does.
    pub fn failure(self, error: &impl fmt::Display) -> Answer {
        self.failed(EventFailure::Handler(error.to_string()))
    }

    /// Answers that something failed of which the error hook is to hear in any case.
    pub(crate) fn failed(self, failure: EventFailure) -> Answer {
        let packet = self.error_packet(&failure.told_to_client()).and_then(Result::ok);
        Answer::new(Answered { packet, failed: true, failure: Some(failure) })
    }

    fn error_packet(self, error: &str) -> Option<Result<Encoded, EncodeError>> {
        let Awaited { format, namespace, id } = self.0?;
        Some(format.ack(namespace, id, &ErrorReply { error }))
    }
}

#[derive(Serialize)]
struct ErrorReply<'a> {
    error: &'a str,
}

/// What has been answered to an event, or that nothing has.
#[derive(Debug, Default)]
#[must_use = "the client waits for the answer"]
// Most events are not answered, and this is moved more often than it is looked at.
pub struct Answer(Option<Box<Answered>>);

#[derive(Debug)]
struct Answered {
    packet: Option<Encoded>,
    failed: bool,
    /// What nobody has been told of yet.
    failure: Option<EventFailure>,
}

impl Answer {
    fn new(answered: Answered) -> Self {
        Self(Some(Box::new(answered)))
    }

    /// Whether the event failed: its data did not decode, or its handler returned an error or panicked.
    pub fn is_error(&self) -> bool {
        self.0.as_ref().is_some_and(|answered| answered.failed)
    }

    /// Whether the client gets an acknowledgement.
    pub fn is_sent(&self) -> bool {
        self.0.as_ref().is_some_and(|answered| answered.packet.is_some())
    }

    /// What the client gets, and what nobody has been told of yet.
    pub(crate) fn into_parts(self) -> (Option<Encoded>, Option<EventFailure>) {
        self.0.map_or((None, None), |answered| (answered.packet, answered.failure))
    }
}

/// An acknowledgement that carries `T`.
#[derive(Clone, Copy, Debug)]
pub struct Ack<T>(pub T);

impl Reply for () {
    #[inline]
    fn answer(self, _: Acknowledge<'_>) -> Answer {
        Answer::default()
    }
}

impl Reply for Answer {
    fn answer(self, _: Acknowledge<'_>) -> Answer {
        self
    }
}

impl<T: Serialize + Send + 'static> Reply for Ack<T> {
    fn answer(self, ack: Acknowledge<'_>) -> Answer {
        ack.with(&self.0)
    }
}

impl<R: Reply, E: fmt::Display + Send + 'static> Reply for Result<R, E> {
    #[inline]
    fn answer(self, ack: Acknowledge<'_>) -> Answer {
        match self {
            Ok(reply) => reply.answer(ack),
            Err(error) => ack.error(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::MAX_ATTACHMENTS;
    use engineio::Message;

    const FORMAT: Format = Format::Default { max_attachments: MAX_ATTACHMENTS };

    fn answer(id: Option<u64>, reply: impl Reply) -> Answer {
        let awaited = |id| Awaited { format: &FORMAT, namespace: "/a", id };
        reply.answer(Acknowledge(id.and_then(AckId::new).map(awaited)))
    }

    fn text(answer: &Answer) -> Option<String> {
        let first = answer.0.as_ref()?.packet.as_ref()?.messages().next();
        let Some(Message::Text(text)) = first.map(|first| first.message().clone()) else { panic!("text") };
        Some(text.to_string())
    }

    #[test]
    fn replies() {
        for (reply, expected) in [
            (answer(Some(7), ()), None),
            (answer(Some(7), Ack(())), Some("3/a,7[]")),
            (answer(Some(7), Ack((1, "two"))), Some(r#"3/a,7[1,"two"]"#)),
            (answer(Some(7), Ok::<_, String>(Ack(1))), Some("3/a,7[1]")),
            (answer(Some(7), Ok::<_, String>(())), None),
            (answer(Some(7), Err::<Ack<()>, _>("full")), Some(r#"3/a,7[{"error":"full"}]"#)),
            (answer(None, Ack(1)), None),
        ] {
            assert_eq!(text(&reply).as_deref(), expected);
            assert_eq!(reply.is_error(), expected.is_some_and(|text| text.contains("error")));
            assert!(reply.into_parts().1.is_none());
        }
    }

    #[test]
    fn an_error_that_no_client_hears_of_is_kept_for_the_hook() {
        let unheard = answer(None, Err::<(), _>("full"));
        assert!(unheard.is_error() && !unheard.is_sent());
        assert_eq!(unheard.into_parts().1.unwrap().to_string(), "full");
    }

    #[test]
    fn a_reply_that_cannot_be_encoded_is_an_error_for_both() {
        let map = std::collections::BTreeMap::from([([1], 2)]);
        let unencodable = answer(Some(7), Ack(map));
        assert_eq!(
            text(&unencodable).unwrap(),
            r#"3/a,7[{"error":"reply: data cannot be encoded: key must be a string"}]"#
        );
        assert!(unencodable.into_parts().1.is_some());
    }
}
