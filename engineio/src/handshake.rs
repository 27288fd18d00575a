//! The request that opens a connection, and the hooks that judge it.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::SystemTime};

use ::http::{HeaderMap, StatusCode};

use crate::{Extensions, http::RequestHead};

/// The request that opened a connection, and what hooks attached to it.
///
/// The connection keeps it, in compact form, as long as it lives.
#[derive(Debug)]
pub struct Handshake {
    head: RequestHead,
    remote_addr: Option<SocketAddr>,
    secure: bool,
    issued: SystemTime,
    /// What hooks attach for handlers to find, by type.
    pub extensions: Extensions,
    /// As it is not kept, nor needed as a rule, it has a place elsewhere.
    response_headers: Option<Box<HeaderMap>>,
}

impl Handshake {
    pub(crate) fn new(
        head: &RequestHead,
        remote_addr: Option<SocketAddr>,
        secure: bool,
        issued: SystemTime,
    ) -> Self {
        Self {
            head: head.compact(),
            remote_addr,
            secure,
            issued,
            extensions: Extensions::default(),
            response_headers: None,
        }
    }

    /// Headers for the response to this request, be it to a poll or the 101 of a WebSocket. Several values of one
    /// name are sent as several lines. Not kept once it has been sent.
    pub fn response_headers(&mut self) -> &mut HeaderMap {
        self.response_headers.get_or_insert_default()
    }

    pub(crate) fn take_response_headers(&mut self) -> HeaderMap {
        self.response_headers.take().map_or_else(HeaderMap::new, |headers| *headers)
    }

    /// The request's method, target and headers, as they came.
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// Address of the peer; behind a proxy that is the proxy's.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    /// Whether the bytes came through TLS that this process ended.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// When the request came.
    pub fn issued(&self) -> SystemTime {
        self.issued
    }
}

/// Judges the request that is about to open a connection.
///
/// Runs once for each connection, when the request has passed all other checks. It may read the request, attach
/// extensions, add response headers, and refuse. Closures and functions of the same shape are hooks:
///
/// ```
/// use engineio::{Handshake, HandshakeHook, Refusal};
///
/// async fn only_friends(handshake: Handshake) -> Result<Handshake, Refusal> {
///     match handshake.head().query_param("friend") {
///         Some(_) => Ok(handshake),
///         None => Err(Refusal::forbidden("who are you?")),
///     }
/// }
/// # fn check(_: impl HandshakeHook) {}
/// # check(only_friends);
/// ```
///
/// A type of one's own may do more than a closure:
///
/// ```text
/// request that opens   -> call, call, ..  -> settle, settle, .. (the other way round) -> response
/// every later request  -> follow, follow, .. -> poll, post or upgrade
/// ```
pub trait HandshakeHook: Send + Sync + 'static {
    /// Returns the handshake to let the client in.
    fn call(&self, handshake: Handshake) -> impl Future<Output = Result<Handshake, Refusal>> + Send;

    /// Does what is due when every hook has let the client in, last before the response: to store what they have
    /// attached, for example. It may still refuse.
    fn settle(&self, handshake: Handshake) -> impl Future<Output = Result<Handshake, Refusal>> + Send {
        std::future::ready(Ok(handshake))
    }

    /// Judges a later request of a connection that is open: a poll, a post, or the upgrade. Whoever has the
    /// connection's sid can make one. It may add headers to the response.
    ///
    /// # Errors
    ///
    /// The request is refused; the connection stays as it is.
    fn follow(
        &self,
        handshake: &Handshake,
        request: &RequestHead,
        response_headers: &mut HeaderMap,
    ) -> Result<(), Refusal> {
        let _ = (handshake, request, response_headers);
        Ok(())
    }
}

impl<F, Fut> HandshakeHook for F
where
    F: Fn(Handshake) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Handshake, Refusal>> + Send,
{
    fn call(&self, handshake: Handshake) -> impl Future<Output = Result<Handshake, Refusal>> + Send {
        self(handshake)
    }
}

/// Why a hook does not let a client in. The client is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Status of the response, 403 as a rule.
    pub status: StatusCode,
    /// The response says `{"code":4,"message":…}`.
    pub message: String,
}

impl Refusal {
    /// Refuses with a status of the hook's choice, such as 503 when a database is down.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Refuses with 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }
}

type HookFuture<'a> = Pin<Box<dyn Future<Output = Result<Handshake, Refusal>> + Send + 'a>>;

/// Hooks of any type, in order of registration.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Vec<Arc<dyn BoxedHook>>);

trait BoxedHook: Send + Sync {
    fn call_boxed(&self, handshake: Handshake) -> HookFuture<'_>;
    fn settle_boxed(&self, handshake: Handshake) -> HookFuture<'_>;
    fn follow(&self, handshake: &Handshake, request: &RequestHead, to: &mut HeaderMap)
    -> Result<(), Refusal>;
}

impl<H: HandshakeHook> BoxedHook for H {
    fn call_boxed(&self, handshake: Handshake) -> HookFuture<'_> {
        Box::pin(self.call(handshake))
    }

    fn settle_boxed(&self, handshake: Handshake) -> HookFuture<'_> {
        Box::pin(self.settle(handshake))
    }

    fn follow(
        &self,
        handshake: &Handshake,
        request: &RequestHead,
        to: &mut HeaderMap,
    ) -> Result<(), Refusal> {
        HandshakeHook::follow(self, handshake, request, to)
    }
}

impl Hooks {
    pub(crate) fn push(&mut self, hook: impl HandshakeHook) {
        self.0.push(Arc::new(hook));
    }

    pub(crate) async fn call(&self, mut handshake: Handshake) -> Result<Handshake, Refusal> {
        for hook in &self.0 {
            handshake = hook.call_boxed(handshake).await?;
        }
        for hook in self.0.iter().rev() {
            handshake = hook.settle_boxed(handshake).await?;
        }
        Ok(handshake)
    }

    pub(crate) fn follow(
        &self,
        handshake: &Handshake,
        request: &RequestHead,
        response_headers: &mut HeaderMap,
    ) -> Result<(), Refusal> {
        self.0.iter().try_for_each(|hook| hook.follow(handshake, request, response_headers))
    }
}
