//! Engine.IO alone: each message comes back, over polling or WebSocket.

use engineio::{Connection, Event, Events, Server, handler_fn};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let echo = handler_fn(|connection: Connection, mut events: Events| async move {
        while let Some(event) = events.next().await {
            if let Event::Message(message) = event {
                connection.send(message).await.ok();
            }
        }
    });

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".into());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Server::builder().build(echo).serve(listener).await
}
