//! An error that the client cannot be told of.

use socketio::{Ack, Namespace, Socket};

struct SoldOut;

fn main() {
    Namespace::new()
        .on("buy", async |_: Socket, item: u32| if item > 0 { Ok(Ack(item)) } else { Err(SoldOut) });
}
