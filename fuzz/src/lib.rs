//! What the fuzz targets do: each takes any bytes and panics where a promise is broken.
//!
//! The modules are also compiled into `tests/corpus.rs` of `engineio`, `socketio` and `session`, which replay the corpus.

mod arguments;
mod msgpack;
mod session_cookie;
mod session_record;
mod session_signature;
mod socketio_decoder;
mod socketio_packet;
mod targets;

pub use arguments::arguments;
pub use msgpack::msgpack;
pub use session_cookie::session_cookie;
pub use session_record::session_record;
pub use session_signature::session_signature;
pub use socketio_decoder::socketio_decoder;
pub use socketio_packet::socketio_packet;
pub use targets::{connection, packet, payload, request_body, request_head, websocket};
