//! The server's side of WebSocket (RFC 6455) as pure code: bytes in, messages out.
//!
//! [`check_handshake`] judges the request that asks for a WebSocket; after the `101` a [`Decoder`] takes what the
//! peer sends, and [`encode_header`] and [`encode_close`] write what goes before each payload sent to it.

mod accept;
mod encode;
mod error;
mod frame;

pub use accept::{HandshakeError, accept_key, check_handshake};
pub use encode::{Header, encode_close, encode_header};
pub(crate) use encode::{LONGEST_HEADER, SHORTEST_HEADER, encode_shortest_header};
pub use error::ProtocolError;
pub use frame::{Decoder, Event, Limits, Opcode};
