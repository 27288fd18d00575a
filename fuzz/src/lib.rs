//! What the fuzz targets do: each takes any bytes and panics where a promise is broken.
//!
//! The modules are also compiled into `engineio/tests/corpus.rs` and `socketio/tests/corpus.rs`, which replay the corpus.

mod arguments;
mod msgpack;
mod socketio_decoder;
mod socketio_packet;
mod targets;

pub use arguments::arguments;
pub use msgpack::msgpack;
pub use socketio_decoder::socketio_decoder;
pub use socketio_packet::socketio_packet;
pub use targets::{connection, packet, payload, request_body, request_head, websocket};
