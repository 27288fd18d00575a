//! A Socket.IO v5 server on [`engineio`]: namespaces, rooms, acknowledgements, typed events.
//!
//! ```no_run
//! use socketio::{Ack, Event, Namespace, Refusal, Server, Socket};
//!
//! const CHAT: Event<String> = Event::new("chat message");
//! const SUM: Event<(i64, i64)> = Event::new("sum");
//!
//! async fn authenticate(socket: Socket) -> Result<(), Refusal> {
//!     let name: String = socket.handshake().head().query_param("name").ok_or(Refusal::new("who?"))?.into();
//!     socket.set(name);
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let lobby = Namespace::new()
//!     .middleware(authenticate)
//!     .on_connect(async |socket: Socket| socket.join("everyone"))
//!     .on(CHAT, async |socket: Socket, text| { socket.to("everyone").emit(CHAT, &text).ok(); })
//!     .on(SUM, async |_, (a, b)| Ack(a + b))
//!     .on_disconnect(async |socket: Socket, reason| println!("{} left: {reason}", socket.id()));
//! Server::builder().namespace("/", lobby).build().listen("127.0.0.1:3000").await
//! # }
//! ```
//!
//! Whoever knows the official server finds its API in [`node`], item by item.
//!
//! # Words
//!
//! A *connection* is the Engine.IO link to one client; a *socket* is that client's membership of one
//! namespace, with an id of its own that may be shown to others. An *event* has a name, arguments and perhaps
//! an *acknowledgement*.
//!
//! # Layers
//!
//! ```text
//! in    Message -> Decoder or Parser -> Packet -> Connection -> limits -> middleware -> handler -> Answer
//! out   emit, Answer -> Encoded (once, however many receive it) -> Adapter -> engineio::Connection
//! ```
//!
//! [`packet`], [`args`], [`decoder`] and [`connection`] are the protocol, without I/O, tasks or clock; the
//! rest of the crate is the server around them. [`adapter`] is how a namespace reaches sockets of other servers.
//!
//! # Features
//!
//! `msgpack`: `MsgPackParser`, the format of `socket.io-msgpack-parser`.
//!
//! # Order
//!
//! Handlers are polled in the connection's own task, first when their event arrives: what they do before they
//! first wait happens in the order of the events. One that waits is set aside while others start. What a
//! connect handler does before it waits comes before the first event, and no event is started once a socket
//! is disconnected. Handlers that wait then are not cut off: they run to their ends, and what they answer goes
//! nowhere. An [`ordered`](Namespace::ordered) namespace runs one handler of a socket at a time.

mod acks;
pub mod adapter;
pub mod args;
pub mod connection;
pub mod decoder;
mod encoded;
mod error;
mod event;
mod json;
mod limits;
#[cfg(feature = "msgpack")]
mod msgpack;
pub mod packet;
mod parser;
mod reply;
mod server;
mod text;

pub use adapter::Recovery;
pub use args::{Arguments, DecodeError};
pub use connection::IncomingEvent;
pub use encoded::EncodeError;
pub use error::{AckError, DisconnectReason, EventError, EventFailure, Refusal, SendError};
pub use event::{Event, EventName, OutgoingEvent};
pub use limits::{Excess, Limit, Limits, Rate};
#[cfg(feature = "msgpack")]
pub use msgpack::{MsgPackError, MsgPackParser};
pub use parser::{Parser, ParserDecoder};
pub use reply::{Ack, Acknowledge, Answer, Reply};
pub use server::{
    AckSink, AckStream, Answers, Broadcast, Caller, Emitter, EventRun, Fetched, HandshakeInfo, IntoRooms,
    LimitExceeded, Namespace, NamespaceHandle, NamespaceRequest, Next, Once, OnceError, RemoteSocket, Room,
    RoomEvent, Server, ServerAnswers, ServerBuilder, ServerEmitError, Socket, SocketAnswer, SocketInfo,
    Target, WeakSocket,
};

#[doc = include_str!("node.md")]
pub mod node {}
