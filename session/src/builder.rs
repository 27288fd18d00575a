//! The options of sessions.

use std::{fmt, sync::Arc};

use crate::{
    CookieOptions, InvalidCookie, OnConflict, OnEnd, Reload, RequestFacts, Sessions, Sid, Touch, TrustProxy,
    cookie::{self, CookieChoice},
    origin::Origins,
    sessions::Changed,
    signature::Secrets,
    store::ErasedStore,
};

/// Collects the options of [`Sessions`]; a secret is the only one that must be given.
#[must_use = "nothing happens before `build`"]
pub struct SessionsBuilder {
    store: Box<dyn ErasedStore>,
    config: Config,
}

type GenerateId = Arc<dyn Fn(&RequestFacts<'_>) -> Sid + Send + Sync>;
type OnChange = Arc<dyn Fn(&Changed<'_>) + Send + Sync>;

pub(crate) struct Config {
    pub(crate) cookie: CookieChoice,
    pub(crate) cookie_name: String,
    pub(crate) fail_open: bool,
    pub(crate) fixed_lifetime: bool,
    pub(crate) generate_id: Option<GenerateId>,
    pub(crate) max_tickets: usize,
    pub(crate) on_change: Option<OnChange>,
    pub(crate) on_conflict: OnConflict,
    pub(crate) on_end: OnEnd,
    pub(crate) origins: Origins,
    pub(crate) refresh_path: String,
    pub(crate) reload: Reload,
    pub(crate) rolling: bool,
    pub(crate) save_uninitialized: bool,
    pub(crate) secrets: Secrets,
    pub(crate) touch: Touch,
    pub(crate) trust_proxy: TrustProxy,
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

impl SessionsBuilder {
    pub(crate) fn new(store: Box<dyn ErasedStore>) -> Self {
        let config = Config {
            cookie: CookieOptions::default().into(),
            cookie_name: DEFAULT_NAME.into(),
            fail_open: false,
            fixed_lifetime: false,
            generate_id: None,
            max_tickets: MAX_TICKETS,
            on_change: None,
            on_conflict: OnConflict::default(),
            on_end: OnEnd::default(),
            origins: Origins::default(),
            refresh_path: DEFAULT_REFRESH_PATH.into(),
            reload: Reload::default(),
            rolling: false,
            save_uninitialized: false,
            secrets: Secrets::default(),
            touch: Touch::default(),
            trust_proxy: TrustProxy::default(),
        };
        Self { store, config }
    }

    /// Lets pages of other origins (`https://app.example`, with the port if it is not the scheme's) open connections.
    ///
    /// Default: only pages of the host that the request is for, and programs that are no browsers.
    pub fn allow_origins<I: IntoIterator<Item: Into<String>>>(mut self, origins: I) -> Self {
        self.config.origins.allowed.extend(origins.into_iter().map(Into::into));
        self
    }

    /// Refuses handshakes without `Origin` too, so that only browsers may open connections. Default: false.
    pub fn require_origin(mut self, require: bool) -> Self {
        self.config.origins.required = require;
        self
    }

    /// Sets the attributes of the cookies of new sessions.
    pub fn cookie(mut self, options: CookieOptions) -> Self {
        self.config.cookie = options.into();
        self
    }

    /// Sets them for each request that begins a session.
    pub fn cookie_with(
        mut self,
        choose: impl Fn(&RequestFacts<'_>) -> CookieOptions + Send + Sync + 'static,
    ) -> Self {
        self.config.cookie = CookieChoice::PerRequest(Arc::new(choose));
        self
    }

    /// Sets the name of the cookie. Default: `connect.sid`, as express-session.
    pub fn cookie_name(mut self, name: &str) -> Self {
        self.config.cookie_name = name.into();
        self
    }

    /// Answers when the store fails, instead of with 503: handshakes and pages have a new, empty session that is never
    /// stored, and where it fails only when the page has been made, that is sent although nothing was saved.
    /// express-session does that. Default: false, as whoever is logged in would seem to be logged out, and be told of
    /// success where there was none. Events, [`Sessions::commit`] and [`Session::save`](crate::Session::save) fail in any
    /// case.
    pub fn fail_open(mut self, fail_open: bool) -> Self {
        self.config.fail_open = fail_open;
        self
    }

    /// Ends sessions their `max_age` after they have begun, however much they are used: saves leave the remaining life as
    /// it is, and nothing touches. Default: false.
    pub fn fixed_lifetime(mut self, fixed: bool) -> Self {
        self.config.fixed_lifetime = fixed;
        self
    }

    /// Sets how ids are made. They must be impossible to guess; one that is in use is not taken. Default:
    /// [`Sid::generate`].
    pub fn generate_id(
        mut self,
        generate: impl Fn(&RequestFacts<'_>) -> Sid + Send + Sync + 'static,
    ) -> Self {
        self.config.generate_id = Some(Arc::new(generate));
        self
    }

    /// Hears of values that have changed in sessions that are live in this process, and of the end of such sessions,
    /// whoever caused it: handlers, pages, other processes, Express. A session is live while a socket is connected or a
    /// request is being answered. It must not block.
    ///
    /// The [guide](crate::guide#telling-the-other-tabs) shows how it tells the sockets.
    pub fn on_change(mut self, hook: impl Fn(&Changed<'_>) + Send + Sync + 'static) -> Self {
        self.config.on_change = Some(Arc::new(hook));
        self
    }

    /// Decides where two have changed the same value. Default: who comes later wins.
    pub fn on_conflict(mut self, policy: OnConflict) -> Self {
        self.config.on_conflict = policy;
        self
    }

    /// Limits how many [tickets](crate::Ticket) may wait to be claimed, each for a minute; more are refused with
    /// [`SessionError::Tickets`](crate::SessionError::Tickets). Default: 10,000, far more than there are logins in a
    /// minute, and a few megabytes.
    pub fn max_tickets(mut self, limit: usize) -> Self {
        self.config.max_tickets = limit;
        self
    }

    /// Decides what becomes of the sockets of a session that has ended. Default: they come back, half a second later.
    pub fn on_end(mut self, policy: OnEnd) -> Self {
        self.config.on_end = policy;
        self
    }

    /// Sets where browsers claim [tickets](crate::Ticket): a path that [`Sessions::serve`] or the tower layer gets to see.
    /// Default: `/session/refresh`.
    pub fn refresh_path(mut self, path: &str) -> Self {
        self.config.refresh_path = path.into();
        self
    }

    /// Decides when a session is read again. Default: when it has changed.
    pub fn reload(mut self, policy: Reload) -> Self {
        self.config.reload = policy;
        self
    }

    /// Sends the cookie with every response, handshakes and polls included, so that `Expires` moves on with each use.
    /// Default: false. A WebSocket has no responses: see [`Ticket`](crate::Ticket).
    pub fn rolling(mut self, rolling: bool) -> Self {
        self.config.rolling = rolling;
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

    /// Decides what lets a session live on. Default: handshakes.
    pub fn touch(mut self, policy: Touch) -> Self {
        self.config.touch = policy;
        self
    }

    /// Decides whether to believe a proxy that says a request came over TLS. Default: no.
    pub fn trust_proxy(mut self, trust: TrustProxy) -> Self {
        self.config.trust_proxy = trust;
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
        Ok(Sessions::new(self.config, self.store))
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SessionsBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Shows no secret.
impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Config")
            .field("cookie", &self.cookie)
            .field("cookie_name", &self.cookie_name)
            .field("fail_open", &self.fail_open)
            .field("fixed_lifetime", &self.fixed_lifetime)
            .field("max_tickets", &self.max_tickets)
            .field("on_conflict", &self.on_conflict)
            .field("on_end", &self.on_end)
            .field("origins", &self.origins)
            .field("refresh_path", &self.refresh_path)
            .field("reload", &self.reload)
            .field("rolling", &self.rolling)
            .field("save_uninitialized", &self.save_uninitialized)
            .field("touch", &self.touch)
            .field("trust_proxy", &self.trust_proxy)
            .finish_non_exhaustive()
    }
}

const DEFAULT_NAME: &str = "connect.sid";

const MAX_TICKETS: usize = 10_000;

/// Below none of the paths that Express or this server give a meaning to.
const DEFAULT_REFRESH_PATH: &str = "/session/refresh";

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
    }
}
