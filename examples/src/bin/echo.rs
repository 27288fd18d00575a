//! The smallest Socket.IO server: `echo` comes back, `sum` is acknowledged.

use socketio::{Ack, Namespace, Server, Socket};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let main = Namespace::new()
        .on("echo", async |socket: Socket, text: String| socket.emit("echo", &text))
        .on("sum", async |_, (a, b): (i64, i64)| Ack(a + b));

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".into());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Server::builder().namespace("/", main).build().serve(listener).await
}
