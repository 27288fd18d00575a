//! Saves what a handler of a socket has changed in its session.

use std::{
    cell::OnceCell,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use socketio::{Answer, Caller, EventRun, Socket};

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
    fn of(shared: &Arc<Shared>) -> Self {
        Self { of: Arc::as_ptr(shared).addr(), session: OnceCell::new() }
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

/// Runs the handlers of an event up to where they first wait, and then saves, if they have not waited.
///
/// Most handlers do not wait, and most do not use the session: those must cost next to nothing.
pub(crate) fn around_event(
    run: EventRun<'_>,
    cx: &mut Context<'_>,
) -> Result<Answer, BoxFuture<'static, Answer>> {
    let shared = &Attached::of(run.socket().handshake()).shared;
    let inner = &shared.inner;
    if let Touch::Packets { min_interval } = inner.config.touch {
        shared.touch_in_background(min_interval);
    }
    let caller = run.caller();
    if let Some(age) = inner.max_age() {
        let (shared, run) = (Arc::clone(shared), run.later());
        return begin(
            Box::pin(async move {
                match shared.reload_if_older(age).await {
                    // No reason not to handle the event.
                    Ok(()) | Err(SessionError::Gone) => {}
                    Err(error) => return caller.acknowledge().failure(&Unsaved(error)),
                }
                wait_and_save(Handler::of(&shared), run, caller).await
            }),
            cx,
        );
    }
    let handler = Handler::of(shared);
    let of = handler.of;
    let (begun, session) = HANDLER.sync_scope(handler, || {
        let begun = run.begin(cx);
        (begun, HANDLER.with(|handler| handler.session.get().cloned()))
    });
    match begun {
        Ok(answer) => match unsaved(session, &answer) {
            None => Ok(answer),
            Some(session) => begin(Box::pin(save(session, answer, caller)), cx),
        },
        Err(rest) => {
            let session = session.map_or_else(OnceCell::new, OnceCell::from);
            Err(Box::pin(wait_and_save(Handler { of, session }, rest, caller)))
        }
    }
}

fn begin(
    mut work: BoxFuture<'static, Answer>,
    cx: &mut Context<'_>,
) -> Result<Answer, BoxFuture<'static, Answer>> {
    match work.poll_unpin(cx) {
        Poll::Ready(answer) => Ok(answer),
        Poll::Pending => Err(work),
    }
}

/// The session that a handler has used and that is to be saved after it.
fn unsaved(session: Option<Session>, answer: &Answer) -> Option<Session> {
    let session = session?;
    if answer.is_error() {
        session.discard();
    }
    if session.is_changed_here() {
        return Some(session);
    }
    session.release();
    None
}

async fn save(session: Session, answer: Answer, caller: Caller) -> Answer {
    match session.conclude().await {
        Ok(()) => answer,
        Err(error) => caller.acknowledge().failure(&Unsaved(error)),
    }
}

/// Handlers that wait, and then the session on its way into the store.
async fn wait_and_save(handler: Handler, rest: BoxFuture<'static, Answer>, caller: Caller) -> Answer {
    let mut work = std::pin::pin!(HANDLER.scope(handler, rest));
    let answer = work.as_mut().await;
    let session = work.take_value().and_then(|handler| handler.session.into_inner());
    match unsaved(session, &answer) {
        None => answer,
        // Apart, so that those who wait take no room for it.
        Some(session) => Box::pin(save(session, answer, caller)).await,
    }
}

/// Runs the handlers of connecting, upgrading or disconnecting, and then saves.
pub(crate) async fn around_occasion(
    socket: Socket,
    handlers: BoxFuture<'static, ()>,
) -> Result<(), SessionError> {
    let shared = &Attached::of(socket.handshake()).shared;
    let mut work = std::pin::pin!(HANDLER.scope(Handler::of(shared), handlers));
    work.as_mut().await;
    match work.take_value().and_then(|handler| handler.session.into_inner()) {
        Some(session) => session.conclude().await,
        None => Ok(()),
    }
}

/// The client learns what has failed, not how.
struct Unsaved(SessionError);

impl fmt::Display for Unsaved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "session not saved: {}", self.0)
    }
}
