//! Cookie sessions that the pages and the sockets of a site share, also with an Express application.
//!
//! ```text
//!  browser                    this process                                  store
//! ┌─────────┐  page, form   ┌──────────────────────────────┐
//! │ cookie  │ ────────────> │ Sessions::open  ─┐           │   load      ┌──────────────────┐
//! │ s:sid.  │  handshake    │ hook of engineio ┴> Session ─┼───────────> │ sid -> Record    │
//! │ MAC     │ ────────────> │                   one per id │   replace   │ {"cookie":{..},  │
//! │         │ <──────────── │ Sessions::commit <┘          │ <─────────> │  "user":..}      │
//! └─────────┘  Set-Cookie   └──────────────────────────────┘  if unseen  └──────────────────┘
//!                                                           changes: merge       ^
//!                                                                                └── Express
//! ```
//!
//! - The cookie is signed, so an id that this application did not give out never reaches the store.
//! - There is one live [`Session`] for each id in a process. What a page writes, the sockets of that browser see.
//! - A save replaces only the revision that it has seen. If others were faster, the values changed here are put over
//!   theirs, name by name; everything else stays as they left it, byte for byte.
//! - A session that was destroyed stays so: no late save brings a logged-out user back.
//!
//! Cookies and records are those of express-session and its stores, so both may serve one site. The Express side needs
//! `resave: false`; otherwise it overwrites sessions that it has only read.
//!
//! The [`guide`] has it all: Express and Rust on one Redis, proxies, policies, logins over a socket, security.
//!
//! Features: `redis` for `RedisStore`, which shares sessions with connect-redis and between processes; `tower` for
//! `SessionLayer`, which an axum `Router` can wear.
//!
//! ```no_run
//! use std::time::Duration;
//! use session::{CookieOptions, MemoryStore, SameSite, ServerBuilderExt, Sessions, SocketExt};
//! use socketio::{Ack, Namespace, Server, Socket};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let sessions = Sessions::builder(MemoryStore::default())
//!         .secret("keyboard cat")
//!         .cookie(CookieOptions::default().max_age(Duration::from_secs(1800)).same_site(SameSite::Lax))
//!         .build()?;
//!     let shop = Namespace::new().on("nick", async |socket: Socket, name: String| {
//!         // Saved when the handler has ended, before the acknowledgement leaves.
//!         socket.session().insert("nick", &name).map(|()| Ack("saved"))
//!     });
//!     Server::builder().sessions(&sessions).namespace("/", shop).build().listen("127.0.0.1:3000").await?;
//!     Ok(())
//! }
//! ```

mod attached;
mod auto_save;
mod builder;
mod changes;
mod contention;
mod cookie;
#[doc(hidden)]
pub mod fuzzing;
mod hook;
mod live;
mod origin;
mod pages;
mod policy;
mod proxy;
mod record;
mod session;
mod sessions;
mod shared;
mod sid;
mod signature;
mod socket;
mod state;
pub mod store;
mod ticket;
mod to_the_end;
#[cfg(feature = "tower")]
mod tower;
mod values;

#[doc = include_str!("guide.md")]
pub mod guide {}

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

pub use builder::{ConfigError, SessionsBuilder};
pub use cookie::{CookieOptions, CookieState, InvalidCookie, Priority, SameSite};
pub use hook::HandshakeExt;
pub use pages::RequestExt;
pub use policy::{Conflict, OnConflict, OnEnd, Reload, Touch};
pub use proxy::{RequestFacts, TrustProxy};
pub use record::{Record, RecordError};
pub use session::{Session, SessionError};
pub use sessions::{Changed, Sessions};
pub use sid::Sid;
pub use socket::{InSession, ServerBuilderExt, SocketExt};
pub use store::{
    Created, Lifetime, MemoryLimits, MemoryStore, Observer, Replaced, Store, StoreError, Stored,
};
#[cfg(feature = "redis")]
pub use store::{RedisStore, RedisStoreBuilder};
pub use ticket::Ticket;
#[cfg(feature = "tower")]
pub use tower::{SessionLayer, SessionService};
pub use values::{ValueError, Values};
