//! What the program has registered, its types erased.
//!
//! Each handler costs the compiler what is generic here, so that is little: its data is decoded, its future
//! boxed, its reply answered. All the rest is done once for all.

use super::{handle::NamespaceHandle, place, socket::Socket};
use crate::{
    args::DecodeError,
    connection::{EventRef, IncomingEvent},
    error::{DisconnectReason, EventError, EventFailure, Refusal},
    event::OutgoingEvent,
    packet::AckId,
    reply::{Acknowledge, Answer, Reply},
    server::rooms::RoomEvent,
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Either, join_all, poll_fn, ready},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    sync::Arc,
    task::{Context, Poll},
};

pub(super) type Middleware = Box<dyn Fn(Socket) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync>;
pub(super) type ConnectHandler = Box<dyn Fn(Socket) -> BoxFuture<'static, ()> + Send + Sync>;
pub(super) type DisconnectingHook = Box<dyn Fn(&Socket, &DisconnectReason) + Send + Sync>;
pub(super) type DisconnectHandler =
    Box<dyn Fn(Socket, DisconnectReason) -> BoxFuture<'static, ()> + Send + Sync>;
pub(super) type ErrorHook = Box<dyn Fn(&Socket, &EventError) + Send + Sync>;
pub(super) type RoomHook = Box<dyn Fn(&NamespaceHandle, &RoomEvent) + Send + Sync>;
pub(super) type CatchAll = Box<dyn Fn(Socket, IncomingEvent) -> BoxFuture<'static, ()> + Send + Sync>;
pub(super) type OutgoingHook = Box<dyn Fn(&Socket, &OutgoingEvent<'_>) + Send + Sync>;
/// Runs the handler up to where it first waits: its answer, or what is left.
pub(super) type EventHandler = Box<dyn Fn(Call<'_>, &mut Context<'_>) -> Begun + Send + Sync>;
pub(super) type Fallback = Box<dyn Fn(Socket, IncomingEvent) -> BoxFuture<'static, Answer> + Send + Sync>;
pub(super) type EventMiddleware =
    Box<dyn Fn(Socket, IncomingEvent, Next) -> BoxFuture<'static, Answer> + Send + Sync>;
/// Around the handlers of one occasion, which is named for reports.
pub(super) type LifecycleMiddleware =
    Box<dyn Fn(Socket, &'static str, BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync>;
pub(crate) type ServerHandler = Box<
    dyn Fn(NamespaceHandle, IncomingEvent) -> BoxFuture<'static, Result<Value, serde_json::Error>>
        + Send
        + Sync,
>;

/// What has begun: an answer already, or what is left.
pub(super) type Begun = Result<Answer, BoxFuture<'static, Answer>>;

/// The data of one event for one handler.
pub(super) struct Call<'a> {
    pub(super) socket: &'a Socket,
    pub(super) event: &'a EventRef<'a>,
}

/// Who is to be answered, if anybody.
#[derive(Debug)]
// A handle to the socket that nobody needs costs more than it seems.
pub struct Caller(Option<(Socket, AckId)>);

impl Caller {
    pub(super) fn new(socket: &Socket, id: Option<AckId>) -> Self {
        Self(id.map(|id| (socket.clone(), id)))
    }

    /// How to answer.
    pub fn acknowledge(&self) -> Acknowledge<'_> {
        self.0.as_ref().map_or(Acknowledge(None), |(socket, id)| socket.acknowledge_for(Some(*id)))
    }

    /// Makes an answer of what `reply` will be. Smaller than an async function, which would hold it twice.
    fn answer<R: Reply>(
        self,
        reply: impl Future<Output = R> + Send + 'static,
    ) -> impl Future<Output = Answer> + Send + 'static {
        reply.map(move |reply| reply.answer(self.acknowledge()))
    }
}

impl Call<'_> {
    fn decode<D: DeserializeOwned>(&self) -> Result<D, DecodeError> {
        self.event.arguments.decode()
    }

    fn undecoded(&self, error: DecodeError) -> Answer {
        self.socket.acknowledge_for(self.event.id).failed(EventFailure::Decode(error))
    }
}

pub(super) fn event_handler<D, R, F, Fut>(handler: F) -> EventHandler
where
    D: DeserializeOwned,
    R: Reply,
    F: Fn(Socket, D) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    Box::new(move |call, cx| match call.decode() {
        Ok(data) => {
            let answer = Caller::new(call.socket, call.event.id).answer(handler(call.socket.clone(), data));
            place::begin(answer, cx)
        }
        Err(error) => Ok(call.undecoded(error)),
    })
}

pub(super) fn fallback<R, F, Fut>(handler: F) -> Fallback
where
    R: Reply,
    F: Fn(Socket, IncomingEvent) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    Box::new(move |socket, event| {
        let caller = Caller::new(&socket, event.id);
        caller.answer(handler(socket, event)).boxed()
    })
}

