//! The cookie that the handshake of a polling connection can set, for load balancers with sticky sessions.

use std::fmt::Write;
use std::time::Duration;

use ::http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A `Set-Cookie` header with everything but its value, which is the sid.
///
/// The default is the official server's: `io=<sid>; Path=/; HttpOnly; SameSite=Lax`.
///
/// ```
/// use engineio::cookie::Cookie;
///
/// let cookie = Cookie::new("node")?.path(None)?.secure(true);
/// assert_eq!(cookie.to_header("a1"), "node=a1; HttpOnly; Secure; SameSite=Lax");
/// # Ok::<(), engineio::cookie::CookieError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cookie {
    name: String,
    max_age: Option<Duration>,
    domain: Option<String>,
    path: Option<String>,
    http_only: bool,
    secure: bool,
    partitioned: bool,
    priority: Option<Priority>,
    same_site: Option<SameSite>,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "io".to_owned(),
            max_age: None,
            domain: None,
            path: Some("/".to_owned()),
            http_only: true,
            secure: false,
            partitioned: false,
            priority: None,
            same_site: Some(SameSite::Lax),
        }
    }
}

impl Cookie {
    /// Starts from the default attributes with another name.
    ///
    /// # Errors
    ///
    /// [`CookieError::Name`] if the name is not a token (RFC 6265 section 4.1.1).
    pub fn new(name: &str) -> Result<Self, CookieError> {
        let token = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if token { Ok(Self { name: name.to_owned(), ..Self::default() }) } else { Err(CookieError::Name) }
    }

    /// Sets the lifetime, in whole seconds; at first it is that of the browser session.
    #[must_use]
    pub fn max_age(self, age: Duration) -> Self {
        Self { max_age: Some(age), ..self }
    }

    /// Sets the domain, whose subdomains get the cookie too; at first only the host that sets it does.
    ///
    /// # Errors
    ///
    /// [`CookieError::Domain`] if it is not a domain name, with or without a leading dot.
    pub fn domain(self, domain: &str) -> Result<Self, CookieError> {
        if domain.strip_prefix('.').unwrap_or(domain).split('.').all(is_label) {
            Ok(Self { domain: Some(domain.to_owned()), ..self })
        } else {
            Err(CookieError::Domain)
        }
    }

    /// Sets the path; `None` leaves the attribute out, so that the browser takes the path of the request.
    ///
    /// # Errors
    ///
    /// [`CookieError::Path`] if it has a semicolon, a `<`, or anything but printable ASCII.
    pub fn path(self, path: Option<&str>) -> Result<Self, CookieError> {
        let printable = |byte| matches!(byte, b' '..=b'~') && !b";<".contains(&byte);
        if path.is_some_and(|path| !path.bytes().all(printable)) {
            return Err(CookieError::Path);
        }
        Ok(Self { path: path.map(str::to_owned), ..self })
    }

    /// Sets whether scripts cannot read the cookie; they cannot at first.
    #[must_use]
    pub fn http_only(self, http_only: bool) -> Self {
        Self { http_only, ..self }
    }

    /// Sets whether the cookie is sent over TLS only; not at first. `SameSite=None` and `Partitioned` need it.
    #[must_use]
    pub fn secure(self, secure: bool) -> Self {
        Self { secure, ..self }
    }

    /// Sets whether the cookie is kept apart for each top-level site (CHIPS); not at first.
    #[must_use]
    pub fn partitioned(self, partitioned: bool) -> Self {
        Self { partitioned, ..self }
    }

    /// Sets which cookies the browser drops first when it has too many; nothing at first.
    #[must_use]
    pub fn priority(self, priority: Priority) -> Self {
        Self { priority: Some(priority), ..self }
    }

    /// Sets on which cross-site requests the cookie is sent, `Lax` at first; `None` leaves the attribute out.
    #[must_use]
    pub fn same_site(self, same_site: Option<SameSite>) -> Self {
        Self { same_site, ..self }
    }

