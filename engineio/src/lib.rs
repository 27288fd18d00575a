//! An Engine.IO v4 server, from bytes up: HTTP/1.1, long-polling, WebSocket, upgrade and heartbeat.
//!
//! ```no_run
//! use engineio::{Connection, Event, Events, Server, handler_fn};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let echo = handler_fn(|connection: Connection, mut events: Events| async move {
//!         while let Some(event) = events.next().await {
//!             if let Event::Message(message) = event {
//!                 connection.send(message).await.ok();
//!             }
//!         }
//!     });
//!     Server::builder().build(echo).listen("127.0.0.1:3000").await
//! }
//! ```
//!
//! # How it is made
//!
//! ```text
//! bytes ─► http ─► request ─┬─► Poll, Post ──(mailbox)──► driver ─► connection::State ─► Handler
//!                           └─► WebSocket ──────────────► driver
//! ```
//!
//! The modules [`packet`], [`payload`], [`open`], [`request`], [`connection`], [`outbox`], [`http`] and
//! [`websocket`] are pure: no sockets, no tasks, no clock. Each [`Connection`] has one task, its driver, which owns
//! the [`connection::State`] and, after an upgrade, the WebSocket itself. Between the socket and a [`Handler`] there
//! is no queue; between an emitter and the socket there is one, the [`outbox`], bounded in bytes.
//!
//! Later additions have their places: another protocol revision branches in [`request::verify`] and in [`packet`],
//! permessage-deflate at the reserved bit of [`websocket::Decoder`], and a third transport is a variant of
//! [`Transport`] with a route in [`connection`].
//!
//! # DEVIATIONS
//!
//! Where this server does not do what the official one does, on purpose:
//!
//! - **WebSocket requests are refused before the `101`**, with the status and the text of the refusal. The official
//!   server switches protocols first in some cases, and then writes HTTP onto the WebSocket.
//! - **A hook's status is sent on both transports**; the official server answers 400 to a WebSocket whatever was
//!   refused.
//! - **The version is checked before the hook**, so that a request which cannot succeed costs no look-up in a store.
//! - **A bad POST is answered with 400**: empty, not UTF-8, not a packet, not canonical base64. The official server
//!   says `ok`, repairs what it can, and closes. Good packets before the bad one are delivered in both.
//! - **Base64 is strict** (RFC 4648 section 4), so that one payload has one meaning.
//! - **Packets `0` and `5` from a client out of place are parse errors** instead of being ignored.
//! - **`1` over a WebSocket closes at once**; the official server waits for the heartbeat.
//! - **`5` without a probe closes the WebSocket**, and the connection stays on polling.
//! - **A pending poll is released as soon as the probe arrives**, not at the next tick of 100 ms, so upgrades are
//!   faster. After `5` it is released with `6` instead of `1`.
//! - **A second WebSocket for a connection that has one is refused with 400**, before the `101` where the first
//!   is established.
//! - **`Set-Cookie` headers are sent as lines of their own** on the `101` too; joined by commas they are invalid.
//! - **Ids are 120 random bits**, without a counter in them.
//! - **Everything is bounded**: heads, bodies, times, frames, fragments, and the outbox, where the official server
//!   buffers without end. At its bound `try_send` fails, `send` waits, and the peer is not read.
//! - **WebSocket pings are answered with the newest payload only**, and a 101 never carries the `io` cookie, as there.
//! - **HTTP that two parsers could read differently is refused**: both lengths, bare line feeds, folded lines, spaces
//!   before colons, a missing or second `Host`.
//! - **Only WebSocket version 13 is spoken**; 8 is answered with 426.

pub mod connection;
pub mod cookie;
pub mod cors;
pub mod http;
pub mod open;
pub mod outbox;
pub mod packet;
pub mod payload;
pub mod request;
pub mod websocket;

mod config;
mod error;
mod extensions;
mod handshake;
mod message;
mod server;
mod transport;

pub use bytestring::ByteString;

pub use config::Config;
pub use error::{CloseReason, SendError};
pub use extensions::Extensions;
pub use handshake::{Handshake, HandshakeHook, Refusal};
pub use http::RequestHead;
pub use message::{Message, Outgoing};
pub use open::Sid;
pub use outbox::Outbox;
pub use server::{
    Application, Connection, ConnectionError, Event, Events, Handler, IsSecure, RemoteAddr, Server,
    ServerBuilder, handler_fn,
};
pub use transport::Transport;
