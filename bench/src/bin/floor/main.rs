//! What the kernel and the runtime cost: the least that answers the load generator. Reads `PORT`, and `TCP` for a server
//! that sends back what it reads, without any protocol.
//!
//! On one thread, without sessions, heartbeats or validation. It stands for no server that could be used, but for what one
//! is hardly cheaper than on this runtime: one `send` for each batch of messages, buffers that all connections share, and
//! broadcasts that are written straight to the sockets. It reads as `TcpStream::readable` wants it, until there is nothing:
//! two `recv` for each batch.

mod hub;
mod packet;
mod polling;
mod websocket;

use std::{cell::RefCell, io, rc::Rc};

use hub::Hub;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::{LocalSet, spawn_local},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = std::env::var("PORT").ok().map_or(Ok(3000), |port| port.parse()).expect("PORT is a port");
    let bare = std::env::var_os("TCP").is_some();
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(4096)?;
    println!("listening on http://{}", listener.local_addr()?);
    let hub = Rc::<RefCell<Hub>>::default();
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            if bare {
                spawn_local(echo(stream));
            } else {
                spawn_local(serve(stream, Rc::clone(&hub)));
            }
        }
    };
    LocalSet::new().run_until(accept).await
}

async fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Requests of HTTP until one asks for a WebSocket. How it ends is the client's concern, which sees it.
async fn serve(stream: TcpStream, hub: Rc<RefCell<Hub>>) -> io::Result<()> {
    match polling::serve(stream, &hub).await? {
        Some((stream, session)) => websocket::serve(stream, session, &hub).await,
        None => Ok(()),
    }
}
