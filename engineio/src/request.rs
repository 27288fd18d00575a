//! What a request to the endpoint wants, and why it may be refused.

use std::borrow::Cow;

use ::http::StatusCode;
use memchr::memchr;

use crate::{Transport, http::RequestHead};

/// What a verified request wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Intent<C> {
    /// To open a connection.
    Open(Transport),
    /// To fetch packets of this connection.
    Poll(C),
    /// To bring packets for it.
    Post(C),
    /// To move it to a WebSocket.
    Upgrade(C),
    /// A request for a connection with a method that means nothing; the connection is not disturbed.
    WrongMethod,
}

/// Why a request is refused. Code and text are those of the official server; [`detail`](Self::detail) tells more
/// to the observer of connection errors.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// Code 0.
    #[error("Transport unknown")]
    TransportUnknown,
    /// Code 1.
    #[error("Session ID unknown")]
    SidUnknown,
    /// Code 2.
    #[error("Bad handshake method")]
    BadHandshakeMethod,
    /// Code 3.
    #[error("Bad request")]
    BadRequest(BadRequest),
    /// Code 4: a hook refused.
    #[error("Forbidden")]
    Forbidden,
    /// Code 5.
    #[error("Unsupported protocol version")]
    UnsupportedProtocol,
}

/// What is bad about a request that is answered with code 3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadRequest {
    /// A character in the `Origin` header that no header may have.
    InvalidOrigin,
    /// The transport is not the one that the connection uses.
    TransportMismatch,
    /// `transport=websocket` without a WebSocket handshake, or a WebSocket handshake with another transport.
    TransportHandshake,
}

impl Rejection {
    /// The number that clients see.
    pub fn code(self) -> u8 {
        match self {
            Self::TransportUnknown => 0,
            Self::SidUnknown => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest(_) => 3,
            Self::Forbidden => 4,
            Self::UnsupportedProtocol => 5,
        }
    }

    /// 403 for code 4, else 400.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The official server's name for what is bad about the request, where it has one.
    pub fn detail(self) -> Option<&'static str> {
        match self {
            Self::BadRequest(BadRequest::InvalidOrigin) => Some("INVALID_ORIGIN"),
            Self::BadRequest(BadRequest::TransportMismatch) => Some("TRANSPORT_MISMATCH"),
            Self::BadRequest(BadRequest::TransportHandshake) => Some("TRANSPORT_HANDSHAKE_ERROR"),
            _ => None,
        }
    }
}

/// JSON of a refusal, as clients expect it.
pub fn rejection_body(code: u8, message: &str) -> String {
    let message = serde_json::to_string(message).expect("a string is always JSON");
    format!(r#"{{"code":{code},"message":{message}}}"#)
}

/// Says what a request wants. `upgrade` tells whether it asks for a WebSocket; `find` returns the connection with a
/// `sid`, and where it is now.
///
/// The checks are made in the order of the official server: transport, origin, sid, method, upgrade, version. (It
/// checks the version after the hook; here a request that cannot succeed never gets to the hook.)
///
/// # Errors
/// The first check that fails.
pub fn verify<C>(
    head: &RequestHead,
    upgrade: bool,
    transports: &[Transport],
    find: impl FnOnce(&str) -> Option<(C, Transport)>,
) -> Result<Intent<C>, Rejection> {
    let query = Query::parse(head.query_bytes());
    let transport = match query.transport.as_deref() {
        Some(b"polling") => Transport::Polling,
        Some(b"websocket") => Transport::WebSocket,
        _ => return Err(Rejection::TransportUnknown),
    };
    if !transports.contains(&transport) {
        return Err(Rejection::TransportUnknown);
    }
    if !head.header_values("origin").all(is_header_text) {
        return Err(Rejection::BadRequest(BadRequest::InvalidOrigin));
    }
    if let Some(sid) = query.sid.filter(|sid| !sid.is_empty()) {
        let found = str::from_utf8(&sid).ok().and_then(find);
        let (connection, current) = found.ok_or(Rejection::SidUnknown)?;
        return match (upgrade, transport, current) {
            (true, Transport::WebSocket, Transport::Polling) => Ok(Intent::Upgrade(connection)),
            (false, Transport::Polling, Transport::Polling) => Ok(if head.has_method("GET") {
                Intent::Poll(connection)
            } else if head.has_method("POST") {
                Intent::Post(connection)
            } else {
                Intent::WrongMethod
            }),
            _ => Err(Rejection::BadRequest(BadRequest::TransportMismatch)),
        };
    }
    if !head.has_method("GET") {
        return Err(Rejection::BadHandshakeMethod);
    }
    if upgrade != (transport == Transport::WebSocket) {
        return Err(Rejection::BadRequest(BadRequest::TransportHandshake));
    }
    match query.revision.as_deref() {
        // A server for revision 3 would branch here.
        Some(b"4") => Ok(Intent::Open(transport)),
        _ => Err(Rejection::UnsupportedProtocol),
    }
}

/// The parameters that matter here. The last of a name counts, as in the official server.
#[derive(Default)]
struct Query<'a> {
    transport: Option<Cow<'a, [u8]>>,
    sid: Option<Cow<'a, [u8]>>,
    revision: Option<Cow<'a, [u8]>>,
}

impl<'a> Query<'a> {
    fn parse(query: &'a [u8]) -> Self {
        let mut parsed = Self::default();
        // To look at all of them at once is faster than at each value.
        let is_encoded = query.iter().fold(false, |found, &byte| found | (byte == b'%'));
        let mut rest = Some(query);
        while let Some(text) = rest {
            let (pair, behind) = match memchr(b'&', text) {
                Some(at) => (&text[..at], Some(&text[at + 1..])),
                None => (text, None),
            };
            rest = behind;
            let (slot, value) = if let Some(value) = pair.strip_prefix(b"transport") {
                (&mut parsed.transport, value)
            } else if let Some(value) = pair.strip_prefix(b"sid") {
                (&mut parsed.sid, value)
            } else if let Some(value) = pair.strip_prefix(b"EIO") {
                (&mut parsed.revision, value)
            } else {
                continue;
            };
            let value = match value {
                [] => value,
                [b'=', value @ ..] => value,
                // Another name, which only begins so.
                _ => continue,
            };
            *slot =
                Some(if is_encoded { percent_encoding::percent_decode(value).into() } else { value.into() });
        }
        parsed
    }
}

fn is_header_text(value: &[u8]) -> bool {
    value.iter().all(|&b| b == b'\t' || (b >= 0x20 && b != 0x7f))
}
