//! What the rules of cookies ask of a request: its path, and whether it is secure.
//!
//! One rule for pages and handshakes. A session that begins with a socket must not get a weaker cookie than one that
//! begins with a page.

use http::{HeaderMap, HeaderValue};

/// What is known of a request before its session is opened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestFacts<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The path of its target, still percent-encoded, as the browser has sent it: before any router cut off a prefix.
    pub path: &'a str,
    /// Whether it came over TLS as far as [`TrustProxy`] lets us know.
    pub secure: bool,
}

/// Whether to believe the proxy in front of this process when it says that a request came over TLS.
///
/// No number of hops, as `X-Forwarded-Proto` has no entry for each: Express takes the first one, too, however many it
/// trusts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrustProxy {
    /// `X-Forwarded-Proto` decides, as in express-session with `proxy: true`: its first entry is `https` in any case.
    ///
    /// The proxy must set that header or remove it from requests, or else anybody can send it.
    All,
    /// Only TLS that ends in this process counts, as with `proxy: false`.
    #[default]
    No,
}

impl<'a> RequestFacts<'a> {
    /// Judges a request; `tls` tells whether its bytes came through TLS that this process ended, or a framework in
    /// front of it that has a rule of its own.
    pub fn new(path: &'a str, headers: &'a HeaderMap, tls: bool, trust: TrustProxy) -> Self {
        Self { headers, path, secure: tls || trust.says_https(headers) }
    }
}

impl TrustProxy {
    fn says_https(self, headers: &HeaderMap) -> bool {
        let first = headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes);
        let first = first.and_then(|value| value.split(|&byte| byte == b',').next());
        self == Self::All && first.is_some_and(|proto| proto.trim_ascii().eq_ignore_ascii_case(b"https"))
    }
}

/// The one header that [`TrustProxy::All`] looks at.
pub(crate) const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_decides() {
        for (lines, https) in [
            (vec!["https"], true),
            (vec!["HTTPS"], true),
            (vec![" https\t,http"], true),
            (vec!["https", "http"], true),
            (vec![], false),
            (vec![""], false),
            (vec!["", "https"], false),
            (vec![",https"], false),
            (vec!["http,https"], false),
            (vec!["http", "https"], false),
            (vec!["httpss"], false),
            (vec!["wss"], false),
            (vec!["https;q=1"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(X_FORWARDED_PROTO, line.parse().unwrap());
            }
            let secure = |tls, trust| RequestFacts::new("/", &headers, tls, trust).secure;
            assert_eq!(secure(false, TrustProxy::All), https, "{lines:?}");
            assert!(!secure(false, TrustProxy::No), "{lines:?}");
            assert!(secure(true, TrustProxy::All) && secure(true, TrustProxy::No), "{lines:?}");
        }
    }
}
