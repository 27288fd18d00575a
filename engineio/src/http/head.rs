//! The head of a request: request line and header fields.

use std::borrow::Cow;
use std::fmt;
use std::mem::{self, MaybeUninit};
use std::sync::Arc;

use ::http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use ::http::{HeaderMap, Method, Request, StatusCode, Uri, Version, request};
use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::Framing;

/// How large a request head may be.
#[derive(Clone, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head; 16 KiB, as Node.js. Values above 65,535 count as 65,535.
    pub max_bytes: usize,
    /// Header fields; 100, as hyper. Values above 128 count as 128.
    pub max_headers: usize,
    /// Bytes of the request target; 8 KiB, which is what RFC 9112 section 3 asks for.
    pub max_target: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_bytes: 16 * 1024, max_headers: 100, max_target: 8 * 1024 }
    }
}

/// A request head: one shared buffer and an index into it, small enough to be kept with a connection.
///
/// A clone shares both. `Debug` prints names but no values, which may be secrets (`sid`, cookies, tokens).
#[derive(Clone)]
pub struct RequestHead {
    raw: Bytes,
    method: Span,
    target: Span,
    path: Span,
    query: Span,
    version: Version,
    fields: Arc<[(Span, Span)]>,
}

impl RequestHead {
    /// Returns the method as sent; methods are case-sensitive.
    pub fn method(&self) -> &str {
        self.text(self.method)
    }

    /// Returns the request target as sent, whatever its form.
    pub fn target(&self) -> &str {
        self.text(self.target)
    }

    pub(crate) fn has_method(&self, method: &str) -> bool {
        self.bytes(self.method) == method.as_bytes()
    }

    /// Returns the path of the target, still percent-encoded; `*` for `OPTIONS *`.
    pub fn path(&self) -> &str {
        match self.text(self.path) {
            "" => "/",
            path => path,
        }
    }

    pub(crate) fn has_path_prefix(&self, prefix: &str) -> bool {
        match self.bytes(self.path) {
            b"" => prefix == "/",
            path => path.starts_with(prefix.as_bytes()),
        }
    }

    /// Returns the query of the target without its `?`, still percent-encoded; empty if there is none.
    pub fn query(&self) -> &str {
        self.text(self.query)
    }

    pub(crate) fn query_bytes(&self) -> &[u8] {
        self.bytes(self.query)
    }

