//! How an application wants its session cookie.

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::{CookieState, InvalidCookie};
use crate::RequestFacts;

/// The attributes of the cookies of new sessions; a session that exists keeps those it was stored with.
///
/// The default is that of express-session: `Path=/; HttpOnly`, and gone when the browser is closed.
///
/// ```
/// use std::time::Duration;
/// use session::{CookieOptions, SameSite};
///
/// let options = CookieOptions::default().max_age(Duration::from_secs(1800)).secure(true).same_site(SameSite::Lax);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct CookieOptions {
    attributes: CookieState,
    lifetime: Age,
    same_site_auto: bool,
    secure_auto: bool,
}

/// When a cookie is sent along with requests that another site caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With links that are followed to this site, but with no requests made from within another one.
    Lax,
    /// With every request; browsers insist on `Secure` then.
    None,
    /// Only with requests that this site caused.
    Strict,
}

/// Which cookies a browser evicts last when a site has too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Evicted last.
    High,
    /// Evicted first.
    Low,
    /// What a browser assumes without the attribute.
    Medium,
}

/// One set of options, or a function that chooses one for each request.
#[derive(Clone)]
pub(crate) enum CookieChoice {
    Always(Box<CookieOptions>),
    PerRequest(Arc<dyn Fn(&RequestFacts<'_>) -> CookieOptions + Send + Sync>),
}

#[derive(Clone, Copy, Debug, Default)]
enum Age {
    #[default]
    Browser,
    Sliding(Duration),
    Until(SystemTime),
}

impl CookieOptions {
    /// Sets `Domain`, so that subdomains get the cookie too. Default: only the host that set it.
    pub fn domain(mut self, domain: &str) -> Self {
        self.attributes.domain = Some(domain.into());
        self
    }

    /// Ends sessions at a fixed time, whatever happens until then; replaces [`max_age`](Self::max_age).
    ///
    /// As in express-session, what remains at the creation of a session becomes its `max_age`.
    pub fn expires(mut self, time: SystemTime) -> Self {
        self.lifetime = Age::Until(time);
        self
    }

    /// Hides the cookie from scripts. Default: true; nothing good needs it off.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.attributes.http_only = Some(http_only.into());
        self
    }

    /// Ends sessions this long after they were last used, and shows that as `Expires`. Counted in milliseconds.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.lifetime = Age::Sliding(max_age);
        self
    }

    /// Keeps the cookie apart for each site that embeds this one.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.attributes.partitioned = Some(partitioned.into());
        self
    }

    /// Sets the paths below which the browser sends the cookie. Default: `/`.
    ///
    /// It must cover both the pages and the path of the Engine.IO server.
    pub fn path(mut self, path: &str) -> Self {
        self.attributes.path = Some(path.into());
        self
    }

    /// Sets `Priority`. Default: no attribute.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.attributes.priority = Some(Value::from(match priority {
            Priority::High => "high",
            Priority::Low => "low",
            Priority::Medium => "medium",
        }));
        self
    }

    /// Sets `SameSite`. Default: no attribute, which today's browsers take as `Lax`.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.attributes.same_site = Some(same_site.into());
        self.same_site_auto = false;
        self
    }

    /// Sets `SameSite=None` on sessions that begin with a secure request, and `Lax` on others, as `sameSite: 'auto'`.
    ///
    /// `None` lets other sites embed this one, and open its sockets. Needs [`TrustProxy`] behind a proxy.
    ///
    /// [`TrustProxy`]: crate::TrustProxy
    pub fn same_site_auto(mut self) -> Self {
        self.same_site_auto = true;
        self
    }

    /// Has browsers send the cookie over TLS only. Default: false.
    ///
    /// Then the cookie is sent to secure requests only, which behind a proxy needs [`TrustProxy`]; others get a
    /// session, but no cookie.
    ///
    /// [`TrustProxy`]: crate::TrustProxy
    pub fn secure(mut self, secure: bool) -> Self {
        self.attributes.secure = Some(secure.into());
        self.secure_auto = false;
        self
    }

    /// Sets `Secure` on sessions that begin with a secure request, and on no others, as `secure: 'auto'`.
    pub fn secure_auto(mut self) -> Self {
        self.secure_auto = true;
        self
    }

    /// Whether there are sessions on this path at all: only if it begins with that of the cookie, letter by letter, as
    /// in express-session. So `/app` covers `/apple`, too.
    pub(crate) fn covers(&self, path: &str) -> bool {
        path.starts_with(self.attributes.path().filter(|path| !path.is_empty()).unwrap_or("/"))
    }

    /// Returns the cookie of a session that begins at `now` with a request that is secure or not.
    pub(crate) fn state(&self, now: SystemTime, secure: bool) -> CookieState {
        let mut state = self.attributes.clone();
        if self.secure_auto {
            state.set_secure(secure);
        }
        if self.same_site_auto {
            state.same_site = Some(if secure { SameSite::None } else { SameSite::Lax }.into());
        }
        match self.lifetime {
            Age::Browser => {}
            Age::Sliding(age) => state.set_max_age(Some(age), now),
            Age::Until(time) => state.set_expires(Some(time), now),
        }
        state
    }

    /// Fails as every `Set-Cookie` with these attributes would.
    pub(crate) fn check(&self) -> Result<(), InvalidCookie> {
        self.attributes.set_cookie("name", "").map(drop)
    }
}

