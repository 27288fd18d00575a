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
//! ```
//! use std::time::Duration;
//! use session::{CookieOptions, HandshakeExt, MemoryStore, SameSite, Sessions};
//!
//! let sessions = Sessions::builder(MemoryStore::default())
//!     .secret("keyboard cat")
//!     .cookie(CookieOptions::default().max_age(Duration::from_secs(1800)).same_site(SameSite::Lax))
//!     .build()?;
//! // As a hook of the server: `.handshake(sessions.clone())`; in a page: `sessions.open(request.headers())`.
//!
//! async fn greet(handshake: &engineio::Handshake) -> Result<u32, session::SessionError> {
//!     let session = handshake.session();
//!     session.insert("greeted", &true)?;
//!     session.save().await?;
//!     Ok(session.get("visits")?.unwrap_or(0))
//! }
//! # Ok::<(), session::ConfigError>(())
//! ```

mod cookie;
mod hook;
mod live;
mod origin;
mod record;
mod session;
mod sessions;
mod sid;
mod signature;
mod state;
pub mod store;
mod values;

pub use cookie::{CookieOptions, CookieState, InvalidCookie, Priority, SameSite};
pub use hook::HandshakeExt;
pub use record::{Record, RecordError};
pub use session::{Session, SessionError};
pub use sessions::{ConfigError, Sessions, SessionsBuilder};
pub use sid::Sid;
pub use store::{MemoryLimits, MemoryStore, Store, StoreError};
pub use values::{ValueError, Values};
