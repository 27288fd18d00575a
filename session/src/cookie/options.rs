//! How an application wants its session cookie.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{CookieState, InvalidCookie};

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
    lifetime: Lifetime,
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

#[derive(Clone, Copy, Debug, Default)]
enum Lifetime {
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
        self.lifetime = Lifetime::Until(time);
        self
    }

    /// Hides the cookie from scripts. Default: true; nothing good needs it off.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.attributes.http_only = Some(http_only.into());
        self
    }

    /// Ends sessions this long after they were last used, and shows that as `Expires`. Counted in milliseconds.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.lifetime = Lifetime::Sliding(max_age);
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
        self.attributes.same_site = Some(Value::from(match same_site {
            SameSite::Lax => "lax",
            SameSite::None => "none",
            SameSite::Strict => "strict",
        }));
        self
    }

    /// Has browsers send the cookie over TLS only. Default: false.
    ///
    /// The attribute is sent even if this hop is plain HTTP, since TLS often ends at a proxy.
    pub fn secure(mut self, secure: bool) -> Self {
        self.attributes.secure = Some(secure.into());
        self
    }

    /// Returns the cookie of a session that begins at `now`.
    pub(crate) fn state(&self, now: SystemTime) -> CookieState {
        let mut state = self.attributes.clone();
        match self.lifetime {
            Lifetime::Browser => {}
            Lifetime::Sliding(age) => {
                state.set_max_age(Some(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)), now);
            }
            Lifetime::Until(time) => state.set_expires(time, now),
        }
        state
    }

    /// Fails as every `Set-Cookie` with these attributes would.
    pub(crate) fn check(&self) -> Result<(), InvalidCookie> {
        self.attributes.set_cookie("name", "").map(drop)
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
            options.state(UNIX_EPOCH).set_cookie("sid", "a").unwrap(),
            "sid=a; Domain=example.com; Path=/x; Expires=Thu, 01 Jan 1970 00:01:00 GMT; Secure; Partitioned; \
             Priority=Medium; SameSite=None"
        );
        let until = CookieOptions::default().expires(UNIX_EPOCH + Duration::from_secs(3600));
        let header = "sid=a; Path=/; Expires=Thu, 01 Jan 1970 01:00:00 GMT; HttpOnly";
        assert_eq!(until.state(UNIX_EPOCH).set_cookie("sid", "a").unwrap(), header);
    }

    #[test]
    fn what_would_break_the_header_is_refused() {
        assert_eq!(CookieOptions::default().path("/a;b").check(), Err(InvalidCookie("path")));
        assert_eq!(CookieOptions::default().domain("a b").check(), Err(InvalidCookie("domain")));
        assert_eq!(CookieOptions::default().check(), Ok(()));
    }
}
