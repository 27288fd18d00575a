//! Data that cannot be read from JSON.

use socketio::{Ack, Namespace, Socket};

struct Order {
    item: u32,
}

fn main() {
    Namespace::new().on("buy", async |_: Socket, order: Order| Ack(order.item));
}
