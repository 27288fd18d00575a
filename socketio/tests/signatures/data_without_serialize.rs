//! Data that cannot be made JSON of.

use socketio::{Ack, Namespace, Socket};

struct Receipt {
    total: u32,
}

async fn buy(socket: Socket, total: u32) -> Ack<Receipt> {
    socket.emit("sold", &Receipt { total }).ok();
    Ack(Receipt { total })
}

fn main() {
    Namespace::new().on("buy", buy);
}
