//! The groups of express-session 1.19's own tests that are about the cookie, as far as no server is needed.
//!
//! Where its options are checked when the program runs, ours have types; those cases are about stored cookies here.

mod object;
mod option;
mod session_cookie;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;

use super::{CookieChoice, CookieOptions, CookieState};
use crate::{RequestFacts, TrustProxy};

/// 2030-01-01T00:00:00Z, when all of these tests happen.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_893_456_000)
}

/// A site whose every request begins a session and stores something in it.
struct App {
    cookie: CookieChoice,
    trust: TrustProxy,
}

/// A request to an [`App`].
#[derive(Clone, Copy)]
struct Get<'a> {
    path: &'a str,
    /// What `req.secure` says in Express: our caller has a connection with TLS, or an opinion.
    secure: bool,
    /// `X-Forwarded-Proto`.
    forwarded: Option<&'a str>,
}

const PLAIN: Get<'_> = Get { path: "/", secure: false, forwarded: None };

const SECURE: Get<'_> = Get { secure: true, ..PLAIN };

const fn at(path: &str) -> Get<'_> {
    Get { path, ..PLAIN }
}

const fn forwarded(protocol: &str) -> Get<'_> {
    Get { forwarded: Some(protocol), ..PLAIN }
}

impl App {
    fn new(options: CookieOptions) -> Self {
        Self { cookie: options.into(), trust: TrustProxy::No }
    }

    fn trusting(options: CookieOptions) -> Self {
        Self { trust: TrustProxy::All, ..Self::new(options) }
    }

    fn choosing(choose: impl Fn(&RequestFacts<'_>) -> CookieOptions + Send + Sync + 'static) -> Self {
        Self { cookie: CookieChoice::PerRequest(Arc::new(choose)), trust: TrustProxy::No }
    }

    /// Returns `Set-Cookie`.
    fn get(&self, request: Get<'_>) -> Option<String> {
        self.get_with(request, |_| {})
    }

    /// As [`get`](Self::get), where the page changes the cookie first.
    fn get_with(&self, request: Get<'_>, page: impl FnOnce(&mut CookieState)) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(protocol) = request.forwarded {
            headers.insert(crate::proxy::X_FORWARDED_PROTO, protocol.parse().unwrap());
        }
        let facts = RequestFacts::new(request.path, &headers, request.secure, self.trust);
        let options = self.cookie.options(&facts);
        if !options.covers(facts.path) {
            return None;
        }
        let mut cookie = options.state(now(), facts.secure);
        page(&mut cookie);
        cookie.touch(now());
        cookie.may_send(facts.secure).then(|| cookie.set_cookie("connect.sid", "s:1.2").unwrap())
    }
}

/// Asserts that a cookie was set with some attributes and without others, by name.
fn assert_cookie(header: Option<&str>, with: &[&str], without: &[&str]) {
    let attributes: Vec<_> = header.expect("a cookie").split("; ").skip(1).collect();
    for attribute in with {
        assert!(attributes.contains(attribute), "{attribute} in {attributes:?}");
    }
    let names: Vec<_> = attributes.iter().map(|part| part.split('=').next().unwrap()).collect();
    for attribute in without {
        assert!(!names.contains(attribute), "no {attribute} in {attributes:?}");
    }
}