    /// Returns the version, HTTP/1.0 or HTTP/1.1.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the first value of a header if it is UTF-8; the name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Returns every value of a header in the order of the request; the name in any case.
    pub fn header_values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let is_named = move |field: &[u8]| field.eq_ignore_ascii_case(name.as_bytes());
        self.header_bytes().filter(move |(field, _)| is_named(field)).map(|(_, value)| value)
    }

    /// Returns the items of a header that is a comma-separated list, such as `Connection`, without white space around
    /// them.
    pub fn header_items<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.header_values(name).flat_map(list_items)
    }

    /// Returns names as sent and values without surrounding whitespace, in the order of the request.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|&(name, value)| (self.text(name), self.bytes(value)))
    }

    /// As [`headers`](Self::headers), but to see names as text takes a check of each.
    pub(super) fn header_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|&(name, value)| (self.bytes(name), self.bytes(value)))
    }

    /// Returns the decoded value of a query parameter. When it is given twice the last one wins, as in Node.js.
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_params().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Returns the decoded names and values of the query: `+` is a space, ill-formed UTF-8 becomes U+FFFD.
    pub fn query_params(&self) -> impl DoubleEndedIterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.query().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_query(name), decode_query(value))
        })
    }

    /// Copies the head into an allocation of its own, so that keeping it does not keep a read buffer alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self { raw: Bytes::copy_from_slice(&self.raw), ..self.clone() }
    }

    /// Converts to the ecosystem's type, for application handlers. Header values share the buffer of the head.
    ///
    /// Characters that [`Uri`] refuses are percent-encoded in its path and query.
    pub fn to_parts(&self) -> request::Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::from_bytes(self.method().as_bytes()).expect("the parser accepts tokens only");
        parts.uri = Uri::try_from(self.target())
            .or_else(|_| {
                let whole = format!("{}?{}", self.path(), self.query());
                Uri::try_from(utf8_percent_encode(&whole, NOT_IN_URI).to_string())
            })
            .unwrap_or_default();
        parts.version = self.version;
        parts.headers = HeaderMap::with_capacity(self.fields.len());
        for &(name, value) in &*self.fields {
            let name =
                HeaderName::from_bytes(self.text(name).as_bytes()).expect("the parser accepts tokens only");
            let mut value = HeaderValue::from_maybe_shared(self.raw.slice(value.range()))
                .expect("the parser accepts no control characters");
            value.set_sensitive([AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(&name));
            parts.headers.append(name, value);
        }
        parts
    }

    fn bytes(&self, span: Span) -> &[u8] {
        &self.raw[span.range()]
    }

    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(self.bytes(span)).expect("the parser accepts ASCII only in these places")
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RequestHead")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("query", &self.query_params().map(|(name, _)| name).collect::<Vec<_>>())
            .field("headers", &self.headers().map(|(name, _)| name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Why a request head is refused. The TCP connection must be closed after the answer: where the next request
/// starts is unknown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Content-Length is repeated, or not a plain decimal number below 2^64.
    #[error("Content-Length is not exactly one decimal number")]
    ContentLength,
    /// The client expects something else than `100-continue`.
    #[error("Expect is not 100-continue")]
    Expectation,
    /// A header name is not a token followed by a colon; also a folded line.
    #[error("malformed header name")]
    HeaderName,
    /// A header value has a control character.
    #[error("malformed header value")]
    HeaderValue,
    /// Host is missing in HTTP/1.1, repeated, or has characters that no authority has.
    #[error("Host is not given exactly once")]
    Host,
    /// Both Content-Length and Transfer-Encoding are given.
    #[error("both Content-Length and Transfer-Encoding")]
    LengthConflict,
    /// A line ends with something else than CR LF.
    #[error("a line does not end with CR LF")]
    LineEnd,
    /// The method is longer than any that is known.
    #[error("method too long")]
    MethodTooLong,
    /// The first line is not a method, a target and a version.
    #[error("malformed request line")]
    RequestLine,
    /// The target is not `/...`, `http(s)://...` or `*` in visible ASCII without `#`.
    #[error("malformed request target")]
    Target,
    /// The target is longer than [`HeadLimits::max_target`].
    #[error("request target too long")]
    TargetTooLong,
    /// The head is longer than [`HeadLimits::max_bytes`].
    #[error("request head too long")]
    TooLong,
    /// There are more header fields than [`HeadLimits::max_headers`].
    #[error("too many header fields")]
    TooManyHeaders,
    /// Transfer-Encoding is repeated, not exactly `chunked`, or in an HTTP/1.0 request.
    #[error("Transfer-Encoding is not exactly `chunked`, once, in HTTP/1.1")]
    TransferEncoding,
    /// The version is not HTTP/1.0 or HTTP/1.1.
    #[error("HTTP version not supported")]
    Version,
}

impl HeadError {
    /// Returns the status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::MethodTooLong => StatusCode::NOT_IMPLEMENTED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooLong | Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::HeaderName => Self::HeaderName,
            httparse::Error::HeaderValue => Self::HeaderValue,
            httparse::Error::NewLine => Self::LineEnd,
            httparse::Error::Status | httparse::Error::Token => Self::RequestLine,
            httparse::Error::TooManyHeaders => Self::TooManyHeaders,
            httparse::Error::Version => Self::Version,
        }
    }
}

