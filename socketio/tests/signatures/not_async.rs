//! Handlers that are plain functions.

use socketio::{Ack, Namespace, Socket};

fn rename(socket: Socket, name: String) {
    socket.set(name);
}

fn main() {
    Namespace::new()
        .on("sum", |_: Socket, (a, b): (u32, u32)| Ack(a + b))
        .on("rename", rename)
        .on_connect(|socket: Socket| socket.join("lobby"));
}
