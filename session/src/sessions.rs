//! Opens sessions for requests and commits them to responses.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderValue, header};

use crate::{
    CookieOptions, CookieState, InvalidCookie, Session, SessionError, Sid, Store, cookie, live::Backend,
    origin::Origins, session::Shared, signature::Secrets,
};

/// The sessions of an application: one value for its pages and its sockets. A clone is the same.
///
/// ```
/// use session::{MemoryStore, Sessions};
///
/// async fn page(sessions: Sessions, request: http::Request<()>) -> http::Response<String> {
///     let Ok(session) = sessions.open(request.headers()).await else { return unavailable() };
///     let name: String = session.get("name").ok().flatten().unwrap_or("stranger".into());
///     let mut response = http::Response::new(format!("Hello {name}"));
///     match sessions.commit(&session, response.headers_mut()).await {
///         Ok(()) => response,
///         Err(_) => unavailable(),
///     }
/// }
/// # fn unavailable() -> http::Response<String> { http::Response::new("try again".into()) }
///
/// let sessions = Sessions::builder(MemoryStore::default()).secret("keyboard cat").build()?;
/// # let _ = page(sessions, http::Request::new(()));
/// # Ok::<(), session::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sessions {
    backend: Arc<Backend>,
    config: Arc<Config>,
}

/// Collects the options of [`Sessions`]; a secret is the only one that must be given.
#[derive(Debug)]
#[must_use = "nothing happens before `build`"]
pub struct SessionsBuilder {
    backend: Backend,
    config: Config,
}

#[derive(Debug)]
struct Config {
    cookie: CookieOptions,
    cookie_name: String,
    origins: Origins,
    save_uninitialized: bool,
    secrets: Secrets,
}

/// Options with which no session could work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An attribute cannot be written into a cookie.
    #[error(transparent)]
    Cookie(#[from] InvalidCookie),
    /// There is no secret, or an empty one, and anybody could sign cookies.
    #[error("a secret is needed to sign cookies, and none may be empty")]
    NoSecret,
}

impl Sessions {
    /// Starts to configure sessions that lie in `store`.
    pub fn builder(store: impl Store) -> SessionsBuilder {
        SessionsBuilder {
            backend: Backend::new(Box::new(store)),
            config: Config {
                cookie: CookieOptions::default(),
                cookie_name: DEFAULT_NAME.into(),
                origins: Origins::default(),
                save_uninitialized: false,
                secrets: Secrets::default(),
            },
        }
    }

