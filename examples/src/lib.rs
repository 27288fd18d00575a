//! What the examples share.

pub mod npm;

use socketio::Server;
use std::io;
use tokio::net::TcpListener;

/// Serves until the server is shut down. A program of your own calls `server.listen("127.0.0.1:3000")`.
pub async fn serve(server: &Server) -> io::Result<()> {
    let listener = bind().await?;
    println!("listening on {}", url(&listener)?);
    server.serve(listener).await
}

/// Binds `PORT`, or 3000, for programs on this machine.
pub async fn bind() -> io::Result<TcpListener> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".into());
    TcpListener::bind(format!("127.0.0.1:{port}")).await
}

/// Returns the address as a browser wants it.
pub fn url(listener: &TcpListener) -> io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}
