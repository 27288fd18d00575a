//! Handlers without the socket, without data, with more than one parameter for the data, or with too few.

use socketio::{Namespace, Socket};

async fn rename(name: String) {
    drop(name);
}

fn main() {
    Namespace::new()
        .on("rename", rename)
        .on("leave", async |_: Socket| {})
        .on("move", async |_: Socket, x: i32, y: i32| drop((x, y)))
        .on_connect(async || {})
        .on_disconnect(async |_| {});
}
