//! Heads of responses.

use ::http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING, UPGRADE};
use ::http::{HeaderName, HeaderValue, StatusCode, Version};

/// What a response has to know of the request and of the TCP connection that it answers on.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The time now, which RFC 9110 section 6.6.1 asks a server with a clock for.
    pub date: Option<&'a HeaderValue>,
    /// Whether the request was HEAD: the response has the length of the body but not the body.
    pub head_only: bool,
    /// Whether the TCP connection stays open afterwards.
    pub keep_alive: bool,
    /// Version of the request.
    pub version: Version,
}

/// Appends the head of a response whose body has `length` bytes; returns how many of them have to follow: all, or
/// none for HEAD and for statuses without a body.
///
/// The framing is the server's alone: Connection, Content-Length, Transfer-Encoding and (if the exchange has one)
/// Date in `headers` are left out. An Upgrade header is announced in Connection. Names and values are typed, so a
/// value cannot start another header.
///
/// ```
/// use engineio::http::{Exchange, write_head};
/// use http::{HeaderValue, StatusCode, Version, header::CACHE_CONTROL};
///
/// let exchange = Exchange { date: None, head_only: false, keep_alive: true, version: Version::HTTP_11 };
/// let mut out = Vec::new();
/// let headers = [(&CACHE_CONTROL, &HeaderValue::from_static("no-store"))];
/// assert_eq!(write_head(&mut out, &exchange, StatusCode::OK, headers, 2), 2);
/// assert_eq!(out, b"HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: 2\r\n\r\n");
/// ```
pub fn write_head<'a>(
    out: &mut Vec<u8>,
    exchange: &Exchange<'_>,
    status: StatusCode,
    headers: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    length: usize,
) -> usize {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");

    let mut upgrade = false;
    for (name, value) in headers {
        // Safari waits for a body after a preflight answered 204 without a length of zero.
        let zero = name == CONTENT_LENGTH && status == StatusCode::NO_CONTENT && value == "0";
        let ours = name == CONNECTION
            || name == CONTENT_LENGTH
            || name == TRANSFER_ENCODING
            || (name == DATE && exchange.date.is_some());
        if zero || !ours {
            field(out, name.as_str(), value.as_bytes());
        }
        upgrade |= name == UPGRADE;
    }
    if let Some(date) = exchange.date {
        field(out, "date", date.as_bytes());
    }
    let persistence = match (exchange.keep_alive, exchange.version) {
        _ if status.is_informational() => None,
        (false, _) => Some("close"),
        (true, Version::HTTP_10) => Some("keep-alive"),
        (true, _) => None,
    };
    match (upgrade, persistence) {
        (true, None) => field(out, "connection", b"Upgrade"),
        (true, Some(token)) => field(out, "connection", format!("Upgrade, {token}").as_bytes()),
        (false, Some(token)) => field(out, "connection", token.as_bytes()),
        (false, None) => {}
    }
    let bodiless =
        status.is_informational() || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if !bodiless {
        field(out, "content-length", itoa::Buffer::new().format(length).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    if bodiless || exchange.head_only { 0 } else { length }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderMap;

    fn head(
        status: u16,
        exchange: &Exchange<'_>,
        fields: &[(&'static str, &'static str)],
    ) -> (String, usize) {
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut out = Vec::new();
        let follow = write_head(&mut out, exchange, StatusCode::from_u16(status).unwrap(), &headers, 5);
        (String::from_utf8(out).unwrap(), follow)
    }

    #[test]
    fn heads() {
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        let modern = Exchange { date: None, head_only: false, keep_alive: true, version: Version::HTTP_11 };
        let old = Exchange { version: Version::HTTP_10, ..modern };
        let close = Exchange { keep_alive: false, ..modern };
        let dated = Exchange { date: Some(&date), ..modern };
        type Row<'a> = (u16, Exchange<'a>, &'a [(&'static str, &'static str)], &'a str, usize);
        let table: &[Row<'_>] = &[
            (200, modern, &[], "200 OK\r\ncontent-length: 5\r\n", 5),
            (200, Exchange { head_only: true, ..modern }, &[], "200 OK\r\ncontent-length: 5\r\n", 0),
            (299, modern, &[], "299 \r\ncontent-length: 5\r\n", 5),
            (400, close, &[], "400 Bad Request\r\nconnection: close\r\ncontent-length: 5\r\n", 5),
            (200, old, &[], "200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n", 5),
            (
                200,
                Exchange { keep_alive: false, ..old },
                &[],
                "200 OK\r\nconnection: close\r\ncontent-length: 5\r\n",
                5,
            ),
            (100, close, &[], "100 Continue\r\n", 0),
            (204, modern, &[], "204 No Content\r\n", 0),
            (204, modern, &[("content-length", "0")], "204 No Content\r\ncontent-length: 0\r\n", 0),
            (204, modern, &[("content-length", "5")], "204 No Content\r\n", 0),
            (304, close, &[], "304 Not Modified\r\nconnection: close\r\n", 0),
            (
                101,
                close,
                &[("upgrade", "websocket")],
                "101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n",
                0,
            ),
            (
                426,
                close,
                &[("upgrade", "x")],
                "426 Upgrade Required\r\nupgrade: x\r\nconnection: Upgrade, close\r\ncontent-length: 5\r\n",
                5,
            ),
            (
                200,
                modern,
                &[("connection", "close"), ("content-length", "0"), ("transfer-encoding", "chunked")],
                "200 OK\r\ncontent-length: 5\r\n",
                5,
            ),
            (
                200,
                modern,
                &[("set-cookie", "a=1"), ("set-cookie", "b=2")],
                "200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 5\r\n",
                5,
            ),
            (
                200,
                dated,
                &[("date", "never")],
                "200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 5\r\n",
                5,
            ),
            (200, modern, &[("date", "never")], "200 OK\r\ndate: never\r\ncontent-length: 5\r\n", 5),
        ];
        for (status, exchange, fields, expected, follow) in table {
            assert_eq!(head(*status, exchange, fields), (format!("HTTP/1.1 {expected}\r\n"), *follow));
        }
    }
}