/// Takes a request head from the front of `buffer`, without a copy; `None`, and nothing is taken, while it is
/// incomplete.
///
/// Every call looks at the incomplete head from its start, so a head that arrives byte by byte costs at most
/// `max_bytes`² / 2 byte inspections (with the default some 30 ms of one core), for which the client has to send
/// `max_bytes` segments.
///
/// # Errors
///
/// As soon as what has arrived cannot become a head that is well-formed, unambiguous and within the limits.
pub fn parse(
    buffer: &mut BytesMut,
    limits: &HeadLimits,
) -> Result<Option<(RequestHead, Framing)>, HeadError> {
    // RFC 9112 section 2.2: clients of old append CR LF to a body.
    let blank = buffer.chunks_exact(2).take(MAX_BLANK_LINES).take_while(|line| line == b"\r\n").count() * 2;
    let max_bytes = limits.max_bytes.min(usize::from(u16::MAX));
    let arrived = &buffer[blank..];
    let window = &arrived[..arrived.len().min(max_bytes)];
    // More blank lines than are skipped, which httparse would skip.
    if window.starts_with(b"\r\n") {
        return Err(HeadError::RequestLine);
    }

    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let fields = &mut fields[..limits.max_headers.min(MAX_HEADERS)];
    let mut parsed = httparse::Request::new(&mut []);
    let httparse::Status::Complete(length) = parsed.parse_with_uninit_headers(window, fields)? else {
        check_line_ends(window)?;
        check_request_line(window, limits)?;
        return if arrived.len() < max_bytes { Ok(None) } else { Err(HeadError::TooLong) };
    };
    check_line_ends(&window[..length])?;

    let (method, target) = parsed.method.zip(parsed.path).ok_or(HeadError::RequestLine)?;
    check_lengths(method.len(), target.len(), limits)?;
    let (path, query) = split_target(target).ok_or(HeadError::Target)?;
    let mut head = RequestHead {
        raw: Bytes::new(),
        method: Span::of(method.as_bytes(), window),
        target: Span::of(target.as_bytes(), window),
        path: Span::of(path.as_bytes(), window),
        query: Span::of(query.as_bytes(), window),
        version: if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 },
        fields: (parsed.headers.iter())
            .map(|field| (Span::of(field.name.as_bytes(), window), Span::of(field.value, window)))
            .collect(),
    };
    buffer.advance(blank);
    // Which alone has no need of memory that is shared.
    head.raw = if buffer.len() == length { mem::take(buffer) } else { buffer.split_to(length) }.freeze();
    let framing = Framing::of(&head)?;
    Ok(Some((head, framing)))
}

/// The items of a comma-separated list, without white space around them.
pub(super) fn list_items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// A part of the head, by offsets.
#[derive(Clone, Copy)]
struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// Finds where `part`, a slice of `whole` or empty, lies in it.
    fn of(part: &[u8], whole: &[u8]) -> Self {
        if part.is_empty() {
            return Self { start: 0, end: 0 };
        }
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        let offset = |at: usize| u16::try_from(at).expect("a head has at most 65,535 bytes");
        Self { start: offset(start), end: offset(start + part.len()) }
    }

    fn range(self) -> std::ops::Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

/// httparse takes a bare LF for a line end.
fn check_line_ends(window: &[u8]) -> Result<(), HeadError> {
    let lines = window.iter().zip(window.get(1..).unwrap_or_default());
    // To look at all of them is faster than to stop at the first.
    let bare = lines.fold(window.starts_with(b"\n"), |bare, (before, byte)| {
        bare | ((*byte == b'\n') & (*before != b'\r'))
    });
    if bare { Err(HeadError::LineEnd) } else { Ok(()) }
}

/// Applies the limits to a request line that may be incomplete.
fn check_request_line(window: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
    let line = &window[..memchr(b'\r', window).unwrap_or(window.len())];
    let method = memchr(b' ', line).unwrap_or(line.len());
    let target = line.get(method + 1..).unwrap_or_default();
    check_lengths(method, memchr(b' ', target).unwrap_or(target.len()), limits)
}

fn check_lengths(method: usize, target: usize, limits: &HeadLimits) -> Result<(), HeadError> {
    if method > MAX_METHOD {
        return Err(HeadError::MethodTooLong);
    }
    if target > limits.max_target {
        return Err(HeadError::TargetTooLong);
    }
    Ok(())
}

/// Splits a target into path and query; RFC 9112 section 3.2 without the form of CONNECT.
fn split_target(target: &str) -> Option<(&str, &str)> {
    // To look at all of them is faster than to stop at the first.
    if !target.bytes().fold(true, |good, byte| good & byte.is_ascii_graphic() & (byte != b'#')) {
        return None;
    }
    let local = if target.starts_with('/') || target == "*" {
        target
    } else {
        let (scheme, rest) = target.split_once("://")?;
        let start = rest.find(['/', '?']).unwrap_or(rest.len());
        if start == 0 || !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) {
            return None;
        }
        &rest[start..]
    };
    // Byte by byte, as paths are short here.
    Some(match local.bytes().position(|byte| byte == b'?') {
        Some(at) => (&local[..at], &local[at + 1..]),
        None => (local, ""),
    })
}

fn decode_query(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        Cow::Owned(percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned())
    } else {
        percent_decode_str(text).decode_utf8_lossy()
    }
}

/// Blank lines that are skipped before a request.
const MAX_BLANK_LINES: usize = 4;
/// Upper bound of [`HeadLimits::max_headers`], which keeps the parser's index on the stack.
const MAX_HEADERS: usize = 128;
/// Bytes of a method; the longest registered one, UPDATEREDIRECTREF, has 17.
const MAX_METHOD: usize = 32;
/// Visible ASCII that [`Uri`] refuses, in the path or in the query.
const NOT_IN_URI: &AsciiSet = &CONTROLS.add(b'"').add(b'<').add(b'>').add(b'`');

