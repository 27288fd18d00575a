//! What happens in a namespace, described before the server starts.

use super::{
    handle::NamespaceHandle,
    handler::{
        CatchAll, ConnectHandler, DisconnectHandler, DisconnectingHook, ErrorHook, EventHandler,
        EventMiddleware, Fallback, LifecycleMiddleware, Middleware, Next, OutgoingHook, RoomHook,
        ServerHandler, event_handler, event_middleware, fallback, server_handler,
    },
    rooms::RoomEvent,
    scope::{EventRun, EventScope},
    socket::Socket,
};
use crate::{
    connection::IncomingEvent,
    error::{DisconnectReason, EventError, EventFailure, Refusal},
    event::{EventName, OutgoingEvent, is_reserved},
    reply::{Answer, Reply},
};
use futures_util::future::BoxFuture;
use http::Extensions;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::HashMap, fmt, task::Context};

/// What happens in a namespace: who may join, and what handles its events.
///
/// Given to [`ServerBuilder::namespace`](crate::ServerBuilder::namespace) or
/// [`dynamic`](crate::ServerBuilder::dynamic) and shared from then on by all its sockets, so that no event can
/// arrive before its handler is there.
///
/// # The way of an event
///
/// ```text
/// on_any -> event_scope -> event_middleware -> on (all of the name) or fallback
///                  <- Answer <-
/// ```
#[derive(Default)]
#[must_use = "a namespace does nothing until a server has it"]
pub struct Namespace {
    pub(super) middleware: Vec<Middleware>,
    pub(super) on_connect: Vec<ConnectHandler>,
    pub(super) on_upgrade: Vec<ConnectHandler>,
    pub(super) on_disconnecting: Vec<DisconnectingHook>,
    pub(super) on_disconnect: Vec<DisconnectHandler>,
    pub(super) on_error: Vec<ErrorHook>,
    pub(super) on_room: Vec<RoomHook>,
    pub(super) on_any: Vec<CatchAll>,
    pub(super) on_any_outgoing: Vec<OutgoingHook>,
    pub(super) event_scopes: Vec<EventScope>,
    pub(super) event_middleware: Vec<EventMiddleware>,
    pub(super) lifecycle_middleware: Vec<LifecycleMiddleware>,
    pub(super) handlers: FxHashMap<Box<str>, Vec<EventHandler>>,
    pub(super) fallback: Option<Fallback>,
    pub(crate) server_handlers: HashMap<Box<str>, ServerHandler>,
    pub(super) shown: Option<fn(&Extensions) -> Option<Value>>,
    pub(super) ordered: bool,
}

