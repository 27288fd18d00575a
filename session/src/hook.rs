//! Sessions in the handshake of an Engine.IO connection.

use engineio::{Handshake, HandshakeHook, Refusal};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{Session, SessionError, Sessions};

/// Reads the session of a handshake.
pub trait HandshakeExt {
    /// Returns the session that [`Sessions`] attached; of a Socket.IO socket: `socket.handshake().session()`.
    ///
    /// # Panics
    ///
    /// If [`Sessions`] is not a handshake hook of the server.
    fn session(&self) -> &Session;
}

impl HandshakeExt for Handshake {
    fn session(&self) -> &Session {
        self.extensions.get().expect("`Sessions` must be registered as a handshake hook of the server")
    }
}

/// Checks the origin, opens the session, commits it before the connection is confirmed, and attaches it.
///
/// A hook that runs later may put something into a new session; it must commit that itself, to the handshake's
/// `response_headers`, as long as they have not been sent.
impl HandshakeHook for Sessions {
    async fn call(&self, mut handshake: Handshake) -> Result<Handshake, Refusal> {
        let request = relevant(handshake.head().headers())?;
        let session = self.admit(&request, &mut handshake.response_headers).await?;
        handshake.extensions.insert(session);
        Ok(handshake)
    }
}

impl Sessions {
    async fn admit(
        &self,
        request_headers: &HeaderMap,
        response_headers: &mut HeaderMap,
    ) -> Result<Session, Refusal> {
        if !self.admit_origin(request_headers) {
            return Err(Refusal::forbidden("origin not allowed"));
        }
        let session = self.open(request_headers).await.map_err(|error| unavailable(&error))?;
        match self.commit(&session, response_headers).await {
            // express-session answers without the cookie too, and the browser has one or we would not know it.
            Ok(()) | Err(SessionError::Cookie(_)) => Ok(session),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

/// Picks the headers that sessions look at.
fn relevant<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<HeaderMap, Refusal> {
    let mut relevant = HeaderMap::new();
    for (name, value) in headers {
        let known = |known: &&HeaderName| known.as_str().eq_ignore_ascii_case(name);
        if let Some(name) = [header::COOKIE, header::HOST, header::ORIGIN].iter().find(known) {
            let refusal = |_| Refusal::new(StatusCode::BAD_REQUEST, "malformed header");
            relevant.append(name.clone(), HeaderValue::from_bytes(value).map_err(refusal)?);
        }
    }
    Ok(relevant)
}

/// An anonymous session in place of one that cannot be read would look like a logout.
fn unavailable(error: &SessionError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "no session for a handshake");
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "session unavailable")
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        CookieOptions, MemoryLimits, MemoryStore, Record, Sid, Store, StoreError,
        store::{Created, Replaced, Revision, Versioned},
    };

    /// A store that must not be asked, or has failed.
    struct Broken;

    fn broken<T>() -> Result<T, StoreError> {
        Err(StoreError::Unavailable("no route to redis://user:password@host".into()))
    }

    impl Store for Broken {
        async fn load(&self, _: &Sid) -> Result<Option<Versioned>, StoreError> {
            broken()
        }
        async fn create(&self, _: &Sid, _: &Record, _: Duration) -> Result<Created, StoreError> {
            broken()
        }
        async fn replace(
            &self,
            _: &Sid,
            _: &Revision,
            _: &Record,
            _: Duration,
        ) -> Result<Replaced, StoreError> {
            broken()
        }
        async fn put(&self, _: &Sid, _: &Record, _: Duration) -> Result<(), StoreError> {
            broken()
        }
        async fn touch(&self, _: &Sid, _: &crate::CookieState, _: Duration) -> Result<bool, StoreError> {
            broken()
        }
        async fn destroy(&self, _: &Sid) -> Result<bool, StoreError> {
            broken()
        }
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        relevant(lines.iter().map(|(name, value)| (*name, value.as_bytes()))).unwrap()
    }

    async fn status(sessions: &Sessions, lines: &[(&str, &str)]) -> u16 {
        let admitted = sessions.admit(&headers(lines), &mut HeaderMap::new()).await;
        admitted.map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
    }

    const GENUINE: &str =
        "connect.sid=s%3Aabcdefghijklmnopqrstuvwxyz012345.2T3g1YIBqofc0ViEUEt59cUq%2Ba6Wlfi59xfb4RQsxSQ";