    /// Serialises the cookie with a value, which is percent-encoded as by `encodeURIComponent`.
    ///
    /// The order of attributes is that of the npm package `cookie`.
    pub fn to_header(&self, value: &str) -> HeaderValue {
        let mut header = format!("{}={}", self.name, utf8_percent_encode(value, NOT_IN_VALUE));
        let mut attribute = |name: &str, value: &str| {
            let separator = if value.is_empty() { "" } else { "=" };
            write!(header, "; {name}{separator}{value}").expect("a string takes all that is written");
        };
        if let Some(age) = self.max_age {
            attribute("Max-Age", &age.as_secs().to_string());
        }
        if let Some(domain) = &self.domain {
            attribute("Domain", domain);
        }
        if let Some(path) = self.path.as_deref().filter(|path| !path.is_empty()) {
            attribute("Path", path);
        }
        for (name, set) in
            [("HttpOnly", self.http_only), ("Secure", self.secure), ("Partitioned", self.partitioned)]
        {
            if set {
                attribute(name, "");
            }
        }
        match self.priority {
            Some(Priority::High) => attribute("Priority", "High"),
            Some(Priority::Low) => attribute("Priority", "Low"),
            Some(Priority::Medium) => attribute("Priority", "Medium"),
            None => {}
        }
        match self.same_site {
            Some(SameSite::Lax) => attribute("SameSite", "Lax"),
            Some(SameSite::None) => attribute("SameSite", "None"),
            Some(SameSite::Strict) => attribute("SameSite", "Strict"),
            None => {}
        }
        HeaderValue::try_from(header).expect("every part was checked or encoded")
    }
}

/// Which cookies a browser drops first: those of low priority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Priority {
    /// Dropped last.
    High,
    /// Dropped first.
    Low,
    /// What browsers assume.
    Medium,
}

/// On which requests from other sites a cookie is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SameSite {
    /// When a link is followed.
    Lax,
    /// On all; browsers want `Secure` with it.
    None,
    /// On none.
    Strict,
}

/// Why a cookie cannot be configured so: it would not reach the browser as meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The domain is not a domain name.
    #[error("cookie domain is not a domain name")]
    Domain,
    /// The name is not a token.
    #[error("cookie name is not a token")]
    Name,
    /// The path has characters that end the attribute or are not printable.
    #[error("cookie path has characters that a path cannot have")]
    Path,
}

fn is_label(label: &str) -> bool {
    let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (1..=63).contains(&label.len()) && letters && !label.starts_with('-') && !label.ends_with('-')
}

/// What `encodeURIComponent` encodes.
const NOT_IN_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let cookie = |name| Cookie::new(name).unwrap();
        let bare = || cookie("a").path(None).unwrap().http_only(false).same_site(None);
        let all = cookie("a")
            .max_age(Duration::from_millis(3_999))
            .domain(".example.com")
            .unwrap()
            .path(Some("/p q"))
            .unwrap()
            .secure(true)
            .partitioned(true)
            .priority(Priority::High)
            .same_site(Some(SameSite::None));
        let table = [
            (Cookie::default(), "io=v; Path=/; HttpOnly; SameSite=Lax"),
            (cookie("io"), "io=v; Path=/; HttpOnly; SameSite=Lax"),
            (bare(), "a=v"),
            (bare().path(Some("")).unwrap(), "a=v"),
            (bare().max_age(Duration::ZERO), "a=v; Max-Age=0"),
            (
                bare().priority(Priority::Low).same_site(Some(SameSite::Strict)),
                "a=v; Priority=Low; SameSite=Strict",
            ),
            (bare().priority(Priority::Medium), "a=v; Priority=Medium"),
            (
                all,
                "a=v; Max-Age=3; Domain=.example.com; Path=/p q; HttpOnly; Secure; Partitioned; Priority=High; \
                 SameSite=None",
            ),
        ];
        for (cookie, expected) in table {
            assert_eq!(cookie.to_header("v"), expected);
        }
        assert_eq!(
            bare().to_header("aZ0-_.!~*'() ;,=\"\u{e9}\r\n"),
            "a=aZ0-_.!~*'()%20%3B%2C%3D%22%C3%A9%0D%0A"
        );
    }

    #[test]
    fn refused() {
        for name in ["", "a b", "a=", "a;", "a\n", "\u{e9}", "(a)", "a\"", "a,b"] {
            assert_eq!(Cookie::new(name).unwrap_err(), CookieError::Name, "{name:?}");
        }
        for path in ["/;Secure", "/<", "/\r\nA: b", "/\u{e9}", "/\x7f"] {
            assert_eq!(Cookie::default().path(Some(path)).unwrap_err(), CookieError::Path, "{path:?}");
        }
        let long = "a".repeat(64);
        for domain in ["", ".", "a..b", "-a", "a-.b", "a b", "a;b", "a/b", "a:1", "\u{e9}", &long, "a."] {
            assert_eq!(Cookie::default().domain(domain).unwrap_err(), CookieError::Domain, "{domain:?}");
        }
        for domain in ["a", ".a.b-c", "127.0.0.1", &long[1..]] {
            assert!(Cookie::default().domain(domain).is_ok(), "{domain}");
        }
    }
}
