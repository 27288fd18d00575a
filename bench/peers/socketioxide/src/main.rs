//! socketioxide with typed handlers on one thread; reads `PORT`.

use axum::serve::ListenerExt;
use bytes::Bytes;
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};

async fn on_connect(socket: SocketRef) {
    socket.on("echo", async |socket: SocketRef, Data::<String>(text)| {
        socket.emit("echo", &text).ok();
    });
    socket.on("bin", async |socket: SocketRef, Data::<Bytes>(data)| {
        socket.emit("bin", &data).ok();
    });
    socket.on("ack", async |Data::<String>(text), ack: AckSender| {
        ack.send(&text).ok();
    });
    socket.on("bcast", async |io: SocketIo, Data::<String>(text)| {
        io.emit("bcast", &text).await.ok();
    });
    socket.on("join", async |socket: SocketRef, Data::<String>(room), ack: AckSender| {
        socket.join(room.clone());
        ack.send(&room).ok();
    });
    socket.on("leave", async |socket: SocketRef, Data::<String>(room), ack: AckSender| {
        socket.leave(room.clone());
        ack.send(&room).ok();
    });
    socket.on("room", async |io: SocketIo, Data::<(String, String)>((room, text))| {
        io.to(room).emit("room", &text).await.ok();
    });
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3000);
    // More than the default of 128, so that it drops nothing of what the benchmark sends at once.
    let (layer, io) = SocketIo::builder().max_payload(1_000_000).max_buffer_size(4096).build_layer();
    io.ns("/", on_connect);
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(4096)?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, axum::Router::new().layer(layer)).await
}