pub(super) fn event_middleware<R, F, Fut>(middleware: F) -> EventMiddleware
where
    R: Reply,
    F: Fn(Socket, IncomingEvent, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    Box::new(move |socket, event, next| {
        let caller = Caller::new(&socket, event.id);
        caller.answer(middleware(socket, event, next)).boxed()
    })
}

pub(super) fn server_handler<D, R, F, Fut>(handler: F) -> ServerHandler
where
    D: DeserializeOwned,
    R: Serialize,
    F: Fn(NamespaceHandle, D) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    Box::new(move |namespace, event| match event.arguments.decode() {
        Ok(data) => {
            let answer = handler(namespace, data);
            Box::pin(async move { serde_json::to_value(answer.await) })
        }
        Err(DecodeError(error)) => ready(Err(error)).boxed(),
    })
}

/// The rest of the way of an event: the middleware behind, and the handlers.
#[must_use = "an event that is not passed on is refused"]
pub struct Next {
    socket: Socket,
    /// How many middlewares the event has reached.
    at: usize,
}

impl Next {
    /// Passes the event on, as it came or changed, and waits for what becomes of it.
    pub fn run(self, event: IncomingEvent) -> BoxFuture<'static, Answer> {
        let Self { socket, at } = self;
        let live = Arc::clone(socket.live());
        match live.blueprint.event_middleware.get(at) {
            Some(middleware) => middleware(socket.clone(), event, Self { socket, at: at + 1 }),
            None => later(socket, move |socket, cx| handle(socket, &event.borrowed(), cx)),
        }
    }
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Begins what handles an event: the middleware, and the handlers behind it.
#[inline]
pub(super) fn begin(socket: &Socket, event: &EventRef<'_>, cx: &mut Context<'_>) -> Begun {
    if socket.live().blueprint.event_middleware.is_empty() {
        handle(socket, event, cx)
    } else {
        poll(Next { socket: socket.clone(), at: 0 }.run(event.to_owned()), cx)
    }
}

// Inlined, as are those that call it: each call would cost as much as what it does.
#[inline(always)]
fn handle(socket: &Socket, event: &EventRef<'_>, cx: &mut Context<'_>) -> Begun {
    let awaited = socket.notify_waiters(event);
    let blueprint = &socket.live().blueprint;
    match (blueprint.handlers.get(event.name).map(Vec::as_slice), &blueprint.fallback) {
        (Some([handler]), _) => handler(Call { socket, event }, cx),
        (Some(handlers), _) => {
            let begun: Vec<_> = handlers.iter().map(|handler| handler(Call { socket, event }, cx)).collect();
            let (socket, name) = (socket.clone(), event.name.to_owned());
            if begun.iter().all(Result::is_ok) {
                return Ok(first_answer(&socket, &name, begun.into_iter().flatten()));
            }
            let rest = begun.into_iter().map(|begun| match begun {
                Ok(answer) => Either::Left(ready(answer)),
                Err(rest) => Either::Right(rest),
            });
            let all = join_all(rest);
            Err(Box::pin(async move { first_answer(&socket, &name, all.await) }))
        }
        (None, Some(fallback)) if !awaited => poll(fallback(socket.clone(), event.to_owned()), cx),
        (None, _) => {
            if !awaited {
                tracing::debug!(namespace = socket.namespace(), event = event.name, "no handler");
            }
            Ok(Answer::default())
        }
    }
}

/// Begins something when it is first polled, unless the socket is gone by then: middleware may have waited.
pub(super) fn later(
    socket: Socket,
    mut begin: impl FnMut(&Socket, &mut Context<'_>) -> Begun + Send + 'static,
) -> BoxFuture<'static, Answer> {
    let mut begun = None;
    Box::pin(poll_fn(move |cx| match &mut begun {
        Some(rest) => BoxFuture::poll_unpin(rest, cx),
        None if !socket.is_connected() => Poll::Ready(Answer::default()),
        None => match begin(&socket, cx) {
            Ok(answer) => Poll::Ready(answer),
            Err(rest) => {
                begun = Some(rest);
                Poll::Pending
            }
        },
    }))
}

fn poll(mut run: BoxFuture<'static, Answer>, cx: &mut Context<'_>) -> Begun {
    match run.poll_unpin(cx) {
        Poll::Ready(answer) => Ok(answer),
        Poll::Pending => Err(run),
    }
}

/// Of several handlers, the first that answers is heard; all failures are reported.
fn first_answer(socket: &Socket, event: &str, answers: impl IntoIterator<Item = Answer>) -> Answer {
    let mut chosen = Answer::default();
    for answer in answers {
        let unheard = if chosen.is_sent() { answer } else { std::mem::replace(&mut chosen, answer) };
        if let (_, Some(failure)) = unheard.into_parts() {
            socket.report(event, failure);
        }
    }
    chosen
}
