//! Middleware that does not say whether the client may join.

use socketio::{Namespace, Refusal, Socket};

async fn allow(socket: Socket) -> bool {
    socket.auth::<String>().is_ok()
}

fn main() {
    Namespace::new()
        .middleware(allow)
        .middleware(async |_| {})
        .middleware(async |_| Err::<(), _>("no"))
        .middleware(|_| Err(Refusal::new("no")));
}