    #[tokio::test]
    async fn the_store_is_asked_only_for_what_is_genuine() {
        let sessions = Sessions::builder(Broken).secret("keyboard cat").build().unwrap();
        assert_eq!(status(&sessions, &[]).await, 200);
        assert_eq!(status(&sessions, &[("Cookie", &GENUINE.replace("2T3g", "2T3h"))]).await, 200);
        assert_eq!(status(&sessions, &[("Cookie", GENUINE)]).await, 503);
        assert_eq!(status(&sessions, &[("cookie", "a=1"), ("COOKIE", GENUINE)]).await, 503);
        let evil = [("Cookie", GENUINE), ("Origin", "https://evil.example"), ("Host", "example.com")];
        assert_eq!(status(&sessions, &evil).await, 403);

        let refusal =
            sessions.admit(&headers(&[("Cookie", GENUINE)]), &mut HeaderMap::new()).await.unwrap_err();
        assert_eq!(refusal.message, "session unavailable");
    }

    #[tokio::test]
    async fn origins_are_checked() {
        let builder = Sessions::builder(MemoryStore::default()).secret("keyboard cat");
        let sessions = builder.allow_origins(["https://app.example"]).build().unwrap();
        for (origin, expected) in [
            ("http://example.com", 200),
            ("https://app.example", 200),
            ("https://evil.example", 403),
            ("null", 403),
        ] {
            let lines = [("origin", origin), ("host", "example.com")];
            assert_eq!(status(&sessions, &lines).await, expected, "{origin}");
        }
    }

    #[tokio::test]
    async fn a_new_session_is_stored_before_its_cookie_is_sent() {
        let store = Arc::new(MemoryStore::default());
        let builder = Sessions::builder(store.clone()).secret("keyboard cat").save_uninitialized(true);
        let options = CookieOptions::default().max_age(Duration::from_secs(60));
        let sessions = builder.cookie(options).build().unwrap();
        let mut response = HeaderMap::new();
        response.append(header::SET_COOKIE, HeaderValue::from_static("io=1"));
        let first = sessions.admit(&HeaderMap::new(), &mut response).await.unwrap();
        let cookies: Vec<_> = response.get_all(header::SET_COOKIE).iter().collect();
        assert!(cookies.len() == 2 && cookies[0] == "io=1" && cookies[1].is_sensitive());
        assert!(cookies[1].to_str().unwrap().starts_with("connect.sid=s%3A"));
        assert!(store.load(first.sid()).await.unwrap().is_some());

        let cookie = cookies[1].to_str().unwrap().split(';').next().unwrap();
        let mut response = HeaderMap::new();
        let second = sessions.admit(&headers(&[("cookie", cookie)]), &mut response).await.unwrap();
        assert_eq!((first.sid(), response.is_empty()), (second.sid(), true));
    }

    #[tokio::test]
    async fn a_passer_by_costs_nothing_and_an_unknown_id_is_not_adopted() {
        let store = Arc::new(MemoryStore::default());
        let sessions = Sessions::builder(store.clone()).secret("keyboard cat").build().unwrap();
        let mut response = HeaderMap::new();
        let session = sessions.admit(&headers(&[("cookie", GENUINE)]), &mut response).await.unwrap();
        assert!(session.is_new() && response.is_empty() && store.is_empty());
        assert_ne!(session.sid().as_str(), "abcdefghijklmnopqrstuvwxyz012345");
        assert!(matches!(session.save().await, Err(SessionError::Unannounced)));

        // A later hook may still announce it.
        session.insert("user", "ada").unwrap();
        sessions.commit(&session, &mut response).await.unwrap();
        session.save().await.unwrap();
        assert_eq!((response.len(), store.len()), (1, 1));
    }

    #[tokio::test]
    async fn a_full_store_refuses_the_handshake() {
        let store = MemoryStore::with_limits(MemoryLimits { max_sessions: 0, ..MemoryLimits::default() });
        let builder = Sessions::builder(store).secret("keyboard cat");
        assert_eq!(status(&builder.save_uninitialized(true).build().unwrap(), &[]).await, 503);
    }

    #[tokio::test]
    async fn a_stored_cookie_that_cannot_be_sent_refuses_nobody() {
        let store = Arc::new(MemoryStore::default());
        let stored = r#"{"cookie":{"originalMaxAge":60000,"expires":null,"sameSite":"weird"},"a":1}"#;
        let sid = Sid::from("abcdefghijklmnopqrstuvwxyz012345");
        store.put(&sid, &Record::from_json(stored).unwrap(), Duration::from_secs(60)).await.unwrap();
        let sessions = Sessions::builder(store).secret("keyboard cat").build().unwrap();
        let page = sessions.open(&headers(&[("cookie", GENUINE)])).await.unwrap();
        page.insert("a", &2).unwrap();
        let mut response = HeaderMap::new();
        sessions.admit(&headers(&[("cookie", GENUINE)]), &mut response).await.unwrap();
        assert!(response.is_empty() && !page.is_modified());
    }
}
