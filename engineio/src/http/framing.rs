//! Where a message ends and what becomes of the TCP connection: RFC 9112 sections 6 and 9.

use ::http::Version;

use super::{BodyLength, HeadError, RequestHead, head::list_items};

/// What a head says about its message: where the body ends and what becomes of the TCP connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Framing {
    /// How the end of the body is found.
    pub body: BodyLength,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// Whether another request may follow on the same TCP connection.
    pub keep_alive: bool,
    /// Whether the client asks to switch protocols: `Connection: upgrade` with an `Upgrade` header, in HTTP/1.1.
    pub upgrade: bool,
}

impl Framing {
    pub(super) fn of(head: &RequestHead) -> Result<Self, HeadError> {
        let modern = head.version() == Version::HTTP_11;
        let (mut host, mut expectation) = (Field::default(), Field::default());
        let (mut coding, mut length) = (Field::default(), Field::default());
        let (mut close, mut keep_alive, mut upgrade, mut protocol) = (false, modern, false, false);
        for (name, value) in head.header_bytes() {
            let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
            // Most names are told apart by their length.
            match name.len() {
                4 if is(b"host") => host.add(value),
                6 if is(b"expect") => expectation.add(value),
                7 if is(b"upgrade") => protocol = true,
                10 if is(b"connection") => {
                    for option in list_items(value) {
                        close |= option.eq_ignore_ascii_case(b"close");
                        keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                        upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                    }
                }
                14 if is(b"content-length") => length.add(value),
                17 if is(b"transfer-encoding") => coding.add(value),
                _ => {}
            }
        }
        match host {
            Field { value: None, .. } if modern => return Err(HeadError::Host),
            Field { repeated: true, .. } => return Err(HeadError::Host),
            Field { value: Some(host), .. } if !host.iter().all(|byte| IS_HOST[usize::from(*byte)]) => {
                return Err(HeadError::Host);
            }
            _ => {}
        }
        if expectation.value.is_some_and(|value| !value.eq_ignore_ascii_case(b"100-continue")) {
            return Err(HeadError::Expectation);
        }
        Ok(Self {
            body: body_length(&coding, &length, modern)?,
            expect_continue: modern && expectation.value.is_some(),
            keep_alive: keep_alive && !close,
            upgrade: upgrade && modern && protocol,
        })
    }
}

/// What a head says under one name.
#[derive(Default)]
struct Field<'a> {
    /// The first value.
    value: Option<&'a [u8]>,
    repeated: bool,
}

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a [u8]) {
        self.repeated = self.value.is_some();
        self.value.get_or_insert(value);
    }
}

/// The characters of an authority without user information: RFC 3986 section 3.2.2 and 3.2.3.
static IS_HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(')
            || matches!(byte, b')' | b'*' | b'+' | b';' | b'=' | b':' | b'[' | b']');
        byte += 1;
    }
    table
};