impl Namespace {
    /// A namespace that everyone may join and where nothing happens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides, before the client is told that it has joined, whether it may; several run in order of
    /// registration, up to a refusal.
    ///
    /// The socket may be given state and join rooms, which it leaves if it is refused. Broadcasts reach it
    /// only once it is connected. Middleware runs to its end even if the client leaves meanwhile, so it should
    /// have a timeout for what it waits for.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use socketio::{Namespace, Refusal, Socket};
    ///
    /// #[derive(Deserialize)]
    /// struct Credentials {
    ///     token: String,
    /// }
    ///
    /// #[derive(Clone)]
    /// struct User(&'static str);
    ///
    /// async fn authenticate(socket: Socket) -> Result<(), Refusal> {
    ///     match socket.auth::<Credentials>()?.token.as_str() {
    ///         "s3cret" => socket.set(User("ada")),
    ///         _ => return Err(Refusal::new("unknown token").with_data(401)),
    ///     };
    ///     Ok(())
    /// }
    ///
    /// let namespace = Namespace::new().middleware(authenticate);
    /// ```
    pub fn middleware<F, Fut>(mut self, middleware: F) -> Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.middleware.push(Box::new(move |socket| Box::pin(middleware(socket))));
        self
    }

    /// Handles a socket that has just been connected. What it does before it first waits comes before any
    /// event.
    pub fn on_connect<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_connect.push(Box::new(move |socket| Box::pin(handler(socket))));
        self
    }

    /// Handles a socket whose connection has moved from polling to a WebSocket.
    pub fn on_upgrade<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_upgrade.push(Box::new(move |socket| Box::pin(handler(socket))));
        self
    }

    /// Hears that a socket is being disconnected, while it is still in its rooms: to tell those, for example.
    /// It runs where the end was caused, so it must not block.
    pub fn on_disconnecting(
        mut self,
        hook: impl Fn(&Socket, &DisconnectReason) + Send + Sync + 'static,
    ) -> Self {
        self.on_disconnecting.push(Box::new(hook));
        self
    }

    /// Handles a socket that has been disconnected, by whichever side; it has left its rooms already.
    pub fn on_disconnect<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_disconnect.push(Box::new(move |socket, reason| Box::pin(handler(socket, reason))));
        self
    }

    /// Handles an event; the return value is the acknowledgement, see [`Reply`]. Several handlers of one event
    /// are started in order of registration; the first that answers is heard, when all have ended.
    ///
    /// The arguments are decoded into `D` as [`args`](crate::args) describes. If that fails, the handler does
    /// not run: the failure is traced, passed to [`on_error`](Self::on_error), and told to a client that
    /// waits for an acknowledgement.
    ///
    /// ```
    /// use socketio::{Ack, Event, Namespace, Socket};
    ///
    /// const RENAME: Event<String> = Event::new("rename");
    ///
    /// let namespace = Namespace::new()
    ///     .on("sum", async |_: Socket, (a, b): (i64, i64)| Ack(a + b))
    ///     .on(RENAME, async |socket: Socket, name| {
    ///         if name.is_empty() {
    ///             return Err("a name, please");
    ///         }
    ///         socket.set(name);
    ///         Ok(Ack("welcome"))
    ///     });
    /// ```
    ///
    /// # Panics
    ///
    /// If the protocol keeps the name for itself.
    pub fn on<D, R, F, Fut>(mut self, event: impl EventName<D>, handler: F) -> Self
    where
        D: for<'de> Deserialize<'de> + Send + 'static,
        R: Reply,
        F: Fn(Socket, D) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.add_handler(event.name(), event_handler(handler));
        self
    }

    fn add_handler(&mut self, name: &str, handler: EventHandler) {
        assert!(!is_reserved(name), "no client can send an event called {name:?}");
        self.handlers.entry(name.into()).or_default().push(handler);
    }

    /// Handles events that have no handler; without it they are ignored.
    ///
    /// ```
    /// use socketio::Namespace;
    ///
    /// let strict = Namespace::new().fallback(async |_, _| Err::<(), _>("no such event"));
    /// ```
    ///
    /// # Panics
    ///
    /// If there is one already.
    pub fn fallback<R, F, Fut>(mut self, handler: F) -> Self
    where
        R: Reply,
        F: Fn(Socket, IncomingEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        let earlier = self.fallback.replace(fallback(handler));
        assert!(earlier.is_none(), "a namespace has one fallback");
        self
    }

    /// Sees every event that arrives, before middleware and beside its handlers.
    pub fn on_any<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Socket, IncomingEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_any.push(Box::new(move |socket, event| Box::pin(handler(socket, event))));
        self
    }

    /// Sees every event that is sent to a socket, by itself or in a broadcast; not acknowledgements. It runs
    /// where the event is sent, so it must not block.
    pub fn on_any_outgoing(
        mut self,
        hook: impl Fn(&Socket, &OutgoingEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_any_outgoing.push(Box::new(hook));
        self
    }

    /// Wraps the handlers of all events, and the middleware that is registered later: it may change an event,
    /// answer or refuse it instead of passing it on, and act between the handler and the acknowledgement.
    ///
    /// ```
    /// use socketio::{Answer, IncomingEvent, Namespace, Next, Socket};
    /// use std::time::Instant;
    ///
    /// async fn timed(_: Socket, event: IncomingEvent, next: Next) -> Answer {
    ///     let (name, start) = (event.name().to_owned(), Instant::now());
    ///     let answer = next.run(event).await;
    ///     println!("{name} took {:?}", start.elapsed());
    ///     answer
    /// }
    ///
    /// async fn members_only(socket: Socket, event: IncomingEvent, next: Next) -> Result<Answer, &'static str> {
    ///     match socket.get::<String>() {
    ///         Some(_) => Ok(next.run(event).await),
    ///         None => Err("log in first"),
    ///     }
    /// }
    ///
    /// let namespace = Namespace::new().event_middleware(timed).event_middleware(members_only);
    /// ```
    pub fn event_middleware<R, F, Fut>(mut self, middleware: F) -> Self
    where
        R: Reply,
        F: Fn(Socket, IncomingEvent, Next) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.event_middleware.push(event_middleware(middleware));
        self
    }

    /// Surrounds the middleware and the handlers of all events, for what has to know only when they begin and end: where
    /// they do not wait, this takes no memory, and the event is not copied. `scope` [begins](EventRun::begin) the run and
    /// returns what that returns, or does more. What is left of a run that waits may be wrapped.
    ///
    /// ```
    /// use socketio::Namespace;
    /// use std::time::Instant;
    ///
    /// let namespace = Namespace::new().event_scope(|run, cx| {
    ///     let start = Instant::now();
    ///     let begun = run.begin(cx);
    ///     println!("ran without a break for {:?}", start.elapsed());
    ///     begun
    /// });
    /// ```
    pub fn event_scope(
        mut self,
        scope: impl Fn(EventRun<'_>, &mut Context<'_>) -> Result<Answer, BoxFuture<'static, Answer>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.event_scopes.push(Box::new(scope));
        self
    }

    /// Wraps what [`on_connect`](Self::on_connect), [`on_upgrade`](Self::on_upgrade) and
    /// [`on_disconnect`](Self::on_disconnect) run, all handlers of one occasion together: to act when they have ended.
    /// An error goes to [`on_error`](Self::on_error). If nothing is to be run, neither is this.
    ///
    /// ```
    /// use socketio::{Namespace, Socket};
    /// use std::convert::Infallible;
    ///
    /// let namespace = Namespace::new().lifecycle_middleware(async |socket: Socket, handlers| {
    ///     handlers.await;
    ///     println!("done with {}", socket.id());
    ///     Ok::<_, Infallible>(())
    /// });
    /// ```
    pub fn lifecycle_middleware<F, Fut, E>(mut self, middleware: F) -> Self
    where
        F: Fn(Socket, BoxFuture<'static, ()>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.lifecycle_middleware.push(Box::new(move |socket, of, handlers| {
            let wrapped = middleware(socket.clone(), handlers);
            Box::pin(async move {
                if let Err(error) = wrapped.await {
                    socket.report(of, EventFailure::Handler(error.to_string()));
                }
            })
        }));
        self
    }

    /// Hears of events that failed: their data did not decode, their reply could not be encoded, their handler
    /// panicked, or returned an error that no client waits for.
    pub fn on_error(mut self, hook: impl Fn(&Socket, &EventError) + Send + Sync + 'static) -> Self {
        self.on_error.push(Box::new(hook));
        self
    }

    /// Hears of rooms that come to be and vanish, and of sockets that join and leave them. It runs where that
    /// is caused, so it must not block. The room of its own id, which every socket is in, is not told of.
    pub fn on_room(mut self, hook: impl Fn(&NamespaceHandle, &RoomEvent) + Send + Sync + 'static) -> Self {
        self.on_room.push(Box::new(hook));
        self
    }

    /// Handles an event that another server of the cluster has sent by
    /// [`server_side_emit`](NamespaceHandle::server_side_emit); the return value answers it.
    ///
    /// # Panics
    ///
    /// If the event has such a handler already.
    pub fn on_server_event<D, R, F, Fut>(mut self, event: impl EventName<D>, handler: F) -> Self
    where
        D: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        F: Fn(NamespaceHandle, D) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        let name = event.name();
        let earlier = self.server_handlers.insert(name.into(), server_handler(handler));
        assert!(earlier.is_none(), "server event {name:?} has a handler already");
        self
    }

    /// Shows what [`Socket::set`] keeps as a `T` to whoever fetches the socket, from other servers too; see
    /// [`RemoteSocket::data`](crate::RemoteSocket::data). Nothing is shown by default.
    pub fn show<T: Serialize + Send + Sync + 'static>(mut self) -> Self {
        self.shown = Some(|extensions| serde_json::to_value(extensions.get::<T>()?).ok());
        self
    }

    /// Runs one handler at a time for each socket, the connect and disconnect handlers included; events wait
    /// for their turn.
    ///
    /// Without it, handlers of one socket are *started* in the order of the events, and while one waits others
    /// run, as on Node:
    ///
    /// ```
    /// use socketio::{Ack, Namespace, Socket};
    /// # async fn charge(_: u32) {}
    ///
    /// // Two orders at once are charged at once, and the second may be done first.
    /// let concurrent = Namespace::new().on("order", async |_: Socket, item: u32| {
    ///     charge(item).await;
    ///     Ack("done")
    /// });
    ///
    /// // The second order of a socket waits for the first; other sockets do not.
    /// let ordered = Namespace::new().ordered().on("order", async |_: Socket, item: u32| {
    ///     charge(item).await;
    ///     Ack("done")
    /// });
    /// ```
    ///
    /// A handler that waits for an answer of its client gets it, as acknowledgements do not wait for a turn;
    /// one that waits for another *event* of its client, by [`Socket::once`], waits in vain.
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }
}