#[cfg(test)]
mod tests {
    use super::super::BodyLength;
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Option<(RequestHead, Framing)>, HeadError> {
        parse(&mut BytesMut::from(bytes), &HeadLimits::default())
    }

    fn complete(bytes: &[u8]) -> (RequestHead, Framing) {
        read(bytes).unwrap().unwrap()
    }

    #[test]
    fn parts_of_a_head() {
        let mut buffer = BytesMut::from(
            "\r\nPOST /io/?EIO=4&sid=s%20e+c&x&sid=la%ffst HTTP/1.1\r\nHost: h\r\nCookie: secret=1\r\nEmpty:\r\n\
             Void: \t \r\nLatin:\te\u{301} \r\naccept: a\r\nACCEPT: b\r\ncontent-length: 3\r\n\r\nabcGET ",
        );
        let (head, framing) = parse(&mut buffer, &HeadLimits::default()).unwrap().unwrap();
        assert_eq!(buffer, "abcGET ");
        for head in [&head, &head.compact()] {
            assert_eq!((head.method(), head.path(), head.version()), ("POST", "/io/", Version::HTTP_11));
            assert_eq!(head.query(), "EIO=4&sid=s%20e+c&x&sid=la%ffst");
            assert_eq!(head.query_param("sid").unwrap(), "la\u{fffd}st");
            assert_eq!(head.query_param("x").unwrap(), "");
            assert_eq!(head.query_param("y"), None);
            assert_eq!(head.query_params().nth(1).unwrap().1, "s e c");
            assert_eq!(head.header("LATIN"), Some("e\u{301}"));
            assert_eq!(
                (head.header("empty"), head.header("void"), head.header("none")),
                (Some(""), Some(""), None)
            );
            assert_eq!(head.header_values("Accept").collect::<Vec<_>>(), [b"a", b"b"]);
            assert_eq!(head.header_items("accept").collect::<Vec<_>>(), [b"a", b"b"]);
            let shown = format!("{head:?}");
            assert!(shown.contains("Cookie") && shown.contains("sid"), "{shown}");
            assert!(
                !shown.contains("secret") && !shown.contains("s e c") && !shown.contains("la"),
                "{shown}"
            );
        }
        assert_eq!(framing.body, BodyLength::Length(3));
        let parts = head.to_parts();
        assert_eq!((parts.method.as_str(), parts.uri.path()), ("POST", "/io/"));
        assert_eq!(parts.headers.get_all("accept").iter().count(), 2);
        assert!(parts.headers["cookie"].is_sensitive());
    }

