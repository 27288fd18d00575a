//! The targets of `engineio`.

mod connection;
mod packet;
mod payload;
mod request_body;
mod request_head;
mod websocket;

pub use connection::connection;
pub use packet::packet;
pub use payload::payload;
pub use request_body::request_body;
pub use request_head::request_head;
pub use websocket::websocket;

/// Cuts an input into pieces of at most `length` bytes, or of one.
fn pieces(input: &[u8], length: u8) -> impl Iterator<Item = &[u8]> {
    input.chunks(usize::from(length.max(1)))
}
