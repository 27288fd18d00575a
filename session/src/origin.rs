//! Which pages may open connections that carry a cookie.
//!
//! Browsers send cookies along with a WebSocket that any other site opens, and no CORS rule keeps that site from
//! reading the answers. The `Origin` header, which a page cannot forge, is what tells them apart.

use http::{HeaderMap, HeaderValue, header};

/// Same origin, and those listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    pub(crate) allowed: Vec<String>,
    /// Whether a request without `Origin` is refused.
    pub(crate) required: bool,
}

impl Origins {
    /// Admits requests without `Origin`, which do not come from a page of another site, unless it is required.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        if self.required && !headers.contains_key(header::ORIGIN) {
            return false;
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().filter(|_| hosts.next().is_none()).and_then(text);
        headers.get_all(header::ORIGIN).iter().all(|origin| {
            text(origin).is_some_and(|origin| {
                self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
                    || host.is_some_and(|host| is_same(origin, host))
            })
        })
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// Compares without the scheme, since TLS may have ended at a proxy, but with the port that the scheme implies.
fn is_same(origin: &str, host: &str) -> bool {
    let (authority, default_port) = if let Some(authority) = origin.strip_prefix("https://") {
        (authority, ":443")
    } else if let Some(authority) = origin.strip_prefix("http://") {
        (authority, ":80")
    } else {
        return false;
    };
    let without_port = |name: &'_ str| name.strip_suffix(default_port).unwrap_or(name).to_ascii_lowercase();
    !authority.is_empty() && without_port(authority) == without_port(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_and_listed_origins_are_admitted() {
        let origins = Origins { allowed: vec!["https://app.example".into()], required: false };
        for (origin, host, admitted) in [
            (None, "example.com", true),
            (Some("http://example.com"), "example.com", true),
            (Some("https://example.com"), "example.com", true),
            (Some("https://EXAMPLE.com"), "Example.COM:443", true),
            (Some("http://example.com:8080"), "example.com:8080", true),
            (Some("http://[::1]:3000"), "[::1]:3000", true),
            (Some("https://app.example"), "example.com", true),
            (Some("https://app.example:8443"), "example.com", false),
            (Some("http://app.example"), "example.com", false),
            (Some("http://example.com"), "example.com:443", false),
            (Some("http://example.com:8080"), "example.com", false),
            (Some("https://evil.example"), "example.com", false),
            (Some("https://example.com.evil.example"), "example.com", false),
            (Some("null"), "null", false),
            (Some("null"), "example.com", false),
            (Some(""), "", false),
            (Some("http://"), "", false),
            (Some("file://example.com"), "example.com", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(origins.admit(&headers), admitted, "{origin:?} at {host}");
        }
    }

    #[test]
    fn an_origin_may_be_required() {
        let origins = Origins { required: true, ..Origins::default() };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "example.com".parse().unwrap());
        assert!(!origins.admit(&headers) && Origins::default().admit(&headers));
        headers.insert(header::ORIGIN, "http://example.com".parse().unwrap());
        assert!(origins.admit(&headers));
    }

    #[test]
    fn odd_headers_do_not_slip_through() {
        let own = ("origin", &b"http://example.com"[..]);
        let host = ("host", &b"example.com"[..]);
        for (lines, admitted) in [
            (vec![own, host], true),
            (vec![own], false),
            (vec![own, ("origin", b"https://evil.example"), host], false),
            (vec![("origin", b"http://ex\xe4mple.com"), host], false),
            (vec![own, host, ("host", b"evil.example")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in &lines {
                headers.append(*name, HeaderValue::from_bytes(value).unwrap());
            }
            assert_eq!(Origins::default().admit(&headers), admitted, "{lines:?}");
        }
    }
}
