//! Sessions in the handlers of sockets: found, saved, and followed to their end.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use socketio::{Broadcast, Namespace, NamespaceHandle, Room, Server, ServerBuilder, Socket};

use crate::{
    Session, Sessions, Sid,
    auto_save::{around_event, around_occasion, session_of_handler},
    hook::Attached,
};

/// Gives a server sessions.
pub trait ServerBuilderExt {
    /// Opens the session of each connection, and saves it around every handler of every namespace: those of events, and
    /// those of connecting, upgrading and disconnecting.
    ///
    /// What a handler has changed is stored when it has ended, and before its acknowledgement leaves. If it has failed or
    /// panicked, its changes are dropped. If they cannot be stored, the acknowledgement says so, and
    /// [`Namespace::on_error`] hears of it. Handlers that do not use the session cost nothing.
    ///
    /// The sockets of a session are in a room of their own, see [`InSession`], and end with it as
    /// [`OnEnd`](crate::OnEnd) says.
    ///
    /// ```
    /// use session::{MemoryStore, ServerBuilderExt, Sessions, SocketExt};
    /// use socketio::{Ack, Namespace, Server, Socket};
    ///
    /// async fn add(socket: Socket, item: String) -> Result<Ack<usize>, session::ValueError> {
    ///     let session = socket.session();
    ///     let mut cart: Vec<String> = session.get("cart")?.unwrap_or_default();
    ///     cart.push(item);
    ///     session.insert("cart", &cart)?;
    ///     Ok(Ack(cart.len()))
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let sessions = Sessions::builder(MemoryStore::default()).secret("keyboard cat").build()?;
    /// let server = Server::builder()
    ///     .sessions(&sessions)
    ///     .namespace("/", Namespace::new().on("add", add))
    ///     .fallback(sessions.serve(async |request| http::Response::new(request.into_body())))
    ///     .build();
    /// # Ok::<(), session::ConfigError>(())
    /// # }).unwrap();
    /// ```
    fn sessions(self, sessions: &Sessions) -> Self;
}

impl ServerBuilderExt for ServerBuilder {
    fn sessions(self, sessions: &Sessions) -> Self {
        sessions.inner.watch();
        self.handshake(sessions.clone()).every_namespace(namespace)
    }
}

/// The session of a socket.
pub trait SocketExt {
    /// Returns the session of the socket's connection. In a handler of the socket, it is saved when that has ended;
    /// anywhere else, and for the session of another socket, [`Session::save`] does it.
    ///
    /// A task that the handler spawns is not part of it: it calls this by itself, and [`Session::save`] or
    /// [`Session::update`].
    ///
    /// # Panics
    ///
    /// If the server has [no sessions](ServerBuilderExt::sessions).
    fn session(&self) -> Session;

    /// Addresses all sockets of the same session in the same namespace, this one among them, on all servers of a cluster.
    ///
    /// # Panics
    ///
    /// As [`session`](Self::session).
    fn in_session(&self) -> Broadcast;
}

impl SocketExt for Socket {
    fn session(&self) -> Session {
        session_of_handler(&Attached::of(self.handshake()).shared)
    }

    fn in_session(&self) -> Broadcast {
        self.namespace_handle().in_session(&Attached::of(self.handshake()).shared.sid)
    }
}

/// Addresses all sockets of a session, on all servers of a cluster.
///
/// They are in a room, which is among [`Socket::rooms`]: a handler that leaves all rooms leaves this one, too. Its name is
/// made from a hash of the id, as rooms are shown and the id is a secret.
pub trait InSession {
    /// Addresses them.
    ///
    /// ```
    /// # fn example(server: socketio::Server, session: session::Session) -> Result<(), socketio::EncodeError> {
    /// use session::InSession;
    ///
    /// server.in_session(&session.sid()).emit("cart changed", &())?;
    /// server.in_session(&session.sid()).disconnect_connections();
    /// # Ok(())
    /// # }
    /// ```
    fn in_session(&self, sid: &Sid) -> Broadcast;
}

impl InSession for NamespaceHandle {
    fn in_session(&self, sid: &Sid) -> Broadcast {
        self.to(room(sid))
    }
}

/// In the namespace `/`.
impl InSession for Server {
    fn in_session(&self, sid: &Sid) -> Broadcast {
        self.to(room(sid))
    }
}

/// Rooms are shown and travel between servers, so the name must not be the secret.
fn room(sid: &Sid) -> Room {
    let hash = Sha256::digest(sid.as_str());
    format!("session:{}", URL_SAFE_NO_PAD.encode(&hash[..ROOM_BYTES])).into()
}

/// As many as no two sessions share by chance.
const ROOM_BYTES: usize = 12;

/// What is first in, and around, every namespace.
fn namespace() -> Namespace {
    Namespace::new()
        .on_connect(|socket| {
            let shared = &Attached::of(socket.handshake()).shared;
            socket.join(room(&shared.sid));
            shared.attach(&socket);
            std::future::ready(())
        })
        .on_disconnect(|socket, _| {
            Attached::of(socket.handshake()).shared.detach(&socket);
            std::future::ready(())
        })
        .event_scope(around_event)
        .lifecycle_middleware(around_occasion)
}
