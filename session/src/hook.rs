//! Sessions in the handshake of an Engine.IO connection, and in its later requests.

use std::sync::Arc;

use engineio::{Handshake, HandshakeHook, Refusal, RequestHead};
use http::{HeaderMap, StatusCode, header};

use crate::{
    RequestFacts, Session, SessionError, Sessions, Touch, session::Scope, shared::Shared, state::Standing,
};

/// Reads the session of a handshake.
pub trait HandshakeExt {
    /// Returns the session that [`Sessions`] attached. In handshake hooks that run after it, what they change is saved
    /// before the response leaves; later, it is a handle that saves only when told to:
    /// [`SocketExt::session`](crate::SocketExt::session) is the one for handlers.
    ///
    /// # Panics
    ///
    /// If [`Sessions`] is not a handshake hook of the server.
    fn session(&self) -> Session;
}

impl HandshakeExt for Handshake {
    fn session(&self) -> Session {
        match self.extensions.get::<Session>() {
            Some(session) => session.clone(),
            None => Session::new(Arc::clone(&Attached::of(self).shared), Scope::Free),
        }
    }
}

/// What a connection keeps of its session.
#[derive(Clone)]
pub(crate) struct Attached {
    pub(crate) shared: Arc<Shared>,
    /// The handshake came with the session's cookie, so later requests must, too.
    bound: bool,
    secure: bool,
}

impl Attached {
    pub(crate) fn of(handshake: &Handshake) -> &Self {
        let attached = handshake.extensions.get();
        attached.expect("`Sessions` must be registered as a handshake hook of the server")
    }
}

/// Checks the origin and opens the session; when all hooks have run, commits it before the connection is confirmed.
///
/// Later requests of a connection whose handshake had the session's cookie must have it too: who has only learned the
/// connection's sid cannot use it, and after a login or logout clients come back with the new cookie. They do not ask the
/// store.
impl HandshakeHook for Sessions {
    async fn call(&self, mut handshake: Handshake) -> Result<Handshake, Refusal> {
        let parts = handshake.head().to_parts();
        if !self.admits_origin(&parts.headers) {
            return Err(Refusal::forbidden("origin not allowed"));
        }
        let (path, trust) = (handshake.head().path(), self.inner.config.trust_proxy);
        let facts = RequestFacts::new(path, &parts.headers, handshake.is_secure(), trust);
        let session = self.open_with(&facts).await.map_err(|error| unavailable(&error))?;
        handshake.extensions.insert(session);
        Ok(handshake)
    }

    async fn settle(&self, mut handshake: Handshake) -> Result<Handshake, Refusal> {
        let Some(session) = handshake.extensions.remove::<Session>() else { return Ok(handshake) };
        let bound = session.shared().state().standing() == Standing::Stored;
        match Self::settle(self, &session, handshake.response_headers(), false).await {
            // express-session answers without the cookie too, and the browser has one or we would not know it.
            Ok(()) | Err(SessionError::Cookie(_)) => {}
            Err(error) => return Err(unavailable(&error)),
        }
        let shared = session.shared();
        if self.inner.config.touch != Touch::Never {
            shared.touch_in_background(std::time::Duration::ZERO);
        }
        let secure = matches!(session.scope(), Scope::Request { secure: true });
        handshake.extensions.insert(Attached { shared, bound, secure });
        Ok(handshake)
    }

    fn follow(
        &self,
        handshake: &Handshake,
        request: &RequestHead,
        response_headers: &mut HeaderMap,
    ) -> Result<(), Refusal> {
        let attached = Attached::of(handshake);
        let config = &self.inner.config;
        let knows_session = || {
            let lines = request.header_values(header::COOKIE.as_str());
            self.inner.verified_sid_of(lines).as_ref() == Some(&attached.shared.sid)
        };
        if attached.bound && !knows_session() {
            return Err(Refusal::forbidden("another session"));
        }
        // The cookie of a session that began with the handshake is not for those who have not shown it.
        let renew = config.rolling && attached.shared.state().standing() == Standing::Stored;
        if renew && (attached.bound || knows_session()) {
            attached.shared.touch_in_background(ROLLING_TOUCH);
            let (shared, cookie) = (&attached.shared, attached.shared.cookie());
            // A cookie that cannot be written was refused nobody at the handshake either.
            self.inner.set_cookie(&shared.sid, &cookie, attached.secure, response_headers).ok();
        }
        Ok(())
    }
}

/// An anonymous session in place of one that cannot be read would look like a logout.
fn unavailable(error: &SessionError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "no session for a handshake");
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "session unavailable")
}

/// A session whose cookie is renewed with every poll lives in the store as long; more often than this is of no use.
const ROLLING_TOUCH: std::time::Duration = std::time::Duration::from_secs(1);
