//! Sessions for the pages of an axum `Router`, or of any other service of tower.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::Sessions;

/// Puts sessions around a service, as [`Sessions::serve`] does: `router.layer(SessionLayer::new(sessions))`. Handlers find
/// theirs by [`RequestExt::session`](crate::RequestExt::session).
///
/// ```
/// use axum::{Router, extract::Request, routing::post};
/// use session::{RequestExt, Session, SessionError, SessionLayer, Sessions};
///
/// async fn login(request: Request) -> Result<&'static str, String> {
///     renew(&request.session()).map_err(|error| error.to_string())?;
///     Ok("welcome")
/// }
///
/// fn renew(session: &Session) -> Result<(), SessionError> {
///     session.regenerate()?;
///     Ok(session.insert("user", "ada")?)
/// }
///
/// fn router(sessions: Sessions) -> Router {
///     Router::new().route("/login", post(login)).layer(SessionLayer::new(sessions))
/// }
/// ```
///
/// It must be around the whole router, where the path is still the browser's. Services that fail, other than axum's, are
/// to be turned into responses before.
#[derive(Clone, Debug)]
pub struct SessionLayer {
    sessions: Sessions,
}

impl SessionLayer {
    /// Makes the layer.
    pub fn new(sessions: Sessions) -> Self {
        Self { sessions }
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { inner, sessions: self.sessions.clone() }
    }
}

/// A service with sessions around; see [`SessionLayer`].
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    sessions: Sessions,
}

impl<S, A, B> Service<Request<A>> for SessionService<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    A: Send + 'static,
    B: Default + Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        // The one that was polled is the one that is ready.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        let sessions = self.sessions.clone();
        Box::pin(async move {
            let answer = |request| async move {
                let Ok(response) = ready.call(request).await;
                response
            };
            Ok(sessions.around(request, answer).await)
        })
    }
}
