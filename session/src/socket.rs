//! Sessions in the handlers of sockets: found, saved, and followed to their end.

use std::{cell::OnceCell, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use socketio::{
    Acknowledge, Answer, Broadcast, IncomingEvent, Namespace, NamespaceHandle, Next, Reply, Room, Server,
    ServerBuilder, Socket,
};

use crate::{Session, SessionError, Sessions, Sid, Touch, hook::Attached, session::Scope, shared::Shared};

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
    /// A future that the handler spawns is not part of it.
    ///
    /// # Panics
    ///
    /// If the server has [no sessions](ServerBuilderExt::sessions).
    fn session(&self) -> Session;
}

impl SocketExt for Socket {
    fn session(&self) -> Session {
        let shared = &Attached::of(self.handshake()).shared;
        let own = HANDLER.try_with(|handler| handler.session(shared));
        own.ok().flatten().unwrap_or_else(|| Session::new(Arc::clone(shared), Scope::Free))
    }
}

/// Addresses all sockets of a session, on all servers of a cluster.
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
const ROOM_BYTES: usize = 15;

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
        .event_middleware(around_event)
        .lifecycle_middleware(around_occasion)
}

async fn around_event(socket: Socket, event: IncomingEvent, next: Next) -> Outcome {
    let shared = &Attached::of(socket.handshake()).shared;
    if let Err(error) = before(shared).await {
        return Outcome::Failed(error);
    }
    let (answer, session) = Handler::run(shared, next.run(event)).await;
    let saved = match session {
        Some(session) => session.conclude(!answer.is_error()).await,
        None => Ok(()),
    };
    if let Touch::Packets { min_interval } = shared.inner.config.touch {
        shared.touch_in_background(min_interval);
    }
    match saved {
        Ok(()) => Outcome::Answered(answer),
        Err(error) => Outcome::Failed(error),
    }
}

async fn around_occasion(socket: Socket, handlers: impl Future<Output = ()>) -> Result<(), SessionError> {
    let shared = &Attached::of(socket.handshake()).shared;
    match Handler::run(shared, handlers).await {
        ((), Some(session)) => session.conclude(true).await,
        ((), None) => Ok(()),
    }
}

/// Reads the session again if the policy asks for it. One that has ended is no reason not to handle the event.
async fn before(shared: &Shared) -> Result<(), SessionError> {
    let Some(age) = shared.inner.max_age() else { return Ok(()) };
    match shared.reload_if_older(age).await {
        Err(SessionError::Gone) => Ok(()),
        other => other,
    }
}

tokio::task_local! {
    static HANDLER: Handler;
}

/// A handler at work: the session that it is given is saved after it.
struct Handler {
    /// Which session that is: its address, only to be compared.
    of: usize,
    session: OnceCell<Session>,
}

impl Handler {
    /// Runs `work`, and returns the session that it has used.
    async fn run<T>(shared: &Arc<Shared>, work: impl Future<Output = T>) -> (T, Option<Session>) {
        let handler = Self { of: Arc::as_ptr(shared).addr(), session: OnceCell::new() };
        HANDLER
            .scope(handler, async {
                let output = work.await;
                (output, HANDLER.with(|handler| handler.session.get().cloned()))
            })
            .await
    }

    fn session(&self, shared: &Arc<Shared>) -> Option<Session> {
        let own = self.of == Arc::as_ptr(shared).addr();
        own.then(|| {
            let begin = || Session::new(Arc::clone(shared), Scope::Handler);
            self.session.get_or_init(begin).clone()
        })
    }
}

/// What becomes of an event.
enum Outcome {
    Answered(Answer),
    /// The session could not be read or saved.
    Failed(SessionError),
}

impl Reply for Outcome {
    fn answer(self, ack: Acknowledge<'_>) -> Answer {
        match self {
            Self::Answered(answer) => answer,
            Self::Failed(error) => ack.failure(&Unsaved(error)),
        }
    }
}

/// The client learns what has failed, not how.
struct Unsaved(SessionError);

impl fmt::Display for Unsaved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "session not saved: {}", self.0)
    }
}