impl CookieChoice {
    /// Returns what new sessions of this request get.
    pub(crate) fn options(&self, request: &RequestFacts<'_>) -> Cow<'_, CookieOptions> {
        match self {
            Self::Always(options) => Cow::Borrowed(options),
            Self::PerRequest(choose) => Cow::Owned(choose(request)),
        }
    }

    /// Fails as every `Set-Cookie` would; what a function chooses is known only when it does.
    pub(crate) fn check(&self) -> Result<(), InvalidCookie> {
        match self {
            Self::Always(options) => options.check(),
            Self::PerRequest(_) => Ok(()),
        }
    }
}

impl fmt::Debug for CookieChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always(options) => options.fmt(formatter),
            Self::PerRequest(_) => formatter.write_str("PerRequest(..)"),
        }
    }
}

impl From<CookieOptions> for CookieChoice {
    fn from(options: CookieOptions) -> Self {
        Self::Always(Box::new(options))
    }
}

/// In the spelling of express-session's options, which is what it stores.
impl From<SameSite> for Value {
    fn from(same_site: SameSite) -> Self {
        Self::from(match same_site {
            SameSite::Lax => "lax",
            SameSite::None => "none",
            SameSite::Strict => "strict",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn every_option_reaches_the_header() {
        let options = CookieOptions::default()
            .domain("example.com")
            .http_only(false)
            .max_age(Duration::from_secs(60))
            .partitioned(true)
            .path("/x")
            .priority(Priority::Medium)
            .same_site(SameSite::None)
            .secure(true);
        assert_eq!(
            options.state(UNIX_EPOCH, true).set_cookie("sid", "a").unwrap(),
            "sid=a; Domain=example.com; Path=/x; Expires=Thu, 01 Jan 1970 00:01:00 GMT; Secure; Partitioned; \
             Priority=Medium; SameSite=None"
        );
        let until = CookieOptions::default().expires(UNIX_EPOCH + Duration::from_secs(3600));
        let header = "sid=a; Path=/; Expires=Thu, 01 Jan 1970 01:00:00 GMT; HttpOnly";
        assert_eq!(until.state(UNIX_EPOCH, true).set_cookie("sid", "a").unwrap(), header);
    }

    #[test]
    fn the_last_of_contrary_options_wins() {
        let options =
            CookieOptions::default().secure_auto().secure(false).same_site_auto().same_site(SameSite::Lax);
        let state = options.state(UNIX_EPOCH, true);
        assert_eq!((state.secure(), state.same_site()), (false, Some(SameSite::Lax)));
        let state = options.secure_auto().same_site_auto().state(UNIX_EPOCH, true);
        assert_eq!((state.secure(), state.same_site()), (true, Some(SameSite::None)));
    }

    #[test]
    fn what_would_break_the_header_is_refused() {
        assert_eq!(CookieOptions::default().path("/a;b").check(), Err(InvalidCookie("path")));
        assert_eq!(CookieOptions::default().domain("a b").check(), Err(InvalidCookie("domain")));
        assert_eq!(CookieOptions::default().check(), Ok(()));
    }
}
