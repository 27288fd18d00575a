//! One run of a handler or middleware.

use super::socket::Socket;
use crate::{
    connection::IncomingEvent,
    error::{DisconnectReason, Refusal},
    packet::Encoded,
};
use bytestring::ByteString;
use futures_util::future::BoxFuture;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

/// A run of something that the program has registered. If that panics, this is reported and the run is over.
pub(super) struct Task {
    socket: Socket,
    run: Run,
}

enum Run {
    Admission(BoxFuture<'static, Result<(), Refusal>>),
    Event { name: ByteString, handler: BoxFuture<'static, Option<Encoded>> },
    Lifecycle { handler: BoxFuture<'static, ()>, of: &'static str },
}

/// What remains to be done after a run.
pub(super) enum Outcome {
    /// The middleware has decided about a socket.
    Decided(Socket, Result<(), Refusal>),
    Done,
    /// An acknowledgement is to be sent.
    Reply(Socket, Encoded),
}

impl Task {
    /// All middleware of the namespace, in order, up to a refusal.
    pub(super) fn admission(socket: Socket) -> Self {
        let candidate = socket.clone();
        let run = Run::Admission(Box::pin(async move {
            for middleware in &candidate.live().blueprint.middleware {
                middleware(candidate.clone()).await?;
            }
            Ok(())
        }));
        Self { socket, run }
    }

    /// The connect handler, if there is one.
    pub(super) fn connected(socket: Socket) -> Option<Self> {
        socket.live().blueprint.on_connect.as_ref()?;
        let subject = socket.clone();
        Some(Self::lifecycle(socket, "connect", async move {
            if let Some(handler) = &subject.live().blueprint.on_connect {
                handler(subject.clone()).await;
            }
        }))
    }

    /// The disconnect handler, if there is one.
    pub(super) fn disconnected(socket: Socket, reason: DisconnectReason) -> Option<Self> {
        socket.live().blueprint.on_disconnect.as_ref()?;
        let subject = socket.clone();
        Some(Self::lifecycle(socket, "disconnect", async move {
            if let Some(handler) = &subject.live().blueprint.on_disconnect {
                handler(subject.clone(), reason).await;
            }
        }))
    }

    /// The handler of an event; gives the event back if there is none.
    pub(super) fn event(socket: Socket, event: IncomingEvent) -> Result<Self, IncomingEvent> {
        let Some(handler) = socket.live().blueprint.handlers.get(event.name()) else { return Err(event) };
        let name = event.name.clone();
        let handler = handler(socket.clone(), event);
        Ok(Self { socket, run: Run::Event { name, handler } })
    }

    fn lifecycle(
        socket: Socket,
        of: &'static str,
        handler: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self { socket, run: Run::Lifecycle { handler: Box::pin(handler), of } }
    }

    fn report_panic(&self, panic: &(dyn Any + Send)) {
        let what: &str = match &self.run {
            Run::Admission(_) => "middleware",
            Run::Event { name, .. } => name,
            Run::Lifecycle { of, .. } => of,
        };
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("of unknown type");
        let (namespace, id) = (self.socket.namespace(), self.socket.id());
        tracing::error!(namespace, socket = id, handler = what, panic = message, "handler panicked");
    }
}

impl Future for Task {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let task = &mut *self;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            Poll::Ready(match &mut task.run {
                Run::Admission(run) => Outcome::Decided(task.socket.clone(), ready!(run.as_mut().poll(cx))),
                Run::Event { handler, .. } => match ready!(handler.as_mut().poll(cx)) {
                    Some(packet) => Outcome::Reply(task.socket.clone(), packet),
                    None => Outcome::Done,
                },
                Run::Lifecycle { handler, .. } => {
                    ready!(handler.as_mut().poll(cx));
                    Outcome::Done
                }
            })
        }));
        polled.unwrap_or_else(|panic| {
            task.report_panic(&*panic);
            Poll::Ready(match task.run {
                Run::Admission(_) => {
                    Outcome::Decided(task.socket.clone(), Err(Refusal::new("Internal server error")))
                }
                Run::Event { .. } | Run::Lifecycle { .. } => Outcome::Done,
            })
        })
    }
}
