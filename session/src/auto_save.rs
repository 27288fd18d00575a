//! Saves what a handler of a socket has changed in its session.

use std::{
    cell::OnceCell,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use pin_project_lite::pin_project;
use socketio::{Acknowledge, Answer, IncomingEvent, Next, Reply, Socket};
use tokio::task::futures::TaskLocalFuture;

use crate::{Session, SessionError, Touch, hook::Attached, session::Scope, shared::Shared};

tokio::task_local! {
    static HANDLER: Handler;
}

/// A handler at work: the session that it is given is saved after it.
struct Handler {
    /// Which session that is: its address, only to be compared.
    of: usize,
    session: OnceCell<Session>,
}

impl Handler {
    /// Has `work` find its session.
    fn around<F: Future>(shared: &Arc<Shared>, work: F) -> TaskLocalFuture<Self, F> {
        HANDLER.scope(Self { of: Arc::as_ptr(shared).addr(), session: OnceCell::new() }, work)
    }

    fn session(&self, shared: &Arc<Shared>) -> Option<Session> {
        let own = self.of == Arc::as_ptr(shared).addr();
        own.then(|| {
            let begin = || Session::new(Arc::clone(shared), Scope::Handler);
            self.session.get_or_init(begin).clone()
        })
    }
}

/// The session of the handler that is running, if it is this one; otherwise one that saves only when told to.
pub(crate) fn session_of_handler(shared: &Arc<Shared>) -> Session {
    let own = HANDLER.try_with(|handler| handler.session(shared));
    own.ok().flatten().unwrap_or_else(|| Session::new(Arc::clone(shared), Scope::Free))
}

pin_project! {
    /// An event on its way through the handlers, and then the session on its way into the store.
    ///
    /// ```text
    /// Reading --the policy asks for it--> Handling --session used--> Saving --> (answer)
    ///    (or else)                           `--not used--> (answer)
    /// ```
    ///
    /// Most handlers do not wait, and most do not use the session: those must cost next to nothing, so this is no `async`
    /// function, and holds nothing that it may not need.
    #[project = Stage]
    pub(crate) enum AroundEvent {
        Handling { #[pin] work: TaskLocalFuture<Handler, BoxFuture<'static, Answer>> },
        // Reading, too: it ends with the answer.
        Saving { rest: BoxFuture<'static, Outcome> },
    }
}

/// Runs the handlers of an event, and then saves.
pub(crate) fn around_event(socket: &Socket, event: IncomingEvent, next: Next) -> AroundEvent {
    let shared = &Attached::of(socket.handshake()).shared;
    let inner = &shared.inner;
    if let Touch::Packets { min_interval } = inner.config.touch {
        shared.touch_in_background(min_interval);
    }
    let Some(age) = inner.max_age() else {
        return AroundEvent::Handling { work: Handler::around(shared, next.run(event)) };
    };
    let shared = Arc::clone(shared);
    let rest = async move {
        match shared.reload_if_older(age).await {
            // No reason not to handle the event.
            Ok(()) | Err(SessionError::Gone) => {}
            Err(error) => return Outcome::Failed(error),
        }
        AroundEvent::Handling { work: Handler::around(&shared, next.run(event)) }.await
    };
    AroundEvent::Saving { rest: Box::pin(rest) }
}

impl Future for AroundEvent {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            let next = match self.as_mut().project() {
                Stage::Saving { rest } => return rest.as_mut().poll(cx),
                Stage::Handling { mut work } => {
                    let answer = ready!(work.as_mut().poll(cx));
                    let session = work.take_value().and_then(|handler| handler.session.into_inner());
                    match session {
                        None => return Poll::Ready(Outcome::Answered(answer)),
                        Some(session) if answer.is_error() => {
                            session.discard();
                            session.release();
                            return Poll::Ready(Outcome::Answered(answer));
                        }
                        Some(session) if !session.is_changed_here() => {
                            session.release();
                            return Poll::Ready(Outcome::Answered(answer));
                        }
                        Some(session) => Self::Saving { rest: Box::pin(save(session, answer)) },
                    }
                }
            };
            self.set(next);
        }
    }
}

async fn save(session: Session, answer: Answer) -> Outcome {
    match session.conclude().await {
        Ok(()) => Outcome::Answered(answer),
        Err(error) => Outcome::Failed(error),
    }
}

/// Runs the handlers of connecting, upgrading or disconnecting, and then saves.
pub(crate) async fn around_occasion(
    socket: Socket,
    handlers: BoxFuture<'static, ()>,
) -> Result<(), SessionError> {
    let shared = &Attached::of(socket.handshake()).shared;
    let mut work = std::pin::pin!(Handler::around(shared, handlers));
    work.as_mut().await;
    match work.take_value().and_then(|handler| handler.session.into_inner()) {
        Some(session) => session.conclude().await,
        None => Ok(()),
    }
}

/// What becomes of an event.
pub(crate) enum Outcome {
    Answered(Answer),
    /// The session could not be read or saved.
    Failed(SessionError),
}

impl Reply for Outcome {
    fn answer(self, ack: Acknowledge<'_>) -> Answer {
        match self {
            Self::Answered(answer) => answer,
            Self::Failed(error) => ack.failure(&Unsaved(error)),
        }
    }
}

/// The client learns what has failed, not how.
struct Unsaved(SessionError);

impl fmt::Display for Unsaved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "session not saved: {}", self.0)
    }
}
