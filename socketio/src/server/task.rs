//! One run of a handler or middleware.

use super::{
    admission::Admitted, handler::ConnectHandler, namespace::Namespace, scope::EventRun, socket::Socket,
    turns::Turn,
};
use crate::{
    connection::EventRef,
    error::{DisconnectReason, EventFailure, Refusal},
    packet::AckId,
    reply::Answer,
};
use compact_str::CompactString;
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
    Event { socket: Socket, name: CompactString, id: Option<AckId>, answer: BoxFuture<'static, Answer> },
    Finished,
    Lifecycle { socket: Socket, of: &'static str, handler: BoxFuture<'static, ()> },
}

/// What remains to be done after a run.
pub(super) enum Outcome {
    /// An event of a name has been handled.
    Answered {
        socket: Socket,
        name: CompactString,
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

    /// Starts what a turn runs, if that is anything.
    pub(super) fn start_turn(
        socket: &Socket,
        turn: Turn,
        cx: &mut Context<'_>,
    ) -> Option<Result<Outcome, Self>> {
        let task = match turn {
            Turn::Connected => Self::connected(socket),
            Turn::Disconnected(reason) => Self::disconnected(socket, &reason),
            Turn::Event(event) => {
                if !socket.is_connected() {
                    return None;
                }
                let started = Self::start_event(socket, &event.borrowed(), cx);
                return Some(started.map(|answer| Outcome::Answered {
                    socket: socket.clone(),
                    name: event.name,
                    answer,
                }));
            }
            Turn::Upgraded => Self::upgraded(socket),
        };
        task.map(|task| task.start(cx))
    }

    /// Runs up to where it first waits.
    pub(super) fn start(mut self, cx: &mut Context<'_>) -> Result<Outcome, Self> {
        match Pin::new(&mut self).poll(cx) {
            Poll::Ready(outcome) => Ok(outcome),
            Poll::Pending => Err(self),
        }
    }

    fn connected(socket: &Socket) -> Option<Self> {
        Self::each(socket, "connect", |blueprint| &blueprint.on_connect)
    }

    fn upgraded(socket: &Socket) -> Option<Self> {
        Self::each(socket, "upgrade", |blueprint| &blueprint.on_upgrade)
    }

    fn disconnected(socket: &Socket, reason: &DisconnectReason) -> Option<Self> {
        let (of_runs, reason) = (socket.clone(), reason.clone());
        let runs = (0..socket.live().blueprint.on_disconnect.len())
            .map(move |at| of_runs.live().blueprint.on_disconnect[at](of_runs.clone(), reason.clone()));
        Self::occasion(socket, "disconnect", runs)
    }

    /// Shows an event to those who see all.
    #[inline]
    pub(super) fn catch_all(socket: &Socket, event: &EventRef<'_>) -> Option<Self> {
        if socket.live().blueprint.on_any.is_empty() { None } else { Self::show_all(socket, event) }
    }

    fn show_all(socket: &Socket, event: &EventRef<'_>) -> Option<Self> {
        let live = Arc::clone(socket.live());
        let runs = live.blueprint.on_any.iter().map(|handler| handler(socket.clone(), event.to_owned()));
        Self::all(socket, "catch-all", runs)
    }

    /// Starts the handlers of an event, and what is around them: runs them up to where they first wait.
    pub(super) fn start_event(
        socket: &Socket,
        event: &EventRef<'_>,
        cx: &mut Context<'_>,
    ) -> Result<Answer, Self> {
        let begun = catch_unwind(AssertUnwindSafe(|| EventRun::new(socket, event).begin(cx)));
        match begun {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(answer)) => {
                let (name, id) = (event.name.into(), event.id);
                Err(Self(Run::Event { socket: socket.clone(), name, id, answer }))
            }
            Err(panic) => Ok(socket.acknowledge_for(event.id).failed(EventFailure::panicked(&*panic))),
        }
    }

    fn each(
        socket: &Socket,
        of: &'static str,
        handlers: fn(&Namespace) -> &[ConnectHandler],
    ) -> Option<Self> {
        let socket_of_runs = socket.clone();
        let runs = (0..handlers(&socket.live().blueprint).len())
            .map(move |at| handlers(&socket_of_runs.live().blueprint)[at](socket_of_runs.clone()));
        Self::occasion(socket, of, runs)
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

    /// The same within the middleware for such occasions.
    fn occasion(
        socket: &Socket,
        of: &'static str,
        runs: impl ExactSizeIterator<Item = BoxFuture<'static, ()>> + Send + 'static,
    ) -> Option<Self> {
        let middleware = &socket.live().blueprint.lifecycle_middleware;
        if middleware.is_empty() || runs.len() == 0 {
            return Self::all(socket, of, runs);
        }
        // The handlers start within the middleware, which may have prepared something for them.
        let all = Box::pin(async move { drop(futures_util::future::join_all(runs).await) });
        let wrapped = middleware
            .iter()
            .rev()
            .fold(all as BoxFuture<'static, ()>, |inner, middleware| middleware(socket.clone(), of, inner));
        Self::all(socket, of, std::iter::once(wrapped))
    }

    /// Reports a panic and tells what is left to do.
    fn panicked(self, panic: &(dyn Any + Send)) -> Outcome {
        let failure = EventFailure::panicked(panic);
        match self.0 {
            Run::Admission { path, .. } => {
                tracing::error!(namespace = &*path, %failure, "middleware panicked");
                Outcome::Decided { path, decision: Err(Refusal::new("Internal server error")) }
            }
            Run::Event { socket, name, id, .. } => {
                let answer = socket.acknowledge_for(id).failed(failure);
                Outcome::Answered { socket, name, answer }
            }
            Run::Lifecycle { socket, of, .. } => {
                socket.report(of, failure);
                Outcome::Done(socket)
            }
            Run::Finished => unreachable!("it is not polled again"),
        }
    }
}

impl Future for Task {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        /// What comes out of a run.
        enum Output {
            Admission(Result<Admitted, Refusal>),
            Event(Answer),
            Lifecycle,
        }
        let run = &mut self.0;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            Poll::Ready(match run {
                Run::Admission { admission, .. } => Output::Admission(ready!(admission.as_mut().poll(cx))),
                Run::Event { answer, .. } => Output::Event(ready!(answer.as_mut().poll(cx))),
                Run::Lifecycle { handler, .. } => {
                    ready!(handler.as_mut().poll(cx));
                    Output::Lifecycle
                }
                Run::Finished => unreachable!("it is not polled again"),
            })
        }));
        let polled = match polled {
            Ok(polled) => Ok(ready!(polled)),
            Err(panic) => Err(panic),
        };
        let finished = Self(std::mem::replace(&mut self.0, Run::Finished));
        Poll::Ready(match (polled, finished.0) {
            (Ok(Output::Admission(decision)), Run::Admission { path, .. }) => {
                Outcome::Decided { path, decision }
            }
            (Ok(Output::Event(answer)), Run::Event { socket, name, .. }) => {
                Outcome::Answered { socket, name, answer }
            }
            (Ok(_), Run::Lifecycle { socket, .. }) => Outcome::Done(socket),
            (Ok(_), _) => unreachable!("a run has an output of its own kind"),
            (Err(panic), run) => Self(run).panicked(&*panic),
        })
    }
}
