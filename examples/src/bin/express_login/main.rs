//! One login for an Express application and the sockets of a Rust server: both read and write the session in Redis.
//!
//! ```text
//! browser ── page, login, logout ──> Express (Node.js) ──┐
//!    │                                                   ├──> Redis
//!    └────── Socket.IO, same cookie ──> this program ────┘
//! ```
//!
//! It starts all three, and ends them with Ctrl-C. Express's code is in `examples/express_login/app.mjs`; the client may send
//! `add` item, which is acknowledged with `{}`, and gets `session` `{user, cart}` whenever that changes.

mod express;
mod redis;

use std::{error::Error, time::Duration};

use engineio::{Config, cors::Cors};
use express::Express;
use redis::Redis;
use serde::Serialize;
use session::{
    CookieOptions, RedisStore, SameSite, ServerBuilderExt, Session, Sessions, Sid, SocketExt, Values,
};
use socketio::{Ack, Event, Namespace, Server, Socket};

const MAX_ITEMS: usize = 20;

/// What a client is told of its session.
#[derive(Serialize)]
struct Seen {
    user: Option<String>,
    cart: Vec<String>,
}

const SEEN: Event<Seen> = Event::new("session");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = examples::bind().await?;
    let sockets = examples::url(&listener)?;
    // Both sign cookies with it. A site keeps it in its configuration.
    let secret = Sid::generate();
    let redis = Redis::start()?;
    let express = Express::start(&redis.url, secret.as_str(), &sockets)?;

    let sessions = Sessions::builder(RedisStore::connect(&redis.url).await?)
        .secret(secret.as_str())
        // As in Express. It is for sessions that begin here, of which there are none.
        .cookie(CookieOptions::default().max_age(Duration::from_secs(1800)).same_site(SameSite::Lax))
        // The page is of another port, which is another origin.
        .allow_origins([&express.url])
        .on_change(|changed| {
            if !changed.ended {
                let seen = changed.new.into();
                changed.sockets().iter().for_each(|socket| drop(socket.emit(SEEN, &seen)));
            }
        })
        .build()?;
    // Browsers let the page read answers, and send the cookie along, only if told so.
    let cors = Cors::origin(&express.url)?.credentials(true)?;
    let server = Server::builder()
        .engine(Config::default().cors(cors))
        .sessions(&sessions)
        .namespace("/", shop())
        .build();

    println!("Redis on {}, sockets on {sockets}; open the site:", redis.url);
    println!("listening on {}", express.url);
    tokio::select! {
        served = server.serve(listener) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    server.shutdown(Duration::from_secs(2)).await.ok();
    Ok(())
}

fn shop() -> Namespace {
    Namespace::new()
        .on_connect(async |socket: Socket| {
            socket.emit(SEEN, &(&socket.session().values()).into()).ok();
        })
        .on("add", async |socket: Socket, item: String| {
            add(&socket.session(), item).map(|()| Ack(serde_json::json!({})))
        })
}

/// Adds an item to the cart. It is saved when the handler has ended, before the acknowledgement leaves.
fn add(session: &Session, item: String) -> Result<(), Box<dyn Error + Send + Sync>> {
    session.get::<String>("user")?.ok_or("log in first")?;
    let mut cart: Vec<String> = session.get("cart")?.unwrap_or_default();
    if cart.len() == MAX_ITEMS || !(1..=30).contains(&item.chars().count()) {
        return Err("a cart has room for 20 items of 1 to 30 characters".into());
    }
    cart.push(item);
    Ok(session.insert("cart", &cart)?)
}

impl From<&Values> for Seen {
    fn from(values: &Values) -> Self {
        let user = values.get("user").ok().flatten();
        Self { user, cart: values.get("cart").ok().flatten().unwrap_or_default() }
    }
}
