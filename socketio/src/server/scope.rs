//! What surrounds all that an event runs, and costs next to nothing where it has nothing to do.

use super::{
    handler::{Caller, begin, later},
    socket::Socket,
};
use crate::{connection::EventRef, reply::Answer};
use futures_util::future::BoxFuture;
use std::task::Context;

/// Runs an event up to where it first waits: its answer, or what is left.
pub(super) type EventScope =
    Box<dyn Fn(EventRun<'_>, &mut Context<'_>) -> Result<Answer, BoxFuture<'static, Answer>> + Send + Sync>;

/// All that an event runs, middleware and handlers, not begun yet. See
/// [`Namespace::event_scope`](crate::Namespace::event_scope).
#[derive(Debug)]
#[must_use = "an event that is not run has no answer"]
pub struct EventRun<'a> {
    socket: &'a Socket,
    event: &'a EventRef<'a>,
    /// How many scopes it has entered.
    at: usize,
}

impl<'a> EventRun<'a> {
    pub(super) fn new(socket: &'a Socket, event: &'a EventRef<'a>) -> Self {
        Self { socket, event, at: 0 }
    }

    /// The socket that the event has come to.
    pub fn socket(&self) -> &'a Socket {
        self.socket
    }

    /// Who waits for an answer.
    pub fn caller(&self) -> Caller {
        Caller::new(self.socket, self.event.id)
    }

    /// Runs it up to where it first waits.
    ///
    /// # Errors
    ///
    /// What is left, if it has to wait.
    #[inline(always)]
    pub fn begin(self, cx: &mut Context<'_>) -> Result<Answer, BoxFuture<'static, Answer>> {
        let Self { socket, event, at } = self;
        if let Some(scope) = socket.live().blueprint.event_scopes.get(at) {
            return scope(Self { socket, event, at: at + 1 }, cx);
        }
        begin(socket, event, cx)
    }

    /// Runs it later: from the first poll on, unless the socket is gone by then.
    pub fn later(self) -> BoxFuture<'static, Answer> {
        let Self { socket, event, at } = self;
        let event = event.to_owned();
        later(socket.clone(), move |socket, cx| EventRun { socket, event: &event.borrowed(), at }.begin(cx))
    }
}
