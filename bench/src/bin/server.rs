//! Our server under load: reads `PORT`, and `WORKERS` for more than one thread.
//!
//! `echo` (text) and `bin` (binary) come back, `ack` is acknowledged with its text, `bcast` goes to everyone. `join` and
//! `leave` are acknowledged with the name of the room, and `room` (name, text) goes to everyone in it.
//!
//! With `SESSIONS`, `memory` or the URL of a Redis, every connection has a session of its own with a record of 400 bytes,
//! and `count` changes it.

use std::{io, sync::OnceLock};

use bytes::Bytes;
use engineio::{Handshake, Refusal};
use session::{
    HandshakeExt, MemoryStore, RedisStore, ServerBuilderExt, Sessions, SessionsBuilder, SocketExt, ValueError,
};
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
        .on("echo", async |socket: Socket, text: String| socket.emit("echo", &text))
        .on("ack", async |_, text: String| Ack(text))
        .on("bcast", async |_, text: String| {
            SERVER.get().map(|server| server.emit("bcast", &text)).transpose().map(drop)
        })
        .on("bin", async |socket: Socket, data: Bytes| socket.emit("bin", &data))
        .on("join", async |socket: Socket, room: String| {
            socket.join(room.as_str());
            Ack(room)
        })
        .on("leave", async |socket: Socket, room: String| {
            socket.leave(room.as_str());
            Ack(room)
        })
        .on("room", async |_, (room, text): (String, String)| {
            SERVER.get().map(|server| server.to(room).emit("room", &text)).transpose().map(drop)
        })
        .on("count", async |socket: Socket, ()| {
            let session = socket.session();
            let count: u64 = session.get("count")?.unwrap_or(0) + 1;
            session.insert("count", &count)?;
            Ok::<_, ValueError>(Ack(count))
        });
    let mut builder = Server::builder().namespace("/", namespace);
    if let Some(sessions) = sessions() {
        builder = builder.sessions(&sessions).handshake(fill);
    }
    let server = SERVER.get_or_init(|| builder.build());

    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(4096)?;
    println!("listening on http://{}", listener.local_addr()?);
    server.serve(listener).await
}

fn sessions() -> Option<Sessions> {
    let builder: SessionsBuilder = match std::env::var("SESSIONS").ok()?.as_str() {
        "memory" => Sessions::builder(MemoryStore::default()),
        url => Sessions::builder(RedisStore::builder(url).connect_lazily().expect("SESSIONS is a URL")),
    };
    Some(builder.secret("keyboard cat").build().expect("there is a secret"))
}

/// Makes the record of a new session as large as that of a typical login.
async fn fill(handshake: Handshake) -> Result<Handshake, Refusal> {
    handshake.session().insert("profile", &"x".repeat(305)).expect("a string is JSON");
    Ok(handshake)
}
