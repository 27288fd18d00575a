//! What the examples share: they listen on `PORT`, or 3000, and say where.

use socketio::Server;
use std::io;
use tokio::net::TcpListener;

/// Serves until the server is shut down. A program of your own calls `server.listen("127.0.0.1:3000")`.
pub async fn serve(server: &Server) -> io::Result<()> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".into());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    server.serve(listener).await
}
