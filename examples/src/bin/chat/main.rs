//! A chat: one port serves the page, the official client, the visitor's session and the sockets.
//!
//! ```text
//! GET /                  page, counted as a visit    ┐
//! POST /login, /logout   name in the session         ├ pages.rs ─► session ─► "session" to all tabs of the visitor
//! /socket.io/            messages, counted as well   ┘ talk.rs  ─► rooms.rs
//! ```
//!
//! A login or logout is a new session. The sockets of the old one end, and come back as whoever the visitor is now.

mod bundle;
mod pages;
mod rooms;
mod talk;
mod visitor;

use std::{error::Error, sync::Arc, time::Duration};

use pages::Pages;
use session::{Changed, CookieOptions, MemoryStore, SameSite, ServerBuilderExt, Sessions, Sid};
use socketio::Server;
use visitor::VISITOR;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    let sessions = Sessions::builder(MemoryStore::default())
        // The sessions are in memory, so the key need not outlive the process either.
        .secret(Sid::generate().as_str())
        .cookie(CookieOptions::default().max_age(month).same_site(SameSite::Lax))
        .on_change(tell_tabs)
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

    tokio::select! {
        served = examples::serve(&server) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    server.shutdown(Duration::from_secs(2)).await.ok();
    Ok(())
}

/// What one tab or page has changed, the visitor's other tabs show at once.
fn tell_tabs(changed: &Changed<'_>) {
    if !changed.ended {
        let visitor = changed.new.into();
        changed.sockets().iter().for_each(|socket| drop(socket.emit(VISITOR, &visitor)));
    }
}
