//! Data that is not wrapped in `Ack`.

use socketio::{Namespace, Socket};

async fn price(_: Socket, item: u32) -> Result<u32, String> {
    item.checked_mul(10).ok_or_else(|| "too many".to_owned())
}

fn main() {
    Namespace::new()
        .on("sum", async |_: Socket, (a, b): (u32, u32)| a + b)
        .on("greet", async |_: Socket, name: String| format!("Hello, {name}"))
        .on("price", price)
        .event_middleware(async |_, event, next| next.run(event).await.is_sent())
        .fallback(async |_, _| Some("no such event"));
}
