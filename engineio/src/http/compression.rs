//! Compression of polling responses.

use std::io::Write;

use ::http::HeaderValue;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::RequestHead;

/// A content coding that responses can have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// RFC 1950, the zlib format: what HTTP calls deflate.
    Deflate,
    /// RFC 1952.
    Gzip,
}

impl Encoding {
    /// Returns the value for `Content-Encoding`.
    pub fn header_value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Deflate => "deflate",
            Self::Gzip => "gzip",
        }
    }
}

/// Chooses the coding that the client weighs highest in `Accept-Encoding`, gzip if equal; `None` means as it is.
pub fn negotiate(head: &RequestHead) -> Option<Encoding> {
    let [gzip, deflate] = [Encoding::Gzip, Encoding::Deflate].map(|encoding| weight(head, encoding));
    match gzip.max(deflate) {
        0 => None,
        best if best == gzip => Some(Encoding::Gzip),
        _ => Some(Encoding::Deflate),
    }
}

/// Compresses a body as a whole, at zlib's default level.
pub fn compress(body: &[u8], encoding: Encoding) -> Vec<u8> {
    let out = Vec::with_capacity(body.len() / 2);
    match encoding {
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(out, Compression::default());
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(out, Compression::default());
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
    }
    .expect("a vector takes all that is written")
}

/// Returns the weight of a coding in thousandths: its own, else that of `*`, else 0.
fn weight(head: &RequestHead, encoding: Encoding) -> u16 {
    let find = |wanted: &str| {
        head.header_items("accept-encoding").find_map(|item| {
            let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next()?;
            name.eq_ignore_ascii_case(wanted.as_bytes()).then(|| parts.find_map(quality).unwrap_or(1000))
        })
    };
    find(encoding.name()).or_else(|| find("*")).unwrap_or(0)
}

/// Parses `q=0.5`, RFC 9110 section 12.4.2; a weight that is none counts as 0, "not acceptable".
fn quality(parameter: &[u8]) -> Option<u16> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f32>().ok()).unwrap_or(0.0);
    // A cast of a float saturates and takes NaN for 0.
    Some(((number * 1000.0) as u16).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, parse};
    use bytes::BytesMut;
    use flate2::read::{GzDecoder, ZlibDecoder};
    use std::io::Read;

    #[test]
    fn negotiation() {
        let table = [
            ("", None),
            ("gzip, deflate, br", Some(Encoding::Gzip)),
            ("deflate, gzip", Some(Encoding::Gzip)),
            ("GZIP", Some(Encoding::Gzip)),
            ("*", Some(Encoding::Gzip)),
            ("deflate", Some(Encoding::Deflate)),
            ("br", None),
            ("identity", None),
            ("identity, gzip;q=0.1", Some(Encoding::Gzip)),
            ("gzip;q=0", None),
            ("gzip; q=0.000, deflate", Some(Encoding::Deflate)),
            ("gzip;q=0, *", Some(Encoding::Deflate)),
            ("*;q=0", None),
            ("*;q=0, deflate;Q=0.1", Some(Encoding::Deflate)),
            ("gzip;q=0.5, deflate;q=0.501", Some(Encoding::Deflate)),
            ("gzip;q=x, deflate;q=0.1", Some(Encoding::Deflate)),
            ("gzip;q=-1", None),
            ("gzip;q=NaN", None),
            ("gzip;q=9, deflate", Some(Encoding::Gzip)),
            ("x-gzip, gzipped", None),
            (",;,", None),
            ("br\r\nAccept-Encoding: deflate", Some(Encoding::Deflate)),
        ];
        for (accept, expected) in table {
            let request = format!("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {accept}\r\n\r\n");
            let head =
                parse(&mut BytesMut::from(request.as_bytes()), &HeadLimits::default()).unwrap().unwrap().0;
            assert_eq!(negotiate(&head), expected, "{accept}");
        }
        let head =
            parse(&mut BytesMut::from("GET / HTTP/1.0\r\n\r\n"), &HeadLimits::default()).unwrap().unwrap().0;
        assert_eq!(negotiate(&head), None);
    }

    #[test]
    fn what_is_compressed_can_be_read() {
        let body = b"4message".repeat(1000);
        let (gzip, deflate) = (compress(&body, Encoding::Gzip), compress(&body, Encoding::Deflate));
        let mut back = Vec::new();
        GzDecoder::new(&gzip[..]).read_to_end(&mut back).unwrap();
        ZlibDecoder::new(&deflate[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, body.repeat(2));
        assert!(gzip.len() < 200 && deflate.len() < 200);
        assert_eq!(
            (Encoding::Gzip.header_value(), Encoding::Deflate.header_value()),
            ("gzip".parse().unwrap(), "deflate".parse().unwrap())
        );
    }
}
