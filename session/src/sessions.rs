//! Opens sessions for requests and commits them to responses.

use std::{
    borrow::Cow,
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use engineio::IsSecure;
use http::{Extensions, HeaderMap, HeaderValue, Request, Uri, header, uri::Scheme};
use socketio::Socket;
use tokio::time::Instant;

use crate::{
    CookieState, InvalidCookie, Observer, RequestFacts, Session, SessionError, SessionsBuilder, Sid, Store,
    StoreError, Stored, Values,
    builder::Config,
    cookie::{self, CookieChoice},
    live::Live,
    policy::{Reload, Touch},
    session::Scope,
    shared::Shared,
    state::Standing,
    store::ErasedStore,
    ticket::Tickets,
};

/// The sessions of an application: one value for its pages and its sockets. A clone is the same.
///
/// Most applications need only [`serve`](Self::serve) for the pages and
/// [`ServerBuilderExt::sessions`](crate::ServerBuilderExt::sessions) for the sockets. By hand it is:
///
/// ```
/// use session::{MemoryStore, Sessions};
///
/// async fn page(sessions: Sessions, request: http::Request<()>) -> http::Response<String> {
///     let Ok(session) = sessions.open(&request).await else { return unavailable() };
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
    pub(crate) inner: Arc<Inner>,
}

/// What the sessions of an application have in common.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) store: Box<dyn ErasedStore>,
    pub(crate) live: Arc<Live>,
    pub(crate) tickets: Tickets,
    started: Instant,
    /// Whether the store tells of changes; known once it was asked.
    watched: OnceLock<bool>,
}

/// A live session has been changed, or has ended, here or by others.
pub struct Changed<'a> {
    /// The id.
    pub sid: &'a Sid,
    /// The values before.
    pub old: &'a Values,
    /// The values now; none if the session has ended.
    pub new: &'a Values,
    /// Whether it has ended: destroyed, replaced or expired.
    pub ended: bool,
    shared: &'a Shared,
}

impl Changed<'_> {
    /// The sockets of the session in this process. Others have this called for theirs.
    pub fn sockets(&self) -> Vec<Socket> {
        self.shared.sockets()
    }

    /// Names of the values that are not what they were.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let Changed { old, new, .. } = self;
        let set = new.iter().filter(|(key, json)| old.json(key).is_none_or(|old| old.get() != json.get()));
        let removed = old.iter().filter(|(key, _)| new.json(key).is_none());
        set.chain(removed).map(|(key, _)| key)
    }
}

