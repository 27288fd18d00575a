//! Cross-origin resource sharing: which web pages may read the answers of the server.
//!
//! Behaves as the npm package `cors` behind the official server. It tells browsers what to allow and refuses nothing
//! itself: a disallowed origin gets its answer without the headers, and WebSockets are not subject to CORS at all.
//! To refuse requests by origin, use the handshake hook.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONTENT_LENGTH, VARY,
};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::http::RequestHead;

/// The CORS policy of a server.
///
/// ```
/// use engineio::cors::Cors;
///
/// let cors = Cors::origins(["https://example.com", "http://localhost:8080"])?.credentials(true)?;
/// # Ok::<(), engineio::cors::CorsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cors {
    origin: Origin,
    methods: HeaderValue,
    allowed_headers: Option<HeaderValue>,
    exposed_headers: Option<HeaderValue>,
    credentials: bool,
    max_age: Option<HeaderValue>,
    options_success_status: StatusCode,
    preflight_continue: bool,
}

#[derive(Clone)]
enum Origin {
    Any,
    Constant(HeaderValue),
    List(Arc<[HeaderValue]>),
    Predicate(Arc<dyn Fn(&str) -> bool + Send + Sync>),
    Reflect,
}

impl Cors {
    /// Allows every origin with `*`, so without credentials.
    pub fn any() -> Self {
        Self::new(Origin::Any)
    }

    /// Allows one origin, which is named to any requester; `*` is [`Cors::any`].
    ///
    /// # Errors
    ///
    /// [`CorsError::Origin`] if it is not an origin as browsers write it: `scheme://host[:port]` or `null`.
    pub fn origin(origin: &str) -> Result<Self, CorsError> {
        if origin == "*" { Ok(Self::any()) } else { Ok(Self::new(Origin::Constant(parse_origin(origin)?))) }
    }

    /// Allows the origins of a list, each named to itself only.
    ///
    /// # Errors
    ///
    /// As [`Cors::origin`]; `*` is none here.
    pub fn origins<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, CorsError> {
        let list = origins.into_iter().map(parse_origin).collect::<Result<_, _>>()?;
        Ok(Self::new(Origin::List(list)))
    }

    /// Allows every origin by naming it to itself. With credentials this lets any web page act as its visitor.
    pub fn reflect() -> Self {
        Self::new(Origin::Reflect)
    }

    /// Allows the origins for which `allowed` returns true, each named to itself only.
    pub fn predicate(allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::new(Origin::Predicate(Arc::new(allowed)))
    }

    /// Sets the methods that a preflight allows; `GET,HEAD,PUT,PATCH,POST,DELETE` at first.
    #[must_use]
    pub fn methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        Self { methods: list(methods), ..self }
    }

    /// Sets the request headers that a preflight allows; at first it allows those that it is asked for.
    #[must_use]
    pub fn allowed_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self { allowed_headers: Some(list(names)), ..self }
    }

    /// Sets the response headers that scripts may read; none at first.
    #[must_use]
    pub fn exposed_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self { exposed_headers: Some(list(names)), ..self }
    }

    /// Sets whether requests may carry cookies and other credentials; not at first.
    ///
    /// # Errors
    ///
    /// [`CorsError::CredentialsForAny`] for [`Cors::any`]. Browsers ignore credentials with `*`, and reflecting instead
    /// would open the server wider than what was asked for.
    pub fn credentials(self, credentials: bool) -> Result<Self, CorsError> {
        if credentials && matches!(self.origin, Origin::Any) {
            return Err(CorsError::CredentialsForAny);
        }
        Ok(Self { credentials, ..self })
    }

    /// Sets for how long, in whole seconds, a browser may remember a preflight; its own default at first.
    #[must_use]
    pub fn max_age(self, age: Duration) -> Self {
        Self { max_age: Some(age.as_secs().into()), ..self }
    }

    /// Sets the status of preflight answers; 204 at first. Some old browsers choke on it and want 200.
    #[must_use]
    pub fn options_success_status(self, status: StatusCode) -> Self {
        Self { options_success_status: status, ..self }
    }

    /// Sets whether preflights go on to the next handler, with the headers of [`Cors::apply`]; not at first.
    #[must_use]
    pub fn preflight_continue(self, preflight_continue: bool) -> Self {
        Self { preflight_continue, ..self }
    }

    /// Returns the whole answer to an OPTIONS request; `None` for other methods and if preflights go on.
    pub fn preflight(&self, head: &RequestHead) -> Option<(StatusCode, HeaderMap)> {
        if !head.has_method("OPTIONS") || self.preflight_continue {
            return None;
        }
        let mut headers = HeaderMap::new();
        self.apply(head, &mut headers);
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Some((self.options_success_status, headers))
    }

    /// Adds what the answer to `head` needs, errors and `101 Switching Protocols` included.
    pub fn apply(&self, head: &RequestHead, headers: &mut HeaderMap) {
        if let Some(origin) = self.allow_origin(head) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        if !matches!(self.origin, Origin::Any) {
            vary(headers, "Origin");
        }
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if head.has_method("OPTIONS") {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            if self.allowed_headers.is_none() {
                vary(headers, "Access-Control-Request-Headers");
            }
            let requested = || request_value(head, "access-control-request-headers");
            insert(headers, ACCESS_CONTROL_ALLOW_HEADERS, self.allowed_headers.clone().or_else(requested));
            insert(headers, ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        insert(headers, ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed_headers.clone());
    }

    fn new(origin: Origin) -> Self {
        Self {
            origin,
            methods: HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE"),
            allowed_headers: None,
            exposed_headers: None,
            credentials: false,
            max_age: None,
            options_success_status: StatusCode::NO_CONTENT,
            preflight_continue: false,
        }
    }

    fn allow_origin(&self, head: &RequestHead) -> Option<HeaderValue> {
        let requester = || request_value(head, "origin");
        match &self.origin {
            Origin::Any => Some(HeaderValue::from_static("*")),
            Origin::Constant(origin) => Some(origin.clone()),
            Origin::List(origins) => requester().filter(|origin| origins.contains(origin)),
            Origin::Predicate(allowed) => {
                requester().filter(|origin| origin.to_str().is_ok_and(|text| allowed(text)))
            }
            Origin::Reflect => requester(),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("Any"),
            Self::Constant(origin) => formatter.debug_tuple("Constant").field(origin).finish(),
            Self::List(origins) => formatter.debug_tuple("List").field(origins).finish(),
            Self::Predicate(_) => formatter.write_str("Predicate"),
            Self::Reflect => formatter.write_str("Reflect"),
        }
    }
}

/// Why a CORS policy makes no sense.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CorsError {
    /// Credentials are allowed to every origin with `*`, which browsers ignore.
    #[error(
        "credentials need a list of origins, a predicate or `Cors::reflect`: browsers ignore them with `*`"
    )]
    CredentialsForAny,
    /// No browser ever sends this as `Origin`.
    #[error("{0:?} is not an origin: scheme://host[:port] without a path, or null")]
    Origin(String),
}

