//! Small parts of the path of a message, one by one, through what the crates make public:
//! `cargo bench -p bench --bench micro -- --quick`. One program, as each would be linked for minutes.

mod arguments;
mod packets;
mod server;
mod websocket;

criterion::criterion_main!(packets::benches, websocket::benches, arguments::benches, server::benches);
