//! One run of a handler or middleware.

use super::{
    admission::Admitted,
    handler::{ConnectHandler, Next},
    socket::Socket,
    turns::Turn,
};
use crate::{
    connection::IncomingEvent,
    error::{DisconnectReason, EventFailure, Refusal},
    packet::AckId,
    reply::Answer,
};
use bytestring::ByteString;
use futures_util::future::BoxFuture;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// A run of something that the program has registered. If that panics, this is reported and the run is over.
pub(super) struct Task(Run);

enum Run {
    Admission { path: Arc<str>, admission: BoxFuture<'static, Result<Admitted, Refusal>> },
    Event { socket: Socket, name: ByteString, id: Option<AckId>, answer: BoxFuture<'static, Answer> },
    Lifecycle { socket: Socket, of: &'static str, handler: BoxFuture<'static, ()> },
}

/// What remains to be done after a run.
pub(super) enum Outcome {
    /// An event has been handled.
    Answered {
        socket: Socket,
        name: ByteString,
        answer: Answer,
    },
    /// Whether a client may join a namespace.
    Decided {
        path: Arc<str>,
        decision: Result<Admitted, Refusal>,
    },
    Done(Socket),
}

impl Task {
    pub(super) fn admission(
        path: Arc<str>,
        admission: impl Future<Output = Result<Admitted, Refusal>> + Send + 'static,
    ) -> Self {
        Self(Run::Admission { path, admission: Box::pin(admission) })
    }

    /// What a turn runs, if anything.
    pub(super) fn of_turn(socket: &Socket, turn: Turn) -> Option<Self> {
        match turn {
            Turn::Connected => Self::connected(socket),
            Turn::Disconnected(reason) => Self::disconnected(socket, &reason),
            Turn::Event(event) => Self::event(socket, event),
            Turn::Upgraded => Self::upgraded(socket),
        }
    }

    fn connected(socket: &Socket) -> Option<Self> {
        Self::each(socket, "connect", |socket| &socket.live().blueprint.on_connect)
    }

    fn upgraded(socket: &Socket) -> Option<Self> {
        Self::each(socket, "upgrade", |socket| &socket.live().blueprint.on_upgrade)
    }

    fn disconnected(socket: &Socket, reason: &DisconnectReason) -> Option<Self> {
        let live = Arc::clone(socket.live());
        let runs = live.blueprint.on_disconnect.iter().map(|handler| handler(socket.clone(), reason.clone()));
        Self::all(socket, "disconnect", runs)
    }

    /// Shows an event to those who see all.
    pub(super) fn catch_all(socket: &Socket, event: &IncomingEvent) -> Option<Self> {
        let live = Arc::clone(socket.live());
        let runs = live.blueprint.on_any.iter().map(|handler| handler(socket.clone(), event.clone()));
        Self::all(socket, "catch-all", runs)
    }

    /// The handlers of an event, and the middleware around them.
    fn event(socket: &Socket, event: IncomingEvent) -> Option<Self> {
        if !socket.is_connected() {
            return None;
        }
        let (name, id) = (event.name.clone(), event.id);
        let answer = catch_unwind(AssertUnwindSafe(|| Next::first(socket.clone()).start(event)));
        let answer = answer.unwrap_or_else(|panic| {
            let answer = socket.acknowledge_for(id).failed(EventFailure::panicked(&*panic));
            Box::pin(std::future::ready(answer))
        });
        Some(Self(Run::Event { socket: socket.clone(), name, id, answer }))
    }

    fn each(
        socket: &Socket,
        of: &'static str,
        handlers: impl Fn(&Socket) -> &[ConnectHandler],
    ) -> Option<Self> {
        Self::all(socket, of, handlers(socket).iter().map(|handler| handler(socket.clone())))
    }

    /// Several runs are started in order and wait at the same time.
    fn all(
        socket: &Socket,
        of: &'static str,
        mut runs: impl ExactSizeIterator<Item = BoxFuture<'static, ()>>,
    ) -> Option<Self> {
        let started = catch_unwind(AssertUnwindSafe(|| match runs.len() {
            0 => None,
            1 => runs.next(),
            _ => {
                let all = futures_util::future::join_all(runs);
                Some(Box::pin(async move { drop(all.await) }) as BoxFuture<'static, ()>)
            }
        }));
        let handler = started.unwrap_or_else(|panic| {
            socket.report(of, EventFailure::panicked(&*panic));
            None
        })?;
        Some(Self(Run::Lifecycle { socket: socket.clone(), of, handler }))
    }

    fn panicked(&self, panic: &(dyn Any + Send)) -> Outcome {
        let failure = EventFailure::panicked(panic);
        match &self.0 {
            Run::Admission { path, .. } => {
                tracing::error!(namespace = &**path, %failure, "middleware panicked");
                let decision = Err(Refusal::new("Internal server error"));
                Outcome::Decided { path: Arc::clone(path), decision }
            }
            Run::Event { socket, name, id, .. } => {
                let answer = socket.acknowledge_for(*id).failed(failure);
                Outcome::Answered { socket: socket.clone(), name: name.clone(), answer }
            }
            Run::Lifecycle { socket, of, .. } => {
                socket.report(of, failure);
                Outcome::Done(socket.clone())
            }
        }
    }
}

impl Future for Task {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let run = &mut self.0;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            Poll::Ready(match run {
                Run::Admission { path, admission } => {
                    let decision = ready!(admission.as_mut().poll(cx));
                    Outcome::Decided { path: Arc::clone(path), decision }
                }
                Run::Event { socket, name, answer, .. } => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    Outcome::Answered { socket: socket.clone(), name: name.clone(), answer }
                }
                Run::Lifecycle { socket, handler, .. } => {
                    ready!(handler.as_mut().poll(cx));
                    Outcome::Done(socket.clone())
                }
            })
        }));
        polled.unwrap_or_else(|panic| Poll::Ready(self.panicked(&*panic)))
    }
}