impl Namespace {
    /// What `base` has comes first and around all that this namespace has.
    ///
    /// # Panics
    ///
    /// If both have what there can be only one of.
    pub(super) fn on_top_of(mut self, base: Self) -> Self {
        fn prepend<T>(first: Vec<T>, then: &mut Vec<T>) {
            then.splice(0..0, first);
        }
        prepend(base.middleware, &mut self.middleware);
        prepend(base.on_connect, &mut self.on_connect);
        prepend(base.on_upgrade, &mut self.on_upgrade);
        prepend(base.on_disconnecting, &mut self.on_disconnecting);
        prepend(base.on_disconnect, &mut self.on_disconnect);
        prepend(base.on_error, &mut self.on_error);
        prepend(base.on_room, &mut self.on_room);
        prepend(base.on_any, &mut self.on_any);
        prepend(base.on_any_outgoing, &mut self.on_any_outgoing);
        prepend(base.event_scopes, &mut self.event_scopes);
        prepend(base.event_middleware, &mut self.event_middleware);
        prepend(base.lifecycle_middleware, &mut self.lifecycle_middleware);
        for (name, handlers) in base.handlers {
            prepend(handlers, self.handlers.entry(name).or_default());
        }
        for (name, handler) in base.server_handlers {
            let twice = self.server_handlers.insert(name, handler);
            assert!(twice.is_none(), "every namespace has a handler for this server event already");
        }
        assert!(base.fallback.is_none() || self.fallback.is_none(), "every namespace has a fallback already");
        assert!(base.shown.is_none() || self.shown.is_none(), "every namespace shows something already");
        self.fallback = self.fallback.or(base.fallback);
        self.shown = self.shown.or(base.shown);
        self.ordered |= base.ordered;
        self
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("events", &self.handlers.keys()).finish_non_exhaustive()
    }
}
