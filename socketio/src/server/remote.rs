//! Sockets wherever they are, and what other servers answer.

use super::{
    acks::AckStream,
    broadcast::Broadcast,
    live::LiveNamespace,
    room::{IntoRooms, Room},
    rooms::Target,
    socket::Socket,
};
use crate::{encoded::EncodeError, event::EventName};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// What is known of a socket of this server or another; what is done to it may travel there.
pub struct RemoteSocket {
    state: State,
    /// Through which it is reached; there as soon as a program gets hold of it.
    namespace: Option<Arc<LiveNamespace>>,
}

enum State {
    Here(Socket),
    Elsewhere(Box<SocketInfo>),
}

/// What servers tell each other of a socket.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SocketInfo {
    /// The public id.
    pub id: String,
    /// The request that opened the connection, and what the client authenticated with.
    pub handshake: HandshakeInfo,
    /// The rooms, that of its own id included.
    pub rooms: Vec<String>,
    /// What the socket [shows](crate::Namespace::show).
    #[serde(default)]
    pub data: Value,
}

/// The handshake of a socket as plain data, with the fields that the official server has.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct HandshakeInfo {
    /// Headers of the request, names in lower case; of several with one name the last.
    pub headers: BTreeMap<String, String>,
    /// When the request came, for people.
    pub time: String,
    /// Address of the client.
    pub address: String,
    /// Whether it came from a page of another origin, or says so.
    pub xdomain: bool,
    /// Whether it came through TLS.
    pub secure: bool,
    /// When it came, in milliseconds since 1970.
    pub issued: u64,
    /// Path and query of the request.
    pub url: String,
    /// Parameters of the query; of several with one name the last.
    pub query: BTreeMap<String, String>,
    /// What the client authenticated with.
    pub auth: Value,
}

impl RemoteSocket {
    /// The public id.
    pub fn id(&self) -> &str {
        match &self.state {
            State::Here(socket) => socket.id(),
            State::Elsewhere(info) => &info.id,
        }
    }

    /// The socket itself, if it is connected to this server.
    pub fn local(&self) -> Option<&Socket> {
        match &self.state {
            State::Here(socket) => Some(socket),
            State::Elsewhere(_) => None,
        }
    }

    /// The request that opened the connection, and what the client authenticated with.
    pub fn handshake(&self) -> HandshakeInfo {
        match &self.state {
            State::Here(socket) => HandshakeInfo::of(socket),
            State::Elsewhere(info) => info.handshake.clone(),
        }
    }

    /// The rooms, without that of its own id.
    pub fn rooms(&self) -> Vec<Room> {
        match &self.state {
            State::Here(socket) => socket.rooms(),
            State::Elsewhere(info) => {
                info.rooms.iter().filter(|room| **room != info.id).map(Into::into).collect()
            }
        }
    }

    /// What the socket [shows](crate::Namespace::show), if that is a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Option<T> {
        let data = match &self.state {
            State::Here(socket) => socket.shown()?,
            State::Elsewhere(info) => info.data.clone(),
        };
        serde_json::from_value(data).ok()
    }

    /// Queues an event for the socket; see [`Broadcast::emit`].
    ///
    /// # Errors
    ///
    /// The data cannot be encoded.
    pub fn emit<D: Serialize + ?Sized>(&self, event: impl EventName<D>, data: &D) -> Result<(), EncodeError> {
        self.operator().emit(event, data)
    }

    /// Queues an event for the socket, whose answer is the only item of the stream; see
    /// [`Broadcast::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// The data cannot be encoded.
    pub fn emit_with_ack<R: DeserializeOwned, D: Serialize + ?Sized>(
        &self,
        event: impl EventName<D>,
        data: &D,
        timeout: Duration,
    ) -> Result<AckStream<R>, EncodeError> {
        self.operator().emit_with_ack(event, data, timeout)
    }

    /// Makes the socket join a room, or several.
    pub fn join(&self, rooms: impl IntoRooms) {
        self.operator().join(rooms);
    }

    /// Makes the socket leave a room, or several.
    pub fn leave(&self, rooms: impl IntoRooms) {
        self.operator().leave(rooms);
    }

    /// Disconnects the socket; its connection stays.
    pub fn disconnect(&self) {
        self.operator().disconnect();
    }

    /// Disconnects the socket and closes its connection.
    pub fn disconnect_connection(&self) {
        self.operator().disconnect_connections();
    }

    fn operator(&self) -> Broadcast {
        let namespace = match &self.state {
            State::Here(socket) => socket.live(),
            State::Elsewhere(_) => self.namespace.as_ref().expect("it is attached before it is handed out"),
        };
        Broadcast::new(Arc::clone(namespace), Target::default()).to(self.id())
    }
}

impl fmt::Debug for RemoteSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = matches!(self.state, State::Here(_));
        f.debug_struct("RemoteSocket").field("id", &self.id()).field("here", &here).finish()
    }
}

impl From<Socket> for RemoteSocket {
    fn from(socket: Socket) -> Self {
        Self { state: State::Here(socket), namespace: None }
    }
}

impl SocketInfo {
    /// What other servers are told of a socket of this one.
    pub fn of(socket: &Socket) -> Self {
        let mut rooms: Vec<_> = socket.rooms().iter().map(|room| room.as_str().to_owned()).collect();
        rooms.push(socket.id().to_owned());
        Self {
            id: socket.id().to_owned(),
            handshake: HandshakeInfo::of(socket),
            rooms,
            data: socket.shown().unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        }
    }
}

impl HandshakeInfo {
    /// The handshake of a socket of this server.
    pub fn of(socket: &Socket) -> Self {
        let handshake = socket.handshake();
        let head = handshake.head();
        let headers: BTreeMap<String, String> = head
            .headers()
            .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        let issued = handshake.issued();
        Self {
            time: httpdate::fmt_http_date(issued),
            address: handshake.remote_addr().map(|address| address.ip().to_string()).unwrap_or_default(),
            xdomain: headers.contains_key("origin"),
            secure: handshake.is_secure(),
            issued: issued
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            url: head.target().to_owned(),
            query: head.query_params().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            auth: socket.auth().unwrap_or_default(),
            headers,
        }
    }
}

/// What was found of sockets on all servers.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The sockets.
    pub sockets: Vec<RemoteSocket>,
    /// How many servers did not answer in time: their sockets are missing.
    pub missing_servers: usize,
}

impl Fetched {
    /// Sockets of this server.
    pub fn local(sockets: Vec<Socket>) -> Self {
        Self { sockets: sockets.into_iter().map(Into::into).collect(), missing_servers: 0 }
    }

    /// Adds sockets of another server.
    pub fn extend(&mut self, sockets: impl IntoIterator<Item = SocketInfo>) {
        let elsewhere = sockets.into_iter().map(|info| State::Elsewhere(Box::new(info)));
        self.sockets.extend(elsewhere.map(|state| RemoteSocket { state, namespace: None }));
    }

    pub(super) fn attach(&mut self, namespace: &Arc<LiveNamespace>) {
        for socket in &mut self.sockets {
            socket.namespace = Some(Arc::clone(namespace));
        }
    }
}

/// What other servers of a cluster answered.
#[derive(Debug)]
pub struct ServerAnswers<R> {
    /// One answer for each server that has answered.
    pub answers: Vec<R>,
    /// How many servers did not answer in time.
    pub missing: usize,
}

impl<R> Default for ServerAnswers<R> {
    fn default() -> Self {
        Self { answers: Vec::new(), missing: 0 }
    }
}
