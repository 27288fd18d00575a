//! The opening handshake of RFC 6455 section 4.2: is this request one for a WebSocket, and what is its answer.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use sha1::{Digest, Sha1};

/// Returns the `Sec-WebSocket-Accept` that answers `key` (section 4.2.2, item 5.4).
pub fn accept_key(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(ACCEPT_GUID).finalize();
    general_purpose::STANDARD.encode(digest)
}

/// Checks a request that asks for a WebSocket, and returns its [`accept_key`] for the `101` response.
///
/// `minor_version` is the `x` of `HTTP/1.x`. `headers` are all header lines in order, with names in any case.
/// Fails with the first of the rules of section 4.2.1 that is broken; `Host`, `Origin` and the path are left to the
/// caller.
pub fn check_handshake<'a>(
    method: &str,
    minor_version: u8,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<String, HandshakeError> {
    let (mut upgrades, mut connection_upgrades) = (false, false);
    let (mut key, mut version) = (Single::Missing, Single::Missing);
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("upgrade") {
            upgrades |= has_token(value, b"websocket");
        } else if name.eq_ignore_ascii_case("connection") {
            connection_upgrades |= has_token(value, b"upgrade");
        } else if name.eq_ignore_ascii_case("sec-websocket-key") {
            key = key.and(value);
        } else if name.eq_ignore_ascii_case("sec-websocket-version") {
            version = version.and(value);
        }
    }

    if method != "GET" {
        return Err(HandshakeError::Method);
    }
    if minor_version < 1 {
        return Err(HandshakeError::HttpVersion);
    }
    if !upgrades {
        return Err(HandshakeError::Upgrade);
    }
    if !connection_upgrades {
        return Err(HandshakeError::Connection);
    }
    let Single::Once(key) = key else { return Err(HandshakeError::Key) };
    if KEY_BASE64.decode_slice(key, &mut [0; KEY_BUFFER]) != Ok(16) {
        return Err(HandshakeError::Key);
    }
    let key = str::from_utf8(key).map_err(|_| HandshakeError::Key)?;
    if !matches!(version, Single::Once(b"13")) {
        return Err(HandshakeError::Version);
    }
    Ok(accept_key(key))
}

/// What is wrong with a request that asks for a WebSocket; the text is the body of the response.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HandshakeError {
    /// The request has a body, which a handshake has not.
    #[error("Unexpected request body")]
    Body,
    /// `Connection` does not name `upgrade`.
    #[error("Invalid Connection header")]
    Connection,
    /// The request is HTTP/1.0, which has no upgrades.
    #[error("Invalid HTTP version")]
    HttpVersion,
    /// There is not exactly one `Sec-WebSocket-Key`, or it is not the base64 of 16 bytes.
    #[error("Missing or invalid Sec-WebSocket-Key header")]
    Key,
    /// The method is not GET.
    #[error("Invalid HTTP method")]
    Method,
    /// `Upgrade` does not name `websocket`.
    #[error("Invalid Upgrade header")]
    Upgrade,
    /// There is not exactly one `Sec-WebSocket-Version`, or it is not 13.
    #[error("Missing or invalid Sec-WebSocket-Version header")]
    Version,
}

impl HandshakeError {
    /// HTTP status code of the response.
    pub fn status(&self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Version => 426,
            _ => 400,
        }
    }

    /// The header that a response with this status must have, as name and value.
    pub fn header(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Method => Some(("Allow", "GET")),
            Self::Version => Some(("Sec-WebSocket-Version", "13")),
            _ => None,
        }
    }
}

/// A header that may be there only once.
#[derive(Clone, Copy)]
enum Single<'a> {
    Missing,
    Once(&'a [u8]),
    Repeated,
}

