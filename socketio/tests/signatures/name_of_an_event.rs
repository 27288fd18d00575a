//! What cannot name an event.

use socketio::{Namespace, Socket};

enum Name {
    Rename,
}

fn main() {
    Namespace::new()
        .on(Name::Rename, async |socket: Socket, name: String| drop(socket.emit(name, "ada")))
        .on(7, async |_: Socket, ()| {});
}
