//! What a load generator drives: reads `PORT`, and `WORKERS` for more than one thread.
//!
//! `echo` (text) and `bin` (binary) come back, `ack` is acknowledged with its text, `bcast` goes to everyone.

use std::{io, sync::OnceLock};

use bytes::Bytes;
use socketio::{Ack, Namespace, Server, Socket};
use tokio::{net::TcpSocket, runtime};

/// Reaches everyone, the sender too.
static SERVER: OnceLock<Server> = OnceLock::new();

fn main() -> io::Result<()> {
    let number = |name, default| std::env::var(name).ok().map_or(Some(default), |text| text.parse().ok());
    let port = number("PORT", 3000).and_then(|port| u16::try_from(port).ok()).expect("PORT is a port");
    let workers = number("WORKERS", 1).expect("WORKERS is a number");
    let mut builder = match workers {
        0 | 1 => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(workers.max(1)).enable_all().build()?.block_on(serve(port))
}

async fn serve(port: u16) -> io::Result<()> {
    let namespace = Namespace::new()
        .on("echo", async |socket: Socket, text: String| socket.emit_wait("echo", &text).await)
        .on("ack", async |_, text: String| Ack(text))
        .on("bcast", async |_, text: String| {
            SERVER.get().map(|server| server.emit("bcast", &text)).transpose().map(drop)
        })
        .on("bin", async |socket: Socket, data: Bytes| socket.emit_wait("bin", &data).await);
    let server = SERVER.get_or_init(|| Server::builder().namespace("/", namespace).build());

    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(4096)?;
    println!("listening on http://{}", listener.local_addr()?);
    server.serve(listener).await
}
