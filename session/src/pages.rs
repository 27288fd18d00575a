//! Sessions for the pages of our own server.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request};

use crate::{Session, SessionError, Sessions};

/// Reads the session of a request.
pub trait RequestExt {
    /// Returns the session that [`Sessions::serve`] or the tower layer attached.
    ///
    /// # Panics
    ///
    /// If neither is around the handler.
    fn session(&self) -> Session;
}

impl<B> RequestExt for Request<B> {
    fn session(&self) -> Session {
        let session = self.extensions().get::<Session>();
        session.expect("the handler must be wrapped by `Sessions::serve` or the tower layer").clone()
    }
}

impl Sessions {
    /// Wraps what answers requests for pages: the session is opened before, see [`RequestExt::session`], and committed
    /// after; the requests that claim [tickets](crate::Ticket) are answered here. If the store fails, the answer is 503.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use session::{RequestExt, Sessions};
    ///
    /// async fn page(request: Request<Bytes>) -> Response<Bytes> {
    ///     let session = request.session();
    ///     let visits: u32 = session.get("visits").ok().flatten().unwrap_or(0) + 1;
    ///     session.insert("visits", &visits).ok();
    ///     Response::new(format!("You were here {visits} times").into())
    /// }
    ///
    /// fn server(sessions: Sessions) -> socketio::ServerBuilder {
    ///     socketio::Server::builder().fallback(sessions.serve(page))
    /// }
    /// ```
    pub fn serve<F, Fut>(
        &self,
        pages: F,
    ) -> impl Fn(Request<Bytes>) -> std::pin::Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>
    + Send
    + Sync
    + 'static
    where
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Bytes>> + Send + 'static,
    {
        let (sessions, pages) = (self.clone(), Arc::new(pages));
        move |request| {
            let (sessions, pages) = (sessions.clone(), Arc::clone(&pages));
            Box::pin(async move { sessions.around(request, |request| pages(request)).await })
        }
    }

    /// Answers a request with its session around.
    pub(crate) async fn around<A, B: Default, Fut: Future<Output = Response<B>>>(
        &self,
        request: Request<A>,
        answer: impl FnOnce(Request<A>) -> Fut,
    ) -> Response<B> {
        let (mut parts, body) = request.into_parts();
        let session = match self.before(&parts).await {
            Ok(session) => session,
            Err(response) => return response,
        };
        parts.extensions.insert(session.clone());
        let mut response = answer(Request::from_parts(parts, body)).await;
        match self.commit(&session, response.headers_mut()).await {
            Ok(()) => response,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the session of a page was not saved"
                );
                match error {
                    // express-session answers without the cookie, too.
                    SessionError::Cookie(_) => response,
                    SessionError::Store(_) if self.inner.config.fail_open => response,
                    error => unavailable(&error),
                }
            }
        }
    }

    async fn before<B: Default>(&self, parts: &request::Parts) -> Result<Session, Response<B>> {
        let facts = self.facts(&parts.uri, &parts.headers, &parts.extensions);
        let mut claimed = Response::new(B::default());
        if parts.method == Method::POST
            && let Some(status) = self.claim_ticket(&facts, parts.uri.query(), claimed.headers_mut()).await
        {
            *claimed.status_mut() = status;
            claimed.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            return Err(claimed);
        }
        self.open_with(&facts).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "no session for a page");
            unavailable(&error)
        })
    }
}

fn unavailable<B: Default>(error: &SessionError) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = match error {
        SessionError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    response
}