/// Decides where the body ends, RFC 9112 section 6.3, refusing all that could be read in two ways.
fn body_length(coding: &Field<'_>, length: &Field<'_>, modern: bool) -> Result<BodyLength, HeadError> {
    match (coding.value, length.value) {
        (None, None) => Ok(BodyLength::None),
        (Some(_), Some(_)) => Err(HeadError::LengthConflict),
        (Some(value), None) => {
            let chunked = value.eq_ignore_ascii_case(b"chunked") && !coding.repeated;
            if chunked && modern { Ok(BodyLength::Chunked) } else { Err(HeadError::TransferEncoding) }
        }
        (None, Some(value)) => {
            let digits = value.iter().all(u8::is_ascii_digit) && !length.repeated;
            let number =
                std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            number.map(BodyLength::Length).ok_or(HeadError::ContentLength)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HeadLimits, parse};
    use super::*;
    use bytes::BytesMut;

    fn framing(version: &str, fields: &str) -> Result<Framing, HeadError> {
        let head = format!("POST / HTTP/{version}\r\n{fields}\r\n");
        parse(&mut BytesMut::from(head.as_bytes()), &HeadLimits::default()).map(|head| head.unwrap().1)
    }

    #[test]
    fn accepted() {
        let plain = |body, keep_alive| Framing { body, expect_continue: false, keep_alive, upgrade: false };
        let empty = plain(BodyLength::None, true);
        let length = |length| BodyLength::Length(length);
        let table = [
            ("1.1", "", empty),
            ("1.0", "", plain(BodyLength::None, false)),
            ("1.0", "Connection: Keep-Alive\r\n", empty),
            ("1.1", "Connection: keep-alive, Close\r\n", plain(BodyLength::None, false)),
            (
                "1.1",
                "Connection: a\r\nConnection: Upgrade ,b\r\nUpgrade: x\r\n",
                Framing { upgrade: true, ..empty },
            ),
            ("1.1", "Connection: upgrade\r\n", empty),
            ("1.1", "Upgrade: websocket\r\n", empty),
            ("1.0", "Connection: upgrade\r\nUpgrade: x\r\n", plain(BodyLength::None, false)),
            ("1.1", "Expect: 100-Continue\r\n", Framing { expect_continue: true, ..empty }),
            ("1.0", "Expect: 100-continue\r\n", plain(BodyLength::None, false)),
            ("1.1", "Content-Length: 0\r\n", plain(length(0), true)),
            ("1.1", "Content-Length: 007\r\n", plain(length(7), true)),
            ("1.1", "Content-Length: 18446744073709551615\r\n", plain(length(u64::MAX), true)),
            ("1.1", "Transfer-Encoding: CHUNKED\r\n", plain(BodyLength::Chunked, true)),
        ];
        for (version, fields, expected) in table {
            assert_eq!(framing(version, &format!("Host: h\r\n{fields}")), Ok(expected), "{fields}");
        }
        for host in ["", "h:80", "[::1]:80", "127.0.0.1"] {
            assert_eq!(framing("1.1", &format!("Host: {host}\r\n")), Ok(empty), "{host}");
        }
        assert_eq!(framing("1.0", ""), Ok(plain(BodyLength::None, false)));
    }

    #[test]
    fn refused() {
        let table = [
            ("1.1", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", HeadError::LengthConflict),
            ("1.1", "Transfer-Encoding: x\r\nContent-Length: x\r\n", HeadError::LengthConflict),
            ("1.1", "Content-Length: 1\r\nContent-Length: 1\r\n", HeadError::ContentLength),
            ("1.1", "Content-Length: 1, 1\r\n", HeadError::ContentLength),
            ("1.1", "Content-Length: +1\r\n", HeadError::ContentLength),
            ("1.1", "Content-Length: -1\r\n", HeadError::ContentLength),
            ("1.1", "Content-Length:\r\n", HeadError::ContentLength),
            ("1.1", "Content-Length: 0x1\r\n", HeadError::ContentLength),
            ("1.1", "Content-Length: 1 1\r\n", HeadError::ContentLength),
            ("1.1", "Content-Length: 18446744073709551616\r\n", HeadError::ContentLength),
            ("1.1", "Transfer-Encoding: gzip, chunked\r\n", HeadError::TransferEncoding),
            ("1.1", "Transfer-Encoding: chunked, chunked\r\n", HeadError::TransferEncoding),
            ("1.1", "Transfer-Encoding: chunked;a=b\r\n", HeadError::TransferEncoding),
            ("1.1", "Transfer-Encoding: xchunked\r\n", HeadError::TransferEncoding),
            ("1.1", "Transfer-Encoding:\r\n", HeadError::TransferEncoding),
            ("1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", HeadError::TransferEncoding),
            ("1.0", "Transfer-Encoding: chunked\r\n", HeadError::TransferEncoding),
            ("1.1", "Transfer-Encoding: \x0bchunked\r\n", HeadError::HeaderValue),
            ("1.1", "Transfer-Encoding : chunked\r\n", HeadError::HeaderName),
            ("1.1", "Host: g\r\n", HeadError::Host),
            ("1.0", "Host: h\r\n", HeadError::Host),
        ];
        for (version, fields, error) in table {
            assert_eq!(framing(version, &format!("Host: h\r\n{fields}")), Err(error), "{fields}");
            assert_eq!(error.status(), 400);
        }
        for fields in ["", "Host: h, g\r\n", "Host: h/\r\n", "Host: u@h\r\n", "Host: \u{e9}\r\n"] {
            assert_eq!(framing("1.1", fields), Err(HeadError::Host), "{fields}");
        }
        assert_eq!(framing("1.1", "Host: h\r\nExpect: tea\r\n"), Err(HeadError::Expectation));
        assert_eq!(HeadError::Expectation.status(), 417);
    }
}
