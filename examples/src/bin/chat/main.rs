//! A chat: one port serves the page, the official client, the visitor's session and the sockets.
//!
//! ```text
//! GET /                  page, counted as a visit  ┐
//! POST /login, /logout   name in the session       ├ pages.rs ─► session
//! /socket.io/            talk.rs ─► rooms.rs       ┘
//! ```

mod bundle;
mod pages;
mod rooms;
mod talk;

use std::{error::Error, sync::Arc, time::Duration};

use pages::Pages;
use session::{CookieOptions, MemoryStore, SameSite, ServerBuilderExt, Sessions, Sid};
use socketio::Server;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    let sessions = Sessions::builder(MemoryStore::default())
        // The sessions are in memory, so the key need not outlive the process either.
        .secret(Sid::generate().as_str())
        .cookie(CookieOptions::default().max_age(month).same_site(SameSite::Lax))
        .build()?;
    let pages = Arc::new(Pages::new(bundle::client()?));

    let server = Server::builder()
        .sessions(&sessions)
        .namespace("/", talk::namespace())
        .fallback(sessions.serve(move |request| {
            let pages = Arc::clone(&pages);
            async move { pages.answer(&request) }
        }))
        .build();

    let port: u16 = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    tokio::select! {
        served = server.serve(listener) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    server.shutdown(Duration::from_secs(2)).await.ok();
    Ok(())
}