    #[test]
    fn targets() {
        let table = [
            ("/", "/", "", "/"),
            ("/a?b?c", "/a", "b?c", "/a?b?c"),
            ("/a?EIO[]=4", "/a", "EIO[]=4", "/a?EIO[]=4"),
            ("//e/x", "//e/x", "", "//e/x"),
            ("*", "*", "", "*"),
            ("http://h/p?q", "/p", "q", "http://h/p?q"),
            ("HTTPS://h:8?q", "/", "q", "https://h:8/?q"),
            ("http://h", "/", "", "http://h/"),
            ("http://h[/p`?<", "/p`", "<", "/p%60?%3C"),
        ];
        for (target, path, query, uri) in table {
            let (head, _) = complete(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
            assert_eq!((head.target(), head.path(), head.query()), (target, path, query));
            assert_eq!(head.to_parts().uri.to_string().to_ascii_lowercase(), uri.to_ascii_lowercase());
        }
    }

    #[test]
    fn refused_whole() {
        let table: &[(&str, &[u8], u16)] = &[
            ("HTTP/0.9", b"GET /\r\n\r\n", 400),
            ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
            ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
            ("lower case version", b"GET / http/1.1\r\nHost: h\r\n\r\n", 505),
            ("no version", b"GET /a b\r\nHost: h\r\n\r\n", 505),
            ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            ("no method", b" / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("long method", b"GETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\nHost: h\r\n\r\n", 501),
            ("two spaces", b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("space after version", b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400),
            ("five blank lines", b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("relative target", b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("authority target", b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("other scheme", b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("no authority", b"GET http:///p HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("NUL in target", b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("tab in target", b"GET /\t HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("raw UTF-8 in target", "GET /é HTTP/1.1\r\nHost: h\r\n\r\n".as_bytes(), 400),
            ("fragment", b"GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("bare LF after request line", b"GET / HTTP/1.1\nHost: h\r\n\r\n", 400),
            ("bare LF after header", b"GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400),
            ("bare LF at the end", b"GET / HTTP/1.1\r\nHost: h\r\n\n", 400),
            ("bare LF at the start", b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("bare LF in an incomplete head", b"GET / HTTP/1.1\r\nHost: h\nA", 400),
            ("bare CR in value", b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", 400),
            ("bare CR as line end", b"GET / HTTP/1.1\rHost: h\r\n\r\n", 400),
            ("CR CR LF", b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", 400),
            ("bare CR at the end", b"GET / HTTP/1.1\r\nHost: h\r\n\r\r\n", 400),
            ("NUL in value", b"GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n", 400),
            ("DEL in value", b"GET / HTTP/1.1\r\nHost: h\r\nA: \x7f\r\n\r\n", 400),
            ("space before colon", b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
            ("no colon", b"GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", 400),
            ("empty name", b"GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", 400),
            ("folded line", b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400),
            ("folded first line", b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400),
        ];
        for (name, bytes, status) in table {
            assert_eq!(read(bytes).map_err(|error| error.status().as_u16()).unwrap_err(), *status, "{name}");
        }
    }

    #[test]
    fn limits_cut_complete_and_incomplete_heads() {
        let limits = HeadLimits { max_bytes: 100, max_headers: 3, max_target: 20 };
        let status = |bytes: &str| match parse(&mut BytesMut::from(bytes), &limits) {
            Ok(head) => u16::from(head.is_some()),
            Err(error) => error.status().as_u16(),
        };
        let start = "GET / HTTP/1.1\r\nHost: h\r\n";
        let table = [
            (format!("GET {:a<20} HTTP/1.1\r\nHost: h\r\n\r\n", "/"), 1),
            (format!("GET {:a<21} HTTP/1.1\r\nHost: h\r\n\r\n", "/"), 414),
            (format!("GET {:a<20}", "/"), 0),
            (format!("GET {:a<21}", "/"), 414),
            (format!("GET {:a<9999}", "/"), 414),
            ("G".repeat(32), 0),
            ("G".repeat(33), 501),
            (format!("{start}{:a<72}\r\n\r\n", "A:"), 431),
            (format!("{start}{:a<71}\r\n\r\n", "A:"), 1),
            (format!("{start}{:a<74}", "A:"), 0),
            (format!("{start}{:a<75}", "A:"), 431),
            (format!("{start}a: b\r\nc: d\r\n\r\n"), 1),
            (format!("{start}a: b\r\nc: d\r\ne: f\r\n\r\n"), 431),
            (format!("{start}a: b\r\nc: d\r\ne: f\r\n"), 431),
        ];
        for (bytes, expected) in table {
            assert_eq!(status(&bytes), expected, "{} bytes: {bytes:?}", bytes.len());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn whatever_is_accepted_converts(
            method in "[!#-'*+.0-9A-Z^-z|~-]{1,8}", target in "[!-~]{0,20}", name in "[!#-'*+.0-9A-Z^-z|~-]{1,8}",
            value in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = format!("{method} /{target} HTTP/1.1\r\nHost: h\r\n{name}: ").into_bytes();
            bytes.extend(value);
            bytes.extend(b"\r\n\r\n");
            if let Ok(Some((head, _))) = read(&bytes) {
                let parts = head.to_parts();
                prop_assert_eq!(parts.headers.len(), 2);
                prop_assert_eq!(parts.method.as_str(), method);
            }
        }

        #[test]
        fn a_prefix_is_never_another_head(cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
                                          byte in any::<u8>()) {
            let mut bytes = b"\r\nPOST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nCookie: a=b; c\r\n\r\n".to_vec();
            let (cut, at) = (cut.index(bytes.len()), at.index(bytes.len()));
            prop_assert!(read(&bytes[..cut]).unwrap().is_none());
            bytes[at] = byte;
            let whole = read(&bytes);
            match read(&bytes[..cut]) {
                Ok(None) => {}
                Ok(Some((head, framing))) => {
                    let (same, also) = whole.unwrap().unwrap();
                    prop_assert_eq!((head.raw, framing), (same.raw, also));
                }
                Err(_) => prop_assert!(whole.is_err()),
            }
        }
    }
}
