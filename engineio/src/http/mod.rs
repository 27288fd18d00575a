//! HTTP/1.1 as far as an Engine.IO server needs it: pure functions from bytes to requests and from answers to bytes.
//!
//! Strict on purpose: whatever two parsers might read differently is refused, because a proxy in front of the server
//! may be the other parser (request smuggling, RFC 9112 section 11.2).

mod body;
mod compression;
mod framing;
mod head;
mod response;

pub use body::{BodyDecoder, BodyError, BodyLength};
pub use compression::{Encoding, compress, negotiate};
pub use framing::Framing;
pub use head::{HeadError, HeadLimits, RequestHead, parse};
pub use response::{Exchange, write_head};
