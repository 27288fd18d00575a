//! Acknowledgements both ways.
//!
//! Start it with `cargo run -p examples --bin acks`. A client asks by
//! `await socket.emitWithAck("divide", 7, 2)`, and is asked `"name?"` when it has sent `"greet me"`.

use serde_json::json;
use socketio::{Ack, Namespace, Server, Socket};
use std::time::Duration;

/// What is returned is the acknowledgement; a tuple is several values, an `Err` is `{error: "..."}`.
async fn divide(_: Socket, (dividend, divisor): (i64, i64)) -> Result<Ack<(i64, i64)>, &'static str> {
    if divisor == 0 {
        return Err("division by zero");
    }
    Ok(Ack((dividend / divisor, dividend % divisor)))
}

/// The server asks too, and does not wait for ever.
async fn greet(socket: Socket, (): ()) -> Ack<String> {
    let name = socket.emit_with_ack("name?", &json!({"formal": false}), Duration::from_secs(1)).await;
    Ack(name
        .map_or_else(|error| format!("Hello, stranger ({error})"), |name: String| format!("Hello, {name}")))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let main = Namespace::new().on("divide", divide).on("greet me", greet);
    examples::serve(&Server::builder().namespace("/", main).build()).await
}