fn parse_origin(origin: &str) -> Result<HeaderValue, CorsError> {
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let plausible =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/,*?#@".contains(&byte));
    let refused = || CorsError::Origin(origin.to_owned());
    if plausible || origin == "null" {
        HeaderValue::from_str(origin).map_err(|_| refused())
    } else {
        Err(refused())
    }
}

fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> HeaderValue {
    let mut joined = String::new();
    for item in items {
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(item.as_ref());
    }
    HeaderValue::try_from(joined).expect("methods and header names are tokens")
}

/// Returns a header of the request for the response; its bytes have passed the parser, so it cannot inject another.
fn request_value(head: &RequestHead, name: &str) -> Option<HeaderValue> {
    head.header_values(name).next().and_then(|value| HeaderValue::from_bytes(value).ok())
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        headers.insert(name, value);
    }
}

/// Adds a name to Vary, which may be there already.
fn vary(headers: &mut HeaderMap, name: &'static str) {
    let merged = match headers.get(VARY).and_then(|present| present.to_str().ok()) {
        None => HeaderValue::from_static(name),
        Some(present) if present.split(',').any(|item| ["*", name].contains(&item.trim())) => return,
        Some(present) => {
            HeaderValue::try_from(format!("{present}, {name}")).expect("both parts are visible ASCII")
        }
    };
    headers.insert(VARY, merged);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, parse};
    use ::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, ETAG};
    use bytes::BytesMut;

    fn request(method: &str, fields: &str) -> RequestHead {
        let request = format!("{method} /engine.io/?sid=a HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        parse(&mut BytesMut::from(request.as_bytes()), &HeadLimits::default()).unwrap().unwrap().0
    }

    /// The added headers, as `name: value` with `; ` between them and without `access-control-`.
    fn shown(headers: &HeaderMap) -> String {
        let line =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        headers.iter().map(line).collect::<Vec<_>>().join("; ").replace("access-control-", "")
    }

    fn added(cors: &Cors, method: &str, fields: &str) -> String {
        let mut headers = HeaderMap::new();
        cors.apply(&request(method, fields), &mut headers);
        shown(&headers)
    }

    #[test]
    fn origins_of_actual_responses() {
        let ends = |origin: &str| origin.ends_with(".a");
        let (own, other) = ("Origin: http://a\r\n", "Origin: http://x.a\r\n");
        let table = [
            (Cors::any(), own, "allow-origin: *"),
            (Cors::any(), "", "allow-origin: *"),
            (Cors::origin("*").unwrap(), own, "allow-origin: *"),
            (Cors::origin("http://a").unwrap(), own, "allow-origin: http://a; vary: Origin"),
            (Cors::origin("http://a").unwrap(), other, "allow-origin: http://a; vary: Origin"),
            (Cors::origin("http://a").unwrap(), "", "allow-origin: http://a; vary: Origin"),
            (Cors::origins(["http://b", "http://a"]).unwrap(), own, "allow-origin: http://a; vary: Origin"),
            (Cors::origins(["http://b", "http://a"]).unwrap(), other, "vary: Origin"),
            (Cors::origins(["http://b", "http://a"]).unwrap(), "", "vary: Origin"),
            (Cors::origins(["null"]).unwrap(), "Origin: null\r\n", "allow-origin: null; vary: Origin"),
            (Cors::origins([]).unwrap(), own, "vary: Origin"),
            (Cors::reflect(), other, "allow-origin: http://x.a; vary: Origin"),
            (Cors::reflect(), "", "vary: Origin"),
            (Cors::predicate(ends), other, "allow-origin: http://x.a; vary: Origin"),
            (Cors::predicate(ends), own, "vary: Origin"),
            (Cors::predicate(ends), "", "vary: Origin"),
        ];
        for (cors, fields, expected) in table {
            assert_eq!(added(&cors, "GET", fields), expected, "{cors:?} {fields}");
        }
    }

    #[test]
    fn preflights() {
        let asked = "Origin: http://a\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-a,x-b\r\n";
        let methods = "allow-methods: GET,HEAD,PUT,PATCH,POST,DELETE";
        let (status, headers) = Cors::any().preflight(&request("OPTIONS", asked)).unwrap();
        assert_eq!(status, StatusCode::NO_CONTENT);
        assert_eq!(
            shown(&headers),
            format!(
                "allow-origin: *; {methods}; vary: Access-Control-Request-Headers; allow-headers: x-a,x-b; content-length: 0"
            )
        );
        // Without anything asked for, and for an origin that is not allowed, it answers all the same.
        assert_eq!(
            added(&Cors::any(), "OPTIONS", ""),
            format!("allow-origin: *; {methods}; vary: Access-Control-Request-Headers")
        );
        assert_eq!(
            added(&Cors::origins([]).unwrap(), "OPTIONS", ""),
            format!("vary: Origin, Access-Control-Request-Headers; {methods}")
        );

        let cors = Cors::origin("http://a")
            .unwrap()
            .methods([Method::GET, Method::POST])
            .allowed_headers([AUTHORIZATION, CONTENT_TYPE])
            .exposed_headers([ETAG])
            .max_age(Duration::from_secs(60))
            .options_success_status(StatusCode::OK)
            .credentials(true)
            .unwrap();
        let (status, headers) = cors.preflight(&request("OPTIONS", asked)).unwrap();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            shown(&headers),
            "allow-origin: http://a; vary: Origin; allow-credentials: true; allow-methods: GET,POST; \
             allow-headers: authorization,content-type; max-age: 60; expose-headers: etag; content-length: 0"
        );
        assert_eq!(
            added(&cors, "POST", asked),
            "allow-origin: http://a; vary: Origin; allow-credentials: true; expose-headers: etag"
        );
        assert!(cors.preflight(&request("POST", asked)).is_none());
        assert!(cors.clone().preflight_continue(true).preflight(&request("OPTIONS", asked)).is_none());
        assert!(added(&cors.preflight_continue(true), "OPTIONS", asked).contains("allow-methods"));
        assert!(!added(&Cors::any().allowed_headers([]), "OPTIONS", asked).contains("allow-headers"));
    }

    #[test]
    fn vary_of_others_stays() {
        for (present, merged) in
            [("Accept-Encoding", "Accept-Encoding, Origin"), ("*", "*"), ("a, Origin", "a, Origin")]
        {
            let mut headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("x"))]);
            headers.insert(VARY, HeaderValue::from_static(present));
            Cors::reflect().apply(&request("GET", ""), &mut headers);
            assert_eq!(headers[VARY], merged);
            assert_eq!(headers.len(), 2);
        }
    }

    #[test]
    fn policies_that_make_no_sense_are_refused() {
        assert_eq!(Cors::any().credentials(true).unwrap_err(), CorsError::CredentialsForAny);
        assert_eq!(Cors::origin("*").unwrap().credentials(true).unwrap_err(), CorsError::CredentialsForAny);
        assert!(Cors::any().credentials(false).is_ok());
        for origin in [
            "",
            "a",
            "http://",
            "http://a/",
            "http://a/p",
            "http://a, http://b",
            "http://a\r\nX: y",
            "http://*.a",
            "http://\u{e9}",
        ] {
            assert_eq!(Cors::origin(origin).unwrap_err(), CorsError::Origin(origin.to_owned()));
            assert_eq!(Cors::origins([origin]).unwrap_err(), CorsError::Origin(origin.to_owned()));
        }
        assert!(Cors::origins(["*"]).is_err());
        assert!(Cors::origins(["capacitor://localhost", "http://[::1]:80"]).is_ok());
    }
}