    /// Returns the session that the request's cookie names, or a new one.
    ///
    /// The signature is verified before the store is asked, and an id that the store does not know is not adopted.
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`]. Do not go on without a session then: the browser may well have one.
    pub async fn open(&self, request_headers: &HeaderMap) -> Result<Session, SessionError> {
        if let Some(sid) = self.verified_sid(request_headers)
            && let Some(session) = self.find(&sid).await?
        {
            return Ok(session);
        }
        Ok(self.begin(None))
    }

    /// Makes a new, empty session to take the place of `old` when it is committed; do so at login and logout.
    ///
    /// The old session ends only after the new one is stored, so commit the new one instead of it. Where no response
    /// follows, as in an event handler, nothing can be replaced: the browser would keep the old cookie.
    ///
    /// ```
    /// # async fn example(sessions: session::Sessions, old: session::Session) -> Result<(), session::SessionError> {
    /// # let mut response = http::Response::new(());
    /// let session = sessions.regenerate(&old);
    /// session.insert("user", "ada")?;
    /// sessions.commit(&session, response.headers_mut()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn regenerate(&self, old: &Session) -> Session {
        self.begin(Some(old.replaced()))
    }

    /// Does what is due before a response leaves: call it once for each response, with the headers to be sent.
    ///
    /// | session | modified | what happens |
    /// |---|---|---|
    /// | new | yes, or [`save_uninitialized`](SessionsBuilder::save_uninitialized) | stored, `Set-Cookie` |
    /// | new | no | nothing |
    /// | stored | yes | saved, `Set-Cookie` if the cookie has `Expires` |
    /// | stored | no | lives its whole age again in the store |
    /// | ended | | nothing |
    ///
    /// # Errors
    ///
    /// As [`Session::save`]. The headers are as they were then.
    pub async fn commit(
        &self,
        session: &Session,
        response_headers: &mut HeaderMap,
    ) -> Result<(), SessionError> {
        if let Some(cookie) = session.settle(self.config.save_uninitialized).await? {
            response_headers.append(header::SET_COOKIE, self.set_cookie(session.sid(), &cookie)?);
        }
        Ok(())
    }

    pub(crate) fn admit_origin(&self, request_headers: &HeaderMap) -> bool {
        self.config.origins.admit(request_headers)
    }

    fn begin(&self, replaces: Option<Session>) -> Session {
        let cookie = self.config.cookie.state(SystemTime::now());
        let shared = Shared::opening(self.backend.clone(), cookie, replaces);
        self.backend.enter(shared).expect("192 random bits are not live already")
    }

    async fn find(&self, sid: &Sid) -> Result<Option<Session>, SessionError> {
        loop {
            if let Some(session) = self.backend.live(sid) {
                return match session.reload().await {
                    Ok(()) => Ok(Some(session)),
                    Err(SessionError::Gone) => Ok(None),
                    Err(error) => Err(error),
                };
            }
            let Some(found) = self.backend.store.load(sid).await? else { return Ok(None) };
            // Somebody else may have opened it while the store was asked.
            let shared = Shared::stored(sid.clone(), self.backend.clone(), found);
            if let Some(session) = self.backend.enter(shared) {
                return Ok(Some(session));
            }
        }
    }

    fn verified_sid(&self, headers: &HeaderMap) -> Option<Sid> {
        let lines: Vec<_> = headers
            .get_all(header::COOKIE)
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()))
            .collect();
        let line = lines.join("; ");
        let value = cookie::find(&line, &self.config.cookie_name)?;
        self.config.secrets.verify(&value)
    }

    fn set_cookie(&self, sid: &Sid, cookie: &CookieState) -> Result<HeaderValue, InvalidCookie> {
        let header = cookie.set_cookie(&self.config.cookie_name, &self.config.secrets.sign(sid))?;
        let mut header = HeaderValue::try_from(header).map_err(|_| InvalidCookie("name"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl SessionsBuilder {
    /// Lets pages of other origins (`https://app.example`, with the port if it is not the scheme's) open connections.
    ///
    /// Default: only pages of the host that the request is for, and programs that are no browsers.
    pub fn allow_origins<I: IntoIterator<Item: Into<String>>>(mut self, origins: I) -> Self {
        self.config.origins.allowed.extend(origins.into_iter().map(Into::into));
        self
    }

    /// Sets the attributes of the cookies of new sessions.
    pub fn cookie(mut self, options: CookieOptions) -> Self {
        self.config.cookie = options;
        self
    }

    /// Sets the name of the cookie. Default: `connect.sid`, as express-session.
    pub fn cookie_name(mut self, name: &str) -> Self {
        self.config.cookie_name = name.into();
        self
    }

    /// Stores new sessions even if nothing was put into them. Default: false, so that passers-by cost nothing.
    pub fn save_uninitialized(mut self, save: bool) -> Self {
        self.config.save_uninitialized = save;
        self
    }

    /// Adds a key, used raw. The first one signs, all of them verify: to change keys, put the new one before the old.
    pub fn secret(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.config.secrets.push(key.into());
        self
    }

    /// Finishes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoSecret`], and [`ConfigError::Cookie`] if every `Set-Cookie` would be invalid.
    pub fn build(self) -> Result<Sessions, ConfigError> {
        if !self.config.secrets.are_usable() {
            return Err(ConfigError::NoSecret);
        }
        if !cookie::is_name(&self.config.cookie_name) {
            return Err(InvalidCookie("name").into());
        }
        self.config.cookie.check()?;
        Ok(Sessions { backend: Arc::new(self.backend), config: Arc::new(self.config) })
    }
}

const DEFAULT_NAME: &str = "connect.sid";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    fn builder() -> SessionsBuilder {
        Sessions::builder(MemoryStore::default())
    }

    #[test]
    fn unusable_options_are_refused() {
        let cookie = |name| ConfigError::Cookie(InvalidCookie(name));
        for (builder, error) in [
            (builder(), ConfigError::NoSecret),
            (builder().secret("new").secret(""), ConfigError::NoSecret),
            (builder().secret("key").cookie_name("a=b"), cookie("name")),
            (builder().secret("key").cookie(CookieOptions::default().path("/\r\nX: y")), cookie("path")),
            (builder().secret("key").cookie(CookieOptions::default().domain("-.example")), cookie("domain")),
        ] {
            assert_eq!(builder.build().err(), Some(error));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let sessions = builder().secret("keyboard cat").build().unwrap();
        assert!(!format!("{sessions:?}").contains("keyboard"));
        let session = sessions.begin(None);
        session.insert("password", "hunter2").unwrap();
        let debug = format!("{session:?}");
        assert_eq!(debug, "Session { is_new: true, is_modified: true, .. }");
    }

    #[tokio::test]
    async fn one_session_is_live_for_each_id() {
        let sessions = builder().secret("key").build().unwrap();
        let first = sessions.begin(None);
        first.insert("a", &1).unwrap();
        sessions.commit(&first, &mut HeaderMap::new()).await.unwrap();
        let sid = first.sid().clone();
        let second = sessions.find(&sid).await.unwrap().unwrap();
        second.insert("b", &2).unwrap();
        assert_eq!(first.get::<u8>("b").unwrap(), Some(2));
        drop((first, second));
        assert!(sessions.backend.live(&sid).is_none());
        assert_eq!(format!("{:?}", sessions.backend), "Backend { live: 0, .. }");
        assert_eq!(sessions.find(&sid).await.unwrap().unwrap().get::<u8>("b").unwrap(), None);
    }
}