impl<'a> Single<'a> {
    fn and(self, value: &'a [u8]) -> Self {
        match self {
            Self::Missing => Self::Once(value.trim_ascii()),
            _ => Self::Repeated,
        }
    }
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

/// Section 1.3.
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes that decoding asks for before it has seen the padding of a key.
const KEY_BUFFER: usize = 18;
/// Clients that fill a key with random characters leave bits behind the 16 bytes; other servers take them.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    /// A valid handshake with the header `name` replaced by `lines`.
    fn check(name: &str, lines: &[&str]) -> Result<String, HandshakeError> {
        let valid = [
            ("Host", "example.org"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Version", "13"),
        ];
        let kept = valid.into_iter().filter(|(kept, _)| *kept != name);
        let headers = kept.chain(lines.iter().map(|line| (name, *line)));
        check_handshake("GET", 1, headers.map(|(name, value)| (name, value.as_bytes())))
    }

    #[test]
    fn accept_key_of_the_rfc() {
        assert_eq!(accept_key(KEY), ACCEPT);
    }

    #[test]
    fn checks_every_header() {
        let cases: &[(&str, &[&str], Result<(), HandshakeError>)] = &[
            ("Host", &[], Ok(())),
            ("Upgrade", &["WebSocket"], Ok(())),
            ("Upgrade", &["h2c, websocket"], Ok(())),
            ("Upgrade", &["h2c", "websocket"], Ok(())),
            ("Upgrade", &["websocket", "h2c"], Ok(())),
            ("Upgrade", &[], Err(HandshakeError::Upgrade)),
            ("Upgrade", &[""], Err(HandshakeError::Upgrade)),
            ("Upgrade", &["h2c"], Err(HandshakeError::Upgrade)),
            ("Upgrade", &["websockets"], Err(HandshakeError::Upgrade)),
            ("Upgrade", &["web socket"], Err(HandshakeError::Upgrade)),
            ("Connection", &["upgrade"], Ok(())),
            ("Connection", &["keep-alive ,\tUPGRADE"], Ok(())),
            ("Connection", &["keep-alive", "Upgrade"], Ok(())),
            ("Connection", &["Upgrade", "keep-alive"], Ok(())),
            ("Connection", &[], Err(HandshakeError::Connection)),
            ("Connection", &["keep-alive"], Err(HandshakeError::Connection)),
            ("Connection", &["no-upgrade"], Err(HandshakeError::Connection)),
            ("Sec-WebSocket-Key", &[" dGhlIHNhbXBsZSBub25jZQ== "], Ok(())),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZz=="], Ok(())),
            ("Sec-WebSocket-Key", &[], Err(HandshakeError::Key)),
            ("Sec-WebSocket-Key", &[""], Err(HandshakeError::Key)),
            ("Sec-WebSocket-Key", &[KEY, KEY], Err(HandshakeError::Key)),
            ("Sec-WebSocket-Key", &["c2hvcnRlcg=="], Err(HandshakeError::Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQ1234567890"], Err(HandshakeError::Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQ"], Err(HandshakeError::Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQQ="], Err(HandshakeError::Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQQQ"], Err(HandshakeError::Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBs_SBub25jZQ=="], Err(HandshakeError::Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZ\u{e9}="], Err(HandshakeError::Key)),
            ("Sec-WebSocket-Version", &[], Err(HandshakeError::Version)),
            ("Sec-WebSocket-Version", &["8"], Err(HandshakeError::Version)),
            ("Sec-WebSocket-Version", &["013"], Err(HandshakeError::Version)),
            ("Sec-WebSocket-Version", &["13, 8"], Err(HandshakeError::Version)),
            ("Sec-WebSocket-Version", &["13", "13"], Err(HandshakeError::Version)),
        ];
        for (name, lines, expected) in cases {
            let expected = expected.map(|()| accept_key(lines.first().map_or(KEY, |line| line.trim())));
            let expected =
                if *name == "Sec-WebSocket-Key" { expected } else { expected.map(|_| ACCEPT.into()) };
            assert_eq!(check(name, lines), expected, "{name}: {lines:?}");
        }
    }

    #[test]
    fn checks_method_and_version() {
        let nothing = || std::iter::empty::<(&str, &[u8])>();
        assert_eq!(check_handshake("POST", 1, nothing()), Err(HandshakeError::Method));
        assert_eq!(check_handshake("GET", 0, nothing()), Err(HandshakeError::HttpVersion));
        assert_eq!(check_handshake("GET", 1, nothing()), Err(HandshakeError::Upgrade));
    }

    #[test]
    fn errors_know_their_response() {
        assert_eq!((HandshakeError::Key.status(), HandshakeError::Key.header()), (400, None));
        assert_eq!(HandshakeError::Key.to_string(), "Missing or invalid Sec-WebSocket-Key header");
        assert_eq!(HandshakeError::Upgrade.to_string(), "Invalid Upgrade header");
        assert_eq!(HandshakeError::Method.status(), 405);
        assert_eq!(HandshakeError::Version.status(), 426);
        assert_eq!(HandshakeError::Version.header(), Some(("Sec-WebSocket-Version", "13")));
    }
}
