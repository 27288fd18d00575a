//! The making of a server: options and hooks.

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use ::http::{HeaderMap, Request, Response, StatusCode};
use bytes::Bytes;

use crate::{
    Config, HandshakeHook, RequestHead, Sid,
    connection::State,
    handshake::Hooks,
    server::{Application, Server, TaskGuard, connection::Shared, driver::Driver, websocket::WebSocket},
};

/// Makes a [`Server`]. Everything has a default but the application.
#[derive(Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ServerBuilder {
    config: Config,
    hooks: Hooks,
    fallback: Option<Fallback>,
    initial_headers: Vec<HeaderHook>,
    headers: Vec<HeaderHook>,
    generate_id: Option<GenerateId>,
    observers: Vec<Observer>,
}

/// What a server has been told to be.
pub(crate) struct Options {
    pub(crate) config: Config,
    pub(crate) hooks: Hooks,
    pub(crate) fallback: Option<Fallback>,
    pub(crate) initial_headers: Vec<HeaderHook>,
    pub(crate) headers: Vec<HeaderHook>,
    pub(crate) generate_id: GenerateId,
    pub(crate) observers: Vec<Observer>,
    pub(crate) start: Start,
}

pub(crate) type Fallback = Arc<dyn Fn(Request<Bytes>) -> ResponseFuture + Send + Sync>;
type ResponseFuture = Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>;
pub(crate) type HeaderHook = Arc<dyn Fn(&mut HeaderMap, &RequestHead) + Send + Sync>;
pub(crate) type GenerateId = Arc<dyn Fn(&RequestHead) -> Sid + Send + Sync>;
pub(crate) type Observer = Arc<dyn Fn(&ConnectionError<'_>) + Send + Sync>;
/// Accepts a connection and starts its driver.
pub(crate) type Start = Box<dyn Fn(State, Arc<Shared>, Option<Box<WebSocket>>, TaskGuard) + Send + Sync>;

/// Address of the peer that sent a request, in the extensions of the request that the fallback gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RemoteAddr(pub Option<SocketAddr>);

/// Whether a request came through TLS that this process ended, in the extensions of the request that the fallback gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IsSecure(pub bool);

/// A request that has been refused.
#[derive(Debug)]
pub struct ConnectionError<'a> {
    /// The request.
    pub head: &'a RequestHead,
    /// Status of the response.
    pub status: StatusCode,
    /// Number of the official server for the kind of error, 0 to 5.
    pub code: u8,
    /// What the client was told.
    pub message: &'a str,
    /// What exactly was wrong, where the message is a general one.
    pub detail: Option<&'static str>,
}

impl ServerBuilder {
    /// Sets the options.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Adds a hook that judges requests which open a connection. Hooks run in order of registration; the first
    /// that refuses ends the matter.
    pub fn handshake(mut self, hook: impl HandshakeHook) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Sets what answers requests for other paths, so that one port serves pages and connections. Without it they
    /// get 404.
    ///
    /// The function gets whole requests, of at most [`Config::max_body_bytes`], with [`RemoteAddr`] and
    /// [`IsSecure`] among their extensions. Its response's framing (`Content-Length` and the like) is the server's.
    pub fn fallback<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.fallback = Some(Arc::new(move |request| Box::pin(function(request))));
        self
    }

    /// Adds a function that sees, and may change, the headers of the first response of each connection.
    pub fn initial_headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &RequestHead) + Send + Sync + 'static,
    ) -> Self {
        self.initial_headers.push(Arc::new(hook));
        self
    }

    /// Adds a function that sees, and may change, the headers of every response of a connection: to polls, posts,
    /// and the 101 of a WebSocket. Refusals have no such headers.
    pub fn headers(mut self, hook: impl Fn(&mut HeaderMap, &RequestHead) + Send + Sync + 'static) -> Self {
        self.headers.push(Arc::new(hook));
        self
    }

    /// Sets how ids are made; by default [`Sid::random`]. They are secrets, and must be unique: a request that gets
    /// an id in use is refused.
    pub fn generate_id(mut self, generate: impl Fn(&RequestHead) -> Sid + Send + Sync + 'static) -> Self {
        self.generate_id = Some(Arc::new(generate));
        self
    }

    /// Adds a function that is told of each request that is refused.
    pub fn on_connection_error(
        mut self,
        observer: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Makes the server. It begins to work with [`Server::listen`] or one of its kin.
    pub fn build(self, application: impl Application) -> Server {
        let start: Start = Box::new(move |state, shared, websocket, task| {
            let handler = application.accept(Arc::clone(&shared).into());
            tokio::spawn(Driver::new(state, handler, websocket, shared, task));
        });
        Server::new(Options {
            config: self.config,
            hooks: self.hooks,
            fallback: self.fallback,
            initial_headers: self.initial_headers,
            headers: self.headers,
            generate_id: self.generate_id.unwrap_or_else(|| Arc::new(|_| Sid::random())),
            observers: self.observers,
            start,
        })
    }
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