/// Shows neither the id nor the values.
impl fmt::Debug for Changed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Changed").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Starts to configure sessions that lie in `store`.
    pub fn builder(store: impl Store) -> SessionsBuilder {
        SessionsBuilder::new(Box::new(store))
    }

    pub(crate) fn new(config: Config, store: Box<dyn ErasedStore>) -> Self {
        let inner = Inner {
            store,
            live: Arc::default(),
            tickets: Tickets::new(config.max_tickets),
            config,
            started: Instant::now(),
            watched: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the session that the request's cookie names, or a new one.
    ///
    /// The signature is verified before the store is asked, and an id that the store does not know is not adopted.
    /// Whether the request is secure is known from [`IsSecure`] among its extensions, the scheme of its URI, or the
    /// [proxy](SessionsBuilder::trust_proxy); frameworks that know better use [`open_with`](Self::open_with).
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`]. Do not go on without a session then: the browser may well have one.
    pub async fn open<B>(&self, request: &Request<B>) -> Result<Session, SessionError> {
        self.open_with(&self.facts(request.uri(), request.headers(), request.extensions())).await
    }

    /// What the parts of a request tell of it.
    pub(crate) fn facts<'a>(
        &self,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        extensions: &Extensions,
    ) -> RequestFacts<'a> {
        let ended_here = extensions.get().is_some_and(|IsSecure(secure)| *secure);
        let tls = ended_here || uri.scheme() == Some(&Scheme::HTTPS);
        RequestFacts::new(uri.path(), headers, tls, self.inner.config.trust_proxy)
    }

    /// The same, of a request about which everything is known.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_with(&self, request: &RequestFacts<'_>) -> Result<Session, SessionError> {
        let scope = Scope::Request { secure: request.secure };
        if let Some(sid) = self.inner.verified_sid(request.headers) {
            match self.inner.find(&sid).await {
                Ok(Some(shared)) => return Ok(Session::new(shared, scope)),
                Ok(None) => {}
                Err(error) if self.inner.config.fail_open => {
                    tracing::error!(error = &error as &dyn Error, "going on without a session");
                    let shared = self.inner.begin(request);
                    shared.state().unannounced();
                    return Ok(Session::new(shared, Scope::Request { secure: false }));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Session::new(self.inner.begin(request), scope))
    }

    /// Does what is due before a response leaves: call it once for each response, with the headers to be sent.
    ///
    /// | session | modified | what happens |
    /// |---|---|---|
    /// | new | yes, or [`save_uninitialized`](SessionsBuilder::save_uninitialized) | stored, `Set-Cookie` |
    /// | new | no | nothing |
    /// | stored | yes | saved, `Set-Cookie` if the cookie has `Expires` or is [rolling](SessionsBuilder::rolling) |
    /// | stored | no | lives its whole age again in the store, `Set-Cookie` if rolling |
    /// | ended | | nothing |
    ///
    /// A `Secure` cookie is not sent in a response to a request that was not secure.
    ///
    /// # Errors
    ///
    /// As [`Session::save`]. The headers are as they were then.
    pub async fn commit(
        &self,
        session: &Session,
        response_headers: &mut HeaderMap,
    ) -> Result<(), SessionError> {
        self.settle(session, response_headers, true).await
    }

    /// The same for a handshake, which touches the session only if the policy says so, and without waiting.
    pub(crate) async fn settle(
        &self,
        session: &Session,
        response_headers: &mut HeaderMap,
        touch: bool,
    ) -> Result<(), SessionError> {
        session.save_for_response().await?;
        let mut shared = session.shared();
        let standing = shared.state().standing();
        let cookie = match standing {
            Standing::Gone => None,
            Standing::Opening | Standing::Unannounced => {
                let keep = standing == Standing::Opening
                    && (shared.state().is_changed() || self.inner.config.save_uninitialized);
                if keep {
                    let cookie = self.create(session).await?;
                    shared = session.shared();
                    Some(cookie)
                } else {
                    shared.state().unannounced();
                    None
                }
            }
            Standing::Stored => {
                let due = shared.state().take_due_cookie();
                // It may also be due since an event, long ago.
                let fresh = due && session.has_written();
                if touch && !fresh {
                    match shared.touch().await {
                        Ok(()) | Err(SessionError::Gone) => {}
                        Err(error) => return Err(error),
                    }
                }
                let cookie = if fresh { shared.state().cookie() } else { shared.cookie() };
                let expires = cookie.expires().is_some();
                Some(cookie).filter(|_| self.inner.config.rolling || (due && expires))
            }
        };
        for old in session.take_replaced() {
            old.destroy().await?;
        }
        if let (Some(cookie), Scope::Request { secure }) = (cookie, session.scope()) {
            self.inner.set_cookie(&shared.sid, &cookie, secure, response_headers)?;
        }
        Ok(())
    }

    /// Stores a new session: under another id if the application has made one that is in use.
    async fn create(&self, session: &Session) -> Result<CookieState, SessionError> {
        let shared = session.shared();
        match shared.create().await {
            Err(SessionError::Conflict) => {
                let twin = self.inner.twin(&shared);
                session.replace(Arc::clone(&twin));
                twin.create().await
            }
            created => created,
        }
    }

    /// Returns the session of this id for work outside of requests and sockets, `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`].
    pub async fn load(&self, sid: &Sid) -> Result<Option<Session>, SessionError> {
        Ok(self.inner.find(sid).await?.map(|shared| Session::new(shared, Scope::Free)))
    }

    pub(crate) fn admits_origin(&self, request_headers: &HeaderMap) -> bool {
        self.inner.config.origins.admit(request_headers)
    }
}

impl Inner {
    /// Milliseconds since this was made: small enough for an atomic number. Never zero, which stands for never.
    pub(crate) fn now(&self) -> u64 {
        self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX).max(1)
    }

    /// Whether so much time has gone by since `then`, a time of [`now`](Self::now).
    pub(crate) fn has_passed(&self, interval: Duration, then: u64) -> bool {
        then == 0 || u128::from(self.now().saturating_sub(then)) >= interval.as_millis()
    }

    /// Makes a new session for a request; on a path that the cookie does not cover, one that is never announced.
    fn begin(self: &Arc<Self>, request: &RequestFacts<'_>) -> Arc<Shared> {
        let options = self.config.cookie.options(request);
        let cookie = options.state(SystemTime::now(), request.secure);
        let shared = self.enter_new(cookie, Some(request));
        if !options.covers(request.path) {
            shared.state().unannounced();
        }
        shared
    }

    /// Makes a new session to take the place of `old`, with the cookie that the application wants of new sessions. Where
    /// it chooses that for each request, it is one like the cookie of `old`.
    pub(crate) fn successor(self: &Arc<Self>, old: &Shared, secure: bool) -> Arc<Shared> {
        let cookie = match &self.config.cookie {
            CookieChoice::Always(options) => options.state(SystemTime::now(), secure),
            CookieChoice::PerRequest(_) => old.cookie(),
        };
        self.enter_new(cookie, None)
    }

    /// Makes a new session like another new one.
    fn twin(self: &Arc<Self>, new: &Shared) -> Arc<Shared> {
        let twin = self.enter_new(new.cookie(), None);
        let record = new.state().current(&self.config.on_conflict);
        twin.state().fill(&record);
        twin
    }

    fn enter_new(self: &Arc<Self>, cookie: CookieState, request: Option<&RequestFacts<'_>>) -> Arc<Shared> {
        let sid = match (&self.config.generate_id, request) {
            (Some(generate), Some(request)) => generate(request),
            _ => Sid::generate(),
        };
        let shared = Shared::opening(self, sid, cookie.clone());
        self.live.enter(shared).unwrap_or_else(|| {
            // The application's own id is in use: nobody gets another's session.
            let shared = Shared::opening(self, Sid::generate(), cookie);
            self.live.enter(shared).expect("192 random bits are not live already")
        })
    }

    /// Returns the session of this id as it is in the store now.
    pub(crate) async fn find(self: &Arc<Self>, sid: &Sid) -> Result<Option<Arc<Shared>>, SessionError> {
        loop {
            if let Some(shared) = self.live.get(sid) {
                return match shared.reload().await {
                    Ok(()) => Ok(Some(shared)),
                    Err(SessionError::Gone) => Ok(None),
                    Err(error) => Err(error),
                };
            }
            // Dropped only when the session has been entered.
            let _loading = self.live.begin_loading(sid);
            let Some(text) = self.load(sid).await? else { return Ok(None) };
            // Somebody else may have opened it while the store was asked.
            if let Some(shared) = self.live.enter(Shared::stored(self, sid.clone(), text)?) {
                return Ok(Some(shared));
            }
        }
    }

    /// Asks the store, so that it tells of the next change if it is to.
    pub(crate) async fn load(self: &Arc<Self>, sid: &Sid) -> Result<Option<Stored>, StoreError> {
        let watched = self.is_watched();
        let load = if watched { self.store.load_watched(sid) } else { self.store.load(sid) };
        // For express-session, too, `null` is no session.
        Ok(load.await?.filter(|text| text.as_str() != "null"))
    }

    /// Begins to hear of changes before the first session is opened, if there is a runtime for that already.
    pub(crate) fn watch(self: &Arc<Self>) {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.is_watched();
        }
    }

    /// Whether the store tells of changes; asks it to, the first time.
    fn is_watched(self: &Arc<Self>) -> bool {
        *self.watched.get_or_init(|| {
            if let Touch::Heartbeat { min_interval } = self.config.touch {
                tokio::spawn(keep_alive(Arc::downgrade(self), min_interval));
            }
            let observer: Arc<dyn Observer> = self.live.clone();
            let watched =
                self.config.reload == Reload::OnInvalidation && self.store.watch(Arc::downgrade(&observer));
            if watched {
                tokio::spawn(follow_changes(Arc::clone(&self.live)));
            }
            watched
        })
    }

    /// How old what is known of a session may be before an event; `None` if any age is good.
    pub(crate) fn max_age(&self) -> Option<Duration> {
        match self.config.reload {
            Reload::EveryPacket => Some(Duration::ZERO),
            Reload::MaxAge(age) => Some(age),
            Reload::OnInvalidation if self.watched.get() == Some(&false) => Some(UNWATCHED_AGE),
            Reload::OnInvalidation | Reload::Never => None,
        }
    }

    /// Tells the hook; `new` is what there is now, if the session has not ended.
    pub(crate) fn tell_change(&self, shared: &Shared, old: &Stored, new: Option<&Stored>) {
        let Some(hook) = &self.config.on_change else { return };
        let values = |text: &Stored| text.record().map(|record| record.values).unwrap_or_default();
        let (old, ended) = (values(old), new.is_none());
        let new = new.map(values).unwrap_or_default();
        if ended || old != new {
            hook(&Changed { sid: &shared.sid, old: &old, new: &new, ended, shared });
        }
    }

    /// The id in the request's cookie, if it is genuine. No store is asked for what is not.
    pub(crate) fn verified_sid(&self, headers: &HeaderMap) -> Option<Sid> {
        let lines = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        self.verified_sid_of(lines)
    }

    pub(crate) fn verified_sid_of<'a>(&self, lines: impl Iterator<Item = &'a [u8]>) -> Option<Sid> {
        let lines: Vec<Cow<'_, str>> = lines.map(String::from_utf8_lossy).collect();
        // HTTP/2 may split the header; this is how it is put together again (RFC 9113, section 8.2.3).
        let line = lines.join("; ");
        let value = cookie::find(&line, &self.config.cookie_name)?;
        self.config.secrets.verify(&value)
    }

    /// Adds the cookie to a response, if it may be sent there.
    pub(crate) fn set_cookie(
        &self,
        sid: &Sid,
        cookie: &CookieState,
        secure: bool,
        to: &mut HeaderMap,
    ) -> Result<(), InvalidCookie> {
        if cookie.may_send(secure) {
            let header = cookie.set_cookie(&self.config.cookie_name, &self.config.secrets.sign(sid))?;
            let mut header = HeaderValue::try_from(header).map_err(|_| InvalidCookie("name"))?;
            header.set_sensitive(true);
            to.append(header::SET_COOKIE, header);
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.live.close();
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Inner")
            .field("config", &self.config)
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

/// Reads sessions again that others have changed, as long as there is anybody who wants to know.
async fn follow_changes(live: Arc<Live>) {
    while let Some(stale) = live.next_stale().await {
        // While a save is under way, the store answers that with what others have stored.
        let (busy, idle): (Vec<_>, Vec<_>) = stale.into_iter().partition(|shared| shared.state().is_busy());
        let mut pause = PAUSE;
        let mut again: Vec<_> = busy.iter().map(|shared| &shared.sid).collect();
        for some in idle.chunks(READ_TOGETHER) {
            let reloads = futures_util::future::join_all(some.iter().map(|shared| shared.reload())).await;
            for (shared, reloaded) in some.iter().zip(reloads) {
                match reloaded {
                    Ok(()) | Err(SessionError::Gone) => {}
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn Error,
                            "a changed session could not be read yet"
                        );
                        again.push(&shared.sid);
                        pause = PATIENCE;
                    }
                }
            }
        }
        tokio::time::sleep(pause).await;
        again.iter().for_each(|sid| live.changed(sid));
    }
}

/// Touches the sessions whose sockets are connected: their clients have answered a ping lately.
async fn keep_alive(inner: std::sync::Weak<Inner>, interval: Duration) {
    loop {
        tokio::time::sleep(interval.max(Duration::from_millis(1))).await;
        let Some(inner) = inner.upgrade() else { return };
        for shared in inner.live.all() {
            if shared.has_sockets() {
                shared.touch_in_background(interval / 2);
            }
        }
    }
}

/// Where a store cannot tell of changes, what is known may be as old as this; the official guide reads sessions again as
/// often.
const UNWATCHED_AGE: Duration = Duration::from_secs(30);

/// Sessions that are read at the same time when many have changed, so that nobody else has to wait for the store.
const READ_TOGETHER: usize = 64;

/// What has changed again within this time is read once.
const PAUSE: Duration = Duration::from_millis(5);

/// Between attempts to read what has changed while the store fails.
const PATIENCE: Duration = Duration::from_millis(250);
